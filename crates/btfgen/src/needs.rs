//! The needs of a set of objects: the distinct relocations.
//!
//! Two relocations are one need if no kernel can answer them differently, in any object and however often they are used. 52
//! tools ask for `task_struct.tgid`, but it is resolved once. See [`btfgen_object::signature`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Index;

use btfgen_btf::{Kind, Type};
use btfgen_libbpf::{ReloKind, Relocation, Resolver, essential_name};
use btfgen_object::{Signature, digest_of};

use crate::access::{Accesses, Asked};
use crate::byte_orders::ByteOrders;
use crate::object::{Object, RelocationUse, SourceLine};
use crate::outcome::{Outcome, Refusal};

/// The distinct relocations of some objects.
#[derive(Debug)]
pub struct Needs {
    objects: Vec<Object>,
    needs: Vec<Need>,
    roots: Vec<Root>,
    names: BTreeSet<Vec<u8>>,
}

/// One distinct relocation.
#[derive(Debug)]
pub struct Need {
    relocation: Relocation,
    path: String,
    uses: Vec<NeedUse>,
    accesses: Accesses,
    byte_orders: ByteOrders,
    /// Whether all uses have the same flavour, or none.
    is_one_flavour: bool,
}

/// A use of a need: one relocation record of one object.
#[derive(Debug, Clone, Copy)]
struct NeedUse {
    object: usize,
    relocation: usize,
}

/// A root: the kind and the name without flavour, by which libbpf looks candidates up.
#[derive(Debug)]
pub(crate) struct Root {
    /// Enums of both widths count as [`Kind::Enum`].
    pub(crate) kind: Kind,
    pub(crate) name: Vec<u8>,
    /// The indices of the needs with this root.
    pub(crate) needs: Vec<usize>,
}

impl Root {
    /// Whether the id of the kernel's type is asked for: two equal candidates are an ambiguity then, and one is not.
    pub(crate) fn asks_identity(&self, needs: &Needs) -> bool {
        let mut asked = self.needs.iter().filter_map(|&need| needs.get(need));
        asked.any(|need| need.kind() == ReloKind::TypeIdTarget)
    }
}

/// Where an object relocates something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Place {
    /// The object's file name.
    pub object: String,
    /// The ELF section: a program's `SEC()`.
    pub section: String,
    /// The function, if the object has its name.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub function: Option<String>,
    /// Index of the instruction within its section.
    pub instruction: u32,
    /// The number of bytes that the instruction loads or stores, if it does.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub access_bytes: Option<u8>,
    /// The source file, if the object has its name.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub file: Option<String>,
    /// The line in the source file, from 1.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub line: Option<u32>,
}

impl Needs {
    /// Collects the distinct relocations of some objects.
    pub fn new(objects: Vec<Object>) -> Self {
        let mut by_signature: HashMap<&Signature, usize> = HashMap::new();
        let mut resolver = Resolver::new();
        let mut needs: Vec<Need> = Vec::new();
        for (o, object) in objects.iter().enumerate() {
            let mut accesses = vec![BTreeSet::new(); object.relocations().len()];
            for place in object.uses() {
                accesses[place.relocation].extend(place.access_bytes);
            }
            let asked = object.relocations().iter().zip(object.questions());
            for (r, (relocation, question)) in asked.enumerate() {
                let next = needs.len();
                let need = *by_signature.entry(&question.signature).or_insert(next);
                if need == next {
                    needs.push(Need {
                        relocation: relocation.clone(),
                        path: question.path.clone(),
                        uses: Vec::new(),
                        accesses: Accesses {
                            local_size: local_size(relocation, &mut resolver),
                            bytes: BTreeSet::new(),
                        },
                        byte_orders: ByteOrders::default(),
                        is_one_flavour: true,
                    });
                }
                let flavour = needs[need].relocation.root().name();
                needs[need].is_one_flavour &= relocation.root().name() == flavour;
                needs[need].byte_orders.add(object.btf().byte_order());
                needs[need].accesses.bytes.append(&mut accesses[r]);
                needs[need].uses.push(NeedUse {
                    object: o,
                    relocation: r,
                });
            }
        }
        Self {
            objects,
            roots: roots(&needs),
            names: needs.iter().flat_map(Need::names).collect(),
            needs,
        }
    }

