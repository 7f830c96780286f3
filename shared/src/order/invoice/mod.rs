//! Invoices and credit notes: what a seller must be able to show of every sale.
//!
//! An order that was confirmed and paid has one invoice; what goes back of its money has one credit note for each refund, which takes
//! that part of the invoice back. Their numbers have no gap and are in the order of issue ([`store`] says how). They are written once
//! and never change: seller and buyer are in them as they were then.
//!
//! Without [`InvoiceSettings`] a seller issues none: what was confirmed before they were written has no invoice, then or later.
//!
//! Every amount is taken over, none is worked out anew: the lines, discounts, fees and taxes of the quote; of a refund what went back
//! of each ([`Back`]). So an invoice is exactly its order's total, and when everything has gone back,
//! the credit notes are exactly the invoice, for each rate of tax too.
//!
//! A refund that came back from the bank and was asked for again has one credit note all the same: the sale was taken back once.

pub mod language;
pub mod store;

use super::{Order, What};
use crate::booking::Slot;
use crate::error::{Code, Fault, Refusal, Result};
use crate::id::{InvoiceId, OrderId, OrganisationId, PaymentId, RefundId};
use crate::message::Message;
use crate::money::{Currency, Money, Percent};
use crate::payment::refund::{Back, Refund};
use crate::payment::{Payment, Provider};
use crate::price::Tax;
pub use crate::text::Country;
use crate::text::{Email, Text};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use language::Language;
use serde::{Deserialize, Serialize};

/// Digits that a number has at least: `2027-00017`.
const DIGITS: usize = 5;

/// A number under which a tax office or a court knows somebody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxNumber {
    /// What it is called; the usual word for a tax number if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 40, example = "VAT ID")]
    pub label: Option<Text<1, 40>>,
    /// The number.
    #[schema(example = "DE123456789")]
    pub value: Text<1, 40>,
}

/// Who sells, as the law wants it on an invoice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Seller {
    /// The legal name.
    #[schema(example = "Kulturhaus GmbH")]
    pub name: Text<1, 120>,
    /// The address without the country, 1 to 6 lines.
    #[schema(min_items = 1, max_items = 6, example = json!(["Hof 1", "10115 Berlin"]))]
    pub address: Vec<Text<1, 100>>,
    /// The country.
    pub country: Country,
    /// Its tax numbers, at most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 4)]
    pub tax_numbers: Vec<TaxNumber>,
}

/// How an organisation's invoices look.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvoiceSettings {
    /// Who sells.
    pub seller: Seller,
    /// What stands before the running number, which goes on whatever stands there. It does not end with a digit, so that two numbers
    /// never read the same.
    #[serde(default)]
    #[schema(value_type = String, max_length = 20, example = "2027-")]
    pub prefix: Text<0, 20>,
    /// What stands at the foot of each document, a paragraph a line.
    #[serde(default)]
    pub notes: Text<0, 2000>,
    /// The language for buyers who ask for none.
    #[serde(default)]
    pub language: Language,
    /// The IANA time zone of the dates; UTC if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, example = "Europe/Berlin")]
    pub zone: Option<String>,
}

