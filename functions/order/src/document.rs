//! An invoice on paper, in its buyer's language.

use jiff::tz::TimeZone;
use tessera::error::{Code, Result};
use tessera::money::Money;
use tessera::order::invoice::language::Language;
use tessera::order::invoice::{Invoice, InvoiceLine, Kind};
use tessera_paper as paper;

/// A line with everything written out.
struct Written {
    detail: Option<String>,
    quantity: String,
    unit: String,
    rate: String,
    amount: String,
    discount: Option<String>,
}

/// The PDF of an invoice or a credit note: takes a few milliseconds.
///
/// # Errors
/// `internal` when it cannot be drawn.
pub fn pdf(invoice: &Invoice) -> Result<Vec<u8>> {
    let (language, currency) = (invoice.language, invoice.total.currency);
    let labels = *paper::InvoiceLabels::of(language.tag());
    let money = |amount: i64| language.amount(Money::new(amount, currency));
    let (total, nothing) = (money(invoice.total.amount), money(0));
    let subtotal = money(invoice.lines.iter().map(InvoiceLine::left).sum());
    let issued = language.date(invoice.day()?);
    let supplied = invoice.supply.date.map(|date| language.date(date));
    let (order, provider) = (invoice.order.to_string(), title(invoice.provider.word()));
    let written: Vec<Written> =
        invoice.lines.iter().map(|line| written(invoice, line)).collect::<Result<_>>()?;
    let lines: Vec<paper::InvoiceLine<'_>> = invoice
        .lines
        .iter()
        .zip(&written)
        .map(|(line, written)| paper::InvoiceLine {
            description: &line.name,
            detail: written.detail.as_deref(),
            quantity: &written.quantity,
            unit_price: &written.unit,
            tax: &written.rate,
            amount: &written.amount,
            discount: written.discount.as_deref().map(|value| paper::Fact { label: labels.discount, value }),
        })
        .collect();
    let taxes: Vec<[String; 3]> = invoice
        .taxes
        .iter()
        .map(|tax| {
            let label = format!("{} {}", tax.name, language.percent(tax.percent));
            [label, money(tax.net.amount), money(tax.tax.amount)]
        })
        .collect();
    let taxes: Vec<paper::Tax<'_>> =
        taxes.iter().map(|[label, base, amount]| paper::Tax { label, base, amount }).collect();
    let (seller, buyer) = (&invoice.seller, &invoice.buyer);
    let (here, there) = (seller.country.to_string(), buyer.country.as_ref().map(ToString::to_string));
    let from: Vec<&str> = seller.address.iter().map(|line| line.as_str()).chain([here.as_str()]).collect();
    let to: Vec<&str> = buyer.address.iter().map(|line| line.as_str()).chain(there.as_deref()).collect();
    let numbers: Vec<paper::Fact<'_>> = seller
        .tax_numbers
        .iter()
        .map(|number| paper::Fact {
            label: number.label.as_ref().map_or("", |label| label.as_str()),
            value: number.value.as_str(),
        })
        .collect();
    let number = buyer.tax_number.as_ref().map(|number| paper::Fact { label: "", value: number.as_str() });
    let (kind, reason) = match &invoice.kind {
        Kind::Invoice => (paper::InvoiceKind::Invoice, None),
        Kind::CreditNote { number, reason, .. } => {
            (paper::InvoiceKind::CreditNote { corrects: number }, reason.as_deref())
        }
    };
    let notes = [reason.unwrap_or_default(), invoice.notes.as_str()].join("\n");
    let on_top = invoice.lines.iter().filter_map(|line| line.tax.as_ref()).map(|tax| !tax.included).next();
    let said = paper::Invoice {
        language: language.tag(),
        labels,
        kind,
        number: &invoice.number,
        issued: &issued,
        supplied: supplied.as_deref(),
        order: Some(&order),
        facts: &[],
        seller: paper::Party {
            name: seller.name.as_str(),
            address: &from,
            tax_numbers: &numbers,
            email: None,
        },
        buyer: Some(paper::Party {
            name: &buyer.name,
            address: &to,
            tax_numbers: number.as_slice(),
            email: Some(buyer.email.as_str()),
        }),
        lines: &lines,
        totals: paper::Totals {
            subtotal: Some(&subtotal),
            discount: None,
            taxes: &taxes,
            rounding: None,
            total: &total,
            gift_credit: None,
            paid: Some(&total),
            due: Some(&nothing),
        },
        amounts: on_top.map(|on_top| match on_top {
            true => paper::Amounts::WithoutTax,
            false => paper::Amounts::WithTax,
        }),
        payment: Some(&provider),
        notes: Some(&notes),
    };
    paper::invoice(&said).map_err(|error| Code::Internal.caused_by(error))
}

fn written(invoice: &Invoice, line: &InvoiceLine) -> Result<Written> {
    let language = invoice.language;
    Ok(Written {
        detail: detail(invoice, line)?,
        quantity: line.quantity.map(|quantity| quantity.to_string()).unwrap_or_default(),
        unit: line.unit.map(|unit| language.amount(unit)).unwrap_or_default(),
        rate: line.tax.as_ref().map(|tax| language.percent(tax.percent)).unwrap_or_default(),
        amount: language.amount(line.amount),
        discount: line.discount.map(|off| language.amount(Money { amount: -off.amount, ..off })),
    })
}

/// What it was of, when, and which seats.
fn detail(invoice: &Invoice, line: &InvoiceLine) -> Result<Option<String>> {
    let (language, supply): (Language, _) = (invoice.language, &invoice.supply);
    if line.fee {
        return Ok(None);
    }
    let mut parts = vec![supply.name.clone()];
    match line.slot {
        Some(slot) => {
            let zone = TimeZone::get(&supply.zone).map_err(|error| Code::Internal.caused_by(error))?;
            let (starts, ends) = (zone.to_datetime(slot.starts), zone.to_datetime(slot.ends));
            let (day, until) = (language.date(starts.date()), ends.strftime("%H:%M"));
            parts.push(format!("{day}, {}–{until}", starts.strftime("%H:%M")));
        }
        None => parts.extend(supply.date.map(|date| language.date(date))),
    }
    if !line.seats.is_empty() {
        parts.push(line.seats.join(", "));
    }
    Ok(Some(parts.join(" · ")))
}

/// `stripe` as people write it.
fn title(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
