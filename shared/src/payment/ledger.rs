//! The books: double entry, per organisation. Every entry sums to zero, so that the books do at every moment.
//!
//! An entry is made once for what happened to a payment, by whoever hears of it: its id follows from what happened. A positive amount
//! is a debit (it went into that account), a negative one a credit.
//!
//! | what happened | debit | credit |
//! |---|---|---|
//! | captured | the provider: all of it, but what a gift card pays; gift cards; fees borne by the seller | sales, per line, without tax; fees, without tax; taxes, per rate; fees owed |
//! | refunded | the same, of what went back | the provider |
//! | a refund came back | the provider | the same |
//! | money was seen that had been promised | the provider: the seller's bank, or till | deposits |
//! | it took its payment | deposits | as captured |
//! | what was over or too late was paid back | deposits | the provider |
//!
//! What was refunded at the provider beyond what is known of the payment is in suspense, until somebody looks.

use super::promise::Way;
use super::refund::{Back, Refund};
use super::{Payment, Provider};
use crate::booking::{Item, Subject};
use crate::error::{Code, Result};
use crate::id::{EntryId, OrderId, OrganisationId, PaymentId, RefundId};
use crate::money::Money;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where money is, or what it is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// What a provider holds for the organisation; of transfers its bank, of cash its till.
    Provider(Provider),
    /// What buyers have paid of what they promised, and is not for anything yet.
    Deposits,
    /// What the organisation owes to those who have its gift cards.
    GiftCards,
    /// What was sold, without tax.
    Sales,
    /// Fees that buyers paid, without tax.
    Fees,
    /// A tax that was collected, by its name and rate.
    #[schema(value_type = String, example = "VAT 19 %")]
    Tax(String),
    /// Fees that the organisation bears.
    FeesBorne,
    /// Those, owed to whoever runs the platform.
    FeesOwed,
    /// What nobody can explain yet.
    Suspense,
}

/// One side of an entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Posting {
    /// Where.
    pub account: Account,
    /// Of what was sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<Item>,
    /// How much, minor units: positive is a debit, negative a credit.
    pub amount: i64,
}

/// What an entry is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
#[schema(as = LedgerEvent)]
pub enum Happening {
    /// A payment was captured.
    Captured,
    /// Money was seen to arrive, or to be paid back by hand: the how-many-th receipt of its payment, from 0.
    Receipt {
        /// Which.
        nth: u32,
    },
    /// A refund went back.
    Refunded {
        /// Which.
        refund: RefundId,
        /// Asked for the how-many-th time.
        attempt: u32,
    },
    /// A refund that seemed done came back.
    RefundReturned {
        /// Which.
        refund: RefundId,
        /// Asked for the how-many-th time.
        attempt: u32,
    },
}

/// One entry in the books.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = LedgerEntry)]
pub struct Entry {
    /// Its id, from what happened.
    pub id: EntryId,
    /// Whose books.
    pub organisation: OrganisationId,
    /// What was sold.
    #[serde(flatten)]
    pub subject: Subject,
    /// Of which order.
    pub order: OrderId,
    /// Of which payment.
    pub payment: PaymentId,
    /// Who moved the money.
    pub provider: Provider,
    /// What happened.
    pub what: Happening,
    /// When it was heard of.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How much money moved, as a positive amount.
    pub amount: Money,
    /// Both sides; they sum to zero.
    pub postings: Vec<Posting>,
}

