//! The progress bar.

use std::fmt::Write;

use btfgen::{Error, KernelId, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::console::Console;

const TEMPLATE: &str = "{bar:24} {pos}/{len} kernels  {rate}  {eta} left  {wide_msg}";

/// Shows how many kernels are done. Only on a terminal, and not with `--quiet`.
#[derive(Debug, Clone)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar that appears when the work starts.
    pub(crate) fn new(console: &Console) -> Self {
        // Which is a hidden one where stderr is no terminal.
        let target = if console.quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let style = ProgressStyle::with_template(TEMPLATE)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "{:.0}/s", state.per_sec());
            })
            .progress_chars("=> ");
        Self(ProgressBar::with_draw_target(Some(0), target).with_style(style))
    }

    /// Lets something be printed where the bar is.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn start(&self, kernels: usize) {
        self.0.set_length(kernels as u64);
        self.0.reset();
    }

    fn kernel(&self, kernel: &KernelId, _error: Option<&Error>) {
        self.0.set_message(kernel.to_string());
        self.0.inc(1);
    }
}
