//! Which program types, map types and helpers an object uses, and where.

use std::collections::BTreeMap;

use btfgen_object::{Feature, FeatureKind, Programs};

use crate::object::{Object, SourceLine};

/// A program type, attach type, map type or helper that an object uses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct FeatureUse {
    /// The feature, with the mainline version of Linux that brought it. That is a hint: kernels of vendors have many features of
    /// later versions.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub feature: Feature,
    /// The helper that libbpf calls instead on kernels that do not have this one.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub replacement: Option<&'static str>,
    /// The programs and maps that use it, in the order of the file.
    pub users: Vec<FeatureUser>,
}

/// A program, function or map that uses a feature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct FeatureUser {
    /// Its name.
    pub name: String,
    /// The source line, of a helper that is called.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub line: Option<SourceLine>,
}

impl Object {
    /// The features that the object uses, those of the newest Linux first; those of unknown versions come last. Empty if libbpf
    /// cannot open the object.
    pub fn features(&self) -> Vec<FeatureUse> {
        let mut users: BTreeMap<(FeatureKind, u32), Vec<FeatureUser>> = BTreeMap::new();
        let mut add = |feature: Feature, name: &str, line| {
            let users = users.entry((feature.kind, feature.number)).or_default();
            let user = FeatureUser {
                name: name.to_owned(),
                line,
            };
            if !users.contains(&user) {
                users.push(user);
            }
        };
        let Ok(asked) = self.programs() else {
            return Vec::new();
        };
        let Programs {
            programs,
            subprograms,
            maps,
            ..
        } = asked;
        for program in programs {
            for feature in program.features() {
                add(feature, &program.function.name, None);
            }
        }
        for function in programs.iter().map(|p| &p.function).chain(subprograms) {
            for call in &function.helpers {
                if let Some(feature) = call.feature() {
                    let offset = u32::try_from(call.offset).ok();
                    let line = offset.and_then(|offset| self.line_at(&function.section, offset));
                    add(feature, &function.name, line);
                }
            }
        }
        for map in maps {
            if let Some(feature) = map.feature() {
                add(feature, &map.name, None);
            }
        }
        let uses = users.into_iter().filter_map(|((kind, number), users)| {
            let feature = Feature::by_number(kind, number)?;
            Some(FeatureUse {
                feature,
                replacement: feature.replacement().map(|other| other.name),
                users,
            })
        });
        let mut uses: Vec<FeatureUse> = uses.collect();
        uses.sort_by_key(|used| std::cmp::Reverse(version(used.feature)));
        uses
    }
}

/// The version that brought a feature, as two numbers.
fn version(feature: Feature) -> Option<(u32, u32)> {
    let (major, minor) = feature.since?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
