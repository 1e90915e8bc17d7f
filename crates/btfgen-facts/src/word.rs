//! Answers as words, for files: the README of `btfgen-archive` has their form.

use std::str::FromStr;

use crate::answer::{Answer, Answered, Missing};

impl Answered {
    /// The answer as one word without spaces.
    pub fn to_word(&self) -> String {
        format!("{}:{}", self.question, word(&self.answer))
    }

    /// The answer that a word says; `None` if the word has an unknown form.
    pub fn from_word(text: &str) -> Option<Self> {
        let (question, rest) = text.split_once(':')?;
        let mut alternatives = rest.split('/');
        let first = alternatives.next()?;
        let answer = match first {
            "ambiguous" => {
                let all = alternatives.map(parse).collect::<Option<Vec<_>>>()?;
                return Some(Self {
                    question: number(question)?,
                    answer: Answer::Ambiguous(all),
                });
            }
            _ => parse(rest)?,
        };
        Some(Self {
            question: number(question)?,
            answer,
        })
    }
}

fn word(answer: &Answer) -> String {
    match answer {
        Answer::Member {
            bit_offset,
            bytes,
            bits: None,
        } => format!("member:{bit_offset}:{bytes}"),
        Answer::Member {
            bit_offset,
            bytes,
            bits: Some(bits),
        } => format!("member:{bit_offset}:{bytes}:{bits}"),
        Answer::Size { bytes } => format!("size:{bytes}"),
        Answer::Value { value } => format!("value:{value}"),
        Answer::Function { parameters } => format!("function:{parameters}"),
        Answer::Missing(Missing::Type) => "missing:type".to_owned(),
        Answer::Missing(Missing::Function) => "missing:function".to_owned(),
        Answer::Missing(Missing::Size) => "missing:size".to_owned(),
        Answer::Missing(Missing::Part(name)) => format!("missing:part:{name}"),
        Answer::Ambiguous(all) => {
            let all = all.iter().map(|answer| format!("/{}", word(answer)));
            format!("ambiguous{}", all.collect::<String>())
        }
        Answer::Unknown => "unknown".to_owned(),
    }
}

/// An answer that is not ambiguous.
fn parse(word: &str) -> Option<Answer> {
    let parts: Vec<&str> = word.split(':').collect();
    Some(match *parts {
        ["member", bit_offset, bytes] => Answer::Member {
            bit_offset: number(bit_offset)?,
            bytes: number(bytes)?,
            bits: None,
        },
        ["member", bit_offset, bytes, bits] => Answer::Member {
            bit_offset: number(bit_offset)?,
            bytes: number(bytes)?,
            bits: Some(number(bits)?),
        },
        ["size", bytes] => Answer::Size {
            bytes: number(bytes)?,
        },
        ["value", value] => Answer::Value {
            value: number(value)?,
        },
        ["function", parameters] => Answer::Function {
            parameters: number(parameters)?,
        },
        ["missing", "type"] => Answer::Missing(Missing::Type),
        ["missing", "function"] => Answer::Missing(Missing::Function),
        ["missing", "size"] => Answer::Missing(Missing::Size),
        ["missing", "part", name] => Answer::Missing(Missing::Part(name.to_owned())),
        ["unknown"] => Answer::Unknown,
        _ => return None,
    })
}

fn number<N: FromStr>(text: &str) -> Option<N> {
    // `parse` also accepts a plus.
    let is_plain = !text.starts_with('+');
    is_plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

    fn answers() -> impl Strategy<Value = Answer> {
        let missing = prop_oneof![
            Just(Missing::Type),
            Just(Missing::Function),
            Just(Missing::Size),
            "[a-z_]{1,9}".prop_map(Missing::Part),
        ];
        let one = prop_oneof![
            any::<(u64, u32, Option<u32>)>().prop_map(|(bit_offset, bytes, bits)| {
                Answer::Member {
                    bit_offset,
                    bytes,
                    bits,
                }
            }),
            any::<u32>().prop_map(|bytes| Answer::Size { bytes }),
            any::<i64>().prop_map(|value| Answer::Value { value }),
            any::<u32>().prop_map(|parameters| Answer::Function { parameters }),
            missing.prop_map(Answer::Missing),
            Just(Answer::Unknown),
        ];
        let all = prop::collection::vec(one.clone(), 0..3).prop_map(Answer::Ambiguous);
        prop_oneof![one, all]
    }

    proptest! {
        /// Check that every answer is one word, and is read back unchanged.
        #[test]
        fn round_trip(question in any::<usize>(), answer in answers()) {
            let answered = Answered { question, answer };
            let word = answered.to_word();
            assert!(!word.contains([' ', '\n']), "{word}");
            assert_eq!(Answered::from_word(&word), Some(answered));
        }

        /// Check that no text makes the reader panic.
        #[test]
        fn any_text(text in "([0-9]{1,2}:)?(member|missing|ambiguous|size|part|[:/0-9a-z+-]){0,9}") {
            let _ = Answered::from_word(&text);
        }
    }

    /// Check that words of another form are none.
    #[test]
    fn unknown_forms() {
        for text in [
            "",
            "member:8:4",
            "0:",
            "0:member:8",
            "0:member:8:4:1:1",
            "0:member:+8:4",
            "0:size:-1",
            "0:value:",
            "0:ambiguous/ambiguous",
            "0:size:1/size:2",
            "x:unknown",
            "0:unknown:1",
        ] {
            assert_eq!(Answered::from_word(text), None, "{text:?}");
        }
    }
}
