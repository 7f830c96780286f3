//! The tables: what is kept, without its secrets.

use super::{Answer, Failure, Fields, Shared, blocking, link, mask, segment};
use axum::extract::{Path, State};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;
use serde_json::{Map, Value};

/// Items on one page.
const PAGE: usize = 20;

pub(super) async fn list(State(console): Shared, asked: Fields) -> Answer {
    let home = console.home()?;
    let tables = blocking(move || Ok(home.tables()?)).await?;
    let tables: Vec<_> = tables
        .into_iter()
        .map(|(name, count)| {
            let link = link(&format!("/tables/{}", segment(&name)), &[]);
            context! { name, count, link }
        })
        .collect();
    console.page("tables.html", "Tables", &asked, context! { tables })
}

#[derive(Serialize)]
struct Item {
    /// Its key, in the key's order.
    key: Vec<String>,
    version: Option<String>,
    /// When it may be forgotten.
    forget_ms: Option<i64>,
    /// The messages that its write caused.
    messages: Option<String>,
    rest: String,
}

/// An item in the store's own JSON, for people.
fn item(attributes: &Value, keys: &[String]) -> Item {
    let mut fields: Map<String, Value> = attributes
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect();
    let words = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let key = keys.iter().filter_map(|name| fields.remove(name)).map(|value| words(&value)).collect();
    let version = fields.remove("v").map(|version| words(&version));
    let forget_ms = fields.get("ttl").and_then(Value::as_i64).and_then(|seconds| seconds.checked_mul(1_000));
    let messages = fields.remove("out").map(|out| mask::laid_out(&mask::masked(out)));
    Item { key, version, forget_ms, messages, rest: mask::laid_out(&mask::masked(Value::Object(fields))) }
}

/// The store's typed JSON (`{"S": "a"}`) as plain JSON (`"a"`).
fn plain(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return value.clone();
    };
    match (kind.as_str(), inner) {
        ("N", Value::String(number)) => number.parse().map_or_else(|_| inner.clone(), Value::Number),
        ("M", Value::Object(fields)) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        ("L", Value::Array(values)) => values.iter().map(plain).collect(),
        ("NULL", _) => Value::Null,
        ("B", Value::String(encoded)) => {
            Value::String(format!("(binary, {} characters of base64)", encoded.len()))
        }
        _ => inner.clone(),
    }
}

pub(super) async fn one(State(console): Shared, Path(name): Path<String>, asked: Fields) -> Answer {
    let home = console.home()?;
    let wrong = || Failure::new(StatusCode::BAD_REQUEST, "This place in the table is not understood.");
    let after = asked.get("after").map(|after| {
        let key = URL_SAFE_NO_PAD.decode(after).ok();
        key.and_then(|key| serde_json::from_slice::<Value>(&key).ok()).ok_or_else(wrong)
    });
    let (after, partition) = (after.transpose()?, asked.get("pk").map(str::to_owned));
    let (table, wanted, first) = (name.clone(), partition.clone(), after.is_none());
    let (total, keys, page) = blocking(move || {
        let total = home.tables()?.get(&table).copied();
        let missing = || Failure::new(StatusCode::NOT_FOUND, format!("There is no table {table}."));
        let total = total.ok_or_else(missing)?;
        let tables = &home.inner.tables;
        let keys: Vec<String> = tables.keys(&table).map(str::to_owned).collect();
        let page = tables.page(&table, wanted.as_deref(), after, PAGE)?;
        Ok((total, keys, page))
    })
    .await?;
    let items: Vec<_> = page["Items"].as_array().into_iter().flatten().map(|one| item(one, &keys)).collect();
    let path = format!("/tables/{}", segment(&name));
    let next = page.get("LastEvaluatedKey").filter(|key| !key.is_null()).map(|key| {
        let after = URL_SAFE_NO_PAD.encode(key.to_string());
        match &partition {
            Some(partition) => link(&path, &[("pk", partition), ("after", &after)]),
            None => link(&path, &[("after", &after)]),
        }
    });
    console.page(
        "tables_one.html",
        &name,
        &asked,
        context! { name => name.as_str(), total, keys, items => Serde(items), partition, first, next, at => link(&path, &[]) },
    )
}
