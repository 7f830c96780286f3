//! Coupons, and batches of them with a code for each customer.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::Agent;
use tessera::db::{Listing, Put, Query, Stored};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{IfMatch, Input, Params, Path, etag};
use tessera::id::{CouponId, OrganisationId};
use tessera::identity::Action;
use tessera::page::{Page, Paging};
use tessera::pool;
use tessera::price::coupon::{Batch, Coupon, CouponCode, CouponTerms};
use tessera::price::store;
use tessera::sheet;
use tessera::sign::random;
use tessera::text::hex;

/// A new coupon, or a batch of them.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeCoupon {
    /// Its code; what every code begins with if it is a batch.
    code: CouponCode,
    /// Makes it a batch of so many codes, 1 to 100,000: the code of each is its own, and good for one basket if `uses` says
    /// nothing else.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100_000)]
    codes: Option<u32>,
    /// What is said about it.
    terms: CouponTerms,
}

/// A coupon, or a batch of them.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CouponView {
    /// The id.
    id: CouponId,
    /// Whose it is.
    organisation: OrganisationId,
    /// Its code, or what every code of the batch begins with.
    code: CouponCode,
    /// How many codes, if it is a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    codes: Option<u32>,
    /// Uses that are held or sold, where uses are limited and one coupon was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u32>,
    /// What is said about it.
    terms: CouponTerms,
}

fn view(coupon: &Coupon, used: Option<u32>) -> CouponView {
    let Coupon { id, organisation, code, batch, terms, .. } = coupon.clone();
    CouponView { id, organisation, code, codes: batch.map(|batch| batch.codes), used, terms }
}

fn tagged(coupon: &Stored<Coupon>, used: Option<u32>) -> Response {
    (etag(coupon.version), Json(view(&coupon.value, used))).into_response()
}

/// Make a coupon, or a batch of them. A code is one coupon's for good; the same request again changes nothing.
#[utoipa::path(post, path = "/v1/organisations/{id}/coupons", tag = "catalogue", security(("bearer" = [])), request_body = MakeCoupon,
    params(("id" = OrganisationId, Path, description = "The organisation")),
    responses((status = 201, description = "Made", body = CouponView)))]
pub async fn make(
    State(app): State<App>,
    caller: Agent,
    Path(organisation): Path<OrganisationId>,
    input: Input<MakeCoupon>,
) -> Result<Response> {
    let (MakeCoupon { code, codes, terms }, now) = (input.value, app.clock.now());
    app.authorize(&caller, Action::ManageEvents, organisation).await?;
    let seed = || random::<16>().map(hex);
    let batch = codes.map(|codes| Ok::<_, Refusal>(Batch { codes, seed: seed()? })).transpose()?;
    let id = CouponId::derive(&[&organisation.to_string(), code.as_str()]);
    let print = input.print.clone();
    let new = Coupon { id, organisation, code, batch, terms, created: now, print };
    new.check()?;
    match app.db.put_new(new, Vec::new(), now).await? {
        Put::Existed(known) if known.value.print != input.print => {
            Err(Code::AlreadyExists.because("there is a coupon of this code"))
        }
        put => Ok((StatusCode::CREATED, tagged(&put.stored(), None)).into_response()),
    }
}

/// Rewrite what is said about a coupon, or stop it. What was quoted before stays as quoted; another limit counts at once.
#[utoipa::path(put, path = "/v1/organisations/{id}/coupons/{code}", tag = "catalogue", security(("bearer" = [])), request_body = CouponTerms,
    params(("id" = OrganisationId, Path, description = "The organisation"), ("code" = CouponCode, Path, description = "Its code"),
        ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "Rewritten", body = CouponView)))]
pub async fn rewrite(
    State(app): State<App>,
    caller: Agent,
    Path((organisation, code)): Path<(OrganisationId, CouponCode)>,
    version: IfMatch,
    input: Input<CouponTerms>,
) -> Result<Response> {
    let now = app.clock.now();
    let coupon = managed(&app, &caller, organisation, &code).await?;
    version.check(coupon.version)?;
    let next = Coupon { terms: input.value, ..coupon.value.clone() };
    next.check()?;
    Ok(tagged(&app.db.replace(&coupon, next, Vec::new(), now).await?.done()?, None))
}

async fn managed(
    app: &App,
    caller: &Agent,
    organisation: OrganisationId,
    code: &CouponCode,
) -> Result<Stored<Coupon>> {
    app.authorize(caller, Action::ManageEvents, organisation).await?;
    store::coupon(&app.db, organisation, code).await
}

/// List an organisation's coupons, by code.
#[utoipa::path(get, path = "/v1/organisations/{id}/coupons", tag = "catalogue", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Paging),
    responses((status = 200, description = "A page of coupons", body = Page<CouponView>)))]
pub async fn own(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<CouponView>>> {
    app.authorize(&caller, Action::ManageEvents, id).await?;
    let list = store::coupons_of(id);
    let query = Query::of(Listing::Primary, &list);
    Ok(Json(app.page(&list, query, &paging, |coupon: &Coupon| Ok(Some(view(coupon, None)))).await?))
}

/// Read a coupon or a batch, with the ETag that a change needs; of a coupon with limited uses, how many are taken.
#[utoipa::path(get, path = "/v1/organisations/{id}/coupons/{code}", tag = "catalogue", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), ("code" = CouponCode, Path, description = "Its code")),
    responses((status = 200, description = "The coupon", body = CouponView)))]
pub async fn one(
    State(app): State<App>,
    caller: Agent,
    Path((organisation, code)): Path<(OrganisationId, CouponCode)>,
) -> Result<Response> {
    let coupon = managed(&app, &caller, organisation, &code).await?;
    let used = match coupon.value.limit() {
        Some(limit) => {
            let lanes = pool::store::read(&app.db, &limit).await?;
            Some(lanes.iter().flat_map(|lane| lane.entries.values()).map(|mark| mark.quantity).sum())
        }
        None => None,
    };
    Ok(tagged(&coupon, used))
}

/// Every code of a batch as CSV (RFC 4180), one in a line under the heading `code`.
#[utoipa::path(get, path = "/v1/organisations/{id}/coupons/{code}/codes", tag = "catalogue", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), ("code" = CouponCode, Path, description = "The batch's code")),
    responses((status = 200, description = "The codes", content_type = "text/csv", body = String)))]
pub async fn codes(
    State(app): State<App>,
    caller: Agent,
    Path((organisation, code)): Path<(OrganisationId, CouponCode)>,
) -> Result<Response> {
    let coupon = managed(&app, &caller, organisation, &code).await?.value;
    if coupon.batch.is_none() {
        return Err(Code::WrongState.because("it is no batch: its code is all there is"));
    }
    let rows = coupon.codes().map(|code| [code.to_string()]);
    let csv = sheet::write(["code"], rows)?;
    let name = format!("attachment; filename=\"{}.csv\"", coupon.code);
    Ok(([(header::CONTENT_TYPE, sheet::CSV.to_owned()), (header::CONTENT_DISPOSITION, name)], csv)
        .into_response())
}
