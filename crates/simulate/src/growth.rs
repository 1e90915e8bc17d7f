//! Counts what each kernel of a hub adds to the definitions of those before it.
//!
//! A definition is a named type as CO-RE can see it: typedefs and modifiers on the way vanish, what is embedded is seen as a
//! whole, and a struct, union or enum behind a pointer is its kind and its name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use anyhow::Result;
use btfgen_archive::KernelId;
use btfgen_btf::{Btf, Kind, TypeId};
use btfgen_hub::{DEFAULT_MAX_BTF_BYTES, Hub, HubKernel};
use rayon::prelude::*;

/// What a kernel is to those before it in the order of families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The first kernel of its distribution's version and kernel version.
    Series,
    /// The first kernel of its architecture in its series.
    Architecture,
    /// The first kernel of its flavour on its architecture in its series.
    Flavour,
    /// Another kernel of the same flavour, architecture and series.
    Level,
}

/// What one kernel adds.
#[derive(Debug, Clone)]
pub struct Growth {
    /// The kernel.
    pub kernel: KernelId,
    /// What it is to those before it.
    pub step: Step,
    /// The number of its distinct definitions.
    pub definitions: usize,
    /// How many of them no kernel before it has.
    pub new: usize,
    /// How many of them the kernel directly before it has.
    pub shared: usize,
}

/// What each kernel of a hub adds, in the order of families.
///
/// # Errors
/// If a kernel cannot be read.
pub fn growth(hub: &Path) -> Result<Vec<Growth>> {
    let hub = Hub::open(&[hub])?;
    let mut kernels: Vec<(Family, &HubKernel)> = hub
        .kernels()
        .iter()
        .map(|kernel| (Family::of(kernel.id()), kernel))
        .collect();
    // Stable: within a family, the kernels stay in the order of their releases.
    kernels.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut known = HashSet::new();
    let mut seen = HashSet::new();
    let mut before = HashSet::new();
    let mut grown = Vec::new();
    for some in kernels.chunks(64) {
        let read = some.par_iter().map(|(_, kernel)| {
            let bytes = kernel.read(DEFAULT_MAX_BTF_BYTES)?;
            Ok(definitions(&Btf::parse(&bytes)?))
        });
        let read: Vec<HashSet<u64>> = read.collect::<Result<_>>()?;
        for ((family, kernel), definitions) in some.iter().zip(read) {
            let step = family.step(&mut seen);
            let shared = definitions.intersection(&before).count();
            let new = definitions
                .iter()
                .filter(|definition| known.insert(**definition))
                .count();
            grown.push(Growth {
                kernel: kernel.id().clone(),
                step,
                definitions: definitions.len(),
                new,
                shared,
            });
            before = definitions;
        }
    }
    Ok(grown)
}

/// The names of a kernel's series, architecture and flavour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Family([String; 3]);

impl Family {
    fn of(id: &KernelId) -> Self {
        let release = id.release();
        let (version, rest) = release.split_once('-').unwrap_or((release, ""));
        let version = version.split('+').next().unwrap_or_default();
        // Ubuntu's 5.4.0 has all patch levels of 5.4; others number them there, as 6.1.20 does.
        let numbers: Vec<&str> = version.splitn(3, '.').collect();
        let version = numbers[..numbers.len().min(2)].join(".");
        let flavour = rest.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
        let series = format!("{}/{}/{version}", id.distro(), id.version());
        Self([series, id.arch().to_owned(), flavour.to_owned()])
    }

    fn step(&self, seen: &mut HashSet<Vec<String>>) -> Step {
        let mut is_new = |len: usize| seen.insert(self.0[..len].to_vec());
        let (series, arch, flavour) = (is_new(1), is_new(2), is_new(3));
        match (series, arch, flavour) {
            (true, ..) => Step::Series,
            (_, true, _) => Step::Architecture,
            (_, _, true) => Step::Flavour,
            _ => Step::Level,
        }
    }
}

