//! Standard queues: sending, receiving, visibility, waiting and expiry.

use std::time::Duration;

use crate::home::{Home, START_MS, code, system};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeName as System, MessageSystemAttributeNameForSends,
    MessageSystemAttributeValue, QueueAttributeName,
};
use tessera_sqs::{NewMessage, Receive};

/// When a test gives up on what must come. It is less than the wait of a poll, at whose end even a poll that was
/// not woken finds what is there; nothing else is measured by it.
const HANG_GUARD: Duration = Duration::from_secs(15);

fn text(kind: &str, value: &str) -> MessageAttributeValue {
    MessageAttributeValue::builder().data_type(kind).string_value(value).build().unwrap()
}

fn binary(value: &[u8]) -> MessageAttributeValue {
    MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new(value)).build().unwrap()
}

#[tokio::test]
async fn a_message_is_received_with_its_body_id_times_and_checksum() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    // The SDK itself compares MD5OfMessageBody and MD5OfBody with what it sent and got.
    let id = home.send(&url, "hello äöü \t\r\n 🎫").await;
    home.pass_ms(250);
    let [message] = home.receive(&url).await.try_into().unwrap();
    assert_eq!(message.message_id.as_ref(), Some(&id));
    assert_eq!(message.body.as_deref(), Some("hello äöü \t\r\n 🎫"));
    assert_eq!(system(&message, System::SentTimestamp), Some(START_MS.to_string()));
    let first = Some((START_MS + 250).to_string());
    assert_eq!(system(&message, System::ApproximateFirstReceiveTimestamp), first);
    assert_eq!(system(&message, System::ApproximateReceiveCount).as_deref(), Some("1"));
    assert_eq!(system(&message, System::SequenceNumber), None);
    home.pass_seconds(31);
    let [again] = home.receive(&url).await.try_into().unwrap();
    assert_eq!(system(&again, System::ApproximateFirstReceiveTimestamp), first);
    assert_eq!(system(&again, System::ApproximateReceiveCount).as_deref(), Some("2"));
    assert_ne!(again.receipt_handle, message.receipt_handle);
}

#[tokio::test]
async fn checksums_are_those_of_the_published_algorithm() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    let sent = home.client.send_message().queue_url(&url).message_body("hello");
    let sent = sent
        .message_attributes("Size", text("Number.int", "42"))
        .message_attributes("City", text("String", "Wien"))
        .message_attributes("Raw", binary(&[0, 1, 255]))
        .send()
        .await
        .unwrap();
    assert_eq!(sent.md5_of_message_body.as_deref(), Some("5d41402abc4b2a76b9719d911017c592"));
    assert_eq!(sent.md5_of_message_attributes.as_deref(), Some(ALL_THREE));
    let [message] = home.receive(&url).await.try_into().unwrap();
    assert_eq!(message.md5_of_message_attributes.as_deref(), Some(ALL_THREE));
    let attributes = message.message_attributes.unwrap();
    assert_eq!(attributes["City"].string_value(), Some("Wien"));
    assert_eq!(attributes["Size"].data_type(), "Number.int");
    assert_eq!(attributes["Raw"].binary_value().unwrap().as_ref(), [0, 1, 255]);
}

/// Computed apart, with Python's hashlib, over City, Raw and Size.
const ALL_THREE: &str = "ffb50c04171de94c2ab9d877bdf8a7ca";
/// The same over City alone.
const CITY_ALONE: &str = "d9ea6561a4e4f020ad608cd1b456ab93";

#[tokio::test]
async fn only_the_message_attributes_asked_for_are_returned() {
    let home = Home::new().await;
    let url = home.queue("orders", &[("VisibilityTimeout", "0")]).await;
    let send = home.client.send_message().queue_url(&url).message_body("x");
    let send = send.message_attributes("City", text("String", "Wien"));
    send.message_attributes("trace.id", text("String", "7")).send().await.unwrap();
    for (asked, expected) in [("City", Some("City")), ("trace.*", Some("trace.id")), ("Other", None)] {
        let receive = home.client.receive_message().queue_url(&url).message_attribute_names(asked);
        let message = receive.send().await.unwrap().messages.unwrap().remove(0);
        let names: Vec<String> = message.message_attributes.unwrap_or_default().into_keys().collect();
        assert_eq!(names, expected.into_iter().collect::<Vec<_>>(), "{asked}");
        assert_eq!(message.attributes, None);
        if asked == "City" {
            assert_eq!(message.md5_of_message_attributes.as_deref(), Some(CITY_ALONE));
        }
    }
}

