//! The symbols that an object leaves to libbpf: `.kconfig` and `.ksyms`.

use std::collections::HashMap;

use btfgen_btf::{Btf, Kind, Type, TypeId};

use super::Place;
use super::symbols::Extern;
use crate::error::{Error, Result};

/// A variable in `.kconfig`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Kconfig {
    /// Its name.
    pub name: String,
    /// Whether it is weak: a weak one for which there is no value is 0, a strong one fails the whole object.
    pub is_weak: bool,
    /// Its type.
    pub ty: KconfigType,
    /// The source of its value.
    pub source: KconfigSource,
    /// The instructions that use it.
    pub uses: Vec<Place>,
}

/// The type of a [`Kconfig`] (`enum kcfg_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum KconfigType {
    /// `bool`: `y` or not.
    Bool,
    /// `enum libbpf_tristate`: `y`, `m` or not.
    Tristate,
    /// `char`: a number of one byte, or the letter of a tristate.
    Char,
    /// An integer of 2, 4 or 8 bytes.
    Int,
    /// An array of `char`: a string.
    String,
    /// Any other type. libbpf refuses to open the object.
    Unsupported,
}

/// Where libbpf takes the value of a [`Kconfig`] from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum KconfigSource {
    /// From the running kernel: `LINUX_KERNEL_VERSION`, and since libbpf 1.0 `LINUX_HAS_BPF_COOKIE` and
    /// `LINUX_HAS_SYSCALL_WRAPPER`. It always has a value.
    Kernel,
    /// From the kernel's configuration: `CONFIG_…`. libbpf reads /boot/config-RELEASE, else /proc/config.gz, and fails for the
    /// whole object if there is neither, also for a weak one; `bpf_object_open_opts.kconfig` can give all values instead. A
    /// strong one also fails if the option is not set in the configuration.
    Config,
    /// A weak `LINUX_…` that libbpf does not know: 0. libbpf before 1.0 fails for the whole object.
    Zero,
    /// Any other name. libbpf fails for the whole object on every kernel.
    Refused,
}

/// A symbol in `.ksyms`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Ksym {
    /// Its name. libbpf looks up a function under its essential name, without a flavour.
    pub name: String,
    /// Whether it is weak: a weak one that the kernel lacks is 0, a strong one fails the whole object.
    pub is_weak: bool,
    /// What it stands for.
    pub kind: KsymKind,
    /// The instructions that use it.
    pub uses: Vec<Place>,
}

/// What a [`Ksym`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
pub enum KsymKind {
    /// `extern const void x __ksym`: an address. libbpf reads /proc/kallsyms, and fails for the whole object if it cannot.
    Address,
    /// A variable with a type. libbpf looks for it in the kernel's own BTF.
    Variable,
    /// A kfunc. libbpf looks for it in the kernel's own BTF and in those of its modules.
    Function,
}

/// Sorts the symbols that an object leaves to libbpf.
pub(super) fn sort(
    externs: Vec<Extern<'_>>,
    btf: Option<&Btf<'_>>,
) -> Result<(Vec<Kconfig>, Vec<Ksym>)> {
    let (mut kconfig, mut ksyms) = (Vec::new(), Vec::new());
    let Some(btf) = btf else {
        return match externs.first() {
            Some(symbol) => Err(bad(
                symbol.name,
                "has no type, because the object has no .BTF",
            )),
            None => Ok((kconfig, ksyms)),
        };
    };
    let types = Types::of(&externs, btf);
    for symbol in externs {
        let (name, is_weak, uses) = (symbol.name, symbol.is_weak, symbol.uses);
        let (ty, section) = types.find(name)?;
        let name = String::from_utf8_lossy(name).into_owned();
        match section {
            b".kconfig" => kconfig.push(Kconfig {
                source: KconfigSource::of(&name, is_weak),
                ty: kconfig_type(btf, ty),
                name,
                is_weak,
                uses,
            }),
            b".ksyms" => ksyms.push(Ksym {
                name,
                is_weak,
                kind: ksym_kind(btf, ty),
                uses,
            }),
            _ => {
                let section = String::from_utf8_lossy(section);
                return Err(bad(
                    name.as_bytes(),
                    &format!("is in the section {section}, which libbpf does not know"),
                ));
            }
        }
    }
    Ok((kconfig, ksyms))
}

