//! The mailbox: what was sent, as its recipients would see it.

use super::{Answer, Failure, Fields, Shared, blocking, link, segment};
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::{HeaderName, StatusCode, header};
use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;
use tessera_sandbox::mail::Message;

/// Mails on one page.
const PAGE: u32 = 25;

/// For the HTML of a mail, which comes from whoever sent it: it runs nothing, sends nothing, loads nothing, and is
/// shown within our own page alone. Its links open a window of their own.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; \
                      frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";

/// What browsers show without danger. Everything else is downloaded.
const SHOWN: [&str; 6] =
    ["application/pdf", "image/png", "image/jpeg", "image/gif", "image/webp", "text/plain"];

#[derive(Serialize)]
struct Row {
    link: String,
    subject: String,
    to: String,
    received_ms: i64,
    attachments: usize,
    bytes: usize,
}

pub(super) async fn list(State(console): Shared, asked: Fields) -> Answer {
    let (page, to) = (asked.page(), asked.get("to").map(str::to_owned));
    let (read, address) = (console.clone(), to.clone());
    let (total, messages) = blocking(move || {
        let total = read.mail.count(address.as_deref())?;
        Ok((total, read.mail.list(address.as_deref(), (page - 1).saturating_mul(PAGE), PAGE)?))
    })
    .await?;
    let rows: Vec<_> = messages
        .into_iter()
        .map(|message| Row {
            link: link(&at(&message), &[]),
            to: message.recipients.join(", "),
            subject: message.subject,
            received_ms: message.received_ms,
            attachments: message.attachments.len(),
            bytes: message.bytes,
        })
        .collect();
    let pages_at = match &to {
        Some(to) => link("/mail", &[("to", to)]) + "&",
        None => link("/mail", &[]) + "?",
    };
    let more = u64::from(page) * u64::from(PAGE) < total;
    let switches = console.mail.switches();
    console.page(
        "mail.html",
        "Mail",
        &asked,
        context! {
            rows => Serde(rows), total, to, more, pages_at,
            here => page,
            mail_switches => Serde(switches),
            form_back => "mail",
        },
    )
}

fn at(message: &Message) -> String {
    format!("/mail/{}", segment(&message.id))
}

pub(super) async fn one(State(console): Shared, Path(id): Path<String>, asked: Fields) -> Answer {
    let message = console.mail.get(&id)?;
    let title = if message.subject.is_empty() { "A mail without a subject" } else { &message.subject };
    let recipients: Vec<_> =
        message.recipients.iter().map(|to| (to.clone(), link("/mail", &[("to", to)]))).collect();
    let context = context! {
        at => link(&at(&message), &[]),
        html => message.html.is_some(),
        recipients,
        message => Serde(&message),
    };
    console.page("mail_one.html", title, &asked, context)
}

pub(super) async fn html(State(console): Shared, Path(id): Path<String>) -> Answer {
    let html = console.mail.get(&id)?.html;
    let html = html.ok_or_else(|| Failure::new(StatusCode::NOT_FOUND, "This mail has no HTML."))?;
    // Links of a mail should not open inside of the frame.
    let base = "<base target=\"_blank\">";
    let html = match html.find("<head>") {
        Some(head) => {
            let (before, after) = html.split_at(head + "<head>".len());
            format!("{before}{base}{after}")
        }
        None => html + base,
    };
    let headers =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    Ok((headers, html).into_response())
}

pub(super) async fn raw(State(console): Shared, Path(id): Path<String>) -> Answer {
    let raw = console.mail.raw(&id)?;
    let headers = [
        (header::CONTENT_TYPE, "message/rfc822"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"mail.eml\""),
    ];
    Ok((headers, raw).into_response())
}

pub(super) async fn attachment(
    State(console): Shared,
    Path((id, number)): Path<(String, usize)>,
    asked: Fields,
) -> Answer {
    let (attachment, content) = console.mail.attachment(&id, number)?;
    let kind = SHOWN.into_iter().find(|kind| *kind == attachment.media_type);
    let place = if kind.is_some() && asked.get("download").is_none() { "inline" } else { "attachment" };
    let name = attachment.name.unwrap_or_else(|| "attachment".to_owned());
    let disposition = format!("{place}; filename*=UTF-8''{}", segment(&name));
    // No `sandbox` here, or browsers would not show a PDF; the types that are shown run nothing of our origin.
    let headers: [(HeaderName, String); 3] = [
        (header::CONTENT_TYPE, kind.unwrap_or("application/octet-stream").to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'".to_owned()),
    ];
    Ok((headers, content).into_response())
}
