use super::*;
use crate::auth::Buyer as Who;
use crate::booking::{Item, Line, Quote, Subject};
use crate::id::{BookingId, EventId, GuestId, HoldId, OfferId};
use crate::order::{Contact, Refunded};
use crate::payment::refund::{New, Wanted, Why};
use crate::payment::{Fact, Payment};
use crate::price::{Charge, FeeRule, PaidBy, PriceRules, TaxRate, TaxRules, bill};
use proptest::prelude::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn money(amount: i64) -> Money {
    Money::new(amount, "EUR".parse().unwrap())
}

fn text<const MIN: usize, const MAX: usize>(text: &str) -> Text<MIN, MAX> {
    Text::parse(text).unwrap()
}

fn settings() -> InvoiceSettings {
    let seller = Seller {
        name: text("Kulturhaus GmbH"),
        address: vec![text("Hof 1")],
        country: "DE".parse().unwrap(),
        tax_numbers: Vec::new(),
    };
    InvoiceSettings { seller, prefix: text("2027-"), notes: text(""), language: Language::De, zone: None }
}

fn supply() -> Supply {
    Supply { name: "Midsummer".to_owned(), date: None, zone: "Europe/Berlin".to_owned() }
}

/// An order of lines with these prices, quantities and discounts, taxed in turn with 19 and 7, and a fee.
fn order(lines: &[(i64, u32, i64)], included: bool) -> Order {
    let rate = |code: &str, percent: &str| TaxRate {
        code: text(code),
        place: "DE".parse().unwrap(),
        name: text("VAT"),
        percent: percent.parse().unwrap(),
    };
    let rates = vec![rate("standard", "19"), rate("reduced", "7")];
    let fee = FeeRule {
        name: text("Service"),
        percent: "2.5".parse().unwrap(),
        each: None,
        basket: None,
        paid_by: PaidBy::Buyer,
        tax_code: None,
    };
    let tax = Some(TaxRules { included, place: "DE".parse().unwrap(), rates });
    let rules = PriceRules { tax, fees: vec![fee] };
    let charge = |(n, (unit, quantity, off)): (usize, &(i64, u32, i64))| {
        let item = Item::Offer(OfferId::derive(&[&n.to_string()]));
        let mut line = Line::new(item, format!("Line {n}"), *quantity, money(*unit)).unwrap();
        line.discount = (*off > 0).then_some(money((*off).min(line.amount.amount)));
        Charge { line, tax_code: (n % 2 == 1).then(|| text("reduced")) }
    };
    let bill = bill(lines.iter().enumerate().map(charge).collect(), Vec::new(), &rules, None).unwrap();
    let quote = Quote {
        hold: HoldId::derive(&["h"]),
        buyer: Who::Guest(GuestId::derive(&["g"])),
        organisation: OrganisationId::derive(&["o"]),
        subject: Subject::Event(EventId::derive(&["e"])),
        lines: bill.lines,
        extras: bill.extras,
        total: bill.total,
        claims: Vec::new(),
        expires: at(600),
    };
    let contact = Contact { name: text("Ada"), email: "ada@example.org".parse().unwrap() };
    Order::place(quote, contact, None, String::new(), at(0)).unwrap().0
}

fn sold(order: &Order) -> Order {
    let booking = BookingId::derive(&["b"]);
    order.confirm(booking, Some(Provider::Stripe), at(1)).unwrap().note(What::Paid, at(2)).unwrap()
}

fn invoice_of(order: &Order) -> Invoice {
    let taken = Taken::after(None, Paper::Invoice { order: order.id }, at(3));
    Draft::of_order(&sold(order), settings(), supply()).unwrap().unwrap().numbered(&taken)
}

