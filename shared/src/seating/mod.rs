//! Seats: sections of rows, which seats a party gets, and the picture of it.
//!
//! An organiser draws a section row by row, one letter a seat (see [`Row::seats`]). When an offer sells a section, the
//! section is copied into its event as a [`Seating`]: what is drawn anew later concerns later events. A row is a lane of
//! cells of its pool, or several if it is long, so that a seat is taken by the one condition that its cell is free.
//! [`best`] chooses seats for a party, [`picture`] draws the section, [`store`] has the kept form.

pub mod best;
pub mod picture;
pub mod store;

use crate::error::{Code, Fault, Refusal, Result};
use crate::id::{EventId, OrganisationId, PoolId, VenueId};
use crate::pool::{Cells, Lane, Pool};
use crate::text::Text;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Seats of a row that share a lane, at most: 32 entries of one seat each, with their cells, are under 1,024 bytes.
pub const SEATS_PER_LANE: u32 = 32;

/// What kind of seat it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A seat.
    Regular,
    /// A better one.
    Vip,
    /// Room for a wheelchair: for those who need it.
    Accessible,
    /// Beside such a room: for who comes along.
    Companion,
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Regular, Self::Vip, Self::Accessible, Self::Companion];

    const fn letter(self) -> char {
        match self {
            Self::Regular => '.',
            Self::Vip => 'v',
            Self::Accessible => 'a',
            Self::Companion => 'c',
        }
    }
}

/// A row, front to back as listed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its label, unlike the other rows'.
    #[schema(example = "A")]
    pub label: Text<1, 8>,
    /// Its seats from left to right, seen by who looks at the stage, one letter each: `.` a seat, `v` a VIP seat, `a` room for a
    /// wheelchair, `c` the seat of who comes along, `x` a seat that is blocked, `_` no seat: an aisle or a pillar.
    #[schema(example = "ac...._....vv")]
    pub seats: Text<1, 100>,
    /// The number of its first seat; 1 if nothing is said.
    #[serde(default = "one")]
    #[schema(minimum = 0, maximum = 9999, default = 1)]
    pub first: u16,
}

const fn one() -> u16 {
    1
}

/// What an organiser draws of a section.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Its name.
    #[schema(example = "Stalls")]
    pub name: Text<1, 100>,
    /// Its rows, the front row first: 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    pub rows: Vec<Row>,
}

/// A seat of a section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat<'a> {
    /// Its row's place, from 0.
    pub row: usize,
    /// Its row's label.
    pub label: &'a str,
    /// Its number in the row.
    pub number: u16,
    /// Its place in the row, gaps counted, from 0: neighbours differ by one.
    pub column: u32,
    /// What it is; a seat that is drawn as blocked is a regular one, should it ever be opened.
    pub kind: Kind,
    /// Whether it is drawn as blocked.
    pub blocked: bool,
    /// The lane of its row.
    pub lane: u32,
    /// Its cell there.
    pub cell: u32,
}

impl Seat<'_> {
    /// As people say it: `A-12`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.label, self.number)
    }
}

impl Row {
    /// Its seats' letters with their columns.
    fn letters(&self) -> impl Iterator<Item = (u32, char)> {
        (0..).zip(self.seats.as_str().chars()).filter(|(_, letter)| *letter != '_')
    }

    fn count(&self) -> u32 {
        u32::try_from(self.letters().count()).unwrap_or(u32::MAX)
    }

    fn lanes(&self) -> u32 {
        self.count().div_ceil(SEATS_PER_LANE)
    }
}

fn kind_of(letter: char) -> Option<Kind> {
    Kind::ALL.iter().copied().find(|kind| kind.letter() == letter)
}

