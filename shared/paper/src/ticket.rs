//! The ticket: what it says, and its page.
//!
//! One A4 page per ticket, as ticket shops send it: it is what printers at home hold, each holder gets a file of
//! their own to forward, and a page is what phones zoom. Everything the entrance needs is on a card at the top, the
//! QR code on a stub at its side; notes follow under a dashed line to fold or cut along, and run on to further pages
//! when they are long. Shrunk to fit US Letter, the code is still 42 mm.

use crate::PaperError;
use crate::canvas::{About, Align, Canvas, Colour, PAGE, Paper, Role};
use crate::fonts::Library;
use crate::qr::Symbol;
use crate::shape::{Shaper, Style};
use crate::wrap::{Block, Fit, fit};

/// What a ticket says. Every text is printed as given, in one line or wrapped; none may carry markup.
///
/// Long texts are wrapped, then set smaller, and at last cut with an ellipsis (only `notes` never are). Characters of
/// scripts without a font show as boxes.
#[derive(Clone, Copy, Debug)]
pub struct Ticket<'a> {
    /// Language of the document as a BCP 47 tag (`en`, `sv`, `ar`): read out by screen readers, picks local letter
    /// forms, and mirrors the page when the language is read from the right.
    pub language: &'a str,
    /// The fixed words, in that language.
    pub labels: Labels<'a>,
    /// Name of the event.
    pub event: &'a str,
    /// Who sells the ticket; also the author of the file.
    pub organiser: &'a str,
    /// Date of the start, at the venue ("Saturday 14 March 2026").
    pub date: &'a str,
    /// Time of the start, at the venue ("20:00").
    pub time: &'a str,
    /// Time zone of that time ("CET").
    pub zone: Option<&'a str>,
    /// Time at which the doors open ("19:00").
    pub doors: Option<&'a str>,
    /// Name of the venue.
    pub venue: Option<&'a str>,
    /// Street and city of the venue.
    pub place: Option<&'a str>,
    /// Type of ticket ("Early bird, standing").
    pub offer: &'a str,
    /// Seat ("Block B, row 4, seat 12").
    pub seat: Option<&'a str>,
    /// Name of the person the ticket is for.
    pub holder: Option<&'a str>,
    /// Price with currency, as paid ("450.00 SEK").
    pub price: Option<&'a str>,
    /// Reference of the order.
    pub order: Option<&'a str>,
    /// Number of the ticket, for people to read out ("7Q2K-94MX").
    pub number: &'a str,
    /// Payload of the QR code, 1 to [`LONGEST_PAYLOAD`](crate::LONGEST_PAYLOAD) bytes.
    pub qr: &'a str,
    /// Terms and notes; each line is a paragraph.
    pub notes: Option<&'a str>,
}

/// The fixed words of a ticket.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each is the word for the field of that name")]
pub struct Labels<'a> {
    /// The word for the document itself.
    pub ticket: &'a str,
    pub date: &'a str,
    pub time: &'a str,
    pub doors: &'a str,
    pub venue: &'a str,
    pub holder: &'a str,
    pub offer: &'a str,
    pub seat: &'a str,
    pub price: &'a str,
    pub order: &'a str,
    pub number: &'a str,
    pub notes: &'a str,
    /// What to do with the QR code.
    pub hint: &'a str,
}

impl Labels<'static> {
    /// The words in English.
    pub const ENGLISH: Labels<'static> = Labels {
        ticket: "Ticket",
        date: "Date",
        time: "Time",
        doors: "Doors",
        venue: "Venue",
        holder: "Ticket holder",
        offer: "Ticket type",
        seat: "Seat",
        price: "Price",
        order: "Order",
        number: "Ticket number",
        notes: "Good to know",
        hint: "Show this code at the entrance, on your phone or on paper.",
    };
}

const INK: Colour = (0x12, 0x14, 0x1C);
const MUTED: Colour = (0x5A, 0x60, 0x72);
const ACCENT: Colour = (0x2A, 0x3B, 0xB7);
const EDGE: Colour = (0xC3, 0xC8, 0xD6);
const TINT: Colour = (0xF6, 0xF7, 0xFB);

