//! The tables as columns: all words of one sort one after the other, because they resemble each other.

use crate::numbering::Numbering;
use crate::shape::{COLUMNS, Column, Shape, Word, count, kind};
use crate::tables::{NO_NAME, Tables, VOID};
use crate::varint::{Input, add_difference, difference, put, put_difference};
use crate::{Error, Result};

/// The bytes of each column, by the number of the column.
pub(crate) type Columns = [Vec<u8>; COLUMNS];

/// Write the records in their new order. Names get their numbers here: in the order in which the columns have them.
pub(crate) fn write(tables: &Tables, numbering: &mut Numbering) -> Columns {
    let mut columns = Columns::default();
    let mut next_label = VOID + 1;
    for at in 0..numbering.order.len() {
        let record = numbering.order[at];
        let words = tables.record(record);
        let label = numbering.label(tables.label_of[record as usize]);
        let mut writer = Writer {
            columns: &mut columns,
            numbering,
            label,
        };
        writer.label(&mut next_label);
        writer.record(words);
    }
    columns
}

struct Writer<'w> {
    columns: &'w mut Columns,
    numbering: &'w mut Numbering,
    /// The label of the record.
    label: u32,
}

impl Writer<'_> {
    fn column(&mut self, column: Column) -> &mut Vec<u8> {
        &mut self.columns[column as usize]
    }

    /// 0 for a label that no record before has, else how long ago it came.
    fn label(&mut self, next_label: &mut u32) {
        let ago = *next_label - self.label;
        if ago == 0 {
            *next_label += 1;
        }
        put(self.column(Column::Label), ago);
    }

    fn record(&mut self, words: &[u32]) {
        let &[name, info, ref fields @ ..] = words else {
            return;
        };
        self.column(Column::Kind).push((info >> 24) as u8);
        let Some(shape) = Shape::of_info(info) else {
            return;
        };
        if let Some(column) = shape.count {
            put(self.column(column), count(info));
        }
        self.word(Word::Name(Column::TypeName), name, &mut 0);
        let mut before = 0;
        for (sort, &word) in shape.fields(info).zip(fields) {
            self.word(sort, word, &mut before);
        }
    }

    fn word(&mut self, sort: Word, word: u32, before: &mut u32) {
        match sort {
            Word::Name(column) => {
                let code = match self.numbering.name(word) {
                    (_, true) => 0,
                    (name, false) => name + 1,
                };
                put(self.column(column), code);
            }
            Word::Type(column) => {
                let code = type_code(self.label, self.numbering.label(word));
                put(self.column(column), code);
            }
            Word::Number(column) => put(self.column(column), word),
            Word::Difference(column) => {
                put_difference(self.column(column), *before, word);
                *before = word;
            }
        }
    }
}

/// Labels whose numbers differ from the record's own by less are written as this difference, and others as they are: types refer
/// to their neighbours or to what many types refer to.
const NEAR: u32 = 63;

fn type_code(own: u32, label: u32) -> u32 {
    match difference(own, label) {
        _ if label == VOID => 0,
        near @ ..NEAR => 1 + near,
        _ => 1 + NEAR + label,
    }
}

fn label_of_code(own: u32, code: u32) -> u32 {
    match code {
        0 => VOID,
        1..=NEAR => add_difference(own, code - 1),
        _ => code - 1 - NEAR,
    }
}

/// Write these names, each of which has a zero byte at its end. The empty name, which comes first, is left out.
pub(crate) fn write_names<'n>(columns: &mut Columns, names: impl Iterator<Item = &'n [u8]>) {
    let mut before: &[u8] = &[];
    for name in names {
        let equal = before.iter().zip(name).take_while(|(a, b)| a == b);
        // Then the prefix is not longer than the reader allows for the rest.
        let most = name.len() * MOST_PREFIX / (MOST_PREFIX + 1);
        let prefix = equal.take(most.min(0xff)).count();
        columns[Column::NamePrefix as usize].push(prefix as u8);
        columns[Column::NameRest as usize].extend(&name[prefix..]);
        before = name;
    }
}

/// How many times as long as the rest of a name its prefix may be, so that names are not much longer than their columns.
const MOST_PREFIX: usize = 8;

