//! The invoice and the credit note: what they say, and their pages.
//!
//! A4 pages: the word for the document and its number, who sells and who buys, a table of lines, the sums, and what is
//! to be said about payment and tax. The head of the table is repeated on each page, a line is not divided between two
//! pages, and the sums stay together with the last line. Nothing is calculated here: whoever knows the rules of the
//! country hands in every amount as finished text.

mod labels;
mod lines;
mod totals;

pub use labels::InvoiceLabels;

use crate::PaperError;
use crate::band::{Band, Cell, Meaning, Sheet, Stack, height};
use crate::canvas::{About, Align, Canvas, Colour, PAGE, Paper, Role};
use crate::fonts::Library;
use crate::shape::{Shaper, Style};
use crate::wrap::{Block, Fit, fit, natural, snug, whole_words};

/// What an invoice or a credit note says. Every text is printed as given, in one line or wrapped; none may carry
/// markup.
///
/// No text is cut, however long: names and descriptions wrap, amounts are set smaller. (Only the footer, which repeats
/// what is said above, and a label over the lines that takes more than three lines end in an ellipsis.) Characters of
/// scripts without a font show as boxes. An empty text prints nothing.
#[derive(Clone, Copy, Debug)]
pub struct Invoice<'a> {
    /// Language of the document as a BCP 47 tag (`en`, `de`, `ar`): read out by screen readers, picks local letter
    /// forms, and mirrors the page when the language is read from the right.
    pub language: &'a str,
    /// The fixed words, in that language.
    pub labels: InvoiceLabels<'a>,
    /// Which of the two it is.
    pub kind: InvoiceKind<'a>,
    /// Number of this document ("2026-000123").
    pub number: &'a str,
    /// Date of issue ("14 March 2026").
    pub issued: &'a str,
    /// Date of supply, where it must be stated.
    pub supplied: Option<&'a str>,
    /// Reference of the order.
    pub order: Option<&'a str>,
    /// Further facts to print beside the dates (place of supply, the buyer's own reference).
    pub facts: &'a [Fact<'a>],
    /// Who sells; the name is also the author of the file.
    pub seller: Party<'a>,
    /// Who buys; small invoices may do without.
    pub buyer: Option<Party<'a>>,
    /// What is charged, fees included. A column that is empty in every line is left out.
    pub lines: &'a [InvoiceLine<'a>],
    /// The sums.
    pub totals: Totals<'a>,
    /// Whether the amounts of the lines contain tax, which is then said below the sums; `None` where no tax is charged.
    pub amounts: Option<Amounts>,
    /// How and when it was paid, or is to be paid.
    pub payment: Option<&'a str>,
    /// Notes on tax and terms (reverse charge, exemptions); each line is a paragraph.
    pub notes: Option<&'a str>,
}

/// Which document it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvoiceKind<'a> {
    /// Asks for money, or says that it was paid.
    Invoice,
    /// Takes an invoice back, or a part of it.
    CreditNote {
        /// Number of that invoice.
        corrects: &'a str,
    },
}

/// A word and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact<'a> {
    /// The word.
    pub label: &'a str,
    /// What it stands for.
    pub value: &'a str,
}

/// A seller or a buyer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Party<'a> {
    /// Name of the person or firm.
    pub name: &'a str,
    /// Address, line by line.
    pub address: &'a [&'a str],
    /// Tax numbers. An empty label stands for [`InvoiceLabels::tax_number`].
    pub tax_numbers: &'a [Fact<'a>],
    /// Address for electronic mail.
    pub email: Option<&'a str>,
}

/// One line of what is charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InvoiceLine<'a> {
    /// What it is.
    pub description: &'a str,
    /// Seat, time or the like, printed smaller below.
    pub detail: Option<&'a str>,
    /// How many ("2").
    pub quantity: &'a str,
    /// Price of one ("450.00").
    pub unit_price: &'a str,
    /// Rate of tax ("25 %").
    pub tax: &'a str,
    /// What the line comes to before its discount ("900.00 SEK").
    pub amount: &'a str,
    /// A discount on this line, with its sign ("Early bird", "−90.00 SEK"); printed under it.
    pub discount: Option<Fact<'a>>,
}

