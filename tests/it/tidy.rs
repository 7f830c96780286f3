//! The house rules, checked on the source itself, and the documents that are made from the code.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use tessera::error::Code;
use tessera::limit::routes::Routes;
use tessera::limit::{By, Class, Limits, bucket_name};
use tessera::message::{Envelope, Queue};
use tessera_local::openapi;

pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

pub fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty());
    found.sort();
    found
}

/// Everything before the tests of a file.
pub fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

#[test]
fn functions_name_no_sdk_and_no_other_function() {
    let functions = [
        "identity",
        "catalogue",
        "booking",
        "order",
        "payment",
        "entry",
        "notification",
        "media",
        "outbox",
        "docs",
    ];
    for function in functions {
        let manifest =
            std::fs::read_to_string(root().join(format!("functions/{function}/Cargo.toml"))).unwrap();
        assert!(!manifest.contains("aws-sdk"), "{function} depends on an SDK");
        for other in functions.iter().filter(|other| **other != function) {
            assert!(!manifest.contains(&format!("\n{other}.workspace")), "{function} depends on {other}");
        }
    }
}

#[test]
fn rules_are_pure() {
    // Kept forms, whatever they are called.
    let stores = ["booking/proof.rs", "booking/movement.rs", "booking/application.rs", "outbox/mod.rs"];
    let mut checked = 0;
    for (path, text) in sources("shared/src") {
        let of_a_capability = path.parent().is_some_and(|folder| !folder.ends_with("src"));
        if !of_a_capability || path.ends_with("store.rs") || stores.iter().any(|store| path.ends_with(store))
        {
            continue;
        }
        let text = code(&text);
        for impure in ["async fn", "Clock", "aws_sdk"] {
            assert!(!text.contains(impure), "{} has {impure}", path.display());
        }
        let waits = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphabetic());
        assert!(!text.split(".await").skip(1).any(waits), "{} waits", path.display());
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn no_state_error_or_message_is_matched_by_a_wildcard() {
    for folder in ["shared/src", "functions"] {
        for (path, text) in sources(folder) {
            for (number, line) in code(&text).lines().enumerate() {
                let wildcard = line.trim_start().starts_with("_ =>");
                if !wildcard {
                    continue;
                }
                let before: Vec<&str> = code(&text).lines().take(number).collect();
                let arms = before.iter().rev().take(12).copied().collect::<Vec<_>>().join("\n");
                for closed in ["State::", "Register::", "Message::", "Status::", "Act::", "Fate::"] {
                    let arm = arms.lines().any(|line| {
                        line.trim_start().starts_with(closed) || line.contains(&format!("| {closed}"))
                    });
                    assert!(!arm, "{}:{} hides {closed} behind a wildcard", path.display(), number + 1);
                }
            }
        }
    }
}

#[test]
fn mains_are_short_and_names_say_something() {
    for (path, text) in sources("functions") {
        if path.ends_with("main.rs") || path.parent().is_some_and(|parent| parent.ends_with("bin")) {
            assert!(text.lines().count() <= 20, "{}", path.display());
        }
        assert!(text.starts_with("//!"), "{} has no front page", path.display());
    }
    let forbidden = ["utils.rs", "util.rs", "helpers.rs", "manager.rs", "common.rs", "service.rs"];
    for folder in ["shared", "functions", "infra", "tests"] {
        for (path, _) in sources(folder) {
            assert!(!forbidden.iter().any(|name| path.ends_with(name)), "{}", path.display());
        }
    }
}

#[test]
fn every_function_of_the_template_has_its_program_and_the_other_way_round() {
    let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    let named: BTreeSet<_> =
        template.lines().filter_map(|line| line.trim().strip_prefix("Binary: ")).collect();
    let mut programs = BTreeSet::new();
    for function in std::fs::read_dir(root().join("functions")).unwrap() {
        let manifest = std::fs::read_to_string(function.unwrap().path().join("Cargo.toml")).unwrap();
        for bin in manifest.split("[[bin]]").skip(1) {
            programs.insert(bin.split('"').nth(1).unwrap().to_owned());
        }
    }
    assert_eq!(named, programs.iter().map(String::as_str).collect());
}

#[test]
fn permissions_name_actions_and_resources_without_wildcards() {
    let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    for line in template.lines().filter(|line| line.trim_start().starts_with("Action:")) {
        assert!(!line.contains('*'), "{line}");
    }
    let statements: Vec<_> =
        template.lines().filter(|line| line.trim_start().starts_with("Resource:")).collect();
    assert!(statements.len() > 20);
    for line in statements {
        // The documents' keys are the one thing that cannot be listed.
        let bare = line
            .replace("Documents.Arn}/tickets/*", "")
            .replace("Documents.Arn}/invoices/*", "")
            .replace("Documents.Arn}/exports/*", "")
            .replace("Documents.Arn}/uploads/*", "")
            .replace("Documents.Arn}/pictures/*", "");
        assert!(!bare.contains('*'), "{line}");
    }
}

/// A capability alone writes its table; booking alone writes lanes. One exception: how often callers have asked, and when a
/// key was last used, is written by every function that answers them, since no other could do it; identity alone reads it.
#[test]
fn only_its_owner_may_write_a_table() {
    let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    let mut function = String::new();
    let mut action = String::new();
    let (mut checked, mut counting, mut answering) = (0, BTreeSet::new(), BTreeSet::new());
    for line in template.lines() {
        if let Some(binary) = line.trim().strip_prefix("Binary: ") {
            function = binary.trim_end_matches("-worker").to_owned();
        } else if line.contains("ApiId: !Ref Api") {
            answering.insert(function.clone());
        } else if let Some(actions) = line.trim().strip_prefix("Action: ") {
            action = actions.to_owned();
        } else if let Some(resource) = line.trim().strip_prefix("Resource: ")
            && (action.contains("PutItem") || action.contains("UpdateItem") || action.contains("DeleteItem"))
        {
            let table =
                resource.split("GetAtt ").nth(1).unwrap().split("Table").next().unwrap().to_lowercase();
            if table == "limit" {
                let reads = if function == "identity" { ", dynamodb:BatchGetItem" } else { "" };
                let may = format!("[dynamodb:UpdateItem, dynamodb:PutItem{reads}]");
                assert_eq!(action, may, "{function}");
                assert_eq!(resource, "[!GetAtt LimitTable.Arn]", "{function}");
                counting.insert(function.clone());
                continue;
            }
            let owner = if table == "pool" { "booking" } else { &table };
            assert_eq!(function, owner, "{function} writes {table}");
            checked += 1;
        }
    }
    assert!(checked >= 14, "{checked}");
    // What everybody may read is not counted.
    answering.remove("docs");
    assert_eq!(counting, answering, "who answers callers counts them");
}

/// One of every message ever published, as it was published. Never change a line; add one.
#[test]
fn every_message_ever_published_still_parses() {
    let text = std::fs::read_to_string(root().join("tests/fixtures/messages.jsonl")).unwrap();
    let mut kinds = BTreeSet::new();
    for line in text.lines() {
        let envelope: Envelope = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let again: serde_json::Value = serde_json::to_value(&envelope).unwrap();
        let published: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(again, published);
        kinds.insert(tessera::queue::kind(&envelope));
    }
    let source = std::fs::read_to_string(root().join("shared/src/message.rs")).unwrap();
    let declared: BTreeSet<_> = source
        .lines()
        .filter_map(|line| {
            Some(line.trim().strip_prefix("#[serde(rename = \"")?.split('"').next()?.to_owned())
        })
        .collect();
    assert_eq!(kinds, declared, "each variant has its line");
    let unknown =
        r#"{"id":"msg_00000000000000000000000000","at":"2027-01-01T00:00:00Z","type":"x.y.v1","data":{}}"#;
    assert!(serde_json::from_str::<Envelope>(unknown).is_err(), "unknown messages fail");
}

#[test]
fn the_documents_are_the_codes() {
    let mut errors = "# Errors\n\nMade from `shared/src/error.rs`. Every refusal is a problem document with one of these codes; ↻ means that the same request may succeed later.\n\n| code | status | meaning | what to do |\n|---|---|---|---|\n".to_owned();
    for code in Code::ALL {
        let retry = if code.retryable() { " ↻" } else { "" };
        writeln!(
            errors,
            "| `{}` | {}{retry} | {} | {} |",
            code.code(),
            code.status(),
            code.title(),
            code.advice()
        )
        .unwrap();
    }
    let mut messages = "# Messages\n\nMade from `shared/src/message.rs` and `tests/fixtures/messages.jsonl`.\n\n| message | heard by | example |\n|---|---|---|\n".to_owned();
    for line in std::fs::read_to_string(root().join("tests/fixtures/messages.jsonl")).unwrap().lines() {
        let envelope: Envelope = serde_json::from_str(line).unwrap();
        let heard: Vec<_> = envelope.message.queues().iter().copied().map(Queue::word).collect();
        let value = serde_json::to_value(&envelope.message).unwrap();
        writeln!(
            messages,
            "| `{}` | {} | `{}` |",
            tessera::queue::kind(&envelope),
            heard.join(", "),
            value["data"]
        )
        .unwrap();
    }
    let mut tables = "# Tables\n\nMade from the front pages of the stores. The outer form of every item is in `shared/src/db.rs`.\n".to_owned();
    for (path, text) in sources("shared/src")
        .into_iter()
        .filter(|(path, _)| path.ends_with("store.rs") || path.ends_with("outbox/mod.rs"))
    {
        let capability = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let rows: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("//! |")).collect();
        if !rows.is_empty() {
            writeln!(tables, "\n## {capability}\n").unwrap();
            rows.iter().for_each(|row| writeln!(tables, "|{row}").unwrap());
        }
    }
    let generated =
        [("errors.md", errors), ("messages.md", messages), ("table.md", tables), ("limits.md", limits())];
    for (name, text) in generated {
        same(&root().join("shared/docs").join(name), &text);
    }
}

