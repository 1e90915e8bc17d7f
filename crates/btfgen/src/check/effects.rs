//! What failed relocations do to the programs of an object.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use btfgen_object::Code;

use super::reach::{At, Patch, Reached, reach};
use super::support::{Effect, FailedPlace, KernelGroup, ObjectSupport, ProgramSupport, Verdict};
use crate::matrix::{Matrix, OutcomeSet};
use crate::needs::Needs;
use crate::object::Object;
use crate::outcome::{Outcome, Refusal};

/// The section of functions that are no programs.
const TEXT: &str = ".text";

/// The programs of an object, with their relocations.
pub(super) struct Programs<'n> {
    needs: &'n Needs,
    number: usize,
    object: &'n Object,
    code: &'n Code,
    /// For each of [`Object::uses`]: the need, and the instruction, if it is in a function.
    uses: Vec<(usize, Option<At>)>,
    /// For each program: the functions that it may run.
    functions: BTreeMap<usize, BTreeSet<usize>>,
}

/// What happens at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Found(Patch),
    Answer(Patch),
    Poison,
    Refused,
}

/// What one group of kernels means for the object.
struct Seen {
    programs: Vec<Verdict>,
    object: Verdict,
    effects: Vec<Option<Effect>>,
}

/// What is reached of each program, by the patches in its functions.
type Known = HashMap<(usize, Vec<(At, Patch)>), (Reached, bool)>;

impl<'n> Programs<'n> {
    pub(super) fn new(needs: &'n Needs, number: usize) -> Self {
        let object = &needs.objects()[number];
        let code = object.code();
        let by_relocation = needs.of_relocations(number);
        let mut sections: HashMap<&str, BTreeMap<u32, usize>> = HashMap::new();
        for (n, function) in code.functions.iter().enumerate() {
            let section = sections.entry(&function.section).or_default();
            section.insert(function.start, n);
        }
        let at = |section: &str, index: u32| {
            let (&start, &n) = sections.get(section)?.range(..=index).next_back()?;
            let within = index - start;
            let len = code.functions[n].instructions.len();
            ((within as usize) < len).then_some((n, within))
        };
        let uses = object.uses().iter().map(|place| {
            let need = by_relocation[place.relocation];
            (need, at(&object.section(place), place.insn_off / 8))
        });
        let uses = uses.collect();
        let programs = (0..code.functions.len()).filter(|&n| code.functions[n].section != TEXT);
        Self {
            needs,
            number,
            object,
            code,
            uses,
            functions: programs.map(|n| (n, run_by(code, n))).collect(),
        }
    }

    /// On which of the groups the object and its programs load, and what fails where.
    pub(super) fn support(&self, matrix: &Matrix, groups: &[KernelGroup]) -> ObjectSupport {
        let mut of_sets: BTreeMap<usize, Seen> = BTreeMap::new();
        let mut known = Known::new();
        for group in groups {
            let set = &matrix.sets()[group.set];
            of_sets
                .entry(group.set)
                .or_insert_with(|| self.see(set, &mut known));
        }
        let seen: Vec<&Seen> = groups.iter().map(|group| &of_sets[&group.set]).collect();
        let programs = self.functions.keys().enumerate().map(|(n, &function)| {
            let function = &self.code.functions[function];
            ProgramSupport {
                name: function.name.clone(),
                section: function.section.clone(),
                autoload: is_loaded(&function.section),
                verdicts: seen.iter().map(|seen| seen.programs[n]).collect(),
            }
        });
        let places = self.uses.iter().enumerate().filter_map(|(n, &(need, _))| {
            let effects = seen.iter().enumerate();
            let effects = effects.filter_map(|(group, seen)| Some((group, seen.effects[n]?)));
            let effects: BTreeMap<usize, Effect> = effects.collect();
            (!effects.is_empty()).then(|| FailedPlace {
                need,
                place: self.needs.place(self.number, &self.object.uses()[n]),
                effects,
            })
        });
        ObjectSupport {
            name: self.object.name().to_owned(),
            programs: programs.collect(),
            verdicts: seen.iter().map(|seen| seen.object).collect(),
            places: places.collect(),
        }
    }

