//! A home with toy functions.

use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tessera::queue::Worker;
use tessera::run::Handler;
use tessera_local::{Home, HomeError, Listen, Options, Registry, Unbuilt};

/// Ends a test that hangs; nothing is measured by it.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// What a toy worker was called with.
pub(crate) type Seen = Arc<Mutex<Vec<Value>>>;

/// A registry with one worker, `worker`, that notes its events and answers as it is told.
pub(crate) fn worker(
    seen: &Seen,
    answer: impl Fn(&Value) -> Result<Value, String> + Send + Sync + 'static,
) -> Registry {
    let (seen, answer) = (seen.clone(), Arc::new(answer));
    registry(move |binary| {
        let (seen, answer) = (seen.clone(), answer.clone());
        (binary == "worker").then(|| {
            Handler::Worker(Worker::new(move |event| {
                let (seen, answer) = (seen.clone(), answer.clone());
                Box::pin(async move {
                    let answered = answer(&event);
                    seen.lock().unwrap().push(event);
                    answered.map_err(Into::into)
                })
            }))
        })
    })
}

pub(crate) fn registry(find: impl Fn(&str) -> Option<Handler> + Send + Sync + 'static) -> Registry {
    Arc::new(move |binary, _config, _process| find(binary).ok_or_else(|| Unbuilt::Unknown(binary.to_owned())))
}

/// Starts a home with a template, and a data folder if it should outlive it.
pub(crate) async fn start(
    template: &str,
    data: Option<&Path>,
    registry: Registry,
) -> Result<Home, HomeError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), template).unwrap();
    let mut options = Options::new(Listen::anywhere().unwrap());
    options.template = Some(file.path().to_owned());
    options.data = data.map(Path::to_owned);
    Home::start(options, registry).await
}

pub(crate) async fn home(template: &str, registry: Registry) -> Home {
    start(template, None, registry).await.unwrap()
}

/// Stops and lets go of the data.
pub(crate) async fn stop(home: Home) {
    home.stop(GUARD).await.unwrap();
}

pub(crate) fn dynamodb(home: &Home) -> aws_sdk_dynamodb::Client {
    use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Credentials, Region};
    let (key, secret) = Home::credentials();
    let config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("local"))
        .credentials_provider(Credentials::new(key, secret, None, None, "tests"))
        .endpoint_url(&home.endpoints().dynamodb)
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

/// Stores `{"pk": key, "n": n}`.
pub(crate) async fn put(home: &Home, key: &str, n: u64) {
    use aws_sdk_dynamodb::types::AttributeValue;
    let put = dynamodb(home).put_item().table_name("things").item("pk", AttributeValue::S(key.into()));
    put.item("n", AttributeValue::N(n.to_string())).send().await.unwrap();
}

/// A table `things` with a stream, and a worker that reads it.
pub(crate) fn streamed(event: &str) -> String {
    format!(
        "
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: out/worker
      Events:
        Changes:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Things.StreamArn
            StartingPosition: TRIM_HORIZON
{}
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: things
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{{AttributeName: pk, AttributeType: S}}]
      KeySchema: [{{AttributeName: pk, KeyType: HASH}}]
      StreamSpecification: {{StreamViewType: NEW_AND_OLD_IMAGES}}
      TimeToLiveSpecification: {{AttributeName: n, Enabled: true}}
  Dead: {{Type: AWS::SQS::Queue, Properties: {{QueueName: dead}}}}
",
        event.lines().map(|line| format!("            {}", line.trim_start())).collect::<Vec<_>>().join("\n")
    )
}

/// The records a toy worker saw, one after the other.
pub(crate) fn records(seen: &Seen) -> Vec<Value> {
    let events = seen.lock().unwrap();
    events.iter().flat_map(|event| event["Records"].as_array().cloned().unwrap_or_default()).collect()
}

/// An answer that names these items as failed.
pub(crate) fn failed<'a>(ids: impl IntoIterator<Item = &'a str>) -> Value {
    json!({"batchItemFailures": ids.into_iter().map(|id| json!({"itemIdentifier": id})).collect::<Vec<_>>()})
}
