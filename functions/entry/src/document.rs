//! A ticket on paper.

use jiff::tz::TimeZone;
use tessera::catalogue::Event;
use tessera::entry::{EARLY, Signer, Ticket};
use tessera::error::{Code, Result};
use tessera_paper::Labels;

/// The PDF of a ticket: takes about 3 ms.
///
/// # Errors
/// `internal` when it cannot be drawn.
pub fn pdf(ticket: &Ticket, event: &Event, organiser: &str, signer: &Signer) -> Result<Vec<u8>> {
    let details = &event.details;
    let zone = TimeZone::get(&details.starts.zone).map_err(|error| Code::Internal.caused_by(error))?;
    let starts = details.starts.local;
    let doors = zone.to_datetime(event.starts()? - EARLY);
    let (date, time) = (starts.strftime("%A, %-d %B %Y").to_string(), starts.strftime("%H:%M").to_string());
    let (venue, city) = (details.venue.to_string(), details.city.to_string());
    let price = if ticket.price.is_zero() { "free".to_owned() } else { ticket.price.to_string() };
    let (order, code) = (ticket.order.to_string(), signer.code(ticket.id, ticket.event));
    let paper = tessera_paper::Ticket {
        language: "en",
        labels: Labels::ENGLISH,
        event: details.name.as_str(),
        organiser,
        date: &date,
        time: &time,
        zone: Some(&details.starts.zone),
        doors: Some(&doors.strftime("%H:%M").to_string()),
        venue: Some(&venue),
        place: Some(&city),
        offer: &ticket.offer_name,
        seat: ticket.seat.as_deref(),
        holder: Some(&ticket.holder),
        price: Some(&price),
        order: Some(&order),
        number: &ticket.number,
        qr: &code,
        notes: None,
    };
    tessera_paper::ticket(&paper).map_err(|error| Code::Internal.caused_by(error))
}
