//! Vendors' services: what they are, when they are free, and how they compare.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::Agent;
use tessera::booking::Slot;
use tessera::clock::{NOT_NEAR, is_near};
use tessera::db::{Listing, Query, Stored};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IdempotencyKey, IfMatch, Input, Params, Path, cacheable, etag};
use tessera::id::{OrganisationId, PackageId, ServiceId};
use tessera::identity::Action;
use tessera::money::Money;
use tessera::page::{Page, Paging, within};
use tessera::text::Text;
use tessera::vendor::store::{self, Calendar};
use tessera::vendor::{Category, Details, Package, PackageTerms, Service};

/// A new service. Closed at first.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FoundService)]
pub struct Found {
    /// The vendor.
    organisation: OrganisationId,
    /// What is written about it.
    details: Details,
}

/// A service as its vendor writes it.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// Whether it can be found and booked. What was booked before stays booked.
    open: bool,
    /// What is written about it.
    details: Details,
}

/// A package.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PackageView {
    /// The id: name it in a hold.
    id: PackageId,
    /// The ETag that a change of this package needs; for its vendor only.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// What is written about it.
    #[serde(flatten)]
    terms: PackageTerms,
}

/// A service.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ServiceView {
    /// The id.
    id: ServiceId,
    /// The vendor.
    organisation: OrganisationId,
    /// Whether it can be booked.
    open: bool,
    /// What is written about it.
    #[serde(flatten)]
    details: Details,
    /// Its packages; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    packages: Option<Vec<PackageView>>,
}

fn view(service: &Service, packages: Option<Vec<PackageView>>) -> ServiceView {
    let Service { id, organisation, open, details, .. } = service.clone();
    ServiceView { id, organisation, open, details, packages }
}

fn tagged(service: &Stored<Service>, packages: Option<Vec<PackageView>>) -> Response {
    (etag(service.version), Json(view(&service.value, packages))).into_response()
}

fn package_view(package: &Stored<Package>, vendor: bool) -> PackageView {
    let etag = vendor.then(|| format!("\"v{}\"", package.version));
    PackageView { id: package.value.id, etag, terms: package.value.terms.clone() }
}

async fn managed(app: &App, caller: &Agent, id: ServiceId) -> Result<Stored<Service>> {
    let service = store::service(&app.db, id).await?;
    app.authorize(caller, Action::ManageEvents, &service.value).await?;
    Ok(service)
}

/// Found a service, closed at first: add packages, then open it.
#[utoipa::path(post, path = "/v1/services", tag = "catalogue", security(("bearer" = [])), request_body = Found,
    params(("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Founded", body = ServiceView)))]
pub async fn found(
    State(app): State<App>,
    caller: Agent,
    key: IdempotencyKey,
    input: Input<Found>,
) -> Result<Response> {
    let (Found { organisation, details }, now) = (input.value, app.clock.now());
    app.authorize(&caller, Action::ManageEvents, organisation).await?;
    details.check()?;
    let id = ServiceId::derive(&[&organisation.to_string(), &key.0]);
    let new = Service { id, organisation, details, open: false, created: now, print: input.print.clone() };
    let service =
        app.db.put_new(new, Vec::new(), now).await?.by_request(&input.print, |known| &known.print)?;
    Ok((StatusCode::CREATED, tagged(&service, None)).into_response())
}

/// Rewrite a service, open it or close it. Working hours and prices count from now on: what was booked or quoted stays.
#[utoipa::path(put, path = "/v1/services/{id}", tag = "catalogue", security(("bearer" = [])), request_body = Rewrite,
    params(("id" = ServiceId, Path, description = "The service"), ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "Rewritten", body = ServiceView)))]
pub async fn rewrite(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<ServiceId>,
    version: IfMatch,
    input: Input<Rewrite>,
) -> Result<Response> {
    let (Rewrite { open, details }, now) = (input.value, app.clock.now());
    let service = managed(&app, &caller, id).await?;
    version.check(service.version)?;
    details.check()?;
    let next = Service { open, details, ..service.value.clone() };
    Ok(tagged(&app.db.replace(&service, next, Vec::new(), now).await?.done()?, None))
}

