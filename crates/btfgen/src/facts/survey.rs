//! Asks all kernels of a hub for facts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen_btf::{Btf, Kind, Type, TypeId};
use btfgen_hub::{
    DEFAULT_MAX_BTF_BYTES, Error, ErrorKind, Hub, HubKernel, KernelFilter, Progress, Result,
    TypeStore, in_pool,
};
use btfgen_object::essential_name;
use btfgen_store::{Definitions, Function, Key, List, Machine};
use rayon::prelude::*;

use super::resolve::{answer, kinds, names_instead, type_of};
use super::{Answer, Answered, Fact, FactRow, Facts, Missing, Question};
use crate::check::similar;
use crate::pack::{StoreUse, empty, none_of, or_default};

/// Asks the kernels of hubs for facts.
///
/// Facts are those of the kernel itself, without its modules.
///
/// ```no_run
/// let facts = btfgen::Survey::new()
///     .fact("task_struct.__state | task_struct.state".parse()?)
///     .hub("btfhub")
///     .answer()?;
/// for (answered, kernels) in facts.answers(0) {
///     println!("{}: {} kernels", answered.answer, kernels.len());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Survey<'a> {
    facts: Vec<Fact>,
    hubs: Vec<PathBuf>,
    filter: KernelFilter,
    threads: usize,
    max_btf_bytes: Option<u64>,
    store: StoreUse,
    progress: Option<&'a dyn Progress>,
    cancel: Option<&'a AtomicBool>,
}

impl std::fmt::Debug for Survey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Survey")
            .field("facts", &self.facts)
            .field("hubs", &self.hubs)
            .finish_non_exhaustive()
    }
}

impl<'a> Survey<'a> {
    /// A survey without facts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    /// Adds a hub's folder. Without any, [`default_hub`](crate::default_hub) is used.
    #[must_use]
    pub fn hub(mut self, folder: impl Into<PathBuf>) -> Self {
        self.hubs.push(folder.into());
        self
    }

    /// Asks only kernels that pass the filter.
    #[must_use]
    pub fn filter(mut self, filter: KernelFilter) -> Self {
        self.filter = filter;
        self
    }

    /// The number of threads. 0, the default, means one for each processor.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The largest BTF to unpack, in bytes. The default is [`DEFAULT_MAX_BTF_BYTES`].
    #[must_use]
    pub fn max_btf_bytes(mut self, bytes: u64) -> Self {
        self.max_btf_bytes = Some(bytes);
        self
    }

    /// How the hub's type store is used: [`StoreUse::Kept`] by default.
    #[must_use]
    pub fn store(mut self, store: StoreUse) -> Self {
        self.store = store;
        self
    }

