//! A kernel as the user names it: by its whole name, or by its release alone.

use std::fmt;

use anyhow::Result;
use btfgen::{KernelFilter, KernelId, hub_id};

use crate::explain::Advised;

/// How many names an error suggests.
const SUGGESTIONS: usize = 3;

/// A kernel as the user names it.
#[derive(Debug, Clone)]
pub(crate) enum KernelName {
    Id(KernelId),
    Release(String),
}

/// Parses a kernel's name.
pub(crate) fn kernel_name(text: &str) -> Result<KernelName, btfgen::archive::Error> {
    if text.contains('/') {
        return Ok(KernelName::Id(text.parse()?));
    }
    // The other parts do not matter: this only checks that `text` is a valid release.
    let id = KernelId::new("any", "any", "any", text)?;
    Ok(KernelName::Release(id.release().to_owned()))
}

impl KernelName {
    /// Finds the named kernel among all kernels of an archive or a hub, and reads it. `container` is its name. If several
    /// kernels have the release and their BTFs are equal, it returns the first one.
    pub(crate) fn find(
        &self,
        container: &str,
        kernels: &[&KernelId],
        arch: Option<&str>,
        read: impl Fn(usize) -> Result<Vec<u8>>,
    ) -> Result<(usize, Vec<u8>)> {
        let filter = arch.map_or(KernelFilter::new(), |arch| KernelFilter::new().arch(arch));
        let is_listed = |id: &KernelId| kernels.contains(&id);
        let is_named = |k: &KernelId| match self {
            // An archive can have kernels of one release under several names of an architecture.
            Self::Id(id) if is_listed(id) => id == k,
            _ => self.is(k),
        };
        let is_meant = |k: &KernelId| is_named(k) && filter.matches(k);
        let meant = (0..kernels.len()).filter(|&n| is_meant(kernels[n]));
        let mut found: Option<(usize, Vec<u8>)> = None;
        for n in meant {
            let btf = read(n)?;
            match &found {
                Some((_, other)) if *other != btf => {
                    let meant = kernels.iter().copied().filter(|k| is_meant(k));
                    return Err(self.ambiguous(container, meant));
                }
                Some(_) => {}
                None => found = Some((n, btf)),
            }
        }
        found.ok_or_else(|| self.missing(container, kernels, arch))
    }

    fn ambiguous<'k>(
        &self,
        container: &str,
        meant: impl Iterator<Item = &'k KernelId>,
    ) -> anyhow::Error {
        Advised::new(
            format!(
                "{container}: {self} is ambiguous, these kernels have different BTFs: {}",
                listed(meant)
            ),
            "give the full name of one of them, or its --arch if that is unambiguous",
        )
        .into()
    }

    fn missing(&self, container: &str, kernels: &[&KernelId], arch: Option<&str>) -> anyhow::Error {
        let mut near: Vec<&KernelId> = kernels
            .iter()
            .copied()
            .filter(|k| k.release() == self.release())
            .collect();
        if near.is_empty() {
            near = kernels.to_vec();
            // A stable sort: kernels that are equally near keep their order.
            near.sort_by(|a, b| self.likeness(b).total_cmp(&self.likeness(a)));
            near.truncate(SUGGESTIONS);
        }
        let arch = arch.map(|a| format!(" of {a}")).unwrap_or_default();
        let message = format!("{container}: has no kernel {self}{arch}");
        let help = if near.is_empty() {
            "it is empty".to_owned()
        } else {
            format!("the nearest kernels are {}", listed(near.into_iter()))
        };
        Advised::new(message, help).into()
    }

    fn is(&self, kernel: &KernelId) -> bool {
        match self {
            Self::Id(id) => hub_id(id.clone()) == hub_id(kernel.clone()),
            Self::Release(release) => release == kernel.release(),
        }
    }

    /// The kernel's release.
    pub(crate) fn release(&self) -> &str {
        match self {
            Self::Id(id) => id.release(),
            Self::Release(release) => release,
        }
    }

    /// How similar a kernel's name is to this one, from 0 to 1.
    fn likeness(&self, kernel: &KernelId) -> f64 {
        let (mine, other) = match self {
            Self::Id(id) => (id.to_string(), kernel.to_string()),
            Self::Release(release) => (release.clone(), kernel.release().to_owned()),
        };
        strsim::normalized_damerau_levenshtein(&mine, &other)
    }
}

impl fmt::Display for KernelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Release(release) => f.write_str(release),
        }
    }
}

fn listed<'k>(kernels: impl Iterator<Item = &'k KernelId>) -> String {
    kernels
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
