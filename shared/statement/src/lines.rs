//! The lines of a CSV export as entries.

use crate::amount::{self, Decimal, Written};
use crate::date::{self, DateOrder};
use crate::fault::{Fault, StatementError, shown};
use crate::headings::{self, Columns, FIRST_ROWS, Layout, is_balance, is_booked, is_currency_label};
use crate::iban::iban;
use crate::id::{self, Ids};
use crate::table::{self, DELIMITERS, Row};
use crate::text::tidy;
use crate::{Entry, MOST_ENTRIES, Statement};
use iso_currency::Currency;
use jiff::civil::Date;

/// Reads an export.
pub(crate) fn read(text: &str, columns: &Columns) -> Result<Statement, StatementError> {
    table::check_lines(text)?;
    let delimiter = delimiter(text, columns)?;
    let rows = table::all_rows(text, delimiter)?;
    let (at, layout) = headings::find(&rows, columns)?;
    let (above, below) = (&rows[..at], &rows[at + 1..]);
    let mut bookings = Vec::new();
    let mut skipped = 0;
    for row in below {
        match kind(row, &layout, delimiter)? {
            Kind::Booked => bookings.push(row),
            Kind::NotBooked => skipped += 1,
            Kind::Other => {}
        }
    }
    if bookings.len() > MOST_ENTRIES {
        return Err(Fault::TooMany.of_the_file());
    }
    let account = one_account(&bookings, &layout)?.or(above.iter().find_map(named_account));
    let decimal = decimal(&bookings, &layout, columns)?;
    let order = order(&bookings, &layout, columns, decimal)?;
    let all_in = all_in(above, &layout, columns)?;
    let habits = Habits { layout: &layout, decimal, order, all_in };
    let mut ids = Ids::default();
    let entry = |row: &&Row| habits.entry(row, &mut ids).map_err(|fault| fault.at(row.line));
    let entries: Vec<Entry> = bookings.iter().map(entry).collect::<Result<_, _>>()?;
    let currency = entries
        .first()
        .map(|entry| entry.currency.clone())
        .or(all_in.map(|currency| currency.code().to_owned()));
    Ok(Statement { account, currency, entries, skipped })
}

/// The delimiter with which there are headings. If there are none, the fault is that of the one which makes the most cells.
fn delimiter(text: &str, columns: &Columns) -> Result<char, StatementError> {
    let mut worst = (0, Fault::NoHeadings.of_the_file());
    for delimiter in DELIMITERS {
        let rows = table::rows(text, delimiter, FIRST_ROWS + 1);
        let cells: usize = rows.iter().map(Row::width).sum();
        match headings::find(&rows, columns) {
            Ok(_) => return Ok(delimiter),
            Err(error) if cells > worst.0 => worst = (cells, error),
            Err(_) => {}
        }
    }
    Err(worst.1)
}

/// What a row below the headings is.
enum Kind {
    Booked,
    NotBooked,
    /// Blank, a balance, or words about the file.
    Other,
}

fn kind(row: &Row, layout: &Layout, delimiter: char) -> Result<Kind, StatementError> {
    let booked = row.cell(layout.booked);
    let amounts = [layout.amount, layout.debit, layout.credit];
    let is_priced = amounts.into_iter().flatten().any(|index| !row.cell(index).is_empty());
    let is_short = row.cells().filter(|cell| !cell.is_empty()).count() < 2;
    let is_dated = booked.contains(|c: char| c.is_ascii_digit());
    let sum = is_balance(booked) || (says_nothing(row, layout) && row.cells().any(is_balance));
    if is_short || sum || (!is_priced && !is_dated) {
        return Ok(Kind::Other);
    }
    if row.width() > layout.width {
        return Err(Fault::Cells { found: row.width(), headings: layout.width }.at(row.line));
    }
    let swallowed = |line: &str| line.matches(delimiter).count() + 1 >= layout.width.max(3);
    if row.cells().any(|cell| cell.lines().skip(1).any(swallowed)) {
        return Err(Fault::Quotation.at(row.line));
    }
    // Where a bank has no column for the status, it may say it in place of the date.
    let status = layout.status.map_or("", |index| row.cell(index));
    match is_booked(status).ok_or_else(|| Fault::Status(shown(status)).at(row.line))? {
        true if is_booked(booked) != Some(false) => Ok(Kind::Booked),
        _ => Ok(Kind::NotBooked),
    }
}

