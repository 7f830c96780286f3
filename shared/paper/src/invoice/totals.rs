//! The sums under the table: one band per row, all of them on one page.

use std::num::NonZeroU32;

use super::lines::{SMALLEST, under};
use super::{
    ACCENT, ACROSS, EDGE, INK, INSET, Invoice, InvoiceKind, LEADING, LEFT, MUTED, PLAIN, STRONG, TINT,
};
use crate::band::{Band, Cell, Meaning, Table};
use crate::canvas::{Align, Colour, Role};
use crate::shape::{Shaper, Style};
use crate::wrap::{Fit, fit, natural, snug};

const GAP: f32 = 12.0;
const SIZE: f32 = 9.0;
const TOTAL: f32 = 12.5;
const SMALL: f32 = 7.6;
const PADDING: f32 = 3.0;
/// The widest that a column of figures may get, in points.
const WIDEST: f32 = 118.0;

/// How a row looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Plain,
    /// The small words over the rows of tax.
    Head,
    /// The sum that the document is about.
    Total,
    /// What is left to pay.
    Due,
}

impl Look {
    /// Style, size and colour.
    fn letters(self) -> (Style, f32, Colour) {
        match self {
            Look::Plain => (PLAIN, SIZE, INK),
            Look::Head => (PLAIN, SMALL, MUTED),
            Look::Total => (STRONG, TOTAL, INK),
            Look::Due => (STRONG, SIZE, INK),
        }
    }
}

struct Row<'a> {
    label: &'a str,
    /// What tax is charged on.
    base: Option<&'a str>,
    amount: &'a str,
    look: Look,
}

/// Where the columns stand.
struct Columns {
    label: (f32, f32),
    /// None without rows of tax.
    base: Option<(f32, f32)>,
    amount: (f32, f32),
    size: f32,
}

pub(super) fn totals(shaper: &Shaper, invoice: &Invoice<'_>) -> Vec<Band> {
    let rows = rows(invoice);
    let columns = columns(shaper, &rows);
    let mut bands: Vec<Band> = rows.iter().map(|row| band(shaper, row, &columns)).collect();
    if let Some(first) = bands.first_mut() {
        first.above = 12.0;
    }
    bands
}

fn rows<'a>(invoice: &Invoice<'a>) -> Vec<Row<'a>> {
    let (labels, totals) = (&invoice.labels, &invoice.totals);
    let row = |label, amount, look| Row { label, base: None, amount, look };
    let optional = |label, amount: Option<&'a str>, look| amount.map(|amount| row(label, amount, look));
    let tax = |tax: &super::Tax<'a>| Row {
        label: tax.label,
        base: Some(tax.base),
        amount: tax.amount,
        look: Look::Plain,
    };
    let head = Row { label: labels.tax, base: Some(labels.net), amount: labels.tax_amount, look: Look::Head };
    let (credit, paid, due) = match invoice.kind {
        InvoiceKind::Invoice => (labels.gift_credit, labels.paid, labels.due),
        InvoiceKind::CreditNote { .. } => (labels.gift_credit_returned, labels.refunded, labels.refund_due),
    };
    let mut rows = Vec::new();
    rows.extend(optional(labels.subtotal, totals.subtotal, Look::Plain));
    rows.extend(optional(labels.discount, totals.discount, Look::Plain));
    if !totals.taxes.is_empty() {
        rows.push(head);
        rows.extend(totals.taxes.iter().map(tax));
    }
    rows.extend(optional(labels.rounding, totals.rounding, Look::Plain));
    rows.push(row(labels.total, totals.total, Look::Total));
    rows.extend(optional(credit, totals.gift_credit, Look::Plain));
    rows.extend(optional(paid, totals.paid, Look::Plain));
    rows.extend(optional(due, totals.due, Look::Due));
    rows
}

