//! The caller's options, and the remaining budget for a named file with all its layers, because a small file can unpack to much
//! data several times.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The limit for bytes that are checked as BTF. It bounds images with many magics, by chance or on purpose.
const MAX_SURVEYED_BYTES: u64 = 1 << 30;

/// The default limit for a BTF: 256 MiB, thirty times the size of a distribution's.
pub const DEFAULT_MAX_BTF_BYTES: u64 = 256 << 20;

/// The default limit for unpacking one file: 16 GiB. The largest packages, with the debug symbols of all modules, need half of
/// it.
pub const DEFAULT_MAX_UNPACKED_BYTES: u64 = 16 << 30;

/// What the caller sets: see [`Reader`](crate::Reader).
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) max_btf_bytes: u64,
    pub(crate) max_unpacked_bytes: u64,
    pub(crate) pahole: PathBuf,
    /// The modules whose BTF is made from debug information.
    pub(crate) dwarf_modules: Vec<String>,
    pub(crate) temp_dir: PathBuf,
    pub(crate) cancel: Option<Arc<AtomicBool>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_btf_bytes: DEFAULT_MAX_BTF_BYTES,
            max_unpacked_bytes: DEFAULT_MAX_UNPACKED_BYTES,
            pahole: "pahole".into(),
            dwarf_modules: Vec::new(),
            temp_dir: std::env::temp_dir(),
            cancel: None,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Left>);

#[derive(Debug)]
struct Left {
    options: Options,
    unpacked: AtomicU64,
    surveyed: AtomicU64,
    /// For the BTFs of modules together.
    modules: AtomicU64,
}

impl Budget {
    pub(crate) fn new(options: Options) -> Self {
        Self(Arc::new(Left {
            unpacked: AtomicU64::new(options.max_unpacked_bytes),
            surveyed: AtomicU64::new(MAX_SURVEYED_BYTES),
            modules: AtomicU64::new(options.max_btf_bytes),
            options,
        }))
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// A decoder that fails with [`io::ErrorKind::FileTooLarge`] if it exceeds the budget.
    pub(crate) fn meter<R: Read>(&self, decoder: R) -> Metered<R> {
        Metered {
            decoder,
            budget: self.clone(),
        }
    }

    /// Whether the budget for unpacking is used up.
    pub(crate) fn is_spent(&self) -> bool {
        self.0.unpacked.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        let cancel = self.0.options.cancel.as_ref();
        cancel.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Fails if the caller has cancelled the reading. [`Place::unreadable`](crate::place::Place::unreadable) recognizes this
    /// error by the flag, because decoders and archives wrap errors.
    pub(crate) fn go_on(&self) -> io::Result<()> {
        if self.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        Ok(())
    }

    /// Takes bytes from the budget for checking BTF. Returns false if not enough bytes are left.
    pub(crate) fn survey(&self, bytes: u64) -> bool {
        take(&self.0.surveyed, bytes)
    }

    /// Takes bytes from the budget for the BTFs of modules, which together may be as large as one kernel's. Returns false if
    /// not enough bytes are left.
    pub(crate) fn take_module(&self, bytes: u64) -> bool {
        take(&self.0.modules, bytes)
    }
}

fn take(left: &AtomicU64, bytes: u64) -> bool {
    let rest = |left: u64| left.checked_sub(bytes);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest)
        .is_ok()
}

#[derive(Debug)]
pub(crate) struct Metered<R> {
    decoder: R,
    budget: Budget,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.budget.go_on()?;
        let got = self.decoder.read(buffer)?;
        let left = &self.budget.0.unpacked;
        if take(left, got as u64) {
            return Ok(got);
        }
        left.store(0, Ordering::Relaxed);
        let message = format!(
            "the limit is {} bytes",
            self.budget.0.options.max_unpacked_bytes
        );
        Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
    }
}
