//! Bank statements: what has arrived by transfer, found by its reference. Nothing of a statement is kept but the receipts that it gives;
//! reading it again, or one that overlaps, changes nothing.

use crate::by_hand::of_reference;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use tessera::app::App;
use tessera::auth::Agent;
use tessera::db::{Listing, Query, Stored};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{Path, too_large};
use tessera::id::{OrganisationId, PaymentId};
use tessera::identity::Action;
use tessera::limit::Class;
use tessera::money::{Currency, Money};
use tessera::payment::promise::{MAX_RECEIPTS, PayTo, REFERENCE, Receipt, Way};
use tessera::payment::refund::RefundState;
use tessera::payment::store::{ByHand, by_hand, means};
use tessera::payment::{Payment, Status};
use tessera::text::Text;
use tessera_statement::{Entry, find_codes};

/// The largest statement, bytes: what the gateway hands over is a third larger, and it ends at 6 MB.
pub const LARGEST: usize = 4_000_000;
/// So many lines are looked at at once.
const ABREAST: usize = 16;
/// So many payments that are waited for are looked through for one of the right amount.
const MOST_AWAITED: usize = 1_000;

/// Why a line is left to people.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = StatementQuestion)]
pub enum Question {
    /// It names no payment of this organisation.
    NoReference,
    /// It names several.
    SeveralReferences,
    /// It is in another currency than its payment.
    OtherCurrency,
    /// As much was told by hand, or by another statement on that day: it may be the same money.
    SeenBefore,
    /// The bank takes back an earlier line.
    Reversal,
    /// It went out, and nothing of this amount is owed.
    NotOwed,
    /// Its payment has as many receipts as it can have.
    TooMany,
}

/// A line of a statement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct StatementLine {
    /// Names it among the lines of its account.
    id: String,
    /// When the bank booked it.
    #[schema(value_type = String, format = Date)]
    booked: Date,
    /// How much: what went out is negative.
    amount: Money,
    /// What was written.
    reference: String,
    /// Who paid, or was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    counterparty: Option<String>,
}

/// A line whose payment was found.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StatementMatch {
    /// The line.
    line: StatementLine,
    /// Its payment.
    payment: PaymentId,
    /// Where that stands now.
    status: Status,
    /// Whether the line was known before.
    known: bool,
}

/// A line that somebody must look at.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StatementRest {
    /// The line.
    line: StatementLine,
    /// Why.
    question: Question,
    /// Payments that wait for just this amount, or that it names: tell its receipt by hand if it is one of them.
    candidates: Vec<PaymentId>,
}

/// What became of a statement.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub struct StatementRead {
    /// Lines whose payment was found.
    matched: Vec<StatementMatch>,
    /// Lines that came in, or name a payment, and are left to people.
    rest: Vec<StatementRest>,
    /// Lines that went out and name no payment.
    ignored: u32,
    /// Lines that are not booked.
    skipped: u32,
}

/// Read a bank statement of my organisation: CAMT.052, .053 or .054 (XML), or the CSV export of a bank. Transfers that name a payment's
/// reference are noted as its receipts; the answer says what is left to look at.
#[utoipa::path(post, path = "/v1/organisations/{id}/statements", tag = "payment", extensions(("x-limit" = json!(Class::Upload))), security(("bearer" = [])),
    request_body(content((String = "application/xml"), (String = "text/csv")), description = "The file as the bank gave it, of at most 4 MB"),
    params(("id" = OrganisationId, Path, description = "The organisation")),
    responses((status = 200, description = "What became of it", body = StatementRead)))]
