//! What is wanted of a pool, and where in its lanes it can be had.

use crate::error::{Code, Refusal, Result};
use crate::pool::{Cells, Claim, HoldKey, Lane, Part, Pool, Quota, plan, within_reach};
use crate::seating::{Kind, Party, Seat, Seating, best};
use jiff::Timestamp;
use std::sync::Arc;

/// Cells, lane by lane.
pub type ByLane = Vec<(u32, Cells)>;

/// What is wanted of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// So many places, whichever.
    Places(u32),
    /// These cells.
    Cells(ByLane),
    /// Seats.
    Seats {
        /// The section.
        seating: Arc<Seating>,
        /// Those that the buyer picked.
        picked: ByLane,
        /// Those who are seated by [`best::choose`].
        parties: Vec<Party>,
    },
}

impl Want {
    /// The cells that these claims have in a pool: to take just those again.
    #[must_use]
    pub fn again(pool: &Pool, claims: &[Claim]) -> Self {
        Self::Cells(mine(pool, claims))
    }

    /// What these claims have, pool by pool: to take just that again.
    #[must_use]
    pub fn all_again(claims: &[Claim]) -> Vec<(Pool, Self)> {
        let mut wants: Vec<(Pool, Self)> = Vec::new();
        for claim in claims {
            let Some(pool) = claim.pool() else { continue };
            let want = match claim.m.cells.is_empty() {
                true => Self::Places(claim.m.quantity),
                false => Self::again(&pool, std::slice::from_ref(claim)),
            };
            match wants.iter_mut().find(|(known, _)| known.is(&pool)) {
                // Of one pool are places or cells, never both, and no cell twice.
                Some((_, known)) => known.add(want).unwrap_or_default(),
                None => wants.push((pool, want)),
            }
        }
        wants
    }

    /// How many places.
    #[must_use]
    pub fn quantity(&self) -> u32 {
        match self {
            Self::Places(quantity) => *quantity,
            Self::Cells(cells) => count(cells),
            Self::Seats { picked, parties, .. } => {
                count(picked) + parties.iter().map(|party| party.quantity).sum::<u32>()
            }
        }
    }

    /// Adds another line's wish for the same pool.
    ///
    /// # Errors
    /// `invalid_input` when a seat is picked twice; `internal` for wishes that cannot meet in one pool.
    pub fn add(&mut self, more: Self) -> Result<()> {
        match (self, more) {
            (Self::Places(sum), Self::Places(quantity)) => *sum += quantity,
            (Self::Cells(sum), Self::Cells(cells)) => unite(sum, &cells)?,
            (
                Self::Seats { picked, parties, .. },
                Self::Seats { picked: more_picked, parties: more_parties, .. },
            ) => {
                unite(picked, &more_picked)?;
                parties.extend(more_parties);
            }
            (Self::Places(_) | Self::Cells(_) | Self::Seats { .. }, _) => {
                return Err(Code::Internal.caused_by("unlike wishes for one pool"));
            }
        }
        Ok(())
    }

    /// The lanes that have to be looked at; nothing means all.
    #[must_use]
    pub fn lanes(&self) -> Option<Vec<u32>> {
        match self {
            Self::Cells(cells) => Some(cells.iter().map(|(lane, _)| *lane).collect()),
            Self::Seats { picked, parties, .. } if parties.is_empty() => {
                Some(picked.iter().map(|(lane, _)| *lane).collect())
            }
            Self::Places(_) | Self::Seats { .. } => None,
        }
    }

    /// The cells, when nothing has to be chosen.
    #[must_use]
    pub fn exact(&self) -> Option<&ByLane> {
        match self {
            Self::Cells(cells) => Some(cells),
            Self::Seats { picked, parties, .. } if parties.is_empty() => Some(picked),
            Self::Places(_) | Self::Seats { .. } => None,
        }
    }