/// All lengths in points. 15 mm margins: printers at home reach as far.
const MARGIN: f32 = 42.5;
const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;
const CARD_TOP: f32 = 76.0;
/// The QR code, 45 mm: read from a hand's distance also when creased or printed at 95 %.
const CODE: f32 = 127.6;
/// Modules kept white around the code, by its standard.
const QUIET: f32 = 4.0;
/// Wide enough for the code with its quiet zone at the smallest symbol, 21 modules.
const STUB: f32 = 188.0;
const PADDING: f32 = 24.0;
const TEXT: f32 = WIDTH - STUB - 2.0 * PADDING;
const COLUMN_GAP: f32 = 18.0;
const BOTTOM: f32 = PAGE.1 - 62.0;

/// Renders a ticket as PDF: one A4 page, and further ones only for notes that do not fit.
///
/// # Errors
/// [`PaperError::Payload`] when the QR payload is empty or too long; the other errors mean a defect, not bad input.
pub fn ticket(ticket: &Ticket<'_>) -> Result<Vec<u8>, PaperError> {
    let shaper = Shaper::new(Library::embedded()?, ticket.language);
    let symbol = Symbol::encode(ticket.qr)?;
    let mut notes = notes(&shaper, ticket.notes.unwrap_or_default());
    let mut paper = Paper::new();
    paper.page(&shaper, |canvas| {
        header(canvas, &shaper, ticket);
        let bottom = card(canvas, &shaper, ticket, &symbol)?;
        // Halfway down, where a page folds best; lower when the card takes more.
        let fold = (PAGE.1 / 2.0).max(bottom + 20.0);
        if !notes.is_empty() {
            canvas.line(((MARGIN, fold), (MARGIN + WIDTH, fold)), 0.6, &[3.0, 3.0], EDGE)?;
            let heading = fit(&shaper, ticket.labels.notes, Style::BOLD, FIELD.at(WIDTH, 10.5, 1));
            let top = canvas.text(&heading, (MARGIN, fold + 22.0, WIDTH), Align::Start, INK, Role::SECTION);
            flow(canvas, &mut notes, top + 6.0);
        }
        footer(canvas, &shaper, ticket);
        Ok(())
    })?;
    while !notes.is_empty() {
        paper.page(&shaper, |canvas| {
            flow(canvas, &mut notes, MARGIN + 14.0);
            footer(canvas, &shaper, ticket);
            Ok(())
        })?;
    }
    let title = format!("{} · {}", ticket.event, ticket.number);
    paper.finish(&shaper, About { title, author: ticket.organiser, language: ticket.language })
}

/// The usual box of a short text: shrinks a third at most.
struct Field {
    leading: f32,
}

const FIELD: Field = Field { leading: 1.28 };

impl Field {
    fn at(&self, width: f32, size: f32, max_lines: usize) -> Fit {
        Fit { width, largest: size, smallest: size * 0.66, max_lines, leading: self.leading, balanced: false }
    }
}

fn header(canvas: &mut Canvas<'_, '_>, shaper: &Shaper, ticket: &Ticket<'_>) {
    let word = fit(shaper, ticket.labels.ticket, Style::REGULAR, FIELD.at(120.0, 10.0, 1));
    let organiser = fit(shaper, ticket.organiser, Style::BOLD, FIELD.at(WIDTH - 140.0, 12.0, 1));
    let middle = CARD_TOP - 22.0;
    let at = |block: &Block| middle - block.height() / 2.0;
    canvas.text(&organiser, (MARGIN, at(&organiser), WIDTH - 140.0), Align::Start, INK, Role::Text);
    canvas.text(&word, (MARGIN + WIDTH - 120.0, at(&word), 120.0), Align::End, MUTED, Role::Text);
}

/// Draws the card and returns its bottom. Everything is set before anything is drawn: the card is as high as what
/// it holds.
fn card(
    canvas: &mut Canvas<'_, '_>,
    shaper: &Shaper,
    ticket: &Ticket<'_>,
    symbol: &Symbol,
) -> Result<f32, PaperError> {
    let main = main_part(shaper, ticket);
    let stub = stub(shaper, ticket, symbol);
    let height = (main.height + 2.0 * PADDING).max(stub.height);
    let tear = MARGIN + WIDTH - STUB;
    canvas.card((MARGIN, CARD_TOP, WIDTH, height), tear, (TINT, ACCENT, EDGE))?;
    main.draw(canvas, (MARGIN + PADDING, CARD_TOP + PADDING))?;
    stub.draw(canvas, (tear, CARD_TOP + (height - stub.height) / 2.0), symbol, ticket)?;
    Ok(CARD_TOP + height)
}