    /// What a set of outcomes does to the object.
    fn see(&self, set: &OutcomeSet, known: &mut Known) -> Seen {
        if set.byte_order != self.object.btf().byte_order() {
            return Seen {
                programs: vec![Verdict::OtherByteOrder; self.functions.len()],
                object: Verdict::OtherByteOrder,
                effects: vec![None; self.uses.len()],
            };
        }
        let events = self.uses.iter().zip(self.object.uses());
        let events = events.map(|(&(need, _), place)| {
            self.event(need, set.outcomes[need], place.access_bytes.is_some())
        });
        let events: Vec<Event> = events.collect();
        let mut patches: BTreeMap<At, Patch> = BTreeMap::new();
        let mut refused: BTreeSet<usize> = BTreeSet::new();
        let mut poisoned: BTreeSet<usize> = BTreeSet::new();
        for (&(_, at), event) in self.uses.iter().zip(&events) {
            let Some(at) = at else { continue };
            match *event {
                Event::Found(patch) | Event::Answer(patch) => patches.insert(at, patch),
                Event::Poison => {
                    poisoned.insert(at.0);
                    patches.insert(at, Patch::Poison)
                }
                Event::Refused => {
                    refused.insert(at.0);
                    None
                }
            };
        }
        let mut reached_poison: BTreeSet<At> = BTreeSet::new();
        let programs = self.functions.iter().map(|(&program, functions)| {
            if functions.iter().any(|function| refused.contains(function)) {
                return Verdict::Refused;
            }
            // Only then does it matter which way the code goes.
            if functions.is_disjoint(&poisoned) {
                return Verdict::Loads;
            }
            self.verdict(program, functions, &patches, known, &mut reached_poison)
        });
        let programs: Vec<Verdict> = programs.collect();
        let effects = self
            .uses
            .iter()
            .zip(&events)
            .map(|(&(_, at), event)| match event {
                Event::Found(_) => None,
                Event::Answer(_) => Some(Effect::Answer),
                Event::Refused => Some(Effect::Refused),
                Event::Poison => Some(match at {
                    // Functions of programs that libbpf refuses are not looked at, so nothing is known of their guards.
                    Some(at)
                        if !reached_poison.contains(&at) && !self.is_of_refused(at.0, &refused) =>
                    {
                        Effect::Guarded
                    }
                    _ => Effect::Poisoned,
                }),
            });
        let effects: Vec<Option<Effect>> = effects.collect();
        // libbpf relocates functions that are no programs whether a program calls them or not.
        let is_refused = self.uses.iter().zip(&events).any(|(&(_, at), event)| {
            *event == Event::Refused && at.is_none_or(|at| !self.functions.contains_key(&at.0))
        });
        let loaded = self.functions.keys().zip(&programs);
        let loaded =
            loaded.filter(|(function, _)| is_loaded(&self.code.functions[**function].section));
        let worst = loaded.map(|(_, verdict)| *verdict).max();
        Seen {
            object: match is_refused {
                true => Verdict::Refused,
                false => worst.unwrap_or(Verdict::Loads),
            },
            programs,
            effects,
        }
    }

    fn is_of_refused(&self, function: usize, refused: &BTreeSet<usize>) -> bool {
        let mut programs = self.functions.values();
        programs.any(|run| run.contains(&function) && !run.is_disjoint(refused))
    }

    /// The verdict about a program with poisoned instructions.
    fn verdict(
        &self,
        program: usize,
        functions: &BTreeSet<usize>,
        patches: &BTreeMap<At, Patch>,
        known: &mut Known,
        reached_poison: &mut BTreeSet<At>,
    ) -> Verdict {
        let own: BTreeMap<At, Patch> = functions
            .iter()
            .flat_map(|&function| patches.range((function, 0)..(function + 1, 0)))
            .map(|(&at, &patch)| (at, patch))
            .collect();
        let key: Vec<(At, Patch)> = own.iter().map(|(&at, &patch)| (at, patch)).collect();
        let (reached, is_certain) = known.entry((program, key)).or_insert_with(|| {
            let reached = reach(self.code, program, &own);
            let is_certain = reached.is_certain(self.code, program, &own);
            (reached, is_certain)
        });
        let poisoned = own.iter().filter(|(_, patch)| **patch == Patch::Poison);
        let poisoned: Vec<At> = poisoned
            .map(|(&at, _)| at)
            .filter(|&at| reached.has(at))
            .collect();
        let verdict = match (poisoned.is_empty(), *is_certain) {
            (true, _) => Verdict::Loads,
            (false, false) => Verdict::Poisoned,
            (false, true) => Verdict::Fails,
        };
        reached_poison.extend(poisoned);
        verdict
    }

    fn event(&self, need: usize, outcome: Outcome, is_access: bool) -> Event {
        let need = &self.needs[need];
        let refusal = match need.refusal_with(&outcome) {
            // Only loads and stores are refused for their size or offset.
            Some(Refusal::SizeMismatch | Refusal::AccessSize | Refusal::OffsetTooLarge)
                if !is_access =>
            {
                None
            }
            refusal => refusal,
        };
        match (refusal, outcome) {
            (Some(refusal), _) if refusal.is_of_object() => Event::Refused,
            (Some(_), _) | (None, Outcome::Missing) => Event::Poison,
            (None, Outcome::Value { value, .. }) => match outcome.is_found(need.kind()) {
                true => Event::Found(Patch::Value(value)),
                false => Event::Answer(Patch::Value(value)),
            },
            (None, _) => Event::Found(Patch::Unknown),
        }
    }
}

/// Whether libbpf loads a program of this section by default.
fn is_loaded(section: &str) -> bool {
    !section.starts_with('?')
}

/// The functions that a program may run: itself, and what it refers to.
fn run_by(code: &Code, program: usize) -> BTreeSet<usize> {
    let (mut all, mut waiting) = (BTreeSet::from([program]), vec![program]);
    while let Some(function) = waiting.pop() {
        let references = code.functions[function].references.values();
        waiting.extend(references.flatten().filter(|&&n| all.insert(n)));
    }
    all
}