    /// Where to take what is still missing beside `have`. `round` counts the races lost so far: seats are then chosen among
    /// more that would do. `None` when it is not to be had.
    #[must_use]
    pub fn plan(&self, lanes: &[Lane], look: &Look<'_>, have: &[Claim], pool: &Pool) -> Option<Vec<Part>> {
        let taken: u32 = have.iter().map(|claim| claim.m.quantity).sum();
        let (parties, seating, mut cells) = match self {
            Self::Places(quantity) => {
                let open: Vec<Lane> = lanes.iter().filter(|lane| look.may(lane)).cloned().collect();
                return plan(&open, look.holder, quantity.checked_sub(taken)?, look.yields, look.now);
            }
            Self::Cells(cells) => (Vec::new(), None, cells.clone()),
            Self::Seats { seating, picked, parties } => (parties.clone(), Some(seating), picked.clone()),
        };
        let mut have = mine(pool, have);
        // What was taken already is no longer missing: first among those picked, then in the parties.
        for (lane, got) in &mut have {
            for (_, wanted) in cells.iter_mut().filter(|(wanted, _)| wanted == lane) {
                let both = got.without(got.without(*wanted));
                *wanted = wanted.without(both);
                *got = got.without(both);
            }
        }
        if let (Some(seating), true) = (seating, parties.iter().any(|party| party.quantity > 0)) {
            let parties = without(parties, seating, &have);
            let mut gone: Vec<Cells> = lanes
                .iter()
                .map(|lane| match lane.entries.contains_key(&look.holder) {
                    // A lane that has an entry of ours takes no second one.
                    false if look.may(lane) => lane.gone(look.yields, look.now),
                    true | false => Cells::first(crate::pool::MAX_CELLS),
                })
                .collect();
            for (lane, picked) in &cells {
                let lane = gone.get_mut(*lane as usize)?;
                *lane = lane.and(*picked);
            }
            let spread = if look.round == 0 { 1 } else { 4u32.saturating_pow(look.round) };
            let seated = best::choose(&seating.section, &gone, &parties, look.holder.lot(), spread)?;
            unite(&mut cells, &seated).ok()?;
        }
        let wanted = cells.iter().filter(|(_, cells)| !cells.is_empty());
        wanted
            .map(|(number, cells)| {
                let lane = lanes.iter().find(|lane| lane.number == *number && look.may(lane))?;
                lane.part(*cells, look.yields, look.now)
            })
            .collect()
    }

    /// Whether there would be enough, were it not for how it lies.
    #[must_use]
    pub fn has_room(&self, lanes: &[Lane], look: &Look<'_>, taken: u32) -> bool {
        match self {
            Self::Places(quantity) => within_reach(lanes, look.yields, look.now) + taken >= *quantity,
            Self::Cells(_) | Self::Seats { .. } => false,
        }
    }

    /// How it is said that it was not to be had.
    #[must_use]
    pub fn refusal(&self, pool: &Pool, lanes: &[Lane], look: &Look<'_>) -> Refusal {
        let sold_out = match pool {
            Pool::Places { .. } | Pool::Seats { .. } | Pool::Stock { .. } => Code::SoldOut,
            Pool::Hours { .. } | Pool::Quota { of: Quota::Window { .. }, .. } => Code::SlotTaken,
            Pool::Quota { of: Quota::Buyer { .. } | Quota::Coupon { .. }, .. } => Code::LimitReached,
        };
        let waited = |refusal: Refusal| match lanes.iter().any(|lane| lane.waited.is_some()) {
            true => refusal.with("waitlist", true),
            false => refusal,
        };
        let Self::Seats { seating, picked, .. } = self else { return waited(sold_out.into()) };
        let others = |lane: &Lane| {
            let own = lane.entries.get(&look.holder).map_or(Cells::NONE, |mark| mark.cells);
            lane.gone(look.yields, look.now).without(own)
        };
        let taken = |seat: &Seat<'_>| {
            picked.iter().any(|(lane, cells)| *lane == seat.lane && cells.has(seat.cell))
                && lanes.iter().any(|lane| lane.number == seat.lane && others(lane).has(seat.cell))
        };
        let names: Vec<String> = seating.section.seats().filter(taken).map(|seat| seat.name()).collect();
        match names.is_empty() {
            true => waited(sold_out.into()),
            false => Refusal::from(Code::SeatTaken).with("seats", names),
        }
    }
}

/// Who looks, when, and for the how-many-th time.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Whose entries are not in the way of themselves.
    pub holder: HoldKey,
    /// Holds that give back although their time is not over.
    pub yields: &'a [HoldKey],
    /// The time.
    pub now: Timestamp,
    /// Rounds lost before.
    pub round: u32,
    /// Whether what people wait for may be had: it is their turn, or nobody who waits would fit.
    pub past_line: bool,
}

impl Look<'_> {
    const fn may(&self, lane: &Lane) -> bool {
        self.past_line || lane.waited.is_none()
    }
}

