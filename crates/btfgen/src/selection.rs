//! Which types and fields to compare: all, those that the caller names, or those that objects ask for.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use btfgen_btf::{Btf, Kind, TypeId};
use btfgen_hub::{Error, ErrorKind, Result, nearest};
use btfgen_libbpf::{ReloKind, essential_name};

use crate::needs::{Need, Needs};
use crate::shape::{Shapes, TypeKind};

/// Selects named types and their fields.
#[derive(Debug, Clone, Default)]
pub struct TypeSelection {
    /// The kinds that are selected as a whole.
    kinds: BTreeSet<TypeKind>,
    types: BTreeMap<(TypeKind, String), Fields>,
    /// What the caller named: some kernel must have it.
    named: Vec<Named>,
}

/// The selected fields of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fields {
    /// All of them, and the size of the type.
    All,
    /// Those with these paths. The type's existence counts, but not its size.
    Only(BTreeSet<String>),
}

#[derive(Debug, Clone)]
struct Named {
    kind: Option<TypeKind>,
    name: String,
    field: Option<String>,
}

impl Fields {
    /// Whether a field is selected, or a part of it.
    pub(crate) fn has(&self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(paths) => paths.iter().any(|selected| is_part_of(selected, path)),
        }
    }
}

/// The typedefs in `bpf_helper_defs.h`.
const HELPERS_INTEGERS: [&str; 11] = [
    "__u8", "__s8", "__u16", "__s16", "__u32", "__s32", "__u64", "__s64", "__be16", "__be32",
    "__wsum",
];

