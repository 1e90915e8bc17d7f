//! Writes types of other crates with serde.

use std::fmt::Display;

use btfgen_btf::ByteOrder;
use serde::Serializer;

/// The value's text for people.
pub(crate) fn text<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

pub(crate) fn texts<S: Serializer>(values: &[impl Display], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(values.iter().map(ToString::to_string))
}

pub(crate) fn byte_order<S: Serializer>(order: &ByteOrder, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match order {
        ByteOrder::Little => "little",
        ByteOrder::Big => "big",
    })
}
