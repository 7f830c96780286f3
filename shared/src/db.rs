//! The store's edge: items with a version, the messages they cause, and two listings.
//!
//! Every item has the same outer form, whatever it keeps:
//!
//! | attribute | meaning |
//! |---|---|
//! | `pk`, `sk` | primary key |
//! | `v` | version, 1 when first written, +1 with every replacement |
//! | `d` | the kept value as a map |
//! | `out` | the messages this write caused, as JSON; the table's stream carries them to the outbox |
//! | `g1`, `g1s`, `g2`, `g2s` | keys of the two sparse listings, where the item is listed |
//! | `ttl` | when the store may forget it, seconds since 1970 (it does so days late: every condition checks time itself) |
//!
//! There are two shapes of write. The first: *put if absent* and *replace if the version is still the one read*. The second, the
//! guarded counter, has an outer form of its own: lanes ([`crate::pool`]) and buckets ([`crate::limit`]).

use crate::app::{Aws, client};
use crate::config::{Config, ConfigError};
use crate::error::{Code, Result};
use crate::identity::audit::Note;
use crate::message::{Envelope, Message};
use crate::telemetry::Meter;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, KeysAndAttributes, ReturnConsumedCapacity, ReturnValue,
    ReturnValuesOnConditionCheckFailure,
};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::Arc;

/// An item as the SDK sees it.
pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// The tables, one per capability that keeps something, and the lanes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Table {
    /// Accounts, sessions, organisations.
    Identity,
    /// Events and offers.
    Catalogue,
    /// Lanes: capacity and its ledger. Written by booking alone.
    Pool,
    /// The decision of every hold; bookings.
    Booking,
    /// Orders.
    Order,
    /// Payments.
    Payment,
    /// Tickets and the entry log.
    Entry,
    /// What was mailed.
    Notification,
    /// Pictures.
    Media,
    /// How far the streams have been read.
    Outbox,
    /// How often callers have asked. Written by every function that answers them.
    Limit,
}

impl Table {
    /// Every table.
    pub const ALL: &'static [Self] = &[
        Self::Identity,
        Self::Catalogue,
        Self::Pool,
        Self::Booking,
        Self::Order,
        Self::Payment,
        Self::Entry,
        Self::Notification,
        Self::Media,
        Self::Outbox,
        Self::Limit,
    ];

    /// The tables whose items carry messages.
    pub const WITH_MESSAGES: &'static [Self] = &[
        Self::Identity,
        Self::Catalogue,
        Self::Booking,
        Self::Order,
        Self::Payment,
        Self::Entry,
        Self::Notification,
        Self::Media,
    ];

    /// The one word that ends the table's name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Catalogue => "catalogue",
            Self::Pool => "pool",
            Self::Booking => "booking",
            Self::Order => "order",
            Self::Payment => "payment",
            Self::Entry => "entry",
            Self::Notification => "notification",
            Self::Media => "media",
            Self::Outbox => "outbox",
            Self::Limit => "limit",
        }
    }
}

/// A primary key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// Partition.
    pub pk: String,
    /// Place in the partition.
    pub sk: String,
}

impl Key {
    /// A key of both parts.
    #[must_use]
    pub fn new(pk: impl ToString, sk: impl ToString) -> Self {
        Self { pk: pk.to_string(), sk: sk.to_string() }
    }
}

/// The two sparse listings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listing {
    /// The table itself, by partition.
    Primary,
    /// Index `first`, keys `g1`, `g1s`.
    First,
    /// Index `second`, keys `g2`, `g2s`.
    Second,
}

impl Listing {
    const fn index(self) -> Option<&'static str> {
        match self {
            Self::Primary => None,
            Self::First => Some("first"),
            Self::Second => Some("second"),
        }
    }

    const fn attributes(self) -> (&'static str, &'static str) {
        match self {
            Self::Primary => ("pk", "sk"),
            Self::First => ("g1", "g1s"),
            Self::Second => ("g2", "g2s"),
        }
    }
}

