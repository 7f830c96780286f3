//! What can be wrong with a file, in sentences for the person who uploaded it.

use crate::{LARGEST_FILE, LONGEST_TEXT, MOST_ENTRIES};

/// Why a file could not be read. Shown, it is a sentence with the number of the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{fault}", .line.map_or(String::new(), |line| format!("line {line}: ")))]
pub struct StatementError {
    /// The line of the file, from 1. None if it is the file as a whole.
    pub line: Option<usize>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong. Texts of the file are cut to 40 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// More than [`LARGEST_FILE`] bytes.
    #[error("the file is larger than {} MB; export a shorter period", LARGEST_FILE / 1_000_000)]
    TooLarge,
    /// More than [`MOST_ENTRIES`] entries.
    #[error("the file has more than {MOST_ENTRIES} bookings; export a shorter period")]
    TooMany,
    /// A text longer than [`LONGEST_TEXT`] bytes.
    #[error("a text is longer than {LONGEST_TEXT} characters; perhaps a quotation mark is not closed")]
    TooLong,
    /// A format that is recognised and not read.
    #[error("this is {0}; export the statement as CAMT.053 (XML) or as CSV")]
    Format(&'static str),
    /// XML, but no statement.
    #[error("this XML file is no account statement; export the statement as CAMT.053 or as CSV")]
    NoStatement,
    /// Not well-formed XML, or nested or spread beyond all statements.
    #[error("the XML is damaged here; download the statement again")]
    Xml,
    /// A document type or an entity: a way to attack readers of XML.
    #[error("the file has a document type or an entity, which no bank's statement has; it is not read")]
    Entity,
    /// Bookings of more than one account.
    #[error("the file has bookings of more than one account; export one account at a time")]
    Accounts,
    /// Something that every booking has is missing.
    #[error("the booking has no {0}")]
    Missing(&'static str),
    /// Neither booked nor known to be anything else.
    #[error("the status “{0}” is not known; it must say whether this is booked")]
    Status(String),
    /// Neither credit nor debit.
    #[error("“{0}” does not say whether the money came in or went out")]
    Direction(String),
    /// No amount.
    #[error("“{0}” is not an amount")]
    Amount(String),
    /// An amount that the currency does not have.
    #[error("“{text}” has more decimals than {currency} has ({decimals})")]
    Decimals {
        /// The amount as it is written.
        text: String,
        /// The currency.
        currency: &'static str,
        /// Its decimals.
        decimals: usize,
    },
    /// A single point or comma before three digits, and nothing in the file decides what it is.
    #[error(
        "“{0}” can be read with and without decimals; say whether the file writes decimals with a comma or with a point"
    )]
    AmbiguousAmount(String),
    /// Both decimal commas and decimal points.
    #[error("“{0}” writes decimals in another way than the lines before it")]
    MixedDecimals(String),
    /// Debit and credit in one line.
    #[error("the line has both a debit and a credit")]
    BothSides,
    /// A negative amount that is called a credit.
    #[error("the amount is negative, but the line says that the money came in")]
    Contradiction,
    /// No date, or none that exists.
    #[error("“{0}” is not a date")]
    Date(String),
    /// A date that may be two, and nothing in the file decides which.
    #[error(
        "“{0}” can be read as two dates, and no line of the file decides it; say whether the day or the month comes first"
    )]
    AmbiguousDate(String),
    /// Dates with the day first and dates with the month first.
    #[error("“{0}” has day and month in another order than the lines before it")]
    MixedDates(String),
    /// No ISO 4217 code.
    #[error("“{0}” is not a currency; it must be a code such as EUR")]
    Currency(String),
    /// Nothing says which currency the amounts are in.
    #[error("the file does not say the currency of its amounts; say which it is")]
    NoCurrency,
    /// No row of headings.
    #[error(
        "no row names the columns; one of the first rows must have at least a date and an amount, such as “Date” and “Amount”"
    )]
    NoHeadings,
    /// A column that the caller named.
    #[error("there is no column “{0}”")]
    NoColumn(String),
    /// More cells than headings: what follows an unquoted delimiter would be taken for something else.
    #[error(
        "the line has {found} cells, but only {headings} columns have a name; perhaps a text with a delimiter is not quoted"
    )]
    Cells {
        /// Cells of the line.
        found: usize,
        /// Columns of the row of headings.
        headings: usize,
    },
    /// A quotation mark that swallows further lines.
    #[error("a quotation mark is opened and not closed, so that the lines after it cannot be told apart")]
    Quotation,
}

impl Fault {
    /// This fault at a line.
    pub(crate) const fn at(self, line: usize) -> StatementError {
        StatementError { line: Some(line), fault: self }
    }

    /// This fault of the file as a whole.
    pub(crate) const fn of_the_file(self) -> StatementError {
        StatementError { line: None, fault: self }
    }
}

/// What a sentence shows of a text of the file: at most 40 characters, on one line.
pub(crate) fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
