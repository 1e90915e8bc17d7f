//! Made-up type definitions in C: those of a kernel, and the same as a program knows them, which is not quite so.

use std::fmt::Write as _;

/// Numbers that depend on a seed only (splitmix64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below this one.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in so many times.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Integers, their bits as bitfields, and a floating-point number.
const BASES: [(&str, u32); 12] = [
    ("int", 32),
    ("unsigned int", 32),
    ("char", 8),
    ("unsigned char", 8),
    ("signed char", 8),
    ("short", 16),
    ("unsigned short", 16),
    ("long", 64),
    ("unsigned long", 64),
    ("long long", 64),
    ("unsigned long long", 64),
    ("_Bool", 1),
];

/// Types that are no bitfields.
const UNCOMMON: [&str; 3] = ["double", "__int128", "float"];

const NAMES: [&str; 4] = ["m", "next", "count", "a_member_with_a_long_name_"];

/// Structs of more bytes are not made, for the offsets in instructions have 16 bits.
const MAX_BYTES: u64 = 8192;

const MAX_NESTING: usize = 3;

/// A type as it is written in C.
#[derive(Clone)]
pub(super) enum Type {
    Base(&'static str),
    Void,
    /// The definition of this index.
    Named(usize),
    /// A struct or union without a name.
    Nested(Composite),
    /// An enum without a name.
    Nameless(Enum),
    Pointer(Box<Self>),
    /// Without a length, a flexible one.
    Array(Box<Self>, Option<usize>),
    Qualified(&'static str, Box<Self>),
    Function(Vec<Self>, Box<Self>),
}

#[derive(Clone)]
pub(super) struct Composite {
    is_union: bool,
    pub(super) is_packed: bool,
    /// None if it is only declared.
    pub(super) members: Vec<Member>,
}

#[derive(Clone)]
pub(super) struct Member {
    /// None for a struct or union whose members are taken for the outer one's.
    pub(super) name: Option<String>,
    pub(super) ty: Type,
    /// Of a bitfield.
    pub(super) bits: Option<u32>,
}

/// Names and values.
#[derive(Clone)]
pub(super) struct Enum(pub(super) Vec<(String, String)>);

#[derive(Clone)]
pub(super) enum What {
    Composite(Composite),
    Enum(Enum),
    Typedef(Type),
}

#[derive(Clone)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) what: What,
    /// Defined within a function: one more type of a name.
    is_local: bool,
}

/// Definitions, each of which has values of earlier ones only, and pointers to any.
#[derive(Clone)]
pub(super) struct Types {
    pub(super) all: Vec<Definition>,
    /// How many names were given.
    names: usize,
}

impl Types {
    /// Types of a kernel.
    pub(super) fn kernel(random: &mut Random) -> Self {
        let count = random.pick(&[2, 4, 8, 16]);
        let is_composite: Vec<bool> = (0..count).map(|n| n == 0 || !random.one_in(3)).collect();
        let declared = |&is: &bool| {
            let what = if is {
                What::Composite(Composite::empty())
            } else {
                What::Enum(Enum(Vec::new()))
            };
            let name = String::new();
            let is_local = false;
            Definition {
                name,
                what,
                is_local,
            }
        };
        let all = is_composite.iter().map(declared).collect();
        let mut types = Self { all, names: 0 };
        for (n, is_composite) in is_composite.into_iter().enumerate() {
            types.define(random, n, is_composite);
        }
        // More types of one name: with another flavour, or of another scope.
        for n in 0..count {
            let is_defined = types.is_value(n);
            if is_defined && random.one_in(12) {
                let mut more = types.all[n].clone();
                if random.one_in(2) {
                    more.name += "___2";
                }
                more.is_local = true;
                types.change(random, &mut more.what, n);
                // Its name may stand for the same kind of type only, in all of the source.
                if let (What::Composite(c), What::Composite(same)) =
                    (&mut more.what, &types.all[n].what)
                {
                    c.is_union = same.is_union;
                }
                types.all.push(more);
            }
        }
        types
    }

