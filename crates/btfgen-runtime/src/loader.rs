//! What the loaders can read, by version.

use std::fmt;
use std::str::FromStr;

use btfgen_btf::Header;

use crate::features::Features;

/// The loader of a program, which reads the BTF.
///
/// A kernel's own BTF may be newer than the loader: Linux 6.0 has enumerators of 64 bits, which libbpf before 1.0 cannot read.
/// Then [`Lookup`](crate::Lookup) uses the archive's entry.
///
/// ```
/// use btfgen_runtime::Loader;
///
/// let loader: Loader = "libbpf:0.8".parse()?;
/// assert_eq!(loader, Loader::libbpf(0, 8));
/// assert_eq!(loader.to_string(), "libbpf 0.8");
/// # Ok::<(), btfgen_runtime::ParseLoaderError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Loader {
    family: Family,
    version: Version,
}

/// Major and minor number. The third number is unknown, so it counts as 0.
type Version = (u16, u16);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Family {
    Libbpf,
    CiliumEbpf,
    Aya,
}

/// What a loader reads from this version on.
struct Reads {
    since: Version,
    /// The largest number of a kind.
    largest_kind: u32,
    /// The longest header, if its end is not zeros.
    header_len: u64,
    /// Whether it reads the extensions of Linux 7.1: unknown kinds, if a layout section gives their lengths, and more than
    /// 65,535 members.
    extended: bool,
}

const fn reads(since: Version, largest_kind: u32) -> Reads {
    Reads {
        since,
        largest_kind,
        header_len: u64::MAX,
        extended: false,
    }
}

impl Reads {
    const fn header_len(mut self, len: usize) -> Self {
        self.header_len = len as u64;
        self
    }

    const fn extended(mut self) -> Self {
        self.extended = true;
        self
    }
}

/// libbpf's `btf_parse_hdr` and `btf_type_size` in each version. libbpf reads layout sections after 1.7.
const LIBBPF: &[Reads] = &[
    reads((0, 0), 15),
    reads((0, 4), FLOAT),
    reads((0, 6), 18),
    reads((1, 0), 19),
    reads((1, 8), 19).extended(),
];

/// `parseBTFHeader` and `readAndInflateTypes` of cilium/ebpf.
const CILIUM_EBPF: &[Reads] = &[
    reads((0, 0), 15).header_len(Header::LEN),
    reads((0, 7), FLOAT).header_len(Header::LEN),
    reads((0, 10), 19).header_len(Header::LEN),
    reads((0, 22), 19).header_len(Header::LEN_WITH_LAYOUT),
];

/// aya's `BtfKind`.
const AYA: &[Reads] = &[reads((0, 0), 15), reads((0, 11), 18), reads((0, 12), 19)];

const FLOAT: u32 = 16;

/// A loader that is not named counts as one of 2022 or later, from libbpf 1.0 on. They all read this kind, which kernels have
/// since Linux 6.0. If older ones counted, the archive would come first on all newer kernels. But with another BTF than the
/// kernel's own, libbpf does not look into modules.
const ENUM64: u32 = 19;

/// The names of the kinds from [`FLOAT`] on.
const KIND_NAMES: [&str; 4] = ["FLOAT", "DECL_TAG", "TYPE_TAG", "ENUM64"];

impl Family {
    const ALL: [Self; 3] = [Self::Libbpf, Self::CiliumEbpf, Self::Aya];

    fn name(self) -> &'static str {
        match self {
            Self::Libbpf => "libbpf",
            Self::CiliumEbpf => "cilium/ebpf",
            Self::Aya => "aya",
        }
    }

    /// What its versions read, the oldest version first.
    fn reads(self) -> &'static [Reads] {
        match self {
            Self::Libbpf => LIBBPF,
            Self::CiliumEbpf => CILIUM_EBPF,
            Self::Aya => AYA,
        }
    }
}

impl Loader {
    /// libbpf of this version, also for libbpf-rs. `libbpf_major_version` and `libbpf_minor_version` give the version of the
    /// linked libbpf.
    pub const fn libbpf(major: u16, minor: u16) -> Self {
        let family = Family::Libbpf;
        let version = (major, minor);
        Self { family, version }
    }

    /// The Go library `github.com/cilium/ebpf` of this version.
    pub const fn cilium_ebpf(major: u16, minor: u16) -> Self {
        let family = Family::CiliumEbpf;
        let version = (major, minor);
        Self { family, version }
    }

