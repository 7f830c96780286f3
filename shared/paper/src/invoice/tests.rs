use proptest::prelude::*;

use super::*;
use crate::band::Table;

/// No words: what is printed is what was handed in.
const SILENT: InvoiceLabels<'static> = InvoiceLabels {
    invoice: "",
    credit_note: "",
    number: "",
    credit_note_number: "",
    issued: "",
    supplied: "",
    order: "",
    corrects: "",
    seller: "",
    buyer: "",
    tax_number: "",
    description: "",
    quantity: "",
    unit_price: "",
    tax: "",
    amount: "",
    subtotal: "",
    discount: "",
    net: "",
    tax_amount: "",
    rounding: "",
    total: "",
    gift_credit: "",
    paid: "",
    due: "",
    gift_credit_returned: "",
    refunded: "",
    refund_due: "",
    payment: "",
    tax_included: "",
    tax_excluded: "",
    page: "",
};

const LINE: InvoiceLine<'static> = InvoiceLine {
    description: "Midwinter Chamber Music Festival, early bird, seated",
    detail: Some("Row 4, seats 12 and 13"),
    quantity: "2",
    unit_price: "450.00",
    tax: "6 %",
    amount: "900.00",
    discount: Some(Fact { label: "Members, 10 %", value: "−90.00" }),
};

const INVOICE: Invoice<'static> = Invoice {
    language: "en",
    labels: InvoiceLabels::ENGLISH,
    kind: InvoiceKind::Invoice,
    number: "2026-000123",
    issued: "2 February 2026",
    supplied: Some("14 March 2026"),
    order: Some("T-2026-004711"),
    facts: &[],
    seller: Party {
        name: "Stockholm Chamber Society",
        address: &["Hötorget 8", "111 57 Stockholm"],
        tax_numbers: &[Fact { label: "", value: "SE556677889901" }],
        email: None,
    },
    buyer: Some(Party {
        name: "Layla ليلى (VIP)",
        address: &["Sveavägen 24"],
        tax_numbers: &[],
        email: Some("layla@example.org"),
    }),
    lines: &[LINE],
    totals: Totals {
        subtotal: Some("810.00 SEK"),
        discount: Some("−10.00 SEK"),
        taxes: &[Tax { label: "VAT 6 %", base: "754.72 SEK", amount: "45.28 SEK" }],
        rounding: Some("0.00 SEK"),
        total: "800.00 SEK",
        gift_credit: Some("100.00 SEK"),
        paid: Some("700.00 SEK"),
        due: Some("0.00 SEK"),
    },
    amounts: Some(Amounts::WithTax),
    payment: Some("Paid by card on 2 February 2026."),
    notes: Some("Thank you.\nSee you there."),
};

fn laid_out(invoice: &Invoice<'_>) -> Vec<Sheet> {
    sheets(&Shaper::new(Library::embedded().expect("fonts"), invoice.language), invoice)
}

fn bands(sheets: &[Sheet]) -> impl Iterator<Item = &Band> {
    sheets.iter().flat_map(|sheet| sheet.bands.iter().map(|(_, band)| band))
}

/// What stands in a cell, a line of the page each; right for left-to-right text only.
fn texts(cell: &Cell) -> Vec<String> {
    let lines = cell.pieces.iter().flat_map(|piece| &piece.block.lines);
    lines.map(|line| line.runs.iter().map(|run| run.text.as_str()).collect()).collect()
}

/// The rows of the sums: their cells' texts.
fn sums(invoice: &Invoice<'_>) -> Vec<Vec<String>> {
    let sheets = laid_out(invoice);
    let rows = bands(&sheets).filter(|band| band.table == Some(Table::Totals));
    rows.map(|band| band.cells.iter().map(|cell| texts(cell).join(" ")).collect()).collect()
}

/// The visible characters, in no order: lines and directions do not matter.
fn letters<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<char> {
    let visible = |c: &char| !c.is_whitespace() && !c.is_control();
    let mut letters: Vec<char> = texts.flat_map(str::chars).filter(visible).collect();
    letters.sort_unstable();
    letters
}

