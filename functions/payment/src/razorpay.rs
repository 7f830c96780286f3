//! The Razorpay adapter: orders whose payments are captured by us, and webhook signatures.
//!
//! | here | at Razorpay |
//! |---|---|
//! | a payment that is open | an order: it can be tried several times |
//! | authorised | the first payment of that order that was |
//! | voided | nothing: what is not captured goes back by itself, after [`LET_GO_MINUTES`] |
//!
//! Only refunds know idempotency keys there. Orders carry our payment's id as their receipt, so that one whose answer was lost is found
//! again; a capture is answered by the payment's state, whoever captured it.
//!
//! Source: <https://razorpay.com/docs/api/orders/>, <https://razorpay.com/docs/api/payments/>,
//! <https://razorpay.com/docs/api/refunds/>, <https://razorpay.com/docs/webhooks/validate-test/>.

use crate::breaker::Breaker;
use crate::call::{self, Failure, Line, reason};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tessera::app::App;
use tessera::config::ConfigError;
use tessera::error::{Code, Refusal, Result};
use tessera::id::RefundId;
use tessera::money::{Currency, Money};
use tessera::payment::refund::{Progress, Refund, RefundFact};
use tessera::payment::{Fact, Intent, Payment, Provider};

/// What was authorised and not captured goes back after so many minutes: long enough for an operator to put right what kept it from
/// being captured.
pub const LET_GO_MINUTES: u32 = 1_440;

/// A client of one Razorpay account.
pub struct Razorpay {
    line: Line,
    base: String,
    key_id: String,
    key_secret: String,
    webhook_secrets: Vec<String>,
    pay_page: Option<String>,
}

#[derive(Deserialize)]
struct Order {
    id: String,
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

/// A payment there: one attempt to pay an order.
#[derive(Debug, Clone, Deserialize)]
pub struct Attempt {
    id: String,
    order_id: Option<String>,
    status: String,
    amount: i64,
    currency: String,
    #[serde(default)]
    captured: bool,
    error_reason: Option<String>,
    error_code: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct RefundEntity {
    id: String,
    payment_id: Option<String>,
    amount: i64,
    currency: String,
    status: String,
    /// An empty list where there are none: so does PHP write an empty map.
    #[serde(default)]
    notes: Value,
}

#[derive(Deserialize)]
struct Entity<T> {
    entity: T,
}

#[derive(Deserialize)]
struct Payload {
    payment: Option<Entity<Attempt>>,
    refund: Option<Entity<RefundEntity>>,
}

#[derive(Deserialize)]
struct EventBody {
    event: String,
    payload: Payload,
}

/// What a webhook reports.
#[derive(Debug, Clone)]
pub struct Report {
    /// The order there that it is about.
    pub order: String,
    /// The attempt to pay it.
    pub charge: String,
    /// What happened.
    pub fact: Fact,
}

fn money(amount: i64, currency: &str) -> Option<Money> {
    let currency: Currency = currency.parse().ok()?;
    Some(Money::new(amount, currency))
}

impl Attempt {
    /// What its status says; nothing while it is under way.
    fn fact(&self) -> Option<Fact> {
        match self.status.as_str() {
            "authorized" => Some(Fact::Authorized {
                amount: money(self.amount, &self.currency)?,
                charge: Some(self.id.clone()),
            }),
            // Refunded was captured before; what went back is told by the refund.
            "captured" => Some(Fact::Captured { charge: Some(self.id.clone()) }),
            "refunded" if self.captured => Some(Fact::Captured { charge: Some(self.id.clone()) }),
            "refunded" => Some(Fact::Cancelled),
            "failed" => {
                let code = self.error_reason.clone().or_else(|| self.error_code.clone());
                Some(Fact::Declined { code: code.unwrap_or_else(|| "declined".to_owned()) })
            }
            _ => None,
        }
    }
}

impl RefundEntity {
    fn fact(&self) -> Option<Fact> {
        let note = |name: &str| self.notes.get(name).and_then(Value::as_str);
        let ours: Option<(RefundId, u32)> = note("refund_id")
            .zip(note("attempt"))
            .and_then(|(id, attempt)| Some((id.parse().ok()?, attempt.parse().ok()?)));
        let progress = match self.status.as_str() {
            "processed" => Progress::Done,
            "failed" => Progress::Failed { code: "failed".to_owned() },
            _ => Progress::Pending,
        };
        let amount = money(self.amount, &self.currency)?;
        Some(Fact::Refund(RefundFact { id: self.id.clone(), ours, amount, progress }))
    }
}

/// The provider's code and words for what it refused.
fn words(error: &Value) -> (String, String) {
    let known = |name: &str| error[name].as_str().filter(|text| !text.is_empty() && *text != "NA");
    let code = known("reason").or_else(|| known("code")).unwrap_or("refused");
    (code.to_owned(), known("description").unwrap_or_default().to_owned())
}

/// How it is said to whoever wants to pay.
fn refused(failure: Failure) -> Refusal {
    match failure {
        Failure::Final(error) => {
            tracing::error!(reason = reason(&error), "razorpay refused to open a payment");
            Code::PaymentRefused.because(words(&error).1)
        }
        other => other.refusal("razorpay"),
    }
}

impl Razorpay {
    /// Reads `RAZORPAY_KEY_ID`, `RAZORPAY_KEY_SECRET`, `RAZORPAY_WEBHOOK_SECRETS` (comma-separated: two while one is being replaced),
    /// `RAZORPAY_BASE_URL` (default: Razorpay) and `RAZORPAY_PAY_PAGE` (with `{order}`, optional). Nothing if there is no key: this
    /// deployment takes no payments by Razorpay.
    ///
    /// # Errors
    /// Names the setting.
    pub fn new(app: &App) -> Result<Option<Self>, ConfigError> {
        let config = &app.config;
        let Some(key_id) = config.optional("RAZORPAY_KEY_ID") else { return Ok(None) };
        let base = config.optional("RAZORPAY_BASE_URL").unwrap_or("https://api.razorpay.com");
        Ok(Some(Self {
            line: Line::new(app, Provider::Razorpay, "RAZORPAY_BASE_URL")?,
            base: base.trim_end_matches('/').to_owned(),
            key_id: key_id.to_owned(),
            key_secret: config.require("RAZORPAY_KEY_SECRET")?.to_owned(),
            webhook_secrets: call::secrets(config.require("RAZORPAY_WEBHOOK_SECRETS")?),
            pay_page: config.optional("RAZORPAY_PAY_PAGE").map(str::to_owned),
        }))
    }

