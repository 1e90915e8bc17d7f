//! Facts of real kernels, compared with libbpf and with another reader.

use std::collections::HashMap;

use btf_rs::Type;
use btfgen::archive::Archive;
use btfgen::{Answer, Fact, Facts, Minimizer, Outcome, Pack, ReloKind, StoreUse, Survey};

use super::store::hub;
use super::util::{btf, kernels, needs, objects};

/// The answers of the sample hub's kernels.
fn survey(facts: &[String]) -> Facts {
    let parsed = facts.iter().map(|fact| fact.parse::<Fact>().expect(fact));
    let survey = Survey::new()
        .hub(btfgen_testkit::sample_hub())
        .store(StoreUse::None);
    let survey = parsed.fold(survey, Survey::fact);
    survey.answer().expect("the hub is good")
}

/// The answers of one kernel.
fn of<'f>(facts: &'f Facts, kernel: &str) -> Vec<&'f Answer> {
    let has = |row: &&btfgen::FactRow| row.kernels.iter().any(|id| id.to_string() == kernel);
    let row = facts.rows.iter().find(has).expect("the kernel was asked");
    row.answers
        .iter()
        .map(|answered| &answered.answer)
        .collect()
}

/// Check that offsets are those that libbpf writes into the test objects' instructions.
#[test]
fn offsets_are_libbpfs() {
    let mut asked: Vec<String> = Vec::new();
    let mut expected: Vec<(String, usize, u64)> = Vec::new();
    // Each needs seconds for all kernels.
    for object in objects().into_iter().step_by(8) {
        let needs = needs(&object);
        for (kernel, path) in kernels() {
            let minimized = Minimizer::new(&needs).minimize(&btf(&path));
            let minimized = minimized.expect("the kernel can be minimized");
            for (need, outcome) in needs.iter().zip(&minimized.outcomes) {
                let &Outcome::Value { value, .. } = outcome else {
                    continue;
                };
                let fact = format!("{}.{}", need.root(), need.path());
                let is_plain = !need.root().contains("___") && fact.parse::<Fact>().is_ok();
                if need.kind() == ReloKind::FieldByteOffset && is_plain {
                    let known = asked.iter().position(|other| *other == fact);
                    let place = known.unwrap_or(asked.len());
                    if known.is_none() {
                        asked.push(fact);
                    }
                    expected.push((kernel.clone(), place, value));
                }
            }
        }
    }
    let facts = survey(&asked);
    let answers: HashMap<String, Vec<&Answer>> = kernels()
        .into_keys()
        .map(|kernel| (kernel.clone(), of(&facts, &kernel)))
        .collect();
    assert!(expected.len() > 30, "{}", expected.len());
    for (kernel, place, value) in expected {
        match answers[&kernel][place] {
            // For a bitfield, libbpf gives the offset of the word around it.
            Answer::Member { bits: Some(_), .. } => {}
            Answer::Member { bit_offset, .. } => {
                assert_eq!(bit_offset / 8, value, "{kernel}: {}", asked[place]);
            }
            other => panic!("{kernel}: {}: {other}", asked[place]),
        }
    }
}

/// Check that the sizes of structs, and offsets and widths of their members, are those that btf-rs reads.
#[test]
fn members_are_the_kernels() {
    let (kernel, path) = kernels().pop_first().expect("there are kernels");
    let bytes = std::fs::read(path).expect("it is there");
    let btf = btf_rs::Btf::from_bytes(&bytes).expect("good");
    let mut structs: HashMap<String, Vec<btf_rs::Struct>> = HashMap::new();
    for ty in (1..).map_while(|id| btf.resolve_type_by_id(id).ok()) {
        if let Type::Struct(ty) = ty {
            let name = btf.resolve_name(&ty).unwrap_or_default();
            structs.entry(name).or_default().push(ty);
        }
    }
    let mut structs: Vec<_> = structs.into_iter().collect();
    structs.retain(|(name, all)| !name.is_empty() && !name.contains("___") && all.len() == 1);
    structs.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for (name, all) in structs.iter().step_by(40) {
        asked.push(format!("size:struct {name}"));
        expected.push((all[0].size() as u64, None));
        for member in &all[0].members {
            let member_name = btf.resolve_name(member).unwrap_or_default();
            if !member_name.is_empty() {
                asked.push(format!("struct {name}.{member_name}"));
                let bits = member.bitfield_size().filter(|bits| *bits > 0);
                expected.push((member.bit_offset().into(), bits));
            }
        }
    }
    assert!(asked.len() > 500, "{}", asked.len());
    let facts = survey(&asked);
    for ((fact, expected), answer) in asked.iter().zip(expected).zip(of(&facts, &kernel)) {
        let answer = match *answer {
            Answer::Size { bytes } => (bytes.into(), None),
            Answer::Member {
                bit_offset, bits, ..
            } => (bit_offset, bits),
            ref other => panic!("{fact}: {other}"),
        };
        assert_eq!(answer, expected, "{fact}");
    }
}