/// Something a table keeps.
pub trait Item: Serialize + DeserializeOwned + Clone + Send + Sync {
    /// Where.
    const TABLE: Table;
    /// Under which key.
    fn key(&self) -> Key;
    /// Its place in index `g1`, if it is listed there.
    fn first(&self) -> Option<(String, String)> {
        None
    }
    /// Its place in index `g2`, if it is listed there.
    fn second(&self) -> Option<(String, String)> {
        None
    }
    /// From when the store may forget it.
    fn forget(&self) -> Option<Timestamp> {
        None
    }
}

/// A kept value and the version it was read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<T> {
    /// The value.
    pub value: T,
    /// Its version.
    pub version: u64,
}

/// What came of a first write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put<T> {
    /// It is stored now.
    Done(Stored<T>),
    /// Somebody was first; this is what they stored.
    Existed(Stored<T>),
}

impl<T> Put<T> {
    /// What is stored, whoever stored it.
    pub fn stored(self) -> Stored<T> {
        match self {
            Self::Done(stored) | Self::Existed(stored) => stored,
        }
    }

    /// What is stored, if it is what a request with this print stored, now or before.
    ///
    /// # Errors
    /// `key_reused` if another request under the same key was first.
    pub fn by_request(self, print: &str, of: impl Fn(&T) -> &str) -> Result<Stored<T>> {
        match self {
            Self::Existed(known) if of(&known.value) != print => Code::KeyReused.refuse(),
            put => Ok(put.stored()),
        }
    }
}

/// What came of a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replace<T> {
    /// It is stored now.
    Done(Stored<T>),
    /// The version had moved on; this is what is there (nothing, if it was deleted).
    Changed(Option<Stored<T>>),
}

impl<T> Replace<T> {
    /// What is stored now.
    ///
    /// # Errors
    /// `version_changed` if the version had moved on.
    pub fn done(self) -> Result<Stored<T>> {
        match self {
            Self::Done(stored) => Ok(stored),
            Self::Changed(_) => Code::VersionChanged.refuse(),
        }
    }
}

/// What a change decided: the next value and the messages it causes.
pub type Change<T> = (T, Vec<Message>);

/// The tables of one deployment.
#[derive(Clone)]
pub struct Db {
    client: Client,
    prefix: Arc<str>,
    meter: Option<Arc<Meter>>,
}

/// Whether a call reads or writes: they are counted apart.
#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write,
}

