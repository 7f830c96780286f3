//! All that is known of a person, as one archive: asked for, made by the worker, fetched for a week by a link that is good for
//! minutes.
//!
//! The archive is a ZIP of JSON, one file for each kind of thing and in the form in which it is kept, and of the documents
//! that were made for them. Secrets (passwords, codes, the hashes of either) are not in it.

use crate::mailed;
use crate::owner::Owner;
use crate::password::Password;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use tessera::app::App;
use tessera::auth::Buyer;
use tessera::booking::Register;
use tessera::booking::application::{self, Application};
use tessera::booking::waitlist::{self, Waiter};
use tessera::db::{Db, Listing, Query, Stored};
use tessera::error::{Code, Result};
use tessera::http::{IdempotencyKey, Input, Path};
use tessera::id::{AccountId, ExportId};
use tessera::identity::audit::{Entry, Log};
use tessera::identity::export::{Archive, Export};
use tessera::identity::{Account, store};
use tessera::limit::Class;
use tessera::message::{AccountChange, Message};
use tessera::order::Order;
use tessera::{entry, order, payment};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// How long the link to an archive is good, seconds.
pub const LINK_SECONDS: u64 = 10 * 60;
/// The most documents that go into an archive: the newest. They are held in memory together.
pub const MAX_DOCUMENTS: usize = 500;
/// So many documents are fetched at once.
const AT_ONCE: usize = 8;

/// Who asks.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskExport {
    /// The present one.
    password: Password,
}

/// Where an archive stands.
#[derive(Clone, Copy, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExportStatus)]
pub enum Status {
    /// It is being made; a mail comes when it is done.
    Making,
    /// It can be fetched.
    Ready,
}

/// An archive of all that is known of me.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Export)]
pub struct View {
    /// The id.
    id: ExportId,
    /// Where it stands.
    status: Status,
    /// When it was asked for. It is kept for seven days.
    #[schema(value_type = String, format = DateTime)]
    asked: Timestamp,
    /// Its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// Where it is, for ten minutes; ask again for another link.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// Ask for all that is known of me, as one archive. A mail tells when it is ready.
#[utoipa::path(post, path = "/v1/me/exports", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), security(("bearer" = [])), request_body = AskExport,
    params(("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats make no second archive")),
    responses((status = 202, description = "It is being made", body = View)))]
pub async fn ask(
    State(app): State<App>,
    owner: Owner,
    key: IdempotencyKey,
    input: Input<AskExport>,
) -> Result<(StatusCode, Json<View>)> {
    let now = app.clock.now();
    owner.confirm(&app, input.value.password, now).await?;
    let id = ExportId::derive(&[&owner.id.to_string(), &key.0]);
    let new = Export { id, account: owner.id, asked: now, archive: None };
    let told = Message::ExportAsked { export: id };
    let export = app.db.put_new(new, vec![told], now).await?.stored().value;
    Ok((StatusCode::ACCEPTED, Json(view(&app, &export).await?)))
}

/// Read where an archive of mine stands, with a link to it once it is ready.
#[utoipa::path(get, path = "/v1/me/exports/{id}", tag = "identity", security(("bearer" = [])),
    params(("id" = ExportId, Path, description = "The archive")),
    responses((status = 200, description = "Where it stands", body = View)))]
pub async fn one(State(app): State<App>, owner: Owner, Path(id): Path<ExportId>) -> Result<Json<View>> {
    let export = store::export(&app.db, id).await?.map(|export| export.value);
    let mine = export.filter(|export| export.account == owner.id && !export.is_over(app.clock.now()));
    Ok(Json(view(&app, &mine.ok_or(Code::NotFound)?).await?))
}

async fn view(app: &App, export: &Export) -> Result<View> {
    let Export { id, asked, archive, .. } = export.clone();
    let Some(Archive { bytes, .. }) = archive else {
        return Ok(View { id, status: Status::Making, asked, bytes: None, url: None });
    };
    let url = app.blobs.link(&store::archive(id), "my-data.zip", LINK_SECONDS).await?;
    Ok(View { id, status: Status::Ready, asked, bytes: Some(bytes), url: Some(url) })
}

/// Makes an archive that was asked for. Repeating it makes another one in its place.
///
/// # Errors
/// The store's own.
pub async fn make(app: &App, id: ExportId) -> Result<()> {
    let now = app.clock.now();
    // Whoever was erased meanwhile has no archive any more.
    let Some(export) = store::export(&app.db, id).await? else { return Ok(()) };
    if export.value.archive.is_some() {
        return Ok(());
    }
    let account = store::account(&app.db, export.value.account).await?.value;
    if !account.is_active() {
        return Ok(());
    }
    let bytes = archive(app, &account).await?;
    let size = bytes.len() as u64;
    app.blobs.put(&store::archive(id), "application/zip", bytes).await?;
    let change = app.db.change(export, now, |export| {
        let ready = Export { archive: Some(Archive { bytes: size, at: now }), ..export.clone() };
        Ok(Some((ready, vec![mailed::changed(&account, AccountChange::DataExported)])))
    });
    change.await?;
    // Erased in this moment: whoever forgets it may have looked before there was anything.
    if !store::account(&app.db, account.id).await?.value.is_active() {
        forget(app, account.id).await?;
    }
    Ok(())
}

