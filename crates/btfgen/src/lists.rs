//! Answers lists of candidates from the definitions of a type store, each list once.
//!
//! Kernels share nearly all definitions. The answers of a root depend only on the list of its candidates and on the kernel's
//! byte order and pointer size. So libbpf answers each distinct list once, from a small BTF of just these definitions, and
//! kernels with the same lists share the minimal BTF and its proof.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use btfgen_btf::{Btf, TypeId};
use btfgen_libbpf::{Checker, LoadedBtf, Resolver};
use btfgen_store::{Candidate, Definition, Definitions, Digest, Key, List, Machine, is_root};
use rayon::prelude::*;

use crate::answers::{RootAnswers, Seen};
use crate::check::{self, Reason, Reasons, Sides, why};
use crate::minimal::Answered;
use crate::modules::{AbsentType, absent_types};
use crate::questions::{MinimizeError, Minimized, Questions};

/// A kernel as the needs see it: its candidates of each root, and what else the answers depend on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct View {
    machine: Machine,
    lists: Vec<List>,
}

impl View {
    /// A kernel's view; `None` if the definitions do not cover the kernel or a root.
    pub(crate) fn of(
        lists: &ListAnswers<'_, '_>,
        definitions: &Definitions<'_>,
        kernel: usize,
    ) -> Option<Self> {
        Views::new(lists, definitions).ok()??.of(kernel)
    }
}

/// Finds the views of kernels.
pub(crate) struct Views<'d> {
    definitions: &'d Definitions<'d>,
    keys: Vec<Option<Key>>,
}

impl<'d> Views<'d> {
    /// `None` if the definitions do not cover a root.
    ///
    /// # Errors
    /// [`btfgen_store::Error::Damaged`].
    pub(crate) fn new(
        lists: &ListAnswers<'_, '_>,
        definitions: &'d Definitions<'d>,
    ) -> btfgen_store::Result<Option<Self>> {
        let roots = lists.questions.needs().roots().iter();
        let roots: Vec<_> = roots.map(|root| (root.kind, &root.name[..])).collect();
        if !roots.iter().all(|&(kind, _)| is_root(kind)) {
            return Ok(None);
        }
        let keys = definitions.keys(&roots)?;
        Ok(Some(Self { definitions, keys }))
    }

    /// Whether a kernel has no candidates of some root.
    pub(crate) fn lacks_some(&self, kernel: usize) -> bool {
        let view = self.of(kernel);
        view.is_some_and(|view| view.lists.contains(&List::NONE))
    }

    /// A kernel's view; `None` if the definitions do not cover the kernel.
    pub(crate) fn of(&self, kernel: usize) -> Option<View> {
        let known = self.definitions.kernel(kernel)?;
        let lists = self
            .keys
            .iter()
            .map(|&key| self.definitions.list(kernel, key));
        let lists = lists.collect::<Result<_, _>>().ok()?;
        known.is_covered().then_some(View {
            machine: known.machine(),
            lists,
        })
    }
}

/// The lists in one BTF for libbpf. More would leave threads without work.
const LISTS_AT_ONCE: usize = 64;

/// A list of one root on kernels of one machine.
type Asked = (Machine, usize, List);

/// Some lists of one root, for one BTF.
struct Part {
    machine: Machine,
    root: usize,
    lists: Vec<List>,
}

/// The answers of a list.
#[derive(Debug)]
struct Known {
    answers: RootAnswers,
    /// The digest of what loaders can tell apart.
    seen: Digest,
}

/// The answers of lists of candidates, each computed once.
pub(crate) struct ListAnswers<'m, 'n> {
    questions: &'m Questions<'n>,
    /// `None` for a list that libbpf cannot safely walk.
    known: Mutex<HashMap<Asked, Option<Arc<Known>>>>,
    /// If the questions are explained: why needs find nothing.
    reasons: Mutex<HashMap<Asked, Arc<Reasons>>>,
    /// The digest of the questions.
    asked: Digest,
    /// Minimal BTFs, and the answers that they are proved for.
    proven: Mutex<HashSet<(Vec<u8>, Digest)>>,
}

