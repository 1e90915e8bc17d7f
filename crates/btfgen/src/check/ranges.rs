//! Kernels in a few words: ranges of releases.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use btfgen_archive::KernelId;

/// Kernels of one kind that follow each other, without another one between them. The `Display` form is for people:
/// `ubuntu/20.04/x86_64 5.4.0-26…42-generic (9 kernels)`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct KernelRange {
    /// The first kernel.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
    pub first: KernelId,
    /// The last kernel.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
    pub last: KernelId,
    /// The number of kernels.
    pub kernels: usize,
}

/// What the kernels of a range have in common: distribution, version, architecture, and the end of the release that tells
/// how the distribution configured the kernel: `-generic`.
type Kind<'k> = [&'k str; 4];

fn kind(kernel: &KernelId) -> Kind<'_> {
    let flavour = flavour(kernel.release());
    [kernel.distro(), kernel.version(), kernel.arch(), flavour]
}

/// The end of a release, from the last dash or dot before a letter: `-generic` of `5.4.0-26-generic`, `.x86_64` of
/// `4.18.0-80.el8.x86_64`.
fn flavour(release: &str) -> &str {
    let starts = release.match_indices(['-', '.']).map(|(at, _)| at);
    let is_name = |at: usize| {
        release[at + 1..]
            .split(['-', '.'])
            .all(|part| part.starts_with(|c: char| c.is_ascii_alphabetic()))
    };
    starts
        .clone()
        .find(|&at| is_name(at))
        .map_or("", |at| &release[at..])
}

/// The ranges of `chosen` among `all`, which are in the order of their ids.
pub(crate) fn ranges<'k>(
    all: impl Iterator<Item = &'k KernelId>,
    chosen: &[&KernelId],
) -> Vec<KernelRange> {
    let chosen: HashSet<&KernelId> = chosen.iter().copied().collect();
    let mut open: BTreeMap<Kind<'k>, KernelRange> = BTreeMap::new();
    let mut ranges = Vec::new();
    for kernel in all {
        let kind = kind(kernel);
        if !chosen.contains(kernel) {
            ranges.extend(open.remove(&kind));
            continue;
        }
        let range = open.entry(kind).or_insert_with(|| KernelRange {
            first: kernel.clone(),
            last: kernel.clone(),
            kernels: 0,
        });
        range.last = kernel.clone();
        range.kernels += 1;
    }
    ranges.extend(open.into_values());
    ranges.sort_by(|a, b| a.first.cmp(&b.first));
    ranges
}

impl fmt::Display for KernelRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.first.release(), self.last.release());
        let [distro, version, arch, flavour] = kind(&self.first);
        write!(f, "{distro}/{version}/{arch} ")?;
        if self.kernels == 1 {
            return f.write_str(first);
        }
        let first = first.strip_suffix(flavour).unwrap_or(first);
        let last = last.strip_suffix(flavour).unwrap_or(last);
        write!(
            f,
            "{first}…{}{flavour} ({} kernels)",
            differing_end(first, last),
            self.kernels
        )
    }
}

/// The last number of `last`, if that is all in which it differs from `first`; else `last`.
fn differing_end<'l>(first: &str, last: &'l str) -> &'l str {
    let is_digit = |c: char| c.is_ascii_digit();
    let stem = last.trim_end_matches(is_digit);
    match stem == first.trim_end_matches(is_digit) {
        true => &last[stem.len()..],
        false => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(all: &[&str], chosen: &[usize]) -> Vec<String> {
        let all: Vec<KernelId> = all.iter().map(|id| id.parse().expect("a kernel")).collect();
        let chosen: Vec<&KernelId> = chosen.iter().map(|&n| &all[n]).collect();
        ranges(all.iter(), &chosen)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// Check that ranges end at kernels that are not chosen, and that other flavours between do not end them.
    #[test]
    fn ranges_of_releases() {
        let all = [
            "centos/8/x86_64/4.18.0-80.el8.x86_64",
            "centos/8/x86_64/4.18.0-147.el8.x86_64",
            "ubuntu/20.04/x86_64/5.4.0-26-generic",
            "ubuntu/20.04/x86_64/5.4.0-28-generic",
            "ubuntu/20.04/x86_64/5.4.0-28-aws",
            "ubuntu/20.04/x86_64/5.4.0-29-generic",
            "ubuntu/20.04/x86_64/5.8.0-1-generic",
        ];
        assert_eq!(
            text(&all, &[0, 1, 2, 3, 5]),
            [
                "centos/8/x86_64 4.18.0-80…147.el8.x86_64 (2 kernels)",
                "ubuntu/20.04/x86_64 5.4.0-26…29-generic (3 kernels)",
            ]
        );
        assert_eq!(
            text(&all, &[2, 5, 6]),
            [
                "ubuntu/20.04/x86_64 5.4.0-26-generic",
                "ubuntu/20.04/x86_64 5.4.0-29…5.8.0-1-generic (2 kernels)",
            ]
        );
        assert_eq!(text(&all, &[]), [""; 0]);
    }
}
