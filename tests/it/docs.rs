//! The API description, and that it is true.

use crate::support::World;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tessera_local::openapi;

/// `UPDATE=1 cargo test` writes the committed copy anew.
#[test]
fn the_committed_description_is_the_codes() {
    let text = openapi::text().unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../functions/docs/openapi.json"), &text)
            .unwrap();
    } else {
        assert!(
            text == ::docs::DESCRIPTION,
            "the contract changed: review it and run the tests with UPDATE=1"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_and_its_page_are_served_by_us() {
    let world = World::new().await;
    let description = world.get("/openapi.json").send().await.ok();
    assert_eq!(description["info"]["title"], "Tessera");
    let page = world.get("/docs").send().await;
    assert!(page.header("content-type").starts_with("text/html"));
    let html = String::from_utf8(page.bytes.clone()).unwrap();
    assert!(html.contains("&#x2f;v1&#x2f;holds") && html.contains("id=\"sold_out\""));
    assert!(!html.contains("<script") && !html.contains("src=\"http"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
}

#[test]
fn routes_in_the_code_and_in_the_template_are_the_same() {
    let template = include_str!("../../template.yaml");
    let field = |line: &str, name: &str| {
        let rest = line.split_once(&format!("{name}: "))?.1;
        Some(rest.split([',', '}']).next()?.trim().trim_matches('"').to_owned())
    };
    let in_template: BTreeSet<String> = template
        .lines()
        .filter(|line| line.contains("ApiId: !Ref Api"))
        .map(|line| {
            let path = line.split_once("Path: \"").unwrap().1.split('"').next().unwrap();
            format!("{} {path}", field(line, "Method").unwrap())
        })
        .collect();
    let api = serde_json::to_value(openapi::description()).unwrap();
    let mut in_code = BTreeSet::new();
    for (path, methods) in api["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            in_code.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    assert_eq!(in_code, in_template);
    assert!(in_code.len() > 40);
}

#[test]
fn every_operation_is_described() {
    let api = serde_json::to_value(openapi::description()).unwrap();
    for (path, methods) in api["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            assert!(operation["responses"]["default"].is_object(), "{method} {path} has no problem answer");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let described = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
                assert!(described, "{method} {path}: {} is not described", parameter["name"]);
            }
        }
    }
}

/// Calls `visit` with every object in a JSON value.
fn objects(value: &Value, visit: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| objects(value, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| objects(item, visit)),
        _ => {}
    }
}

#[test]
fn what_the_description_refers_to_is_in_it_and_can_be_true() {
    let api = serde_json::to_value(openapi::description()).unwrap();
    let named = |schema: &Value| {
        let name = schema["$ref"].as_str()?.strip_prefix('#').unwrap();
        Some(api.pointer(name).unwrap_or_else(|| panic!("{name} is not described")))
    };
    objects(&api, &mut |object| {
        named(&Value::Object(object.clone()));
        for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            let part = named(part).unwrap_or(part);
            assert!(part["additionalProperties"].is_null(), "nothing is this and more: {part}");
        }
    });
}

#[test]
fn every_input_refuses_what_it_does_not_know() {
    let api = serde_json::to_value(openapi::description()).unwrap();
    // Providers send us what they like.
    let ours = |path: &&String| !path.starts_with("/v1/webhooks/");
    let paths = api["paths"].as_object().unwrap();
    let mut todo: Vec<&Value> = paths.keys().filter(ours).map(|path| &paths[path]).collect();
    todo = todo
        .iter()
        .flat_map(|methods| methods.as_object().unwrap().values())
        .map(|it| &it["requestBody"])
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(schema) = todo.pop() {
        objects(schema, &mut |object| {
            if let Some(name) = object.get("$ref").and_then(Value::as_str)
                && seen.insert(name.to_owned())
            {
                todo.push(api.pointer(name.strip_prefix('#').unwrap()).unwrap());
            }
            let Some(fields) = object.get("properties").and_then(Value::as_object) else { return };
            // One of several, named by its one field or by its kind: serde takes no other field there either.
            let named = json!([fields.keys().next()]);
            let variant =
                fields.len() == 1 && object.get("required") == Some(&named) || fields.contains_key("kind");
            let closed = object.get("additionalProperties") == Some(&Value::Bool(false));
            assert!(closed || variant, "anything may be in this: {object:?}");
        });
    }
    assert!(seen.len() > 80, "{}", seen.len());
}
