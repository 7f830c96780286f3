//! The samples: invented statements in the shapes of real banks, and what is read from each, kept in `samples/golden.txt`.
//! `UPDATE=1 cargo test -p tessera-statement` writes it anew: review the difference.

use super::*;
use proptest::prelude::*;
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn names() -> Vec<String> {
    let files =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.filter(|name| name != "golden.txt").collect();
    names.sort();
    names
}

/// What a person knows who uploads a file that does not say its currency.
fn known(name: &str) -> Columns {
    let currencies =
        [("chase", "USD"), ("hdfc", "INR"), ("sumitomo", "JPY"), ("lloyds", "GBP"), ("boursorama", "EUR")];
    let code = currencies.iter().find(|(bank, _)| name.starts_with(bank)).map(|(_, code)| (*code).to_owned());
    Columns { all_in: code, ..Columns::default() }
}

fn read_sample(name: &str) -> Result<Statement, StatementError> {
    let bytes = sample(name);
    if name.ends_with("xml") { read(&bytes) } else { read_csv(&bytes, &known(name)) }
}

fn table(name: &str, statement: &Statement) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
    let mut text = format!(
        "{name}: {} {}, skipped {}\n",
        or_none(&statement.account),
        or_none(&statement.currency),
        statement.skipped
    );
    for entry in &statement.entries {
        let value = entry.value.map_or("-".to_owned(), |date| date.to_string());
        let (party, iban) = (or_none(&entry.counterparty), or_none(&entry.iban));
        let Entry { id, booked, amount, currency, reference, reversal, .. } = entry;
        let reversal = if *reversal { " | reversal" } else { "" };
        let codes = find_codes(reference, "TS").join(" ");
        writeln!(text, "  {id}\n    {booked} {value} {amount} {currency} | {party} | {iban}{reversal}\n    {reference}\n    [{codes}]").unwrap();
    }
    text
}

#[test]
fn every_sample_reads_as_the_golden_table_says() {
    let tables = names()
        .into_iter()
        .map(|name| table(&name, &read_sample(&name).unwrap_or_else(|error| panic!("{name}: {error}"))));
    let read = tables.collect::<Vec<_>>().join("\n");
    let path = folder().join("golden.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &read).unwrap();
    }
    assert_eq!(read, std::fs::read_to_string(&path).unwrap());
}

#[test]
fn a_second_reading_and_an_overlapping_file_give_the_same_ids() {
    for name in names() {
        let ids: Vec<String> =
            read_sample(&name).unwrap().entries.into_iter().map(|entry| entry.id).collect();
        let again: Vec<String> =
            read_sample(&name).unwrap().entries.into_iter().map(|entry| entry.id).collect();
        assert_eq!(ids, again, "{name}");
        let distinct: std::collections::HashSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "{name}");
    }
    let whole = String::from_utf8(sample("n26.csv")).unwrap();
    let later: Vec<&str> = whole.lines().take(1).chain(whole.lines().skip(2)).collect();
    let (whole, later) = (read(whole.as_bytes()).unwrap(), read(later.join("\r\n").as_bytes()).unwrap());
    assert_eq!(later.entries, whole.entries[1..]);
    let camt = String::from_utf8(sample("camt053-02.xml")).unwrap();
    let renumbered = camt.replace("<NtryRef>4</NtryRef>", "<NtryRef>1</NtryRef>");
    assert_eq!(read(camt.as_bytes()), read(renumbered.as_bytes()), "a running number names nothing");
}

#[test]
fn a_payer_who_uses_a_reference_twice_has_paid_twice() {
    let camt = String::from_utf8(
        sample("camt054-04.xml").iter().map(|byte| if byte.is_ascii() { *byte } else { b'?' }).collect(),
    )
    .unwrap();
    let start = camt.find("<Ntry>").unwrap();
    let end = camt.find("</Ntfctn>").unwrap();
    let twice = format!("{}{}{}", &camt[..end], &camt[start..end], &camt[end..]);
    let ids: Vec<String> =
        read(twice.as_bytes()).unwrap().entries.into_iter().map(|entry| entry.id).collect();
    assert_eq!(ids, ["20270602.2500.E7", "20270602.2500.E7.2"]);
}

