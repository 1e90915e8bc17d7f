//! Ctrl-C, SIGTERM and SIGHUP: the first one asks to stop, the second one does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen_files::read_regular;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::console::Console;
use crate::exit::Exit;
use crate::progress::Screen;

/// A flag that Ctrl-C sets, and SIGTERM and SIGHUP. A signal that is ignored, as SIGHUP with `nohup` or SIGINT in the background
/// of a script, stays ignored.
///
/// Whoever works for longer looks at the flag, ends its children, and removes what is not whole.
pub(crate) fn flag(console: Console, screen: Option<Screen>) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let ignored = ignored_signals();
    let signals = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let signals: Vec<i32> = signals.collect();
    for &signal in &signals {
        // In this order, so that the first signal does not end the process. Where it cannot be handled it does: no worse
        // than before the work started.
        let exit = Exit::Interrupted as i32;
        let _ = flag::register_conditional_shutdown(signal, exit, Arc::clone(&stop));
        let _ = flag::register(signal, Arc::clone(&stop));
    }
    // The flag works without a thread, which may not be had; so does all but this note.
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

/// Has a write beyond the limit of a file's size (`ulimit -f`) fail as any other, rather than end the process.
pub(crate) fn survive_file_size_limit() {
    // Any handler will do. Children do not have it.
    let _ = flag::register(SIGXFSZ, Arc::default());
}

/// The signals that this process ignores, a bit for each, from 1: `SigIgn` of proc_pid_status(5).
fn ignored_signals() -> u64 {
    let status = read_regular("/proc/self/status".as_ref(), 1 << 20).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
