//! The machine of the running kernel. uname(2) gives a process with the personality `PER_LINUX32` another name: `i686` on `x86_64`.

use std::fs::File;
use std::io::Read as _;

use btfgen_archive::Architecture;

use crate::step::{Rung, Steps};

/// What uname(2) says is the kernel's machine, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    AsTold,
    /// The kernel has 64 bits, and this is its machine.
    Other(&'static str),
    /// Nothing tells whether the kernel's machine is this one, or what uname(2) says.
    Unknown(&'static str),
}

/// The machine of the running kernel, if uname(2) says `told`. Adds a step if that is another one.
pub(crate) fn machine(told: &str, steps: &mut Steps) -> Machine {
    let machine = decide(
        told,
        cfg!(target_pointer_width = "64"),
        || start_of("/proc/kallsyms"),
        || start_of("/proc/self/personality"),
    );
    if let Machine::Other(real) = machine {
        let outcome = format_args!("{real} kernels say this to programs of 32 bits");
        steps.passed(Rung::Host, format_args!("uname, {told}"), outcome);
    }
    machine
}

/// By the rules of `spec/README.md`. `has_64_bits` is about this process, and the functions give the first bytes of the files.
fn decide(
    told: &str,
    has_64_bits: bool,
    kallsyms: impl FnOnce() -> Option<String>,
    personality: impl FnOnce() -> Option<String>,
) -> Machine {
    let shows_told = |arch: &Architecture| arch.compat_machine() == Some(told);
    let Some(real) = Architecture::all()
        .find(shows_told)
        .map(Architecture::machine)
    else {
        return Machine::AsTold;
    };
    if has_64_bits {
        return Machine::Other(real);
    }
    // All users can read how many digits the addresses have, though not the addresses.
    match kallsyms().as_deref().map(digits) {
        Some(16) => return Machine::Other(real),
        Some(8) => return Machine::AsTold,
        _ => {}
    }
    match personality().as_deref().map(is_linux32) {
        Some(Some(false)) => Machine::AsTold,
        _ => Machine::Unknown(real),
    }
}

/// The number of hexadecimal digits at the start, if a space ends them.
fn digits(line: &str) -> usize {
    let address = line.split_once(' ').map_or("", |(address, _)| address);
    let is_hex = address.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex { address.len() } else { 0 }
}

/// Whether the personality is `PER_LINUX32`. The other bits are flags.
fn is_linux32(personality: &str) -> Option<bool> {
    const PER_MASK: u32 = 0xff;
    const PER_LINUX32: u32 = 8;
    let bits = u32::from_str_radix(personality.trim_end(), 16).ok()?;
    Some(bits & PER_MASK == PER_LINUX32)
}

/// The first bytes of a file, as far as the first read gives them.
fn start_of(path: &str) -> Option<String> {
    let mut bytes = [0; 32];
    let length = File::open(path).ok()?.read(&mut bytes).ok()?;
    String::from_utf8(bytes[..length].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check the decisions of `spec/vectors.json`.
    #[test]
    fn vectors() {
        let vectors = include_bytes!("../spec/vectors.json");
        let vectors: serde_json::Value = serde_json::from_slice(vectors).unwrap();
        let machines = vectors["machines"].as_array().unwrap();
        for vector in machines {
            let text = |n: usize| vector[n].as_str().map(str::to_owned);
            let told = text(0).unwrap();
            let found = decide(&told, vector[1] == 64, || text(2), || text(3));
            let found = match found {
                Machine::AsTold => Some(&*told),
                Machine::Other(real) => Some(real),
                Machine::Unknown(_) => None,
            };
            assert_eq!(found, vector[4].as_str(), "{vector}");
        }
        assert!(machines.len() > 10);
    }

    /// Check that the files are not read if uname's answer needs no doubt, or this process has 64 bits.
    #[test]
    fn no_needless_reads() {
        let read = || panic!("it reads a file");
        assert_eq!(decide("x86_64", false, read, read), Machine::AsTold);
        assert_eq!(decide("armv7l", false, read, read), Machine::AsTold);
        assert_eq!(decide("s390", true, read, read), Machine::Other("s390x"));
    }

    /// Check that a program with 32 bits in its personality finds this kernel's machine.
    #[test]
    #[cfg(target_os = "linux")]
    fn this_kernel() {
        let uname = |personality: &[&str]| {
            let mut command = std::process::Command::new("setarch");
            let output = command.args(personality).args(["uname", "-m"]).output();
            let output = output.ok().filter(|output| output.status.success())?;
            Some(
                String::from_utf8(output.stdout)
                    .unwrap()
                    .trim_end()
                    .to_owned(),
            )
        };
        let (Some(real), Some(told)) = (uname(&["linux64"]), uname(&["linux32"])) else {
            println!("skipped: setarch does not work here");
            return;
        };
        let mut steps = Steps::default();
        if real == told {
            assert_eq!(machine(&told, &mut steps), Machine::AsTold);
        } else {
            let found = machine(&told, &mut steps);
            assert!(
                matches!(found, Machine::Other(name) if name == real),
                "{found:?}"
            );
            assert_eq!(steps.into_vec().len(), 1);
        }
    }
}
