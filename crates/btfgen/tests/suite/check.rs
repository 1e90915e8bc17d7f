//! Checks: verdicts, effects, reasons and lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::raw::c_char;
use std::path::{Path, PathBuf};

use btfgen::{
    Effect, KernelFilter, KernelId, Layout, Needs, Object, Pack, Reason, StoreUse, Support, Verdict,
};
use btfgen_btf::{ByteOrder, Composer, Kind, Member, Node, Record, Reserved};
use btfgen_testkit::{object, objects, sample_btf, sample_hub, target_btf, target_names};
use libbpf_rs::{AsRawLibbpf as _, ObjectBuilder, OpenObject};

use super::loader::relocated;
use super::util::{self, name};

fn check(name: &str) -> Support {
    let filter = KernelFilter::new().arch("x86_64").distro("debian");
    let pack = Pack::new().object(object(name)).hub(sample_hub());
    let pack = pack.filter(filter).store(StoreUse::None);
    pack.check().expect("the hub can be checked")
}

/// The group of the first kernel of a version of Linux.
fn group(support: &Support, linux: &str) -> usize {
    let mut groups = support.groups.iter();
    let of_linux = |release: &str| release.starts_with(&format!("{linux}."));
    groups
        .position(|group| group.kernels.iter().any(|k| of_linux(k.release())))
        .expect("the hub has it")
}

/// What the comments of a source say: for each line, what is expected on which version of Linux.
fn marks(name: &str) -> BTreeMap<u32, BTreeMap<String, String>> {
    let objects = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/objects");
    let source = fs::read_to_string(objects.join(format!("{name}.bpf.c"))).expect("it is there");
    let lines = (1..).zip(source.lines()).filter_map(|(line, text)| {
        let (_, comment) = text.split_once("/* ")?;
        let marks = comment.trim_end_matches("*/").split(',').map(|mark| {
            let (linux, word) = mark.split_once(": ")?;
            Some((linux.trim().to_owned(), word.trim().to_owned()))
        });
        Some((line, marks.collect::<Option<_>>()?))
    });
    lines.collect()
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Answer => "answer",
        Effect::Guarded => "guarded",
        Effect::Poisoned => "poisoned",
        Effect::Refused => "refused",
        _ => "unknown",
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Loads => "loads",
        Verdict::Poisoned => "poisoned",
        Verdict::Fails => "fails",
        Verdict::Refused => "refused",
        _ => "unknown",
    }
}

/// Check that each marked line of the source has the effects that its comment says, that no other line has one, and that the
/// programs have the verdicts above them.
#[test]
fn effects_of_lines() {
    let support = check("guards");
    let marks = marks("guards");
    let [checked] = &support.objects[..] else {
        panic!("there is one object");
    };
    for linux in ["5.10", "6.1"] {
        let group = group(&support, linux);
        let mut seen: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
        for failed in &checked.places {
            if let Some(&known) = failed.effects.get(&group) {
                let line = failed.place.line.expect("the object has lines");
                seen.entry(line).or_default().insert(effect(known));
            }
        }
        let programs = checked.programs.iter();
        let mut programs: BTreeMap<&str, Verdict> =
            programs.map(|p| (&p.name[..], p.verdicts[group])).collect();
        let source = fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/objects/guards.bpf.c"),
        )
        .expect("it is there");
        let lines: Vec<&str> = source.lines().collect();
        for (line, expected) in &marks {
            let below = lines.get(*line as usize).copied().unwrap_or_default();
            let expected = expected.get(linux).map(String::as_str);
            match below.strip_prefix("PROGRAM(") {
                Some(name) if lines[*line as usize - 1].starts_with("/*") => {
                    let name = name.trim_end_matches(')');
                    let known = programs.remove(name).expect("it is a program");
                    assert_eq!(Some(verdict(known)), expected, "{name} on {linux}");
                }
                _ => {
                    let known = seen.remove(line).unwrap_or_default();
                    let expected: BTreeSet<&str> = expected.into_iter().collect();
                    assert_eq!(known, expected, "line {line} on {linux}");
                }
            }
        }
        assert_eq!(seen, BTreeMap::new(), "other lines on {linux}");
        assert_eq!(programs, BTreeMap::new(), "other programs on {linux}");
    }
}