    /// aya of this version.
    pub const fn aya(major: u16, minor: u16) -> Self {
        let family = Family::Aya;
        let version = (major, minor);
        Self { family, version }
    }

    fn reads(self) -> &'static Reads {
        let all = self.family.reads();
        let known = all.iter().rev().find(|reads| reads.since <= self.version);
        known.unwrap_or(&all[0])
    }
}

/// `libbpf 1.7`.
impl fmt::Display for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.version;
        write!(f, "{} {major}.{minor}", self.family.name())
    }
}

/// A text that does not name a loader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseLoaderError(String);

impl fmt::Display for ParseLoaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        write!(
            f,
            "{text:?} is not a loader: use libbpf:MAJOR.MINOR, cilium:MAJOR.MINOR or aya:MAJOR.MINOR"
        )
    }
}

impl std::error::Error for ParseLoaderError {}

/// Parses `NAME:MAJOR.MINOR`; the name is `libbpf`, `cilium` or `aya`. More numbers are ignored.
impl FromStr for Loader {
    type Err = ParseLoaderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (name, version) = text.split_once(':')?;
            let family = match name {
                "libbpf" => Family::Libbpf,
                "cilium" => Family::CiliumEbpf,
                "aya" => Family::Aya,
                _ => return None,
            };
            let mut numbers = version.split('.').map(|number| number.parse().ok());
            let version = (numbers.next()??, numbers.next()??);
            numbers
                .all(|number| number.is_some())
                .then_some(Self { family, version })
        };
        parse().ok_or_else(|| ParseLoaderError(text.to_owned()))
    }
}

/// Why the loader cannot read a BTF. Without a loader: why not all versions since [`ENUM64`] can.
pub(crate) fn why_unreadable(features: &Features, loader: Option<Loader>) -> Option<String> {
    let kind = features.largest_kind;
    let has_layout = features.has_layout;
    let reads_kind = |r: &Reads| r.largest_kind >= kind || (r.extended && has_layout);
    let reads_counts = |r: &Reads| r.extended || !features.large_counts;
    let reads_header = |r: &Reads| r.header_len >= features.header_len;
    let who = |reads: &dyn Fn(&Reads) -> bool| who_cannot(reads, loader);
    if let Some(who) = who(&reads_kind) {
        let name = KIND_NAMES.get((kind.saturating_sub(FLOAT)) as usize);
        let name = name.map(|name| format!(", {name}")).unwrap_or_default();
        return Some(format!(
            "it has types of kind {kind}{name}, which {who} cannot read"
        ));
    }
    if let Some(who) = who(&reads_counts) {
        return Some(format!(
            "a type has more than 65,535 members, which {who} cannot read"
        ));
    }
    let len = features.header_len;
    who(&reads_header).map(|who| format!("its header has {len} bytes, which {who} cannot read"))
}