fn count(cells: &ByLane) -> u32 {
    cells.iter().map(|(_, cells)| cells.count()).sum()
}

fn unite(sum: &mut ByLane, more: &ByLane) -> Result<()> {
    for (lane, cells) in more {
        match sum.iter_mut().find(|(known, _)| known == lane) {
            Some((_, known)) if known.meets(*cells) => {
                return Err(Refusal::invalid("/lines", "names a seat twice"));
            }
            Some((_, known)) => *known = known.and(*cells),
            None => sum.push((*lane, *cells)),
        }
    }
    sum.sort_unstable();
    Ok(())
}

/// The cells of these claims that are of this pool.
#[must_use]
pub fn mine(pool: &Pool, claims: &[Claim]) -> ByLane {
    let mut cells = ByLane::new();
    for claim in claims {
        if let Some(lane) = claim.lane().filter(|lane| pool.key(*lane) == claim.key()) {
            cells.push((lane, claim.m.cells));
        }
    }
    cells
}

/// The parties without those who are seated already.
fn without(mut parties: Vec<Party>, seating: &Seating, seated: &ByLane) -> Vec<Party> {
    for seat in seats(seating, seated) {
        let kind = seat.kind;
        if let Some(party) = parties.iter_mut().find(|party| party.quantity > 0 && party.may_have(kind)) {
            party.quantity -= 1;
            if kind == Kind::Accessible {
                party.wheelchairs = party.wheelchairs.saturating_sub(1);
            }
        }
    }
    parties.retain(|party| party.quantity > 0);
    parties
}

/// The seats of these cells, row by row.
pub fn seats<'a>(seating: &'a Seating, cells: &'a ByLane) -> impl Iterator<Item = Seat<'a>> {
    seating
        .section
        .seats()
        .filter(|seat| cells.iter().any(|(lane, cells)| *lane == seat.lane && cells.has(seat.cell)))
}

/// Which of the seats that a basket got are whose: of each line the seats that it picked, and as many more as it has a party.
/// Lines that may have less are served first.
#[must_use]
pub fn allot(seating: &Seating, got: &ByLane, lines: &[(ByLane, Option<Party>)]) -> Vec<Vec<String>> {
    let picked = |seat: &Seat<'_>, cells: &ByLane| {
        cells.iter().any(|(lane, cells)| *lane == seat.lane && cells.has(seat.cell))
    };
    let mut free: Vec<Seat<'_>> = seats(seating, got).collect();
    free.retain(|seat| !lines.iter().any(|(cells, _)| picked(seat, cells)));
    let mut order: Vec<usize> = (0..lines.len()).collect();
    let choice = |line: &usize| {
        let party = lines[*line].1.as_ref();
        party.map_or(0, |party| Kind::ALL.iter().filter(|kind| party.may_have(**kind)).count())
    };
    order.sort_by_key(choice);
    let mut allotted = vec![Vec::new(); lines.len()];
    for line in order {
        let (cells, party) = &lines[line];
        let mut seats: Vec<Seat<'_>> = seats(seating, got).filter(|seat| picked(seat, cells)).collect();
        for _ in 0..party.as_ref().map_or(0, |party| party.quantity) {
            let next =
                free.iter().position(|seat| party.as_ref().is_some_and(|party| party.may_have(seat.kind)));
            seats.extend(next.map(|next| free.remove(next)));
        }
        allotted[line] = seats.iter().map(Seat::name).collect();
    }
    allotted
}

