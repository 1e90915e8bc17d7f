//! One CO-RE relocation, run by libbpf against candidate types of a kernel.

use std::ffi::{CString, c_int};
use std::fmt;
use std::sync::Arc;

use btfgen_btf::{Btf, Type, TypeId};
use btfgen_object::{MAX_ACCESSOR, MAX_ACCESSORS, parse_access_string};

use crate::check::{Checked, Checker};
use crate::error::{Error, ErrorKind};
use crate::loaded::LoadedBtf;
use crate::sys;

/// `enum bpf_core_relo_kind` of the kernel's UAPI (linux/bpf.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(
    missing_docs,
    reason = "each is the kernel's BPF_CORE_ constant of that name"
)]
#[repr(u32)]
#[non_exhaustive]
pub enum ReloKind {
    FieldByteOffset,
    FieldByteSize,
    FieldExists,
    FieldSigned,
    FieldLshiftU64,
    FieldRshiftU64,
    TypeIdLocal,
    TypeIdTarget,
    TypeExists,
    TypeSize,
    EnumvalExists,
    EnumvalValue,
    TypeMatches,
}

impl ReloKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: &'static [Self] = &[
        Self::FieldByteOffset,
        Self::FieldByteSize,
        Self::FieldExists,
        Self::FieldSigned,
        Self::FieldLshiftU64,
        Self::FieldRshiftU64,
        Self::TypeIdLocal,
        Self::TypeIdTarget,
        Self::TypeExists,
        Self::TypeSize,
        Self::EnumvalExists,
        Self::EnumvalValue,
        Self::TypeMatches,
    ];

    /// The kind with this number, if there is one.
    pub fn from_raw(raw: u32) -> Option<Self> {
        Self::ALL.get(raw as usize).copied()
    }

    /// The name in libbpf's log.
    pub fn name(self) -> &'static str {
        match self {
            Self::FieldByteOffset => "byte_off",
            Self::FieldByteSize => "byte_sz",
            Self::FieldExists => "field_exists",
            Self::FieldSigned => "signed",
            Self::FieldLshiftU64 => "lshift_u64",
            Self::FieldRshiftU64 => "rshift_u64",
            Self::TypeIdLocal => "local_type_id",
            Self::TypeIdTarget => "target_type_id",
            Self::TypeExists => "type_exists",
            Self::TypeSize => "type_size",
            Self::EnumvalExists => "enumval_exists",
            Self::EnumvalValue => "enumval_value",
            Self::TypeMatches => "type_matches",
        }
    }

    /// Whether it asks about a field.
    pub fn is_field(self) -> bool {
        (self as u32) <= Self::FieldRshiftU64 as u32
    }

    /// Whether it asks about an enumerator.
    pub fn is_enumval(self) -> bool {
        matches!(self, Self::EnumvalExists | Self::EnumvalValue)
    }

    /// Whether it asks about a type as a whole.
    pub fn is_type(self) -> bool {
        !self.is_field() && !self.is_enumval()
    }
}

impl fmt::Display for ReloKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Linux's numbers, the same on all architectures that run BPF.
const E2BIG: i32 = 7;

/// One relocation of an object. It is validated, so libbpf may run it.
#[derive(Debug, Clone)]
pub struct Relocation {
    btf: Arc<LoadedBtf<'static>>,
    kind: ReloKind,
    type_id: TypeId,
    access_str_off: u32,
    accessors: Vec<u32>,
}

impl Relocation {
    /// Validates a record of `.BTF.ext` against its object's BTF: the type must exist and be safe to walk, and the access
    /// string must be a list of numbers. `checker` must be for the same BTF.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRelocation`] or [`ErrorKind::UnsafeType`].
    pub fn new(
        btf: &Arc<LoadedBtf<'static>>,
        checker: &mut Checker<'_>,
        kind: ReloKind,
        type_id: TypeId,
        access_str_off: u32,
    ) -> Result<Self, Error> {
        let invalid = |message: String| Error::new(ErrorKind::InvalidRelocation, message);
        if type_id == TypeId::VOID || btf.type_by_id(type_id).is_none() {
            return Err(invalid(format!("there is no type [{type_id}]")));
        }
        let access = btf.string(access_str_off).ok_or_else(|| {
            invalid(format!(
                "its access string's offset {access_str_off} is beyond the strings"
            ))
        })?;
        let accessors = parse_access_string(access).ok_or_else(|| {
            invalid(format!(
                "its access string \"{}\" is not a list of up to {MAX_ACCESSORS} numbers from 0 to {MAX_ACCESSOR}",
                String::from_utf8_lossy(&access[..access.len().min(80)])
            ))
        })?;
        if !std::ptr::eq(checker.check(type_id)?.btf(), &**btf) {
            return Err(invalid("it was checked against another BTF".into()));
        }
        Ok(Self {
            btf: Arc::clone(btf),
            kind,
            type_id,
            access_str_off,
            accessors,
        })
    }

    /// The BTF of its object.
    pub fn btf(&self) -> &Btf<'static> {
        &self.btf
    }

    /// The kind of its question.
    pub fn kind(&self) -> ReloKind {
        self.kind
    }

    /// The local root type.
    pub fn root(&self) -> Type<'_> {
        self.btf
            .type_by_id(self.type_id)
            .unwrap_or_else(|| unreachable!("`new` looked it up"))
    }

    /// The access string, parsed: `0:1:2` is `[0, 1, 2]`.
    pub fn accessors(&self) -> &[u32] {
        &self.accessors
    }
}