/// A file with such lines under a usual heading, read.
fn lines(lines: &[&str]) -> Result<Statement, StatementError> {
    read(format!("Date;Description;Amount;Currency\n{}\n", lines.join("\n")).as_bytes())
}

fn said(result: Result<Statement, StatementError>) -> String {
    result.map_or_else(|error| error.to_string(), |statement| format!("{:?}", statement.entries))
}

#[test]
fn errors_say_the_line_and_what_is_wrong() {
    let good = "2027-06-01;a;1.00;EUR";
    for (line, sentence) in [
        ("2027-06-31;a;1.00;EUR", "line 3: “2027-06-31” is not a date"),
        (
            "2027-06-01;a;1.001,5;EUR",
            "line 3: “1.001,5” writes decimals in another way than the lines before it",
        ),
        ("2027-06-01;a;1.0055;EUR", "line 3: “1.0055” has more decimals than EUR has (2)"),
        ("2027-06-01;a;1.5;JPY", "line 3: “1.5” has more decimals than JPY has (0)"),
        ("2027-06-01;a;ten;EUR", "line 3: “ten” is not an amount"),
        ("2027-06-01;a;;EUR", "line 3: the booking has no amount"),
        ("2027-06-01;a;1.00;Euro", "line 3: “Euro” is not a currency; it must be a code such as EUR"),
        ("2027-06-01;a;1.00;", "line 3: the file does not say the currency of its amounts; say which it is"),
        (
            "2027-06-01;a;b;1.00;EUR",
            "line 3: the line has 5 cells, but only 4 columns have a name; perhaps a text with a delimiter is not quoted",
        ),
        (";a;1.00;EUR", "line 3: “” is not a date"),
        (
            "2027-06-01;\"a;1.00;EUR\n2027-06-02;b;2.00;EUR",
            "line 3: a quotation mark is opened and not closed, so that the lines after it cannot be told apart",
        ),
        (
            "05/06/2027;a;1.00;EUR",
            "line 3: “05/06/2027” can be read as two dates, and no line of the file decides it; say whether the day or the month comes first",
        ),
    ] {
        assert_eq!(said(lines(&[good, line])), sentence);
    }
    assert_eq!(
        said(lines(&["2027-06-01;a;1.234;EUR"])),
        "line 2: “1.234” can be read with and without decimals; say whether the file writes decimals with a comma or with a point"
    );
    assert_eq!(
        said(lines(&["13/06/2027;a;1.00;EUR", "06/13/2027;a;1.00;EUR"])),
        "line 3: “06/13/2027” has day and month in another order than the lines before it"
    );
    let long = format!("2027-06-01;{};1.00;EUR", "x".repeat(LONGEST_TEXT + 1));
    assert_eq!(lines(&[good, &long]).unwrap_err(), Fault::TooLong.at(3));
    let csv = |text: &str| said(read(text.as_bytes()));
    assert_eq!(
        csv("Date;Debit;Credit;Currency\n2027-06-01;1.00;2.00;EUR"),
        "line 2: the line has both a debit and a credit"
    );
    assert_eq!(
        csv("Date;Amount;Dr/Cr;Currency\n2027-06-01;-1.00;CR;EUR"),
        "line 2: the amount is negative, but the line says that the money came in"
    );
    assert_eq!(
        csv("Date;Amount;Currency;Status\n2027-06-01;1.00;EUR;perhaps"),
        "line 2: the status “perhaps” is not known; it must say whether this is booked"
    );
    assert_eq!(
        csv("Date;Amount;Currency;Account\n2027-06-01;1.00;EUR;1\n2027-06-01;1.00;EUR;2"),
        "line 3: the file has bookings of more than one account; export one account at a time"
    );
    assert_eq!(csv("%PDF-1.7"), "this is a PDF; export the statement as CAMT.053 (XML) or as CSV");
    let cells = ";".repeat(LARGEST_FILE);
    assert_eq!(read(cells.as_bytes()), Err(Fault::TooLong.at(1)));
    let wide = format!("Date;Amount;Currency{}\n2027-06-01;1.00;EUR\n", ";".repeat(300));
    assert_eq!(read(wide.as_bytes()), Err(Fault::NoHeadings.of_the_file()));
    assert_eq!(read(b""), Err(Fault::NoHeadings.of_the_file()));
    assert_eq!(read(&vec![b'a'; LARGEST_FILE + 1]), Err(Fault::TooLarge.of_the_file()));
}