    /// Whether it is asked.
    pub(crate) const fn breaker(&self) -> &Breaker {
        &self.line.breaker
    }

    async fn send<T: DeserializeOwned>(&self, call: reqwest::RequestBuilder) -> Result<T, Failure> {
        self.line.send(call.basic_auth(&self.key_id, Some(&self.key_secret))).await
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.line.get(&format!("{}{path}", self.base))
    }

    fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.line.post(&format!("{}{path}", self.base)).json(body)
    }

    /// The key that the checkout in the buyer's browser names.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Opens an order for a payment, or finds the one that was opened before and whose answer was lost.
    ///
    /// # Errors
    /// `provider_unavailable`; `payment_refused`.
    pub async fn open(&self, payment: &Payment) -> Result<Intent> {
        let receipt = payment.id.to_string();
        let body = json!({
            "amount": payment.charged().amount,
            "currency": payment.amount.currency.code(),
            "receipt": receipt,
            "notes": {"payment_id": receipt, "order_id": payment.order.to_string()},
            "payment": {"capture": "manual", "capture_options": {"manual_expiry_period": LET_GO_MINUTES, "refund_speed": "normal"}},
        });
        let mut tries = 1;
        let order = loop {
            match self.open_once(&receipt, &body, tries).await {
                Ok(order) => break order,
                Err(failure) => call::pause("razorpay order", tries, failure).await.map_err(refused)?,
            }
            tries += 1;
        };
        Ok(Intent { id: order.id, client_secret: None })
    }

    async fn open_once(&self, receipt: &str, body: &Value, tries: u32) -> Result<Order, Failure> {
        if tries > 1 {
            let found: List<Order> =
                self.send(self.get(&format!("/v1/orders?receipt={receipt}&count=1"))).await?;
            if let Some(order) = found.items.into_iter().next() {
                return Ok(order);
            }
        }
        self.send(self.post("/v1/orders", body)).await
    }

