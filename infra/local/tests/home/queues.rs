use crate::support::{GUARD, Seen, failed, home, records, stop, worker};
use serde_json::json;
use std::collections::BTreeMap;
use tessera_sqs::NewMessage;

fn template(event: &str, most: u32) -> String {
    format!(
        "
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: out/worker
      Events:
        Messages:
          Type: SQS
          Properties: {{Queue: !GetAtt Work.Arn, BatchSize: 10{event}}}
  Work:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: work
      VisibilityTimeout: 600
      RedrivePolicy: {{deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: {most}}}
  Dead: {{Type: AWS::SQS::Queue, Properties: {{QueueName: dead}}}}
"
    )
}

fn tries(seen: &Seen) -> BTreeMap<String, usize> {
    let mut tries = BTreeMap::new();
    for record in records(seen) {
        *tries.entry(record["body"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    tries
}

#[tokio::test(flavor = "multi_thread")]
async fn one_poison_message_of_ten_is_tried_to_the_limit_and_the_others_once() {
    let seen = Seen::default();
    let registry = worker(&seen, |event| {
        let records = event["Records"].as_array().unwrap();
        let poisoned = records.iter().filter(|record| record["body"] == "poison");
        Ok(failed(poisoned.map(|record| record["messageId"].as_str().unwrap())))
    });
    let home = home(&template(", FunctionResponseTypes: [ReportBatchItemFailures]", 4), registry).await;
    let bodies = (0..9).map(|n| n.to_string()).chain(["poison".to_owned()]);
    let messages: Vec<_> = bodies.map(NewMessage::new).collect();
    home.sqs().send_batch("work", &messages).unwrap().into_iter().for_each(|sent| drop(sent.unwrap()));
    home.settle(GUARD).await.unwrap();

    let mut tries = tries(&seen);
    assert_eq!(tries.remove("poison"), Some(4));
    assert_eq!(tries, (0..9).map(|n| (n.to_string(), 1)).collect());
    let dead = home.sqs().peek("dead", 0, 10).unwrap();
    assert_eq!(dead.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["poison"]);
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_partial_failures_a_batch_succeeds_or_fails_as_a_whole() {
    let seen = Seen::default();
    let registry = worker(&seen, |event| {
        let records = event["Records"].as_array().unwrap();
        // The named item means nothing to a source that does not ask for it.
        let answer = failed(records.iter().map(|record| record["messageId"].as_str().unwrap()));
        if records.iter().any(|record| record["body"] == "poison") { Err("no".into()) } else { Ok(answer) }
    });
    let home = home(&template("", 2), registry).await;
    home.sqs().send_batch("work", &["a", "poison"].map(NewMessage::new)).unwrap();
    home.settle(GUARD).await.unwrap();
    home.sqs().send("work", &NewMessage::new("b")).unwrap();
    home.settle(GUARD).await.unwrap();
    let tries = tries(&seen);
    assert_eq!(tries["poison"], 2);
    assert_eq!(tries["b"], 1);
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_names_nobody_fails_the_whole_batch() {
    let seen = Seen::default();
    let registry = worker(&seen, |_| Ok(json!({"batchItemFailures": [{"itemIdentifier": "nobody"}]})));
    let home = home(&template(", FunctionResponseTypes: [ReportBatchItemFailures]", 1), registry).await;
    home.sqs().send("work", &NewMessage::new("a")).unwrap();
    home.settle(GUARD).await.unwrap();
    assert_eq!(home.sqs().peek("dead", 0, 10).unwrap().len(), 1);
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_is_what_lambda_hands_to_a_function() {
    let seen = Seen::default();
    let home = home(&template("", 2), worker(&seen, |_| Ok(json!(null)))).await;
    let mut message = NewMessage::new("hello");
    message.attributes.insert("kind".into(), tessera_sqs::Attribute::string("greeting"));
    let sent = home.sqs().send("work", &message).unwrap();
    home.settle(GUARD).await.unwrap();
    let event = seen.lock().unwrap()[0].clone();
    let parsed: aws_lambda_events::sqs::SqsEvent = serde_json::from_value(event.clone()).unwrap();
    assert_eq!(parsed.records[0].message_attributes["kind"].string_value.as_deref(), Some("greeting"));
    let record = &event["Records"][0];
    assert_eq!(record["messageId"], sent.message_id.as_str());
    assert_eq!(record["body"], "hello");
    assert_eq!(record["md5OfBody"], sent.md5_of_body.as_str());
    assert_eq!(record["eventSource"], "aws:sqs");
    assert_eq!(record["eventSourceARN"], "arn:aws:sqs:local:000000000000:work");
    assert_eq!(record["awsRegion"], "local");
    assert_eq!(record["attributes"]["ApproximateReceiveCount"], "1");
    stop(home).await;
}
