//! Minimizes all kernels of a pack: kernels that the needs cannot tell apart share the work.
//!
//! 1. Kernels that the type store does not have are read, and their definitions are added (`lookup.rs`).
//! 2. Kernels with the same candidates are one group, which has one minimal BTF.
//! 3. For minimal BTFs of which no kernel's full BTF was asked yet, now or by an earlier pack, one is read and asked.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use btfgen_hub::{Error, ErrorKind, Result};
use btfgen_store::{Definitions, Digest, Kernel};
use rayon::prelude::*;

use crate::check::{FunctionState, Wanted};
use crate::explain::Shown;
use crate::harvest::{FullKernel, Harvest};
use crate::lists::{View, Views};
use crate::lookup::{Known, Types};
use crate::questions::{MinimizeError, Minimized};
use crate::work::{Failure, Work, proof_of};

/// What one pack may spend on step 3, because to read a full BTF takes as long as hundreds of kernels of the store. Each pack
/// chooses other kernels.
const BUDGET: u32 = 16;

/// To unpack a file takes several times as long as to read a kernel of a chunk.
const COST_OF_FILE: u32 = 4;
const COST_IN_CHUNK: u32 = 1;

impl Work<'_> {
    /// Minimizes all kernels.
    pub(crate) fn harvest(&self) -> Result<Harvest, Failure> {
        let mut harvest = Harvest::default();
        let known = self.look_up(&mut harvest)?;
        self.store
            .with(|definitions| self.minimize(definitions, known, &mut harvest))??;
        harvest.left_out.sort_by(|a, b| a.0.cmp(&b.0));
        self.go_on_if_strict(&mut harvest)?;
        Ok(harvest)
    }

    /// Steps 2 and 3.
    fn minimize(
        &self,
        definitions: &Definitions<'_>,
        mut known: Vec<(usize, Known)>,
        harvest: &mut Harvest,
    ) -> Result<(), Failure> {
        self.ask_facts(definitions, &mut known, harvest)?;
        let views = Views::new(&self.lists, definitions)?;
        let mut groups: HashMap<View, Vec<Member>> = HashMap::new();
        let mut without = Vec::new();
        self.look_up_functions(definitions, &known, harvest)?;
        for (n, known) in known {
            match known {
                Known::Alone(full, minimized) => self.add_alone(harvest, n, full, minimized),
                Known::Stored(stored) => {
                    harvest.known += usize::from(!stored.is_new);
                    let kernel = definitions
                        .kernel(stored.number)
                        .ok_or(btfgen_store::Error::Damaged("a kernel is missing"))?;
                    let member = Member {
                        n,
                        number: stored.number,
                        kernel,
                        types: stored.types,
                    };
                    match views.as_ref().and_then(|views| views.of(stored.number)) {
                        Some(view) => groups.entry(view).or_default().push(member),
                        None => without.push(member),
                    }
                }
            }
        }
        self.lists.learn(definitions, groups.keys());
        let groups = groups.into_iter();
        let groups = groups.map(|(view, members)| (Arc::new(view), members));
        let groups: Vec<(Arc<View>, Vec<Member>)> = groups.collect();
        let done: Vec<Option<Result<Minimized, MinimizeError>>> = groups
            .par_iter()
            .map(|(view, _)| {
                (self.go_on)()?;
                Ok(self.lists.minimize(definitions, view))
            })
            .collect::<Result<_>>()?;
        let reasons = done.iter().flatten().flatten().map(|done| &done.reasons);
        let nearby = self.nearby(definitions, reasons);
        let mut shown = Shown::default();
        let mut all: HashMap<Proved, Vec<Proof>> = HashMap::new();
        for ((view, members), minimized) in groups.into_iter().zip(done) {
            match minimized {
                Some(Ok(minimized)) => {
                    let answered = self.lists.answered(definitions, &view);
                    let proofs = members.iter().filter_map(|&member| {
                        Some(Proof {
                            of: proof_of(answered?, member.kernel.digest),
                            view: Arc::clone(&view),
                            member,
                        })
                    });
                    let proved = match self.questions.explains() {
                        true => Proved::Answers(answered),
                        false => Proved::Minimal(minimized.btf.clone()),
                    };
                    all.entry(proved).or_default().extend(proofs);
                    if self.questions.explains() {
                        let kernels = members.iter().map(|m| (self.kernels[m.n].id(), m.number));
                        let kernels = kernels.map(|(id, number)| (id.clone(), number)).collect();
                        let reasons = self.apart(&nearby, kernels, &minimized.reasons)?;
                        for (kernels, reasons) in &reasons {
                            shown.add(&view, kernels, reasons);
                        }
                        harvest.reasons.extend(reasons);
                    }
                    let members = members.iter().map(|member| member.full(self));
                    let members: Vec<_> = members.collect();
                    harvest.add(self.questions.needs(), &members, minimized);
                }
                Some(Err(e)) => {
                    for member in members {
                        let path = self.kernels[member.n].path();
                        self.leave_out(harvest, member.n, e.clone().of_kernel(path));
                    }
                }
                None => without.extend(members),
            }
        }
        self.add_layouts(definitions, &shown, harvest)?;
        for member in without {
            match self.alone(self.kernels[member.n]) {
                Ok((full, minimized)) => self.add_alone(harvest, member.n, full, minimized),
                Err(e) if e.kind() == ErrorKind::Machine => return Err(e.into()),
                Err(e) => self.leave_out(harvest, member.n, e),
            }
        }
        all.retain(|_, proofs| !proofs.iter().any(|proof| self.store.is_proved(proof.of)));
        self.prove(definitions, all.into_values())
    }

    /// Asks kernels for the facts, and leaves out those that cannot be asked.
    fn ask_facts(
        &self,
        definitions: &Definitions<'_>,
        known: &mut Vec<(usize, Known)>,
        harvest: &mut Harvest,
    ) -> Result<(), Failure> {
        let kernels = known.iter().map(|(n, known)| match known {
            Known::Stored(stored) => (self.kernels[*n], Some(stored.number)),
            Known::Alone(..) => (self.kernels[*n], None),
        });
        let kernels: Vec<_> = kernels.collect();
        let mut asked = self.facts.ask(definitions, &kernels, self.max_btf_bytes)?;
        for (place, e) in asked.failed.drain(..).rev() {
            let (n, _) = known.remove(place);
            self.leave_out(harvest, n, e);
        }
        harvest.facts = asked;
        Ok(())
    }

    /// Whether kernels have the functions that programs attach to.
    fn look_up_functions(
        &self,
        definitions: &Definitions<'_>,
        known: &[(usize, Known)],
        harvest: &mut Harvest,
    ) -> Result<(), Failure> {
        let names = self.questions.functions();
        if names.is_empty() {
            return Ok(());
        }
        let wanted = Wanted::new(names, definitions)?;
        for (n, known) in known {
            let states = match known {
                Known::Stored(stored) => wanted.of(definitions, stored.number)?,
                Known::Alone(..) => vec![FunctionState::Unknown; names.len()],
            };
            harvest
                .functions
                .push((self.kernels[*n].id().clone(), states));
        }
        Ok(())
    }

    /// Step 3: asks the full BTF of one kernel for each of some minimal BTFs. Which ones is chosen anew on each run.
    fn prove(
        &self,
        definitions: &Definitions<'_>,
        unproved: impl Iterator<Item = Vec<Proof>>,
    ) -> Result<(), Failure> {
        let random = RandomState::new();
        let of = |proof: &Proof| random.hash_one(proof.of);
        let mut chosen: Vec<Proof> = unproved
            .filter_map(|proofs| proofs.into_iter().min_by_key(of))
            .collect();
        chosen.sort_unstable_by_key(of);
        let mut spent = 0;
        chosen.retain(|proof| {
            spent += match self.kernels[proof.member.n].chunk() {
                Some(_) => COST_IN_CHUNK,
                None => COST_OF_FILE,
            };
            spent <= BUDGET
        });
        chosen.into_par_iter().try_for_each(|proof| {
            let Proof { of, view, member } = proof;
            (self.go_on)()?;
            let kernel = self.kernels[member.n];
            let changed = || {
                let message = "has changed while it was read";
                Error::new(ErrorKind::InvalidKernel, kernel.path().display(), message)
            };
            let full = self.read(kernel, member.types);
            let full = full.map_err(|e| match e.kind() {
                ErrorKind::Machine => Failure::Failed(e),
                _ => Failure::Stale(e),
            })?;
            if member.kernel.digest != Digest::of(full.bytes()) {
                return Err(Failure::Stale(changed()));
            }
            match self.lists.prove(definitions, &view, &full) {
                Some(Ok(())) => {
                    self.store.note_proof(of);
                    Ok(())
                }
                Some(Err(e)) => Err(Failure::Stale(e.of_kernel(kernel.path()))),
                None => Err(Failure::Stale(changed())),
            }
        })
    }

    fn add_alone(&self, harvest: &mut Harvest, n: usize, full: FullKernel, minimized: Minimized) {
        harvest.alone += 1;
        let kernel = self.kernels[n].id().clone();
        if self.questions.explains() {
            for (&need, sides) in &minimized.layouts {
                let reason = &minimized.reasons[&need];
                harvest.add_layouts(need, reason, &kernel, sides.clone());
            }
            let reasons = minimized.reasons.clone();
            harvest.reasons.push((vec![kernel.clone()], reasons));
        }
        harvest.add(self.questions.needs(), &[(kernel, full)], minimized);
    }
}

/// A kernel of a group.
#[derive(Clone, Copy)]
struct Member {
    /// Its place in the pack.
    n: usize,
    /// Its number in the type store.
    number: usize,
    kernel: Kernel,
    types: Types,
}

/// What one kernel of several proves.
#[derive(PartialEq, Eq, Hash)]
enum Proved {
    /// A minimal BTF.
    Minimal(Vec<u8>),
    /// Answers, if there are no minimal BTFs because they are only explained.
    Answers(Option<Digest>),
}

/// The proof that a kernel's full BTF answers as its definitions.
struct Proof {
    /// Its digest.
    of: Digest,
    view: Arc<View>,
    member: Member,
}

impl Member {
    fn full(&self, work: &Work<'_>) -> (btfgen_archive::KernelId, FullKernel) {
        let full = FullKernel {
            types: self.kernel.types,
            bytes: self.kernel.bytes,
            byte_order: self.kernel.byte_order(),
            has_modules: work.kernels[self.n].modules_path().is_some(),
        };
        (work.kernels[self.n].id().clone(), full)
    }
}