fn printed(sheets: &[Sheet]) -> Vec<char> {
    let read = bands(sheets).filter(|band| !band.repeated);
    let pieces = read.flat_map(|band| &band.cells).flat_map(|cell| &cell.pieces);
    let runs = pieces.flat_map(|piece| &piece.block.lines).flat_map(|line| &line.runs);
    letters(runs.map(|run| run.text.as_str()))
}

/// Every text of an invoice without words of its own, as often as it is printed.
fn given<'a>(invoice: &Invoice<'a>) -> Vec<char> {
    let corrects = match invoice.kind {
        InvoiceKind::Invoice => "",
        InvoiceKind::CreditNote { corrects } => corrects,
    };
    let mut texts = vec![corrects, invoice.number, invoice.issued, invoice.seller.name, invoice.totals.total];
    let totals = &invoice.totals;
    let sums =
        [totals.subtotal, totals.discount, totals.rounding, totals.gift_credit, totals.paid, totals.due];
    texts.extend(sums.into_iter().flatten());
    texts.extend([invoice.supplied, invoice.order, invoice.payment, invoice.notes].into_iter().flatten());
    texts.extend(totals.taxes.iter().flat_map(|tax| [tax.label, tax.base, tax.amount]));
    let pair = |fact: &Fact<'a>| [fact.label, fact.value];
    texts.extend(invoice.facts.iter().flat_map(pair));
    for party in std::iter::once(&invoice.seller).chain(&invoice.buyer) {
        texts.push(party.name);
        texts.extend(party.address.iter().copied().chain(party.email));
        texts.extend(party.tax_numbers.iter().flat_map(pair));
    }
    for line in invoice.lines {
        texts.extend([line.description, line.quantity, line.unit_price, line.tax, line.amount]);
        texts.extend(line.detail);
        texts.extend(line.discount.iter().flat_map(pair));
    }
    letters(texts.into_iter())
}

/// Asserts that nothing overlaps, nothing leaves its box or the page, and the sums are on one page.
fn in_order(sheets: &[Sheet]) {
    for sheet in sheets {
        let mut bottom = MARGIN;
        for (y, band) in &sheet.bands {
            assert!(*y >= bottom - 0.1, "a band at {y} begins above {bottom}");
            bottom = y + band.height();
            let mut edge = LEFT;
            for cell in &band.cells {
                // The title and the seller share a band, the title measured: it takes less than its box.
                let alone = band.table.is_none();
                assert!(alone || cell.x >= edge - 0.1, "a cell at {} begins before {edge}", cell.x);
                edge = cell.x + cell.width;
                let mut under = 0.0;
                for piece in &cell.pieces {
                    assert!(piece.offset >= under - 0.1, "a text at {} begins above {under}", piece.offset);
                    under = piece.bottom();
                    let widths = piece.block.lines.iter().map(|line| line.width * piece.block.size);
                    let widest = widths.fold(0.0, f32::max);
                    assert!(widest <= cell.width + 0.1, "{widest} in {}", cell.width);
                }
            }
            assert!(edge <= LEFT + ACROSS + 0.1, "{edge} is over the edge");
        }
        assert!(bottom <= BOTTOM + 0.3, "{bottom} is below the page");
    }
    let summed = |sheet: &&Sheet| sheet.bands.iter().any(|(_, band)| band.table == Some(Table::Totals));
    assert_eq!(sheets.iter().filter(summed).count(), 1, "pages with sums");
}

fn pages(pdf: &[u8]) -> usize {
    let text = String::from_utf8_lossy(pdf);
    text.split("/Type/Page").skip(1).filter(|rest| !rest.starts_with('s')).count()
}

fn count(pdf: &[u8], text: &str) -> usize {
    pdf.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
}

#[test]
fn a_usual_invoice_is_one_page_of_less_than_forty_kilobytes() {
    let pdf = invoice(&INVOICE).expect("renders");
    assert!(pdf.starts_with(b"%PDF-"));
    assert_eq!(pages(&pdf), 1);
    assert!(pdf.len() < 40_000, "{} bytes", pdf.len());
}

