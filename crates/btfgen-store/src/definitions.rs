//! Reads definitions.

use std::borrow::Cow;
use std::collections::HashMap;

use btfgen_btf::Kind;
use foldhash::fast::RandomState;

use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::lists::{self, List};
use crate::node::Shape;
use crate::sequences::Sequences;

/// The definitions of some kernels' types, and the candidates of each name on each kernel.
#[derive(Debug, Clone)]
pub struct Definitions<'a> {
    pub(crate) names: Sequences<'a, u8>,
    pub(crate) nodes: Sequences<'a, u32>,
    pub(crate) lists: Sequences<'a, u32>,
    pub(crate) blocks: Sequences<'a, u32>,
    pub(crate) keys: Sequences<'a, u32>,
    /// The numbers of name and node of each function.
    pub(crate) functions: &'a [[u32; 2]],
    pub(crate) kernels: Cow<'a, [Kernel]>,
}

/// The number of a kind and an essential name, by which relocations look types up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u32);

/// A definition that is a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Definition(pub(crate) u32);

/// A candidate of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// Its definition.
    pub definition: Definition,
    /// The name of the module whose type it is; `None` for a type of the kernel itself. A list has either only types of the
    /// kernel or only types of modules.
    pub module: Option<&'a [u8]>,
    /// How often it follows itself.
    pub count: u32,
}

impl<'a> Definitions<'a> {
    /// The kernels, in the order of their numbers.
    pub fn kernels(&self) -> impl ExactSizeIterator<Item = Kernel> {
        self.kernels.iter().copied()
    }

    /// The kernel with this number.
    pub fn kernel(&self, number: usize) -> Option<Kernel> {
        self.kernels.get(number).copied()
    }

    /// The number of distinct definitions.
    pub fn len(&self) -> u32 {
        self.nodes.len()
    }

    /// Whether there are no kernels.
    pub fn is_empty(&self) -> bool {
        self.kernels.is_empty()
    }

    /// The keys of these kinds and essential names; `None` for one that no kernel has. Enums of both widths count as
    /// [`Kind::Enum`].
    ///
    /// # Errors
    /// [`Error::Damaged`] if two keys are equal.
    pub fn keys(&self, wanted: &[(Kind, &[u8])]) -> Result<Vec<Option<Key>>> {
        let mut by_name: HashMap<&[u8], Vec<usize>, RandomState> = HashMap::default();
        for (n, (_, name)) in wanted.iter().enumerate() {
            by_name.entry(name).or_default().push(n);
        }
        let mut found = vec![None; wanted.len()];
        for (number, key) in (0..).zip(self.keys.iter()) {
            let &[kind, name] = key else { continue };
            let Some(asked) = self.names.get(name).and_then(|name| by_name.get(name)) else {
                continue;
            };
            for &n in asked {
                if wanted[n].0 as u32 == kind && found[n].replace(Key(number)).is_some() {
                    return Err(Error::Damaged("two keys are equal"));
                }
            }
        }
        Ok(found)
    }

    /// All keys with their kinds and names, in no order.
    pub fn key_names(&self) -> impl Iterator<Item = (Key, Kind, &'a [u8])> {
        let names = self.names;
        (0..)
            .zip(self.keys.iter())
            .filter_map(move |(number, key)| {
                let &[kind, name] = key else { return None };
                Some((Key(number), Kind::of_number(kind), names.get(name)?))
            })
    }

    /// The candidates of a key on a kernel with definitions.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn list(&self, kernel: usize, key: Option<Key>) -> Result<List> {
        let (Some(kernel), Some(key)) = (self.kernels.get(kernel), key) else {
            return Ok(List::NONE);
        };
        Ok(List::of_word(lists::find(
            self.blocks,
            kernel.lists,
            key.0,
        )?))
    }

    /// The candidates in a list.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn candidates(&self, list: List) -> Result<Vec<Candidate<'a>>> {
        let candidate = |(node, count)| {
            let words = self.node(node)?;
            let (node, module) = match Shape::of(words) {
                Some(Shape::OfModule) => (words[2], Some(self.name(words[0])?)),
                _ => (node, None),
            };
            Ok(Candidate {
                definition: Definition(node),
                module,
                count,
            })
        };
        self.runs(list)?.into_iter().map(candidate).collect()
    }

    /// The nodes in a list, and how often each one follows itself.
    pub(crate) fn runs(&self, list: List) -> Result<Vec<(u32, u32)>> {
        if list == List::NONE {
            return Ok(Vec::new());
        }
        if let Some(only) = list.only() {
            return Ok(vec![(only, 1)]);
        }
        let words = list.several().and_then(|number| self.lists.get(number));
        let words = words.ok_or(Error::Damaged("a list of candidates is missing"))?;
        let pairs = words.chunks_exact(2);
        Ok(pairs.map(|pair| (pair[0], pair[1])).collect())
    }

    pub(crate) fn node(&self, node: u32) -> Result<&'a [u32]> {
        let words = self.nodes.get(node);
        words.ok_or(Error::Damaged("a definition is missing"))
    }

    pub(crate) fn name(&self, name: u32) -> Result<&'a [u8]> {
        let bytes = self.names.get(name);
        bytes.ok_or(Error::Damaged("a name is missing"))
    }
}
