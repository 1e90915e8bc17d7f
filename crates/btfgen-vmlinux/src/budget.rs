//! What may still be done for the file that was named, all its layers together: a small file can hold many that unpack
//! to much, each of which holds many. And whether anything is still to be done: the caller may have cancelled it.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// All the bytes that are looked at as BTF: chance magics and hostile images end here.
const MAX_SURVEYED_BYTES: u64 = 1 << 30;

#[derive(Debug, Clone)]
pub(crate) struct Budget(Rc<Left>);

#[derive(Debug)]
struct Left {
    limit: u64,
    unpacked: Cell<u64>,
    surveyed: Cell<u64>,
    cancel: Option<Arc<AtomicBool>>,
}

impl Budget {
    /// `cancel` is set by the caller when nobody waits for the result any more.
    pub(crate) fn new(max_unpacked_bytes: u64, cancel: Option<Arc<AtomicBool>>) -> Self {
        Self(Rc::new(Left {
            limit: max_unpacked_bytes,
            unpacked: Cell::new(max_unpacked_bytes),
            surveyed: Cell::new(MAX_SURVEYED_BYTES),
            cancel,
        }))
    }

    /// A decoder that fails, with [`io::ErrorKind::FileTooLarge`], when it goes beyond what is left.
    pub(crate) fn meter<R: Read>(&self, decoder: R) -> Metered<R> {
        Metered {
            decoder,
            budget: self.clone(),
        }
    }

    /// Whether there is nothing left to unpack to.
    pub(crate) fn is_spent(&self) -> bool {
        self.0.unpacked.get() == 0
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        let cancel = self.0.cancel.as_ref();
        cancel.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// An error if the caller has cancelled the reading. [`Place::unreadable`](crate::place::Place::unreadable) tells it
    /// from others by the flag, for decoders and archives put what they get into errors of their own.
    pub(crate) fn go_on(&self) -> io::Result<()> {
        if self.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        Ok(())
    }

    /// Takes bytes for a look at them as BTF. False if there are not so many left.
    pub(crate) fn survey(&self, bytes: u64) -> bool {
        take(&self.0.surveyed, bytes)
    }
}

fn take(left: &Cell<u64>, bytes: u64) -> bool {
    let rest = left.get().checked_sub(bytes);
    rest.inspect(|&rest| left.set(rest)).is_some()
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
        left.set(0);
        let message = format!("the limit is {} bytes", self.budget.0.limit);
        Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
    }
}