pub async fn read(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<StatementRead>> {
    app.authorize(&caller, Action::ManageMoney, id).await?;
    let body = body.map_err(too_large)?;
    let statement =
        tessera_statement::read(&body).map_err(|error| Refusal::invalid("body", error.to_string()))?;
    let transfer = means(&app.db, id).await?.and_then(|known| known.value.means.transfer);
    let transfer = transfer
        .ok_or_else(|| Code::WrongState.because("write the account into the means of payment first"))?;
    if statement.account.as_ref().is_some_and(|account| account != transfer.account.iban.as_str()) {
        return Err(Refusal::invalid("body", "is of another account than the one that buyers transfer to"));
    }
    let mut read = StatementRead {
        skipped: u32::try_from(statement.skipped).unwrap_or(u32::MAX),
        ..StatementRead::default()
    };
    for lines in statement.entries.chunks(ABREAST) {
        for found in try_join_all(lines.iter().map(|line| take_in(&app, &caller, id, line))).await? {
            match found {
                Found::Matched(matched) => read.matched.push(matched),
                Found::Rest(rest) => read.rest.push(rest),
                Found::Nothing => read.ignored += 1,
            }
        }
    }
    if read.rest.iter().any(|rest| rest.question == Question::NoReference) {
        let awaited = awaited(&app, id).await?;
        for rest in read.rest.iter_mut().filter(|rest| rest.question == Question::NoReference) {
            let same = awaited.iter().filter(|(_, amount)| *amount == rest.line.amount);
            rest.candidates = same.map(|(payment, _)| *payment).take(10).collect();
        }
    }
    Ok(Json(read))
}

enum Found {
    Matched(StatementMatch),
    Rest(StatementRest),
    Nothing,
}

async fn take_in(app: &App, caller: &Agent, organisation: OrganisationId, entry: &Entry) -> Result<Found> {
    let currency: Currency = match entry.currency.parse() {
        Ok(currency) => currency,
        Err(_) => return Ok(Found::Nothing),
    };
    let line = StatementLine {
        id: entry.id.clone(),
        booked: entry.booked,
        amount: Money::new(entry.amount, currency),
        reference: entry.reference.clone(),
        counterparty: entry.counterparty.clone(),
    };
    let mut named = Vec::new();
    for code in find_codes(&entry.reference, REFERENCE) {
        named.extend(of_reference(app, organisation, &code).await?);
    }
    let ids: Vec<PaymentId> = named.iter().map(|payment| payment.value.id).collect();
    let rest =
        |question, candidates| Ok(Found::Rest(StatementRest { line: line.clone(), question, candidates }));
    let payment = match (named.pop(), named.is_empty()) {
        (None, _) if entry.amount < 0 => return Ok(Found::Nothing),
        (None, _) => return rest(Question::NoReference, ids),
        (Some(_), false) => return rest(Question::SeveralReferences, ids),
        (Some(payment), true) => payment,
    };
    let now = app.clock.now();
    match step(&payment.value, &line, entry.reversal) {
        Err(question) => rest(question, ids),
        Ok(Step::Known) => Ok(Found::Matched(matched(line, &payment, true))),
        Ok(Step::Refund(refund)) => {
            let made = |payment: &Payment| payment.refund_made(refund, &line.id, now);
            let payment = app.db.change(payment, now, made).await?;
            Ok(Found::Matched(matched(line, &payment, false)))
        }
        Ok(Step::Receipt(way)) => {
            let receipt = receipt(&line, way, caller, now);
            let payment =
                app.db.change(payment, now, |payment| payment.receive(receipt.clone(), now)).await?;
            Ok(Found::Matched(matched(line, &payment, false)))
        }
    }
}

fn matched(line: StatementLine, payment: &Stored<Payment>, known: bool) -> StatementMatch {
    StatementMatch { line, payment: payment.value.id, status: payment.value.status(), known }
}

fn receipt(line: &StatementLine, way: Way, caller: &Agent, now: Timestamp) -> Receipt {
    let amount = Money::new(line.amount.amount.abs(), line.amount.currency);
    let from: Option<String> = line.counterparty.as_ref().map(|from| from.chars().take(200).collect());
    let note = from.and_then(|from| Text::parse(&from).ok());
    Receipt { id: line.id.clone(), way, amount, booked: Some(line.booked), note, by: caller.actor(), at: now }
}

/// What a line is to its payment.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing new.
    Known,
    /// A refund that was paid back.
    Refund(tessera::id::RefundId),
    /// Money that came, or went back because it was over.
    Receipt(Way),
}

fn step(payment: &Payment, line: &StatementLine, reversal: bool) -> std::result::Result<Step, Question> {
    let done = |state: &RefundState| matches!(state, RefundState::Done { id, .. } if *id == line.id);
    if payment.receipts.iter().any(|known| known.id == line.id)
        || payment.refunds.iter().any(|refund| done(&refund.state))
    {
        return Ok(Step::Known);
    }
    let is_transfer =
        payment.promise.as_ref().is_some_and(|promise| matches!(promise.pay, PayTo::Account(_)));
    if reversal {
        return Err(Question::Reversal);
    }
    if line.amount.currency != payment.amount.currency || !is_transfer {
        return Err(Question::OtherCurrency);
    }
    let amount = Money::new(line.amount.amount.abs(), line.amount.currency);
    let way = if line.amount.amount > 0 { Way::In } else { Way::Out };
    if way == Way::Out {
        let due = |state: &RefundState| matches!(state, RefundState::Due { .. });
        if let Some(refund) =
            payment.refunds.iter().find(|refund| refund.amount == amount && due(&refund.state))
        {
            return Ok(Step::Refund(refund.id));
        }
        if payment.surplus().amount < amount.amount {
            return Err(Question::NotOwed);
        }
    }
    // Told by hand, or read from a statement in another format, which names the same line otherwise.
    let same = |known: &&Receipt| (known.way, known.amount) == (way, amount);
    let day = |known: &Receipt| known.booked.is_none_or(|booked| booked == line.booked);
    if payment.receipts.iter().filter(same).any(day) {
        return Err(Question::SeenBefore);
    }
    if payment.receipts.len() >= MAX_RECEIPTS {
        return Err(Question::TooMany);
    }
    Ok(Step::Receipt(way))
}

/// What is waited for, as far as it is looked through.
async fn awaited(app: &App, organisation: OrganisationId) -> Result<Vec<(PaymentId, Money)>> {
    let query = Query::of(Listing::Second, by_hand(organisation, ByHand::Awaited));
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = app.db.list::<Payment>(&query, after).await?;
        found.extend(page.iter().map(|payment| (payment.value.id, payment.value.outstanding())));
        if next.is_none() || found.len() >= MOST_AWAITED {
            return Ok(found);
        }
        after = next;
    }
}
