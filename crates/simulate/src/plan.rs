//! Which kernels a simulated hub has, in the order in which they were published.
//!
//! A series is a kernel version of a version of a distribution, such as 5.4.0 of Ubuntu 20.04. A branch is one flavour of a
//! series on one architecture. A branch grows by patch levels. As in real hubs, most new kernels are the next patch level of a
//! branch: of n kernels, about √n / 1.4 began a series and n^0.65 a branch. A plan for fewer kernels is the beginning of a plan
//! for more.

use std::collections::HashSet;

use anyhow::Result;
use btfgen_archive::KernelId;

use crate::dice::Dice;

/// A family's way to name its releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Ubuntu,
    Debian,
    /// The ending of the package's release, such as `el8`.
    Rpm(&'static str),
    Suse,
}

const UBUNTU: &[&str] = &[
    "generic",
    "aws",
    "azure",
    "gcp",
    "lowlatency",
    "oracle",
    "kvm",
];
const DEBIAN: &[&str] = &["amd64", "cloud-amd64", "rt-amd64"];
const RPM: &[&str] = &["", "+debug", "+rt"];
const SUSE: &[&str] = &["default", "azure", "preempt"];

impl Style {
    /// The flavours, with the architecture's name as on x86. The first one is the most common.
    fn flavours(self) -> &'static [&'static str] {
        match self {
            Self::Ubuntu => UBUNTU,
            Self::Debian => DEBIAN,
            Self::Rpm(_) => RPM,
            Self::Suse => SUSE,
        }
    }

    fn release(self, version: &str, level: u64, flavour: &str, arch: &str) -> String {
        match self {
            Self::Ubuntu if matches!(flavour, "generic" | "lowlatency") => {
                format!("{version}-{}-{flavour}", 10 + 2 * level)
            }
            Self::Ubuntu => format!("{version}-{}-{flavour}", 1000 + 2 * level),
            Self::Debian if arch == "x86_64" => format!("{version}-{}-{flavour}", level + 1),
            Self::Debian => format!("{version}-{}-{}", level + 1, flavour.replace("amd64", arch)),
            Self::Rpm(ending) => format!(
                "{version}-{}.{}.1.{ending}.{arch}{flavour}",
                80 + level / 4,
                level % 4
            ),
            Self::Suse => format!("{version}-{}.{}-{flavour}", 100 + level / 4, level % 4),
        }
    }
}

/// Distribution, its version, the kernel's version, and the style.
type Series = (&'static str, &'static str, &'static str, Style);

/// The series, in the order of their first kernels.
const SERIES: [Series; 54] = [
    ("ubuntu", "20.04", "5.4.0", Style::Ubuntu),
    ("ubuntu", "18.04", "4.15.0", Style::Ubuntu),
    ("debian", "10", "4.19.0", Style::Debian),
    ("centos", "8", "4.18.0", Style::Rpm("el8")),
    ("ubuntu", "22.04", "5.15.0", Style::Ubuntu),
    ("debian", "12", "6.1.0", Style::Debian),
    ("amzn", "2", "4.14.200", Style::Rpm("amzn2")),
    ("ol", "8", "5.4.17", Style::Rpm("el8uek")),
    ("centos", "7", "3.10.0", Style::Rpm("el7")),
    ("ubuntu", "18.04", "5.4.0", Style::Ubuntu),
    ("fedora", "31", "5.3.7", Style::Rpm("fc31")),
    ("debian", "11", "5.10.0", Style::Debian),
    ("ubuntu", "16.04", "4.15.0", Style::Ubuntu),
    ("sles", "15.3", "5.3.18", Style::Suse),
    ("rhel", "8", "4.18.0", Style::Rpm("el8")),
    ("ubuntu", "20.04", "5.8.0", Style::Ubuntu),
    ("amzn", "2", "5.10.50", Style::Rpm("amzn2")),
    ("debian", "9", "4.9.0", Style::Debian),
    ("ubuntu", "20.04", "5.11.0", Style::Ubuntu),
    ("fedora", "30", "5.0.9", Style::Rpm("fc30")),
    ("ol", "7", "4.14.35", Style::Rpm("el7uek")),
    ("ubuntu", "16.04", "4.4.0", Style::Ubuntu),
    ("sles", "12.5", "4.12.14", Style::Suse),
    ("ubuntu", "18.04", "5.3.0", Style::Ubuntu),
    ("debian", "13", "6.12.0", Style::Debian),
    ("rhel", "7", "3.10.0", Style::Rpm("el7")),
    ("fedora", "29", "4.18.16", Style::Rpm("fc29")),
    ("ubuntu", "20.04", "5.13.0", Style::Ubuntu),
    ("amzn", "2018.03", "4.14.80", Style::Rpm("amzn1")),
    ("ubuntu", "22.04", "6.2.0", Style::Ubuntu),
    ("ol", "8", "4.18.0", Style::Rpm("el8_2")),
    ("ubuntu", "18.04", "5.0.0", Style::Ubuntu),
    ("fedora", "28", "4.16.3", Style::Rpm("fc28")),
    ("ubuntu", "20.04", "5.15.0", Style::Ubuntu),
    ("sles", "15.1", "4.12.14", Style::Suse),
    ("fedora", "27", "4.13.9", Style::Rpm("fc27")),
    ("debian", "10", "5.10.0", Style::Debian),
    ("ubuntu", "22.04", "5.19.0", Style::Ubuntu),
    ("ol", "7", "3.10.0", Style::Rpm("el7")),
    ("fedora", "26", "4.11.8", Style::Rpm("fc26")),
    ("sles", "12.3", "4.4.73", Style::Suse),
    ("ubuntu", "22.04", "6.5.0", Style::Ubuntu),
    ("amzn", "2", "5.4.50", Style::Rpm("amzn2")),
    ("rhel", "9", "5.14.0", Style::Rpm("el9")),
    ("fedora", "25", "4.8.6", Style::Rpm("fc25")),
    ("ubuntu", "24.04", "6.8.0", Style::Ubuntu),
    ("centos", "9", "5.14.0", Style::Rpm("el9")),
    ("sles", "15.4", "5.14.21", Style::Suse),
    ("ubuntu", "18.04", "4.18.0", Style::Ubuntu),
    ("fedora", "24", "4.5.5", Style::Rpm("fc24")),
    ("amzn", "2023", "6.1.10", Style::Rpm("amzn2023")),
    ("ol", "9", "5.15.0", Style::Rpm("el9uek")),
    ("sles", "15.2", "5.3.18", Style::Suse),
    ("ubuntu", "16.04", "4.8.0", Style::Ubuntu),
];

/// One flavour of a series on one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Branch {
    /// The index of the series.
    pub(crate) series: usize,
    /// The index of the architecture among those of the series.
    pub(crate) arch: usize,
    /// The index of the flavour; 0 is the most common one.
    pub(crate) flavour: usize,
}

