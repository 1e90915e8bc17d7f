//! Types in C's spelling, for messages: as libbpf's `btf_dump` and `bpftool btf dump format c` write them.
//!
//! A struct, union or enum without a name is shortened to `struct { … }`. Names are written as they are in the BTF: whoever
//! prints them escapes control characters.

use std::iter;

use crate::btf::{Btf, MAX_CHAIN, TypeId};
use crate::kind::Kind;
use crate::types::{Member, Type};

/// The most bytes of a text. The rest is cut, with `…`.
const MAX_TEXT: usize = 1000;
const MAX_SPELLED_TEXT: usize = 64 << 10;

/// The most prototypes within each other's parameters. Only damaged types have more; the rest is cut, with `…`.
const MAX_DEPTH: usize = 8;

const CUT: &str = "…";

impl Btf<'_> {
    /// A type's name in C: `struct task_struct *`, `unsigned int`, `int (*)(void *)`. For a function it is the function's
    /// declaration. At most 1000 bytes; what is longer, or has no end because the BTF is damaged, is cut with `…`.
    pub fn c_name(&self, id: TypeId) -> String {
        self.c_declaration(id, b"")
    }

    /// The declaration in C of something of this type: `char comm[16]`, `const volatile u32 x`, `int (*fn)(void *, int)`.
    /// Its length is limited as that of [`Btf::c_name`].
    pub fn c_declaration(&self, id: TypeId, name: &[u8]) -> String {
        let mut printer = Printer {
            btf: self,
            text: Text::of(MAX_TEXT),
            spell: None,
        };
        printer.declaration(id, name, 0);
        printer.text.text
    }

    /// Like [`Btf::c_declaration`], for a header: `spell` gives the text of each named type, and of each struct, union or enum
    /// without a name; where it returns `None`, the text is the usual one. There are no type tags. What is longer than 64 KiB
    /// is cut with `…`, which is not C.
    pub fn c_declaration_spelled(&self, id: TypeId, name: &[u8], spell: &mut Spell<'_>) -> String {
        let mut printer = Printer {
            btf: self,
            text: Text::of(MAX_SPELLED_TEXT),
            spell: Some(spell),
        };
        printer.declaration(id, name, 0);
        printer.text.text
    }

    /// The declaration in C of a member: `struct list_head tasks`, or `unsigned int x: 3` for a bitfield. Its length is
    /// limited as that of [`Btf::c_name`].
    pub fn c_member(&self, member: &Member<'_>) -> String {
        let declaration = self.c_declaration(member.ty, member.name);
        match member.bitfield_size {
            0 => declaration,
            bits => format!("{declaration}: {bits}"),
        }
    }
}

/// Gives the text of a named type.
type Spell<'s> = dyn FnMut(&Type<'_>) -> Option<String> + 's;

/// A text of limited length.
struct Text {
    text: String,
    max: usize,
}

impl Text {
    fn of(max: usize) -> Self {
        Self {
            text: String::new(),
            max,
        }
    }

    fn is_full(&self) -> bool {
        self.text.len() > self.max
    }

    fn push(&mut self, text: &str) {
        if self.is_full() {
            return;
        }
        self.text.push_str(text);
        if self.is_full() {
            let end = (0..=self.max).rfind(|&end| self.text.is_char_boundary(end));
            self.text.truncate(end.unwrap_or_default());
            self.text.push_str(CUT);
        }
    }

    fn push_name(&mut self, name: &[u8]) {
        // A longer part would be cut anyway.
        let name = &name[..name.len().min(self.max + 1)];
        self.push(&String::from_utf8_lossy(name));
    }
}

struct Printer<'b, 't> {
    btf: &'b Btf<'b>,
    text: Text,
    spell: Option<&'t mut Spell<'t>>,
}

/// A type and what it is made of, up to a type with a name: the last one is written first.
type Chain<'b> = Vec<Type<'b>>;