/// Read the tables. Memory is bounded by the bytes of the columns: each word is one of them at least, but for two of each
/// record.
pub(crate) fn read(columns: &Columns) -> Result<Tables> {
    let mut tables = Tables::new();
    let input = |column: Column| Input(&columns[column as usize]);
    let names = [Column::NamePrefix, Column::NameRest].map(|column| &*columns[column as usize]);
    read_names(&mut tables, names[0], names[1])?;
    read_labels(&mut tables, input(Column::Label))?;
    let kinds = &columns[Column::Kind as usize];
    if kinds.len() != tables.label_of.len() {
        return Err(Error::damaged("its columns do not fit together"));
    }
    let mut reader = Reader {
        columns: columns.each_ref().map(|column| Input(column)),
        next_name: NO_NAME + 1,
        names: tables.name_count() as u32,
        labels: tables.labels,
    };
    let mut words = Vec::new();
    for (record, &byte) in kinds.iter().enumerate() {
        words.clear();
        let shape = reader.record(byte, tables.label_of[record], &mut words)?;
        tables.push_record(shape, &words);
    }
    let rest = [
        Column::NamePrefix,
        Column::NameRest,
        Column::Label,
        Column::Kind,
    ];
    let read = |column: &usize| rest.iter().all(|&other| other as usize != *column);
    if (0..COLUMNS)
        .filter(read)
        .any(|column| !reader.columns[column].is_empty())
    {
        return Err(Error::damaged("its columns do not fit together"));
    }
    Ok(tables)
}

fn read_names(tables: &mut Tables, prefixes: &[u8], rest: &[u8]) -> Result<()> {
    let unfit = || Error::damaged("its names do not fit together");
    let mut rest = rest.split_inclusive(|&byte| byte == 0);
    let mut name = Vec::new();
    for &prefix in prefixes {
        let rest = rest.next().filter(|rest| rest.ends_with(&[0]));
        let rest = rest.ok_or_else(unfit)?;
        // The zero byte at the end of the name before is in no prefix.
        let most = name.len().saturating_sub(1).min(rest.len() * MOST_PREFIX);
        let prefix = Some(usize::from(prefix)).filter(|&prefix| prefix <= most);
        name.truncate(prefix.ok_or_else(unfit)?);
        name.extend(rest);
        tables.push_name(&name);
    }
    match rest.next() {
        None => Ok(()),
        Some(_) => Err(unfit()),
    }
}

fn read_labels(tables: &mut Tables, mut input: Input<'_>) -> Result<()> {
    let mut next = VOID + 1;
    while !input.is_empty() {
        let ago = input.number()?;
        let label = next.checked_sub(ago).filter(|&label| label != VOID);
        tables.label_of.push(label.ok_or_else(unknown)?);
        next += u32::from(ago == 0);
    }
    tables.labels = next;
    Ok(())
}

fn unknown() -> Error {
    Error::damaged("it refers to something that it does not have")
}

struct Reader<'c> {
    columns: [Input<'c>; COLUMNS],
    /// The number of the next name that comes for the first time.
    next_name: u32,
    names: u32,
    labels: u32,
}

impl Reader<'_> {
    fn number(&mut self, column: Column) -> Result<u32> {
        self.columns[column as usize].number()
    }

    fn record(&mut self, byte: u8, label: u32, words: &mut Vec<u32>) -> Result<Shape> {
        let mut info = u32::from(byte) << 24;
        let shape = Shape::of_kind(kind(info));
        let shape = shape.ok_or_else(|| Error::damaged("it has a type of an unknown kind"))?;
        if let Some(column) = shape.count {
            let count = self.number(column)?;
            if count >> 24 != 0 {
                return Err(Error::damaged("a type in it has too many members"));
            }
            info |= count;
        }
        let name = self.word(Word::Name(Column::TypeName), label, &mut 0)?;
        words.extend([name, info]);
        let mut before = 0;
        for sort in shape.fields(info) {
            words.push(self.word(sort, label, &mut before)?);
        }
        Ok(shape)
    }

    #[inline]
    fn word(&mut self, sort: Word, own: u32, before: &mut u32) -> Result<u32> {
        match sort {
            Word::Name(column) => {
                let name = match self.number(column)? {
                    0 => {
                        self.next_name += 1;
                        self.next_name - 1
                    }
                    code => code - 1,
                };
                (name < self.names).then_some(name).ok_or_else(unknown)
            }
            Word::Type(column) => {
                let label = label_of_code(own, self.number(column)?);
                (label < self.labels).then_some(label).ok_or_else(unknown)
            }
            Word::Number(column) => self.number(column),
            Word::Difference(column) => {
                *before = self.columns[column as usize].difference(*before)?;
                Ok(*before)
            }
        }
    }
}
