//! Safe API over libbpf's BTF and CO-RE relocation code.
//!
//! btfgen does not reimplement relocation. It calls the functions that libbpf runs when it loads a program
//! (`bpf_core_calc_relo_insn` and `bpf_core_essential_name_len` of `relo_core.h`). These functions are internal to libbpf.
//! btfgen can call them because `libbpf-sys` links libbpf as a static archive, and because the version is pinned exactly.
//! This is the only build-side crate with `unsafe` code, and its API is safe for any input:
//!
//! * [`LoadedBtf`] is a BTF together with libbpf's copy of it.
//! * [`Checked`] is the proof that libbpf may walk a type: it has no endless chains, no bitfield whose size libbpf would
//!   divide by, and no sizes and offsets that libbpf cannot count. libbpf itself does not check this.
//! * [`Relocation`] is one local CO-RE relocation, validated against its object's BTF. [`Resolver`] runs it against
//!   candidate types of a kernel.
//!
//! libbpf's own messages are switched off for the whole process when the first BTF is loaded, because libraries do not
//! print. A caller who wants the messages may install its own callback with `libbpf_set_print` afterwards.

mod check;
mod error;
mod loaded;
mod relo;
mod sys;

pub use btfgen_object::MAX_ACCESSORS;

pub use crate::check::{Checked, Checker};
pub use crate::error::{Error, ErrorKind};
pub use crate::loaded::LoadedBtf;
pub use crate::relo::{Failure, Match, ReloKind, Relocation, Resolution, Resolver};

/// The length of a name without its flavour: `task_struct___old` counts as `task_struct`.
///
/// The rule is libbpf's (`bpf_core_essential_name_len`): the name ends before the last three underscores in a row that have
/// something else on both sides.
pub fn essential_name(name: &[u8]) -> &[u8] {
    // Almost no name has a flavour, and libbpf needs a copy that ends with NUL. So look for a flavour before calling libbpf.
    if !name.windows(3).any(|w| w == b"___") {
        return name;
    }
    let Ok(owned) = std::ffi::CString::new(name) else {
        return name;
    };
    // SAFETY: `owned` is a NUL-terminated string that outlives the call, which only reads it.
    let len = unsafe { sys::bpf_core_essential_name_len(owned.as_ptr()) };
    &name[..len.min(name.len())]
}

#[cfg(test)]
mod tests {
    use super::essential_name;

    /// Check that a flavour is cut off as in libbpf: from the last three underscores that have something else on both sides.
    #[test]
    fn flavours() {
        for (name, essential) in [
            ("task_struct", "task_struct"),
            ("task_struct___old", "task_struct"),
            ("a___b___c", "a___b"),
            ("__x", "__x"),
            ("___", "___"),
        ] {
            assert_eq!(
                essential_name(name.as_bytes()),
                essential.as_bytes(),
                "{name}"
            );
        }
    }
}