#[test]
fn numbers_follow_each_other_and_dates_do_not_go_back() {
    let paper = Paper::Invoice { order: OrderId::derive(&["o"]) };
    let first = Taken::after(None, paper, at(10));
    assert_eq!((first.number, first.at), (1, at(10)));
    let second = Taken::after(Some(&first), paper, at(5));
    assert_eq!((second.number, second.at), (2, at(10)), "a clock that is behind");
    assert_eq!(Taken::after(Some(&second), paper, at(11)).at, at(11));
    let written = |sequence| settings().number(sequence);
    assert_eq!((written(17), written(123_456)), ("2027-00017".to_owned(), "2027-123456".to_owned()));
}

#[test]
fn a_documents_id_follows_from_what_it_is_for() {
    let (order, refund) = (OrderId::derive(&["o"]), RefundId::derive(&["r"]));
    for (paper, other) in [(None, Some(refund)), (Some(refund), None)] {
        let (paper, other) = (Paper::asked(order, paper), Paper::asked(order, other));
        assert_ne!(paper.id(), other.id());
        let Message::InvoiceDue { order, refund } = paper.due() else { panic!("{:?}", paper.due()) };
        assert_eq!(Paper::asked(order, refund), paper, "asked for by its own message");
    }
}

#[test]
fn what_has_an_invoice_was_sold_and_paid_in_whatever_order_that_is_heard() {
    let booking = BookingId::derive(&["b"]);
    let placed = order(&[(2500, 1, 0)], true);
    let refund = Refunded { id: RefundId::derive(&["r"]), amount: money(100), attempt: 1, returned: false };
    type Step = fn(&Order, BookingId, Refunded) -> Option<Order>;
    let steps: [Step; 4] = [
        |order, booking, _| order.confirm(booking, Some(Provider::Stripe), at(1)),
        |order, _, _| order.note(What::Paid, at(2)),
        |order, _, refund| order.refunded(refund),
        |order, _, _| order.end(super::super::Reason::BookingCancelled, at(3)),
    ];
    let mut orders = 0;
    for code in 0..256_usize {
        let turns = [code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6 & 3];
        if (0..4).any(|step| !turns.contains(&step)) {
            continue;
        }
        orders += 1;
        let (mut now, mut told) = (placed.clone(), Vec::new());
        // All of it heard twice.
        for step in turns.into_iter().chain(turns) {
            if let Some(next) = steps[step](&now, booking, refund) {
                told.extend(next.newly_due(&now));
                now = next;
            }
        }
        let id = now.id;
        let due = [Paper::asked(id, None).due(), Paper::asked(id, Some(refund.id)).due()];
        assert_eq!(told, due, "{turns:?}: each asked for once, the invoice first");
    }
    assert_eq!(orders, 24);
}

#[test]
fn what_is_not_paid_or_sold_without_settings_has_none() {
    let booking = BookingId::derive(&["b"]);
    let placed = order(&[(2500, 1, 0)], true);
    let confirmed = placed.confirm(booking, Some(Provider::Stripe), at(1)).unwrap();
    assert!(confirmed.newly_due(&placed).is_empty(), "let go before it was taken, it never had one");
    let without = placed.confirm(booking, None, at(1)).unwrap().note(What::Paid, at(2)).unwrap();
    assert!(without.newly_due(&placed).is_empty());
    assert_eq!(Draft::of_order(&without, settings(), supply()).unwrap(), None);
    let gift = order(&[(0, 1, 0)], true);
    assert!(sold(&gift).newly_due(&gift).is_empty(), "free");
}

#[test]
fn an_invoice_says_who_is_billed_in_their_language_or_the_sellers() {
    let mut placed = order(&[(2500, 2, 500), (1000, 1, 0)], true);
    let plain = invoice_of(&placed);
    assert_eq!((plain.buyer.name.as_str(), plain.language), ("Ada", Language::De));
    assert_eq!(plain.zone, "UTC");
    let name = Some(text("Engines Ltd"));
    placed.bill_to = Some(BillTo { name, language: Some(Language::Ar), ..BillTo::default() });
    let billed = invoice_of(&placed);
    assert_eq!((billed.buyer.name.as_str(), billed.language), ("Engines Ltd", Language::Ar));
    assert_eq!(billed.lines.len(), 3, "two lines and a fee");
    assert_eq!(billed.file(), "2027-00001.pdf");
    let odd = Invoice { number: "2027/\"é\r\n-1".to_owned(), ..billed };
    assert_eq!(odd.file(), "2027------1.pdf", "nothing that a header or a disk takes amiss");
}

