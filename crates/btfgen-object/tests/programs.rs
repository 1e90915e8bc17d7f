//! What objects ask of a kernel besides its types.

use btfgen_object::{
    ErrorKind, Feature, KconfigSource, KconfigType, KsymKind, NeedsKernelBtf, Programs, Target,
};
use btfgen_testkit::object;
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::sample::Index;

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(object(name)).expect("the object is there")
}

fn programs(name: &str) -> Programs {
    Programs::read(&bytes(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Check that all objects are read alike from both byte orders. Only the places of instructions differ: bitfields take other
/// code.
#[test]
fn byte_orders_are_alike() {
    let without_places = |name: &str| {
        let mut found = programs(name);
        let programs = found
            .programs
            .iter_mut()
            .map(|program| &mut program.function);
        for function in programs.chain(&mut found.subprograms) {
            (function.offset, function.len) = (0, 0);
            function.helpers.iter_mut().for_each(|call| call.offset = 0);
        }
        let kconfig = found.kconfig.iter_mut().map(|variable| &mut variable.uses);
        let ksyms = found.ksyms.iter_mut().map(|symbol| &mut symbol.uses);
        kconfig
            .chain(ksyms)
            .flatten()
            .for_each(|place| place.offset = 0);
        found
    };
    for name in btfgen_testkit::object_names() {
        let twin = without_places(&format!("{name}.eb"));
        assert_eq!(without_places(&name), twin, "{name}");
    }
}

/// Check that each program has its type, its target, and whether libbpf loads it with the object.
#[test]
fn types_and_targets() {
    let found = programs("programs");
    let list: Vec<_> = found
        .programs
        .iter()
        .map(|program| {
            let name = &*program.function.name;
            (
                name,
                program.autoload,
                program.program_type,
                program.attach_type,
            )
        })
        .collect();
    assert_eq!(
        list,
        [
            ("probed", true, Some("kprobe"), None),
            ("entered", false, Some("tracing"), Some("trace_fentry")),
            ("switched", true, Some("tracing"), Some("trace_raw_tp")),
            ("opened", true, Some("lsm"), Some("lsm_mac")),
            ("walked", true, Some("tracing"), Some("trace_iter")),
            ("executed", true, Some("tracepoint"), None),
            ("unheard", true, None, None),
            ("started", true, Some("struct_ops"), None),
        ]
    );
    let function = |name: &str| {
        Some(Target::Function {
            module: None,
            name: name.to_owned(),
            offset: 0,
        })
    };
    assert_eq!(found.programs[0].target, function("do_unlinkat"));
    assert_eq!(found.programs[1].target, function("do_unlinkat"));
    assert!(found.programs[3].is_sleepable);
    assert_eq!(found.programs[6].target, None);
    let features: Vec<Feature> = found.programs[1].features().collect();
    let features: Vec<_> = features
        .iter()
        .map(|known| (known.name, known.since))
        .collect();
    assert_eq!(
        features,
        [("tracing", Some("5.5")), ("trace_fentry", Some("5.5"))]
    );
}

/// Check that symbols have their types and sources, and name the instructions that use them.
#[test]
fn symbols() {
    let found = programs("programs");
    let mut kconfig: Vec<_> = found
        .kconfig
        .iter()
        .map(|variable| {
            (
                &*variable.name,
                variable.ty,
                variable.source,
                variable.is_weak,
            )
        })
        .collect();
    kconfig.sort_by_key(|(name, ..)| *name);
    assert_eq!(
        kconfig,
        [
            (
                "CONFIG_BPF_SYSCALL",
                KconfigType::Bool,
                KconfigSource::Config,
                false
            ),
            (
                "CONFIG_CC_VERSION_TEXT",
                KconfigType::String,
                KconfigSource::Config,
                true
            ),
            (
                "CONFIG_IPV6",
                KconfigType::Tristate,
                KconfigSource::Config,
                true
            ),
            (
                "LINUX_KERNEL_VERSION",
                KconfigType::Int,
                KconfigSource::Kernel,
                false
            ),
            (
                "LINUX_UNHEARD_OF",
                KconfigType::Bool,
                KconfigSource::Zero,
                true
            ),
        ]
    );
    let mut ksyms: Vec<_> = found
        .ksyms
        .iter()
        .map(|symbol| (&*symbol.name, symbol.kind, symbol.is_weak))
        .collect();
    ksyms.sort_by_key(|(name, ..)| *name);
    assert_eq!(
        ksyms,
        [
            ("bpf_rcu_read_lock", KsymKind::Function, true),
            ("init_task", KsymKind::Address, false),
            ("runqueues", KsymKind::Variable, true),
        ]
    );
    for symbol in &found.ksyms {
        assert!(!symbol.uses.is_empty(), "{}", symbol.name);
        let section = &*symbol.uses[0].section;
        let user = found
            .programs
            .iter()
            .find(|program| program.function.section == section);
        let user = &user.expect("a program uses it").function;
        for place in &symbol.uses {
            assert!((user.offset..user.offset + user.len).contains(&place.offset));
        }
    }
}

/// Check that helpers are found in the functions that call them, and maps with their types.
#[test]
fn helpers_and_maps() {
    let found = programs("programs");
    let names = |calls: &[btfgen_object::HelperCall]| -> Vec<&str> {
        calls
            .iter()
            .map(|call| call.feature().map_or("?", |known| known.name))
            .collect()
    };
    assert_eq!(
        names(&found.programs[5].function.helpers),
        [
            "ringbuf_reserve",
            "get_current_pid_tgid",
            "ringbuf_submit",
            "map_lookup_elem"
        ]
    );
    // The program calls a function, which calls the helper.
    assert_eq!(names(&found.programs[1].function.helpers), [""; 0]);
    assert_eq!(found.subprograms.len(), 1);
    assert_eq!(names(&found.subprograms[0].helpers), ["ktime_get_boot_ns"]);
    let maps: Vec<_> = found
        .maps
        .iter()
        .map(|map| (&*map.name, map.feature().map_or("?", |known| known.name)))
        .collect();
    assert_eq!(
        maps,
        [
            ("first", "array"),
            ("outer", "array_of_maps"),
            ("events", "ringbuf"),
            (".data", "array"),
            (".rodata", "array"),
            (".bss", "array"),
            (".kconfig", "array"),
            ("table", "struct_ops"),
        ]
    );
    assert_eq!(found.maps[1].inner, Some(2));
    assert_eq!(found.kernel_version, Some(0x5_0400));
    assert_eq!(found.license.as_deref(), Some("Dual BSD/GPL"));
    assert!(!found.has_legacy_maps);
}

/// Check that all parts that need the kernel's own BTF are named, and which of them cannot be switched off.
#[test]
fn kernel_btf() {
    let found = programs("programs");
    let program = |name: &str| NeedsKernelBtf::Program {
        name: name.to_owned(),
    };
    let ksym = |name: &str| NeedsKernelBtf::Ksym {
        name: name.to_owned(),
    };
    let mut needs = found.need_kernel_btf();
    let tables = needs.split_off(7);
    needs[5..].sort_by_key(|need| format!("{need:?}"));
    assert_eq!(
        needs,
        [
            program("entered"),
            program("switched"),
            program("opened"),
            program("walked"),
            program("started"),
            ksym("bpf_rcu_read_lock"),
            ksym("runqueues"),
        ]
    );
    let section = ".struct_ops".to_owned();
    assert_eq!(tables, [NeedsKernelBtf::StructOps { section }]);
    assert!(needs[0].can_be_switched_off());
    assert!(!needs[5].can_be_switched_off());
    assert!(!tables[0].can_be_switched_off());
    assert!(found.fails_without_kernel_btf());
    let plain = programs("execsnoop");
    assert_eq!(plain.need_kernel_btf(), []);
    assert!(!plain.fails_without_kernel_btf());
}

/// Check that an object without BTF has its programs, and that the bytes may start at any address.
#[test]
fn any_object() {
    assert!(!programs("no-btf").programs.is_empty());
    assert!(programs("maps").programs.is_empty());
    let expected = programs("programs");
    let mut shifted = bytes("programs");
    for shift in 1..9 {
        shifted.insert(0, 0);
        assert_eq!(Programs::read(&shifted[shift..]).as_ref(), Ok(&expected));
    }
    let error = Programs::read(b"").expect_err("it is empty");
    assert_eq!(error.kind(), ErrorKind::NotElf);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Check that damage anywhere in an object is an error or read as something, without a panic.
    #[test]
    fn damage(changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8), end in any::<Index>()) {
        let mut bytes = bytes("programs");
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let _ = Programs::read(&bytes);
        let _ = Programs::read(&bytes[..end.index(bytes.len())]);
    }
}