#[tokio::test]
async fn the_trace_header_travels_with_the_message() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    let trace = MessageSystemAttributeValue::builder().data_type("String").string_value("Root=1-2-3");
    let send = home.client.send_message().queue_url(&url).message_body("x");
    let sent = send
        .message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, trace.build().unwrap())
        .send()
        .await
        .unwrap();
    assert!(sent.md5_of_message_system_attributes.is_some());
    let [message] = home.receive(&url).await.try_into().unwrap();
    assert_eq!(system(&message, System::AwsTraceHeader).as_deref(), Some("Root=1-2-3"));
}

#[tokio::test]
async fn contents_sqs_refuses_are_refused() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    let send = || home.client.send_message().queue_url(&url);
    assert_eq!(code(send().message_body("").send().await), "MissingParameter");
    for bad in ["\u{0}", "a\u{b}", "\u{fffe}", "\u{ffff}"] {
        let refusal = send().message_body(bad).send().await.unwrap_err().into_service_error();
        assert!(refusal.is_invalid_message_contents(), "{bad:?}");
    }
    for (name, value) in [
        ("AWS.name", text("String", "x")),
        (".dot", text("String", "x")),
        ("two..dots", text("String", "x")),
        ("spaced name", text("String", "x")),
        ("empty", text("String", "")),
        ("kind", text("Text", "x")),
        ("number", text("Number", "many")),
    ] {
        let answer = send().message_body("x").message_attributes(name, value).send().await;
        assert_eq!(code(answer), "InvalidParameterValue", "{name}");
    }
    let mut eleven = send().message_body("x");
    for number in 0..11 {
        eleven = eleven.message_attributes(format!("a{number}"), text("String", "x"));
    }
    assert_eq!(code(eleven.send().await), "InvalidParameterValue");
    assert_eq!(code(send().message_body("x").delay_seconds(901).send().await), "InvalidParameterValue");
    assert_eq!(
        code(send().message_body("x").message_deduplication_id("d").send().await),
        "InvalidParameterValue"
    );
    assert_eq!(home.counts(&url).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_message_may_have_one_mebibyte_and_not_a_byte_more() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    let most = "x".repeat(1_048_576);
    home.send(&url, &most).await;
    assert_eq!(home.bodies(&url).await, std::slice::from_ref(&most));
    let more = home.client.send_message().queue_url(&url).message_body(most + "x");
    assert_eq!(code(more.send().await), "InvalidParameterValue");
    let small = home.queue("small", &[("MaximumMessageSize", "1024")]).await;
    let send = home.client.send_message().queue_url(&small).message_body("x".repeat(1_024));
    assert_eq!(
        code(send.clone().message_attributes("a", text("String", "b")).send().await),
        "InvalidParameterValue"
    );
    assert_eq!(code(send.send().await), "accepted");
}

#[tokio::test]
async fn a_received_message_is_invisible_until_its_timeout() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    home.send(&url, "one").await;
    assert_eq!(home.bodies(&url).await, ["one"]);
    home.pass_ms(29_999);
    assert_eq!(home.counts(&url).await, [0, 1, 0]);
    assert!(home.receive(&url).await.is_empty());
    home.pass_ms(1);
    assert_eq!(home.counts(&url).await, [1, 0, 0]);
    let receive = home.client.receive_message().queue_url(&url).visibility_timeout(3);
    assert_eq!(receive.send().await.unwrap().messages().len(), 1);
    home.pass_seconds(3);
    assert_eq!(home.bodies(&url).await, ["one"]);
}

#[tokio::test]
async fn a_visibility_timeout_of_zero_returns_each_message_once_per_receive() {
    let home = Home::new().await;
    let url = home.queue("orders", &[("VisibilityTimeout", "0")]).await;
    home.send(&url, "one").await;
    home.send(&url, "two").await;
    assert_eq!(home.bodies(&url).await, ["one", "two"]);
    assert_eq!(home.bodies(&url).await, ["one", "two"]);
}

