//! Changes of stores and of BTFs, which the comparison must find.

use btfgen_btf::testing::made_up_btf;
use btfgen_btf::{Btf, ByteOrder, Kind, assemble};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::definitions::Definitions;
use crate::kernel::{Digest, Kernel};
use crate::lists::NO_LISTS;
use crate::sequences::Sequences;
use crate::tables::Tables;

const KIND_FLAG: u32 = 1 << 31;

fn info(kind: Kind, parts: u32) -> u32 {
    (kind as u32) << 24 | parts
}

/// Names by their offsets: `\0int\0long\0foo\0foo___x\0a\0b\0A\0bar\0f\0`.
const STRINGS: &[u8] = b"\0int\0long\0foo\0foo___x\0a\0b\0A\0bar\0f\0";
const INT: u32 = 1;
const LONG: u32 = 5;
const FOO: u32 = 10;
const FOO_X: u32 = 14;
const A: u32 = 22;
const B: u32 = 24;
const ENUMERATOR: u32 = 26;
const BAR: u32 = 28;
const F: u32 = 32;

/// The words of a BTF that has every kind, and most of what can be said of each.
fn every_kind() -> Vec<Vec<u32>> {
    let int = vec![INT, info(Kind::Int, 0), 4, 1 << 24 | 32];
    let with_flag = |kind, parts| KIND_FLAG | info(kind, parts);
    vec![
        int,                                                // 1
        vec![LONG, info(Kind::Int, 0), 8, 64],              // 2
        vec![0, info(Kind::Ptr, 0), 7],                     // 3: struct foo *
        vec![0, info(Kind::Array, 0), 0, 3, 1, 7],          // 4: struct foo *[7]
        vec![BAR, info(Kind::Typedef, 0), 4],               // 5
        vec![0, info(Kind::Union, 2), 8, A, 1, 0, B, 2, 0], // 6
        vec![
            FOO,
            with_flag(Kind::Struct, 4),
            64,
            A,
            1,
            3 << 24 | 5,
            0,
            6,
            64,
            B,
            5,
            128,
            F,
            13,
            256,
        ], // 7
        vec![BAR, info(Kind::Struct, 1), 8, A, 1, 32],      // 8
        vec![FOO_X, info(Kind::Struct, 2), 16, A, 8, 0, B, 8, 64], // 9
        vec![FOO, with_flag(Kind::Enum, 2), 4, ENUMERATOR, u32::MAX, B, 1], // 10
        vec![FOO, info(Kind::Enum64, 1), 8, ENUMERATOR, 1, 2], // 11
        vec![FOO, with_flag(Kind::Fwd, 0), 0],              // 12
        vec![0, info(Kind::Volatile, 0), 14],               // 13
        vec![0, info(Kind::Const, 0), 15],                  // 14
        vec![0, info(Kind::Restrict, 0), 16],               // 15
        vec![0, info(Kind::Ptr, 0), 17],                    // 16
        vec![A, info(Kind::TypeTag, 0), 18],                // 17
        vec![0, info(Kind::FuncProto, 3), 3, A, 8, B, 19, 0, 0], // 18: struct foo *(struct bar, float, ...)
        vec![F, info(Kind::Float, 0), 8],                        // 19
        vec![F, info(Kind::Func, 1), 18],                        // 20
        vec![A, info(Kind::Var, 0), 1, 0],                       // 21
        vec![B, info(Kind::Datasec, 1), 4, 21, 0, 4],            // 22
        vec![A, info(Kind::DeclTag, 0), 7, 1],                   // 23
        vec![FOO, info(Kind::Struct, 1), 8, A, 1, 32],           // 24
        vec![FOO, info(Kind::Struct, 1), 8, A, 1, 32],           // 25
        vec![BAR, info(Kind::Struct, 1), 8, A, 1, 32],           // 26: as 8
        vec![FOO_X, info(Kind::Struct, 2), 16, A, 8, 0, B, 8, 64], // 27: as 9
        vec![BAR, info(Kind::Union, 1), 8, A, 16, 0],            // 28
    ]
}

