//! A basket: what is asked for, what it costs, and what it takes of which pool.

use jiff::Timestamp;
use serde::Deserialize;
use std::sync::Arc;
use tessera::app::App;
use tessera::booking::want::{ByLane, Want, allot, mine};
use tessera::booking::{Item, Line, wanted};
use tessera::catalogue::store::Programme;
use tessera::catalogue::{Offer, Terms};
use tessera::error::{Refusal, Result};
use tessera::id::{OfferId, PackageId, ProductId};
use tessera::pool::{Cells, Claim, Lane, Pool, within_reach};
use tessera::price::Charge;
use tessera::seating::{Kind, Party, Seating};

/// What is wanted of one offer.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The offer. Say either this, `package` or `product`.
    #[serde(default)]
    pub(crate) offer: Option<OfferId>,
    /// A product of the basket's store. Lines of one product add up.
    #[serde(default)]
    pub(crate) product: Option<ProductId>,
    /// A package of a service, at a time.
    #[serde(default)]
    pub(crate) package: Option<PackageId>,
    /// When it begins: a quarter of an hour within the working hours.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) starts: Option<Timestamp>,
    /// Places or units, 1 to 40. Of an offer of seats, the best ones that are free together are chosen.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 40)]
    quantity: Option<u32>,
    /// Seats, picked by name, instead of a quantity.
    #[serde(default)]
    #[schema(max_items = 40, example = json!(["A-12", "A-13"]))]
    seats: Vec<String>,
    /// How many of them come in a wheelchair. Rooms for wheelchairs, and the seats beside them, go to those who say so.
    #[serde(default)]
    #[schema(maximum = 40, default = 0)]
    wheelchairs: u32,
}

impl Ask {
    /// So many places of an offer, whichever.
    #[must_use]
    pub const fn of(offer: OfferId, quantity: u32) -> Self {
        Self {
            offer: Some(offer),
            product: None,
            package: None,
            starts: None,
            quantity: Some(quantity),
            seats: Vec::new(),
            wheelchairs: 0,
        }
    }
}

impl Ask {
    /// The product and how many of it, if it says these and nothing else.
    #[must_use]
    pub const fn product(&self) -> Option<(ProductId, u32)> {
        match (self.product, self.quantity) {
            (Some(product), Some(quantity))
                if self.offer.is_none()
                    && self.package.is_none()
                    && self.starts.is_none()
                    && self.seats.is_empty()
                    && self.wheelchairs == 0 =>
            {
                Some((product, quantity))
            }
            _ => None,
        }
    }

    /// Whether it says nothing that only an offer of an event has.
    #[must_use]
    pub const fn is_bare(&self) -> bool {
        self.offer.is_none() && self.quantity.is_none() && self.seats.is_empty() && self.wheelchairs == 0
    }
}

/// A line of the basket: all that is asked of one offer.
struct Asked<'a> {
    offer: &'a Offer,
    quantity: u32,
    picked: Vec<String>,
    wheelchairs: u32,
    /// The section of its seats.
    seating: Option<Arc<Seating>>,
    cells: ByLane,
    party: Option<Party>,
}

/// A basket that may be sold.
pub struct Basket<'a>(Vec<Asked<'a>>);

