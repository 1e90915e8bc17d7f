//! The data of the page: the result of a check, with each text and each row of cells once.

use std::collections::HashMap;

use btfgen::{Effect, ObjectSupport, Outcome, ReloKind, SourceLine, Support, Verdict};
use serde::Serialize;

use super::runs::{letter, runs};
use crate::explain::{chain, printable};
use crate::layouts;

/// All that the page shows. Fields named `text` and the like are indices of [`Data::texts`], those named `cells` and `answers`
/// are indices of [`Data::cells`].
#[derive(Debug, Default, Serialize)]
pub(super) struct Data {
    pub(super) version: &'static str,
    pub(super) texts: Texts,
    /// One character for each group of kernels, as runs.
    pub(super) cells: Texts,
    /// The number of groups.
    pub(super) groups: usize,
    pub(super) kernels: Vec<Kernels>,
    pub(super) needs: Vec<Need>,
    pub(super) objects: Vec<Object>,
    /// Why some kernels are not there.
    pub(super) left_out: Vec<usize>,
}

/// Strings, each of them once.
#[derive(Debug, Default)]
pub(super) struct Texts {
    all: Vec<String>,
    known: HashMap<String, usize>,
}

impl Texts {
    pub(super) fn add(&mut self, text: impl Into<String>) -> usize {
        let text = text.into();
        if let Some(&known) = self.known.get(&text) {
            return known;
        }
        self.all.push(text.clone());
        self.known.insert(text, self.all.len() - 1);
        self.all.len() - 1
    }
}

impl Serialize for Texts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.all.serialize(serializer)
    }
}

/// The kernels of a version of a distribution, for an architecture, in the order of their ids.
#[derive(Debug, Serialize)]
pub(super) struct Kernels {
    pub(super) distro: String,
    pub(super) version: String,
    pub(super) arch: String,
    pub(super) releases: Vec<String>,
    /// The group of each of them.
    pub(super) groups: Vec<usize>,
}

/// A relocation, and what the kernels answer.
#[derive(Debug, Serialize)]
pub(super) struct Need {
    pub(super) kind: &'static str,
    /// The type and the path, in C's spelling.
    pub(super) name: usize,
    /// The distinct answers.
    pub(super) options: Vec<Answer>,
    /// For each group, the letter of one of the options.
    pub(super) answers: usize,
}

/// An answer: the text of the outcome, of the reason, and of the definitions that show it: whose they are, the program's and the
/// kernel's.
pub(super) type Answer = (usize, Option<usize>, Option<[usize; 3]>);

#[derive(Debug, Serialize)]
pub(super) struct Object {
    pub(super) name: usize,
    pub(super) cells: usize,
    /// Lines about what it asks of a kernel besides its types.
    pub(super) asks: Vec<usize>,
    pub(super) programs: Vec<Program>,
}

/// A program, or a function that is none.
#[derive(Debug, Serialize)]
pub(super) struct Program {
    pub(super) name: Option<usize>,
    pub(super) section: usize,
    /// Whether libbpf loads it by default.
    pub(super) autoload: bool,
    /// Its verdicts, if it is a program.
    pub(super) cells: Option<usize>,
    pub(super) rows: Vec<Row>,
}

/// The uses of a need in one line of one function.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) need: usize,
    pub(super) file: Option<usize>,
    pub(super) line: Option<u32>,
    /// The line's text.
    pub(super) source: Option<usize>,
    /// The instructions' indices in their section.
    pub(super) instructions: Vec<u32>,
    pub(super) cells: usize,
}

impl Data {
    pub(super) fn new(support: &Support, asks: &[String]) -> Self {
        let mut data = Self {
            version: env!("CARGO_PKG_VERSION"),
            groups: support.groups.len(),
            kernels: kernels(support),
            ..Self::default()
        };
        for need in 0..support.needs.len() {
            let need = data.need(support, need);
            data.needs.push(need);
        }
        for (n, object) in support.objects.iter().enumerate() {
            let mut object = data.object(support, n, object);
            let lines = asks.get(n).into_iter().flat_map(|asks| asks.lines());
            object.asks = lines.map(|line| data.text(line)).collect();
            data.objects.push(object);
        }
        for error in &support.left_out {
            let text = data.texts.add(chain(error));
            data.left_out.push(text);
        }
        data
    }