    /// The objects, in the given order.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The distinct relocations, in the order of their first use.
    pub fn iter(&self) -> std::slice::Iter<'_, Need> {
        self.needs.iter()
    }

    /// The number of distinct relocations.
    pub fn len(&self) -> usize {
        self.needs.len()
    }

    /// Whether there are no relocations.
    pub fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }

    /// The need with this index.
    pub fn get(&self, index: usize) -> Option<&Need> {
        self.needs.get(index)
    }

    /// The signature of the need with this index.
    pub(crate) fn signature(&self, need: usize) -> Option<&Signature> {
        let first = self.needs.get(need)?.uses.first()?;
        let question = self.objects[first.object]
            .questions()
            .get(first.relocation)?;
        Some(&question.signature)
    }

    /// The roots in canonical order: by name, then by kind. The order of the objects does not matter.
    pub(crate) fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// The names of types, members and enumerators that the needs ask for, without flavours.
    pub(crate) fn names(&self) -> &BTreeSet<Vec<u8>> {
        &self.names
    }

    /// Every place where a need is used, in the order of objects and instructions.
    pub fn places(&self, need: &Need) -> Vec<Place> {
        let mut places = Vec::new();
        for u in &need.uses {
            let uses = self.objects[u.object].uses().iter();
            let uses = uses.filter(|place| place.relocation == u.relocation);
            places.extend(uses.map(|place| self.place(u.object, place)));
        }
        places
    }

    /// The needs of the object with this index, in the order of their first use.
    ///
    /// # Panics
    /// Panics if there is no such object.
    pub fn of_object(&self, object: usize) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        let mut needs = self.of_relocations(object);
        needs.retain(|need| seen.insert(*need));
        needs
    }

    /// A place of the object with this index.
    pub(crate) fn place(&self, object: usize, place: &RelocationUse) -> Place {
        let object = &self.objects[object];
        let (file, line) = match object.source_line(place) {
            Some(SourceLine { file, line, .. }) if !file.is_empty() => (Some(file), Some(line)),
            _ => (None, None),
        };
        Place {
            object: object.name().to_owned(),
            section: object.section(place),
            function: object.function(place),
            instruction: place.insn_off / 8,
            access_bytes: place.access_bytes,
            file,
            line,
        }
    }

    /// The need of each of [`Object::relocations`] of the object with this index; several may have the same one.
    ///
    /// # Panics
    ///
    /// Panics if there is no such object.
    pub fn of_relocations(&self, object: usize) -> Vec<usize> {
        let mut needs = vec![0; self.objects[object].relocations().len()];
        for (n, need) in self.needs.iter().enumerate() {
            for u in need.uses.iter().filter(|u| u.object == object) {
                needs[u.relocation] = n;
            }
        }
        needs
    }

    /// A number for all that one object asks for, equal to [`btfgen_object::digest`] of its file. If an object is rebuilt,
    /// or built with another `vmlinux.h`, the number stays the same as long as the object asks the same.
    pub fn digest(object: &Object) -> u32 {
        digest_of(object.questions().iter().map(|q| &q.signature))
    }
}

impl Index<usize> for Needs {
    type Output = Need;

    fn index(&self, index: usize) -> &Need {
        &self.needs[index]
    }
}

impl<'n> IntoIterator for &'n Needs {
    type Item = &'n Need;
    type IntoIter = std::slice::Iter<'n, Need>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Need {
    /// The kind of its question.
    pub fn kind(&self) -> ReloKind {
        self.relocation.kind()
    }

    /// The local root type in C's spelling: `struct task_struct`. It has a flavour if all uses have this flavour.
    pub fn root(&self) -> String {
        match self.is_one_flavour {
            true => self.named_root(self.relocation.root().name()),
            false => self.root_name(),
        }
    }

    /// Like [`Need::root`], without the flavour: the name by which the type is looked up.
    pub(crate) fn root_name(&self) -> String {
        self.named_root(essential_name(self.relocation.root().name()))
    }

    fn named_root(&self, name: &[u8]) -> String {
        let name = String::from_utf8_lossy(name);
        let name = if name.is_empty() {
            "(anonymous)".into()
        } else {
            name
        };
        match keyword(self.relocation.root()) {
            "" => name.into_owned(),
            keyword => format!("{keyword} {name}"),
        }
    }

    /// The path of fields from the root (`real_parent`, `a.b[3]`), or the enumerator; empty if it asks about a whole type.
    pub fn path(&self) -> String {
        self.path.clone()
    }

    /// The number of objects with this need.
    pub fn objects(&self) -> usize {
        let mut objects: Vec<_> = self.uses.iter().map(|u| u.object).collect();
        objects.dedup();
        objects.len()
    }

    /// The reason if libbpf refuses to load an object with this relocation on every kernel.
    ///
    /// This is libbpf's result if the kernel has no candidate: libbpf first computes the relocation in the object's own
    /// types.
    pub fn refusal(&self) -> Option<Refusal> {
        let mut resolver = Resolver::new();
        let resolved = resolver.resolve(&self.relocation, &[]);
        resolved.err().map(|failure| Refusal::of(failure.errno))
    }

