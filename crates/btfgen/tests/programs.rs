//! Compares what an object asks besides its types with libbpf, which opens the same object. A binary of its own, because it
//! listens to libbpf, and libbpf has one listener.

use std::ffi::{CStr, c_char, c_void};
use std::path::PathBuf;
use std::sync::Mutex;

use btfgen_object::{Feature, FeatureKind, Programs};
use btfgen_testkit::object;
use libbpf_rs::PrintLevel;
use object::write::{Object, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};

/// A program: its name, its section without a leading `?`, whether libbpf loads it, its type, its attach type.
type Row = (String, String, bool, u32, u32);

/// What libbpf reads from an object: its programs, the types of its maps, and the version of the kernel, which is that of the
/// running one if the object asks for none.
#[derive(Debug, PartialEq)]
struct Opened {
    programs: Vec<Row>,
    maps: Vec<u32>,
    kernel_version: u32,
}

fn text(pointer: *const c_char) -> String {
    // SAFETY: libbpf returned the string, and its object is open.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_string_lossy().into_owned()
}

/// Opens an object with libbpf; `None` if libbpf refuses it.
fn by_libbpf(bytes: &[u8]) -> Option<Opened> {
    let mut found = Opened {
        programs: Vec::new(),
        maps: Vec::new(),
        kernel_version: 0,
    };
    // SAFETY: libbpf gets the bytes with their length, and pointers that it returned, until the object is closed.
    unsafe {
        let data = bytes.as_ptr().cast::<c_void>();
        let object = libbpf_sys::bpf_object__open_mem(data, bytes.len() as _, std::ptr::null());
        if object.is_null() {
            return None;
        }
        let mut program = libbpf_sys::bpf_object__next_program(object, std::ptr::null_mut());
        while !program.is_null() {
            found.programs.push((
                text(libbpf_sys::bpf_program__name(program)),
                text(libbpf_sys::bpf_program__section_name(program)),
                libbpf_sys::bpf_program__autoload(program),
                libbpf_sys::bpf_program__type(program),
                libbpf_sys::bpf_program__expected_attach_type(program),
            ));
            program = libbpf_sys::bpf_object__next_program(object, program);
        }
        let mut map = libbpf_sys::bpf_object__next_map(object, std::ptr::null());
        while !map.is_null() {
            found.maps.push(libbpf_sys::bpf_map__type(map));
            map = libbpf_sys::bpf_object__next_map(object, map);
        }
        found.kernel_version = libbpf_sys::bpf_object__kversion(object);
        libbpf_sys::bpf_object__close(object);
    }
    Some(found)
}

/// The same from our reader, if the running kernel has this version.
fn by_us(bytes: &[u8], running: u32) -> Result<Opened, btfgen_object::Error> {
    let number = |kind, name: Option<&str>| {
        let feature = name.map(|name| Feature::by_name(kind, name).expect("the table has it"));
        feature.map_or(0, |feature| feature.number)
    };
    let found = Programs::read(bytes)?;
    let programs = found.programs.iter().map(|program| {
        let section = &program.function.section;
        (
            program.function.name.clone(),
            section.strip_prefix('?').unwrap_or(section).to_owned(),
            program.autoload,
            number(FeatureKind::ProgramType, program.program_type),
            number(FeatureKind::AttachType, program.attach_type),
        )
    });
    Ok(Opened {
        programs: programs.collect(),
        maps: found.maps.iter().map(|map| map.map_type).collect(),
        kernel_version: found.kernel_version.unwrap_or(running),
    })
}

/// Our objects, and those in the folders `$OBJECTS` and `$SELFTESTS`.
fn paths() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = btfgen_testkit::object_names()
        .iter()
        .map(|name| object(name))
        .collect();
    for variable in ["OBJECTS", "SELFTESTS"] {
        let Some(folder) = std::env::var_os(variable) else {
            continue;
        };
        let entries = std::fs::read_dir(folder).expect("the variable names a folder");
        let files = entries.map(|entry| entry.expect("the folder can be read").path());
        paths.extend(files.filter(|path| path.to_string_lossy().ends_with(".bpf.o")));
    }
    paths
}