/// Neither who nor what for, where there are columns for it: the name of a balance elsewhere in the row is not a payer's word.
fn says_nothing(row: &Row, layout: &Layout) -> bool {
    let single = [layout.name, layout.payer, layout.payee, layout.iban];
    let mut columns = single.iter().flatten().chain(&layout.purpose).chain(&layout.description).peekable();
    columns.peek().is_some() && columns.all(|index| row.cell(*index).is_empty())
}

/// The account in a column of the bookings.
fn one_account(bookings: &[&Row], layout: &Layout) -> Result<Option<String>, StatementError> {
    let Some(column) = layout.account else { return Ok(None) };
    let first = bookings.first().map_or("", |row| row.cell(column));
    match bookings.iter().find(|row| row.cell(column) != first) {
        Some(row) => Err(Fault::Accounts.at(row.line)),
        None => Ok(iban(first)),
    }
}

/// The account that a row above the headings names, alone in a cell or after words.
fn named_account(row: &Row) -> Option<String> {
    row.cells().find_map(|cell| {
        let starts = cell
            .char_indices()
            .filter(|(at, _)| cell[..*at].chars().next_back().is_none_or(|c| !c.is_alphanumeric()));
        starts.map(|(at, _)| &cell[at..]).take(20).find_map(iban)
    })
}

/// The currency of the lines that do not say theirs: as the headings have it, the rows above them, or the caller.
fn all_in(above: &[Row], layout: &Layout, columns: &Columns) -> Result<Option<Currency>, StatementError> {
    let told = match &columns.all_in {
        Some(code) => {
            Some(Currency::from_code(code).ok_or_else(|| Fault::Currency(shown(code)).of_the_file())?)
        }
        None => None,
    };
    Ok(layout.all_in.or_else(|| above.iter().find_map(named_currency)).or(told))
}

/// `Währung:;CHF`, `Saldo;1.234,56;EUR` or `1.234,56 €`.
fn named_currency(row: &Row) -> Option<Currency> {
    let cells: Vec<&str> = row.cells().collect();
    let after = cells.windows(2).find_map(|pair| {
        let is_label = is_currency_label(pair[0]) || Written::of(pair[0]).is_ok();
        amount::currency(pair[1]).filter(|_| is_label)
    });
    after.or_else(|| cells.iter().find_map(|cell| Written::of(cell).ok()?.currency))
}

/// How the file writes decimals, if the caller or any of its amounts says so.
fn decimal(bookings: &[&Row], layout: &Layout, columns: &Columns) -> Result<Option<Decimal>, StatementError> {
    let mut decimal = columns.decimal;
    for row in bookings {
        for cell in
            [layout.amount, layout.debit, layout.credit].into_iter().flatten().map(|index| row.cell(index))
        {
            // What is no amount is said where it is read.
            let shows = Written::of(cell).ok().and_then(|written| written.shows());
            match (decimal, shows) {
                (Some(known), Some(other)) if known != other => {
                    return Err(Fault::MixedDecimals(shown(cell)).at(row.line));
                }
                _ => decimal = decimal.or(shows),
            }
        }
    }
    Ok(decimal)
}

/// What comes first in the dates of the file: as the caller says, or else any line. If none shows it, it is the day where people
/// write so: where headings are not English, or decimals are written with a comma.
fn order(
    bookings: &[&Row],
    layout: &Layout,
    columns: &Columns,
    decimal: Option<Decimal>,
) -> Result<DateOrder, StatementError> {
    let mut order = columns.dates;
    let mut ambiguous = None;
    for row in bookings {
        for cell in [Some(layout.booked), layout.value].into_iter().flatten().map(|index| row.cell(index)) {
            let Ok(written) = date::Written::of(cell) else { continue };
            match (order, written.shows()) {
                (Some(known), Some(other)) if known != other => {
                    return Err(Fault::MixedDates(shown(cell)).at(row.line));
                }
                (_, shows) => order = order.or(shows),
            }
            if written.is_ambiguous() {
                ambiguous = ambiguous.or_else(|| Some(Fault::AmbiguousDate(shown(cell)).at(row.line)));
            }
        }
    }
    let by_custom = !layout.is_english || decimal == Some(Decimal::Comma);
    match (order, ambiguous) {
        (Some(order), _) => Ok(order),
        (None, Some(error)) if !by_custom => Err(error),
        (None, _) => Ok(DateOrder::DayFirst),
    }
}