/// Check that the reasons name what the kernel lacks and what is nearest.
#[test]
fn reasons() {
    let support = check("guards");
    let reasons = |linux: &str| -> BTreeSet<String> {
        let group = &support.groups[group(&support, linux)];
        group.reasons.values().map(|r| r.to_string()).collect()
    };
    let nothing = "no `struct no_such_struct`".to_owned();
    assert_eq!(
        reasons("5.10"),
        [
            "no field `__state` in `struct task_struct`; nearest: `state`".to_owned(),
            nothing.clone()
        ]
        .into()
    );
    assert_eq!(
        reasons("6.1"),
        [
            "no field `state` in `struct task_struct`; nearest: `__state`".to_owned(),
            nothing
        ]
        .into()
    );
}

/// The BTF of a kernel with only one type.
fn kernel_with(record: Record<'_, Option<Node>>) -> Vec<u8> {
    let mut types = Composer::new();
    let node = types.declare();
    types.define(node, record);
    written(&types, node)
}

fn written(types: &Composer<'_>, last: Node) -> Vec<u8> {
    let reserved = Reserved {
        names: None,
        budget: 0,
    };
    let written = types.write(ByteOrder::Little, &[last], &reserved);
    written.expect("it can be written")
}

/// Adds a made-up kernel to a hub.
fn add(hub: &Path, release: &str, btf: &[u8]) {
    let path = hub.join(format!("debian/12/x86_64/{release}.btf"));
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("writable");
    fs::write(path, btf).expect("writable");
}

fn composite(kind: Kind, name: &str) -> Record<'_, Option<Node>> {
    Record::Composite {
        kind,
        name: name.as_bytes(),
        size: 0,
        members: Vec::new(),
    }
}

/// Check that a kernel without a type is said to have it as another kind, or the types with the nearest names, those of the same
/// kind first; with a type store, without one, and for kernels that differ only in these types.
#[test]
fn types_instead() {
    let hub = tempfile::tempdir().expect("a temporary folder");
    let numbers = Record::Enum {
        name: b"no_such_struct",
        size: 4,
        signed: false,
        wide: false,
        enumerators: Vec::new(),
    };
    let kernels = [
        (
            kernel_with(numbers),
            "the kernel has `enum no_such_struct`, not `struct no_such_struct`",
        ),
        (
            kernel_with(composite(Kind::Union, "no_such_struct___old")),
            "the kernel has `union no_such_struct`, not `struct no_such_struct`",
        ),
        (
            kernel_with(Record::Alias(Kind::Typedef, b"no_such_struct", None)),
            "the kernel has `typedef no_such_struct`, not `struct no_such_struct`",
        ),
        (
            kernel_with(Record::Fwd(b"no_such_struct", false)),
            "the kernel declares `struct no_such_struct`, but does not define it",
        ),
        (
            kernel_with(composite(Kind::Struct, "no_such_strcut")),
            "no `struct no_such_struct`; nearest: `struct no_such_strcut`",
        ),
        (
            kernel_with(composite(Kind::Union, "no_such_structs")),
            "no `struct no_such_struct`; nearest: `union no_such_structs`",
        ),
        (
            kernel_with(composite(Kind::Struct, "unlike")),
            "no `struct no_such_struct`",
        ),
    ];
    for (n, (btf, _)) in kernels.iter().enumerate() {
        add(hub.path(), &format!("6.1.{n}"), btf);
    }
    for store in [StoreUse::None, StoreUse::Cold, StoreUse::Kept] {
        let pack = Pack::new().object(object("guards")).hub(hub.path());
        let support = pack.store(store).check().expect("it can be checked");
        for (n, (_, expected)) in kernels.iter().enumerate() {
            let kernel: KernelId = format!("debian/12/x86_64/6.1.{n}").parse().expect("a name");
            let mut groups = support.groups.iter();
            let group = groups.find(|group| group.kernels.contains(&kernel));
            let reasons = group.expect("it is checked").reasons.values();
            let all: BTreeSet<String> = reasons.map(ToString::to_string).collect();
            assert!(all.contains(*expected), "{store:?} {kernel}: {all:?}");
        }
    }
}

