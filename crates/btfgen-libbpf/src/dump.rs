//! Types as a C header, by libbpf's dumper (`btf_dump`), which bpftool also uses.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::io;
use std::ptr::NonNull;

use btfgen_btf::{Kind, Type, TypeId};

use crate::errno::error_text;
use crate::error::{Error, ErrorKind};
use crate::loaded::LoadedBtf;
use crate::sys;

/// Writes types of one BTF as C, each with the types that it needs before it, and no type twice.
#[derive(Debug)]
pub struct Dumper<'b> {
    walker: Walker<'b>,
    raw: NonNull<libbpf_sys::btf_dump>,
    /// What libbpf writes to. It is freed in `drop`.
    text: NonNull<Text>,
}

/// The text that libbpf has written.
#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    /// Whether there was no memory for a part of it.
    is_incomplete: bool,
}

impl<'b> Dumper<'b> {
    /// A dumper that has written nothing.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfMemory`].
    pub fn new(btf: &'b LoadedBtf<'b>) -> Result<Self, Error> {
        let text = NonNull::from(Box::leak(Box::<Text>::default()));
        // SAFETY: the BTF lives longer than the dumper, because `'b` does. `print` gets the pointer to the text, which lives
        // until `drop`. libbpf accepts NULL for the options.
        let raw = unsafe {
            libbpf_sys::btf_dump__new(
                btf.as_ptr(),
                Some(print),
                text.as_ptr().cast::<c_void>(),
                std::ptr::null(),
            )
        };
        let Some(raw) = NonNull::new(raw) else {
            let reason = error_text(&io::Error::last_os_error());
            // SAFETY: the text came from a box, and nobody else has a pointer to it.
            drop(unsafe { Box::from_raw(text.as_ptr()) });
            let message = format!("libbpf cannot dump the BTF: {reason}");
            return Err(Error::new(ErrorKind::OutOfMemory, message));
        };
        Ok(Self {
            walker: Walker::new(btf),
            raw,
            text,
        })
    }

    /// Writes a type, and before it the types that it needs. A type that is not written by itself in C, such as a pointer or
    /// a function, writes only what it needs.
    ///
    /// # Errors
    /// [`ErrorKind::UnsafeType`] if C or libbpf cannot express the type: only a damaged BTF has such a type.
    /// [`ErrorKind::OutOfMemory`].
    pub fn dump(&mut self, id: TypeId) -> Result<(), Error> {
        self.walker.check(id)?;
        // SAFETY: the dumper is valid, and the checked type leads libbpf into no endless walk, no division by zero and no
        // overflow.
        let result = unsafe { libbpf_sys::btf_dump__dump_type(self.raw.as_ptr(), id.0) };
        // SAFETY: libbpf writes to the text only within the call above.
        let is_incomplete = unsafe { self.text.as_ref() }.is_incomplete;
        if is_incomplete || -result == NO_MEMORY {
            return Err(Error::new(
                ErrorKind::OutOfMemory,
                "no memory for the C header",
            ));
        }
        if result < 0 {
            let reason = error_text(&io::Error::from_raw_os_error(-result));
            return Err(Error::unsafe_type(
                id,
                format!("libbpf cannot dump it: {reason}"),
            ));
        }
        Ok(())
    }

    /// Takes the text that was written since the last call.
    pub fn take_text(&mut self) -> String {
        // SAFETY: libbpf writes to the text only within `dump`, which needs the same exclusive borrow.
        let text = unsafe { self.text.as_mut() };
        String::from_utf8_lossy(&std::mem::take(&mut text.bytes)).into_owned()
    }
}

impl Drop for Dumper<'_> {
    fn drop(&mut self) {
        // SAFETY: both came from `new`, and each is freed once. libbpf does not use the text afterwards.
        unsafe {
            libbpf_sys::btf_dump__free(self.raw.as_ptr());
            drop(Box::from_raw(self.text.as_ptr()));
        }
    }
}

