//! Bank statements: CAMT.053 and the banks' CSV exports read into entries, and our payment references found in them.
//!
//! [`read`] turns an uploaded file into a [`Statement`]; [`read_csv`] does so for a CSV file whose columns, dates or decimals
//! have to be named. [`reference()`] writes what a buyer is to put into the transfer, and [`find_codes`] finds it again in what
//! people and banks made of it.
//!
//! | Module      | Holds |
//! |-------------|-------|
//! | `fault`     | what can be wrong with a file, in sentences for the person who uploaded it |
//! | `camt`      | ISO 20022 camt.052, camt.053 and camt.054, versions 02 to 13 |
//! | `xml`       | an XML document as a small tree: bounded, without document types and entities |
//! | `lines`     | the lines of a CSV export as entries |
//! | `headings`  | which column is which, by the names that banks give them in six languages |
//! | `table`     | CSV: delimiter, cells, line numbers |
//! | `text`      | bytes to characters: UTF-8, UTF-16, Windows-1252 |
//! | `amount`    | amounts as people write them to minor units, exactly |
//! | `date`      | dates as people write them |
//! | `iban`      | account numbers that check |
//! | `id`        | ids of booking lines that stay the same from file to file |
//! | `code`      | payment references: written, checked, found |
//!
//! Whatever the bytes are, reading ends in a statement or in an error that says what is wrong on which line. Nothing here reads
//! a clock, and the same file gives the same entries with the same ids.

mod amount;
mod camt;
mod code;
mod date;
mod fault;
mod headings;
mod iban;
mod id;
mod lines;
mod table;
mod text;
mod xml;

pub use amount::Decimal;
pub use code::{REFERENCE_BITS, find_codes, parse, reference};
pub use date::DateOrder;
pub use fault::{Fault, StatementError};
pub use headings::Columns;

use jiff::civil::Date;

/// The largest file, in bytes: about 3,000 bookings as CAMT, 25,000 as CSV.
pub const LARGEST_FILE: usize = 5_000_000;
/// The most entries of one file.
pub const MOST_ENTRIES: usize = 10_000;
/// The longest text of one element or cell, in bytes. The longest that ISO 20022 has for an entry is 500 characters.
pub const LONGEST_TEXT: usize = 4_000;

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The IBAN of the account, without spaces, where the file says it and it checks.
    pub account: Option<String>,
    /// The currency of the account (ISO 4217), or of the first entry. None for a file without either.
    pub currency: Option<String>,
    /// What was booked, in the order of the file.
    pub entries: Vec<Entry>,
    /// How many lines were left out because they are not booked: pending, declined or for information.
    pub skipped: usize,
}

/// One booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Names this booking among those of its account, also when it comes in another file of the same format: day, amount and the
    /// bank's reference, or a hash of the line where the bank gives none; the second of the same kind ends in `.2`.
    pub id: String,
    /// When the bank booked it.
    pub booked: Date,
    /// From when on it bears interest.
    pub value: Option<Date>,
    /// Minor units of the currency: positive came in, negative went out.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// The remittance information: what the payer wrote, then the structured creditor reference. White space is single spaces.
    pub reference: String,
    /// Who paid, or who was paid.
    pub counterparty: Option<String>,
    /// The IBAN of the other side, without spaces, if it checks.
    pub iban: Option<String>,
    /// The bank says that this takes back an earlier booking. CSV exports do not say it.
    pub reversal: bool,
}

/// Reads a statement: CAMT or CSV, recognised by what is in it.
///
/// # Errors
/// [`StatementError`], which says the line and what is wrong with it.
pub fn read(bytes: &[u8]) -> Result<Statement, StatementError> {
    let text = decoded(bytes)?;
    match text.trim_start().starts_with('<') {
        true => camt::read(&text),
        false => lines::read(&text, &Columns::default()),
    }
}

/// Reads a CSV export, some of whose columns, or whose dates, decimals or currency the caller knows.
///
/// # Errors
/// [`StatementError`], which says the line and what is wrong with it.
pub fn read_csv(bytes: &[u8], columns: &Columns) -> Result<Statement, StatementError> {
    lines::read(&decoded(bytes)?, columns)
}

/// The text of a file that may be a statement.
fn decoded(bytes: &[u8]) -> Result<std::borrow::Cow<'_, str>, StatementError> {
    if bytes.len() > LARGEST_FILE {
        return Err(Fault::TooLarge.of_the_file());
    }
    if let Some(kind) = text::other_format(bytes) {
        return Err(Fault::Format(kind).of_the_file());
    }
    Ok(text::decode(bytes))
}

#[cfg(test)]
mod samples;