/// Add a package to a service.
#[utoipa::path(post, path = "/v1/services/{id}/packages", tag = "catalogue", security(("bearer" = [])), request_body = PackageTerms,
    params(("id" = ServiceId, Path, description = "The service"), ("Idempotency-Key" = IdempotencyKey, Header, description = "Repeats are answered alike")),
    responses((status = 201, description = "Added", body = PackageView)))]
pub async fn add_package(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<ServiceId>,
    key: IdempotencyKey,
    input: Input<PackageTerms>,
) -> Result<(StatusCode, Json<PackageView>)> {
    let (terms, now) = (input.value, app.clock.now());
    managed(&app, &caller, id).await?;
    terms.check()?;
    let siblings = store::packages(&app.db, id).await?;
    if siblings.iter().any(|other| other.value.terms.price.currency != terms.price.currency) {
        return Err(Refusal::invalid("/price/currency", "the service's packages are in another currency"));
    }
    let package = PackageId::derive(&[&id.to_string(), &key.0]);
    let new = Package { id: package, service: id, terms, created: now, print: input.print.clone() };
    let package =
        app.db.put_new(new, Vec::new(), now).await?.by_request(&input.print, |known| &known.print)?;
    Ok((StatusCode::CREATED, Json(package_view(&package, true))))
}

/// Rewrite a package. What was booked or quoted before stays as it was.
#[utoipa::path(put, path = "/v1/services/{id}/packages/{package}", tag = "catalogue", security(("bearer" = [])), request_body = PackageTerms,
    params(("id" = ServiceId, Path, description = "The service"), ("package" = PackageId, Path, description = "The package"),
        ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "Rewritten", body = PackageView)))]
pub async fn rewrite_package(
    State(app): State<App>,
    caller: Agent,
    Path((id, package)): Path<(ServiceId, PackageId)>,
    version: IfMatch,
    input: Input<PackageTerms>,
) -> Result<Json<PackageView>> {
    let (terms, now) = (input.value, app.clock.now());
    managed(&app, &caller, id).await?;
    terms.check()?;
    let package = store::package(&app.db, id, package).await?;
    version.check(package.version)?;
    if terms.price.currency != package.value.terms.price.currency {
        return Err(Refusal::invalid("/price/currency", "cannot change"));
    }
    let next = Package { terms, ..package.value.clone() };
    Ok(Json(package_view(&app.db.replace(&package, next, Vec::new(), now).await?.done()?, true)))
}

/// What to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The city, in any case.
    city: Text<1, 100>,
    /// Only this kind.
    category: Option<Category>,
    /// At most so many items, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List a city's services that can be booked, by name. A page may have fewer than were asked for, or none, before the last.
#[utoipa::path(get, path = "/v1/services", tag = "catalogue", params(Search),
    responses((status = 200, description = "A page of services", body = Page<ServiceView>), (status = 304, description = "As before")))]
pub async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    Params(search): Params<Search>,
) -> Result<Response> {
    let paging = Paging { limit: search.limit, cursor: search.cursor };
    let city = store::city(search.city.as_str());
    let wanted =
        |service: &Service| search.category.is_none_or(|category| category == service.details.category);
    let one = |service: &Service| Ok(wanted(service).then(|| view(service, None)));
    let page = app.page(&city, Query::of(Listing::First, &city), &paging, one).await?;
    cacheable(&headers, &page, 5)
}

/// List an organisation's services, open or not, the newest first.
#[utoipa::path(get, path = "/v1/organisations/{id}/services", tag = "catalogue", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Paging),
    responses((status = 200, description = "A page of services", body = Page<ServiceView>)))]
