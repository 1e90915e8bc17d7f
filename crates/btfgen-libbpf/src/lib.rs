//! Safe API over libbpf's BTF and CO-RE relocation code.
//!
//! btfgen does not reimplement relocation. It calls the function that libbpf runs when it loads a program
//! (`bpf_core_calc_relo_insn` of `relo_core.h`). This function is internal to libbpf. btfgen can call it because `libbpf-sys`
//! links libbpf as a static archive, and because the version is pinned exactly. This is the only build-side crate with
//! `unsafe` code, and its API is safe for any input:
//!
//! * [`LoadedBtf`] is a BTF together with libbpf's copy of it.
//! * [`Checked`] is the proof that libbpf may walk a type: it has no endless chains, no bitfield whose size libbpf would
//!   divide by, and no sizes and offsets that libbpf cannot count. libbpf itself does not check this.
//! * [`Dumper`] writes types as C.
//! * [`Relocation`] is one local CO-RE relocation, validated against its object's BTF. [`Resolver`] runs it against
//!   candidate types of a kernel.
//!
//! libbpf's own messages are switched off for the whole process when the first BTF is loaded, because libraries do not
//! print. A caller who wants the messages may install its own callback with `libbpf_set_print` afterwards.

mod check;
mod dump;
mod errno;
mod error;
mod loaded;
mod relo;
mod sys;

pub use btfgen_object::{MAX_ACCESSORS, ReloKind, essential_name};

pub use crate::check::{Checked, Checker};
pub use crate::dump::Dumper;
pub use crate::errno::error_text;
pub use crate::error::{Error, ErrorKind};
pub use crate::loaded::LoadedBtf;
pub use crate::relo::{Failure, Match, Relocation, Resolution, Resolver};

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

    use super::essential_name;

    /// What libbpf leaves of a name.
    fn of_libbpf(name: &str) -> &str {
        let owned = CString::new(name).expect("it has no NUL");
        // SAFETY: `owned` is a NUL-terminated string that outlives the call, which only reads it.
        &name[..unsafe { super::sys::bpf_core_essential_name_len(owned.as_ptr()) }]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Check that a flavour is cut off as in libbpf: from the last three underscores that have something else on both
        /// sides.
        #[test]
        fn flavours(name in "[a_]{0,14}|task_struct___old|a___b___c") {
            prop_assert_eq!(essential_name(name.as_bytes()), of_libbpf(&name).as_bytes());
        }
    }
}
