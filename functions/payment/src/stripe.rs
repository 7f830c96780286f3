//! The Stripe adapter: PaymentIntents with manual capture, and webhook signatures.
//!
//! Our own typed calls: six of them, form-encoded, against the pinned API version. Every call that moves money carries
//! an Idempotency-Key made of our payment's id, so that a repeated call is answered, not repeated. One layer of retries,
//! here for callers who wait; the worker's calls are tried again when the provider is asked again.
//!
//! Source: <https://docs.stripe.com/api>, <https://docs.stripe.com/webhooks#verify-manually>.

use crate::breaker::Breaker;
use crate::call::{self, Failure, Line, reason};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tessera::app::App;
use tessera::config::ConfigError;
use tessera::error::{Code, Refusal, Result};
use tessera::id::RefundId;
use tessera::money::{Currency, Money};
use tessera::payment::refund::{Progress, Refund, RefundFact};
use tessera::payment::{Fact, Intent, Payment, Provider};

/// The version of Stripe's API this adapter was written against.
const VERSION: &str = "2025-03-31.basil";
/// How old or early a signed webhook may be, seconds.
const TOLERANCE: u64 = 300;

/// A client of one Stripe account.
pub struct Stripe {
    line: Line,
    base: String,
    secret: String,
    webhook_secrets: Vec<String>,
    pay_page: Option<String>,
}

/// A PaymentIntent, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
pub struct PaymentIntent {
    /// `pi_…`
    pub id: String,
    status: String,
    client_secret: Option<String>,
    #[serde(default)]
    amount_capturable: i64,
    currency: String,
    last_payment_error: Option<ApiError>,
    #[serde(default)]
    metadata: Metadata,
}

/// What we gave Stripe to remember.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Metadata {
    /// Our payment.
    pub payment_id: Option<String>,
    /// Our refund.
    refund_id: Option<String>,
    /// For the how-many-th time we asked for it.
    attempt: Option<String>,
}

/// A Refund, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
struct RefundObject {
    id: String,
    amount: i64,
    currency: String,
    payment_intent: Option<String>,
    status: Option<String>,
    failure_reason: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Debug, Clone, Deserialize)]
struct ApiError {
    code: Option<String>,
    decline_code: Option<String>,
}

/// What a webhook reports.
#[derive(Debug, Clone)]
pub struct Report {
    /// Our payment, as Stripe remembers it.
    pub payment: Option<String>,
    /// The PaymentIntent it is about.
    pub intent: Option<String>,
    /// What happened.
    pub fact: Fact,
}

#[derive(Deserialize)]
struct Events {
    data: Vec<EventBody>,
    has_more: bool,
}

/// The types of events that tell us something.
const KINDS: [&str; 7] = [
    "payment_intent.amount_capturable_updated",
    "payment_intent.succeeded",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "refund.created",
    "refund.updated",
    "refund.failed",
];

#[derive(Deserialize)]
struct EventBody {
    #[serde(default)]
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    object: serde_json::Value,
}

impl PaymentIntent {
    /// What its status says has happened; nothing while the buyer has not paid.
    fn fact(&self) -> Option<Fact> {
        match self.status.as_str() {
            "requires_capture" => Some(Fact::Authorized {
                amount: money(self.amount_capturable, &self.currency)?,
                charge: None,
            }),
            "succeeded" => Some(Fact::Captured { charge: None }),
            "canceled" => Some(Fact::Cancelled),
            _ => None,
        }
    }
}

impl RefundObject {
    /// What its status says.
    fn fact(&self) -> Option<Fact> {
        let ours = self.metadata.as_ref().and_then(|metadata| {
            let id: RefundId = metadata.refund_id.as_ref()?.parse().ok()?;
            Some((id, metadata.attempt.as_ref()?.parse().ok()?))
        });
        let progress = match self.status.as_deref() {
            Some("succeeded") => Progress::Done,
            Some("failed" | "canceled") => {
                let code = self.failure_reason.clone().unwrap_or_else(|| "unknown".to_owned());
                Progress::Failed { code }
            }
            _ => Progress::Pending,
        };
        let amount = money(self.amount, &self.currency)?;
        Some(Fact::Refund(RefundFact { id: self.id.clone(), ours, amount, progress }))
    }
}

