//! Prints each started program, its parent and its arguments.

mod event;
mod host;
#[allow(clippy::all, reason = "it is generated")]
mod skel {
    include!(concat!(env!("OUT_DIR"), "/execsnoop.skel.rs"));
}

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use btfgen_runtime::{Loader, Lookup};
use clap::{ArgAction, Parser};
use libbpf_rs::skel::{OpenSkel as _, Skel as _, SkelBuilder as _};
use libbpf_rs::{ErrorKind, MapMut, OpenObject, PerfBufferBuilder, PrintLevel};

use crate::event::{Event, HEADER};
use crate::skel::{ExecsnoopSkel, ExecsnoopSkelBuilder};

/// The kernels' BTFs, minimized for this program.
const ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/btfs.tar.gz"));

/// libbpf 1.7 is in libbpf-sys 1.7, on which libbpf-rs depends.
const LOADER: Loader = Loader::libbpf(1, 7);

/// The size of the buffer for each processor.
const BUFFER_PAGES: usize = 16;
const POLL: Duration = Duration::from_millis(200);

/// Prints each started program, its parent and its arguments
///
/// Three dots mean that arguments were too many, too long, or not in memory.
#[derive(Debug, Parser)]
#[command(
    name = "execsnoop",
    after_help = "It must run as root, or with CAP_BPF, CAP_PERFMON, the right to read\n/sys/kernel/tracing, and the sysctl kernel.perf_event_paranoid at 2 or below.\nCalls of execveat are not seen, nor, on a 64-bit kernel, those of 32-bit\nprograms and starts of 32-bit programs."
)]
struct Options {
    /// Also print failed calls of execve; RET is the error
    #[arg(short, long)]
    failed: bool,

    /// Print on stderr which BTF is used and why, and when the program is attached; -vv: also libbpf's messages
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("execsnoop: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    ctrlc::set_handler(move || stop.store(true, Ordering::Relaxed))?;
    let level = if options.verbose < 2 {
        PrintLevel::Warn
    } else {
        PrintLevel::Debug
    };
    libbpf_rs::set_print(Some((level, |_, text| say(text.trim_end()))));

    let mut object = MaybeUninit::uninit();
    let mut skel = load(options, &mut object)?;
    skel.attach()
        .map_err(host::explain_attach_error)
        .context("cannot attach the BPF program")?;
    print_events(options, &skel.maps.events, &stopped)
}

/// Loads the BPF program.
fn load<'o>(
    options: &Options,
    object: &'o mut MaybeUninit<OpenObject>,
) -> Result<ExecsnoopSkel<'o>> {
    // The error has every step. libbpf needs the BTF only while it loads the program.
    let lookup = Lookup::new().archive_bytes(ARCHIVE).loader(LOADER);
    let btf = lookup.find()?;
    if options.verbose > 0 {
        for step in btf.steps() {
            say(step);
        }
    }

    let mut builder = ExecsnoopSkelBuilder::default();
    if let Some(path) = btf.path()? {
        builder.object_builder_mut().btf_custom_path(path)?;
    }
    let mut skel = builder
        .open(object)
        .context("cannot open the BPF program")?;
    if let Some(rodata) = &mut skel.maps.rodata_data {
        rodata.include_failed = options.failed;
    }
    skel.load()
        .map_err(host::explain_load_error)
        .context("cannot load the BPF program")
}

/// Prints events until a signal comes or stdout is closed.
fn print_events(options: &Options, events: &MapMut<'_>, stopped: &AtomicBool) -> Result<()> {
    let mut stdout = io::stdout().lock();
    // The error of stdout.
    let failure = RefCell::new(writeln!(stdout, "{HEADER}").err());
    let buffer = PerfBufferBuilder::new(events)
        .pages(BUFFER_PAGES)
        .sample_cb(|_cpu, record| {
            if failure.borrow().is_none()
                && let Some(event) = Event::parse(record)
            {
                failure.replace(writeln!(stdout, "{event}").err());
            }
        })
        .lost_cb(|cpu, count| {
            say(format_args!(
                "execsnoop: lost {count} events on processor {cpu}"
            ))
        })
        .build()?;
    if options.verbose > 0 {
        say("attached");
    }

    while !stopped.load(Ordering::Relaxed) && failure.borrow().is_none() {
        match buffer.poll(POLL) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            polled => polled.context("cannot read events")?,
        }
    }
    // Print the events from before the signal.
    buffer.consume().context("cannot read events")?;
    drop(buffer);

    match failure.into_inner() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot print")
        }
        _ => Ok(()),
    }
}

/// Prints to stderr, and ignores errors.
fn say(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use btfgen_runtime::Archive;

    use super::ARCHIVE;

    /// Check that the archive was packed for the current BPF program, and has kernels.
    #[test]
    fn archive_is_not_stale() {
        let object = include_bytes!(concat!(env!("OUT_DIR"), "/execsnoop.bpf.o"));
        let archive = Archive::from_bytes(ARCHIVE).unwrap();
        assert!(archive.matches_object(object).unwrap());
        assert!(!archive.kernels().unwrap().is_empty());
    }
}
