//! What the program needs from its host, besides BTF.

use std::fs;
use std::io;

use anyhow::{Error, anyhow};
use libbpf_rs::ErrorKind;

// From linux/capability.h.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Where the kernel lists its tracepoints; libbpf looks them up there.
const TRACEPOINTS: [&str; 2] = [
    "/sys/kernel/debug/tracing/events",
    "/sys/kernel/tracing/events",
];

/// Adds to an error why the kernel may have refused the program, and what to do.
pub fn explain_load_error(error: libbpf_rs::Error) -> Error {
    let missing = missing_capabilities();
    if error.kind() != ErrorKind::PermissionDenied || missing.is_empty() {
        return error.into();
    }
    anyhow!(
        "{error:#}\nIt must run as root, or with CAP_BPF and CAP_PERFMON (before Linux 5.8: CAP_SYS_ADMIN). Missing: {}",
        missing.join(" ")
    )
}

/// The same for a program that could not be attached to its tracepoint.
pub fn explain_attach_error(error: libbpf_rs::Error) -> Error {
    match find_tracepoints() {
        Ok(()) if error.kind() == ErrorKind::PermissionDenied && !has(CAP_SYS_ADMIN) => anyhow!(
            "{error:#}\nIt may not use perf events: run it as root, or with the sysctl kernel.perf_event_paranoid at 2 or below."
        ),
        Ok(()) => explain_load_error(error),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => anyhow!(
            "{error:#}\nIt must be allowed to read /sys/kernel/tracing: run it as root, or with CAP_DAC_READ_SEARCH."
        ),
        Err(_) => anyhow!(
            "{error:#}\nThere are no tracepoints in /sys/kernel/tracing. To mount it, as root:\n    \
             mount -t tracefs tracefs /sys/kernel/tracing"
        ),
    }
}

fn find_tracepoints() -> io::Result<()> {
    let [debugfs, tracefs] = TRACEPOINTS;
    fs::read_dir(debugfs)
        .or_else(|_| fs::read_dir(tracefs))
        .map(drop)
}

/// The capabilities that this process lacks to load the program; empty if unknown.
fn missing_capabilities() -> Vec<&'static str> {
    if has(CAP_SYS_ADMIN) {
        return Vec::new();
    }
    let needed = [("CAP_BPF", CAP_BPF), ("CAP_PERFMON", CAP_PERFMON)];
    let missing = needed.iter().filter(|&&(_, capability)| !has(capability));
    missing.map(|&(name, _)| name).collect()
}

/// Whether this process has a capability; true if unknown.
fn has(capability: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask >> capability & 1 != 0)
}