#[tokio::test]
async fn a_receive_takes_as_many_as_asked_and_at_most_ten() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    for number in 0..13 {
        home.send(&url, &number.to_string()).await;
    }
    let one = home.client.receive_message().queue_url(&url).send().await.unwrap();
    assert_eq!(one.messages().len(), 1);
    assert_eq!(home.receive_most(&url, 10).await.len(), 10);
    assert_eq!(home.receive_most(&url, 10).await.len(), 2);
    let receive = || home.client.receive_message().queue_url(&url);
    for answer in [
        receive().max_number_of_messages(0).send().await,
        receive().max_number_of_messages(11).send().await,
        receive().wait_time_seconds(21).send().await,
        receive().visibility_timeout(43_201).send().await,
    ] {
        assert_eq!(code(answer), "InvalidParameterValue");
    }
    let unknown = receive().message_system_attribute_names(System::from("Colour")).send().await;
    assert_eq!(code(unknown), "InvalidAttributeName");
}

#[tokio::test]
async fn a_deleted_message_never_comes_back_and_deleting_it_again_is_no_error() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    home.send(&url, "one").await;
    let [message] = home.receive(&url).await.try_into().unwrap();
    home.delete(&url, &message).await;
    home.delete(&url, &message).await;
    home.pass_seconds(60);
    assert!(home.receive(&url).await.is_empty());
    assert_eq!(home.counts(&url).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_late_delete_works_until_someone_else_has_received_the_message() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    home.send(&url, "one").await;
    let [first] = home.receive(&url).await.try_into().unwrap();
    home.pass_seconds(31);
    let [second] = home.receive(&url).await.try_into().unwrap();
    home.delete(&url, &first).await;
    assert_eq!(home.counts(&url).await, [0, 1, 0], "the stale handle deletes nothing");
    home.pass_seconds(31);
    home.delete(&url, &second).await;
    assert_eq!(home.counts(&url).await, [0, 0, 0], "the newest handle deletes even after its timeout");
}

#[tokio::test]
async fn a_handle_of_another_queue_or_of_nobody_is_invalid() {
    let home = Home::new().await;
    let (url, other) = (home.queue("orders", &[]).await, home.queue("other", &[]).await);
    home.send(&url, "one").await;
    let [message] = home.receive(&url).await.try_into().unwrap();
    for (queue, handle) in [(&url, "nonsense"), (&other, message.receipt_handle.as_deref().unwrap())] {
        let delete = home.client.delete_message().queue_url(queue).receipt_handle(handle).send().await;
        assert!(delete.unwrap_err().into_service_error().is_receipt_handle_is_invalid());
        let change = home.client.change_message_visibility().queue_url(queue).receipt_handle(handle);
        let change = change.visibility_timeout(1).send().await;
        assert!(change.unwrap_err().into_service_error().is_receipt_handle_is_invalid());
    }
}

#[tokio::test]
async fn changing_visibility_shortens_and_lengthens_the_timeout() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    home.send(&url, "one").await;
    let [message] = home.receive(&url).await.try_into().unwrap();
    let change = |seconds| {
        let handle = message.receipt_handle.clone().unwrap();
        let change = home.client.change_message_visibility().queue_url(&url).receipt_handle(handle);
        change.visibility_timeout(seconds).send()
    };
    change(100).await.unwrap();
    home.pass_seconds(99);
    assert!(home.receive(&url).await.is_empty());
    assert_eq!(code(change(43_200).await), "InvalidParameterValue", "twelve hours count from the receipt");
    assert_eq!(code(change(43_201).await), "InvalidParameterValue");
    change(0).await.unwrap();
    let late = change(10).await.unwrap_err().into_service_error();
    assert!(late.is_message_not_inflight(), "{late:?}");
    let [again] = home.receive(&url).await.try_into().unwrap();
    assert_eq!(code(change(10).await), "InvalidParameterValue", "a stale handle");
    home.delete(&url, &again).await;
    assert_eq!(code(change(10).await), "InvalidParameterValue", "a deleted message");
}

