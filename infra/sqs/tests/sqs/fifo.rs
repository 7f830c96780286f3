//! FIFO queues: order within groups, one group not holding up another, and five minutes of deduplication.

use crate::home::{Home, code, policy, system};
use aws_sdk_sqs::types::{MessageSystemAttributeName as System, QueueAttributeName};

#[tokio::test]
async fn messages_of_a_group_arrive_in_order_with_growing_sequence_numbers() {
    let home = Home::new().await;
    let url = home.fifo("orders.fifo", &[]).await;
    assert_eq!(home.attributes(&url).await["FifoQueue"], "true");
    for body in ["1", "2", "3"] {
        home.send_in_group(&url, "a", body).await;
    }
    let got = home.receive(&url).await;
    assert!(got.iter().map(|message| message.body().unwrap()).eq(["1", "2", "3"]));
    let numbers: Vec<_> = got.iter().map(|m| system(m, System::SequenceNumber).unwrap()).collect();
    assert!(numbers.is_sorted() && numbers[0] != numbers[1], "{numbers:?}");
    assert_eq!(numbers[0].len(), 20);
    assert_eq!(system(&got[0], System::MessageGroupId).as_deref(), Some("a"));
    let sha256 = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
    assert_eq!(system(&got[0], System::MessageDeduplicationId).as_deref(), Some(sha256));
}

#[tokio::test]
async fn a_group_waits_while_one_of_its_messages_is_in_flight_and_others_go_on() {
    let home = Home::new().await;
    let url = home.fifo("orders.fifo", &[]).await;
    for (group, body) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3"), ("b", "b2")] {
        home.send_in_group(&url, group, body).await;
    }
    let [a1] = home.receive_most(&url, 1).await.try_into().unwrap();
    let [b1] = home.receive_most(&url, 1).await.try_into().unwrap();
    assert_eq!((a1.body(), b1.body()), (Some("a1"), Some("b1")));
    assert!(home.receive(&url).await.is_empty());
    home.delete(&url, &a1).await;
    assert_eq!(home.bodies(&url).await, ["a2", "a3"]);
    home.pass_seconds(30);
    assert_eq!(home.bodies(&url).await, ["a2", "b1", "a3", "b2"], "all back, in the order of their sending");
}

#[tokio::test]
async fn a_failed_message_comes_again_before_those_behind_it() {
    let home = Home::new().await;
    let url = home.fifo("orders.fifo", &[]).await;
    for body in ["1", "2"] {
        home.send_in_group(&url, "a", body).await;
    }
    let [first] = home.receive_most(&url, 1).await.try_into().unwrap();
    let back = home.client.change_message_visibility().queue_url(&url).visibility_timeout(0);
    back.receipt_handle(first.receipt_handle().unwrap()).send().await.unwrap();
    assert_eq!(home.bodies(&url).await, ["1", "2"]);
}

#[tokio::test]
async fn a_repeated_send_within_five_minutes_is_one_message() {
    let home = Home::new().await;
    let url = home.fifo("orders.fifo", &[]).await;
    let first = home.send_in_group(&url, "a", "same").await;
    home.pass_ms(299_999);
    assert_eq!(home.send_in_group(&url, "a", "same").await, first);
    assert_eq!(home.counts(&url).await, [1, 0, 0]);
    let [message] = home.receive(&url).await.try_into().unwrap();
    home.delete(&url, &message).await;
    assert_eq!(home.send_in_group(&url, "a", "same").await, first, "even when it was deleted meanwhile");
    assert!(home.receive(&url).await.is_empty());
    home.pass_ms(1);
    assert_ne!(home.send_in_group(&url, "a", "same").await, first);
    assert_eq!(home.bodies(&url).await, ["same"]);
}

#[tokio::test]
async fn an_explicit_deduplication_id_wins_over_the_content() {
    let home = Home::new().await;
    let url = home.fifo("orders.fifo", &[]).await;
    let send = |body: &str, id: &str| {
        let send = home.client.send_message().queue_url(&url).message_group_id("a");
        send.message_body(body).message_deduplication_id(id).send()
    };
    let one = send("same", "1").await.unwrap();
    let other = send("same", "2").await.unwrap();
    let repeated = send("different", "1").await.unwrap();
    assert_ne!(one.message_id, other.message_id);
    assert_eq!(one.message_id, repeated.message_id);
    assert_eq!(one.sequence_number, repeated.sequence_number);
    assert_eq!(home.bodies(&url).await, ["same", "same"]);
}

#[tokio::test]
async fn deduplication_may_be_told_to_look_at_each_group_apart() {
    let home = Home::new().await;
    let wide = home.fifo("wide.fifo", &[]).await;
    let narrow = home.fifo("narrow.fifo", &[("DeduplicationScope", "messageGroup")]).await;
    for (url, expected) in [(wide, 1), (narrow, 2)] {
        for group in ["a", "b", "a"] {
            home.send_in_group(&url, group, "same").await;
        }
        assert_eq!(home.receive(&url).await.len(), expected);
    }
}

