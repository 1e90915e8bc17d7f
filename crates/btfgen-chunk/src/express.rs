//! A BTF as records and a kernel's own part.

use crate::choices::{ChoiceWriter, Occurrences};
use crate::part::Part;
use crate::raw::Raw;
use crate::shape::{HEAD, KIND_TYPE_TAG, Shape, Word, kind};
use crate::store::Store;
use crate::tables::{NO_NAME, VOID};
use crate::varint::put_runs;

/// How deep types without names may be nested. Kernels need a tenth of it, and each level needs some stack.
const MAX_DEPTH: u32 = 200;

/// The place of a byte at which no string begins.
const NO_STRING: u32 = u32::MAX;

/// A type without a record.
const NO_RECORD: u32 = u32::MAX;

/// The kernel's own part for this BTF; its records and names are in the store then. `None` if records cannot express it.
pub(crate) fn express(store: &mut Store, btf: &[u8]) -> Option<Vec<u8>> {
    let raw = Raw::parse(btf)?;
    let strings = Strings::new(store, raw.strings)?;
    let mut records = Records {
        raw: &raw,
        strings: &strings,
        store,
        of_types: vec![NO_RECORD; raw.types()],
    };
    for id in 1..=raw.types() as u32 {
        records.record(id, 0)?;
    }
    let records = records.of_types;
    let choices = choices(store, &raw, &records);
    let (unused, ranks) = order_of_strings(store, &raw, &strings);
    let part = Part {
        outside: raw.outside,
        records,
        unused,
        choices: &choices,
        ranks: &ranks,
    };
    Some(part.write())
}

/// The strings of a BTF as names of the store.
struct Strings {
    /// The names, in the order of the strings.
    names: Vec<u32>,
    /// The name whose string begins at each byte.
    at: Vec<u32>,
}

impl Strings {
    /// `None` if a string comes twice, because then a name does not tell its place.
    fn new(store: &mut Store, strings: &[u8]) -> Option<Self> {
        let mut names = Vec::new();
        let mut at = vec![NO_STRING; strings.len()];
        let mut place = 0;
        for string in strings.split_inclusive(|&byte| byte == 0) {
            let name = store.intern_name(string);
            names.push(name);
            at[place] = name;
            place += string.len();
        }
        let mut sorted = names.clone();
        sorted.sort_unstable();
        let unique = sorted.is_sorted_by(|a, b| a < b);
        unique.then_some(Self { names, at })
    }

    /// `None` if no string begins there: it is the end of another one, or beyond all of them.
    fn name(&self, offset: u32) -> Option<u32> {
        let name = self.at.get(offset as usize).copied();
        name.filter(|&name| name != NO_STRING)
    }
}

struct Records<'e> {
    raw: &'e Raw<'e>,
    strings: &'e Strings,
    store: &'e mut Store,
    of_types: Vec<u32>,
}

impl Records<'_> {
    /// `None` if records cannot express the type. A type without a name that contains itself has no end, so it is too deep.
    fn record(&mut self, id: u32, depth: u32) -> Option<u32> {
        let known = *self.of_types.get(id as usize - 1)?;
        if known != NO_RECORD {
            return Some(known);
        }
        if depth > MAX_DEPTH {
            return None;
        }
        let raw = self.raw;
        let &[name, info, ref fields @ ..] = raw.words_of(id) else {
            return None;
        };
        let shape = Shape::of_info(info)?;
        let mut words = Vec::with_capacity(HEAD + fields.len());
        words.extend([self.strings.name(name)?, info]);
        for (sort, &word) in shape.fields(info).zip(fields) {
            words.push(match sort {
                Word::Name(_) => self.strings.name(word)?,
                Word::Type(_) => self.label(word, depth)?,
                Word::Number(_) | Word::Difference(_) => word,
            });
        }
        let named = is_named(words[0], info);
        let record = self.store.intern_record(shape, &words, named);
        self.of_types[id as usize - 1] = record;
        Some(record)
    }

    fn label(&mut self, id: u32, depth: u32) -> Option<u32> {
        if id == VOID {
            return Some(VOID);
        }
        if id as usize > self.raw.types() {
            return None;
        }
        let &[name, info, ..] = self.raw.words_of(id) else {
            return None;
        };
        let name = self.strings.name(name)?;
        if is_named(name, info) {
            return Some(self.store.named_label(kind(info), name));
        }
        let record = self.record(id, depth + 1)?;
        Some(self.store.tables.label_of[record as usize])
    }
}

/// Whether kind and name are the label of a type. Many type tags have the same name, so they count as types without one.
fn is_named(name: u32, info: u32) -> bool {
    name != NO_NAME && kind(info) != KIND_TYPE_TAG
}

/// Which types are meant where labels do not tell.
fn choices(store: &Store, raw: &Raw<'_>, records: &[u32]) -> Vec<u8> {
    let tables = &store.tables;
    let label = |id: u32| tables.label_of[records[id as usize - 1] as usize];
    let ids = 1..=records.len() as u32;
    let occurrences = Occurrences::new(tables.labels, ids.clone().map(label));
    let mut writer = ChoiceWriter::new(tables.labels);
    for (sort, word) in ids.flat_map(|id| fields(raw, id)) {
        if !matches!(sort, Word::Type(_)) || word == VOID {
            continue;
        }
        let label = label(word);
        let meant = occurrences.of(label);
        if meant.len() > 1 {
            // Their ids are sorted.
            let occurrence = meant.partition_point(|&id| id < word);
            writer.put(label, occurrence as u32);
        }
    }
    writer.bytes
}

