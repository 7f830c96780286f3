//! What comes into a store's stock, and what leaves it otherwise than by a sale.

use crate::pools::managed;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use tessera::app::App;
use tessera::auth::Account;
use tessera::booking::movement::{Movement, MovementTerms, begin};
use tessera::db::{Listing, Query};
use tessera::error::{Code, Result};
use tessera::http::{IdempotencyKey, Input, Params, Path};
use tessera::id::{AccountId, MovementId, PoolId};
use tessera::identity::Action;
use tessera::page::{Page, Paging};
use tessera::pool::store::Kind;

/// Units that came into a stock, or left it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct MovementView {
    /// The id.
    id: MovementId,
    /// What was said.
    #[serde(flatten)]
    terms: MovementTerms,
    /// How many came or went, once that is known: of what was to go, some may have been sold in that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<i64>,
    /// Who said so.
    by: AccountId,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

fn view(movement: &Movement) -> MovementView {
    let Movement { id, terms, done, by, at, .. } = movement.clone();
    MovementView { id, terms, done, by, at }
}

/// Bring units into a store's stock, or take some that are free out of it for good. `below_taken` says how many are free, if
/// more were to go.
#[utoipa::path(post, path = "/v1/pools/{id}/movements", tag = "booking", security(("bearer" = [])), request_body = MovementTerms,
    params(("id" = PoolId, Path, description = "The stock"), ("Idempotency-Key" = String, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Done", body = MovementView)))]
pub async fn bring(
    State(app): State<App>,
    caller: Account,
    Path(pool): Path<PoolId>,
    key: IdempotencyKey,
    input: Input<MovementTerms>,
) -> Result<(StatusCode, Json<MovementView>)> {
    let (terms, now) = (input.value, app.clock.now());
    if managed(&app, caller, pool, Action::ManageEvents).await?.kind != Kind::Stock {
        return Err(Code::WrongState.because("this is no stock: give it another size"));
    }
    terms.check()?;
    let id = MovementId::derive(&[&pool.to_string(), &caller.id.to_string(), &key.0]);
    let (parts, print) = (Vec::new(), input.print.clone());
    let new = Movement { id, pool, terms, by: caller.id, at: now, parts, done: None, print };
    Ok((StatusCode::CREATED, Json(view(&begin(&app, new, now).await?))))
}

/// List what came into a store's stock and left it otherwise than by a sale, the newest first.
#[utoipa::path(get, path = "/v1/pools/{id}/movements", tag = "booking", security(("bearer" = [])),
    params(("id" = PoolId, Path, description = "The stock"), Paging),
    responses((status = 200, description = "A page of movements", body = Page<MovementView>)))]
pub async fn of_pool(
    State(app): State<App>,
    caller: Account,
    Path(pool): Path<PoolId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<MovementView>>> {
    managed(&app, caller, pool, Action::ManageBookings).await?;
    let list = format!("movements of {pool}");
    let query = Query::of(Listing::Second, pool).newest_first();
    Ok(Json(app.page(&list, query, &paging, |movement: &Movement| Ok(Some(view(movement)))).await?))
}