impl Section {
    /// Checks what was drawn.
    ///
    /// # Errors
    /// `invalid_input` with every fault.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        let mut fault =
            |pointer: String, detail: &str| faults.push(Fault { pointer, detail: detail.to_owned() });
        if !(1..=100).contains(&self.rows.len()) {
            fault("/rows".to_owned(), "must have 1 to 100 rows");
        }
        for (place, row) in self.rows.iter().enumerate() {
            if self.rows[..place].iter().any(|other| other.label == row.label) {
                fault(format!("/rows/{place}/label"), "is another row's, too");
            }
            if row.label.as_str().contains('-') {
                fault(format!("/rows/{place}/label"), "must have no hyphen: it stands between row and seat");
            }
            if row.seats.as_str().chars().any(|letter| !"_x".contains(letter) && kind_of(letter).is_none()) {
                fault(format!("/rows/{place}/seats"), "must be of the letters . v a c x _");
            } else if row.count() == 0 {
                fault(format!("/rows/{place}/seats"), "has no seat");
            }
            if row.first > 9_999 {
                fault(format!("/rows/{place}/first"), "must be at most 9999");
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal { faults, ..Code::InvalidInput.into() }) }
    }

    /// How many lanes its pool has.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        self.rows.iter().map(Row::lanes).sum()
    }

    /// Its seats, row by row, from left to right. A long row's lanes are as even as can be.
    pub fn seats(&self) -> impl Iterator<Item = Seat<'_>> {
        let before = self.rows.iter().scan(0, |sum, row| {
            let before = *sum;
            *sum += row.lanes();
            Some(before)
        });
        self.rows.iter().zip(before).enumerate().flat_map(|(place, (row, before))| {
            let per_lane = row.count().div_ceil(row.lanes().max(1)).max(1);
            (0u32..).zip(row.letters()).map(move |(nth, (column, letter))| Seat {
                row: place,
                label: row.label.as_str(),
                number: row.first.saturating_add(u16::try_from(nth).unwrap_or(u16::MAX)),
                column,
                kind: kind_of(letter).unwrap_or(Kind::Regular),
                blocked: letter == 'x',
                lane: before + nth / per_lane,
                cell: nth % per_lane,
            })
        })
    }

    /// The seat that people call so.
    #[must_use]
    pub fn seat(&self, name: &str) -> Option<Seat<'_>> {
        let (label, number) = name.rsplit_once('-')?;
        let number: u16 = number.parse().ok()?;
        self.seats().find(|seat| seat.label == label && seat.number == number)
    }

    /// What each lane opens with: its seats, and which of them are drawn as blocked.
    #[must_use]
    pub fn opening(&self) -> Vec<(Cells, Cells)> {
        let mut lanes = vec![(Cells::NONE, Cells::NONE); self.lanes() as usize];
        for seat in self.seats() {
            let (all, blocked) = &mut lanes[seat.lane as usize];
            *all = all.with(seat.cell);
            if seat.blocked {
                *blocked = blocked.with(seat.cell);
            }
        }
        lanes
    }
}

/// A section's code: 1 to 8 characters, letters and digits.
pub type SectionCode = Text<1, 8>;

/// A place with sections.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Venue {
    /// Its id.
    pub id: VenueId,
    /// Who may sell it.
    pub organisation: OrganisationId,
    /// Its name.
    pub name: Text<1, 200>,
    /// When it was first stored.
    pub created: Timestamp,
    /// The print of the request that made it.
    pub print: String,
}

/// A section of a venue as it is drawn now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Drawn {
    /// The venue.
    pub venue: VenueId,
    /// Its code: names it in offers.
    pub code: SectionCode,
    /// What is drawn.
    pub section: Section,
}

/// A section as an event sells it. Never changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seating {
    /// The event.
    pub event: EventId,
    /// The pool of its seats.
    pub pool: PoolId,
    /// The section's code.
    pub code: SectionCode,
    /// What was drawn when the first offer of it was made.
    pub section: Section,
}

impl Seating {
    /// The pool of a section's seats at an event.
    #[must_use]
    pub fn pool_of(event: EventId, venue: VenueId, code: &str) -> PoolId {
        PoolId::derive(&[&event.to_string(), &venue.to_string(), code])
    }

    /// As the engine sees it.
    #[must_use]
    pub fn as_pool(&self) -> Pool {
        Pool::Seats { id: self.pool, lanes: self.section.lanes() }
    }
}

/// Where a seat stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Anybody may have it who may have its kind.
    Free,
    /// Somebody is deciding.
    Held,
    /// Somebody has it.
    Sold,
    /// Nobody may have it.
    Blocked,
}

impl Status {
    /// Of a seat in a lane. What a hold whose time is over has is free to whoever asks.
    #[must_use]
    pub fn of(lane: &Lane, cell: u32, now: Timestamp) -> Self {
        let holder = lane.entries.values().find(|mark| mark.cells.has(cell));
        match holder {
            _ if lane.blocked.has(cell) => Self::Blocked,
            None => Self::Free,
            Some(mark) if mark.is_sold() => Self::Sold,
            Some(mark) if mark.expired(now) => Self::Free,
            Some(_) => Self::Held,
        }
    }

