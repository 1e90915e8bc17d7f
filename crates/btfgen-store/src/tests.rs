//! Made-up kernels on which ingest, lists and synthesis could go wrong.

use btfgen_btf::testing::made_up_btf;
use btfgen_btf::{Btf, ByteOrder, Kind, Type, TypeId, assemble};

use crate::definitions::{Candidate, Definition, Definitions};
use crate::error::Error;
use crate::functions::Function;
use crate::node::is_root;
use crate::sequences::Sequences;
use crate::synthesize::Synthesized;
use crate::tables::Tables;

/// Names by their offsets.
const STRINGS: &[u8] = b"\0foo\0foo___x\0bar\0m\0n\0long unsigned int\0int\0";
const FOO: u32 = 1;
const FOO_X: u32 = 5;
const BAR: u32 = 13;
const M: u32 = 17;
const N: u32 = 19;
const LONG: u32 = 21;
const INT: u32 = 39;

const A_LONG: [u32; 4] = [LONG, 1 << 24, 8, 64];
const AN_INT: [u32; 4] = [INT, 1 << 24, 4, 1 << 24 | 32];

fn info(kind: Kind, parts: u32) -> u32 {
    (kind as u32) << 24 | parts
}

/// `struct NAME { TYPE m; }`
fn holder(name: u32, ty: u32) -> Vec<u32> {
    vec![name, info(Kind::Struct, 1), 8, M, ty, 0]
}

/// A kind with one reference: pointer, modifier or typedef.
fn alias(kind: Kind, name: u32, to: u32) -> Vec<u32> {
    vec![name, info(kind, 0), to]
}

fn words(types: &[Vec<u32>]) -> Vec<u8> {
    let types: Vec<&[u32]> = types.iter().map(Vec::as_slice).collect();
    made_up_btf(&types, STRINGS)
}

/// The tables of one kernel, which its definitions equal.
fn ingested(btf: &[u8]) -> Tables {
    let btf = Btf::parse(btf).expect("the test's BTF is good");
    let mut tables = Tables::new();
    let kernel = tables.ingest(&btf).expect("it is small");
    assert_eq!(tables.definitions().compare(kernel, &btf), Ok(()));
    tables
}

fn is_covered(types: &[Vec<u32>]) -> bool {
    ingested(&words(types)).kernels[0].is_covered()
}

/// The candidates of a key of the first kernel.
fn runs<'t>(tables: &'t Tables, kind: Kind, name: &[u8]) -> Vec<Candidate<'t>> {
    let all = tables.definitions();
    let key = all.keys(&[(kind, name)]).unwrap()[0];
    let list = all.list(0, key).expect("the tables are good");
    all.candidates(list).expect("the tables are good")
}

fn candidates(tables: &Tables, kind: Kind, name: &[u8]) -> Vec<Definition> {
    let runs = runs(tables, kind, name);
    let repeated = runs
        .into_iter()
        .flat_map(|run| vec![run.definition; run.count as usize]);
    repeated.collect()
}

/// A BTF with the candidates of one key.
fn synthesized(tables: &Tables, kind: Kind, name: &[u8]) -> Synthesized {
    let roots = [candidates(tables, kind, name)];
    let machine = tables.kernels[0].machine();
    let made = tables.definitions().synthesize(machine, &roots);
    made.expect("the tables are good")
}

fn ty<'b>(btf: &'b Btf<'_>, id: TypeId) -> Type<'b> {
    btf.type_by_id(id).expect("it was written")
}

