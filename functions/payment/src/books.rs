//! The books: entries, and what was earned with what.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tessera::app::App;
use tessera::auth::Agent;
use tessera::error::{Refusal, Result};
use tessera::http::{Params, Path};
use tessera::id::OrganisationId;
use tessera::identity::Action;
use tessera::money::{Currency, Money};
use tessera::page::{Page, Period, YEAR, within};
use tessera::payment::ledger::{Entry, Revenue, RevenueBy, revenue};
use tessera::payment::store::{books, entries};
use tessera::sheet;

/// Read my organisation's books: every entry, with both sides, in the order of time.
#[utoipa::path(get, path = "/v1/organisations/{id}/ledger", tag = "payment", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Period),
    responses((status = 200, description = "A page of entries", body = Page<Entry>)))]
pub async fn ledger(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(period): Params<Period>,
) -> Result<Json<Page<Entry>>> {
    app.authorize(&caller, Action::ManageMoney, id).await?;
    let (from, until, paging) = period.checked()?;
    let list = format!("{} {from} {until}", books(id));
    let query = entries(id, from, until);
    Ok(Json(app.page(&list, query, &paging, |entry: &Entry| Ok(Some(entry.clone()))).await?))
}

/// What is to be reported.
#[derive(Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// From this instant.
    #[param(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Until before this instant; a year later at most.
    #[param(value_type = String, format = DateTime)]
    until: Timestamp,
    /// What each row is of.
    #[param(inline)]
    by: RevenueBy,
    /// The IANA time zone in which days begin; UTC if nothing is said.
    #[param(example = "Europe/Berlin", max_length = 64)]
    zone: Option<String>,
}

/// A row of the report.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RevenueRow {
    /// The day, or what it is of.
    #[schema(example = "2027-06-01")]
    key: String,
    /// Its numbers; all of one currency.
    #[serde(flatten)]
    revenue: Revenue,
    /// The currency.
    currency: Currency,
}

/// The report.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RevenueReport {
    /// Its rows, by key.
    rows: Vec<RevenueRow>,
}

async fn rows(app: &App, caller: &Agent, id: OrganisationId, report: Report) -> Result<Vec<RevenueRow>> {
    app.authorize(caller, Action::ManageMoney, id).await?;
    let Report { from, until, by, zone } = report;
    within(from, until, YEAR)?;
    let zone = zone.as_deref().map_or(Ok(TimeZone::UTC), TimeZone::get);
    let zone = zone.map_err(|_| Refusal::invalid("zone", "must be an IANA time zone"))?;
    let query = entries(id, from, until);
    let (mut sums, mut after) = (BTreeMap::new(), None);
    loop {
        let (found, next) = app.db.list::<Entry>(&query, after).await?;
        found.iter().for_each(|entry| revenue(&mut sums, &entry.value, by, &zone));
        match next {
            Some(_) => after = next,
            None => break,
        }
    }
    let row = |((key, currency), revenue): ((String, String), Revenue)| {
        Some(RevenueRow { key, revenue, currency: currency.parse().ok()? })
    };
    Ok(sums.into_iter().filter_map(row).collect())
}

/// What was earned, by day, by what it was of, or by provider.
#[utoipa::path(get, path = "/v1/organisations/{id}/revenue", tag = "payment", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Report),
    responses((status = 200, description = "The report", body = RevenueReport)))]
pub async fn earned(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(report): Params<Report>,
) -> Result<Json<RevenueReport>> {
    Ok(Json(RevenueReport { rows: rows(&app, &caller, id, report).await? }))
}

/// The same as CSV (RFC 4180), with amounts as decimal numbers.
#[utoipa::path(get, path = "/v1/organisations/{id}/revenue.csv", tag = "payment", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Report),
    responses((status = 200, description = "The report", content_type = "text/csv", body = String)))]
pub async fn earned_csv(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(report): Params<Report>,
) -> Result<Response> {
    let rows = rows(&app, &caller, id, report).await?.into_iter().map(|row| {
        let RevenueRow { key, revenue, currency } = row;
        let number = |amount| Money::new(amount, currency).decimal();
        let Revenue { payments, refunds, paid, refunded, sales, fees, taxes, borne } = revenue;
        let [paid, refunded, sales, fees, taxes, borne] =
            [paid, refunded, sales, fees, taxes, borne].map(number);
        let code = currency.code().to_owned();
        [key, code, payments.to_string(), refunds.to_string(), paid, refunded, sales, fees, taxes, borne]
    });
    let heading = [
        "key",
        "currency",
        "payments",
        "refunds",
        "paid",
        "refunded",
        "sales",
        "fees",
        "taxes",
        "fees borne",
    ];
    let csv = sheet::write(heading, rows)?;
    let name = "attachment; filename=\"revenue.csv\"";
    Ok(([(header::CONTENT_TYPE, sheet::CSV), (header::CONTENT_DISPOSITION, name)], csv).into_response())
}
