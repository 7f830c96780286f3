//! The best seats for a party: together, in front, in the middle, and without leaving a single seat that nobody wants.

use super::{Kind, Party, Seat, Section};
use crate::pool::Cells;
use std::collections::BTreeMap;

/// A window of neighbouring seats that would do.
struct Window<'a> {
    seats: Vec<Seat<'a>>,
    /// Lower is better.
    score: u32,
}

/// Chooses seats for these parties, lane by lane. `gone` are the cells of each lane that nobody can have. `None` if somebody
/// cannot be seated.
///
/// A party sits in one row if any row has room, else in as few and as long rows as can be. Of the seats that would do, one of
/// the best `spread` is chosen by `lot`: who lost a race against others who want the best seats, too, tries with a
/// wider spread.
#[must_use]
pub fn choose(
    section: &Section,
    gone: &[Cells],
    parties: &[Party],
    lot: u32,
    spread: u32,
) -> Option<Vec<(u32, Cells)>> {
    let mut gone = gone.to_vec();
    let mut chosen: BTreeMap<u32, Cells> = BTreeMap::new();
    for party in parties {
        for seat in seats_for(section, &gone, party, lot, spread)? {
            let cells = chosen.entry(seat.lane).or_default();
            *cells = cells.with(seat.cell);
            gone[seat.lane as usize] = gone[seat.lane as usize].with(seat.cell);
        }
    }
    Some(chosen.into_iter().collect())
}

fn seats_for<'a>(
    section: &'a Section,
    gone: &[Cells],
    party: &Party,
    lot: u32,
    spread: u32,
) -> Option<Vec<Seat<'a>>> {
    let runs = runs(section, gone, party);
    let windows = |quantity: u32, wheelchairs: u32| {
        let mut found: Vec<Window<'a>> =
            runs.iter().flat_map(|run| windows(section, run, quantity, wheelchairs)).collect();
        found.sort_by_key(|window| window.score);
        found
    };
    let mut whole = windows(party.quantity, party.wheelchairs);
    if !whole.is_empty() {
        let among = (spread.max(1) as usize).min(whole.len());
        return Some(whole.swap_remove(lot as usize % among).seats);
    }
    if party.wheelchairs > 0 {
        // Who comes along sits as near as can be: first the wheelchairs, then the rest by itself.
        return split_off_wheelchairs(section, gone, party, lot, spread);
    }
    // In as few rows as can be: the longest runs first, and no one alone if it can be helped.
    let mut lengths: Vec<&Vec<Seat<'a>>> = runs.iter().collect();
    lengths.sort_by_key(|run| (std::cmp::Reverse(run.len()), run[0].row));
    let (mut missing, mut seats) = (party.quantity as usize, Vec::new());
    for run in lengths {
        let mut take = run.len().min(missing);
        if missing - take == 1 && take > 2 {
            take -= 1;
        }
        seats.extend_from_slice(&run[..take]);
        missing -= take;
        if missing == 0 {
            return Some(seats);
        }
    }
    None
}

fn split_off_wheelchairs<'a>(
    section: &'a Section,
    gone: &[Cells],
    party: &Party,
    lot: u32,
    spread: u32,
) -> Option<Vec<Seat<'a>>> {
    let rooms: Vec<Seat<'a>> = section
        .seats()
        .filter(|seat| seat.kind == Kind::Accessible && party.may_have(seat.kind))
        .filter(|seat| !gone[seat.lane as usize].has(seat.cell))
        .take(party.wheelchairs as usize)
        .collect();
    if rooms.len() < party.wheelchairs as usize {
        return None;
    }
    let rest = party.quantity - party.wheelchairs;
    if rest == 0 {
        return Some(rooms);
    }
    let mut gone = gone.to_vec();
    for room in &rooms {
        gone[room.lane as usize] = gone[room.lane as usize].with(room.cell);
    }
    let others = Party { quantity: rest, wheelchairs: 0, kinds: party.kinds.clone() };
    let mut seats = seats_for(section, &gone, &others, lot, spread)?;
    seats.splice(0..0, rooms);
    Some(seats)
}

/// Longest stretches of neighbouring seats that this party may have.
fn runs<'a>(section: &'a Section, gone: &[Cells], party: &Party) -> Vec<Vec<Seat<'a>>> {
    let mut runs: Vec<Vec<Seat<'a>>> = Vec::new();
    for seat in section.seats() {
        if gone[seat.lane as usize].has(seat.cell) || !party.may_have(seat.kind) {
            continue;
        }
        match runs.last_mut() {
            Some(run)
                if run.last().is_some_and(|last| last.row == seat.row && last.column + 1 == seat.column) =>
            {
                run.push(seat);
            }
            _ => runs.push(vec![seat]),
        }
    }
    runs
}