/// A label over its value, and lines under it.
struct Entry {
    blocks: Vec<(Block, Colour)>,
}

impl Entry {
    fn new(shaper: &Shaper, (label, value): (&str, &str), size: f32, width: f32, lines: usize) -> Entry {
        let label = fit(shaper, label, Style::REGULAR.tracked(0.02), FIELD.at(width, 7.6, 1));
        let value = fit(shaper, value, Style::BOLD, FIELD.at(width, size, lines));
        Entry { blocks: vec![(label, MUTED), (value, INK)] }
    }

    fn with(mut self, shaper: &Shaper, text: &str, width: f32) -> Entry {
        self.blocks.push((fit(shaper, text, Style::REGULAR, FIELD.at(width, 9.5, 2)), INK));
        self
    }

    fn height(&self) -> f32 {
        self.blocks.iter().map(|(block, _)| block.height()).sum()
    }

    fn draw(&self, canvas: &mut Canvas<'_, '_>, (x, y): (f32, f32), width: f32) {
        let mut y = y;
        for (block, colour) in &self.blocks {
            y = canvas.text(block, (x, y, width), Align::Start, *colour, Role::Text);
        }
    }
}

/// One or two entries side by side.
struct Row {
    entries: Vec<(f32, f32, Entry)>,
    /// Space above, with a line across its middle when `ruled`.
    gap: f32,
    ruled: bool,
}

impl Row {
    fn height(&self) -> f32 {
        self.gap + self.entries.iter().map(|(_, _, entry)| entry.height()).fold(0.0, f32::max)
    }
}

struct Main {
    event: Block,
    rows: Vec<Row>,
    height: f32,
}

const GAP: f32 = 12.0;

fn main_part(shaper: &Shaper, ticket: &Ticket<'_>) -> Main {
    let title =
        Fit { width: TEXT, largest: 25.0, smallest: 13.0, max_lines: 3, leading: 1.2, balanced: true };
    let event = fit(shaper, ticket.event, Style::BOLD, title);
    let half = (TEXT - COLUMN_GAP) / 2.0;
    // A date with its weekday is longer than a time.
    let (wide, narrow) = (half * 1.16, half * 0.84);
    let second = half + COLUMN_GAP;
    let labels = &ticket.labels;

    let date = Entry::new(shaper, (labels.date, ticket.date), 13.0, wide, 2);
    let mut time = Entry::new(shaper, (labels.time, ticket.time), 13.0, narrow, 2);
    if let Some(zone) = ticket.zone {
        time = time.with(shaper, zone, narrow);
    }
    if let Some(doors) = ticket.doors {
        time = time.with(shaper, &format!("{} {doors}", labels.doors), narrow);
    }
    let mut rows = vec![Row {
        entries: vec![(0.0, wide, date), (wide + COLUMN_GAP, narrow, time)],
        gap: 16.0,
        ruled: false,
    }];
    if let Some(name) = ticket.venue.or(ticket.place) {
        let mut venue = Entry::new(shaper, (labels.venue, name), 13.0, TEXT, 2);
        if let (Some(_), Some(place)) = (ticket.venue, ticket.place) {
            venue = venue.with(shaper, place, TEXT);
        }
        rows.push(Row { entries: vec![(0.0, TEXT, venue)], gap: GAP, ruled: false });
    }
    let mut gap = (30.0, true);
    if let Some(holder) = ticket.holder {
        let holder = Entry::new(shaper, (labels.holder, holder), 14.0, TEXT, 2);
        rows.push(Row { entries: vec![(0.0, TEXT, holder)], gap: gap.0, ruled: gap.1 });
        gap = (GAP, false);
    }
    let facts = [
        Some((labels.offer, ticket.offer)),
        ticket.price.map(|price| (labels.price, price)),
        ticket.seat.map(|seat| (labels.seat, seat)),
        ticket.order.map(|order| (labels.order, order)),
    ];
    let facts: Vec<_> = facts.into_iter().flatten().collect();
    for pair in facts.chunks(2) {
        let width = if pair.len() == 1 { TEXT } else { half };
        let places = [0.0, second].into_iter();
        let entries = pair
            .iter()
            .zip(places)
            .map(|(fact, x)| (x, width, Entry::new(shaper, *fact, 11.0, width, 2)))
            .collect();
        rows.push(Row { entries, gap: gap.0, ruled: gap.1 });
        gap = (GAP, false);
    }
    let height = event.height() + rows.iter().map(Row::height).sum::<f32>();
    Main { event, rows, height }
}

