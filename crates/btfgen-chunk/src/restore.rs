//! A BTF from records and a kernel's own part.

use crate::choices::{Choices, Occurrences};
use crate::part::Part;
use crate::raw::ByteOrder;
use crate::tables::{NO_NAME, Sort, Tables, VOID};
use crate::varint::Input;
use crate::{Error, Result};

/// A name that the kernel has not used so far.
const UNUSED: u32 = u32::MAX;
/// A name that the kernel uses, but that has no place yet.
const UNPLACED: u32 = u32::MAX - 1;

/// The BTF of a kernel, which has exactly so many bytes. `part` is its own part. They and the tables bound the memory.
pub(crate) fn restore(tables: &Tables, part: &[u8], btf_bytes: u64) -> Result<Vec<u8>> {
    let part = Part::parse(part, tables, btf_bytes)?;
    let [before, between, behind] = part.outside;
    let order = ByteOrder::of(before);
    let order = order.ok_or_else(|| Error::damaged("a kernel in it has no header"))?;
    let mut restored = Restored {
        tables,
        order,
        most: btf_bytes as usize,
        btf: Vec::with_capacity(btf_bytes as usize),
        name_words: Vec::new(),
        names: vec![NO_NAME],
        places: vec![UNUSED; tables.name_count()],
    };
    restored.places[NO_NAME as usize] = UNPLACED;
    restored.extend(before)?;
    restored.types(&part)?;
    restored.extend(between)?;
    restored.strings(&part)?;
    restored.extend(behind)?;
    restored.fill_in_names();
    Ok(restored.btf)
}

/// A BTF as it comes into being.
struct Restored<'t> {
    tables: &'t Tables,
    order: ByteOrder,
    /// The length of the whole BTF.
    most: usize,
    /// What there is of it. A word that stands for a name is the number of the name until the names have places.
    btf: Vec<u8>,
    /// The places of the words that stand for names.
    name_words: Vec<u32>,
    /// The names of the kernel: the empty one, then in the order of the words.
    names: Vec<u32>,
    /// The place of each name among the strings.
    places: Vec<u32>,
}

impl Restored<'_> {
    /// Check that there is room, so that the BTF never grows beyond the memory that it has.
    #[inline]
    fn check_room(&self, len: usize) -> Result<()> {
        if len > self.most - self.btf.len() {
            return Err(Error::damaged("a kernel in it is larger than its BTF"));
        }
        Ok(())
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<()> {
        self.check_room(bytes.len())?;
        self.btf.extend_from_slice(bytes);
        Ok(())
    }

    fn types(&mut self, part: &Part<'_>) -> Result<()> {
        let tables = self.tables;
        let labels = part.records.iter();
        let labels = labels.map(|&record| tables.label_of[record as usize]);
        let occurrences = Occurrences::new(tables.labels, labels);
        let mut choices = Choices::new(part.choices, tables.labels)?;
        for &record in &part.records {
            let (words, sorts) = tables.sorted_record(record);
            self.check_room(4 * words.len())?;
            for (&word, sort) in words.iter().zip(sorts) {
                let word = match sort {
                    Sort::Plain => word,
                    Sort::Name => {
                        self.name_words.push(self.btf.len() as u32);
                        self.use_name(word);
                        word
                    }
                    Sort::Label => type_id(&occurrences, &mut choices, word)?,
                };
                self.btf.extend_from_slice(&self.order.bytes(word));
            }
        }
        choices.finish()
    }

    #[inline]
    fn use_name(&mut self, name: u32) {
        let place = &mut self.places[name as usize];
        if *place == UNUSED {
            *place = UNPLACED;
            self.names.push(name);
        }
    }

    /// Add the strings, and give each name its place among them.
    fn strings(&mut self, part: &Part<'_>) -> Result<()> {
        for &name in &part.unused {
            self.use_name(name);
        }
        let mut input = Input(part.ranks);
        let ranks = input.runs(self.names.len(), self.names.len())?;
        if !input.is_empty() {
            return Err(Error::damaged("a kernel in it has too many names"));
        }
        let start = self.btf.len();
        for rank in ranks {
            let name = self.names[rank as usize];
            let place = &mut self.places[name as usize];
            if *place != UNPLACED {
                return Err(Error::damaged("a kernel in it has a name twice"));
            }
            *place = (self.btf.len() - start) as u32;
            self.extend(self.tables.name(name))?;
        }
        Ok(())
    }

    /// Every name has a place now, because each rank came once.
    fn fill_in_names(&mut self) {
        for &at in &self.name_words {
            if let Some(bytes) = self.btf[at as usize..].first_chunk_mut() {
                let name = self.order.word(*bytes);
                *bytes = self.order.bytes(self.places[name as usize]);
            }
        }
    }
}

#[inline]
fn type_id(occurrences: &Occurrences, choices: &mut Choices<'_>, label: u32) -> Result<u32> {
    let id = match occurrences.of(label) {
        _ if label == VOID => Some(&VOID),
        [id] => Some(id),
        ids => ids.get(choices.next(label)? as usize),
    };
    let missing = || Error::damaged("a kernel in it lacks a type that it refers to");
    id.copied().ok_or_else(missing)
}
