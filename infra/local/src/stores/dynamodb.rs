//! The embedded DynamoDB: its tables, its endpoint, expiry by our clock, and reading of its streams.
//!
//! The store runs on a thread and runtime of its own, because it works on SQLite where it stands and would hold up
//! everybody else's tasks. In front of it stands our endpoint, which applies faults and wakes the readers of a
//! table's stream after every write.

use super::endpoint::{Dropped, Handler, answer, serve};
use super::faults::{Faults, Service};
use super::permissions::Permissions;
use super::stream_records::StreamRecords;
use super::tamper::{Asked, Hand};
use crate::error::HomeError;
use crate::template::{Settings, Table};
use axum::body::Body;
use dynoxide::Database;
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::encode_shard_iterator;
use dynoxide::streams::shard_id;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tessera::clock::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// A stream's public sequence numbers are the store's own plus this.
const SEQUENCE_OFFSET: u128 = 100_000_000_000_000_000_000;

/// Records of a table's stream that stay although nobody reads it.
const KEPT_UNREAD: i64 = 60 * 60 * 1_000_000;

/// The tables of a home.
pub(crate) struct Tables {
    db: Database,
    records: StreamRecords,
    clock: Clock,
    settings: Settings,
    tables: Vec<Table>,
    /// Counts the writes to each table with a stream.
    changes: BTreeMap<String, watch::Sender<u64>>,
    /// Keys deleted by expiry, and between which numbers their stream record lies: Lambda is told who deleted them.
    expired: Mutex<Expired>,
}

/// Table and key of an expired item, and the numbers before and not after its record.
type Expired = HashMap<(String, String), (i64, i64)>;

/// One record of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Its place in the stream.
    pub(crate) sequence: i64,
    /// Its place as the event spells it.
    pub(crate) number: String,
    /// When it was written, seconds since 1970 by the machine's clock, which nobody moves.
    pub(crate) created: i64,
    /// As Lambda gets it.
    pub(crate) event: Value,
}

impl Tables {
    /// Opens the store and makes what the template has and the store has not.
    ///
    /// # Errors
    /// If the file is damaged, or a table in it has other keys than in the template.
    pub(crate) fn open(
        path: &Path,
        tables: Vec<Table>,
        settings: &Settings,
        clock: Clock,
    ) -> Result<Arc<Self>, HomeError> {
        let file =
            path.to_str().ok_or_else(|| HomeError::Data(format!("{} is not UTF-8", path.display())))?;
        let what = || format!("the table store {}", path.display());
        let db = Database::new(file).map_err(HomeError::store(what()))?;
        let records = StreamRecords::open(path).map_err(HomeError::store(what()))?;
        for table in &tables {
            ensure(&db, table)?;
        }
        let streamed = tables.iter().filter(|table| table.stream);
        let changes = streamed.map(|table| (table.name.clone(), watch::Sender::new(0))).collect();
        let settings = settings.clone();
        Ok(Arc::new(Self { db, records, clock, settings, tables, changes, expired: Mutex::default() }))
    }

    /// Names and item counts, by name.
    pub(crate) fn counts(&self) -> Result<BTreeMap<String, u64>, HomeError> {
        let stats = self.db.table_stats().map_err(HomeError::store("counting items"))?;
        Ok(stats
            .into_iter()
            .map(|table| (table.table_name, u64::try_from(table.item_count).unwrap_or(0)))
            .collect())
    }

    /// The attributes of a table's key, in its order; none if the template has no such table.
    pub(crate) fn keys(&self, table: &str) -> impl Iterator<Item = &str> {
        self.tables.iter().filter(move |one| one.name == table).flat_map(key_names)
    }

