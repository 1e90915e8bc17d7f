//! Leaves out what no kernel needs any more.

use std::collections::HashSet;

use crate::definitions::Definitions;
use crate::error::{Error, Result};
use crate::functions::Bits;
use crate::kernel::Kernel;
use crate::lists::{self, List};
use crate::node::{self, NO_NAME, Shape, VOID};
use crate::tables::Tables;

impl Tables {
    /// Tables of only some of these kernels, and the new number of each kernel.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Full`].
    pub fn of_some(
        all: &Definitions<'_>,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<(Self, Vec<Option<usize>>)> {
        let kernels = all.kernels().enumerate();
        let kernels: Vec<Kernel> = kernels
            .filter(|&(number, _)| is_wanted(number))
            .map(|(_, kernel)| kernel)
            .collect();
        let used = Used::by(all, &kernels)?;
        let mut tables = Self::new();

        let mut names = vec![NO_NAME; used.names.len()];
        for (number, _) in used.names.iter().enumerate().filter(|&(_, used)| *used) {
            names[number] = tables.names.intern(all.name(number as u32)?)?;
        }
        let mut nodes = vec![VOID; used.nodes.len()];
        for (number, _) in used.nodes.iter().enumerate().filter(|&(_, used)| *used) {
            let mut words = all.node(number as u32)?.to_vec();
            match Shape::of(&words) {
                Some(Shape::Type(kind)) => {
                    for place in node::name_places(kind, words.len()) {
                        words[place] = names[words[place] as usize];
                    }
                    for place in node::type_places(kind, words.len()) {
                        words[place] = nodes[words[place] as usize];
                    }
                }
                Some(Shape::Reference(_)) => words[0] = names[words[0] as usize],
                Some(Shape::OfModule) => {
                    words[0] = names[words[0] as usize];
                    words[2] = nodes[words[2] as usize];
                }
                Some(Shape::Void | Shape::Function) | None => {}
            }
            nodes[number] = tables.intern_node(&words)?;
        }
        for key in all.keys.iter() {
            let &[kind, name] = key else {
                return Err(Error::Damaged("a key has no name"));
            };
            tables.keys.intern(&[kind, names[name as usize]])?;
        }
        let mut functions = vec![0; all.functions.len()];
        for old in used.functions.iter() {
            let [name, node] = all.functions[old as usize].map(|number| number as usize);
            functions[old as usize] = tables.functions.intern(names[name], nodes[node])?;
        }
        let mut numbers = vec![None; all.kernels().len()];
        for (number, kernel) in all.kernels().enumerate() {
            if !is_wanted(number) {
                continue;
            }
            let lists = match kernel.is_covered() {
                false => kernel.lists,
                true => {
                    let by_key = lists::all(all.blocks, kernel.lists, all.keys.len())?;
                    let by_key = by_key.into_iter().map(|(key, word)| {
                        let list = tables.renumbered(all, List::of_word(word), &nodes)?;
                        Ok((key, list.word()))
                    });
                    let by_key = by_key.collect::<Result<Vec<_>>>()?;
                    lists::intern(&mut tables.blocks, dense(&by_key))?
                }
            };
            let mut own = Bits::default();
            let old = all.function_bits(kernel.functions)?;
            old.iter()
                .for_each(|old| own.insert(functions[old as usize]));
            let functions = lists::intern(&mut tables.blocks, own.0)?;
            let long = nodes[kernel.long as usize];
            numbers[number] = Some(tables.push(Kernel {
                lists,
                long,
                functions,
                ..kernel
            }));
        }
        Ok((tables, numbers))
    }

    /// The list of the same candidates under their new numbers.
    fn renumbered(&mut self, all: &Definitions<'_>, list: List, nodes: &[u32]) -> Result<List> {
        if let Some(only) = list.only() {
            return Ok(List::of_one(nodes[only as usize]));
        }
        let runs = all.runs(list)?.into_iter();
        let words = runs.flat_map(|(node, count)| [nodes[node as usize], count]);
        let words: Vec<u32> = words.collect();
        Ok(List::of_several(self.lists.intern(&words)?))
    }
}

/// The words by key, with 0 ([`List::NONE`]) where there is none.
fn dense(by_key: &[(u32, u32)]) -> Vec<u32> {
    let len = by_key.last().map_or(0, |&(key, _)| key as usize + 1);
    let mut lists = vec![0; len];
    for &(key, list) in by_key {
        lists[key as usize] = list;
    }
    lists
}

/// What some kernels use, by number.
struct Used {
    names: Vec<bool>,
    nodes: Vec<bool>,
    functions: Bits,
}

impl Used {
    fn by(all: &Definitions<'_>, kernels: &[Kernel]) -> Result<Self> {
        let mut used = Self {
            names: vec![false; all.names.len() as usize],
            nodes: vec![false; all.nodes.len() as usize],
            functions: Bits::default(),
        };
        let mut lists = HashSet::new();
        let tops = kernels.iter().filter(|kernel| kernel.is_covered());
        lists::visit(all.blocks, tops.map(|kernel| kernel.lists), |list| {
            lists.insert(list);
        })?;
        for list in lists {
            for (node, _) in all.runs(list)? {
                used.mark(node)?;
            }
        }
        for kernel in kernels {
            used.mark(kernel.long)?;
            used.functions
                .insert_all(&all.function_bits(kernel.functions)?);
        }
        for number in used.functions.iter().collect::<Vec<_>>() {
            let function = all.functions.get(number as usize);
            let &[name, node] = function.ok_or(Error::Damaged("a function is missing"))?;
            used.mark_name(name)?;
            used.mark(node)?;
        }
        // The nodes in a node are smaller.
        for number in (0..used.nodes.len()).rev() {
            if used.nodes[number] {
                used.mark_parts(all.node(number as u32)?)?;
            }
        }
        for key in all.keys.iter() {
            used.mark_name(key.get(1).copied().unwrap_or_default())?;
        }
        Ok(used)
    }

    fn mark(&mut self, node: u32) -> Result<()> {
        let mark = self.nodes.get_mut(node as usize);
        *mark.ok_or(Error::Damaged("a definition is missing"))? = true;
        Ok(())
    }

    fn mark_name(&mut self, name: u32) -> Result<()> {
        let mark = self.names.get_mut(name as usize);
        *mark.ok_or(Error::Damaged("a name is missing"))? = true;
        Ok(())
    }

    fn mark_parts(&mut self, words: &[u32]) -> Result<()> {
        match Shape::of(words) {
            Some(Shape::Type(kind)) => {
                for place in node::type_places(kind, words.len()) {
                    self.mark(words[place])?;
                }
                for place in node::name_places(kind, words.len()) {
                    self.mark_name(words[place])?;
                }
            }
            Some(Shape::Reference(_)) => self.mark_name(words[0])?,
            Some(Shape::OfModule) => {
                self.mark(words[2])?;
                self.mark_name(words[0])?;
            }
            Some(Shape::Void | Shape::Function) | None => {}
        }
        Ok(())
    }
}
