//! Kernels in a few words: ranges of releases.

use std::collections::{HashMap, HashSet};
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
    all: impl Iterator<Item = &'k KernelId> + Clone,
    chosen: &[&KernelId],
) -> Vec<KernelRange> {
    let mut kinds = Kinds::default();
    let are_chosen = are_chosen(all.clone(), chosen);
    let all = all.zip(are_chosen);
    joined(all.map(|(kernel, is_chosen)| (kernel, kinds.add(kernel), is_chosen)))
}

/// For each kernel, whether it is chosen.
fn are_chosen<'k>(
    all: impl Iterator<Item = &'k KernelId> + Clone,
    chosen: &[&KernelId],
) -> Vec<bool> {
    let mut rest = chosen.iter().peekable();
    let are_chosen = all.clone();
    let are_chosen = are_chosen.map(|kernel| rest.next_if(|&&next| next == kernel).is_some());
    let are_chosen: Vec<bool> = are_chosen.collect();
    if rest.peek().is_none() {
        return are_chosen;
    }
    // They have another order, or are not all there.
    let chosen: HashSet<&KernelId> = chosen.iter().copied().collect();
    all.map(|kernel| chosen.contains(kernel)).collect()
}

/// The kinds of kernels, by number.
#[derive(Debug, Default)]
struct Kinds<'k>(HashMap<Kind<'k>, usize>);

impl<'k> Kinds<'k> {
    fn add(&mut self, kernel: &'k KernelId) -> usize {
        let next = self.0.len();
        *self.0.entry(kind(kernel)).or_insert(next)
    }
}

/// Joins kernels to ranges. Each one is given with the number of its kind, and whether it is chosen.
fn joined<'k>(all: impl Iterator<Item = (&'k KernelId, usize, bool)>) -> Vec<KernelRange> {
    let mut ranges: Vec<(&KernelId, &KernelId, usize)> = Vec::new();
    // For each kind: the range that goes on.
    let mut open: Vec<Option<usize>> = Vec::new();
    for (kernel, kind, is_chosen) in all {
        if open.len() <= kind {
            open.resize(kind + 1, None);
        }
        match (is_chosen, open[kind]) {
            (false, _) => open[kind] = None,
            (true, None) => {
                open[kind] = Some(ranges.len());
                ranges.push((kernel, kernel, 1));
            }
            (true, Some(range)) => {
                ranges[range].1 = kernel;
                ranges[range].2 += 1;
            }
        }
    }
    // They are in the order of their first kernels.
    let ranges = ranges.into_iter();
    ranges
        .map(|(first, last, kernels)| KernelRange {
            first: first.clone(),
            last: last.clone(),
            kernels,
        })
        .collect()
}

/// The kernels of a check, by their places in the order of their ids.
#[derive(Debug)]
pub(crate) struct Places {
    /// The number of each one's kind.
    kinds: Vec<usize>,
    /// The group of each one.
    groups: Vec<Option<usize>>,
}

impl Places {
    /// `all` are the kernels of the check in the order of their ids, `groups` those of each group.
    pub(crate) fn new<'k>(
        all: impl Iterator<Item = &'k KernelId> + Clone,
        groups: impl Iterator<Item = &'k [KernelId]>,
    ) -> Self {
        let groups = groups.enumerate();
        let groups = groups.flat_map(|(n, kernels)| kernels.iter().map(move |k| (k, n)));
        let groups: HashMap<&KernelId, usize> = groups.collect();
        let mut kinds = Kinds::default();
        Self {
            kinds: all.clone().map(|kernel| kinds.add(kernel)).collect(),
            groups: all.map(|kernel| groups.get(kernel).copied()).collect(),
        }
    }

    /// For each kernel, whether it is in one of these groups.
    pub(crate) fn are_in(&self, groups: &[usize]) -> impl Iterator<Item = bool> {
        let chosen: HashSet<usize> = groups.iter().copied().collect();
        let of_kernels = self.groups.iter();
        of_kernels.map(move |group| group.is_some_and(|group| chosen.contains(&group)))
    }

    /// The ranges of the kernels of some groups. `all` are those of the check.
    pub(crate) fn ranges_of<'k>(
        &self,
        all: impl Iterator<Item = &'k KernelId>,
        groups: &[usize],
    ) -> Vec<KernelRange> {
        self.joined(all, self.are_in(groups))
    }

    /// The ranges of some kernels. `all` are those of the check.
    pub(crate) fn ranges<'k>(
        &self,
        all: impl Iterator<Item = &'k KernelId> + Clone,
        chosen: &[&KernelId],
    ) -> Vec<KernelRange> {
        self.joined(all.clone(), are_chosen(all, chosen).into_iter())
    }

    fn joined<'k>(
        &self,
        all: impl Iterator<Item = &'k KernelId>,
        are_chosen: impl Iterator<Item = bool>,
    ) -> Vec<KernelRange> {
        let all = all.zip(&self.kinds).zip(are_chosen);
        joined(all.map(|((kernel, &kind), is_chosen)| (kernel, kind, is_chosen)))
    }
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
        assert_eq!(text(&all, &[6, 2, 5]), text(&all, &[2, 5, 6]));
    }
}