    /// Reports the progress to `progress`.
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Stops soon after the flag is set.
    #[must_use]
    pub fn cancel(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Asks all kernels.
    ///
    /// # Errors
    /// Those of [`Hub::open`]; [`ErrorKind::EmptyHub`] if there is no kernel to ask, or none could be asked;
    /// [`ErrorKind::Cancelled`]; [`ErrorKind::Machine`].
    pub fn answer(&self) -> Result<Facts> {
        let hub = Hub::open_waiting(&or_default(&self.hubs), || self.go_on())?;
        let mut store = match self.store {
            StoreUse::Kept => TypeStore::of(&hub),
            StoreUse::Cold => TypeStore::new_of(&hub),
            StoreUse::None => TypeStore::in_memory(),
        };
        let mut hub = hub.filtered(&self.filter)?;
        let mut left_out = hub.take_rejected();
        if hub.kernels().is_empty() {
            return Err(empty(&hub, "the hub has no usable kernels"));
        }
        let threads = self.threads.min(hub.kernels().len());
        let mut asked = in_pool(threads, || self.ask(&hub, &store))?;
        if asked.is_err() {
            // The store says something else than the kernels' files.
            store = store.anew();
            asked = in_pool(threads, || self.ask(&hub, &store))?;
        }
        let asked = asked.map_err(|e| {
            let message = "cannot be read";
            Error::new(ErrorKind::Machine, "the type store", message).with_source(e)
        })?;
        // The store only saves work, so a run that cannot keep it is as good.
        drop(store.save());
        left_out.extend(asked.left_out);
        if asked.rows.is_empty() {
            return Err(none_of(&hub, "asked", left_out));
        }
        Ok(Facts {
            facts: self.facts.clone(),
            rows: asked.rows,
            unknown: asked.unknown,
            left_out,
        })
    }

    /// The inner error is one of the store.
    fn ask(&self, hub: &Hub, store: &TypeStore) -> Result<btfgen_store::Result<Asked>> {
        let kernels = hub.kernels();
        if let Some(progress) = self.progress {
            progress.start(kernels.len());
        }
        let wanted = self.wanted();
        let numbers = kernels.par_iter();
        let numbers = numbers.map(|kernel| self.find(store, kernel, &wanted));
        let numbers: Vec<Result<usize>> = numbers.collect::<Result<_>>()?;
        let mut left_out = Vec::new();
        let mut known = Vec::new();
        for (kernel, number) in kernels.iter().zip(numbers) {
            match number {
                Ok(number) => known.push((kernel, number)),
                Err(e) => left_out.push(e.with_kernel(kernel.id())),
            }
        }
        let answered = store.with(|all| {
            let mut questions = Questions::new(&self.facts, all)?;
            let mut answers = Vec::with_capacity(known.len());
            for &(kernel, number) in &known {
                let covered = all.kernel(number).is_some_and(|k| k.is_covered());
                answers.push(match covered {
                    true => (kernel, Some(questions.answers(all, number)?)),
                    false => (kernel, None),
                });
            }
            Ok((answers, questions.unknown(all, &known)?))
        });
        let (answers, nearest) = match answered.and_then(|answered| answered) {
            Ok(answered) => answered,
            Err(e) => return Ok(Err(e)),
        };
        let mut rows: BTreeMap<Vec<Answered>, Vec<_>> = BTreeMap::new();
        for (kernel, answers) in answers {
            let answers = match answers {
                Some(answers) => Ok(answers),
                None => self.of_full_btf(kernel),
            };
            match answers {
                Ok(answers) => rows.entry(answers).or_default().push(kernel.id().clone()),
                Err(e) if e.kind() == ErrorKind::Machine => return Err(e),
                Err(e) => left_out.push(e.with_kernel(kernel.id())),
            }
        }
        let rows = rows.into_iter().map(|(answers, mut kernels)| {
            kernels.sort();
            FactRow { answers, kernels }
        });
        let mut rows: Vec<FactRow> = rows.collect();
        rows.sort_by(|a, b| a.kernels.cmp(&b.kernels));
        let mut unknown: Vec<_> = nearest.into_iter().collect();
        unknown.retain(|(fact, _)| {
            let mut answers = rows.iter().filter_map(|row| row.answers.get(*fact));
            answers.all(|answered| matches!(answered.answer, Answer::Missing(_)))
        });
        Ok(Ok(Asked {
            rows,
            unknown,
            left_out,
        }))
    }

    fn find(
        &self,
        store: &TypeStore,
        kernel: &HubKernel,
        wanted: &Wanted<'_>,
    ) -> Result<Result<usize>> {
        self.go_on()?;
        let number = match store.find(kernel) {
            Some(number) => Ok(number),
            None => store
                .ingest(kernel, self.max_bytes(), |ty| is_wanted(wanted, ty))
                .map(|ingested| ingested.number),
        };
        if let Some(progress) = self.progress {
            progress.kernel(kernel.id(), number.as_ref().err());
        }
        match number {
            Err(e) if e.kind() == ErrorKind::Machine => Err(e),
            number => Ok(number),
        }
    }

    fn max_bytes(&self) -> u64 {
        self.max_btf_bytes.unwrap_or(DEFAULT_MAX_BTF_BYTES)
    }

    /// What is asked, for a store that is not kept.
    fn wanted(&self) -> Wanted<'_> {
        let mut wanted = Wanted::default();
        for question in self.facts.iter().flat_map(Fact::questions) {
            match type_of(question) {
                Some(ty) => {
                    let of_type = wanted.types.entry(ty.name.as_bytes());
                    of_type.or_default().push(question);
                }
                None => wanted.functions = true,
            }
        }
        wanted
    }

    /// The answers of a kernel that the store does not cover.
    fn of_full_btf(&self, kernel: &HubKernel) -> Result<Vec<Answered>> {
        let btf = kernel.read_btf(self.max_bytes())?;
        let answers = self
            .facts
            .iter()
            .map(|fact| in_turn(fact, |question| Ok::<_, Error>(of_btf(&btf, question))));
        answers.collect()
    }

    fn go_on(&self) -> Result<()> {
        if self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(Error::cancelled("offsets"));
        }
        Ok(())
    }
}

/// What is asked.
#[derive(Default)]
struct Wanted<'f> {
    /// The questions about types of each name.
    types: HashMap<&'f [u8], Vec<&'f Question>>,
    functions: bool,
}

/// Whether a type or function is needed. If one function is asked for, all are needed: a kernel without any says nothing of it.
fn is_wanted(wanted: &Wanted<'_>, ty: Type<'_>) -> bool {
    if ty.kind() == Kind::Func {
        return wanted.functions;
    }
    let questions = wanted.types.get(essential_name(ty.name()));
    questions.is_some_and(|all| all.iter().any(|question| is_asked(question, ty)))
}