    /// Up to `most` items of a table, or of one partition, behind the key `after`, as the API would answer a scan or a
    /// query. No fault befalls this, and nothing counts it.
    pub(crate) fn page(
        &self,
        table: &str,
        partition: Option<&str>,
        after: Option<Value>,
        most: usize,
    ) -> Result<Value, HomeError> {
        let what = || format!("reading table {table}");
        let mut asked = json!({"TableName": table, "Limit": most});
        if let Some(after) = after {
            asked["ExclusiveStartKey"] = after;
        }
        let Some(partition) = partition else {
            let page = self.db.scan(request(asked)?).map_err(HomeError::store(what()))?;
            return serde_json::to_value(page).map_err(HomeError::store(what()));
        };
        let key = self.keys(table).next();
        asked["KeyConditionExpression"] = "#key = :key".into();
        asked["ExpressionAttributeNames"] = json!({"#key": key});
        asked["ExpressionAttributeValues"] = json!({":key": {"S": partition}});
        let page = self.db.query(request(asked)?).map_err(HomeError::store(what()))?;
        serde_json::to_value(page).map_err(HomeError::store(what()))
    }

    /// Counts the writes to a table with a stream.
    pub(crate) fn changes(&self, table: &str) -> Option<&watch::Sender<u64>> {
        self.changes.get(table)
    }

    fn changed(&self, table: Option<&str>) {
        let tell = |changes: &watch::Sender<u64>| changes.send_modify(|count| *count += 1);
        match table {
            Some(table) => self.changes.get(table).into_iter().for_each(tell),
            None => self.changes.values().for_each(tell),
        }
    }

    /// Deletes the items whose time is over by our clock; how many is the answer. The store's own sweep would ask the
    /// machine's clock, which tests cannot move.
    pub(crate) fn expire(&self) -> Result<usize, HomeError> {
        let now = json!({":now": {"N": self.clock.now().as_second().to_string()}});
        let mut deleted = 0;
        for table in &self.tables {
            let Some(ttl) = &table.ttl else { continue };
            let mut after = Value::Null;
            loop {
                let mut scan = json!({"TableName": table.name, "FilterExpression": "#ttl <= :now", "Limit": 200,
                    "ExpressionAttributeNames": {"#ttl": ttl}, "ExpressionAttributeValues": now});
                if !after.is_null() {
                    scan["ExclusiveStartKey"] = after;
                }
                let page = self.db.scan(request(scan)?).map_err(HomeError::store("expiring items"))?;
                let page = serde_json::to_value(page).map_err(HomeError::store("expiring items"))?;
                for item in page["Items"].as_array().into_iter().flatten() {
                    deleted += usize::from(self.expire_one(table, ttl, item, &now)?);
                }
                match page.get("LastEvaluatedKey").filter(|key| !key.is_null()) {
                    Some(key) => after = key.clone(),
                    None => break,
                }
            }
        }
        Ok(deleted)
    }

    fn expire_one(&self, table: &Table, ttl: &str, item: &Value, now: &Value) -> Result<bool, HomeError> {
        let key: BTreeMap<&str, &Value> = key_names(table).map(|name| (name, &item[name])).collect();
        let mark = (table.name.clone(), json!(key).to_string());
        if table.stream {
            // Before the deletion, because a reader may be quicker than we are after it.
            self.expired().insert(mark.clone(), (self.newest(&table.name)?, i64::MAX));
        }
        let delete = json!({"TableName": table.name, "Key": key, "ConditionExpression": "#ttl <= :now",
            "ExpressionAttributeNames": {"#ttl": ttl}, "ExpressionAttributeValues": now});
        match self.db.delete_item(request(delete)?) {
            Ok(_) => {
                let newest = self.newest(&table.name)?;
                self.expired().entry(mark).and_modify(|(_, last)| *last = newest);
                self.changed(Some(&table.name));
                Ok(true)
            }
            // It was extended between scan and delete.
            Err(dynoxide::DynoxideError::ConditionalCheckFailedException(..)) => {
                self.expired().remove(&mark);
                Ok(false)
            }
            Err(error) => Err(HomeError::store("expiring an item")(error)),
        }
    }

