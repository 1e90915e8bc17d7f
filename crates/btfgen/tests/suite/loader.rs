//! Compares with libbpf's own loader: it must make the same instructions of a program with the full BTF and with ours.

use std::path::Path;

use btfgen_testkit::object;
use libbpf_rs::{AsRawLibbpf as _, ObjectBuilder};

use super::util::{btf, kernels, minimal, name, needs};

/// ENOSYS, as libbpf returns errors.
const UNUSABLE: i32 = -38;

/// The instructions of all programs after libbpf has relocated them, or its error.
pub(super) fn relocated(object: &Path, custom_btf: &Path) -> Result<Vec<Vec<u8>>, i32> {
    // libbpf-sys has the padding of 64 bits on all architectures, so libbpf would read its options at other places.
    if cfg!(not(target_pointer_width = "64")) {
        return Err(UNUSABLE);
    }
    let mut builder = ObjectBuilder::default();
    let open = builder
        .btf_custom_path(custom_btf)
        .and_then(|b| b.open_file(object))
        .expect("libbpf opens the object");
    // SAFETY: the object is open and stays alive; preparing relocates it and creates its maps, nothing is loaded.
    let err = unsafe { libbpf_sys::bpf_object__prepare(open.as_libbpf_object().as_ptr()) };
    if err != 0 {
        return Err(err);
    }
    let bytes = |insn: &libbpf_sys::bpf_insn| {
        // A map's descriptor is any free number.
        let is_map = insn.code == 0x18 && insn.src_reg() != 0;
        let imm = if is_map { 0 } else { insn.imm };
        let regs = insn.dst_reg() | insn.src_reg() << 4;
        let mut out = vec![insn.code, regs];
        out.extend(insn.off.to_le_bytes());
        out.extend(imm.to_le_bytes());
        out
    };
    Ok(open
        .progs()
        .map(|p| p.insns().iter().flat_map(bytes).collect())
        .collect())
}

/// Check that libbpf's loader relocates every program alike with our BTF and with the full one, on every kernel.
#[test]
fn instructions_equal_those_with_the_full_btf() {
    let host = Path::new("/sys/kernel/btf/vmlinux");
    match relocated(&object("bootstrap"), host) {
        Ok(_) => {}
        Err(e) => {
            btfgen_testkit::skipped(format_args!(
                "libbpf may not use BPF here (error {e}); run as root, and on 64 bits"
            ));
            return;
        }
    }
    libbpf_rs::set_print(None);
    let (mut same, mut refused) = (0, 0);
    for (kernel, path) in kernels() {
        let full = btf(&path);
        let dir = tempfile::tempdir().expect("a temporary folder");
        let plain = dir.path().join("full.btf");
        let bytes = btfgen::read_kernel_file(&path, u64::MAX).expect("the kernel can be read");
        std::fs::write(&plain, bytes).expect("the temporary folder can be written");
        for object in btfgen_testkit::objects() {
            let ours = dir.path().join("ours.btf");
            std::fs::write(&ours, minimal(&needs(&object), &full)).expect("as above");
            let (expected, got) = (relocated(&object, &plain), relocated(&object, &ours));
            let case = format!("{kernel} for {}", name(&object));
            // For a type id only the type must be the same; the outcomes elsewhere compare it.
            let ids = name(&object).starts_with("types.") || name(&object).starts_with("missing.");
            if !ids || expected.is_err() {
                assert_eq!(got, expected, "{case}");
            } else {
                assert_eq!(got.is_ok(), expected.is_ok(), "{case}");
            }
            match expected {
                Ok(_) => same += 1,
                Err(_) => refused += 1,
            }
        }
    }
    println!("{same} objects relocated alike, {refused} refused alike");
    assert!(same > refused, "most objects can be relocated");
}