struct Asked {
    rows: Vec<FactRow>,
    unknown: Vec<(usize, Vec<String>)>,
    left_out: Vec<Error>,
}

/// The answer of the first question that finds something, else that of the first one.
fn in_turn<E>(
    fact: &Fact,
    mut ask: impl FnMut(&Question) -> Result<Answer, E>,
) -> Result<Answered, E> {
    let mut first = None;
    for (number, question) in fact.questions().iter().enumerate() {
        let answer = ask(question)?;
        let answered = Answered {
            question: number,
            answer,
        };
        if answered.answer.is_last() {
            return Ok(answered);
        }
        first.get_or_insert(answered);
    }
    Ok(first.unwrap_or(Answered {
        question: 0,
        answer: Answer::Missing(Missing::Type),
    }))
}

fn normalized(kind: Kind) -> Kind {
    if kind.is_enum() { Kind::Enum } else { kind }
}

fn is_asked(question: &Question, ty: Type<'_>) -> bool {
    match (question, type_of(question)) {
        (Question::Function(name), _) => ty.kind() == Kind::Func && ty.name() == name.as_bytes(),
        (_, Some(asked)) => {
            kinds(question).contains(&normalized(ty.kind()))
                && essential_name(ty.name()) == asked.name.as_bytes()
        }
        (_, None) => false,
    }
}

/// A kernel's answer from its full BTF.
fn of_btf(btf: &Btf<'_>, question: &Question) -> Answer {
    let Question::Function(_) = question else {
        let asked = btf.types().filter(|&ty| is_asked(question, ty));
        let candidates: Vec<TypeId> = asked.map(|ty| ty.id()).collect();
        return answer(btf, question, &candidates);
    };
    let mut functions = btf.types_of(|kind| kind == Kind::Func).peekable();
    let says_nothing = functions.peek().is_none();
    let asked = functions.filter(|&ty| is_asked(question, ty));
    let counts = asked.map(|ty| {
        let proto = ty.referenced().and_then(|id| btf.type_by_id(id));
        let params = proto.map(|proto| proto.params().collect::<Vec<_>>());
        let params = params.unwrap_or_default();
        let variadic = params.last() == Some(&TypeId::VOID);
        params.len() as u32 - u32::from(variadic)
    });
    of_functions(says_nothing, counts)
}

fn of_functions(says_nothing: bool, counts: impl Iterator<Item = u32>) -> Answer {
    let mut counts: Vec<u32> = counts.collect();
    counts.sort_unstable();
    counts.dedup();
    let mut answers = counts.into_iter();
    let answers = answers
        .by_ref()
        .map(|parameters| Answer::Function { parameters });
    let mut answers: Vec<Answer> = answers.collect();
    match answers.len() {
        0 if says_nothing => Answer::Unknown,
        0 => Answer::Missing(Missing::Function),
        1 => answers.remove(0),
        _ => Answer::Ambiguous(answers),
    }
}

/// All questions of a survey, asked from a store.
struct Questions<'f, 'd> {
    facts: &'f [Fact],
    /// The keys of each question's type, and the functions of its name.
    asked: HashMap<&'f Question, (Vec<Option<Key>>, Vec<Function<'d>>)>,
    /// Kernels with the same lists answer alike.
    known: HashMap<(&'f Question, Machine, Vec<List>), Answer>,
}

impl<'f, 'd> Questions<'f, 'd> {
    fn new(facts: &'f [Fact], all: &Definitions<'d>) -> btfgen_store::Result<Self> {
        let mut asked = HashMap::new();
        for question in facts.iter().flat_map(Fact::questions) {
            let name = type_of(question).map_or(&b""[..], |ty| ty.name.as_bytes());
            let wanted: Vec<_> = kinds(question).iter().map(|&kind| (kind, name)).collect();
            let keys = all.keys(&wanted)?;
            let functions = match question {
                Question::Function(name) => all.functions_named(&[name.as_bytes()])?.concat(),
                _ => Vec::new(),
            };
            asked.insert(question, (keys, functions));
        }
        Ok(Self {
            facts,
            asked,
            known: HashMap::new(),
        })
    }

    fn answers(
        &mut self,
        all: &Definitions<'d>,
        kernel: usize,
    ) -> btfgen_store::Result<Vec<Answered>> {
        let facts = self.facts.iter();
        let answers = facts.map(|fact| {
            in_turn(fact, |question| {
                let question = self.asked.get_key_value(question).map(|(q, _)| *q);
                match question {
                    Some(question) => self.of_store(all, kernel, question),
                    None => Ok(Answer::Missing(Missing::Type)),
                }
            })
        });
        answers.collect()
    }