/// The sums, from top to bottom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals<'a> {
    /// Sum of the lines.
    pub subtotal: Option<&'a str>,
    /// What is taken off that sum, with its sign.
    pub discount: Option<&'a str>,
    /// One row for each rate of tax.
    pub taxes: &'a [Tax<'a>],
    /// What rounding to a coin adds or takes off, with its sign.
    pub rounding: Option<&'a str>,
    /// The sum that the document is about.
    pub total: &'a str,
    /// Part paid with gift credit; on a credit note, given back as such.
    pub gift_credit: Option<&'a str>,
    /// Part already paid; on a credit note, already paid back.
    pub paid: Option<&'a str>,
    /// What is left to pay; on a credit note, to pay back.
    pub due: Option<&'a str>,
}

/// A rate of tax and what it comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tax<'a> {
    /// Name and rate ("VAT 25 %").
    pub label: &'a str,
    /// What the tax is charged on, without the tax.
    pub base: &'a str,
    /// The tax.
    pub amount: &'a str,
}

/// Whether the amounts of the lines contain tax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amounts {
    /// They do, as in shops for everyone.
    WithTax,
    /// It is added below, as between firms.
    WithoutTax,
}

const INK: Colour = (0x12, 0x14, 0x1C);
const MUTED: Colour = (0x5A, 0x60, 0x72);
const ACCENT: Colour = (0x2A, 0x3B, 0xB7);
const EDGE: Colour = (0xC3, 0xC8, 0xD6);
const TINT: Colour = (0xF6, 0xF7, 0xFB);

const PLAIN: Style = Style::REGULAR.figures();
const STRONG: Style = Style::BOLD.figures();

/// All lengths in points. 15 mm margins: printers at home reach as far.
const MARGIN: f32 = 42.5;
const LEFT: f32 = MARGIN;
const ACROSS: f32 = PAGE.0 - 2.0 * MARGIN;
const BOTTOM: f32 = PAGE.1 - 66.0;
/// How far the texts of a tinted band stand from its ends.
const INSET: f32 = 8.0;
const LEADING: f32 = 1.4;
const COLUMN_GAP: f32 = 18.0;
const WORD: f32 = 7.6;
const TEXT: f32 = 9.0;

/// Renders an invoice or a credit note as PDF, on as many A4 pages as it takes.
///
/// # Errors
/// None for any text: an error means a defect of the layout or a damaged build.
pub fn invoice(invoice: &Invoice<'_>) -> Result<Vec<u8>, PaperError> {
    let shaper = Shaper::new(Library::embedded()?, invoice.language);
    let sheets = sheets(&shaper, invoice);
    let mut paper = Paper::new();
    let mut open = None;
    for (index, sheet) in sheets.iter().enumerate() {
        paper.page(&shaper, |canvas| {
            sheet.draw(canvas, &mut open)?;
            footer(canvas, &shaper, invoice, (index + 1, sheets.len()))
        })?;
    }
    let title = format!("{} {}", word(invoice), invoice.number);
    paper.finish(&shaper, About { title, author: invoice.seller.name, language: invoice.language })
}

/// The word for the document.
fn word<'a>(invoice: &Invoice<'a>) -> &'a str {
    match invoice.kind {
        InvoiceKind::Invoice => invoice.labels.invoice,
        InvoiceKind::CreditNote { .. } => invoice.labels.credit_note,
    }
}

/// Every page with all that stands on it, besides the footer.
fn sheets(shaper: &Shaper, invoice: &Invoice<'_>) -> Vec<Sheet> {
    let mut stack = Stack::new(MARGIN, BOTTOM);
    stack.add(masthead(shaper, invoice));
    facts(shaper, invoice).into_iter().for_each(|band| stack.add(band));
    stack.add(parties(shaper, invoice));
    let totals = totals::totals(shaper, invoice);
    if !invoice.lines.is_empty() {
        let lines = lines::lines(shaper, invoice);
        stack.table(lines.head, lines.rows.first());
        lines.rows.into_iter().for_each(|row| stack.add(row));
        stack.end_table(height(&totals));
    }
    stack.together(totals);
    closing(shaper, invoice).into_iter().for_each(|band| stack.add(band));
    stack.finish()
}