    fn expired(&self) -> MutexGuard<'_, Expired> {
        self.expired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to `most` records of a table's stream behind `after`, in their order.
    pub(crate) fn read(&self, table: &str, after: i64, most: usize) -> Result<Vec<Record>, HomeError> {
        let shard_iterator = encode_shard_iterator(table, &shard_id(table), after);
        let found = self.db.get_records(GetRecordsRequest { shard_iterator, limit: Some(most) });
        let found = found.map_err(HomeError::store("reading a stream"))?;
        found.records.into_iter().map(|record| self.record(table, record)).collect()
    }

    fn record(
        &self,
        table: &str,
        found: dynoxide::actions::get_records::Record,
    ) -> Result<Record, HomeError> {
        let number = found.dynamodb.sequence_number.clone();
        let sequence = number.parse::<u128>().ok().and_then(|number| number.checked_sub(SEQUENCE_OFFSET));
        let sequence = sequence.and_then(|sequence| i64::try_from(sequence).ok());
        let sequence =
            sequence.ok_or_else(|| HomeError::Data(format!("a stream record has the number {number}")))?;
        let mut event = serde_json::to_value(found).map_err(HomeError::store("reading a stream"))?;
        let created = event["dynamodb"]["ApproximateCreationDateTime"].as_f64().unwrap_or_default();
        #[allow(clippy::cast_possible_truncation, reason = "whole seconds since 1970")]
        let created = created as i64;
        // The store stamps by the machine's clock, functions compare with ours.
        let ahead = self.clock.now().as_second() - Clock::default().now().as_second();
        event["dynamodb"]["ApproximateCreationDateTime"] = (created + ahead).into();
        event["awsRegion"] = self.settings.region.clone().into();
        event["eventSourceARN"] = self.settings.stream_arn(table).into();
        if event["eventName"] == "REMOVE" {
            let keys: Option<BTreeMap<&String, &Value>> =
                event["dynamodb"]["Keys"].as_object().map(|keys| keys.iter().collect());
            let mark = (table.to_owned(), json!(keys).to_string());
            let span = self.expired().get(&mark).copied();
            if span.is_some_and(|(before, last)| before < sequence && sequence <= last) {
                event["userIdentity"] = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
            }
        }
        Ok(Record { sequence, number, created, event })
    }

    /// The place behind everything a table's stream has.
    pub(crate) fn newest(&self, table: &str) -> Result<i64, HomeError> {
        self.records.newest(table).map_err(HomeError::store("reading a stream"))
    }

    /// Forgets stream records that all readers have passed; `passed` has the table's slowest reader, if it has any.
    pub(crate) fn trim(&self, passed: &BTreeMap<String, i64>) -> Result<(), HomeError> {
        for table in self.changes.keys() {
            let below = match passed.get(table) {
                Some(passed) => *passed,
                // Numbers are microseconds as a rule.
                None => self.newest(table)?.saturating_sub(KEPT_UNREAD),
            };
            let trimmed = self.records.trim(table, below).map_err(HomeError::store("trimming a stream"))?;
            if trimmed > 0 {
                tracing::debug!(table, trimmed, "stream records were forgotten");
            }
        }
        // A record that was read or trimmed needs its mark no more.
        let done = |table: &String, last: i64| passed.get(table).is_none_or(|passed| last < *passed);
        self.expired().retain(|(table, _), (_, last)| !done(table, *last));
        Ok(())
    }
}

fn request<T: DeserializeOwned>(json: Value) -> Result<T, HomeError> {
    serde_json::from_value(json).map_err(HomeError::store("a request to the table store"))
}

fn key_names(table: &Table) -> impl Iterator<Item = &str> {
    let keys = table.definition["KeySchema"].as_array().into_iter().flatten();
    keys.filter_map(|key| key["AttributeName"].as_str())
}