impl<'b> Printer<'b, '_> {
    /// `depth` is the number of prototypes around it.
    fn declaration(&mut self, id: TypeId, name: &[u8], depth: usize) {
        let ty = self.btf.type_by_id(id);
        let inner = |ty: &Type<'b>| match ty.kind() {
            Kind::Array => Some(ty.array()?.element),
            Kind::Ptr
            | Kind::Const
            | Kind::Volatile
            | Kind::Restrict
            | Kind::TypeTag
            | Kind::FuncProto => ty.referenced(),
            _ => None,
        };
        // Functions, variables and tags stand only at the beginning.
        let (ty, name) = match ty {
            Some(ty) if matches!(ty.kind(), Kind::Func | Kind::Var | Kind::DeclTag) => {
                let to = ty.referenced().and_then(|to| self.btf.type_by_id(to));
                (to, if name.is_empty() { ty.name() } else { name })
            }
            ty => (ty, name),
        };
        let next = |ty: &Type<'b>| self.btf.type_by_id(inner(ty)?);
        let mut chain: Chain<'b> = iter::successors(ty, next).take(MAX_CHAIN).collect();
        let is_endless = chain.last().is_some_and(|last| inner(last).is_some());
        if is_endless || depth > MAX_DEPTH {
            self.text.push(CUT);
            return self.name(name, false);
        }
        self.chain(&mut chain, name, depth);
    }

    /// As `btf_dump_emit_type_chain` of libbpf: from the named type outwards.
    fn chain(&mut self, chain: &mut Chain<'b>, name: &[u8], depth: usize) {
        // The first asterisk in parentheses has no space before it.
        let mut after_pointer = true;
        while let Some(ty) = chain.pop() {
            match ty.kind() {
                Kind::Ptr => self.text.push(if after_pointer { "*" } else { " *" }),
                Kind::Const => self.text.push(" const"),
                Kind::Volatile => self.text.push(" volatile"),
                Kind::Restrict => self.text.push(" restrict"),
                Kind::TypeTag => self.tag(&ty),
                Kind::Array => {
                    let len = ty.array().map_or(0, |array| array.len);
                    return self.array(chain, name, len, after_pointer, depth);
                }
                Kind::FuncProto => return self.prototype(chain, name, &ty, after_pointer, depth),
                _ => {
                    self.modifiers(chain);
                    self.named(&ty);
                }
            }
            after_pointer = ty.kind() == Kind::Ptr;
        }
        self.name(name, after_pointer);
    }

    /// The modifiers of a named type stand before it.
    fn modifiers(&mut self, chain: &mut Chain<'b>) {
        while let Some(ty) = chain.last() {
            self.text.push(match ty.kind() {
                Kind::Const => "const ",
                Kind::Volatile => "volatile ",
                Kind::Restrict => "restrict ",
                _ => return,
            });
            chain.pop();
        }
    }

    fn tag(&mut self, ty: &Type<'_>) {
        if self.spell.is_some() {
            return;
        }
        let (start, end) = match ty.kind_flag() {
            true => (" __attribute__((", "))"),
            false => (" __attribute__((btf_type_tag(\"", "\")))"),
        };
        self.text.push(start);
        self.text.push_name(ty.name());
        self.text.push(end);
    }

    fn named(&mut self, ty: &Type<'_>) {
        if let Some(text) = self.spell.as_mut().and_then(|spell| spell(ty)) {
            return self.text.push(&text);
        }
        let keyword = match ty.kind() {
            Kind::Void => "void",
            Kind::Struct => "struct",
            Kind::Union => "union",
            Kind::Enum | Kind::Enum64 => "enum",
            Kind::Fwd if ty.kind_flag() => "union",
            Kind::Fwd => "struct",
            Kind::Datasec => "section",
            Kind::Unknown => "?",
            _ => "",
        };
        self.text.push(keyword);
        if !keyword.is_empty() && !ty.name().is_empty() {
            self.text.push(" ");
        }
        self.text.push_name(ty.name());
        if ty.name().is_empty() && (ty.kind().is_composite() || ty.kind().is_enum()) {
            self.text.push(" { … }");
        }
    }

    fn array(
        &mut self,
        chain: &mut Chain<'b>,
        name: &[u8],
        len: u32,
        after_pointer: bool,
        depth: usize,
    ) {
        drop_modifiers(chain);
        match chain.last().map(Type::kind) {
            None => self.name(name, after_pointer),
            Some(around) => {
                if !name.is_empty() && !after_pointer {
                    self.text.push(" ");
                }
                let (start, end) = match around {
                    Kind::Array => ("", ""),
                    _ => ("(", ")"),
                };
                self.text.push(start);
                self.chain(chain, name, depth);
                self.text.push(end);
            }
        }
        self.text.push(&format!("[{len}]"));
    }

    fn prototype(
        &mut self,
        chain: &mut Chain<'b>,
        name: &[u8],
        ty: &Type<'b>,
        after_pointer: bool,
        depth: usize,
    ) {
        drop_modifiers(chain);
        if chain.is_empty() {
            self.name(name, after_pointer);
        } else {
            self.text.push(" (");
            self.chain(chain, name, depth);
            self.text.push(")");
        }
        self.text.push("(");
        self.params(ty, depth);
        self.text.push(")");
    }

    fn params(&mut self, ty: &Type<'b>, depth: usize) {
        if ty.len() < 2 && ty.params().all(|param| param == TypeId::VOID) {
            return self.text.push("void");
        }
        let mut params = ty.named_params().enumerate();
        while let Some((n, (name, param))) = params.next().filter(|_| !self.text.is_full()) {
            if n > 0 {
                self.text.push(", ");
            }
            // `void` as the last one stands for "variadic".
            if param == TypeId::VOID && params.len() == 0 {
                self.text.push("...");
            } else {
                self.declaration(param, name, depth + 1);
            }
        }
    }

    fn name(&mut self, name: &[u8], after_pointer: bool) {
        if !name.is_empty() && !after_pointer {
            self.text.push(" ");
        }
        self.text.push_name(name);
    }
}

