//! Invoices and credit notes, as buyers and sellers see them.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth::{Agent, MaybeCaller};
use tessera::error::{Code, Result};
use tessera::http::{Params, Path};
use tessera::id::{InvoiceId, OrderId, OrganisationId};
use tessera::identity::Action;
use tessera::money::Money;
use tessera::order::invoice::{Invoice, InvoiceTax, Kind, store};
use tessera::order::store::Link;
use tessera::page::{Page, Period, YEAR, within};
use tessera::sheet as csv;

/// Read an invoice or a credit note: its buyer, whoever has the order's link, or whoever handles the seller's money. With `.pdf` after
/// the id, its document.
#[utoipa::path(get, path = "/v1/invoices/{id}", tag = "order", security(("bearer" = []), ()),
    params(("id" = String, Path, description = "The invoice or credit note, perhaps followed by .pdf"), Link),
    responses((status = 200, description = "The document, as data or on paper",
        content((Invoice = "application/json"), (String = "application/pdf")))))]
pub async fn one(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    Path(name): Path<String>,
    Params(link): Params<Link>,
) -> Result<Response> {
    let (id, form) = name.split_once('.').unwrap_or((&name, ""));
    let id: InvoiceId = id.parse().map_err(|_| Code::NotFound)?;
    let invoice = store::invoice(&app.db, id).await?.value;
    app.order_or_money(invoice.order, caller, &link).await?;
    match form {
        "" => Ok(Json(invoice).into_response()),
        "pdf" => pdf(&app, &invoice).await,
        _ => Code::NotFound.refuse(),
    }
}

async fn pdf(app: &App, invoice: &Invoice) -> Result<Response> {
    let bytes = app.blobs.get(&store::document(invoice.id)).await?.ok_or(Code::NotFound)?;
    let name = format!("attachment; filename=\"{}\"", invoice.file());
    let kind = "application/pdf".to_owned();
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], bytes).into_response())
}

/// An order's invoice and credit notes.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Invoices {
    /// By number.
    items: Vec<Invoice>,
}

/// List an order's invoice and credit notes: none until it is sold and paid, and none if its seller issues none.
#[utoipa::path(get, path = "/v1/orders/{id}/invoices", tag = "order", security(("bearer" = []), ()),
    params(("id" = OrderId, Path, description = "The order"), Link),
    responses((status = 200, description = "The documents", body = Invoices)))]
pub async fn of_order(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    Path(id): Path<OrderId>,
    Params(link): Params<Link>,
) -> Result<Json<Invoices>> {
    let order = app.order_or_money(id, caller, &link).await?.value;
    Ok(Json(Invoices { items: store::invoices_of(&app.db, &order).await? }))
}

/// List my organisation's invoices and credit notes, by number.
#[utoipa::path(get, path = "/v1/organisations/{id}/invoices", tag = "order", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), Period),
    responses((status = 200, description = "A page of documents", body = Page<Invoice>)))]
pub async fn of_organisation(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(period): Params<Period>,
) -> Result<Json<Page<Invoice>>> {
    app.authorize(&caller, Action::ManageMoney, id).await?;
    let (from, until, paging) = period.checked()?;
    let list = format!("{} {from} {until}", store::listed(id));
    let query = store::issued(id, from, until);
    Ok(Json(app.page(&list, query, &paging, |invoice: &Invoice| Ok(Some(invoice.clone()))).await?))
}

/// Which time, whole.
#[derive(Clone, Copy, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SheetPeriod {
    /// Issued from this instant.
    #[param(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Until before this instant; a year later at most.
    #[param(value_type = String, format = DateTime)]
    until: Timestamp,
}

const HEADING: [&str; 14] = [
    "number",
    "kind",
    "issued",
    "order",
    "corrects",
    "buyer",
    "country",
    "tax number",
    "provider",
    "currency",
    "rate",
    "net",
    "tax",
    "gross",
];

/// The same as CSV (RFC 4180): a row for each rate of tax in a document, with amounts as decimal numbers. What a credit note takes back
/// is negative, so that every column sums up.
#[utoipa::path(get, path = "/v1/organisations/{id}/invoices.csv", tag = "order", security(("bearer" = [])),
    params(("id" = OrganisationId, Path, description = "The organisation"), SheetPeriod),
    responses((status = 200, description = "The documents", content_type = "text/csv", body = String)))]
pub async fn sheet(
    State(app): State<App>,
    caller: Agent,
    Path(id): Path<OrganisationId>,
    Params(SheetPeriod { from, until }): Params<SheetPeriod>,
) -> Result<Response> {
    app.authorize(&caller, Action::ManageMoney, id).await?;
    within(from, until, YEAR)?;
    let found = app.db.list_all::<Invoice>(&store::issued(id, from, until)).await?;
    let rows: Vec<_> = found.iter().map(|invoice| rows(&invoice.value)).collect::<Result<_>>()?;
    let csv = csv::write(HEADING, rows.into_iter().flatten())?;
    let name = "attachment; filename=\"invoices.csv\"";
    Ok(([(header::CONTENT_TYPE, csv::CSV), (header::CONTENT_DISPOSITION, name)], csv).into_response())
}

/// A row for each rate, and one for what is not taxed.
fn rows(invoice: &Invoice) -> Result<Vec<[String; 14]>> {
    let (kind, corrects, sign) = match &invoice.kind {
        Kind::Invoice => ("invoice", String::new(), 1),
        Kind::CreditNote { number, .. } => ("credit note", number.clone(), -1),
    };
    let (day, currency) = (invoice.day()?.to_string(), invoice.total.currency);
    let row = |rate: String, net: i64, tax: i64| {
        let number = |amount: i64| Money::new(sign * amount, currency).decimal();
        let buyer = &invoice.buyer;
        [
            invoice.number.clone(),
            kind.to_owned(),
            day.clone(),
            invoice.order.to_string(),
            corrects.clone(),
            buyer.name.clone(),
            buyer.country.as_ref().map(ToString::to_string).unwrap_or_default(),
            buyer.tax_number.as_ref().map(ToString::to_string).unwrap_or_default(),
            invoice.provider.word().to_owned(),
            currency.code().to_owned(),
            rate,
            number(net),
            number(tax),
            number(net + tax),
        ]
    };
    let taxed = |of: &InvoiceTax| {
        let rate = format!("{} {} %", of.name, of.percent);
        row(rate, of.net.amount, of.tax.amount)
    };
    let mut rows: Vec<_> = invoice.taxes.iter().map(taxed).collect();
    let known: i64 = invoice.taxes.iter().map(|of| of.net.amount + of.tax.amount).sum();
    if known != invoice.total.amount {
        rows.push(row(String::new(), invoice.total.amount - known, 0));
    }
    Ok(rows)
}
