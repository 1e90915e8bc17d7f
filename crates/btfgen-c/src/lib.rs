//! `libbtfgen`: btfgen-runtime for C.
//!
//! `btf_helpers` has the functions of BCC's and bpf-compatible's `btf_helpers.h`, `btfgen` those of `btfgen.h`, which know no
//! loader. Both headers are generated from these two files (see `tests/suite/header.rs`), so their documentation is for C
//! programmers. Both make a `lookup` and keep its `result`. No function panics into C or keeps a pointer from C.

mod btf_helpers;
mod btfgen;
mod embedded;
mod lookup;
mod open_opts;
mod owned;
mod result;
mod trace;

pub use crate::btf_helpers::*;
pub use crate::btfgen::*;
