//! BTF, the kernel's type format, as data: read, compose and write it.
//!
//! The format is the kernel's Documentation/bpf/btf.rst and include/uapi/linux/btf.h.
//!
//! * [`Btf`] reads a BTF without copying it: in either byte order, with a base (a module's BTF), and with the extensions of
//!   Linux 7.1 and later: layout sections, unknown kinds, 24 bits for the number of members.
//! * [`Composer`] takes types that refer to each other, merges equal types, and writes them in an order that depends only on
//!   their content.
//!
//! On any input, nothing panics, and memory is bounded: 4 bytes for each type.
//!
//! ```
//! use btfgen_btf::{Btf, ByteOrder, Composer, Kind, Member, Record};
//!
//! // struct pair { int a; int b; };
//! let mut types = Composer::new();
//! let (pair, int) = (types.declare(), types.declare());
//! types.define(int, Record::Int { name: b"int", size: 4, encoding: 1, offset: 0, bits: 32 });
//! let member = |name, bit_offset| Member { name, ty: Some(int), bit_offset, bitfield_size: 0 };
//! types.define(pair, Record::Composite {
//!     kind: Kind::Struct,
//!     name: b"pair",
//!     size: 8,
//!     members: vec![member(&b"a"[..], 0), member(b"b", 32)],
//! });
//! let bytes = types.write(ByteOrder::Little, &[pair], &Default::default())?;
//!
//! let btf = Btf::parse(&bytes)?;
//! let pair = btf.types().find(|ty| ty.name() == b"pair").unwrap();
//! assert_eq!(pair.size(), Some(8));
//! let names: Vec<&[u8]> = pair.members().map(|member| member.name).collect();
//! assert_eq!(names, [b"a", b"b"]);
//! # Ok::<(), btfgen_btf::Error>(())
//! ```

#![forbid(unsafe_code)]

mod base;
mod btf;
mod c;
mod classic;
mod compose;
mod error;
mod header;
mod info;
mod kind;
mod modules;
mod record;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod types;
mod words;
mod write;

pub use crate::btf::{Btf, TypeId};
pub use crate::classic::assemble;
pub use crate::compose::{Composer, Node};
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::header::{Header, HeaderFault};
pub use crate::info::Info;
pub use crate::kind::Kind;
pub use crate::record::{Record, Reserved};
pub use crate::types::{Array, Enumerator, Int, Member, Type};
pub use crate::words::{ByteOrder, Words};
