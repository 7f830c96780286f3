//! International bank account numbers (ISO 13616).

use serde::{Deserialize, Serialize};
use std::fmt;

/// An international bank account number (ISO 13616), without spaces; its check digits are right.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(transparent)]
pub struct Iban(String);

impl Iban {
    /// As written without spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Iban {
    type Err = &'static str;
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let plain: String = text.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_uppercase()).collect();
        let wrong = Err("must be an IBAN");
        if !(15..=34).contains(&plain.len()) || !plain.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return wrong;
        }
        let (front, rest) = plain.split_at(4);
        let shape = |(nth, byte): (usize, u8)| {
            if nth < 2 { byte.is_ascii_uppercase() } else { byte.is_ascii_digit() }
        };
        if !front.bytes().enumerate().all(shape) {
            return wrong;
        }
        // ISO 7064 MOD 97-10: letters count from 10, the front goes last.
        let digits = rest.chars().chain(front.chars()).filter_map(|c| c.to_digit(36));
        let remainder = digits.fold(0, |sum, digit| (sum * if digit > 9 { 100 } else { 10 } + digit) % 97);
        if remainder == 1 { Ok(Self(plain)) } else { wrong }
    }
}

impl fmt::Display for Iban {
    /// In groups of four, as it is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, c) in self.0.chars().enumerate() {
            if nth > 0 && nth % 4 == 0 {
                f.write_str(" ")?;
            }
            write!(f, "{c}")?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Iban {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Iban {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("IBAN (ISO 13616), spaces are left out"))
            .min_length(Some(15))
            .max_length(Some(42))
            .examples([serde_json::json!("DE89370400440532013000")])
            .into()
    }
}
impl utoipa::ToSchema for Iban {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of the registry (SWIFT, IBAN Registry), and what is next to them.
    #[test]
    fn the_check_digits_tell_a_slip() {
        for good in [
            "DE89 3704 0044 0532 0130 00",
            "gb29nwbk60161331926819",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
            "AE070331234567890123456",
        ] {
            assert!(good.parse::<Iban>().is_ok(), "{good}");
        }
        let iban: Iban = "de89370400440532013000".parse().unwrap();
        assert_eq!(
            (iban.as_str(), iban.to_string().as_str()),
            ("DE89370400440532013000", "DE89 3704 0044 0532 0130 00")
        );
        for bad in [
            "DE89370400440532013001",
            "DE98370400440532013000",
            "DE8937040044053201300",
            "D189370400440532013000",
            "DEX9370400440532013000",
            "DE89-3704-0044-0532-0130-00",
            "ＤＥ89370400440532013000",
            "",
        ] {
            assert!(bad.parse::<Iban>().is_err(), "{bad}");
        }
    }
}