/// libbpf's result for one relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resolution {
    /// The value to patch in; 0 if `poison`.
    pub value: u64,
    /// There is no target: libbpf replaces the instruction by an invalid call.
    pub poison: bool,
    /// The size of the target field in bytes, for byte offsets of plain fields; else 0. libbpf resizes loads and stores to
    /// it.
    pub size: u32,
    /// The size of the local field in bytes, if `size` is not 0.
    pub local_size: u32,
    /// The sizes differ in a way that libbpf refuses for a load or store.
    pub size_mismatch: bool,
}

/// The place in a candidate that a relocation reached: libbpf's spec.
#[derive(Debug, Clone, Copy)]
pub struct Match<'r> {
    /// Raw accessors: one index for each step from the root, through anonymous members too.
    pub raw: &'r [c_int],
    /// The candidate.
    pub root: TypeId,
    /// Offset in bits from the root.
    pub bit_offset: u32,
}

/// The reason why libbpf refuses to load an object because of a relocation.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'r> {
    /// The positive errno: `EINVAL` for candidates that disagree, or a relocation that does not fit its own type; `E2BIG`
    /// for too deep nesting or too wide a bitfield; `EOPNOTSUPP` for an anonymous root.
    pub errno: i32,
    /// How far libbpf came in the candidate at which it failed; `None` if it failed before it looked at any candidate.
    pub reached: Option<Match<'r>>,
}

/// Runs relocations. It owns libbpf's scratch space.
pub struct Resolver {
    /// Of the program's own type, of a candidate, and of the target.
    specs: Box<[sys::bpf_core_spec; 3]>,
    candidates: Vec<sys::bpf_core_cand>,
    program: CString,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new()
    }
}

impl Resolver {
    /// Creates a resolver.
    pub fn new() -> Self {
        Self {
            specs: Box::new([sys::bpf_core_spec::EMPTY; 3]),
            candidates: Vec::new(),
            program: CString::default(),
        }
    }

    /// Runs `bpf_core_calc_relo_insn` with these candidates, in this order. The result has the first candidate that matched,
    /// if one did.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn resolve(
        &mut self,
        relocation: &Relocation,
        candidates: &[Checked<'_>],
    ) -> Result<(Resolution, Option<Match<'_>>), Failure<'_>> {
        let (result, _) = self.run(relocation, candidates);
        result
    }

    /// Like [`Resolver::resolve`], but then drops the candidates that did not match, unless none matched. libbpf does this
    /// before it goes on to the next relocation of the same local type.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn resolve_and_prune(
        &mut self,
        relocation: &Relocation,
        candidates: &mut Vec<Checked<'_>>,
    ) -> Result<(Resolution, Option<Match<'_>>), Failure<'_>> {
        let (_, left) = self.run(relocation, candidates);
        let left: Vec<u32> = self.candidates[..left].iter().map(|c| c.id).collect();
        let (result, _) = self.run(relocation, candidates);
        if result.is_ok() {
            candidates.retain(|candidate| left.contains(&candidate.id().0));
        }
        result
    }

    /// Runs libbpf. The second result is the number of candidates that libbpf keeps, at the start of its list.
    fn run(
        &mut self,
        relocation: &Relocation,
        candidates: &[Checked<'_>],
    ) -> (Result<(Resolution, Option<Match<'_>>), Failure<'_>>, usize) {
        self.candidates.clear();
        self.candidates
            .extend(candidates.iter().map(|c| sys::bpf_core_cand {
                btf: c.btf().as_ptr(),
                id: c.id().0,
            }));
        let Ok(len) = c_int::try_from(self.candidates.len()) else {
            let (errno, reached) = (E2BIG, None);
            return (Err(Failure { errno, reached }), 0);
        };
        let mut list = sys::bpf_core_cand_list {
            cands: self.candidates.as_mut_ptr(),
            len,
        };
        let relo = libbpf_sys::bpf_core_relo {
            insn_off: 0,
            type_id: relocation.type_id.0,
            access_str_off: relocation.access_str_off,
            kind: relocation.kind as u32,
        };
        let mut result = sys::bpf_core_relo_res::default();
        // libbpf writes the spec of a candidate only if there is one, and that of the target only if one matched. The `btf`
        // of a spec shows whether it was written.
        for spec in &mut *self.specs {
            spec.btf = std::ptr::null();
        }
        // SAFETY: the local BTF and the candidates' are alive; `Relocation::new` validated the type and the access
        // string; its type and the candidates are checked, so libbpf's walks end and stay within the types; the list
        // has `len` entries and may be reordered; the scratch space is three specs, as relo_core.h asks.
        let err = unsafe {
            sys::bpf_core_calc_relo_insn(
                self.program.as_ptr(),
                &raw const relo,
                0,
                relocation.btf.as_ptr(),
                &raw mut list,
                self.specs.as_mut_ptr(),
                &raw mut result,
            )
        };
        let [_, candidate, target] = self.specs.each_ref().map(Match::of);
        let left = usize::try_from(list.len).unwrap_or(0);
        if err < 0 {
            let (errno, reached) = (err.saturating_neg(), candidate);
            return (Err(Failure { errno, reached }), left);
        }
        let resolution = Resolution {
            value: if result.poison { 0 } else { result.new_val },
            poison: result.poison,
            size: result.new_sz,
            local_size: result.orig_sz,
            size_mismatch: result.fail_memsz_adjust,
        };
        (Ok((resolution, target)), left)
    }
}

impl<'r> Match<'r> {
    /// `None` for a spec that was not written.
    fn of(spec: &'r sys::bpf_core_spec) -> Option<Self> {
        let len = usize::try_from(spec.raw_len).unwrap_or(0);
        (!spec.btf.is_null()).then(|| Self {
            raw: &spec.raw_spec[..len.min(sys::SPEC_MAX_LEN)],
            root: TypeId(spec.root_type_id),
            bit_offset: spec.bit_offset,
        })
    }
}