fn btf_of(types: &[Vec<u32>]) -> Btf<'static> {
    parse_of(types).expect("the test's BTF is good")
}

/// `None` if these are no types.
fn parse_of(types: &[Vec<u32>]) -> Option<Btf<'static>> {
    Btf::parse(bytes_of(types, STRINGS)).ok()
}

fn bytes_of(types: &[Vec<u32>], strings: &[u8]) -> Vec<u8> {
    let types: Vec<&[u32]> = types.iter().map(Vec::as_slice).collect();
    made_up_btf(&types, strings)
}

/// The kernel is the first types, and two modules have the others. `None` if they are no types without each other.
fn with_modules(types: &[Vec<u32>], cuts: [usize; 2]) -> Option<Btf<'static>> {
    let kernel = parse_of(&types[..cuts[0]])?;
    let first = bytes_of(&types[cuts[0]..cuts[1]], b"\0");
    let second = bytes_of(&types[cuts[1]..], b"\0");
    kernel
        .with_modules([("a", &first[..]), ("b", &second)])
        .ok()
}

/// The same BTF in the other byte order.
fn big_endian(types: &[Vec<u32>]) -> Btf<'static> {
    let words = types.iter().flatten().flat_map(|word| word.to_be_bytes());
    let words: Vec<u8> = words.collect();
    Btf::parse(assemble(ByteOrder::Big, &words, STRINGS)).expect("the test's BTF is good")
}

/// A store that can be changed.
#[derive(Clone)]
struct Store {
    names: (Vec<u8>, Vec<u32>),
    /// Nodes, lists, blocks and keys.
    words: [(Vec<u32>, Vec<u32>); 4],
    functions: Vec<[u32; 2]>,
    kernels: Vec<Kernel>,
}

impl Store {
    fn of(btfs: &[&Btf<'_>]) -> Self {
        let mut tables = Tables::new();
        for btf in btfs {
            tables.ingest(btf).expect("it is small");
        }
        let all = tables.definitions();
        let words = [all.nodes, all.lists, all.blocks, all.keys];
        Self {
            names: (all.names.items().to_vec(), all.names.ends().to_vec()),
            words: words.map(|table| (table.items().to_vec(), table.ends().to_vec())),
            functions: all.functions.to_vec(),
            kernels: all.kernels().collect(),
        }
    }

    /// `None` if a file could not have such tables.
    fn definitions(&self) -> Option<Definitions<'_>> {
        let names = Sequences::new(&self.names.0, &self.names.1);
        let words = self.words.each_ref();
        let words = words.map(|(items, ends)| Sequences::new(items, ends));
        let is_whole = names.is_whole() && words.iter().all(Sequences::is_whole);
        let [nodes, lists, blocks, keys] = words;
        is_whole.then(|| Definitions {
            names,
            nodes,
            lists,
            blocks,
            keys,
            functions: &self.functions,
            kernels: (&self.kernels[..]).into(),
        })
    }

