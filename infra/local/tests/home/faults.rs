use crate::support::{GUARD, Seen, dynamodb, home, put, records, stop, streamed, worker};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tessera_local::Home;
use tessera_local::stores::faults::{Fault, Rule, Service, Side};

fn rule(operation: &str, fault: Fault, times: u32) -> Rule {
    let (service, operation) = (Some(Service::DynamoDb), Some(operation.to_owned()));
    Rule { service, operation, resource: Some("thing".to_owned()), fault, times }
}

async fn quiet() -> Home {
    home(&streamed("Enabled: false"), worker(&Seen::default(), |_| Ok(Value::Null))).await
}

/// One try, without the SDK's own retries: the error's code or kind.
async fn put_once(home: &Home, key: &str) -> Result<(), String> {
    let once = aws_sdk_dynamodb::config::retry::RetryConfig::disabled();
    let config = dynamodb(home).config().to_builder().retry_config(once).build();
    let put = aws_sdk_dynamodb::Client::from_conf(config).put_item().table_name("things");
    let put = put.item("pk", AttributeValue::S(key.to_owned())).send().await;
    put.map(|_| ()).map_err(|error| match error {
        aws_sdk_dynamodb::error::SdkError::ServiceError(service) => {
            service.err().meta().code().unwrap_or_default().to_owned()
        }
        _ => "no answer".to_owned(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_happens_as_often_as_asked_and_does_what_it_says() {
    let home = quiet().await;
    for (fault, error, stored) in [
        (Fault::Throttle, "ThrottlingException", 0),
        (Fault::InternalError, "InternalServerError", 0),
        (Fault::DropCall, "no answer", 0),
        (Fault::DropAnswer, "no answer", 1),
    ] {
        home.faults().add(rule("PutItem", fault, 1));
        let before = home.tables().unwrap()["things"];
        assert_eq!(put_once(&home, &format!("{fault:?}")).await, Err(error.to_owned()));
        assert_eq!(home.tables().unwrap()["things"] - before, stored, "{fault:?}");
        assert_eq!(put_once(&home, "fine").await, Ok(()));
        assert!(home.faults().rules().is_empty());
    }
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_gets_over_a_few_refusals_by_itself() {
    let home = quiet().await;
    home.faults().add(rule("PutItem", Fault::InternalError, 1));
    home.faults().add(rule("PutItem", Fault::DropCall, 1));
    put(&home, "a", 1).await;
    assert_eq!(home.tables().unwrap()["things"], 1);
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_for_another_operation_or_table_does_nothing() {
    let home = quiet().await;
    home.faults().add(rule("DeleteItem", Fault::Throttle, 1));
    home.faults().add(Rule { resource: Some("other".to_owned()), ..rule("PutItem", Fault::Throttle, 1) });
    home.faults().add(Rule { service: Some(Service::S3), ..rule("PutItem", Fault::Throttle, 1) });
    assert_eq!(put_once(&home, "a").await, Ok(()));
    assert_eq!(home.faults().rules().len(), 3);
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_nothing_works_until_it_is_cleared_and_then_everything_goes_on() {
    let seen = Seen::default();
    let home = home(&streamed("BatchSize: 1"), worker(&seen, |_| Ok(Value::Null))).await;
    let base = home.faults().calls();
    home.faults().crash_at(base + 2, Side::After);
    assert_eq!(put_once(&home, "a").await, Ok(()));
    assert_eq!(put_once(&home, "b").await, Err("no answer".to_owned()));
    assert!(home.faults().crashed());
    assert_eq!(put_once(&home, "c").await, Err("no answer".to_owned()));
    home.faults().clear();
    home.settle(GUARD).await.unwrap();
    let keys: Vec<_> =
        records(&seen).iter().map(|record| record["dynamodb"]["Keys"]["pk"]["S"].clone()).collect();
    // The second write was carried out before the crash; at least once is the promise, in order the other.
    let mut once = keys.clone();
    once.dedup();
    assert_eq!(once, ["a", "b"], "{keys:?}");
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_hears_of_every_call_with_growing_numbers() {
    let home = quiet().await;
    let heard: Arc<Mutex<Vec<(u64, String, Side)>>> = Arc::default();
    let ear = heard.clone();
    home.faults().on_call(Some(Arc::new(move |call, side| {
        ear.lock().unwrap().push((
            call.number,
            format!("{} {}", call.operation, call.resources.join(",")),
            side,
        ));
    })));
    put_once(&home, "a").await.unwrap();
    put_once(&home, "b").await.unwrap();
    let heard = heard.lock().unwrap().clone();
    let put = || "PutItem things".to_owned();
    let first = heard[0].0;
    assert_eq!(
        heard,
        [
            (first, put(), Side::Before),
            (first, put(), Side::After),
            (first + 1, put(), Side::Before),
            (first + 1, put(), Side::After)
        ]
    );
    stop(home).await;
}