impl Db {
    pub(crate) fn new(config: &Config, aws: &Aws, meter: Option<Arc<Meter>>) -> Result<Self, ConfigError> {
        let client =
            Client::from_conf(client!(aws_sdk_dynamodb, aws, config, "AWS_ENDPOINT_URL_DYNAMODB").build());
        Ok(Self { client, prefix: config.require("TABLE_PREFIX")?.into(), meter })
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// The table's full name in this deployment.
    #[must_use]
    pub fn table(&self, table: Table) -> String {
        format!("{}{}", self.prefix, table.word())
    }

    pub(crate) fn wants_capacity(&self) -> Option<ReturnConsumedCapacity> {
        self.meter.as_ref().map(|_| ReturnConsumedCapacity::Total)
    }

    fn count(&self, kind: Kind, consumed: &[ConsumedCapacity]) {
        if let Some(meter) = &self.meter {
            let units = consumed.iter().filter_map(ConsumedCapacity::capacity_units).sum();
            match kind {
                Kind::Read => meter.read(units),
                Kind::Write => meter.wrote(units),
            }
        }
    }

    pub(crate) fn count_read(&self, consumed: Option<&ConsumedCapacity>) {
        self.count(Kind::Read, consumed.map(std::slice::from_ref).unwrap_or_default());
    }

    pub(crate) fn count_write(&self, consumed: Option<&ConsumedCapacity>) {
        self.count(Kind::Write, consumed.map(std::slice::from_ref).unwrap_or_default());
    }

    /// A failed condition costs what the write would have cost; the error does not say how much. One unit is the floor
    /// and, for items under 1 KB, the truth.
    pub(crate) fn count_failed_write(&self) {
        if let Some(meter) = &self.meter {
            meter.wrote(1.0);
        }
    }

    /// Reads one item, strongly consistent.
    ///
    /// # Errors
    /// `unavailable` when the store does not answer, `internal` when the item cannot be understood.
    pub async fn get<T: Item>(&self, key: &Key) -> Result<Option<Stored<T>>> {
        let output = self
            .client
            .get_item()
            .table_name(self.table(T::TABLE))
            .key("pk", AttributeValue::S(key.pk.clone()))
            .key("sk", AttributeValue::S(key.sk.clone()))
            .consistent_read(true)
            .set_return_consumed_capacity(self.wants_capacity())
            .send()
            .await
            .map_err(store_error)?;
        self.count(Kind::Read, output.consumed_capacity.as_slice());
        output.item.map(decode).transpose()
    }

    /// Reads up to 100 items at once, strongly consistent, in no order. Absent ones are left out.
    ///
    /// # Errors
    /// As [`Self::get`]; `busy` when the store keeps leaving keys unprocessed.
    pub async fn get_many<T: Item>(&self, keys: &[Key]) -> Result<Vec<Stored<T>>> {
        self.batch(T::TABLE, keys).await?.into_iter().map(decode).collect()
    }

    /// Reads two items of one table at once, strongly consistent.
    ///
    /// # Errors
    /// As [`Self::get_many`].
    pub async fn get_both<A: Item, B: Item>(
        &self,
        first: &Key,
        second: &Key,
    ) -> Result<(Option<Stored<A>>, Option<Stored<B>>)> {
        let mut items = self.batch(A::TABLE, &[first.clone(), second.clone()]).await?;
        let mut take = |key: &Key| {
            let is = |item: &Attributes, name: &str, part: &str| {
                item.get(name).and_then(|value| value.as_s().ok()).is_some_and(|value| value == part)
            };
            let place = items.iter().position(|item| is(item, "pk", &key.pk) && is(item, "sk", &key.sk))?;
            Some(items.swap_remove(place))
        };
        let (a, b) = (take(first), take(second));
        Ok((a.map(decode).transpose()?, b.map(decode).transpose()?))
    }

    async fn batch(&self, table: Table, keys: &[Key]) -> Result<Vec<Attributes>> {
        let mut found = Vec::with_capacity(keys.len());
        let mut wanted: Vec<Attributes> = keys
            .iter()
            .map(|key| {
                HashMap::from([
                    ("pk".to_owned(), AttributeValue::S(key.pk.clone())),
                    ("sk".to_owned(), AttributeValue::S(key.sk.clone())),
                ])
            })
            .collect();
        for _ in 0..4 {
            if wanted.is_empty() {
                return Ok(found);
            }
            let request = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build();
            let output = self
                .client
                .batch_get_item()
                .request_items(self.table(table), request.map_err(internal)?)
                .set_return_consumed_capacity(self.wants_capacity())
                .send()
                .await
                .map_err(store_error)?;
            self.count(Kind::Read, output.consumed_capacity());
            found.extend(output.responses.into_iter().flatten().flat_map(|(_, items)| items));
            let left = output.unprocessed_keys.unwrap_or_default().into_values().next();
            wanted = left.map(|keys| keys.keys).unwrap_or_default();
        }
        if wanted.is_empty() { Ok(found) } else { Code::Busy.refuse() }
    }

    /// Stores a value that must not exist yet, with the messages it causes.
    ///
    /// # Errors
    /// As [`Self::get`]. That it existed is no error: the answer says what is there.
    pub async fn put_new<T: Item>(&self, value: T, messages: Vec<Message>, now: Timestamp) -> Result<Put<T>> {
        let request = self
            .client
            .put_item()
            .table_name(self.table(T::TABLE))
            .set_item(Some(encode(&value, 1, messages, now)?))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .set_return_consumed_capacity(self.wants_capacity());
        match request.send().await {
            Ok(output) => {
                self.count_write(output.consumed_capacity());
                Ok(Put::Done(Stored { value, version: 1 }))
            }
            Err(error) => match self.failed_condition(error)? {
                Some(item) => Ok(Put::Existed(decode(item)?)),
                None => Err(Code::Internal.caused_by("a failed condition came without the old item")),
            },
        }
    }

    /// Replaces what was read as `stored` with `value`, if nobody else did meanwhile.
    ///
    /// # Errors
    /// As [`Self::get`]. That it changed is no error: the answer says what is there.
    pub async fn replace<T: Item>(
        &self,
        stored: &Stored<T>,
        value: T,
        messages: Vec<Message>,
        now: Timestamp,
    ) -> Result<Replace<T>> {
        let version = stored.version + 1;
        let request = self
            .client
            .put_item()
            .table_name(self.table(T::TABLE))
            .set_item(Some(encode(&value, version, messages, now)?))
            .condition_expression("v = :v")
            .expression_attribute_values(":v", AttributeValue::N(stored.version.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .set_return_consumed_capacity(self.wants_capacity());
        match request.send().await {
            Ok(output) => {
                self.count_write(output.consumed_capacity());
                Ok(Replace::Done(Stored { value, version }))
            }
            Err(error) => Ok(Replace::Changed(self.failed_condition(error)?.map(decode).transpose()?)),
        }
    }

    /// Deletes what was read, if nobody changed it meanwhile.
    ///
    /// # Errors
    /// `busy` if somebody did; as [`Self::get`].
    pub async fn delete<T: Item>(&self, stored: &Stored<T>) -> Result<()> {
        let key = stored.value.key();
        let request = self
            .client
            .delete_item()
            .table_name(self.table(T::TABLE))
            .key("pk", AttributeValue::S(key.pk))
            .key("sk", AttributeValue::S(key.sk))
            .condition_expression("attribute_not_exists(pk) OR v = :v")
            .expression_attribute_values(":v", AttributeValue::N(stored.version.to_string()))
            .set_return_consumed_capacity(self.wants_capacity());
        match request.send().await {
            Ok(output) => self.count_write(output.consumed_capacity()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                self.count_failed_write();
                return Code::Busy.refuse();
            }
            Err(error) => return Err(store_error(error)),
        }
        Ok(())
    }

    /// Carries a pure rule to the store: asks `rule` what follows from the kept value, replaces, and asks again with
    /// the newer value if somebody else was faster. `None` from the rule means there is nothing to do.
    ///
    /// # Errors
    /// What the rule refuses; `not_found` if the item vanished; `busy` after twelve lost races.
    pub async fn change<T: Item>(
        &self,
        mut stored: Stored<T>,
        now: Timestamp,
        mut rule: impl FnMut(&T) -> Result<Option<Change<T>>> + Send,
    ) -> Result<Stored<T>> {
        // A batch of ten messages about one item, all at once, loses nine races at the worst.
        for _ in 0..12 {
            let Some((next, messages)) = rule(&stored.value)? else { return Ok(stored) };
            match self.replace(&stored, next, messages, now).await? {
                Replace::Done(stored) => return Ok(stored),
                Replace::Changed(Some(current)) => stored = current,
                Replace::Changed(None) => return Code::NotFound.refuse(),
            }
        }
        Code::Busy.refuse()
    }

    /// As [`Self::change`], for a rule that tells nobody of what follows.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn amend<T: Item>(
        &self,
        stored: Stored<T>,
        now: Timestamp,
        mut rule: impl FnMut(&T) -> Result<Option<T>> + Send,
    ) -> Result<Stored<T>> {
        self.change(stored, now, |value| Ok(rule(value)?.map(|next| (next, Vec::new())))).await
    }

    /// As [`Self::amend`], and what was done is noted in an audit log; nothing is, if nothing follows.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn amend_noted<T: Item>(
        &self,
        stored: Stored<T>,
        now: Timestamp,
        note: &Note,
        mut rule: impl FnMut(&T) -> Result<Option<T>> + Send,
    ) -> Result<Stored<T>> {
        self.change(stored, now, |value| Ok(note.on(rule(value)?.map(|next| (next, Vec::new()))))).await
    }

    /// Writes a value whose version is its time, in seconds, unless there is a later one.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn put_later<T: Item>(&self, value: T, at: Timestamp) -> Result<()> {
        let version = u64::try_from(at.as_second()).map_err(internal)?;
        let request = self
            .client
            .put_item()
            .table_name(self.table(T::TABLE))
            .set_item(Some(encode(&value, version, Vec::new(), at)?))
            .condition_expression("attribute_not_exists(pk) OR v < :v")
            .expression_attribute_values(":v", AttributeValue::N(version.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .set_return_consumed_capacity(self.wants_capacity());
        match request.send().await {
            Ok(output) => self.count_write(output.consumed_capacity()),
            Err(error) => drop(self.failed_condition(error)?),
        }
        Ok(())
    }

    /// Writes what has one place and no history, over what was read there, if anything was.
    ///
    /// # Errors
    /// `version_changed` if somebody else wrote it meanwhile; the store's own.
    pub async fn overwrite<T: Item>(
        &self,
        known: Option<&Stored<T>>,
        next: T,
        messages: Vec<Message>,
        now: Timestamp,
    ) -> Result<Stored<T>> {
        match known {
            Some(known) => self.replace(known, next, messages, now).await?.done(),
            None => match self.put_new(next, messages, now).await? {
                Put::Done(stored) => Ok(stored),
                Put::Existed(_) => Code::VersionChanged.refuse(),
            },
        }
    }

    /// One page of a listing, in key order or (`newest_first`) against it. The primary listing is strongly consistent,
    /// the indexes lag by milliseconds.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn list<T: Item>(
        &self,
        query: &Query,
        after: Option<Position>,
    ) -> Result<(Vec<Stored<T>>, Option<Position>)> {
        let (partition, place) = query.listing.attributes();
        let mut condition = "#p = :p".to_owned();
        let mut request = self
            .client
            .query()
            .table_name(self.table(T::TABLE))
            .set_index_name(query.listing.index().map(str::to_owned))
            .consistent_read(query.listing == Listing::Primary)
            .scan_index_forward(!query.newest_first)
            .limit(i32::from(query.limit))
            .expression_attribute_names("#p", partition)
            .expression_attribute_values(":p", AttributeValue::S(query.partition.clone()))
            .set_return_consumed_capacity(self.wants_capacity());
        if let (Some(from), Some(until)) = (&query.from, &query.until) {
            // Places end with what tells them apart, so that none is exactly the bound.
            condition.push_str(" AND #s BETWEEN :s AND :u");
            request = request
                .expression_attribute_names("#s", place)
                .expression_attribute_values(":s", AttributeValue::S(from.clone()))
                .expression_attribute_values(":u", AttributeValue::S(until.clone()));
        } else if let Some(from) = &query.from {
            condition.push_str(" AND #s >= :s");
            request = request
                .expression_attribute_names("#s", place)
                .expression_attribute_values(":s", AttributeValue::S(from.clone()));
        } else if let Some(prefix) = &query.prefix {
            condition.push_str(" AND begins_with(#s, :s)");
            request = request
                .expression_attribute_names("#s", place)
                .expression_attribute_values(":s", AttributeValue::S(prefix.clone()));
        }
        let output = request
            .key_condition_expression(condition)
            .set_exclusive_start_key(after.map(start))
            .send()
            .await
            .map_err(store_error)?;
        self.count(Kind::Read, output.consumed_capacity.as_slice());
        let next = output.last_evaluated_key.map(position);
        let items = output.items.unwrap_or_default().into_iter().map(decode).collect::<Result<_>>()?;
        Ok((items, next))
    }

    /// Every item of a listing: for partitions that are small by construction (an event's offers, an account's sessions).
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn list_all<T: Item>(&self, query: &Query) -> Result<Vec<Stored<T>>> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (mut items, next) = self.list(query, after).await?;
            all.append(&mut items);
            match next {
                Some(_) => after = next,
                None => return Ok(all),
            }
        }
    }

    /// One page of a whole table's stored messages, for the outbox's sweep.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn scan_messages(
        &self,
        table: Table,
        after: Option<Position>,
    ) -> Result<(Vec<Envelope>, Option<Position>)> {
        let output = self
            .client
            .scan()
            .table_name(self.table(table))
            .filter_expression("attribute_exists(#o)")
            .projection_expression("#o, pk, sk")
            .expression_attribute_names("#o", "out")
            .set_exclusive_start_key(after.map(start))
            .set_return_consumed_capacity(self.wants_capacity())
            .send()
            .await
            .map_err(store_error)?;
        self.count(Kind::Read, output.consumed_capacity.as_slice());
        let next = output.last_evaluated_key.map(position);
        let mut envelopes = Vec::new();
        for item in output.items.unwrap_or_default() {
            let text =
                item.get("out").and_then(|out| out.as_s().ok()).ok_or_else(|| internal("out is no text"))?;
            envelopes.extend(serde_json::from_str::<Vec<Envelope>>(text).map_err(internal)?);
        }
        Ok((envelopes, next))
    }

    /// One conditional update of one item: its new values, or the item that did not meet the condition, if there is one.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn update(
        &self,
        table: Table,
        key: &Key,
        expression: String,
        condition: String,
        names: Option<HashMap<String, String>>,
        values: HashMap<String, AttributeValue>,
    ) -> Result<Result<Attributes, Option<Attributes>>> {
        let request = self
            .client
            .update_item()
            .table_name(self.table(table))
            .key("pk", AttributeValue::S(key.pk.clone()))
            .key("sk", AttributeValue::S(key.sk.clone()))
            .update_expression(expression)
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(Some(values))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .set_return_consumed_capacity(self.wants_capacity());
        match request.send().await {
            Ok(output) => {
                self.count_write(output.consumed_capacity());
                Ok(Ok(output.attributes.unwrap_or_default()))
            }
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
                self.count_failed_write();
                match service.into_err() {
                    UpdateItemError::ConditionalCheckFailedException(failed) => {
                        Ok(Err(failed.item.filter(|item| !item.is_empty())))
                    }
                    other => Err(internal(other)),
                }
            }
            Err(error) => Err(store_error(error)),
        }
    }

    /// Sorts a failed put into "the condition failed, and this was there" and everything else.
    fn failed_condition(&self, error: SdkError<PutItemError>) -> Result<Option<Attributes>> {
        match error {
            SdkError::ServiceError(service) if service.err().is_conditional_check_failed_exception() => {
                self.count_failed_write();
                match service.into_err() {
                    PutItemError::ConditionalCheckFailedException(failed) => Ok(failed.item),
                    other => Err(Code::Internal.caused_by(other)),
                }
            }
            other => Err(store_error(other)),
        }
    }
}