    /// Compares each kernel of the store with its BTF.
    fn compare(&self, btfs: &[&Btf<'_>]) -> Result<(), String> {
        let all = self.definitions().ok_or("these are no tables")?;
        for (kernel, btf) in btfs.iter().enumerate() {
            all.compare(kernel, btf)
                .map_err(|difference| difference.to_string())?;
        }
        Ok(())
    }
}

/// Other words than this one: with one bit changed, and all that may be the number of something.
fn others(word: u32) -> impl Iterator<Item = u32> {
    let flipped = (0..32).map(move |bit| word ^ 1 << bit);
    let near = [word.wrapping_add(1), word.wrapping_sub(1), u32::MAX];
    let all = flipped.chain(near).chain(0..80);
    all.filter(move |&other| other != word)
}

/// Check that a BTF with every kind is equal to its definitions, in either byte order, and also beside another one's.
#[test]
fn equal() {
    let little = btf_of(&every_kind());
    let big = big_endian(&every_kind());
    let other = btf_of(&every_kind()[..2]);
    let btfs = [&little, &big, &other];
    let store = Store::of(&btfs);
    assert_eq!(store.compare(&btfs), Ok(()));
    assert!(store.kernels.iter().all(Kernel::is_covered));
    // The lists do not depend on the byte order.
    assert_eq!(store.kernels[0].lists, store.kernels[1].lists);
    for kernels in [[1, 0, 2], [0, 2, 1], [2, 1, 0]] {
        let exchanged = kernels.map(|kernel| btfs[kernel]);
        assert!(store.compare(&exchanged).is_err(), "{kernels:?}");
    }
}

/// Check that every change of a word in the store is found.
#[test]
fn changes_of_the_store() {
    // The second kernel lacks types of the first one, so there are definitions that only one has. The third one has them in
    // modules.
    let first = btf_of(&every_kind());
    let second = btf_of(&every_kind()[..20]);
    let third = with_modules(&every_kind(), [20, 25]).expect("they fit");
    let btfs = [&first, &second, &third];
    let mut store = Store::of(&btfs);
    let good = store.clone();
    assert_eq!(store.compare(&btfs), Ok(()));
    for table in 0..good.words.len() {
        let (items, ends) = &good.words[table];
        for (at, &word) in items.iter().enumerate() {
            for other in others(word) {
                store.words[table].0[at] = other;
                let what = format!("table {table}, word {at}: {other:#x} instead of {word:#x}");
                assert!(store.compare(&btfs).is_err(), "{what}");
            }
            store.words[table].0[at] = word;
        }
        for (at, &word) in ends.iter().enumerate() {
            for other in others(word) {
                store.words[table].1[at] = other;
                let what = format!("table {table}, end {at}: {other} instead of {word}");
                assert!(store.compare(&btfs).is_err(), "{what}");
            }
            store.words[table].1[at] = word;
        }
    }
    for (at, &function) in good.functions.iter().enumerate() {
        for part in [0, 1] {
            for other in others(function[part]) {
                store.functions[at][part] = other;
                let what = format!("function {at}, word {part}: {other:#x}");
                assert!(store.compare(&btfs).is_err(), "{what}");
            }
            store.functions[at] = function;
        }
    }
}

/// Check that every change of a name or of a kernel in the store is found.
#[test]
fn changes_of_names_and_kernels() {
    let first = btf_of(&every_kind());
    let second = btf_of(&every_kind()[..20]);
    let third = with_modules(&every_kind(), [20, 25]).expect("they fit");
    let btfs = [&first, &second, &third];
    let good = Store::of(&btfs);
    let found = |what: &str, change: &dyn Fn(&mut Store)| {
        let mut store = good.clone();
        change(&mut store);
        assert!(store.compare(&btfs).is_err(), "{what}");
    };
    for at in 0..good.names.0.len() {
        for byte in 0..=u8::MAX {
            if byte != good.names.0[at] {
                found("a name", &|store| store.names.0[at] = byte);
            }
        }
    }
    for (at, &end) in good.names.1.iter().enumerate() {
        for other in others(end) {
            found("the end of a name", &|store| store.names.1[at] = other);
        }
    }
    for n in 0..good.kernels.len() {
        let kernel = good.kernels[n];
        found("a digest", &|store| {
            store.kernels[n].digest = Digest::of(b"")
        });
        for other in others(kernel.types) {
            found("types", &|store| store.kernels[n].types = other);
            found("bytes", &|store| store.kernels[n].bytes = other.into());
        }
        for other in others(kernel.long) {
            found("long", &|store| store.kernels[n].long = other);
        }
        for other in others(kernel.lists) {
            found("lists", &|store| store.kernels[n].lists = other);
        }
        for other in others(kernel.functions) {
            found("functions", &|store| store.kernels[n].functions = other);
        }
        for other in others(kernel.function_count) {
            found("their number", &|store| {
                store.kernels[n].function_count = other
            });
        }
        found("the order", &|store| store.kernels.swap(0, 1));
        found("one kernel less", &|store| store.kernels.truncate(1));
    }
}

/// Check that every change of a word of a type is found, if ingest makes other definitions of it. A change that is not found has
/// no meaning: it gives the same definitions.
#[test]
fn changes_of_the_btf() {
    let types = every_kind();
    let mut unseen = 0;
    for ty in 0..types.len() {
        for at in 0..types[ty].len() {
            for other in others(types[ty][at]) {
                let mut changed = types.clone();
                changed[ty][at] = other;
                if let Some(changed) = parse_of(&changed) {
                    unseen += u32::from(are_alike(&btf_of(&types), &changed));
                }
            }
        }
    }
    // Names of parameters, and what only variables and tags say.
    assert!(unseen > 100, "{unseen}");
}

/// Whether a BTF has the definitions of another one, asked of ingest and of the comparison, which must agree.
fn are_alike(original: &Btf<'_>, changed: &Btf<'_>) -> bool {
    let mut tables = Tables::new();
    let known = tables.ingest(original).expect("it is small");
    let new = tables.ingest(changed).expect("it is small");
    let own = tables.definitions().compare(new, changed);
    assert_eq!(own, Ok(()), "its own definitions");
    if tables.kernels[known].lists == NO_LISTS {
        return false;
    }
    // The facts of the one, and the definitions of the other.
    let definitions = |kernel: &Kernel| {
        let functions = (kernel.functions, kernel.function_count);
        (kernel.lists, kernel.long, functions)
    };
    let is_same = definitions(&tables.kernels[new]) == definitions(&tables.kernels[known]);
    tables.kernels[new] = Kernel {
        lists: tables.kernels[known].lists,
        long: tables.kernels[known].long,
        functions: tables.kernels[known].functions,
        function_count: tables.kernels[known].function_count,
        ..tables.kernels[new]
    };
    let compared = tables.definitions().compare(new, changed);
    assert_eq!(compared.is_ok(), is_same, "{compared:?}");
    is_same
}

/// Types of all kinds with names out of a few. Most refer to types before them, and pointers to any type.
fn types() -> impl Strategy<Value = Vec<Vec<u32>>> {
    // The last one is the empty name, too.
    const NAMES: &[u32] = &[0, INT, LONG, FOO, FOO_X, A, B, BAR, F, F + 1];
    let ty = (
        1..20_u32,
        any::<bool>(),
        prop::sample::select(NAMES),
        prop::collection::vec((prop::sample::select(NAMES), any::<u32>(), 0..70_u32), 0..4),
        (any::<u32>(), any::<bool>()),
    );
    prop::collection::vec(ty, 1..24).prop_map(|types| {
        let count = types.len() as u32;
        let mut words = Vec::new();
        for (id, (kind, flag, name, parts, (to, wild))) in (1..).zip(types) {
            let kind = Kind::of_number(kind);
            // One in sixteen refers to any type, and may contain itself.
            let before = |to: u32| {
                if wild && to.is_multiple_of(16) {
                    to / 16 % (count + 1)
                } else {
                    to % id
                }
            };
            let is_proto = |words: &Vec<u32>| words[1] >> 24 == Kind::FuncProto as u32;
            match words.iter().rposition(is_proto) {
                Some(proto) if kind == Kind::Func => {
                    words.push(vec![name, info(kind, 1), proto as u32 + 1]);
                }
                _ => words.push(record(kind, flag, name, &parts, to, before, count)),
            }
        }
        words
    })
}

fn record(
    kind: Kind,
    flag: bool,
    name: u32,
    parts: &[(u32, u32, u32)],
    to: u32,
    before: impl Fn(u32) -> u32,
    count: u32,
) -> Vec<u32> {
    let len = parts.len() as u32;
    let head = |name, len, third| vec![name, u32::from(flag) << 31 | info(kind, len), third];
    let with = |mut head: Vec<u32>, rest: &mut dyn Iterator<Item = [u32; 3]>, each: usize| {
        head.extend(rest.flat_map(|part| part.into_iter().take(each)));
        head
    };
    let mut parts = parts
        .iter()
        .map(|&(name, to, value)| (name, before(to), value));
    match kind {
        Kind::Int => [head(name, 0, to % 9), vec![to & 0x0fff_ffff]].concat(),
        Kind::Ptr => head(0, 0, to % (count + 1)),
        Kind::Array => [head(0, 0, 0), vec![before(to), before(to / 3), to % 5]].concat(),
        Kind::Struct | Kind::Union => {
            let mut members = parts.map(|(name, to, at)| [name, to, at]);
            with(head(name, len, to % 99), &mut members, 3)
        }
        Kind::Enum => {
            let mut enumerators = parts.map(|(name, _, value)| [name, value, 0]);
            with(head(name, len, 4), &mut enumerators, 2)
        }
        Kind::Enum64 => {
            let mut enumerators = parts.map(|(name, to, value)| [name, value, to]);
            with(head(name, len, 8), &mut enumerators, 3)
        }
        Kind::FuncProto => {
            let mut params = parts.map(|(name, to, _)| [name, to, 0]);
            with(head(0, len, before(to)), &mut params, 2)
        }
        Kind::Fwd => head(name, 0, 0),
        Kind::Float => head(name, 0, 8),
        Kind::Typedef => head(name, 0, before(to)),
        Kind::Volatile | Kind::Const | Kind::Restrict => head(0, 0, before(to)),
        Kind::TypeTag => head(name, 0, before(to)),
        Kind::DeclTag => [head(A, 0, before(to)), vec![to % 3]].concat(),
        Kind::Var => [head(A, 0, before(to)), vec![0]].concat(),
        Kind::Datasec => {
            let mut variables = parts.by_ref().map(|(_, to, at)| [to, at, 4]);
            with(head(B, len, 4), &mut variables, 3)
        }
        // A function must have a prototype. If there is none yet, a float is as good.
        Kind::Func | Kind::Void | Kind::Unknown => vec![name, info(Kind::Float, 0), 4],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Check that random BTFs are equal to their definitions, and that a random change of a word is found where ingest makes
    /// other definitions of it.
    #[test]
    fn random(types in types(), ty in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), to in 0..40_u32, bit in 0..64_u32) {
        let mut changed = types.clone();
        let ty = ty.get_mut(&mut changed);
        let word = at.get_mut(ty);
        *word = if bit < 32 { *word ^ 1 << bit } else { to };
        if let Some(changed) = parse_of(&changed) {
            are_alike(&btf_of(&types), &changed);
        }
    }

    /// Check the same if some of the types are those of modules.
    #[test]
    fn random_modules(types in types(), cuts in any::<[prop::sample::Index; 2]>(), ty in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), to in 0..40_u32) {
        let mut cuts = cuts.map(|cut| cut.index(types.len()));
        cuts.sort_unstable();
        let mut changed = types.clone();
        *at.get_mut(&mut ty.get_mut(&mut changed)[..]) = to;
        if let (Some(types), Some(changed)) = (with_modules(&types, cuts), with_modules(&changed, cuts)) {
            are_alike(&types, &changed);
        }
    }
}

/// Check that random BTFs are mostly covered: otherwise the test above would see little.
#[test]
fn random_types_are_covered() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut covered = 0;
    for _ in 0..200 {
        let types = types().new_tree(&mut runner).expect("it needs no retries");
        let btf = btf_of(&types.current());
        covered += u32::from(Store::of(&[&btf]).kernels[0].is_covered());
    }
    assert!((100..200).contains(&covered), "{covered} of 200");
}
