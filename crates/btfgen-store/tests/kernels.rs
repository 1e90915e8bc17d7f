//! Definitions of real kernels.

use std::collections::{BTreeMap, HashSet};

use btf_rs::{BtfType, Type};
use btfgen_btf::{Btf, Kind, TypeId};
use btfgen_object::essential_name;
use btfgen_store::{Definition, Tables, is_root};
use btfgen_testkit::{sample_btf, sample_kernels};

fn btfs() -> Vec<(String, Vec<u8>)> {
    let read = |kernel: String| {
        let bytes = std::fs::read(sample_btf(&kernel)).expect("it is there");
        (kernel, bytes)
    };
    sample_kernels().into_iter().map(read).collect()
}

/// Check that kernels that share definitions are each equal to their own BTF, and to no other.
#[test]
fn kernels_equal_their_btfs() {
    let btfs = btfs();
    assert!(btfs.len() > 1);
    let mut tables = Tables::new();
    let ingest = |(_, bytes): &(String, Vec<u8>)| {
        let btf = Btf::parse(bytes).expect("good");
        tables.ingest(&btf).expect("there are few kernels")
    };
    let numbers: Vec<usize> = btfs.iter().map(ingest).collect();
    let definitions = tables.definitions();
    for (kernel, bytes) in &btfs {
        let btf = Btf::parse(bytes).expect("good");
        for (&number, (other, _)) in numbers.iter().zip(&btfs) {
            let compared = definitions.compare(number, &btf);
            assert_eq!(compared.is_ok(), kernel == other, "{other}: {compared:?}");
        }
    }
    assert!(definitions.kernels().all(|kernel| kernel.is_covered()));
}

/// Check that the functions are those that another reader, btf-rs, reads, with the number of their parameters.
#[test]
fn functions_are_the_kernels() {
    let mut tables = Tables::new();
    let mut kernels = Vec::new();
    for (name, bytes) in btfs() {
        let btf = Btf::parse(&bytes).expect("good");
        let number = tables.ingest(&btf).expect("there are few kernels");
        let btf = btf_rs::Btf::from_bytes(&bytes).expect("good");
        let mut all: BTreeMap<String, HashSet<(usize, bool, bool)>> = BTreeMap::new();
        let types = (1..).map_while(|id| btf.resolve_type_by_id(id).ok());
        for ty in types {
            let Type::Func(function) = ty else { continue };
            let proto = btf.resolve_chained_type(&function).expect("it has one");
            let Type::FuncProto(proto) = proto else {
                panic!("not a prototype")
            };
            let variadic = proto.parameters.last().is_some_and(|p| p.is_variadic());
            let parameters = proto.parameters.len() - usize::from(variadic);
            let facts = (parameters, proto.return_type_id() != 0, variadic);
            let name = btf.resolve_name(&function).expect("it has a name");
            all.entry(name).or_default().insert(facts);
        }
        kernels.push((name, number, all));
    }
    let definitions = tables.definitions();
    assert!(
        definitions
            .function_names()
            .any(|name| name == b"tcp_v4_connect")
    );
    for (kernel, number, all) in &kernels {
        let names: Vec<&[u8]> = all.keys().map(|name| name.as_bytes()).collect();
        let count: usize = all.values().map(HashSet::len).sum();
        assert!(count > 10_000, "{kernel}");
        let functions = definitions.functions_named(&names).expect("good");
        let mut found = 0;
        for (functions, (name, expected)) in functions.iter().zip(all) {
            let has = |f: &&_| definitions.has_function(*number, f).expect("good");
            let functions = functions.iter().filter(has);
            let facts = functions.map(|f| (f.parameters as usize, f.returns, f.is_variadic));
            let facts: HashSet<(usize, bool, bool)> = facts.collect();
            assert_eq!(facts, *expected, "{kernel} {name}");
            found += facts.len();
        }
        assert_eq!(found, count, "{kernel}");
        let known = definitions.kernel(*number).expect("it is there");
        assert_eq!(known.function_count as usize, count, "{kernel}");
    }
}

/// The ids of the candidates of each key of a kernel.
fn candidates(btf: &Btf<'_>) -> BTreeMap<(Kind, Vec<u8>), Vec<TypeId>> {
    let mut by_key: BTreeMap<_, Vec<TypeId>> = BTreeMap::new();
    for ty in btf.types_of(is_root) {
        let kind = match ty.kind() {
            Kind::Enum64 => Kind::Enum,
            kind => kind,
        };
        if !ty.name().is_empty() {
            let key = (kind, essential_name(ty.name()).to_vec());
            by_key.entry(key).or_default().push(ty.id());
        }
    }
    by_key
}

