//! Event filtering patterns: `{"eventName": ["INSERT"], "dynamodb": {"NewImage": {"out": {"S": [{"exists": true}]}}}}`.
//!
//! A pattern is an object of the event's shape whose leaves are lists; a leaf matches if one of its entries does. Known
//! are literal values, `exists`, `prefix`, `suffix`, `anything-but` (values, a list of them, or a `prefix`), `numeric`
//! and `equals-ignore-case`; anything else is refused when the template is read. An array in the event matches if one
//! of its elements does.

use serde_json::Value;

/// Refuses a pattern that [`matches()`] would not understand.
///
/// # Errors
/// What is not understood, in words.
pub fn check(pattern: &Value) -> Result<(), String> {
    let Some(fields) = pattern.as_object() else {
        return Err("a pattern should be a JSON object".to_owned());
    };
    for (key, value) in fields {
        match value {
            Value::Object(_) => check(value)?,
            Value::Array(entries) => entries.iter().try_for_each(|entry| check_entry(key, entry))?,
            _ => return Err(format!("pattern key `{key}` should have a list or an object")),
        }
    }
    Ok(())
}

fn check_entry(key: &str, entry: &Value) -> Result<(), String> {
    let Value::Object(operator) = entry else { return Ok(()) };
    let [(name, argument)] = &operator.iter().collect::<Vec<_>>()[..] else {
        return Err(format!("pattern key `{key}` should have one operator an entry"));
    };
    let understood = match name.as_str() {
        "exists" => argument.is_boolean(),
        "prefix" | "suffix" | "equals-ignore-case" => argument.is_string(),
        "anything-but" => match argument {
            Value::Object(inner) => inner.len() == 1 && inner.get("prefix").is_some_and(Value::is_string),
            _ => true,
        },
        "numeric" => comparisons(argument).is_some(),
        _ => {
            return Err(format!(
                "pattern key `{key}` has the operator `{name}`, which is not supported here"
            ));
        }
    };
    if understood { Ok(()) } else { Err(format!("pattern key `{key}`: `{name}` cannot take {argument}")) }
}

/// Whether an event fits a pattern.
#[must_use]
pub fn matches(pattern: &Value, event: &Value) -> bool {
    let Some(fields) = pattern.as_object() else { return false };
    fields.iter().all(|(key, wanted)| field(wanted, event.get(key)))
}

fn field(wanted: &Value, found: Option<&Value>) -> bool {
    match wanted {
        Value::Object(_) => match found {
            Some(Value::Array(items)) => items.iter().any(|item| matches(wanted, item)),
            Some(found) => matches(wanted, found),
            // `exists: false` below is true of what is not there at all.
            None => matches(wanted, &Value::Null),
        },
        Value::Array(entries) => entries.iter().any(|entry| match found {
            Some(Value::Array(items)) => items.iter().any(|item| leaf(entry, Some(item))),
            found => leaf(entry, found),
        }),
        _ => false,
    }
}

fn leaf(entry: &Value, found: Option<&Value>) -> bool {
    let Some(operator) = entry.as_object() else { return found == Some(entry) };
    let text = found.and_then(Value::as_str);
    let compared = |argument: &Value, with: fn(&str, &str) -> bool| {
        text.zip(argument.as_str()).is_some_and(|(text, argument)| with(text, argument))
    };
    operator.iter().all(|(name, argument)| match name.as_str() {
        // Only leaves exist: an object further down is no value.
        "exists" => argument.as_bool() == Some(found.is_some_and(|found| !found.is_object())),
        "prefix" => compared(argument, |text, prefix| text.starts_with(prefix)),
        "suffix" => compared(argument, |text, suffix| text.ends_with(suffix)),
        "equals-ignore-case" => compared(argument, |text, other| text.to_lowercase() == other.to_lowercase()),
        "anything-but" => found.is_some_and(|found| match argument {
            Value::Array(others) => !others.contains(found),
            Value::Object(inner) => {
                let prefix = inner.get("prefix").and_then(Value::as_str);
                text.zip(prefix).is_some_and(|(text, prefix)| !text.starts_with(prefix))
            }
            other => found != other,
        }),
        "numeric" => numeric(argument, found),
        _ => false,
    })
}

