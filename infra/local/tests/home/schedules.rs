use crate::support::{GUARD, Seen, home, stop, worker};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const TEMPLATE: &str = "
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: out/worker
      Events:
        Hourly: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 hour), Input: '{\"job\": \"hourly\"}'}}
        Daily: {Type: Schedule, Properties: {Schedule: rate(1 day)}}
";

fn jobs(seen: &Seen) -> Vec<String> {
    let name = |event: &Value| event["job"].as_str().or(event["source"].as_str()).unwrap().to_owned();
    let mut jobs: Vec<_> = seen.lock().unwrap().drain(..).map(|event| name(&event)).collect();
    jobs.sort();
    jobs
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_the_clock_fires_what_became_due_once() {
    let seen = Seen::default();
    let home = home(TEMPLATE, worker(&seen, |_| Ok(Value::Null))).await;
    for (minutes, expected) in
        [(59, vec![]), (2, vec!["hourly"]), (600, vec!["hourly"]), (24 * 60, vec!["aws.events", "hourly"])]
    {
        home.advance(Duration::from_secs(minutes * 60)).await.unwrap();
        home.settle(GUARD).await.unwrap();
        assert_eq!(jobs(&seen), expected, "{minutes}");
    }
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_moves_over_http_too() {
    let seen = Seen::default();
    let home = home(TEMPLATE, worker(&seen, |_| Ok(Value::Null))).await;
    let before = home.clock().now();
    let asked = reqwest::Client::new().post(format!("{}/_local/clock", home.url()));
    let answer = asked.json(&json!({"advance_seconds": 3_660})).send().await.unwrap();
    assert!(answer.status().is_success());
    assert!(home.clock().now().duration_since(before).as_secs() >= 3_660);
    home.settle(GUARD).await.unwrap();
    assert_eq!(jobs(&seen), ["hourly"]);
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_can_be_run_at_any_time_and_says_how_it_went() {
    let seen = Seen::default();
    let registry =
        worker(
            &seen,
            |event| {
                if event["job"] == "hourly" { Err("broken".to_owned()) } else { Ok(json!("fine")) }
            },
        );
    let home = home(TEMPLATE, registry).await;
    assert_eq!(home.run_schedule("Daily").await, Ok(json!("fine")));
    assert_eq!(home.run_schedule("Worker/Hourly").await, Err("broken".to_owned()));
    assert!(home.run_schedule("Weekly").await.unwrap_err().contains("Worker/Daily"));
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_call_that_fails_is_tried_twice_more() {
    let (seen, calls) = (Seen::default(), AtomicUsize::new(0));
    let registry = worker(&seen, move |_| {
        if calls.fetch_add(1, Ordering::SeqCst) < 2 { Err("not yet".to_owned()) } else { Ok(Value::Null) }
    });
    let home = home(TEMPLATE, registry).await;
    home.advance(Duration::from_secs(3_660)).await.unwrap();
    home.settle(GUARD).await.unwrap();
    assert_eq!(jobs(&seen), ["hourly"; 3]);
    stop(home).await;
}
