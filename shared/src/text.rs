//! Bounded text: input is parsed into these, so that a value that exists is within its bounds.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of bytes, as hexadecimal digits.
#[must_use]
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(digest(&SHA256, bytes.as_ref()))
}

/// Letters and digits that nobody takes for one another: Crockford's base 32 (<https://www.crockford.com/base32.html>).
pub const SPOKEN: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The letter of [`SPOKEN`] that somebody means: small ones are capitals, O is 0, I and L are 1.
#[must_use]
pub const fn spoken(typed: char) -> char {
    match typed.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    }
}

/// A code as it was written, from what was typed: without dashes, spaces or other signs.
#[must_use]
pub fn typed_code(typed: &str) -> String {
    typed.chars().filter(char::is_ascii_alphanumeric).map(spoken).collect()
}

/// Text of `MIN` to `MAX` characters, trimmed, without control characters (line breaks are allowed from 500 up).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses.
    ///
    /// # Errors
    /// A sentence about the bound that was left.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let length = text.chars().count();
        if !(MIN..=MAX).contains(&length) {
            return Err(format!("must have {MIN} to {MAX} characters, has {length}"));
        }
        if text.chars().any(|c| c.is_control() && !(MAX >= 500 && matches!(c, '\n' | '\t'))) {
            return Err("must not contain control characters".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl Text<1, 120> {
    /// Instead of a name that was erased.
    #[must_use]
    pub fn nobody() -> Self {
        Self(NOBODY.to_owned())
    }
}

/// Text that may be empty is empty by default.
impl<const MAX: usize> Default for Text<0, MAX> {
    fn default() -> Self {
        Self(String::new())
    }
}

impl<const MIN: usize, const MAX: usize> fmt::Display for Text<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Text<MIN, MAX> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&<std::borrow::Cow<'de, str>>::deserialize(deserializer)?)
            .map_err(serde::de::Error::custom)
    }
}

impl<const MIN: usize, const MAX: usize> utoipa::PartialSchema for Text<MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        // White space at the ends is trimmed, of whatever kind it is; other control characters are refused wherever they are.
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(MIN))
            .max_length(Some(MAX))
            .pattern(Some(r"^[^\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f]*$"))
            .into()
    }
}

impl<const MIN: usize, const MAX: usize> utoipa::ToSchema for Text<MIN, MAX> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("Text{MIN}To{MAX}").into()
    }
}

/// Instead of a name that was erased.
pub const NOBODY: &str = "Anonymous";

/// An e-mail address as written, with the form under which it is unique.
///
/// Accepted is what real mail systems deliver: one `@`, no spaces or control characters, a domain with a dot, at most
/// 254 characters (RFC 5321 §4.5.3.1.3). Whether it exists is proven by a mailed code, not by a pattern.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Instead of an address that was erased. No mail goes there: the name is reserved (RFC 2606).
    #[must_use]
    pub fn nowhere() -> Self {
        Self("nobody@erased.invalid".to_owned())
    }

    /// The form under which it is unique: lower case.
    #[must_use]
    pub fn normal(&self) -> String {
        self.0.to_lowercase()
    }
}

impl std::str::FromStr for Email {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "must be an e-mail address";
        let (local, domain) = text.rsplit_once('@').ok_or(wrong)?;
        let clean = !text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>(),;:\"[]\\".contains(c));
        let labels = domain
            .split('.')
            .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
        let fits = text.len() <= 254 && (1..=64).contains(&local.len());
        if clean && labels && fits && domain.contains('.') && !local.contains('@') {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong)
        }
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?
            .trim()
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Email {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Email)))
            .max_length(Some(254))
            .examples([serde_json::json!("ada@example.org")])
            .into()
    }
}
impl utoipa::ToSchema for Email {}

/// A country: ISO 3166-1, two letters.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Country(String);

impl std::str::FromStr for Country {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
            true => Ok(Self(text.to_owned())),
            false => Err("must be a country such as DE"),
        }
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl utoipa::PartialSchema for Country {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("ISO 3166-1 country"))
            .pattern(Some("^[A-Z]{2}$"))
            .examples([serde_json::json!("DE")])
            .into()
    }
}
impl utoipa::ToSchema for Country {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_trimmed_and_bounded_by_characters_not_bytes() {
        assert_eq!(Text::<1, 3>::parse(" žšč ").unwrap().as_str(), "žšč");
        assert!(Text::<1, 3>::parse("   ").is_err());
        assert!(Text::<1, 3>::parse("four").is_err());
        assert!(Text::<1, 9>::parse("a\u{7}b").is_err());
        assert!(Text::<1, 9>::parse("a\nb").is_err());
        assert!(Text::<0, 2000>::parse("a\nb").is_ok());
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        for typed in ["7Q2K-94MX", "7q2k94mx", " 7q2k 94mx\n", "7Q2K\u{2014}94MX"] {
            assert_eq!(typed_code(typed), "7Q2K94MX");
        }
        assert_eq!(typed_code("oil0"), "0110");
        assert!(SPOKEN.iter().all(|letter| spoken(char::from(*letter)) == char::from(*letter)));
        assert_eq!(hex([0, 0x5a, 0xff]), "005aff");
    }

    #[test]
    fn addresses_people_have_are_accepted_and_header_tricks_are_not() {
        for good in ["ada@example.org", "o'neil+tag@mail.example.co.uk", "δοκιμή@παράδειγμα.ελ"]
        {
            assert!(good.parse::<Email>().is_ok(), "{good}");
        }
        for bad in [
            "ada",
            "ada@host",
            "a@b@c.org",
            "ada@.org",
            "ada@example.org\r\nBcc: x@y.z",
            "<ada@example.org>",
            "@example.org",
        ] {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
    }
}
