//! Kernels and programs that are made up at random: minimal BTFs say what the full ones do, and are never larger than bpftool's.
//!
//! `SEEDS=FIRST..END` takes other cases than the usual ones. Each seed is one case, always the same.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object as _, ObjectSection as _};

use super::judges::{Judges, Loaders};
use super::made_up::{Composite, Enum, Member, Random, Type, Types};

/// The usual cases, which take some seconds.
const SEEDS: Range<u64> = 0..50;

/// The oldest clang that knows `type_matches`.
const OLDEST_CLANG: u32 = 16;

const NEWEST_CLANG: u32 = 40;

/// The numbers that clang's builtins take for kinds of relocations: offset, size, existence, sign, left and right shift.
const FIELD_KINDS: [u32; 6] = [0, 1, FIELD_EXISTS, 3, 4, 5];
const FIELD_EXISTS: u32 = 2;
/// Existence, size, and whether the type matches.
const TYPE_KINDS: [u32; 3] = [0, 1, 2];
/// Existence and value.
const ENUM_KINDS: [u32; 2] = [0, 1];

/// A field of the program, as an expression.
struct Field {
    expression: String,
    ty: Type,
    is_bitfield: bool,
    /// A bitfield that may cross a border of its struct's alignment.
    is_unaligned: bool,
    /// An element of an array.
    is_element: bool,
}

/// The clang to use, as scripts/bpf-objects finds it.
fn clang() -> Option<String> {
    if let Ok(clang) = std::env::var("CLANG") {
        return Some(clang);
    }
    let newer = (OLDEST_CLANG..NEWEST_CLANG).rev();
    let newer = newer.map(|version| format!("clang-{version}"));
    let is_new = |clang: &String| {
        let output = Command::new(clang).arg("-dumpversion").output();
        let version = output
            .ok()
            .map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
        let major = version.and_then(|v| v.split('.').next()?.parse::<u32>().ok());
        major.is_some_and(|major| major >= OLDEST_CLANG)
    };
    std::iter::once("clang".to_owned())
        .chain(newer)
        .find(is_new)
}

/// The seeds of `$SEEDS`, or else the usual ones.
fn seeds() -> Range<u64> {
    let Ok(seeds) = std::env::var("SEEDS") else {
        return SEEDS;
    };
    let ends = seeds.split_once("..");
    let ends = ends.and_then(|(first, end)| Some((first.parse().ok()?, end.parse().ok()?)));
    let (first, end) = ends.expect("$SEEDS has the form FIRST..END");
    first..end
}

/// All members that can be named, those of nameless structs and unions, too, each with what it is in.
fn named(composite: &Composite) -> Vec<(&Member, &Composite)> {
    let mut all = Vec::new();
    for member in &composite.members {
        match (&member.name, &member.ty) {
            (None, Type::Nested(inner)) => all.extend(named(inner)),
            _ => all.push((member, composite)),
        }
    }
    all
}

/// Whether a struct is aligned to a pointer's 64 bits.
fn has_pointer(types: &Types, composite: &Composite) -> bool {
    let is_pointer = |m: &Member| matches!(types.skip(&m.ty), Type::Pointer(_));
    !composite.is_packed && composite.members.iter().any(is_pointer)
}

fn is_nameless(ty: &Type) -> bool {
    match ty {
        Type::Qualified(_, inner) => is_nameless(inner),
        _ => matches!(ty, Type::Nested(_)),
    }
}

/// A field along a random path from a random struct.
fn field(random: &mut Random, types: &Types) -> Option<Field> {
    let root = random.below(types.all.len());
    let mut ty = Type::Named(root);
    types.as_composite(&ty)?;
    let mut field = Field {
        expression: format!("(({} *)ctx)", types.spelling(root)),
        ty: Type::Void,
        is_bitfield: false,
        is_unaligned: false,
        is_element: false,
    };
    let mut access = "->";
    if random.one_in(10) {
        field.expression += &format!("[{}]", random.below(3));
        access = ".";
    }
    while let Some(composite) = types.as_composite(&ty) {
        let (member, within) = random.pick(&named(composite));
        field.expression += access;
        field.expression += member.name.as_deref().unwrap_or_default();
        field.is_bitfield = member.bits.is_some();
        field.is_unaligned = field.is_bitfield && !has_pointer(types, within);
        field.is_element = false;
        field.ty = member.ty.clone();
        while let Type::Array(element, len) = types.skip(&field.ty).clone() {
            // An array of no length is indexed as one without a length.
            let end = len.filter(|&len| len > 0).unwrap_or(3);
            if random.one_in(5) {
                break;
            }
            field.expression += &format!("[{}]", random.below(end));
            field.is_element = true;
            field.ty = *element;
        }
        ty = field.ty.clone();
        access = ".";
        if let Type::Pointer(to) = types.skip(&field.ty) {
            // libbpf refuses programs that ask for a field of a pointer's nameless struct.
            if is_nameless(to) {
                break;
            }
            ty = (**to).clone();
            access = "->";
        }
        if random.one_in(4) {
            break;
        }
    }
    Some(field)
}

