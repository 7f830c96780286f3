//! Queues: making, finding, changing and deleting them, and what they say of themselves.

use crate::home::{Home, arn, code, policy};
use aws_sdk_sqs::types::QueueAttributeName as Name;

#[tokio::test]
async fn a_new_queue_has_the_defaults_of_sqs() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    assert_eq!(url, format!("{}/000000000000/orders", home.url));
    let all = home.attributes(&url).await;
    for (name, value) in [
        ("VisibilityTimeout", "30"),
        ("DelaySeconds", "0"),
        ("ReceiveMessageWaitTimeSeconds", "0"),
        ("MaximumMessageSize", "1048576"),
        ("MessageRetentionPeriod", "345600"),
        ("ApproximateNumberOfMessages", "0"),
        ("CreatedTimestamp", "1800000000"),
        ("LastModifiedTimestamp", "1800000000"),
        ("QueueArn", &arn("orders")),
    ] {
        assert_eq!(all.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!all.contains_key("FifoQueue"));
}

#[tokio::test]
async fn creating_a_queue_again_finds_it_unless_an_attribute_differs() {
    let home = Home::new().await;
    let url = home.queue("orders", &[("VisibilityTimeout", "45")]).await;
    assert_eq!(home.queue("orders", &[("VisibilityTimeout", "45")]).await, url);
    assert_eq!(home.queue("orders", &[]).await, url);
    let other = home.client.create_queue().queue_name("orders").attributes(Name::VisibilityTimeout, "46");
    let refusal = other.send().await.unwrap_err().into_service_error();
    assert!(refusal.is_queue_name_exists(), "{refusal:?}");
}

#[tokio::test]
async fn names_and_attributes_sqs_refuses_are_refused() {
    let home = Home::new().await;
    for name in ["", "a b", "a.b", "queue.fifo", &"a".repeat(81)] {
        let answer = home.client.create_queue().queue_name(name).send().await;
        assert_eq!(code(answer), "InvalidParameterValue", "{name:?}");
    }
    for (name, value, expected) in [
        ("VisibilityTimeout", "43201", "InvalidAttributeValue"),
        ("DelaySeconds", "901", "InvalidAttributeValue"),
        ("ReceiveMessageWaitTimeSeconds", "twenty", "InvalidAttributeValue"),
        ("MaximumMessageSize", "1048577", "InvalidAttributeValue"),
        ("MessageRetentionPeriod", "59", "InvalidAttributeValue"),
        ("ContentBasedDeduplication", "true", "InvalidAttributeName"),
        ("Colour", "red", "InvalidAttributeName"),
        ("RedrivePolicy", "nonsense", "InvalidParameterValue"),
        ("RedrivePolicy", &policy("missing", 3), "InvalidParameterValue"),
    ] {
        let create = home.client.create_queue().queue_name("q").attributes(Name::from(name), value);
        assert_eq!(code(create.send().await), expected, "{name}={value}");
    }
    let fifo = home.client.create_queue().queue_name("plain").attributes(Name::FifoQueue, "true");
    assert_eq!(code(fifo.send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn a_queue_is_found_by_name_and_missing_ones_are_named_as_such() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    let found = home.client.get_queue_url().queue_name("orders").send().await.unwrap();
    assert_eq!(found.queue_url.unwrap(), url);
    let missing = home.client.get_queue_url().queue_name("nothing").send().await.unwrap_err();
    assert!(missing.into_service_error().is_queue_does_not_exist());
    let nowhere = format!("{}/000000000000/nothing", home.url);
    let send = home.client.send_message().queue_url(&nowhere).message_body("x").send().await.unwrap_err();
    assert!(send.into_service_error().is_queue_does_not_exist());
    let receive = home.client.receive_message().queue_url(&nowhere).send().await.unwrap_err();
    assert!(receive.into_service_error().is_queue_does_not_exist());
}

#[tokio::test]
async fn queues_are_listed_by_prefix_and_in_pages() {
    let home = Home::new().await;
    for name in ["a-1", "a-2", "a-3", "b-1"] {
        home.queue(name, &[]).await;
    }
    let all = home.client.list_queues().send().await.unwrap();
    assert_eq!(all.queue_urls().len(), 4);
    let first = home.client.list_queues().queue_name_prefix("a-").max_results(2).send().await.unwrap();
    assert!(first.queue_urls().iter().map(|url| &url[url.len() - 3..]).eq(["a-1", "a-2"]));
    let token = first.next_token.unwrap();
    let next = home.client.list_queues().queue_name_prefix("a-").max_results(2).next_token(token);
    let next = next.send().await.unwrap();
    assert!(next.queue_urls().iter().map(|url| &url[url.len() - 3..]).eq(["a-3"]));
    assert_eq!(next.next_token, None);
}

#[tokio::test]
async fn changed_attributes_hold_at_once_and_are_dated() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    home.pass_seconds(7);
    let set = home.client.set_queue_attributes().queue_url(&url);
    set.attributes(Name::VisibilityTimeout, "5").send().await.unwrap();
    let all = home.attributes(&url).await;
    assert_eq!(
        (all["VisibilityTimeout"].as_str(), all["LastModifiedTimestamp"].as_str()),
        ("5", "1800000007")
    );
    home.send(&url, "one").await;
    assert_eq!(home.bodies(&url).await, ["one"]);
    home.pass_seconds(5);
    assert_eq!(home.bodies(&url).await, ["one"]);
}

#[tokio::test]
async fn only_the_attributes_asked_for_are_answered_and_unknown_ones_refused() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    let get = home.client.get_queue_attributes().queue_url(&url);
    let got = get
        .clone()
        .attribute_names(Name::QueueArn)
        .attribute_names(Name::RedrivePolicy)
        .send()
        .await
        .unwrap();
    assert_eq!(got.attributes.unwrap().into_iter().collect::<Vec<_>>(), [(Name::QueueArn, arn("orders"))]);
    assert_eq!(get.clone().send().await.unwrap().attributes, None);
    assert_eq!(code(get.attribute_names(Name::from("Colour")).send().await), "InvalidAttributeName");
}

