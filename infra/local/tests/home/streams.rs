use crate::support::{GUARD, Seen, failed, home, put, records, start, stop, streamed, worker};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tessera::queue::Worker;
use tessera::run::Handler;

fn keys(seen: &Seen) -> Vec<String> {
    let key = |record: &Value| record["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap().to_owned();
    records(seen).iter().map(key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_arrives_in_its_order_as_lambda_hands_it_on() {
    let seen = Seen::default();
    let home = home(&streamed("BatchSize: 10"), worker(&seen, |_| Ok(Value::Null))).await;
    put(&home, "a", 4_000_000_000).await;
    put(&home, "a", 4_000_000_001).await;
    home.settle(GUARD).await.unwrap();
    let found = records(&seen);
    assert_eq!(found.iter().map(|record| &record["eventName"]).collect::<Vec<_>>(), ["INSERT", "MODIFY"]);
    let record = &found[1];
    assert_eq!(record["eventSource"], "aws:dynamodb");
    assert_eq!(record["awsRegion"], "local");
    let arn = "arn:aws:dynamodb:local:000000000000:table/things/stream/2026-01-01T00:00:00.000";
    assert_eq!(record["eventSourceARN"], arn);
    let change = &record["dynamodb"];
    assert_eq!(change["Keys"], json!({"pk": {"S": "a"}}));
    assert_eq!(change["OldImage"], json!({"pk": {"S": "a"}, "n": {"N": "4000000000"}}));
    assert_eq!(change["NewImage"], json!({"pk": {"S": "a"}, "n": {"N": "4000000001"}}));
    assert_eq!(change["StreamViewType"], "NEW_AND_OLD_IMAGES");
    assert!(change["ApproximateCreationDateTime"].is_i64());
    assert_eq!(change["SequenceNumber"].as_str().unwrap().len(), 21);
    assert!(record["eventID"].as_str().is_some_and(|id| !id.is_empty()));
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_sees_only_what_its_filter_lets_through() {
    let seen = Seen::default();
    let event = r#"FilterCriteria: {Filters: [{Pattern: '{"dynamodb": {"NewImage": {"n": {"N": [{"numeric": [">", 4000000001]}]}}}}'}]}"#;
    let home = home(&streamed(event), worker(&seen, |_| Ok(Value::Null))).await;
    for n in 0..4 {
        put(&home, &format!("k{n}"), 4_000_000_000 + n).await;
    }
    home.settle(GUARD).await.unwrap();
    assert_eq!(keys(&seen), ["k2", "k3"]);
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fails_comes_again_with_all_behind_it_and_none_before_it() {
    let (seen, broken) = (Seen::default(), Arc::new(AtomicBool::new(true)));
    let still = broken.clone();
    let registry = worker(&seen, move |event| {
        let bad = |record: &&Value| record["dynamodb"]["Keys"]["pk"]["S"] == "b";
        let bad = event["Records"].as_array().unwrap().iter().find(bad);
        let number = bad.map(|record| record["dynamodb"]["SequenceNumber"].as_str().unwrap());
        Ok(failed(number.filter(|_| still.swap(false, Ordering::SeqCst))))
    });
    let event = "BatchSize: 10\nFunctionResponseTypes: [ReportBatchItemFailures]";
    let folder = tempfile::tempdir().unwrap();
    let quiet = start(&streamed("Enabled: false"), Some(folder.path()), registry.clone()).await.unwrap();
    for key in ["a", "b", "c"] {
        put(&quiet, key, 4_000_000_000).await;
    }
    stop(quiet).await;
    let home = start(&streamed(event), Some(folder.path()), registry).await.unwrap();
    home.settle(GUARD).await.unwrap();
    assert_eq!(keys(&seen), ["a", "b", "c", "b", "c"]);
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_batch_is_halved_until_the_bad_record_stands_alone_and_is_given_up() {
    let seen = Seen::default();
    let registry = worker(&seen, |event| {
        let records = event["Records"].as_array().unwrap();
        let bad = records.iter().any(|record| record["dynamodb"]["Keys"]["pk"]["S"] == "bad");
        if bad { Err("no".to_owned()) } else { Ok(Value::Null) }
    });
    let event = "BatchSize: 8\nBisectBatchOnFunctionError: true\nMaximumRetryAttempts: 1\nDestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Dead.Arn}}";
    let home = home(&streamed(event), registry).await;
    for key in ["a", "b", "bad", "c"] {
        put(&home, key, 4_000_000_000).await;
    }
    home.settle(GUARD).await.unwrap();
    let seen = seen.lock().unwrap().clone();
    let alone = |event: &&Value| {
        let records = event["Records"].as_array().unwrap();
        records.len() == 1 && records[0]["dynamodb"]["Keys"]["pk"]["S"] == "bad"
    };
    assert_eq!(seen.iter().filter(alone).count(), 2);
    let dead = home.sqs().peek("dead", 0, 10).unwrap();
    assert_eq!(dead.len(), 1);
    let told: Value = serde_json::from_str(&dead[0].body).unwrap();
    assert_eq!(told["DDBStreamBatchInfo"]["batchSize"], 1);
    assert_eq!(told["requestContext"]["condition"], "RetryAttemptsExhausted");
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_one_key_stay_in_order_when_keys_run_in_parallel() {
    let seen = Seen::default();
    let registry = worker(&seen, |_| Ok(Value::Null));
    let home = home(&streamed("BatchSize: 5\nParallelizationFactor: 4"), registry).await;
    for n in 0..60 {
        put(&home, &format!("k{}", n % 6), 4_000_000_000 + n).await;
    }
    home.settle(GUARD).await.unwrap();
    let found = records(&seen);
    assert_eq!(found.len(), 60);
    for key in 0..6 {
        let of_key = found.iter().filter(|record| record["dynamodb"]["Keys"]["pk"]["S"] == format!("k{key}"));
        let numbers: Vec<u64> = of_key
            .map(|record| record["dynamodb"]["NewImage"]["n"]["N"].as_str().unwrap().parse().unwrap())
            .collect();
        assert!(numbers.is_sorted() && numbers.len() == 10, "{numbers:?}");
    }
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_worked_on_before_a_restart_is_worked_on_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (seen, broken) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let still = broken.clone();
    let registry =
        worker(&seen, move |_| if still.load(Ordering::SeqCst) { Err("no".into()) } else { Ok(Value::Null) });
    let template = streamed("BatchSize: 10");
    let first = start(&template, Some(folder.path()), registry.clone()).await.unwrap();
    put(&first, "a", 4_000_000_000).await;
    first.settle(GUARD).await.unwrap();
    broken.store(true, Ordering::SeqCst);
    put(&first, "b", 4_000_000_000).await;
    stop(first).await;
    broken.store(false, Ordering::SeqCst);
    seen.lock().unwrap().clear();
    let second = start(&template, Some(folder.path()), registry).await.unwrap();
    put(&second, "c", 4_000_000_000).await;
    second.settle(GUARD).await.unwrap();
    assert_eq!(keys(&seen), ["b", "c"]);
    stop(second).await;
}

#[test]
fn a_home_that_dies_at_work_does_the_work_again() {
    let folder = tempfile::tempdir().unwrap();
    let template = streamed("BatchSize: 10");
    let (begun, mut beginnings) = tokio::sync::mpsc::unbounded_channel();
    let never_done = crate::support::registry(move |_| {
        let begun = begun.clone();
        Some(Handler::Worker(Worker::new(move |_| {
            begun.send(()).unwrap();
            Box::pin(std::future::pending())
        })))
    });
    let doomed = tokio::runtime::Runtime::new().unwrap();
    doomed.block_on(async {
        let home = start(&template, Some(folder.path()), never_done).await.unwrap();
        put(&home, "a", 4_000_000_000).await;
        tokio::time::timeout(GUARD, beginnings.recv()).await.unwrap().unwrap();
    });
    // Everything that ran ends where it stands, without a word to anybody.
    drop(doomed);

    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let seen = Seen::default();
        let home = start(&template, Some(folder.path()), worker(&seen, |_| Ok(Value::Null))).await.unwrap();
        home.settle(GUARD).await.unwrap();
        assert_eq!(keys(&seen), ["a"]);
        stop(home).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_too_old_are_given_up_but_a_moved_clock_makes_none_old() {
    let seen = Seen::default();
    let registry = worker(&seen, |_| Ok(Value::Null));
    let home = home(&streamed("MaximumRecordAgeInSeconds: 3600"), registry).await;
    home.advance(Duration::from_secs(86_400)).await.unwrap();
    put(&home, "a", 4_000_000_000).await;
    home.settle(GUARD).await.unwrap();
    assert_eq!(keys(&seen), ["a"]);
    let created = records(&seen)[0]["dynamodb"]["ApproximateCreationDateTime"].as_i64().unwrap();
    assert!((home.clock().now().as_second() - created).abs() < 3_600);
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_the_clock_expires_items_and_the_stream_says_who_did_it() {
    let seen = Seen::default();
    let home = home(&streamed("BatchSize: 10"), worker(&seen, |_| Ok(Value::Null))).await;
    let now = u64::try_from(home.clock().now().as_second()).unwrap();
    put(&home, "soon", now + 3_600).await;
    put(&home, "later", now + 7_200).await;
    home.advance(Duration::from_secs(5_400)).await.unwrap();
    home.settle(GUARD).await.unwrap();
    assert_eq!(home.tables().unwrap()["things"], 1);
    let found = records(&seen);
    let removed = found.iter().find(|record| record["eventName"] == "REMOVE").unwrap();
    assert_eq!(removed["dynamodb"]["Keys"]["pk"]["S"], "soon");
    assert_eq!(removed["userIdentity"], json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"}));
    stop(home).await;
}