#[test]
fn errors_in_camt_say_the_line_too() {
    let camt = String::from_utf8(sample("camt053-02.xml")).unwrap();
    for (from, to, sentence) in [
        (
            ">62.50</Amt>\n        <CdtDbtInd>",
            ">62.505</Amt>\n        <CdtDbtInd>",
            "line 14: “62.505” has more decimals than EUR has (2)",
        ),
        ("<Amt Ccy=\"EUR\">62.50</Amt>\n        ", "", "line 13: the booking has no amount"),
        (
            "<Amt Ccy=\"EUR\">62.50</Amt>\n        ",
            "<Amt>62.50</Amt>",
            "line 14: the booking has no currency",
        ),
        (
            "<Amt Ccy=\"EUR\">62.50</Amt>\n        ",
            "<Amt Ccy='EUX'>1</Amt>",
            "line 14: “EUX” is not a currency; it must be a code such as EUR",
        ),
        (
            "<CdtDbtInd>CRDT</CdtDbtInd>\n        <Sts>",
            "<CdtDbtInd>X</CdtDbtInd><Sts>",
            "line 15: “X” does not say whether the money came in or went out",
        ),
        ("<Sts>BOOK</Sts>", "", "line 13: the booking has no status"),
        (
            "<Dt>2027-06-02</Dt></BookgDt>",
            "<Dt>2027-02-30</Dt></BookgDt>",
            "line 17: “2027-02-30” is not a date",
        ),
        (
            "</Stmt>",
            "</Stmt><Stmt><Acct><Id><IBAN>DE1</IBAN></Id></Acct></Stmt>",
            "line 96: the file has bookings of more than one account; export one account at a time",
        ),
        ("</Ntry>", "", "line 96: the XML is damaged here; download the statement again"),
        (
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            "<!DOCTYPE Document [<!ENTITY a \"b\">]>",
            "line 1: the file has a document type or an entity, which no bank's statement has; it is not read",
        ),
    ] {
        assert!(camt.contains(from), "{from}");
        assert_eq!(said(read(camt.replacen(from, to, 1).as_bytes())), sentence);
    }
    assert_eq!(read(b"<Document><CstmrCdtTrfInitn/></Document>"), Err(Fault::NoStatement.of_the_file()));
}

#[test]
fn the_order_of_day_and_month_is_proved_known_or_refused() {
    let day = |text: &str, columns: &Columns| {
        read_csv(text.as_bytes(), columns).map(|read| read.entries[0].booked.to_string())
    };
    let (english, german) = ("Date,Amount,Currency\n", "Datum,Betrag,Waehrung\n");
    let (lone, proof) = ("01/06/2027,1.00,EUR\n", "06/13/2027,1.00,EUR\n");
    let ours = Columns::default();
    let told = |order| Columns { dates: Some(order), ..Columns::default() };
    let june = Ok("2027-06-01".to_owned());
    let january = Ok("2027-01-06".to_owned());
    assert_eq!(day(&format!("{english}{lone}{proof}"), &ours), january);
    assert_eq!(day(&format!("{english}{lone}14/06/2027,1.00,EUR\n"), &ours), june);
    assert_eq!(day(&format!("{german}{lone}"), &ours), june, "people who write so have the day first");
    assert_eq!(day(&format!("{german}{lone}{proof}"), &ours), january, "unless a line proves otherwise");
    assert_eq!(
        day(&format!("{english}{lone}"), &ours),
        Err(Fault::AmbiguousDate("01/06/2027".to_owned()).at(2))
    );
    assert_eq!(day(&format!("{english}{lone}"), &told(DateOrder::DayFirst)), june);
    assert_eq!(day(&format!("{english}{lone}"), &told(DateOrder::MonthFirst)), january);
    assert_eq!(day(&format!("{english}06/06/2027,1.00,EUR\n"), &ours), Ok("2027-06-06".to_owned()));
}