/// Keys in one spelling: name, role and type.
fn keys(schema: &Value, attributes: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = |name: &Value| {
        let found = attributes.as_array().into_iter().flatten().find(|one| one["AttributeName"] == *name);
        found.map(|one| text(&one["AttributeType"])).unwrap_or_default()
    };
    schema
        .as_array()
        .into_iter()
        .flatten()
        .map(|key| (text(&key["AttributeName"]), text(&key["KeyType"]), kind(&key["AttributeName"])))
        .collect()
}

fn failed<E: std::fmt::Display>(table: &str, what: &str) -> impl FnOnce(E) -> HomeError {
    HomeError::store(format!("table {table}: {what}"))
}

/// Makes a table, or what a stored one lacks.
fn ensure(db: &Database, table: &Table) -> Result<(), HomeError> {
    let name = &table.name;
    let wanted = &table.definition;
    let parse =
        |text: &str| serde_json::from_str::<Value>(text).map_err(failed(name, "its stored definition"));
    match db.get_table_metadata(name).map_err(failed(name, "reading its definition"))? {
        None => {
            db.create_table(request(wanted.clone())?).map_err(failed(name, "making it"))?;
        }
        Some(stored) => {
            let attributes = parse(&stored.attribute_definitions)?;
            let (ours, theirs) = (
                keys(&wanted["KeySchema"], &wanted["AttributeDefinitions"]),
                keys(&parse(&stored.key_schema)?, &attributes),
            );
            if ours != theirs {
                return Err(HomeError::Data(format!(
                    "table {name} was stored with the keys {theirs:?} and the template has {ours:?}; \
                     keys cannot be changed: use another data folder or another table name"
                )));
            }
            let indexes = stored.gsi_definitions.as_deref().map(&parse).transpose()?.unwrap_or(Value::Null);
            for index in wanted["GlobalSecondaryIndexes"].as_array().into_iter().flatten() {
                let same = |known: &&Value| known["IndexName"] == index["IndexName"];
                match indexes.as_array().into_iter().flatten().find(same) {
                    Some(known) if known["KeySchema"] == index["KeySchema"] => {}
                    Some(_) => {
                        return Err(HomeError::Data(format!(
                            "index {} of table {name} was stored with other keys than the template has",
                            index["IndexName"]
                        )));
                    }
                    None => {
                        let update = json!({"TableName": name,
                            "AttributeDefinitions": wanted["AttributeDefinitions"],
                            "GlobalSecondaryIndexUpdates": [{"Create": index}]});
                        db.update_table(request(update)?).map_err(failed(name, "making an index"))?;
                    }
                }
            }
            let view = wanted["StreamSpecification"]["StreamViewType"].as_str();
            match (view, stored.stream_enabled) {
                (Some(view), true) if stored.stream_view_type.as_deref() != Some(view) => {
                    return Err(HomeError::Data(format!(
                        "the stream of table {name} shows {} and the template wants {view}; this cannot be changed \
                         without losing records",
                        stored.stream_view_type.unwrap_or_default()
                    )));
                }
                (Some(_), false) => {
                    let update =
                        json!({"TableName": name, "StreamSpecification": wanted["StreamSpecification"]});
                    db.update_table(request(update)?).map_err(failed(name, "switching its stream on"))?;
                }
                _ => {}
            }
        }
    }
    let stored = db.get_table_metadata(name).map_err(failed(name, "reading its definition"))?;
    let known = stored.and_then(|stored| stored.ttl_attribute.filter(|_| stored.ttl_enabled));
    if table.ttl != known {
        let change = |attribute: &str, enabled: bool| {
            let update = json!({"TableName": name,
                "TimeToLiveSpecification": {"AttributeName": attribute, "Enabled": enabled}});
            db.update_time_to_live(request(update)?).map_err(failed(name, "its time to live")).map(|_| ())
        };
        if let Some(known) = &known {
            change(known, false)?;
        }
        if let Some(wanted) = &table.ttl {
            change(wanted, true)?;
        }
    }
    Ok(())
}

