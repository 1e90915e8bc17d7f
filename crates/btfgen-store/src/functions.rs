//! Functions, and which of them a kernel has.
//!
//! A kernel has 50,000 functions, most of which its neighbours have, too. A function is a name and a node with the number of
//! parameters, so a change of a parameter's type changes nothing here. Functions have numbers, and a kernel's functions are the
//! bits of words that are the leaves of a tree of blocks, as lists are ([`lists`]).

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::definitions::Definitions;
use crate::error::{Error, Result};
use crate::lists;
use crate::node::Shape;

/// The functions in one word.
const IN_WORD: u32 = u32::BITS;

/// In the third word of a function's node: its result's type is not `void`.
pub(crate) const RETURNS: u32 = 1 << 30;

/// In the third word of a function's node: it takes more arguments than it has parameters.
pub(crate) const VARIADIC: u32 = 1 << 31;

/// A function that some kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Function<'a> {
    number: u32,
    /// The name of the module that has it; `None` for the kernel itself.
    pub module: Option<&'a [u8]>,
    /// How many parameters it has, without the `...` of a variadic function.
    pub parameters: u32,
    /// Whether its result's type is not `void`.
    pub returns: bool,
    /// Whether it takes more arguments than it has parameters.
    pub is_variadic: bool,
}

impl<'a> Definitions<'a> {
    /// The functions with each of these names that any kernel has. Functions of one name differ in their number of parameters
    /// or in other facts, or are those of modules.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn functions_named(&self, names: &[&[u8]]) -> Result<Vec<Vec<Function<'a>>>> {
        let mut by_name: HashMap<&[u8], Vec<usize>, RandomState> = HashMap::default();
        for (n, name) in names.iter().enumerate() {
            by_name.entry(name).or_default().push(n);
        }
        let mut found = vec![Vec::new(); names.len()];
        for (number, &[name, node]) in (0..).zip(self.functions.iter()) {
            let Some(asked) = by_name.get(self.name(name)?) else {
                continue;
            };
            let function = self.function(number, node)?;
            asked.iter().for_each(|&n| found[n].push(function));
        }
        Ok(found)
    }

    /// Whether a kernel with definitions has a function. A kernel has several functions of one name if its source files have
    /// static functions that differ.
    ///
    /// A BTF lacks functions that the compiler inlined or changed, and one without any functions says nothing about them:
    /// [`Kernel::function_count`](crate::Kernel::function_count).
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn has_function(&self, kernel: usize, function: &Function<'_>) -> Result<bool> {
        let Some(kernel) = self.kernels.get(kernel).filter(|k| k.is_covered()) else {
            return Ok(false);
        };
        let word = lists::find(self.blocks, kernel.functions, function.number / IN_WORD)?;
        Ok(word >> (function.number % IN_WORD) & 1 == 1)
    }

    /// The names of all functions that any kernel has. A name may come more than once.
    pub fn function_names(&self) -> impl Iterator<Item = &'a [u8]> {
        let names = self.names;
        self.functions
            .iter()
            .filter_map(move |&[n, _]| names.get(n))
    }

    fn function(&self, number: u32, node: u32) -> Result<Function<'a>> {
        let words = self.node(node)?;
        let (words, module) = match Shape::of(words) {
            Some(Shape::OfModule) => (self.node(words[2])?, Some(self.name(words[0])?)),
            _ => (words, None),
        };
        let Some(Shape::Function) = Shape::of(words) else {
            return Err(Error::Damaged("a function's node is none"));
        };
        Ok(Function {
            number,
            module,
            parameters: words[2] & !(RETURNS | VARIADIC),
            returns: words[2] & RETURNS != 0,
            is_variadic: words[2] & VARIADIC != 0,
        })
    }

    /// The numbers of a kernel's functions, as bits.
    pub(crate) fn function_bits(&self, top: u32) -> Result<Bits> {
        let len = (self.functions.len() as u32).div_ceil(IN_WORD);
        let mut bits = Bits::default();
        for (at, word) in lists::all(self.blocks, top, len)? {
            *bits.word(at) = word;
        }
        Ok(bits)
    }
}

/// A set of numbers of functions.
#[derive(Debug, Default)]
pub(crate) struct Bits(pub(crate) Vec<u32>);

impl Bits {
    fn word(&mut self, at: u32) -> &mut u32 {
        let at = at as usize;
        if at >= self.0.len() {
            self.0.resize(at + 1, 0);
        }
        &mut self.0[at]
    }

    pub(crate) fn insert(&mut self, number: u32) {
        *self.word(number / IN_WORD) |= 1 << (number % IN_WORD);
    }

    pub(crate) fn insert_all(&mut self, other: &Self) {
        for (at, &word) in (0..).zip(&other.0) {
            *self.word(at) |= word;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let bits = |word: u32| (0..IN_WORD).filter(move |bit| word >> bit & 1 == 1);
        let words = (0..).zip(&self.0);
        words.flat_map(move |(at, &word)| bits(word).map(move |bit| at * IN_WORD + bit))
    }

    pub(crate) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// Gives equal functions one number. A table by the numbers of names needs no hash, which saves a third of the time.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    /// The numbers of name and node of each function.
    all: Vec<[u32; 2]>,
    /// For each name its last function, and for each function the one of the same name before it; [`NONE`] if there is none.
    last: Vec<u32>,
    before: Vec<u32>,
}

/// No function.
const NONE: u32 = u32::MAX;

impl Interner {
    /// Continues with the functions that another run has stored.
    pub(crate) fn from(stored: &[[u32; 2]]) -> Self {
        let mut all = Self::default();
        for (number, &[name, node]) in (0..).zip(stored) {
            all.push(number, name, node);
        }
        all
    }

    /// The number of a function.
    pub(crate) fn intern(&mut self, name: u32, node: u32) -> Result<u32> {
        let mut number = self.last.get(name as usize).copied().unwrap_or(NONE);
        while let Some(&[_, known]) = self.all.get(number as usize) {
            if known == node {
                return Ok(number);
            }
            number = self.before[number as usize];
        }
        let number = u32::try_from(self.all.len()).ok();
        let number = number.filter(|&number| number != NONE).ok_or(Error::Full)?;
        self.push(number, name, node);
        Ok(number)
    }

    fn push(&mut self, number: u32, name: u32, node: u32) {
        if name as usize >= self.last.len() {
            self.last.resize(name as usize + 1, NONE);
        }
        let last = std::mem::replace(&mut self.last[name as usize], number);
        self.before.push(last);
        self.all.push([name, node]);
    }

    pub(crate) fn all(&self) -> &[[u32; 2]] {
        &self.all
    }
}
