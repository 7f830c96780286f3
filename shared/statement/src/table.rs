//! CSV: delimiter, cells, line numbers (RFC 4180, <https://www.rfc-editor.org/rfc/rfc4180>, as loosely as banks take it).

use crate::fault::{Fault, StatementError};
use crate::text::Lines;
use crate::{LONGEST_TEXT, MOST_ENTRIES};
use csv::{ReaderBuilder, StringRecord};

/// What banks put between cells, the likeliest first.
pub(crate) const DELIMITERS: [char; 3] = [';', ',', '\t'];
/// Rows before the headings, and after the last booking.
const MOST_OTHERS: usize = 200;

/// A row of a table.
pub(crate) struct Row {
    /// The line it begins on.
    pub(crate) line: usize,
    cells: StringRecord,
}

impl Row {
    /// The text of a cell, without space around it. Empty if the row is shorter.
    pub(crate) fn cell(&self, index: usize) -> &str {
        bare(self.cells.get(index).unwrap_or(""))
    }

    /// The texts of all cells.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(bare)
    }

    /// Cells, without the empty ones at the end.
    pub(crate) fn width(&self) -> usize {
        (0..self.cells.len()).rev().find(|index| !self.cell(*index).is_empty()).map_or(0, |last| last + 1)
    }
}

/// A text without space around it, and without the `="…"` by which some banks keep spreadsheets from taking it for a number.
fn bare(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix("=\"").and_then(|text| text.strip_suffix('"')).map_or(cell, str::trim)
}

/// Refuses lines of which nothing but cells would be left, before they fill the memory.
///
/// # Errors
/// [`Fault::TooLong`].
pub(crate) fn check_lines(text: &str) -> Result<(), StatementError> {
    let cells = |line: &str| line.bytes().filter(|byte| DELIMITERS.contains(&char::from(*byte))).count();
    match (1..).zip(text.lines()).find(|(_, line)| line.len() > LONGEST_TEXT && cells(line) > LONGEST_TEXT) {
        Some((line, _)) => Err(Fault::TooLong.at(line)),
        None => Ok(()),
    }
}

/// At most so many rows of a table.
pub(crate) fn rows(text: &str, delimiter: char, most: usize) -> Vec<Row> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(u8::try_from(delimiter).unwrap_or(b';'))
        .from_reader(text.as_bytes());
    let mut lines = Lines::of(text);
    let mut rows = Vec::new();
    while rows.len() < most {
        let place = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
        let line = lines.line_of_text(place);
        let mut cells = StringRecord::new();
        // It reads text from memory and takes rows of any length, so it cannot fail.
        if !reader.read_record(&mut cells).unwrap_or(false) {
            break;
        }
        rows.push(Row { line, cells });
    }
    rows
}

/// All rows of a table.
///
/// # Errors
/// [`Fault::TooMany`], [`Fault::TooLong`].
pub(crate) fn all_rows(text: &str, delimiter: char) -> Result<Vec<Row>, StatementError> {
    let rows = rows(text, delimiter, MOST_ENTRIES + MOST_OTHERS + 1);
    if rows.len() > MOST_ENTRIES + MOST_OTHERS {
        return Err(Fault::TooMany.of_the_file());
    }
    match rows.iter().find(|row| row.cells.iter().any(|cell| cell.len() > LONGEST_TEXT)) {
        Some(row) => Err(Fault::TooLong.at(row.line)),
        None => Ok(rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_know_their_lines() {
        let text = "a;b\r\n\r\n\"c\nd\";e\r\n=\"f\"; g ;;\n\n";
        let rows = rows(text, ';', 10);
        let read: Vec<_> = rows.iter().map(|row| (row.line, row.cell(0), row.cell(1), row.width())).collect();
        assert_eq!(read, [(1, "a", "b", 2), (3, "c\nd", "e", 2), (5, "f", "g", 2)]);
        assert_eq!(rows[0].cell(7), "");
        assert_eq!(check_lines(text), Ok(()));
        assert_eq!(check_lines(&format!("a\n{}", ";".repeat(LONGEST_TEXT + 1))), Err(Fault::TooLong.at(2)));
    }
}