impl Main {
    fn draw(&self, canvas: &mut Canvas<'_, '_>, (x, y): (f32, f32)) -> Result<(), PaperError> {
        let mut y = canvas.text(&self.event, (x, y, TEXT), Align::Start, INK, Role::TITLE);
        for row in &self.rows {
            if row.ruled {
                let middle = y + row.gap / 2.0;
                canvas.line(((x, middle), (x + TEXT, middle)), 0.6, &[], EDGE)?;
            }
            for (offset, width, entry) in &row.entries {
                entry.draw(canvas, (x + offset, y + row.gap), *width);
            }
            y += row.height();
        }
        Ok(())
    }
}

struct Stub {
    quiet: f32,
    label: Block,
    number: Block,
    hint: Block,
    height: f32,
}

fn stub(shaper: &Shaper, ticket: &Ticket<'_>, symbol: &Symbol) -> Stub {
    // The notches and the band reach into the card; the quiet zone stays clear of both.
    let quiet = (QUIET * CODE / symbol.modules as f32).max(PADDING);
    let width = STUB - 2.0 * PADDING;
    let label = fit(shaper, ticket.labels.number, Style::REGULAR.tracked(0.02), FIELD.at(width, 7.6, 1));
    let number = fit(shaper, ticket.number, Style::BOLD.tracked(0.04), FIELD.at(width, 17.0, 1));
    let hint = Fit { balanced: true, ..FIELD.at(width, 8.0, 3) };
    let hint = fit(shaper, ticket.labels.hint, Style::REGULAR, hint);
    let height = 2.0 * quiet + CODE + label.height() + number.height() + GAP + hint.height() + PADDING;
    Stub { quiet, label, number, hint, height }
}

impl Stub {
    fn draw(
        &self,
        canvas: &mut Canvas<'_, '_>,
        (x, y): (f32, f32),
        symbol: &Symbol,
        ticket: &Ticket<'_>,
    ) -> Result<(), PaperError> {
        let alt = format!("QR, {} {}", ticket.labels.number, ticket.number);
        canvas.qr(symbol, (x + (STUB - CODE) / 2.0, y + self.quiet, CODE), alt)?;
        let width = STUB - 2.0 * PADDING;
        let x = x + PADDING;
        let y = y + self.quiet * 2.0 + CODE - 4.0;
        let y = canvas.text(&self.label, (x, y, width), Align::Centre, MUTED, Role::Text);
        let y = canvas.text(&self.number, (x, y, width), Align::Centre, INK, Role::Text);
        canvas.text(&self.hint, (x, y + GAP, width), Align::Centre, MUTED, Role::Text);
        Ok(())
    }
}

/// Width of one of the two columns of notes: about sixty letters, which is easy to read.
const NOTE: f32 = (WIDTH - NOTE_GAP) / 2.0;
const NOTE_GAP: f32 = 26.0;
const PARAGRAPH_GAP: f32 = 4.5;

/// The notes as paragraphs that are still to be placed.
fn notes(shaper: &Shaper, notes: &str) -> Vec<Block> {
    let set = |text: &str| fit(shaper, text, Style::REGULAR, Fit::flowing(NOTE, 8.6, 1.42));
    notes.lines().filter(|text| !text.trim().is_empty()).map(set).collect()
}

