//! Facts about kernels: offsets, sizes, values of enums and functions, for programs that ask for them without CO-RE.
//!
//! A [`Fact`] is a question with fallbacks, and an [`Answered`] is what a kernel's BTF answers:
//!
//! ```
//! use btfgen_btf::Btf;
//! use btfgen_facts::{Answer, Fact};
//!
//! # // struct task_struct { int state; };
//! # let (int, task) = ([1, 1 << 24, 4, 32 | 1 << 24], [5, 4 << 24 | 1, 4, 17, 1, 0]);
//! # let vmlinux = btfgen_btf::testing::made_up_btf(&[&int, &task], b"\0int\0task_struct\0state\0");
//! // let vmlinux = std::fs::read("/sys/kernel/btf/vmlinux")?;
//! let btf = Btf::parse(vmlinux)?;
//! let fact: Fact = "task_struct.__state | task_struct.state".parse()?;
//! let answered = fact.ask(&btf);
//! assert_eq!(answered.answer, Answer::Member { bit_offset: 0, bytes: 4, bits: None });
//! assert_eq!(answered.question, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `btfgen offsets` asks all kernels of a hub, `btfgen pack --fact` puts their answers into the archive, and `btfgen-runtime` asks the
//! running kernel. All of them use this crate, so a kernel's own BTF and an archive give the same answers.

#![forbid(unsafe_code)]

mod answer;
mod fact;
mod resolve;
mod word;

pub use crate::answer::{Answer, Answered, Missing, Number};
pub use crate::fact::{Fact, FactType, InvalidFact, Question};