/// Check that programs with their types, maps and the version are those of libbpf, for our objects, those of libbpf-tools and the
/// kernel's selftests.
#[test]
fn objects_equal_those_of_libbpf() {
    let paths = paths();
    let running = by_libbpf(&object_with_sections(&[]))
        .expect("libbpf opens it")
        .kernel_version;
    let (mut programs, mut refused) = (0, Vec::new());
    for path in &paths {
        let bytes = std::fs::read(path).expect("the object can be read");
        let Some(expected) = by_libbpf(&bytes) else {
            refused.push(path.display().to_string());
            continue;
        };
        let got = by_us(&bytes, running).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(got, expected, "{}", path.display());
        programs += expected.programs.len();
    }
    println!(
        "{programs} programs of {} objects; libbpf cannot open: {refused:?}",
        paths.len()
    );
    assert_eq!(refused, [""; 0]);
}

/// The byte order of this machine.
const ENDIAN: Endianness = if cfg!(target_endian = "big") {
    Endianness::Big
} else {
    Endianness::Little
};

/// What libbpf said last.
static SAID: Mutex<String> = Mutex::new(String::new());

/// All names of sections that libbpf knows: it lists them if it does not know one.
fn section_names() -> Vec<String> {
    libbpf_rs::set_print(Some((PrintLevel::Debug, |_, line| {
        SAID.lock().expect("nobody panicked").push_str(&line);
    })));
    let (mut program_type, mut attach_type) = (0, 0);
    // SAFETY: the name ends with NUL, and libbpf writes to the two numbers.
    let code = unsafe {
        libbpf_sys::libbpf_prog_type_by_name(
            c"no such section".as_ptr(),
            &mut program_type,
            &mut attach_type,
        )
    };
    libbpf_rs::set_print(None);
    assert!(code < 0);
    let said = SAID.lock().expect("nobody panicked");
    let (_, names) = said.split_once("names are:").expect("it lists the names");
    let names = names.lines().next().unwrap_or_default();
    names.split_whitespace().map(str::to_owned).collect()
}