/// An expression with a relocation, or with one more for each pointer on its way.
fn relocation(random: &mut Random, types: &Types, may_ask_ids: bool) -> Option<String> {
    let n = random.below(types.all.len());
    let named = Type::Named(n);
    match random.below(10) {
        0 | 1 if types.is_value(n) => {
            let spelling = types.spelling(n);
            if may_ask_ids && random.one_in(3) {
                return Some(format!("__builtin_btf_type_id(*({spelling} *)0, 1)"));
            }
            let kind = random.pick(&TYPE_KINDS);
            Some(format!(
                "__builtin_preserve_type_info(*({spelling} *)0, {kind})"
            ))
        }
        2 | 3 => {
            let Enum(all) = types.as_enum(&named)?;
            let (name, _) = &all[random.below(all.len())];
            let (spelling, kind) = (types.spelling(n), random.pick(&ENUM_KINDS));
            Some(format!(
                "__builtin_preserve_enum_value(*({spelling} *){name}, {kind})"
            ))
        }
        _ => {
            let field = field(random, types)?;
            let is_scalar = match types.skip(&field.ty) {
                Type::Base(base) => !["float", "double", "__int128"].contains(base),
                ty => types.as_enum(ty).is_some(),
            };
            let is_pointer = matches!(types.skip(&field.ty), Type::Pointer(_));
            let expression = &field.expression;
            if (is_scalar || is_pointer) && !field.is_bitfield && random.one_in(3) {
                return Some(format!("(unsigned long){expression}"));
            }
            // clang knows signs and shifts of members that are integers only, and nothing of unaligned bitfields.
            let kinds = if field.is_unaligned {
                &[FIELD_EXISTS]
            } else if is_scalar && !field.is_element {
                &FIELD_KINDS[..]
            } else {
                &FIELD_KINDS[..=FIELD_EXISTS as usize]
            };
            let kind = random.pick(kinds);
            Some(format!(
                "__builtin_preserve_field_info({expression}, {kind})"
            ))
        }
    }
}

/// A program that asks for fields, types and enumerators.
fn program(random: &mut Random, types: &Types) -> String {
    let may_ask_ids = random.one_in(5);
    let count = random.pick(&[1, 2, 4, 8, 20, 60]);
    let mut programs = vec![String::new(); 1 + random.below(4)];
    let mut left = count;
    // Not every struct can be asked for what was drawn.
    for _ in 0..count * 20 {
        let Some(relocation) = relocation(random, types, may_ask_ids) else {
            continue;
        };
        let at = random.below(programs.len());
        programs[at] += &format!("\tsum += {relocation};\n");
        if random.one_in(3) {
            let again = random.below(programs.len());
            programs[again] += &format!("\tsum += {relocation};\n");
        }
        left -= 1;
        if left == 0 {
            break;
        }
    }
    let functions = programs.iter().enumerate().map(|(n, body)| {
        format!(
            "__attribute__((section(\"raw_tp/sys_enter\"), used)) int p{n}(void *ctx) {{\n\
             \tunsigned long sum = 0;\n{body}\treturn sum;\n}}\n"
        )
    });
    format!(
        "#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)\n{}\
         #pragma clang attribute pop\n{}\
         char LICENSE[] __attribute__((section(\"license\"), used)) = \"GPL\";\n",
        types.c(),
        functions.collect::<String>()
    )
}

/// Compiles C for BPF. `None` where clang gives up: it cannot relocate each access to a bitfield.
fn compiled(
    clang: &str,
    dir: &Path,
    name: &str,
    source: &str,
    optimization: &str,
) -> Option<PathBuf> {
    let (c, object) = (dir.join(format!("{name}.c")), dir.join(format!("{name}.o")));
    std::fs::write(&c, source).expect("the temporary folder can be written");
    let mut command = Command::new(clang);
    command.args(["-target", "bpf", "-g", "-w", "-c", optimization]);
    let output = command.arg(&c).arg("-o").arg(&object).output();
    let output = output.unwrap_or_else(|e| panic!("{clang} does not run: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("error in backend") {
        return None;
    }
    assert!(output.status.success(), "{errors}\n{source}");
    Some(object)
}

fn btf_section(object: &Path) -> Vec<u8> {
    let bytes = std::fs::read(object).expect("it was compiled");
    let object = object::File::parse(&*bytes).expect("it was compiled");
    let section = object.section_by_name(".BTF").expect("it has BTF");
    section.data().expect("it has BTF").to_vec()
}

/// Check that minimal BTFs of made-up kernels for made-up programs say what the full ones do, to libbpf, too, and are never
/// larger than bpftool's where that says it, too.
#[test]
fn kernels_and_programs() {
    let Some(clang) = clang() else {
        btfgen_testkit::skipped(format_args!("there is no clang {OLDEST_CLANG} or newer"));
        return;
    };
    let mut judges = Judges::new(Loaders::Libbpf);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let seeds = seeds();
    let mut passed_over = 0;
    for seed in seeds.clone() {
        let mut random = Random::new(seed);
        let kernel = Types::kernel(&mut random);
        let changed = kernel.changed(&mut random);
        let program = program(&mut random, &changed);
        let kernel = kernel.c() + &kernel.variables();
        let compiled = |name, source: &str, optimization| {
            compiled(&clang, dir.path(), name, source, optimization)
        };
        let full = compiled("kernel", &kernel, "-O0").map(|object| btf_section(&object));
        let Some((full, object)) = full.zip(compiled("program.bpf", &program, "-O2")) else {
            passed_over += 1;
            continue;
        };
        let before = judges.wrong.len();
        judges.compare(&format!("seed {seed}"), &object, &full);
        if judges.wrong.len() > before {
            let end = seed + 1;
            println!(
                "{}\nThe kernel:\n{kernel}\nThe program:\n{program}\nTo run it again: \
                 SEEDS={seed}..{end} cargo test --locked -p btfgen --test engine random\n",
                judges.wrong[before..].join("\n")
            );
        }
    }
    let Range { start, end } = seeds;
    judges.finish(&format!(
        "seeds {start} to {end}, {passed_over} passed over"
    ));
}
