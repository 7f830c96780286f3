//! The queues: what waits in them, dead letters and their return.

use super::{Answer, Failure, Fields, Shared, back, blocking, link, mask, segment};
use crate::Home;
use axum::body::Bytes;
use axum::extract::{Path, State};
use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;
use tessera_sqs::{Message, QueueSummary};

/// Messages on one page.
const PAGE: u32 = 20;

/// A queue as lists show it.
#[derive(Serialize)]
pub(super) struct Row {
    name: String,
    link: String,
    fifo: bool,
    waiting: i64,
    in_flight: i64,
    delayed: i64,
    /// Holds dead letters itself and nothing else.
    only_dead: bool,
    /// What failed in it too often; `None` if nothing keeps that.
    pub(super) dead: Option<Dead>,
}

/// The dead letters of a queue.
#[derive(Serialize)]
pub(super) struct Dead {
    pub(super) name: String,
    pub(super) link: String,
    pub(super) count: i64,
}

fn address(name: &str) -> String {
    format!("/queues/{}", segment(name))
}

fn all(queue: &QueueSummary) -> i64 {
    queue.counts.visible + queue.counts.in_flight + queue.counts.delayed
}

/// Whether what is in it has failed: dead letters of queues, or what a stream's reader gave up on, which nothing but
/// the name tells.
fn is_dead(queue: &QueueSummary) -> bool {
    !queue.dead_letter_sources.is_empty() || queue.name.ends_with("-dead")
}

/// The queues, each with its dead letters. Several queues may share theirs; they are counted with the first of them.
/// Dead letters that came from no queue have a row of their own.
pub(super) fn rows(home: &Home) -> Result<Vec<Row>, Failure> {
    let queues = home.sqs().queues()?;
    let row = |queue: &QueueSummary| {
        let alone = is_dead(queue).then(|| Dead {
            name: queue.name.clone(),
            link: link(&address(&queue.name), &[]),
            count: all(queue),
        });
        let dead = queue.dead_letter_queue.as_ref().and_then(|name| {
            let dead = queues.iter().find(|other| other.name == *name)?;
            let first = dead.dead_letter_sources.first().is_none_or(|first| *first == queue.name);
            let count = if first { all(dead) } else { 0 };
            Some(Dead { name: name.clone(), link: link(&address(name), &[]), count })
        });
        Row {
            name: queue.name.clone(),
            link: link(&address(&queue.name), &[]),
            fifo: queue.fifo,
            waiting: queue.counts.visible,
            in_flight: queue.counts.in_flight,
            delayed: queue.counts.delayed,
            only_dead: alone.is_some(),
            dead: alone.or(dead),
        }
    };
    Ok(queues.iter().filter(|queue| queue.dead_letter_sources.is_empty()).map(row).collect())
}

pub(super) async fn list(State(console): Shared, asked: Fields) -> Answer {
    let queues = rows(&console.home()?)?;
    let live = asked.get("live").is_some();
    console.page(
        "queues.html",
        "Queues",
        &asked,
        context! { queues => Serde(queues), live, live_at => "/console/queues" },
    )
}

#[derive(Serialize)]
struct Shown {
    id: String,
    state: &'static str,
    until_ms: Option<i64>,
    sent_ms: i64,
    receives: i64,
    group: Option<String>,
    source: Option<String>,
    kind: Option<String>,
    attributes: Vec<(String, String)>,
    body: String,
}

fn shown(message: Message, now: i64) -> Shown {
    let (state, until_ms) = match (message.visible_ms > now, message.receive_count) {
        (false, _) => ("waiting", None),
        (true, 0) => ("delayed", Some(message.visible_ms)),
        (true, _) => ("in flight", Some(message.visible_ms)),
    };
    let parsed = serde_json::from_str::<serde_json::Value>(&message.body).ok();
    let kind = parsed.as_ref().and_then(|body| body["type"].as_str()).map(str::to_owned);
    let attributes = message.attributes.into_iter().map(|(name, attribute)| {
        let value = attribute.string_value.or(attribute.binary_value).unwrap_or_default();
        (name, value)
    });
    Shown {
        id: message.message_id,
        state,
        until_ms,
        sent_ms: message.sent_ms,
        receives: message.receive_count,
        group: message.group_id,
        source: message.dead_letter_source,
        kind,
        attributes: attributes.collect(),
        body: mask::pretty(&message.body),
    }
}