pub async fn own(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<ServiceView>>> {
    app.authorize(&caller, Action::ManageEvents, id).await?;
    let list = format!("services#{id}");
    let query = Query::of(Listing::Second, &list).newest_first();
    Ok(Json(app.page(&list, query, &paging, |service: &Service| Ok(Some(view(service, None)))).await?))
}

/// A service with its packages, as its vendor sees it, with the ETags that changes need.
#[utoipa::path(get, path = "/v1/organisations/{organisation}/services/{id}", tag = "catalogue", security(("bearer" = [])),
    params(("organisation" = OrganisationId, Path, description = "The organisation"), ("id" = ServiceId, Path, description = "The service")),
    responses((status = 200, description = "The service", body = ServiceView)))]
pub async fn vendors_view(
    State(app): State<App>,
    caller: Agent,
    Path((organisation, id)): Path<(OrganisationId, ServiceId)>,
) -> Result<Response> {
    let service = managed(&app, &caller, id).await?;
    if service.value.organisation != organisation {
        return Code::NotFound.refuse();
    }
    let packages = store::packages(&app.db, id).await?;
    let packages = packages.iter().map(|package| package_view(package, true)).collect();
    Ok(tagged(&service, Some(packages)))
}

/// A service that is open, with its packages.
async fn opened(app: &App, id: ServiceId) -> Result<(Service, Vec<Stored<Package>>)> {
    let service = store::service(&app.db, id).await?.value;
    if !service.open {
        return Code::NotFound.refuse();
    }
    Ok((service, store::packages(&app.db, id).await?))
}

/// A service with its packages.
#[utoipa::path(get, path = "/v1/services/{id}", tag = "catalogue",
    params(("id" = ServiceId, Path, description = "The service")),
    responses((status = 200, description = "The service", body = ServiceView), (status = 304, description = "As before")))]
pub async fn one(State(app): State<App>, headers: HeaderMap, Path(id): Path<ServiceId>) -> Result<Response> {
    let (service, packages) = opened(&app, id).await?;
    let packages = packages.iter().map(|package| package_view(package, false)).collect();
    cacheable(&headers, &view(&service, Some(packages)), 5)
}

/// Which times.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Of which package.
    package: PackageId,
    /// Times that begin at or after this instant.
    #[param(value_type = String, format = DateTime)]
    from: Timestamp,
    /// And before this one, at most 31 days later.
    #[param(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Every so many minutes from the beginning of the working hours: 15, 30, 60, or the package's length if nothing is said.
    #[param(minimum = 15, maximum = 1440)]
    step: Option<u32>,
}

/// A time that is free.
#[derive(Serialize, utoipa::ToSchema)]
pub struct FreeTime {
    /// From when to when.
    #[serde(flatten)]
    slot: Slot,
    /// What it costs when it is booked now.
    price: Money,
    /// The price rules that apply.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<String>,
    /// How many could be served at once.
    units: usize,
}

/// The free times of a package.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Times {
    /// In order; at most 500.
    items: Vec<FreeTime>,
}

/// The free times of a package, with their prices.
#[utoipa::path(get, path = "/v1/services/{id}/times", tag = "catalogue",
    params(("id" = ServiceId, Path, description = "The service"), When),
    responses((status = 200, description = "The times", body = Times), (status = 304, description = "As before")))]
pub async fn times(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<ServiceId>,
    Params(when): Params<When>,
) -> Result<Response> {
    let (service, packages) = opened(&app, id).await?;
    let package =
        packages.into_iter().find(|package| package.value.id == when.package).ok_or(Code::NotFound)?;
    within(when.from, when.until, 31)?;
    let step = when.step.unwrap_or(package.value.terms.minutes);
    if !(15..=1440).contains(&step) || !step.is_multiple_of(15) {
        return Err(Refusal::invalid("step", "must be a multiple of 15, from 15 to 1440"));
    }
    let items = free(&app, &service, &package.value.terms, (when.from, when.until), step).await?;
    cacheable(&headers, &Times { items }, 1)
}

