//! Stores, products, and what each store sells.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::future::{try_join, try_join_all};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tessera::app::App;
use tessera::auth::Agent;
use tessera::booking::Slot;
use tessera::db::{Listing, Put, Query, Stored};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, IfMatch, Input, Params, Path, cacheable, etag};
use tessera::id::{OrganisationId, PoolId, ProductId, StoreId};
use tessera::identity::Action;
use tessera::message::Message;
use tessera::page::{Page, Paging, within};
use tessera::pool::{Pool, within_reach};
use tessera::retail::store;
use tessera::retail::{Product, ProductTerms, Shelf, ShelfTerms, Store, StoreDetails};
use tessera::text::Text;

/// A new store. Closed at first.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FoundStore {
    /// Whose it is.
    organisation: OrganisationId,
    /// What is written about it.
    details: StoreDetails,
}

/// A store as its organisation writes it.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RewriteStore {
    /// Whether it can be found and bought from. What was bought before stays bought.
    open: bool,
    /// What is written about it.
    details: StoreDetails,
}

/// A store.
#[derive(Serialize, utoipa::ToSchema)]
pub struct StoreView {
    /// The id.
    id: StoreId,
    /// Whose it is.
    organisation: OrganisationId,
    /// Whether it can be bought from.
    open: bool,
    /// What is written about it.
    #[serde(flatten)]
    details: StoreDetails,
}

fn view(store: &Store) -> StoreView {
    let Store { id, organisation, open, details, .. } = store.clone();
    StoreView { id, organisation, open, details }
}

fn tagged(store: &Stored<Store>) -> Response {
    (etag(store.version), Json(view(&store.value))).into_response()
}

async fn managed(app: &App, caller: &Agent, id: StoreId) -> Result<Stored<Store>> {
    let store = store::store(&app.db, id).await?;
    app.authorize(caller, Action::ManageEvents, &store.value).await?;
    Ok(store)
}

/// Found a store, closed at first: put products on its shelves and stock into it, then open it.
#[utoipa::path(post, path = "/v1/stores", tag = "catalogue", security(("bearer" = [])), request_body = FoundStore,
    params(("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Founded", body = StoreView)))]
pub async fn found(
    State(app): State<App>,
    caller: Agent,
    key: IdempotencyKey,
    input: Input<FoundStore>,
) -> Result<Response> {
    let (FoundStore { organisation, details }, now) = (input.value, app.clock.now());
    app.authorize(&caller, Action::ManageEvents, organisation).await?;
    details.check()?;
    let id = StoreId::derive(&[&organisation.to_string(), &key.0]);
    let new = Store { id, organisation, details, open: false, created: now, print: input.print.clone() };
    let store = app.db.put_new(new, Vec::new(), now).await?.by_request(&input.print, |known| &known.print)?;
    Ok((StatusCode::CREATED, tagged(&store)).into_response())
}

/// Rewrite a store, open it or close it. What was bought before stays as it was.
#[utoipa::path(put, path = "/v1/stores/{id}", tag = "catalogue", security(("bearer" = [])), request_body = RewriteStore,
    params(("id" = StoreId, Path, description = "The store"), ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "Rewritten", body = StoreView)))]
pub async fn rewrite(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<StoreId>,
    version: IfMatch,
    input: Input<RewriteStore>,
) -> Result<Response> {
    let (RewriteStore { open, details }, now) = (input.value, app.clock.now());
    let store = managed(&app, &caller, id).await?;
    version.check(store.version)?;
    details.check()?;
    let next = Store { open, details, ..store.value.clone() };
    Ok(tagged(&app.db.replace(&store, next, Vec::new(), now).await?.done()?))
}

/// Where to look.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct InCity {
    /// The city, in any case.
    city: Text<1, 100>,
    /// At most so many items, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List a city's stores that are open for orders, by name.
#[utoipa::path(get, path = "/v1/stores", tag = "catalogue", params(InCity),
    responses((status = 200, description = "A page of stores", body = Page<StoreView>), (status = 304, description = "As before")))]