/// What to list.
#[derive(Clone, Debug)]
pub struct Query {
    listing: Listing,
    partition: String,
    prefix: Option<String>,
    from: Option<String>,
    until: Option<String>,
    newest_first: bool,
    limit: u16,
}

impl Query {
    /// A whole partition of a listing.
    #[must_use]
    pub fn of(listing: Listing, partition: impl ToString) -> Self {
        Self {
            listing,
            partition: partition.to_string(),
            prefix: None,
            from: None,
            until: None,
            newest_first: false,
            limit: 100,
        }
    }

    /// Only places that begin so.
    #[must_use]
    pub fn starting(mut self, prefix: impl ToString) -> Self {
        self.prefix = Some(prefix.to_string());
        self
    }

    /// Only places at or after this one.
    #[must_use]
    pub fn from(mut self, place: impl ToString) -> Self {
        self.from = Some(place.to_string());
        self
    }

    /// Only places from this one to before that one.
    #[must_use]
    pub fn between(mut self, from: impl ToString, until: impl ToString) -> Self {
        (self.from, self.until) = (Some(from.to_string()), Some(until.to_string()));
        self
    }

    /// Against the key order.
    #[must_use]
    pub const fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// At most so many items a page (up to 100 for callers).
    #[must_use]
    pub const fn limit(mut self, limit: u16) -> Self {
        self.limit = limit;
        self
    }
}