/// The words of a type behind name and info, and what they are.
fn fields<'r>(raw: &'r Raw<'_>, id: u32) -> impl Iterator<Item = (Word, u32)> + use<'r> {
    let words = raw.words_of(id);
    let info = words[HEAD - 1];
    let shape = Shape::of_info(info);
    let sorts = shape.into_iter().flat_map(move |shape| shape.fields(info));
    sorts.zip(words[HEAD..].iter().copied())
}

/// The names that no type has, and the order of the strings: for each its rank among the names in the order in which the types
/// have them.
fn order_of_strings(store: &Store, raw: &Raw<'_>, strings: &Strings) -> (Vec<u32>, Vec<u8>) {
    let mut ranks = vec![NO_STRING; store.tables.name_count()];
    ranks[NO_NAME as usize] = 0;
    let mut next = 1;
    let mut rank = |name: u32| {
        let rank = &mut ranks[name as usize];
        let new = *rank == NO_STRING;
        if new {
            *rank = next;
            next += 1;
        }
        (*rank, new)
    };
    for id in 1..=raw.types() as u32 {
        let own = (
            Word::Name(crate::shape::Column::TypeName),
            raw.words_of(id)[0],
        );
        for (sort, word) in [own].into_iter().chain(fields(raw, id)) {
            if matches!(sort, Word::Name(_)) {
                strings.name(word).map(&mut rank);
            }
        }
    }
    let mut unused = Vec::new();
    let mut order = Vec::new();
    put_runs(
        &mut order,
        strings.names.iter().map(|&name| {
            let (rank, new) = rank(name);
            if new {
                unused.push(name);
            }
            rank
        }),
    );
    (unused, order)
}

#[cfg(test)]
mod tests {
    use btfgen_btf::testing::made_up_btf;

    use super::*;
    use crate::restore::restore;

    const INT: &[u32] = &[1, 1 << 24, 4, 32];
    const STRINGS: &[u8] = b"\0int\0s\0unused\0";

    /// Whether records express the BTF; then it has to come back.
    fn is_expressed(btf: &[u8]) -> bool {
        let mut store = Store::new();
        let Some(part) = express(&mut store, btf) else {
            return false;
        };
        let back = restore(&store.tables, &part, btf.len() as u64).unwrap();
        assert_eq!(back, btf);
        true
    }

    /// Check that types of one label, circles by way of a name, unused names, and bytes outside of types and strings are
    /// expressed.
    #[test]
    fn what_is_expressed() {
        let types: &[&[u32]] = &[
            INT,
            // Two different structs of one name, and pointers to both: the first, the second, and the first again.
            &[5, 4 << 24 | 1, 8, 5, 3, 0],
            &[0, 2 << 24, 2],
            &[5, 4 << 24 | 1, 16, 5, 5, 64],
            &[0, 2 << 24, 4],
            &[0, 2 << 24, 2],
            &[0, 13 << 24 | 2, 0, 0, 4, 5, 2],
            // A function, whose linkage is where others have the number of members.
            &[5, 12 << 24 | 1, 7],
        ];
        let btf = made_up_btf(types, STRINGS);
        assert!(is_expressed(&btf));
        assert!(is_expressed(&made_up_btf(&[], b"\0")));
        let behind = [&btf[..], b"behind"].concat();
        assert!(is_expressed(&behind));
        // A header of 32 bytes.
        let mut longer = btf.clone();
        longer[4] = 32;
        longer.splice(24..24, [1; 8]);
        assert!(is_expressed(&longer));
    }

    /// Check that what records cannot express is not expressed, instead of something else.
    #[test]
    fn what_is_not_expressed() {
        let types: [(&str, &[&[u32]]); 7] = [
            ("a name in the middle of a string", &[&[2, 1 << 24, 4, 32]]),
            ("a name beyond the strings", &[&[99, 1 << 24, 4, 32]]),
            ("an unknown kind", &[&[1, 20 << 24, 0]]),
            ("an id beyond the types", &[INT, &[0, 2 << 24, 3]]),
            ("a circle without a name", &[&[0, 2 << 24, 1]]),
            ("members of a pointer", &[&[0, 2 << 24 | 1, 0]]),
            ("a type that is cut off", &[&[1, 1 << 24, 4]]),
        ];
        for (what, types) in types {
            assert!(!is_expressed(&made_up_btf(types, STRINGS)), "{what}");
        }
        for (what, strings) in [
            ("a string twice", &b"\0int\0int\0"[..]),
            ("strings without an end", b"\0int"),
            ("strings that begin with a name", b"int\0"),
            ("no strings", b""),
        ] {
            assert!(!is_expressed(&made_up_btf(&[INT], strings)), "{what}");
        }
        for bytes in [&b""[..], b"\x9f\xeb\x01\0", &[0; 100]] {
            assert!(!is_expressed(bytes), "{bytes:?}");
        }
    }

    /// Check that types without names may be nested as deep as kernels do, and that a stack does not overflow if they are nested
    /// deeper: they are not expressed then.
    #[test]
    fn deep_types() {
        let chain = |depth: u32| {
            let types: Vec<[u32; 3]> = (0..depth)
                .map(|n| [0, 2 << 24, (n + 2) % (depth + 1)])
                .collect();
            let types: Vec<&[u32]> = types.iter().map(|words| &words[..]).collect();
            made_up_btf(&types, STRINGS)
        };
        assert!(is_expressed(&chain(MAX_DEPTH)));
        assert!(!is_expressed(&chain(MAX_DEPTH + 2)));
        assert!(!is_expressed(&chain(100_000)));
    }
}