/// `["=", 5]` or `[">", 0, "<=", 10]`, as pairs.
fn comparisons(argument: &Value) -> Option<Vec<(&str, f64)>> {
    let parts = argument.as_array()?;
    let pairs = parts.chunks(2).map(|pair| match pair {
        [Value::String(operator), number] if ["=", "<", "<=", ">", ">="].contains(&operator.as_str()) => {
            Some((operator.as_str(), number.as_f64()?))
        }
        _ => None,
    });
    pairs.collect::<Option<Vec<_>>>().filter(|pairs| !pairs.is_empty())
}

fn numeric(argument: &Value, found: Option<&Value>) -> bool {
    // DynamoDB writes numbers as texts, {"N": "5"}; the service compares them as numbers.
    let number = found.and_then(|found| match found {
        Value::String(text) => text.parse().ok(),
        other => other.as_f64(),
    });
    let (Some(number), Some(pairs)) = (number, comparisons(argument)) else { return false };
    #[allow(clippy::float_cmp, reason = "both were read from decimal text the same way")]
    pairs.iter().all(|(operator, bound)| match *operator {
        "=" => number == *bound,
        "<" => number < *bound,
        "<=" => number <= *bound,
        ">" => number > *bound,
        _ => number >= *bound,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pattern_matches_what_it_says_and_nothing_else() {
        let event = json!({"eventName": "INSERT", "dynamodb": {"NewImage": {
            "pk": {"S": "order#1"}, "out": {"S": "[]"}, "n": {"N": "5"}, "tags": {"SS": ["red", "blue"]}}}});
        let image = |attribute: &str, leaf: Value| json!({"dynamodb": {"NewImage": {attribute: leaf}}});
        let fits = [
            json!({}),
            json!({"eventName": ["INSERT", "MODIFY"]}),
            image("out", json!({"S": [{"exists": true}]})),
            image("gone", json!({"S": [{"exists": false}]})),
            image("pk", json!({"S": [{"prefix": "order#"}]})),
            image("pk", json!({"S": [{"suffix": "#1"}]})),
            image("pk", json!({"S": [{"anything-but": ["order#2", "order#3"]}]})),
            image("pk", json!({"S": [{"anything-but": {"prefix": "ticket#"}}]})),
            image("n", json!({"N": [{"numeric": ["=", 5]}]})),
            image("n", json!({"N": [{"numeric": [">", 0, "<=", 5]}]})),
            image("tags", json!({"SS": ["blue"]})),
        ];
        for pattern in fits {
            check(&pattern).unwrap();
            assert!(matches(&pattern, &event), "{pattern}");
        }
        let misses = [
            json!({"eventName": ["REMOVE"]}),
            image("out", json!({"S": [{"exists": false}]})),
            image("gone", json!({"S": [{"exists": true}]})),
            image("pk", json!({"S": [{"prefix": "ticket#"}]})),
            image("pk", json!({"S": [{"anything-but": ["order#1"]}]})),
            image("pk", json!({"S": [{"anything-but": {"prefix": "order"}}]})),
            image("n", json!({"N": [{"numeric": [">", 5]}]})),
            image("gone", json!({"S": [{"anything-but": ["x"]}]})),
            json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"n": {"N": ["6"]}}}}),
        ];
        for pattern in misses {
            check(&pattern).unwrap();
            assert!(!matches(&pattern, &event), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_nobody_understands_is_refused_by_name() {
        let error = check(&json!({"eventName": [{"cidr": "10.0.0.0/8"}]})).unwrap_err();
        assert!(error.contains("eventName") && error.contains("cidr"), "{error}");
        assert!(check(&json!({"eventName": "INSERT"})).is_err());
        assert!(check(&json!({"n": [{"numeric": ["~", 5]}]})).is_err());
        assert!(check(&json!([])).is_err());
    }
}