/// How many of Stripe's units are one of ours. Stripe counts these two in hundredths, which they no longer have
/// (<https://docs.stripe.com/currencies#special-cases>).
fn scale(currency: Currency) -> i64 {
    match currency.code() {
        "ISK" | "UGX" => 100,
        _ => 1,
    }
}

fn money(amount: i64, currency: &str) -> Option<Money> {
    let currency: Currency = currency.to_uppercase().parse().ok()?;
    Some(Money::new(amount / scale(currency), currency))
}

/// An amount in Stripe's units.
///
/// # Errors
/// `payment_refused` for what Stripe cannot take: of currencies with three decimals, the last must be 0.
fn units(money: Money) -> Result<String> {
    if money.currency.decimals() == 3 && money.amount % 10 != 0 {
        return Err(
            Code::PaymentRefused.because("Stripe takes this currency in steps of ten of its smallest units")
        );
    }
    Ok((money.amount * scale(money.currency)).to_string())
}

/// How it is said to whoever wants to pay.
fn refused(failure: Failure) -> Refusal {
    match failure {
        Failure::Final(error) if error["type"] == "card_error" => {
            Code::PaymentRefused.because(error["message"].as_str().unwrap_or_default())
        }
        other => other.refusal("stripe"),
    }
}

impl Stripe {
    /// Reads `STRIPE_SECRET_KEY`, `STRIPE_WEBHOOK_SECRETS` (comma-separated: two while one is being replaced),
    /// `STRIPE_BASE_URL` (default: Stripe) and `STRIPE_PAY_PAGE` (with `{intent}` and `{client_secret}`, optional). Nothing if there
    /// is no key: this deployment takes no payments by Stripe.
    ///
    /// # Errors
    /// Names the setting.
    pub fn new(app: &App) -> Result<Option<Self>, ConfigError> {
        let config = &app.config;
        let Some(secret) = config.optional("STRIPE_SECRET_KEY") else { return Ok(None) };
        let base = config.optional("STRIPE_BASE_URL").unwrap_or("https://api.stripe.com");
        Ok(Some(Self {
            line: Line::new(app, Provider::Stripe, "STRIPE_BASE_URL")?,
            base: base.trim_end_matches('/').to_owned(),
            secret: secret.to_owned(),
            webhook_secrets: call::secrets(config.require("STRIPE_WEBHOOK_SECRETS")?),
            pay_page: config.optional("STRIPE_PAY_PAGE").map(str::to_owned),
        }))
    }

    /// Whether it is asked.
    pub(crate) const fn breaker(&self) -> &Breaker {
        &self.line.breaker
    }

    async fn send<T: DeserializeOwned>(&self, call: reqwest::RequestBuilder) -> Result<T, Failure> {
        self.line.send(call.bearer_auth(&self.secret).header("Stripe-Version", VERSION)).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let got = self.send(self.line.get(&format!("{}{path}", self.base))).await;
        got.map_err(|failure| failure.refusal("stripe"))
    }

    async fn once(&self, path: &str, form: &[(&str, &str)], key: &str) -> Result<Value, Failure> {
        let call = self.line.post(&format!("{}{path}", self.base));
        self.send(call.header("Idempotency-Key", key).form(form)).await
    }

