//! Dead letters: when they are set aside, and how they come back.

use crate::home::{Home, arn, code, policy, system};
use aws_sdk_sqs::types::{MessageSystemAttributeName as System, QueueAttributeName};

#[tokio::test]
async fn a_message_is_received_exactly_max_receive_count_times_then_set_aside() {
    let home = Home::new().await;
    let (live, dead) = home.with_dead_letters(3).await;
    let id = home.send(&live, "poison").await;
    for count in ["1", "2", "3"] {
        let [message] = home.receive(&live).await.try_into().unwrap();
        assert_eq!(system(&message, System::ApproximateReceiveCount).as_deref(), Some(count));
        assert_eq!(system(&message, System::DeadLetterQueueSourceArn), None);
    }
    assert_eq!(home.counts(&dead).await, [0, 0, 0], "it moves when someone would receive it again");
    assert!(home.receive(&live).await.is_empty());
    assert_eq!((home.counts(&live).await, home.counts(&dead).await), ([0, 0, 0], [1, 0, 0]));
    let [buried] = home.receive(&dead).await.try_into().unwrap();
    assert_eq!((buried.body(), buried.message_id()), (Some("poison"), Some(id.as_str())));
    assert_eq!(system(&buried, System::DeadLetterQueueSourceArn), Some(arn("live")));
}

#[tokio::test]
async fn one_poison_message_among_ten_does_not_hold_up_the_nine() {
    let home = Home::new().await;
    let (live, dead) = home.with_dead_letters(2).await;
    for number in 0..10 {
        home.send(&live, &number.to_string()).await;
    }
    for message in home.receive(&live).await {
        if message.body() != Some("4") {
            home.delete(&live, &message).await;
        }
    }
    assert_eq!(home.bodies(&live).await, ["4"]);
    assert!(home.receive(&live).await.is_empty());
    assert_eq!(home.bodies(&dead).await, ["4"]);
}

#[tokio::test]
async fn setting_dead_letters_aside_leaves_room_for_good_messages_in_the_same_receive() {
    let home = Home::new().await;
    let (live, dead) = home.with_dead_letters(1).await;
    for number in 0..10 {
        home.send(&live, &format!("poison {number}")).await;
    }
    assert_eq!(home.receive(&live).await.len(), 10);
    home.pass_ms(1);
    home.send(&live, "good").await;
    assert_eq!(home.bodies(&live).await, ["good"]);
    assert_eq!(home.counts(&dead).await, [10, 0, 0]);
}

#[tokio::test]
async fn the_redrive_policy_is_answered_in_one_spelling_and_can_be_removed() {
    let home = Home::new().await;
    let (live, _) = home.with_dead_letters(1).await;
    assert_eq!(home.attributes(&live).await["RedrivePolicy"], policy("dead", 1));
    let text = policy("dead", 1).replace(":1}", ": \"1\"}");
    home.queue("live", &[("RedrivePolicy", &text)]).await;
    let set = home.client.set_queue_attributes().queue_url(&live);
    set.attributes(QueueAttributeName::RedrivePolicy, "").send().await.unwrap();
    assert!(!home.attributes(&live).await.contains_key("RedrivePolicy"));
    home.send(&live, "stays").await;
    for _ in 0..3 {
        assert_eq!(home.bodies(&live).await, ["stays"]);
    }
}