    /// Why libbpf refuses this relocation on a kernel with this outcome. Unlike [`Outcome::refusal`], this also knows the
    /// instructions: libbpf adapts loads and stores to the size of the kernel's field, and refuses some.
    pub fn refusal_with(&self, outcome: &Outcome) -> Option<Refusal> {
        self.accesses.refusal(self.kind(), outcome)
    }

    /// Whether the relocation finds nothing with this outcome, or is refused.
    pub(crate) fn fails_with(&self, outcome: &Outcome) -> bool {
        self.refusal_with(outcome).is_some() || !outcome.is_found(self.kind())
    }

    /// Why libbpf refuses this relocation on 32-bit kernels, if they define the field as the program does: the program loads or
    /// stores a signed long directly, which has 4 bytes there.
    pub fn refusal_on_32_bits(&self) -> Option<Refusal> {
        let is_long = self.kind() == ReloKind::FieldByteOffset
            && !self.accesses.bytes.is_empty()
            && self.field().is_some_and(|ty| {
                let is_signed = ty.int().is_some_and(|int| int.encoding & SIGNED != 0);
                is_signed && matches!(ty.name(), b"long" | b"long int")
            });
        is_long.then_some(Refusal::SizeMismatch)
    }

    pub(crate) fn asked(&self) -> Asked {
        Asked {
            kind: self.kind(),
            accesses: self.accesses.clone(),
            byte_orders: self.byte_orders,
        }
    }

    /// The local type of the field, without modifiers and typedefs.
    fn field(&self) -> Option<Type<'_>> {
        let btf = self.relocation.btf();
        let mut ty = btf.skip_modifiers_and_typedefs(self.relocation.root().id())?;
        for &index in self.relocation.accessors().get(1..)? {
            let inner = match ty.array() {
                Some(array) => array.element,
                None => ty.member(index)?.ty,
            };
            ty = btf.skip_modifiers_and_typedefs(inner)?;
        }
        Some(ty)
    }

    /// One of its relocation records, which stands for all.
    pub fn relocation(&self) -> &Relocation {
        &self.relocation
    }

    /// The names along the path.
    fn names(&self) -> Vec<Vec<u8>> {
        let btf = self.relocation.btf();
        let mut names = vec![self.relocation.root().name()];
        let mut ty = btf.skip_modifiers_and_typedefs(self.relocation.root().id());
        for &index in self.relocation.accessors().get(1..).unwrap_or_default() {
            let Some(outer) = ty else { break };
            let inner = match outer.array() {
                Some(array) => Some(array.element),
                None => outer.member(index).map(|member| {
                    names.push(member.name);
                    member.ty
                }),
            };
            ty = inner.and_then(|id| btf.skip_modifiers_and_typedefs(id));
            names.extend(ty.map(|ty| ty.name()));
        }
        if self.kind().is_enumval()
            && let (Some(ty), Some(&index)) = (ty, self.relocation.accessors().first())
        {
            names.extend(ty.enumerator(index).map(|e| e.name));
        }
        let names = names.into_iter().map(essential_name);
        names
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    }

    /// Whether it asks a kernel. A local type id asks only the object.
    pub fn asks_kernel(&self) -> bool {
        self.kind() != ReloKind::TypeIdLocal
    }
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (root, path) = (self.root(), self.path());
        let dot = if path.is_empty() || path.starts_with('[') {
            ""
        } else if self.kind().is_enumval() {
            "::"
        } else {
            "."
        };
        write!(f, "{} {root}{dot}{path}", self.kind())
    }
}

/// The bit of an integer's encoding for signed ones.
const SIGNED: u8 = 1;

/// The size of the local field, to which libbpf compares a load or store; 0 if it does not.
fn local_size(relocation: &Relocation, resolver: &mut Resolver) -> u32 {
    let resolved = resolver.resolve(relocation, &[]);
    resolved.map_or(0, |(resolution, _)| resolution.local_size)
}

fn keyword(ty: Type<'_>) -> &'static str {
    match ty.kind() {
        Kind::Fwd if ty.kind_flag() => "union",
        Kind::Struct | Kind::Fwd => "struct",
        Kind::Union => "union",
        Kind::Enum | Kind::Enum64 => "enum",
        Kind::Func => "function",
        Kind::Var => "variable",
        _ => "",
    }
}

fn roots(needs: &[Need]) -> Vec<Root> {
    let mut by_name: BTreeMap<(Vec<u8>, Kind), Vec<usize>> = BTreeMap::new();
    for (i, need) in needs.iter().enumerate().filter(|(_, n)| n.asks_kernel()) {
        let ty = need.relocation.root();
        let kind = match ty.kind() {
            Kind::Enum64 => Kind::Enum,
            kind => kind,
        };
        by_name
            .entry((essential_name(ty.name()).to_vec(), kind))
            .or_default()
            .push(i);
    }
    by_name
        .into_iter()
        .map(|((name, kind), needs)| Root { kind, name, needs })
        .collect()
}
