//! What the OWASP ASVS asks for (`shared/docs/asvs.md`): that each requirement has a row, and the tests that no capability has.

use crate::stock::Shop;
use crate::support::{World, euros, uuid};
use crate::tidy::{code, root, sources};
use crate::vendor::Studio;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Every requirement of ASVS 5.0.0 at level 1 or 2, by section.
const REQUIREMENTS: &str = "
    1.1.1-2 1.2.1-9 1.3.1-11 1.4.1-3 1.5.1-2 2.1.1-3 2.2.1-3 2.3.1-4 2.4.1 3.2.1-2 3.3.1-4 3.4.1-6 3.5.1-5 3.7.1-2
    4.1.1-3 4.2.1 4.3.1-2 4.4.1-4 5.1.1 5.2.1-3 5.3.1-2 5.4.1-3 6.1.1-3 6.2.1-12 6.3.1-4 6.4.1-4 6.5.1-5 6.6.1-3 6.8.1-4
    7.1.1-3 7.2.1-4 7.3.1-2 7.4.1-5 7.5.1-2 7.6.1-2 8.1.1-2 8.2.1-3 8.3.1 8.4.1 9.1.1-3 9.2.1-4
    10.1.1-2 10.2.1-2 10.3.1-4 10.4.1-11 10.5.1-5 10.6.1-2 10.7.1-3 11.1.1-2 11.2.1-3 11.3.1-3 11.4.1-4 11.5.1 11.6.1
    12.1.1-3 12.2.1-2 12.3.1-4 13.1.1 13.2.1-5 13.3.1-2 13.4.1-5 14.1.1-2 14.2.1-4 14.3.1-3 15.1.1-3 15.2.1-3 15.3.1-7
    16.1.1 16.2.1-5 16.3.1-4 16.4.1-3 16.5.1-3 17.1.1 17.2.1-4 17.3.1-2";

/// How many requirements are open. Fewer is better; more is a decision.
const OPEN: usize = 16;

/// `1.2.6-8` is three.
fn numbers(range: &str) -> Vec<(u32, u32, u32)> {
    let (section, range) = range.rsplit_once('.').unwrap();
    let (chapter, section) = section.split_once('.').unwrap();
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse().unwrap();
    (number(first)..=number(last)).map(|it| (number(chapter), number(section), it)).collect()
}

/// The names of all tests of the repository.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, text) in ["tests", "shared", "functions", "infra"].into_iter().flat_map(sources) {
        for part in text.split("#[test]").skip(1).chain(text.split("#[tokio::test").skip(1)) {
            let name = part.split_once("fn ").unwrap().1;
            found.insert(name[..name.find('(').unwrap()].to_owned());
        }
    }
    found
}

#[test]
fn every_requirement_has_tests_that_exist_or_a_reason() {
    let (tests, mut outcomes) = (tests(), BTreeMap::<_, usize>::new());
    let mut missing: BTreeSet<_> = REQUIREMENTS.split_whitespace().flat_map(numbers).collect();
    assert_eq!(missing.len(), 253, "as many as the standard has");
    let page = std::fs::read_to_string(root().join("shared/docs/asvs.md")).unwrap();
    for line in page.lines().filter(|line| line.starts_with("| ") && line.contains('.')) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [range, _, _, proof] = cells[..] else { panic!("four cells: {line}") };
        for number in numbers(range) {
            assert!(missing.remove(&number), "{number:?} is there twice, or at no level of ours");
            let outcome = proof.split([':', ' ']).next().unwrap();
            *outcomes.entry(outcome).or_default() += 1;
        }
        // Names of tests have no dots, slashes or capitals.
        let quoted: Vec<_> = proof.split('`').skip(1).step_by(2).collect();
        let named: Vec<_> = quoted.iter().filter(|name| name.matches('_').count() >= 2).collect();
        for name in &named {
            assert!(tests.contains(**name), "{range}: there is no test {name}");
        }
        let enough = match proof.split_once(": ") {
            Some(("tested", _)) => !named.is_empty(),
            Some(("design" | "none" | "deployer" | "open", reason)) => reason.len() >= 8,
            _ => false,
        };
        assert!(enough, "{range} has neither a test nor a reason: {proof}");
    }
    assert!(missing.is_empty(), "no row for {missing:?}");
    assert_eq!(outcomes["open"], OPEN, "{outcomes:?}");
}

