//! The table of what was sold: columns as wide as their figures need, one band per line.

use super::{ACROSS, EDGE, INK, INSET, Invoice, InvoiceLine, LEADING, LEFT, MUTED, PLAIN, STRONG, TINT};
use crate::band::{Band, Cell, Meaning, Table};
use crate::canvas::{Align, Role};
use crate::shape::Shaper;
use crate::wrap::{BASELINE, Block, Fit, fit, natural, snug};

const GAP: f32 = 10.0;
const SIZE: f32 = 9.0;
/// Figures smaller than this are hard to read: rather than shrink further they take a second line.
pub(super) const SMALLEST: f32 = 5.5;
const SMALL: f32 = 8.0;
const HEAD: f32 = 7.8;
const PADDING: f32 = 5.0;

/// The table with every line set.
pub(super) struct Lines {
    pub(super) head: Band,
    pub(super) rows: Vec<Band>,
}

/// What a column shows of a line.
type Text = for<'l> fn(&InvoiceLine<'l>) -> &'l str;

/// A column of figures. The description has what the others leave.
struct Column<'a> {
    label: &'a str,
    text: Text,
    place: (f32, f32),
    size: f32,
    /// Whether its texts may go on in a second line, as "exempt, section 4" may and an amount must not.
    wraps: bool,
}

pub(super) fn lines(shaper: &Shaper, invoice: &Invoice<'_>) -> Lines {
    let columns = columns(shaper, invoice);
    let start = LEFT + INSET;
    let end = columns.first().map_or(LEFT + ACROSS - INSET, |column| column.place.0 - GAP);
    let description = (start, end - start);
    let rows = invoice.lines.iter().map(|line| row(shaper, line, description, &columns)).collect();
    Lines { head: head(shaper, invoice.labels.description, description, &columns), rows }
}

/// The columns of figures that have any, from the start to the end edge of the page.
fn columns<'a>(shaper: &Shaper, invoice: &Invoice<'a>) -> Vec<Column<'a>> {
    let labels = &invoice.labels;
    // The widest that each may get, in points: all four leave the description a fifth of the page.
    let kinds: [(_, Text, _, _); 4] = [
        (labels.quantity, |line| line.quantity, 54.0, true),
        (labels.unit_price, |line| line.unit_price, 106.0, false),
        (labels.tax, |line| line.tax, 70.0, true),
        (labels.amount, |line| line.amount, 108.0, false),
    ];
    let mut edge = LEFT + ACROSS - INSET;
    let mut columns = Vec::new();
    for (label, text, widest, wraps) in kinds.into_iter().rev() {
        if invoice.lines.iter().all(|line| text(line).trim().is_empty()) {
            continue;
        }
        let widths = invoice.lines.iter().map(|line| natural(shaper, text(line), PLAIN));
        let needed = widths.fold(0.0, f32::max);
        let size = if wraps { SIZE } else { (widest / needed).clamp(SMALLEST, SIZE) };
        let head = natural(shaper, label, STRONG) * HEAD;
        let width = (needed * size).max(head).min(widest) + 1.0;
        columns.push(Column { label, text, place: (edge - width, width), size, wraps });
        edge -= width + GAP;
    }
    columns.reverse();
    columns
}

fn head(shaper: &Shaper, description: &str, place: (f32, f32), columns: &[Column<'_>]) -> Band {
    let set = |label, (x, width), align| {
        let wanted =
            Fit { width, largest: HEAD, smallest: SMALLEST, max_lines: 3, leading: 1.3, balanced: false };
        let block = fit(shaper, label, STRONG, wanted);
        Cell::new((x, width), align, Meaning::ColumnHead).with(0.0, block, INK, Role::Part)
    };
    let figures = columns.iter().map(|column| set(column.label, column.place, Align::End));
    let cells = std::iter::once(set(description, place, Align::Start)).chain(figures).collect();
    Band { cells, above: 10.0, tint: Some(TINT), rule_below: Some((0.8, INK)), ..band() }
}

fn row(shaper: &Shaper, line: &InvoiceLine<'_>, place: (f32, f32), columns: &[Column<'_>]) -> Band {
    let flowing = |text, size| fit(shaper, text, PLAIN, Fit::flowing(place.1, size, LEADING));
    let mut description = Cell::new(place, Align::Start, Meaning::RowHead);
    description = description.with(0.0, flowing(line.description, SIZE), INK, Role::Part);
    if let Some(detail) = line.detail {
        description = description.with(1.0, flowing(detail, SMALL), MUTED, Role::Part);
    }
    let mut figures: Vec<Cell> = columns.iter().map(|column| figure(shaper, line, column)).collect();
    if let Some(discount) = line.discount {
        let label = flowing(discount.label, SMALL);
        let (x, width) = columns.last().map_or(place, |column| column.place);
        let amount = snug(shaper, discount.value, PLAIN, width, (SMALL, SMALLEST), LEADING);
        let mut last = figures.pop().unwrap_or(Cell::new((x, width), Align::End, Meaning::Value));
        let top = description.height().max(last.height()) + 1.0;
        last = last.at(top + under(&amount, SMALL), amount, MUTED, Role::Part);
        description = description.at(top, label, MUTED, Role::Part);
        figures.push(last);
    }
    let cells = std::iter::once(description).chain(figures).collect();
    Band { cells, rule_below: Some((0.5, EDGE)), ..band() }
}

fn figure(shaper: &Shaper, line: &InvoiceLine<'_>, column: &Column<'_>) -> Cell {
    let text = (column.text)(line);
    let width = column.place.1;
    let block = if column.wraps {
        fit(shaper, text, PLAIN, Fit::flowing(width, column.size, LEADING))
    } else {
        snug(shaper, text, PLAIN, width, (column.size, SMALLEST), LEADING)
    };
    let cell = Cell::new(column.place, Align::End, Meaning::Value);
    cell.at(under(&block, SIZE), block, INK, Role::Part)
}

/// How much lower a smaller text begins, to stand on the line of one of `size`.
pub(super) fn under(block: &Block, size: f32) -> f32 {
    (size * (LEADING / 2.0 + BASELINE) - block.baseline()).max(0.0)
}

fn band() -> Band {
    Band {
        table: Some(Table::Lines),
        cells: Vec::new(),
        x: LEFT,
        width: ACROSS,
        above: 0.0,
        padding: PADDING,
        tint: None,
        rule_above: None,
        rule_below: None,
        repeated: false,
    }
}
