//! The types of an object's maps.

use btfgen_btf::{Btf, Kind, Type};

use super::MAPS;
use super::budget::Budget;
use crate::error::{Error, Result};
use crate::feature::{Feature, FeatureKind};

/// A map.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Map {
    /// Its variable's name, or the name of the section that libbpf makes a map of (`.rodata`).
    pub name: String,
    /// `enum bpf_map_type`, as a number.
    pub map_type: u32,
    /// The type of the maps in this map, if its definition gives one.
    pub inner: Option<u32>,
}

impl Map {
    /// A map that libbpf makes.
    pub(super) fn made(name: String, map_type: u32) -> Self {
        Self {
            name,
            map_type,
            inner: None,
        }
    }

    /// Its type, with the version of Linux that brought it; `None` if the table does not know the number.
    pub fn feature(&self) -> Option<Feature> {
        Feature::by_number(FeatureKind::MapType, self.map_type)
    }
}

/// The maps that variables in `.maps` define.
pub(super) fn defined(btf: &Btf<'_>, budget: &mut Budget) -> Result<Vec<Map>> {
    let variables = section(btf, MAPS.as_bytes());
    variables
        .map(|variable| defined_by(btf, variable, budget))
        .collect()
}

/// The names of the variables in a data section.
pub(super) fn variables(btf: &Btf<'_>, name: &[u8]) -> Vec<String> {
    let name_of = |variable: Type<'_>| String::from_utf8_lossy(variable.name()).into_owned();
    section(btf, name).map(name_of).collect()
}

fn section<'b>(btf: &'b Btf<'_>, name: &[u8]) -> impl Iterator<Item = Type<'b>> {
    let mut sections = btf.types_of(|kind| kind == Kind::Datasec);
    let section = sections.find(|section| section.name() == name);
    let variables = section.into_iter().flat_map(|section| section.variables());
    variables.filter_map(|id| btf.type_by_id(id))
}

fn defined_by(btf: &Btf<'_>, variable: Type<'_>, budget: &mut Budget) -> Result<Map> {
    let name = String::from_utf8_lossy(variable.name()).into_owned();
    let bad = |what: &str| Error::damaged(format!("the map {name} {what}"));
    let definition = variable
        .referenced()
        .and_then(|id| btf.skip_modifiers_and_typedefs(id));
    let definition = definition.filter(|ty| ty.kind() == Kind::Struct);
    let definition = definition.ok_or_else(|| bad("is not defined by a struct"))?;
    budget.charge(size_of::<Map>() + name.len() + definition.len())?;
    let map_type = map_type(btf, definition).ok_or_else(|| bad("has no type"))?;
    let inner = inner(btf, definition).and_then(|inner| self::map_type(btf, inner));
    Ok(Map {
        name,
        map_type,
        inner,
    })
}

/// `__uint(type, N)` is `int (*type)[N]`.
fn map_type(btf: &Btf<'_>, definition: Type<'_>) -> Option<u32> {
    let array = pointee(btf, definition, b"type")?.array()?;
    Some(array.len)
}

/// `__array(values, struct inner)` is `struct inner *values[]`.
fn inner<'b>(btf: &'b Btf<'_>, definition: Type<'b>) -> Option<Type<'b>> {
    let values = definition
        .members()
        .find(|member| member.name == b"values")?;
    let array = btf.skip_modifiers_and_typedefs(values.ty)?.array()?;
    let pointer = btf.skip_modifiers_and_typedefs(array.element)?;
    let inner = btf.skip_modifiers_and_typedefs(pointer.referenced()?)?;
    Some(inner).filter(|inner| inner.kind() == Kind::Struct)
}

/// The type behind the pointer that is the member of this name.
fn pointee<'b>(btf: &'b Btf<'_>, definition: Type<'b>, name: &[u8]) -> Option<Type<'b>> {
    let member = definition.members().find(|member| member.name == name)?;
    let pointer = btf.skip_modifiers_and_typedefs(member.ty)?;
    btf.type_by_id(
        pointer
            .referenced()
            .filter(|_| pointer.kind() == Kind::Ptr)?,
    )
}