/// Check that a BTF is not covered if a named type contains itself by value, whatever is between.
#[test]
fn types_in_themselves() {
    for cycle in [
        vec![holder(FOO, 1)],
        vec![alias(Kind::Typedef, FOO, 1)],
        vec![holder(FOO, 2), alias(Kind::Const, 0, 1)],
        vec![holder(FOO, 2), vec![0, info(Kind::Array, 0), 0, 1, 1, 2]],
        vec![holder(FOO, 2), vec![0, info(Kind::Union, 1), 8, M, 1, 0]],
        vec![
            alias(Kind::Typedef, FOO, 2),
            vec![0, info(Kind::FuncProto, 1), 0, 0, 1],
        ],
        // Not by value, but without a struct between that a reference could stand for.
        vec![
            alias(Kind::Typedef, FOO, 2),
            alias(Kind::Ptr, 0, 3),
            vec![0, info(Kind::FuncProto, 1), 0, 0, 1],
        ],
        // A named type refers to a cycle of anonymous ones.
        vec![
            holder(FOO, 2),
            alias(Kind::Const, 0, 3),
            alias(Kind::Volatile, 0, 2),
        ],
        // The index of an array.
        vec![holder(FOO, 2), vec![0, info(Kind::Array, 0), 0, 0, 1, 2]],
    ] {
        assert!(!is_covered(&cycle), "{cycle:?}");
    }
    let behind_pointer = vec![holder(FOO, 2), alias(Kind::Ptr, 0, 1)];
    assert!(is_covered(&behind_pointer));
    // Nothing that is looked up has the cycle in it.
    assert!(is_covered(&[
        alias(Kind::Const, 0, 2),
        alias(Kind::Volatile, 0, 1),
    ]));
}

/// Check that 128 types in each other are covered and that 129 are not, in either order of the ids: from the inner types on, each
/// type is known when the next one is met.
#[test]
fn deep_types() {
    let chain = |len: u32, ascending: bool| -> Vec<Vec<u32>> {
        let mut types: Vec<Vec<u32>> = (1..=len)
            .map(|n| match (n, ascending) {
                (1, true) => AN_INT.to_vec(),
                (n, true) => holder(FOO, n - 1),
                (n, false) if n == len => AN_INT.to_vec(),
                (n, false) => holder(FOO, n + 1),
            })
            .collect();
        types.push(alias(Kind::Ptr, 0, 1));
        types
    };
    for ascending in [true, false] {
        for (len, covered) in [(127, true), (128, true), (129, false), (5000, false)] {
            let types = chain(len, ascending);
            assert_eq!(is_covered(&types), covered, "{len} {ascending}");
        }
    }
    // Typedefs, and a pointer to a struct.
    for (typedefs, covered) in [(126, true), (128, false)] {
        let chain = (1..=typedefs).map(|n| alias(Kind::Typedef, FOO, n + 1));
        let mut types: Vec<_> = chain.collect();
        types.push(alias(Kind::Ptr, 0, typedefs + 2));
        types.push(holder(BAR, typedefs + 3));
        types.push(AN_INT.to_vec());
        assert_eq!(is_covered(&types), covered, "{typedefs}");
    }
}

/// Check that a type of a kind that no field has makes a BTF not covered only if a named type has it in it.
#[test]
fn kinds_of_no_field() {
    for outside in [
        vec![N, info(Kind::Var, 0), 2, 0],
        vec![N, info(Kind::Datasec, 0), 0],
        vec![N, info(Kind::DeclTag, 0), 2, 0],
        // LOC_PROTO, which is newer.
        vec![N, 21 << 24 | 1, 0, 2],
        // Names of kinds that have none.
        alias(Kind::Ptr, N, 2),
        vec![N, info(Kind::Array, 0), 0, 2, 2, 1],
        vec![N, info(Kind::FuncProto, 0), 0],
    ] {
        let inside = vec![holder(FOO, 3), AN_INT.to_vec(), outside.clone()];
        assert!(!is_covered(&inside), "{outside:?}");
        let beside = vec![holder(FOO, 2), AN_INT.to_vec(), outside.clone()];
        assert!(is_covered(&beside), "{outside:?}");
        // A reference says nothing of its members.
        let behind = vec![
            holder(BAR, 4),
            AN_INT.to_vec(),
            outside.clone(),
            alias(Kind::Ptr, 0, 5),
            vec![0, info(Kind::Struct, 1), 8, M, 3, 0],
        ];
        assert!(is_covered(&behind), "{outside:?}");
    }
}