/// Whether a path is `outer` or leads into it.
fn is_part_of(path: &str, outer: &str) -> bool {
    let rest = path.strip_prefix(outer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

impl TypeSelection {
    /// Selects nothing. What is added is selected.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds all structs, unions, enums and typedefs.
    #[must_use]
    pub fn all_types(mut self) -> Self {
        let is_type = |kind: &TypeKind| *kind != TypeKind::Function;
        self.kinds.extend(TypeKind::ALL.into_iter().filter(is_type));
        self
    }

    /// Adds all functions.
    #[must_use]
    pub fn all_functions(mut self) -> Self {
        self.kinds.insert(TypeKind::Function);
        self
    }

    /// Adds a type by its name: `task_struct`, which may be of any kind, or `struct task_struct`. `task_struct.state` adds one
    /// field.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`] if it is not of this form.
    pub fn named(mut self, text: &str) -> Result<Self> {
        let mut words = text.split_whitespace();
        let (kind, name) = match (words.next(), words.next(), words.next()) {
            (Some(name), None, _) => (None, name),
            (Some(keyword), Some(name), None) => {
                let mut kinds = TypeKind::ALL.into_iter();
                let kind = kinds.find(|kind| kind.keyword() == keyword);
                (Some(kind.ok_or_else(|| not_a_type(text))?), name)
            }
            _ => return Err(not_a_type(text)),
        };
        let (name, field) = match name.split_once('.') {
            Some((name, field)) => (name, Some(field)),
            None => (name, None),
        };
        if name.is_empty() || field == Some("") {
            return Err(not_a_type(text));
        }
        for kind in TypeKind::ALL
            .into_iter()
            .filter(|k| kind.is_none_or(|kind| kind == *k))
        {
            self.add(kind, name, field);
        }
        self.named.push(Named {
            kind,
            name: name.to_owned(),
            field: field.map(str::to_owned),
        });
        Ok(self)
    }

    /// Adds the integers that libbpf's `bpf_helpers.h` needs, where a kernel has them.
    #[must_use]
    pub fn helpers_integers(mut self) -> Self {
        for name in HELPERS_INTEGERS {
            self.add(TypeKind::Typedef, name, None);
        }
        self
    }

    /// Adds the types and fields that objects ask for.
    #[must_use]
    pub fn needs(mut self, needs: &Needs) -> Self {
        for need in needs.iter().filter(|need| need.asks_kernel()) {
            self.add_need(need);
        }
        self
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.types.is_empty()
    }

    /// `None` for the field adds the whole type.
    fn add(&mut self, kind: TypeKind, name: &str, field: Option<&str>) {
        let empty = Fields::Only(BTreeSet::new());
        let fields = self.types.entry((kind, name.to_owned())).or_insert(empty);
        match (field, &mut *fields) {
            (None, _) => *fields = Fields::All,
            (Some(field), Fields::Only(paths)) => {
                paths.insert(field.to_owned());
            }
            (Some(_), Fields::All) => {}
        }
    }

    /// Follows the path of a relocation through the types of its object.
    fn add_need(&mut self, need: &Need) {
        let btf = need.relocation().btf();
        let root = need.relocation().root();
        match need.kind() {
            ReloKind::TypeMatches | ReloKind::TypeSize => {
                return self.add_type(btf, root.id(), None);
            }
            kind if kind.is_enumval() => {
                let path = need.path();
                let name = String::from_utf8_lossy(essential_name(path.as_bytes()));
                return self.add_type(btf, root.id(), Some(&name));
            }
            _ => self.add_type(btf, root.id(), Some("")),
        }
        let mut path = String::new();
        let mut named = root.id();
        let mut ty = btf.skip_modifiers_and_typedefs(root.id());
        for &index in need.relocation().accessors().get(1..).unwrap_or_default() {
            let Some(outer) = ty else { break };
            let inner = match outer.array() {
                Some(array) => {
                    path.push_str("[]");
                    Some(array.element)
                }
                None => outer.member(index).map(|member| {
                    if !member.name.is_empty() {
                        let dot = if path.is_empty() { "" } else { "." };
                        let name = String::from_utf8_lossy(member.name);
                        path.push_str(&format!("{dot}{name}"));
                    }
                    member.ty
                }),
            };
            ty = inner.and_then(|id| btf.skip_modifiers_and_typedefs(id));
            if let Some(inner) = ty.filter(|ty| ty.kind().is_composite() && !ty.name().is_empty()) {
                self.add_type(btf, named, Some(&path));
                named = inner.id();
                path.clear();
            }
        }
        self.add_type(btf, named, Some(&path));
    }

    /// Adds a type of an object without its flavour. An empty field adds only that it exists.
    fn add_type(&mut self, btf: &Btf<'_>, id: TypeId, field: Option<&str>) {
        let ty = btf.type_by_id(id);
        let named = ty.and_then(|ty| Some((TypeKind::of(ty.kind())?, ty.name())));
        if let Some((kind, name)) = named {
            let name = String::from_utf8_lossy(essential_name(name)).into_owned();
            self.add(kind, &name, field);
            let to = btf.skip_modifiers_and_typedefs(id);
            if kind == TypeKind::Typedef
                && let Some(to) = to.filter(|to| !matches!(to.kind(), Kind::Typedef))
            {
                self.add_type(btf, to.id(), field);
            }
        }
    }

    /// The selected fields of a type; `None` if the type is not selected.
    pub(crate) fn fields(&self, kind: TypeKind, name: &str) -> Option<&Fields> {
        if self.kinds.contains(&kind) {
            return Some(&Fields::All);
        }
        // Most selections are small, and most names of a kernel are not in them.
        self.types.get(&(kind, name.to_owned()))
    }

    /// Fails if something that the caller named is in none of these kernels. `subject` names them, and `read` reads one of
    /// them for the nearest name.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownType`], and those of `read`.
    pub fn check<'b, B: Borrow<Btf<'b>>>(
        &self,
        subject: &str,
        kernels: &[&Shapes],
        read: impl Fn() -> Result<B>,
    ) -> Result<()> {
        for named in &self.named {
            let found = kernels.iter().flat_map(|kernel| kernel.iter());
            let mut found = found
                .filter(|(ty, _)| ty.name == named.name && named.kind.is_none_or(|k| k == ty.kind))
                .flat_map(|(_, shapes)| shapes)
                .peekable();
            let (what, near) = match (&named.field, found.peek()) {
                (_, None) => {
                    let names = names_of(read()?.borrow(), named.kind);
                    (named.told(), nearest(&named.name, names.into_iter()))
                }
                (None, Some(_)) => continue,
                (Some(field), Some(_)) => {
                    let paths = found.flat_map(|shape| &shape.parts).map(|part| &part.path);
                    let paths: BTreeSet<&String> = paths.collect();
                    if paths.iter().any(|path| is_part_of(field, path)) {
                        continue;
                    }
                    let near = nearest(field, paths.into_iter().cloned());
                    (format!("field {field} of {}", named.told()), near)
                }
            };
            let message = format!("there is no {what}");
            let error = Error::new(ErrorKind::UnknownType, subject, message);
            return Err(match near {
                Some(near) => error.with_help(format!("did you mean {near}?")),
                None => error,
            });
        }
        Ok(())
    }
}

impl Named {
    fn told(&self) -> String {
        let keyword = self.kind.map_or("type", TypeKind::keyword);
        format!("{keyword} {}", self.name)
    }
}

fn names_of(btf: &Btf<'_>, kind: Option<TypeKind>) -> BTreeSet<String> {
    let is_meant = |other: Kind| {
        let other = TypeKind::of(other);
        other.is_some_and(|other| kind.is_none_or(|kind| kind == other))
    };
    let names = btf.types_of(is_meant).map(|ty| ty.name());
    names
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

fn not_a_type(text: &str) -> Error {
    Error::new(ErrorKind::InvalidName, format!("{text:?}"), "not the name of a type").with_help(
        "write for instance task_struct, 'struct task_struct', task_struct.pid, or a function's name",
    )
}
