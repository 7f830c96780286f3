//! What comes into a store's stock, and what leaves it otherwise than by a sale.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use tessera::app::App;
use tessera::auth::{Actor, Agent};
use tessera::booking::Subject;
use tessera::booking::movement::{Movement, MovementTerms, begin};
use tessera::db::{Listing, Query};
use tessera::error::{Code, Result};
use tessera::http::{IdempotencyKey, Input, Params, Path};
use tessera::id::{MovementId, PoolId, ProductId, StoreId};
use tessera::identity::Action;
use tessera::page::{Page, Paging};
use tessera::retail::{self, Shelf};

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
    by: Actor,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

fn view(movement: &Movement) -> MovementView {
    let Movement { id, terms, done, by, at, .. } = movement.clone();
    MovementView { id, terms, done, by, at }
}

/// The stock of a product in a store of the caller's organisation.
async fn managed(
    app: &App,
    caller: &Agent,
    store: StoreId,
    product: ProductId,
    action: Action,
) -> Result<PoolId> {
    app.manages(caller, action, Subject::Store(store)).await?;
    match retail::store::shelf(&app.db, store, product).await? {
        Some(_) => Ok(Shelf::pool_id(store, product)),
        None => Code::NotFound.refuse(),
    }
}

/// Bring units of a product into a store's stock, or take some that are free out of it for good. `below_taken` says how many are
/// free, if more were to go. A stock is made a moment after its product was first put on the shelf: `opening` until then.
#[utoipa::path(post, path = "/v1/stores/{id}/products/{product}/movements", tag = "booking", security(("bearer" = [])), request_body = MovementTerms,
    params(("id" = StoreId, Path, description = "The store"), ("product" = ProductId, Path, description = "The product"), ("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Done", body = MovementView)))]
pub async fn bring(
    State(app): State<App>,
    caller: Agent,
    Path((store, product)): Path<(StoreId, ProductId)>,
    key: IdempotencyKey,
    input: Input<MovementTerms>,
) -> Result<(StatusCode, Json<MovementView>)> {
    let (terms, now) = (input.value, app.clock.now());
    let pool = managed(&app, &caller, store, product, Action::ManageEvents).await?;
    terms.check()?;
    let id = MovementId::derive(&[&pool.to_string(), &caller.actor().to_string(), &key.0]);
    let (parts, print) = (Vec::new(), input.print.clone());
    let new = Movement { id, pool, terms, by: caller.actor(), at: now, parts, done: None, print };
    Ok((StatusCode::CREATED, Json(view(&begin(&app, new, now).await?))))
}

/// List what came into a store's stock and left it otherwise than by a sale, the newest first.
#[utoipa::path(get, path = "/v1/stores/{id}/products/{product}/movements", tag = "booking", security(("bearer" = [])),
    params(("id" = StoreId, Path, description = "The store"), ("product" = ProductId, Path, description = "The product"), Paging),
    responses((status = 200, description = "A page of movements", body = Page<MovementView>)))]
pub async fn of_pool(
    State(app): State<App>,
    caller: Agent,
    Path((store, product)): Path<(StoreId, ProductId)>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<MovementView>>> {
    let pool = managed(&app, &caller, store, product, Action::ManageBookings).await?;
    let list = format!("movements of {pool}");
    let query = Query::of(Listing::Second, pool).newest_first();
    Ok(Json(app.page(&list, query, &paging, |movement: &Movement| Ok(Some(view(movement)))).await?))
}
