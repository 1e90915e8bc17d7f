//! Tables with aligned columns.

use std::io::{self, Write};

use crate::style::STRONG;

/// Rows of text below a header.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    columns: [Column; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

/// A column's header and alignment.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    /// Text, aligned to the left.
    Text(&'static str),
    /// Numbers, aligned to the right.
    Number(&'static str),
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// Creates a table without rows.
    pub(crate) fn new(columns: [Column; COLUMNS]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, row: [String; COLUMNS]) {
        self.rows.push(row);
    }

    /// Prints the header and the rows. Below each row it prints the lines that `below` returns for it.
    pub(crate) fn print(
        &self,
        out: &mut dyn Write,
        below: impl Fn(usize) -> Vec<String>,
    ) -> io::Result<()> {
        let heads = self.columns.map(|c| match c {
            Column::Text(head) | Column::Number(head) => head,
        });
        let mut widths = heads.map(str::len);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        writeln!(
            out,
            "{STRONG}{}{STRONG:#}",
            self.line(&heads.map(str::to_owned), &widths)
        )?;
        for (i, row) in self.rows.iter().enumerate() {
            writeln!(out, "{}", self.line(row, &widths))?;
            for line in below(i) {
                writeln!(out, "    {line}")?;
            }
        }
        Ok(())
    }

    fn line(&self, cells: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
        let mut line = String::new();
        for ((column, cell), &width) in self.columns.iter().zip(cells).zip(widths) {
            line.push_str(&match column {
                Column::Text(_) => format!("{cell:<width$}  "),
                Column::Number(_) => format!("{cell:>width$}  "),
            });
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that text is aligned to the left and numbers to the right, and that no line ends in spaces.
    #[test]
    fn alignment() {
        let mut table = Table::new([Column::Text("NAME"), Column::Number("N"), Column::Text("X")]);
        table.row(["größer".into(), "1".into(), String::new()]);
        table.row(["b".into(), "100".into(), "x".into()]);
        let mut out = anstream::StripStream::new(Vec::new());
        let below = |row| (row == 1).then(|| "more".to_owned()).into_iter().collect();
        table.print(&mut out, below).unwrap();
        assert_eq!(
            String::from_utf8(out.into_inner()).unwrap(),
            "NAME      N  X\ngrößer    1\nb       100  x\n    more\n"
        );
    }
}
