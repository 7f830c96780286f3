use super::*;

fn settings() -> Settings {
    Settings {
        region: "local".into(),
        account: "000000000000".into(),
        stack: "tessera".into(),
        url: "http://127.0.0.1:3000".into(),
        queues: "http://127.0.0.1:9324".into(),
        parameters: BTreeMap::new(),
        offered: BTreeMap::new(),
        secrets: BTreeMap::from([("token_secrets".to_owned(), "hush".to_owned())]),
    }
}

fn read(source: &str) -> Template {
    Template::read(source, &settings()).unwrap()
}

fn error(source: &str) -> TemplateError {
    Template::read(source, &settings()).unwrap_err()
}

const WHOLE: &str = include_str!("tests/whole.yaml");

#[test]
fn a_whole_template_is_understood() {
    let template = read(WHOLE);
    let named = |name: &str| template.functions.iter().find(|function| function.logical == name).unwrap();
    let api = named("BookingFunction");
    assert_eq!((api.binary.as_str(), api.timeout_seconds, api.memory_mb), ("booking", 10, 256));
    let route = |method: Option<&str>, path: Option<&str>| Route {
        method: method.map(str::to_owned),
        path: path.map(str::to_owned),
        timeout_ms: 30_000,
    };
    assert_eq!(
        api.routes,
        [
            route(Some("POST"), Some("/v1/holds")),
            route(Some("GET"), Some("/v1/holds/{id}")),
            route(None, Some("/v1/{rest+}")),
            route(None, None)
        ]
    );
    let expected = [
        ("COMMON", "for-all"),
        ("TABLE", "test-booking"),
        ("TABLE_ARN", "arn:aws:dynamodb:local:000000000000:table/test-booking"),
        ("QUEUE_URL", "http://127.0.0.1:9324/000000000000/test-booking-queue"),
        ("DEAD", "http://127.0.0.1:9324/000000000000/tessera-Dead"),
        ("BUCKET", "tessera-documents"),
        ("SECRET", "before hush after"),
        ("SSM", "hush"),
        ("URL", "http://127.0.0.1:3000"),
        ("ALARMS", "tessera-Alarms"),
        ("JOINED", "a-b"),
        ("SELECTED", "second"),
        ("LITERAL", "${NotAName} of local"),
        ("MAPPED", "7"),
        ("CHOSEN", "small"),
        ("LONG", "test-booking"),
    ];
    let environment: BTreeMap<&str, &str> =
        api.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(environment, BTreeMap::from(expected));

    let worker = named("BookingWorker");
    assert_eq!(worker.binary, "booking-worker");
    let queue = &worker.queues[0];
    assert_eq!((queue.queue.as_str(), queue.batch, queue.window_seconds), ("test-booking-queue", 20, 1));
    assert_eq!((queue.partial, queue.concurrency), (true, Some(4)));
    let stream = &worker.streams[0];
    assert_eq!((stream.table.as_str(), stream.batch, stream.parallel), ("test-booking", 50, 2));
    assert_eq!((stream.from_start, stream.bisect, stream.partial), (true, true, true));
    assert_eq!((stream.retries, stream.max_age_seconds), (Some(3), None));
    assert_eq!(stream.on_failure.as_deref(), Some("tessera-Dead"));
    assert_eq!(stream.filters.len(), 1);
    let schedules: Vec<_> =
        worker.schedules.iter().map(|one| (one.event.as_str(), one.scheduler, one.zone.as_str())).collect();
    assert_eq!(schedules, [("Nightly", true, "Europe/Berlin"), ("Often", false, "UTC")]);
    assert_eq!(worker.schedules[0].input, Some(serde_json::json!({"job": "sweep"})));

    let table = &template.tables[0];
    assert_eq!(
        (table.name.as_str(), table.stream, table.ttl.as_deref()),
        ("test-booking", true, Some("ttl"))
    );
    assert_eq!(table.definition["GlobalSecondaryIndexes"][0]["Projection"]["ProjectionType"], "ALL");
    let queue = template.queues.iter().find(|queue| queue.name == "test-booking-queue").unwrap();
    assert_eq!(queue.attributes["VisibilityTimeout"], "60");
    let redrive: serde_json::Value = serde_json::from_str(&queue.attributes["RedrivePolicy"]).unwrap();
    assert_eq!(redrive["deadLetterTargetArn"], "arn:aws:sqs:local:000000000000:tessera-Dead");
    assert_eq!(redrive["maxReceiveCount"], 5);
    assert_eq!(template.buckets, ["tessera-documents"]);
    assert_eq!(template.cors.unwrap().origins, ["https://example.com"]);
    assert!(template.ignored.contains(&("Alarms".into(), "AWS::SNS::Topic".into())));
    assert!(!template.ignored.iter().any(|(name, _)| name == "OnlyInProduction"));
}

