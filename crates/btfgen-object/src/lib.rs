#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod btf_ext;
mod code;
mod elf;
mod error;
mod feature;
mod path;
mod programs;
mod relo_kind;
mod relocation;
mod signature;
mod walk;

use btfgen_btf::Btf;

pub use crate::btf_ext::{BtfExt, FunctionRecord, LineRecord, RelocationRecord, Section};
pub use crate::code::{CALL, Code, Function, Instruction, LOAD_IMM64, PSEUDO_CALL, class};
pub use crate::elf::Sections;
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::feature::{Feature, FeatureKind};
pub use crate::path::accessor_path;
pub use crate::programs::{
    HelperCall, Kconfig, KconfigSource, KconfigType, Ksym, KsymKind, Map, NeedsKernelBtf, Place,
    Program, ProgramFunction, Programs, Target,
};
pub use crate::relo_kind::ReloKind;
pub use crate::relocation::{MAX_ACCESSORS, Relocation};
pub use crate::signature::{Signature, digest_of, essential_name, signature};
pub use crate::walk::Walk;

/// A number for all that an object asks for, from the bytes of its ELF file. If the object is rebuilt, or built with another
/// `vmlinux.h`, the number stays the same as long as the object asks the same. (If the object asks for one of its own type
/// ids, that id is part of the question.) The number is 0 if the object asks for nothing: it has no `.BTF.ext`, or no
/// relocations.
///
/// # Errors
/// Any [`ErrorKind`]: the bytes are not a BPF object with BTF, or are damaged.
pub fn digest(object: &[u8]) -> Result<u32> {
    let sections = Sections::of(object)?;
    let btf = Btf::parse(sections.btf).map_err(Error::btf)?;
    let ext = BtfExt::parse(sections.btf_ext, btf.byte_order())?;
    let mut records: Vec<RelocationRecord> = ext
        .relocations()?
        .into_iter()
        .flat_map(|section| section.records)
        .collect();
    records.sort_unstable_by_key(RelocationRecord::question);
    records.dedup_by_key(|record| record.question());
    let mut walk = Walk::new(&btf);
    let signatures = records
        .iter()
        .map(|record| {
            let relocation = Relocation::read(&mut walk, record).map_err(|e| {
                let instruction = record.insn_off / 8;
                Error::damaged(format!(
                    "bad CO-RE relocation at instruction {instruction}: {e}"
                ))
            })?;
            signature(&mut walk, &relocation)
        })
        .collect::<Result<Vec<Signature>>>()?;
    Ok(digest_of(&signatures))
}

#[cfg(test)]
mod testing;
