//! For which parts of an object libbpf wants the kernel's own BTF, whatever `btf_custom_path` says.
//!
//! libbpf 0.8 to 1.7 have the same rule, in `obj_needs_vmlinux_btf`. If it holds for one part, `bpf_object__load` first reads
//! /sys/kernel/btf/vmlinux (or a vmlinux on disk), and fails for the whole object if it cannot.

use super::{KsymKind, Program, Programs};

/// A part of an object that needs the kernel's own BTF.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "what", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum NeedsKernelBtf {
    /// A program that attaches by BTF. The others load if its autoload is off.
    Program {
        /// The program's name.
        name: String,
    },
    /// A typed `__ksym`: a kfunc, or a variable of the kernel, also a weak one. Nothing that a program can switch off changes
    /// it: the whole object needs the kernel's own BTF.
    Ksym {
        /// The symbol's name.
        name: String,
    },
    /// A map with a table of functions, in a section `.struct_ops`. Since libbpf 1.4 the whole object needs the kernel's own BTF,
    /// also if the map's autocreate is off. Before, libbpf fails because it does not find the table's type.
    StructOps {
        /// The map's section.
        section: String,
    },
}

impl NeedsKernelBtf {
    /// Whether the rest of the object loads without the kernel's own BTF if this part is switched off.
    pub fn can_be_switched_off(&self) -> bool {
        matches!(self, Self::Program { .. })
    }
}

impl Program {
    /// Whether libbpf loads the program only with the kernel's own BTF (`prog_needs_vmlinux_btf`): types `tracing` (fentry,
    /// fexit, `fmod_ret`, fsession, `tp_btf`, iter), `lsm` and `struct_ops`. A tracing program for which
    /// `bpf_program__set_attach_target` names another BPF program does not need it; an object does not tell that.
    pub fn needs_kernel_btf(&self) -> bool {
        matches!(self.program_type, Some("tracing" | "lsm" | "struct_ops"))
    }
}

impl Programs {
    /// The parts of the object that need the kernel's own BTF: programs, also those whose autoload is off, in their order; then
    /// symbols and maps.
    pub fn need_kernel_btf(&self) -> Vec<NeedsKernelBtf> {
        let programs = self
            .programs
            .iter()
            .filter(|program| program.needs_kernel_btf());
        let programs = programs.map(|program| NeedsKernelBtf::Program {
            name: program.function.name.clone(),
        });
        let ksyms = self
            .ksyms
            .iter()
            .filter(|ksym| ksym.kind != KsymKind::Address);
        let ksyms = ksyms.map(|ksym| NeedsKernelBtf::Ksym {
            name: ksym.name.clone(),
        });
        let maps = self
            .struct_ops
            .iter()
            .map(|section| NeedsKernelBtf::StructOps {
                section: section.clone(),
            });
        programs.chain(ksyms).chain(maps).collect()
    }

    /// Whether libbpf fails to load the object as it is on a kernel without BTF of its own, even with another BTF for the
    /// relocations.
    pub fn fails_without_kernel_btf(&self) -> bool {
        let is_on = |program: &&Program| program.autoload && program.needs_kernel_btf();
        let mut needs = self.need_kernel_btf().into_iter();
        self.programs.iter().any(|program| is_on(&program))
            || needs.any(|need| !need.can_be_switched_off())
    }
}
