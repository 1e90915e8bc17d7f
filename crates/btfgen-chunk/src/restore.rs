//! A BTF from records and a kernel's own part.

use crate::choices::{Choices, Occurrences};
use crate::part::Part;
use crate::raw::is_big_endian;
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
    let mut types = Types::new(tables, btf_bytes);
    types.restore(&part)?;
    let strings = types.place_names(&part)?;
    types.fill_in_names();

    let [before, between, behind] = part.outside;
    let mut btf = Vec::with_capacity(btf_bytes as usize);
    btf.extend(before);
    btf.resize(before.len() + 4 * types.words.len(), 0);
    let (places, _) = btf[before.len()..].as_chunks_mut::<4>();
    let to_bytes = if is_big_endian(before) {
        u32::to_be_bytes
    } else {
        u32::to_le_bytes
    };
    for (place, &word) in places.iter_mut().zip(&types.words) {
        *place = to_bytes(word);
    }
    btf.extend(between);
    btf.extend(strings);
    btf.extend(behind);
    Ok(btf)
}

/// The types of a kernel as they come into being.
struct Types<'t> {
    tables: &'t Tables,
    btf_bytes: u64,
    /// The words of the types. A word that stands for a name is the number of the name until the names have places.
    words: Vec<u32>,
    /// Which words stand for names.
    name_words: Vec<u32>,
    /// The names of the kernel: the empty one, then in the order of the words.
    names: Vec<u32>,
    /// The place of each name among the strings.
    places: Vec<u32>,
}

impl<'t> Types<'t> {
    fn new(tables: &'t Tables, btf_bytes: u64) -> Self {
        let mut places = vec![UNUSED; tables.name_count()];
        places[NO_NAME as usize] = UNPLACED;
        Self {
            tables,
            btf_bytes,
            words: Vec::new(),
            name_words: Vec::new(),
            names: vec![NO_NAME],
            places,
        }
    }

    fn restore(&mut self, part: &Part<'_>) -> Result<()> {
        let tables = self.tables;
        let labels = part.records.iter();
        let labels = labels.map(|&record| tables.label_of[record as usize]);
        let occurrences = Occurrences::new(tables.labels, labels);
        let mut choices = Choices::new(part.choices, tables.labels)?;
        let most = (self.btf_bytes / 4) as usize;
        self.words.reserve_exact(most);
        for &record in &part.records {
            let (words, sorts) = tables.sorted_record(record);
            if words.len() > most - self.words.len() {
                return Err(Error::damaged(
                    "the types of a kernel are larger than its BTF",
                ));
            }
            for (&word, sort) in words.iter().zip(sorts) {
                let word = match sort {
                    Sort::Plain => word,
                    Sort::Name => self.name(word),
                    Sort::Label => type_id(&occurrences, &mut choices, word)?,
                };
                self.words.push(word);
            }
        }
        choices.finish()
    }

    #[inline]
    fn name(&mut self, name: u32) -> u32 {
        self.name_words.push(self.words.len() as u32);
        self.use_name(name);
        name
    }

    #[inline]
    fn use_name(&mut self, name: u32) {
        let place = &mut self.places[name as usize];
        if *place == UNUSED {
            *place = UNPLACED;
            self.names.push(name);
        }
    }

    /// Give each name its place, and return the strings.
    fn place_names(&mut self, part: &Part<'_>) -> Result<Vec<u8>> {
        for &name in &part.unused {
            self.use_name(name);
        }
        let mut ranks = Input(part.ranks);
        let ranks_read = ranks.runs(self.names.len(), self.names.len())?;
        if !ranks.is_empty() {
            return Err(Error::damaged("a kernel in it has too many names"));
        }
        let mut strings = Vec::new();
        for rank in ranks_read {
            let name = self.names[rank as usize];
            let place = &mut self.places[name as usize];
            if *place != UNPLACED {
                return Err(Error::damaged("a kernel in it has a name twice"));
            }
            *place = strings.len() as u32;
            strings.extend(self.tables.name(name));
            if strings.len() as u64 > self.btf_bytes {
                return Err(Error::damaged(
                    "the names of a kernel are larger than its BTF",
                ));
            }
        }
        Ok(strings)
    }

    fn fill_in_names(&mut self) {
        for &at in &self.name_words {
            let word = &mut self.words[at as usize];
            *word = self.places[*word as usize];
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
