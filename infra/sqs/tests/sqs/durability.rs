//! What was acknowledged is there after the process is gone, however it went.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::home::{Home, START_MS, arn, policy};
use tessera_sqs::{NewMessage, Options, Receive, Sqs, Storage};

/// Tells a copy of this test to be the process that is killed, and where its store is.
const VICTIM: &str = "TESSERA_SQS_VICTIM";

fn open(path: PathBuf) -> Arc<Sqs> {
    let options = Options::new("http://localhost", Arc::new(|| START_MS));
    Sqs::open(&Storage::File(path), options).unwrap()
}

#[tokio::test]
async fn queues_messages_and_their_states_survive_a_drop_without_closing() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::File(folder.path().join("sqs.db"));
    let (id, handle) = {
        let home = Home::on(&storage).await;
        home.queue("dead", &[]).await;
        let url = home.queue("orders", &[("RedrivePolicy", &policy("dead", 5)), ("DelaySeconds", "1")]).await;
        let id = home.send(&url, "in flight").await;
        home.pass_seconds(1);
        let [message] = home.receive(&url).await.try_into().unwrap();
        home.send(&url, "delayed").await;
        let fifo = home.fifo("orders.fifo", &[]).await;
        home.send_in_group(&fifo, "a", "once").await;
        (id, message.receipt_handle.unwrap())
    };
    // The server task still holds the first store; what it has written so far is all another process would see.
    let copy = folder.path().join("copy.db");
    for end in ["", "-wal"] {
        let from = folder.path().join(format!("sqs.db{end}"));
        std::fs::copy(from, folder.path().join(format!("copy.db{end}"))).unwrap();
    }
    let home = Home::on(&Storage::File(copy)).await;
    let url = home.sqs.queue_url("orders").unwrap();
    let all = home.attributes(&url).await;
    assert_eq!((&all["QueueArn"], &all["RedrivePolicy"]), (&arn("orders"), &policy("dead", 5)));
    assert_eq!(home.counts(&url).await, [0, 1, 1]);
    assert_eq!(home.sqs.peek("orders", 0, 1).unwrap()[0].message_id, id);
    home.pass_seconds(1);
    home.sqs.delete("orders", &handle).unwrap();
    assert_eq!(home.counts(&url).await, [0, 0, 1]);
    let fifo = home.sqs.queue_url("orders.fifo").unwrap();
    home.send_in_group(&fifo, "a", "once").await;
    assert_eq!(home.bodies(&fifo).await, ["once"], "the repetition is still known as one");
}

#[tokio::test]
async fn receipt_handles_of_deleted_messages_never_fit_later_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sqs.db");
    let take = async |sqs: &Sqs| {
        let [message] = sqs.receive("orders", &Receive::default()).await.unwrap().try_into().unwrap();
        message.receipt_handle.unwrap()
    };
    let first = open(path.clone());
    first.create_queue("orders", &[].into()).unwrap();
    first.send("orders", &NewMessage::new("1")).unwrap();
    let old = take(&first).await;
    first.delete("orders", &old).unwrap();
    drop(first);
    let second = open(path);
    second.send("orders", &NewMessage::new("2")).unwrap();
    assert_ne!(take(&second).await, old);
    second.delete("orders", &old).unwrap();
    assert_eq!(second.peek("orders", 0, 10).unwrap().len(), 1);
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sqs.db");
    std::fs::write(&path, "this is a letter, not a database; it is long enough to be told apart").unwrap();
    let options = Options::new("http://localhost", Arc::new(|| START_MS));
    assert!(Sqs::open(&Storage::File(path), options).is_err());
}

#[test]
fn a_store_in_use_is_refused_to_a_second_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sqs.db");
    let first = open(path.clone());
    let options = Options::new("http://localhost", Arc::new(|| START_MS));
    assert!(Sqs::open(&Storage::File(path.clone()), options).is_err());
    drop(first);
    open(path);
}

#[test]
fn every_acknowledged_send_survives_a_killed_process() {
    if let Some(path) = std::env::var_os(VICTIM) {
        return send_until_killed(path.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sqs.db");
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "durability::every_acknowledged_send_survives_a_killed_process", "--nocapture"])
        .env(VICTIM, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map(Result::unwrap);
    let acknowledged: Vec<String> =
        lines.filter_map(|line| Some(line.rsplit_once("sent ")?.1.to_owned())).take(200).collect();
    victim.kill().unwrap();
    victim.wait().unwrap();
    let stored = open(path).peek("orders", 0, u32::MAX).unwrap();
    let stored: Vec<String> = stored.into_iter().map(|message| message.message_id).take(200).collect();
    assert_eq!(stored, acknowledged);
}

fn send_until_killed(path: PathBuf) {
    let sqs = open(path);
    sqs.create_queue("orders", &[].into()).unwrap();
    loop {
        let sent = sqs.send("orders", &NewMessage::new("precious")).unwrap();
        // When the reader is gone, so is the parent: nobody is left to kill this process.
        if writeln!(std::io::stdout(), "sent {}", sent.message_id).is_err() {
            return;
        }
    }
}