impl KconfigSource {
    fn of(name: &str, is_weak: bool) -> Self {
        match name {
            "LINUX_KERNEL_VERSION" | "LINUX_HAS_BPF_COOKIE" | "LINUX_HAS_SYSCALL_WRAPPER" => {
                Self::Kernel
            }
            _ if name.starts_with("CONFIG_") => Self::Config,
            _ if name.starts_with("LINUX_") && is_weak => Self::Zero,
            _ => Self::Refused,
        }
    }
}

/// The types of these symbols.
struct Types<'b> {
    /// The first variable or function of each name.
    by_name: HashMap<&'b [u8], Type<'b>>,
    /// The first data section of each variable or function.
    sections: HashMap<TypeId, &'b [u8]>,
}

impl<'b> Types<'b> {
    fn of(externs: &[Extern<'b>], btf: &'b Btf<'_>) -> Self {
        let names: HashMap<&[u8], ()> = externs.iter().map(|symbol| (symbol.name, ())).collect();
        let mut by_name = HashMap::new();
        if !names.is_empty() {
            for ty in btf.types_of(|kind| matches!(kind, Kind::Var | Kind::Func)) {
                if let Some((&name, ())) = names.get_key_value(ty.name()) {
                    by_name.entry(name).or_insert(ty);
                }
            }
        }
        let mut sections = HashMap::new();
        for section in btf.types_of(|kind| kind == Kind::Datasec) {
            for variable in section.variables() {
                sections.entry(variable).or_insert(section.name());
            }
        }
        Self { by_name, sections }
    }

    /// The type of a symbol, and the section that its type is in.
    fn find(&self, name: &[u8]) -> Result<(Type<'b>, &'b [u8])> {
        let ty = self.by_name.get(name);
        let ty = *ty.ok_or_else(|| bad(name, "has no type in .BTF"))?;
        let section = self.sections.get(&ty.id());
        let section = section.ok_or_else(|| bad(name, "is in no section of .BTF"))?;
        Ok((ty, section))
    }
}

fn bad(name: &[u8], what: &str) -> Error {
    let name = String::from_utf8_lossy(name);
    Error::damaged(format!("the extern symbol {name} {what}"))
}

fn ksym_kind(btf: &Btf<'_>, ty: Type<'_>) -> KsymKind {
    let target = ty
        .referenced()
        .and_then(|id| btf.skip_modifiers_and_typedefs(id));
    match ty.kind() {
        Kind::Func => KsymKind::Function,
        _ if target.is_some_and(|target| target.kind() == Kind::Void) => KsymKind::Address,
        _ => KsymKind::Variable,
    }
}

/// libbpf's `find_kcfg_type`.
fn kconfig_type(btf: &Btf<'_>, variable: Type<'_>) -> KconfigType {
    const BOOL: u8 = 4;
    let behind = |id| btf.skip_modifiers_and_typedefs(id);
    let Some(ty) = variable.referenced().and_then(behind) else {
        return KconfigType::Unsupported;
    };
    let scalar = |ty: Type<'_>| match (ty.int(), ty.size()) {
        (Some(int), Some(1)) if int.encoding & BOOL != 0 => KconfigType::Bool,
        (Some(int), _) if int.encoding & BOOL != 0 => KconfigType::Unsupported,
        (Some(_), Some(1)) => KconfigType::Char,
        (Some(_), Some(2 | 4 | 8)) => KconfigType::Int,
        _ => KconfigType::Unsupported,
    };
    match ty.kind() {
        Kind::Int => scalar(ty),
        Kind::Enum | Kind::Enum64 if ty.name() == b"libbpf_tristate" => KconfigType::Tristate,
        Kind::Array => {
            let array = ty.array().filter(|array| array.len > 0);
            let element = array.and_then(|array| behind(array.element));
            match element.map(scalar) {
                Some(KconfigType::Char) => KconfigType::String,
                _ => KconfigType::Unsupported,
            }
        }
        _ => KconfigType::Unsupported,
    }
}
