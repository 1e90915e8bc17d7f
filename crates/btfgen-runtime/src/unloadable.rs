//! What of an object cannot be loaded on a kernel without BTF of its own, whatever BTF the lookup found.

use std::path::Path;

use btfgen_object::{NeedsKernelBtf, Programs};

use crate::error::{Error, ErrorKind, Result};
use crate::found::{Found, KernelBtf, Origin};
use crate::own;

/// The parts of an object that cannot be loaded on a kernel: see [`Found::unloadable`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unloadable {
    programs: Vec<String>,
    blocker: Option<String>,
}

impl Unloadable {
    fn of(needs: Vec<NeedsKernelBtf>) -> Self {
        let mut unloadable = Self::default();
        for need in needs {
            let blocker = match need {
                NeedsKernelBtf::Program { name } => {
                    unloadable.programs.push(name);
                    continue;
                }
                NeedsKernelBtf::Ksym { name } => format!("the typed symbol {name} in .ksyms"),
                NeedsKernelBtf::StructOps { section } => format!("the tables in {section}"),
                _ => "a part that is newer than this library".to_owned(),
            };
            unloadable.blocker.get_or_insert(blocker);
        }
        unloadable
    }

    /// The names of the programs to switch off before the object is loaded, in the order of the object: they need the kernel's
    /// own BTF, and the loader cannot use it. Programs that are off anyway are named, too, because the program may have
    /// switched them on.
    pub fn programs(&self) -> &[String] {
        &self.programs
    }

    /// Whether a program is one of [`programs`](Self::programs).
    pub fn contains(&self, program: impl AsRef<[u8]>) -> bool {
        let program = program.as_ref();
        self.programs.iter().any(|name| name.as_bytes() == program)
    }

    /// Switches the named programs off in an object that libbpf-rs has opened and not yet loaded. Of a skeleton,
    /// `open_object_mut` gives the object. With another version of libbpf-rs than this crate's, use [`contains`](Self::contains)
    /// in a loop, as the README shows.
    #[cfg(feature = "libbpf-rs")]
    pub fn switch_off(&self, object: &mut libbpf_rs::OpenObject) {
        for mut program in object.progs_mut() {
            if self.contains(program.name().as_encoded_bytes()) {
                program.set_autoload(false);
            }
        }
    }

    /// The part of the object for which libbpf wants the kernel's own BTF whichever programs are switched off: a kfunc or another
    /// typed `__ksym`, also a weak one, or a table in `.struct_ops`. If there is one, libbpf cannot load the object on this
    /// kernel at all; put such parts into an object of their own.
    pub fn blocker(&self) -> Option<&str> {
        self.blocker.as_deref()
    }
}

impl Found {
    /// What of an object cannot be loaded on this kernel, because libbpf needs the kernel's own BTF for it, whatever
    /// `btf_custom_path` says: programs of the types fentry, fexit, `fmod_ret`, `tp_btf`, LSM, iterator and `struct_ops`. If one of
    /// them is not switched off, libbpf loads nothing of the object. `object` are the bytes of the object's ELF file.
    ///
    /// Nothing is named if `/sys/kernel/btf/vmlinux` is there and the loader can read it, also if the lookup found another BTF. A
    /// vmlinux on disk does not count, because the kernel itself needs its BTF. If the lookup was for another host, or
    /// `require_custom` or `BTFGEN_REQUIRE_CUSTOM` made it skip the kernel's own BTF, the kernel counts as one without it.
    ///
    /// # Errors
    /// [`ErrorKind::Object`] if the bytes are not a BPF object; [`ErrorKind::Io`] if the machine fails to read the kernel's own BTF.
    pub fn unloadable(&self, object: &[u8]) -> Result<Unloadable> {
        let programs = Programs::read(object).map_err(|e| {
            let message = "the programs of the object cannot be read";
            Error::new(ErrorKind::Object, message).with_source(e)
        })?;
        let needs = programs.need_kernel_btf();
        let is_usable = match self.kernel_btf {
            // Perhaps as the last resort, but then the loader reads it.
            _ if self.origin == Origin::Kernel => true,
            KernelBtf::Forbidden => false,
            KernelBtf::IfReadable(_) if needs.is_empty() => true,
            KernelBtf::IfReadable(loader) => own::is_usable(Path::new("/"), loader)?,
        };
        Ok(if is_usable {
            Unloadable::default()
        } else {
            Unloadable::of(needs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that programs are named in their order, and of the other parts the first.
    #[test]
    fn parts() {
        let program = |name: &str| NeedsKernelBtf::Program {
            name: name.to_owned(),
        };
        let ksym = |name: &str| NeedsKernelBtf::Ksym {
            name: name.to_owned(),
        };
        let section = ".struct_ops".to_owned();
        let table = NeedsKernelBtf::StructOps { section };
        let needs = vec![program("b"), program("a"), ksym("f"), table];
        let unloadable = Unloadable::of(needs);
        assert_eq!(unloadable.programs(), ["b", "a"]);
        assert!(unloadable.contains("a") && !unloadable.contains("c"));
        assert_eq!(unloadable.blocker(), Some("the typed symbol f in .ksyms"));
        assert_eq!(Unloadable::of(Vec::new()), Unloadable::default());
    }
}
