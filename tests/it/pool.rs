//! Pools: other sizes while they sell, and the proof of their books.

use crate::support::{Sale, World, text};
use futures_util::future::{join, join_all};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tessera_local::stores::faults::Side;

async fn pool(world: &World, sale: &Sale) -> String {
    let event = world.get(&format!("/v1/events/{}", sale.event)).send().await.ok();
    text(&event["offers"][0]["pool"])
}

async fn proof(world: &World, sale: &Sale, pool: &str) -> Value {
    world.get(&format!("/v1/pools/{pool}/proof")).by(&sale.organiser.token).send().await.ok()
}

/// Capacity, free, held, ended, sold; nothing may differ.
async fn balanced(world: &World, sale: &Sale, pool: &str) -> [u64; 5] {
    let proof = proof(world, sale, pool).await;
    assert_eq!(proof["differences"], json!([]), "{proof}");
    let counted = ["capacity", "free", "held", "ended", "sold"].map(|name| proof[name].as_u64().unwrap());
    assert_eq!(counted[0], counted[1..].iter().sum::<u64>(), "{proof}");
    counted
}

/// One request to the tables, past everything of ours.
pub async fn store(world: &World, operation: &str, parameters: Value) -> Value {
    let request = world.http.post(&world.whole.home().endpoints().dynamodb);
    let request = request.header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
    let credential =
        "AWS4-HMAC-SHA256 Credential=x/20260101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=0";
    let request = request.header("authorization", credential).header("x-amz-date", "20260101T000000Z");
    let answer = request.header("content-type", "application/x-amz-json-1.0").body(parameters.to_string());
    let answer = answer.send().await.unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer.get("__type").is_none(), "{answer}");
    answer
}

async fn lane(world: &World, pool: &str) -> Value {
    let key = json!({"pk": {"S": format!("{pool}#0")}, "sk": {"S": "0000"}});
    store(world, "GetItem", json!({"TableName": "tessera-local-pool", "Key": key})).await["Item"].clone()
}

