//! One parsed BTF and typed views of it.
//!
//! The format is the kernel's Documentation/bpf/btf.rst. libbpf parses it, and converts a BTF of the other byte
//! order to the host's while doing so; what is seen here is always in host order.

use std::ffi::{CStr, c_void};
use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::sync::Once;

use btfgen_object::Kind;

use crate::error::{Error, ErrorKind};

/// The deepest nesting that is followed. Kernels stay below 20, and libbpf itself stops at 32 or 64 in most walks.
pub(crate) const MAX_DEPTH: usize = 128;

/// A type's number within one BTF. 0 is `void`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

impl TypeId {
    /// The type `void`, which every BTF has.
    pub const VOID: Self = Self(0);
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Order of the bytes in a BTF's integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ByteOrder {
    /// Least significant byte first (x86, arm64, riscv64, ppc64le).
    Little,
    /// Most significant byte first (s390x).
    Big,
}

/// One parsed BTF.
///
/// It is never modified after [`Btf::parse`] and [`Btf::set_pointer_size_of_bpf`], hence shared freely.
pub struct Btf {
    raw: NonNull<libbpf_sys::btf>,
    type_count: u32,
}

// SAFETY: libbpf's `struct btf` has no thread affinity.
unsafe impl Send for Btf {}
// SAFETY: all functions called through `&Btf` only read. The one lazily written field, the pointer size, is
// settled in `parse`.
unsafe impl Sync for Btf {}

impl fmt::Debug for Btf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Btf")
            .field("types", &self.type_count)
            .field("byte_order", &self.byte_order())
            .finish_non_exhaustive()
    }
}

impl Drop for Btf {
    fn drop(&mut self) {
        // SAFETY: `raw` came from `btf__new` and is freed once.
        unsafe { libbpf_sys::btf__free(self.raw.as_ptr()) }
    }
}

