//! Reduces kernels' BTFs to the parts that CO-RE objects need, proves the result, and packs it.
//!
//! This is the engine of the `btfgen` command, also for a `build.rs` or another tool: [`Pack`] does the whole work. These
//! are the steps, each of which can be used alone:
//!
//! 1. [`Object`]: a BPF object, with its types and relocation records.
//! 2. [`Needs`]: the distinct relocations of some objects.
//! 3. [`Hub`]: the kernels, one file each.
//! 4. [`Minimizer`]: one kernel's [`Outcome`] of every relocation, by libbpf's own code; the minimal BTF in its canonical
//!    form; the proof that it gives the same outcomes.
//! 5. [`Pack`]: all kernels, in parallel, in one archive; [`Matrix`] has their answers, and [`Support`] tells on which kernels
//!    the objects load.
//!
//! With the feature `serde`, the results implement `Serialize`.

#![forbid(unsafe_code)]

mod access;
mod answers;
mod build_ids;
mod byte_orders;
mod candidates;
mod check;
mod claims;
mod consumer;
mod diff;
mod explain;
mod facts;
mod graph;
mod groups;
mod harvest;
mod header;
mod history;
mod linkable;
mod lists;
mod loadable;
mod lookup;
mod matrix;
mod minimal;
mod minimize;
mod modules;
mod needs;
mod object;
mod outcome;
mod output;
mod pack;
mod packed;
mod portable;
mod questions;
mod ranges;
mod selection;
#[cfg(feature = "serde")]
mod serialize;
mod shape;
mod shape_reader;
mod visible;
mod work;

pub use btfgen_archive as archive;
pub use btfgen_archive::KernelId;
pub use btfgen_btf::{
    Array, Btf, ByteOrder, Enumerator, Error as BtfError, ErrorKind as BtfErrorKind, Int, Kind,
    Member, Type, TypeId,
};
pub use btfgen_facts::{Answer, Answered, Fact, FactType, InvalidFact, Missing, Number, Question};
pub use btfgen_hub::{
    Codenames, DEFAULT_MAX_BTF_BYTES, Error, ErrorKind, HUB_VARIABLES, Hub, HubKernel,
    KernelFilter, Progress, Result, TypeStore, arch_fits, default_hub, hub_arch, hub_id, in_pool,
    join_modules, load_kernel, modules_beside, parse_kernel, read_kernel_file,
    refuse_parent_of_hub,
};
pub use btfgen_libbpf::{
    Checked, Checker, Error as LibbpfError, LoadedBtf, ReloKind, Relocation, Resolver,
    essential_name,
};

pub use btfgen_object::{Feature, FeatureKind, KconfigSource, NeedsKernelBtf, Programs, Target};

pub use crate::check::{
    AttachedFunction, Baseline, Effect, FailedPlace, FeatureUse, FeatureUser, Finding,
    FunctionState, KernelGroup, Layout, LayoutField, Layouts, ObjectSupport, ProgramSupport,
    Reason, Regression, Requirement, Support, Verdict,
};
pub use crate::claims::Claims;
pub use crate::diff::{PartChange, PartDiff, TypeDiff, diff};
pub use crate::facts::{FactRow, Facts, Survey};
pub use crate::header::header;
pub use crate::history::{History, Series, Since, Step};
pub use crate::linkable::{TargetArch, linkable_object};
pub use crate::matrix::{Matrix, OutcomeSet, RefusedNeed};
pub use crate::minimize::Minimizer;
pub use crate::modules::{AbsentType, InModules, ModuleType};
pub use crate::needs::{Need, Needs, Place};
pub use crate::object::{Object, RelocationUse, SourceLine};
pub use crate::outcome::{Outcome, Refusal};
pub use crate::output::Output;
pub use crate::pack::{Pack, StoreUse};
pub use crate::packed::{Packed, PackedKernel, StoreReport, Totals};
pub use crate::portable::PortableHeader;
pub use crate::questions::{MinimizeError, Minimized};
pub use crate::ranges::KernelRange;
pub use crate::selection::TypeSelection;
pub use crate::shape::{Part, Place as TypePlace, Shape, Shapes, TypeKind, TypeName};