#[test]
fn a_caller_names_what_is_not_found() {
    let text = "Wann|x;Wieviel;Von wem;Wozu;Noch\n2027-06-01;1.234;Ada;Karten;TS-8MQH-4T3P-V\n";
    assert_eq!(read(text.as_bytes()), Err(Fault::NoHeadings.of_the_file()));
    let name = |text: &str| Some(text.to_owned());
    let mut columns = Columns {
        booked: name("wann x"),
        amount: name("WIEVIEL"),
        counterparty: name("Von wem"),
        reference: vec!["Wozu".to_owned(), "Noch".to_owned()],
        all_in: name("EUR"),
        decimal: Some(Decimal::Comma),
        ..Columns::default()
    };
    let read = read_csv(text.as_bytes(), &columns).unwrap();
    let entry = &read.entries[0];
    assert_eq!(
        (entry.amount, entry.counterparty.as_deref(), entry.reference.as_str()),
        (123_400, Some("Ada"), "Karten TS-8MQH-4T3P-V")
    );
    assert_eq!(read.currency.as_deref(), Some("EUR"));
    let split = "Date;Amount;Out;In;Currency\n2027-06-01;99.00;;1.10;EUR\n";
    let sides = Columns { debit: name("Out"), credit: name("In"), ..Columns::default() };
    assert_eq!(read_csv(split.as_bytes(), &sides).unwrap().entries[0].amount, 110);
    let both = "Date;Amount (EUR);Amount (USD)\n2027-06-01;1.00;1.10\n";
    let dollars = Columns { amount: name("Amount (USD)"), ..Columns::default() };
    assert_eq!(read_csv(both.as_bytes(), &dollars).unwrap().entries[0].currency, "USD");
    columns.value = name("Wert");
    assert_eq!(read_csv(text.as_bytes(), &columns), Err(Fault::NoColumn("Wert".to_owned()).of_the_file()));
    let commas = text.replace(';', ",");
    assert_eq!(read_csv(commas.as_bytes(), &columns), Err(Fault::NoColumn("Wert".to_owned()).of_the_file()));
    columns.value = None;
    columns.all_in = name("Euro");
    assert_eq!(read_csv(text.as_bytes(), &columns), Err(Fault::Currency("Euro".to_owned()).of_the_file()));
}

#[test]
fn balances_and_words_about_the_file_are_no_bookings_and_nothing_else_is_lost() {
    let read = lines(&[
        "Balance;;900.00;EUR",
        "2027-06-01;Total;1.00;EUR",
        "2027-06-01;;2.00;EUR",
        ";;;",
        "Exported on 2027-06-03",
        "Page;1;;",
    ]);
    let amounts: Vec<i64> = read.unwrap().entries.iter().map(|entry| entry.amount).collect();
    assert_eq!(amounts, [100, 200], "a payer may write “Total”");
    let bare = read_csv(
        b"Date;Amount;What\n2027-06-01;1.00;Total\n",
        &Columns { all_in: Some("EUR".to_owned()), ..Columns::default() },
    );
    assert_eq!(bare.unwrap().entries.len(), 1);
}

#[test]
fn rows_above_the_headings_name_account_and_currency() {
    let read = |above: &str| read(format!("{above}\n\nDatum;Betrag\n01.06.2027;1,00\n").as_bytes());
    for above in ["Währung:;CHF", "Saldo;1,00;CHF", "Saldo;1,00 CHF", "Currency;\"CHF\""] {
        assert_eq!(read(above).unwrap().currency.as_deref(), Some("CHF"), "{above}");
    }
    assert_eq!(read("Kategorie;ALL"), Err(Fault::NoCurrency.at(4)), "not every three letters are a currency");
    let named = read("Währung;EUR\nKonto IBAN: DE89 3704 0044 0532 0130 00;x").unwrap();
    assert_eq!(named.account.as_deref(), Some("DE89370400440532013000"));
}

#[test]
fn of_two_currencies_that_after_the_amount_is_the_amounts() {
    let read = read("Datum;Saldo;Währung;Betrag;Währung\n01.06.2027;1,00;CHF;1,00;EUR\n".as_bytes());
    assert_eq!(read.unwrap().entries[0].currency, "EUR");
}

#[test]
fn the_other_side_is_never_the_account_itself() {
    let camt = String::from_utf8(sample("camt053-02.xml")).unwrap();
    let swapped = camt.replace("Dbtr", "Other").replace("Cdtr", "Dbtr").replace("Other", "Cdtr");
    let of = |text: &str| read(text.as_bytes()).unwrap().entries.remove(0);
    assert_eq!(of(&swapped), of(&camt));
}

