//! A kernel's types as a C header, vmlinux.h.

use btfgen_btf::TypeId;
use btfgen_hub::{Error, ErrorKind, Result};
use btfgen_libbpf::{Dumper, LoadedBtf};

use crate::selection::TypeSelection;
use crate::shape::{Shapes, TypeKind};

/// The beginning and the end of a header, as bpftool writes them.
pub(crate) const START: &str = "\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

";
pub(crate) const END: &str = "\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
";

/// The header of all types of a kernel, or of the selected ones with the types that they need, as
/// `bpftool btf dump file KERNEL format c` writes it. `subject` is the kernel's name, for errors.
///
/// # Errors
/// [`ErrorKind::UnknownType`] if the kernel does not have a type that the selection names, [`ErrorKind::InvalidKernel`] if
/// C cannot express a type, [`ErrorKind::Machine`].
pub fn header(
    subject: &str,
    btf: &LoadedBtf<'_>,
    selection: Option<&TypeSelection>,
) -> Result<String> {
    let ids: Vec<TypeId> = match selection {
        None => btf.ids().collect(),
        Some(selection) => selected(subject, btf, selection)?,
    };
    let failed = |e: btfgen_libbpf::Error| {
        let kind = match e.kind() {
            btfgen_libbpf::ErrorKind::OutOfMemory => ErrorKind::Machine,
            _ => ErrorKind::InvalidKernel,
        };
        Error::new(kind, subject, "its types cannot be written as C").with_source(e)
    };
    let mut dumper = Dumper::new(btf).map_err(failed)?;
    for id in ids {
        dumper.dump(id).map_err(failed)?;
    }
    Ok(format!("{START}{}{END}", dumper.take_text()))
}

fn selected(subject: &str, btf: &LoadedBtf<'_>, selection: &TypeSelection) -> Result<Vec<TypeId>> {
    let shapes = Shapes::new(btf, selection)?;
    selection.check(subject, &[&shapes], || Ok(&**btf))?;
    let types = btf.types().filter(|ty| {
        let kind = TypeKind::of(ty.kind()).filter(|kind| *kind != TypeKind::Function);
        let name = String::from_utf8_lossy(ty.name());
        kind.is_some_and(|kind| selection.fields(kind, &name).is_some())
    });
    Ok(types.map(|ty| ty.id()).collect())
}