impl std::borrow::Borrow<RootAnswers> for &Known {
    fn borrow(&self) -> &RootAnswers {
        &self.answers
    }
}

impl<'m, 'n> ListAnswers<'m, 'n> {
    pub(crate) fn new(questions: &'m Questions<'n>) -> Self {
        let needs = questions.needs();
        let roots = needs.roots().iter().map(|root| {
            let signatures = root.needs.iter().map(|&need| needs.signature(need));
            (root.kind, &root.name, signatures.collect::<Vec<_>>())
        });
        let modules = questions.roots().modules();
        let asked = (
            env!("CARGO_PKG_VERSION"),
            roots.collect::<Vec<_>>(),
            modules,
        );
        Self {
            questions,
            known: Mutex::default(),
            reasons: Mutex::default(),
            asked: Digest::of_value(&asked),
            proven: Mutex::default(),
        }
    }

    /// The minimal BTF of all kernels with this view, unless the questions are explained, and their outcomes; `None` if the
    /// definitions do not serve.
    pub(crate) fn minimize(
        &self,
        definitions: &Definitions<'_>,
        view: &View,
    ) -> Option<Result<Minimized, MinimizeError>> {
        let answers = self.answers(definitions, view)?;
        let answers: Vec<&Known> = answers.iter().map(|known| &**known).collect();
        let explains = self.questions.explains();
        let minimal = match explains {
            // Nobody sees the minimal BTF of a check.
            true => Ok(Vec::new()),
            false => self.compose(definitions, view, &answers)?,
        };
        let absent = self.absent(definitions, view).ok()?;
        Some(minimal.map(|btf| Minimized {
            btf,
            outcomes: self.questions.collect(&answers),
            absent,
            reasons: match explains {
                true => self.reasons(definitions, view),
                false => Reasons::new(),
            },
            layouts: BTreeMap::new(),
        }))
    }

    /// Writes and proves the minimal BTF; `None` if the definitions do not serve.
    fn compose(
        &self,
        definitions: &Definitions<'_>,
        view: &View,
        answers: &[&Known],
    ) -> Option<Result<Vec<u8>, MinimizeError>> {
        let roots = view.lists.iter().enumerate();
        let roots = roots.map(|(root, &list)| self.candidates(definitions, root, list));
        let roots: Vec<_> = roots.collect::<Result<_, _>>().ok()?;
        let types = definitions.synthesize(view.machine, &roots).ok()?;
        let btf = Btf::parse(&types.btf).ok()?;
        let kernel = Answered {
            btf: &btf,
            candidates: &types.candidates,
            answers,
        };
        Some(self.questions.compose(kernel, |bytes| {
            let this = (bytes.to_vec(), self.digest(answers));
            if !lock(&self.proven).contains(&this) {
                self.questions.prove(bytes, answers)?;
                lock(&self.proven).insert(this);
            }
            Ok(())
        }))
    }

    /// The roots without candidates in a view.
    pub(crate) fn lacking(&self, view: &View) -> Vec<usize> {
        let lists = view.lists.iter().enumerate();
        let lacking = lists.filter(|(_, list)| **list == List::NONE);
        lacking.map(|(root, _)| root).collect()
    }

    /// Why needs find nothing or are refused on the kernels with this view.
    fn reasons(&self, definitions: &Definitions<'_>, view: &View) -> Reasons {
        let lists = view.lists.iter().enumerate();
        let reasons = lists.flat_map(|(root, &list)| {
            let asked = (view.machine, root, list);
            let known = lock(&self.reasons).get(&asked).cloned();
            known
                .unwrap_or_else(|| {
                    let reasons = self.reasons_of(definitions, asked).unwrap_or_default();
                    let reasons = Arc::new(reasons);
                    lock(&self.reasons).insert(asked, Arc::clone(&reasons));
                    reasons
                })
                .as_ref()
                .clone()
        });
        reasons.collect()
    }

