//! How named types change over the releases of a distribution's kernels.

use std::collections::BTreeMap;

use btfgen_archive::KernelId;
use btfgen_hub::{Error, ErrorKind, HubKernel, Result, in_pool};
use rayon::prelude::*;

use crate::diff::{TypeDiff, diff};
use crate::selection::TypeSelection;
use crate::shape::Shapes;

/// The changes of the selected types over kernels.
#[derive(Debug, Default)]
pub struct History {
    /// Each series of kernels.
    pub series: Vec<Series>,
    /// The kernels that could not be read.
    pub left_out: Vec<Error>,
}

/// The kernels of a distribution with one architecture and flavour, in the order of their releases, whatever the
/// distribution's version.
#[derive(Debug)]
pub struct Series {
    /// The distribution's id.
    pub distro: String,
    /// Architecture.
    pub arch: String,
    /// What follows the numbers of the release, for example `generic` or `cloud-amd64`; may be empty.
    pub flavour: String,
    /// The kernels that were read.
    pub kernels: Vec<KernelId>,
    /// The changes, each between two kernels that follow each other.
    pub steps: Vec<Step>,
}

/// Two kernels that follow each other, and in which the selected types differ.
#[derive(Debug)]
pub struct Step {
    /// The last kernel before the change.
    pub before: KernelId,
    /// The first kernel with the change.
    pub after: KernelId,
    /// The types that differ.
    pub types: Vec<TypeDiff>,
}

/// Where a history begins.
#[derive(Debug, Clone)]
pub enum Since {
    /// With this release of every series, or the next one.
    Release(String),
    /// With this kernel, and only its series.
    Kernel(KernelId),
}

impl Since {
    fn has(&self, kernel: &KernelId) -> bool {
        match self {
            Self::Release(release) => !is_before(kernel.release(), release),
            Self::Kernel(first) => {
                series_of(first) == series_of(kernel)
                    && !is_before(kernel.release(), first.release())
            }
        }
    }
}

impl History {
    /// Compares each kernel with the one before it, on all processors. `go_on` is asked before each kernel.
    ///
    /// # Errors
    /// [`ErrorKind::NoKernels`] if no kernel is so new, [`ErrorKind::UnknownType`] if no kernel has what the selection names,
    /// [`ErrorKind::Machine`], and those of `go_on`.
    pub fn new(
        kernels: &[HubKernel],
        since: &Since,
        selection: &TypeSelection,
        max_btf_bytes: u64,
        go_on: impl Fn() -> Result<()> + Sync,
    ) -> Result<Self> {
        let kernels: Vec<&HubKernel> = kernels.iter().filter(|k| since.has(k.id())).collect();
        if kernels.is_empty() {
            return Err(no_kernels(since));
        }
        let read = |kernel: &&HubKernel| -> Result<Shapes> {
            go_on()?;
            let btf = kernel.read_btf(max_btf_bytes)?;
            Shapes::new(&btf, selection)
        };
        let shapes: Vec<Result<Shapes>> = in_pool(0, || kernels.par_iter().map(read).collect());
        let mut history = Self::default();
        let mut read = Vec::new();
        for (kernel, shapes) in kernels.into_iter().zip(shapes) {
            match shapes {
                Ok(shapes) => read.push((kernel, shapes)),
                Err(e) if matches!(e.kind(), ErrorKind::Machine | ErrorKind::Cancelled) => {
                    return Err(e);
                }
                Err(e) => history.left_out.push(e.with_kernel(kernel.id())),
            }
        }
        check(&read, selection, max_btf_bytes)?;
        let mut by_series: BTreeMap<[&str; 3], Vec<(&KernelId, Shapes)>> = BTreeMap::new();
        for (kernel, shapes) in read {
            let series = by_series.entry(series_of(kernel.id())).or_default();
            series.push((kernel.id(), shapes));
        }
        let series = by_series.into_iter().map(|(name, mut kernels)| {
            kernels.sort_by(|(a, _), (b, _)| by_release(a, b));
            Series::new(name, &kernels, selection)
        });
        history.series.extend(series);
        Ok(history)
    }
}

