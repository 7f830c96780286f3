//! A provider that is slow or down: it is asked no more, others are offered, one caller finds out when it answers again; and what was to
//! be done there in the meantime is done then.

use crate::support::{Answer, Held, Sale, World, text};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tessera_local::stores::faults::Side;
use tessera_sandbox::razorpay::Outcome;
use tessera_sandbox::stripe::Switches;

/// Each with the other one.
const BOTH: [(&str, &str); 2] = [("stripe", "razorpay"), ("razorpay", "stripe")];
/// Calls that fail for longer than any test lasts. What is left of them tells how many calls there were.
const FOREVER: u32 = 1_000_000;
/// Failures in a row that open a circuit.
const LIMIT: u32 = 5;

fn switch(world: &World, provider: &str, change: impl FnOnce(&mut Switches)) {
    match provider {
        "stripe" => drop(world.whole.stripe().switch(change).unwrap()),
        _ => drop(world.whole.razorpay().switch(change).unwrap()),
    }
}

/// Every call fails from now on.
fn down(world: &World, provider: &str) {
    switch(world, provider, |switches| switches.fail_next = FOREVER);
}

fn up(world: &World, provider: &str) {
    switch(world, provider, |switches| *switches = Switches::default());
}

/// How often a provider was called since it went down.
fn calls(world: &World, provider: &str) -> u32 {
    let mut left = 0;
    switch(world, provider, |switches| left = switches.fail_next);
    FOREVER - left
}

/// Somebody who has ordered and is about to pay.
async fn buyer(world: &World, sale: &Sale) -> (Held, Value) {
    let held = world.hold(sale, 1).await;
    let order = world.order(&held, "a@example.org").await;
    (held, order)
}

async fn open(world: &World, (held, order): &(Held, Value), provider: &str) -> Answer {
    let path = format!("/v1/orders/{}/payments", text(&order["id"]));
    world.post(&path).by(&held.token).json(json!({"provider": provider})).send().await
}

/// What the buyer does there: a thing between the two of them.
fn pay(world: &World, payment: &Value, provider: &str) {
    match provider {
        "stripe" => drop(world.pay(payment, "pm_card_visa")),
        _ => {
            drop(world.whole.razorpay().pay(&text(&payment["razorpay_order_id"]), Outcome::Success).unwrap())
        }
    }
}

async fn seconds(world: &World, seconds: i64) {
    world.advance(SignedDuration::from_secs(seconds)).await;
}

/// Two buyers find that it is down, and that opens the circuit.
async fn opened(world: &World, buyer: &(Held, Value), provider: &str) {
    down(world, provider);
    for _ in 0..2 {
        open(world, buyer, provider).await.refused(503, "provider_unavailable");
    }
    assert_eq!(calls(world, provider), LIMIT, "{provider}");
}