#[tokio::test]
async fn a_dead_letter_queue_is_of_the_same_type_as_its_source() {
    let home = Home::new().await;
    home.fifo("dead.fifo", &[]).await;
    let create = home.client.create_queue().queue_name("live");
    let create = create.attributes(QueueAttributeName::RedrivePolicy, policy("dead.fifo", 1));
    assert_eq!(code(create.send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn a_queue_cannot_take_its_own_dead_letters() {
    let home = Home::new().await;
    let url = home.queue("live", &[]).await;
    let set = home.client.set_queue_attributes().queue_url(&url);
    let set = set.attributes(QueueAttributeName::RedrivePolicy, policy("live", 1));
    assert_eq!(code(set.send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn the_sources_of_a_dead_letter_queue_are_listed() {
    let home = Home::new().await;
    let (live, dead) = home.with_dead_letters(1).await;
    let list = home.client.list_dead_letter_source_queues();
    let listed = list.clone().queue_url(&dead).send().await.unwrap();
    assert_eq!(listed.queue_urls(), std::slice::from_ref(&live));
    assert!(list.queue_url(&live).send().await.unwrap().queue_urls().is_empty());
}

/// Sends these to the live queue and lets them become dead letters.
async fn bury(home: &Home, live: &str, bodies: &[&str]) {
    for body in bodies {
        home.send(live, body).await;
    }
    home.receive(live).await;
    assert!(home.receive(live).await.is_empty());
}

#[tokio::test]
async fn a_move_task_brings_dead_letters_back_as_new_messages() {
    let home = Home::new().await;
    let (live, dead) = home.with_dead_letters(1).await;
    bury(&home, &live, &["1", "2"]).await;
    let old = home.sqs.peek("dead", 0, 10).unwrap();
    home.pass_seconds(3);
    home.client.start_message_move_task().source_arn(arn("dead")).send().await.unwrap();
    assert_eq!(home.counts(&dead).await, [0, 0, 0]);
    let back = home.receive(&live).await;
    assert!(back.iter().map(|message| message.body().unwrap()).eq(["1", "2"]));
    assert_eq!(system(&back[0], System::ApproximateReceiveCount).as_deref(), Some("1"));
    assert_eq!(system(&back[0], System::SentTimestamp), Some((old[0].sent_ms + 3_000).to_string()));
    assert_ne!(back[0].message_id(), Some(old[0].message_id.as_str()));
    let tasks = home.client.list_message_move_tasks().source_arn(arn("dead")).send().await.unwrap();
    let [task] = tasks.results() else { panic!("{tasks:?}") };
    assert_eq!((task.status(), task.approximate_number_of_messages_moved()), (Some("COMPLETED"), 2));
}

#[tokio::test]
async fn a_move_task_may_name_another_destination() {
    let home = Home::new().await;
    let (live, dead) = home.with_dead_letters(1).await;
    let other = home.queue("other", &[]).await;
    home.send(&dead, "sent straight to the dead letters").await;
    let start = home.client.start_message_move_task().source_arn(arn("dead"));
    start.clone().send().await.unwrap();
    assert_eq!(home.counts(&dead).await, [1, 0, 0], "nobody knows where it belongs");
    let tasks = home.client.list_message_move_tasks().source_arn(arn("dead")).send().await.unwrap();
    assert_eq!(tasks.results()[0].failure_reason(), Some("CouldNotDetermineMessageSource"));
    start.destination_arn(arn("other")).send().await.unwrap();
    assert_eq!(home.bodies(&other).await.len(), 1);
    assert_eq!(home.counts(&live).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_move_task_needs_a_dead_letter_queue_and_is_finished_at_once() {
    let home = Home::new().await;
    home.with_dead_letters(1).await;
    let start = |name: &str| home.client.start_message_move_task().source_arn(arn(name)).send();
    assert_eq!(code(start("live").await), "InvalidParameterValue");
    assert!(start("nothing").await.unwrap_err().into_service_error().is_resource_not_found_exception());
    let handle = start("dead").await.unwrap().task_handle.unwrap();
    let cancel = home.client.cancel_message_move_task();
    let done = cancel.clone().task_handle(handle).send().await.unwrap_err().into_service_error();
    assert!(done.is_unsupported_operation(), "{done:?}");
    let unknown = cancel.task_handle("nonsense").send().await.unwrap_err().into_service_error();
    assert!(unknown.is_resource_not_found_exception(), "{unknown:?}");
}

#[tokio::test]
async fn the_console_moves_a_single_dead_letter_back() {
    let home = Home::new().await;
    let (live, _) = home.with_dead_letters(1).await;
    bury(&home, &live, &["1", "2"]).await;
    let second = home.sqs.peek("dead", 1, 1).unwrap().remove(0);
    assert_eq!(second.dead_letter_source.as_deref(), Some("live"));
    assert_eq!(home.sqs.move_back_one("dead", &second.message_id, None).unwrap().moved, 1);
    assert_eq!(home.bodies(&live).await, ["2"]);
    assert!(home.sqs.move_back_one("dead", &second.message_id, None).is_err());
    assert_eq!(home.sqs.peek("dead", 0, 10).unwrap().len(), 1);
}
