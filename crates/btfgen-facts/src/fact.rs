//! What is asked: facts, and how they are written.

use std::fmt;
use std::str::FromStr;

use btfgen_btf::Kind;

/// A question about a kernel, with other questions that are asked in turn if the kernel does not have the first one's type,
/// member, name or function.
///
/// As text, for people and files:
///
/// ```text
/// FACT     = QUESTION { "|" QUESTION }
/// QUESTION = TYPE "." MEMBER { "." MEMBER }               the offset, size and bits of a member
///          | "size:" TYPE { "." MEMBER }                  the size of a type or member
///          | [ "enum:" ] [ TYPE ] "::" NAME               the value of a name of an enum
///          | "func:" NAME                                 the number of a function's parameters
/// TYPE     = [ "struct " | "union " | "enum " | "typedef " ] NAME
/// ```
///
/// ```
/// let fact: btfgen_facts::Fact = "task_struct.__state | task_struct.state".parse()?;
/// assert_eq!(fact.name(), "task_struct___state");
/// assert!("task_struct".parse::<btfgen_facts::Fact>().is_err());
/// # Ok::<(), btfgen_facts::InvalidFact>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    name: String,
    questions: Vec<Question>,
}

/// One question of a [`Fact`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Question {
    /// Where a member is.
    Member(FactType, Vec<String>),
    /// The size of a type, or of a member of it.
    Size(FactType, Vec<String>),
    /// The value of a name of an enum.
    Value(FactType, String),
    /// How many parameters a function has.
    Function(String),
}

/// The name of a type, perhaps with its kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FactType {
    /// The kind; `None` for any that has such a name.
    pub kind: Option<Kind>,
    /// The name.
    pub name: String,
}

/// A text is no fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidFact {
    text: String,
    message: &'static str,
}

impl InvalidFact {
    fn new(text: &str, message: &'static str) -> Self {
        let text = text.to_owned();
        Self { text, message }
    }
}

impl std::error::Error for InvalidFact {}

impl fmt::Display for InvalidFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no fact: {}", self.text, self.message)
    }
}

impl Fact {
    /// A name for the answer that is an identifier in C and Rust.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The questions, in their turn. There is at least one.
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Gives the fact another name.
    ///
    /// # Errors
    /// If the name is no identifier.
    pub fn named(mut self, name: &str) -> Result<Self, InvalidFact> {
        if !is_identifier(name) {
            let message = "a name of a fact has letters, digits and _, and no digit first";
            return Err(InvalidFact::new(name, message));
        }
        name.clone_into(&mut self.name);
        Ok(self)
    }

    /// Adds the questions of another fact, which are asked if this one's find nothing.
    #[must_use]
    pub fn or(mut self, fallback: Self) -> Self {
        self.questions.extend(fallback.questions);
        self
    }
}

impl FromStr for Fact {
    type Err = InvalidFact;

    fn from_str(text: &str) -> Result<Self, InvalidFact> {
        let questions = text.split('|').map(|question| question.trim().parse());
        let questions: Vec<Question> = questions.collect::<Result<_, _>>()?;
        let first = questions.first().map(ToString::to_string);
        let name = first.unwrap_or_default();
        let name = name
            .replace("::", "_")
            .replace(|c: char| !is_of_name(c), "_");
        Ok(Self { name, questions })
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let questions: Vec<String> = self.questions.iter().map(ToString::to_string).collect();
        f.write_str(&questions.join(" | "))
    }
}

impl FromStr for Question {
    type Err = InvalidFact;

