//! Transfers and cash: promised, seen, found in bank statements, reminded of, late, too much, paid back by hand.

use crate::support::{Answer, Held, Organiser, Sale, World, euros, merge, text, uuid};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tessera_local::stores::faults::Side;

const IBAN: &str = "DE89370400440532013000";

/// From now on this seller's buyers can transfer, and bring cash. Both are due after a week, and waited for a day longer.
async fn means(world: &World, seller: &Organiser, more: Value) {
    let terms = json!({"within": 168, "before": 48, "grace": 24, "remind": 24});
    let mut means = json!({"transfer": {"account": {"holder": "Kulturhaus GmbH", "iban": IBAN}, "terms": terms},
        "cash": {"place": "At the box office, from 10 to 18.", "terms": {"within": 168}}});
    merge(&mut means, more);
    let path = format!("/v1/organisations/{}/means", seller.organisation);
    let etag = world.get(&path).by(&seller.token).send().await.header("etag").to_owned();
    world.put(&path).by(&seller.token).header("If-Match", &etag).json(means).send().await.ok();
}

async fn sale(world: &World, capacity: u32) -> Sale {
    let sale = world.sale(capacity, json!({})).await;
    means(world, &sale.organiser, json!({})).await;
    sale
}

async fn open(world: &World, held: &Held, order: &Value, provider: &str) -> Answer {
    let path = format!("/v1/orders/{}/payments", text(&order["id"]));
    world.post(&path).by(&held.token).json(json!({"provider": provider})).send().await
}

/// So many places, reserved for money that was promised.
async fn reserved(world: &World, sale: &Sale, quantity: u32, provider: &str) -> (Held, Value, Value) {
    let held = world.hold(sale, quantity).await;
    let order = world.order(&held, &format!("{}@example.org", uuid())).await;
    let payment = open(world, &held, &order, provider).await.ok();
    world.settle().await;
    let order = world.read_order(&held, &order).await;
    assert_eq!(order["status"], "reserved");
    (held, order, payment)
}

async fn tell(world: &World, token: &str, payment: &Value, key: &str, receipt: Value) -> Answer {
    let path = format!("/v1/payments/{}/receipts", text(&payment["id"]));
    world.post(&path).by(token).key(key).json(receipt).send().await
}

async fn seen(world: &World, seller: &Organiser, payment: &Value) -> Value {
    world.get(&format!("/v1/payments/{}", text(&payment["id"]))).by(&seller.token).send().await.ok()
}

async fn listed(world: &World, seller: &Organiser, list: &str) -> Vec<String> {
    let path = format!("/v1/organisations/{}/payments?list={list}", seller.organisation);
    let page = world.get(&path).by(&seller.token).send().await.ok();
    page["items"].as_array().unwrap().iter().map(|payment| text(&payment["id"])).collect()
}

async fn statement(world: &World, seller: &Organiser, file: impl Into<Vec<u8>>) -> Answer {
    let path = format!("/v1/organisations/{}/statements", seller.organisation);
    world.post(&path).by(&seller.token).header("Content-Type", "text/csv").body(file.into()).send().await
}