/// The provider answers again: a probe, and a few minutes later the rest.
async fn recovered(world: &World) {
    for _ in 0..2 {
        world.advance(SignedDuration::from_mins(6)).await;
        world.whole.run_job("PaymentWorker", "resume").await.unwrap();
        world.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_keeps_failing_is_asked_no_more_and_the_other_is_offered() {
    for (provider, other) in BOTH {
        let world = World::new().await;
        let sale = world.sale(10, json!({})).await;
        let (buyer, early) = (buyer(&world, &sale).await, self::buyer(&world, &sale).await);
        open(&world, &early, provider).await.ok();
        // Three tries by the first, two by the second: then it is open.
        down(&world, provider);
        for expected in [3, LIMIT, LIMIT] {
            let refused = open(&world, &buyer, provider).await;
            let after: u32 = refused.header("retry-after").parse().unwrap();
            assert_eq!(after > 1, expected == LIMIT, "{after}");
            assert_eq!(refused.refused(503, "provider_unavailable")["others"], json!([other]));
            assert_eq!(calls(&world, provider), expected, "{provider}");
        }
        // What was opened before needs no call, and what is opened with the other is paid.
        assert_eq!(open(&world, &early, provider).await.status, 201);
        let payment = open(&world, &buyer, other).await.ok();
        pay(&world, &payment, other);
        world.settle().await;
        assert_eq!(world.read_order(&buyer.0, &buyer.1).await["status"], "confirmed");
        assert_eq!((calls(&world, provider), world.dead_letters()), (LIMIT, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_offered_who_does_not_answer_either() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let buyer = buyer(&world, &sale).await;
    opened(&world, &buyer, "stripe").await;
    opened(&world, &buyer, "razorpay").await;
    for provider in ["stripe", "razorpay"] {
        assert_eq!(
            open(&world, &buyer, provider).await.refused(503, "provider_unavailable")["others"],
            json!([])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_one_asks_whether_it_answers_again_and_pauses_grow() {
    for (provider, _) in BOTH {
        let world = World::new().await;
        let sale = world.sale(30, json!({})).await;
        let mut buyers = Vec::new();
        for _ in 0..20 {
            buyers.push(buyer(&world, &sale).await);
        }
        opened(&world, &buyers[0], provider).await;
        let all = || join_all(buyers.iter().map(|buyer| open(&world, buyer, provider)));
        // Ten seconds, then twenty, then forty.
        for (round, pause) in (1..).zip([10, 20, 40]) {
            seconds(&world, pause / 2).await;
            all().await;
            assert_eq!(calls(&world, provider), LIMIT + round - 1, "{provider}: the pause is not over");
            seconds(&world, pause / 2).await;
            assert!(all().await.iter().all(|answer| answer.code() == "provider_unavailable"));
            assert_eq!(calls(&world, provider), LIMIT + round, "{provider}: one probe");
        }
        up(&world, provider);
        seconds(&world, 80).await;
        let answers = all().await;
        assert!(answers.iter().any(|answer| answer.status == 201), "who probes gets what they came for");
        assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 503)));
        // It is closed: everybody is served.
        assert!(all().await.iter().all(|answer| answer.status == 201), "{provider}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_in_between_begins_another_row() {
    for (provider, _) in BOTH {
        let world = World::new().await;
        let sale = world.sale(10, json!({})).await;
        for _ in 0..4 {
            let buyer = buyer(&world, &sale).await;
            switch(&world, provider, |switches| switches.fail_next = 2);
            assert_eq!(open(&world, &buyer, provider).await.status, 201, "{provider}: the third try works");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_refuses_or_says_about_one_call_does_not_count_but_a_refused_key_does() {
    for (provider, _) in BOTH {
        for status in [400, 403, 409] {
            let world = World::new().await;
            let sale = world.sale(10, json!({})).await;
            let buyer = buyer(&world, &sale).await;
            down(&world, provider);
            switch(&world, provider, |switches| switches.fail_status = status);
            for _ in 0..=LIMIT {
                let refused = open(&world, &buyer, provider).await;
                assert_eq!(refused.status == 503, status != 400, "{provider} {status}: {}", refused.body);
            }
            assert!(calls(&world, provider) > LIMIT);
            up(&world, provider);
            assert_eq!(open(&world, &buyer, provider).await.status, 201, "{provider} {status}");
        }
        for status in [401, 429, 502] {
            let world = World::new().await;
            let sale = world.sale(10, json!({})).await;
            let buyer = buyer(&world, &sale).await;
            down(&world, provider);
            switch(&world, provider, |switches| switches.fail_status = status);
            for _ in 0..3 {
                open(&world, &buyer, provider).await.refused(503, "provider_unavailable");
            }
            assert_eq!(calls(&world, provider), LIMIT, "{provider} {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_too_slow_counts_as_one_that_does_not_answer() {
    join_all(BOTH.map(async |(provider, _)| {
        let world = World::new().await;
        let sale = world.sale(10, json!({})).await;
        let mut buyers = Vec::new();
        for _ in 0..LIMIT {
            buyers.push(buyer(&world, &sale).await);
        }
        // Nobody waits for a second deadline: there would be enough answers for that.
        switch(&world, provider, |switches| (switches.hang_next, switches.hang_ms) = (LIMIT, 60_000));
        for answer in join_all(buyers.iter().map(|buyer| open(&world, buyer, provider))).await {
            answer.refused(503, "provider_unavailable");
        }
        open(&world, &buyers[0], provider).await.refused(503, "provider_unavailable");
        seconds(&world, 10).await;
        assert_eq!(open(&world, &buyers[0], provider).await.status, 201, "{provider}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_while_probing_is_replaced_and_so_is_whoever_dies_anywhere_else() {
    for (provider, _) in BOTH {
        let world = World::new().await;
        let sale = world.sale(500, json!({})).await;
        // How many store calls there are when nobody dies: one lease and one answer among them.
        let tell = async |crash: Option<(u64, Side)>| {
            let buyer = buyer(&world, &sale).await;
            opened(&world, &buyer, provider).await;
            up(&world, provider);
            seconds(&world, 10).await;
            let calls = world.crashing(crash, async || open(&world, &buyer, provider).await).await;
            // Whoever held the lease when they died holds it no longer.
            seconds(&world, 20).await;
            assert_eq!(open(&world, &buyer, provider).await.status, 201, "{provider} {crash:?}");
            open(&world, &buyer, provider).await.ok();
            // Closed indeed: the next row begins at its beginning.
            let other = self::buyer(&world, &sale).await;
            opened(&world, &other, provider).await;
            up(&world, provider);
            seconds(&world, 10).await;
            assert_eq!(open(&world, &other, provider).await.status, 201, "{provider} {crash:?}");
            calls
        };
        let calls = tell(None).await;
        assert!(calls >= 6, "{calls}");
        for step in 1..=calls {
            for side in [Side::Before, Side::After] {
                tell(Some((step, side))).await;
            }
        }
    }
}

/// What a provider has of it and what the books say it has: each order's money, and all of it.
async fn books_agree(world: &World, sale: &Sale, expected: i64) {
    let credentials = json!({"email": "organiser@example.org", "password": "correct horse"});
    let session = world.post("/v1/sessions").json(credentials).send().await.ok();
    let (token, now) = (text(&session["access_token"]), world.whole.clock().now());
    let (from, until) = (now - SignedDuration::from_hours(24 * 30), now + SignedDuration::from_hours(1));
    let path = format!(
        "/v1/organisations/{}/ledger?from={from}&until={until}&limit=100",
        sale.organiser.organisation
    );
    let page = world.get(&path).by(&token).send().await.ok();
    let postings =
        page["items"].as_array().unwrap().iter().flat_map(|entry| entry["postings"].as_array().unwrap());
    let booked: i64 = postings
        .filter(|posting| posting["account"]["provider"].is_string())
        .map(|posting| posting["amount"].as_i64().unwrap())
        .sum();
    let stripe = world.whole.stripe().payments(0, 100).unwrap();
    let razorpay = world.whole.razorpay().payments(0, 100).unwrap();
    let there: i64 = stripe.iter().map(|payment| payment.received - payment.refunded).sum::<i64>()
        + razorpay.iter().filter(|one| one.captured).map(|one| one.amount - one.refunded).sum::<i64>();
    assert_eq!((booked, there), (expected, expected));
    assert!(stripe.iter().all(|payment| payment.capturable == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn six_hours_without_a_provider_lose_nothing_and_are_nobodys_work() {
    for (provider, other) in BOTH {
        let world = World::new().await;
        let sale = world.sale(3, json!({})).await;
        let read = async |(held, _): &(Held, Value), payment: &Value| {
            let path = format!("/v1/payments/{}", text(&payment["id"]));
            text(&world.get(&path).by(&held.token).send().await.ok()["status"])
        };
        let opens = async |buyer: &(Held, Value)| open(&world, buyer, provider).await.ok();
        // One has bought; one is too late for the place, which somebody else buys; two are about to pay.
        let bought = buyer(&world, &sale).await;
        let paid = opens(&bought).await;
        pay(&world, &paid, provider);
        let late = buyer(&world, &sale).await;
        let too_late = opens(&late).await;
        seconds(&world, 700).await;
        let quick = buyer(&world, &sale).await;
        pay(&world, &opens(&quick).await, provider);
        world.settle().await;
        let pays = buyer(&world, &sale).await;
        let taken = opens(&pays).await;

        down(&world, provider);
        // To be captured, to be let go, to be given back.
        pay(&world, &taken, provider);
        world.settle().await;
        pay(&world, &too_late, provider);
        world.settle().await;
        let order = world.read_order(&bought.0, &bought.1).await;
        let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
        world.post(&cancel).by(&bought.0.token).send().await.ok();
        world.settle().await;
        assert_eq!(world.read_order(&pays.0, &pays.1).await["status"], "confirmed", "the place is theirs");
        for _ in 0..24 {
            world.advance(SignedDuration::from_mins(15)).await;
            world.settle().await;
            // Nothing here fails, or somebody would be called.
            world.whole.run_job("PaymentWorker", "resume").await.unwrap();
            world.whole.run_job("PaymentWorker", "reconcile").await.unwrap();
        }
        let asked = calls(&world, provider);
        assert!(asked < 100, "{asked} calls in six hours");
        assert_eq!((read(&pays, &taken).await.as_str(), world.dead_letters()), ("authorized", 0));
        // Somebody buys what was given back, with the other.
        let again = buyer(&world, &sale).await;
        pay(&world, &open(&world, &again, other).await.ok(), other);
        world.settle().await;
        assert_eq!(world.read_order(&again.0, &again.1).await["status"], "confirmed");

        up(&world, provider);
        recovered(&world).await;
        let expected =
            [(&bought, &paid, "refunded"), (&late, &too_late, "voided"), (&pays, &taken, "captured")];
        for (buyer, payment, status) in expected {
            assert_eq!(read(buyer, payment).await, status, "{provider}");
        }
        world.whole.run_job("PaymentWorker", "reconcile").await.unwrap();
        world.settle().await;
        assert_eq!((world.left(&sale).await, world.dead_letters()), (0, 0));
        books_agree(&world, &sale, 3 * 2500).await;
        println!("{provider}: {asked} calls in six hours");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_waited_for_a_day_calls_for_somebody() {
    let world = World::new().await;
    let sale = world.sale(3, json!({})).await;
    let (held, order) = world.buy(&sale, 1, "a@example.org").await;
    down(&world, "stripe");
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    world.post(&cancel).by(&held.token).send().await.ok();
    world.settle().await;
    // Tried again and again, it has waited since the first time.
    for _ in 0..3 {
        world.advance(SignedDuration::from_hours(7)).await;
        world.settle().await;
        world.whole.run_job("PaymentWorker", "resume").await.unwrap();
        world.settle().await;
    }
    world.advance(SignedDuration::from_hours(4)).await;
    // The schedule tries it, too; what it is busy with does not wait.
    world.settle().await;
    assert!(world.whole.run_job("PaymentWorker", "resume").await.is_err());
    assert_eq!(world.dead_letters(), 0);
    up(&world, "stripe");
    seconds(&world, 600).await;
    drop(world.whole.run_job("PaymentWorker", "resume").await);
    world.settle().await;
    seconds(&world, 600).await;
    world.whole.run_job("PaymentWorker", "resume").await.unwrap();
    world.settle().await;
    books_agree(&world, &sale, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_while_something_waits_or_is_taken_up_again_loses_nothing() {
    // Which provider it is makes no difference to what is stored: with each, one side of every call.
    for (provider, side) in [("stripe", Side::Before), ("razorpay", Side::After)] {
        let world = World::new().await;
        let sale = world.sale(500, json!({})).await;
        let faults = world.whole.home().faults();
        let seller = async || {
            let credentials = json!({"email": "organiser@example.org", "password": "correct horse"});
            text(&world.post("/v1/sessions").json(credentials).send().await.ok()["access_token"])
        };
        // A capture that did not get through, and a refund that does not; both are taken up when it answers again. The process dies at
        // a store call of the latter and of that.
        let tell = async |crash: Option<(u64, Side)>| {
            let at = || {
                if let Some((step, side)) = crash {
                    faults.crash_at(faults.calls() + step, side);
                }
            };
            let (bought, pays) = (buyer(&world, &sale).await, buyer(&world, &sale).await);
            let paid = open(&world, &bought, provider).await.ok();
            pay(&world, &paid, provider);
            let payment = open(&world, &pays, provider).await.ok();
            world.settle().await;
            down(&world, provider);
            pay(&world, &payment, provider);
            world.settle().await;
            let (by, path) = (seller().await, format!("/v1/payments/{}/refunds", text(&paid["id"])));
            let refund = async || world.post(&path).by(&by).key("all").json(json!({})).send().await;
            let before = faults.calls();
            at();
            drop(refund().await);
            world.revive().await;
            // Repeated, if it was lost.
            refund().await.ok();
            world.settle().await;
            let waiting = faults.calls() - before;
            up(&world, provider);
            seconds(&world, 100).await;
            let before = faults.calls();
            at();
            drop(world.whole.run_job("PaymentWorker", "resume").await);
            world.revive().await;
            let resuming = faults.calls() - before;
            // What was not even told is found by the next run.
            world.whole.run_job("PaymentWorker", "resume").await.unwrap();
            world.settle().await;
            let path = format!("/v1/payments/{}", text(&payment["id"]));
            let taken = world.get(&path).by(&pays.0.token).send().await.ok();
            let path = format!("/v1/orders/{}/payments", text(&bought.1["id"]));
            let back = world.get(&path).by(&bought.0.token).send().await.ok();
            let found = (taken["status"].clone(), back["items"][0]["status"].clone());
            assert_eq!(found, (json!("captured"), json!("refunded")), "{provider} {crash:?}");
            assert_eq!(world.dead_letters(), 0, "{provider} {crash:?}");
            waiting.max(resuming)
        };
        let calls = tell(None).await;
        println!("{provider}: {calls} store calls");
        assert!(calls > 10, "{calls}");
        for step in 1..=calls {
            tell(Some((step, side))).await;
        }
    }
}
