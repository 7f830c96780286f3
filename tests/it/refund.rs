//! Refunds: by policy, in parts, for a called-off event; those that fail, those that race, and what the books say of them.

use crate::support::{Answer, Held, Organiser, Sale, World, euros, text, uuid};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tessera_sandbox::stripe::{Payment, Status};

fn at_stripe(world: &World) -> Payment {
    world.whole.stripe().payments(0, 1).unwrap().remove(0)
}

/// The one payment of an order, as its seller sees it.
async fn payment_of(world: &World, seller: &Organiser, order: &Value) -> Value {
    let path = format!("/v1/orders/{}/payments", text(&order["id"]));
    let payments = world.get(&path).by(&seller.token).send().await.ok();
    assert_eq!(payments["items"].as_array().unwrap().len(), 1);
    payments["items"][0].clone()
}

async fn refund(world: &World, seller: &Organiser, payment: &Value, key: &str, what: Value) -> Answer {
    let path = format!("/v1/payments/{}/refunds", text(&payment["id"]));
    world.post(&path).by(&seller.token).key(key).json(what).send().await
}

async fn cancel(world: &World, held: &Held, order: &Value) -> Value {
    let path = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    let cancelled = world.post(&path).by(&held.token).send().await.ok();
    world.settle().await;
    cancelled
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cancels_late_gets_back_what_the_policy_said_when_they_bought() {
    let world = World::new().await;
    let policy = json!({"steps": [{"hours": 480, "percent": "100"}, {"hours": 24, "percent": "50"}], "keep": euros(100)});
    let sale = world.sale(10, json!({"refund": policy})).await;
    let (early, early_order) = world.buy(&sale, 2, "early@example.org").await;
    let path = |order: &Value| format!("/v1/bookings/{}/cancellation", text(&order["booking"]));
    let preview = world.get(&path(&early_order)).by(&early.token).send().await.ok();
    assert_eq!(preview["back"], euros(5000 - 200));
    assert_eq!(cancel(&world, &early, &early_order).await["back"], euros(4800));
    assert_eq!((at_stripe(&world).received, at_stripe(&world).refunded), (5000, 4800));
    let mail = world.mail_to("early@example.org");
    assert!(mail.text.unwrap().contains("48.00 EUR of it go back"), "{}", mail.subject);
    world.get(&path(&early_order)).by(&early.token).send().await.refused(409, "wrong_state");

    let (_, late_order) = world.buy(&sale, 1, "late@example.org").await;
    // Twelve of the thirty days later. The guest's credential is over, the mailed link is not.
    let link = world.mail_to("late@example.org").text.unwrap();
    let key = link.split("key=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    world.advance(SignedDuration::from_hours(12 * 24)).await;
    let by_link = |what: &str| format!("/v1/bookings/{}/{what}?key={key}", text(&late_order["booking"]));
    assert_eq!(world.get(&by_link("cancellation")).send().await.ok()["back"], euros(1250 - 100));
    world.post(&by_link("cancel")).send().await.ok();
    world.settle().await;
    assert_eq!((at_stripe(&world).received, at_stripe(&world).refunded), (2500, 1150));

    // The seller gives back everything, whatever the policy says.
    let (held, order) = world.buy(&sale, 1, "third@example.org").await;
    let seller = world.sign_in("organiser", &sale.organiser).await;
    let path = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    assert_eq!(world.post(&path).by(&seller.token).send().await.ok()["back"], euros(2500));
    world.settle().await;
    assert_eq!(at_stripe(&world).refunded, 2500);
    let order = world.read_order(&held, &order).await;
    assert_eq!(order["refunds"][0]["amount"], euros(2500));
    let (accounts, entries) = world.books(&seller).await;
    assert_eq!((accounts["provider:stripe"], accounts["sales"], entries.len()), (200 + 1350, -200 - 1350, 6));
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_refunded_in_parts_and_never_more_than_was_paid() {
    let world = World::new().await;
    let seller = world.organiser("organiser").await;
    let rate = json!({"code": "standard", "place": "DE", "name": "VAT", "percent": "19"});
    let rules = json!({"tax": {"included": true, "place": "DE", "rates": [rate]},
        "fees": [{"name": "Service", "each": euros(99), "paid_by": "buyer"}]});
    let path = format!("/v1/organisations/{}/pricing", seller.organisation);
    world.put(&path).by(&seller.token).header("If-Match", "\"v0\"").json(rules).send().await.ok();
    let sale = world.sale_of(&seller, json!({"capacity": 10})).await;
    let (held, order) = world.buy(&sale, 3, "a@example.org").await;
    let payment = payment_of(&world, &seller, &order).await;
    assert_eq!((&payment["amount"], &payment["status"]), (&euros(7797), &json!("captured")));
    assert_eq!(payment["parts"][0]["rate"], "VAT 19 %");

    let key = uuid();
    let gift = json!({"amount": euros(1000), "reason": "for the rain"});
    let made = refund(&world, &seller, &payment, &key, gift.clone()).await;
    assert_eq!(made.status, 201);
    let again = refund(&world, &seller, &payment, &key, gift).await.ok();
    assert_eq!(again["id"], made.ok()["id"]);
    refund(&world, &seller, &payment, &key, json!({"amount": euros(999)})).await.refused(422, "key_reused");
    world.settle().await;
    let mail = world.mail_to("a@example.org");
    assert_eq!(mail.subject, "Refund: 10.00 EUR for Midsummer");
    assert!(mail.text.unwrap().contains("for the rain"));
    // One of three places.
    let line = json!({"lines": [{"part": 0, "quantity": 1}]});
    assert_eq!(refund(&world, &seller, &payment, &uuid(), line).await.ok()["amount"], euros(2500));
    let too_much = json!({"lines": [{"part": 0, "quantity": 3}]});
    let refused = refund(&world, &seller, &payment, &uuid(), too_much).await.refused(409, "refund_too_large");
    assert_eq!(refused["remaining"], euros(4297));
    // Ten at once, of which as many pass as there is money.
    let keys: Vec<_> = (0..10).map(|_| uuid()).collect();
    let wants = keys.iter().map(|key| refund(&world, &seller, &payment, key, json!({"amount": euros(900)})));
    let answers = join_all(wants).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 4);
    assert!(
        answers
            .iter()
            .filter(|answer| answer.status != 201)
            .all(|answer| answer.code() == "refund_too_large")
    );
    // All that is left.
    assert_eq!(refund(&world, &seller, &payment, &uuid(), json!({})).await.ok()["amount"], euros(697));
    world.settle().await;
    let payment = payment_of(&world, &seller, &order).await;
    assert_eq!((&payment["status"], &payment["remaining"]), (&json!("refunded"), &euros(0)));
    assert_eq!((at_stripe(&world).refunded, at_stripe(&world).refunds.len()), (7797, 7));
    // The places stay sold.
    let order = world.read_order(&held, &order).await;
    assert_eq!((&order["status"], order["refunds"].as_array().unwrap().len()), (&json!("confirmed"), 7));
    let (accounts, entries) = world.books(&seller).await;
    assert_eq!(
        (accounts.len(), entries.len()),
        (0, 8),
        "everything went back, to the last cent of tax: {accounts:?}"
    );
    // Cancelled now, nothing more goes back.
    cancel(&world, &held, &order).await;
    assert_eq!((at_stripe(&world).refunded, world.dead_letters()), (7797, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_fails_is_seen_and_asked_for_again() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    world.whole.stripe().switch(|switches| switches.fail_refunds_next = 1).unwrap();
    let (held, order) = world.buy(&sale, 1, "a@example.org").await;
    cancel(&world, &held, &order).await;
    let payment = payment_of(&world, &sale.organiser, &order).await;
    let failed = &payment["refunds"][0];
    assert_eq!(
        (&failed["status"], &failed["attempt"], failed["failure"].is_string()),
        (&json!("failed"), &json!(1), true)
    );
    assert_eq!((&payment["status"], &payment["refunded"]), (&json!("captured"), &euros(0)));
    let path = format!("/v1/events/{}/refunds", sale.event);
    let progress = world.get(&path).by(&sale.organiser.token).send().await.ok();
    assert_eq!(
        (&progress["failed"]["count"], &progress["failed"]["amounts"]["EUR"]),
        (&json!(1), &json!(2500))
    );
    // Not at once, but an hour later.
    world.whole.run_job("PaymentWorker", "refunds").await.unwrap();
    world.settle().await;
    let still = payment_of(&world, &sale.organiser, &order).await;
    assert_eq!(still["refunds"][0]["status"], "failed");
    world.advance(SignedDuration::from_hours(1)).await;
    world.whole.run_job("PaymentWorker", "refunds").await.unwrap();
    world.settle().await;
    let seller = world.sign_in("organiser", &sale.organiser).await;
    let payment = payment_of(&world, &seller, &order).await;
    assert_eq!(
        (&payment["refunds"][0]["status"], &payment["refunds"][0]["attempt"]),
        (&json!("done"), &json!(2))
    );
    // Days later the bank sends it back: the books and the order know, and the seller asks again.
    let last = at_stripe(&world).refunds.last().unwrap().clone();
    world.whole.stripe().fail_refund(&last).unwrap();
    world.settle().await;
    let payment = payment_of(&world, &seller, &order).await;
    assert_eq!((&payment["refunds"][0]["status"], &payment["refunded"]), (&json!("failed"), &euros(0)));
    assert_eq!(world.books(&seller).await.0["provider:stripe"], 2500);
    let path =
        format!("/v1/payments/{}/refunds/{}/retry", text(&payment["id"]), text(&payment["refunds"][0]["id"]));
    assert_eq!(world.post(&path).by(&seller.token).send().await.ok()["status"], "due");
    world.settle().await;
    assert_eq!(world.post(&path).by(&seller.token).send().await.ok()["status"], "done", "nothing to ask for");
    let (accounts, entries) = world.books(&seller).await;
    assert_eq!((accounts.len(), entries.len()), (0, 6), "taken, three times done, twice come back");
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn calling_an_event_off_refunds_everybody_and_says_how_far_it_is() {
    let world = World::new().await;
    let sale = world.sale(20, json!({})).await;
    for n in 0..7 {
        world.buy(&sale, 1, &format!("b{n}@example.org")).await;
    }
    // One of them got something back before.
    let orders =
        world.get(&format!("/v1/events/{}/orders", sale.event)).by(&sale.organiser.token).send().await.ok();
    let payment = payment_of(&world, &sale.organiser, &orders["items"][3]).await;
    refund(&world, &sale.organiser, &payment, &uuid(), json!({"amount": euros(500)})).await.ok();
    world.settle().await;
    // Two of Stripe's answers are lost, one says "later", one refund fails.
    world
        .whole
        .stripe()
        .switch(|switches| {
            (switches.lose_next, switches.fail_next, switches.fail_refunds_next) = (2, 1, 1);
        })
        .unwrap();
    let path = format!("/v1/events/{}/cancel", sale.event);
    world.post(&path).by(&sale.organiser.token).send().await.ok();
    world.settle().await;
    for _ in 0..2 {
        world.whole.run_job("PaymentWorker", "resume").await.unwrap();
        world.settle().await;
    }
    let path = format!("/v1/events/{}/refunds", sale.event);
    let progress = world.get(&path).by(&sale.organiser.token).send().await.ok();
    assert_eq!(
        (&progress["orders"], &progress["bookings_left"], &progress["complete"]),
        (&json!(7), &json!(0), &json!(true))
    );
    assert_eq!(
        (&progress["done"]["count"], &progress["failed"]["count"], &progress["due"]["count"]),
        (&json!(7), &json!(1), &json!(0))
    );
    world.advance(SignedDuration::from_hours(1)).await;
    world.whole.run_job("PaymentWorker", "refunds").await.unwrap();
    world.settle().await;
    let payments = world.whole.stripe().payments(0, 20).unwrap();
    assert!(payments.iter().all(|payment| payment.received == payment.refunded), "{payments:#?}");
    let seller = world.sign_in("organiser", &sale.organiser).await;
    let (accounts, _) = world.books(&seller).await;
    assert_eq!((accounts.len(), world.dead_letters()), (0, 0), "{accounts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorisation_that_runs_out_before_it_is_taken_costs_the_places() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let held = world.hold(&sale, 2).await;
    let order = world.order(&held, "a@example.org").await;
    let payment = world.payment(&held, &order).await;
    // The provider refuses to take it for so long that the authorisation runs out.
    world.whole.stripe().switch(|switches| switches.fail_next = 4).unwrap();
    let paid = world.pay(&payment, "pm_card_visa");
    for _ in 0..100 {
        if world.read_order(&held, &order).await["status"] == "confirmed" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    world.whole.stripe().cancel(&paid.id).unwrap();
    world.settle().await;
    assert_eq!(at_stripe(&world).status, Status::Canceled);
    let order = world.read_order(&held, &order).await;
    assert_eq!((&order["status"], &order["reason"]), (&json!("cancelled"), &json!("booking_cancelled")));
    let mails = world.mails_to("a@example.org");
    let why = |mail: &tessera_sandbox::mail::Message| {
        mail.text.as_ref().is_some_and(|text| text.contains("the payment did not go through"))
    };
    assert!(mails.iter().any(why));
    assert_eq!((world.sold(&sale).await, world.left(&sale).await, world.dead_letters()), (0, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_while_the_money_is_taken_is_paid_back() {
    let world = World::new().await;
    let sale = world.sale(2, json!({})).await;
    let held = world.hold(&sale, 1).await;
    let order = world.order(&held, "a@example.org").await;
    let payment = world.payment(&held, &order).await;
    // The capture takes a while; meanwhile the seller cancels.
    world.whole.stripe().switch(|switches| switches.api_delay_ms = 700).unwrap();
    world.pay(&payment, "pm_card_visa");
    let mut confirmed = Value::Null;
    for _ in 0..200 {
        confirmed = world.read_order(&held, &order).await;
        if confirmed["status"] == "confirmed" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let path = format!("/v1/bookings/{}/cancel", text(&confirmed["booking"]));
    world.post(&path).by(&sale.organiser.token).send().await.ok();
    world.whole.stripe().switch(|switches| switches.api_delay_ms = 0).unwrap();
    world.settle().await;
    let paid = at_stripe(&world);
    assert_eq!(paid.received, paid.refunded, "{:?}", paid.status);
    assert_eq!((world.sold(&sale).await, world.left(&sale).await, world.dead_letters()), (0, 2, 0));
    assert!(world.books(&sale.organiser).await.0.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_refunds_at_the_provider_by_hand_is_in_the_books() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let (held, order) = world.buy(&sale, 2, "a@example.org").await;
    let intent = at_stripe(&world).id;
    let form = [("payment_intent", intent.as_str()), ("amount", "1200")];
    let url = format!("{}/_stripe/v1/refunds", world.url);
    let by_hand = world
        .http
        .post(url)
        .bearer_auth(&world.whole.home().secrets()["stripe_secret_key"])
        .form(&form)
        .send()
        .await
        .unwrap();
    assert!(by_hand.status().is_success());
    world.settle().await;
    let payment = payment_of(&world, &sale.organiser, &order).await;
    assert_eq!((&payment["status"], &payment["remaining"]), (&json!("partly_refunded"), &euros(3800)));
    assert_eq!(payment["refunds"][0]["why"], "provider");
    assert_eq!(world.mail_to("a@example.org").subject, "Refund: 12.00 EUR for Midsummer");
    cancel(&world, &held, &order).await;
    assert_eq!(at_stripe(&world).refunded, 5000);
    let (accounts, entries) = world.books(&sale.organiser).await;
    assert_eq!((accounts.len(), entries.len(), world.dead_letters()), (0, 3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn revenue_is_reported_by_day_item_and_provider_also_as_a_sheet() {
    let world = World::new().await;
    let sale = world.sale(20, json!({})).await;
    let (held, order) = world.buy(&sale, 2, "a@example.org").await;
    world.buy(&sale, 1, "b@example.org").await;
    cancel(&world, &held, &order).await;
    let now = world.whole.clock().now();
    let (from, until) = (now - SignedDuration::from_hours(24), now + SignedDuration::from_hours(1));
    let path = format!("/v1/organisations/{}/revenue", sale.organiser.organisation);
    let query = |by: &str| format!("?from={from}&until={until}&by={by}&zone=Europe/Berlin");
    let report = async |by: &str| {
        let rows = world.get(&format!("{path}{}", query(by))).by(&sale.organiser.token).send().await.ok();
        rows["rows"].as_array().unwrap().clone()
    };
    let rows = report("provider").await;
    assert_eq!(
        (rows.len(), &rows[0]["key"], &rows[0]["payments"], &rows[0]["refunds"]),
        (1, &json!("stripe"), &json!(2), &json!(1))
    );
    assert_eq!(
        (&rows[0]["paid"], &rows[0]["refunded"], &rows[0]["sales"]),
        (&json!(7500), &json!(5000), &json!(2500))
    );
    assert_eq!(report("item").await[0]["key"], sale.offer);
    assert_eq!(report("subject").await[0]["key"], sale.event);
    let day = text(&report("day").await[0]["key"]);
    assert_eq!(day.len(), 10);
    let sheet = world.get(&format!("{path}.csv{}", query("day"))).by(&sale.organiser.token).send().await;
    assert_eq!(sheet.header("content-type"), "text/csv; charset=utf-8; header=present");
    let text = String::from_utf8(sheet.bytes).unwrap();
    assert_eq!(text.lines().nth(1).unwrap(), format!("{day},EUR,2,1,75.00,50.00,25.00,0.00,0.00,0.00"));
    let bad = |query: &str| world.get(&format!("{path}?{query}")).by(&sale.organiser.token).send();
    bad(&format!("from={until}&until={from}&by=day")).await.refused(400, "invalid_input");
    bad(&format!("from={from}&until={until}&by=month")).await.refused(400, "invalid_input");
    bad(&format!("from={from}&until={until}&by=day&zone=Berlin")).await.refused(400, "invalid_input");
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_its_sellers_business_alone() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let (held, order) = world.buy(&sale, 1, "a@example.org").await;
    let payment = payment_of(&world, &sale.organiser, &order).await;
    let other = world.organiser("other").await;
    let (id, order_id) = (text(&payment["id"]), text(&order["id"]));
    refund(&world, &other, &payment, &uuid(), json!({})).await.refused(404, "not_found");
    let buyer = Organiser { token: held.token.clone(), ..other.clone() };
    let by_buyer = refund(&world, &buyer, &payment, &uuid(), json!({})).await;
    assert!(matches!(by_buyer.status, 401 | 403 | 404), "{}", by_buyer.body);
    let organisation = &sale.organiser.organisation;
    let period = "from=2026-01-01T00:00:00Z&until=2026-12-31T00:00:00Z";
    for path in [
        format!("/v1/payments/{id}"),
        format!("/v1/orders/{order_id}/payments"),
        format!("/v1/events/{}/refunds", sale.event),
        format!("/v1/organisations/{organisation}/ledger?{period}"),
        format!("/v1/organisations/{organisation}/revenue?{period}&by=day"),
        format!("/v1/organisations/{organisation}/revenue.csv?{period}&by=day"),
    ] {
        world.get(&path).by(&other.token).send().await.refused(404, "not_found");
        assert!(matches!(world.get(&path).send().await.status, 401 | 404), "{path}");
    }
    // The buyer sees the payment and its refunds.
    assert_eq!(
        world.get(&format!("/v1/payments/{id}")).by(&held.token).send().await.ok()["refunds"],
        json!([])
    );
    for bad in [
        json!({"amount": euros(0)}),
        json!({"amount": {"amount": 1, "currency": "USD"}}),
        json!({"amount": euros(1), "lines": [{"part": 0}]}),
        json!({"lines": [{"part": 9}]}),
        json!({"lines": [{"part": 0, "amount": 1, "quantity": 1}]}),
        json!({"lines": [{"part": 0, "quantity": 2}]}),
        json!({"lines": [{"part": 0, "amount": -1}]}),
    ] {
        refund(&world, &sale.organiser, &payment, &uuid(), bad).await.refused(400, "invalid_input");
    }
    let unpaid = world.hold(&Sale { ..sale.clone() }, 1).await;
    let unpaid_order = world.order(&unpaid, "b@example.org").await;
    let open = world.payment(&unpaid, &unpaid_order).await;
    refund(&world, &sale.organiser, &open, &uuid(), json!({})).await.refused(409, "wrong_state");
}