/// The needs that fail on some kernel without a reason, or with none that says where the types differ; and the number of others.
fn unexplained(support: &Support) -> (BTreeSet<String>, usize) {
    let (mut without, mut explained) = (BTreeSet::new(), 0);
    for group in &support.groups {
        let outcomes = &support.matrix.sets()[group.set].outcomes;
        for (n, (need, outcome)) in support.needs.iter().zip(outcomes).enumerate() {
            let refusal = need.refusal_with(outcome);
            if refusal.is_none() && outcome.is_found(need.kind()) {
                continue;
            }
            match group.reasons.get(&n).map(|reason| &**reason) {
                None | Some(Reason::Other) => {
                    without.insert(format!("{need} on {}", group.kernels[0]));
                }
                Some(_) => explained += 1,
            }
        }
    }
    (without, explained)
}

/// Check that a relocation that libbpf refuses is told as such, also if the kernel lacks the type.
#[test]
fn refusals_of_lacking_types() {
    let support = check("refused");
    let mut refused = 0;
    for group in &support.groups {
        let outcomes = &support.matrix.sets()[group.set].outcomes;
        let lacking = group.reasons.values();
        let mut lacking = lacking.filter(|reason| matches!(***reason, Reason::NoType { .. }));
        assert!(lacking.next().is_some());
        for (n, (need, outcome)) in support.needs.iter().zip(outcomes).enumerate() {
            let reason = group.reasons.get(&n).map(|reason| &**reason);
            let is_refused = need.refusal_with(outcome).is_some();
            assert_eq!(
                is_refused,
                matches!(reason, Some(Reason::Refused { .. })),
                "{need}: {reason:?}"
            );
            refused += usize::from(is_refused);
        }
    }
    assert!(refused > 0);
}

/// Check that an array without a length has elements only at the end of a struct, as libbpf says.
#[test]
fn array_without_length() {
    for (comm_is_last, expected) in [
        (false, Some("no element 3 in the kernel's `char[0]`")),
        (true, None),
    ] {
        let mut types = Composer::new();
        let [char, array, task] = [(); 3].map(|()| types.declare());
        let (encoding, offset) = (0, 0);
        types.define(
            char,
            Record::Int {
                name: b"char",
                size: 1,
                encoding,
                offset,
                bits: 8,
            },
        );
        types.define(array, Record::Array(Some(char), Some(char), 0));
        let member = |name: &'static [u8], ty, bit_offset| Member {
            name,
            ty: Some(ty),
            bit_offset,
            bitfield_size: 0,
        };
        let mut members = vec![member(b"comm", array, 0)];
        if !comm_is_last {
            members.push(member(b"pid", char, 0));
        }
        let record = Record::Composite {
            kind: Kind::Struct,
            name: b"task_struct",
            size: 1,
            members,
        };
        types.define(task, record);
        let hub = tempfile::tempdir().expect("a temporary folder");
        add(hub.path(), "6.1.0", &written(&types, task));
        let pack = Pack::new().object(object("loads")).hub(hub.path());
        let support = pack.store(StoreUse::None).check();
        let support = support.expect("the hub can be checked");
        let mut needs = support.needs.iter();
        let need = needs.position(|need| need.to_string() == "byte_off struct task_struct.comm[3]");
        let reason = support.groups[0]
            .reasons
            .get(&need.expect("the object asks for it"));
        let reason = reason.map(ToString::to_string);
        assert_eq!(reason.as_deref(), expected);
    }
}

