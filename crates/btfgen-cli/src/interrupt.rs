//! Ctrl-C, SIGTERM and SIGHUP: the first signal asks the work to stop, the second one ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen_files::read_regular;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::console::Console;
use crate::exit::Exit;
use crate::progress::Screen;

/// A flag that Ctrl-C, SIGTERM and SIGHUP set. A signal that the process ignores stays ignored: SIGHUP with `nohup`, or SIGINT
/// in the background of a script.
///
/// Long work checks the flag. When the flag is set, the work ends its child processes and removes incomplete files.
pub(crate) fn flag(console: Console, screen: Option<Screen>) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let ignored = ignored_signals();
    let signals = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let signals: Vec<i32> = signals.collect();
    for &signal in &signals {
        // In this order, so that the first signal does not end the process. If registration fails, the signal keeps its
        // default action and ends the process.
        let exit = Exit::Interrupted as i32;
        let _ = flag::register_conditional_shutdown(signal, exit, Arc::clone(&stop));
        let _ = flag::register(signal, Arc::clone(&stop));
    }
    // The flag works without a thread. If no thread can be started, only this note is missing.
    if let Ok(mut signals) = Signals::new(signals) {
        let note = move || {
            if signals.forever().next().is_some() {
                let say = || console.note("stopping; a second Ctrl-C stops at once");
                match &screen {
                    Some(screen) => screen.suspend(say),
                    None => say(),
                }
            }
        };
        let _ = std::thread::Builder::new().spawn(note);
    }
    stop
}

/// Fails when the flag is set.
pub(crate) fn check(stop: &AtomicBool) -> btfgen::Result<()> {
    if stop.load(Ordering::Relaxed) {
        return Err(btfgen::Error::cancelled("btfgen"));
    }
    Ok(())
}

/// Makes a write beyond the file size limit (`ulimit -f`) return an error instead of ending the process.
pub(crate) fn survive_file_size_limit() {
    // Any handler works. Child processes do not inherit it.
    let _ = flag::register(SIGXFSZ, Arc::default());
}

/// The signals that this process ignores, one bit each, starting with signal 1: `SigIgn` of proc_pid_status(5).
fn ignored_signals() -> u64 {
    let status = read_regular("/proc/self/status".as_ref(), 1 << 20).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
