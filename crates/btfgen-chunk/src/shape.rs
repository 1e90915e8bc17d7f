//! What the words of a type are, by its kind: Documentation/bpf/btf.rst of the kernel.

/// A column of the tables: all words of one sort, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Column {
    /// The upper byte of each info word: the kind and `kind_flag`.
    Kind,
    /// The rest of the info word, for kinds that repeat words: how often.
    Count,
    /// The label of each record.
    Label,
    /// The names of the types themselves.
    TypeName,
    /// Sizes and other numbers.
    Number,
    /// What pointers, typedefs, modifiers, arrays, variables and tags refer to.
    Target,
    /// The prototypes of functions.
    Prototype,
    /// The results of prototypes.
    Result,
    /// The parameters of prototypes: name and type of each.
    Param,
    MemberName,
    MemberType,
    MemberOffset,
    EnumeratorName,
    EnumeratorValue,
    Variable,
    VariablePlace,
    /// How many bytes at its beginning each name has in common with the name before it.
    NamePrefix,
    /// The other bytes of the names.
    NameRest,
    /// The rest of the info word of each function: its linkage, where others have the number of members.
    Linkage,
}

/// The number of columns.
pub(crate) const COLUMNS: usize = Column::Linkage as usize + 1;

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// A name.
    Name(Column),
    /// A type.
    Type(Column),
    /// A number, written as it is.
    Number(Column),
    /// A number, written as the difference from the one before it in the same record.
    Difference(Column),
}

/// What the words behind name and info are: the third word and those that follow once, and those that repeat for each member,
/// enumerator, parameter or variable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// The column of the number of members. It is zero without a column.
    pub(crate) count: Option<Column>,
    pub(crate) own: &'static [Word],
    pub(crate) each: &'static [Word],
}

/// The words of `struct btf_type` before the third one: name and info.
pub(crate) const HEAD: usize = 2;

const NUMBER: Word = Word::Number(Column::Number);
const TARGET: Word = Word::Type(Column::Target);
const PLACE: Word = Word::Number(Column::VariablePlace);

/// `BTF_KIND_*` of the kinds for which there are rules.
pub(crate) const KIND_TYPE_TAG: u32 = 18;
const KIND_FUNC: u32 = 12;

impl Shape {
    /// The shape of the types of this kind. `None` for a kind that is newer than this table.
    pub(crate) fn of_kind(kind: u32) -> Option<Self> {
        let (own, each): (&'static [Word], &'static [Word]) = match kind {
            // INT
            1 => (&[NUMBER, NUMBER], &[]),
            // PTR, TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG
            2 | 8..=11 | KIND_TYPE_TAG => (&[TARGET], &[]),
            // ARRAY: no size, element, index, length.
            3 => (&[NUMBER, TARGET, TARGET, NUMBER], &[]),
            // STRUCT, UNION
            4 | 5 => (
                &[NUMBER],
                &[
                    Word::Name(Column::MemberName),
                    Word::Type(Column::MemberType),
                    Word::Difference(Column::MemberOffset),
                ],
            ),
            // ENUM
            6 => (
                &[NUMBER],
                &[
                    Word::Name(Column::EnumeratorName),
                    Word::Difference(Column::EnumeratorValue),
                ],
            ),
            // FWD, FLOAT
            7 | 16 => (&[NUMBER], &[]),
            // FUNC
            KIND_FUNC => (&[Word::Type(Column::Prototype)], &[]),
            // FUNC_PROTO
            13 => (
                &[Word::Type(Column::Result)],
                &[Word::Name(Column::Param), Word::Type(Column::Param)],
            ),
            // VAR, DECL_TAG
            14 | 17 => (&[TARGET, NUMBER], &[]),
            // DATASEC
            15 => (&[NUMBER], &[Word::Type(Column::Variable), PLACE, PLACE]),
            // ENUM64: name, lower and upper half of the value.
            19 => (
                &[NUMBER],
                &[
                    Word::Name(Column::EnumeratorName),
                    Word::Difference(Column::EnumeratorValue),
                    Word::Number(Column::EnumeratorValue),
                ],
            ),
            _ => return None,
        };
        let count = match kind {
            KIND_FUNC => Some(Column::Linkage),
            _ => (!each.is_empty()).then_some(Column::Count),
        };
        Some(Self { count, own, each })
    }

    /// The shape of a type with this info word. `None` for a kind that is newer than the table, and for a number of members
    /// where the kind has none.
    pub(crate) fn of_info(info: u32) -> Option<Self> {
        let shape = Self::of_kind(kind(info));
        shape.filter(|shape| shape.count.is_some() || count(info) == 0)
    }

    /// The words of a type, with name and info.
    pub(crate) fn words(self, info: u32) -> usize {
        HEAD + self.own.len() + self.each.len() * count(info) as usize
    }

    /// What each word behind name and info is.
    pub(crate) fn fields(self, info: u32) -> impl Iterator<Item = Word> {
        let repeated = if self.each.is_empty() { 0 } else { count(info) };
        let each = (0..repeated).flat_map(move |_| self.each);
        self.own.iter().chain(each).copied()
    }
}

/// The kind in an info word. Linux 7.1 gave it 7 bits instead of 5; the others were zero before.
pub(crate) fn kind(info: u32) -> u32 {
    info >> 24 & 0x7f
}

/// The number of members in an info word. Linux 7.1 gave it 24 bits instead of 16; the others were zero before.
pub(crate) fn count(info: u32) -> u32 {
    info & 0xff_ffff
}