/// The mean and the median of the new definitions of a step, and the number of its kernels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The number of kernels.
    pub kernels: usize,
    /// The mean of the new definitions.
    pub mean: f64,
    /// The median of the new definitions.
    pub median: usize,
    /// The mean of the definitions that the kernel before does not have.
    pub changed: f64,
    /// The mean of the definitions that the kernel before has, too, in percent.
    pub shared: f64,
}

/// The rates of each step.
pub fn rates(growth: &[Growth]) -> BTreeMap<Step, Rate> {
    let mut by_step: BTreeMap<Step, Vec<&Growth>> = BTreeMap::new();
    for one in growth {
        by_step.entry(one.step).or_default().push(one);
    }
    let rate = |of: Vec<&Growth>| {
        let mean = |of_one: &dyn Fn(&Growth) -> f64| {
            of.iter().map(|one| of_one(one)).sum::<f64>() / of.len() as f64
        };
        let mut new: Vec<usize> = of.iter().map(|one| one.new).collect();
        new.sort_unstable();
        Rate {
            kernels: of.len(),
            mean: mean(&|one| one.new as f64),
            median: new[of.len() / 2],
            changed: mean(&|one| (one.definitions - one.shared) as f64),
            shared: mean(&|one| 100.0 * one.shared as f64 / one.definitions.max(1) as f64),
        }
    };
    by_step
        .into_iter()
        .map(|(step, of)| (step, rate(of)))
        .collect()
}

/// The distinct definitions of a BTF.
fn definitions(btf: &Btf<'_>) -> HashSet<u64> {
    let mut seen = Contents {
        btf,
        known: HashMap::new(),
    };
    let named = btf
        .types_of(|kind| !matches!(kind, Kind::Func | Kind::Var | Kind::Datasec | Kind::DeclTag));
    let named = named.filter(|ty| !ty.name().is_empty());
    let mut definition = |ty: btfgen_btf::Type<'_>| {
        let mut hasher = DefaultHasher::new();
        (ty.kind() as u8, ty.name(), seen.content(ty.id())).hash(&mut hasher);
        hasher.finish()
    };
    named.map(&mut definition).collect()
}

/// A number for the content of each type that was looked at.
struct Contents<'b> {
    btf: &'b Btf<'b>,
    known: HashMap<TypeId, u64>,
}

impl Contents<'_> {
    fn content(&mut self, id: TypeId) -> u64 {
        if let Some(&known) = self.known.get(&id) {
            return known;
        }
        let Some(ty) = self.btf.skip_modifiers_and_typedefs(id) else {
            return 0;
        };
        let mut hasher = DefaultHasher::new();
        (
            ty.kind() as u8,
            ty.name(),
            ty.size(),
            ty.int(),
            ty.kind_flag(),
        )
            .hash(&mut hasher);
        for member in ty.members() {
            (
                member.name,
                member.bit_offset,
                member.bitfield_size,
                self.content(member.ty),
            )
                .hash(&mut hasher);
        }
        ty.enumerators().for_each(|e| e.hash(&mut hasher));
        if let Some(array) = ty.array() {
            (array.len, self.content(array.element)).hash(&mut hasher);
        }
        if let Some(to) = ty.referenced() {
            self.behind_pointer(to).hash(&mut hasher);
        }
        for param in ty.params() {
            self.behind_pointer(param).hash(&mut hasher);
        }
        let content = hasher.finish();
        self.known.insert(id, content);
        content
    }

    /// Of a struct, union or enum behind a pointer, only the name is seen. So no walk is endless.
    fn behind_pointer(&mut self, id: TypeId) -> u64 {
        match self.btf.skip_modifiers_and_typedefs(id) {
            Some(ty) if ty.kind().is_composite() => {
                let mut hasher = DefaultHasher::new();
                ("behind a pointer", ty.kind() as u8, ty.name()).hash(&mut hasher);
                hasher.finish()
            }
            Some(ty) => self.content(ty.id()),
            None => 0,
        }
    }
}
