//! The names of program types, attach types, map types and helpers, and the versions of Linux that brought them.

use std::fmt;
use std::sync::LazyLock;

/// The kind of a [`Feature`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum FeatureKind {
    /// `enum bpf_prog_type`.
    ProgramType,
    /// `enum bpf_attach_type`.
    AttachType,
    /// `enum bpf_map_type`.
    MapType,
    /// `enum bpf_func_id`.
    Helper,
}

impl FeatureKind {
    /// Its name in the table.
    fn name(self) -> &'static str {
        match self {
            Self::ProgramType => "program_type",
            Self::AttachType => "attach_type",
            Self::MapType => "map_type",
            Self::Helper => "helper",
        }
    }
}

/// A program type, attach type, map type or helper of the kernel's bpf.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Feature {
    /// What it is.
    pub kind: FeatureKind,
    /// Its number in bpf.h.
    pub number: u32,
    /// Its name in bpf.h, in lower case and without the prefix of its kind: `kprobe`, `trace_fentry`, `ringbuf`,
    /// `map_lookup_elem`.
    pub name: &'static str,
    /// The mainline version of Linux that brought it, such as `5.8`; `None` if the origins of the table do not say. It is a hint:
    /// kernels of vendors have many features of later versions.
    pub since: Option<&'static str>,
}

/// `scripts/kernel-versions` makes it, and its head says from what.
const TABLE: &str = include_str!("features.tsv");

/// The table, read once: an object asks for hundreds of helpers.
static ALL: LazyLock<Vec<Feature>> =
    LazyLock::new(|| TABLE.lines().filter_map(Feature::of_line).collect());

impl Feature {
    /// All known features.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().copied()
    }

    /// The feature with this number; `None` if it is newer than the table.
    pub fn by_number(kind: FeatureKind, number: u32) -> Option<Self> {
        Self::all().find(|feature| feature.kind == kind && feature.number == number)
    }

    /// The feature with this name.
    pub fn by_name(kind: FeatureKind, name: &str) -> Option<Self> {
        Self::all().find(|feature| feature.kind == kind && feature.name == name)
    }

    /// The helper that libbpf calls instead of this one on kernels that do not have this one (`bpf_object__sanitize_prog`). So
    /// the version of this one does not matter for programs that libbpf loads.
    pub fn replacement(self) -> Option<Self> {
        let name = match self.name {
            "probe_read_kernel" | "probe_read_user" => "probe_read",
            "probe_read_kernel_str" | "probe_read_user_str" => "probe_read_str",
            _ => return None,
        };
        Self::by_name(self.kind, name)
    }

    fn of_line(line: &'static str) -> Option<Self> {
        let mut columns = line.split('\t');
        let kind = columns.next()?;
        let kinds = [
            FeatureKind::ProgramType,
            FeatureKind::AttachType,
            FeatureKind::MapType,
            FeatureKind::Helper,
        ];
        Some(Self {
            kind: kinds.into_iter().find(|known| known.name() == kind)?,
            number: columns.next()?.parse().ok()?,
            name: columns.next()?,
            since: columns.next().filter(|version| *version != "-"),
        })
    }
}

impl fmt::Display for Feature {
    /// The name, for a helper with the prefix `bpf_`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == FeatureKind::Helper {
            f.write_str("bpf_")?;
        }
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that every line of the table but comments is a feature, that numbers and names are unique, and that versions are
    /// two numbers.
    #[test]
    fn table() {
        let all: Vec<Feature> = Feature::all().collect();
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(all.len(), lines.count());
        for feature in &all {
            let (kind, number, name) = (feature.kind, feature.number, feature.name);
            assert_eq!(Feature::by_number(kind, number), Some(*feature));
            assert_eq!(Feature::by_name(kind, name), Some(*feature));
            if let Some(since) = feature.since {
                let (major, minor) = since.split_once('.').expect("a dot");
                assert!(major.parse::<u32>().is_ok_and(|major| major >= 3), "{name}");
                assert!(minor.parse::<u32>().is_ok(), "{name}");
            }
        }
    }

    /// Check names, numbers and versions that everybody knows, and which helpers libbpf replaces.
    #[test]
    fn known() {
        let helper = |name| Feature::by_name(FeatureKind::Helper, name).expect("known");
        assert_eq!(helper("map_lookup_elem").number, 1);
        assert_eq!(helper("probe_read_kernel").since, Some("5.5"));
        let replacement = helper("probe_read_user_str").replacement();
        assert_eq!(replacement, Some(helper("probe_read_str")));
        assert_eq!(helper("probe_read_str").replacement(), None);
        assert_eq!(helper("ringbuf_output").to_string(), "bpf_ringbuf_output");
        let ringbuf = Feature::by_number(FeatureKind::MapType, 27).expect("known");
        assert_eq!((ringbuf.name, ringbuf.since), ("ringbuf", Some("5.8")));
        assert_eq!(Feature::by_number(FeatureKind::Helper, 1 << 20), None);
    }
}
