//! A kernel's types as they can be edited: each as the words of its record, with names and types by number.
//!
//! Types keep the order of the real kernel, and strings have the order of their first use, as pahole writes them. A sorted
//! and deduplicated BTF, as `Composer` makes it, would flatter whatever compresses a hub.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use btfgen_btf::{Btf, ByteOrder, Header, Info, Kind, Words};

/// The number of a name in [`Types`]; 0 is the empty name.
pub(crate) type NameId = u32;

/// The number of a type in [`Types`]; 0 is `void`. It is not the id that is written.
pub(crate) type TypeId = u32;

/// A type's record. Names are [`NameId`]s and types are [`TypeId`]s, all else is as in a BTF.
pub(crate) type Record = Vec<u32>;

/// The words of `struct btf_type`.
pub(crate) const NAME: usize = 0;
pub(crate) const INFO: usize = 1;
pub(crate) const SIZE_OR_TYPE: usize = 2;
/// The first word behind them.
pub(crate) const PARTS: usize = 3;

/// The `kind_flag` of an info word.
pub(crate) const KIND_FLAG: u32 = 1 << 31;

/// A kernel's types.
#[derive(Debug, Clone)]
pub(crate) struct Types {
    order: ByteOrder,
    records: Vec<Record>,
    /// The types that are written, in this order.
    sequence: Vec<TypeId>,
    names: Vec<Arc<[u8]>>,
    name_ids: HashMap<Arc<[u8]>, NameId>,
}

pub(crate) fn kind(record: &[u32]) -> Kind {
    record
        .get(INFO)
        .map_or(Kind::Void, |&info| Info::new(info).kind())
}

/// The info word of a type.
pub(crate) fn info(kind: Kind, parts: usize) -> u32 {
    (kind as u32) << 24 | parts as u32
}

/// The number of words of a member, enumerator, parameter or variable.
fn part_len(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Struct | Kind::Union | Kind::Enum64 | Kind::Datasec => Some(3),
        Kind::Enum | Kind::FuncProto => Some(2),
        _ => None,
    }
}

/// The places in a record, every so many words from the third on.
fn every(record: &[u32], len: usize, first: usize) -> Vec<usize> {
    (PARTS + first..record.len()).step_by(len).collect()
}

/// Which words of a record are names.
fn name_places(record: &[u32]) -> Vec<usize> {
    let kind = kind(record);
    let mut places = vec![NAME];
    if let Some(len) = part_len(kind).filter(|_| kind != Kind::Datasec) {
        places.extend(every(record, len, 0));
    }
    places
}

/// Which words of a record are types.
pub(crate) fn type_places(record: &[u32]) -> Vec<usize> {
    match kind(record) {
        Kind::Struct | Kind::Union => every(record, 3, 1),
        Kind::FuncProto => [vec![SIZE_OR_TYPE], every(record, 2, 1)].concat(),
        Kind::Datasec => every(record, 3, 0),
        Kind::Array => vec![PARTS, PARTS + 1],
        Kind::Ptr
        | Kind::Typedef
        | Kind::Volatile
        | Kind::Const
        | Kind::Restrict
        | Kind::Func
        | Kind::Var
        | Kind::DeclTag
        | Kind::TypeTag => vec![SIZE_OR_TYPE],
        Kind::Void
        | Kind::Int
        | Kind::Enum
        | Kind::Enum64
        | Kind::Fwd
        | Kind::Float
        | Kind::Unknown => Vec::new(),
    }
}