/// Linux's number, the same on all architectures that run BPF.
const NO_MEMORY: c_int = 12;

/// Takes what libbpf prints.
///
/// # Safety
/// `context` is a `Text` that nobody else uses; `format` and `arguments` are those of vprintf(3).
unsafe extern "C" fn print(
    context: *mut c_void,
    format: *const c_char,
    arguments: *mut libbpf_sys::__va_list_tag,
) {
    let mut line: *mut c_char = std::ptr::null_mut();
    // SAFETY: the caller vouches for the format. On every architecture of Linux, C passes a `va_list` as one word, as a
    // pointer is passed: so the word goes on as it came.
    let len = unsafe { sys::vasprintf(&raw mut line, format, arguments) };
    // SAFETY: the caller vouches for the text.
    let text = unsafe { &mut *context.cast::<Text>() };
    let Ok(len) = usize::try_from(len) else {
        text.is_incomplete = true;
        return;
    };
    // SAFETY: vasprintf succeeded, so it has allocated a line of this length. free(3) releases it, and nobody else uses it.
    unsafe {
        let line_bytes = std::slice::from_raw_parts(line.cast::<u8>(), len);
        text.bytes.extend_from_slice(line_bytes);
        sys::free(line.cast::<c_void>());
    }
}

/// The deepest nesting that libbpf may follow. Kernels stay below 40.
const MAX_DEPTH: usize = 128;

/// The most steps for one type, and for all types of a BTF. The largest type of a kernel takes less than a tenth of this.
const MAX_STEPS: u64 = 1 << 20;
const MAX_ALL_STEPS: u64 = 1 << 28;

/// The largest struct in bytes: libbpf writes a line for each 8 bytes of padding, and counts bits as an `int`.
const MAX_SIZE: u32 = 1 << 24;

/// Follows types as `btf_dump_order_type` of libbpf does, but within bounds: libbpf follows pointers, typedefs and prototypes
/// without a limit, and trusts sizes and offsets.
#[derive(Debug)]
struct Walker<'b> {
    btf: &'b LoadedBtf<'b>,
    /// The steps of a type, by the type and whether it is behind a pointer; `None` while the walk runs.
    walks: HashMap<(TypeId, bool), Option<u64>>,
    all_steps: u64,
}

impl<'b> Walker<'b> {
    fn new(btf: &'b LoadedBtf<'b>) -> Self {
        Self {
            btf,
            walks: HashMap::new(),
            all_steps: 0,
        }
    }

    fn check(&mut self, id: TypeId) -> Result<(), Error> {
        let steps = self.walk(id, false, 0)?;
        self.all_steps = self.all_steps.saturating_add(steps);
        match self.all_steps > MAX_ALL_STEPS {
            true => Err(Error::unsafe_type(id, "the types expand to too much text")),
            false => Ok(()),
        }
    }