/// An object with a program in a section of each name.
fn object_with_sections(names: &[String]) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, ENDIAN);
    for (index, name) in names.iter().enumerate() {
        let section = object.add_section(Vec::new(), name.clone().into_bytes(), SectionKind::Text);
        // r0 = 0; exit
        object.append_section_data(
            section,
            &[0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0],
            8,
        );
        object.add_symbol(Symbol {
            name: format!("program_{index}").into_bytes(),
            value: 0,
            size: 16,
            kind: SymbolKind::Text,
            scope: SymbolScope::Dynamic,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
    }
    object.write().expect("the object can be written")
}

/// Check that a section of every name that libbpf knows, with and without a target or a question mark, and of names that are
/// almost such, makes the programs of libbpf.
#[test]
fn section_names_equal_those_of_libbpf() {
    let known = section_names();
    assert!(known.len() > 90, "{known:?}");
    let mut names = Vec::new();
    for name in known {
        let stem = name.trim_end_matches('+');
        for form in [
            stem.to_owned(),
            format!("{stem}/target"),
            format!("?{stem}"),
            format!("?{stem}/a/b"),
            format!("{stem}x"),
            format!("{stem}/"),
        ] {
            names.push(form);
        }
    }
    names.extend(["unheard", "?", "??tc", "/", ".text", "license/x"].map(str::to_owned));
    let bytes = object_with_sections(&names);
    let expected = by_libbpf(&bytes).expect("libbpf opens it");
    assert_eq!(
        expected.programs.len(),
        names.len() - 1,
        "all but .text are programs"
    );
    let got = by_us(&bytes, expected.kernel_version).expect("we read it");
    for (got, expected) in got.programs.iter().zip(&expected.programs) {
        assert_eq!(got, expected);
    }
    assert_eq!(got.programs.len(), expected.programs.len());
}

/// Set in the process that has no BTF of the kernel.
const HIDDEN: &str = "BTFGEN_TEST_HIDDEN";

/// Whether libbpf wants the kernel's own BTF for an object, whatever other BTF it has; with all programs off if asked. `None` if
/// libbpf cannot open the object.
fn wants_kernel_btf(bytes: &[u8], all_off: bool) -> Option<bool> {
    SAID.lock().expect("nobody panicked").clear();
    // SAFETY: libbpf gets the bytes with their length, options with their size, and pointers that it returned.
    unsafe {
        let options = libbpf_sys::bpf_object_open_opts {
            sz: size_of::<libbpf_sys::bpf_object_open_opts>() as _,
            // libbpf looks for the kernel's own BTF first, and then fails to relocate.
            btf_custom_path: c"/nonexistent".as_ptr(),
            ..Default::default()
        };
        let data = bytes.as_ptr().cast::<c_void>();
        let object = libbpf_sys::bpf_object__open_mem(data, bytes.len() as _, &options);
        if object.is_null() {
            return None;
        }
        let mut program = libbpf_sys::bpf_object__next_program(object, std::ptr::null_mut());
        while all_off && !program.is_null() {
            libbpf_sys::bpf_program__set_autoload(program, false);
            program = libbpf_sys::bpf_object__next_program(object, program);
        }
        libbpf_sys::bpf_object__load(object);
        libbpf_sys::bpf_object__close(object);
    }
    let said = SAID.lock().expect("nobody panicked");
    Some(said.contains("Error loading vmlinux BTF"))
}

/// Compares each object with libbpf, in a process without BTF of the kernel.
fn compare_without_kernel_btf() {
    let names = section_names();
    let mut objects: Vec<(String, Vec<u8>)> = Vec::new();
    for name in names.iter().map(|name| name.trim_end_matches('+')) {
        for name in [
            name.to_owned(),
            format!("?{name}"),
            format!("{name}/target"),
        ] {
            objects.push((name.clone(), object_with_sections(&[name])));
        }
    }
    for path in paths() {
        let bytes = std::fs::read(&path).expect("the object can be read");
        objects.push((path.display().to_string(), bytes));
    }
    libbpf_rs::set_print(Some((PrintLevel::Debug, |_, line| {
        SAID.lock().expect("nobody panicked").push_str(&line);
    })));
    let (mut all, mut wanted) = (0, 0);
    for (name, bytes) in &objects {
        // libbpf does not load objects of the other byte order.
        if name.ends_with(".eb.bpf.o") {
            continue;
        }
        let found = Programs::read(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        let expected = wants_kernel_btf(bytes, false).expect("libbpf opens it");
        assert_eq!(found.fails_without_kernel_btf(), expected, "{name}");
        let mut needs = found.need_kernel_btf().into_iter();
        let is_blocked = needs.any(|need| !need.can_be_switched_off());
        let expected = wants_kernel_btf(bytes, true).expect("libbpf opens it");
        assert_eq!(is_blocked, expected, "{name} with all programs off");
        all += 1;
        wanted += usize::from(found.fails_without_kernel_btf());
    }
    println!("{wanted} of {all} objects want the kernel's own BTF");
    assert!(0 < wanted && wanted < all);
}

/// Check that libbpf wants the kernel's own BTF for exactly the objects that say so, as they are and with all programs off.
#[test]
fn needs_of_kernel_btf_equal_those_of_libbpf() {
    if std::env::var_os(HIDDEN).is_some() {
        return compare_without_kernel_btf();
    }
    let hidden = |command: &mut std::process::Command| {
        let script =
            "mount -t tmpfs none /sys/kernel/btf && bpftool prog list >/dev/null && exec \"$@\"";
        let mut unshare = std::process::Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", script, "sh"]);
        unshare.arg(command.get_program()).args(command.get_args());
        unshare.env(HIDDEN, "1").output()
    };
    let can = hidden(&mut std::process::Command::new("true"));
    if !can.is_ok_and(|output| output.status.success()) {
        btfgen_testkit::skipped(
            "the kernel's BTF cannot be hidden here, or bpf(2) may not be used; run as root",
        );
        return;
    }
    let mut this = std::process::Command::new(std::env::current_exe().expect("this test"));
    this.args([
        "--exact",
        "needs_of_kernel_btf_equal_those_of_libbpf",
        "--nocapture",
    ]);
    let output = hidden(&mut this).expect("it ran before");
    let printed = String::from_utf8_lossy(&output.stdout);
    println!("{printed}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{errors}");
    assert!(
        printed.contains("objects want the kernel's own BTF"),
        "{printed}"
    );
}
