//! Asks the kernels of a type store for facts.

use std::collections::{BTreeMap, HashMap, HashSet};

use btfgen_btf::{Btf, Kind, Type, TypeId};
use btfgen_facts::{Answer, Answered, Fact, Missing, Question};
use btfgen_hub::{Error, ErrorKind, HubKernel, Result};
use btfgen_object::essential_name;
use btfgen_store::{Definitions, Function, Key, List, Machine};

use super::FactRow;
use crate::check::similar;
use crate::work::Failure;

/// Facts, and what they ask for.
pub(crate) struct Asking<'f> {
    facts: &'f [Fact],
    /// The questions about types of each name.
    types: HashMap<&'f [u8], Vec<&'f Question>>,
    functions: bool,
}

/// What kernels answer.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) rows: Vec<FactRow>,
    /// The facts that no kernel has, and names that are near.
    pub(crate) unknown: Vec<(usize, Vec<String>)>,
    /// The kernels that could not be read, by their places in what was asked.
    pub(crate) failed: Vec<(usize, Error)>,
}

impl<'f> Asking<'f> {
    pub(crate) fn new(facts: &'f [Fact]) -> Self {
        let mut asking = Self {
            facts,
            types: HashMap::new(),
            functions: false,
        };
        for question in facts.iter().flat_map(Fact::questions) {
            match question.type_name() {
                Some(ty) => {
                    let of_type = asking.types.entry(ty.name.as_bytes());
                    of_type.or_default().push(question);
                }
                None => asking.functions = true,
            }
        }
        asking
    }

    /// Whether a type or function is needed, for a store that is not kept. If one function is asked for, all are needed: a kernel
    /// without any says nothing of it.
    pub(crate) fn want(&self, ty: Type<'_>) -> bool {
        if ty.kind() == Kind::Func {
            return self.functions;
        }
        let questions = self.types.get(essential_name(ty.name()));
        questions.is_some_and(|all| all.iter().any(|question| question.asks_for(ty)))
    }

    /// Asks kernels, each with its number in the store, if it has one.
    pub(crate) fn ask(
        &self,
        all: &Definitions<'_>,
        kernels: &[(&HubKernel, Option<usize>)],
        max_btf_bytes: u64,
    ) -> Result<Asked, Failure> {
        if self.facts.is_empty() {
            return Ok(Asked::default());
        }
        let mut questions = Questions::new(self.facts, all)?;
        let is_covered = |number: usize| all.kernel(number).is_some_and(|k| k.is_covered());
        let covered = |number: Option<usize>| number.filter(|&number| is_covered(number));
        let mut rows: BTreeMap<Vec<Answered>, Vec<_>> = BTreeMap::new();
        let mut failed = Vec::new();
        for (place, &(kernel, number)) in kernels.iter().enumerate() {
            let answers = match covered(number) {
                Some(number) => Ok(questions.answers(all, number)?),
                None => self.ask_full_btf(kernel, max_btf_bytes),
            };
            match answers {
                Ok(answers) => rows.entry(answers).or_default().push(kernel.id().clone()),
                Err(e) if e.kind() == ErrorKind::Machine => return Err(e.into()),
                Err(e) => failed.push((place, e.with_kernel(kernel.id()))),
            }
        }
        let mut numbers = kernels.iter().rev().map(|&(_, number)| number);
        let mut unknown = match numbers.find_map(covered) {
            Some(number) => questions.unknown(all, number)?,
            None => Vec::new(),
        };
        unknown.retain(|(fact, _)| {
            let mut answers = rows.keys().filter_map(|answers| answers.get(*fact));
            answers.all(|answered| matches!(answered.answer, Answer::Missing(_)))
        });
        let rows = rows.into_iter().map(|(answers, mut kernels)| {
            kernels.sort();
            FactRow { answers, kernels }
        });
        let mut rows: Vec<FactRow> = rows.collect();
        rows.sort_by(|a, b| a.kernels.cmp(&b.kernels));
        Ok(Asked {
            rows,
            unknown,
            failed,
        })
    }

    /// Asks a kernel that the store does not cover.
    fn ask_full_btf(&self, kernel: &HubKernel, max_btf_bytes: u64) -> Result<Vec<Answered>> {
        let btf = kernel.read_btf(max_btf_bytes)?;
        Ok(self.facts.iter().map(|fact| fact.ask(&btf)).collect())
    }
}

/// All questions, asked from a store.
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
            let name = name_of_type(question);
            let wanted: Vec<_> = question.kinds().iter().map(|&kind| (kind, name)).collect();
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
            fact.ask_in_turn(|question| {
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
            let has_functions = known.function_count > 0;
            return Ok(Answer::of_functions(has_functions, counts.into_iter()));
        }
        let lists = keys.iter().map(|&key| all.list(kernel, key));
        let lists: Vec<List> = lists.collect::<btfgen_store::Result<_>>()?;
        let machine = known.machine();
        let place = (question, machine, lists);
        if let Some(answer) = self.known.get(&place) {
            return Ok(answer.clone());
        }
        let answer = with_candidates(all, machine, &place.2, |btf, ids| {
            question.ask_candidates(btf, ids)
        })?;
        self.known.insert(place, answer.clone());
        Ok(answer)
    }

    /// For each fact, names that are near to what its first question names and a kernel does not have.
    fn unknown(
        &mut self,
        all: &Definitions<'d>,
        kernel: usize,
    ) -> btfgen_store::Result<Vec<(usize, Vec<String>)>> {
        let mut unknown = Vec::new();
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
                    similar(part.as_bytes(), &question.names_instead(btf, ids, part))
                })
            }
            _ => {
                let kinds = question.kinds();
                let names = all.key_names().filter(|(_, kind, _)| kinds.contains(kind));
                let names: HashSet<&[u8]> = names.map(|(.., name)| name).collect();
                let names: Vec<&[u8]> = names.into_iter().collect();
                Ok(similar(name_of_type(question), &names))
            }
        }
    }
}

fn name_of_type(question: &Question) -> &[u8] {
    let ty = question.type_name();
    ty.map_or(b"", |ty| ty.name.as_bytes())
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