impl Types {
    /// Reads a BTF. Types that libbpf 1.7 does not know become placeholders.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let btf = Btf::parse(bytes)?;
        let bytes = btf.to_classic();
        let header = Header::parse(&bytes).map_err(btfgen_btf::Error::from)?;
        let order = header.byte_order();
        let section = |start: u64, end: u64| Words::new(&bytes, order).part(start, end - start);
        let types = section(header.types().start, header.types().end).context("no types")?;
        let none = Words::new(&[], order);
        let mut model = Self {
            order,
            records: vec![Vec::new()],
            sequence: (1..btf.type_count()).collect(),
            names: Vec::new(),
            name_ids: HashMap::new(),
        };
        model.name(b"");
        let mut at = 0;
        while at < types.len() {
            let info = types.u32(at + 4 * INFO).context("a type is cut off")?;
            let len = Info::new(info).type_len(none).context("unknown kind")? as usize;
            let word = |n| types.u32(at + 4 * n).context("a type is cut off");
            let mut record: Record = (0..len / 4).map(word).collect::<Result<_>>()?;
            for place in name_places(&record) {
                let name = btf.string(record[place]).context("a name is missing")?;
                record[place] = model.name(name);
            }
            model.records.push(record);
            at += len;
        }
        ensure!(
            model.records.len() == btf.type_count() as usize,
            "types are missing"
        );
        Ok(model)
    }

    /// The BTF of these types.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut ids = vec![0; self.records.len()];
        for (id, &number) in (1..).zip(&self.sequence) {
            ids[number as usize] = id;
        }
        let mut offsets: Vec<Option<u32>> = vec![None; self.names.len()];
        let mut strings = vec![0];
        offsets[0] = Some(0);
        let mut words = Vec::new();
        for &number in &self.sequence {
            let mut record = self.records[number as usize].clone();
            for place in type_places(&record) {
                record[place] = ids[record[place] as usize];
            }
            for place in name_places(&record) {
                let name = record[place] as usize;
                record[place] = *offsets[name].get_or_insert_with(|| {
                    let at = strings.len() as u32;
                    strings.extend_from_slice(&self.names[name]);
                    strings.push(0);
                    at
                });
            }
            words.extend(record);
        }
        let types_len = 4 * words.len() as u32;
        let header = [
            Header::LEN as u32,
            0,
            types_len,
            types_len,
            strings.len() as u32,
        ];
        let little = self.order == ByteOrder::Little;
        let magic = Header::MAGICS[usize::from(!little)];
        let words = header.into_iter().chain(words);
        let bytes = words.flat_map(|word| {
            if little {
                word.to_le_bytes()
            } else {
                word.to_be_bytes()
            }
        });
        magic
            .into_iter()
            .chain([0])
            .chain(bytes)
            .chain(strings)
            .collect()
    }

    /// The types that are written, in their order.
    pub(crate) fn sequence(&self) -> &[TypeId] {
        &self.sequence
    }

    /// Keeps the types that are written for which `keep` holds. Other types must not refer to those that go.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&TypeId) -> bool) {
        self.sequence.retain(keep);
    }

    /// A type's record. That of `void` is empty.
    pub(crate) fn record(&self, ty: TypeId) -> &[u32] {
        &self.records[ty as usize]
    }

    /// A type's record, to be edited.
    pub(crate) fn record_mut(&mut self, ty: TypeId) -> &mut Record {
        &mut self.records[ty as usize]
    }

    pub(crate) fn kind(&self, ty: TypeId) -> Kind {
        kind(self.record(ty))
    }

    /// A type's name; empty if it has none.
    pub(crate) fn name_of(&self, ty: TypeId) -> &Arc<[u8]> {
        &self.names[self.record(ty).first().copied().unwrap_or_default() as usize]
    }

    /// The number of a name, which is added if it is new.
    pub(crate) fn name(&mut self, name: &[u8]) -> NameId {
        if let Some(&id) = self.name_ids.get(name) {
            return id;
        }
        let (id, name) = (self.names.len() as NameId, Arc::from(name));
        self.names.push(Arc::clone(&name));
        self.name_ids.insert(name, id);
        id
    }

    /// The name with this number.
    pub(crate) fn text(&self, name: NameId) -> &Arc<[u8]> {
        &self.names[name as usize]
    }

    /// Adds types that are written behind the type `behind`.
    pub(crate) fn add(&mut self, behind: TypeId, records: Vec<Record>) -> TypeId {
        let first = self.records.len() as TypeId;
        let place = self.sequence.iter().position(|&ty| ty == behind);
        let place = place.map_or(self.sequence.len(), |place| place + 1);
        let added = first..first + records.len() as TypeId;
        self.sequence.splice(place..place, added);
        self.records.extend(records);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a BTF that was not edited is written with the same bytes, except for unused strings.
    #[test]
    fn unedited_types_stay() -> Result<()> {
        for kernel in btfgen_testkit::sample_kernels() {
            let bytes = std::fs::read(btfgen_testkit::sample_btf(&kernel))?;
            let written = Types::read(&bytes)?.write();
            let again = Types::read(&written)?;
            assert_eq!(again.write(), written, "{kernel}");
            let (before, after) = (Btf::parse(&bytes)?, Btf::parse(&written)?);
            assert_eq!(before.type_count(), after.type_count(), "{kernel}");
            for (before, after) in before.types().zip(after.types()) {
                assert_eq!(before.name(), after.name(), "{kernel} {before:?}");
                assert_eq!(before.size(), after.size(), "{kernel} {before:?}");
                assert!(before.members().eq(after.members()), "{kernel} {before:?}");
                assert!(
                    before.enumerators().eq(after.enumerators()),
                    "{kernel} {before:?}"
                );
                assert!(before.params().eq(after.params()), "{kernel} {before:?}");
            }
        }
        Ok(())
    }
}
