//! Invoices and credit notes: numbers without a gap, amounts to the cent, and who may see them.

use crate::support::{Held, Organiser, Sale, World, euros, merge, text, uuid};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use tessera_local::stores::faults::{Service, Side};
use tessera_sqs::NewMessage;

fn settings(more: Value) -> Value {
    let numbers = json!([{"label": "USt-IdNr.", "value": "DE123456789"}, {"value": "27/640/51234"}]);
    let seller = json!({"name": "Kulturhaus GmbH", "address": ["Hof 1", "10115 Berlin"], "country": "DE",
        "tax_numbers": numbers});
    let mut settings = json!({"seller": seller, "prefix": "2027-", "zone": "Europe/Berlin"});
    merge(&mut settings, more);
    settings
}

/// From now on this seller issues invoices.
async fn invoicing(world: &World, seller: &Organiser, more: Value) {
    let path = format!("/v1/organisations/{}/invoicing", seller.organisation);
    let etag = world.get(&path).by(&seller.token).send().await.header("etag").to_owned();
    world.put(&path).by(&seller.token).header("If-Match", &etag).json(settings(more)).send().await.ok();
}

/// Two rates of tax, contained or on top, and a fee.
async fn taxed(world: &World, seller: &Organiser, included: bool) {
    let rate =
        |code: &str, percent: &str| json!({"code": code, "place": "DE", "name": "VAT", "percent": percent});
    let fee = json!({"name": "Service", "each": euros(99), "paid_by": "buyer", "tax_code": "standard"});
    let rules = json!({"tax": {"included": included, "place": "DE",
        "rates": [rate("standard", "19"), rate("reduced", "7")]}, "fees": [fee]});
    let path = format!("/v1/organisations/{}/pricing", seller.organisation);
    let etag = world.get(&path).by(&seller.token).send().await.header("etag").to_owned();
    world.put(&path).by(&seller.token).header("If-Match", &etag).json(rules).send().await.ok();
}

/// A sale whose seller issues invoices.
async fn invoiced_sale(world: &World, terms: Value) -> Sale {
    let seller = world.organiser("organiser").await;
    invoicing(world, &seller, json!({})).await;
    world.sale_of(&seller, terms).await
}

async fn of_order(world: &World, held: &Held, order: &Value) -> Vec<Value> {
    let path = format!("/v1/orders/{}/invoices", text(&order["id"]));
    world.get(&path).by(&held.token).send().await.ok()["items"].as_array().unwrap().clone()
}

fn period(world: &World) -> String {
    let now = world.whole.clock().now();
    format!(
        "from={}&until={}",
        now - SignedDuration::from_hours(24 * 30),
        now + SignedDuration::from_hours(1)
    )
}

