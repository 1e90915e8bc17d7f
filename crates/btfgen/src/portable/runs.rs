//! Sets of kernels as runs of their numbers: kernels that follow each other mostly have the same types.

use btfgen_archive::KernelId;

/// A set of kernels, by their numbers in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Runs(Vec<(usize, usize)>);

impl Runs {
    /// Adds the last kernel so far.
    pub(super) fn add(&mut self, kernel: usize) {
        match self.0.last_mut() {
            Some((_, last)) if *last == kernel => {}
            Some((_, last)) if *last + 1 == kernel => *last = kernel,
            _ => self.0.push((kernel, kernel)),
        }
    }

    /// Whether the kernel is the last one that was added.
    pub(super) fn has_last(&self, kernel: usize) -> bool {
        self.0.last().is_some_and(|&(_, last)| last == kernel)
    }

    /// The first kernel.
    pub(super) fn first(&self) -> usize {
        self.0.first().map_or(0, |&(first, _)| first)
    }

    /// The kernels of another set that are not in this one.
    fn missing(&self, all: &Self) -> Self {
        let mut missing = Self::default();
        for n in all.numbers().filter(|n| !self.has(*n)) {
            missing.add(n);
        }
        missing
    }

    fn has(&self, kernel: usize) -> bool {
        let at = self.0.partition_point(|&(_, last)| last < kernel);
        self.0.get(at).is_some_and(|&(first, _)| first <= kernel)
    }

    fn numbers(&self) -> impl Iterator<Item = usize> {
        self.0.iter().flat_map(|&(first, last)| first..=last)
    }

    /// The kernels as text, or those of a larger set that are missing, whichever is shorter: `only debian/12/x86_64 6.1.0-1`,
    /// `not debian/12/x86_64 6.1.0-1`; empty if none is missing.
    pub(super) fn told_of(&self, all: &Self, kernels: &[KernelId]) -> String {
        let missing = self.missing(all);
        if missing.0.is_empty() {
            return String::new();
        }
        let (with, without) = (self.ranges(kernels), missing.ranges(kernels));
        match with.len() <= without.len() {
            true => format!("only {}", with.join(", ")),
            false => format!("not {}", without.join(", ")),
        }
    }

    /// The kernels as text: `debian/12/x86_64 6.1.0-1 … 6.1.0-9 (9 kernels)`.
    pub(super) fn told(&self, kernels: &[KernelId]) -> String {
        self.ranges(kernels).join(", ")
    }

    fn ranges(&self, kernels: &[KernelId]) -> Vec<String> {
        let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
        for n in self.numbers() {
            let kernel = &kernels[n];
            let place = format!("{}/{}/{}", kernel.distro(), kernel.version(), kernel.arch());
            match groups.last_mut() {
                // A kernel in between would not be in the set.
                Some((last, run)) if *last == place && run.last() == Some(&n.wrapping_sub(1)) => {
                    run.push(n);
                }
                _ => groups.push((place, vec![n])),
            }
        }
        let ranges = groups.iter().map(|(place, run)| match run[..] {
            [one] => format!("{place} {}", kernels[one].release()),
            [first, .., last] => format!(
                "{place} {} … {} ({} kernels)",
                kernels[first].release(),
                kernels[last].release(),
                run.len()
            ),
            [] => String::new(),
        });
        ranges.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that kernels that follow each other are one range within their place, and that few missing kernels are told
    /// instead of many.
    #[test]
    fn ranges() {
        let kernels = ["debian/12/x86_64/6.1.0-", "debian/13/x86_64/6.12.0-"];
        let kernels = kernels
            .iter()
            .flat_map(|start| (1..=4).map(move |n| format!("{start}{n}")));
        let kernels: Vec<KernelId> = kernels.map(|id| id.parse().unwrap()).collect();
        let of = |numbers: &[usize]| {
            let mut runs = Runs::default();
            numbers.iter().for_each(|&n| runs.add(n));
            runs
        };
        let all = of(&[0, 1, 2, 3, 4, 5, 6, 7]);
        let told = |numbers: &[usize]| of(numbers).told_of(&all, &kernels);
        assert_eq!(told(&[0, 1, 2, 3, 4, 5, 6, 7]), "");
        assert_eq!(
            told(&[1, 2]),
            "only debian/12/x86_64 6.1.0-2 … 6.1.0-3 (2 kernels)"
        );
        assert_eq!(
            told(&[0, 1, 2, 3, 4, 5, 6]),
            "not debian/13/x86_64 6.12.0-4"
        );
        assert_eq!(
            told(&[0, 2]),
            "only debian/12/x86_64 6.1.0-1, debian/12/x86_64 6.1.0-3"
        );
        assert_eq!(
            told(&[3, 4]),
            "only debian/12/x86_64 6.1.0-4, debian/13/x86_64 6.12.0-1"
        );
    }
}