    fn text(&mut self, text: &str) -> usize {
        self.texts.add(printable(text))
    }

    fn need(&mut self, support: &Support, index: usize) -> Need {
        let need = &support.needs[index];
        let mut options = Vec::new();
        let mut known: HashMap<Answer, usize> = HashMap::new();
        let mut letters = Vec::with_capacity(support.groups.len());
        for group in &support.groups {
            let outcome = &support.matrix.sets()[group.set].outcomes[index];
            let reason = group.reasons.get(&index);
            let layouts = reason.and_then(|reason| support.layouts(index, reason));
            let layouts = layouts.map(|layouts| {
                [
                    self.text(&layouts.on.to_string()),
                    self.texts.add(layouts::of_program(layouts).join("\n")),
                    self.texts.add(layouts::of_kernel(layouts).join("\n")),
                ]
            });
            let reason = reason.map(|reason| self.text(&reason.to_string()));
            let outcome = self.text(&answer(need.kind(), outcome));
            let option = (outcome, reason, layouts);
            let next = options.len();
            let number = *known.entry(option).or_insert(next);
            if number == next {
                options.push(option);
            }
            letters.push(letter(number));
        }
        let name = need.to_string();
        let name = name
            .strip_prefix(need.kind().name())
            .map_or(&name[..], str::trim_start);
        Need {
            kind: need.kind().name(),
            name: self.text(name),
            options,
            answers: self.cells.add(runs(letters)),
        }
    }

    fn object(&mut self, support: &Support, number: usize, checked: &ObjectSupport) -> Object {
        let mut programs: Vec<Program> = Vec::new();
        let mut known: HashMap<(String, Option<String>), usize> = HashMap::new();
        for program in &checked.programs {
            known.insert(
                (program.section.clone(), Some(program.name.clone())),
                programs.len(),
            );
            programs.push(Program {
                name: Some(self.text(&program.name)),
                section: self.text(&program.section),
                autoload: program.autoload,
                cells: Some(self.verdicts(&program.verdicts)),
                rows: Vec::new(),
            });
        }
        for line in lines(support, number, checked) {
            let next = programs.len();
            let key = (line.section, line.function);
            let program = *known.entry(key.clone()).or_insert(next);
            if program == next {
                let (section, name) = key;
                programs.push(Program {
                    name: name.map(|name| self.text(&name)),
                    section: self.text(&section),
                    autoload: true,
                    cells: None,
                    rows: Vec::new(),
                });
            }
            let cells = line.effects.iter().zip(&checked.verdicts);
            let cells = cells.map(|(effect, verdict)| match verdict {
                Verdict::OtherByteOrder => of_verdict(*verdict),
                _ => of_effect(*effect),
            });
            let source = line.source.as_ref();
            let file = source.map(|source| self.text(&source.file));
            let text = source.map(|source| source.text.trim());
            let text = text.filter(|text| !text.is_empty());
            programs[program].rows.push(Row {
                need: line.need,
                file,
                line: source.map(|source| source.line),
                source: text.map(|text| self.text(text)),
                instructions: line.instructions,
                cells: self.cells.add(runs(cells)),
            });
        }
        Object {
            name: self.text(&checked.name),
            cells: self.verdicts(&checked.verdicts),
            asks: Vec::new(),
            programs,
        }
    }

    fn verdicts(&mut self, verdicts: &[Verdict]) -> usize {
        self.cells
            .add(runs(verdicts.iter().map(|&v| of_verdict(v))))
    }
}

/// The uses of a need in one line.
struct Line {
    need: usize,
    section: String,
    function: Option<String>,
    source: Option<SourceLine>,
    instructions: Vec<u32>,
    /// The worst effect for each group.
    effects: Vec<Option<Effect>>,
}