/// Places as many lines as two columns from `top` to the bottom of the page hold, and leaves the rest. The columns
/// come out about equally long.
fn flow(canvas: &mut Canvas<'_, '_>, notes: &mut Vec<Block>, top: f32) {
    let total: f32 = notes.iter().map(|block| block.height() + PARAGRAPH_GAP).sum();
    let room = (BOTTOM - top).max(0.0);
    let leading = notes.first().map_or(0.0, |block| block.leading);
    let height = (total / 2.0 + leading).min(room);
    let mut rest = std::mem::take(notes).into_iter();
    for (column, room) in [(0.0, height), (NOTE + NOTE_GAP, room)] {
        let mut y = top;
        for mut block in std::mem::take(notes).into_iter().chain(rest.by_ref()) {
            let room_for = ((top + room - y) / block.leading + 0.01).floor().max(0.0) as usize;
            let fitting = unbroken(room_for.min(block.lines.len()), block.lines.len());
            let over = block.lines.split_off(fitting);
            let left = Block { lines: over, ..block };
            y = canvas.text(
                &Block { lines: block.lines, ..left.clone() },
                (MARGIN + column, y, NOTE),
                Align::Natural,
                INK,
                Role::Text,
            );
            y += PARAGRAPH_GAP;
            if !left.lines.is_empty() {
                notes.push(left);
                break;
            }
        }
    }
    notes.extend(rest);
}

/// How many of the lines that fit stay, so that no line of a paragraph stands alone.
fn unbroken(fitting: usize, lines: usize) -> usize {
    let fitting = if lines - fitting == 1 { fitting.saturating_sub(1) } else { fitting };
    if fitting == 1 && lines > 1 { 0 } else { fitting }
}

