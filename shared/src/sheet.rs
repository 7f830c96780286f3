//! Tables for spreadsheets: CSV (RFC 4180, UTF-8).
//!
//! What other people wrote ends up in somebody's spreadsheet, and a cell that begins like a formula is one there. Such cells get an
//! apostrophe in front, as OWASP advises (<https://owasp.org/www-community/attacks/CSV_Injection>); numbers stay numbers.

use crate::error::{Code, Result};

/// The content type.
pub const CSV: &str = "text/csv; charset=utf-8; header=present";

/// A table with a heading.
///
/// # Errors
/// `internal` if it cannot be written.
pub fn write<const N: usize>(
    heading: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<Vec<u8>> {
    let broken = |error: csv::Error| Code::Internal.caused_by(error);
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(heading).map_err(broken)?;
    for row in rows {
        writer.write_record(row.iter().map(|cell| harmless(cell))).map_err(broken)?;
    }
    writer.into_inner().map_err(|error| Code::Internal.caused_by(error.to_string()))
}

fn harmless(cell: &str) -> String {
    let number = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        digits.chars().all(|c| c.is_ascii_digit() || c == '.')
            && digits.starts_with(|c: char| c.is_ascii_digit())
    };
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) && !number(cell)
    {
        true => format!("'{cell}"),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_cell_is_a_formula_and_numbers_stay_numbers() {
        let rows = [
            "=1+1",
            "+49 30",
            "-2",
            "-2.50",
            "-2+cmd|' /C calc'!A0",
            "@SUM(A1)",
            "\tx",
            "Ada, \"Lovelace\"",
            "ß",
        ];
        let csv = write(["a"], rows.map(|cell| [cell.to_owned()])).unwrap();
        let lines = [
            "a",
            "'=1+1",
            "'+49 30",
            "-2",
            "-2.50",
            "'-2+cmd|' /C calc'!A0",
            "'@SUM(A1)",
            "'\tx",
            "\"Ada, \"\"Lovelace\"\"\"",
            "ß",
            "",
        ];
        assert_eq!(String::from_utf8(csv).unwrap(), lines.join("\r\n"));
    }

    proptest! {
        /// Whatever is in a cell, a reader of CSV finds it there again, with at most an apostrophe more.
        #[test]
        fn what_is_written_reads_back(cells in proptest::collection::vec("\\PC{0,12}", 3)) {
            let row: [String; 3] = cells.try_into().unwrap();
            let csv = write(["a", "b", "c"], [row.clone()]).unwrap();
            let read = csv::Reader::from_reader(csv.as_slice()).records().next().unwrap().unwrap();
            for (cell, written) in read.iter().zip(&row) {
                prop_assert!(cell == written || cell.strip_prefix('\'') == Some(written));
                prop_assert!(!cell.starts_with(['=', '+', '@']));
            }
        }
    }
}