    /// Opens a PaymentIntent for a payment, or finds the one it opened before.
    ///
    /// # Errors
    /// `provider_unavailable`; `internal` when Stripe refuses the call.
    pub async fn open(&self, payment: &Payment) -> Result<Intent> {
        let (amount, currency) = (units(payment.charged())?, payment.amount.currency.code().to_lowercase());
        let (id, order) = (payment.id.to_string(), payment.order.to_string());
        let form = [
            ("amount", amount.as_str()),
            ("currency", &currency),
            ("capture_method", "manual"),
            ("automatic_payment_methods[enabled]", "true"),
            ("description", &order),
            ("metadata[payment_id]", &id),
            ("metadata[order_id]", &order),
        ];
        let mut tries = 1;
        let opened = loop {
            match self.once("/v1/payment_intents", &form, &id).await {
                Ok(opened) => break opened,
                Err(failure) => call::pause("stripe intent", tries, failure).await.map_err(refused)?,
            }
            tries += 1;
        };
        let intent: PaymentIntent =
            serde_json::from_value(opened).map_err(|error| Code::Internal.caused_by(error))?;
        let client_secret = intent
            .client_secret
            .ok_or_else(|| Code::Internal.caused_by("a new intent has no client_secret"))?;
        Ok(Intent { id: intent.id, client_secret: Some(client_secret) })
    }

    /// The page on which the buyer pays, if this deployment has one.
    #[must_use]
    pub fn pay_url(&self, intent: &Intent, return_url: Option<&str>) -> Option<String> {
        let page = self
            .pay_page
            .as_ref()?
            .replace("{intent}", &intent.id)
            .replace("{client_secret}", intent.client_secret.as_deref().unwrap_or_default());
        call::pay_page(&page, ("return_url", return_url))
    }

    /// Captures, and answers with what is true at Stripe afterwards. An intent that is already past this is no error: its
    /// present status is the answer.
    ///
    /// # Errors
    /// `provider_unavailable`; `internal` when Stripe refuses the call for good.
    pub async fn capture(&self, payment: &Payment, intent: &str) -> Result<Option<Fact>> {
        let path = format!("/v1/payment_intents/{intent}/capture");
        intent_after(self.once(&path, &[], &format!("{}-capture", payment.id)).await)
    }

    /// Lets an authorisation go, as [`Self::capture`] takes it.
    ///
    /// # Errors
    /// As [`Self::capture`].
    pub async fn void(&self, payment: &Payment, intent: &str) -> Result<Option<Fact>> {
        let path = format!("/v1/payment_intents/{intent}/cancel");
        intent_after(self.once(&path, &[], &format!("{}-void", payment.id)).await)
    }

    /// Asks for a refund. That Stripe refuses it is an answer, too: it failed.
    ///
    /// # Errors
    /// `provider_unavailable`; `internal` for an answer that cannot be understood.
    pub async fn refund(&self, payment: &Payment, intent: &str, refund: &Refund) -> Result<Option<Fact>> {
        let attempt = refund.state.attempt();
        let (of, id, amount) = (payment.id.to_string(), refund.id.to_string(), units(refund.asked())?);
        let nth = attempt.to_string();
        let form = [
            ("payment_intent", intent),
            ("amount", &amount),
            ("metadata[payment_id]", &of),
            ("metadata[refund_id]", &id),
            ("metadata[attempt]", &nth),
        ];
        match self.once("/v1/refunds", &form, &format!("{id}-{attempt}")).await {
            Ok(value) => {
                let made: RefundObject =
                    serde_json::from_value(value).map_err(|error| Code::Internal.caused_by(error))?;
                Ok(made.fact())
            }
            Err(Failure::Final(error)) => {
                tracing::warn!(refund = id, reason = reason(&error), "stripe refused a refund");
                let code =
                    error["code"].as_str().or_else(|| error["type"].as_str()).unwrap_or("refused").to_owned();
                let (ours, progress) = (Some((refund.id, attempt)), Progress::Failed { code });
                Ok(Some(Fact::Refund(RefundFact {
                    id: String::new(),
                    ours,
                    amount: refund.amount,
                    progress,
                })))
            }
            Err(passing) => Err(passing.refusal("stripe")),
        }
    }