/// A kernel that is to be made.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) id: KernelId,
    /// The index of its branch in [`Plan::branches`].
    pub(crate) branch: usize,
    pub(crate) level: u64,
}

/// Kernels that are to be made.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) branches: Vec<Branch>,
    pub(crate) kernels: Vec<Planned>,
}

impl Branch {
    /// A name of the flavour that all series of a distribution share.
    pub(crate) fn flavour_name(&self) -> &'static str {
        SERIES[self.series].3.flavours()[self.flavour]
    }
}

/// Plans so many kernels. `archs` gives the architectures of a series.
pub(crate) fn plan<'a>(
    kernels: usize,
    seed: u64,
    archs: impl Fn(usize) -> &'a [String],
) -> Result<Plan> {
    let mut plan = Plan {
        branches: Vec::new(),
        kernels: Vec::new(),
    };
    // The level of each branch's last kernel.
    let mut levels: Vec<u64> = Vec::new();
    let mut series = 0;
    let mut dice = Dice::of(seed, &[b"plan"]);
    for n in 1..=kernels {
        let new = if series < wanted(n, 0.5, 0.7).min(SERIES.len()) {
            series += 1;
            Some(Branch {
                series: series - 1,
                arch: 0,
                flavour: 0,
            })
        } else if plan.branches.len() < wanted(n, 0.65, 1.0) {
            new_branch(&plan.branches, series, &archs, &mut dice)
        } else {
            None
        };
        let branch = if let Some(new) = new {
            // A flavour begins where its series is.
            let of_series = |(branch, _): &(&Branch, &u64)| branch.series == new.series;
            let newest = plan
                .branches
                .iter()
                .zip(&levels)
                .filter(of_series)
                .map(|(_, &level)| level)
                .max();
            plan.branches.push(new);
            levels.push(newest.unwrap_or_default());
            levels.len() - 1
        } else {
            let branch = dice.below(levels.len());
            levels[branch] += 1 + u64::from(dice.chance(200));
            branch
        };
        let Branch {
            series,
            arch,
            flavour,
        } = plan.branches[branch];
        let (distro, distro_version, version, style) = SERIES[series];
        let (arch, level) = (&archs(series)[arch], levels[branch]);
        let release = style.release(version, level, style.flavours()[flavour], arch);
        let id = KernelId::new(distro, distro_version, arch, &release)?;
        plan.kernels.push(Planned { id, branch, level });
    }
    Ok(plan)
}

fn wanted(kernels: usize, exponent: f64, factor: f64) -> usize {
    (factor * (kernels as f64).powf(exponent)).ceil() as usize
}

/// A branch that there is not yet, of one of the series; the first flavours and architectures are the more likely ones.
fn new_branch<'a>(
    branches: &[Branch],
    series: usize,
    archs: &impl Fn(usize) -> &'a [String],
    dice: &mut Dice,
) -> Option<Branch> {
    let known: HashSet<&Branch> = branches.iter().collect();
    for _ in 0..64 {
        let series = dice.below(series);
        let flavours = SERIES[series].3.flavours().len();
        let smaller_of_two = |dice: &mut Dice, n| dice.below(n).min(dice.below(n));
        let arch = smaller_of_two(dice, archs(series).len());
        let flavour = smaller_of_two(dice, flavours);
        let branch = Branch {
            series,
            arch,
            flavour,
        };
        if !known.contains(&branch) {
            return Some(branch);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(kernels: usize, seed: u64) -> Vec<String> {
        let archs = ["x86_64".to_owned(), "arm64".to_owned()];
        let plan = plan(kernels, seed, |_| &archs).unwrap();
        plan.kernels
            .iter()
            .map(|kernel| kernel.id.to_string())
            .collect()
    }

    /// Check that no two kernels have one name, and that a plan for more kernels begins as one for fewer.
    #[test]
    fn plans_are_nested() {
        let many = ids(5000, 1);
        assert_eq!(many.iter().collect::<HashSet<_>>().len(), 5000);
        assert_eq!(ids(100, 1), many[..100]);
        assert_ne!(ids(100, 2), many[..100]);
    }
}
