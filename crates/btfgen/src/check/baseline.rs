//! A baseline: which kernels an object supported before, to find what a change breaks.

use std::collections::{BTreeMap, BTreeSet};

use btfgen_archive::KernelId;
use btfgen_hub::{Error, ErrorKind};

use super::support::{Support, Verdict};

/// The kernels on which objects loaded, by the objects' names, in a form for files.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Baseline {
    schema: String,
    objects: BTreeMap<String, BTreeSet<String>>,
}

/// The form of the file.
const SCHEMA: &str = "btfgen-baseline/1";

/// An object that no longer loads on some kernels.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Regression {
    /// The index of the object in [`Support::objects`].
    pub object: usize,
    /// The kernels, in the order of their ids.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::texts"))]
    pub kernels: Vec<KernelId>,
}

impl Baseline {
    /// The kernels on which the objects load now. Of objects with the same name, all must load.
    pub fn of(support: &Support) -> Self {
        let mut objects: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for object in &support.objects {
            let loads = support.kernels_with(object, Verdict::Loads);
            let loads: BTreeSet<String> = loads.into_iter().map(ToString::to_string).collect();
            match objects.get_mut(&object.name) {
                Some(known) => known.retain(|kernel| loads.contains(kernel)),
                None => {
                    objects.insert(object.name.clone(), loads);
                }
            }
        }
        Self {
            schema: SCHEMA.to_owned(),
            objects,
        }
    }

    /// Checks that a baseline, which comes from a file of this name, has the form that this version knows.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`].
    pub fn checked(self, file: &str) -> Result<Self, Error> {
        if self.schema == SCHEMA {
            return Ok(self);
        }
        let message = format!(
            "is a baseline of the form {:?}, and this version of btfgen knows {SCHEMA:?}",
            self.schema
        );
        Err(Error::new(ErrorKind::Unsupported, file, message)
            .with_help("write it anew with --write-baseline"))
    }

    /// The objects that no longer load on kernels which the baseline has, and which the check has, too.
    pub fn regressions(&self, support: &Support) -> Vec<Regression> {
        let objects = support.objects.iter().enumerate();
        let regressions = objects.filter_map(|(n, object)| {
            let before = self.objects.get(&object.name)?;
            let groups = support.groups.iter().zip(&object.verdicts);
            let others = groups.filter(|(_, verdict)| **verdict != Verdict::Loads);
            let others = others.flat_map(|(group, _)| &group.kernels);
            let mut kernels: Vec<KernelId> = others
                .filter(|kernel| before.contains(&kernel.to_string()))
                .cloned()
                .collect();
            kernels.sort();
            (!kernels.is_empty()).then_some(Regression { object: n, kernels })
        });
        regressions.collect()
    }

    /// The names of objects that the baseline has and the check does not, and those of kernels.
    pub fn unchecked(&self, support: &Support) -> (Vec<&str>, Vec<&str>) {
        let objects: BTreeSet<&str> = support.objects.iter().map(|o| &o.name[..]).collect();
        let kernels: BTreeSet<String> = support.kernels().map(ToString::to_string).collect();
        let names = self.objects.keys().map(String::as_str);
        let known = self.objects.values().flatten().map(String::as_str);
        let known: BTreeSet<&str> = known.filter(|kernel| !kernels.contains(*kernel)).collect();
        (
            names.filter(|name| !objects.contains(name)).collect(),
            known.into_iter().collect(),
        )
    }
}