/// Check that every need that fails has a reason: with our objects on real and on made-up kernels, and with the objects of
/// `$OBJECTS` on the kernels of `$HUB`.
#[test]
fn every_failure_has_a_reason() {
    let made_up = tempfile::tempdir().expect("a temporary folder");
    for name in target_names() {
        let little = target_btf(&name);
        let big = little.with_file_name(format!("{name}.eb.btf"));
        for (from, arch) in [(little, "x86_64"), (big, "s390x")] {
            let path = made_up.path().join(format!("debian/12/{arch}/{name}.btf"));
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("writable");
            // Not all have a big-endian twin.
            if from.exists() {
                fs::copy(from, path).expect("it can be copied");
            }
        }
    }
    let hub = std::env::var_os("HUB").map_or_else(sample_hub, PathBuf::from);
    if std::env::var_os("OBJECTS").is_none() {
        btfgen_testkit::skipped("$OBJECTS names no folder with further objects");
    }
    for hub in [made_up.path(), &hub] {
        let pack = Pack::new().hub(hub).store(StoreUse::None);
        let pack = util::objects().iter().fold(pack, Pack::object);
        let support = pack.check().expect("the hub can be checked");
        let (without, explained) = unexplained(&support);
        assert_eq!(without, BTreeSet::new(), "of {explained}");
        assert!(explained > 100, "{explained}");
    }
}

/// A check of an object on one made-up kernel.
fn check_on(name: &str, target: &str) -> Support {
    let hub = tempfile::tempdir().expect("a temporary folder");
    let btf = fs::read(target_btf(target)).expect("it can be read");
    add(hub.path(), "6.1.0", &btf);
    let pack = Pack::new().object(object(name)).hub(hub.path());
    let pack = pack.store(StoreUse::None);
    pack.check().expect("the hub can be checked")
}

/// The definitions that show why a relocation fails: the fields of the program's type, and those of each of the kernel's.
fn fields_shown(support: &Support, relocation: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut findings = support.findings(&support.objects[0]).into_iter();
    let finding = findings.find(|f| support.needs[f.need].to_string() == relocation);
    let layouts = finding.expect("it fails").layouts.expect("they are there");
    let shown = |layout: &Layout| {
        let fields = layout.shown.iter().map(|field| {
            let bytes = field.bytes.unwrap_or_default();
            format!("{} at {}, {bytes}", field.declaration, field.offset)
        });
        fields.collect()
    };
    (
        shown(&layouts.program),
        layouts.kernel.iter().map(shown).collect(),
    )
}

/// Check that the program's definition and the kernel's are beside each other: for a field that the kernel lacks, one of another
/// size, candidates that disagree, and a type that does not match.
#[test]
fn definitions_beside() {
    let support = check("guards");
    let (program, kernel) = fields_shown(&support, "byte_off struct task_struct.__state");
    assert!(
        program.contains(&"unsigned int __state at 24, 4".to_owned()),
        "{program:?}"
    );
    let [kernel] = &kernel[..] else {
        panic!("the kernel has one: {kernel:?}");
    };
    assert!(
        kernel.contains(&"volatile long int state at 16, 8".to_owned()),
        "{kernel:?}"
    );
    assert!(kernel.len() == 3 && program.len() <= 3);

    let (program, kernel) = fields_shown(
        &check_on("words", "words32"),
        "byte_off struct words.direct",
    );
    assert_eq!(program, ["long direct at 0, 8", "long guarded at 8, 8"]);
    assert_eq!(kernel, [["long direct at 0, 4", "long guarded at 4, 4"]]);

    let support = check_on("edge", "disagreeing");
    let (_, kernel) = fields_shown(&support, "byte_off struct edge.number");
    assert_eq!(
        kernel,
        [
            vec!["int number at 0, 4", "long wide at 8, 8"],
            vec![
                "int before at 0, 4",
                "int number at 4, 4",
                "long wide at 8, 8"
            ],
        ]
    );

    let support = check("matches");
    let more = "type_matches struct task_struct___more";
    let (program, kernel) = fields_shown(&support, more);
    assert_eq!(program, ["int no_such_member at 4, 4"]);
    assert_eq!(kernel, [[""; 0]]);
}