/// The loaders that cannot read something, with their versions.
fn who_cannot(reads: &dyn Fn(&Reads) -> bool, loader: Option<Loader>) -> Option<String> {
    let cannot = |family: &Family| match loader {
        Some(loader) => *family == loader.family && !reads(loader.reads()),
        None => {
            let mut versions = family.reads().iter();
            versions.any(|r| r.largest_kind >= ENUM64 && !reads(r))
        }
    };
    let named = Family::ALL.into_iter().filter(cannot).map(|family| {
        // A later version reads all that an earlier one does.
        match family.reads().iter().find(|r| reads(r)) {
            Some(Reads {
                since: (major, minor),
                ..
            }) => {
                format!("{} before {major}.{minor}", family.name())
            }
            None => format!("all known versions of {}", family.name()),
        }
    });
    let named: Vec<String> = named.collect();
    let (last, others) = named.split_last()?;
    Some(match others {
        [] => last.clone(),
        others => format!("{} and {last}", others.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Features = Features {
        largest_kind: 15,
        large_counts: false,
        header_len: 24,
        has_layout: false,
    };

    /// A change of the features of an old BTF.
    type Change = fn(&mut Features);

    fn why(change: Change, loader: Option<Loader>) -> Option<String> {
        let mut features = OLD;
        change(&mut features);
        why_unreadable(&features, loader)
    }

    /// Check for each loader from which version on it reads each feature, by the loaders' history.
    #[test]
    fn versions() {
        type New = fn(u16, u16) -> Loader;
        const LIBBPF: New = Loader::libbpf;
        const CILIUM_EBPF: New = Loader::cilium_ebpf;
        const AYA: New = Loader::aya;
        let enum64: Change = |features| features.largest_kind = 19;
        let kind_20: Change = |features| {
            features.largest_kind = 20;
            features.has_layout = true;
        };
        let layout_header: Change = |features| {
            features.header_len = 32;
            features.has_layout = true;
        };
        let large: Change = |features| features.large_counts = true;
        let longer_header: Change = |features| features.header_len = 40;
        let kind = |kind: u32| -> Change {
            match kind {
                16 => |features| features.largest_kind = 16,
                17 => |features| features.largest_kind = 17,
                _ => |features| features.largest_kind = 18,
            }
        };
        for (change, new, last_without, first_with) in [
            (kind(16), LIBBPF, (0, 3), (0, 4)),
            (kind(17), LIBBPF, (0, 5), (0, 6)),
            (kind(18), LIBBPF, (0, 5), (0, 6)),
            (enum64, LIBBPF, (0, 8), (1, 0)),
            (kind_20, LIBBPF, (1, 7), (1, 8)),
            (large, LIBBPF, (1, 7), (1, 8)),
            (kind(16), CILIUM_EBPF, (0, 6), (0, 7)),
            (kind(18), CILIUM_EBPF, (0, 9), (0, 10)),
            (enum64, CILIUM_EBPF, (0, 9), (0, 10)),
            (layout_header, CILIUM_EBPF, (0, 21), (0, 22)),
            (enum64, AYA, (0, 11), (0, 12)),
        ] {
            let (major, minor) = last_without;
            let reason = why(change, Some(new(major, minor))).unwrap();
            let (major, minor) = first_with;
            let name = new(major, minor).to_string().replace(' ', " before ");
            let told = format!("which {name} cannot read");
            assert!(reason.ends_with(&told), "{reason}: {told}");
            assert_eq!(why(change, Some(new(major, minor))), None);
            assert_eq!(why(change, Some(new(major, minor + 1))), None);
        }
        for (change, new) in [
            (kind_20, CILIUM_EBPF),
            (kind_20, AYA),
            (large, AYA),
            (longer_header, CILIUM_EBPF),
        ] {
            assert!(why(change, Some(new(u16::MAX, 0))).is_some());
        }
        for loader in [LIBBPF(0, 5), AYA(0, 11)] {
            assert_eq!(why(longer_header, Some(loader)), None);
        }
        // Without a layout section, the length of the kind is unknown.
        let without: Change = |features| features.largest_kind = 20;
        assert!(why(without, Some(LIBBPF(9, 0))).is_some());
    }

    /// Check that the reason for an unknown loader names all loaders that cannot read the BTF.
    #[test]
    fn unknown_loader() {
        assert_eq!(why(|_| {}, None), None);
        assert_eq!(why(|features| features.largest_kind = 19, None), None);
        let told = |change: Change| why(change, None).unwrap();
        assert_eq!(
            told(|features| (features.largest_kind, features.has_layout) = (20, true)),
            "it has types of kind 20, which libbpf before 1.8, all known versions of cilium/ebpf and all known versions of aya \
             cannot read"
        );
        assert_eq!(
            told(|features| features.large_counts = true),
            "a type has more than 65,535 members, which libbpf before 1.8, all known versions of cilium/ebpf and all known \
             versions of aya cannot read"
        );
        assert_eq!(
            told(|features| features.header_len = 32),
            "its header has 32 bytes, which cilium/ebpf before 0.22 cannot read"
        );
    }

    /// Check that loaders are parsed from their names and versions, and that other texts are refused.
    #[test]
    fn parse() {
        for (text, loader) in [
            ("libbpf:1.2", Loader::libbpf(1, 2)),
            ("libbpf:1.2.3", Loader::libbpf(1, 2)),
            ("cilium:0.11", Loader::cilium_ebpf(0, 11)),
            ("aya:0.14", Loader::aya(0, 14)),
        ] {
            assert_eq!(text.parse(), Ok(loader));
        }
        for text in [
            "",
            "libbpf",
            "libbpf:",
            "libbpf:1",
            "libbpf:1.x",
            "libbpf:1.2.x",
            "bcc:1.2",
            "aya:0.99999",
        ] {
            let error = text.parse::<Loader>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{text:?} is not a loader")),
                "{error}"
            );
        }
    }
}