/// Check that 65,535 members are covered, and not one more.
#[test]
fn many_members() {
    for (count, covered) in [(65_535, true), (65_536, false)] {
        let mut many = vec![FOO, info(Kind::Enum, count), 4];
        many.extend((0..count).flat_map(|value| [M, value]));
        assert_eq!(is_covered(&[many]), covered, "{count}");
    }
}

/// Check that enums of both widths and flavours are candidates of one key, in the order of their ids, and that kinds are not.
#[test]
fn candidates_of_one_key() {
    let enum_of = |name| vec![name, info(Kind::Enum, 1), 4, M, 1];
    let wide = vec![FOO_X, info(Kind::Enum64, 1), 8, M, 1, 0];
    let fwd = vec![FOO, info(Kind::Fwd, 0), 0];
    let tables = ingested(&words(&[
        wide,
        enum_of(FOO),
        fwd,
        enum_of(BAR),
        holder(FOO, 4),
    ]));
    let made = synthesized(&tables, Kind::Enum, b"foo");
    let btf = Btf::parse(&made.btf).expect("it is BTF");
    let kinds = made.candidates[0].iter().map(|&id| ty(&btf, id).kind());
    assert_eq!(kinds.collect::<Vec<_>>(), [Kind::Enum64, Kind::Enum]);
    let names = made.candidates[0].iter().map(|&id| ty(&btf, id).name());
    assert_eq!(names.collect::<Vec<_>>(), [&b"foo___x"[..], b"foo"]);
    assert_eq!(candidates(&tables, Kind::Struct, b"foo").len(), 1);
    assert_eq!(candidates(&tables, Kind::Fwd, b"foo").len(), 1);
    assert_eq!(candidates(&tables, Kind::Enum, b"foo___x").len(), 0);
    assert_eq!(candidates(&tables, Kind::Enum64, b"foo").len(), 0);
}