/// Every document of a seller, by number.
async fn of_seller(world: &World, seller: &Organiser) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    let path = format!("/v1/organisations/{}/invoices?{}&limit=7", seller.organisation, period(world));
    loop {
        let page = world.get(&format!("{path}{cursor}")).by(&seller.token).send().await.ok();
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn numbers(documents: &[Value]) -> Vec<u64> {
    documents.iter().map(|document| document["sequence"].as_u64().unwrap()).collect()
}

async fn refund(world: &World, seller: &Organiser, order: &Value, what: Value) {
    let path = format!("/v1/orders/{}/payments", text(&order["id"]));
    let payment = world.get(&path).by(&seller.token).send().await.ok()["items"][0].clone();
    let path = format!("/v1/payments/{}/refunds", text(&payment["id"]));
    world.post(&path).by(&seller.token).key(&uuid()).json(what).send().await.ok();
    world.settle().await;
}

/// What a document comes to: in all, and net and tax of each rate.
fn sums(document: &Value) -> (i64, BTreeMap<String, (i64, i64)>) {
    let amount = |money: &Value| money["amount"].as_i64().unwrap();
    let tax = |tax: &Value| (text(&tax["percent"]), (amount(&tax["net"]), amount(&tax["tax"])));
    let lines = document["lines"].as_array().unwrap().iter().map(|line| {
        let off = line["discount"].as_object().map_or(0, |off| off["amount"].as_i64().unwrap());
        let on_top = match line["tax"]["included"] == false {
            true => amount(&line["tax"]["amount"]),
            false => 0,
        };
        amount(&line["amount"]) - off + on_top
    });
    assert_eq!(lines.sum::<i64>(), amount(&document["total"]), "{document}");
    (amount(&document["total"]), document["taxes"].as_array().into_iter().flatten().map(tax).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sold_and_paid_has_an_invoice_of_exactly_its_total() {
    let world = World::new().await;
    let seller = world.organiser("organiser").await;
    invoicing(&world, &seller, json!({"language": "de", "notes": "Danke."})).await;
    taxed(&world, &seller, true).await;
    let coupon = json!({"code": "TEN", "terms": {"off": {"percent": "10"}}});
    let path = format!("/v1/organisations/{}/coupons", seller.organisation);
    world.post(&path).by(&seller.token).json(coupon).send().await.ok();
    let sale = world.sale_of(&seller, json!({"capacity": 10, "tax_code": "reduced"})).await;
    let mut basket = world.basket(&sale, 3);
    basket["coupons"] = json!(["TEN"]);
    let hold = world.post("/v1/holds").key(&uuid()).json(basket).send().await.ok();
    let held = Held { token: text(&hold["guest_token"]), hold };
    let bill = json!({"name": "Analytical Engines Ltd", "address": ["12 St James's Square", "London"],
        "country": "GB", "tax_number": "GB123456789", "language": "en"});
    let body = json!({"quote": held.hold["quote"], "invoice": bill,
        "contact": {"name": "Ada Lovelace", "email": "ada@example.org"}});
    let order = world.post("/v1/orders").by(&held.token).json(body).send().await.ok();
    assert_eq!(order["invoice"], bill);
    assert!(of_order(&world, &held, &order).await.is_empty(), "not before it is paid");
    let payment = world.payment(&held, &order).await;
    world.pay(&payment, "pm_card_visa");
    world.settle().await;

    let documents = of_order(&world, &held, &order).await;
    assert_eq!(documents.len(), 1);
    let invoice = &documents[0];
    assert_eq!(
        (&invoice["number"], &invoice["sequence"], &invoice["kind"]),
        (&json!("2027-00001"), &json!(1), &json!({"is": "invoice"}))
    );
    // 3 × 25.00 less 10 %, and 3 × 0.99.
    let (total, taxes) = sums(invoice);
    assert_eq!((total, &invoice["total"]), (6750 + 297, &order["total"]));
    assert_eq!(taxes["7"], (6750 - 442, 442), "7 in 107");
    assert_eq!(taxes["19"], (297 - 47, 47));
    let line = &invoice["lines"][0];
    assert_eq!((&line["quantity"], &line["unit"], &line["discount"]), (&json!(3), &euros(2500), &euros(750)));
    assert_eq!(
        (&invoice["lines"][1]["name"], &invoice["lines"][1]["fee"]),
        (&json!("Service"), &json!(true))
    );
    assert_eq!(invoice["seller"]["name"], "Kulturhaus GmbH");
    let buyer = &invoice["buyer"];
    assert_eq!(
        (&buyer["name"], &buyer["email"], &buyer["tax_number"], &buyer["country"]),
        (&bill["name"], &json!("ada@example.org"), &bill["tax_number"], &json!("GB"))
    );
    assert_eq!((&invoice["language"], &invoice["provider"]), (&json!("en"), &json!("stripe")));
    assert_eq!(invoice["supply"]["name"], "Midsummer");

    let mails = world.mails_to("ada@example.org");
    let mail =
        mails.iter().find(|mail| mail.subject == "Your invoice 2027-00001").expect("a mail of its own");
    assert_eq!(mail.attachments.len(), 1);
    assert_eq!(
        (mail.attachments[0].media_type.as_str(), mail.attachments[0].name.as_deref()),
        ("application/pdf", Some("2027-00001.pdf"))
    );
    // The seller moves; what was issued stays.
    let moved = settings(json!({}))["seller"].clone();
    let mut moved = json!({"seller": moved});
    moved["seller"]["address"] = json!(["Elsewhere"]);
    invoicing(&world, &seller, moved).await;
    let path = format!("/v1/invoices/{}", text(&invoice["id"]));
    assert_eq!(&world.get(&path).by(&held.token).send().await.ok(), invoice);
    let pdf = world.get(&format!("{path}.pdf")).by(&held.token).send().await;
    assert_eq!(pdf.header("content-type"), "application/pdf");
    assert_eq!(pdf.header("content-disposition"), "attachment; filename=\"2027-00001.pdf\"");
    assert!(pdf.bytes.starts_with(b"%PDF-"));
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_notes_of_what_all_went_back_are_the_invoice_for_each_rate_too() {
    let world = World::new().await;
    let seller = world.organiser("organiser").await;
    invoicing(&world, &seller, json!({})).await;
    for included in [true, false] {
        taxed(&world, &seller, included).await;
        world.advance(SignedDuration::from_secs(61)).await;
        let sale = world.sale_of(&seller, json!({"capacity": 10, "tax_code": "reduced"})).await;
        let (held, order) = world.buy(&sale, 3, "a@example.org").await;
        refund(&world, &seller, &order, json!({"amount": euros(1001), "reason": "for the rain"})).await;
        refund(&world, &seller, &order, json!({"lines": [{"part": 0, "amount": 333}]})).await;
        refund(&world, &seller, &order, json!({"lines": [{"part": 1}]})).await;
        let path = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
        world.post(&path).by(&held.token).send().await.ok();
        world.settle().await;

        let documents = of_order(&world, &held, &order).await;
        let [invoice, notes @ ..] = documents.as_slice() else { panic!("no invoice") };
        assert_eq!(notes.len(), 4);
        assert_eq!(notes[0]["kind"]["number"], invoice["number"]);
        assert_eq!((&notes[0]["kind"]["reason"], &notes[0]["total"]), (&json!("for the rain"), &euros(1001)));
        let (total, mut taxes) = sums(invoice);
        assert_eq!(order["total"]["amount"], total);
        let mut back = 0;
        for note in notes {
            assert_eq!(note["kind"]["is"], "credit_note");
            let (amount, parts) = sums(note);
            back += amount;
            for (rate, (net, tax)) in parts {
                let left = taxes.get_mut(&rate).unwrap();
                *left = (left.0 - net, left.1 - tax);
            }
        }
        assert_eq!(back, total);
        assert!(taxes.values().all(|left| *left == (0, 0)), "{taxes:?}");
        let subject = format!("Your credit note {}", text(&notes[0]["number"]));
        assert!(world.mails_to("a@example.org").iter().any(|mail| mail.subject == subject));
    }
    let all = of_seller(&world, &seller).await;
    assert_eq!(numbers(&all), (1..=10).collect::<Vec<_>>());
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_paid_at_once_have_the_numbers_one_to_thirty_and_each_once() {
    let world = World::new().await;
    let sale = invoiced_sale(&world, json!({"capacity": 30})).await;
    let place = async |n: usize| {
        let held = world.hold(&sale, 1).await;
        let order = world.order(&held, &format!("b{n}@example.org")).await;
        let payment = world.payment(&held, &order).await;
        (held, order, payment)
    };
    let placed = join_all((0..30).map(place)).await;
    for (_, _, payment) in &placed {
        world.pay(payment, "pm_card_visa");
    }
    world.settle().await;
    let all = of_seller(&world, &sale.organiser).await;
    assert_eq!(numbers(&all), (1..=30).collect::<Vec<_>>());
    let issued: Vec<jiff::Timestamp> =
        all.iter().map(|document| text(&document["issued"]).parse().unwrap()).collect();
    assert!(issued.is_sorted(), "the higher number is not the earlier");
    for (n, (held, order, _)) in placed.iter().enumerate() {
        assert_eq!(of_order(&world, held, order).await.len(), 1);
        let mails = world.mails_to(&format!("b{n}@example.org"));
        assert_eq!(mails.iter().filter(|mail| mail.subject.starts_with("Your invoice")).count(), 1);
    }
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_free_and_what_was_sold_before_the_settings_has_none() {
    let world = World::new().await;
    let sale = world.sale(10, json!({})).await;
    let (before, unbilled) = world.buy(&sale, 1, "before@example.org").await;
    invoicing(&world, &sale.organiser, json!({})).await;
    let free = world.sale_of(&sale.organiser, json!({"capacity": 5, "price": euros(0)})).await;
    let (guest, nothing) = world.buy(&free, 1, "guest@example.org").await;
    assert_eq!(nothing["status"], "confirmed");
    refund(&world, &sale.organiser, &unbilled, json!({"amount": euros(100)})).await;
    for (held, order) in [(&before, &unbilled), (&guest, &nothing)] {
        assert!(of_order(&world, held, order).await.is_empty());
    }
    let (after, billed) = world.buy(&sale, 1, "after@example.org").await;
    assert_eq!(numbers(&of_order(&world, &after, &billed).await), [1]);
    assert_eq!(of_seller(&world, &sale.organiser).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_came_back_and_was_asked_for_again_has_one_credit_note() {
    let world = World::new().await;
    let sale = invoiced_sale(&world, json!({"capacity": 5})).await;
    let (held, order) = world.buy(&sale, 1, "a@example.org").await;
    refund(&world, &sale.organiser, &order, json!({"amount": euros(700)})).await;
    let last = world.whole.stripe().payments(0, 1).unwrap()[0].refunds.last().unwrap().clone();
    world.whole.stripe().fail_refund(&last).unwrap();
    world.settle().await;
    let path = format!("/v1/orders/{}/payments", text(&order["id"]));
    let payment = world.get(&path).by(&sale.organiser.token).send().await.ok()["items"][0].clone();
    let path =
        format!("/v1/payments/{}/refunds/{}/retry", text(&payment["id"]), text(&payment["refunds"][0]["id"]));
    world.post(&path).by(&sale.organiser.token).send().await.ok();
    world.settle().await;
    let documents = of_order(&world, &held, &order).await;
    assert_eq!((numbers(&documents), &documents[1]["total"]), (vec![1, 2], &euros(700)));
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_told_again_issues_and_mails_nothing_twice() {
    let world = World::new().await;
    let sale = invoiced_sale(&world, json!({"capacity": 5})).await;
    let (held, order) = world.buy(&sale, 1, "a@example.org").await;
    refund(&world, &sale.organiser, &order, json!({"amount": euros(700)})).await;
    let (documents, mails) = (of_order(&world, &held, &order).await, world.mails_to("a@example.org").len());
    assert_eq!(documents.len(), 2);
    // What asks for them, many times at once; and everything that is stored.
    let refund = &documents[1]["kind"]["refund"];
    for data in [json!({"order": order["id"]}), json!({"order": order["id"], "refund": refund})] {
        for _ in 0..5 {
            let told = json!({"id": "msg_06f5k2v8s1xg4w7m3q9c0hrtbn", "at": "2027-01-01T00:00:00Z",
                "type": "order.invoice_due.v1", "data": data});
            let sqs = world.whole.home().sqs();
            sqs.send("tessera-local-order", &NewMessage::new(told.to_string())).unwrap();
        }
    }
    world.settle().await;
    world.advance(SignedDuration::from_hours(2)).await;
    for _ in 0..2 {
        world.whole.run_job("OutboxFunction", "sweep").await.unwrap();
        world.settle().await;
    }
    assert_eq!(of_order(&world, &held, &order).await, documents);
    assert_eq!((world.mails_to("a@example.org").len(), world.dead_letters()), (mails, 0));
    let (next, another) = world.buy(&sale, 1, "b@example.org").await;
    assert_eq!(numbers(&of_order(&world, &next, &another).await), [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sellers_have_them_as_a_list_and_as_a_sheet() {
    let world = World::new().await;
    let seller = world.organiser("organiser").await;
    invoicing(&world, &seller, json!({})).await;
    taxed(&world, &seller, true).await;
    let sale = world.sale_of(&seller, json!({"capacity": 10, "tax_code": "reduced"})).await;
    let (_, order) = world.buy(&sale, 1, "a@example.org").await;
    refund(&world, &seller, &order, json!({"lines": [{"part": 0, "amount": 500}]})).await;
    let path = format!("/v1/organisations/{}/invoices", seller.organisation);
    let sheet = world.get(&format!("{path}.csv?{}", period(&world))).by(&seller.token).send().await;
    assert_eq!(sheet.header("content-type"), "text/csv; charset=utf-8; header=present");
    let csv = String::from_utf8(sheet.bytes).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let shown: Vec<_> =
        rows.iter().map(|row| (row[0], row[1], row[4], row[10], row[11], row[12], row[13])).collect();
    assert_eq!(
        shown,
        [
            ("2027-00001", "invoice", "", "VAT 7 %", "23.36", "1.64", "25.00"),
            ("2027-00001", "invoice", "", "VAT 19 %", "0.83", "0.16", "0.99"),
            ("2027-00002", "credit note", "2027-00001", "VAT 7 %", "-4.67", "-0.33", "-5.00"),
        ]
    );
    let now = world.whole.clock().now();
    let empty = format!("{path}?from={}&until={now}", now - SignedDuration::from_hours(1));
    let later = SignedDuration::from_hours(2);
    assert_eq!(world.get(&empty).by(&seller.token).send().await.ok()["items"].as_array().unwrap().len(), 2);
    let none = format!("{path}?from={}&until={}", now + later, now + later + later);
    assert_eq!(world.get(&none).by(&seller.token).send().await.ok()["items"], json!([]));
    let wrong = format!("{path}?from={now}&until={now}");
    world.get(&wrong).by(&seller.token).send().await.refused(400, "invalid_input");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_buyer_who_has_the_link_and_its_seller_see_an_invoice() {
    let world = World::new().await;
    let sale = invoiced_sale(&world, json!({"capacity": 5})).await;
    let (held, order) = world.buy(&sale, 1, "a@example.org").await;
    let invoice = of_order(&world, &held, &order).await.remove(0);
    let mails = world.mails_to("a@example.org");
    let mail = mails.iter().find(|mail| mail.subject.starts_with("Your invoice")).unwrap();
    let link =
        mail.text.as_ref().unwrap().lines().find_map(|line| line.strip_prefix("Your order: ")).unwrap();
    let key = link.split_once("key=").unwrap().1;
    let other = world.organiser("other").await;
    let stranger = world.hold(&sale, 1).await;
    let of_order = format!("/v1/orders/{}/invoices", text(&order["id"]));
    let one = format!("/v1/invoices/{}", text(&invoice["id"]));
    for path in [of_order, one.clone(), format!("{one}.pdf")] {
        for token in [&held.token, &sale.organiser.token] {
            assert_eq!(world.get(&path).by(token).send().await.status, 200, "{path}");
        }
        assert_eq!(world.get(&format!("{path}?key={key}")).send().await.status, 200, "{path}");
        for token in [&other.token, &stranger.token] {
            world.get(&path).by(token).send().await.refused(404, "not_found");
        }
        world.get(&path).send().await.refused(404, "not_found");
    }
    world.get(&format!("{one}.docx")).by(&held.token).send().await.refused(404, "not_found");
    for what in [
        "invoicing".to_owned(),
        format!("invoices?{}", period(&world)),
        format!("invoices.csv?{}", period(&world)),
    ] {
        let path = format!("/v1/organisations/{}/{what}", sale.organiser.organisation);
        assert_eq!(world.get(&path).by(&sale.organiser.token).send().await.status, 200, "{path}");
        world.get(&path).by(&other.token).send().await.refused(404, "not_found");
        world.get(&path).send().await.refused(401, "unauthenticated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_bounded_and_written_once_at_a_time() {
    let world = World::new().await;
    let seller = world.organiser("organiser").await;
    let path = format!("/v1/organisations/{}/invoicing", seller.organisation);
    let write = |version: &str, body: Value| {
        world.put(&path).by(&seller.token).header("If-Match", version).json(body).send()
    };
    let none = world.get(&path).by(&seller.token).send().await;
    assert_eq!((none.header("etag"), &none.body), ("\"v0\"", &Value::Null));
    world
        .put(&path)
        .by(&seller.token)
        .json(settings(json!({})))
        .send()
        .await
        .refused(428, "version_required");
    let (one, two) = futures_util::future::join(
        write("\"v0\"", settings(json!({}))),
        write("\"v0\"", settings(json!({}))),
    )
    .await;
    let mut both = [one.status, two.status];
    both.sort_unstable();
    assert_eq!(both, [200, 412]);
    write("\"v0\"", settings(json!({}))).await.refused(412, "version_changed");
    let mut crowded = settings(json!({"prefix": "2027", "zone": "Berlin"}));
    crowded["seller"]["address"] = json!([]);
    crowded["seller"]["tax_numbers"] =
        json!([{"value": "1"}, {"value": "2"}, {"value": "3"}, {"value": "4"}, {"value": "5"}]);
    let bad = write("\"v1\"", crowded).await.refused(400, "invalid_input");
    assert_eq!(bad["errors"].as_array().unwrap().len(), 4, "{bad}");
    write("\"v1\"", settings(json!({"language": "fr"}))).await.refused(400, "invalid_input");
    write("\"v1\"", settings(json!({"colour": "red"}))).await.refused(400, "invalid_input");
    assert_eq!(write("\"v1\"", settings(json!({"prefix": ""}))).await.header("etag"), "\"v2\"");

    let sale = world.sale_of(&seller, json!({"capacity": 5})).await;
    let held = world.hold(&sale, 1).await;
    let seven = ["a", "b", "c", "d", "e", "f", "g"];
    for bad in
        [json!({"address": seven}), json!({"country": "Germany"}), json!({"language": "fr"}), json!({"x": 1})]
    {
        let contact = json!({"name": "A", "email": "a@example.org"});
        let body = json!({"quote": held.hold["quote"], "contact": contact, "invoice": bad});
        world.post("/v1/orders").by(&held.token).json(body).send().await.refused(400, "invalid_input");
    }
    world.buy(&sale, 1, "a@example.org").await;
    assert_eq!(of_seller(&world, &seller).await[0]["number"], "00001");
}

/// Does something that messages follow from, until all of it is done; with a crash at this call of what keeps orders and documents,
/// if there is to be one: its answer is lost, or the next call of anybody is. The answer is how many such calls there were.
async fn crashing(world: &World, crash: Option<(u64, Side)>, act: impl AsyncFn()) -> u64 {
    let faults = world.whole.home().faults().clone();
    let (known, calls) = (faults.clone(), Arc::new(AtomicU64::new(0)));
    let count = calls.clone();
    faults.on_call(Some(Arc::new(move |call, side| {
        let ours = match call.service {
            Service::DynamoDb => call.resources.iter().any(|name| name.ends_with("-order")),
            Service::S3 => true,
            Service::Sqs => false,
        };
        if side == Side::After || !ours {
            return;
        }
        let nth = count.fetch_add(1, SeqCst) + 1;
        match crash.filter(|(step, _)| *step == nth) {
            Some((_, Side::After)) => known.crash_at(call.number, Side::After),
            Some((_, Side::Before)) => known.crash_at(call.number + 1, Side::Before),
            None => {}
        }
    })));
    act().await;
    match crash {
        Some(_) => world.revive().await,
        None => world.settle().await,
    }
    faults.on_call(None);
    calls.load(SeqCst)
}

async fn all_drawn(world: &World, held: &Held, order: &Value, many: usize, crash: Option<(u64, Side)>) {
    let documents = of_order(world, held, order).await;
    assert_eq!(documents.len(), many, "{crash:?}");
    let last = documents.last().unwrap();
    let path = format!("/v1/invoices/{}.pdf", text(&last["id"]));
    assert_eq!(world.get(&path).by(&held.token).send().await.status, 200, "{crash:?}");
    let number = text(&last["number"]);
    let mails = world.mails_to(&text(&last["buyer"]["email"]));
    assert!(mails.iter().any(|mail| mail.subject.ends_with(&number)), "{crash:?}: {number}");
}

fn sides(calls: u64) -> impl Iterator<Item = Option<(u64, Side)>> {
    (1..=calls + 1).flat_map(|step| [Side::Before, Side::After].map(|side| Some((step, side))))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_from_paying_on_leaves_no_gap_and_no_invoice_twice() {
    let world = World::new().await;
    let sale = invoiced_sale(&world, json!({"capacity": 1_000})).await;
    let story = async |crash: Option<(u64, Side)>| {
        let held = world.hold(&sale, 1).await;
        let order = world.order(&held, &format!("{}@example.org", uuid())).await;
        let payment = world.payment(&held, &order).await;
        let calls = crashing(&world, crash, async || drop(world.pay(&payment, "pm_card_visa"))).await;
        all_drawn(&world, &held, &order, 1, crash).await;
        calls
    };
    let calls = story(None).await;
    assert!(calls >= 15, "{calls}");
    let mut sold = 1;
    for crash in sides(calls) {
        story(crash).await;
        sold += 1;
    }
    let seller = world.sign_in("organiser", &sale.organiser).await;
    assert_eq!(numbers(&of_seller(&world, &seller).await), (1..=sold).collect::<Vec<_>>());
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_from_refunding_on_leaves_no_gap_and_no_credit_note_twice() {
    let world = World::new().await;
    let sale = invoiced_sale(&world, json!({"capacity": 1_000})).await;
    let (mut issued, mut bought, mut refunds) = (0, None, 0);
    let mut story = async |crash: Option<(u64, Side)>| {
        if refunds % 40 == 0 {
            (bought, refunds) = (Some(world.buy(&sale, 1, &format!("{}@example.org", uuid())).await), 0);
            issued += 1;
        }
        let (held, order) = bought.as_ref().unwrap();
        let intent = world.whole.stripe().payments(0, 1).unwrap()[0].id.clone();
        let form = [("payment_intent", intent.as_str()), ("amount", "10")];
        let url = format!("{}/_stripe/v1/refunds", world.url);
        let secret = world.whole.home().secrets()["stripe_secret_key"].clone();
        let calls = crashing(&world, crash, async || {
            let refund = world.http.post(&url).bearer_auth(&secret).form(&form).send().await.unwrap();
            assert!(refund.status().is_success());
        })
        .await;
        (refunds, issued) = (refunds + 1, issued + 1);
        all_drawn(&world, held, order, 1 + refunds, crash).await;
        calls
    };
    let calls = story(None).await;
    assert!(calls >= 10, "{calls}");
    for crash in sides(calls) {
        story(crash).await;
    }
    let seller = world.sign_in("organiser", &sale.organiser).await;
    assert_eq!(numbers(&of_seller(&world, &seller).await), (1..=issued).collect::<Vec<_>>());
    assert_eq!(world.dead_letters(), 0);
}

/// Counted, not timed. A credit note reads its invoice, twice, and the payment.
#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_is_three_writes_after_five_reads() {
    let world = World::new().await;
    let sale = invoiced_sale(&world, json!({"capacity": 5})).await;
    let (_, order) = world.buy(&sale, 1, "a@example.org").await;
    let due = |world: &World| world.whole.home().meter().tallies()["order order.invoice_due.v1"];
    let invoice = due(&world);
    assert_eq!((invoice.runs, invoice.round_trips), (1, 5 + 3), "{invoice:?}");
    refund(&world, &sale.organiser, &order, json!({"amount": euros(700)})).await;
    let note = due(&world);
    assert_eq!((note.runs, note.round_trips - invoice.round_trips), (2, 10), "{note:?}");
    // Without the listing.
    assert_eq!((invoice.write_units, note.write_units - invoice.write_units), (4.0, 4.0));
}