    fn walk(&mut self, id: TypeId, behind: bool, depth: usize) -> Result<u64, Error> {
        match self.walks.get(&(id, behind)) {
            Some(Some(steps)) => return Ok(*steps),
            Some(None) => return Err(Error::unsafe_type(id, "contains itself")),
            None => {}
        }
        if depth == MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} deep");
            return Err(Error::unsafe_type(id, message));
        }
        let ty = self.btf.type_by_id(id);
        let ty = ty.ok_or_else(|| Error::unsafe_type(id, "no such type"))?;
        self.walks.insert((id, behind), None);
        let steps = self.walk_type(&ty, behind, depth + 1)?;
        if steps > MAX_STEPS {
            return Err(Error::unsafe_type(id, "expands to too much text"));
        }
        self.walks.insert((id, behind), Some(steps));
        Ok(steps)
    }

    /// Walks the parts of a type. `depth` is the depth of the parts.
    fn walk_type(&mut self, ty: &Type<'b>, behind: bool, depth: usize) -> Result<u64, Error> {
        check_names(ty)?;
        let to = ty.referenced().unwrap_or(TypeId::VOID);
        let mut padding = 0;
        let inner = match ty.kind() {
            // libbpf has a placeholder for a type that it does not know.
            Kind::Void | Kind::Fwd | Kind::Datasec | Kind::Unknown => return Ok(1),
            // libbpf skips them.
            Kind::Func | Kind::Var | Kind::DeclTag => return Ok(1),
            _ if !ty.is_classic() => {
                let message = format!("has {} members, more than libbpf can count", ty.len());
                return Err(Error::unsafe_type(ty.id(), message));
            }
            Kind::Int | Kind::Float => return Ok(1),
            Kind::Enum | Kind::Enum64 => return Ok(1 + ty.len() as u64),
            Kind::Ptr => vec![(to, true)],
            Kind::Typedef | Kind::Volatile | Kind::Const | Kind::Restrict | Kind::TypeTag => {
                vec![(to, behind)]
            }
            Kind::Array => ty.array().map(|a| (a.element, false)).into_iter().collect(),
            Kind::FuncProto => ty.params().chain([to]).map(|id| (id, behind)).collect(),
            // A forward declaration is enough.
            Kind::Struct | Kind::Union if behind && !ty.name().is_empty() => return Ok(1),
            Kind::Struct | Kind::Union => {
                padding = self.check_layout(ty)?;
                ty.members().map(|member| (member.ty, false)).collect()
            }
        };
        inner
            .into_iter()
            .try_fold(1 + padding, |steps, (id, behind)| {
                Ok(self.walk(id, behind, depth)?.saturating_add(steps))
            })
    }

    /// Requires sizes and offsets that libbpf can count, and alignments by which it can divide. Returns how many lines of
    /// padding libbpf writes at the most.
    fn check_layout(&self, ty: &Type<'_>) -> Result<u64, Error> {
        let size = ty.size().unwrap_or_default();
        let refuse = |message: String| Err(Error::unsafe_type(ty.id(), message));
        if size > MAX_SIZE {
            return refuse(format!(
                "has {size} bytes, more than any struct of a kernel"
            ));
        }
        let (mut padding, mut end) = (0, 0);
        for member in ty.members() {
            let name = String::from_utf8_lossy(member.name);
            if !self.has_alignment(member.ty) {
                return refuse(format!("the type of its member {name:?} has no size"));
            }
            let len = match member.bitfield_size {
                0 => self.btf.resolve_size(member.ty).unwrap_or(u32::MAX),
                bits => bits.div_ceil(8),
            };
            if len > MAX_SIZE || member.bit_offset / 8 > MAX_SIZE {
                return refuse(format!(
                    "its member {name:?} ends behind all structs of a kernel"
                ));
            }
            let start = u64::from(member.bit_offset);
            padding += start.saturating_sub(end);
            end = start + 8 * u64::from(len);
        }
        padding += (8 * u64::from(size)).saturating_sub(end);
        // Each line has at least the bits of a `long`, and the last ones have fewer.
        Ok(padding / 32 + 4 * ty.len() as u64)
    }

    /// Whether libbpf can compute the alignment of a member (`btf__align_of`).
    fn has_alignment(&self, id: TypeId) -> bool {
        let mut ty = self.btf.skip_modifiers_and_typedefs(id);
        for _ in 0..MAX_DEPTH {
            let Some(array) = ty.and_then(|ty| ty.array()) else {
                break;
            };
            ty = self.btf.skip_modifiers_and_typedefs(array.element);
        }
        ty.is_some_and(|ty| match ty.kind() {
            Kind::Ptr | Kind::Struct | Kind::Union => true,
            _ => ty.size().is_some_and(|size| size > 0),
        })
    }
}