pub async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    Params(search): Params<InCity>,
) -> Result<Response> {
    let paging = Paging { limit: search.limit, cursor: search.cursor };
    let city = store::city(search.city.as_str());
    let page =
        app.page(&city, Query::of(Listing::First, &city), &paging, |store: &Store| Ok(Some(view(store))));
    cacheable(&headers, &page.await?, 5)
}

/// List an organisation's stores, open or not, the newest first.
#[utoipa::path(get, path = "/v1/organisations/{id}/stores", tag = "catalogue", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Paging),
    responses((status = 200, description = "A page of stores", body = Page<StoreView>)))]
pub async fn own(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<StoreView>>> {
    app.authorize(&caller, Action::ManageEvents, id).await?;
    let list = format!("stores#{id}");
    let query = Query::of(Listing::Second, &list).newest_first();
    Ok(Json(app.page(&list, query, &paging, |store: &Store| Ok(Some(view(store)))).await?))
}

/// A store as its organisation sees it, open or not, with the ETag that a change needs.
#[utoipa::path(get, path = "/v1/organisations/{organisation}/stores/{id}", tag = "catalogue", security(("bearer" = [])),
    params(("organisation" = OrganisationId, Path, description = "The organisation"), ("id" = StoreId, Path, description = "The store")),
    responses((status = 200, description = "The store", body = StoreView)))]
pub async fn owners_view(
    State(app): State<App>,
    caller: Agent,
    Path((organisation, id)): Path<(OrganisationId, StoreId)>,
) -> Result<Response> {
    let store = managed(&app, &caller, id).await?;
    if store.value.organisation != organisation {
        return Code::NotFound.refuse();
    }
    Ok(tagged(&store))
}

async fn opened(app: &App, id: StoreId) -> Result<Store> {
    let store = store::store(&app.db, id).await?.value;
    if store.open { Ok(store) } else { Code::NotFound.refuse() }
}

/// A store that is open for orders.
#[utoipa::path(get, path = "/v1/stores/{id}", tag = "catalogue",
    params(("id" = StoreId, Path, description = "The store")),
    responses((status = 200, description = "The store", body = StoreView), (status = 304, description = "As before")))]
pub async fn one(State(app): State<App>, headers: HeaderMap, Path(id): Path<StoreId>) -> Result<Response> {
    cacheable(&headers, &view(&opened(&app, id).await?), 5)
}

/// A new product.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddProduct {
    /// Whose it is.
    organisation: OrganisationId,
    /// What is written about it.
    terms: ProductTerms,
}

/// A product.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ProductView {
    /// The id.
    id: ProductId,
    /// Whose it is.
    organisation: OrganisationId,
    /// What is written about it.
    #[serde(flatten)]
    terms: ProductTerms,
}

fn product_view(product: &Product) -> ProductView {
    let Product { id, organisation, terms, .. } = product.clone();
    ProductView { id, organisation, terms }
}

fn tagged_product(product: &Stored<Product>) -> Response {
    (etag(product.version), Json(product_view(&product.value))).into_response()
}

async fn managed_product(app: &App, caller: &Agent, id: ProductId) -> Result<Stored<Product>> {
    let product = store::product(&app.db, id).await?;
    app.authorize(caller, Action::ManageEvents, product.value.organisation).await?;
    Ok(product)
}

/// Add a product. It is sold nowhere until it is on the shelf of a store.
#[utoipa::path(post, path = "/v1/products", tag = "catalogue", security(("bearer" = [])), request_body = AddProduct,
    params(("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Added", body = ProductView)))]
pub async fn add_product(
    State(app): State<App>,
    caller: Agent,
    key: IdempotencyKey,
    input: Input<AddProduct>,
) -> Result<Response> {
    let (AddProduct { organisation, terms }, now) = (input.value, app.clock.now());
    app.authorize(&caller, Action::ManageEvents, organisation).await?;
    terms.check()?;
    let id = ProductId::derive(&[&organisation.to_string(), &key.0]);
    let new = Product { id, organisation, terms, created: now, print: input.print.clone() };
    let product =
        app.db.put_new(new, Vec::new(), now).await?.by_request(&input.print, |known| &known.print)?;
    Ok((StatusCode::CREATED, tagged_product(&product)).into_response())
}

