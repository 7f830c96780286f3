//! Buckets in the store, and the asking of it.
//!
//! | item | table | pk | sk |
//! |---|---|---|---|
//! | bucket | limit | class `#` keyed hash of the caller | `-` |
//! | last use of a key or a device ([`crate::used`]) | limit | `used#` key id or device id | `-` |
//!
//! A bucket has `tat`, in microseconds since 1970 (see [`super::bucket`]), and `ttl`. An update cannot say "the later of two", so there are
//! two of them: one for a bucket that is full of tokens, which begins at now, and one for a bucket that is filling, which adds to
//! what is there. Each demands that it is the right one and that there is room. What the instance has seen of the bucket chooses
//! which comes first; if that was wrong, the refusal comes with the item as it is, and the other one follows, or, if there is no
//! room, none. So what has room costs one write unit, two where another instance was faster, and a refusal one at most.

use super::bucket::{Bucket, micros};
use super::notice::Notice;
use super::seen::{Seen, Step};
use super::{By, Class, Limits, Quota, bucket_name, holders};
use crate::app::App;
use crate::auth::Caller;
use crate::db::{Db, Key, Table};
use crate::error::{Code, Refusal, Result};
use crate::sign::Purpose;
use crate::text::hex;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many buckets an instance remembers. Whoever comes when there are so many is asked about in the store each time.
const REMEMBERED: usize = 10_000;
/// How long fair use waits for the store.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many updates find out how full a bucket is: a wrong guess, and losing a race against its being forgotten.
const TRIES: u32 = 4;

/// One caller's turn: concurrent requests, which Lambda never gives an instance, find out one after the other.
type Remembered = Arc<tokio::sync::Mutex<Seen>>;

/// The deployment's limits and what this instance remembers.
#[derive(Clone)]
pub struct Limiter {
    limits: Arc<Limits>,
    seen: Arc<Mutex<HashMap<String, Remembered>>>,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits: Arc::new(limits), seen: Arc::default() }
    }

    /// What is remembered of a bucket; `None` if there is no room to remember any more.
    fn remembered(&self, pk: &str, now: i64) -> Option<Remembered> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= REMEMBERED && !seen.contains_key(pk) {
            seen.retain(|_, one| one.try_lock().map_or(true, |one| !one.is_stale(now)));
            if seen.len() >= REMEMBERED {
                return None;
            }
        }
        Some(seen.entry(pk.to_owned()).or_default().clone())
    }
}

/// Charges a request to its buckets. The answer has the headers, whatever came of it.
pub(crate) async fn admit(
    app: &App,
    class: Class,
    caller: Option<&Caller>,
    address: Option<IpAddr>,
) -> (Notice, Result<()>) {
    let mut notice = Notice::default();
    for (by, holder) in holders(class, caller, address) {
        let Some(quota) = app.limits.limits.of(class, by) else { continue };
        // One clock for the decision and what is said about it.
        let now = micros(app.clock.now());
        let tag = app.sealer.tag(Purpose::Limit, holder.as_bytes());
        let tag = hex(&tag[..16]);
        let met = meet(app, class, quota, format!("{}#{tag}", class.word()), now).await;
        let (known, outcome) = match met {
            Ok(Met::Passed(known)) => (known, Ok(())),
            Ok(Met::Refused(bucket, seconds)) => (Some(bucket), Err(refused(class, by, seconds))),
            Err(refusal) if class.is_strict() => (None, Err(Code::Unavailable.caused_by(refusal))),
            Err(refusal) => {
                tracing::error!(class = class.word(), %refusal, "a request was not counted");
                (None, Ok(()))
            }
        };
        notice.add(class, by, quota, known, now);
        if outcome.is_err() {
            return (notice, outcome);
        }
    }
    (notice, Ok(()))
}

fn refused(class: Class, by: By, seconds: u32) -> Refusal {
    let limit = bucket_name(class, by);
    // Counted by a metric filter of the template.
    tracing::info!(limit, "too many requests");
    let mut refusal = Code::TooManyRequests.because(format!("the limit `{limit}` is reached"));
    refusal.retry_after = Some(seconds);
    refusal
}