/// What may be asked how often, and what each route is counted as.
fn limits() -> String {
    let mut text = "# Limits\n\nMade from `shared/src/limit/mod.rs`, which says who is counted and where, and from the description of the API. A deployment \
        changes what it names in the template's parameter `Limits`: `write=120/60` is a burst of 120, and 120 again in 60 seconds.\n\n\
        | class | by caller | by server | by address | asked | what is counted |\n|---|---|---|---|---|---|\n"
        .to_owned();
    let limits = Limits::default();
    for class in Class::ALL {
        let quota = |by| {
            limits
                .of(*class, by)
                .map_or("–".to_owned(), |quota| format!("`{}={quota}`", bucket_name(*class, by)))
        };
        let asked = match (class, class.is_strict()) {
            (Class::Open, _) => "never",
            (_, true) => "always: strict",
            (_, false) => "from the second on: fair use",
        };
        let (own, server, address) = (quota(By::Caller), quota(By::Server), quota(By::Address));
        writeln!(text, "| {} | {own} | {server} | {address} | {asked} | {} |", class.word(), class.what())
            .unwrap();
    }
    text.push_str("\n| route | class | with a secret in its address |\n|---|---|---|\n");
    for (method, path, route) in Routes::of(&openapi::description()).all() {
        let secret = if route.takes_secret { Class::Link.word() } else { "" };
        writeln!(text, "| `{method} {path}` | {} | {secret} |", route.class.word()).unwrap();
    }
    text
}