/// The store's own server on its own thread.
pub(crate) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    endpoint: JoinHandle<()>,
}

impl Server {
    /// Serves the tables at `listener` until `stop`, through an endpoint that applies faults.
    pub(crate) fn start(
        tables: &Arc<Tables>,
        faults: &Arc<Faults>,
        permissions: Permissions,
        listener: TcpListener,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, HomeError> {
        let what = || "the table store's own listener";
        let inner = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(HomeError::io(what()))?;
        let address = inner.local_addr().map_err(HomeError::io(what()))?;
        inner.set_nonblocking(true).map_err(HomeError::io(what()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(HomeError::io("the table store's runtime"))?;
        let (stopper, stopped) = oneshot::channel::<()>();
        let db = tables.db.clone();
        let thread = std::thread::Builder::new().name("dynamodb".into()).spawn(move || {
            let served = runtime.block_on(async move {
                let listener = TcpListener::from_std(inner).map_err(|error| error.to_string())?;
                let stopped = async move {
                    // Dropped or sent: both mean stop.
                    let _sent = stopped.await.is_ok();
                };
                dynoxide::server::serve_with_shutdown(listener, db, stopped).await
            });
            if let Err(error) = served {
                tracing::error!(error, "the table store's server ended");
            }
        });
        let thread = thread.map_err(HomeError::io("the table store's thread"))?;
        let shared =
            Arc::new(Shared { tables: tables.clone(), faults: faults.clone(), permissions, inner: address });
        let handler = move || Connection { shared: shared.clone(), upstream: Arc::default() };
        let endpoint = tokio::spawn(serve(listener, stop, handler));
        Ok(Self { stop: Some(stopper), thread: Some(thread), endpoint })
    }

    /// Finishes running requests and lets go of the file, after the endpoint was told to stop.
    pub(crate) async fn stop(mut self) {
        if let Err(error) = self.endpoint.await {
            tracing::error!(%error, "the table store's endpoint ended badly");
        }
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the table store's thread did not end well");
            }
        }
    }
}

struct Shared {
    tables: Arc<Tables>,
    faults: Arc<Faults>,
    permissions: Permissions,
    inner: SocketAddr,
}

/// A client's connection and the one to the store that belongs to it.
#[derive(Clone)]
struct Connection {
    shared: Arc<Shared>,
    upstream: Arc<tokio::sync::Mutex<Option<SendRequest<Full<Bytes>>>>>,
}

impl Handler for Connection {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
        let Shared { tables, faults, permissions, .. } = &*self.shared;
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = target
            .and_then(|target| target.split_once('.'))
            .map(|(_, name)| name)
            .unwrap_or_default()
            .to_owned();
        let verdict = faults.begin(Service::DynamoDb, &operation, || named(&operation, &body));
        if let Some(instead) = verdict.instead(Service::DynamoDb) {
            return instead.ok_or(Dropped);
        }
        let caller = parts.headers.get("x-amz-security-token").and_then(|caller| caller.to_str().ok());
        if let Some(caller) = caller
            && let Some(denied) = denied(permissions, caller, &operation, &body)
        {
            return Ok(denied);
        }
        let written = matches!(operation.as_str(), "PutItem" | "UpdateItem" | "DeleteItem")
            .then(|| table_name(&body).map(Cow::into_owned))
            .map(|name| name.unwrap_or_default());
        let many = matches!(
            operation.as_str(),
            "BatchWriteItem"
                | "TransactWriteItems"
                | "ExecuteStatement"
                | "ExecuteTransaction"
                | "BatchExecuteStatement"
        );
        let request = Request::from_parts(parts, Full::new(body));
        let answered = match faults.hand() {
            None => self.forward(request).await,
            Some(hand) => self.tampered(&hand, request).await,
        };
        match &written {
            Some(table) => tables.changed(Some(table)),
            None if many => tables.changed(None),
            None => {}
        }
        if faults.end(&verdict) {
            return Err(Dropped);
        }
        Ok(answered.unwrap_or_else(|why| {
            tracing::error!(operation, why, "the table store does not answer");
            let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"Internal server error"}"#;
            answer(StatusCode::INTERNAL_SERVER_ERROR, "application/x-amz-json-1.0", body)
        }))
    }
}