#[test]
fn pages_grow_with_the_lines_and_each_page_of_the_table_has_its_head() {
    let mut before = 0;
    for count in [1, 40, 80, 200] {
        let lines = vec![LINE; count];
        let long = Invoice { lines: &lines, ..INVOICE };
        let sheets = laid_out(&long);
        assert!(sheets.len() > before, "{count} lines on {} pages", sheets.len());
        before = sheets.len();
        for sheet in &sheets {
            let rows = sheet.bands.iter().filter(|(_, band)| band.table == Some(Table::Lines));
            let heads: Vec<bool> = rows
                .map(|(_, band)| band.cells.iter().all(|cell| cell.meaning == Meaning::ColumnHead))
                .collect();
            // The last page may have nothing but notes.
            let expected = heads.first().map_or((None, 0), |_| (Some(&true), 1));
            assert_eq!((heads.first(), heads.iter().filter(|head| **head).count()), expected);
        }
        in_order(&sheets);
        assert_eq!(pages(&invoice(&long).expect("renders")), sheets.len());
    }
}

#[test]
fn the_sums_share_a_page_with_each_other_and_with_the_last_line_however_many_lines_there_are() {
    for count in 1..=30 {
        let lines = vec![LINE; count];
        let sheets = laid_out(&Invoice { lines: &lines, ..INVOICE });
        in_order(&sheets);
        let page =
            sheets.iter().find(|sheet| sheet.bands.iter().any(|(_, b)| b.table == Some(Table::Totals)));
        let rows = page.expect("sums").bands.iter().filter(|(_, band)| band.table == Some(Table::Lines));
        assert!(rows.count() >= 2, "{count} lines: a head and a line above the sums");
    }
}

#[test]
fn a_line_stays_whole_unless_it_is_taller_than_a_page() {
    let long = "word ".repeat(60);
    let tall = "word ".repeat(4000);
    let lines = [
        vec![InvoiceLine { description: &long, ..LINE }; 30],
        vec![InvoiceLine { description: &tall, ..LINE }],
    ]
    .concat();
    let long = Invoice { lines: &lines, labels: SILENT, amounts: None, ..INVOICE };
    let sheets = laid_out(&long);
    in_order(&sheets);
    assert_eq!(printed(&sheets), given(&long));
    let rows = bands(&sheets).filter(|band| band.table == Some(Table::Lines) && !band.repeated).count();
    let parts = rows - 1 - 30;
    assert!(parts > 1 && parts < 8, "{parts} parts of the one line that is too tall");
}

#[test]
fn the_sums_stand_in_their_order_and_what_is_not_there_has_no_row() {
    let rows = sums(&INVOICE);
    let first: Vec<&str> = rows.iter().filter_map(|row| row.first()).map(String::as_str).collect();
    let all = [
        "Subtotal",
        "Discount",
        "Tax",
        "VAT 6 %",
        "Rounding",
        "Total",
        "Paid with gift credit",
        "Already paid",
        "Amount due",
    ];
    assert_eq!(first, all);
    assert_eq!(rows[3], ["VAT 6 %", "754.72 SEK", "45.28 SEK"]);
    let bare = Totals { total: "5 €", ..Totals::default() };
    assert_eq!(sums(&Invoice { totals: bare, ..INVOICE }), [["Total", "5 €"]]);
}

#[test]
fn a_credit_note_names_its_invoice_and_speaks_of_paying_back() {
    let note = Invoice { kind: InvoiceKind::CreditNote { corrects: "2026-000099" }, ..INVOICE };
    let sheets = laid_out(&note);
    let all: Vec<String> = bands(&sheets).flat_map(|band| &band.cells).flat_map(texts).collect();
    assert_eq!(all[0], "Credit note");
    assert!(all.windows(2).any(|pair| pair == ["Corrects invoice", "2026-000099"]));
    assert!(all.contains(&"Already refunded".into()) && !all.contains(&"Already paid".into()));
}