    /// One letter, for the map.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Free => 'f',
            Self::Held => 'h',
            Self::Sold => 's',
            Self::Blocked => 'x',
        }
    }

    /// Of every seat of a section, row by row, a letter each; `_` where there is no seat.
    #[must_use]
    pub fn rows(section: &Section, lanes: &[Lane], now: Timestamp) -> Vec<String> {
        let blank = |row: &Row| row.seats.as_str().chars().map(|_| '_').collect::<Vec<_>>();
        let mut rows: Vec<Vec<char>> = section.rows.iter().map(blank).collect();
        for seat in section.seats() {
            let status =
                lanes.get(seat.lane as usize).map_or(Self::Blocked, |lane| Self::of(lane, seat.cell, now));
            rows[seat.row][seat.column as usize] = status.letter();
        }
        rows.into_iter().map(String::from_iter).collect()
    }
}

/// Seats that somebody wants together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Party {
    /// How many.
    pub quantity: u32,
    /// How many of them are wheelchairs.
    pub wheelchairs: u32,
    /// Which kinds the offer sells.
    pub kinds: Vec<Kind>,
}

impl Party {
    /// Whether a seat of this kind may be one of theirs. Rooms for wheelchairs, and the seats beside them, are kept for those
    /// who need them.
    #[must_use]
    pub fn may_have(&self, kind: Kind) -> bool {
        let needs = match kind {
            Kind::Regular | Kind::Vip => true,
            Kind::Accessible | Kind::Companion => self.wheelchairs > 0,
        };
        needs && self.kinds.contains(&kind)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn section(rows: &[&str]) -> Section {
        let row = |(place, seats): (usize, &&str)| Row {
            label: Text::parse(&char::from(b'A' + place as u8).to_string()).unwrap(),
            seats: Text::parse(seats).unwrap(),
            first: 1,
        };
        Section { name: Text::parse("Stalls").unwrap(), rows: rows.iter().enumerate().map(row).collect() }
    }

    #[test]
    fn every_seat_has_a_cell_of_its_own_and_a_name_that_leads_to_it() {
        let section = section(&["..x_..", &".".repeat(100), "v"]);
        section.check().unwrap();
        let seats: Vec<_> = section.seats().collect();
        assert_eq!(seats.len(), 106);
        let mut places: Vec<_> = seats.iter().map(|seat| (seat.lane, seat.cell)).collect();
        places.dedup();
        assert_eq!(places.len(), 106);
        assert_eq!(section.lanes(), 1 + 4 + 1);
        assert!(seats.iter().all(|seat| seat.cell < SEATS_PER_LANE));
        for seat in &seats {
            assert_eq!(section.seat(&seat.name()), Some(*seat));
        }
        let fourth = section.seat("A-4").unwrap();
        assert_eq!((fourth.column, fourth.cell, fourth.lane), (4, 3, 0), "a gap has a column but no cell");
        assert_eq!(section.seat("A-6"), None);
        assert_eq!(section.seat("Z-1"), None);
        let opening = section.opening();
        assert_eq!(opening[0], (Cells::first(5), Cells::NONE.with(2)));
        assert_eq!(opening.iter().map(|(all, _)| all.count()).sum::<u32>(), 106);
        assert!(opening[1..5].iter().all(|(all, _)| all.count() == 25), "a long row is split evenly");
    }

    #[test]
    fn what_is_drawn_wrong_is_named() {
        let mut wrong = section(&["..", "?", "__"]);
        wrong.rows[1].label = Text::parse("A").unwrap();
        wrong.rows[2].label = Text::parse("B-2").unwrap();
        let faults: Vec<_> =
            wrong.check().unwrap_err().faults.into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(faults, ["/rows/1/label", "/rows/1/seats", "/rows/2/label", "/rows/2/seats"]);
    }

    #[test]
    fn a_lane_of_single_seats_stays_under_a_kilobyte() {
        use crate::pool::{HoldKey, Mark};
        let key = Pool::Seats { id: PoolId::derive(&["p"]), lanes: 400 }.key(399);
        let at = Timestamp::from_second(1_900_000_000).unwrap();
        let entry = |cell: u32| {
            let digits = Mark::of(Cells::NONE.with(cell), at, 999).number().to_string().len();
            // The entry's name and number, and the cell's name and truth value.
            HoldKey::FIRST.to_string().len() + digits.div_ceil(2) + 1 + 2 + 1
        };
        let rest = "pk".len() + key.pk.len() + "sk".len() + key.sk.len() + "a".len() + 2 + "c".len() + 2;
        let all = rest + (0..SEATS_PER_LANE).map(entry).sum::<usize>();
        assert!(all <= 1024, "{all}");
    }
}