/// Check that a fallback answers where the first question finds nothing, that a name that no kernel has is told with the nearest
/// one, and that functions and values of enums are told.
#[test]
fn fallbacks_and_nearest_names() {
    let facts = [
        "task_struct.__state | task_struct.state",
        "task_struct.pidd",
        "size:task_structt",
        "func:tty_writee",
        "func:tty_write",
        "bpf_map_type::BPF_MAP_TYPE_HASH",
    ];
    let facts = survey(&facts.map(str::to_owned));
    let questions = |fact| -> Vec<usize> {
        let answers = facts.answers(fact).into_iter();
        let mut questions: Vec<usize> = answers.map(|(answered, _)| answered.question).collect();
        questions.sort_unstable();
        questions.dedup();
        questions
    };
    assert_eq!(questions(0), [0, 1]);
    let unknown: Vec<_> = facts
        .unknown
        .iter()
        .map(|(n, near)| (*n, &*near[0]))
        .collect();
    assert_eq!(unknown, [(1, "pid"), (2, "task_struct"), (3, "tty_write")]);
    // A kernel without the only function that is asked for has others.
    let alone = survey(&["func:tty_writee".to_owned()]);
    let (answered, _) = alone.answers(0)[0];
    assert_eq!(answered.answer, Answer::Missing(btfgen::Missing::Function));
    let old = "debian/11/x86_64/5.10.0-30-cloud-amd64";
    assert_eq!(of(&facts, old)[4], &Answer::Function { parameters: 2 });
    let values: Vec<_> = facts.answers(5).iter().map(|(a, _)| &a.answer).collect();
    assert_eq!(values, [&Answer::Value { value: 1 }]);
}

/// Check that an archive has the answers of each kernel's full BTF, whether the type store is new, known, or not used, and also if the
/// objects ask for other types only; and that the facts change nothing else in the archive.
#[test]
fn archived() {
    let facts = [
        "task_struct.__state | task_struct.state",
        "iphdr.ihl",
        "task_struct.se.avg",
        "size:struct list_head",
        "size:pid_t",
        "bpf_map_type::BPF_MAP_TYPE_RINGBUF",
        "func:tty_write",
        "no_such_type.member",
    ];
    let facts = facts.map(|fact| fact.parse::<Fact>().expect(fact));
    let all = kernels();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let hub = hub(folder.path(), &all);
    let pack = |store| {
        let objects = ["enums", "enums.eb"].map(btfgen_testkit::object);
        let pack = Pack::new().hub(&hub).store(store);
        objects.into_iter().fold(pack, Pack::object)
    };
    let with_facts = |store| {
        let pack = facts.iter().cloned().fold(pack(store), Pack::fact);
        pack.build().expect("the hub can be packed")
    };
    let none = with_facts(StoreUse::None);
    for store in [StoreUse::Kept, StoreUse::Kept, StoreUse::Cold] {
        assert!(with_facts(store).archive() == none.archive(), "{store:?}");
    }
    let unknown = none.facts.unknown.iter().map(|(fact, _)| *fact);
    assert!(unknown.eq([7]));
    let archive = Archive::from_bytes(none.archive()).expect("good");
    let found = archive.facts().expect("good");
    assert_eq!(found.facts().expect("good"), facts);
    let mut numbers = 0;
    for (kernel, path) in &all {
        let id = kernel.parse().expect("a good name");
        let answers = found.answers(&id).expect("good");
        let btf = btf(path);
        let expected: Vec<_> = facts.iter().map(|fact| fact.ask(&btf)).collect();
        numbers += expected.iter().filter_map(|a| a.answer.number()).count();
        assert_eq!(answers, Some(expected), "{kernel}");
    }
    assert!(numbers > 5 * all.len(), "{numbers}");
    let without = pack(StoreUse::None).build().expect("the hub can be packed");
    let plain = Archive::from_bytes(without.archive()).expect("good");
    for kernel in archive.kernels().expect("good") {
        let get = |archive: &Archive<'_>| archive.get(&kernel).expect("good");
        assert_eq!(get(&archive), get(&plain));
    }
    assert_eq!(plain.facts().expect("good").facts().expect("good"), []);
}