    /// The page on which the buyer pays, if this deployment has one.
    #[must_use]
    pub fn pay_url(&self, intent: &Intent, return_url: Option<&str>) -> Option<String> {
        let page = self.pay_page.as_ref()?.replace("{order}", &intent.id);
        call::pay_page(&page, ("callback_url", return_url))
    }

    /// Captures what was authorised, and answers with what is true there afterwards.
    ///
    /// # Errors
    /// `provider_unavailable`; `internal` when Razorpay refuses it for good.
    pub async fn capture(&self, payment: &Payment) -> Result<Option<Fact>> {
        let charge =
            payment.charge.as_ref().ok_or_else(|| Code::Internal.caused_by("nothing was authorised"))?;
        let body = json!({"amount": payment.charged().amount, "currency": payment.amount.currency.code()});
        let captured =
            self.send::<Attempt>(self.post(&format!("/v1/payments/{charge}/capture"), &body)).await;
        let attempt = match captured {
            Ok(attempt) => attempt,
            // Captured already, perhaps by an earlier call whose answer was lost; or gone. Its state says which.
            Err(Failure::Final(_)) => self.attempt(charge).await?,
            Err(passing) => return Err(passing.refusal("razorpay")),
        };
        match attempt.status.as_str() {
            "authorized" => Err(Code::Internal.caused_by(format!("razorpay refuses to capture {charge}"))),
            _ => Ok(attempt.fact()),
        }
    }

    /// Lets an authorisation go. There is nothing to ask for: what is not captured goes back by itself. Unless it was captured by a call
    /// whose answer was lost.
    ///
    /// # Errors
    /// `provider_unavailable`; `internal` when Razorpay refuses the call.
    pub async fn let_go(&self, payment: &Payment) -> Result<Option<Fact>> {
        let fact = match &payment.charge {
            Some(charge) => self.look(charge).await?,
            None => None,
        };
        let taken = fact.filter(|fact| matches!(fact, Fact::Captured { .. }));
        Ok(taken.or(Some(Fact::Cancelled)))
    }

    async fn attempt(&self, charge: &str) -> Result<Attempt> {
        let found = self.send(self.get(&format!("/v1/payments/{charge}"))).await;
        found.map_err(|failure| failure.refusal("razorpay"))
    }

    /// Asks for a refund. That Razorpay refuses it is an answer, too: it failed.
    ///
    /// # Errors
    /// `provider_unavailable`; `internal` for an answer that cannot be understood.
    pub async fn refund(&self, payment: &Payment, refund: &Refund) -> Result<Option<Fact>> {
        let charge =
            payment.charge.as_ref().ok_or_else(|| Code::Internal.caused_by("nothing was captured"))?;
        let (id, attempt) = (refund.id.to_string(), refund.state.attempt());
        let key = format!("{id}-{attempt}");
        let notes =
            json!({"payment_id": payment.id.to_string(), "refund_id": id, "attempt": attempt.to_string()});
        let body =
            json!({"amount": refund.asked().amount, "speed": "normal", "receipt": key, "notes": notes});
        let call =
            self.post(&format!("/v1/payments/{charge}/refund"), &body).header("X-Refund-Idempotency", &key);
        match self.send::<RefundEntity>(call).await {
            Ok(made) => Ok(made.fact()),
            Err(Failure::Final(error)) => {
                tracing::warn!(refund = id, reason = reason(&error), "razorpay refused a refund");
                let progress = Progress::Failed { code: words(&error).0 };
                let ours = Some((refund.id, attempt));
                Ok(Some(Fact::Refund(RefundFact {
                    id: String::new(),
                    ours,
                    amount: refund.amount,
                    progress,
                })))
            }
            Err(passing) => Err(passing.refusal("razorpay")),
        }
    }