/// As wide as the figures need, at the end edge of the page.
fn columns(shaper: &Shaper, rows: &[Row<'_>]) -> Columns {
    let widest = |texts: &mut dyn Iterator<Item = &str>| {
        texts.map(|text| natural(shaper, text, STRONG)).fold(0.0, f32::max)
    };
    let figures = || rows.iter().filter(|row| matches!(row.look, Look::Plain | Look::Due));
    let bases = widest(&mut figures().filter_map(|row| row.base));
    let amounts = widest(&mut figures().map(|row| row.amount));
    let labels = widest(&mut figures().map(|row| row.label)) * SIZE;
    let size = (WIDEST / bases.max(amounts)).clamp(SMALLEST, SIZE);
    let heads = || rows.iter().filter(|row| row.look == Look::Head);
    let base_head = widest(&mut heads().filter_map(|row| row.base)) * SMALL;
    let amount_head = widest(&mut heads().map(|row| row.amount)) * SMALL;
    let width = |needed: f32, head: f32| (needed * size).max(head).clamp(64.0, WIDEST) + 1.0;
    let taxed = rows.iter().any(|row| row.base.is_some());

    let right = LEFT + ACROSS - INSET;
    let (amounts, bases) = (width(amounts, amount_head), width(bases, base_head));
    let amount = (right - amounts, amounts);
    let base = taxed.then_some((amount.0 - GAP - bases, bases));
    let edge = base.map_or(amount.0, |(x, _)| x) - GAP;
    let label = labels.clamp(110.0, 190.0);
    Columns { label: (edge - label, label), base, amount, size }
}

fn band(shaper: &Shaper, row: &Row<'_>, columns: &Columns) -> Band {
    let (total, head) = (row.look == Look::Total, row.look == Look::Head);
    let (x, right) = (columns.label.0 - INSET, LEFT + ACROSS);
    Band {
        table: Some(Table::Totals),
        cells: cells(shaper, row, columns),
        x,
        width: right - x,
        above: if total || head { 4.0 } else { 0.0 },
        padding: if total { 6.0 } else { PADDING },
        tint: total.then_some(TINT),
        rule_above: total.then_some((1.2, ACCENT)),
        rule_below: head.then_some((0.5, EDGE)),
        repeated: false,
    }
}

fn cells(shaper: &Shaper, row: &Row<'_>, columns: &Columns) -> Vec<Cell> {
    let (style, size, colour) = row.look.letters();
    let (label, amount) = places(shaper, row, columns);
    let first = if row.look == Look::Head { Meaning::ColumnHead } else { Meaning::RowHead };
    let text = fit(shaper, row.label, style, Fit::flowing(label.1, size, LEADING));
    let mut words = Cell::new(label, Align::Start, first).with(0.0, text, colour, Role::Part);
    if row.base.is_none() && columns.base.is_some() {
        words.columns = NonZeroU32::MIN.saturating_add(1);
    }
    let base = row.base.zip(columns.base).map(|(text, place)| figure(shaper, row.look, text, place, columns));
    let amount = figure(shaper, row.look, row.amount, amount, columns);
    [Some(words), base, Some(amount)].into_iter().flatten().collect()
}

/// The cell of an amount, or of the word over a column of amounts.
fn figure(shaper: &Shaper, look: Look, text: &str, place: (f32, f32), columns: &Columns) -> Cell {
    let (style, size, colour) = look.letters();
    if look == Look::Head {
        let block = fit(shaper, text, style, Fit::flowing(place.1, size, LEADING));
        return Cell::new(place, Align::End, Meaning::ColumnHead).with(0.0, block, colour, Role::Part);
    }
    let wanted = if look == Look::Plain { columns.size } else { size };
    let block = snug(shaper, text, style, place.1, (wanted, SMALLEST), LEADING);
    Cell::new(place, Align::End, Meaning::Value).at(under(&block, size), block, colour, Role::Part)
}

/// Where the label and the amount of a row stand. The total is set larger and takes what it needs from its label.
fn places(shaper: &Shaper, row: &Row<'_>, columns: &Columns) -> ((f32, f32), (f32, f32)) {
    let (start, end) = (columns.label.0, columns.amount.0 + columns.amount.1);
    let amount = if row.look == Look::Total {
        let needed = natural(shaper, row.amount, STRONG) * TOTAL + 1.0;
        needed.clamp(columns.amount.1, end - start - GAP - 80.0)
    } else {
        columns.amount.1
    };
    let label = match (row.base, columns.base) {
        (Some(_), Some(_)) => columns.label.1,
        _ => end - amount - GAP - start,
    };
    ((start, label), (end - amount, amount))
}