/// Requires names that cannot end a declaration and begin something else.
fn check_names(ty: &Type<'_>) -> Result<(), Error> {
    let kind = ty.kind();
    let is_word = |name: &[u8]| {
        let is_letter = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
        name.iter().all(is_letter) && name.first().is_none_or(|byte| !byte.is_ascii_digit())
    };
    let refuse = |name: &[u8]| {
        let message = format!("{:?} is no name in C", String::from_utf8_lossy(name));
        Err(Error::unsafe_type(ty.id(), message))
    };
    let name = ty.name();
    let is_good = match kind {
        // They are not written.
        Kind::Func | Kind::Var | Kind::Datasec | Kind::DeclTag | Kind::Unknown => return Ok(()),
        Kind::Int | Kind::Float => name.split(|&byte| byte == b' ').all(is_word),
        Kind::TypeTag => is_tag(name),
        _ => is_word(name),
    };
    if !is_good {
        return refuse(name);
    }
    let members = ty.members().map(|member| member.name);
    let enumerators = ty.enumerators().map(|enumerator| enumerator.name);
    let params = ty.named_params().map(|(name, _)| name);
    let mut inner = members.chain(enumerators).chain(params);
    inner.find(|name| !is_word(name)).map_or(Ok(()), refuse)
}

/// Whether a tag stays within the parentheses of an attribute: `user`, `address_space(1)`.
fn is_tag(name: &[u8]) -> bool {
    let mut open = 0;
    let mut is_inside = name.iter().map(|&byte| {
        match byte {
            b'(' => open += 1,
            b')' => open -= 1,
            _ => {}
        }
        open >= 0 && byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')
    });
    is_inside.all(|is_inside| is_inside) && open == 0
}

#[cfg(test)]
mod tests {
    use btfgen_btf::testing::made_up_btf;

    use super::*;

    fn kind(kind: Kind, vlen: u32) -> u32 {
        (kind as u32) << 24 | vlen
    }

    /// The result of dumping all types of a BTF.
    fn dump(types: &[&[u32]], strings: &[u8]) -> Result<String, Error> {
        let bytes = made_up_btf(types, strings);
        let btf = LoadedBtf::parse(bytes).expect("libbpf takes it");
        let mut dumper = Dumper::new(&btf)?;
        btf.ids().try_for_each(|id| dumper.dump(id))?;
        Ok(dumper.take_text())
    }

    const INT: [u32; 4] = [1, 1 << 24, 4, 32];

    /// Check the text of a struct, and that a type that was written is not written again.
    #[test]
    fn text() {
        let pair = [5, kind(Kind::Struct, 2), 8, 10, 1, 0, 12, 1, 32];
        let typedef = [14, kind(Kind::Typedef, 0), 2];
        let bytes = made_up_btf(&[&INT, &pair, &typedef], b"\0int\0pair\0a\0b\0t\0");
        let btf = LoadedBtf::parse(bytes).expect("libbpf takes it");
        let mut dumper = Dumper::new(&btf).expect("there is memory");
        dumper.dump(TypeId(3)).expect("it is good");
        let text = "struct pair {\n\tint a;\n\tint b;\n};\n\ntypedef struct pair t;\n\n";
        assert_eq!(dumper.take_text(), text);
        dumper.dump(TypeId(2)).expect("it is good");
        assert_eq!(dumper.take_text(), "");
    }

