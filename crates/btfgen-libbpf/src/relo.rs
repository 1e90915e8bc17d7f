//! One CO-RE relocation, run by libbpf against candidate types of a kernel.

use std::ffi::{CString, c_int};
use std::fmt;
use std::ptr;
use std::sync::Arc;

use btfgen_btf::{Btf, Type, TypeId};
use btfgen_object::{ReloKind, RelocationRecord, Walk};

use crate::check::{Checked, Checker};
use crate::error::{Error, ErrorKind};
use crate::loaded::LoadedBtf;
use crate::sys;

/// Linux's numbers, the same on all architectures that run BPF.
const E2BIG: i32 = 7;

/// One relocation of an object. It is validated, so libbpf may run it.
#[derive(Debug, Clone)]
pub struct Relocation {
    btf: Arc<LoadedBtf<'static>>,
    access_str_off: u32,
    asked: btfgen_object::Relocation,
}

impl Relocation {
    /// Validates a record of `.BTF.ext` against its object's BTF: the record must have the right form, and its type must be
    /// safe to walk. `walk` and `checker` must be for the same BTF.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRelocation`] or [`ErrorKind::UnsafeType`].
    pub fn new(
        btf: &Arc<LoadedBtf<'static>>,
        walk: &mut Walk<'_>,
        checker: &mut Checker<'_>,
        record: &RelocationRecord,
    ) -> Result<Self, Error> {
        let invalid = |message: String| Error::new(ErrorKind::InvalidRelocation, message);
        let asked =
            btfgen_object::Relocation::read(walk, record).map_err(|e| invalid(e.to_string()))?;
        let checked = checker.check(asked.root())?;
        if !ptr::eq(checked.btf(), &**btf) || !ptr::eq(walk.btf(), &***btf) {
            return Err(invalid("it was checked against another BTF".into()));
        }
        Ok(Self {
            btf: Arc::clone(btf),
            access_str_off: record.access_str_off,
            asked,
        })
    }

    /// What the relocation asks, as the record says.
    pub fn asked(&self) -> &btfgen_object::Relocation {
        &self.asked
    }

    /// The BTF of its object.
    pub fn btf(&self) -> &Btf<'static> {
        &self.btf
    }

    /// The kind of its question.
    pub fn kind(&self) -> ReloKind {
        self.asked.kind()
    }

    /// The local root type.
    pub fn root(&self) -> Type<'_> {
        self.btf
            .type_by_id(self.asked.root())
            .unwrap_or_else(|| unreachable!("`new` looked it up"))
    }

    /// The access string, parsed: `0:1:2` is `[0, 1, 2]`.
    pub fn accessors(&self) -> &[u32] {
        self.asked.accessors()
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
            type_id: relocation.asked.root().0,
            access_str_off: relocation.access_str_off,
            kind: relocation.kind() as u32,
        };
        let mut result = sys::bpf_core_relo_res::default();
        // libbpf writes the spec of a candidate only if there is one, and that of the target only if one matched. The `btf`
        // of a spec shows whether it was written.
        for spec in &mut *self.specs {
            spec.btf = ptr::null();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a relocation is refused if it was read from or checked against another BTF.
    #[test]
    fn another_btf() {
        let int = [1, 1 << 24, 4, 32];
        let bytes = btfgen_btf::testing::made_up_btf(&[&int], b"\0int\x000\0");
        let loaded = || Arc::new(LoadedBtf::parse(bytes.clone()).expect("libbpf takes it"));
        let (own, other) = (loaded(), loaded());
        let record = RelocationRecord {
            insn_off: 0,
            type_id: TypeId(1),
            access_str_off: 5,
            kind: ReloKind::TypeSize as u32,
        };
        let new = |walked: &LoadedBtf<'_>, checked: &LoadedBtf<'_>| {
            let (mut walk, mut checker) = (Walk::new(walked), Checker::new(checked));
            Relocation::new(&own, &mut walk, &mut checker, &record)
        };
        assert!(new(&own, &own).is_ok());
        for (walked, checked) in [(&other, &own), (&own, &other)] {
            let error = new(walked, checked).expect_err("it is another one");
            assert_eq!(error.kind(), ErrorKind::InvalidRelocation);
        }
    }
}
