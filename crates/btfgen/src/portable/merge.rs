//! Collects the types of kernels by name, and merges their fields.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use btfgen_archive::KernelId;
use btfgen_btf::{Btf, Kind, Type, TypeId};
use btfgen_hub::{Error, ErrorKind, Result};
use btfgen_libbpf::{Dumper, LoadedBtf};

use super::essential::{chain, essence};
use super::runs::Runs;
use crate::selection::TypeSelection;
use crate::shape::{TypeKind, TypeName};

/// The deepest nesting of structs without a name. Kernels stay below 10.
const MAX_DEPTH: usize = 32;

/// The most fields of one kernel. A kernel has 200,000.
const MAX_FIELDS: usize = 1 << 22;

/// Stands for the definition of a struct without a name in a declaration.
const HOLE: &str = "\u{1}";

/// The types of some kernels.
pub(super) struct Merge<'s> {
    pub(super) selection: Option<&'s TypeSelection>,
    pub(super) kernels: Vec<KernelId>,
    /// The types in the order in which they were found.
    pub(super) order: Vec<TypeName>,
    pub(super) composites: HashMap<TypeName, Composite>,
    pub(super) enums: HashMap<TypeName, Enum>,
    pub(super) typedefs: HashMap<TypeName, Typedef>,
    /// Enums without a name, with only what no enum before has.
    pub(super) constants: Vec<Enum>,
    constant_names: HashSet<String>,
    /// Structs and unions to declare before all others.
    pub(super) forward: BTreeSet<TypeName>,
    /// The kind that has a name in C, which structs, unions and enums share.
    tags: HashMap<String, TypeKind>,
}

/// A struct or union.
#[derive(Debug, Default)]
pub(super) struct Composite {
    pub(super) fields: Vec<Field>,
    by_name: HashMap<String, usize>,
    pub(super) kernels: Runs,
    pub(super) exact: Exact,
}

/// The definition of a type by libbpf.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Exact {
    /// No kernel was asked yet.
    #[default]
    Unknown,
    /// The same in all kernels.
    Same(String),
    /// Kernels differ.
    Differs,
}

/// A field with its types, the first kernel's first.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) types: Vec<FieldType>,
}

/// A type of a field, with the kernels that have it.
#[derive(Debug)]
pub(super) struct FieldType {
    essence: String,
    pub(super) declaration: Declaration,
    pub(super) kernels: Runs,
}

/// A declaration in C. If the type has no name, its definition stands between two parts of the text.
#[derive(Debug, Default)]
pub(super) struct Declaration {
    pub(super) text: String,
    pub(super) nameless: Option<Box<Nameless>>,
    /// The types that must be defined before.
    pub(super) needs: BTreeSet<Needed>,
}

/// A type that a declaration needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Needed {
    pub(super) ty: TypeName,
    /// Which definition of a typedef.
    pub(super) variant: usize,
}

/// The definition of a type without a name.
#[derive(Debug)]
pub(super) enum Nameless {
    Composite(&'static str, Composite),
    Enum(Enum),
}

#[derive(Debug, Default)]
pub(super) struct Enum {
    pub(super) enumerators: Vec<(String, Vec<(i128, Runs)>)>,
    by_name: HashMap<String, usize>,
    pub(super) size: u32,
    pub(super) kernels: Runs,
}

/// A typedef, with what it stands for in different kernels.
#[derive(Debug, Default)]
pub(super) struct Typedef {
    pub(super) variants: Vec<FieldType>,
}

/// What a declaration is wanted of.
struct Wanted<'n> {
    id: TypeId,
    name: &'n [u8],
    bits: u32,
    /// Whether it may be written before the struct that it names.
    behind: bool,
}

/// One kernel that is added.
struct Adding<'m, 's, 'b> {
    merge: &'m mut Merge<'s>,
    btf: &'b Btf<'b>,
    kernel: usize,
    seen: HashSet<TypeId>,
    waiting: Vec<TypeId>,
    room: usize,
}

impl<'s> Merge<'s> {
    pub(super) fn new(selection: Option<&'s TypeSelection>) -> Self {
        Self {
            selection,
            kernels: Vec::new(),
            order: Vec::new(),
            composites: HashMap::new(),
            enums: HashMap::new(),
            typedefs: HashMap::new(),
            constants: Vec::new(),
            constant_names: HashSet::new(),
            forward: BTreeSet::new(),
            tags: HashMap::new(),
        }
    }

