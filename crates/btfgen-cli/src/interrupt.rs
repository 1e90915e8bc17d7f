//! Ctrl-C: the first one asks to stop, the second one does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::console::Console;
use crate::exit::Exit;
use crate::progress::Screen;

/// A flag that Ctrl-C sets, and SIGTERM and SIGHUP.
///
/// Where one of these is ignored, as with `nohup` and in the background of a script, all of them stay as they are.
pub(crate) fn flag(console: Console, screen: Screen) -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    let handler = move || {
        if set.swap(true, Ordering::Relaxed) {
            std::process::exit(Exit::Interrupted as i32);
        }
        screen.suspend(|| console.note("stopping; a second Ctrl-C stops at once"));
    };
    // Without a handler the signals end the process, which is no worse than before the work started.
    let _ = ctrlc::try_set_handler(handler);
    flag
}