    /// Which payment of ours an intent is of, if it is of one.
    ///
    /// # Errors
    /// `provider_unavailable`; `internal` when Stripe refuses the call.
    pub async fn payment_of(&self, intent: &str) -> Result<Option<String>> {
        let intent: PaymentIntent = self.get(&format!("/v1/payment_intents/{intent}")).await?;
        Ok(intent.metadata.payment_id)
    }

    /// Checks a webhook's signature over the raw bytes and reads what it reports. `None` for event types that tell us
    /// nothing.
    ///
    /// # Errors
    /// `signature_invalid` when it was not signed by a secret in force within five minutes of now; `invalid_input` when
    /// a signed body is not an event.
    pub fn report(&self, header: &str, body: &[u8], now: Timestamp) -> Result<Option<Report>> {
        verify(&self.webhook_secrets, header, body, now)?;
        let event = serde_json::from_slice(body).map_err(|error| Code::InvalidInput.caused_by(error))?;
        read(event)
    }

    /// What happened there from an instant to before another, the oldest first: what would have been reported.
    ///
    /// # Errors
    /// `provider_unavailable`; `busy` for more than 10,000; `internal` for what cannot be understood.
    pub async fn reports(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Report>> {
        let (mut reports, mut after) = (Vec::new(), String::new());
        for _ in 0..100 {
            let kinds: String = KINDS.iter().map(|kind| format!("&types[]={kind}")).collect();
            let window = format!("created[gte]={}&created[lt]={}", from.as_second(), until.as_second());
            let page: Events = self.get(&format!("/v1/events?limit=100&{window}{kinds}{after}")).await?;
            let last = page.data.last().map(|event| event.id.clone());
            for event in page.data {
                reports.extend(read(event)?);
            }
            match last.filter(|_| page.has_more) {
                Some(last) => after = format!("&starting_after={last}"),
                None => {
                    reports.reverse();
                    return Ok(reports);
                }
            }
        }
        Code::Busy.refuse()
    }

    /// What is true of a payment there now.
    ///
    /// # Errors
    /// `provider_unavailable`; `internal` when Stripe refuses the call.
    pub async fn look(&self, intent: &str) -> Result<Option<Fact>> {
        let intent: PaymentIntent = self.get(&format!("/v1/payment_intents/{intent}")).await?;
        Ok(intent.fact())
    }

    /// What is true of a refund there now.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn look_at_refund(&self, name: &str) -> Result<Option<Fact>> {
        let refund: RefundObject = self.get(&format!("/v1/refunds/{name}")).await?;
        Ok(refund.fact())
    }
}

/// What an event reports. `None` for types that tell us nothing.
fn read(event: EventBody) -> Result<Option<Report>> {
    let object = event.data.object;
    match event.kind.as_str() {
        "payment_intent.amount_capturable_updated"
        | "payment_intent.succeeded"
        | "payment_intent.canceled" => {
            let intent: PaymentIntent =
                serde_json::from_value(object).map_err(|error| Code::InvalidInput.caused_by(error))?;
            let fact = intent.fact();
            Ok(fact.map(|fact| Report { payment: intent.metadata.payment_id, intent: Some(intent.id), fact }))
        }
        "payment_intent.payment_failed" => {
            let intent: PaymentIntent =
                serde_json::from_value(object).map_err(|error| Code::InvalidInput.caused_by(error))?;
            let error = intent.last_payment_error;
            let code = error
                .and_then(|error| error.decline_code.or(error.code))
                .unwrap_or_else(|| "declined".to_owned());
            let fact = Fact::Declined { code };
            Ok(Some(Report { payment: intent.metadata.payment_id, intent: Some(intent.id), fact }))
        }
        "refund.created" | "refund.updated" | "refund.failed" => {
            let refund: RefundObject =
                serde_json::from_value(object).map_err(|error| Code::InvalidInput.caused_by(error))?;
            let payment = refund.metadata.as_ref().and_then(|metadata| metadata.payment_id.clone());
            let fact = refund.fact();
            Ok(fact.map(|fact| Report { payment, intent: refund.payment_intent, fact }))
        }
        _ => Ok(None),
    }
}