/// GCC adds modifiers to arrays of modified elements, and to prototypes. libbpf leaves them out.
fn drop_modifiers(chain: &mut Chain<'_>) {
    let is_modifier = |ty: &Type<'_>| {
        matches!(
            ty.kind(),
            Kind::Const | Kind::Volatile | Kind::Restrict | Kind::TypeTag
        )
    };
    while chain.last().is_some_and(is_modifier) {
        chain.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::made_up_btf;

    fn word(kind: Kind, vlen: u32) -> u32 {
        (kind as u32) << 24 | vlen
    }

    /// Check that types that contain each other or themselves, very long names and very many parameters are cut.
    #[test]
    fn hostile_types_are_cut() {
        let name = "x".repeat(5000);
        let strings = format!("\0é{name}\0");
        let params: Vec<u32> = [0, 7].repeat(60_000);
        let prototype = [0, word(Kind::FuncProto, 60_000), 7];
        let types: [&[u32]; 8] = [
            // 1: a pointer to itself; 2: an array of itself; 3: a constant that is volatile without an end.
            &[0, word(Kind::Ptr, 0), 1],
            &[0, word(Kind::Array, 0), 0, 2, 2, 7],
            &[0, word(Kind::Const, 0), 4],
            &[0, word(Kind::Volatile, 0), 3],
            // 5: a long name; 6: its pointer; 7: a prototype that takes and returns itself.
            &[1, word(Kind::Fwd, 0), 0],
            &[0, word(Kind::Ptr, 0), 5],
            &[0, word(Kind::FuncProto, 1), 0, 0, 7],
            &[&prototype[..], &params].concat(),
        ];
        let bytes = made_up_btf(&types, strings.as_bytes());
        let btf = Btf::parse(&bytes).unwrap();
        for id in btf.ids() {
            let text = btf.c_declaration(id, b"name");
            assert!(text.contains(CUT), "{id}: {text}");
            assert!(text.len() <= MAX_TEXT + CUT.len(), "{id}: {}", text.len());
        }
        assert_eq!(btf.c_name(TypeId(1)), CUT);
        assert_eq!(btf.c_name(TypeId(99)), "");
    }
}
