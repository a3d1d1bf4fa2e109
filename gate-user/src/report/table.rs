//! Columns of text.

use std::io;

/// Rows of cells, padded to the widest of their column: the first column to the left, numbers to the right.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        Self {
            rows: vec![
                headings
                    .iter()
                    .map(|heading| (*heading).to_owned())
                    .collect(),
            ],
        }
    }

    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether there are only headings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.len() <= 1
    }

    /// Writes it, each line after two spaces.
    pub fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                self.rows
                    .iter()
                    .filter_map(|row| row.get(column))
                    .map(|it| it.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let numeric: Vec<bool> = (0..columns)
            .map(|column| {
                let mut cells = self
                    .rows
                    .iter()
                    .skip(1)
                    .filter_map(|row| row.get(column))
                    .peekable();
                cells.peek().is_some()
                    && cells.all(|it| !it.is_empty() && it.chars().all(|c| c.is_ascii_digit()))
            })
            .collect();
        for row in &self.rows {
            let mut line = String::from(" ");
            for ((cell, width), numeric) in row.iter().zip(&widths).zip(&numeric) {
                let padding = " ".repeat(width - cell.chars().count());
                line.push(' ');
                if *numeric {
                    line.push_str(&padding);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&padding);
                }
                line.push(' ');
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_line_up_on_the_right() {
        let mut table = Table::new(&["pool", "passed"]);
        table.row(["a", "7"]);
        table.row(["long-name", "12345"]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "  pool       passed\n  a               7\n  long-name   12345\n"
        );
    }
}