    /// The reasons of one root with one list; `None` if the definitions do not serve.
    fn reasons_of(
        &self,
        definitions: &Definitions<'_>,
        (machine, root, list): Asked,
    ) -> Option<Reasons> {
        let outcomes = lock(&self.known).get(&(machine, root, list))?.clone()?;
        let outcomes = &outcomes.answers.outcomes;
        let needs = self.questions.needs();
        let of_root = || needs.roots()[root].needs.iter().zip(outcomes);
        if of_root().all(|(&n, outcome)| !needs[n].fails_with(outcome)) {
            return Some(Reasons::new());
        }
        let candidates = self.candidates(definitions, root, list).ok()?;
        let types = definitions.synthesize(machine, &[candidates]).ok()?;
        let btf = Btf::parse(&types.btf[..]).ok()?;
        let reasons = of_root().filter_map(|(&n, outcome)| {
            Some((
                n,
                Arc::new(why(&needs[n], outcome, &btf, &types.candidates[0])?),
            ))
        });
        Some(reasons.collect())
    }

    /// The definitions that show the reasons of some needs of one root with a view's list, in their order.
    pub(crate) fn layouts(
        &self,
        definitions: &Definitions<'_>,
        view: &View,
        root: usize,
        reasons: &[(usize, Arc<Reason>)],
    ) -> btfgen_store::Result<Vec<Option<Sides>>> {
        let candidates = self.candidates(definitions, root, view.lists[root])?;
        let types = definitions.synthesize(view.machine, &[candidates])?;
        let btf = Btf::parse(&types.btf[..]);
        let btf = btf.map_err(|_| btfgen_store::Error::Damaged("definitions are no BTF"))?;
        let needs = self.questions.needs();
        let all = reasons.iter().map(|(need, reason)| {
            check::layouts(&needs[*need], reason, &btf, &types.candidates[0])
        });
        Ok(all.collect())
    }

    /// The types that the kernels with this view do not have themselves.
    fn absent(
        &self,
        definitions: &Definitions<'_>,
        view: &View,
    ) -> btfgen_store::Result<Vec<AbsentType>> {
        let lists = view.lists.iter();
        let modules = lists.map(|&list| {
            let all = self.of_modules(definitions, list)?.into_iter();
            let names = all.map(|candidate| {
                let module = candidate.module?;
                Some(String::from_utf8_lossy(module).into_owned())
            });
            Ok(names.collect())
        });
        let modules: Vec<_> = modules.collect::<btfgen_store::Result<_>>()?;
        Ok(absent_types(self.questions.needs(), modules.into_iter()))
    }

    /// A digest of the questions and of a view's answers; `None` if the definitions do not serve.
    pub(crate) fn answered(&self, definitions: &Definitions<'_>, view: &View) -> Option<Digest> {
        let answers = self.answers(definitions, view)?;
        let answers: Vec<&Known> = answers.iter().map(|known| &**known).collect();
        Some(self.digest(&answers))
    }

    fn digest(&self, answers: &[&Known]) -> Digest {
        let seen = answers.iter().map(|known| known.seen);
        Digest::of_value(&(self.asked, seen.collect::<Vec<_>>()))
    }

    /// Proves that a full BTF answers as the definitions of its view; `None` if the definitions do not serve.
    pub(crate) fn prove(
        &self,
        definitions: &Definitions<'_>,
        view: &View,
        full: &LoadedBtf<'_>,
    ) -> Option<Result<(), MinimizeError>> {
        let answers = self.answers(definitions, view)?;
        let answers: Vec<&Known> = answers.iter().map(|known| &**known).collect();
        let full = self.questions.ask(full);
        Some(full.and_then(|(_, full)| self.questions.compare(&full, &answers)))
    }