impl Btf {
    /// Parses the content of a `.BTF` section or of `/sys/kernel/btf/vmlinux`, of either byte order.
    ///
    /// The bytes are copied; libbpf checks that every string offset and type id in them is in range.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidBtf`] with the place of the damage, [`ErrorKind::Unsupported`] for a version or a type
    /// kind that libbpf does not know, [`ErrorKind::OutOfMemory`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        silence_libbpf();
        let size = u32::try_from(bytes.len())
            .map_err(|_| Error::new(ErrorKind::InvalidBtf, "larger than 4 GiB"))?;
        check_header(bytes)?;
        // SAFETY: the pointer and the length are those of one live slice, which libbpf copies.
        let raw = unsafe { libbpf_sys::btf__new(bytes.as_ptr().cast::<c_void>(), size) };
        let raw = match NonNull::new(raw) {
            Some(raw) => raw,
            // libbpf leaves the reason in errno.
            None => return Err(refusal(&io::Error::last_os_error(), bytes)),
        };
        // SAFETY: `raw` is a valid BTF; this also settles the lazily computed pointer size before it is shared.
        let (type_count, _) = unsafe {
            (
                libbpf_sys::btf__type_cnt(raw.as_ptr()),
                libbpf_sys::btf__pointer_size(raw.as_ptr()),
            )
        };
        Ok(Self { raw, type_count })
    }

    /// Number of types, `void` included: valid ids are below it.
    pub fn type_count(&self) -> u32 {
        self.type_count
    }

    /// The byte order the BTF came in.
    pub fn byte_order(&self) -> ByteOrder {
        // SAFETY: `raw` is a valid BTF.
        match unsafe { libbpf_sys::btf__endianness(self.as_ptr()) } {
            libbpf_sys::BTF_BIG_ENDIAN => ByteOrder::Big,
            _ => ByteOrder::Little,
        }
    }

    /// Size of a pointer in bytes, 4 or 8, as libbpf finds it from the size of `long`; `None` where the BTF has no
    /// such type, and libbpf takes the host's.
    pub fn pointer_size(&self) -> Option<u32> {
        // SAFETY: `raw` is a valid BTF.
        match unsafe { libbpf_sys::btf__pointer_size(self.as_ptr()) } {
            4 => Some(4),
            8 => Some(8),
            _ => None,
        }
    }

    /// Sets the pointer size to 8: BPF objects have such pointers, whatever their types say.
    pub fn set_pointer_size_of_bpf(&mut self) {
        // SAFETY: `raw` is a valid BTF that nobody else sees while we hold `&mut`. 8 is a size it accepts.
        unsafe { libbpf_sys::btf__set_pointer_size(self.raw.as_ptr(), 8) };
    }

    /// The type with this id.
    pub fn type_by_id(&self, id: TypeId) -> Option<Type<'_>> {
        // SAFETY: `raw` is a valid BTF; libbpf checks the id and returns NULL for a bad one.
        let raw = unsafe { libbpf_sys::btf__type_by_id(self.as_ptr(), id.0) };
        // SAFETY: a non-NULL result points to a type inside the BTF (or to libbpf's static `void`), which is not
        // modified while `self` is borrowed.
        unsafe { raw.as_ref() }.map(|raw| Type { btf: self, id, raw })
    }

    /// Ids of all types but `void`, in the BTF's order.
    pub fn ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        (1..self.type_count).map(TypeId)
    }

    /// The NUL-terminated string at an offset of the string section.
    pub fn string(&self, offset: u32) -> Option<&[u8]> {
        // SAFETY: `raw` is a valid BTF; libbpf checks the offset, and the section ends with a NUL.
        unsafe {
            let s = libbpf_sys::btf__str_by_offset(self.as_ptr(), offset);
            (!s.is_null()).then(|| CStr::from_ptr(s).to_bytes())
        }
    }

    /// The type behind modifiers and typedefs, `void` included; `None` if there is none such within 128 steps
    /// (an endless chain, which only a damaged BTF has).
    pub fn skip_modifiers_and_typedefs(&self, id: TypeId) -> Option<Type<'_>> {
        let mut ty = self.type_by_id(id)?;
        for _ in 0..MAX_DEPTH {
            if !ty.kind().is_modifier_or_typedef() {
                return Some(ty);
            }
            ty = self.type_by_id(ty.referenced())?;
        }
        None
    }

    /// Size of a type in bytes as libbpf resolves it; `None` for types without one (void, function, forward).
    pub fn resolve_size(&self, id: TypeId) -> Option<u32> {
        // SAFETY: `raw` is a valid BTF; libbpf checks the id and bounds its own walk.
        let size = unsafe { libbpf_sys::btf__resolve_size(self.as_ptr(), id.0) };
        u32::try_from(size).ok()
    }

    pub(crate) fn as_ptr(&self) -> *const libbpf_sys::btf {
        self.raw.as_ptr()
    }
}

/// libbpf prints what it dislikes to stderr; errors are returned here instead.
fn silence_libbpf() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: `None` is the documented way to switch messages off.
        unsafe { libbpf_sys::libbpf_set_print(None) };
    });
}

const HEADER_LEN: usize = 24;
const MAGIC: u16 = 0xeb9f;

fn header_word(bytes: &[u8], big: bool, at: usize) -> Option<u32> {
    let word: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(if big {
        u32::from_be_bytes(word)
    } else {
        u32::from_le_bytes(word)
    })
}

/// What libbpf does not say or does not check: magic, version, and where the types begin.
fn check_header(bytes: &[u8]) -> Result<(), Error> {
    let invalid = |message: String| Err(Error::new(ErrorKind::InvalidBtf, message));
    if bytes.is_empty() {
        return invalid("the file is empty".into());
    }
    if bytes.len() < HEADER_LEN {
        return invalid(format!(
            "{} bytes are too few for a BTF header",
            bytes.len()
        ));
    }
    let magic = [bytes[0], bytes[1]];
    if magic != MAGIC.to_le_bytes() && magic != MAGIC.to_be_bytes() {
        return invalid(format!(
            "no BTF: it begins with {:02x} {:02x}, not with the magic 9f eb or eb 9f",
            magic[0], magic[1]
        ));
    }
    if bytes[2] != 1 {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("BTF version {} (only version 1 is known)", bytes[2]),
        ));
    }
    // Types are read in place, as words: libbpf copies the file to memory that is aligned for any type.
    let big = magic == MAGIC.to_be_bytes();
    let word = |at| header_word(bytes, big, at).unwrap_or(0);
    let types_at = u64::from(word(4)) + u64::from(word(8));
    if types_at % 4 != 0 {
        return invalid(format!(
            "the types begin at byte {types_at}, which is no multiple of 4"
        ));
    }
    Ok(())
}