/// The windows of a run that have exactly so many rooms for wheelchairs. Rows count double: the middle of the second row is
/// worth as much as two seats off the middle in the first. Whatever leaves a single seat comes after everything else.
fn windows<'a>(section: &Section, run: &[Seat<'a>], quantity: u32, wheelchairs: u32) -> Vec<Window<'a>> {
    let quantity = quantity as usize;
    if quantity == 0 || run.len() < quantity {
        return Vec::new();
    }
    let width = section.rows.iter().map(|row| row.seats.as_str().chars().count()).max().unwrap_or(1) as u32;
    let fits = |seats: &[Seat<'a>]| {
        let rooms = seats.iter().filter(|seat| seat.kind == Kind::Accessible).count();
        rooms == wheelchairs as usize
    };
    let score = |from: usize, seats: &[Seat<'a>]| {
        let (left, right) = (from, run.len() - from - quantity);
        let orphans = u32::from(left == 1) + u32::from(right == 1);
        let middle = seats[0].column + seats[quantity - 1].column + 1;
        orphans * 100_000 + seats[0].row as u32 * 4 + middle.abs_diff(width)
    };
    let windows = run.windows(quantity).enumerate().filter(|(_, seats)| fits(seats));
    windows.map(|(from, seats)| Window { score: score(from, seats), seats: seats.to_vec() }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::section;
    use super::*;

    fn party(quantity: u32) -> Party {
        Party { quantity, wheelchairs: 0, kinds: Kind::ALL.to_vec() }
    }

    fn chosen(section: &Section, gone: &[&str], parties: &[Party]) -> Option<Vec<String>> {
        let mut cells = vec![Cells::NONE; section.lanes() as usize];
        for seat in section.seats() {
            if seat.blocked || gone.contains(&seat.name().as_str()) {
                cells[seat.lane as usize] = cells[seat.lane as usize].with(seat.cell);
            }
        }
        let lanes = choose(section, &cells, parties, 0, 1)?;
        let taken =
            |seat: &Seat<'_>| lanes.iter().any(|(lane, cells)| *lane == seat.lane && cells.has(seat.cell));
        Some(section.seats().filter(taken).map(|seat| seat.name()).collect())
    }

    fn names(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_party_sits_together_in_the_middle_of_the_front() {
        let stalls = section(&["........", "........"]);
        assert_eq!(chosen(&stalls, &[], &[party(2)]), names(&["A-4", "A-5"]));
        assert_eq!(chosen(&stalls, &["A-4", "A-5"], &[party(2)]), names(&["B-4", "B-5"]));
        assert_eq!(chosen(&stalls, &[], &[party(8)]).unwrap().len(), 8);
        assert_eq!(chosen(&stalls, &[], &[party(17)]), None);
    }

    #[test]
    fn no_single_seat_is_left_while_there_is_another_way() {
        // the middle, would leave A-3 alone.
        let row = section(&["........"]);
        assert_eq!(chosen(&row, &["A-1", "A-2"], &[party(2)]), names(&["A-3", "A-4"]));
        // The only way leaves one: better that than nothing.
        assert_eq!(chosen(&section(&["..."]), &[], &[party(2)]), names(&["A-1", "A-2"]));
    }

    #[test]
    fn an_aisle_and_a_blocked_seat_part_neighbours() {
        assert_eq!(chosen(&section(&["._..", "...."]), &[], &[party(3)]), names(&["B-1", "B-2", "B-3"]));
        assert_eq!(chosen(&section(&[".x..", "...."]), &[], &[party(3)]), names(&["B-1", "B-2", "B-3"]));
    }

    #[test]
    fn a_party_too_large_for_any_row_is_split_without_leaving_somebody_alone() {
        let seats = chosen(&section(&["....", "....", "...."]), &[], &[party(5)]).unwrap();
        assert_eq!(seats, ["A-1", "A-2", "A-3", "B-1", "B-2"]);
    }

    #[test]
    fn rooms_for_wheelchairs_are_kept_for_who_needs_them() {
        let stalls = section(&["ac..", "ca.."]);
        assert_eq!(chosen(&stalls, &[], &[party(4)]), names(&["A-3", "A-4", "B-3", "B-4"]));
        assert_eq!(chosen(&stalls, &[], &[party(5)]), None);
        let with = |quantity, wheelchairs| Party { wheelchairs, ..party(quantity) };
        assert_eq!(chosen(&stalls, &[], &[with(2, 1)]), names(&["A-1", "A-2"]));
        assert_eq!(chosen(&stalls, &[], &[with(3, 2)]).unwrap().len(), 3);
        assert_eq!(chosen(&stalls, &["A-1", "B-2"], &[with(1, 1)]), None);
    }

    #[test]
    fn an_offer_sells_its_kinds_alone() {
        let stalls = section(&["vv....", "vv...."]);
        let vip = Party { quantity: 3, wheelchairs: 0, kinds: vec![Kind::Vip] };
        assert_eq!(chosen(&stalls, &[], std::slice::from_ref(&vip)), names(&["A-1", "A-2", "B-1"]));
        let regular = Party { quantity: 2, wheelchairs: 0, kinds: vec![Kind::Regular] };
        assert_eq!(chosen(&stalls, &[], &[vip, regular]).unwrap().len(), 5);
    }

    #[test]
    fn who_lost_races_looks_wider() {
        let stalls = section(&["........", "........"]);
        let gone = vec![Cells::NONE; stalls.lanes() as usize];
        let tries: std::collections::BTreeSet<_> =
            (0..16).map(|lot| choose(&stalls, &gone, &[party(2)], lot, 8).unwrap()).collect();
        assert_eq!(tries.len(), 8);
        assert!(
            (0..16).all(|lot| choose(&stalls, &gone, &[party(2)], lot, 1)
                == choose(&stalls, &gone, &[party(2)], 0, 1))
        );
    }
}
