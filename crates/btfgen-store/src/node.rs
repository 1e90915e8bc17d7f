//! Nodes: types as definitions, with numbers of names and of other nodes instead of offsets and ids.
//!
//! A node is a type's record as it is in a BTF, in words: name, info word, size or type, and what follows (`struct btf_type`
//! and `struct btf_member` and so on, see the kernel's Documentation/bpf/btf.rst). Three things differ. A name is the number of
//! the name. A type is the number of a node, which is smaller than the node's own number. And behind a pointer, a struct or union
//! is only a [`Reference`](Shape::Reference): its kind and its name. No loader looks further, and without this a change of one
//! struct would change all definitions of all kernels.
//!
//! A candidate that is a module's type has one more node around its definition, which names the module. A function's node has no
//! name and only the number of its parameters, so that few nodes serve all functions.

use std::ops::Range;

use btfgen_btf::{Info, Kind};

/// The number of the node `void`. Every store has it.
pub(crate) const VOID: u32 = 0;

/// The words of the node `void`.
pub(crate) const VOID_WORDS: [u32; 3] = [0; 3];

/// The deepest nesting of types. No kernel has more than 30, and btfgen-libbpf's `Checker` refuses more than this.
pub(crate) const MAX_HEIGHT: u8 = 128;

/// The number of the empty name. Every store has it.
pub(crate) const NO_NAME: u32 = 0;

/// The words that every node has: name, info, size or type.
const COMMON: usize = 3;

/// The info word of a reference has this bit, which no BTF has: kinds have seven bits, and then comes the kind flag. Its lower
/// bits are those of the struct's or union's info word without members.
const REFERENCE: u32 = 1 << 23;

/// The info word of a candidate that is a module's type. As in a BTF, a declaration tag has a name and refers to a type.
const OF_MODULE: u32 = (Kind::DeclTag as u32) << 24 | REFERENCE;

/// The info word of a function.
const FUNCTION: u32 = (Kind::Func as u32) << 24 | REFERENCE;

/// What the words of a node mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Void,
    /// A struct or union behind a pointer.
    Reference(Kind),
    /// A type with all its words.
    Type(Kind),
    /// A candidate that is a module's type, or a function of a module: the module's name, and the node of the type or function.
    /// No other node refers to it.
    OfModule,
    /// A function: no name, and the number of its parameters with the bits of [`functions`](crate::functions). Only a node
    /// [`OfModule`](Shape::OfModule) refers to it.
    Function,
}

impl Shape {
    /// The shape of these words; `None` if no node has such words.
    pub(crate) fn of(words: &[u32]) -> Option<Self> {
        let &[_, info, size_or_type, ref rest @ ..] = words else {
            return None;
        };
        if words == VOID_WORDS {
            return Some(Self::Void);
        }
        let kind = Info::new(info).kind();
        if info == OF_MODULE {
            return rest.is_empty().then_some(Self::OfModule);
        }
        if info == FUNCTION {
            return (words[0] == NO_NAME && rest.is_empty()).then_some(Self::Function);
        }
        if info & REFERENCE != 0 {
            let is_reference = reference_info(kind) == info && size_or_type == 0 && rest.is_empty();
            return (kind.is_composite() && is_reference).then_some(Self::Reference(kind));
        }
        let (own, each) = trailing(kind)?;
        let parts = Info::new(info).vlen() as usize;
        let len = if each == 0 { own } else { own + each * parts };
        (rest.len() == len).then_some(Self::Type(kind))
    }
}

/// The info word of a reference to a struct or union.
pub(crate) fn reference_info(kind: Kind) -> u32 {
    (kind as u32) << 24 | REFERENCE
}

/// The words of a candidate that is a type of the module with this name.
pub(crate) fn of_module(name: u32, node: u32) -> [u32; 3] {
    [name, OF_MODULE, node]
}

/// The words of a function's node.
pub(crate) fn function(signature: u32) -> [u32; 3] {
    [NO_NAME, FUNCTION, signature]
}

/// The words of a node of this kind behind the common ones: of the type itself, and of each member, enumerator or parameter.
/// `None` for kinds that are no definitions.
pub(crate) fn trailing(kind: Kind) -> Option<(usize, usize)> {
    Some(match kind {
        Kind::Int => (1, 0),
        Kind::Array => (3, 0),
        Kind::Struct | Kind::Union | Kind::Enum64 => (0, 3),
        Kind::Enum | Kind::FuncProto => (0, 2),
        Kind::Ptr
        | Kind::Fwd
        | Kind::Typedef
        | Kind::Volatile
        | Kind::Const
        | Kind::Restrict
        | Kind::TypeTag
        | Kind::Float => (0, 0),
        Kind::Void | Kind::Func | Kind::Var | Kind::Datasec | Kind::DeclTag | Kind::Unknown => {
            return None;
        }
    })
}

/// The places of the words that are names. The names of parameters are left out, because no relocation sees them.
pub(crate) fn name_places(kind: Kind, len: usize) -> impl Iterator<Item = usize> {
    let (each, end) = match kind {
        Kind::Struct | Kind::Union | Kind::Enum64 => (3, len),
        Kind::Enum => (2, len),
        _ => (1, COMMON),
    };
    [0].into_iter().chain((COMMON..end).step_by(each))
}

/// The places of the words that are other types.
pub(crate) fn type_places(kind: Kind, len: usize) -> impl Iterator<Item = usize> {
    let own: Range<usize> = match kind {
        Kind::Ptr
        | Kind::Typedef
        | Kind::Volatile
        | Kind::Const
        | Kind::Restrict
        | Kind::TypeTag
        | Kind::FuncProto => 2..3,
        Kind::Array => 3..5,
        _ => 0..0,
    };
    let parts = match kind {
        Kind::Struct | Kind::Union => (COMMON + 1..len).step_by(3),
        Kind::FuncProto => (COMMON + 1..len).step_by(2),
        _ => (0..0).step_by(1),
    };
    own.chain(parts)
}

/// How deeply types are nested in a type with these words; `heights` has those of the nodes in it.
pub(crate) fn height(words: &[u32], heights: &[u8]) -> u8 {
    let Some(Shape::Type(kind)) = Shape::of(words) else {
        return 0;
    };
    let inner = type_places(kind, words.len()).map(|place| heights.get(words[place] as usize));
    let highest = inner.flatten().max().copied().unwrap_or_default();
    highest.saturating_add(1)
}

/// Whether relocations look types of this kind up by name. No relocation matches a function, a variable or a section.
pub fn is_root(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Int
            | Kind::Struct
            | Kind::Union
            | Kind::Enum
            | Kind::Enum64
            | Kind::Fwd
            | Kind::Typedef
            | Kind::Float
    )
}