/// Why `btf__new` answered NULL.
fn refusal(errno: &io::Error, bytes: &[u8]) -> Error {
    if errno.kind() == io::ErrorKind::OutOfMemory {
        return Error::new(
            ErrorKind::OutOfMemory,
            format!("no memory for a BTF of {} bytes", bytes.len()),
        );
    }
    diagnose(bytes)
}

/// Why `btf__new` refused these bytes: it answers only "invalid".
fn diagnose(bytes: &[u8]) -> Error {
    let big = bytes.starts_with(&MAGIC.to_be_bytes());
    let invalid = |message: String| Error::new(ErrorKind::InvalidBtf, message);
    let word = |at| header_word(bytes, big, at).unwrap_or(0) as usize;
    let (hdr_len, type_off, type_len, str_off, str_len) =
        (word(4), word(8), word(12), word(16), word(20));
    if big && hdr_len != HEADER_LEN {
        return Error::new(
            ErrorKind::Unsupported,
            format!(
                "a header of {hdr_len} bytes in the other byte order (only {HEADER_LEN} is known)"
            ),
        );
    }
    for (what, off, len) in [("type", type_off, type_len), ("string", str_off, str_len)] {
        if hdr_len.saturating_add(off).saturating_add(len) > bytes.len() {
            return invalid(format!(
                "truncated: the {what} section should end at byte {}, the file has {}",
                hdr_len.saturating_add(off).saturating_add(len),
                bytes.len()
            ));
        }
    }
    let Some(types) = bytes.get(hdr_len + type_off..hdr_len + type_off + type_len) else {
        return invalid("the sections overlap".into());
    };
    let mut at = 0;
    let mut id = 1_u32;
    while let Some(info) = header_word(types, big, at + 4) {
        let vlen = (info & 0xffff) as usize;
        let rest = match Kind::of_info(info) {
            None => {
                return Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "type [{id}] is of kind {}, which this libbpf does not know",
                        info >> 24 & 0x1f
                    ),
                );
            }
            Some(Kind::Int | Kind::Var | Kind::DeclTag) => 4,
            Some(Kind::Array) => 12,
            Some(Kind::Struct | Kind::Union | Kind::Enum64 | Kind::Datasec) => 12 * vlen,
            Some(Kind::Enum | Kind::FuncProto) => 8 * vlen,
            Some(Kind::Void) => return invalid(format!("type [{id}] is of kind 0")),
            Some(_) => 0,
        };
        at += 12 + rest;
        id += 1;
    }
    if at != types.len() {
        return invalid(format!("type [{}] runs over the end of the types", id - 1));
    }
    invalid(
        "a type id or a string offset is out of range, or the strings are not terminated".into(),
    )
}

/// One type of a [`Btf`].
#[derive(Clone, Copy)]
pub struct Type<'b> {
    btf: &'b Btf,
    id: TypeId,
    raw: &'b libbpf_sys::btf_type,
}

impl fmt::Debug for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{}] {:?} {}",
            self.id,
            self.kind(),
            String::from_utf8_lossy(self.name())
        )
    }
}

/// A member of a struct or union.
#[derive(Debug, Clone, Copy)]
pub struct Member<'b> {
    /// Name; empty for an anonymous struct or union.
    pub name: &'b [u8],
    /// Type.
    pub ty: TypeId,
    /// Offset in bits from the start of the struct.
    pub bit_offset: u32,
    /// Width in bits of a bitfield; 0 for any other member.
    pub bitfield_size: u32,
}

/// Element type and length of an array.
#[derive(Debug, Clone, Copy)]
pub struct ArrayDef {
    /// Type of one element.
    pub element: TypeId,
    /// Type of the index: an int.
    pub index: TypeId,
    /// Number of elements; 0 for a flexible array.
    pub len: u32,
}

/// One name of an enum.
#[derive(Debug, Clone, Copy)]
pub struct Enumerator<'b> {
    /// Name.
    pub name: &'b [u8],
    /// Value as libbpf reports it: a 32-bit one is sign-extended, whatever the enum's signedness.
    pub value: u64,
}