/// How the file writes things.
struct Habits<'a> {
    layout: &'a Layout,
    decimal: Option<Decimal>,
    order: DateOrder,
    all_in: Option<Currency>,
}

impl Habits<'_> {
    fn entry(&self, row: &Row, ids: &mut Ids) -> Result<Entry, Fault> {
        let cell = |index: Option<usize>| index.map(|index| row.cell(index)).filter(|cell| !cell.is_empty());
        let booked = self.day(row.cell(self.layout.booked))?;
        let value = cell(self.layout.value).map(|cell| self.day(cell)).transpose()?;
        let (amount, currency) = self.amount(row)?;
        let party = if amount < 0 { self.layout.payee } else { self.layout.payer };
        let counterparty = cell(party).or(cell(self.layout.name)).map(tidy);
        let iban = cell(self.layout.iban).and_then(iban);
        let reference = self.reference(row);
        let texts =
            [reference.as_str(), counterparty.as_deref().unwrap_or(""), iban.as_deref().unwrap_or("")];
        let id = ids.id(booked, amount, cell(self.layout.id).and_then(id::given), &texts);
        let currency = currency.code().to_owned();
        Ok(Entry { id, booked, value, amount, currency, reference, counterparty, iban, reversal: false })
    }

    fn day(&self, cell: &str) -> Result<Date, Fault> {
        date::Written::of(cell)?.date(self.order).ok_or_else(|| Fault::Date(shown(cell)))
    }

    /// The amount with its sign, from its column or else from debit and credit.
    fn amount(&self, row: &Row) -> Result<(i64, Currency), Fault> {
        let cell = |index: Option<usize>| index.map(|index| row.cell(index)).filter(|cell| !cell.is_empty());
        let sign = match cell(self.layout.sign) {
            Some(text) => Some(amount::negative(text).ok_or_else(|| Fault::Direction(shown(text)))?),
            None => None,
        };
        if let Some(text) = cell(self.layout.amount) {
            let (amount, currency) = self.money(row, text)?;
            return match sign {
                Some(false) if amount < 0 => Err(Fault::Contradiction),
                Some(true) => Ok((-amount.abs(), currency)),
                _ => Ok((amount, currency)),
            };
        }
        let side = |index| cell(index).map(|text| self.money(row, text)).transpose();
        match (side(self.layout.debit)?, side(self.layout.credit)?) {
            (Some((0, _)) | None, Some((amount, _))) if amount < 0 => Err(Fault::Contradiction),
            (Some((0, _)) | None, Some(credit)) => Ok(credit),
            // Some banks write debits with a minus, others without.
            (Some((amount, currency)), Some((0, _)) | None) => Ok((-amount.abs(), currency)),
            (Some(_), Some(_)) => Err(Fault::BothSides),
            (None, None) => Err(Fault::Missing("amount")),
        }
    }

    fn money(&self, row: &Row, text: &str) -> Result<(i64, Currency), Fault> {
        let written = Written::of(text)?;
        let code = self.layout.currency.map(|index| row.cell(index)).filter(|cell| !cell.is_empty());
        let stated = match code {
            Some(code) => Some(amount::currency(code).ok_or_else(|| Fault::Currency(shown(code)))?),
            None => written.currency.or(self.all_in),
        };
        let currency = stated.ok_or(Fault::NoCurrency)?;
        let size = written.minor(self.decimal, currency)?;
        Ok((if written.negative == Some(true) { -size } else { size }, currency))
    }

    /// What the payer wrote; where there is nothing, what the bank calls it.
    fn reference(&self, row: &Row) -> String {
        let joined = |columns: &[usize]| {
            tidy(&columns.iter().map(|index| row.cell(*index)).collect::<Vec<_>>().join(" "))
        };
        let purpose = joined(&self.layout.purpose);
        if purpose.is_empty() { joined(&self.layout.description) } else { purpose }
    }
}