impl Connection {
    /// Forwards what a hand on the wire makes of a request.
    async fn tampered(&self, hand: &Hand, request: Request<Full<Bytes>>) -> Result<Response<Body>, String> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let (api, operation) = parts
            .headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok()?.split_once('.'))
            .ok_or("a request without a target")?;
        let parameters = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        let mut asked = Asked { operation: operation.to_owned(), parameters };
        let request = |asked: &Asked| -> Result<_, String> {
            let mut request = Request::new(Full::new(Bytes::from(asked.parameters.to_string())));
            (*request.method_mut(), *request.uri_mut()) = (parts.method.clone(), parts.uri.clone());
            *request.headers_mut() = parts.headers.clone();
            request.headers_mut().remove(http::header::CONTENT_LENGTH);
            let target = format!("{api}.{}", asked.operation).parse();
            request.headers_mut().insert("x-amz-target", target.map_err(|_| "no operation".to_owned())?);
            Ok(request)
        };
        for first in hand.before(&mut asked).await {
            drop(self.forward(request(&first)?).await?);
        }
        let (parts, body) = self.forward(request(&asked)?).await?.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        hand.after(&asked, &serde_json::from_slice(&body).map_err(|error| error.to_string())?);
        Ok(Response::from_parts(parts, Body::from(body)))
    }

    async fn forward(&self, request: Request<Full<Bytes>>) -> Result<Response<Body>, String> {
        let mut upstream = self.upstream.lock().await;
        let ready = match upstream.as_mut() {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            let socket = TcpStream::connect(self.shared.inner).await.map_err(|error| error.to_string())?;
            socket.set_nodelay(true).map_err(|error| error.to_string())?;
            let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
                .await
                .map_err(|error| error.to_string())?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the table store ended early");
                }
            });
            *upstream = Some(sender);
        }
        let sender = upstream.as_mut().ok_or("no connection")?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(rename = "TableName", borrow)]
    table: Option<Cow<'a, str>>,
    #[serde(rename = "IndexName", borrow)]
    index: Option<Cow<'a, str>>,
}

fn table_name(body: &[u8]) -> Option<Cow<'_, str>> {
    serde_json::from_slice::<Named<'_>>(body).ok()?.table
}

/// The refusal, if the caller may not do this to what the request names.
fn denied(permissions: &Permissions, caller: &str, operation: &str, body: &[u8]) -> Option<Response<Body>> {
    match serde_json::from_slice(body) {
        Ok(Named { table: Some(table), index }) => {
            permissions.denied(caller, operation, &table, index.as_deref())
        }
        Ok(Named { table: None, .. }) | Err(_) => {
            named(operation, body).iter().find_map(|table| permissions.denied(caller, operation, table, None))
        }
    }
}

/// The tables a request names, wherever it names them.
fn named(operation: &str, body: &[u8]) -> Vec<String> {
    if let Some(table) = table_name(body) {
        return vec![table.into_owned()];
    }
    let Ok(request) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    match operation {
        "BatchWriteItem" | "BatchGetItem" => request["RequestItems"]
            .as_object()
            .map(|tables| tables.keys().cloned().collect())
            .unwrap_or_default(),
        _ => {
            let items = request["TransactItems"].as_array().into_iter().flatten();
            let actions = items.filter_map(|item| item.as_object()?.values().next()?["TableName"].as_str());
            actions.map(str::to_owned).collect()
        }
    }
}
