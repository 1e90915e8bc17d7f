//! Reports of work on many kernels.

use btfgen_archive::KernelId;

use crate::error::Error;

/// Receives the progress of the work, from several threads.
pub trait Progress: Sync {
    /// The work begins on this number of kernels.
    fn start(&self, _kernels: usize) {}
    /// A kernel is done or left out.
    fn kernel(&self, _kernel: &KernelId, _error: Option<&Error>) {}
}