/// Rewrite a product. What was bought or quoted before stays as it was.
#[utoipa::path(put, path = "/v1/products/{id}", tag = "catalogue", security(("bearer" = [])), request_body = ProductTerms,
    params(("id" = ProductId, Path, description = "The product"), ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "Rewritten", body = ProductView)))]
pub async fn rewrite_product(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<ProductId>,
    version: IfMatch,
    input: Input<ProductTerms>,
) -> Result<Response> {
    let (terms, now) = (input.value, app.clock.now());
    let product = managed_product(&app, &caller, id).await?;
    version.check(product.version)?;
    terms.check()?;
    if terms.price.currency != product.value.terms.price.currency {
        return Err(Refusal::invalid("/price/currency", "cannot change"));
    }
    let next = Product { terms, ..product.value.clone() };
    Ok(tagged_product(&app.db.replace(&product, next, Vec::new(), now).await?.done()?))
}

/// A product as its organisation sees it, with the ETag that a change needs.
#[utoipa::path(get, path = "/v1/products/{id}", tag = "catalogue", security(("bearer" = [])),
    params(("id" = ProductId, Path, description = "The product")),
    responses((status = 200, description = "The product", body = ProductView)))]
pub async fn product(State(app): State<App>, caller: Agent, Path(id): Path<ProductId>) -> Result<Response> {
    Ok(tagged_product(&managed_product(&app, &caller, id).await?))
}

/// List an organisation's products, the newest first.
#[utoipa::path(get, path = "/v1/organisations/{id}/products", tag = "catalogue", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Paging),
    responses((status = 200, description = "A page of products", body = Page<ProductView>)))]
pub async fn products(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<ProductView>>> {
    app.authorize(&caller, Action::ManageEvents, id).await?;
    let list = format!("products#{id}");
    let query = Query::of(Listing::First, &list).newest_first();
    Ok(Json(app.page(&list, query, &paging, |product: &Product| Ok(Some(product_view(product)))).await?))
}

/// How a store sells a product.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ShelfView {
    /// The store.
    store: StoreId,
    /// The product.
    product: ProductId,
    /// Its stock: what comes in and goes is written there.
    pool: PoolId,
    /// How it is sold.
    #[serde(flatten)]
    terms: ShelfTerms,
}

/// Put a product on a store's shelf, change how it is sold there, or take it off (`listed`: false). Its stock is made a moment
/// later, empty; it stays when the product is taken off.
#[utoipa::path(put, path = "/v1/stores/{id}/products/{product}", tag = "catalogue", security(("bearer" = [])), request_body = ShelfTerms,
    params(("id" = StoreId, Path, description = "The store"), ("product" = ProductId, Path, description = "The product")),
    responses((status = 200, description = "As it is sold now", body = ShelfView)))]
pub async fn shelve(
    State(app): State<App>,
    caller: Agent,
    Path((id, product)): Path<(StoreId, ProductId)>,
    input: Input<ShelfTerms>,
) -> Result<Json<ShelfView>> {
    let (terms, now) = (input.value, app.clock.now());
    let organisation = managed(&app, &caller, id).await?.value.organisation;
    let Product { terms: known, organisation: others, .. } = store::product(&app.db, product).await?.value;
    if others != organisation {
        return Code::NotFound.refuse();
    }
    terms.check(&known)?;
    let told = Message::ProductShelved { store: id, product };
    let new = Shelf { store: id, product, terms: terms.clone() };
    let shelf = match app.db.put_new(new, vec![told.clone()], now).await? {
        Put::Done(shelf) => shelf,
        Put::Existed(shelf) => {
            let change = |shelf: &Shelf| {
                let next = shelf.with(terms.clone(), &known)?;
                let told = if next.lanes() > shelf.lanes() { vec![told.clone()] } else { Vec::new() };
                Ok((next != *shelf).then_some((next, told)))
            };
            app.db.change(shelf, now, change).await?
        }
    };
    let Shelf { store, product, terms } = shelf.value;
    Ok(Json(ShelfView { store, product, pool: Shelf::pool_id(store, product), terms }))
}