    fn of_store(
        &mut self,
        all: &Definitions<'d>,
        kernel: usize,
        question: &'f Question,
    ) -> btfgen_store::Result<Answer> {
        let Some((keys, functions)) = self.asked.get(question) else {
            return Ok(Answer::Missing(Missing::Type));
        };
        let Some(known) = all.kernel(kernel) else {
            return Err(btfgen_store::Error::Damaged("a kernel is missing"));
        };
        if let Question::Function(_) = question {
            let mut counts = Vec::new();
            for function in functions.iter().filter(|f| f.module.is_none()) {
                if all.has_function(kernel, function)? {
                    counts.push(function.parameters);
                }
            }
            let says_nothing = known.function_count == 0;
            return Ok(of_functions(says_nothing, counts.into_iter()));
        }
        let lists = keys.iter().map(|&key| all.list(kernel, key));
        let lists: Vec<List> = lists.collect::<btfgen_store::Result<_>>()?;
        let machine = known.machine();
        let place = (question, machine, lists);
        if let Some(answer) = self.known.get(&place) {
            return Ok(answer.clone());
        }
        let answer = with_candidates(all, machine, &place.2, |btf, ids| {
            answer(btf, question, ids)
        })?;
        self.known.insert(place, answer.clone());
        Ok(answer)
    }

    /// For each fact, names that are near to what its first question names and a kernel does not have.
    fn unknown(
        &mut self,
        all: &Definitions<'d>,
        kernels: &[(&HubKernel, usize)],
    ) -> btfgen_store::Result<Vec<(usize, Vec<String>)>> {
        let covered = kernels.iter().map(|&(_, number)| number);
        let mut covered =
            covered.filter(|&number| all.kernel(number).is_some_and(|k| k.is_covered()));
        let mut unknown = Vec::new();
        let Some(kernel) = covered.next_back() else {
            return Ok(unknown);
        };
        for (number, fact) in self.facts.iter().enumerate() {
            let Some(question) = fact.questions().first() else {
                continue;
            };
            let nearest = match self.of_store(all, kernel, question)? {
                Answer::Missing(missing) => self.nearest(all, kernel, question, &missing)?,
                _ => continue,
            };
            unknown.push((number, nearest));
        }
        Ok(unknown)
    }

    fn nearest(
        &self,
        all: &Definitions<'d>,
        kernel: usize,
        question: &'f Question,
        missing: &Missing,
    ) -> btfgen_store::Result<Vec<String>> {
        match (question, missing) {
            (Question::Function(name), _) => {
                let names: HashSet<&[u8]> = all.function_names().collect();
                let names: Vec<&[u8]> = names.into_iter().collect();
                Ok(similar(name.as_bytes(), &names))
            }
            (_, Missing::Part(part)) => {
                let keys = self.asked.get(question).map(|(keys, _)| keys.as_slice());
                let lists = keys.unwrap_or_default().iter();
                let lists = lists.map(|&key| all.list(kernel, key));
                let lists: Vec<List> = lists.collect::<btfgen_store::Result<_>>()?;
                let Some(known) = all.kernel(kernel) else {
                    return Ok(Vec::new());
                };
                with_candidates(all, known.machine(), &lists, |btf, ids| {
                    similar(part.as_bytes(), &names_instead(btf, question, ids, part))
                })
            }
            _ => {
                let kinds = kinds(question);
                let names = all.key_names().filter(|(kind, _)| kinds.contains(kind));
                let names: HashSet<&[u8]> = names.map(|(_, name)| name).collect();
                let names: Vec<&[u8]> = names.into_iter().collect();
                let name = type_of(question).map_or(&b""[..], |ty| ty.name.as_bytes());
                Ok(similar(name, &names))
            }
        }
    }
}

/// Calls a function with a BTF of the candidates in some lists.
fn with_candidates<R>(
    all: &Definitions<'_>,
    machine: Machine,
    lists: &[List],
    see: impl FnOnce(&Btf<'_>, &[TypeId]) -> R,
) -> btfgen_store::Result<R> {
    let mut roots = Vec::new();
    for &list in lists {
        let candidates = all.candidates(list)?.into_iter();
        let own = candidates.filter(|candidate| candidate.module.is_none());
        let mut seen = HashSet::new();
        let own = own.map(|candidate| candidate.definition);
        roots.push(own.filter(|definition| seen.insert(*definition)).collect());
    }
    let made = all.synthesize(machine, &roots)?;
    let btf = Btf::parse(&made.btf);
    let btf = btf.map_err(|_| btfgen_store::Error::Damaged("definitions are no BTF"))?;
    Ok(see(&btf, &made.candidates.concat()))
}
