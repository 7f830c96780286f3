//! How events and offers are kept.
//!
//! | item | pk | sk | g1 | g2 |
//! |---|---|---|---|---|
//! | event | event id | `-` | `city#…` by start, while published and public | organisation, by creation |
//! | offer | event id | offer id | offer id | |

use super::{Event, Offer, SaleStatus, State, Visibility};
use crate::app::App;
use crate::auth::Agent;
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Listing, Query, Stored, Table};
use crate::error::{Code, Result};
use crate::id::{EventId, OfferId, OrganisationId, PoolId};
use crate::identity::Action;
use crate::price::PriceRules;
use crate::price::store::pricing;
use crate::seating::{self, Seating};
use futures_util::future::try_join;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

impl Item for Event {
    const TABLE: Table = Table::Catalogue;
    fn key(&self) -> Key {
        event_key(self.id)
    }
    fn first(&self) -> Option<(String, String)> {
        let listed =
            matches!(self.state, State::Published { .. }) && self.details.visibility == Visibility::Public;
        let starts = self.starts().ok().filter(|_| listed)?;
        Some((city(self.details.city.as_str()), format!("{}#{}", sortable(starts), self.id)))
    }
    fn second(&self) -> Option<(String, String)> {
        Some((self.organisation.to_string(), format!("{}#{}", sortable(self.created), self.id)))
    }
}

impl Item for Offer {
    const TABLE: Table = Table::Catalogue;
    fn key(&self) -> Key {
        Key::new(self.event, self.id)
    }
    fn first(&self) -> Option<(String, String)> {
        Some((self.id.to_string(), self.event.to_string()))
    }
}

fn event_key(id: EventId) -> Key {
    Key::new(id, "-")
}

/// The partition that lists a city's events.
#[must_use]
pub fn city(name: &str) -> String {
    format!("city#{}", name.trim().to_lowercase())
}

/// An event.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn event(db: &Db, id: EventId) -> Result<Stored<Event>> {
    db.get(&event_key(id)).await?.ok_or_else(|| Code::NotFound.into())
}

/// An event's offers, in the order they were made.
///
/// # Errors
/// As [`Db::list`].
pub async fn offers(db: &Db, event: EventId) -> Result<Vec<Stored<Offer>>> {
    let mut offers: Vec<Stored<Offer>> =
        db.list_all(&Query::of(Listing::Primary, event).starting("ofr_")).await?;
    offers.sort_by_key(|offer| (offer.value.created, offer.value.id));
    Ok(offers)
}

/// An offer of an event.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn offer(db: &Db, event: EventId, id: OfferId) -> Result<Stored<Offer>> {
    db.get(&Key::new(event, id)).await?.ok_or_else(|| Code::NotFound.into())
}

/// An event with its offers.
#[derive(Clone, Debug)]
pub struct Programme {
    /// The event.
    pub event: Event,
    /// Its offers.
    pub offers: Vec<Offer>,
}

impl Programme {
    /// The end of the sale: when the last offer closes.
    ///
    /// # Errors
    /// As [`Event::starts`].
    pub fn closes(&self) -> Result<Timestamp> {
        let begins = self.event.starts()?;
        let closes = self.offers.iter().map(|offer| offer.terms.sale.closes.unwrap_or(begins));
        Ok(closes.max().unwrap_or(begins))
    }