/// A band across the page that is no row of a table.
fn plain(cells: Vec<Cell>, above: f32) -> Band {
    Band {
        table: None,
        cells,
        x: LEFT,
        width: ACROSS,
        above,
        padding: 0.0,
        tint: None,
        rule_above: None,
        rule_below: None,
        repeated: false,
    }
}

/// The word for the document, and opposite the name of the seller.
fn masthead(shaper: &Shaper, invoice: &Invoice<'_>) -> Band {
    let half = (ACROSS - COLUMN_GAP) / 2.0;
    let title = snug(shaper, word(invoice), STRONG, half, (25.0, 15.0), 1.2);
    let taken = title.lines.iter().map(|line| line.width * title.size).fold(0.0, f32::max);
    let room = ACROSS - COLUMN_GAP - taken.min(half);
    let size = (room / natural(shaper, invoice.seller.name, STRONG)).clamp(9.0, 12.0);
    let wanted = Fit { balanced: true, ..Fit::flowing(room, size, 1.3) };
    let seller = fit(shaper, invoice.seller.name, STRONG, wanted);
    // On the line of the title, or ending there.
    let lower = (title.baseline() + seller.leading - seller.baseline() - seller.height()).max(0.0);
    let first = Cell::new((LEFT, half), Align::Start, Meaning::None).with(0.0, title, INK, Role::TITLE);
    let second = Cell::new((LEFT + ACROSS - room, room), Align::End, Meaning::None);
    let cells = vec![first, second.at(lower, seller, INK, Role::Text)];
    Band { rule_below: Some((1.2, ACCENT)), padding: 6.0, ..plain(cells, 0.0) }
}

/// Number, dates and references: up to four side by side, each under its word.
fn facts(shaper: &Shaper, invoice: &Invoice<'_>) -> Vec<Band> {
    const SIDE_BY_SIDE: usize = 4;
    let labels = &invoice.labels;
    let (number, corrects) = match invoice.kind {
        InvoiceKind::Invoice => (labels.number, None),
        InvoiceKind::CreditNote { corrects } => {
            (labels.credit_note_number, Some((labels.corrects, corrects)))
        }
    };
    let first = [
        Some((number, invoice.number)),
        corrects,
        Some((labels.issued, invoice.issued)),
        invoice.supplied.map(|date| (labels.supplied, date)),
        invoice.order.map(|order| (labels.order, order)),
    ];
    let further = invoice.facts.iter().map(|fact| (fact.label, fact.value));
    let facts: Vec<_> = first.into_iter().flatten().chain(further).collect();
    let width = (ACROSS - (SIDE_BY_SIDE - 1) as f32 * COLUMN_GAP) / SIDE_BY_SIDE as f32;
    let entry = |(column, (label, value)): (usize, &(&str, &str))| {
        let x = LEFT + column as f32 * (width + COLUMN_GAP);
        let value = snug(shaper, value, STRONG, width, (10.0, 8.0), 1.32);
        small_word(shaper, label, (x, width)).with(0.0, value, INK, Role::Text)
    };
    let row = |facts: &[(&str, &str)]| facts.iter().enumerate().map(entry).collect();
    facts.chunks(SIDE_BY_SIDE).map(|facts| plain(row(facts), 9.0)).collect()
}

/// A cell that begins with a small word for what follows.
fn small_word(shaper: &Shaper, label: &str, (x, width): (f32, f32)) -> Cell {
    let label = fit(shaper, label, PLAIN.tracked(0.02), Fit::flowing(width, WORD, 1.32));
    Cell::new((x, width), Align::Start, Meaning::None).with(0.0, label, MUTED, Role::Text)
}

