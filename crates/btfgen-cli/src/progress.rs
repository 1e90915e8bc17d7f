//! Progress bars. They appear only on a terminal, and not with `--quiet`.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use btfgen::{Error, KernelId, Progress};
use btfgen_fetch::{FetchProgress, Transfer, Waiting};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::amount::bytes;
use crate::console::Console;
use crate::explain::printable;

const KERNELS: &str = "{bar:24} {pos}/{len} kernels  {rate}  {eta} left  {wide_msg}";
const FILES: &str = "{bar:24} {pos}/{len} files  {eta} left  {wide_msg}";
const CONNECTING: &str = "connecting to {wide_msg}";

/// The line on the terminal that shows progress.
#[derive(Debug, Clone)]
pub(crate) struct Screen(ProgressBar);

impl Screen {
    fn new(console: Console) -> Self {
        // `stderr()` is hidden, too, if stderr is not a terminal.
        let target = if console.quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        Self(ProgressBar::with_draw_target(Some(0), target))
    }

    /// Takes the line off the terminal while `print` runs.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    fn style(&self, template: &str) {
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "{:.0}/s", state.per_sec());
            })
            .progress_chars("=> ");
        self.0.set_style(style);
    }
}

/// Shows how many kernels are done.
#[derive(Debug)]
pub(crate) struct Bar(Screen);

impl Bar {
    /// Creates a bar that appears when the work starts.
    pub(crate) fn new(console: Console) -> Self {
        let screen = Screen::new(console);
        screen.style(KERNELS);
        Self(screen)
    }

    /// The screen, for other messages.
    pub(crate) fn screen(&self) -> Screen {
        self.0.clone()
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&self) {
        self.0.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn start(&self, kernels: usize) {
        self.0.0.set_length(kernels as u64);
        self.0.0.reset();
    }

    fn kernel(&self, kernel: &KernelId, _error: Option<&Error>) {
        self.0.0.set_message(kernel.to_string());
        self.0.0.inc(1);
    }
}

/// Shows the progress of a fetch.
#[derive(Debug)]
pub(crate) struct TransferBar {
    screen: Screen,
    console: Console,
    waiting: WaitNote,
    /// The number of files that the bar shows.
    of: Mutex<Option<usize>>,
}

/// Prints once what a command waits for.
#[derive(Debug, Default)]
pub(crate) struct WaitNote(Mutex<Option<Waiting>>);

impl WaitNote {
    /// Prints the note, unless the last note was the same.
    pub(crate) fn say(&self, console: Console, for_whom: Waiting) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.replace(for_whom) != Some(for_whom) {
            let whom = match for_whom {
                Waiting::Readers => "for other commands that read this hub",
                _ => "for another command that changes this hub",
            };
            console.note(format_args!("waiting {whom}"));
        }
    }
}

impl TransferBar {
    /// Creates a line that appears with the first progress.
    pub(crate) fn new(console: Console) -> Self {
        Self {
            screen: Screen::new(console),
            console,
            waiting: WaitNote::default(),
            of: Mutex::default(),
        }
    }

    /// The screen, for other messages.
    pub(crate) fn screen(&self) -> Screen {
        self.screen.clone()
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&self) {
        self.screen.0.finish_and_clear();
    }
}

impl FetchProgress for TransferBar {
    fn waiting(&self, for_whom: Waiting) {
        self.screen
            .suspend(|| self.waiting.say(self.console, for_whom));
    }

    fn connecting(&self, repository: &str) {
        // Drawn once: git may ask for a password below it.
        self.screen.style(CONNECTING);
        self.screen.0.set_message(printable(repository));
        self.screen.0.tick();
    }

    fn whole(&self, repository: &str, why: &str) {
        self.screen.suspend(|| {
            self.console.note(format_args!(
                "{}: {}; fetching the whole last commit (shallow clone)",
                printable(repository),
                printable(why)
            ));
        });
    }

    fn transferred(&self, transfer: Transfer) {
        let mut shown = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = transfer.of
            && shown.replace(of) != Some(of)
        {
            self.screen.0.reset();
            self.screen.0.set_length(of as u64);
            self.screen.style(FILES);
        }
        self.screen.0.set_position(transfer.files as u64);
        let elapsed = self.screen.0.elapsed().as_secs_f64();
        let rate = (transfer.bytes as f64 / elapsed.max(0.001)) as u64;
        self.screen
            .0
            .set_message(format!("{}, {}/s", bytes(transfer.bytes), bytes(rate)));
    }
}
