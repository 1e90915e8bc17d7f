//! Files of facts.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use btfgen::{Fact, InvalidFact};
use btfgen_files::read_regular;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use crate::explain::printable;

/// The largest file of facts.
const MAX_BYTES: u64 = 1 << 20;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map with `facts`")]
struct File {
    facts: Vec<Entry>,
}

/// A fact as text, or with a name and fallbacks.
struct Entry(Fact);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    fact: String,
    name: Option<String>,
    #[serde(default)]
    fallback: Texts,
}

/// No text, one, or several.
#[derive(Default)]
struct Texts(Vec<String>);

/// Reads the facts in a YAML or JSON file.
pub(super) fn read(path: &Path) -> Result<Vec<Fact>> {
    let failed = || format!("{}: cannot be read", path.display());
    let bytes = read_regular(path, MAX_BYTES).with_context(failed)?;
    let file: File = serde_norway::from_slice(&bytes).map_err(|e| {
        // If the whole file is something else, the parser does not tell its place.
        let place = match e.location() {
            Some(place) if place.index() > 0 => "",
            _ => ", at line 1 column 1",
        };
        let not_facts = format!("{}: is no file of facts{place}", path.display());
        anyhow::Error::new(e).context(not_facts)
    })?;
    Ok(file.facts.into_iter().map(|Entry(fact)| fact).collect())
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // The parser adds line and column to an error only if the value was not read before, as for an untagged enum.
        from.deserialize_any(EntryVisitor).map(Self)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Fact;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fact, or a map with `fact`, and perhaps `name` and `fallback`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Fact, E> {
        parse(text)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Fact, A::Error> {
        let whole = Whole::deserialize(de::value::MapAccessDeserializer::new(map))?;
        let mut fact = parse(&whole.fact)?;
        for fallback in &whole.fallback.0 {
            fact = fact.or(parse(fallback)?);
        }
        match whole.name {
            Some(name) => fact
                .named(&name)
                .map_err(|e| de::Error::custom(printable(&e.to_string()))),
            None => Ok(fact),
        }
    }
}

fn parse<E: de::Error>(text: &str) -> Result<Fact, E> {
    text.parse()
        .map_err(|e: InvalidFact| E::custom(printable(&e.to_string())))
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextsVisitor).map(Self)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fact or a list of facts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<String>, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, all: A) -> Result<Vec<String>, A::Error> {
        Vec::deserialize(de::value::SeqAccessDeserializer::new(all))
    }
}