#[test]
fn a_statement_without_bookings_has_the_currency_of_its_balance() {
    let camt = String::from_utf8(sample("camt053-02.xml")).unwrap().replace("<Ccy>EUR</Ccy>", "");
    let (start, end) = (camt.find("<Ntry>").unwrap(), camt.find("</Stmt>").unwrap());
    let empty = read(format!("\n{}{}", &camt[..start], &camt[end..]).as_bytes()).unwrap();
    assert_eq!((empty.currency.as_deref(), empty.entries.len()), (Some("EUR"), 0));
}

/// A file with so many bookings, each of its own kind.
fn large(count: usize) -> String {
    let line = |index: usize| {
        format!("2027-06-{:02};TS-8MQH-4T3P-V no {index};{}.{:02};EUR\n", index % 30 + 1, index, index % 100)
    };
    format!("Date;Description;Amount;Currency\n{}", (0..count).map(line).collect::<String>())
}

#[test]
fn a_file_has_ten_thousand_bookings_at_most() {
    assert_eq!(read(large(10_000).as_bytes()).unwrap().entries.len(), 10_000);
    assert_eq!(read(large(10_001).as_bytes()), Err(Fault::TooMany.of_the_file()));
    assert_eq!(read(large(15_000).as_bytes()), Err(Fault::TooMany.of_the_file()));
    let pending = "2027-06-01;1.00;EUR;pending\n".repeat(300);
    let booked = "2027-06-01;1.00;EUR;booked\n".repeat(9_950);
    let mixed = format!("Date;Amount;Currency;Status\n{pending}{booked}");
    assert_eq!(
        read(mixed.as_bytes()),
        Err(Fault::TooMany.of_the_file()),
        "rather than to leave out the last ones"
    );
    let entry = "<Ntry><Amt Ccy='EUR'>1</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2027-06-01</Dt></BookgDt></Ntry>";
    let camt = |count| {
        format!("<Document><BkToCstmrStmt><Stmt>{}</Stmt></BkToCstmrStmt></Document>", entry.repeat(count))
    };
    assert_eq!(read(camt(MOST_ENTRIES).as_bytes()).unwrap().entries.len(), MOST_ENTRIES);
    assert_eq!(read(camt(MOST_ENTRIES + 1).as_bytes()), Err(Fault::TooMany.of_the_file()));
}

proptest! {
    #[test]
    fn no_file_is_too_strange(bytes: Vec<u8>) {
        drop(read(&bytes));
        drop(read_csv(&bytes, &Columns { dates: Some(DateOrder::DayFirst), ..Columns::default() }));
    }

    /// Samples with bytes put wrong, taken out, or said twice.
    #[test]
    fn no_damage_makes_it_panic(
        which: prop::sample::Index, cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..30, any::<Vec<u8>>()), 1..8)
    ) {
        let names = names();
        let mut bytes = sample(which.get::<String>(&names));
        for (at, gone, put) in cuts {
            let start = at.index(bytes.len());
            let end = (start + gone).min(bytes.len() - 1);
            bytes.splice(start..end.max(start), put);
        }
        drop(read(&bytes));
    }

    /// A line reads as it was written, whatever stands in it.
    #[test]
    fn a_line_reads_as_it_was_written(purpose in "[ -~äöüß€\n\"]{0,40}", amount in -1_000_000_000i64..1_000_000_000, day in 1i8..=28) {
        let sign = if amount < 0 { "-" } else { "" };
        let text = format!(
            "Datum;Verwendungszweck;Betrag;Waehrung\n{day:02}.06.2027;\"{}\";{sign}{},{:02};EUR\n",
            purpose.replace('"', "\"\""), amount.abs() / 100, amount.abs() % 100
        );
        // Three or more semicolons on a line of their own look like the next booking.
        prop_assume!(!purpose.lines().skip(1).any(|line| line.matches(';').count() > 2));
        let entry = read(text.as_bytes()).unwrap().entries.remove(0);
        prop_assert_eq!(entry.amount, amount);
        prop_assert_eq!(entry.booked, jiff::civil::date(2027, 6, day));
        prop_assert_eq!(entry.reference, text::tidy(&purpose));
    }
}