    /// Whether nothing will be sold any more.
    ///
    /// # Errors
    /// As [`Event::starts`].
    pub fn is_over(&self, now: Timestamp) -> Result<bool> {
        for offer in &self.offers {
            if offer.sale_status(&self.event, now)? != SaleStatus::Closed {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What this process read of the catalogue within the last seconds. A hold may sell at terms that were changed up to
/// [`FRESH_MS`] ago; cancelling an event reaches every function within the same time, and the bookings made meanwhile
/// are cancelled with the rest.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// Which event an offer belongs to never changes.
    events: HashMap<OfferId, EventId>,
    programmes: HashMap<EventId, (Timestamp, Arc<Programme>)>,
    /// A section that an event sells never changes.
    seatings: HashMap<PoolId, Arc<Seating>>,
    prices: HashMap<OrganisationId, (Timestamp, Arc<PriceRules>)>,
}

/// How long a programme is believed, milliseconds.
pub const FRESH_MS: i128 = 2_000;

/// How long price rules are believed, milliseconds: they change a few times a year, and every hold needs them.
pub const RULES_FRESH_MS: i128 = 60_000;

impl App {
    /// An event with its offers, at most [`FRESH_MS`] old.
    ///
    /// # Errors
    /// `not_found`; as [`Db::get`].
    pub async fn programme(&self, id: EventId) -> Result<Arc<Programme>> {
        let now = self.clock.now();
        let fresh = |at: Timestamp| now.duration_since(at).as_millis().abs() < FRESH_MS;
        let known = self.recent.seen(|seen| {
            seen.programmes.get(&id).filter(|(at, _)| fresh(*at)).map(|(_, known)| known.clone())
        });
        if let Some(programme) = known {
            return Ok(programme);
        }
        let (event, offers) = try_join(event(&self.db, id), offers(&self.db, id)).await?;
        let offers = offers.into_iter().map(|offer| offer.value).collect();
        let programme = Arc::new(Programme { event: event.value, offers });
        self.recent.seen(|seen| {
            if seen.programmes.len() > 1_000 {
                seen.programmes.clear();
            }
            seen.programmes.insert(id, (now, programme.clone()));
        });
        Ok(programme)
    }

    /// As [`Self::programme`], for those who may do `action` in the organisation that sells it.
    ///
    /// # Errors
    /// As [`Self::programme`] and [`Self::authorize`].
    pub async fn programme_for(&self, agent: &Agent, action: Action, id: EventId) -> Result<Arc<Programme>> {
        let programme = self.programme(id).await?;
        self.authorize(agent, action, &programme.event).await?;
        Ok(programme)
    }

    /// An organisation's price rules, at most [`RULES_FRESH_MS`] old; none at all if it has written none.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub async fn price_rules(&self, organisation: OrganisationId) -> Result<Arc<PriceRules>> {
        let now = self.clock.now();
        let fresh = |at: Timestamp| now.duration_since(at).as_millis().abs() < RULES_FRESH_MS;
        let known = self.recent.seen(|seen| {
            seen.prices.get(&organisation).filter(|(at, _)| fresh(*at)).map(|(_, known)| known.clone())
        });
        if let Some(rules) = known {
            return Ok(rules);
        }
        let stored = pricing(&self.db, organisation).await?;
        let rules = Arc::new(stored.map(|stored| stored.value.rules).unwrap_or_default());
        self.recent.seen(|seen| {
            if seen.prices.len() > 1_000 {
                seen.prices.clear();
            }
            seen.prices.insert(organisation, (now, rules.clone()));
        });
        Ok(rules)
    }

    /// A section as an event sells it.
    ///
    /// # Errors
    /// As [`seating::store::seating`].
    pub async fn seating(&self, event: EventId, pool: PoolId) -> Result<Arc<Seating>> {
        if let Some(known) = self.recent.seen(|seen| seen.seatings.get(&pool).cloned()) {
            return Ok(known);
        }
        let seating = Arc::new(seating::store::seating(&self.db, event, pool).await?);
        self.recent.seen(|seen| {
            if seen.seatings.len() > 200 {
                seen.seatings.clear();
            }
            seen.seatings.insert(pool, seating.clone());
        });
        Ok(seating)
    }

    /// The event that sells this offer.
    ///
    /// # Errors
    /// `not_found`; as [`Db::get`].
    pub async fn programme_of(&self, offer: OfferId) -> Result<Arc<Programme>> {
        let known = self.recent.seen(|seen| seen.events.get(&offer).copied());
        let event = match known {
            Some(event) => event,
            None => {
                let (found, _) =
                    self.db.list::<Offer>(&Query::of(Listing::First, offer).limit(1), None).await?;
                let event = found.first().ok_or(Code::NotFound)?.value.event;
                self.recent.seen(|seen| {
                    if seen.events.len() > 10_000 {
                        seen.events.clear();
                    }
                    seen.events.insert(offer, event);
                });
                event
            }
        };
        self.programme(event).await
    }
}

impl Recent {
    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