#[test]
fn parameters_that_are_given_replace_defaults() {
    let mut settings = settings();
    settings.parameters.insert("Stage".into(), "prod".into());
    let template = Template::read(WHOLE, &settings).unwrap();
    assert_eq!(template.tables[0].name, "prod-booking");
    assert!(template.ignored.iter().any(|(name, _)| name == "OnlyInProduction"));
    settings.parameters.insert("Stage".into(), "elsewhere".into());
    assert!(Template::read(WHOLE, &settings).unwrap_err().what.contains("cannot be `elsewhere`"));
    settings.parameters = BTreeMap::from([("Stagge".to_owned(), "prod".to_owned())]);
    assert!(Template::read(WHOLE, &settings).unwrap_err().what.contains("no parameter `Stagge`"));
}

#[test]
fn every_mistake_is_reported_at_its_line() {
    let resources = |rest: &str| format!("Resources:\n{rest}");
    let function = |rest: &str| {
        resources(&format!(
            "  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: out/f/\n{rest}"
        ))
    };
    for (source, line, words) in [
        (resources("  T:\n    Type: AWS::RDS::DBInstance\n"), 2, "`T` is a AWS::RDS::DBInstance"),
        (resources("  T:\n    Properties: {}\n"), 2, "`T` has no Type"),
        (function("      Layers: []\n"), 6, "has `Layers`"),
        (function("      Timeout: soon\n"), 6, "Timeout cannot be `soon`"),
        (function("      Runtime: python3.12\n"), 6, "Runtime cannot be `python3.12`"),
        (
            function("      Environment:\n        Variables:\n          A: !ImportValue other\n"),
            8,
            "!ImportValue is not supported",
        ),
        (
            function("      Environment:\n        Variables:\n          A: !Ref Nobody\n"),
            8,
            "no parameter or resource `Nobody`",
        ),
        (
            function(
                "      Environment:\n        Variables:\n          A: '{{resolve:secretsmanager:x:SecretString:nothing}}'\n",
            ),
            8,
            "no secret `nothing`",
        ),
        (
            function("      Events:\n        E:\n          Type: Kinesis\n          Properties: {}\n"),
            7,
            "E is of type Kinesis",
        ),
        (
            function(
                "      Events:\n        E:\n          Type: HttpApi\n          Properties:\n            Path: /\n            Method: get\n            Cache: true\n",
            ),
            12,
            "has `Cache`",
        ),
        (
            function(
                "      Events:\n        E:\n          Type: HttpApi\n          Properties: {Path: /, Method: get, Auth: {Authorizer: Cognito}}\n",
            ),
            9,
            "Authorizer cannot be `Cognito`",
        ),
        (
            function(
                "      Events:\n        E:\n          Type: Schedule\n          Properties: {Schedule: rate(1 minutes)}\n",
            ),
            9,
            "rate(1 minutes)",
        ),
        (resources("  Q:\n    Type: AWS::SQS::Queue\n    Properties:\n      Delay: 5\n"), 5, "has `Delay`"),
        (
            "Resources:\n  A: {Type: AWS::SNS::Topic}\n  A: {Type: AWS::SNS::Topic}\n".into(),
            3,
            "`A` is there twice",
        ),
        ("Surprises: {}\nResources: {}\n".into(), 1, "section `Surprises`"),
        ("Resources:\n  A: [\n".into(), 3, "no YAML"),
        (
            "Conditions:\n  A: !Not [!Condition A]\nResources:\n  T: {Type: AWS::SNS::Topic, Condition: A}\n"
                .into(),
            2,
            "depends on itself",
        ),
    ] {
        let found = error(&source);
        assert!(found.what.contains(words), "{found}\n{source}");
        assert_eq!(found.line, line, "{found}\n{source}");
    }
}

#[test]
fn a_property_that_is_no_value_is_not_there() {
    let template = read(
        "Conditions: {Never: !Equals [a, b]}
Resources:
  Q:
    Type: AWS::SQS::Queue
    Properties:
      DelaySeconds: !If [Never, 5, !Ref AWS::NoValue]
      VisibilityTimeout: {Fn::If: [Never, 5, 6]}
",
    );
    assert_eq!(
        template.queues[0].attributes,
        BTreeMap::from([("VisibilityTimeout".to_owned(), "6".to_owned())])
    );
}
