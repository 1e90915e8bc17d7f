//! Compares with aya: it relocates by its own code, not by libbpf's, and must make the same instructions.

use std::error::Error;

use aya::Endianness;
use aya_obj::Object;
use aya_obj::btf::Btf;

use super::util::{btf, kernels, minimal, name, needs, objects};

/// Objects with relocations that aya and libbpf answer differently even with the full BTF. A minimal BTF has what libbpf
/// needs.
const OTHER_RULES: [&str; 4] = [
    // aya recognizes signed enumerators by a flag of the type that libbpf ignores, and does not mix enums of 32 and 64 bits.
    "enums.bpf.o",
    "enum64.bpf.o",
    // aya cuts a name at its first `___`, libbpf at its last.
    "flavours.bpf.o",
    // libbpf requires a field of the same kind: page.flags was an integer, and is a struct since 6.18.
    "thousand.bpf.o",
];

/// Objects that aya must be able to relocate. Others are big-endian, or have sections that aya does not know.
const EXAMPLES: [&str; 2] = ["bootstrap.bpf.o", "execsnoop.bpf.o"];

/// Code, registers, offset and immediate.
type Instruction = (u8, u8, i16, i32);

/// The instructions of all functions after aya has relocated them.
pub(super) fn relocated(object: &[u8], target: &Btf) -> Result<Vec<Instruction>, Box<dyn Error>> {
    let mut object = Object::parse(object)?;
    object.relocate_btf(target)?;
    let functions = object.functions.values();
    let instructions = functions.flat_map(|f| &f.instructions);
    Ok(instructions
        .map(|i| (i.code, i.dst_reg() | i.src_reg() << 4, i.off, i.imm))
        .collect())
}

/// Check that aya relocates every program alike with our BTF and with the full one, on every kernel.
#[test]
fn instructions_equal_those_with_the_full_btf() {
    let (mut same, mut refused) = (0, 0);
    for (kernel, path) in kernels() {
        let bytes = btfgen::read_kernel_file(&path, u64::MAX).unwrap();
        // aya relocates for the host it runs on.
        let Ok(full) = Btf::parse(&bytes, Endianness::default()) else {
            continue;
        };
        let libbpf = btf(&path);
        for path in objects() {
            let object = std::fs::read(&path).unwrap();
            let expected = match relocated(&object, &full) {
                Ok(expected) => expected,
                Err(e) => {
                    assert!(!EXAMPLES.contains(&&*name(&path)), "{}: {e}", name(&path));
                    refused += 1;
                    continue;
                }
            };
            if OTHER_RULES.contains(&&*name(&path)) {
                continue;
            }
            let ours = Btf::parse(&minimal(&needs(&path), &libbpf), Endianness::default()).unwrap();
            let got = relocated(&object, &ours).unwrap();
            assert!(got == expected, "{kernel} for {}", name(&path));
            same += 1;
        }
    }
    println!("{same} objects relocated alike by aya, {refused} are not for it");
    assert!(same > 0, "aya takes BTFs of this host's byte order");
}
