//! One C header for many kernels: each type has the fields that any of the kernels has.
//!
//! CO-RE finds fields by their names, so a program that includes the header asks each kernel for what it has, and
//! `bpf_core_field_exists` tells whether it is there. These are the rules:
//!
//! - A struct that is the same in all kernels is written by libbpf, with its layout.
//! - Any other struct has the fields of all kernels, by name. Those of a struct without a name belong to the struct around it.
//!   Such a struct has the layout of no kernel: read its fields one by one.
//! - If a field has another type in some kernels, the type of the first kernel stays. The other type is in a flavour,
//!   `struct x___5_10`, called after the version of the first kernel with it.

mod essential;
mod merge;
mod runs;
mod write;

use btfgen_hub::{Error, ErrorKind, HubKernel, Result, in_pool, load_kernel};
use btfgen_libbpf::LoadedBtf;
use rayon::prelude::*;

use crate::portable::merge::Merge;
use crate::selection::TypeSelection;
use crate::shape::Shapes;

/// A header for many kernels.
#[derive(Debug)]
pub struct PortableHeader {
    /// The header.
    pub text: String,
    /// How many kernels it is for.
    pub kernels: usize,
    /// The types of which a field has different types, or an enumerator different values, by kind and name.
    pub conflicts: Vec<String>,
    /// The kernels that were left out.
    pub left_out: Vec<Error>,
}

/// How many kernels are in memory at once, for each processor.
const AT_ONCE: usize = 2;

impl PortableHeader {
    /// Merges the types of kernels: all, or the selected ones with the types that they need. `go_on` is asked before each
    /// kernel.
    ///
    /// # Errors
    /// [`ErrorKind::NoKernels`] if there are none or none can be read, [`ErrorKind::UnknownType`] if no kernel has what the
    /// selection names, [`ErrorKind::Machine`], and those of `go_on`.
    pub fn new(
        kernels: &[HubKernel],
        selection: Option<&TypeSelection>,
        max_btf_bytes: u64,
        go_on: impl Fn() -> Result<()> + Sync,
    ) -> Result<Self> {
        let read = |kernel: &HubKernel| -> Result<LoadedBtf<'static>> {
            go_on()?;
            load_kernel(kernel.path(), kernel.read_btf(max_btf_bytes)?)
        };
        let mut merge = Merge::new(selection);
        let mut left_out = Vec::new();
        let mut newest = None;
        let mut found: Vec<Shapes> = Vec::new();
        for some in kernels.chunks(AT_ONCE * rayon::current_num_threads()) {
            let btfs: Vec<_> = in_pool(0, || some.par_iter().map(read).collect());
            for (kernel, btf) in some.iter().zip(btfs) {
                let added = btf.and_then(|btf| {
                    merge.add(kernel.id(), &btf)?;
                    selection
                        .map(|selection| Shapes::new(&btf, selection))
                        .transpose()
                });
                match added {
                    Ok(shapes) => {
                        newest = Some(kernel);
                        found.extend(shapes);
                    }
                    Err(e) if matches!(e.kind(), ErrorKind::Machine | ErrorKind::Cancelled) => {
                        return Err(e);
                    }
                    Err(e) => left_out.push(e.with_kernel(kernel.id())),
                }
            }
        }
        let Some(newest) = newest else {
            let error = Error::new(
                ErrorKind::NoKernels,
                "the hub",
                "has no kernel that can be read",
            );
            return Err(match left_out.pop() {
                Some(reason) => error.with_source(reason),
                None => error.with_help("add one with `btfgen fetch` or `btfgen add`"),
            });
        };
        if let Some(selection) = selection {
            let found: Vec<&Shapes> = found.iter().collect();
            let subject = format!("{} kernels", found.len());
            selection.check(&subject, &found, || newest.read_btf(max_btf_bytes))?;
        }
        let kernels = kernels.len() - left_out.len();
        let (text, conflicts) = merge.write()?;
        Ok(Self {
            text,
            kernels,
            conflicts,
            left_out,
        })
    }
}