fn same(path: &Path, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, text).unwrap();
    } else {
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == text, "{} is not what the code says: run the tests with UPDATE=1", path.display());
    }
}

#[test]
fn the_status_table_has_every_row_of_the_product() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let rows: Vec<_> =
        readme.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 4).collect();
    for (letter, last) in [
        ('I', 9),
        ('C', 8),
        ('B', 7),
        ('O', 7),
        ('P', 5),
        ('T', 3),
        ('N', 5),
        ('G', 3),
        ('M', 3),
        ('D', 1),
        ('A', 3),
        ('X', 8),
    ] {
        for number in 1..=last {
            let named = rows.iter().any(|row| {
                let ids = row.split('|').nth(1).unwrap();
                ids.split(',').any(|part| {
                    let ends: Vec<_> = part.trim().split('–').collect();
                    let parse =
                        |text: &str| text.strip_prefix(letter).and_then(|number| number.parse::<u32>().ok());
                    match (ends.first().copied().and_then(parse), ends.last().copied().and_then(parse)) {
                        (Some(from), Some(to)) => (from..=to).contains(&number),
                        _ => false,
                    }
                })
            });
            assert!(named, "{letter}{number} is not in the status table");
        }
    }
}

/// What the description of the API calls a type is its name, whatever module it is in: of two with one name, one would be
/// described as the other.
#[test]
fn no_two_schemas_share_a_name() {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for (path, text) in sources("functions").into_iter().chain(sources("shared")) {
        let pieces = code(&text).split("#[derive(").skip(1).map(str::to_owned);
        for piece in pieces.collect::<Vec<_>>() {
            let Some((derived, rest)) = piece.split_once(")]") else { continue };
            let Some(at) = rest.find("struct ").into_iter().chain(rest.find("enum ")).min() else { continue };
            if !derived.contains("ToSchema") {
                continue;
            }
            let named = rest[..at].split_once("(as = ").and_then(|(_, name)| name.split(')').next());
            let word = rest[at..].split_whitespace().nth(1).unwrap_or_default();
            let own = word.split(['<', '(', ';']).next().unwrap_or_default();
            let name = named.unwrap_or(own).to_owned();
            assert!(names.insert(name.clone()), "{}: there is another {name}", path.display());
        }
        // Those whose schema is written by hand, under their own names.
        for rest in code(&text).split("impl utoipa::ToSchema for ").skip(1) {
            let Some((name, "")) = rest.lines().next().and_then(|line| line.split_once(" {}")) else {
                continue;
            };
            if name != "$name" {
                assert!(names.insert(name.to_owned()), "{}: there is another {name}", path.display());
            }
        }
    }
    assert!(names.len() > 100, "{names:?}");
}