/// Check that a relocation that objects spell with different flavours is named without one.
#[test]
fn flavours_of_several_objects() {
    let names = |objects: &[&str]| -> BTreeSet<String> {
        let objects = objects
            .iter()
            .map(|name| Object::open(object(name)).expect("it is good"));
        let needs = Needs::new(objects.collect());
        needs.iter().map(ToString::to_string).collect()
    };
    let (old, older) = (
        "byte_off struct task_struct___old.state",
        "byte_off struct task_struct___before_5_14.state",
    );
    assert!(names(&["guards"]).contains(old));
    assert!(names(&["guarded"]).contains(older));
    let both = names(&["guards", "guarded"]);
    assert!(
        both.contains("byte_off struct task_struct.state"),
        "{both:?}"
    );
    assert!(!both.contains(old) && !both.contains(older), "{both:?}");
}

/// What libbpf makes of the verifier's message about an instruction that libbpf has poisoned (`fixup_log_failed_core_relo`).
const POISON: &str = "<invalid CO-RE relocation>";

/// What the kernel says to one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Loaded,
    /// libbpf cannot relocate the object.
    Refused,
    /// The verifier met a poisoned instruction.
    Poisoned,
    /// It does not load, for another reason.
    Failed,
}

/// Opens an object with only one of its programs switched on.
fn open_one(object: &Path, custom_btf: &Path, program: &str) -> OpenObject {
    let mut builder = ObjectBuilder::default();
    let mut open = builder
        .btf_custom_path(custom_btf)
        .and_then(|b| b.open_file(object))
        .expect("libbpf opens the object");
    for mut each in open.progs_mut() {
        let is_it = each.name() == program;
        each.set_autoload(is_it);
    }
    open
}

/// Loads one program as libbpf relocates it for a kernel's BTF. The verifier of the running kernel judges it.
fn load(object: &Path, custom_btf: &Path, program: &str) -> Told {
    // Declared first, so that it is dropped after the object.
    let mut log = vec![0u8; 1 << 20];
    let open = open_one(object, custom_btf, program);
    for each in open.progs().filter(|each| each.name() == program) {
        // SAFETY: the log outlives the object.
        let set = unsafe {
            libbpf_sys::bpf_program__set_log_buf(
                each.as_libbpf_object().as_ptr(),
                log.as_mut_ptr().cast::<c_char>(),
                log.len() as _,
            )
        };
        assert_eq!(set, 0);
    }
    // SAFETY: the object is open and stays alive; preparing relocates it and creates its maps, nothing is loaded.
    if unsafe { libbpf_sys::bpf_object__prepare(open.as_libbpf_object().as_ptr()) } != 0 {
        return Told::Refused;
    }
    match open.load() {
        Ok(_) => Told::Loaded,
        Err(_) if String::from_utf8_lossy(&log).contains(POISON) => Told::Poisoned,
        Err(_) => Told::Failed,
    }
}

/// Compares the verdicts about each program with what the kernel says. Counts what it says.
fn compare(
    object: &Path,
    support: &Support,
    kernel: &KernelId,
    btf: &Path,
    is_tool: bool,
    all: &mut BTreeMap<Told, usize>,
) {
    let groups = support.groups.iter();
    let group = groups
        .clone()
        .position(|group| group.kernels.contains(kernel));
    let group = group.expect("it is checked");
    for program in &support.objects[0].programs {
        let verdict = program.verdicts[group];
        let told = load(object, btf, &program.name);
        let is_right = match verdict {
            // Tools set up their maps before they load, so libbpf may refuse the maps of the object as it is.
            Verdict::Loads if is_tool && told == Told::Refused => true,
            Verdict::Loads => !matches!(told, Told::Poisoned | Told::Refused),
            Verdict::Poisoned => told != Told::Refused,
            Verdict::Fails => told == Told::Poisoned,
            _ => told == Told::Refused,
        };
        assert!(
            is_right,
            "{} of {} with {kernel}: {verdict:?}, but {told:?}",
            program.name,
            name(object)
        );
        *all.entry(told).or_default() += 1;
    }
}

