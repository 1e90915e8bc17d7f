//! The program's definition beside the kernel's, as text.

use btfgen::{Layout, LayoutField, Layouts};

use crate::amount::count;
use crate::explain::printable;

/// The lines of the program's definition.
pub(crate) fn of_program(layouts: &Layouts) -> Vec<String> {
    lines(&layouts.program)
}

/// The lines of the kernel's definitions.
pub(crate) fn of_kernel(layouts: &Layouts) -> Vec<String> {
    layouts.kernel.iter().flat_map(lines).collect()
}

/// Both in two columns.
pub(crate) fn beside(layouts: &Layouts) -> Vec<String> {
    let mut left = vec!["in the program".to_owned()];
    left.extend(of_program(layouts));
    let mut right = vec![format!("in {}", printable(&layouts.on.to_string()))];
    right.extend(of_kernel(layouts));
    let width = left.iter().map(|line| line.chars().count()).max();
    let width = width.unwrap_or_default();
    let rows = left.len().max(right.len());
    left.resize(rows, String::new());
    right.resize(rows, String::new());
    let rows = left.into_iter().zip(right);
    let rows = rows.map(|(left, right)| format!("{left:<width$} | {right}").trim_end().to_owned());
    rows.collect()
}

fn lines(layout: &Layout) -> Vec<String> {
    let mut head = printable(&layout.r#type);
    if let Some(bytes) = layout.bytes {
        head = format!("{head}, {}", count(bytes as usize, "byte"));
    }
    if layout.shown.len() < layout.fields {
        head = format!(
            "{head}, {} of {}",
            layout.shown.len(),
            count(layout.fields, "field")
        );
    }
    let fields = layout.shown.iter().map(field);
    std::iter::once(head).chain(fields).collect()
}

fn field(field: &LayoutField) -> String {
    let bit = field.bit.map(|bit| format!(", bit {bit}"));
    let bytes = field
        .bytes
        .map(|bytes| format!(", {}", count(bytes as usize, "byte")));
    format!(
        "  {}  at {}{}{}",
        printable(&field.declaration),
        field.offset,
        bit.unwrap_or_default(),
        bytes.unwrap_or_default()
    )
}