#[test]
fn lines_that_are_not_the_total_take_no_number() {
    let mut placed = sold(&order(&[(2500, 2, 0)], true));
    placed.quote.total = money(1);
    assert_eq!(Draft::of_order(&placed, settings(), supply()).unwrap_err(), Code::Internal);
}

#[test]
fn settings_have_bounds() {
    assert!(settings().check().is_ok());
    let bad = InvoiceSettings { prefix: text("2027"), zone: Some("Berlin".to_owned()), ..settings() };
    assert_eq!(bad.check().unwrap_err().faults.len(), 2);
    let mut crowded = settings();
    crowded.seller.address = vec![text("x"); 7];
    crowded.seller.tax_numbers = vec![TaxNumber { label: None, value: text("1") }; 5];
    assert_eq!(crowded.check().unwrap_err().faults.len(), 2);
    assert!(BillTo { address: vec![text("x"); 6], ..BillTo::default() }.check().is_ok());
    assert!(BillTo { address: vec![text("x"); 7], ..BillTo::default() }.check().is_err());
    for (country, good) in [("DE", true), ("de", false), ("DEU", false), ("D1", false), ("", false)] {
        assert_eq!(country.parse::<Country>().is_ok(), good, "{country}");
    }
}

proptest! {
    /// An invoice is exactly its order's total; the credit notes of what all went back are exactly the invoice, for each rate too.
    #[test]
    fn credit_notes_of_everything_are_the_invoice(
        lines in proptest::collection::vec((1i64..100_000, 1u32..5, 0i64..50_000), 1..5),
        shares in proptest::collection::vec(1i64..40_000, 0..6),
        included in any::<bool>(),
    ) {
        let order = order(&lines, included);
        prop_assume!(!order.quote.total.is_zero());
        let invoice = invoice_of(&order);
        let gross: i64 = invoice.lines.iter().map(InvoiceLine::gross).sum();
        prop_assert_eq!((gross, invoice.total), (order.quote.total.amount, order.quote.total));
        let mut payment = Payment::new(&order, Provider::Stripe, at(0));
        let amount = payment.amount;
        for fact in [Fact::Authorized { amount, charge: None }, Fact::Captured { charge: None }] {
            payment = payment.learn(&fact, at(1)).unwrap().unwrap().0;
        }
        for (n, share) in shares.into_iter().chain([i64::MAX]).enumerate() {
            let back = share.min(payment.remaining().amount);
            if back > 0 {
                let id = RefundId::derive(&[&n.to_string()]);
                let wanted = Wanted::Amount(money(back));
                let new = New { id, wanted, why: Why::Seller, reason: None, by: None, print: None };
                payment = payment.owe(new, at(2)).unwrap().unwrap().0;
            }
        }
        let mut left = invoice.taxes.clone();
        let mut total = invoice.total.amount;
        for (refund, number) in payment.refunds.iter().zip(2..) {
            let paper = Paper::CreditNote { order: order.id, refund: refund.id };
            let draft = Draft::of_refund(&invoice, settings(), refund).unwrap().unwrap();
            let note = draft.numbered(&Taken { number, paper, at: at(4) });
            prop_assert_eq!(note.total, refund.amount);
            prop_assert_eq!(note.id, paper.id());
            total -= note.total.amount;
            for tax in &note.taxes {
                let same = |left: &&mut InvoiceTax| left.name == tax.name && left.percent == tax.percent;
                let left = left.iter_mut().find(same).unwrap();
                left.net.amount -= tax.net.amount;
                left.tax.amount -= tax.tax.amount;
            }
        }
        prop_assert_eq!(total, 0);
        prop_assert!(left.iter().all(|tax| tax.net.is_zero() && tax.tax.is_zero()), "{:?}", left);
    }
}