/// Where a page ended: the key attributes of its last item.
pub type Position = std::collections::BTreeMap<String, String>;

fn start(position: Position) -> Attributes {
    position.into_iter().map(|(name, text)| (name, AttributeValue::S(text))).collect()
}

/// Every key attribute of ours is text.
fn position(key: Attributes) -> Position {
    key.into_iter().filter_map(|(name, value)| Some((name, value.as_s().ok()?.clone()))).collect()
}

fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> crate::error::Refusal {
    Code::Internal.caused_by(cause)
}

/// What the SDK could not do even with its retries: passing faults are `unavailable`, our own mistakes `internal`.
pub(crate) fn store_error<E>(error: SdkError<E>) -> crate::error::Refusal
where
    E: std::error::Error + Send + Sync + aws_sdk_dynamodb::error::ProvideErrorMetadata + 'static,
{
    let passing = match &error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(service) => {
            service.raw().status().is_server_error()
                || matches!(
                    service.err().code(),
                    Some(
                        "ProvisionedThroughputExceededException"
                            | "ThrottlingException"
                            | "RequestLimitExceeded"
                            | "TransactionConflictException"
                    )
                )
        }
        _ => false,
    };
    let code = if passing { Code::Unavailable } else { Code::Internal };
    code.caused_by(aws_sdk_dynamodb::error::DisplayErrorContext(error).to_string())
}

