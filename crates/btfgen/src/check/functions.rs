//! Which kernels have the functions that programs attach to.

use std::collections::{BTreeMap, BTreeSet};

use btfgen_archive::KernelId;
use btfgen_object::Target;
use btfgen_store::{Definitions, Function};

use crate::needs::Needs;

/// A function of the kernel that a program attaches to by the name of its section: `kprobe/NAME`, `fentry/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttachedFunction {
    /// Its name.
    pub name: String,
    /// What kernels' BTFs say about it, each with the kernels in the order of their ids. `found` comes first.
    pub kernels: Vec<(FunctionState, Vec<KernelId>)>,
}

/// What a kernel's BTF says about a function. A BTF lacks functions that the compiler inlined or changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case", tag = "state")
)]
#[non_exhaustive]
pub enum FunctionState {
    /// It is there, with this number of parameters. Several functions of one name may have several numbers.
    Found {
        /// The numbers of parameters, without the `...` of a variadic function.
        parameters: Vec<u32>,
    },
    /// The kernel's own BTF does not have it. One of the kernel's modules may.
    NotInKernel,
    /// The BTF has no functions at all, or cannot be in a type store.
    Unknown,
}

/// The functions that the objects' programs attach to, and those of them that the definitions know.
pub(crate) struct Wanted<'d> {
    names: Vec<Vec<Function<'d>>>,
}

/// The names of the functions that programs attach to, sorted.
pub(crate) fn names(needs: &Needs) -> Vec<String> {
    let objects = needs.objects().iter().filter_map(|o| o.programs().ok());
    let targets = objects.flat_map(|asked| asked.programs.iter().filter_map(|p| p.target.as_ref()));
    let names = targets.filter_map(|target| match target {
        Target::Function { name, .. } => Some(name.clone()),
        _ => None,
    });
    names.collect::<BTreeSet<String>>().into_iter().collect()
}

impl<'d> Wanted<'d> {
    pub(crate) fn new(
        names: &[String],
        definitions: &Definitions<'d>,
    ) -> btfgen_store::Result<Self> {
        let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        Ok(Self {
            names: definitions.functions_named(&names)?,
        })
    }

    /// What the definitions of a kernel say about each function.
    pub(crate) fn of(
        &self,
        definitions: &Definitions<'_>,
        number: usize,
    ) -> btfgen_store::Result<Vec<FunctionState>> {
        let kernel = definitions.kernel(number);
        let has_functions = kernel.is_some_and(|kernel| kernel.function_count > 0);
        let states = self.names.iter().map(|functions| {
            if !has_functions {
                return Ok(FunctionState::Unknown);
            }
            let mut parameters = BTreeSet::new();
            for function in functions {
                if definitions.has_function(number, function)? {
                    parameters.insert(function.parameters);
                }
            }
            Ok(match parameters.is_empty() {
                true => FunctionState::NotInKernel,
                false => FunctionState::Found {
                    parameters: parameters.into_iter().collect(),
                },
            })
        });
        states.collect()
    }
}

/// Sorts what kernels say by function.
pub(crate) fn by_function(
    names: Vec<String>,
    mut kernels: Vec<(KernelId, Vec<FunctionState>)>,
) -> Vec<AttachedFunction> {
    kernels.sort_by(|a, b| a.0.cmp(&b.0));
    let mut all: Vec<BTreeMap<FunctionState, Vec<KernelId>>> = vec![BTreeMap::new(); names.len()];
    for (kernel, states) in kernels {
        for (of_function, state) in all.iter_mut().zip(states) {
            of_function.entry(state).or_default().push(kernel.clone());
        }
    }
    let functions = names.into_iter().zip(all);
    let functions = functions.map(|(name, states)| AttachedFunction {
        name,
        kernels: states.into_iter().collect(),
    });
    functions.collect()
}