    /// What happened there to payments and refunds that began from an instant to before another. An attempt may change for a day after
    /// it began, so that those of the day before are looked at once more.
    ///
    /// # Errors
    /// `provider_unavailable`; `busy` for more than 10,000; `internal` for what cannot be understood.
    pub async fn reports(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Report>> {
        let mut reports = Vec::new();
        for before in [SignedDuration::ZERO, SignedDuration::from_mins(i64::from(LET_GO_MINUTES) + 60)] {
            let window = (from - before, until - before);
            for attempt in self.all::<Attempt>("payments", window).await? {
                let fact = attempt.fact();
                let of = attempt.order_id.zip(fact);
                reports.extend(of.map(|(order, fact)| Report { order, charge: attempt.id, fact }));
            }
            for refund in self.all::<RefundEntity>("refunds", window).await? {
                let Some(charge) = &refund.payment_id else { continue };
                let attempt = self.attempt(charge).await?;
                let fact = refund.fact().filter(|_| attempt.captured);
                let of = attempt.order_id.zip(fact);
                reports.extend(of.map(|(order, fact)| Report { order, charge: attempt.id, fact }));
            }
        }
        Ok(reports)
    }

    async fn all<T: DeserializeOwned>(
        &self,
        what: &str,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        for page in 0..100 {
            let (from, to, skip) = (from.as_second(), until.as_second() - 1, page * 100);
            let path = format!("/v1/{what}?from={from}&to={to}&count=100&skip={skip}");
            let listed: List<T> =
                self.send(self.get(&path)).await.map_err(|failure| failure.refusal("razorpay"))?;
            let last = listed.items.len() < 100;
            found.extend(listed.items);
            if last {
                return Ok(found);
            }
        }
        Code::Busy.refuse()
    }

    /// What is true of a payment there now.
    ///
    /// # Errors
    /// `provider_unavailable`; `internal` when Razorpay refuses the call.
    pub async fn look(&self, charge: &str) -> Result<Option<Fact>> {
        Ok(self.attempt(charge).await?.fact())
    }

    /// What is true of a refund there now.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn look_at_refund(&self, name: &str) -> Result<Option<Fact>> {
        let found: Result<RefundEntity, Failure> = self.send(self.get(&format!("/v1/refunds/{name}"))).await;
        Ok(found.map_err(|failure| failure.refusal("razorpay"))?.fact())
    }

    /// Checks what the checkout handed to the buyer's browser, and asks what became of that attempt.
    ///
    /// # Errors
    /// `signature_invalid`; `provider_unavailable`.
    pub async fn verified(&self, intent: &Intent, charge: &str, signature: &str) -> Result<Option<Fact>> {
        let signed = format!("{}|{charge}", intent.id);
        if !call::signed_by(std::slice::from_ref(&self.key_secret), signed.as_bytes(), signature) {
            return Code::SignatureInvalid.refuse();
        }
        let attempt = self.attempt(charge).await?;
        Ok(attempt.fact().filter(|_| attempt.order_id.as_ref() == Some(&intent.id)))
    }

    /// Checks a webhook's signature over the raw bytes and reads what it reports. `None` for events that tell us nothing.
    ///
    /// # Errors
    /// `signature_invalid`; `invalid_input` when a signed body is not an event.
    pub fn report(&self, signature: &str, body: &[u8]) -> Result<Option<Report>> {
        if !call::signed_by(&self.webhook_secrets, body, signature) {
            return Code::SignatureInvalid.refuse();
        }
        let EventBody { event, payload } =
            serde_json::from_slice(body).map_err(|error| Code::InvalidInput.caused_by(error))?;
        let Some(attempt) = payload.payment.map(|payment| payment.entity) else { return Ok(None) };
        let Some(order) = attempt.order_id.clone() else { return Ok(None) };
        let fact = match (event.as_str(), payload.refund) {
            ("payment.authorized" | "payment.captured" | "payment.failed", _) => attempt.fact(),
            // What was never captured went back by itself.
            ("refund.created" | "refund.processed" | "refund.failed", Some(_)) if !attempt.captured => {
                Some(Fact::Cancelled)
            }
            ("refund.created" | "refund.processed" | "refund.failed", Some(refund)) => refund.entity.fact(),
            _ => None,
        };
        Ok(fact.map(|fact| Report { order, charge: attempt.id.clone(), fact }))
    }
}