fn encode<T: Item>(value: &T, version: u64, messages: Vec<Message>, now: Timestamp) -> Result<Attributes> {
    let Key { pk, sk } = value.key();
    let mut item = HashMap::from([
        ("pk".to_owned(), AttributeValue::S(pk)),
        ("sk".to_owned(), AttributeValue::S(sk)),
        ("v".to_owned(), AttributeValue::N(version.to_string())),
        ("d".to_owned(), serde_dynamo::to_attribute_value(value).map_err(internal)?),
    ]);
    if !messages.is_empty() {
        let envelopes: Vec<_> = messages.into_iter().map(|message| Envelope::new(message, now)).collect();
        item.insert(
            "out".to_owned(),
            AttributeValue::S(serde_json::to_string(&envelopes).map_err(internal)?),
        );
    }
    for (listed, (partition, place)) in
        [(value.first(), Listing::First.attributes()), (value.second(), Listing::Second.attributes())]
    {
        if let Some((at, sorted)) = listed {
            item.insert(partition.to_owned(), AttributeValue::S(at));
            item.insert(place.to_owned(), AttributeValue::S(sorted));
        }
    }
    if let Some(at) = value.forget() {
        item.insert("ttl".to_owned(), AttributeValue::N(at.as_second().to_string()));
    }
    Ok(item)
}

fn decode<T: Item>(mut item: Attributes) -> Result<Stored<T>> {
    let version = item.get("v").and_then(|v| v.as_n().ok()).and_then(|v| v.parse().ok());
    let (Some(version), Some(value)) = (version, item.remove("d")) else {
        return Err(internal(format!("an item in {} has no version or value", T::TABLE.word())));
    };
    Ok(Stored { value: serde_dynamo::from_attribute_value(value).map_err(internal)?, version })
}