    /// Answers the lists of some views, in parallel.
    pub(crate) fn learn<'v>(
        &self,
        definitions: &Definitions<'_>,
        views: impl IntoIterator<Item = &'v View>,
    ) {
        let unknown = self.unknown(views).into_par_iter();
        unknown.for_each(|part| self.learn_part(definitions, part));
    }

    /// The lists of some views that are not answered yet, in parts for one BTF each.
    fn unknown<'v>(&self, views: impl IntoIterator<Item = &'v View>) -> Vec<Part> {
        let mut unknown: HashMap<(Machine, usize), HashSet<List>> = HashMap::new();
        let known = lock(&self.known);
        for view in views {
            for (root, &list) in view.lists.iter().enumerate() {
                if !known.contains_key(&(view.machine, root, list)) {
                    let lists = unknown.entry((view.machine, root));
                    lists.or_default().insert(list);
                }
            }
        }
        let mut parts = Vec::new();
        for ((machine, root), lists) in unknown {
            let lists: Vec<List> = lists.into_iter().collect();
            let of_root = lists.chunks(LISTS_AT_ONCE).map(|lists| Part {
                machine,
                root,
                lists: lists.to_vec(),
            });
            parts.extend(of_root);
        }
        parts
    }

    fn learn_part(&self, definitions: &Definitions<'_>, part: Part) {
        let answers = self.ask(definitions, &part);
        let mut known = lock(&self.known);
        for (list, answers) in part.lists.into_iter().zip(answers) {
            let asked = (part.machine, part.root, list);
            known.entry(asked).or_insert(answers);
        }
    }

    /// The answers of a view's roots; `None` if the definitions do not serve.
    fn answers(&self, definitions: &Definitions<'_>, view: &View) -> Option<Vec<Arc<Known>>> {
        for part in self.unknown([view]) {
            self.learn_part(definitions, part);
        }
        let known = lock(&self.known);
        let lists = view.lists.iter().enumerate();
        let answers = lists.map(|(root, &list)| known.get(&(view.machine, root, list))?.clone());
        answers.collect()
    }

    /// Asks libbpf some lists of one root.
    fn ask(&self, definitions: &Definitions<'_>, part: &Part) -> Vec<Option<Arc<Known>>> {
        let &Part { machine, root, .. } = part;
        let ask = || {
            let lists = part.lists.iter();
            let lists = lists.map(|&list| self.candidates(definitions, root, list));
            let lists: Vec<_> = lists.collect::<Result<_, _>>().ok()?;
            let types = definitions.synthesize(machine, &lists).ok()?;
            let btf = LoadedBtf::parse(&types.btf).ok()?;
            let (mut checker, mut resolver) = (Checker::new(&btf), Resolver::new());
            let mut answer = |candidates: &Vec<TypeId>| {
                let questions = self.questions;
                let answers =
                    questions.ask_candidates(root, &mut checker, candidates, &mut resolver);
                answers.ok().map(|answers| self.known(root, answers))
            };
            Some(types.candidates.iter().map(&mut answer).collect())
        };
        ask().unwrap_or_else(|| vec![None; part.lists.len()])
    }

    fn known(&self, root: usize, answers: RootAnswers) -> Arc<Known> {
        let needs = 0..self.questions.needs().roots()[root].needs.len();
        let seen: Vec<Seen> = needs.map(|need| answers.seen(need)).collect();
        let seen = Digest::of_value(&seen);
        Arc::new(Known { answers, seen })
    }

    /// The candidates of a list. Equal candidates are one, unless the kernel's type ids are asked for.
    fn candidates(
        &self,
        definitions: &Definitions<'_>,
        root: usize,
        list: List,
    ) -> btfgen_store::Result<Vec<Definition>> {
        let needs = self.questions.needs();
        let asks_identity = needs.roots()[root].asks_identity(needs);
        let mut seen = HashSet::new();
        let runs = self.of_modules(definitions, list)?.into_iter();
        let runs = runs.filter(|run| asks_identity || seen.insert(run.definition));
        let all = runs.flat_map(|run| {
            let count = if asks_identity { run.count } else { 1 };
            std::iter::repeat_n(run.definition, count as usize)
        });
        Ok(all.collect())
    }

    /// The candidates in a list, without those of modules that do not count.
    fn of_modules<'d>(
        &self,
        definitions: &Definitions<'d>,
        list: List,
    ) -> btfgen_store::Result<Vec<Candidate<'d>>> {
        let mut all = definitions.candidates(list)?;
        let chosen = self.questions.roots().modules();
        all.retain(|candidate| candidate.module.is_none_or(|module| chosen.has(module)));
        Ok(all)
    }
}

/// Only a panic poisons a lock, and a panic ends the pack.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