/// A parameter of a function prototype.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Type; `void` as the last one means "variadic".
    pub ty: TypeId,
}

impl<'b> Type<'b> {
    /// Its id.
    pub fn id(&self) -> TypeId {
        self.id
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        // libbpf refused a BTF with an unknown kind.
        Kind::of_info(self.raw.info).unwrap_or(Kind::Void)
    }

    /// Its name; empty for an anonymous one.
    pub fn name(&self) -> &'b [u8] {
        self.string(self.raw.name_off)
    }

    /// The `kind_flag` bit: bitfield encoding of a struct, signedness of an enum, union for a forward declaration.
    pub fn kind_flag(&self) -> bool {
        self.raw.info >> 31 == 1
    }

    /// Size in bytes, for the kinds that have one (int, struct, union, enum, float, data section).
    pub fn size(&self) -> u32 {
        // SAFETY: both fields of the union are plain 32-bit integers.
        unsafe { self.raw.__bindgen_anon_1.size }
    }

    /// The type referred to, for the kinds that do (pointer, modifiers, typedef, function, prototype's result).
    pub fn referenced(&self) -> TypeId {
        // SAFETY: both fields of the union are plain 32-bit integers.
        TypeId(unsafe { self.raw.__bindgen_anon_1.type_ })
    }

    /// Encoding bits of an int: 1 signed, 2 char, 4 bool.
    pub fn int_encoding(&self) -> u8 {
        self.int_word().map_or(0, |w| (w >> 24 & 0xf) as u8)
    }

    /// Bit offset of an int within its bytes: only old compilers' bitfields have one.
    pub fn int_offset(&self) -> u32 {
        self.int_word().map_or(0, |w| w >> 16 & 0xff)
    }

    /// Width of an int in bits, which is less than its size for old compilers' bitfields.
    pub fn int_bits(&self) -> u8 {
        self.int_word().map_or(0, |w| (w & 0xff) as u8)
    }

    /// Members of a struct or union; empty for other kinds.
    pub fn members(&self) -> impl ExactSizeIterator<Item = Member<'b>> + use<'b> {
        let this = *self;
        let flag = self.kind_flag();
        let raw = if self.kind().is_composite() {
            self.trailing::<libbpf_sys::btf_member>()
        } else {
            &[]
        };
        raw.iter().map(move |m| Member {
            name: this.string(m.name_off),
            ty: TypeId(m.type_),
            bit_offset: if flag { m.offset & 0xff_ffff } else { m.offset },
            bitfield_size: if flag { m.offset >> 24 } else { 0 },
        })
    }

    /// Number of members, enumerators or parameters.
    pub fn len(&self) -> usize {
        (self.raw.info & 0xffff) as usize
    }

    /// Whether it has no members, enumerators or parameters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type and length, for an array.
    pub fn array(&self) -> Option<ArrayDef> {
        if self.kind() != Kind::Array {
            return None;
        }
        // SAFETY: a type of kind array is followed by one `btf_array`; libbpf checked the bounds.
        let raw = unsafe {
            self.after()
                .cast::<libbpf_sys::btf_array>()
                .read_unaligned()
        };
        Some(ArrayDef {
            element: TypeId(raw.type_),
            index: TypeId(raw.index_type),
            len: raw.nelems,
        })
    }

    /// Names and values of an enum of either width; empty for other kinds.
    pub fn enumerators(&self) -> Vec<Enumerator<'b>> {
        match self.kind() {
            Kind::Enum => self
                .trailing::<libbpf_sys::btf_enum>()
                .iter()
                .map(|e| Enumerator {
                    name: self.string(e.name_off),
                    value: i64::from(e.val) as u64,
                })
                .collect(),
            Kind::Enum64 => self
                .trailing::<libbpf_sys::btf_enum64>()
                .iter()
                .map(|e| Enumerator {
                    name: self.string(e.name_off),
                    value: u64::from(e.val_hi32) << 32 | u64::from(e.val_lo32),
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Parameters of a function prototype; empty for other kinds.
    pub fn params(&self) -> impl ExactSizeIterator<Item = Param> + use<'b> {
        let raw = if self.kind() == Kind::FuncProto {
            self.trailing::<libbpf_sys::btf_param>()
        } else {
            &[]
        };
        raw.iter().map(|p| Param {
            ty: TypeId(p.type_),
        })
    }

    fn string(&self, offset: u32) -> &'b [u8] {
        self.btf.string(offset).unwrap_or_default()
    }

    fn int_word(&self) -> Option<u32> {
        // SAFETY: a type of kind int is followed by one 32-bit word; libbpf checked the bounds.
        (self.kind() == Kind::Int).then(|| unsafe { self.after().cast::<u32>().read_unaligned() })
    }

    /// Where the kind-specific data begins, right behind the common part.
    fn after(&self) -> *const u8 {
        std::ptr::from_ref(self.raw).wrapping_add(1).cast()
    }

    /// The `vlen` records behind the common part. `T` is the record of the type's kind.
    fn trailing<T>(&self) -> &'b [T] {
        // SAFETY: the callers pass the record type that the kernel's BTF format gives for the kind, libbpf checked
        // that all `vlen` records lie within the types, and types are aligned to 4 bytes, as the records need.
        unsafe { std::slice::from_raw_parts(self.after().cast::<T>(), self.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let path = btfgen_testkit::target_btf("same");
        std::fs::read(path).expect("the fixture is there")
    }

    fn error(bytes: &[u8]) -> String {
        Btf::parse(bytes).expect_err("it is damaged").to_string()
    }

    /// Check that what libbpf only calls invalid is told apart.
    #[test]
    fn damage_is_named() {
        let with = |at: usize, value: u8| {
            let mut bytes = sample();
            bytes[at] = value;
            error(&bytes)
        };
        assert_eq!(error(b""), "the file is empty");
        assert!(error(&sample()[..20]).contains("too few for a BTF header"));
        assert!(with(0, 0).contains("begins with 00 eb"));
        assert!(with(2, 9).contains("version 9"));
        // The kind of the first type.
        assert!(with(24 + 7, 30).contains("type [1] is of kind 30"));
        let bytes = sample();
        assert!(error(&bytes[..bytes.len() - 1]).contains("truncated: the string section"));
    }

    /// Check that a header which puts the types at an odd place is refused: libbpf only looks at the offset in it.
    #[test]
    fn unaligned_types() {
        let sample = sample();
        for hdr_len in 25..28_u8 {
            let mut bytes = sample.clone();
            bytes[4] = hdr_len;
            let padding = vec![0; usize::from(hdr_len) - HEADER_LEN];
            bytes.splice(HEADER_LEN..HEADER_LEN, padding);
            let error = Btf::parse(&bytes).expect_err("the types are unaligned");
            assert_eq!(error.kind(), ErrorKind::InvalidBtf);
            assert!(error.to_string().contains("no multiple of 4"), "{error}");
        }
        let mut longer = sample;
        longer[4] = 28;
        longer.splice(HEADER_LEN..HEADER_LEN, [0; 4]);
        assert!(Btf::parse(&longer).is_ok());
    }

    /// Check that lack of memory is not told as damage.
    #[test]
    fn lack_of_memory() {
        const WITHOUT_MEMORY: &str = "BTFGEN_TEST_WITHOUT_MEMORY";
        if std::env::var_os(WITHOUT_MEMORY).is_some() {
            let mut bytes = vec![0x9f, 0xeb, 1, 0];
            let strings = 256_u32 << 20;
            for word in [24, 0, 16, 16, strings, 0, 1 << 24, 4, 32] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.resize(bytes.len() + strings as usize, 0);
            let error = Btf::parse(&bytes).expect_err("there is memory for one copy only");
            assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
            return;
        }
        let child = std::process::Command::new("prlimit")
            .arg(format!("--as={}", 450 << 20))
            .arg(std::env::current_exe().expect("a path of this program"))
            .args(["--exact", "btf::tests::lack_of_memory"])
            .env(WITHOUT_MEMORY, "1")
            .output();
        match child {
            Ok(output) => assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stdout)
            ),
            Err(e) => btfgen_testkit::skipped(format_args!("prlimit cannot be run: {e}")),
        }
    }
}