#[tokio::test]
async fn a_deleted_queue_is_gone_with_its_messages() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    home.send(&url, "lost").await;
    home.client.delete_queue().queue_url(&url).send().await.unwrap();
    let again = home.client.delete_queue().queue_url(&url).send().await.unwrap_err();
    assert!(again.into_service_error().is_queue_does_not_exist());
    home.queue("orders", &[]).await;
    assert_eq!(home.counts(&url).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_purge_removes_messages_in_every_state_and_leaves_other_queues() {
    let home = Home::new().await;
    let (url, other) = (home.queue("orders", &[]).await, home.queue("other", &[]).await);
    home.send(&url, "in flight").await;
    home.receive(&url).await;
    home.send(&url, "ready").await;
    let delayed = home.client.send_message().queue_url(&url).message_body("later").delay_seconds(60);
    delayed.send().await.unwrap();
    home.send(&other, "stays").await;
    assert_eq!(home.counts(&url).await, [1, 1, 1]);
    home.client.purge_queue().queue_url(&url).send().await.unwrap();
    assert_eq!(home.counts(&url).await, [0, 0, 0]);
    assert_eq!(home.counts(&other).await, [1, 0, 0]);
}

#[tokio::test]
async fn the_console_sees_every_queue_with_its_counts_and_relations() {
    let home = Home::new().await;
    let (live, _) = home.with_dead_letters(3).await;
    home.send(&live, "one").await;
    let queues = home.sqs.queues().unwrap();
    assert_eq!(queues.iter().map(|queue| queue.name.as_str()).collect::<Vec<_>>(), ["dead", "live"]);
    assert_eq!(queues[0].dead_letter_sources, ["live"]);
    assert_eq!(queues[1].dead_letter_queue.as_deref(), Some("dead"));
    assert_eq!((queues[1].counts.visible, &queues[1].url), (1, &live));
}
