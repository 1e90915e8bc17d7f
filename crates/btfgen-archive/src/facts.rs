//! The file `./.btfgen/facts` of an archive: what each kernel answers to some facts.

use std::borrow::Cow;
#[cfg(feature = "write")]
use std::collections::BTreeMap;

use btfgen_facts::{Answered, Fact};

use crate::{Error, ErrorKind, KernelId, Result};

/// The name of the file's entry.
pub(crate) const FACTS_NAME: &str = ".btfgen/facts";

/// The first line; the number is the version of the format.
const FIRST_LINE: &str = "btfgen-facts 1\n";

/// The facts of an archive's kernels.
///
/// ```
/// # #[cfg(feature = "write")] {
/// use btfgen_archive::{Archive, Builder, KernelId};
/// use btfgen_facts::{Answer, Answered, Fact};
///
/// let kernel = KernelId::new("debian", "12", "x86_64", "6.1.0-47-amd64")?;
/// let fact: Fact = "task_struct.pid".parse()?;
/// let answered = Answered {
///     question: 0,
///     answer: Answer::Member { bit_offset: 19712, bytes: 4, bits: None },
/// };
/// let mut bytes = Vec::new();
/// Builder::new()
///     .add(kernel.clone(), *b"BTF")?
///     .facts(vec![fact])?
///     .answers(kernel.clone(), vec![answered.clone()])
///     .write(&mut bytes)?;
///
/// let facts = Archive::from_bytes(&bytes)?.facts()?;
/// assert_eq!(facts.facts()?[0].name(), "task_struct_pid");
/// assert_eq!(facts.answers(&kernel)?, Some(vec![answered]));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// The lines of the file: only programs that ask for facts have the code that reads them.
#[derive(Clone, Debug, Default)]
pub struct ArchiveFacts(Vec<u8>);

impl ArchiveFacts {
    /// Takes the file's content. Lines of another form are for later versions, and are skipped.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self> {
        if !bytes.starts_with(FIRST_LINE.as_bytes()) {
            return Err(invalid("has an unknown format"));
        }
        Ok(Self(bytes))
    }

    /// The facts, in the order in which they were added.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFacts`] if they cannot be parsed.
    pub fn facts(&self) -> Result<Vec<Fact>> {
        let mut facts = Vec::new();
        for named in self
            .text()?
            .lines()
            .filter_map(|line| line.strip_prefix("fact "))
        {
            let fact = named.split_once(' ').and_then(|(name, fact)| {
                let fact: Fact = fact.parse().ok()?;
                fact.named(name).ok()
            });
            facts.push(fact.ok_or_else(|| invalid(format!("has a bad fact: {named:?}")))?);
        }
        Ok(facts)
    }

    /// A kernel's answer to each fact; `None` if the archive has no answers of this kernel.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFacts`] if the answers cannot be parsed, or are not as many as the facts.
    pub fn answers(&self, kernel: &KernelId) -> Result<Option<Vec<Answered>>> {
        let name = kernel.to_string();
        let (mut facts, mut row) = (0, None);
        for line in self.text()?.lines() {
            if line.starts_with("fact ") {
                facts += 1;
            } else if let Some(words) = line.strip_prefix("row ") {
                row = Some(words);
            } else if line == name {
                return row.map(|row| parse_row(row, facts)).transpose();
            }
        }
        Ok(None)
    }

    fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.0).map_err(|_| invalid("is not UTF-8"))
    }
}

fn parse_row(row: &str, facts: usize) -> Result<Vec<Answered>> {
    let words = row.split(' ').map(|word| {
        Answered::from_word(word).ok_or_else(|| invalid(format!("has a bad answer: {word:?}")))
    });
    let answers: Vec<Answered> = words.collect::<Result<_>>()?;
    if answers.len() != facts {
        let has = answers.len();
        return Err(invalid(format!(
            "has a row of {has} answers to {facts} facts"
        )));
    }
    Ok(answers)
}

fn invalid(what: impl Into<Cow<'static, str>>) -> Error {
    let message = format!("the archive's file of facts {}", what.into());
    Error::new(ErrorKind::InvalidFacts, message)
}

/// The content of the file. Kernels with equal answers are one row.
#[cfg(feature = "write")]
pub(crate) fn encode(facts: &[Fact], answers: &BTreeMap<KernelId, Vec<Answered>>) -> String {
    let mut rows: BTreeMap<&[Answered], Vec<String>> = BTreeMap::new();
    for (kernel, answers) in answers {
        let kernels = rows.entry(answers).or_default();
        kernels.push(format!("{kernel}\n"));
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    // Neighbours have much in common.
    rows.iter_mut().for_each(|(_, kernels)| kernels.sort());
    rows.sort_by(|(_, a), (_, b)| a.cmp(b));
    let facts = facts
        .iter()
        .map(|fact| format!("fact {} {fact}\n", fact.name()));
    let rows = rows.into_iter().map(|(answers, kernels)| {
        let words: Vec<String> = answers.iter().map(Answered::to_word).collect();
        format!("row {}\n{}", words.join(" "), kernels.concat())
    });
    format!(
        "{FIRST_LINE}{}{}",
        facts.collect::<String>(),
        rows.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ArchiveFacts> {
        ArchiveFacts::parse(text.into())
    }

    /// Check that another version of the file and bad facts are refused, and that lines of another form are skipped.
    #[test]
    fn lines() {
        for text in ["", "btfgen-facts 2\n", "btfgen-facts 1"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidFacts, "{text:?}");
        }
        for fact in ["a", "1 a.b", "a b"] {
            let text = format!("btfgen-facts 1\nfact {fact}\n");
            let error = parse(&text).unwrap().facts().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidFacts, "{fact:?}");
        }
        let text = "btfgen-facts 1\nfact x a.b | c.d\nlater\nrow 1:size:4\na/1/x86_64/5.4\n";
        let facts = parse(text).unwrap();
        assert_eq!(facts.facts().unwrap()[0].name(), "x");
        let answers = |name: &str| facts.answers(&name.parse().unwrap()).unwrap();
        assert_eq!(answers("a/1/x86_64/5.4").unwrap()[0].to_word(), "1:size:4");
        // The whole name counts.
        assert_eq!(answers("a/1/x86_64/5"), None);
        assert_eq!(answers("a/1/x86_64/5.44"), None);
    }

    /// Check that a row that is not as the facts is refused for its kernels only.
    #[test]
    fn rows() {
        let text = "btfgen-facts 1\nfact x a.b\na/1/x86_64/1\nrow 0:size:4 0:size:5\na/1/x86_64/2\nrow 0:what\na/1/x86_64/3\n";
        let facts = parse(text).unwrap();
        let answers = |name: &str| facts.answers(&name.parse().unwrap());
        // No row is before it.
        assert_eq!(answers("a/1/x86_64/1").unwrap(), None);
        for name in ["a/1/x86_64/2", "a/1/x86_64/3"] {
            assert_eq!(answers(name).unwrap_err().kind(), ErrorKind::InvalidFacts);
        }
    }
}