    /// Adds the types of a kernel.
    pub(super) fn add(&mut self, id: &KernelId, btf: &LoadedBtf<'_>) -> Result<()> {
        let selection = self.selection;
        let is_root = |ty: &Type<'_>| match TypeKind::of(ty.kind()) {
            None | Some(TypeKind::Function) => false,
            Some(_) if ty.name().is_empty() => false,
            Some(kind) => selection.is_none_or(|selection| {
                let name = String::from_utf8_lossy(ty.name());
                selection.fields(kind, &name).is_some()
            }),
        };
        let roots: Vec<TypeId> = btf.types().filter(is_root).map(|ty| ty.id()).collect();
        // libbpf also checks that all names are names in C.
        let exact = exact_definitions(id, btf, selection.map(|_| &roots[..]))?;
        let kernel = self.kernels.len();
        self.kernels.push(id.clone());
        let mut adding = Adding {
            merge: self,
            btf,
            kernel,
            seen: HashSet::new(),
            waiting: roots,
            room: MAX_FIELDS,
        };
        adding.run()?;
        if selection.is_none() {
            adding.add_constants();
        }
        let seen = adding.seen;
        self.compare_exact(btf, &seen, &exact);
        Ok(())
    }

    fn compare_exact(
        &mut self,
        btf: &Btf<'_>,
        seen: &HashSet<TypeId>,
        exact: &HashMap<String, String>,
    ) {
        for id in seen {
            let Some(ty) = btf.type_by_id(*id).filter(|ty| ty.kind().is_composite()) else {
                continue;
            };
            let Some(name) = name_of(&ty) else { continue };
            let text = exact.get(&name.to_string());
            if let Some(composite) = self.composites.get_mut(&name) {
                composite.exact = match (std::mem::take(&mut composite.exact), text) {
                    (Exact::Unknown, Some(text)) => Exact::Same(text.clone()),
                    (Exact::Same(same), Some(text)) if same == *text => Exact::Same(same),
                    _ => Exact::Differs,
                };
            }
        }
    }

    /// How a struct, union or enum is called in the header. Only one of them can have the name in C.
    pub(super) fn tag(&mut self, name: &TypeName) -> String {
        let first = *self.tags.entry(name.name.clone()).or_insert(name.kind);
        match first == name.kind {
            true => name.to_string(),
            false => format!("{name}___{}", name.kind.keyword()),
        }
    }
}

/// The definitions of structs and unions by libbpf, by keyword and name. Those of several types of a name are left out.
fn exact_definitions(
    id: &KernelId,
    btf: &LoadedBtf<'_>,
    roots: Option<&[TypeId]>,
) -> Result<HashMap<String, String>> {
    let failed = |e: btfgen_libbpf::Error| {
        let kind = match e.kind() {
            btfgen_libbpf::ErrorKind::OutOfMemory => ErrorKind::Machine,
            _ => ErrorKind::InvalidKernel,
        };
        Error::new(kind, id, "its types cannot be written as C").with_source(e)
    };
    let mut dumper = Dumper::new(btf).map_err(failed)?;
    match roots {
        Some(roots) => roots.iter().try_for_each(|&id| dumper.dump(id)),
        None => btf.ids().try_for_each(|id| dumper.dump(id)),
    }
    .map_err(failed)?;
    let text = dumper.take_text();
    let definitions = text.split("\n\n").filter_map(|definition| {
        let (head, _) = definition.split_once(" {")?;
        let is_composite = head.starts_with("struct ") || head.starts_with("union ");
        is_composite.then(|| (head.to_owned(), definition.to_owned()))
    });
    let mut all: HashMap<String, String> = definitions.collect();
    // libbpf calls the second type of a name `name___2`, and the text says which one it refers to.
    let second: Vec<String> = all
        .keys()
        .filter_map(|head| Some(head.strip_suffix("___2")?.to_owned()))
        .collect();
    for head in second {
        all.remove(&head);
    }
    all.retain(|_, text| !text.contains("___"));
    Ok(all)
}

/// The kind and name of a struct, union, enum or typedef.
fn name_of(ty: &Type<'_>) -> Option<TypeName> {
    let kind = TypeKind::of(ty.kind()).filter(|kind| *kind != TypeKind::Function)?;
    let name = String::from_utf8_lossy(ty.name()).into_owned();
    (!name.is_empty()).then_some(TypeName { kind, name })
}

