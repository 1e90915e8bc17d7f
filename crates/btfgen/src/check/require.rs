//! What a user demands of a check: kernels on which objects must load.

use std::str::FromStr;

use btfgen_archive::KernelId;
use btfgen_hub::{Error, ErrorKind, KernelFilter};

/// Kernels on which objects must load: a glob for `ID/VERSION/ARCH/RELEASE` as in [`KernelFilter::only`], or conditions for the
/// release's version that all must hold, such as `>=5.4` or `>=5.4,<6.1`.
///
/// ```
/// use btfgen::Requirement;
///
/// let requirement: Requirement = ">=5.4, <6.1".parse()?;
/// assert!(requirement.matches(&"ubuntu/20.04/x86_64/5.4.0-26-generic".parse()?));
/// assert!(!requirement.matches(&"debian/12/x86_64/6.1.0-9-amd64".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Requirement {
    text: String,
    kernels: Kernels,
}

#[derive(Debug, Clone)]
enum Kernels {
    Named(KernelFilter),
    Versions(Vec<(Comparison, Vec<u64>)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

/// Longer signs come first, because the others are their beginnings.
const COMPARISONS: [(&str, Comparison); 5] = [
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
    ("=", Comparison::Equal),
];

impl Requirement {
    /// Whether it is about this kernel.
    pub fn matches(&self, kernel: &KernelId) -> bool {
        match &self.kernels {
            Kernels::Named(filter) => filter.matches(kernel),
            Kernels::Versions(conditions) => {
                let version = numbers(kernel.release());
                let holds = |(comparison, wanted): &(Comparison, Vec<u64>)| {
                    holds(*comparison, &version, wanted)
                };
                !version.is_empty() && conditions.iter().all(holds)
            }
        }
    }

    /// What the user wrote.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Requirement {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let kernels = match text.trim_start().starts_with(['<', '>', '=']) {
            true => Kernels::Versions(text.split(',').map(condition).collect::<Result<_, _>>()?),
            false => Kernels::Named(KernelFilter::new().only(text)?),
        };
        Ok(Self {
            text: text.to_owned(),
            kernels,
        })
    }
}

fn condition(text: &str) -> Result<(Comparison, Vec<u64>), Error> {
    let text = text.trim();
    let known = COMPARISONS.iter().find_map(|&(sign, comparison)| {
        let version = text.strip_prefix(sign)?.trim();
        let wanted: Option<Vec<u64>> = version.split('.').map(|n| n.parse().ok()).collect();
        Some((comparison, wanted?))
    });
    known.ok_or_else(|| {
        let message = "not a condition for the version of a kernel";
        Error::new(ErrorKind::InvalidName, text, message)
            .with_help("write for instance '>=5.4' or '>=5.4,<6.1'")
    })
}

/// The numbers at the beginning of a release: 5, 4 and 0 of `5.4.0-26-generic`.
fn numbers(release: &str) -> Vec<u64> {
    let end = release.find(|c: char| c != '.' && !c.is_ascii_digit());
    let numbers = release[..end.unwrap_or(release.len())].split('.');
    numbers.map_while(|number| number.parse().ok()).collect()
}

/// Compares as many numbers as are wanted: 5.4.7 is 5.4, neither less nor greater.
fn holds(comparison: Comparison, version: &[u64], wanted: &[u64]) -> bool {
    let version = version.iter().copied().chain(std::iter::repeat(0));
    let order = version.take(wanted.len()).cmp(wanted.iter().copied());
    match comparison {
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Equal => order.is_eq(),
        Comparison::GreaterOrEqual => order.is_ge(),
        Comparison::Greater => order.is_gt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(requirement: &str, release: &str) -> bool {
        let requirement: Requirement = requirement.parse().expect("it is one");
        let kernel = KernelId::new("ubuntu", "20.04", "x86_64", release).expect("a kernel");
        requirement.matches(&kernel)
    }

    /// Check each comparison below, at and above its version.
    #[test]
    fn versions() {
        for (requirement, releases) in [
            (">=5.4", [false, true, true, true]),
            (">5.4", [false, false, false, true]),
            ("=5.4", [false, true, true, false]),
            ("<=5.4", [true, true, true, false]),
            ("<5.4", [true, false, false, false]),
            ("= 5.4.7", [false, false, true, false]),
            (">=5.4, <5.10", [false, true, true, false]),
        ] {
            let known = ["4.18.0-80.el8", "5.4.0-26-generic", "5.4.7", "5.10.0-1"];
            assert_eq!(
                known.map(|release| matches(requirement, release)),
                releases,
                "{requirement}"
            );
        }
        assert!(!matches(">=0", "custom"));
    }

    /// Check globs, and that what is neither a glob nor a version is refused.
    #[test]
    fn globs_and_errors() {
        assert!(matches("ubuntu/20.04/*", "5.4.0-26-generic"));
        assert!(!matches("ubuntu/22.04/*", "5.4.0-26-generic"));
        for bad in [">=", ">=x", ">=5.4,", "=>5", "[", "<5,6"] {
            assert!(bad.parse::<Requirement>().is_err(), "{bad}");
        }
    }
}
