//! What wakes a long poll.
//!
//! The runtime's time stands still while anything can run and jumps to the next timer when all wait. A poll that
//! is woken therefore ends with no time passed; one that is not, after its twenty seconds. Nothing real is timed.

use std::sync::Arc;
use std::time::Duration;

use tessera_sqs::{Code, NewMessage, Receive, Result};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::home::{Home, policy};

/// A home with an empty queue "orders".
async fn home() -> Home {
    let home = Home::new().await;
    home.sqs.create_queue("orders", &[].into()).unwrap();
    home
}

/// What a poll got, and how long it waited by the runtime's time.
type Polled = (Result<Vec<String>>, Duration);

/// Lets all that can run do so, without time passing.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Starts a poll of twenty seconds and returns once it sleeps.
async fn waiting(home: &Home, queue: &'static str) -> JoinHandle<Polled> {
    let sqs = Arc::clone(&home.sqs);
    let poll = tokio::spawn(async move {
        let (started, how) = (Instant::now(), Receive { wait_seconds: Some(20), ..Receive::default() });
        let got = sqs.receive(queue, &how).await;
        (got.map(|got| got.into_iter().map(|message| message.body).collect()), started.elapsed())
    });
    settle().await;
    assert!(!poll.is_finished());
    poll
}

async fn assert_woken_with(poll: JoinHandle<Polled>, body: &str) {
    assert_eq!(poll.await.unwrap(), (Ok(vec![body.to_owned()]), Duration::ZERO));
}

async fn take(home: &Home, queue: &str) -> String {
    let [taken] = home.sqs.receive(queue, &Receive::default()).await.unwrap().try_into().unwrap();
    taken.receipt_handle.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_send_wakes_it() {
    let home = home().await;
    let poll = waiting(&home, "orders").await;
    home.sqs.send("orders", &NewMessage::new("at last")).unwrap();
    assert_woken_with(poll, "at last").await;
}

#[tokio::test(start_paused = true)]
async fn a_send_wakes_it_even_after_the_queue_was_changed() {
    let home = home().await;
    let poll = waiting(&home, "orders").await;
    let change = [("VisibilityTimeout".to_owned(), "5".to_owned())];
    home.sqs.set_attributes("orders", &change.into()).unwrap();
    settle().await;
    home.sqs.send("orders", &NewMessage::new("at last")).unwrap();
    assert_woken_with(poll, "at last").await;
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_wakes_it_when_its_delay_is_over() {
    let home = home().await;
    let poll = waiting(&home, "orders").await;
    let late = NewMessage { delay_seconds: Some(15), ..NewMessage::new("late") };
    home.sqs.send("orders", &late).unwrap();
    home.pass_seconds(14);
    settle().await;
    assert!(!poll.is_finished());
    home.pass_seconds(1);
    assert_woken_with(poll, "late").await;
}

#[tokio::test(start_paused = true)]
async fn it_wakes_by_itself_when_an_invisible_message_becomes_visible() {
    let home = Home::running().await;
    home.sqs.create_queue("orders", &[].into()).unwrap();
    home.sqs.send("orders", &NewMessage::new("again")).unwrap();
    let taken = Receive { visibility_seconds: Some(5), ..Receive::default() };
    assert_eq!(home.sqs.receive("orders", &taken).await.unwrap().len(), 1);
    let (got, waited) = waiting(&home, "orders").await.await.unwrap();
    assert_eq!((got.unwrap(), waited.as_secs()), (vec!["again".to_owned()], 5));
}

#[tokio::test(start_paused = true)]
async fn a_message_given_back_wakes_it() {
    let home = home().await;
    home.sqs.send("orders", &NewMessage::new("again")).unwrap();
    let handle = take(&home, "orders").await;
    let poll = waiting(&home, "orders").await;
    home.sqs.change_visibility("orders", &handle, 0).unwrap();
    assert_woken_with(poll, "again").await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_frees_a_group_wakes_it() {
    let home = Home::new().await;
    let fifo = [("FifoQueue".to_owned(), "true".to_owned())];
    home.sqs.create_queue("orders.fifo", &fifo.into()).unwrap();
    for body in ["1", "2"] {
        let (group, id) = (Some("a".to_owned()), Some(body.to_owned()));
        let message = NewMessage { group_id: group, deduplication_id: id, ..NewMessage::new(body) };
        home.sqs.send("orders.fifo", &message).unwrap();
    }
    let handle = take(&home, "orders.fifo").await;
    let poll = waiting(&home, "orders.fifo").await;
    home.sqs.delete("orders.fifo", &handle).unwrap();
    assert_woken_with(poll, "2").await;
}

#[tokio::test(start_paused = true)]
async fn dead_letters_coming_and_going_wake_it() {
    let home = Home::new().await;
    home.sqs.create_queue("dead", &[].into()).unwrap();
    let settings = [("RedrivePolicy", policy("dead", 1)), ("VisibilityTimeout", "0".into())];
    home.sqs.create_queue("live", &settings.map(|(name, value)| (name.to_owned(), value)).into()).unwrap();
    home.sqs.send("live", &NewMessage::new("poison")).unwrap();
    take(&home, "live").await;
    let poll = waiting(&home, "dead").await;
    assert!(home.sqs.receive("live", &Receive::default()).await.unwrap().is_empty());
    assert_woken_with(poll, "poison").await;

    home.pass_seconds(30);
    let poll = waiting(&home, "live").await;
    assert_eq!(home.sqs.move_back("dead", None).unwrap().moved, 1);
    assert_woken_with(poll, "poison").await;
}

#[tokio::test(start_paused = true)]
async fn it_ends_empty_when_its_time_is_over_by_either_clock() {
    let home = home().await;
    let poll = waiting(&home, "orders").await;
    home.pass_seconds(20);
    assert_eq!(poll.await.unwrap(), (Ok(vec![]), Duration::ZERO), "by the clock handed in");
    let (got, waited) = waiting(&home, "orders").await.await.unwrap();
    assert_eq!((got.unwrap().len(), waited.as_secs()), (0, 20), "by the runtime's, the other standing still");
}

#[tokio::test(start_paused = true)]
async fn it_learns_that_its_queue_was_deleted() {
    let home = home().await;
    let poll = waiting(&home, "orders").await;
    home.sqs.delete_queue("orders").unwrap();
    let (got, waited) = poll.await.unwrap();
    assert_eq!((got.unwrap_err().code, waited), (Code::QueueDoesNotExist, Duration::ZERO));
}