#[test]
fn functions_start_no_programs_and_touch_no_files() {
    for folder in ["functions", "shared"] {
        for (path, text) in sources(folder) {
            let beside = ["samples.rs", "build.rs"].iter().any(|name| path.ends_with(name));
            if beside || path.components().any(|part| part.as_os_str() == "examples") {
                continue;
            }
            for line in code(&text).lines().filter(|line| !line.trim_start().starts_with("//")) {
                let outside = ["std::fs", "tokio::fs", "std::process", "tokio::process", "Command::new"];
                assert!(!outside.iter().any(|name| line.contains(name)), "{}: {line}", path.display());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_is_said_twice_is_refused() {
    let world = World::new().await;
    for path in ["/v1/events?city=Berlin&city=Paris", "/v1/services?city=Berlin&limit=1&limit=2"] {
        world.get(path).send().await.refused(400, "invalid_input");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instants_at_the_edge_of_time_are_refused_and_nothing_breaks() {
    let world = World::new().await;
    let shop = Shop::open(&world, json!({"delivery": {"minutes": 60, "capacity": 1}})).await;
    let (pills, _) = shop.product(&world, 5, json!({}), json!({})).await;
    let studio = Studio::of(&world, shop.owner.clone(), json!({}), json!({"minutes": 60})).await;
    let (token, organisation) = (&shop.owner.token, &shop.owner.organisation);
    let (last, first) = ("9999-12-30T21:59:59Z", "-009999-01-02T02:00:00Z");
    for (from, until) in [("9999-12-30T20:00:00Z", last), (first, "-009999-01-02T03:00:00Z"), (first, last)] {
        let period = format!("from={from}&until={until}");
        for path in [
            format!("/v1/services/{}/times?package={}&{period}", studio.service, studio.package),
            format!("/v1/stores/{}/windows?{period}", shop.store),
            format!("/v1/organisations/{organisation}/ledger?{period}"),
            format!("/v1/organisations/{organisation}/invoices?{period}"),
            format!("/v1/organisations/{organisation}/invoices.csv?{period}"),
            format!("/v1/organisations/{organisation}/revenue?by=day&{period}"),
            format!("/v1/organisations/{organisation}/revenue.csv?by=day&{period}"),
        ] {
            world.get(&path).by(token).send().await.refused(400, "invalid_input");
        }
    }
    for at in [first, last] {
        let both = format!("{},{}", studio.service, studio.service);
        let path = format!("/v1/services/compare?services={both}&day={at}");
        world.get(&path).send().await.refused(400, "invalid_input");
        let time = json!({"lines": [{"package": studio.package, "starts": at}]});
        let lines = json!([{"product": pills, "quantity": 1}]);
        let goods = json!({"store": shop.store, "lines": lines, "delivery": at});
        for basket in [time, goods] {
            world.post("/v1/holds").key(&uuid()).json(basket).send().await.refused(400, "invalid_input");
        }
    }
    let event = world.draft(&shop.owner, json!({})).await;
    for local in
        ["9999-12-30T20:00:00", "9999-12-31T23:59:59", "-009999-01-02T03:00:00", "1969-06-01T20:00:00"]
    {
        let details = json!({
            "organisation": organisation, "name": "Far", "city": "Berlin", "venue": "Hof 1",
            "starts": {"local": local, "zone": "Europe/Berlin"}
        });
        let answer = world.post("/v1/events").by(token).key(&uuid()).json(details).send().await;
        assert_eq!(answer.refused(400, "invalid_input")["errors"][0]["pointer"], "/starts", "{local}");
    }
    let offer = json!({"name": "Far", "price": euros(1), "capacity": 1, "sale": {"closes": last}});
    let path = format!("/v1/events/{event}/offers");
    world.post(&path).by(token).key(&uuid()).json(offer).send().await.refused(400, "invalid_input");
    let room = json!({"doors": first, "starts": first, "per_minute": 1});
    let path = format!("/v1/events/{event}/waiting-room");
    let put = world.put(&path).by(token).json(room).send().await;
    assert_eq!(put.refused(400, "invalid_input")["errors"][0]["pointer"], "/doors");
}