/// What is true of an intent after a call about it.
fn intent_after(done: Result<Value, Failure>) -> Result<Option<Fact>> {
    match done {
        Ok(value) => {
            let intent: PaymentIntent =
                serde_json::from_value(value).map_err(|error| Code::Internal.caused_by(error))?;
            Ok(intent.fact())
        }
        Err(Failure::Final(error)) if error["code"] == "payment_intent_unexpected_state" => {
            let intent: Option<PaymentIntent> = serde_json::from_value(error["payment_intent"].clone()).ok();
            let known = intent.and_then(|intent| intent.fact());
            known.map(Some).ok_or_else(|| Failure::Final(error).refusal("stripe"))
        }
        Err(failure) => Err(failure.refusal("stripe")),
    }
}

/// `t=…,v1=…[,v1=…]`: HMAC-SHA256 over `t.body`; every `v1` is tried with every secret, the time is checked both ways.
fn verify(secrets: &[String], header: &str, body: &[u8], now: Timestamp) -> Result<()> {
    let pairs = || header.split(',').filter_map(|pair| pair.trim().split_once('='));
    let time = pairs().find(|(name, _)| *name == "t").map(|(_, time)| time.trim());
    let time = time.ok_or_else(|| Code::SignatureInvalid.because("no time in Stripe-Signature"))?;
    let signed_at: i64 = time.parse().map_err(|_| Code::SignatureInvalid.because("the time is no number"))?;
    let signed = [time.as_bytes(), b".", body].concat();
    let good =
        pairs().filter(|(name, _)| *name == "v1").any(|(_, tag)| call::signed_by(secrets, &signed, tag));
    if !good {
        return Code::SignatureInvalid.refuse();
    }
    if now.as_second().abs_diff(signed_at) > TOLERANCE {
        return Err(Code::SignatureInvalid.because("signed too long ago, or in the future"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::hmac;
    use serde_json::json;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn sign(secret: &str, time: Timestamp, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signed = [time.as_second().to_string().as_bytes(), b".", body].concat();
        let hex: String = tessera::text::hex(hmac::sign(&key, &signed));
        format!("t={},v1={hex}", time.as_second())
    }

    const BODY: &[u8] = br#"{ "type":"x",  "data":{"object":{}} }"#;

    fn check(secrets: &[&str], header: &str, body: &[u8]) -> Result<(), Code> {
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        verify(&secrets, header, body, at(0)).map_err(|refusal| refusal.code)
    }

    #[test]
    fn the_present_and_the_previous_secret_verify_and_others_do_not() {
        let header = sign("old", at(0), BODY);
        assert_eq!(check(&["new", "old"], &header, BODY), Ok(()));
        assert_eq!(check(&["new"], &header, BODY), Err(Code::SignatureInvalid));
        let both = format!("{header},v1={}", "0".repeat(64));
        assert_eq!(check(&["old"], &both, BODY), Ok(()), "every v1 is tried");
        assert_eq!(check(&["old"], &header.replace("t=", " t = "), BODY), Err(Code::SignatureInvalid));
    }

    #[test]
    fn a_reserialised_body_does_not_verify() {
        let value: serde_json::Value = serde_json::from_slice(BODY).unwrap();
        let again = serde_json::to_vec(&value).unwrap();
        assert_eq!(check(&["s"], &sign("s", at(0), BODY), &again), Err(Code::SignatureInvalid));
    }

    #[test]
    fn the_time_is_checked_both_ways() {
        for (offset, good) in [(-300, true), (-301, false), (300, true), (301, false)] {
            let expected = if good { Ok(()) } else { Err(Code::SignatureInvalid) };
            assert_eq!(check(&["s"], &sign("s", at(offset), BODY), BODY), expected, "{offset}");
        }
    }

    #[test]
    fn nonsense_headers_are_refused() {
        for header in
            ["", "t=", "v1=00", "t=x,v1=00", "t=1", "t=1,v1=zz", &format!("t=1,v1={}", "é".repeat(32))]
        {
            assert_eq!(check(&["s"], header, BODY), Err(Code::SignatureInvalid), "{header}");
        }
    }
    /// An object as Stripe documents it (see `tests/fixtures/README.md`), with some members as we need them.
    fn documented(name: &str, members: Value) -> Value {
        let all: Value = serde_json::from_str(include_str!("../../../tests/fixtures/stripe.json")).unwrap();
        let mut object = all[name].clone();
        for (name, value) in members.as_object().unwrap() {
            // Only what is documented.
            assert!(object.get(name).is_some() || name == "failure_reason", "{name}");
            object[name] = value.clone();
        }
        object
    }

    #[test]
    fn what_stripe_documents_is_understood() {
        let read_event = |kind: &str, object: Value| {
            let event = documented("event", json!({"type": kind, "data": {"object": object}}));
            read(serde_json::from_value(event).unwrap()).unwrap()
        };
        let intent = |members: Value| documented("payment_intent", members);
        let usd = |amount| Money::new(amount, "USD".parse().unwrap());
        // As it comes: the buyer has not paid.
        let fresh: PaymentIntent = serde_json::from_value(intent(json!({}))).unwrap();
        assert!(fresh.client_secret.is_some() && fresh.fact().is_none());
        assert!(read_event("plan.created", json!({})).is_none());
        let ours = json!({"payment_id": "pay_1", "order_id": "ord_1"});
        for (kind, members, fact) in [
            (
                "payment_intent.amount_capturable_updated",
                json!({"status": "requires_capture", "amount_capturable": 1099}),
                Fact::Authorized { amount: usd(1099), charge: None },
            ),
            ("payment_intent.succeeded", json!({"status": "succeeded"}), Fact::Captured { charge: None }),
            ("payment_intent.canceled", json!({"status": "canceled"}), Fact::Cancelled),
            (
                "payment_intent.payment_failed",
                json!({"last_payment_error": {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}}),
                Fact::Declined { code: "lost_card".to_owned() },
            ),
            ("payment_intent.payment_failed", json!({}), Fact::Declined { code: "declined".to_owned() }),
        ] {
            let mut object = intent(members);
            object["metadata"] = ours.clone();
            let report = read_event(kind, object.clone()).unwrap();
            assert_eq!(report.fact, fact);
            assert_eq!(
                (report.payment.as_deref(), report.intent.as_deref()),
                (Some("pay_1"), object["id"].as_str())
            );
        }
        let refund = |status: &str, members: Value| {
            let mut object = documented("refund", members);
            object["status"] = status.into();
            read_event("refund.updated", object).unwrap()
        };
        for (status, progress) in [
            ("succeeded", Progress::Done),
            ("pending", Progress::Pending),
            ("requires_action", Progress::Pending),
            ("failed", Progress::Failed { code: "expired_or_canceled_card".to_owned() }),
            ("canceled", Progress::Failed { code: "expired_or_canceled_card".to_owned() }),
        ] {
            let report = refund(
                status,
                json!({"failure_reason": "expired_or_canceled_card", "payment_intent": "pi_1"}),
            );
            let Fact::Refund(fact) = report.fact else { panic!("{:?}", report.fact) };
            assert_eq!((fact.amount, fact.ours, fact.progress), (usd(100), None, progress));
            assert_eq!(report.intent.as_deref(), Some("pi_1"));
        }
        // As it comes: of a charge without an intent, made by nobody of ours.
        let foreign = refund("succeeded", json!({}));
        assert_eq!((foreign.payment, foreign.intent), (None, None));
        let page = json!({"object": "list", "url": "/v1/events", "has_more": true, "data": [documented("event", json!({}))]});
        let page: Events = serde_json::from_value(page).unwrap();
        assert_eq!((page.data.len(), page.has_more, page.data[0].id.starts_with("evt_")), (1, true, true));
    }
}