/// How a request fared with one bucket.
enum Met {
    /// It may go on; this is how full the bucket is, if the store was asked.
    Passed(Option<Bucket>),
    /// It may not, for so many seconds.
    Refused(Bucket, u32),
}

async fn meet(app: &App, class: Class, quota: Quota, pk: String, now: i64) -> Result<Met> {
    let key = Key::new(pk, "-");
    let Some(remembered) = app.limits.remembered(&key.pk, now) else {
        return Ok(match charge(&app.db, &key, quota, now, 1, Bucket::FULL).await? {
            Ok(bucket) => Met::Passed(Some(bucket)),
            Err(bucket) => Met::Refused(bucket, bucket.wait(quota, now, 1)),
        });
    };
    let mut seen = remembered.lock().await;
    let tokens = match seen.meet(quota, now, class.is_strict()) {
        Step::Pass => return Ok(Met::Passed(None)),
        Step::Refuse { seconds } => return Ok(Met::Refused(seen.known, seconds)),
        Step::Ask { tokens } => tokens,
    };
    let known = seen.known;
    // Whoever pays for those that passed before is waited for: nobody may take their tokens meanwhile.
    let turn = (tokens > 1).then_some(seen);
    let charging = charge(&app.db, &key, quota, now, tokens, known);
    let charged = if class.is_strict() {
        charging.await?
    } else {
        let late = |_| Code::Unavailable.caused_by("the limits were not there in time");
        tokio::time::timeout(PATIENCE, charging).await.map_err(late)??
    };
    let mut seen = match turn {
        Some(seen) => seen,
        None => remembered.lock().await,
    };
    Ok(match charged {
        Ok(bucket) => {
            seen.charged(bucket, tokens);
            Met::Passed(Some(bucket))
        }
        Err(bucket) => {
            seen.refused(bucket);
            Met::Refused(bucket, bucket.wait(quota, now, tokens))
        }
    })
}

/// Takes so many from a bucket, of which this was known: how it is then, or, refused, how it is.
async fn charge(
    db: &Db,
    key: &Key,
    quota: Quota,
    now: i64,
    tokens: u32,
    mut known: Bucket,
) -> Result<Result<Bucket, Bucket>> {
    let number = |number: i64| AttributeValue::N(number.to_string());
    let names = HashMap::from([("#ttl".to_owned(), "ttl".to_owned())]);
    for _ in 0..TRIES {
        let Some(next) = known.take(quota, now, tokens) else { return Ok(Err(known)) };
        let forget = (":f".to_owned(), number(Bucket::forget(quota, now)));
        let (set, demand, values) = if known.is_full(quota, now) {
            let beyond = (":b".to_owned(), number(Bucket::beyond(quota, now)));
            (
                "SET tat = :t, #ttl = :f",
                "attribute_not_exists(tat) OR tat <= :now OR tat > :b",
                vec![(":t".to_owned(), number(next.tat)), (":now".to_owned(), number(now)), beyond],
            )
        } else {
            let add = (":n".to_owned(), number(quota.interval() * i64::from(tokens)));
            let room = (":r".to_owned(), number(Bucket::last_room(quota, now, tokens)));
            (
                "SET tat = tat + :n, #ttl = :f",
                "tat > :now AND tat <= :r",
                vec![add, room, (":now".to_owned(), number(now))],
            )
        };
        let values = values.into_iter().chain([forget]).collect();
        let written =
            db.update(Table::Limit, key, set.to_owned(), demand.to_owned(), Some(names.clone()), values);
        let tat = |item: Option<&HashMap<String, AttributeValue>>| {
            item?.get("tat")?.as_n().ok()?.parse().ok().map(|tat| Bucket { tat })
        };
        match written.await? {
            Ok(item) => return Ok(Ok(tat(Some(&item)).unwrap_or(next))),
            Err(item) => known = tat(item.as_ref()).unwrap_or(Bucket::FULL),
        }
    }
    Code::Busy.refuse()
}
