//! An invoice on paper, in its buyer's language.

use jiff::tz::TimeZone;
use tessera::error::{Code, Result};
use tessera::money::Money;
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
    let (order, provider) = (invoice.order.to_string(), language.paid_with(invoice.provider));
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
        payment: Some(provider),
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

/// When, what it was of, and which seats. The date goes first: it is in the document's language, so that a line that is read from the
/// right is set from the right, whatever letters the name is in.
fn detail(invoice: &Invoice, line: &InvoiceLine) -> Result<Option<String>> {
    let (language, supply) = (invoice.language, &invoice.supply);
    if line.fee {
        return Ok(None);
    }
    let mut parts = Vec::new();
    match line.slot {
        Some(slot) => {
            let zone = TimeZone::get(&supply.zone).map_err(|error| Code::Internal.caused_by(error))?;
            let (starts, ends) = (zone.to_datetime(slot.starts), zone.to_datetime(slot.ends));
            let (day, until) = (language.date(starts.date()), ends.strftime("%H:%M"));
            parts.push(format!("{day}, {}–{until}", starts.strftime("%H:%M")));
        }
        None => parts.extend(supply.date.map(|date| language.date(date))),
    }
    parts.push(supply.name.clone());
    if !line.seats.is_empty() {
        parts.push(line.seats.join(", "));
    }
    Ok(Some(parts.join(" · ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample(language: &str, slot: bool) -> Invoice {
        let inr = |amount: i64| json!({"amount": amount, "currency": "INR"});
        let starts = json!({"starts": "2027-06-21T08:00:00Z", "ends": "2027-06-21T09:00:00Z"});
        let id = "06f5k2v8s1xg4w7m3q9c0hrtbn";
        let tax = json!({"name": "VAT", "percent": "8.875", "included": true, "amount": inr(1)});
        let mut line = json!({"name": "Stalls", "seats": ["Stalls A-12", "Stalls A-13"], "quantity": 2,
            "unit": inr(12_345_678), "amount": inr(24_691_356), "discount": inr(100_000), "tax": tax});
        if slot {
            line["slot"] = starts;
        }
        let invoice = json!({"id": format!("inv_{id}"), "kind": {"is": "invoice"}, "number": "2027-00017",
            "sequence": 17, "issued": "2027-03-01T23:30:00Z", "zone": "Europe/Berlin", "language": language,
            "organisation": format!("org_{id}"), "order": format!("ord_{id}"),
            "seller": {"name": "Kulturhaus GmbH", "address": ["Hof 1"], "country": "DE"},
            "buyer": {"name": "Ada", "email": "ada@example.org"},
            "supply": {"name": "Midsummer", "date": "2027-06-21", "zone": "Europe/Berlin"},
            "lines": [line], "total": inr(24_591_356), "provider": "stripe"});
        serde_json::from_value(invoice).unwrap()
    }

    #[test]
    fn a_line_is_written_in_the_buyers_language() {
        let of = |language: &str, slot| {
            let invoice = sample(language, slot);
            written(&invoice, &invoice.lines[0]).unwrap()
        };
        let german = of("de", false);
        assert_eq!((german.unit.as_str(), german.rate.as_str()), ("123.456,78 INR", "8,875 %"));
        assert_eq!(german.discount.as_deref(), Some("−1.000,00 INR"));
        assert_eq!(german.detail.as_deref(), Some("21. Juni 2027 · Midsummer · Stalls A-12, Stalls A-13"));
        assert_eq!(of("hi", false).amount, "2,46,913.56 INR");
        let arabic = of("ar", true).detail.unwrap();
        assert!(arabic.starts_with("21 يونيو 2027, 10:00–11:00 · Midsummer"), "{arabic}");
    }

    #[test]
    fn every_language_can_be_drawn_and_the_same_again_is_the_same() {
        for language in ["en", "de", "hi", "ar"] {
            let invoice = sample(language, false);
            let drawn = pdf(&invoice).unwrap();
            assert!(drawn.starts_with(b"%PDF-") && drawn == pdf(&invoice).unwrap(), "{language}");
        }
    }
}