/// Adds up wishes for the same pool: two lines of one basket on one pool are one wish.
///
/// # Errors
/// `invalid_input` when one wish is larger than a mark can note, or names a seat twice.
pub fn add_up(wishes: impl IntoIterator<Item = (Pool, Want)>) -> Result<Vec<(Pool, Want)>> {
    let mut sums: Vec<(Pool, Want)> = Vec::new();
    for (pool, want) in wishes {
        match sums.iter_mut().find(|(known, _)| known.is(&pool)) {
            Some((_, sum)) => sum.add(want)?,
            None => sums.push((pool, want)),
        }
    }
    if sums.iter().any(|(_, sum)| sum.quantity() > 99) {
        return Err(Code::InvalidInput.because("at most 99 places of one kind in one basket"));
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{EventId, PoolId};
    use crate::pool::Mark;
    use crate::seating::tests::section;
    use crate::text::Text;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn stalls(rows: &[&str]) -> Arc<Seating> {
        let (event, pool) = (EventId::derive(&["e"]), PoolId::derive(&["p"]));
        Arc::new(Seating { event, pool, code: Text::parse("S").unwrap(), section: section(rows) })
    }

    fn free(seating: &Seating) -> Vec<Lane> {
        let lane = |(number, (all, blocked)): (u32, (Cells, Cells))| {
            let capacity = all.without(blocked).count();
            Lane { number, capacity, available: capacity, blocked, ..Lane::default() }
        };
        (0..).zip(seating.section.opening()).map(lane).collect()
    }

    fn look(holder: HoldKey) -> Look<'static> {
        Look { holder, yields: &[], now: at(10), round: 0, past_line: false }
    }

    fn key(byte: u8) -> HoldKey {
        HoldKey::new(&[byte; 32], &[0; 32])
    }

    fn party(quantity: u32) -> Party {
        Party { quantity, wheelchairs: 0, kinds: Kind::ALL.to_vec() }
    }

    fn wanted(seating: &Arc<Seating>, picked: &[(u32, u32)], parties: &[Party]) -> Want {
        let picked = picked.iter().map(|(lane, cell)| (*lane, Cells::NONE.with(*cell)));
        let mut want = Want::Seats { seating: seating.clone(), picked: vec![], parties: parties.to_vec() };
        for cells in picked {
            want.add(Want::Seats { seating: seating.clone(), picked: vec![cells], parties: vec![] }).unwrap();
        }
        want
    }

    #[test]
    fn lines_on_one_pool_are_one_wish() {
        let pool = Pool::Places { id: PoolId::derive(&["p"]), lanes: 1 };
        let two = [(pool, Want::Places(2)), (pool, Want::Places(3))];
        assert_eq!(add_up(two).unwrap(), [(pool, Want::Places(5))]);
        assert!(add_up([(pool, Want::Places(50)), (pool, Want::Places(50))]).is_err());
        let (seating, cells) = (stalls(&["...."]), vec![(0, Cells::NONE.with(1))]);
        let line = Want::Seats { seating: seating.clone(), picked: cells, parties: vec![] };
        let pool = seating.as_pool();
        assert!(add_up([(pool, line.clone()), (pool, line)]).is_err(), "a seat twice");
    }

    #[test]
    fn picked_seats_are_had_or_named_and_ended_holds_are_judged() {
        let seating = stalls(&["....", "...."]);
        let (pool, mut lanes) = (seating.as_pool(), free(&seating));
        let (live, over) =
            (Mark::of(Cells::NONE.with(0), at(99), 0), Mark::of(Cells::NONE.with(1), at(5), 0));
        lanes[0].entries.extend([(key(1), live), (key(2), over)]);
        lanes[0].taken_cells = Cells::first(2);
        let plan = |want: &Want| want.plan(&lanes, &look(key(9)), &[], &pool);
        let parts = plan(&wanted(&seating, &[(0, 1), (1, 3)], &[])).unwrap();
        assert_eq!(
            parts.iter().map(|part| (part.lane, part.cells)).collect::<Vec<_>>(),
            [(0, Cells::NONE.with(1)), (1, Cells::NONE.with(3))]
        );
        assert_eq!(parts[0].judge, [(key(2), over)]);
        let taken = wanted(&seating, &[(0, 0), (0, 2)], &[]);
        assert_eq!(plan(&taken), None);
        let refusal = taken.refusal(&pool, &lanes, &look(key(9)));
        assert_eq!((refusal.code, &refusal.extra["seats"]), (Code::SeatTaken, &serde_json::json!(["A-1"])));
    }

    #[test]
    fn the_rest_of_a_party_is_seated_beside_what_it_has_already() {
        let seating = stalls(&["....", "...."]);
        let (pool, mut lanes) = (seating.as_pool(), free(&seating));
        let mark = Mark::of(Cells::first(3), at(99), 0);
        lanes[0].entries.insert(key(9), mark);
        lanes[0].taken_cells = Cells::first(3);
        let have = [Claim::new(pool.key(0), mark)];
        let want = wanted(&seating, &[(0, 0)], &[party(4)]);
        let parts = want.plan(&lanes, &look(key(9)), &have, &pool).unwrap();
        assert_eq!(parts.len(), 1);
        assert_eq!((parts[0].lane, parts[0].quantity), (1, 2), "one was picked, two of four are seated");
    }
}