impl Entry {
    /// The entry for a captured payment.
    ///
    /// # Errors
    /// `internal` if it does not sum to zero: its parts are not its amount.
    pub fn captured(payment: &Payment, at: Timestamp) -> Result<Self> {
        let parts: Vec<Back> =
            (0..).zip(&payment.parts).map(|(part, of)| Back { part, gross: of.gross, tax: of.tax }).collect();
        let from = match payment.promise {
            Some(_) => Account::Deposits,
            None => Account::Provider(payment.provider),
        };
        let credit = payment.credit.map_or(0, |credit| credit.amount.amount);
        let mut postings = money_in(payment, (from, credit), &parts, payment.amount.amount);
        if let Some(borne) = payment.borne {
            let plain = |account, amount| Posting { account, item: None, amount };
            postings.push(plain(Account::FeesBorne, borne.amount));
            postings.push(plain(Account::FeesOwed, -borne.amount));
        }
        Self::of(payment, Happening::Captured, payment.amount, postings, at)
    }

    /// The entry for money that was seen.
    ///
    /// # Errors
    /// `not_found`; `internal` as [`Self::captured`].
    pub fn receipt(payment: &Payment, id: &str, at: Timestamp) -> Result<Self> {
        let (nth, receipt) =
            (0..).zip(&payment.receipts).find(|(_, receipt)| receipt.id == id).ok_or(Code::NotFound)?;
        let amount = match receipt.way {
            Way::In => receipt.amount.amount,
            Way::Out => -receipt.amount.amount,
        };
        let posting = |account, amount| Posting { account, item: None, amount };
        let postings =
            vec![posting(Account::Provider(payment.provider), amount), posting(Account::Deposits, -amount)];
        Self::of(payment, Happening::Receipt { nth }, receipt.amount, postings, at)
    }

    /// The entry for a refund that is done, or, `returned`, for one that came back after all.
    ///
    /// # Errors
    /// `internal` if it does not sum to zero.
    pub fn refunded(
        payment: &Payment,
        refund: &Refund,
        attempt: u32,
        returned: bool,
        at: Timestamp,
    ) -> Result<Self> {
        let from = Account::Provider(payment.provider);
        let mut postings = money_in(payment, (from, refund.to_card), &refund.backs, refund.amount.amount);
        let id = refund.id;
        let what = match returned {
            true => Happening::RefundReturned { refund: id, attempt },
            false => Happening::Refunded { refund: id, attempt },
        };
        if !returned {
            postings.iter_mut().for_each(|posting| posting.amount = -posting.amount);
        }
        Self::of(payment, what, refund.amount, postings, at)
    }

    fn of(
        payment: &Payment,
        what: Happening,
        amount: Money,
        postings: Vec<Posting>,
        at: Timestamp,
    ) -> Result<Self> {
        let sum: i64 = postings.iter().map(|posting| posting.amount).sum();
        if sum != 0 {
            return Err(Code::Internal.caused_by(format!("{}: {what:?} would be {sum} off", payment.id)));
        }
        let name = match what {
            Happening::Captured => "captured".to_owned(),
            Happening::Receipt { nth } => format!("receipt {nth}"),
            Happening::Refunded { refund, attempt } => format!("{refund} done {attempt}"),
            Happening::RefundReturned { refund, attempt } => format!("{refund} returned {attempt}"),
        };
        Ok(Self {
            id: EntryId::derive(&[&payment.id.to_string(), &name]),
            organisation: payment.organisation,
            subject: payment.subject,
            order: payment.order,
            payment: payment.id,
            provider: payment.provider,
            what,
            at,
            amount,
            postings,
        })
    }
}

/// So much came in for these parts, some of it from a gift card: it is there, and it is for sales, fees and taxes.
fn money_in(payment: &Payment, (there, credit): (Account, i64), parts: &[Back], amount: i64) -> Vec<Posting> {
    let sources = [(there, amount - credit), (Account::GiftCards, credit)].into_iter();
    let came = sources.filter(|(_, amount)| *amount != 0);
    let mut postings: Vec<Posting> =
        came.map(|(account, amount)| Posting { account, item: None, amount }).collect();
    let mut rest = amount;
    let mut credit = |account: Account, item: Option<Item>, amount: i64| {
        rest -= amount;
        match postings.iter_mut().find(|known| known.account == account && known.item == item) {
            Some(known) => known.amount -= amount,
            None if amount != 0 => postings.push(Posting { account, item, amount: -amount }),
            None => {}
        }
    };
    for back in parts {
        let Some(part) = payment.parts.get(back.part as usize) else { continue };
        let account = if part.item.is_some() { Account::Sales } else { Account::Fees };
        credit(account, part.item, back.gross - back.tax);
        credit(Account::Tax(part.rate.clone().unwrap_or_default()), None, back.tax);
    }
    if rest != 0 {
        postings.push(Posting { account: Account::Suspense, item: None, amount: -rest });
    }
    postings
}