/// Check the verdicts about all programs with the loader and the verifier of the running kernel: what loads for sure never meets a
/// poisoned instruction, what fails always does, and libbpf refuses what is refused. libbpf relocates the programs for the sample
/// kernels, and for the running one.
#[test]
fn verdicts_are_those_of_loader_and_verifier() {
    let host = Path::new("/sys/kernel/btf/vmlinux");
    if let Err(e) = relocated(&object("bootstrap"), host) {
        btfgen_testkit::skipped(format_args!(
            "libbpf may not use BPF here (error {e}); run as root"
        ));
        return;
    }
    libbpf_rs::set_print(None);
    let mut all = BTreeMap::new();
    for object in objects() {
        // The oldest and the newest kernel.
        let filter = KernelFilter::new().arch("x86_64");
        let filter = filter.distro("debian/11").distro("debian/sid");
        let pack = Pack::new().object(&object).hub(sample_hub());
        let support = pack.filter(filter).store(StoreUse::None).check();
        let support = support.expect("the hub can be checked");
        for kernel in support.kernels() {
            let btf = sample_btf(&kernel.to_string());
            compare(&object, &support, kernel, &btf, false, &mut all);
        }
    }
    assert!(
        all[&Told::Loaded] > 50 && all[&Told::Poisoned] > 5,
        "{all:?}"
    );
    // Real tools, on the running kernel.
    let Some(folder) = std::env::var_os("OBJECTS") else {
        btfgen_testkit::skipped("$OBJECTS names no folder with further objects");
        return;
    };
    let hub = tempfile::tempdir().expect("a temporary folder");
    let kernel: KernelId = "host/1/x86_64/running".parse().expect("it is a name");
    let path = hub.path().join(kernel.btf_path());
    fs::create_dir_all(path.parent().expect("it has one")).expect("writable");
    fs::copy(host, &path).expect("it can be read");
    let files = fs::read_dir(folder).expect("it is a folder");
    let files = files.map(|entry| entry.expect("it can be read").path());
    let objects: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|e| e == "o"))
        .collect();
    let mut all = BTreeMap::new();
    for object in objects {
        let pack = Pack::new().object(&object).hub(hub.path());
        let support = pack.store(StoreUse::None).check();
        let support = support.expect("the hub can be checked");
        compare(&object, &support, &kernel, &path, true, &mut all);
    }
    assert!(all[&Told::Loaded] > 10, "{all:?}");
}

/// Check that what kernels say about the functions that programs attach to does not depend on the type store.
#[test]
fn functions_without_a_store() {
    let hub = tempfile::tempdir().expect("a temporary folder");
    let kernel = "debian/12/x86_64/6.1.0-47-cloud-amd64";
    let path = hub.path().join(format!("{kernel}.btf"));
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    std::fs::copy(sample_btf(kernel), path).expect("it can be copied");
    let [none, kept] = [StoreUse::None, StoreUse::Kept].map(|store| {
        let pack = Pack::new().object(object("programs")).hub(hub.path());
        pack.store(store).check().expect("it can be checked")
    });
    assert_eq!(none.functions, kept.functions);
    let found = |f: &btfgen::AttachedFunction| {
        let state = &f.kernels[0].0;
        matches!(state, btfgen::FunctionState::Found { .. })
    };
    assert!(none.functions.iter().any(found));
}