    /// The types as a program knows them: some lack what the kernel has, have what it lacks, or have it otherwise.
    pub(super) fn changed(&self, random: &mut Random) -> Self {
        let mut types = self.clone();
        types.all.retain(|definition| !definition.is_local);
        let count = types.all.len();
        for n in 0..count {
            if random.one_in(2) {
                for _ in 0..=random.below(3) {
                    let mut what = types.all[n].what.clone();
                    types.change(random, &mut what, n);
                    types.all[n].what = what;
                }
            }
            if random.one_in(8) {
                types.flavour(n, "___here");
            }
        }
        for n in 0..count {
            // One more view of a type.
            if types.is_value(n) && random.one_in(6) {
                let mut other = types.all[n].clone();
                types.change(random, &mut other.what, n);
                types.all.push(other);
                types.flavour(types.all.len() - 1, "___other");
            }
        }
        if random.one_in(3) {
            // The kernel has no type of this name.
            let n = types.all.len();
            types.all.push(Definition {
                name: format!("lacking_{n}"),
                what: What::Composite(Composite::empty()),
                is_local: false,
            });
            let composite = types.composite(random, n, 0);
            types.all[n].what = What::Composite(composite);
        }
        types
    }

    fn define(&mut self, random: &mut Random, n: usize, is_composite: bool) {
        let (prefix, what) = if is_composite {
            let composite = if n > 0 && random.one_in(12) {
                Composite::empty()
            } else {
                self.composite(random, n, 0)
            };
            ("s", What::Composite(composite))
        } else if random.one_in(2) {
            ("e", What::Enum(self.enumeration(random)))
        } else {
            let ty = match random.below(4) {
                0 => Type::Nested(self.composite(random, n, 0)),
                1 => Type::Nameless(self.enumeration(random)),
                _ => self.ty(random, n, 0),
            };
            ("t", What::Typedef(ty))
        };
        self.all[n].name = format!("{prefix}{n}");
        self.all[n].what = what;
    }

    /// A new name.
    fn name(&mut self, random: &mut Random) -> String {
        self.names += 1;
        format!("{}{}", random.pick(&NAMES), self.names)
    }

    /// A struct or union of values of the first definitions.
    fn composite(&mut self, random: &mut Random, end: usize, depth: usize) -> Composite {
        let mut composite = Composite {
            is_union: random.one_in(5),
            is_packed: random.one_in(12),
            members: Vec::new(),
        };
        // None is larger than its share, so that those around it are not, either.
        let share = MAX_BYTES >> (2 * depth);
        for _ in 0..=random.below(6) {
            let members = self.members(random, end, depth);
            let bytes: u64 = members.iter().map(|m| self.bytes(&m.ty)).sum();
            if self.bytes_of(&composite) + bytes < share {
                composite.members.extend(members);
            }
        }
        if composite.members.is_empty() {
            composite
                .members
                .push(self.member(random, Type::Base("int")));
        }
        if depth == 0 && !composite.is_union && random.one_in(8) {
            let element = Box::new(self.element(random, end, depth));
            let flexible = self.member(random, Type::Array(element, None));
            composite.members.push(flexible);
        }
        composite
    }

    fn member(&mut self, random: &mut Random, ty: Type) -> Member {
        let name = Some(self.name(random));
        let bits = None;
        Member { name, ty, bits }
    }

    fn members(&mut self, random: &mut Random, end: usize, depth: usize) -> Vec<Member> {
        match random.below(8) {
            0 if depth < MAX_NESTING => {
                let nested = self.composite(random, end, depth + 1);
                vec![Member {
                    name: None,
                    ty: Type::Nested(nested),
                    bits: None,
                }]
            }
            1 => {
                let count = 1 + random.below(4);
                let bitfield = |_| {
                    let (base, bits) = random.pick(&BASES);
                    let mut member = self.member(random, Type::Base(base));
                    member.bits = Some(1 + random.below(bits as usize) as u32);
                    member
                };
                let mut members: Vec<Member> = (0..count).map(bitfield).collect();
                // Programs can be compiled that ask for bitfields of aligned structs.
                if random.one_in(2) {
                    let pointer = Type::Pointer(Box::new(Type::Void));
                    members.push(self.member(random, pointer));
                }
                members
            }
            _ => {
                let ty = self.ty(random, end, depth);
                vec![self.member(random, ty)]
            }
        }
    }