/// Seller and buyer side by side.
fn parties(shaper: &Shaper, invoice: &Invoice<'_>) -> Band {
    let width = (ACROSS - COLUMN_GAP) / 2.0;
    let labels = &invoice.labels;
    let seller = party(shaper, invoice, (labels.seller, &invoice.seller), (LEFT, width));
    let place = (LEFT + width + COLUMN_GAP, width);
    let buyer = invoice.buyer.map(|buyer| party(shaper, invoice, (labels.buyer, &buyer), place));
    let cells = std::iter::once(seller).chain(buyer).collect();
    Band { rule_above: Some((0.5, EDGE)), padding: 10.0, ..plain(cells, 10.0) }
}

fn party(
    shaper: &Shaper,
    invoice: &Invoice<'_>,
    (label, party): (&str, &Party<'_>),
    place: (f32, f32),
) -> Cell {
    let flowing = |text: &str, style, size| fit(shaper, text, style, Fit::flowing(place.1, size, 1.36));
    let mut cell = Cell::new(place, Align::Start, Meaning::None);
    cell = cell.with(0.0, flowing(label, PLAIN.tracked(0.02), WORD), MUTED, Role::SECTION);
    let name = whole_words(shaper, party.name, STRONG, place.1, (10.0, 7.0), 1.36);
    cell = cell.with(1.0, name, INK, Role::Text);
    for line in party.address.iter().copied().chain(party.email) {
        cell = cell.with(0.0, flowing(line, PLAIN, TEXT), INK, Role::Text);
    }
    for number in party.tax_numbers {
        let word = if number.label.is_empty() { invoice.labels.tax_number } else { number.label };
        let text = format!("{word} {}", number.value);
        cell = cell.with(1.0, flowing(&text, PLAIN, TEXT), INK, Role::Text);
    }
    cell
}

/// What follows the sums: payment, and notes on tax and terms.
fn closing(shaper: &Shaper, invoice: &Invoice<'_>) -> Vec<Band> {
    let labels = &invoice.labels;
    let place = (LEFT, ACROSS);
    let set = |text| fit(shaper, text, PLAIN, Fit::flowing(ACROSS, TEXT, LEADING));
    let mut bands = Vec::new();
    if let Some(payment) = invoice.payment {
        let cell = small_word(shaper, labels.payment, place).with(0.0, set(payment), INK, Role::Text);
        bands.push(plain(vec![cell], 20.0));
    }
    let amounts = invoice.amounts.map(|amounts| match amounts {
        Amounts::WithTax => labels.tax_included,
        Amounts::WithoutTax => labels.tax_excluded,
    });
    let notes = invoice.notes.unwrap_or_default().lines().filter(|text| !text.trim().is_empty());
    for (index, note) in amounts.into_iter().chain(notes).enumerate() {
        let block = fit(shaper, note, PLAIN, Fit::flowing(ACROSS, 8.4, LEADING));
        let cell = Cell::new(place, Align::Natural, Meaning::None).with(0.0, block, MUTED, Role::Text);
        bands.push(plain(vec![cell], if index == 0 { 14.0 } else { 4.0 }));
    }
    bands
}

/// Seller, number and page: a sheet that lies alone still says where it belongs.
fn footer(
    canvas: &mut Canvas<'_, '_>,
    shaper: &Shaper,
    invoice: &Invoice<'_>,
    (page, pages): (usize, usize),
) -> Result<(), PaperError> {
    let y = PAGE.1 - MARGIN - 10.0;
    let page =
        invoice.labels.page.replace("{pages}", &pages.to_string()).replace("{page}", &page.to_string());
    let number = format!("{} {}", word(invoice), invoice.number);
    canvas.line(((LEFT, y - 6.0), (LEFT + ACROSS, y - 6.0)), 0.5, &[], EDGE)?;
    // The name of the seller is the longest of the three.
    let texts = [
        (invoice.seller.name, 0.0, 0.42, Align::Start),
        (number.as_str(), 0.44, 0.34, Align::Start),
        (page.as_str(), 0.8, 0.2, Align::End),
    ];
    for (text, start, part, align) in texts {
        let (x, width) = (LEFT + start * ACROSS, part * ACROSS);
        let wanted = Fit { max_lines: 1, smallest: 6.0, ..Fit::flowing(width, WORD, 1.3) };
        let block: Block = fit(shaper, text, PLAIN, wanted);
        canvas.text(&block, (x, y, width), align, MUTED, Role::Furniture);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
