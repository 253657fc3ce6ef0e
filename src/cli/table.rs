//! Tables that align.

use super::print::{clean, say};

/// A column's heading, and where its cells stand.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

/// Rows under headings.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    #[must_use]
    pub fn new(columns: &[Column]) -> Self {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| clean(&cell)).collect());
    }

    /// Prints the table; without a row only says that there is none.
    pub fn print(&self, nothing: &str) {
        if self.rows.is_empty() {
            say!("{nothing}");
            return;
        }
        self.lines().iter().for_each(|line| say!("{line}"));
    }

    fn lines(&self) -> Vec<String> {
        let headings = self.columns.iter().map(|column| match column {
            Column::Left(heading) | Column::Right(heading) => (*heading).to_owned(),
        });
        let all: Vec<Vec<String>> = std::iter::once(headings.collect()).chain(self.rows.iter().cloned()).collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| all.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0))
            .collect();
        all.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), column) in row.iter().zip(widths).zip(&self.columns) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            match column {
                Column::Left(_) => line.push_str(&format!("{cell:<width$}")),
                Column::Right(_) => line.push_str(&format!("{cell:>width$}")),
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_headings() {
        let mut table = Table::new(&[Column::Left("NAME"), Column::Right("N"), Column::Left("WHY")]);
        table.row(["caf\u{e9}".into(), "12".into(), String::new()]);
        table.row(["a".into(), "1234".into(), "x\ny".into()]);
        assert_eq!(table.lines(), ["NAME     N  WHY", "caf\u{e9}    12", "a     1234  x\\ny"]);
    }
}