    fn ty(&mut self, random: &mut Random, end: usize, depth: usize) -> Type {
        match random.below(12) {
            0 | 1 if end > 0 => self.value(random, end),
            2 | 3 => Type::Pointer(Box::new(self.pointee(random, end))),
            4 | 5 => {
                let element = Box::new(self.element(random, end, depth));
                Type::Array(element, Some(random.below(5)))
            }
            6 if depth < MAX_NESTING => {
                let nested = Type::Nested(self.composite(random, end, depth + 1));
                if random.one_in(3) {
                    Type::Pointer(Box::new(nested))
                } else {
                    nested
                }
            }
            7 => {
                let function = self.function(random, end);
                Type::Pointer(Box::new(function))
            }
            8 => {
                let qualifier = random.pick(&["const", "volatile"]);
                match self.ty(random, end, depth) {
                    ty @ (Type::Qualified(..) | Type::Array(..)) => ty,
                    ty => Type::Qualified(qualifier, Box::new(ty)),
                }
            }
            9 if random.one_in(3) => Type::Base(random.pick(&UNCOMMON)),
            _ => Type::Base(random.pick(&BASES).0),
        }
    }

    /// A value of one of the first definitions.
    fn value(&self, random: &mut Random, end: usize) -> Type {
        let n = random.below(end);
        if self.is_value(n) && !self.is_flexible(&Type::Named(n)) {
            Type::Named(n)
        } else {
            Type::Base("int")
        }
    }

    fn element(&mut self, random: &mut Random, end: usize, depth: usize) -> Type {
        match self.ty(random, end, depth + 1) {
            // Nothing is in an array of these.
            Type::Array(_, None) | Type::Void => Type::Base("char"),
            ty => ty,
        }
    }

    fn pointee(&mut self, random: &mut Random, end: usize) -> Type {
        let any = random.below(self.all.len());
        match random.below(8) {
            0 => Type::Void,
            1 => Type::Base(random.pick(&BASES).0),
            2 => self.ty(random, end, MAX_NESTING),
            3 => Type::Qualified("const", Box::new(self.value(random, end.max(1)))),
            _ if matches!(self.all[any].what, What::Composite(_)) || any < end => Type::Named(any),
            _ => Type::Base("char"),
        }
    }

    fn function(&mut self, random: &mut Random, end: usize) -> Type {
        let param = |types: &mut Self, random: &mut Random| match random.below(3) {
            0 => Type::Base(random.pick(&BASES).0),
            _ => Type::Pointer(Box::new(types.pointee(random, end))),
        };
        let params = (0..random.below(4)).map(|_| param(self, random)).collect();
        let result = if random.one_in(2) {
            Type::Void
        } else {
            param(self, random)
        };
        Type::Function(params, Box::new(result))
    }

    fn enumeration(&mut self, random: &mut Random) -> Enum {
        let count = random.pick(&[1, 2, 3, 5, 10, 40]);
        let kind = random.below(6);
        let enumerators = (0..count).map(|_| {
            let name = self.name(random).to_uppercase();
            (name, value(random, kind))
        });
        Enum(enumerators.collect())
    }

    /// Changes one thing of a definition that has values of the first definitions.
    fn change(&mut self, random: &mut Random, what: &mut What, end: usize) {
        match what {
            What::Composite(c) if c.members.is_empty() => {
                // It may be known here, and only declared there.
                if random.one_in(2) {
                    *c = self.composite(random, end, 0);
                }
            }
            What::Composite(c) | What::Typedef(Type::Nested(c)) => {
                self.change_composite(random, c, end, 0);
            }
            What::Enum(e) | What::Typedef(Type::Nameless(e)) => self.change_enum(random, e),
            What::Typedef(ty) => *ty = self.ty(random, end, 0),
        }
    }

    fn change_composite(
        &mut self,
        random: &mut Random,
        c: &mut Composite,
        end: usize,
        depth: usize,
    ) {
        let last = c.members.last().map(|m| m.ty.clone());
        // A flexible array is the last member and not the only one.
        let is_flexible = last.is_some_and(|ty| self.is_flexible(&ty));
        let len = c.members.len() - usize::from(is_flexible);
        let at = random.below(len);
        match random.below(8) {
            0 | 1 if len > 1 => {
                c.members.remove(at);
            }
            2 => {
                let ty = self.ty(random, end, MAX_NESTING);
                let member = self.member(random, ty);
                c.members.insert(at, member);
            }
            3 => c.members.swap(at, random.below(len)),
            4 if !is_flexible && random.one_in(4) => c.is_union = !c.is_union,
            5 if c.members[at].name.is_some() => {
                c.members[at].name = Some(self.name(random));
            }
            _ => {
                let mut ty = c.members[at].ty.clone();
                match &mut ty {
                    Type::Nested(nested) => {
                        self.change_composite(random, nested, end, depth + 1);
                    }
                    Type::Array(_, Some(len)) if random.one_in(2) => *len = random.below(5),
                    Type::Base(_) if c.members[at].bits.is_some() => {
                        let (base, bits) = random.pick(&BASES);
                        ty = Type::Base(base);
                        let bits = 1 + random.below(bits as usize) as u32;
                        c.members[at].bits = random.one_in(2).then_some(bits);
                    }
                    _ => ty = self.ty(random, end, depth.max(MAX_NESTING - 1)),
                }
                c.members[at].ty = ty;
            }
        }
    }