#[tokio::test]
async fn a_fifo_send_needs_a_group_and_a_deduplication_id_and_no_delay_of_its_own() {
    let home = Home::new().await;
    let url = home.queue("orders.fifo", &[("FifoQueue", "true")]).await;
    let send = || home.client.send_message().queue_url(&url).message_body("x");
    assert_eq!(code(send().message_deduplication_id("1").send().await), "MissingParameter");
    assert_eq!(code(send().message_group_id("a").send().await), "InvalidParameterValue");
    let full = || send().message_group_id("a").message_deduplication_id("1");
    assert_eq!(code(full().delay_seconds(5).send().await), "InvalidParameterValue");
    assert_eq!(code(full().message_group_id("a b").send().await), "InvalidParameterValue");
    assert_eq!(code(full().send().await), "accepted");
    let become_standard = home.client.set_queue_attributes().queue_url(&url);
    let become_standard = become_standard.attributes(QueueAttributeName::FifoQueue, "true").send().await;
    assert_eq!(code(become_standard), "InvalidAttributeName");
}

#[tokio::test]
async fn the_delay_of_a_fifo_queue_keeps_the_order() {
    let home = Home::new().await;
    let url = home.fifo("orders.fifo", &[("DelaySeconds", "10")]).await;
    home.send_in_group(&url, "a", "1").await;
    home.pass_seconds(5);
    home.send_in_group(&url, "a", "2").await;
    assert!(home.receive(&url).await.is_empty());
    home.pass_seconds(5);
    let [first] = home.receive(&url).await.try_into().unwrap();
    assert_eq!(first.body(), Some("1"));
    home.pass_seconds(5);
    assert!(home.receive(&url).await.is_empty(), "the second waits for the first");
    home.delete(&url, &first).await;
    assert_eq!(home.bodies(&url).await, ["2"]);
}

#[tokio::test]
async fn a_handle_whose_timeout_passed_deletes_nothing_in_a_fifo_queue() {
    let home = Home::new().await;
    let url = home.fifo("orders.fifo", &[]).await;
    home.send_in_group(&url, "a", "1").await;
    let [message] = home.receive(&url).await.try_into().unwrap();
    home.pass_seconds(30);
    let delete =
        home.client.delete_message().queue_url(&url).receipt_handle(message.receipt_handle().unwrap());
    assert_eq!(code(delete.send().await), "InvalidParameterValue");
    assert_eq!(home.bodies(&url).await, ["1"]);
}

#[tokio::test]
async fn a_dead_letter_frees_its_group() {
    let home = Home::new().await;
    let dead = home.fifo("dead.fifo", &[]).await;
    let policy = policy("dead.fifo", 1);
    let url = home.fifo("orders.fifo", &[("RedrivePolicy", &policy)]).await;
    home.send_in_group(&url, "a", "poison").await;
    home.send_in_group(&url, "a", "good").await;
    assert_eq!(home.receive_most(&url, 1).await[0].body(), Some("poison"));
    home.pass_seconds(30);
    assert_eq!(home.receive_most(&url, 1).await[0].body(), Some("good"));
    let [buried] = home.receive(&dead).await.try_into().unwrap();
    assert_eq!((buried.body(), system(&buried, System::MessageGroupId)), (Some("poison"), Some("a".into())));
}

#[tokio::test]
async fn a_standard_queue_takes_a_group_but_keeps_nothing_waiting_for_it() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    for body in ["1", "2"] {
        home.send_in_group(&url, "a", body).await;
    }
    assert_eq!(home.receive_most(&url, 1).await[0].body(), Some("1"));
    let [second] = home.receive_most(&url, 1).await.try_into().unwrap();
    assert_eq!((second.body(), system(&second, System::MessageGroupId)), (Some("2"), Some("a".into())));
}

#[tokio::test]
async fn a_message_given_back_waits_for_a_later_one_of_its_group_in_flight() {
    let home = Home::new().await;
    let url = home.fifo("orders.fifo", &[]).await;
    for body in ["1", "2"] {
        home.send_in_group(&url, "a", body).await;
    }
    let got = home.receive(&url).await;
    let back = home.client.change_message_visibility().queue_url(&url).visibility_timeout(0);
    back.receipt_handle(got[0].receipt_handle().unwrap()).send().await.unwrap();
    assert!(home.receive(&url).await.is_empty());
    home.delete(&url, &got[1]).await;
    assert_eq!(home.bodies(&url).await, ["1"]);
}

#[tokio::test]
async fn shortening_the_delay_lets_no_message_overtake() {
    let home = Home::new().await;
    let url = home.fifo("orders.fifo", &[("DelaySeconds", "10")]).await;
    home.send_in_group(&url, "a", "1").await;
    let set = home.client.set_queue_attributes().queue_url(&url);
    set.attributes(QueueAttributeName::DelaySeconds, "0").send().await.unwrap();
    home.send_in_group(&url, "a", "2").await;
    home.send_in_group(&url, "b", "3").await;
    assert_eq!(home.bodies(&url).await, ["3"]);
    home.pass_seconds(10);
    assert_eq!(home.bodies(&url).await, ["1", "2"]);
}
