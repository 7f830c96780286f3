//! Parameters as JSON or as a form with nested keys, `notes[order]=7`, whichever a client sends.

use serde_json::{Map, Value};

use super::error::{Error, Result};

/// The most pairs of notes, and the most characters of one.
const MOST_NOTES: usize = 15;
const LONGEST_NOTE: usize = 256;
/// The longest receipt, in characters.
const LONGEST_RECEIPT: usize = 40;
/// The largest amount, in the currency's smallest unit. Razorpay's own bound differs from account to account.
const MOST: i64 = 50_000_000_000;

/// Notes as they are kept: what the shop wrote on an order, payment or refund.
pub(crate) type Notes = Map<String, Value>;

/// The parameters of a request.
#[derive(Debug, Default)]
pub(crate) struct Params(Map<String, Value>);

impl Params {
    /// The parameters of a query and a body together. A body that begins with a brace is JSON, whatever its type
    /// says: Razorpay's own examples send JSON without saying so.
    pub(crate) fn parse(query: &[u8], body: &[u8]) -> Result<Self> {
        let mut all = form(query);
        if body.trim_ascii_start().starts_with(b"{") {
            let given: Map<String, Value> = serde_json::from_slice(body)
                .map_err(|cause| Error::invalid(format!("The request body is no JSON: {cause}")))?;
            all.extend(given);
        } else {
            all.extend(form(body));
        }
        Ok(Self(all))
    }

    /// All parameters in one spelling, by which two requests are compared.
    pub(crate) fn canonical(&self) -> String {
        sorted(&Value::Object(self.0.clone())).to_string()
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    /// The parameters below this one.
    pub(crate) fn below(&self, name: &str) -> Result<Option<Self>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(below)) => Ok(Some(Self(below.clone()))),
            Some(_) => Err(Error::invalid(format!("The {name} must be an array.")).field(name)),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Error::invalid(format!("The {name} must be a string.")).field(name)),
        }
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str> {
        self.text(name)?.ok_or_else(|| Error::missing(name))
    }

    /// A whole number, written as one or in digits.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::String(digits)) => digits.parse().ok(),
            Some(other) => other.as_i64(),
        };
        let refuse = || Error::invalid(format!("The {name} must be an integer.")).field(name);
        number.map(Some).ok_or_else(refuse)
    }

    /// An amount of money from one major unit of the currency up to [`MOST`].
    pub(crate) fn amount(&self, currency: &str) -> Result<Option<i64>> {
        let Some(amount) = self.integer("amount")? else { return Ok(None) };
        let small = currency.to_ascii_lowercase();
        let unit = 10_i64.pow(crate::page::decimals(&small));
        if amount < unit {
            let least = crate::page::major(unit, &small);
            let message = format!("The amount must be at least {currency} {least}");
            return Err(Error::invalid(message).field("amount"));
        }
        if amount > MOST {
            return Err(Error::invalid("Amount exceeds maximum amount allowed.").field("amount"));
        }
        Ok(Some(amount))
    }

    /// True or false, also as 1 or 0, also in quotes.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>> {
        let truth = match self.get(name) {
            None => return Ok(None),
            Some(Value::Bool(truth)) => Some(*truth),
            Some(Value::String(word)) => match word.as_str() {
                "1" | "true" => Some(true),
                "0" | "false" => Some(false),
                _ => None,
            },
            Some(other) => match other.as_i64() {
                Some(1) => Some(true),
                Some(0) => Some(false),
                _ => None,
            },
        };
        let refuse = || Error::invalid(format!("The {name} field must be true or false.")).field(name);
        truth.map(Some).ok_or_else(refuse)
    }

    /// The words of `name[]`, or the one word of `name`.
    pub(crate) fn words(&self, name: &str) -> Vec<&str> {
        match self.get(name) {
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(word)) => vec![word],
            _ => Vec::new(),
        }
    }

    pub(crate) fn receipt(&self) -> Result<Option<String>> {
        let receipt = self.text("receipt")?;
        if receipt.is_some_and(|receipt| receipt.chars().count() > LONGEST_RECEIPT) {
            let message = format!("The receipt may not be greater than {LONGEST_RECEIPT} characters.");
            return Err(Error::invalid(message).field("receipt"));
        }
        Ok(receipt.map(Into::into))
    }

    /// Notes, where they are given. An empty list is an empty object, as PHP has it.
    pub(crate) fn notes(&self) -> Result<Option<Notes>> {
        let notes = match self.0.get("notes") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Array(list)) if list.is_empty() => return Ok(Some(Notes::new())),
            Some(Value::String(word)) if word.is_empty() => return Ok(Some(Notes::new())),
            Some(Value::Object(notes)) => notes.clone(),
            Some(_) => return Err(Error::invalid("The notes must be an array.").field("notes")),
        };
        if notes.len() > MOST_NOTES {
            let message = format!("Number of fields in notes should be less than or equal to {MOST_NOTES}");
            return Err(Error::invalid(message).field("notes"));
        }
        for (name, value) in &notes {
            let text = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
            if value.is_object() || value.is_array() || text.chars().count() > LONGEST_NOTE {
                let message = format!("notes.{name} must be a text of up to {LONGEST_NOTE} characters");
                return Err(Error::invalid(message).field("notes"));
            }
        }
        Ok(Some(notes))
    }

    /// Refuses parameters Razorpay does not know.
    pub(crate) fn allow_only(&self, known: &[&str]) -> Result<()> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let message = format!("{name} is/are not required and should not be sent");
                Err(Error::invalid(message).field(name))
            }
        }
    }
}

/// The deepest that names of a form are nested; what is deeper is not read.
const DEEPEST: usize = 4;

/// Form-encoded pairs as the object that PHP makes of them: `a[b]=1` below `a`, `a[]=1` in a list.
fn form(bytes: &[u8]) -> Map<String, Value> {
    let mut all = Value::Object(Map::new());
    for (name, value) in form_urlencoded::parse(bytes) {
        let path: Vec<_> = name.split('[').map(|part| part.trim_end_matches(']')).collect();
        if path.len() <= DEEPEST && !name.is_empty() {
            put(&mut all, &path, value.into_owned());
        }
    }
    match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }
}

fn put(place: &mut Value, path: &[&str], text: String) {
    match path {
        [] => *place = Value::String(text),
        [""] => match place {
            Value::Array(list) => list.push(Value::String(text)),
            place => *place = Value::Array(vec![Value::String(text)]),
        },
        [first, rest @ ..] => {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            put(&mut place[*first], rest, text);
        }
    }
}

/// The same value with the names of every object in order, whatever order this build keeps them in.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> =
                fields.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(fields.into_iter().collect())
        }
        other => other.clone(),
    }
}
