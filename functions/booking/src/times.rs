//! Times of a vendor's service: held like anything else, and moved in one step.

use crate::basket::Ask;
use crate::deal::Sale;
use crate::hold::{Held, Who, promised};
use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tessera::app::App;
use tessera::auth::Buyer;
use tessera::booking::store::{self, hold};
use tessera::booking::want::Want;
use tessera::booking::{Item, Line, Quote, Slot, Subject};
use tessera::error::{Code, Refusal, Result};
use tessera::http::{Input, Path};
use tessera::id::{BookingId, PackageId};
use tessera::pool::{Pool, first_end};
use tessera::price::Charge;
use tessera::price::coupon::CouponCode;
use tessera::sign::Purpose;
use tessera::vendor::store::{Calendar, package_of};
use tessera::vendor::{Package, Service};

/// A time that is wanted of a package.
pub struct Wanted {
    /// The package.
    pub package: PackageId,
    /// From when.
    pub starts: Timestamp,
}

/// The times that a basket is of, if it is of times.
///
/// # Errors
/// `invalid_input` for a basket of times and other things.
pub fn wanted(lines: &[Ask]) -> Result<Option<Vec<Wanted>>> {
    if lines.iter().all(|line| line.package.is_none() && line.starts.is_none()) {
        return Ok(None);
    }
    let one = |(place, line): (usize, &Ask)| match (line.package, line.starts, line.is_bare()) {
        (Some(package), Some(starts), true) => Ok(Wanted { package, starts }),
        _ => {
            Err(Refusal::invalid(format!("/lines/{place}"), "must say package and starts, and nothing else"))
        }
    };
    lines.iter().enumerate().map(one).collect::<Result<_>>().map(Some)
}

/// Holds these times, all of one service.
///
/// # Errors
/// `invalid_input` for times at which nothing is done; `slot_taken`; the store's own.
pub async fn take(app: &App, who: &Who<'_>, wanted: &[Wanted], coupons: &[CouponCode]) -> Result<Held> {
    let now = app.clock.now();
    let (service, first) = package_of(&app.db, wanted.first().ok_or(Code::InvalidInput)?.package).await?;
    if !service.open {
        return Code::NotFound.refuse();
    }
    let mut charges = Vec::new();
    let mut cells = Vec::new();
    for (place, Wanted { package, starts }) in wanted.iter().enumerate() {
        let package = match *package == first.id {
            true => first.clone(),
            false => {
                let known = tessera::vendor::store::package(&app.db, service.id, *package).await;
                let other =
                    || Refusal::invalid(format!("/lines/{place}/package"), "is not of the same service");
                match known {
                    Err(refusal) if refusal.code == Code::NotFound => return Err(other()),
                    known => known?.value,
                }
            }
        };
        service.details.may_book(&package.terms, *starts, now)?;
        cells.push(service.details.cells(package.terms.minutes, *starts));
        charges.push(charge(&service, &package, *starts, now)?);
    }
    let (from, until) = span(&charges)?;
    let mut refusal = Refusal::from(Code::SlotTaken);
    let calendar = Calendar::read(app, &service, from, until).await?;
    // Who repeats a request finds what they have; who begins anew takes the first unit that is free for all of it.
    let mut units: Vec<u8> = (0..service.details.units).collect();
    let mut want = Want::Cells(Vec::new());
    for cells in cells {
        let there: Vec<u8> = calendar.free(&cells, now).collect();
        units.retain(|unit| there.contains(unit));
        want.add(Want::Cells(cells))?;
    }
    if let Some(own) = calendar.unit_of(who.holder) {
        units = vec![own];
    }
    let (organisation, place) = (service.organisation, service.details.tax_place.clone());
    let sale = Sale { organisation, subject: Subject::Service(service.id), place };
    let deal = sale.price(app, who, charges, coupons, now).await?;
    for unit in units {
        let wants = [(Pool::Hours { service: service.id, unit }, want.clone())];
        match hold(app, &who.wish(&wants), now).await {
            Err(taken) if taken.code == Code::SlotTaken => refusal = taken,
            held => {
                let claims = deal.and(app, who, held, now).await?;
                let expires = first_end(&claims, who.until);
                return promised(app, who.buyer, who.holder, &sale, deal, claims, expires);
            }
        }
    }
    deal.and(app, who, Err(refusal), now).await.and_then(|_| Code::Internal.refuse())
}

fn charge(service: &Service, package: &Package, starts: Timestamp, now: Timestamp) -> Result<Charge> {
    let (price, _) = service.details.price(&package.terms, starts, now)?;
    let ends = starts + SignedDuration::from_mins(package.terms.minutes.into());
    let name = format!("{}: {}", service.details.name, package.terms.name);
    let plain = Line::new(Item::Package(package.id), name, 1, price)?;
    let refund = package.terms.refund.clone();
    let line = Line { slot: Some(Slot { starts, ends }), refund, ..plain };
    Ok(Charge { line, tax_code: package.terms.tax_code.clone() })
}

fn span(charges: &[Charge]) -> Result<(Timestamp, Timestamp)> {
    let slots = || charges.iter().filter_map(|charge| charge.line.slot);
    let from = slots().map(|slot| slot.starts).min().ok_or(Code::InvalidInput)?;
    let until = slots().map(|slot| slot.ends).max().ok_or(Code::InvalidInput)?;
    if until > from + SignedDuration::from_hours(24 * 31) {
        return Err(Refusal::invalid("/lines", "must lie within 31 days"));
    }
    Ok((from, until))
}

/// Where to move a booking.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MoveBooking)]
pub struct Move {
    /// The quote of a hold of the new time, of the same service or store and the same total.
    #[schema(max_length = 20000)]
    quote: String,
}

/// Move my booking to another time, or what is to be delivered to another window: hold the new one, and send its quote here. The new time is mine before the old one is let
/// go, or nothing changes. Moving it to the same time again changes nothing.
#[utoipa::path(post, path = "/v1/bookings/{id}/reschedule", tag = "booking", security(("bearer" = [])), request_body = Move,
    params(("id" = BookingId, Path, description = "The booking")),
    responses((status = 200, description = "Moved: the booking of the new time", body = crate::bookings::View)))]
pub async fn reschedule(
    State(app): State<App>,
    caller: Buyer,
    Path(id): Path<BookingId>,
    input: Input<Move>,
) -> Result<Json<crate::bookings::View>> {
    let now = app.clock.now();
    let (register, booking) = store::booking(&app.db, id).await?;
    if caller != booking.buyer {
        return Code::NotFound.refuse();
    }
    let quote: Option<Quote> = app.sealer.open(Purpose::Quote, &input.value.quote);
    let quote = quote
        .filter(|quote| quote.buyer == booking.buyer && quote.subject == booking.subject)
        .ok_or_else(|| Refusal::invalid("/quote", "is not a quote of yours of the same service or store"))?;
    if quote.total != booking.total {
        return Err(Code::WrongState.because("the new time has another price: cancel and book anew"));
    }
    match booking.starts() {
        Some(starts) if starts > now => {}
        Some(_) => return Err(Code::WrongState.because("it has begun")),
        None => return Err(Code::WrongState.because("it is not for a time")),
    }
    if quote.lines.iter().any(|line| line.slot.is_none()) {
        return Err(Refusal::invalid("/quote", "is not for a time"));
    }
    let moved = store::reschedule(&app, register, &quote, now).await?;
    crate::bookings::shown(&moved).map(Json)
}
