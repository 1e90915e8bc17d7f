//! Distinguishes a kernel's BTF from a module's, and from others in an image.

use std::io::Read;

use btfgen_btf::{Btf, ErrorKind as Fault, Kind};

use crate::error::{Error, ErrorKind, Result};
use crate::place::Place;

/// Reads a BTF of `len` bytes, or of more if the system did not report the size, and checks that it is whole and needs no other
/// BTF.
pub(crate) fn read(from: impl Read, len: u64, place: &Place) -> Result<Vec<u8>> {
    let max = place.budget.options().max_btf_bytes;
    let mut btf = place.reserve(limit(len, place)?)?;
    from.take(max.saturating_add(1))
        .read_to_end(&mut btf)
        .map_err(|e| place.unreadable(e))?;
    if btf.len() as u64 > max {
        return Err(too_large(btf.len() as u64, place));
    }
    match Btf::parse(&btf).map_err(|e| e.kind()) {
        // Whoever uses an unsupported BTF says what is not supported.
        Ok(_) | Err(Fault::Unsupported) => Ok(btf),
        Err(Fault::Split | Fault::Dangling) => Err(place
            .error(
                ErrorKind::Module,
                "is the BTF of a kernel module, not of a kernel",
            )
            .with_help(
                "use the kernel's own BTF, /sys/kernel/btf/vmlinux on a machine that runs it",
            )),
        Err(_) => Err(place.error(ErrorKind::Damaged, "the BTF is damaged or truncated")),
    }
}

/// The length of a BTF as a size.
///
/// # Errors
/// [`ErrorKind::TooLarge`] if it is above the limit, or above what a process can have in memory.
pub(crate) fn limit(len: u64, place: &Place) -> Result<usize> {
    let max = place.budget.options().max_btf_bytes;
    match usize::try_from(len) {
        Ok(bytes) if len <= max => Ok(bytes),
        _ => Err(too_large(len, place)),
    }
}

pub(crate) fn too_large(len: u64, place: &Place) -> Error {
    let max = place.budget.options().max_btf_bytes.min(usize::MAX as u64);
    let message = format!("its BTF has {len} bytes, the limit is {max}");
    place.error(ErrorKind::TooLarge, message)
}

/// Whether it defines `task_struct`: every kernel does, and a BPF program that is built into one does not.
pub(crate) fn is_kernels(btf: &[u8]) -> bool {
    match Btf::parse(btf) {
        Ok(btf) => btf
            .types()
            .any(|ty| ty.kind() == Kind::Struct && ty.name() == b"task_struct"),
        Err(e) => e.kind() == Fault::Unsupported,
    }
}