/// What the rows of a report are of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevenueBy {
    /// Days.
    Day,
    /// Events, services, stores.
    Subject,
    /// Offers, packages, products; fees under `fees`. What was paid in all belongs to none of them.
    Item,
    /// Providers.
    Provider,
}

/// What was earned, minor units: what went back is taken off of sales, fees and taxes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Revenue {
    /// Payments that were captured.
    pub payments: u32,
    /// Refunds that were done.
    pub refunds: u32,
    /// What was paid.
    pub paid: i64,
    /// What went back.
    pub refunded: i64,
    /// What was sold, without tax.
    pub sales: i64,
    /// Fees that buyers paid, without tax.
    pub fees: i64,
    /// Taxes.
    pub taxes: i64,
    /// Fees that the organisation bears.
    pub borne: i64,
}

/// Adds an entry to a report: by key and currency.
pub fn revenue(
    sums: &mut std::collections::BTreeMap<(String, String), Revenue>,
    entry: &Entry,
    by: RevenueBy,
    zone: &jiff::tz::TimeZone,
) {
    let currency = || entry.amount.currency.code().to_owned();
    let whole = match by {
        RevenueBy::Day => Some(zone.to_datetime(entry.at).date().to_string()),
        RevenueBy::Subject => Some(entry.subject.to_string()),
        RevenueBy::Provider => Some(entry.provider.word().to_owned()),
        RevenueBy::Item => None,
    };
    if let Some(key) = &whole {
        let sum = sums.entry((key.clone(), currency())).or_default();
        let amount = entry.amount.amount;
        match entry.what {
            Happening::Captured => (sum.payments, sum.paid) = (sum.payments + 1, sum.paid + amount),
            Happening::Receipt { .. } => {}
            Happening::Refunded { .. } => {
                (sum.refunds, sum.refunded) = (sum.refunds + 1, sum.refunded + amount)
            }
            Happening::RefundReturned { .. } => {
                (sum.refunds, sum.refunded) = (sum.refunds.saturating_sub(1), sum.refunded - amount);
            }
        }
    }
    for posting in &entry.postings {
        let key = whole
            .clone()
            .unwrap_or_else(|| posting.item.map_or_else(|| "fees".to_owned(), |item| item.to_string()));
        // Per item, only what is an item's: taxes are noted for all of them together.
        let part = match (&posting.account, by) {
            (Account::Sales | Account::Fees, _) => true,
            (Account::Tax(_) | Account::FeesBorne, RevenueBy::Item) => false,
            (Account::Tax(_) | Account::FeesBorne, _) => true,
            (
                Account::Provider(_)
                | Account::GiftCards
                | Account::Deposits
                | Account::FeesOwed
                | Account::Suspense,
                _,
            ) => false,
        };
        if !part {
            continue;
        }
        let sum = sums.entry((key, currency())).or_default();
        match posting.account {
            Account::Sales => sum.sales -= posting.amount,
            Account::Fees => sum.fees -= posting.amount,
            Account::Tax(_) => sum.taxes -= posting.amount,
            Account::FeesBorne => sum.borne += posting.amount,
            Account::Provider(_)
            | Account::GiftCards
            | Account::Deposits
            | Account::FeesOwed
            | Account::Suspense => {}
        }
    }
}