    /// Check that what libbpf would follow without an end, divide by, count beyond 32 bits or write without a bound is
    /// refused, and that the error names the type.
    #[test]
    fn hostile_types() {
        let pointer = |to| [0, kind(Kind::Ptr, 0), to];
        let typedef = |to| [1, kind(Kind::Typedef, 0), to];
        let array = |element, len| [0, kind(Kind::Array, 0), 0, element, 1, len];
        let around = |size, member, at| [1, kind(Kind::Struct, 1), size, 1, member, at];
        let nameless = |member| [0, kind(Kind::Struct, 1), 8, 1, member, 0];
        let forward = [1, kind(Kind::Fwd, 0), 0];
        let empty_int = [1, 1 << 24, 0, 0];
        for (types, message) in [
            (&[&pointer(1)[..]][..], "type [1]: contains itself"),
            (&[&typedef(1)], "type [1]: contains itself"),
            (&[&INT, &array(2, 1)], "type [2]: contains itself"),
            (&[&INT, &around(8, 2, 0)], "type [2]: contains itself"),
            (&[&pointer(2), &nameless(1)], "type [1]: contains itself"),
            (&[&forward, &around(4, 1, 0)], "member \"a\" has no size"),
            (&[&empty_int, &around(4, 1, 0)], "member \"a\" has no size"),
            (&[&INT, &around(4, 0, 0)], "member \"a\" has no size"),
            (
                &[&INT, &around(1 << 30, 1, 0)],
                "more than any struct of a kernel",
            ),
            (&[&INT, &around(4, 1, 1 << 31)], "ends behind all structs"),
            (
                &[&INT, &array(1, 1 << 28), &around(4, 2, 0)],
                "ends behind all structs",
            ),
        ] {
            let error = dump(types, b"\0a\0").expect_err("it is unsafe");
            assert_eq!(error.kind(), ErrorKind::UnsafeType);
            assert!(error.to_string().contains(message), "{types:?}: {error}");
        }
    }

    /// Check that text that doubles at every level is refused, behind pointers too, and nesting that is too deep.
    #[test]
    fn expansion() {
        let mut types: Vec<Vec<u32>> = vec![INT.to_vec()];
        for inner in 1..=40 {
            types.push(vec![0, kind(Kind::Struct, 2), 8, 1, inner, 0, 1, inner, 0]);
        }
        let of = |types: &[Vec<u32>]| {
            let types: Vec<&[u32]> = types.iter().map(Vec::as_slice).collect();
            dump(&types, b"\0a\0").map_err(|e| e.to_string())
        };
        assert!(of(&types).unwrap_err().contains("too much text"));
        let mut types: Vec<Vec<u32>> = vec![INT.to_vec()];
        for inner in 1..=30 {
            let (prototype, to) = (2 * inner, 2 * inner - 1);
            types.push(vec![0, kind(Kind::FuncProto, 2), to, 0, to, 0, to]);
            types.push(vec![0, kind(Kind::Ptr, 0), prototype]);
        }
        assert!(of(&types).unwrap_err().contains("too much text"));
        let mut types: Vec<Vec<u32>> = vec![INT.to_vec()];
        types.extend((1..=100_000).map(|inner| vec![0, kind(Kind::Const, 0), inner]));
        assert!(of(&types[..100]).is_ok());
        types.reverse();
        assert!(of(&types).is_err());
    }

    /// Check that names that are no names in C are refused: they could be any text.
    #[test]
    fn names() {
        let named = |name: &str, ty: &[u32]| {
            let strings = [b"\0", name.as_bytes(), b"\0"].concat();
            dump(
                &[&[&[1], ty].concat(), &[0, kind(Kind::Ptr, 0), 1]],
                &strings,
            )
        };
        let tag = [1 << 31 | kind(Kind::TypeTag, 0), 0];
        for name in ["a b", "1a", "x; int y", "a\n", "é"] {
            for ty in [[kind(Kind::Struct, 0), 0], [kind(Kind::Typedef, 0), 0]] {
                let error = named(name, &ty).expect_err("it is no name");
                assert!(error.to_string().contains("is no name in C"), "{error}");
            }
        }
        for name in ["user", "address_space(1)"] {
            assert!(named(name, &tag).is_ok(), "{name}");
        }
        for name in ["user)) x", "a\"", "a))((", "("] {
            assert!(named(name, &tag).is_err(), "{name}");
        }
        assert!(named("long unsigned int", &[1 << 24, 8, 64]).is_ok());
    }
}
