//! What people may tell about themselves, so that they need not type it again: apps read it, Tessera does not.

use crate::error::{Code, Fault, Refusal, Result};
use crate::id::AccountId;
use crate::text::{Country, Text};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The most addresses of a profile.
pub const MAX_ADDRESSES: usize = 20;

/// Where something is brought, or billed to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PostalAddress {
    /// What its owner calls it; no two are called the same.
    #[schema(example = "Home")]
    pub label: Text<1, 40>,
    /// Who is there.
    #[schema(example = "Ada Lovelace")]
    pub name: Text<1, 120>,
    /// The lines without the country, 1 to 6.
    #[schema(min_items = 1, max_items = 6, example = json!(["Hof 1", "10115 Berlin"]))]
    pub lines: Vec<Text<1, 100>>,
    /// The country.
    pub country: Country,
    /// Whom a courier calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^\\+[1-9][0-9]{6,14}$", example = "+493012345678", value_type = Option<String>)]
    pub phone: Option<Text<8, 16>>,
    /// What a courier should know.
    #[serde(default)]
    pub note: Text<0, 500>,
}

/// What somebody told about themselves.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// How to call them: E.164.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^\\+[1-9][0-9]{6,14}$", example = "+493012345678", value_type = Option<String>)]
    pub phone: Option<Text<8, 16>>,
    /// The language they read: BCP 47.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", example = "de-AT", value_type = Option<String>)]
    pub language: Option<Text<2, 35>>,
    /// The IANA time zone they live in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, example = "Europe/Berlin", value_type = Option<String>)]
    pub zone: Option<Text<1, 64>>,
    /// Their addresses, the usual one first, at most 20.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub addresses: Vec<PostalAddress>,
}

/// A profile as it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Whose.
    pub account: AccountId,
    /// What they told.
    pub profile: Profile,
}

impl Profile {
    /// Checks what types do not.
    ///
    /// # Errors
    /// `invalid_input` with every fault.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        let mut fault =
            |pointer: String, detail: &str| faults.push(Fault { pointer, detail: detail.to_owned() });
        if self.phone.as_ref().is_some_and(|phone| !is_phone(phone.as_str())) {
            fault("/phone".into(), PHONE);
        }
        if self.language.as_ref().is_some_and(|language| !is_language(language.as_str())) {
            fault("/language".into(), "must be a language such as de-AT");
        }
        if self.zone.as_ref().is_some_and(|zone| TimeZone::get(zone.as_str()).is_err()) {
            fault("/zone".into(), "must be an IANA time zone");
        }
        if self.addresses.len() > MAX_ADDRESSES {
            fault("/addresses".into(), "must be at most 20");
        }
        for (place, address) in self.addresses.iter().enumerate().take(MAX_ADDRESSES) {
            if !(1..=6).contains(&address.lines.len()) {
                fault(format!("/addresses/{place}/lines"), "must be 1 to 6 lines");
            }
            if address.phone.as_ref().is_some_and(|phone| !is_phone(phone.as_str())) {
                fault(format!("/addresses/{place}/phone"), PHONE);
            }
            if self.addresses[..place].iter().any(|other| other.label == address.label) {
                fault(format!("/addresses/{place}/label"), "is that of another one");
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal { faults, ..Code::InvalidInput.into() }) }
    }
}

const PHONE: &str = "must be a number such as +493012345678";

/// E.164: a plus sign and 7 to 15 digits, the first of which is not 0.
fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0')
}

/// The form of BCP 47 (RFC 5646 §2.1), without its registry.
fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default();
    (2..=3).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_profile_is_checked_to_the_last_address() {
        let home = json!({"label": "Home", "name": "Ada", "lines": ["Hof 1"], "country": "DE"});
        let good = json!({"phone": "+493012345678", "language": "de-AT", "zone": "Europe/Berlin",
            "addresses": [home]});
        let profile = |value| serde_json::from_value::<Profile>(value).unwrap();
        assert!(profile(good).check().is_ok() && Profile::default().check().is_ok());
        let bad = json!({"phone": "+0301234567", "language": "german", "zone": "Mars/Olympus", "addresses": [
            home, {"label": "Home", "name": "Ada", "lines": [], "country": "DE", "phone": "030 123456"}]});
        let faults = profile(bad).check().unwrap_err().faults;
        let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        let expected = ["/phone", "/language", "/zone", "/addresses/1/lines", "/addresses/1/phone"];
        assert_eq!(pointers[..5], expected);
        assert_eq!(pointers[5..], ["/addresses/1/label"]);
        let many = vec![home.clone(); 21];
        assert!(profile(json!({"addresses": many})).check().is_err());
        assert!(serde_json::from_value::<Profile>(json!({"shoe_size": 44})).is_err());
    }
}