async fn damage(world: &World, pool: &str, update: &str, names: Value, values: Value) {
    let mut parameters = json!({"TableName": "tessera-local-pool", "UpdateExpression": update,
        "Key": {"pk": {"S": format!("{pool}#0")}, "sk": {"S": "0000"}}});
    if !names.is_null() {
        parameters["ExpressionAttributeNames"] = names;
    }
    if !values.is_null() {
        parameters["ExpressionAttributeValues"] = values;
    }
    store(world, "UpdateItem", parameters).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_grows_while_it_sells_and_sells_exactly_what_it_grew_to() {
    let world = World::new().await;
    let sale = world.sale(50, json!({})).await;
    let pool = pool(&world, &sale).await;
    let path = format!("/v1/pools/{pool}");
    let buyers = join_all((0..150).map(|n: u64| {
        let (world, sale) = (&world, &sale);
        async move {
            tokio::time::sleep(std::time::Duration::from_millis(n * 2)).await;
            world.try_hold(sale, 1).await.status
        }
    }));
    let grow = world.put(&path).by(&sale.organiser.token).json(json!({"capacity": 120})).send();
    let (first, grown) = join(buyers, grow).await;
    assert_eq!(grown.ok(), json!({"id": pool, "event": sale.event, "capacity": 120, "lanes": 3}));
    // Functions learn of the new lanes within two seconds.
    world.advance(SignedDuration::from_secs(3)).await;
    let calls = (0..120).map(|_| world.try_hold(&sale, 1));
    let then = join_all(calls).await;
    let held = first.iter().filter(|status| **status == 201).count()
        + then.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(held, 120);
    assert_eq!(balanced(&world, &sale, &pool).await, [120, 0, 120, 0, 0]);
    let event = world.get(&format!("/v1/events/{}", sale.event)).send().await.ok();
    assert_eq!(event["offers"][0]["capacity"], 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_shrinks_to_what_is_taken_and_no_further() {
    let world = World::new().await;
    let sale = world.sale(100, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    let pool = pool(&world, &sale).await;
    let path = format!("/v1/pools/{pool}");
    let resize =
        |capacity: u32| world.put(&path).by(&sale.organiser.token).json(json!({"capacity": capacity})).send();
    world.buy(&sale, 4, "a@example.org").await;
    world.hold(&sale, 3).await;
    assert_eq!(resize(6).await.refused(409, "below_taken")["taken"], 7);
    assert_eq!(resize(9).await.ok()["capacity"], 9);
    assert_eq!(resize(9).await.ok()["capacity"], 9);
    assert_eq!(balanced(&world, &sale, &pool).await, [9, 2, 3, 0, 4]);
    world.advance(SignedDuration::from_secs(3)).await;
    world.try_hold(&sale, 3).await.refused(409, "sold_out");
    world.hold(&sale, 2).await;
    for wrong in [0, 100_001] {
        resize(wrong).await.refused(400, "invalid_input");
    }
    let other = world.organiser("other").await;
    world.put(&path).by(&other.token).json(json!({"capacity": 10})).send().await.refused(404, "not_found");
    world.get(&format!("{path}/proof")).by(&other.token).send().await.refused(404, "not_found");
    world.get(&format!("{path}/proof")).send().await.refused(401, "unauthenticated");
    let unknown = "/v1/pools/pol_00000000000000000000000000/proof";
    world.get(unknown).by(&sale.organiser.token).send().await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_wanted_at_once_end_as_one_of_them() {
    let world = World::new().await;
    let sale = world.sale(90, json!({})).await;
    let pool = pool(&world, &sale).await;
    let path = format!("/v1/pools/{pool}");
    for _ in 0..5 {
        let resize = |capacity: u32| {
            world.put(&path).by(&sale.organiser.token).json(json!({"capacity": capacity})).send()
        };
        let buyers = join_all((0..3).map(|_| world.try_hold(&sale, 1)));
        let (answers, holds) = join(join_all([30, 200, 77, 145].map(resize)), buyers).await;
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 503)), "{answers:?}");
        // Two who shrink it at once may for a moment make it smaller than either wants.
        assert!(holds.iter().all(|hold| matches!(hold.status, 201 | 409 | 503)), "{holds:?}");
        let [capacity, ..] = balanced(&world, &sale, &pool).await;
        assert!([30, 200, 77, 145].contains(&capacity), "{capacity}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proof_says_where_every_place_is() {
    let world = World::new().await;
    let sale = world.sale(40, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    let pool = pool(&world, &sale).await;
    world.buy(&sale, 5, "kept@example.org").await;
    world.hold(&sale, 4).await;
    assert_eq!(balanced(&world, &sale, &pool).await, [40, 31, 4, 0, 5]);
    // Nobody needs the four places yet, and until somebody does they are the ended hold's.
    world.advance(SignedDuration::from_secs(290)).await;
    world.hold(&sale, 6).await;
    world.advance(SignedDuration::from_secs(311)).await;
    let [capacity, free, held, ended, sold] = balanced(&world, &sale, &pool).await;
    assert_eq!((capacity, free + ended, held, sold), (40, 29, 6, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broken_restore_would_leave_is_found_and_put_right() {
    let world = World::new().await;
    let sale = world.sale(40, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    let pool = pool(&world, &sale).await;
    world.buy(&sale, 5, "kept@example.org").await;
    let prove = || world.whole.run_job("BookingWorker", "prove");
    let kinds = async || -> Vec<String> {
        let proof = proof(&world, &sale, &pool).await;
        proof["differences"].as_array().unwrap().iter().map(|difference| text(&difference["is"])).collect()
    };
    let entry =
        lane(&world, &pool).await.as_object().unwrap().keys().find(|name| name.len() == 12).unwrap().clone();

    // The count is wrong.
    damage(&world, &pool, "SET a = a + :n", Value::Null, json!({":n": {"N": "3"}})).await;
    assert_eq!(kinds().await, ["sum"]);
    prove().await.unwrap();
    assert_eq!(balanced(&world, &sale, &pool).await, [40, 35, 0, 0, 5]);

    // A booking's entry is lost, its places are on sale.
    damage(&world, &pool, "SET a = a + :n REMOVE #e", json!({"#e": entry}), json!({":n": {"N": "5"}})).await;
    assert_eq!(kinds().await, ["missing"]);
    prove().await.unwrap();
    assert_eq!(balanced(&world, &sale, &pool).await, [40, 35, 0, 0, 5]);

    // Places are marked as sold to nobody.
    let nobody = json!({"#e": "AAAAAAAAAAAA"});
    damage(&world, &pool, "SET a = a - :n, #e = :m", nobody, json!({":n": {"N": "2"}, ":m": {"N": "2"}}))
        .await;
    assert_eq!(kinds().await, ["phantom"]);
    prove().await.unwrap();
    assert_eq!(balanced(&world, &sale, &pool).await, [40, 35, 0, 0, 5]);

    // A lane has another size than was noted.
    damage(&world, &pool, "SET a = a + :n, c = c + :n", Value::Null, json!({":n": {"N": "4"}})).await;
    assert_eq!(kinds().await, ["size"]);
    prove().await.unwrap();
    assert_eq!(balanced(&world, &sale, &pool).await, [40, 35, 0, 0, 5]);

    // The entry is lost and its places were sold again: only people can solve that, and the alarm must tell them.
    let lost = json!({"#e": entry});
    damage(&world, &pool, "SET a = a + :n REMOVE #e", lost, json!({":n": {"N": "5"}})).await;
    for _ in 0..4 {
        world.hold(&sale, 10).await;
    }
    assert_eq!(kinds().await, ["missing"]);
    assert!(prove().await.unwrap_err().contains("could not be put right"));
    assert_eq!(kinds().await, ["missing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_pool_that_is_sold_out_sells_again_within_a_second_of_a_place_coming_back() {
    let world = World::new().await;
    // Thirty lanes in two partitions.
    let sale = world.sale(1_440, json!({"per_order": 40})).await;
    let mut held = Vec::new();
    for _ in 0..36 {
        held.push(world.hold(&sale, 40).await);
    }
    let refused = async || {
        let refused = join_all((0..20).map(|_| world.try_hold(&sale, 1)));
        for answer in refused.await {
            answer.refused(409, "sold_out");
        }
    };
    refused().await;
    for gone in held.iter().step_by(7) {
        let release = format!("/v1/holds/{}/release", text(&gone.hold["id"]));
        let quote = json!({"quote": gone.hold["quote"]});
        assert_eq!(world.post(&release).by(&gone.token).json(quote).send().await.status, 204);
    }
    world.advance(SignedDuration::from_secs(1)).await;
    // Wherever they look first, all 240 are found.
    let calls = (0..240).map(|_| world.try_hold(&sale, 1));
    let mut found = join_all(calls).await.iter().filter(|answer| answer.status == 201).count();
    while found < 240 {
        // Some were refused for a moment, all after the same few places.
        let answer = world.try_hold(&sale, 1).await;
        assert!(answer.status == 201 || answer.code() == "busy", "{found}: {}", answer.body);
        found += usize::from(answer.status == 201);
    }
    world.advance(SignedDuration::from_secs(2)).await;
    refused().await;
    let pool = pool(&world, &sale).await;
    assert_eq!(balanced(&world, &sale, &pool).await, [1_440, 0, 1_440, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_while_a_pool_changes_its_size_leaves_it_with_that_size() {
    let world = World::new().await;
    let sale = world.sale(50, json!({})).await;
    let pool = pool(&world, &sale).await;
    world.hold(&sale, 3).await;
    let resize = async |capacity: u64, crash: Option<(u64, Side)>| {
        let size = json!({"capacity": capacity});
        let calls = world
            .crashing(crash, async || {
                world
                    .put(&format!("/v1/pools/{pool}"))
                    .by(&sale.organiser.token)
                    .json(size.clone())
                    .send()
                    .await
            })
            .await;
        let [all, ..] = balanced(&world, &sale, &pool).await;
        assert_eq!(all, capacity, "{crash:?}");
        calls
    };
    // By a lane more, and back to what fits into fewer.
    let mut capacity = 60;
    let calls = resize(capacity, None).await.max(resize(20, None).await) + 2;
    for step in 1..=calls {
        for side in [Side::Before, Side::After] {
            capacity += 50;
            resize(capacity, Some((step, side))).await;
            resize(20, Some((step, side))).await;
        }
    }
}
