//! What people are told by mail.

use crate::support::{World, text};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn attendees_hear_of_a_new_time_and_place_each_once() {
    let world = World::new().await;
    let sale = world.sale(100, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    // More than one page of the mailing.
    for n in 0..27 {
        let held = world.hold(&sale, 1).await;
        world.order(&held, &format!("g{n}@example.org")).await;
    }
    world.settle().await;
    let read = format!("/v1/organisations/{}/events/{}", sale.organiser.organisation, sale.event);
    let view = world.get(&read).by(&sale.organiser.token).send().await;
    let details = json!({"name": "Midsummer", "city": "Berlin", "venue": "Garden",
        "starts": {"local": world.local(jiff::SignedDuration::from_hours(900)), "zone": "Europe/Berlin"}});
    let edit = world
        .put(&format!("/v1/events/{}", sale.event))
        .by(&sale.organiser.token)
        .header("If-Match", view.header("etag"));
    edit.json(details).send().await.ok();
    world.settle().await;
    for n in 0..27 {
        let news: Vec<_> = world
            .mails_to(&format!("g{n}@example.org"))
            .into_iter()
            .filter(|mail| mail.subject.starts_with("Please note"))
            .collect();
        assert_eq!(news.len(), 1, "g{n}");
        assert_eq!(news[0].subject, "Please note: new time and place for Midsummer");
        assert!(news[0].text.as_ref().unwrap().contains("Garden, Berlin"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_service_that_is_down_delays_and_never_loses() {
    let world = World::new().await;
    let sale = world.sale(5, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    world
        .whole
        .mail()
        .switch(|switches| {
            switches.fail_next = 2;
            switches.throttle_next = 2;
        })
        .unwrap();
    world.buy(&sale, 1, "guest@example.org").await;
    assert_eq!(world.mail_to("guest@example.org").subject, "Your tickets for Midsummer");
    assert_eq!(world.dead_letters(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_never_accepted_waits_in_the_dead_letters_and_can_be_sent_again() {
    let world = World::new().await;
    let sale = world.sale(5, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    world.whole.mail().switch(|switches| switches.reject = vec!["guest@example.org".to_owned()]).unwrap();
    world.buy(&sale, 1, "guest@example.org").await;
    assert_eq!((world.mails_to("guest@example.org").len(), world.dead_letters()), (0, 1));
    world.whole.mail().switch(|switches| switches.reject.clear()).unwrap();
    world.whole.home().sqs().move_back("tessera-local-notification-dead", None).unwrap();
    world.settle().await;
    assert_eq!((world.mails_to("guest@example.org").len(), world.dead_letters()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_every_script_reach_the_mail_and_cannot_break_out_of_it() {
    let world = World::new().await;
    let sale = world.sale(5, json!({"price": {"amount": 0, "currency": "EUR"}})).await;
    for (n, name) in
        ["Zoë Žižek", "Ελένη", "Мария", "ليلى", "נועה", "आन्या", "<b>Bob</b> & Co"].iter().enumerate().take(5)
    {
        let held = world.hold(&sale, 1).await;
        let order = json!({"quote": held.hold["quote"], "contact": {"name": name, "email": format!("n{n}@example.org")}});
        world.post("/v1/orders").by(&held.token).json(order).send().await.ok();
    }
    world.settle().await;
    for (n, name) in ["Zoë Žižek", "Ελένη", "Мария", "ليلى", "נועה"].iter().enumerate() {
        let mail = world.mail_to(&format!("n{n}@example.org"));
        assert!(mail.text.as_ref().unwrap().contains(&format!("Hello {name},")));
        assert_eq!(mail.recipients, [format!("n{n}@example.org")]);
    }
    let odd = json!({"email": "odd@example.org", "password": "correct horse", "name": "<b>Bob</b> & Co"});
    world.post("/v1/accounts").json(odd).send().await.ok();
    world.settle().await;
    let mail = world.mail_to("odd@example.org");
    assert!(mail.html.unwrap().contains("&lt;b&gt;Bob&lt;&#x2f;b&gt; &amp; Co"));
    let broken =
        json!({"email": "a@b.org\r\nBcc: eve@example.org", "password": "correct horse", "name": "x"});
    let problem = world.post("/v1/accounts").json(broken).send().await.refused(400, "invalid_input");
    assert_eq!(text(&problem["errors"][0]["pointer"]), "/email");
}
