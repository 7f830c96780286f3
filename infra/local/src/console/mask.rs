//! What nobody reads over an operator's shoulder: passwords, codes, salts and the secrets of clients.

use serde_json::Value;

/// What stands in the place of a secret.
const MASK: &str = "••••••";

/// Fields that are secret as they are, wherever they stand.
const SECRET: [&str; 21] = [
    "access_token",
    "api_key",
    "authorization",
    "challenge",
    "client_secret",
    "code",
    "current_password",
    "guest_token",
    "hash",
    "known_device",
    "otpauth_uri",
    "password",
    "private_key",
    "qr",
    "recovery",
    "recovery_code",
    "recovery_codes",
    "refresh_token",
    "salt",
    "secret",
    "token",
];

/// The value with everything secret in it masked: texts and numbers under a telling name, at any depth. Text that is
/// JSON itself is looked through too.
pub(super) fn masked(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                let value = if is_secret(&name) && hides(&value) { Value::from(MASK) } else { masked(value) };
                (name, value)
            })
            .collect(),
        Value::Array(values) => values.into_iter().map(masked).collect(),
        Value::String(text) => nested(&text).unwrap_or(Value::String(text)),
        plain => plain,
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.contains(&name.as_str()) || name.ends_with("_secret") || name.ends_with("_token")
}

/// An empty text hides nothing, and what has parts is looked through instead.
fn hides(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Number(_) => true,
        Value::Array(values) => values.iter().any(hides),
        _ => false,
    }
}

/// JSON in a text, masked; `None` if it is none.
fn nested(text: &str) -> Option<Value> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    serde_json::from_str(text).ok().map(masked)
}

/// Text for people: JSON laid out and masked, anything else as it is.
pub(super) fn pretty(text: &str) -> String {
    nested(text).map_or_else(|| text.to_owned(), |value| laid_out(&value))
}

/// JSON with a line for every field.
pub(super) fn laid_out(value: &Value) -> String {
    format!("{value:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_masked_at_any_depth_and_in_nested_json() {
        let messages =
            json!([{"type": "account.code_requested.v1", "data": {"code": "123456", "name": "Ada"}}]);
        let item = json!({
            "d": {"password": "$argon2id$v=19", "code": {"hash": "abcdef", "tries": 2}, "name": "Ada"},
            "list": [{"client_secret": "pi_1_secret_2"}], "webhook_secret": "whsec_1", "out": messages.to_string(),
        });
        let shown = masked(item).to_string();
        for secret in ["argon2id", "123456", "abcdef", "_secret_2", "whsec_1"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("Ada") && shown.contains("\"tries\":2"), "{shown}");
    }

    #[test]
    fn a_message_that_is_no_json_is_shown_as_it_is() {
        assert_eq!(pretty("plain words"), "plain words");
        assert_eq!(pretty("{not json"), "{not json");
        assert_eq!(pretty(r#"{"a":1}"#), "{\n  \"a\": 1\n}");
    }
}
