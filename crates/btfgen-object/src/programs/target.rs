//! What a program attaches to, where the name of its section says it.

use btfgen_btf::Kind;

/// What a program attaches to in the kernel, by the name of its section. libbpf reads these names in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Target {
    /// A function: `kprobe/NAME+OFFSET`, `fentry/NAME`, `fexit/MODULE:NAME`.
    Function {
        /// The module that has the function; `vmlinux` for the kernel itself.
        module: Option<String>,
        /// The function's name.
        name: String,
        /// The offset in bytes from the start of the function; 0 for most.
        offset: u64,
    },
    /// All functions that match a pattern with `*` and `?`: `kprobe.multi/PATTERN`.
    Functions {
        /// The pattern.
        pattern: String,
    },
    /// The function of a system call, whose name depends on the architecture: `ksyscall/NAME`.
    Syscall {
        /// The name, such as `unlinkat`.
        name: String,
    },
    /// A tracepoint with its formatted arguments: `tp/CATEGORY/NAME`.
    Tracepoint {
        /// The folder below `events` of tracefs.
        category: String,
        /// The name of the event.
        name: String,
    },
    /// A tracepoint with its raw arguments: `raw_tp/NAME`, `tp_btf/NAME`.
    RawTracepoint {
        /// The name.
        name: String,
    },
    /// A hook of the Linux security modules: `lsm/NAME`.
    LsmHook {
        /// The name, such as `file_open`.
        name: String,
    },
    /// An iterator: `iter/NAME`.
    Iterator {
        /// The name, such as `task`.
        name: String,
    },
}

impl Target {
    /// The target of a section's name, without a leading `?`; `None` if the name says none, or none in the kernel.
    pub(super) fn of(section: &str) -> Option<Self> {
        let (kind, rest) = section.split_once('/')?;
        let name = rest.to_owned();
        match kind {
            "kprobe" | "kretprobe" => probed(rest),
            "fentry" | "fentry.s" | "fexit" | "fexit.s" | "fmod_ret" | "fmod_ret.s"
            | "fsession" | "fsession.s" => {
                let (module, name) = match rest.split_once(':') {
                    Some((module, name)) => (Some(module.to_owned()), name),
                    None => (None, rest),
                };
                let name = name.to_owned();
                Some(Self::Function {
                    module,
                    name,
                    offset: 0,
                })
            }
            "kprobe.multi" | "kretprobe.multi" | "kprobe.session" => {
                Some(Self::Functions { pattern: name })
            }
            "ksyscall" | "kretsyscall" => Some(Self::Syscall { name }),
            "tp" | "tracepoint" => {
                let (category, name) = rest.split_once('/')?;
                let (category, name) = (category.to_owned(), name.to_owned());
                Some(Self::Tracepoint { category, name })
            }
            "raw_tp" | "raw_tp.w" | "raw_tracepoint" | "raw_tracepoint.w" | "tp_btf" => {
                Some(Self::RawTracepoint { name })
            }
            "lsm" | "lsm.s" | "lsm_cgroup" => Some(Self::LsmHook { name }),
            "iter" | "iter.s" => Some(Self::Iterator { name }),
            _ => None,
        }
    }

    /// The kind and the name that the target has in the BTF of a kernel that has it; `None` if no single name decides. The BTF
    /// must have all functions: a minimized one does not. A tracepoint has a typedef.
    pub fn in_btf(&self) -> Option<(Kind, String)> {
        match self {
            Self::Function { name, .. } => Some((Kind::Func, name.clone())),
            Self::LsmHook { name } => Some((Kind::Func, format!("bpf_lsm_{name}"))),
            Self::Iterator { name } => Some((Kind::Func, format!("bpf_iter_{name}"))),
            Self::RawTracepoint { name } => Some((Kind::Typedef, format!("btf_trace_{name}"))),
            Self::Functions { .. } | Self::Syscall { .. } | Self::Tracepoint { .. } => None,
        }
    }
}

/// The function and the offset of a kprobe: libbpf scans `%m[a-zA-Z0-9_.]+%li`.
fn probed(spec: &str) -> Option<Target> {
    let end = spec.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
    let (name, rest) = spec.split_at(end.unwrap_or(spec.len()));
    if name.is_empty() {
        return None;
    }
    let offset = rest.strip_prefix('+').unwrap_or_default();
    let offset = match offset.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => offset.parse(),
    };
    Some(Target::Function {
        module: None,
        name: name.to_owned(),
        offset: offset.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(module: Option<&str>, name: &str, offset: u64) -> Option<Target> {
        let (module, name) = (module.map(str::to_owned), name.to_owned());
        Some(Target::Function {
            module,
            name,
            offset,
        })
    }

    /// Check that a section's name gives the function with its offset or module.
    #[test]
    fn functions() {
        assert_eq!(
            Target::of("kprobe/do_unlinkat"),
            function(None, "do_unlinkat", 0)
        );
        assert_eq!(
            Target::of("kprobe/a.isra.0+0x10"),
            function(None, "a.isra.0", 16)
        );
        assert_eq!(
            Target::of("fexit.s/nf_tables:f"),
            function(Some("nf_tables"), "f", 0)
        );
        for none in [
            "kprobe",
            "kprobe/",
            "uprobe/libc.so:malloc",
            "fentry",
            "freplace/f",
            "tc",
            "struct_ops/init",
        ] {
            assert_eq!(Target::of(none), None, "{none}");
        }
    }

    /// Check that targets have the names under which libbpf looks them up in the kernel's BTF.
    #[test]
    fn names_in_btf() {
        for (section, expected) in [
            ("kprobe/f", Some((Kind::Func, "f"))),
            ("lsm/file_open", Some((Kind::Func, "bpf_lsm_file_open"))),
            ("iter/task", Some((Kind::Func, "bpf_iter_task"))),
            (
                "tp_btf/sched_switch",
                Some((Kind::Typedef, "btf_trace_sched_switch")),
            ),
            ("tp/sched/sched_switch", None),
            ("kprobe.multi/tcp_*", None),
            ("ksyscall/unlinkat", None),
        ] {
            let target = Target::of(section).expect(section);
            let expected = expected.map(|(kind, name)| (kind, name.to_owned()));
            assert_eq!(target.in_btf(), expected, "{section}");
        }
    }
}