/// The lines of an object, in the order of its instructions.
fn lines(support: &Support, number: usize, checked: &ObjectSupport) -> Vec<Line> {
    // They are in the order of the object's uses.
    let mut failed = checked.places.iter().peekable();
    let object = &support.needs.objects()[number];
    let by_relocation = support.needs.of_relocations(number);
    let mut lines: Vec<Line> = Vec::new();
    let mut known = HashMap::new();
    for place in object.uses() {
        let need = by_relocation[place.relocation];
        let section = object.section(place);
        let function = object.function(place);
        let source = object.source_line(place).filter(|s| !s.file.is_empty());
        let at = source.as_ref().map(|s| (s.file.clone(), s.line));
        let instruction = place.insn_off / 8;
        let failed = failed.next_if(|failed| {
            let at = (failed.need, failed.place.instruction);
            at == (need, instruction) && failed.place.section == section
        });
        let next = lines.len();
        let line = *known
            .entry((section.clone(), function.clone(), at, need))
            .or_insert(next);
        if line == next {
            lines.push(Line {
                need,
                section,
                function,
                source,
                instructions: Vec::new(),
                effects: vec![None; support.groups.len()],
            });
        }
        let line = &mut lines[line];
        line.instructions.push(instruction);
        for (&group, &effect) in failed.into_iter().flat_map(|failed| &failed.effects) {
            line.effects[group] = line.effects[group].max(Some(effect));
        }
    }
    lines
}

/// The kernels in the order of their ids, with the groups.
fn kernels(support: &Support) -> Vec<Kernels> {
    let groups = support.groups.iter().enumerate();
    let all = groups.flat_map(|(n, group)| group.kernels.iter().map(move |kernel| (kernel, n)));
    let mut all: Vec<_> = all.collect();
    all.sort();
    let mut versions: Vec<Kernels> = Vec::new();
    for (kernel, group) in all {
        let place = [kernel.distro(), kernel.version(), kernel.arch()];
        let is_same = |v: &Kernels| [&v.distro[..], &v.version, &v.arch] == place;
        if !versions.last().is_some_and(is_same) {
            let [distro, version, arch] = place.map(str::to_owned);
            versions.push(Kernels {
                distro,
                version,
                arch,
                releases: Vec::new(),
                groups: Vec::new(),
            });
        }
        if let Some(last) = versions.last_mut() {
            last.releases.push(kernel.release().to_owned());
            last.groups.push(group);
        }
    }
    versions
}

/// The page's script has the same letters.
fn of_verdict(verdict: Verdict) -> char {
    match verdict {
        Verdict::Loads => 'l',
        Verdict::Poisoned => 'p',
        Verdict::Fails => 'f',
        Verdict::Refused => 'r',
        Verdict::OtherByteOrder => 'o',
        _ => '?',
    }
}

fn of_effect(effect: Option<Effect>) -> char {
    match effect {
        None => '.',
        Some(Effect::Answer) => 'n',
        Some(Effect::Guarded) => 'g',
        Some(Effect::Poisoned) => 'p',
        Some(Effect::Refused) => 'r',
        Some(_) => '?',
    }
}

/// An outcome in words.
fn answer(kind: ReloKind, outcome: &Outcome) -> String {
    let (value, size) = match outcome {
        Outcome::Value { value, size, .. } => (*value, *size),
        Outcome::Type { candidate: 0 } => return "the type is there".to_owned(),
        Outcome::Type { candidate } => return format!("candidate {}", candidate + 1),
        Outcome::Missing => return "not found".to_owned(),
        Outcome::Failed { errno, .. } => return format!("refused (errno {errno})"),
        _ => return "unknown".to_owned(),
    };
    let bytes = |count: u64| match count {
        1 => "1 byte".to_owned(),
        _ => format!("{count} bytes"),
    };
    match kind {
        ReloKind::FieldByteOffset if size > 0 => {
            format!("at byte {value}, {}", bytes(size.into()))
        }
        ReloKind::FieldByteOffset => format!("at byte {value}"),
        ReloKind::FieldByteSize | ReloKind::TypeSize if value > 0 => bytes(value),
        ReloKind::FieldSigned if value > 0 => "signed".to_owned(),
        ReloKind::FieldSigned => "unsigned".to_owned(),
        ReloKind::FieldLshiftU64 => format!("shift left by {value}"),
        ReloKind::FieldRshiftU64 => format!("shift right by {value}"),
        ReloKind::EnumvalValue | ReloKind::TypeIdLocal => value.to_string(),
        _ if value == 0 => "no".to_owned(),
        _ => "yes".to_owned(),
    }
}
