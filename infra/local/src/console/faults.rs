//! What goes wrong on purpose: the switches of the sandboxes, and the faults in front of the stores.

use super::{Answer, Failure, Fields, Shared, back};
use crate::stores::faults::{Fault, Rule, Service};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tessera_sandbox::{mail, stripe};

/// The most calls that one rule befalls: more is a mistake of typing.
const MOST_TIMES: u32 = 1_000_000;

/// Which switches are on, in words: those that differ from their rest. The size of a fault that is not on is no matter.
fn switched_on<T: Serialize + Default>(switches: &T, sizes: &[(&str, &str)]) -> Result<Vec<String>, Failure> {
    let now = serde_json::to_value(switches).map_err(Failure::internal)?;
    let rest = serde_json::to_value(T::default()).map_err(Failure::internal)?;
    let on = now.as_object().into_iter().flatten().filter(|(name, value)| {
        let size_of = sizes.iter().find(|(size, _)| size == name);
        rest[name.as_str()] != **value && size_of.is_none_or(|(_, counter)| now[*counter] != rest[*counter])
    });
    Ok(on
        .map(|(name, value)| match value {
            Value::Bool(_) => name.replace('_', " "),
            Value::String(text) => format!("{} {text}", name.replace('_', " ")),
            other => format!("{} {other}", name.replace('_', " ")),
        })
        .collect())
}

pub(super) fn payment_switches(switches: &stripe::Switches) -> Result<Vec<String>, Failure> {
    switched_on(switches, &[("fail_status", "fail_next"), ("hang_ms", "hang_next")])
}

pub(super) fn mail_switches(switches: &mail::Switches) -> Result<Vec<String>, Failure> {
    switched_on(switches, &[])
}

pub(super) async fn show(State(console): Shared, asked: Fields) -> Answer {
    let home = console.home()?;
    console.page(
        "faults.html",
        "Faults",
        &asked,
        context! {
            rules => Serde(home.faults().rules()),
            crashed => home.faults().crashed(),
            calls => home.faults().calls(),
            stripe_switches => Serde(console.stripe.switches()),
            mail_switches => Serde(console.mail.switches()),
            form_back => "faults",
        },
    )
}

/// Where a form wants to go back to; what is not known goes to the faults.
fn page_of(form: &Fields) -> &'static str {
    match form.get("back") {
        Some("payments") => "/payments",
        Some("mail") => "/mail",
        _ => "/faults",
    }
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, message)
}

/// A word of a form as one of the values that serde knows.
fn word<T: DeserializeOwned>(form: &Fields, name: &str) -> Result<Option<T>, Failure> {
    let Some(word) = form.get(name) else { return Ok(None) };
    let value = serde_json::from_value(Value::from(word));
    value.map(Some).map_err(|_| wrong(format!("`{word}` is no {name}.")))
}

fn rule(form: &Fields) -> Result<Rule, Failure> {
    let times = form.get("times").unwrap_or("1").parse::<u32>().ok();
    Ok(Rule {
        service: word::<Service>(form, "service")?,
        operation: form.get("operation").map(str::to_owned),
        resource: form.get("resource").map(str::to_owned),
        fault: word::<Fault>(form, "fault")?.ok_or_else(|| wrong("Say what goes wrong."))?,
        times: times
            .filter(|times| (1..=MOST_TIMES).contains(times))
            .ok_or_else(|| wrong("Say how many calls, 1 to 1000000."))?,
    })
}

pub(super) async fn add(State(console): Shared, body: Bytes) -> Result<Response, Failure> {
    let home = console.home()?;
    let form = Fields::parse(&body);
    let outcome = rule(&form).map(|rule| {
        home.faults().add(rule);
        "The fault is switched on.".to_owned()
    });
    Ok(back(page_of(&form), outcome.map_err(|failure| failure.message)))
}

pub(super) async fn clear(State(console): Shared) -> Result<Response, Failure> {
    console.home()?.faults().clear();
    Ok(back("/faults", Ok::<_, String>("The stores work again.".to_owned())))
}

/// The switches as they are, with what a form says of them: an empty field is the switch at rest, a box that is not
/// ticked is not sent.
fn switched<T: Serialize + DeserializeOwned + Default>(switches: &T, form: &Fields) -> Result<T, Failure> {
    let rest = serde_json::to_value(T::default()).map_err(Failure::internal)?;
    let mut wanted = serde_json::to_value(switches).map_err(Failure::internal)?;
    let empty = Map::new();
    for (name, rest) in rest.as_object().unwrap_or(&empty) {
        let given = form.get(name);
        wanted[name.as_str()] = match (rest, given) {
            (Value::Bool(_), given) => Value::from(given.is_some()),
            (_, None) => rest.clone(),
            (Value::Number(_), Some(number)) => {
                let number = number.parse::<u64>();
                Value::from(
                    number.map_err(|_| wrong(format!("{} is a whole number.", name.replace('_', " "))))?,
                )
            }
            (Value::Array(_), Some(list)) => {
                list.split([',', '\n', ' ']).map(str::trim).filter(|one| !one.is_empty()).collect()
            }
            (_, Some(text)) => Value::from(text),
        };
    }
    serde_json::from_value(wanted).map_err(|error| wrong(error.to_string()))
}

/// What a form of switches answers. Everything at rest is one button of the same form.
fn said(on: &[String], whose: &str) -> String {
    if on.is_empty() { format!("The {whose} behaves.") } else { format!("The {whose}: {}.", on.join(", ")) }
}

pub(super) async fn switch_payments(State(console): Shared, body: Bytes) -> Result<Response, Failure> {
    let form = Fields::parse(&body);
    let change = || {
        let wanted = match form.get("reset") {
            Some(_) => stripe::Switches::default(),
            None => switched(&console.stripe.switches(), &form)?,
        };
        let switches = console.stripe.switch(|switches| *switches = wanted)?;
        Ok(said(&payment_switches(&switches)?, "payment provider"))
    };
    Ok(back(page_of(&form), change().map_err(|failure: Failure| failure.message)))
}

pub(super) async fn switch_mail(State(console): Shared, body: Bytes) -> Result<Response, Failure> {
    let form = Fields::parse(&body);
    let change = || {
        let wanted = match form.get("reset") {
            Some(_) => mail::Switches::default(),
            None => switched(&console.mail.switches(), &form)?,
        };
        let switches = console.mail.switch(|switches| *switches = wanted)?;
        Ok(said(&mail_switches(&switches)?, "mail service"))
    };
    Ok(back(page_of(&form), change().map_err(|failure: Failure| failure.message)))
}