    fn from_str(text: &str) -> Result<Self, InvalidFact> {
        let invalid = |message| InvalidFact::new(text, message);
        let name = |name: &str| match is_identifier(name) {
            true => Ok(name.to_owned()),
            false => Err(invalid(
                "a name has letters, digits and _, and no digit first",
            )),
        };
        let path = |text: &str| {
            let (ty, members) = match text.split_once('.') {
                Some((ty, members)) => (ty, members.split('.').map(name).collect()),
                None => (text, Ok(Vec::new())),
            };
            Ok((type_name(ty, name)?, members?))
        };
        if let Some(function) = text.strip_prefix("func:") {
            return Ok(Self::Function(name(function.trim())?));
        }
        if let Some(rest) = text.strip_prefix("size:") {
            let (ty, members) = path(rest.trim())?;
            return Ok(Self::Size(ty, members));
        }
        let rest = text.strip_prefix("enum:").unwrap_or(text);
        if let Some((ty, value)) = rest.split_once("::") {
            let mut ty = type_name(ty.trim(), name)?;
            ty.kind = ty.kind.or((rest.len() < text.len()).then_some(Kind::Enum));
            return Ok(Self::Value(ty, name(value)?));
        }
        if rest.len() < text.len() {
            return Err(invalid("a name of an enum is written as enum:TYPE::NAME"));
        }
        let (ty, members) = path(text)?;
        if members.is_empty() {
            let message = "a fact is TYPE.MEMBER, size:TYPE, TYPE::NAME or func:NAME";
            return Err(invalid(message));
        }
        Ok(Self::Member(ty, members))
    }
}

fn type_name(
    text: &str,
    name: impl Fn(&str) -> Result<String, InvalidFact>,
) -> Result<FactType, InvalidFact> {
    let (kind, rest) = match text.split_once(' ') {
        Some(("struct", rest)) => (Some(Kind::Struct), rest),
        Some(("union", rest)) => (Some(Kind::Union), rest),
        Some(("enum", rest)) => (Some(Kind::Enum), rest),
        Some(("typedef", rest)) => (Some(Kind::Typedef), rest),
        _ => (None, text),
    };
    let name = name(rest.trim())?;
    Ok(FactType { kind, name })
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_identifier(name: &str) -> bool {
    let starts = name.starts_with(|c: char| !c.is_ascii_digit());
    starts && name.chars().all(is_of_name)
}

impl fmt::Display for FactType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Some(Kind::Struct) => "struct ",
            Some(Kind::Union) => "union ",
            Some(Kind::Enum) => "enum ",
            Some(Kind::Typedef) => "typedef ",
            _ => "",
        })?;
        f.write_str(&self.name)
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |f: &mut fmt::Formatter<'_>, ty: &FactType, members: &[String]| {
            write!(f, "{ty}")?;
            members.iter().try_for_each(|member| write!(f, ".{member}"))
        };
        match self {
            Self::Member(ty, members) => path(f, ty, members),
            Self::Size(ty, members) => {
                f.write_str("size:")?;
                path(f, ty, members)
            }
            Self::Value(ty, name) => write!(f, "{ty}::{name}"),
            Self::Function(name) => write!(f, "func:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that facts are what their text says, and that their text gives the same facts.
    #[test]
    fn texts() {
        for (text, name, canonical) in [
            ("task_struct.pid", "task_struct_pid", "task_struct.pid"),
            ("struct a.b.c|union a . b", "", ""),
            (
                "struct a.b.c|union a.b",
                "struct_a_b_c",
                "struct a.b.c | union a.b",
            ),
            ("size: task_struct", "size_task_struct", "size:task_struct"),
            ("size:a.b", "size_a_b", "size:a.b"),
            ("enum:a::B", "enum_a_B", "enum a::B"),
            ("a::B", "a_B", "a::B"),
            ("func:tty_write", "func_tty_write", "func:tty_write"),
        ] {
            let fact = text.parse::<Fact>();
            if canonical.is_empty() {
                assert!(fact.is_err(), "{text}");
                continue;
            }
            let fact = fact.expect(text);
            assert_eq!((fact.name(), &*fact.to_string()), (name, canonical));
            assert_eq!(canonical.parse::<Fact>().expect(canonical), fact);
        }
    }

    /// Check that what is no fact is an error.
    #[test]
    fn errors() {
        for text in [
            "",
            "a",
            "a.",
            ".a",
            "a..b",
            "a.b|",
            "1.a",
            "a.1",
            "size:",
            "func:",
            "func:a.b",
            "enum:a",
            "a::",
            "::A",
            "a.b c",
            "struct a",
            "ä.b",
            "size:a::B",
        ] {
            assert!(text.parse::<Fact>().is_err(), "{text:?}");
        }
    }
}