/// Forgets the archives of an account.
///
/// # Errors
/// The store's own.
pub async fn forget(app: &App, account: AccountId) -> Result<()> {
    for export in store::exports(&app.db, account).await? {
        app.blobs.delete(&store::archive(export.value.id)).await?;
        app.db.delete(&export).await?;
    }
    Ok(())
}

async fn archive(app: &App, account: &Account) -> Result<Vec<u8>> {
    let (db, id) = (&app.db, account.id);
    let buyer = Buyer::Account(id);
    let orders: Vec<Order> = values(db.list_all(&order::store::of_buyer(buyer)).await?);
    let mut of_orders = Papers::default();
    for order in &orders {
        let tickets = values(entry::store::tickets_of(db, order.id).await?);
        of_orders.documents.extend(tickets.iter().map(|ticket| entry::store::document(ticket.id)));
        of_orders.tickets.extend(tickets);
        let invoices = order::invoice::store::invoices_of(db, order).await?;
        of_orders
            .documents
            .extend(invoices.iter().map(|invoice| order::invoice::store::document(invoice.id)));
        of_orders.invoices.extend(invoices);
    }
    let ids: Vec<_> = orders.iter().map(|order| order.id).collect();
    let listed = |partition: String| Query::of(Listing::First, partition);
    let sessions = values(store::sessions(db, id).await?);
    let sessions: Vec<Value> = sessions
        .iter()
        .map(|session| {
            json!({"id": session.id, "device": session.device, "created": session.created,
                "renewed": session.rotated, "ended": session.ended})
        })
        .collect();
    let files: [(&str, Value); 13] = [
        ("account", about(account)),
        ("profile", json!(store::profile(db, id).await?.map(|kept| kept.value.profile))),
        ("sessions", json!(sessions)),
        ("providers", json!(values(store::links(db, id).await?))),
        ("memberships", json!(values(store::memberships(db, id).await?))),
        ("audit", json!(all::<Entry>(db, &store::entries(Log::Account(id))).await?)),
        ("orders", json!(orders)),
        ("bookings", json!(all::<Register>(db, &listed(buyer.to_string())).await?)),
        ("tickets", json!(of_orders.tickets)),
        ("payments", json!(values(payment::store::payments_of(db, &ids).await?))),
        ("waitlists", json!(all::<Waiter>(db, &listed(waitlist::store::list_of_buyer(buyer))).await?)),
        ("applications", json!(all::<Application>(db, &listed(application::list_of_buyer(buyer))).await?)),
        ("invoices", json!(of_orders.invoices)),
    ];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, value) in files {
        let text = serde_json::to_vec_pretty(&value).map_err(|error| Code::Internal.caused_by(error))?;
        write(&mut zip, &format!("{name}.json"), &text)?;
    }
    let newest: Vec<&String> = of_orders.documents.iter().rev().take(MAX_DOCUMENTS).collect();
    for keys in newest.chunks(AT_ONCE) {
        let documents = try_join_all(keys.iter().map(|key| app.blobs.get(key))).await?;
        for (key, document) in keys.iter().zip(documents) {
            // One that is about to be drawn is in the next archive.
            if let Some(bytes) = document {
                write(&mut zip, &format!("documents/{key}"), &bytes)?;
            }
        }
    }
    let done = zip.finish().map_err(|error| Code::Internal.caused_by(error))?;
    Ok(done.into_inner())
}

/// What belongs to a person's orders.
#[derive(Default)]
struct Papers {
    tickets: Vec<entry::Ticket>,
    invoices: Vec<order::invoice::Invoice>,
    documents: Vec<String>,
}

/// What is known of the account itself, without what proves who somebody is.
fn about(account: &Account) -> Value {
    let Account { id, email, name, state, created, moving, second_factor, .. } = account;
    json!({"id": id, "email": email, "name": name, "state": state, "created": created,
        "moving_to": moving.as_ref().map(|moving| &moving.email), "second_factor": second_factor.is_on()})
}

fn values<T>(stored: Vec<Stored<T>>) -> Vec<T> {
    stored.into_iter().map(|stored| stored.value).collect()
}

async fn all<T: tessera::db::Item>(db: &Db, query: &Query) -> Result<Vec<T>> {
    Ok(values(db.list_all(query).await?))
}

fn write(zip: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, bytes: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| Code::Internal.caused_by(error);
    zip.start_file(name, SimpleFileOptions::default()).map_err(|error| failed(error.into()))?;
    zip.write_all(bytes).map_err(failed)
}