/// A product that a store sells.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Good {
    /// The product: name it in a hold.
    id: ProductId,
    /// What is written about it.
    #[serde(flatten)]
    terms: ProductTerms,
    /// How many can be had now, as was seen within the last second.
    available: u32,
    /// Its stock.
    pool: PoolId,
}

/// List what a store sells, with what is left of it. A page may have fewer than were asked for, or none, before the last.
#[utoipa::path(get, path = "/v1/stores/{id}/products", tag = "catalogue",
    params(("id" = StoreId, Path, description = "The store"), Paging),
    responses((status = 200, description = "A page of products", body = Page<Good>), (status = 304, description = "As before")))]
pub async fn sold(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<StoreId>,
    Params(paging): Params<Paging>,
) -> Result<Response> {
    opened(&app, id).await?;
    let list = format!("goods#{id}");
    let query = Query::of(Listing::Primary, id).starting("prd_");
    let listed = |shelf: &Shelf| Ok(shelf.terms.listed.then(|| shelf.clone()));
    let page: Page<Shelf> = app.page(&list, query, &paging, listed).await?;
    let ids: BTreeSet<ProductId> = page.items.iter().map(|shelf| shelf.product).collect();
    let left = try_join_all(page.items.iter().map(|shelf| left(&app, shelf.pool())));
    let (mut known, left) = try_join(store::products(&app.db, &ids), left).await?;
    let good = |(shelf, available): (Shelf, u32)| {
        let Product { id: product, terms, .. } = known.remove(&shelf.product)?;
        let terms = ProductTerms { price: shelf.price(&terms), ..terms };
        Some(Good { id: product, terms, available, pool: Shelf::pool_id(id, product) })
    };
    let Page { items, has_more, next_cursor } = page;
    let items = items.into_iter().zip(left).filter_map(good).collect();
    cacheable(&headers, &Page { items, has_more, next_cursor }, 1)
}

/// What is left of a stock, as was seen within the last second; nothing of one that is about to be made.
async fn left(app: &App, pool: Pool) -> Result<u32> {
    match app.lanes(&pool).await {
        Ok(lanes) => Ok(within_reach(&lanes, &[], app.clock.now())),
        Err(refusal) if refusal.code == Code::Opening => Ok(0),
        Err(other) => Err(other),
    }
}

/// Which windows.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// Windows that begin at or after this instant.
    #[param(value_type = String, format = DateTime)]
    from: Timestamp,
    /// And before this one, at most 7 days later.
    #[param(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// A delivery window.
#[derive(Serialize, utoipa::ToSchema)]
pub struct WindowView {
    /// From when to when.
    #[serde(flatten)]
    slot: Slot,
    /// How many more orders fit into it.
    left: u32,
}

/// Delivery windows.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Windows {
    /// In order; at most 100.
    items: Vec<WindowView>,
}

/// The windows in which a store can deliver and that can be chosen now, with what is left in them.
#[utoipa::path(get, path = "/v1/stores/{id}/windows", tag = "catalogue",
    params(("id" = StoreId, Path, description = "The store"), Between),
    responses((status = 200, description = "The windows", body = Windows), (status = 304, description = "As before")))]
pub async fn windows(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<StoreId>,
    Params(Between { from, until }): Params<Between>,
) -> Result<Response> {
    within(from, until, 7)?;
    let store = opened(&app, id).await?;
    let found = store.details.windows(id, (from, until), app.clock.now())?;
    let items = try_join_all(found.into_iter().map(|(pool, starts, ends)| {
        let app = &app;
        async move {
            let left = left(app, pool).await?;
            Ok::<_, Refusal>(WindowView { slot: Slot { starts, ends }, left })
        }
    }));
    cacheable(&headers, &Windows { items: items.await? }, 1)
}