    fn change_enum(&mut self, random: &mut Random, Enum(enumerators): &mut Enum) {
        let at = random.below(enumerators.len());
        match random.below(4) {
            0 if enumerators.len() > 1 => {
                enumerators.remove(at);
            }
            1 => {
                let name = self.name(random).to_uppercase();
                enumerators.insert(at, (name, value(random, 1)));
            }
            2 => enumerators[at].1 = value(random, 1),
            _ => {
                let kind = random.below(6);
                for enumerator in enumerators {
                    enumerator.1 = value(random, kind);
                }
            }
        }
    }

    /// Gives a definition a flavour, and its enumerators, whose names are those of all the source.
    fn flavour(&mut self, n: usize, flavour: &str) {
        let Definition { name, what, .. } = &mut self.all[n];
        name.truncate(name.find("___").unwrap_or(name.len()));
        *name += flavour;
        if let What::Enum(Enum(all)) | What::Typedef(Type::Nameless(Enum(all))) = what {
            for (name, _) in all {
                name.truncate(name.find("___").unwrap_or(name.len()));
                *name += flavour;
            }
        }
    }

    /// Whether it is more than declared.
    pub(super) fn is_value(&self, n: usize) -> bool {
        !matches!(&self.all[n].what, What::Composite(c) if c.members.is_empty())
    }

    /// Without typedefs and qualifiers.
    pub(super) fn skip<'t>(&'t self, ty: &'t Type) -> &'t Type {
        match ty {
            Type::Qualified(_, inner) => self.skip(inner),
            Type::Named(n) => match &self.all[*n].what {
                What::Typedef(inner) => self.skip(inner),
                _ => ty,
            },
            _ => ty,
        }
    }

    /// The struct or union that a type is.
    pub(super) fn as_composite<'t>(&'t self, ty: &'t Type) -> Option<&'t Composite> {
        let composite = match self.skip(ty) {
            Type::Nested(composite) => composite,
            Type::Named(n) => match &self.all[*n].what {
                What::Composite(composite) => composite,
                _ => return None,
            },
            _ => return None,
        };
        (!composite.members.is_empty()).then_some(composite)
    }