#[test]
fn a_discount_stands_beside_its_amount_under_its_line() {
    let sheets = laid_out(&INVOICE);
    let row = bands(&sheets).find(|band| band.cells[0].meaning == Meaning::RowHead).expect("a line");
    let last = |cell: &Cell| cell.pieces.last().map(|piece| piece.offset + piece.block.baseline());
    let (label, amount) = (&row.cells[0], &row.cells[4]);
    assert_eq!(texts(amount), ["900.00", "−90.00"]);
    assert_eq!(texts(label).last().map(String::as_str), Some("Members, 10 %"));
    let apart = last(label).expect("label") - last(amount).expect("amount");
    assert!(apart.abs() < 0.1, "{apart} points apart");
}

#[test]
fn a_column_without_a_figure_is_left_out() {
    let line = InvoiceLine { quantity: "", tax: " ", ..LINE };
    let sheets = laid_out(&Invoice { lines: &[line, line], ..INVOICE });
    let head = bands(&sheets).find(|band| band.table.is_some()).expect("a head");
    let words: Vec<String> = head.cells.iter().flat_map(texts).collect();
    assert_eq!(words, ["Description", "Unit price", "Amount"]);
}

#[test]
fn amounts_of_any_size_stay_on_one_line() {
    let huge = "−99,999,999,999.999 KWD";
    let line = InvoiceLine { unit_price: huge, amount: huge, discount: None, ..LINE };
    let tax = Tax { label: "Tax on everything there is 5 %", base: huge, amount: huge };
    let totals = Totals {
        subtotal: Some(huge),
        taxes: &[tax, tax],
        total: huge,
        due: Some(huge),
        ..Totals::default()
    };
    for language in ["en", "ar"] {
        let sheets = laid_out(&Invoice { language, lines: &[line], totals, ..INVOICE });
        in_order(&sheets);
        let cells = bands(&sheets).flat_map(|band| &band.cells).map(texts);
        assert_eq!(cells.filter(|texts| texts == &[huge]).count(), 9);
    }
}

#[test]
fn an_invoice_with_nothing_but_empty_texts_renders() {
    let party = Party::default();
    let bare = Invoice {
        language: "",
        labels: SILENT,
        number: "",
        issued: "",
        supplied: Some(""),
        order: Some(""),
        seller: party,
        buyer: Some(party),
        lines: &[InvoiceLine { description: "", ..InvoiceLine::default() }],
        totals: Totals::default(),
        amounts: None,
        payment: Some(""),
        notes: Some("\n\n"),
        ..INVOICE
    };
    assert_eq!(pages(&invoice(&bare).expect("renders")), 1);
    assert_eq!(pages(&invoice(&Invoice { lines: &[], buyer: None, ..bare }).expect("renders")), 1);
}

#[test]
fn letters_without_a_font_do_not_stop_the_invoice() {
    let line =
        InvoiceLine {
            description: "東京 Jazz 🎷", detail: Some("\u{10FFFF}\u{0}"), quantity: "🎷", ..LINE
        };
    let pdf =
        invoice(&Invoice { lines: &[line], number: "\u{202E}7\u{2066}", payment: Some("💳"), ..INVOICE });
    assert_eq!(pages(&pdf.expect("renders")), 1);
}

#[test]
fn long_notes_and_addresses_run_on_and_none_is_lost() {
    let notes = "One more rule that nobody reads to its end, however long it gets.\n".repeat(200);
    let address = vec!["Sveavägen 24"; 90];
    let taxes = vec![Tax { label: "VAT 6 %", base: "1.00", amount: "0.06" }; 80];
    let buyer = Some(Party { address: &address, ..INVOICE.seller });
    let totals = Totals { taxes: &taxes, ..INVOICE.totals };
    let long = Invoice { labels: SILENT, amounts: None, notes: Some(&notes), buyer, totals, ..INVOICE };
    let sheets = laid_out(&long);
    assert_eq!(printed(&sheets), given(&long));
    assert!(invoice(&long).is_ok_and(|pdf| pages(&pdf) == sheets.len() && sheets.len() > 7));
}