/// Check that a candidate that comes again after another one becomes a type of its own, so that the order stays.
#[test]
fn a_candidate_that_comes_again() {
    let (one, two) = (holder(FOO, 1), holder(FOO_X, 1));
    let tables = ingested(&words(&[
        AN_INT.to_vec(),
        one.clone(),
        two.clone(),
        one.clone(),
        one,
        two,
    ]));
    let counts = runs(&tables, Kind::Struct, b"foo");
    let counts: Vec<u32> = counts.into_iter().map(|run| run.count).collect();
    assert_eq!(counts, [1, 1, 2, 1]);
    let made = synthesized(&tables, Kind::Struct, b"foo");
    let btf = Btf::parse(&made.btf).expect("it is BTF");
    let mut ids = made.candidates[0].clone();
    let names: Vec<_> = ids.iter().map(|&id| ty(&btf, id).name()).collect();
    assert_eq!(names, [&b"foo"[..], b"foo___x", b"foo", b"foo", b"foo___x"]);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

/// Check that 100,000 equal types are one definition, and become 100,000 types again.
#[test]
fn many_equal_types() {
    let mut types = vec![AN_INT.to_vec()];
    types.resize(100_001, holder(FOO, 1));
    let tables = ingested(&words(&types));
    assert_eq!(runs(&tables, Kind::Struct, b"foo")[0].count, 100_000);
    let made = synthesized(&tables, Kind::Struct, b"foo");
    assert_eq!(
        Btf::parse(&made.btf).expect("it is BTF").type_count(),
        100_002
    );
}

/// Check that a struct that is only behind pointers is no candidate of the synthesized BTF, but a struct with its name.
#[test]
fn structs_behind_pointers() {
    let types = [
        holder(FOO, 2),
        alias(Kind::Ptr, 0, 3),
        holder(BAR, 4),
        AN_INT.to_vec(),
    ];
    let tables = ingested(&words(&types));
    let made = synthesized(&tables, Kind::Struct, b"foo");
    let btf = Btf::parse(&made.btf).expect("it is BTF");
    let member = ty(&btf, made.candidates[0][0])
        .member(0)
        .expect("it has one");
    let pointer = ty(&btf, member.ty);
    let bar = ty(&btf, pointer.referenced().expect("it is a pointer"));
    assert_eq!(
        (bar.kind(), bar.name(), bar.len()),
        (Kind::Struct, &b"bar"[..], 0)
    );
    assert_eq!((made.candidates[0].len(), btf.type_count()), (1, 4));
}

/// Check that a reference becomes a definition with its kind and name, if there is one: the first.
#[test]
fn references_choose_the_first() {
    let types = [
        alias(Kind::Ptr, 0, 3),
        vec![BAR, info(Kind::Union, 0), 0],
        holder(BAR, 1),
        vec![BAR, info(Kind::Struct, 2), 8, M, 1, 0, N, 1, 0],
    ];
    let tables = ingested(&words(&types));
    let roots = [
        candidates(&tables, Kind::Union, b"bar"),
        candidates(&tables, Kind::Struct, b"bar"),
    ];
    let machine = tables.kernels[0].machine();
    let made = tables.definitions().synthesize(machine, &roots);
    let made = made.expect("the tables are good");
    let btf = Btf::parse(&made.btf).expect("it is BTF");
    let pointers = btf.types().filter(|ty| ty.kind() == Kind::Ptr);
    let targets: Vec<_> = pointers.filter_map(|ty| ty.referenced()).collect();
    assert_eq!(targets, [made.candidates[1][0]]);
}

/// Check that a pointer to an anonymous struct does not become a pointer to another anonymous struct.
#[test]
fn anonymous_structs_behind_pointers() {
    let types = [
        vec![FOO, info(Kind::Struct, 2), 16, M, 2, 0, N, 3, 64],
        vec![0, info(Kind::Struct, 1), 8, M, 5, 0],
        alias(Kind::Ptr, 0, 4),
        vec![0, info(Kind::Struct, 1), 8, N, 5, 0],
        AN_INT.to_vec(),
    ];
    let tables = ingested(&words(&types));
    let made = synthesized(&tables, Kind::Struct, b"foo");
    let btf = Btf::parse(&made.btf).expect("it is BTF");
    let pointer = ty(&btf, made.candidates[0][0])
        .member(1)
        .expect("it has two");
    let target = ty(&btf, pointer.ty).referenced().expect("it is a pointer");
    assert_eq!(ty(&btf, target).len(), 0);
}

/// Check that a kernel's machine is that of its BTF: byte order, and the first `long` in any spelling.
#[test]
fn machines() {
    let short = [LONG, 1 << 24, 2, 16];
    let narrow = [LONG, 1 << 24, 4, 32];
    for (types, size) in [
        (vec![holder(FOO, 2), AN_INT.to_vec()], None),
        (vec![holder(FOO, 2), short.to_vec()], None),
        (
            vec![holder(FOO, 2), short.to_vec(), A_LONG.to_vec()],
            Some(8),
        ),
        (
            vec![holder(FOO, 2), narrow.to_vec(), A_LONG.to_vec()],
            Some(4),
        ),
    ] {
        let flat = types.iter().flatten();
        let big: Vec<u8> = flat.flat_map(|&word| ByteOrder::Big.bytes(word)).collect();
        let big = assemble(ByteOrder::Big, &big, STRINGS);
        let orders = [ByteOrder::Little, ByteOrder::Big];
        for (bytes, order) in [words(&types), big].iter().zip(orders) {
            let tables = ingested(bytes);
            assert_eq!(tables.kernels[0].byte_order(), order);
            let made = synthesized(&tables, Kind::Struct, b"foo");
            let btf = Btf::parse(&made.btf).expect("it is BTF");
            assert_eq!((btf.byte_order(), btf.pointer_size()), (order, size));
            let foo = ty(&btf, made.candidates[0][0]);
            assert_eq!((foo.name(), foo.size()), (&b"foo"[..], Some(8)));
        }
    }
}

/// Check that a kernel that comes again is the same kernel, that one which is not covered has no lists, and that one without
/// named types is covered.
#[test]
fn kernels() {
    let mut tables = Tables::new();
    let good = words(&[AN_INT.to_vec()]);
    let damaged = words(&[holder(FOO, 1), A_LONG.to_vec()]);
    let empty = words(&[]);
    for (n, bytes) in [&good, &damaged, &good, &empty].into_iter().enumerate() {
        let btf = Btf::parse(bytes).expect("the test's BTF is good");
        let number = tables.ingest(&btf).expect("it is small");
        assert_eq!(number, [0, 1, 0, 2][n]);
    }
    let all = tables.definitions();
    let covered: Vec<bool> = all.kernels().map(|kernel| kernel.is_covered()).collect();
    assert_eq!(covered, [true, false, true]);
    let key = all.keys(&[(Kind::Int, b"int")]).unwrap()[0];
    let none = all.list(2, key).expect("the tables are good");
    assert_eq!(all.candidates(none).expect("the tables are good"), []);
    assert_eq!(tables.kernels[1].long, 0);
}

/// Check that a kernel whose definitions are taken away is like one that is not covered, and stays so.
#[test]
fn kernels_without_definitions() {
    let bytes = words(&[A_LONG.to_vec(), holder(FOO, 1)]);
    let btf = Btf::parse(&bytes).expect("the test's BTF is good");
    let mut tables = ingested(&bytes);
    tables.uncover(0);
    assert_eq!(tables.ingest(&btf).expect("it is small"), 0);
    assert!(!tables.kernels[0].is_covered());
    assert_eq!(tables.definitions().compare(0, &btf), Ok(()));
}

/// Check that tables go on with what is stored as if they had never stopped.
#[test]
fn continued_tables() {
    let proto = || vec![0, info(Kind::FuncProto, 0), 0];
    let function = |name, proto| alias(Kind::Func, name, proto);
    let first = words(&[AN_INT.to_vec(), holder(FOO, 1), proto(), function(FOO, 3)]);
    let mut second = vec![A_LONG.to_vec(), holder(FOO, 1), holder(FOO_X, 1), proto()];
    second.extend([FOO, BAR].map(|name| function(name, 4)));
    let second = words(&second);
    let mut at_once = ingested(&first);
    let mut continued = Tables::from(&ingested(&first).definitions());
    for tables in [&mut at_once, &mut continued] {
        let btf = Btf::parse(&second).expect("the test's BTF is good");
        let number = tables.ingest(&btf).expect("it is small");
        assert_eq!(tables.definitions().compare(number, &btf), Ok(()));
    }
    let [a, b] = [&at_once, &continued].map(Tables::definitions);
    assert_eq!(a.nodes.items(), b.nodes.items());
    assert_eq!(a.names.items(), b.names.items());
    assert_eq!(a.blocks.items(), b.blocks.items());
    assert_eq!(a.functions, b.functions);
    assert!(a.kernels().eq(b.kernels()));
    assert_eq!(at_once.heights, continued.heights);
}

/// The split BTF of a module that continues a kernel with three types.
fn module(types: &[Vec<u32>]) -> Vec<u8> {
    let types: Vec<&[u32]> = types.iter().map(Vec::as_slice).collect();
    made_up_btf(&types, b"\0")
}

/// A kernel with a module.
fn module_behind(kernel: &Btf<'_>, types: &[Vec<u32>]) -> Btf<'static> {
    let all = kernel.with_modules([("first", &module(types)[..])]);
    all.expect("the module fits")
}

/// Check that a module's type is a candidate, with the module's name, only where the kernel has none of its kind and name,
/// whatever the flavours; that a list has the types of all modules; and that nothing of it is lost in a store of some kernels.
#[test]
fn types_of_modules() {
    let kernel = words(&[AN_INT.to_vec(), holder(FOO, 1), A_LONG.to_vec()]);
    let kernel = Btf::parse(&kernel).expect("the test's BTF is good");
    let first = module(&[holder(FOO_X, 3), holder(BAR, 3), holder(BAR, 4)]);
    let second = module(&[holder(BAR, 3), alias(Kind::Typedef, FOO, 4)]);
    let all = kernel.with_modules([("first", &first[..]), ("second", &second)]);
    let all = all.expect("the modules fit");
    let mut tables = Tables::new();
    let number = tables.ingest(&all).expect("it is small");
    let alone = tables.ingest(&kernel).expect("it is small");
    let some = Tables::of_some(&tables.definitions(), |kernel| kernel == number);
    let (some, _) = some.expect("the tables are good");
    for tables in [&tables, &some] {
        assert_eq!(tables.definitions().compare(number, &all), Ok(()));
        let modules = |kind, name: &[u8]| -> Vec<Option<&[u8]>> {
            let runs = runs(tables, kind, name).into_iter();
            runs.map(|run| run.module).collect()
        };
        let [first, second] = [Some(&b"first"[..]), Some(&b"second"[..])];
        assert_eq!(modules(Kind::Struct, b"foo"), [None]);
        assert_eq!(modules(Kind::Struct, b"bar"), [first, first, second]);
        assert_eq!(modules(Kind::Typedef, b"foo"), [second]);
        let bars = candidates(tables, Kind::Struct, b"bar");
        assert_eq!(bars[0], bars[2], "the modules share the definition");
        let made = synthesized(tables, Kind::Struct, b"bar");
        assert_eq!(made.candidates[0].len(), 3);
    }
    let definitions = tables.definitions();
    let bar = definitions.keys(&[(Kind::Struct, b"bar")]).unwrap()[0];
    assert_eq!(definitions.list(alone, bar).unwrap(), crate::List::NONE);
    assert!(definitions.compare(alone, &all).is_err());
}

/// What a kernel says of functions: number of parameters, whether they return something, whether they are variadic, and module.
fn functions(tables: &Tables, kernel: usize, name: &[u8]) -> Vec<String> {
    let all = tables.definitions();
    let named = all.functions_named(&[name]).expect("the tables are good");
    let has = |function: &&Function<'_>| all.has_function(kernel, function).expect("they are good");
    let functions = named[0].iter().filter(has);
    let told = functions.map(|f| {
        let module = f.module.map(String::from_utf8_lossy);
        format!(
            "{} {} {} {module:?}",
            f.parameters, f.returns, f.is_variadic
        )
    });
    told.collect()
}

/// Check that functions have the parameters of their prototypes, that all functions of one name are kept, and that nothing of them
/// is lost in a store of some kernels.
#[test]
fn functions_of_kernels() {
    let proto = |result, params: &[u32]| -> Vec<u32> {
        let params = params.iter().flat_map(|&ty| [M, ty]);
        let head = vec![
            0,
            info(Kind::FuncProto, params.clone().count() as u32 / 2),
            result,
        ];
        head.into_iter().chain(params).collect()
    };
    let first = words(&[
        AN_INT.to_vec(),
        proto(0, &[]),
        proto(1, &[1, 1]),
        proto(0, &[1, 0]),
        alias(Kind::Func, FOO, 2),
        alias(Kind::Func, FOO, 3),
        alias(Kind::Func, FOO, 3),
        alias(Kind::Func, FOO_X, 4),
        alias(Kind::Func, 0, 4),
    ]);
    let second = words(&[
        AN_INT.to_vec(),
        proto(1, &[1, 1]),
        alias(Kind::Func, FOO, 2),
    ]);
    let [first, second] = [&first, &second].map(|bytes| Btf::parse(bytes).expect("it is good"));
    let module = module_behind(&second, &[proto(0, &[1]), alias(Kind::Func, FOO, 4)]);
    let mut tables = Tables::new();
    for btf in [&first, &second, &module] {
        let number = tables.ingest(btf).expect("it is small");
        assert_eq!(tables.definitions().compare(number, btf), Ok(()));
    }
    let (some, numbers) = Tables::of_some(&tables.definitions(), |kernel| kernel != 0).unwrap();
    assert_eq!(numbers, [None, Some(0), Some(1)]);
    let of_second = "2 true false None";
    let of_module = r#"1 false false Some("first")"#;
    assert_eq!(
        functions(&tables, 0, b"foo"),
        ["0 false false None", of_second]
    );
    assert_eq!(functions(&tables, 0, b"foo___x"), ["1 false true None"]);
    for (tables, second) in [(&tables, 1), (&some, 0)] {
        assert_eq!(functions(tables, second, b"foo"), [of_second]);
        assert_eq!(
            functions(tables, second + 1, b"foo"),
            [of_second, of_module]
        );
        assert_eq!(functions(tables, second, b"foo___x"), [""; 0]);
        let counts = tables.kernels[second..]
            .iter()
            .map(|kernel| kernel.function_count);
        assert_eq!(counts.collect::<Vec<_>>(), [1, 2]);
    }
    assert_eq!(tables.kernels[0].function_count, 3);
    assert_eq!(some.functions.all().len(), 2);
}

/// Check that every kind that is looked up has a key, and no other kind.
#[test]
fn kinds_with_keys() {
    for number in 1..20 {
        let kind = Kind::of_number(number);
        let mut named = vec![FOO, info(kind, 0), 2, 0, 0, 0];
        named.truncate(match kind {
            Kind::Array => 6,
            Kind::Int | Kind::Var | Kind::DeclTag => 4,
            _ => 3,
        });
        if kind == Kind::Array {
            named[3..].copy_from_slice(&[2, 2, 1]);
        }
        let proto = vec![0, info(Kind::FuncProto, 0), 0];
        let tables = ingested(&words(&[named, proto]));
        assert_eq!(
            tables.keys.view().len(),
            u32::from(is_root(kind)),
            "{kind:?}"
        );
    }
}

/// Check that definitions that cannot be are damage: they do not end the process, and are no BTF.
#[test]
fn damaged_definitions() {
    let reference = vec![1, info(Kind::Struct, 0) | 1 << 23, 0];
    let deep = (1..=1_000_000).map(|n| vec![0, info(Kind::Const, 0), n - 1]);
    let damaged: [Vec<Vec<u32>>; 5] = [
        deep.collect(),
        vec![vec![1, info(Kind::Typedef, 0), 1]],
        vec![vec![1, info(Kind::Typedef, 0), 7]],
        vec![vec![9, info(Kind::Typedef, 0), 0]],
        vec![reference],
    ];
    for nodes in damaged {
        let last = nodes.len() as u32;
        let nodes: Vec<Vec<u32>> = [vec![vec![0; 3]], nodes].concat();
        let items = nodes.concat();
        let ends: Vec<u32> = (1..).map(|n| 3 * n).take(nodes.len()).collect();
        let tables = Tables::new();
        let definitions = Definitions {
            names: Sequences::new(b"foo", &[0, 3]),
            nodes: Sequences::new(&items, &ends),
            ..tables.definitions()
        };
        let machine = ingested(&words(&[])).kernels[0].machine();
        let made = definitions.synthesize(machine, &[vec![Definition(last)]]);
        assert!(
            matches!(made, Err(Error::Damaged(_))),
            "{last} {:?}",
            nodes[1]
        );
    }
}