/// Check that another reader, btf-rs, reads the same from a synthesized BTF as from the full one, for one name in a hundred and
/// for those of which a kernel has the most candidates.
#[test]
fn synthesized_types_are_the_kernels() {
    for (kernel, bytes) in btfs() {
        let btf = Btf::parse(&bytes).expect("good");
        let mut tables = Tables::new();
        let number = tables.ingest(&btf).expect("it is small");
        let definitions = tables.definitions();
        let machine = definitions.kernels().next().expect("it is there").machine();
        let all = candidates(&btf);
        let most = all.values().map(Vec::len).max();
        let chosen = all.iter().enumerate();
        let chosen = chosen.filter(|(n, (_, ids))| n % 100 == 0 || Some(ids.len()) == most);
        let chosen: Vec<_> = chosen.map(|(_, key)| key).collect();
        let keys: Vec<(Kind, &[u8])> = chosen.iter().map(|((k, n), _)| (*k, &n[..])).collect();
        let roots: Vec<Vec<Definition>> = definitions
            .keys(&keys)
            .expect("the store is good")
            .into_iter()
            .map(|key| {
                let list = definitions.list(number, key).expect("the store is good");
                let candidates = definitions.candidates(list).expect("the store is good");
                let candidates = candidates.into_iter();
                candidates
                    .flat_map(|run| vec![run.definition; run.count as usize])
                    .collect()
            })
            .collect();
        let full = btf_rs::Btf::from_bytes(&bytes).expect("good");
        // All of them together, so that references find definitions, and some of them alone.
        let alone = roots
            .iter()
            .zip(&chosen)
            .step_by(10)
            .map(|(root, key)| (vec![root.clone()], vec![*key]));
        for (roots, chosen) in alone.chain([(roots.clone(), chosen.clone())]) {
            let made = definitions
                .synthesize(machine, &roots)
                .expect("the store is good");
            let small = Btf::parse(&made.btf).expect("what we write is BTF");
            assert_eq!(small.pointer_size(), btf.pointer_size(), "{kernel}");
            assert_eq!(small.byte_order(), btf.byte_order(), "{kernel}");
            let small = btf_rs::Btf::from_bytes(&made.btf).expect("what we write is BTF");
            let mut pairs = Pairs {
                full: &full,
                small: &small,
                seen: HashSet::new(),
            };
            for ((key, ids), made) in chosen.iter().zip(&made.candidates) {
                let case = format!("{kernel}: {key:?}");
                assert_eq!(ids.len(), made.len(), "{case}");
                assert_eq!(
                    made.iter().collect::<HashSet<_>>().len(),
                    made.len(),
                    "{case}"
                );
                for (id, made) in ids.iter().zip(made) {
                    pairs.require(&case, id.0, made.0, false);
                }
            }
            assert!(pairs.seen.len() >= chosen.len());
        }
    }
}

/// Types of a full and of a synthesized BTF, and whether they are behind a pointer.
struct Pairs<'b> {
    full: &'b btf_rs::Btf,
    small: &'b btf_rs::Btf,
    seen: HashSet<(u32, u32, bool)>,
}

impl Pairs<'_> {
    /// Requires that two types say the same.
    fn require(&mut self, case: &str, full: u32, small: u32, behind_pointer: bool) {
        if !self.seen.insert((full, small, behind_pointer)) {
            return;
        }
        let a = self
            .full
            .resolve_type_by_id(full)
            .expect("the kernel has it");
        let b = self
            .small
            .resolve_type_by_id(small)
            .expect("it was written");
        let case = format!("{case} [{full}]");
        assert_eq!(a.name(), b.name(), "{case}");
        let name = |btf: &btf_rs::Btf, ty: &Type| match ty.as_btf_type() {
            // Neither has a name. btf-rs gives no name then.
            None => String::new(),
            Some(ty) => btf.resolve_name(ty).unwrap_or_default(),
        };
        assert_eq!(name(self.full, &a), name(self.small, &b), "{case}");
        if behind_pointer && matches!(a, Type::Struct(_) | Type::Union(_)) {
            return;
        }
        assert_eq!(
            self.facts(self.full, &a),
            self.facts(self.small, &b),
            "{case}"
        );
        let is_pointer = matches!(a, Type::Ptr(_));
        let (a, b) = (inner(&a), inner(&b));
        assert_eq!(a.len(), b.len(), "{case}");
        for (a, b) in a.into_iter().zip(b) {
            self.require(&case, a, b, behind_pointer || is_pointer);
        }
    }

    /// What a type says, without the types in it.
    fn facts(&self, btf: &btf_rs::Btf, ty: &Type) -> Vec<(String, u64, u64)> {
        let named =
            |name: &dyn BtfType, a: u64, b: u64| (btf.resolve_name(name).unwrap_or_default(), a, b);
        let fact = |a: usize, b: bool| vec![(String::new(), a as u64, b.into())];
        match ty {
            Type::Int(t) => [
                fact(t.size(), t.is_signed()),
                fact(0, t.is_char()),
                fact(0, t.is_bool()),
            ]
            .concat(),
            Type::Float(t) => fact(t.size(), false),
            Type::Array(t) => fact(t.len(), false),
            Type::Fwd(t) => fact(0, t.is_union()),
            Type::Struct(t) | Type::Union(t) => {
                let members = t.members.iter().map(|m| {
                    // btf-rs tells "no bitfield" apart by the kind flag.
                    let bits = m.bitfield_size().map_or(u64::MAX, u64::from);
                    named(m, m.bit_offset().into(), bits)
                });
                fact(t.size(), false).into_iter().chain(members).collect()
            }
            Type::Enum(t) => {
                let names = t.members.iter().map(|m| named(m, m.val().into(), 0));
                fact(t.size(), t.is_signed())
                    .into_iter()
                    .chain(names)
                    .collect()
            }
            Type::Enum64(t) => {
                let names = t.members.iter().map(|m| named(m, m.val(), 0));
                fact(t.size(), t.is_signed())
                    .into_iter()
                    .chain(names)
                    .collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The types in a type.
fn inner(ty: &Type) -> Vec<u32> {
    let of = |ty: &dyn BtfType| ty.get_type_id().into_iter().collect();
    match ty {
        Type::Struct(t) | Type::Union(t) => {
            t.members.iter().filter_map(|m| m.get_type_id()).collect()
        }
        Type::FuncProto(t) => {
            let params = t.parameters.iter().filter_map(|p| p.get_type_id());
            params.chain([t.return_type_id()]).collect()
        }
        Type::Ptr(t) => of(t),
        Type::Array(t) => of(t),
        Type::Typedef(t) => of(t),
        Type::Volatile(t) | Type::Const(t) | Type::Restrict(t) => of(t),
        Type::TypeTag(t) => of(t),
        _ => Vec::new(),
    }
}