#[test]
fn the_same_invoice_gives_the_same_bytes() {
    let first = invoice(&INVOICE).expect("renders");
    assert!(first == invoice(&INVOICE).expect("renders"));
    assert!(first != invoice(&Invoice { number: "2026-000124", ..INVOICE }).expect("renders"));
    assert_eq!(count(&first, "CreationDate"), 0, "no clock");
}

#[test]
fn the_file_names_its_title_author_and_language() {
    let pdf = invoice(&INVOICE).expect("renders");
    assert_eq!(count(&pdf, "/Title(Invoice 2026-000123)"), 1);
    assert_eq!(count(&pdf, "/Author(Stockholm Chamber Society)"), 1);
    assert!(count(&pdf, "/Lang(en)") >= 1);
}

#[test]
fn a_screen_reader_finds_one_table_of_lines_and_one_of_sums_however_many_pages() {
    let lines = vec![LINE; 100];
    let pdf = invoice(&Invoice { lines: &lines, ..INVOICE }).expect("renders");
    assert!(pages(&pdf) > 2);
    assert_eq!(count(&pdf, "/S/Table"), 2);
    // A head and a row for each line, and nine rows of sums.
    assert_eq!(count(&pdf, "/S/TR"), 1 + 100 + 9);
    // Five heads of columns, then three over the rows of tax: a repeated head is not read out.
    assert_eq!(count(&pdf, "/Scope/Column"), 5 + 3);
    // Children are objects ("36 0 R"); a bare number would be a text that stands in no cell.
    let text = String::from_utf8_lossy(&pdf);
    for table in text.split("/S/Table").skip(1) {
        let children = table.split("/K[").nth(1).and_then(|rest| rest.split(']').next()).expect("children");
        let words: Vec<&str> = children.split_whitespace().collect();
        assert!(words.chunks(3).all(|child| child.last() == Some(&"R")), "{children}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_texts_are_none_is_lost_and_nothing_overlaps(
        language in prop_oneof!["en", "ar", "hi", "he"],
        name in "\\PC{0,200}",
        mixed in "[\\p{Arabic}\\p{Latin}\\p{Devanagari}\\p{Hebrew}0-9 ()%.-]{0,300}",
        word in "[A-Za-z]{0,150}",
        amount in "[-−+]?[0-9]{1,14}[.,][0-9]{0,3} ?(KWD|€|ر.س|₹|)",
        anything in ".{0,80}",
        rows in 1usize..12,
    ) {
        let fact = Fact { label: &mixed, value: &amount };
        let line = InvoiceLine {
            description: &name,
            detail: Some(&mixed),
            quantity: &anything,
            unit_price: &amount,
            tax: &word,
            amount: &amount,
            discount: Some(fact),
        };
        let lines = [vec![line; rows], vec![InvoiceLine { description: &word, amount: &name, ..line }]].concat();
        let address = [mixed.as_str(), word.as_str()];
        let buyer = Party { name: &mixed, address: &address, tax_numbers: &[fact], email: Some(&word) };
        let random = Invoice {
            language: &language,
            labels: SILENT,
            kind: InvoiceKind::CreditNote { corrects: &mixed },
            number: &word,
            issued: &mixed,
            supplied: Some(&amount),
            facts: &[fact, fact],
            seller: Party { name: &name, ..buyer },
            buyer: Some(buyer),
            lines: &lines,
            totals: Totals {
                subtotal: Some(&amount),
                taxes: &[Tax { label: &mixed, base: &amount, amount: &amount }],
                total: &amount,
                due: Some(&word),
                ..Totals::default()
            },
            amounts: None,
            payment: Some(&mixed),
            notes: Some(&name),
            ..INVOICE
        };
        let sheets = laid_out(&random);
        in_order(&sheets);
        prop_assert_eq!(printed(&sheets), given(&random));
        prop_assert_eq!(pages(&invoice(&random).expect("renders")), sheets.len());
    }
}