impl InvoiceSettings {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_input` with every fault.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, detail: &str| {
            faults.push(Fault { pointer: pointer.into(), detail: detail.into() })
        };
        if !(1..=6).contains(&self.seller.address.len()) {
            fault("/seller/address", "must be 1 to 6 lines");
        }
        if self.seller.tax_numbers.len() > 4 {
            fault("/seller/tax_numbers", "must be at most 4");
        }
        if self.prefix.as_str().ends_with(|last: char| last.is_numeric()) {
            fault("/prefix", "must not end with a digit: 2027-");
        }
        if self.zone.as_deref().is_some_and(|zone| zone.len() > 64 || TimeZone::get(zone).is_err()) {
            fault("/zone", "must be an IANA time zone");
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal { faults, ..Code::InvalidInput.into() }) }
    }

    /// The number as it is printed.
    fn number(&self, sequence: u64) -> String {
        format!("{}{sequence:0DIGITS$}", self.prefix)
    }
}

/// The settings of an organisation, as they are kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Invoicing {
    /// Whose.
    pub organisation: OrganisationId,
    /// What they say.
    pub settings: InvoiceSettings,
}

/// What a buyer wants on the invoice; what is not said is left out, or taken from the contact.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BillTo {
    /// Who is billed; the contact's name if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 120, example = "Analytical Engines Ltd")]
    pub name: Option<Text<1, 120>>,
    /// The address without the country, at most 6 lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 6)]
    pub address: Vec<Text<1, 100>>,
    /// The country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// The tax number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 40)]
    pub tax_number: Option<Text<1, 40>>,
    /// The language of the invoice; the seller's if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
}

impl BillTo {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `invalid_input`.
    pub fn check(&self) -> Result<()> {
        match self.address.len() {
            0..=6 => Ok(()),
            _ => Err(Refusal::invalid("/invoice/address", "must be at most 6 lines")),
        }
    }
}

/// What a document is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paper {
    /// An invoice for an order.
    Invoice {
        /// The order.
        order: OrderId,
    },
    /// A credit note for a refund.
    CreditNote {
        /// The order whose invoice it corrects.
        order: OrderId,
        /// The refund.
        refund: RefundId,
    },
}

impl Paper {
    /// The document's id: the order's, or the refund's, under another name. So whoever repeats finds it.
    #[must_use]
    pub const fn id(&self) -> InvoiceId {
        match self {
            Self::Invoice { order } => InvoiceId::from_uuid(order.uuid()),
            Self::CreditNote { refund, .. } => InvoiceId::from_uuid(refund.uuid()),
        }
    }

    /// The order.
    #[must_use]
    pub const fn order(&self) -> OrderId {
        match self {
            Self::Invoice { order } | Self::CreditNote { order, .. } => *order,
        }
    }

    /// What a message asks for.
    #[must_use]
    pub const fn asked(order: OrderId, refund: Option<RefundId>) -> Self {
        match refund {
            None => Self::Invoice { order },
            Some(refund) => Self::CreditNote { order, refund },
        }
    }

    /// The message that asks for it.
    #[must_use]
    pub const fn due(&self) -> Message {
        match self {
            Self::Invoice { order } => Message::InvoiceDue { order: *order, refund: None },
            Self::CreditNote { order, refund } => {
                Message::InvoiceDue { order: *order, refund: Some(*refund) }
            }
        }
    }
}

/// A number that was taken, and what for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// The number, from 1.
    pub number: u64,
    /// What for.
    pub paper: Paper,
    /// When: of two numbers the higher is not of the earlier date.
    pub at: Timestamp,
}

/// How far an organisation's numbers have come. Whoever takes the next one makes sure that the last one's document is there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Numbering {
    /// Whose.
    pub organisation: OrganisationId,
    /// The number that was taken last.
    pub last: Taken,
}

impl Taken {
    /// The number after the last one.
    #[must_use]
    pub fn after(last: Option<&Self>, paper: Paper, now: Timestamp) -> Self {
        match last {
            Some(last) => Self { number: last.number + 1, paper, at: now.max(last.at) },
            None => Self { number: 1, paper, at: now },
        }
    }
}

/// Which of the two a document is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
#[schema(as = InvoiceKind)]
pub enum Kind {
    /// Says what was sold, and paid.
    Invoice,
    /// Takes a part of an invoice back, or all of it.
    CreditNote {
        /// Which invoice.
        corrects: InvoiceId,
        /// Its number.
        #[schema(example = "2027-00017")]
        number: String,
        /// For which refund.
        refund: RefundId,
        /// What the seller said about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// Who is billed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BilledBuyer)]
pub struct Buyer {
    /// The name.
    pub name: String,
    /// Where the document was sent.
    pub email: Email,
    /// The address without the country.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<Text<1, 100>>,
    /// The country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// The tax number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub tax_number: Option<Text<1, 40>>,
}

/// What was sold on a day, or from a store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Supply {
    /// The event, the service or the store.
    #[schema(example = "Midsummer")]
    pub name: String,
    /// The day at the place, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub date: Option<Date>,
    /// The IANA time zone of the place.
    pub zone: String,
}

/// A line of a document: of a sale, a fee, or what goes back of either.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InvoiceLine {
    /// What it is.
    pub name: String,
    /// Whether it is a fee.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fee: bool,
    /// Which seats, with their section, if it is of seats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["Stalls A-12"]))]
    pub seats: Vec<String>,
    /// When, if it is a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// How many; absent for fees and for what goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u32>,
    /// The price of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Money>,
    /// How much, before its discount, without a tax that comes on top.
    pub amount: Money,
    /// What coupons took off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Money>,
    /// Its tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Tax>,
}

impl InvoiceLine {
    /// What is left after its discount, without a tax that comes on top, minor units.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.amount.amount - self.discount.map_or(0, |discount| discount.amount)
    }

    /// All of it, taxes included, minor units.
    #[must_use]
    pub fn gross(&self) -> i64 {
        self.left() + self.tax.as_ref().filter(|tax| !tax.included).map_or(0, |tax| tax.amount.amount)
    }
}

/// What a rate of tax comes to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InvoiceTax {
    /// What it is called.
    #[schema(example = "VAT")]
    pub name: String,
    /// How much of the net price.
    pub percent: Percent,
    /// What it is of, without the tax.
    pub net: Money,
    /// The tax.
    pub tax: Money,
}

/// An invoice, or a credit note, whose amounts are positive too: what they take back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Invoice {
    /// The id.
    pub id: InvoiceId,
    /// Which of the two.
    pub kind: Kind,
    /// The number as it is printed.
    #[schema(example = "2027-00017")]
    pub number: String,
    /// The running number alone, from 1.
    #[schema(example = 17)]
    pub sequence: u64,
    /// When it was issued.
    #[schema(value_type = String, format = DateTime)]
    pub issued: Timestamp,
    /// The zone in which that is a date.
    #[schema(example = "Europe/Berlin")]
    pub zone: String,
    /// Its language.
    pub language: Language,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// For which order.
    pub order: OrderId,
    /// Who sells, as it was then.
    pub seller: Seller,
    /// Who is billed, as it was then.
    pub buyer: Buyer,
    /// What was sold.
    pub supply: Supply,
    /// The lines, then the fees.
    pub lines: Vec<InvoiceLine>,
    /// What each rate of tax comes to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<InvoiceTax>,
    /// What was paid, or goes back.
    pub total: Money,
    /// Who moved the money.
    pub provider: Provider,
    /// What stands at its foot.
    #[serde(default)]
    pub notes: Text<0, 2000>,
}

impl Invoice {
    /// What its file is called: a prefix may hold what a file's name must not.
    #[must_use]
    pub fn file(&self) -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
        format!("{}.pdf", self.number.chars().map(safe).collect::<String>())
    }

    /// The day on which it was issued, where its seller is.
    ///
    /// # Errors
    /// `internal` if its zone is none.
    pub fn day(&self) -> Result<Date> {
        let zone = TimeZone::get(&self.zone).map_err(|error| Code::Internal.caused_by(error))?;
        Ok(zone.to_datetime(self.issued).date())
    }
}

/// A document that has no number yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    invoice: Invoice,
    settings: InvoiceSettings,
}

impl Draft {
    /// The document under the number that was taken for it.
    #[must_use]
    pub fn numbered(&self, taken: &Taken) -> Invoice {
        let number = self.settings.number(taken.number);
        Invoice { number, sequence: taken.number, issued: taken.at, ..self.invoice.clone() }
    }

    /// Whose numbers it needs.
    #[must_use]
    pub const fn organisation(&self) -> OrganisationId {
        self.invoice.organisation
    }

    /// The invoice of an order; nothing if it was never to have one.
    ///
    /// # Errors
    /// `internal` if its lines are not its total.
    pub fn of_order(order: &Order, settings: InvoiceSettings, supply: Supply) -> Result<Option<Self>> {
        let Some(provider) = order.invoiced else { return Ok(None) };
        let quote = &order.quote;
        let wanted = order.bill_to.clone().unwrap_or_default();
        let lines = quote.lines.iter().map(|line| InvoiceLine {
            name: line.name.clone(),
            fee: false,
            seats: (0..line.seats.len()).filter_map(|nth| line.seat(nth)).collect(),
            slot: line.slot,
            quantity: Some(line.quantity),
            unit: Some(line.unit),
            amount: line.amount,
            discount: line.discount,
            tax: line.tax.clone(),
        });
        let fees = quote
            .extras
            .fees
            .iter()
            .map(|fee| InvoiceLine { fee: true, ..plain(fee.name.clone(), fee.amount, fee.tax.clone()) });
        let lines: Vec<InvoiceLine> = lines.chain(fees).collect();
        let invoice = Invoice {
            id: Paper::Invoice { order: order.id }.id(),
            kind: Kind::Invoice,
            number: String::new(),
            sequence: 0,
            issued: Timestamp::UNIX_EPOCH,
            zone: settings.zone.clone().unwrap_or_else(|| "UTC".to_owned()),
            language: wanted.language.unwrap_or(settings.language),
            organisation: quote.organisation,
            order: order.id,
            seller: settings.seller.clone(),
            buyer: Buyer {
                name: wanted.name.as_ref().unwrap_or(&order.contact.name).to_string(),
                email: order.contact.email.clone(),
                address: wanted.address,
                country: wanted.country,
                tax_number: wanted.tax_number,
            },
            supply,
            taxes: taxes(&lines, quote.total.currency),
            lines,
            total: quote.total,
            provider,
            notes: settings.notes.clone(),
        };
        Self { invoice, settings }.whole().map(Some)
    }

    /// The credit note of a refund of what an invoice was for; nothing if it gave nothing back of that.
    ///
    /// # Errors
    /// `internal` if it gives back what is not on the invoice.
    pub fn of_refund(invoice: &Invoice, settings: InvoiceSettings, refund: &Refund) -> Result<Option<Self>> {
        let currency = invoice.total.currency;
        let line = |back: &Back| {
            let of = invoice.lines.get(back.part as usize)?;
            let tax =
                of.tax.as_ref().map(|tax| Tax { amount: Money::new(back.tax, currency), ..tax.clone() });
            let on_top = tax.as_ref().filter(|tax| !tax.included).map_or(0, |tax| tax.amount.amount);
            let amount = Money::new(back.gross - on_top, currency);
            Some(InvoiceLine { fee: of.fee, ..plain(of.name.clone(), amount, tax) })
        };
        let lines: Option<Vec<InvoiceLine>> = refund.backs.iter().map(line).collect();
        let lines = lines.ok_or_else(|| {
            Code::Internal.caused_by(format!("{} gives back what is not on {}", refund.id, invoice.id))
        })?;
        if lines.is_empty() {
            return Ok(None);
        }
        let kind = Kind::CreditNote {
            corrects: invoice.id,
            number: invoice.number.clone(),
            refund: refund.id,
            reason: refund.reason.as_ref().map(ToString::to_string),
        };
        let invoice = Invoice {
            id: Paper::CreditNote { order: invoice.order, refund: refund.id }.id(),
            kind,
            zone: settings.zone.clone().unwrap_or_else(|| "UTC".to_owned()),
            seller: settings.seller.clone(),
            taxes: taxes(&lines, currency),
            total: Money::new(refund.backs.iter().map(|back| back.gross).sum(), currency),
            lines,
            notes: settings.notes.clone(),
            ..invoice.clone()
        };
        Self { invoice, settings }.whole().map(Some)
    }

    /// A number is taken for what sums up alone: it could not be given back.
    fn whole(self) -> Result<Self> {
        let Invoice { id, lines, total, .. } = &self.invoice;
        let sum: i64 = lines.iter().map(InvoiceLine::gross).sum();
        match sum == total.amount {
            true => Ok(self),
            false => Err(Code::Internal.caused_by(format!("the lines of {id} are {sum}, not {total}"))),
        }
    }
}

fn plain(name: String, amount: Money, tax: Option<Tax>) -> InvoiceLine {
    let (seats, slot, quantity, unit, discount) = (Vec::new(), None, None, None, None);
    InvoiceLine { name, fee: false, seats, slot, quantity, unit, amount, discount, tax }
}

/// What each rate comes to, in the order in which they appear.
fn taxes(lines: &[InvoiceLine], currency: Currency) -> Vec<InvoiceTax> {
    let mut sums: Vec<InvoiceTax> = Vec::new();
    let zero = Money::new(0, currency);
    for (line, tax) in lines.iter().filter_map(|line| Some((line, line.tax.as_ref()?))) {
        let net = line.gross() - tax.amount.amount;
        let place = match sums.iter().position(|sum| sum.name == tax.name && sum.percent == tax.percent) {
            Some(place) => place,
            None => {
                let (name, percent) = (tax.name.clone(), tax.percent);
                sums.push(InvoiceTax { name, percent, net: zero, tax: zero });
                sums.len() - 1
            }
        };
        sums[place].net.amount += net;
        sums[place].tax.amount += tax.amount.amount;
    }
    sums
}

impl Order {
    /// Everything that is to be issued of it: its invoice once it is sold and paid, and a credit note for each refund. Whatever of
    /// these is heard first, and however often.
    fn papers(&self) -> Vec<Paper> {
        if self.invoiced.is_none() || !self.has(What::Paid) || self.quote.total.is_zero() {
            return Vec::new();
        }
        let refunds = self.refunds.iter();
        let notes = refunds.map(|refund| Paper::CreditNote { order: self.id, refund: refund.id });
        std::iter::once(Paper::Invoice { order: self.id }).chain(notes).collect()
    }

    /// Asks for what has become due with the step from `before` to this.
    #[must_use]
    pub fn newly_due(&self, before: &Self) -> Vec<Message> {
        let known = before.papers();
        self.papers().iter().filter(|paper| !known.contains(paper)).map(Paper::due).collect()
    }

    /// The payment that its invoice is for, if it has one.
    #[must_use]
    pub fn invoiced_payment(&self) -> Option<PaymentId> {
        self.invoiced.map(|provider| Payment::id_of(self.id, provider))
    }
}

#[cfg(test)]
mod tests;