/// A bank's CSV export.
fn csv(lines: &[(&str, &str, &str)]) -> String {
    let heading = "\"Auftragskonto\";\"Buchungstag\";\"Verwendungszweck\";\"Beguenstigter/Zahlungspflichtiger\";\"Betrag\";\"Waehrung\";\"Info\"\n";
    let line = |(day, purpose, amount): &(&str, &str, &str)| {
        format!(
            "\"{IBAN}\";\"{day}\";\"{purpose}\";\"Grace Hopper\";\"{amount}\";\"EUR\";\"Umsatz gebucht\"\n"
        )
    };
    lines.iter().fold(heading.to_owned(), |file, known| file + &line(known))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promised_transfer_keeps_the_places_and_its_money_makes_the_tickets() {
    let world = World::new().await;
    let sale = sale(&world, 3).await;
    let seller = &sale.organiser;
    let held = world.hold(&sale, 2).await;
    let order = world.order(&held, "a@example.org").await;
    let path = format!("/v1/orders/{}/payments", text(&order["id"]));
    let offered = world.get(&path).by(&held.token).send().await.ok()["offered"].clone();
    assert_eq!(offered, json!(["stripe", "razorpay", "transfer", "cash"]));
    let payment = open(&world, &held, &order, "transfer").await.ok();
    assert_eq!((&payment["status"], &payment["remaining"]), (&json!("promised"), &euros(0)));
    let promise = &payment["promise"];
    let reference = text(&promise["reference"]);
    assert!(reference.starts_with("TS-"), "{reference}");
    assert_eq!(promise["to"]["account"], json!({"holder": "Kulturhaus GmbH", "iban": IBAN}));
    // Asked again, also after it was booked, it is the same promise.
    assert_eq!(open(&world, &held, &order, "transfer").await.ok()["promise"], *promise);
    world.settle().await;
    assert_eq!(open(&world, &held, &order, "transfer").await.ok()["promise"], *promise);
    open(&world, &held, &order, "stripe").await.refused(409, "wrong_state");

    let reserved = world.read_order(&held, &order).await;
    assert_eq!((&reserved["status"], &reserved["pay_until"]), (&json!("reserved"), &promise["until"]));
    let booking = format!("/v1/bookings/{}", text(&reserved["booking"]));
    assert_eq!(world.get(&booking).by(&held.token).send().await.ok()["status"], "reserved");
    assert!(world.tickets(&held, &order).await.is_empty(), "not before it is paid");
    assert_eq!(world.left(&sale).await, 1, "nobody else gets them");
    let mail = world.mail_to("a@example.org");
    assert!(mail.subject.starts_with("Please pay until"), "{}", mail.subject);
    let told = mail.text.unwrap();
    for wanted in [reference.as_str(), "DE89 3704 0044 0532 0130 00", "50.00 EUR", "Kulturhaus GmbH"] {
        assert!(told.contains(wanted), "{wanted} in {told}");
    }
    assert_eq!(listed(&world, seller, "awaited").await, [text(&payment["id"])]);

    // A part of it, told by hand and repeated; then the rest and two euros too much, from the bank.
    let part = json!({"amount": euros(2000), "note": "half of it"});
    for _ in 0..2 {
        let told = tell(&world, &seller.token, &payment, "first", part.clone()).await;
        assert_eq!((told.status, &told.body["promise"]["received"]), (201, &euros(2000)));
    }
    tell(&world, &seller.token, &payment, "first", json!({"amount": euros(1)}))
        .await
        .refused(422, "key_reused");
    world.settle().await;
    assert_eq!(world.read_order(&held, &order).await["status"], "reserved");
    let file = csv(&[("02.06.27", &format!("{} Tickets Grace", reference.replace('-', " ")), "32,00")]);
    let read = statement(&world, seller, file.clone()).await.ok();
    let matched = &read["matched"][0];
    assert_eq!(
        (&matched["payment"], &matched["status"], &matched["known"]),
        (&payment["id"], &json!("captured"), &json!(false))
    );
    world.settle().await;
    assert_eq!(statement(&world, seller, file).await.ok()["matched"][0]["known"], true);

    let paid = world.read_order(&held, &order).await;
    assert_eq!(paid["status"], "confirmed");
    let steps: Vec<&str> =
        paid["history"].as_array().unwrap().iter().map(|step| step["what"].as_str().unwrap()).collect();
    assert!(steps.starts_with(&["placed", "reserved"]) && steps.contains(&"paid"), "{steps:?}");
    assert_eq!(world.tickets(&held, &order).await.len(), 2);
    assert_eq!(world.mail_to("a@example.org").attachments.len(), 3);
    let known = seen(&world, seller, &payment).await;
    assert_eq!((&known["status"], &known["promise"]["surplus"]), (&json!("captured"), &euros(200)));
    assert_eq!(known["receipts"].as_array().unwrap().len(), 2);
    let buyers =
        world.get(&format!("/v1/payments/{}", text(&payment["id"]))).by(&held.token).send().await.ok();
    assert_eq!(buyers["receipts"], Value::Null, "the seller's notes are the seller's");
    let (accounts, entries) = world.books(seller).await;
    assert_eq!((accounts["provider:transfer"], accounts["deposits"], accounts["sales"]), (5200, -200, -5000));
    assert_eq!(entries.len(), 3);

    // What was over goes back.
    assert_eq!(listed(&world, seller, "owed").await, [text(&payment["id"])]);
    let out = |amount| json!({"way": "out", "amount": euros(amount)});
    let refused =
        tell(&world, &seller.token, &payment, "back", out(201)).await.refused(409, "refund_too_large");
    assert_eq!(refused["remaining"], euros(200));
    tell(&world, &seller.token, &payment, "back", out(200)).await.ok();
    world.settle().await;
    assert!(listed(&world, seller, "owed").await.is_empty());
    let (accounts, _) = world.books(seller).await;
    assert_eq!((accounts["provider:transfer"], accounts.get("deposits")), (5000, None));
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_pay_is_reminded_then_loses_the_places_and_late_money_goes_back() {
    let world = World::new().await;
    let sale = sale(&world, 2).await;
    let held = world.hold(&sale, 2).await;
    let order = world.order(&held, "slow@example.org").await;
    let payment = open(&world, &held, &order, "transfer").await.ok();
    world.settle().await;
    let mails = || world.mails_to("slow@example.org");
    let reminders = || mails().iter().filter(|mail| mail.subject.starts_with("Still to be paid")).count();
    world.advance(SignedDuration::from_hours(143)).await;
    world.settle().await;
    assert_eq!(reminders(), 0);
    let seller = world.sign_in("organiser", &sale.organiser).await;
    tell(&world, &seller.token, &payment, "part", json!({"amount": euros(1000)})).await.ok();
    world.advance(SignedDuration::from_hours(2)).await;
    world.settle().await;
    assert_eq!(reminders(), 1);
    let told = world.mail_to("slow@example.org").text.unwrap();
    assert!(told.contains("A part of the money has arrived") && told.contains("40.00 EUR"), "{told}");
    // Due since a few hours, and still waited for.
    world.advance(SignedDuration::from_hours(30)).await;
    world.settle().await;
    assert_eq!((reminders(), world.left(&sale).await), (1, 0));
    world.advance(SignedDuration::from_hours(18)).await;
    world.settle().await;
    assert_eq!(world.left(&sale).await, 2, "they are anybody's");
    let mail = world.mail_to("slow@example.org");
    let text_of = mail.text.unwrap();
    assert!(mail.subject.starts_with("Cancelled") && text_of.contains("not paid in time"), "{text_of}");
    assert!(!text_of.contains("What you paid"), "{text_of}");

    // Somebody else has them when the rest comes: all of it goes back, by hand.
    world.buy(&sale, 2, "quick@example.org").await;
    let seller = world.sign_in("organiser", &sale.organiser).await;
    assert_eq!(listed(&world, &seller, "owed").await, [text(&payment["id"])]);
    let known = seen(&world, &seller, &payment).await;
    assert_eq!((&known["status"], &known["promise"]["surplus"]), (&json!("voided"), &euros(1000)));
    tell(&world, &seller.token, &payment, "rest", json!({"amount": euros(4000)})).await.ok();
    world.settle().await;
    let known = seen(&world, &seller, &payment).await;
    assert_eq!(known["refunds"][0]["status"], "due");
    let refund =
        format!("/v1/payments/{}/refunds/{}", text(&payment["id"]), text(&known["refunds"][0]["id"]));
    for _ in 0..2 {
        let made = world.post(&format!("{refund}/made")).by(&seller.token).send().await.ok();
        assert_eq!(made["status"], "done");
    }
    world.settle().await;
    assert_eq!(seen(&world, &seller, &payment).await["status"], "refunded");
    assert!(listed(&world, &seller, "owed").await.is_empty());
    let (accounts, _) = world.books(&seller).await;
    assert_eq!(
        (accounts.get("provider:transfer"), accounts.get("deposits"), accounts["sales"]),
        (None, None, -5000)
    );
    assert_eq!(world.sold(&Sale { organiser: seller, ..sale }).await, 2);
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cash_is_taken_by_gate_staff_who_have_no_say_in_other_money() {
    let world = World::new().await;
    let sale = sale(&world, 5).await;
    let gate = world.organiser("gate").await;
    let member = format!("/v1/organisations/{}/members/{}", sale.organiser.organisation, gate.account);
    world.put(&member).by(&sale.organiser.token).json(json!({"rights": {"role": "gate"}})).send().await.ok();
    let (held, order, cash) = reserved(&world, &sale, 1, "cash").await;
    let (_, _, transfer) = reserved(&world, &sale, 1, "transfer").await;
    assert_eq!(cash["promise"]["to"]["place"], "At the box office, from 10 to 18.");

    let all = json!({"amount": euros(2500)});
    let find = |payment: &Value| {
        let reference = text(&payment["promise"]["reference"]).replace('-', "").to_lowercase();
        format!("/v1/organisations/{}/payments/{reference}", sale.organiser.organisation)
    };
    assert_eq!(world.get(&find(&cash)).by(&gate.token).send().await.ok()["id"], cash["id"]);
    world.get(&find(&transfer)).by(&gate.token).send().await.refused(403, "forbidden");
    assert_eq!(world.get(&find(&transfer)).by(&sale.organiser.token).send().await.ok()["id"], transfer["id"]);
    tell(&world, &gate.token, &transfer, "x", all.clone()).await.refused(403, "forbidden");
    let stranger = world.organiser("stranger").await;
    tell(&world, &stranger.token, &cash, "x", all.clone()).await.refused(404, "not_found");
    tell(&world, &held.token, &cash, "x", all.clone()).await.refused(401, "unauthenticated");
    world.get(&find(&cash)).by(&stranger.token).send().await.refused(404, "not_found");
    let elsewhere = find(&cash).replace(&sale.organiser.organisation, &stranger.organisation);
    world.get(&elsewhere).by(&stranger.token).send().await.refused(404, "not_found");
    for path in ["payments?list=awaited", "means"] {
        let path = format!("/v1/organisations/{}/{path}", sale.organiser.organisation);
        world.get(&path).by(&gate.token).send().await.refused(403, "forbidden");
    }

    assert_eq!(tell(&world, &gate.token, &cash, "paid", all).await.status, 201);
    world.settle().await;
    assert_eq!(world.tickets(&held, &order).await.len(), 1);
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
    assert_eq!(world.books(&sale.organiser).await.0["provider:cash"], 2500);
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_says_what_it_could_not_find() {
    let world = World::new().await;
    let sale = sale(&world, 20).await;
    let seller = &sale.organiser;
    let (held, order, first) = reserved(&world, &sale, 1, "transfer").await;
    let (_, _, second) = reserved(&world, &sale, 2, "transfer").await;
    let (_, _, third) = reserved(&world, &sale, 3, "transfer").await;
    let reference = |payment: &Value| text(&payment["promise"]["reference"]);
    let both = format!("{} {}", reference(&first), reference(&second));
    let file = csv(&[
        ("01.06.27", &reference(&first), "25,00"),
        ("02.06.27", "Tickets", "50,00"),
        ("02.06.27", &both, "75,00"),
        ("03.06.27", &reference(&second), "-1,00"),
        ("03.06.27", "Miete", "-900,00"),
        ("04.06.27", "TS-2222-2222-2", "1,00"),
    ]);
    let read = statement(&world, seller, file).await.ok();
    assert_eq!(read["matched"].as_array().unwrap().len(), 1);
    assert_eq!(read["matched"][0]["line"]["counterparty"], "Grace Hopper");
    assert_eq!(read["ignored"], 1);
    let rest: Vec<(&str, usize)> = read["rest"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rest| (rest["question"].as_str().unwrap(), rest["candidates"].as_array().unwrap().len()))
        .collect();
    assert_eq!(rest, [("no_reference", 1), ("several_references", 2), ("not_owed", 1), ("no_reference", 0)]);
    assert_eq!(read["rest"][0]["candidates"][0], second["id"], "it waits for just that much");

    // Told by hand, then in a statement: perhaps the same money.
    tell(&world, &seller.token, &third, "hand", json!({"amount": euros(7500)})).await.ok();
    let file = csv(&[("05.06.27", &reference(&third), "75,00")]);
    assert_eq!(statement(&world, seller, file).await.ok()["rest"][0]["question"], "seen_before");
    world.settle().await;

    // A refund that was paid back is found by its amount.
    let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
    world.post(&cancel).by(&held.token).send().await.ok();
    world.settle().await;
    let file = csv(&[("06.06.27", &format!("{} zurueck", reference(&first)), "-25,00")]);
    let read = statement(&world, seller, file.clone()).await.ok();
    assert_eq!(
        (&read["matched"][0]["status"], &read["matched"][0]["known"]),
        (&json!("refunded"), &json!(false))
    );
    assert_eq!(statement(&world, seller, file).await.ok()["matched"][0]["known"], true);
    world.settle().await;
    let (accounts, entries) = world.books(seller).await;
    assert_eq!((accounts["provider:transfer"], accounts["sales"], entries.len()), (7500, -7500, 5));

    // Not a statement, not of this account, not of somebody who may, too large.
    let problem = statement(&world, seller, "a,b\n1,2\n").await.refused(400, "invalid_input");
    assert!(problem["errors"][0]["detail"].as_str().unwrap().len() > 20, "{problem}");
    let other = csv(&[("01.06.27", "x", "1,00")]).replace(IBAN, "DE02120300000000202051");
    statement(&world, seller, other).await.refused(400, "invalid_input");
    statement(&world, seller, vec![b'x'; 4_000_001]).await.refused(413, "too_large");
    let stranger = world.organiser("stranger").await;
    let foreign = Organiser { token: stranger.token.clone(), ..seller.clone() };
    statement(&world, &foreign, csv(&[])).await.refused(404, "not_found");
    statement(&world, &stranger, csv(&[("01.06.27", "x", "1,00")])).await.refused(409, "wrong_state");
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_offered_or_too_late_is_said_before_anything_is_promised() {
    let world = World::new().await;
    let sale = world.sale(5, json!({})).await;
    let held = world.hold(&sale, 1).await;
    let order = world.order(&held, "a@example.org").await;
    open(&world, &held, &order, "transfer").await.refused(400, "invalid_input");
    // The event is thirty days ahead.
    let terms = json!({"within": 168, "before": 24 * 30});
    let account = json!({"holder": "Kulturhaus GmbH", "iban": IBAN});
    means(&world, &sale.organiser, json!({"transfer": {"account": account, "terms": terms}})).await;
    open(&world, &held, &order, "transfer").await.refused(409, "wrong_state");
    assert_eq!(world.read_order(&held, &order).await["status"], "pending");
    let path = format!("/v1/organisations/{}/means", sale.organiser.organisation);
    let wrong = json!({"transfer": {"account": {"holder": "K", "iban": "DE00"}, "terms": {"within": 1}}});
    let put =
        |body| world.put(&path).by(&sale.organiser.token).header("If-Match", "\"v1\"").json(body).send();
    assert_eq!(
        put(wrong).await.refused(400, "invalid_input")["errors"][0]["pointer"],
        "/transfer/account/iban"
    );
    let wrong = json!({"cash": {"place": "x", "terms": {"within": 9999}}});
    assert_eq!(put(wrong).await.refused(400, "invalid_input")["errors"][0]["pointer"], "/cash/terms/within");
    put(json!({})).await.ok();
    open(&world, &held, &order, "cash").await.refused(400, "invalid_input");
    // A card still pays it.
    let payment = world.payment(&held, &order).await;
    world.pay(&payment, "pm_card_visa");
    world.settle().await;
    open(&world, &held, &order, "cash").await.refused(409, "wrong_state");
    let key = json!({"amount": euros(2500)});
    tell(&world, &sale.organiser.token, &payment, "x", key).await.refused(409, "wrong_state");
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_card_and_a_promise_one_has_the_places_and_the_other_is_let_go() {
    let world = World::new().await;
    let sale = sale(&world, 10).await;
    for card_first in [true, false] {
        let held = world.hold(&sale, 1).await;
        let order = world.order(&held, &format!("{}@example.org", uuid())).await;
        let card = world.payment(&held, &order).await;
        if card_first {
            world.pay(&card, "pm_card_visa");
        }
        let promised = open(&world, &held, &order, "transfer").await;
        if !card_first {
            world.pay(&card, "pm_card_visa");
        }
        world.settle().await;
        let status = world.read_order(&held, &order).await["status"].clone();
        let card = seen(&world, &sale.organiser, &card).await["status"].clone();
        let promise = match promised.status {
            201 => seen(&world, &sale.organiser, &promised.body).await["status"].clone(),
            _ => Value::Null,
        };
        let ends = [
            (json!("confirmed"), json!("captured"), json!("voided")),
            (json!("confirmed"), json!("captured"), Value::Null),
            (json!("reserved"), json!("voided"), json!("promised")),
        ];
        assert!(ends.contains(&(status.clone(), card.clone(), promise.clone())), "{status} {card} {promise}");
    }
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_who_tell_of_the_same_money_tell_of_it_once_and_who_cancels_meanwhile_gets_it_back() {
    let world = World::new().await;
    let sale = sale(&world, 20).await;
    let seller = &sale.organiser;
    let (held, order, payment) = reserved(&world, &sale, 1, "transfer").await;
    let all = json!({"amount": euros(2500)});
    let told = join_all((0..10).map(|_| tell(&world, &seller.token, &payment, "same", all.clone()))).await;
    assert!(told.iter().all(|told| told.status == 201), "{told:?}");
    world.settle().await;
    assert_eq!(seen(&world, seller, &payment).await["receipts"].as_array().unwrap().len(), 1);
    assert_eq!(world.tickets(&held, &order).await.len(), 1);
    let mut kept = 1;
    for _ in 0..6 {
        let (held, order, payment) = reserved(&world, &sale, 1, "transfer").await;
        let cancel = format!("/v1/bookings/{}/cancel", text(&order["booking"]));
        let (told, cancelled) = tokio::join!(
            tell(&world, &seller.token, &payment, "all", all.clone()),
            world.post(&cancel).by(&held.token).send()
        );
        assert_eq!((told.status, cancelled.status), (201, 200));
        world.settle().await;
        let known = seen(&world, seller, &payment).await;
        let tickets = world.tickets(&held, &order).await;
        assert!(tickets.iter().all(|ticket| ticket["status"] != "valid"), "{tickets:?}");
        assert_eq!(world.read_order(&held, &order).await["status"], "cancelled");
        // Whichever came first: all of it is owed back.
        assert_eq!((&known["status"], &known["refunds"][0]["amount"]), (&json!("captured"), &euros(2500)));
        kept += 1;
    }
    let (accounts, _) = world.books(seller).await;
    assert_eq!((accounts["provider:transfer"], accounts["sales"]), (2500 * kept, -2500 * kept));
    assert_eq!(world.sold(&sale).await, 1);
    assert_eq!(world.dead_letters(), 0);
}

/// From the promise to the tickets, with a crash at a store call of either half.
async fn paid_with_a_crash(world: &World, sale: &Sale, half: usize, crash: Option<(u64, Side)>) -> u64 {
    let of = |nth: usize| crash.filter(|_| half == nth);
    let held = world.hold(sale, 1).await;
    let order = world.order(&held, &format!("{}@example.org", uuid())).await;
    let promising = world.crashing(of(0), async || open(world, &held, &order, "transfer").await).await;
    let payment = open(world, &held, &order, "transfer").await.ok();
    let order = world.read_order(&held, &order).await;
    assert_eq!(order["status"], "reserved", "{crash:?}");
    let seller = world.sign_in("organiser", &sale.organiser).await;
    let all = json!({"amount": euros(2500)});
    let telling =
        world.crashing(of(1), async || tell(world, &seller.token, &payment, "all", all.clone()).await).await;
    assert_eq!(world.read_order(&held, &order).await["status"], "confirmed", "{crash:?}");
    assert_eq!(world.tickets(&held, &order).await.len(), 1, "{crash:?}");
    [promising, telling][half]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_from_promising_to_the_tickets_loses_and_doubles_nothing() {
    let world = World::new().await;
    let sale = sale(&world, 1_000).await;
    let mut paid = 0;
    for half in [0, 1] {
        let calls = paid_with_a_crash(&world, &sale, half, None).await;
        paid += 1;
        // Nobody but the store is asked on the way: before a call is after the one before it.
        for step in 1..=calls {
            paid_with_a_crash(&world, &sale, half, Some((step, Side::After))).await;
            paid += 1;
        }
    }
    let seller = world.sign_in("organiser", &sale.organiser).await;
    assert_eq!(world.sold(&Sale { organiser: seller.clone(), ..sale.clone() }).await, paid);
    let from = world.whole.clock().now() - SignedDuration::from_hours(24);
    let until = world.whole.clock().now() + SignedDuration::from_hours(1);
    let path =
        format!("/v1/organisations/{}/revenue?from={from}&until={until}&by=provider", seller.organisation);
    let rows = world.get(&path).by(&seller.token).send().await.ok();
    assert_eq!(rows["rows"][0]["paid"], 2500 * paid);
    assert!(listed(&world, &seller, "awaited").await.is_empty());
    assert_eq!(world.dead_letters(), 0);
}
