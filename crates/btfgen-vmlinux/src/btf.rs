//! A kernel's BTF, told from a module's and from others that an image may hold.

use btfgen_btf::{Btf, ErrorKind, Kind};

/// What is not a kernel's BTF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It contradicts itself, or is cut off.
    Damaged,
    /// It goes on where another one ends, a kernel's: a module's.
    Split,
}

/// Requires a whole BTF that needs no other one.
pub(crate) fn check(btf: &[u8]) -> Result<(), Fault> {
    match Btf::parse(btf).map_err(|e| e.kind()) {
        // Whoever reads an unsupported one says what is not supported.
        Ok(_) | Err(ErrorKind::Unsupported) => Ok(()),
        Err(ErrorKind::Split | ErrorKind::Dangling) => Err(Fault::Split),
        Err(_) => Err(Fault::Damaged),
    }
}

/// Whether it defines `task_struct`: every kernel does, and a BPF program that is built into one does not.
pub(crate) fn is_kernels(btf: &[u8]) -> bool {
    match Btf::parse(btf) {
        Ok(btf) => btf
            .types()
            .any(|ty| ty.kind() == Kind::Struct && ty.name() == b"task_struct"),
        Err(e) => e.kind() == ErrorKind::Unsupported,
    }
}