fn footer(canvas: &mut Canvas<'_, '_>, shaper: &Shaper, ticket: &Ticket<'_>) {
    let y = PAGE.1 - MARGIN - 10.0;
    let number = fit(shaper, ticket.number, Style::REGULAR, Fit { smallest: 6.6, ..FIELD.at(110.0, 7.6, 1) });
    let event =
        fit(shaper, ticket.event, Style::REGULAR, Fit { smallest: 7.6, ..FIELD.at(WIDTH - 130.0, 7.6, 1) });
    canvas.text(&event, (MARGIN, y, WIDTH - 130.0), Align::Start, MUTED, Role::Furniture);
    canvas.text(&number, (MARGIN + WIDTH - 110.0, y, 110.0), Align::End, MUTED, Role::Furniture);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICKET: Ticket<'static> = Ticket {
        language: "en",
        labels: Labels::ENGLISH,
        event: "Midwinter Chamber Music Festival",
        organiser: "Stockholm Chamber Society",
        date: "Saturday 14 March 2026",
        time: "20:00",
        zone: Some("CET"),
        doors: Some("19:00"),
        venue: Some("Konserthuset"),
        place: Some("Hötorget 8, Stockholm"),
        offer: "Early bird",
        seat: Some("Row 4, seat 12"),
        holder: Some("Layla ليلى (VIP)"),
        price: Some("450.00 SEK"),
        order: Some("T-2026-004711"),
        number: "7Q2K-94MX",
        qr: "https://tickets.example/7Q2K-94MX",
        notes: Some("Admits one person, once."),
    };

    fn shaper() -> Shaper {
        Shaper::new(Library::embedded().expect("fonts"), "en")
    }

    fn pages(pdf: &[u8]) -> usize {
        let text = String::from_utf8_lossy(pdf);
        text.split("/Type/Page").skip(1).filter(|rest| !rest.starts_with('s')).count()
    }

    fn contains(pdf: &[u8], text: &str) -> bool {
        pdf.windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[test]
    fn a_ticket_is_one_page_of_less_than_forty_kilobytes() {
        let pdf = ticket(&TICKET).expect("renders");
        assert!(pdf.starts_with(b"%PDF-"));
        assert_eq!(pages(&pdf), 1);
        assert!(pdf.len() < 40_000, "{} bytes", pdf.len());
    }

    #[test]
    fn the_same_ticket_gives_the_same_bytes() {
        let first = ticket(&TICKET).expect("renders");
        assert!(first == ticket(&TICKET).expect("renders"));
        assert!(first != ticket(&Ticket { number: "7Q2K-94MY", ..TICKET }).expect("renders"));
        assert!(!contains(&first, "CreationDate"), "no clock");
    }

    #[test]
    fn the_file_names_its_title_author_and_language() {
        let pdf = ticket(&Ticket { event: "Jazz", ..TICKET }).expect("renders");
        assert!(contains(&pdf, "/Author(Stockholm Chamber Society)"));
        assert!(contains(&pdf, "/Lang(en)"));
        let title: String = "Jazz · 7Q2K-94MX".encode_utf16().map(|unit| format!("{unit:04X}")).collect();
        assert!(contains(&pdf, &format!("/Title<FEFF{title}>")));
    }

    #[test]
    fn a_ticket_with_nothing_but_the_necessary_renders() {
        let bare = Ticket {
            language: "",
            event: "",
            organiser: "",
            date: "",
            time: "",
            zone: None,
            doors: None,
            venue: None,
            place: None,
            offer: "",
            seat: None,
            holder: None,
            price: None,
            order: None,
            number: "",
            qr: "1",
            notes: None,
            ..TICKET
        };
        assert_eq!(pages(&ticket(&bare).expect("renders")), 1);
    }

    #[test]
    fn letters_without_a_font_do_not_stop_the_ticket() {
        let pdf = ticket(&Ticket { event: "東京 Jazz 🎷", holder: Some("\u{10FFFF}\u{0}"), ..TICKET });
        assert_eq!(pages(&pdf.expect("renders")), 1);
    }

    #[test]
    fn long_notes_run_on_to_further_pages_and_none_is_lost() {
        let notes = "One more rule that nobody reads to its end, however long it gets.\n".repeat(250);
        let set = super::notes(&shaper(), &notes);
        let lines: usize = set.iter().map(|block| block.lines.len()).sum();
        let pdf = ticket(&Ticket { notes: Some(&notes), ..TICKET }).expect("renders");
        // Two columns of some fifty-five lines a page.
        assert!(lines > 400 && pages(&pdf) >= 4, "{lines} lines on {} pages", pages(&pdf));
    }

    #[test]
    fn no_line_of_a_paragraph_stands_alone() {
        assert_eq!(unbroken(3, 3), 3);
        assert_eq!(unbroken(1, 1), 1);
        assert_eq!(unbroken(3, 5), 3);
        assert_eq!(unbroken(1, 4), 0);
        assert_eq!(unbroken(3, 4), 2);
        assert_eq!(unbroken(2, 3), 0);
    }

    #[test]
    fn a_refused_payload_is_the_only_bad_input() {
        let refused = ticket(&Ticket { qr: "", ..TICKET });
        assert!(matches!(refused, Err(PaperError::Payload { bytes: 0 })));
    }

    #[test]
    fn the_code_is_at_least_forty_millimetres_and_its_quiet_zone_is_free() {
        const MILLIMETRE: f32 = 72.0 / 25.4;
        const { assert!(CODE >= 40.0 * MILLIMETRE) };
        for payload in ["1", &"x".repeat(150), &"x".repeat(crate::LONGEST_PAYLOAD)] {
            let symbol = Symbol::encode(payload).expect("encodes");
            let quiet = QUIET * CODE / symbol.modules as f32;
            let beside = (STUB - CODE) / 2.0;
            assert!(beside >= quiet, "{beside} beside, {quiet} needed");
            assert!(stub(&shaper(), &TICKET, &symbol).quiet >= quiet);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_names_are_the_card_ends_above_the_notes_and_nothing_is_wider_than_its_box(
            event in "\\PC{0,300}",
            holder in "[\\p{Arabic}\\p{Latin}\\p{Devanagari}\\p{Hebrew} ]{0,200}",
            offer in "[A-Za-z]{0,120}",
        ) {
            let long = Ticket { event: &event, holder: Some(&holder), offer: &offer, seat: Some(&offer), ..TICKET };
            let main = main_part(&shaper(), &long);
            let wide = |block: &Block| block.lines.iter().map(|line| line.width * block.size).fold(0.0, f32::max);
            prop_assert!(wide(&main.event) <= TEXT + 0.1);
            for row in &main.rows {
                for (_, width, entry) in &row.entries {
                    for (block, _) in &entry.blocks {
                        prop_assert!(wide(block) <= width + 0.1);
                    }
                }
            }
            prop_assert!(CARD_TOP + main.height + 2.0 * PADDING < BOTTOM - 200.0);
            prop_assert_eq!(pages(&ticket(&long).expect("renders")), 1);
        }
    }
}