    /// The enum that a type is.
    pub(super) fn as_enum<'t>(&'t self, ty: &'t Type) -> Option<&'t Enum> {
        match self.skip(ty) {
            Type::Nameless(e) => Some(e),
            Type::Named(n) => match &self.all[*n].what {
                What::Enum(e) => Some(e),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it ends in an array without a length.
    fn is_flexible(&self, ty: &Type) -> bool {
        match self.skip(ty) {
            Type::Array(_, len) => len.is_none(),
            ty => {
                let composite = self.as_composite(ty);
                let mut members = composite.into_iter().flat_map(|c| &c.members);
                members.any(|m| self.is_flexible(&m.ty))
            }
        }
    }

    /// About how many bytes it takes.
    fn bytes(&self, ty: &Type) -> u64 {
        match self.skip(ty) {
            Type::Array(element, len) => self.bytes(element) * len.unwrap_or(0) as u64,
            ty => match self.as_composite(ty) {
                Some(composite) => self.bytes_of(composite),
                None => 16,
            },
        }
    }

    fn bytes_of(&self, composite: &Composite) -> u64 {
        composite.members.iter().map(|m| self.bytes(&m.ty)).sum()
    }

    /// A type by its name, such as `struct s1`.
    pub(super) fn spelling(&self, n: usize) -> String {
        let Definition { name, what, .. } = &self.all[n];
        match what {
            What::Composite(c) => format!("{} {name}", c.keyword()),
            What::Enum(_) => format!("enum {name}"),
            What::Typedef(_) => name.clone(),
        }
    }

    /// All definitions in C.
    pub(super) fn c(&self) -> String {
        let mut c = String::new();
        for (n, definition) in self.all.iter().enumerate() {
            if matches!(definition.what, What::Composite(_)) && !definition.is_local {
                writeln!(c, "{};", self.spelling(n)).expect("a string takes all");
            }
        }
        for (n, definition) in self.all.iter().enumerate() {
            let body = match &definition.what {
                What::Composite(composite) if composite.members.is_empty() => continue,
                What::Composite(composite) => self.body(composite, &definition.name, 0),
                What::Enum(e) => e.body(&definition.name),
                What::Typedef(ty) => {
                    format!("typedef {}", self.declared(ty, definition.name.clone(), 0))
                }
            };
            let line = if definition.is_local {
                let spelling = self.spelling(n);
                format!("void *f{n}(void) {{ {body}; static {spelling} x; return &x; }}")
            } else {
                format!("{body};")
            };
            writeln!(c, "{line}").expect("as above");
        }
        c
    }

    /// A variable of each type, without which the compiler would not tell of them.
    pub(super) fn variables(&self) -> String {
        let all = (0..self.all.len()).filter(|&n| self.is_value(n) && !self.all[n].is_local);
        let variables = all.map(|n| format!("{} v{n};\n", self.spelling(n)));
        variables.collect()
    }

    fn body(&self, composite: &Composite, name: &str, depth: usize) -> String {
        let indent = "\t".repeat(depth + 1);
        let mut body = format!("{} {name} {{\n", composite.keyword());
        for member in &composite.members {
            let name = member.name.clone().unwrap_or_default();
            let declared = self.declared(&member.ty, name, depth + 1);
            let bits = member.bits.map_or_else(String::new, |b| format!(" : {b}"));
            writeln!(body, "{indent}{declared}{bits};").expect("a string takes all");
        }
        let end = if composite.is_packed {
            "} __attribute__((packed))"
        } else {
            "}"
        };
        body + &"\t".repeat(depth) + end
    }

    /// A declaration of what is called so.
    fn declared(&self, ty: &Type, name: String, depth: usize) -> String {
        let pointer = |to: &Type, name: String| match to {
            Type::Array(..) | Type::Function(..) => self.declared(to, format!("({name})"), depth),
            _ => self.declared(to, name, depth),
        };
        match ty {
            Type::Base(base) => format!("{base} {name}"),
            Type::Void => format!("void {name}"),
            Type::Named(n) => format!("{} {name}", self.spelling(*n)),
            Type::Nested(composite) => format!("{} {name}", self.body(composite, "", depth)),
            Type::Nameless(e) => format!("{} {name}", e.body("")),
            Type::Pointer(to) => pointer(to, format!("*{name}")),
            Type::Array(element, len) => {
                let len = len.map_or_else(String::new, |len| len.to_string());
                self.declared(element, format!("{name}[{len}]"), depth)
            }
            Type::Qualified(qualifier, inner) => match &**inner {
                Type::Pointer(to) => pointer(to, format!("*{qualifier} {name}")),
                inner => format!("{qualifier} {}", self.declared(inner, name, depth)),
            },
            Type::Function(params, result) => {
                let params: Vec<String> = params
                    .iter()
                    .map(|param| self.declared(param, String::new(), depth))
                    .collect();
                let params = if params.is_empty() {
                    "void".to_owned()
                } else {
                    params.join(", ")
                };
                self.declared(result, format!("{name}({params})"), depth)
            }
        }
    }
}

impl Composite {
    fn empty() -> Self {
        Self {
            is_union: false,
            is_packed: false,
            members: Vec::new(),
        }
    }

    fn keyword(&self) -> &'static str {
        if self.is_union { "union" } else { "struct" }
    }
}

impl Enum {
    fn body(&self, name: &str) -> String {
        let Self(all) = self;
        let all: Vec<String> = all.iter().map(|(n, v)| format!("{n} = {v}")).collect();
        format!("enum {name} {{ {} }}", all.join(", "))
    }
}

/// An enumerator's value, of a kind that the others in the enum have, too.
fn value(random: &mut Random, kind: usize) -> String {
    let number = random.next();
    match kind {
        0 => format!("-{}", number % 100),
        2 => format!("{}U", number as u32),
        3 => format!("-{}LL", number >> 2),
        4 => format!("{number}ULL"),
        _ => (number % 1000).to_string(),
    }
}