fn find(home: &Home, name: &str) -> Result<QueueSummary, Failure> {
    let found = home.sqs().queues()?.into_iter().find(|queue| queue.name == name);
    found.ok_or_else(|| Failure::new(http::StatusCode::NOT_FOUND, format!("There is no queue {name}.")))
}

pub(super) async fn one(State(console): Shared, Path(name): Path<String>, asked: Fields) -> Answer {
    let page = asked.page();
    let (read, queue_name) = (console.clone(), name.clone());
    let (queue, messages) = blocking(move || {
        let home = read.home()?;
        let queue = find(&home, &queue_name)?;
        let messages = home.sqs().peek(&queue_name, (page - 1).saturating_mul(PAGE), PAGE)?;
        Ok((queue, messages))
    })
    .await?;
    let now = console.now();
    let path = address(&name);
    let total = all(&queue);
    console.page(
        "queues_one.html",
        &name,
        &asked,
        context! {
            name => name.as_str(),
            dead => is_dead(&queue),
            sources => queue.dead_letter_sources,
            dead_letter_queue => queue.dead_letter_queue.map(|dead| (link(&address(&dead), &[]), dead)),
            waiting => queue.counts.visible,
            in_flight => queue.counts.in_flight,
            delayed => queue.counts.delayed,
            total,
            messages => Serde(messages.into_iter().map(|message| shown(message, now)).collect::<Vec<_>>()),
            at => link(&path, &[]),
            here => page,
            more => i64::from(page) * i64::from(PAGE) < total,
            pages_at => link(&path, &[]) + "?",
        },
    )
}

/// One dead letter if the form names it, else all.
pub(super) async fn replay(State(console): Shared, Path(name): Path<String>, body: Bytes) -> Answer {
    let home = console.home()?;
    find(&home, &name)?;
    let form = Fields::parse(&body);
    let task = match form.get("message") {
        Some(message) => home.sqs().move_back_one(&name, message, None),
        None => home.sqs().move_back(&name, None),
    };
    let outcome = match task {
        Ok(task) if task.stayed > 0 => Err(format!(
            "{} went back; {} stayed, because the queue they failed in is unknown.",
            task.moved, task.stayed
        )),
        Ok(task) if task.moved == 1 => Ok("1 message went back to its queue.".to_owned()),
        Ok(task) => Ok(format!("{} messages went back to their queues.", task.moved)),
        Err(error) => Err(error.message),
    };
    Ok(back(&address(&name), outcome))
}

pub(super) async fn confirm_purge(State(console): Shared, Path(name): Path<String>, asked: Fields) -> Answer {
    let queue = find(&console.home()?, &name)?;
    let at = address(&name);
    console.page(
        "confirm.html",
        "Purge a queue",
        &asked,
        context! {
            section => "queues",
            question => format!("Purge {name}?"),
            warning => format!(
                "Its {} messages are deleted for good, those being worked on included. What they would have caused \
                 will not happen.",
                all(&queue)
            ),
            action => link(&format!("{at}/purge"), &[]),
            yes => "Delete all messages",
            cancel => link(&at, &[]),
        },
    )
}

pub(super) async fn purge(State(console): Shared, Path(name): Path<String>) -> Answer {
    let home = console.home()?;
    let queue = find(&home, &name)?;
    let outcome = home.sqs().purge(&name).map(|()| format!("{} messages were deleted.", all(&queue)));
    Ok(back(&address(&name), outcome.map_err(|error| error.message)))
}