#[tokio::test]
async fn a_delay_of_the_message_wins_over_that_of_the_queue() {
    let home = Home::new().await;
    let url = home.queue("orders", &[("DelaySeconds", "10")]).await;
    home.send(&url, "queue's").await;
    let own = home.client.send_message().queue_url(&url).message_body("own").delay_seconds(20);
    own.send().await.unwrap();
    let none = home.client.send_message().queue_url(&url).message_body("none").delay_seconds(0);
    none.send().await.unwrap();
    assert_eq!(home.bodies(&url).await, ["none"]);
    assert_eq!(home.counts(&url).await, [0, 1, 2]);
    home.pass_seconds(10);
    assert_eq!(home.bodies(&url).await, ["queue's"]);
    home.pass_seconds(10);
    assert_eq!(home.bodies(&url).await, ["own"]);
}

#[tokio::test]
async fn messages_expire_after_the_retention_period_in_any_state() {
    let home = Home::new().await;
    let url = home.queue("orders", &[("MessageRetentionPeriod", "70")]).await;
    home.send(&url, "in flight").await;
    home.receive(&url).await;
    home.send(&url, "ready").await;
    home.pass_ms(69_999);
    assert_eq!(home.counts(&url).await, [2, 0, 0]);
    // This receive also deletes what has expired; what expires just after it must be passed over all the same.
    home.receive(&home.queue("other", &[]).await).await;
    home.pass_ms(1);
    assert_eq!(home.counts(&url).await, [0, 0, 0]);
    assert!(home.receive(&url).await.is_empty());
    assert!(home.sqs.peek("orders", 0, 10).unwrap().is_empty());
}

#[tokio::test]
async fn a_peek_shows_messages_and_changes_nothing() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    home.send(&url, "in flight").await;
    home.receive(&url).await;
    home.send(&url, "ready").await;
    for _ in 0..2 {
        let seen = home.sqs.peek("orders", 0, 10).unwrap();
        let seen: Vec<_> =
            seen.iter().map(|m| (m.body.as_str(), m.receive_count, &m.receipt_handle)).collect();
        assert_eq!(seen, [("in flight", 1, &None), ("ready", 0, &None)]);
    }
    assert_eq!(home.sqs.peek("orders", 1, 10).unwrap().len(), 1);
    assert_eq!(home.sqs.peek("orders", 0, 1).unwrap().len(), 1);
    assert_eq!(home.counts(&url).await, [1, 1, 0]);
}

#[tokio::test]
async fn a_long_poll_over_http_gets_a_message_sent_while_it_waits() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    let poll = home.client.receive_message().queue_url(&url).wait_time_seconds(20).send();
    let (got, ()) = tokio::join!(tokio::time::timeout(HANG_GUARD, poll), async {
        // Whether the poll is registered by now or not, it must see the message.
        tokio::time::sleep(Duration::from_millis(50)).await;
        home.send(&url, "at last").await;
    });
    assert_eq!(got.expect("it did not wake").unwrap().messages()[0].body(), Some("at last"));
}

#[tokio::test]
async fn the_wait_time_of_the_queue_holds_when_none_is_asked() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    let set = home.client.set_queue_attributes().queue_url(&url);
    set.attributes(QueueAttributeName::ReceiveMessageWaitTimeSeconds, "20").send().await.unwrap();
    let (got, ()) = tokio::join!(home.client.receive_message().queue_url(&url).send(), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        home.send(&url, "waited for").await;
    });
    assert_eq!(got.unwrap().messages().len(), 1);
}

/// Two pollers answer each other on two threads. A message arriving between a poll's reading and its falling
/// asleep would be slept through once in a while if the poll registered too late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_send_falls_between_reading_and_waiting() {
    let home = Home::new().await;
    let echo = |from: &'static str, to: &'static str| {
        home.sqs.create_queue(from, &[].into()).unwrap();
        let sqs = std::sync::Arc::clone(&home.sqs);
        async move {
            let how = Receive { wait_seconds: Some(20), ..Receive::default() };
            for round in 0..3_000 {
                let got = tokio::time::timeout(HANG_GUARD, sqs.receive(from, &how)).await;
                let got = got.unwrap_or_else(|_| panic!("slept through message {round}")).unwrap();
                sqs.delete(from, got[0].receipt_handle.as_deref().unwrap()).unwrap();
                sqs.send(to, &NewMessage::new("x")).unwrap();
            }
        }
    };
    let (ping, pong) = (echo("ping", "pong"), echo("pong", "ping"));
    home.sqs.send("ping", &NewMessage::new("x")).unwrap();
    let (ping, pong) = (tokio::spawn(ping), tokio::spawn(pong));
    ping.await.unwrap();
    pong.await.unwrap();
}