impl<'a> Basket<'a> {
    /// Reads what is asked for; what is asked of one offer twice is added up first, so that limits count it together.
    ///
    /// # Errors
    /// `invalid_input`; as [`Offer::may_sell`]; the store's own.
    pub async fn read(app: &App, programme: &'a Programme, asks: Vec<Ask>) -> Result<Basket<'a>> {
        let now = app.clock.now();
        let mut lines: Vec<Asked<'a>> = Vec::new();
        for (place, ask) in asks.into_iter().enumerate() {
            let fault =
                |field: &str, detail: &str| Refusal::invalid(format!("/lines/{place}/{field}"), detail);
            let picked = u32::try_from(ask.seats.len()).unwrap_or(u32::MAX);
            let quantity = match ask.quantity {
                None => picked,
                Some(quantity) if picked == 0 || picked == quantity => quantity,
                Some(_) => return Err(fault("quantity", "must be left out where seats are picked")),
            };
            if !(1..=40).contains(&quantity) {
                return Err(fault("quantity", "must be between 1 and 40"));
            }
            if ask.wheelchairs > quantity {
                return Err(fault("wheelchairs", "must be at most the quantity"));
            }
            if ask.package.is_some() || ask.starts.is_some() {
                return Err(fault("package", "cannot be in one basket with offers"));
            }
            let offer = programme.offers.iter().find(|offer| Some(offer.id) == ask.offer);
            let offer = offer.ok_or_else(|| fault("offer", "is not an offer of the same event"))?;
            if offer.seats.is_none() && (picked > 0 || ask.wheelchairs > 0) {
                return Err(fault("seats", "this offer has no seats to pick"));
            }
            match lines.iter_mut().find(|line| line.offer.id == offer.id) {
                Some(line) => {
                    line.quantity += quantity;
                    line.wheelchairs += ask.wheelchairs;
                    line.picked.extend(ask.seats);
                }
                None => lines.push(Asked {
                    offer,
                    quantity,
                    picked: ask.seats,
                    wheelchairs: ask.wheelchairs,
                    seating: None,
                    cells: ByLane::new(),
                    party: None,
                }),
            }
        }
        for line in &mut lines {
            line.offer.may_sell(&programme.event, line.quantity, now)?;
            if line.offer.seats.is_some() {
                let seating = app.seating(programme.event.id, line.offer.pool).await?;
                line.seat(&seating)?;
                line.seating = Some(seating);
            }
        }
        Ok(Basket(lines))
    }

    /// What it takes, each pool once.
    ///
    /// # Errors
    /// As [`wanted`]; the store's own.
    pub async fn wants(&self, app: &App, tag: &[u8; 32]) -> Result<Vec<(Pool, Want)>> {
        let mut lines = Vec::new();
        for Asked { offer, quantity, seating, cells, party, .. } in &self.0 {
            let pool = app.opened(offer.pool).await?.pool();
            let want = match seating {
                None => Want::Places(*quantity),
                Some(seating) => Want::Seats {
                    seating: seating.clone(),
                    picked: cells.clone(),
                    parties: party.iter().cloned().collect(),
                },
            };
            lines.push((*offer, *quantity, pool, Some(want)));
        }
        wanted(lines, tag)
    }

    /// Whether any of it is sold to approved applicants alone.
    #[must_use]
    pub fn needs_approval(&self) -> bool {
        self.0.iter().any(|line| line.offer.terms.approval)
    }

    /// When the first of its sales ends.
    ///
    /// # Errors
    /// As [`Offer::closes`].
    pub fn closes(&self, programme: &Programme) -> Result<Timestamp> {
        let mut closes = programme.event.starts()?;
        for line in &self.0 {
            closes = closes.min(line.offer.closes(&programme.event)?);
        }
        Ok(closes)
    }

    /// Whether there is room for all of it, as far as was seen within the last second, that nobody waits for.
    ///
    /// # Errors
    /// The store's own.
    pub async fn has_room(&self, app: &App) -> Result<bool> {
        let now = app.clock.now();
        for line in &self.0 {
            let pool = app.opened(line.offer.pool).await?.pool();
            let lanes = app.lanes(&pool).await?;
            let open: Vec<Lane> = lanes.iter().filter(|lane| lane.waited.is_none()).cloned().collect();
            if within_reach(&open, &[], now) < line.quantity {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is to be priced: the lines, without the seats that nobody has yet.
    ///
    /// # Errors
    /// `invalid_input` when an amount is too large.
    pub fn charges(&self) -> Result<Vec<Charge>> {
        let charge = |line: &Asked<'_>| {
            let Terms { name, price, tax_code, refund, .. } = line.offer.terms.clone();
            let section = line.seating.as_ref().map(|seating| seating.section.name.to_string());
            let plain = Line::new(Item::Offer(line.offer.id), name.to_string(), line.quantity, price)?;
            Ok(Charge { line: Line { section, refund, ..plain }, tax_code })
        };
        self.0.iter().map(charge).collect()
    }

    /// Notes in its lines the seats that were got.
    pub fn note_seats(&self, lines: &mut [Line], claims: &[Claim]) {
        for (place, (line, asked)) in lines.iter_mut().zip(&self.0).enumerate() {
            if let Some(seating) = &asked.seating {
                line.seats = self.seats(seating, claims, place);
            }
        }
    }

    /// The seats of one line, among all that were got in its section.
    fn seats(&self, seating: &Seating, claims: &[Claim], place: usize) -> Vec<String> {
        let got = mine(&seating.as_pool(), claims);
        let here = |line: &&Asked<'_>| line.offer.pool == seating.pool;
        let lines: Vec<_> =
            self.0.iter().filter(here).map(|line| (line.cells.clone(), line.party.clone())).collect();
        let nth = self.0[..place].iter().filter(here).count();
        allot(seating, &got, &lines).swap_remove(nth)
    }
}

impl Asked<'_> {
    /// Finds the picked seats, and says who else is to be seated.
    fn seat(&mut self, seating: &Seating) -> Result<()> {
        let kinds = self.offer.seats.as_ref().map(|seats| seats.kinds.clone()).unwrap_or_default();
        let mut party = Party { quantity: self.quantity, wheelchairs: self.wheelchairs, kinds };
        for name in &self.picked {
            let fault = |detail: String| Refusal::invalid("/lines", detail);
            let seat = seating.section.seat(name).ok_or_else(|| fault(format!("there is no seat {name}")))?;
            if !party.may_have(seat.kind) {
                return Err(fault(format!("this line may not have seat {name}")));
            }
            if seat.kind == Kind::Accessible && self.wheelchairs == 0 {
                return Err(fault(format!("seat {name} is one wheelchair too many")));
            }
            self.wheelchairs -= u32::from(seat.kind == Kind::Accessible);
            match self.cells.iter_mut().find(|(lane, _)| *lane == seat.lane) {
                Some((_, cells)) if cells.has(seat.cell) => {
                    return Err(fault(format!("seat {name} is named twice")));
                }
                Some((_, cells)) => *cells = cells.with(seat.cell),
                None => self.cells.push((seat.lane, Cells::NONE.with(seat.cell))),
            }
        }
        party.quantity -= u32::try_from(self.picked.len()).unwrap_or(u32::MAX).min(party.quantity);
        party.wheelchairs = self.wheelchairs.min(party.quantity);
        self.cells.sort_unstable();
        self.party = Some(party).filter(|party| party.quantity > 0);
        Ok(())
    }
}