impl Adding<'_, '_, '_> {
    fn run(&mut self) -> Result<()> {
        // In the order of the kernel's types.
        self.waiting.reverse();
        while let Some(id) = self.waiting.pop() {
            if let Some(ty) = self.btf.type_by_id(id)
                && self.seen.insert(id)
            {
                self.add_type(&ty)?;
            }
        }
        Ok(())
    }

    fn add_type(&mut self, ty: &Type<'_>) -> Result<()> {
        let Some(name) = name_of(ty) else {
            return Ok(());
        };
        match name.kind {
            TypeKind::Struct | TypeKind::Union => {
                let mut composite = self.merge.composites.remove(&name).unwrap_or_else(|| {
                    self.merge.order.push(name.clone());
                    Composite::default()
                });
                self.merge.tag(&name);
                let added = self.add_fields(ty, &mut composite, 0);
                composite.kernels.add(self.kernel);
                self.merge.composites.insert(name, composite);
                added
            }
            TypeKind::Enum => {
                self.merge.tag(&name);
                let mut known = self.merge.enums.remove(&name).unwrap_or_else(|| {
                    self.merge.order.push(name.clone());
                    Enum::default()
                });
                known.add(ty, self.kernel);
                self.merge.enums.insert(name, known);
                Ok(())
            }
            TypeKind::Typedef => self.typedef(ty).map(drop),
            TypeKind::Function => Ok(()),
        }
    }

    fn add_fields(&mut self, ty: &Type<'_>, composite: &mut Composite, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(self.refuse(ty, "is nested too deep"));
        }
        for member in ty.members() {
            if member.name.is_empty() {
                let inner = self.btf.skip_modifiers_and_typedefs(member.ty);
                if let Some(inner) = inner.filter(|inner| inner.kind().is_composite()) {
                    if !inner.name().is_empty() {
                        // Only an extension of C has the fields of a struct with a name here.
                        composite.exact = Exact::Differs;
                    }
                    self.add_fields(&inner, composite, depth + 1)?;
                }
                continue;
            }
            self.room = match self.room.checked_sub(1) {
                Some(room) => room,
                None => return Err(self.refuse(ty, "has too many fields")),
            };
            let name = String::from_utf8_lossy(member.name).into_owned();
            let essence = match member.bitfield_size {
                0 => essence(self.btf, member.ty),
                _ => "bitfield".to_owned(),
            };
            let next = composite.fields.len();
            let n = *composite.by_name.entry(name.clone()).or_insert(next);
            if n == next {
                let types = Vec::new();
                composite.fields.push(Field { name, types });
            }
            let types = &mut composite.fields[n].types;
            let bits = member.bitfield_size;
            let wanted = Wanted {
                id: member.ty,
                name: member.name,
                bits,
                behind: false,
            };
            self.add_variant(types, essence, &wanted, depth)?;
        }
        Ok(())
    }

    /// Notes a declaration among those of its name, and returns which one it is.
    fn add_variant(
        &mut self,
        variants: &mut Vec<FieldType>,
        essence: String,
        wanted: &Wanted<'_>,
        depth: usize,
    ) -> Result<usize> {
        let known = variants
            .iter()
            .position(|variant| variant.essence == essence);
        let n = match known {
            Some(n) => n,
            None => {
                let mut declaration = self.declaration(wanted)?;
                if wanted.bits > 0 {
                    declaration.text.push_str(&format!(": {}", wanted.bits));
                }
                variants.push(FieldType {
                    essence,
                    declaration,
                    kernels: Runs::default(),
                });
                variants.len() - 1
            }
        };
        variants[n].kernels.add(self.kernel);
        let nameless = variants[n].declaration.nameless.as_deref_mut();
        let base = written(self.btf, wanted.id);
        if let (Some(nameless), Some(base)) = (nameless, base) {
            match nameless {
                Nameless::Composite(_, composite) => {
                    composite.kernels.add(self.kernel);
                    self.add_fields(&base, composite, depth + 1)?;
                }
                Nameless::Enum(known) => known.add(&base, self.kernel),
            }
        }
        if known.is_some() {
            // The types that this kernel's field needs may have more fields here.
            self.needs(wanted.id, wanted.behind, 0, &mut BTreeSet::new())?;
        }
        Ok(n)
    }

    fn declaration(&mut self, wanted: &Wanted<'_>) -> Result<Declaration> {
        let &Wanted { id, name, .. } = wanted;
        let mut needs = BTreeSet::new();
        self.needs(id, wanted.behind, 0, &mut needs)?;
        let base = written(self.btf, id);
        let nameless = base
            .filter(|ty| ty.name().is_empty())
            .and_then(|ty| match ty.kind() {
                Kind::Struct => Some(Nameless::Composite("struct", Composite::default())),
                Kind::Union => Some(Nameless::Composite("union", Composite::default())),
                Kind::Enum | Kind::Enum64 => Some(Nameless::Enum(Enum::default())),
                _ => None,
            });
        let base = nameless.is_some().then(|| base.map(|ty| ty.id())).flatten();
        let btf = self.btf;
        let mut names: BTreeMap<TypeId, String> = BTreeMap::new();
        for id in needs_of(btf, id) {
            if let Some(ty) = btf.type_by_id(id) {
                let text = match name_of(&ty) {
                    Some(name) if name.kind == TypeKind::Typedef => self.typedef_name(&ty)?,
                    Some(name) => self.merge.tag(&name),
                    None => continue,
                };
                names.insert(id, text);
            }
        }
        let merge = &mut *self.merge;
        let mut spell = |ty: &Type<'_>| match ty.kind() {
            _ if Some(ty.id()) == base => Some(HOLE.to_owned()),
            Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 if ty.name().is_empty() => {
                // In a prototype.
                Some("void *".to_owned())
            }
            Kind::Fwd => Some(merge.tag(&forward_name(ty))),
            _ => names.get(&ty.id()).cloned().or_else(|| match name_of(ty) {
                Some(name) if name.kind != TypeKind::Typedef => Some(merge.tag(&name)),
                _ => None,
            }),
        };
        let text = btf.c_declaration_spelled(id, name, &mut spell);
        if text.contains('…') {
            let name = String::from_utf8_lossy(name);
            let message = format!("the declaration of {name:?} is too long");
            let error = Error::new(ErrorKind::InvalidKernel, format!("type [{id}]"), message);
            return Err(error);
        }
        let nameless = nameless.map(Box::new);
        Ok(Declaration {
            text,
            nameless,
            needs,
        })
    }

    /// The types that must be defined before a declaration of this type, and those to declare.
    fn needs(
        &mut self,
        id: TypeId,
        behind: bool,
        depth: usize,
        needs: &mut BTreeSet<Needed>,
    ) -> Result<()> {
        let Some(ty) = self.btf.type_by_id(id) else {
            return Ok(());
        };
        if depth > 2 * MAX_DEPTH {
            return Err(self.refuse(&ty, "is nested too deep"));
        }
        let to = ty.referenced().unwrap_or(TypeId::VOID);
        match ty.kind() {
            Kind::Ptr => self.needs(to, true, depth + 1, needs)?,
            Kind::Const | Kind::Volatile | Kind::Restrict | Kind::TypeTag => {
                self.needs(to, behind, depth + 1, needs)?;
            }
            Kind::Array => {
                let element = ty.array().map_or(TypeId::VOID, |array| array.element);
                self.needs(element, false, depth + 1, needs)?;
            }
            Kind::FuncProto => {
                for param in ty.params().chain([to]) {
                    self.needs(param, true, depth + 1, needs)?;
                }
            }
            Kind::Fwd => {
                self.merge.forward.insert(forward_name(&ty));
            }
            Kind::Typedef => {
                let variant = self.typedef(&ty)?;
                needs.extend(name_of(&ty).map(|ty| Needed { ty, variant }));
                // A typedef may be defined before its struct, but a field of this type may not.
                if !behind {
                    self.needs(to, false, depth + 1, needs)?;
                }
            }
            Kind::Enum | Kind::Enum64 | Kind::Struct | Kind::Union => {
                let Some(name) = name_of(&ty) else {
                    return Ok(());
                };
                if behind && ty.kind().is_composite() {
                    self.merge.forward.insert(name);
                } else {
                    self.waiting.push(ty.id());
                    needs.insert(Needed {
                        ty: name,
                        variant: 0,
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds a typedef, and returns which of its definitions it is.
    fn typedef(&mut self, ty: &Type<'_>) -> Result<usize> {
        let (Some(name), Some(to)) = (name_of(ty), ty.referenced()) else {
            return Ok(0);
        };
        let is_nameless = self.btf.type_by_id(to).is_some_and(|to| {
            to.name().is_empty() && (to.kind().is_composite() || to.kind().is_enum())
        });
        let essence = match is_nameless {
            true => "{}".to_owned(),
            false => essence(self.btf, to),
        };
        let known = self.merge.typedefs.get(&name);
        let position = known.and_then(|t| t.variants.iter().position(|v| v.essence == essence));
        if self.seen.contains(&ty.id())
            && let Some(position) = position
            && let Some(variant) = self
                .merge
                .typedefs
                .get(&name)
                .and_then(|t| t.variants.get(position))
            && variant.kernels.has_last(self.kernel)
        {
            return Ok(position);
        }
        self.seen.insert(ty.id());
        let mut typedef = self.merge.typedefs.remove(&name).unwrap_or_else(|| {
            self.merge.order.push(name.clone());
            Typedef::default()
        });
        let called = match position.unwrap_or(typedef.variants.len()) {
            0 => name.name.clone(),
            n => format!("{}___{}", name.name, n + 1),
        };
        let wanted = Wanted {
            id: to,
            name: called.as_bytes(),
            bits: 0,
            behind: true,
        };
        let added = self.add_variant(&mut typedef.variants, essence, &wanted, 0);
        self.merge.typedefs.insert(name, typedef);
        added
    }

    /// How a typedef is called in the header.
    fn typedef_name(&mut self, ty: &Type<'_>) -> Result<String> {
        let name = String::from_utf8_lossy(ty.name()).into_owned();
        Ok(match self.typedef(ty)? {
            0 => name,
            n => format!("{name}___{}", n + 1),
        })
    }

    /// Adds the enumerators of enums without a name, which are constants.
    fn add_constants(&mut self) {
        for ty in self
            .btf
            .types_of(|kind| kind.is_enum())
            .filter(|ty| ty.name().is_empty())
        {
            let mut constants = Enum::default();
            constants.add(&ty, self.kernel);
            let known = &mut self.merge.constant_names;
            constants
                .enumerators
                .retain(|(name, _)| known.insert(name.clone()));
            if !constants.enumerators.is_empty() {
                self.merge.constants.push(constants);
            }
        }
    }

    fn refuse(&self, ty: &Type<'_>, message: &str) -> Error {
        Error::new(ErrorKind::InvalidKernel, format!("{ty:?}"), message)
    }
}

impl Enum {
    fn add(&mut self, ty: &Type<'_>, kernel: usize) {
        self.kernels.add(kernel);
        self.size = self.size.max(ty.size().unwrap_or_default());
        for enumerator in ty.enumerators() {
            let value = crate::shape_reader::value_of(ty, &enumerator);
            let name = String::from_utf8_lossy(enumerator.name).into_owned();
            let next = self.enumerators.len();
            let n = *self.by_name.entry(name.clone()).or_insert(next);
            if n == next {
                self.enumerators.push((name, Vec::new()));
            }
            let values = &mut self.enumerators[n].1;
            match values.iter_mut().find(|(known, _)| *known == value) {
                Some((_, kernels)) => kernels.add(kernel),
                None => {
                    let mut kernels = Runs::default();
                    kernels.add(kernel);
                    values.push((value, kernels));
                }
            }
        }
    }
}

impl Declaration {
    /// The text around the definition of a type without a name.
    pub(super) fn around(&self) -> Option<(&str, &str)> {
        self.text.split_once(HOLE)
    }
}

/// The struct or union that a forward declaration declares.
fn forward_name(ty: &Type<'_>) -> TypeName {
    let kind = match ty.kind_flag() {
        true => TypeKind::Union,
        false => TypeKind::Struct,
    };
    let name = String::from_utf8_lossy(ty.name()).into_owned();
    TypeName { kind, name }
}

/// The type that a declaration is written around: the first one that is no pointer, array or modifier.
fn written<'b>(btf: &'b Btf<'b>, id: TypeId) -> Option<Type<'b>> {
    let is_around = |ty: &Type<'_>| {
        matches!(
            ty.kind(),
            Kind::Ptr | Kind::Array | Kind::Const | Kind::Volatile | Kind::Restrict | Kind::TypeTag
        )
    };
    chain(btf, id).find(|ty| !is_around(ty))
}

/// The named types in a declaration of this type: also those in prototypes, as deep as they are written.
fn needs_of(btf: &Btf<'_>, id: TypeId) -> BTreeSet<TypeId> {
    let mut named = BTreeSet::new();
    let _ = btf.c_declaration_spelled(id, b"", &mut |ty| {
        named.insert(ty.id());
        None
    });
    named
}
