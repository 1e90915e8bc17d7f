//! The internal part of libbpf, for which `libbpf-sys` has no bindings: it is mirrored from `relo_core.h` of the pinned
//! version. A test below compares every size and offset with that header.

use std::ffi::{c_char, c_int, c_void};

/// `BPF_CORE_SPEC_MAX_LEN`: the most accessors of an access string.
pub(crate) const SPEC_MAX_LEN: usize = 64;

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct bpf_core_cand {
    pub(crate) btf: *const libbpf_sys::btf,
    pub(crate) id: u32,
}

#[repr(C)]
#[derive(Debug)]
pub(crate) struct bpf_core_cand_list {
    pub(crate) cands: *mut bpf_core_cand,
    pub(crate) len: c_int,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct bpf_core_accessor {
    pub(crate) type_id: u32,
    pub(crate) idx: u32,
    pub(crate) name: *const c_char,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct bpf_core_spec {
    pub(crate) btf: *const libbpf_sys::btf,
    pub(crate) spec: [bpf_core_accessor; SPEC_MAX_LEN],
    pub(crate) root_type_id: u32,
    pub(crate) relo_kind: u32,
    pub(crate) len: c_int,
    pub(crate) raw_spec: [c_int; SPEC_MAX_LEN],
    pub(crate) raw_len: c_int,
    pub(crate) bit_offset: u32,
}

impl bpf_core_spec {
    /// One that libbpf has not written.
    pub(crate) const EMPTY: Self = Self {
        btf: std::ptr::null(),
        spec: [bpf_core_accessor {
            type_id: 0,
            idx: 0,
            name: std::ptr::null(),
        }; SPEC_MAX_LEN],
        root_type_id: 0,
        relo_kind: 0,
        len: 0,
        raw_spec: [0; SPEC_MAX_LEN],
        raw_len: 0,
        bit_offset: 0,
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct bpf_core_relo_res {
    pub(crate) orig_val: u64,
    pub(crate) new_val: u64,
    pub(crate) poison: bool,
    pub(crate) validate: bool,
    pub(crate) fail_memsz_adjust: bool,
    pub(crate) orig_sz: u32,
    pub(crate) orig_type_id: u32,
    pub(crate) new_sz: u32,
    pub(crate) new_type_id: u32,
}

unsafe extern "C" {
    /// vasprintf(3).
    pub(crate) fn vasprintf(
        line: *mut *mut c_char,
        format: *const c_char,
        arguments: *mut libbpf_sys::__va_list_tag,
    ) -> c_int;

    /// free(3).
    pub(crate) fn free(memory: *mut c_void);

    #[cfg(test)]
    pub(crate) fn bpf_core_essential_name_len(name: *const c_char) -> usize;

    pub(crate) fn bpf_core_calc_relo_insn(
        prog_name: *const c_char,
        relo: *const libbpf_sys::bpf_core_relo,
        relo_idx: c_int,
        local_btf: *const libbpf_sys::btf,
        cands: *mut bpf_core_cand_list,
        specs_scratch: *mut bpf_core_spec,
        targ_res: *mut bpf_core_relo_res,
    ) -> c_int;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};
    use std::path::PathBuf;
    use std::process::Command;

    fn vendored_libbpf() -> PathBuf {
        let rustc = Command::new("rustc").arg("-vV").output();
        let version = String::from_utf8(rustc.expect("rustc runs").stdout).expect("it is text");
        let host = version.lines().find_map(|l| l.strip_prefix("host: "));
        let out = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--offline"])
            // Packages for other platforms were not downloaded.
            .args(["--filter-platform", host.expect("rustc tells its host")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo metadata runs");
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let json = String::from_utf8(out.stdout).expect("cargo prints UTF-8");
        let end = json
            .find("/Cargo.toml\"")
            .into_iter()
            .chain(json.match_indices("/Cargo.toml\"").map(|(i, _)| i))
            .find(|&i| {
                let dir = &json[..i];
                dir.rsplit('/')
                    .next()
                    .is_some_and(|d| d.starts_with("libbpf-sys-"))
            })
            .expect("libbpf-sys is among the packages");
        let start = json[..end]
            .rfind('"')
            .expect("a JSON string begins with a quote")
            + 1;
        PathBuf::from(&json[start..end]).join("libbpf")
    }

    /// Check that the mirrored structs have the sizes and offsets of the vendored `relo_core.h`.
    #[test]
    fn layout_is_that_of_the_header() {
        macro_rules! layout {
            ($($ty:ident { $($field:ident),* })*) => {{
                let ours: Vec<usize> = vec![$(size_of::<$ty>(), $(offset_of!($ty, $field)),*),*];
                let c: Vec<String> = vec![$(
                    format!("sizeof(struct {})", stringify!($ty)),
                    $(format!("offsetof(struct {}, {})", stringify!($ty), stringify!($field))),*
                ),*];
                (ours, c)
            }};
        }
        let (ours, exprs) = layout! {
            bpf_core_cand { btf, id }
            bpf_core_cand_list { cands, len }
            bpf_core_accessor { type_id, idx, name }
            bpf_core_spec { btf, spec, root_type_id, relo_kind, len, raw_spec, raw_len, bit_offset }
            bpf_core_relo_res { orig_val, new_val, poison, validate, fail_memsz_adjust, orig_sz,
                                orig_type_id, new_sz, new_type_id }
        };
        let dir = tempfile::tempdir().expect("a temporary folder");
        let source = dir.path().join("layout.c");
        let prints: String = exprs
            .iter()
            .map(|e| format!("printf(\"%zu\\n\", (size_t){e});\n"))
            .collect();
        std::fs::write(
            &source,
            format!(
                "#include <stdbool.h>\n#include <stddef.h>\n#include <stdio.h>\n#include \"relo_core.h\"\n\
                 int main(void) {{ {prints} return BPF_CORE_SPEC_MAX_LEN == {SPEC_MAX_LEN} ? 0 : 1; }}\n"
            ),
        )
        .expect("the temporary folder is writable");
        let libbpf = vendored_libbpf();
        let program = dir.path().join("layout");
        // The layout is that of the architecture that this test was compiled for.
        let cc = match cfg!(target_arch = "x86") {
            true => "i686-linux-gnu-gcc",
            false => "cc",
        };
        let cc = Command::new(cc)
            .arg("-I")
            .arg(libbpf.join("src"))
            .arg("-I")
            .arg(libbpf.join("include/uapi"))
            .arg("-I")
            .arg(libbpf.join("include"))
            .args(["-o".as_ref(), program.as_os_str(), source.as_os_str()])
            .status()
            .expect("cc runs");
        assert!(cc.success(), "the header compiles");
        let out = Command::new(program).output().expect("the program runs");
        assert!(out.status.success(), "BPF_CORE_SPEC_MAX_LEN differs");
        let theirs: Vec<usize> = String::from_utf8(out.stdout)
            .expect("numbers")
            .lines()
            .map(|l| l.parse().expect("a number"))
            .collect();
        assert_eq!(ours, theirs, "in the order {exprs:?}");
    }
}