/// Fails if no kernel has what the selection names.
fn check(read: &[(&HubKernel, Shapes)], selection: &TypeSelection, max: u64) -> Result<()> {
    let Some((newest, _)) = read.last() else {
        return Ok(());
    };
    let all: Vec<&Shapes> = read.iter().map(|(_, shapes)| shapes).collect();
    let subject = match all.len() {
        1 => newest.id().to_string(),
        several => format!("{several} kernels"),
    };
    selection.check(&subject, &all, || newest.read_btf(max))
}

impl Series {
    fn new(
        [distro, arch, flavour]: [&str; 3],
        kernels: &[(&KernelId, Shapes)],
        selection: &TypeSelection,
    ) -> Self {
        let steps = kernels.windows(2).filter_map(|pair| {
            let [(before, old), (after, new)] = pair else {
                return None;
            };
            let types = diff(old, new, selection);
            (!types.is_empty()).then(|| Step {
                before: (*before).clone(),
                after: (*after).clone(),
                types,
            })
        });
        Self {
            distro: distro.to_owned(),
            arch: arch.to_owned(),
            flavour: flavour.to_owned(),
            steps: steps.collect(),
            kernels: kernels.iter().map(|(id, _)| (*id).clone()).collect(),
        }
    }
}

fn series_of(kernel: &KernelId) -> [&str; 3] {
    [kernel.distro(), kernel.arch(), flavour(kernel.release())]
}

/// What follows the numbers of a release: `generic` of `5.4.0-26-generic`.
fn flavour(release: &str) -> &str {
    let starts_with_letter = |part: &str| part.starts_with(|c: char| c.is_ascii_alphabetic());
    let mut dashes = release.match_indices('-').map(|(at, _)| &release[at + 1..]);
    dashes.find(|rest| starts_with_letter(rest)).unwrap_or("")
}

/// A release as a name that compares by its numbers.
fn release_only(release: &str) -> Option<KernelId> {
    KernelId::new("any", "any", "any", release).ok()
}

fn is_before(release: &str, first: &str) -> bool {
    release_only(release) < release_only(first)
}

fn by_release(a: &KernelId, b: &KernelId) -> std::cmp::Ordering {
    let releases = release_only(a.release()).cmp(&release_only(b.release()));
    releases.then_with(|| a.cmp(b))
}

fn no_kernels(since: &Since) -> Error {
    let (subject, help) = match since {
        Since::Release(release) => (release.clone(), "name an older release"),
        Since::Kernel(id) => (id.to_string(), "`btfgen list` shows the kernels of the hub"),
    };
    let message = "no kernel that passes the filters is of this release or a later one";
    Error::new(ErrorKind::NoKernels, subject, message).with_help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the flavour begins where the numbers of a release end.
    #[test]
    fn flavours() {
        for (release, expected) in [
            ("5.4.0-26-generic", "generic"),
            ("5.4.0-1009-aws", "aws"),
            ("6.12.107+deb13-cloud-amd64", "cloud-amd64"),
            ("4.18.0-147.el8.x86_64", ""),
            ("5.10.0", ""),
        ] {
            assert_eq!(flavour(release), expected, "{release}");
        }
    }

    /// Check that releases compare by their numbers, and that a kernel's history is that of its series.
    #[test]
    fn beginnings() {
        let kernel = |text: &str| text.parse::<KernelId>().unwrap();
        let old = kernel("ubuntu/20.04/x86_64/5.4.0-26-generic");
        let new = kernel("ubuntu/22.04/x86_64/5.15.0-1-generic");
        let other = kernel("ubuntu/22.04/x86_64/5.15.0-1-aws");
        let since = Since::Release("5.5".to_owned());
        assert!(!since.has(&old) && since.has(&new) && since.has(&other));
        let since = Since::Kernel(old.clone());
        assert!(since.has(&old) && since.has(&new) && !since.has(&other));
    }
}
