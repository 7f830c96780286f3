//! The organiser and the gate person: signing up by mail, signing in, and setting the event up.

use crate::wire::{Answer, Call, Wire};
use crate::{DemoError, Options};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long a mail, or the opening of the sale, is waited for.
const SOON: Duration = Duration::from_secs(60);
/// The zone the event takes place in.
pub(crate) const ZONE: &str = "Europe/London";
/// What one place costs, minor units of [`CURRENCY`].
pub(crate) const PRICE: i64 = 35_00;
pub(crate) const CURRENCY: &str = "EUR";

/// A person with an account.
#[derive(Debug)]
pub(crate) struct Staff {
    email: String,
    password: String,
    token: Mutex<String>,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
}

#[derive(Deserialize)]
struct Me {
    id: String,
}

#[derive(Deserialize)]
struct Mailbox {
    messages: Vec<Mail>,
}

#[derive(Deserialize)]
struct Mail {
    subject: String,
    text: Option<String>,
}

impl Staff {
    /// Signs up, proves the address with the mailed code, and signs in.
    ///
    /// # Errors
    /// [`DemoError::Mail`] if no code comes; as [`Wire::send`].
    pub(crate) async fn join(wire: &Wire, email: String, name: &str) -> Result<Self, DemoError> {
        // Known to nobody afterwards: the account is as old as the demo.
        let password = crate::fresh_key()?;
        let body = json!({"email": email, "password": password, "name": name});
        let answer = wire.send(&Call::post("/v1/accounts").json(&body)).await?;
        if !answer.is_success() {
            return Err(answer.unexpected());
        }
        let staff = Self { email, password, token: Mutex::default() };
        let began = Instant::now();
        // A repeated sign-up mails a second code; the newest counts. If the proof arrived and its answer did not,
        // the code is used up, but signing in works.
        while began.elapsed() < SOON {
            if let Some(code) = staff.mailed_code(wire).await? {
                let proof = json!({"email": staff.email, "code": code, "password": staff.password});
                let proven = wire.send(&Call::post("/v1/accounts/verify").json(&proof)).await?;
                if !proven.is_success() && !proven.is("code_wrong") {
                    return Err(proven.unexpected());
                }
                let signed_in = staff.try_sign_in(wire).await?;
                if signed_in.is_success() {
                    staff.sign_in(wire).await?;
                    return Ok(staff);
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(DemoError::Mail(format!("no code for {} within {} s", staff.email, SOON.as_secs())))
    }

    async fn mailed_code(&self, wire: &Wire) -> Result<Option<String>, DemoError> {
        let call = Call::get("/_ses/messages").query("to", self.email.as_str()).query("limit", "5");
        let answer = wire.send(&call).await?;
        if answer.status == 404 {
            return Err(DemoError::Mail(
                "this server has no mailbox at /_ses: it is no local home".to_owned(),
            ));
        }
        let mailbox: Mailbox = answer.value()?;
        let code = |mail: Mail| code_in(&mail.subject).or_else(|| code_in(mail.text.as_deref()?));
        Ok(mailbox.messages.into_iter().find_map(code))
    }

    async fn try_sign_in(&self, wire: &Wire) -> Result<Answer, DemoError> {
        let body = json!({"email": self.email, "password": self.password, "device": "demo"});
        wire.send(&Call::post("/v1/sessions").json(&body)).await
    }

    /// Signs in anew and answers the server's clock: tokens carry it, and it may have been moved.
    ///
    /// # Errors
    /// [`DemoError::Unexpected`] if the account is refused; as [`Wire::send`].
    pub(crate) async fn sign_in(&self, wire: &Wire) -> Result<Timestamp, DemoError> {
        let mut token = self.token.lock().await;
        let Tokens { access_token } = self.try_sign_in(wire).await?.value()?;
        let now = issued(&access_token).ok_or_else(|| DemoError::Unexpected {
            what: "POST /v1/sessions".to_owned(),
            status: 201,
            why: "the access token does not say when it was issued".to_owned(),
        })?;
        *token = access_token;
        Ok(now)
    }

    /// Sends as this person. Tokens are short-lived, and moved clocks end them: one refusal leads to a new session.
    ///
    /// # Errors
    /// As [`Wire::send`].
    pub(crate) async fn send(&self, wire: &Wire, call: Call) -> Result<Answer, DemoError> {
        let used = self.token.lock().await.clone();
        let answer = wire.send(&call.clone().bearer(used.as_str())).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        // Many may be refused at once: the first of them signs in for all.
        if *self.token.lock().await == used {
            self.sign_in(wire).await?;
        }
        let token = self.token.lock().await.clone();
        wire.send(&call.bearer(token)).await
    }

    async fn id(&self, wire: &Wire) -> Result<String, DemoError> {
        let Me { id } = self.send(wire, Call::get("/v1/me")).await?.value()?;
        Ok(id)
    }
}

/// The first word that is written like a code: `7Q2K-94MX`.
fn code_in(text: &str) -> Option<String> {
    let code = |word: &&str| {
        let groups = word.split_once('-').filter(|(first, second)| first.len() == 4 && second.len() == 4);
        let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        groups.is_some() && word.chars().all(|c| c == '-' || upper(c))
    };
    text.split_whitespace().map(|word| word.trim_end_matches('.')).find(code).map(str::to_owned)
}

/// When a token says it was issued.
fn issued(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        iat: i64,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let Claims { iat } = serde_json::from_slice(&claims).ok()?;
    Timestamp::from_second(iat).ok()
}

/// What is on sale.
#[derive(Debug)]
pub(crate) struct OnSale {
    pub(crate) organiser: Staff,
    pub(crate) gate: Staff,
    pub(crate) event: String,
    pub(crate) offer: String,
    pub(crate) starts: Timestamp,
    pub(crate) ends: Timestamp,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    starts_at: Timestamp,
    ends_at: Timestamp,
}

/// The event page, as far as the demo reads it.
#[derive(Deserialize)]
pub(crate) struct Page {
    pub(crate) offers: Vec<PageOffer>,
}

/// An offer on the event page.
#[derive(Deserialize)]
pub(crate) struct PageOffer {
    pub(crate) available: Option<u32>,
    pub(crate) sale_status: String,
}

impl OnSale {
    /// From nothing to an event whose sale has opened.
    ///
    /// # Errors
    /// As [`Staff::join`]; [`DemoError::Unexpected`] if a step is refused, or the sale does not open within a minute.
    pub(crate) async fn set_up(wire: &Wire, options: &Options, tag: &str) -> Result<Self, DemoError> {
        let organiser = Staff::join(wire, format!("organiser.{tag}@example.org"), "Emma Feld").await?;
        let gate = Staff::join(wire, format!("gate.{tag}@example.org"), "Gábor Torwart").await?;
        let now = organiser.sign_in(wire).await?;

        let found = Call::post("/v1/organisations").key(crate::fresh_key()?);
        let found = found.json(&json!({"name": format!("Demo Camp {tag}")}));
        let Identified { id: organisation } = organiser.send(wire, found).await?.value()?;
        let member = format!("/v1/organisations/{organisation}/members/{}", gate.id(wire).await?);
        let member =
            organiser.send(wire, Call::put(member).json(&json!({"rights": {"role": "gate"}}))).await?;
        if !member.is_success() {
            return Err(member.unexpected());
        }

        // In two hours: gates admit from four hours before, and the sale goes on until the start.
        let zone = TimeZone::get(ZONE).map_err(|error| DemoError::Options(error.to_string()))?;
        let starts = (now + SignedDuration::from_hours(2)).to_zoned(zone).datetime();
        let create = Call::post("/v1/events").key(crate::fresh_key()?).json(&json!({
            "organisation": organisation,
            "name": "Camp on the Hill",
            "description": "A weekend of talks, workshops and lights in a field.",
            "city": "Ledbury",
            "venue": "Eastnor Deer Park",
            "starts": {"local": starts, "zone": ZONE},
        }));
        let Event { id: event, starts_at: starts, ends_at: ends } =
            organiser.send(wire, create).await?.value()?;
        let offer = Call::post(format!("/v1/events/{event}/offers")).key(crate::fresh_key()?).json(&json!({
            "capacity": options.capacity,
            "name": "Full weekend",
            "price": {"amount": PRICE, "currency": CURRENCY},
            "sale": {"opens": now + SignedDuration::from_secs(5)},
            "per_order": 4,
        }));
        let Identified { id: offer } = organiser.send(wire, offer).await?.value()?;
        let publish = organiser.send(wire, Call::post(format!("/v1/events/{event}/publish"))).await?;
        if !publish.is_success() {
            return Err(publish.unexpected());
        }
        let on_sale = Self { organiser, gate, event, offer, starts, ends };
        on_sale.opened(wire).await?;
        Ok(on_sale)
    }

    /// The public page.
    ///
    /// # Errors
    /// As [`Wire::send`].
    pub(crate) async fn page(&self, wire: &Wire) -> Result<Answer, DemoError> {
        wire.send(&Call::get(format!("/v1/events/{}", self.event))).await
    }

    /// Waits, as people with a clock in their hand do, until the page says that the sale is open.
    async fn opened(&self, wire: &Wire) -> Result<(), DemoError> {
        let began = Instant::now();
        loop {
            let answer = self.page(wire).await?;
            let page: Page = answer.value()?;
            let open = |offer: &PageOffer| offer.sale_status == "open" && offer.available.is_some();
            if page.offers.iter().all(open) && !page.offers.is_empty() {
                return Ok(());
            }
            if began.elapsed() > SOON {
                return Err(answer.unexpected());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_word_that_is_written_like_one() {
        assert_eq!(code_in("7Q2K-94MX is your code").as_deref(), Some("7Q2K-94MX"));
        assert_eq!(code_in("ring 0301-234567, or type ABCD-1234.").as_deref(), Some("ABCD-1234"));
        assert_eq!(code_in("well-made 12345 7q2k-94mx"), None);
    }

    #[test]
    fn a_token_says_when_it_was_issued() {
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(br#"{"iat":1800000000,"exp":1}"#));
        assert_eq!(issued(&token).map(Timestamp::as_second), Some(1_800_000_000));
        assert_eq!(issued("no token"), None);
    }
}
