//! Batches: one result per entry, and the refusals of a whole batch.

use crate::home::{Home, code};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry as Change, DeleteMessageBatchRequestEntry as Delete,
    SendMessageBatchRequestEntry as Send,
};

fn entry(id: &str, body: &str) -> Send {
    Send::builder().id(id).message_body(body).build().unwrap()
}

#[tokio::test]
async fn each_entry_of_a_send_batch_has_its_own_result() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    let batch = home.client.send_message_batch().queue_url(&url);
    let batch = batch.entries(entry("good", "1")).entries(entry("bad", "\u{1}")).entries(entry("fine", "2"));
    let answer = batch.send().await.unwrap();
    assert!(answer.successful().iter().map(|done| done.id()).eq(["good", "fine"]));
    let [failed] = answer.failed() else { panic!("{:?}", answer.failed()) };
    assert_eq!((failed.id(), failed.code(), failed.sender_fault()), ("bad", "InvalidMessageContents", true));
    assert_eq!(home.bodies(&url).await, ["1", "2"]);
}

#[tokio::test]
async fn a_fifo_batch_keeps_its_order_and_drops_repetitions() {
    let home = Home::new().await;
    let url = home.fifo("orders.fifo", &[]).await;
    let mut batch = home.client.send_message_batch().queue_url(&url);
    for (id, body) in ["1", "2", "1", "3"].iter().enumerate() {
        let entry = Send::builder().id(id.to_string()).message_body(*body).message_group_id("a");
        batch = batch.entries(entry.build().unwrap());
    }
    let answer = batch.send().await.unwrap();
    let sent = answer.successful();
    assert_eq!(sent[0].message_id(), sent[2].message_id());
    assert_eq!(home.bodies(&url).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_batch_needs_one_to_ten_entries_with_proper_distinct_ids() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    let send = |entries| home.client.send_message_batch().queue_url(&url).set_entries(Some(entries)).send();
    let empty = send(vec![]).await.unwrap_err().into_service_error();
    assert!(empty.is_empty_batch_request(), "{empty:?}");
    let eleven = (0..11).map(|id| entry(&id.to_string(), "x")).collect();
    let eleven = send(eleven).await.unwrap_err().into_service_error();
    assert!(eleven.is_too_many_entries_in_batch_request(), "{eleven:?}");
    let twice = send(vec![entry("a", "x"), entry("a", "y")]).await.unwrap_err().into_service_error();
    assert!(twice.is_batch_entry_ids_not_distinct(), "{twice:?}");
    let improper = send(vec![entry("a b", "x")]).await.unwrap_err().into_service_error();
    assert!(improper.is_invalid_batch_entry_id(), "{improper:?}");
    assert_eq!(home.counts(&url).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_batch_has_one_mebibyte_in_all() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    let half = "x".repeat(524_288);
    let send = |last: &str| {
        let batch = home.client.send_message_batch().queue_url(&url);
        batch.entries(entry("a", &half)).entries(entry("b", last)).send()
    };
    let long = send(&format!("{half}x")).await.unwrap_err().into_service_error();
    assert!(long.is_batch_request_too_long(), "{long:?}");
    assert_eq!(send(&half).await.unwrap().successful().len(), 2);
}

#[tokio::test]
async fn a_delete_batch_deletes_what_it_can_and_names_the_rest() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    home.send(&url, "1").await;
    home.send(&url, "2").await;
    let got = home.receive(&url).await;
    let delete = |id: &str, handle: &str| Delete::builder().id(id).receipt_handle(handle).build().unwrap();
    let batch = home.client.delete_message_batch().queue_url(&url);
    let batch = batch.entries(delete("first", got[0].receipt_handle().unwrap()));
    let answer = batch.entries(delete("bad", "nonsense")).send().await.unwrap();
    assert_eq!(answer.successful()[0].id(), "first");
    assert_eq!((answer.failed()[0].id(), answer.failed()[0].code()), ("bad", "ReceiptHandleIsInvalid"));
    assert_eq!(home.counts(&url).await, [0, 1, 0]);
    let empty = home.client.delete_message_batch().queue_url(&url).set_entries(Some(vec![])).send().await;
    assert_eq!(code(empty), "AWS.SimpleQueueService.EmptyBatchRequest");
}

#[tokio::test]
async fn a_visibility_batch_changes_what_it_can_and_names_the_rest() {
    let home = Home::new().await;
    let url = home.queue("orders", &[]).await;
    home.send(&url, "1").await;
    home.send(&url, "2").await;
    let got = home.receive(&url).await;
    let change = |id: &str, handle: &str, seconds| {
        Change::builder().id(id).receipt_handle(handle).visibility_timeout(seconds).build().unwrap()
    };
    let batch = home.client.change_message_visibility_batch().queue_url(&url);
    let batch = batch.entries(change("first", got[0].receipt_handle().unwrap(), 0));
    let batch = batch.entries(change("long", got[1].receipt_handle().unwrap(), 43_201));
    let answer = batch.entries(change("bad", "nonsense", 5)).send().await.unwrap();
    assert_eq!(answer.successful()[0].id(), "first");
    let failed: Vec<_> = answer.failed().iter().map(|failed| (failed.id(), failed.code())).collect();
    assert_eq!(failed, [("long", "InvalidParameterValue"), ("bad", "ReceiptHandleIsInvalid")]);
    assert_eq!(home.bodies(&url).await, ["1"]);
}