async fn free(
    app: &App,
    service: &Service,
    package: &PackageTerms,
    between: (Timestamp, Timestamp),
    step: u32,
) -> Result<Vec<FreeTime>> {
    let now = app.clock.now();
    let starts = service.details.starts(package, between, step, now)?;
    let calendar = Calendar::read(app, service, between.0, between.1).await?;
    let mut items = Vec::new();
    for starts in starts.into_iter().take(500) {
        let cells = service.details.cells(package.minutes, starts);
        let units = calendar.free(&cells, now).count();
        if units > 0 {
            let (price, rules) = service.details.price(package, starts, now)?;
            let slot = Slot { starts, ends: starts + SignedDuration::from_mins(package.minutes.into()) };
            items.push(FreeTime { slot, price, rules, units });
        }
    }
    Ok(items)
}

/// What to compare.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// 2 to 5 services, with commas between them.
    services: String,
    /// For so many guests: packages for others are left out.
    guests: Option<u32>,
    /// What would be free on the day that begins at this instant, in the next 24 hours of it; not asked if nothing is said.
    #[param(value_type = Option<String>, format = DateTime)]
    day: Option<Timestamp>,
}

/// A package beside others.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ComparedPackage {
    /// The package.
    #[serde(flatten)]
    package: PackageView,
    /// What an hour of it costs, minor units, before the rules.
    per_hour: Money,
    /// The first time of that day that is free, with its price.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_free: Option<FreeTime>,
}

/// A service beside others.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Compared {
    /// The service.
    #[serde(flatten)]
    service: ServiceView,
    /// Its packages that would do, the cheapest first.
    matching: Vec<ComparedPackage>,
}

/// Services side by side.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Comparison {
    /// In the order they were named.
    items: Vec<Compared>,
}

/// Compare services: their packages for so many guests, what an hour costs, and what is free on a day.
#[utoipa::path(get, path = "/v1/services/compare", tag = "catalogue", params(Compare),
    responses((status = 200, description = "Side by side", body = Comparison), (status = 304, description = "As before")))]
pub async fn compare(
    State(app): State<App>,
    headers: HeaderMap,
    Params(query): Params<Compare>,
) -> Result<Response> {
    let ids: Vec<ServiceId> = query
        .services
        .split(',')
        .map(|id| {
            id.trim().parse().map_err(|_| Refusal::invalid("services", format!("{id} is not a service")))
        })
        .collect::<Result<_>>()?;
    if !(2..=5).contains(&ids.len()) {
        return Err(Refusal::invalid("services", "must name 2 to 5 services"));
    }
    if query.day.is_some_and(|day| !is_near(day)) {
        return Err(Refusal::invalid("day", NOT_NEAR));
    }
    let items = try_join_all(ids.into_iter().map(|id| compared(&app, id, &query))).await?;
    cacheable(&headers, &Comparison { items }, 1)
}

async fn compared(app: &App, id: ServiceId, query: &Compare) -> Result<Compared> {
    let (service, mut packages) = opened(app, id).await?;
    packages.retain(|package| query.guests.is_none_or(|guests| package.value.terms.serves(guests)));
    packages.sort_by_key(|package| package.value.terms.price.amount);
    let mut matching = Vec::new();
    for package in &packages {
        let terms = &package.value.terms;
        let first_free = match query.day {
            Some(day) => {
                let day = (day, day + SignedDuration::from_hours(24));
                free(app, &service, terms, day, terms.minutes.min(60)).await?.into_iter().next()
            }
            None => None,
        };
        let per_hour = (terms.price.amount * 60 + i64::from(terms.minutes) / 2) / i64::from(terms.minutes);
        matching.push(ComparedPackage {
            package: package_view(package, false),
            per_hour: Money::new(per_hour, terms.price.currency),
            first_free,
        });
    }
    Ok(Compared { service: view(&service, None), matching })
}
