use crate::support::{Seen, put, start, stop, streamed, worker};
use serde_json::Value;
use tessera_local::{Home, HomeError, Listen, Registry};
use tessera_sqs::NewMessage;

fn nobody() -> Registry {
    worker(&Seen::default(), |_| Ok(Value::Null))
}

const BUCKETS: &str = "
Resources:
  One: {Type: AWS::S3::Bucket, Properties: {BucketName: one}}
  Other: {Type: AWS::S3::Bucket, Properties: {BucketName: other}}
";

fn s3(home: &Home) -> aws_sdk_s3::Client {
    use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region};
    let (key, secret) = Home::credentials();
    let config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("local"))
        .credentials_provider(Credentials::new(key, secret, None, None, "tests"))
        .endpoint_url(&home.endpoints().s3)
        .force_path_style(true)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_survives_a_stop_and_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let template = format!(
        "{}  One: {{Type: AWS::S3::Bucket, Properties: {{BucketName: one}}}}\n",
        streamed("Enabled: false")
    );
    let first = start(&template, Some(folder.path()), nobody()).await.unwrap();
    put(&first, "a", 4_000_000_000).await;
    first.sqs().send("dead", &NewMessage::new("kept")).unwrap();
    let body = aws_sdk_s3::primitives::ByteStream::from_static(b"document");
    s3(&first).put_object().bucket("one").key("a/b").body(body).send().await.unwrap();
    let secrets = first.secrets().clone();
    stop(first).await;

    let second = start(&template, Some(folder.path()), nobody()).await.unwrap();
    assert_eq!(second.tables().unwrap()["things"], 1);
    assert_eq!(second.sqs().peek("dead", 0, 10).unwrap()[0].body, "kept");
    let object = s3(&second).get_object().bucket("one").key("a/b").send().await.unwrap();
    assert_eq!(object.body.collect().await.unwrap().to_vec(), b"document");
    assert_eq!(second.secrets(), &secrets);
    stop(second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_keys_changed_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let template = streamed("Enabled: false");
    stop(start(&template, Some(folder.path()), nobody()).await.unwrap()).await;
    let changed = template.replace("AttributeName: pk", "AttributeName: id");
    let error = start(&changed, Some(folder.path()), nobody()).await.unwrap_err().to_string();
    assert!(error.contains("table things was stored with the keys"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_was_added_to_the_template_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let template = streamed("Enabled: false");
    let first = start(&template, Some(folder.path()), nobody()).await.unwrap();
    put(&first, "a", 4_000_000_000).await;
    stop(first).await;
    let more = template.replace(
        "[{AttributeName: pk, AttributeType: S}]",
        "[{AttributeName: pk, AttributeType: S}, {AttributeName: n, AttributeType: N}]",
    );
    let more = more.replace(
        "      BillingMode",
        "      GlobalSecondaryIndexes: [{IndexName: by_n, KeySchema: [{AttributeName: n, KeyType: HASH}], Projection: {ProjectionType: ALL}}]\n      BillingMode",
    );
    let second = start(&more, Some(folder.path()), nobody()).await.unwrap();
    let found = crate::support::dynamodb(&second)
        .query()
        .table_name("things")
        .index_name("by_n")
        .key_condition_expression("n = :n")
        .expression_attribute_values(":n", aws_sdk_dynamodb::types::AttributeValue::N("4000000000".into()))
        .send()
        .await
        .unwrap();
    assert_eq!(found.count(), 1);
    stop(second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_home_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(BUCKETS, Some(folder.path()), nobody()).await.unwrap();
    let error = start(BUCKETS, Some(folder.path()), nobody()).await.unwrap_err();
    assert!(matches!(error, HomeError::Store { .. }), "{error}");
    stop(first).await;
    stop(start(BUCKETS, Some(folder.path()), nobody()).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named() {
    let first = Listen::anywhere().unwrap();
    let address = first.url().trim_start_matches("http://").parse().unwrap();
    let error = Listen::at(address).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{address} is in use")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_cannot_leave_its_bucket() {
    let home = start(BUCKETS, None, nobody()).await.unwrap();
    let client = s3(&home);
    let body = || aws_sdk_s3::primitives::ByteStream::from_static(b"x");
    client.put_object().bucket("other").key("secret").body(body()).send().await.unwrap();
    assert!(client.get_object().bucket("one").key("../other/secret").send().await.is_err());
    assert!(client.put_object().bucket("one").key("a/../../other/new").body(body()).send().await.is_err());
    let copied = client.copy_object().bucket("one").key("stolen").copy_source("one/../other/secret");
    assert!(copied.send().await.is_err());
    let object = aws_sdk_s3::types::ObjectIdentifier::builder().key("../other/secret").build().unwrap();
    let delete = aws_sdk_s3::types::Delete::builder().objects(object).build().unwrap();
    assert!(client.delete_objects().bucket("one").delete(delete).send().await.is_err());
    let listed = client.list_objects_v2().bucket("other").send().await.unwrap();
    assert_eq!(listed.contents().iter().filter_map(|object| object.key()).collect::<Vec<_>>(), ["secret"]);
    stop(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_without_a_folder_leaves_nothing_behind() {
    let home = start(BUCKETS, None, nobody()).await.unwrap();
    let folder = home.data().to_owned();
    assert!(folder.join("dynamodb.db").exists());
    stop(home).await;
    assert!(!folder.exists());
}
