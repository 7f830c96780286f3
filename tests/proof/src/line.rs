//! The waitlist's flow in small worlds: places pass from those who let go to those who wait, and no walk-in slips in.
//!
//! As `tessera::booking::waitlist::store` and `tessera::pool::store` do it, call by call: a lane that is waited for says so,
//! whoever takes without having looked past the line is refused there, whoever gives back passes on.

use crate::replay::{self, Calls, Flow, Pause, Plot, plot};
use std::collections::{BTreeMap, BTreeSet};

/// What the flow relies on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// A walk-in's write: the lane is not waited for.
    TakeUnlessWaited,
    /// Giving back: the lane is not waited for; else the places are passed on.
    BackUnlessWaited,
    /// Two who took for one waiter: what the waiter's item says is theirs is not given back.
    OnlyStrays,
    /// Leaving the pool to everybody: a lane that was flagged anew stays flagged.
    NewerLine,
    /// Leaving the pool to everybody: between the note and the lanes, looks for somebody who came before the note.
    LookAgain,
    /// The tidy: lanes that somebody had begun to leave to everybody, and did not come to, are left to them.
    FinishClearing,
}

impl Rule {
    const ALL: &'static [Self] = &[
        Self::TakeUnlessWaited,
        Self::BackUnlessWaited,
        Self::OnlyStrays,
        Self::NewerLine,
        Self::LookAgain,
        Self::FinishClearing,
    ];
}

type Holder = u8;
type Claims = Vec<(u8, u8)>;

/// A lane.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Lane {
    available: i8,
    entries: BTreeMap<Holder, u8>,
    waited: u8,
}

/// Where a waiter stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// Has not joined.
    Away,
    /// In line.
    Waiting,
    /// Places are kept for them.
    Offered(Claims),
    /// Did not want them.
    Declined,
    /// Left.
    Left,
}

/// What became of a waiter's hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fate {
    /// It ended.
    Ended,
    /// It is a booking.
    Booked,
}

/// What everybody shares.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    lanes: Vec<Lane>,
    /// How many times people began to wait; below zero while nobody does.
    noted: i8,
    /// Who is in line, with their turn, in order of joining.
    line: BTreeSet<(u8, u8)>,
    waiters: Vec<(u8, Standing)>,
    fates: BTreeMap<Holder, Fate>,
    /// Walk-ins under way; and whether, at some instant of theirs, the pool was kept for nobody whom it fitted.
    walking: BTreeMap<u8, bool>,
    slipped_in: bool,
    /// Waiters for whom the pool is kept.
    kept: BTreeSet<u8>,
}

/// What a store call answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    Nothing,
    Yes(bool),
    Lane(Lane),
    Line(BTreeSet<(u8, u8)>),
    Waiter(u8, Standing),
    Noted(i8),
    Fate(Option<Fate>),
}

/// A request or a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// A holder, by number, gives back what it has.
    Back(Holder),
    /// Somebody takes so many places without having waited.
    WalkIn(u8),
    /// A waiter joins.
    Join(u8),
    /// A waiter leaves or declines.
    Leave(u8),
    /// A waiter accepts, orders and pays.
    Accept(u8),
    /// The scheduled tidy.
    Tidy,
}

/// A small world.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is told with.
    pub plot: Plot<Rule, Task>,
    /// What each lane has left at first, and its holders with what they have.
    pub lanes: &'static [(i8, &'static [(Holder, u8)])],
    /// How many places each waiter wants.
    pub waiters: &'static [u8],
    /// How many of them are in line at first.
    pub waiting: u8,
}

/// Keys of waiters' holds begin here; two turns each. Walk-ins begin at 80.
const KEYS: Holder = 40;
const WALKERS: Holder = 80;

fn key(waiter: u8, turn: u8) -> Holder {
    KEYS + 4 * waiter + turn
}

type C<'a> = Calls<'a, World, Answer>;

impl Scenario {
    fn count(&self) -> u8 {
        u8::try_from(self.lanes.len()).unwrap()
    }

    fn look(&self, calls: &mut C<'_>) -> Result<Vec<Lane>, Pause> {
        let mut seen = Vec::new();
        for lane in 0..self.lanes.len() {
            let Answer::Lane(lane) = calls.call(|world| Answer::Lane(world.lanes[lane].clone()))? else {
                unreachable!()
            };
            seen.push(lane);
        }
        Ok(seen)
    }

    fn line(calls: &mut C<'_>) -> Result<BTreeSet<(u8, u8)>, Pause> {
        let Answer::Line(line) = calls.call(|world| Answer::Line(world.line.clone()))? else {
            unreachable!()
        };
        Ok(line)
    }

    fn waiter(calls: &mut C<'_>, waiter: u8) -> Result<(u8, Standing), Pause> {
        let read = |world: &mut World| {
            let (turn, standing) = world.waiters[usize::from(waiter)].clone();
            Answer::Waiter(turn, standing)
        };
        let Answer::Waiter(turn, standing) = calls.call(read)? else { unreachable!() };
        Ok((turn, standing))
    }

    fn take_off(calls: &mut C<'_>, place: (u8, u8)) -> Result<(), Pause> {
        calls.call(|world| {
            world.line.remove(&place);
            Answer::Nothing
        })?;
        Ok(())
    }

    fn end(calls: &mut C<'_>, holder: Holder) -> Result<Fate, Pause> {
        let ended = |world: &mut World| Answer::Fate(Some(*world.fates.entry(holder).or_insert(Fate::Ended)));
        let Answer::Fate(Some(fate)) = calls.call(ended)? else { unreachable!() };
        Ok(fate)
    }

    /// `tessera::booking::store::give_back`.
    fn give_back(&self, calls: &mut C<'_>, holder: Holder, claims: &Claims) -> Result<(), Pause> {
        for (lane, quantity) in claims {
            let release = |world: &mut World| {
                let item = &mut world.lanes[usize::from(*lane)];
                if item.entries.get(&holder) != Some(quantity) {
                    return Answer::Nothing;
                }
                if item.waited > 0 && self.has(Rule::BackUnlessWaited) {
                    return Answer::Lane(item.clone());
                }
                item.entries.remove(&holder);
                item.available += i8::try_from(*quantity).unwrap();
                Answer::Nothing
            };
            if let Answer::Lane(seen) = calls.call(release)? {
                self.pass_on(calls, *lane, seen, holder)?;
            }
        }
        Ok(())
    }

    fn pass_on(&self, calls: &mut C<'_>, number: u8, mut lane: Lane, holder: Holder) -> Result<(), Pause> {
        let mut dead = holder;
        for _ in 0..6 {
            let Some(quantity) = lane.entries.get(&dead).copied() else { break };
            let room = lane.available + i8::try_from(quantity).unwrap();
            let next = if lane.waited > 0 { self.next(calls, room)? } else { None };
            let taken = next.map(|(waiter, turn)| (key(waiter, turn), self.waiters[usize::from(waiter)]));
            let swap = |world: &mut World| {
                let item = &mut world.lanes[usize::from(number)];
                let back = i8::try_from(quantity).unwrap();
                let net = taken.map_or(0, |(_, wanted)| i8::try_from(wanted).unwrap()) - back;
                let mine = taken.is_some_and(|(own, _)| item.entries.contains_key(&own));
                if item.entries.get(&dead) != Some(&quantity) || mine || item.available < net {
                    return Answer::Lane(item.clone());
                }
                item.entries.remove(&dead);
                item.available -= net;
                item.entries.extend(taken);
                Answer::Yes(true)
            };
            match (calls.call(swap)?, next) {
                (Answer::Yes(_), None) => break,
                (Answer::Yes(_), Some(place)) => {
                    if self
                        .offer(calls, place, vec![(number, self.waiters[usize::from(place.0)])])?
                        .is_empty()
                    {
                        break;
                    }
                    dead = key(place.0, place.1);
                }
                (Answer::Lane(seen), Some(place)) if seen.entries.contains_key(&key(place.0, place.1)) => {
                    let own = seen.entries[&key(place.0, place.1)];
                    if !self.offer(calls, place, vec![(number, own)])?.is_empty() {
                        dead = key(place.0, place.1);
                    }
                }
                _ => {}
            }
            let read = calls.call(|world| Answer::Lane(world.lanes[usize::from(number)].clone()))?;
            let Answer::Lane(seen) = read else { unreachable!() };
            lane = seen;
        }
        self.serve(calls)
    }

    fn next(&self, calls: &mut C<'_>, room: i8) -> Result<Option<(u8, u8)>, Pause> {
        for place in Self::line(calls)? {
            if i8::try_from(self.waiters[usize::from(place.0)]).unwrap() > room {
                continue;
            }
            if self.waits_on(calls, place)? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn waits_on(&self, calls: &mut C<'_>, place: (u8, u8)) -> Result<bool, Pause> {
        let (turn, standing) = Self::waiter(calls, place.0)?;
        if standing == Standing::Waiting && turn == place.1 {
            return Ok(true);
        }
        Self::take_off(calls, place)?;
        Ok(false)
    }

    /// `offer`: what of the claims is not theirs.
    fn offer(&self, calls: &mut C<'_>, place: (u8, u8), claims: Claims) -> Result<Claims, Pause> {
        let offered = |world: &mut World| {
            let (turn, standing) = &mut world.waiters[usize::from(place.0)];
            let theirs = *turn == place.1;
            match standing {
                Standing::Waiting if theirs => {
                    *standing = Standing::Offered(claims.clone());
                    Answer::Yes(true)
                }
                Standing::Offered(known) if theirs && *known == claims => Answer::Yes(true),
                _ => Answer::Yes(false),
            }
        };
        if calls.call(offered)? == Answer::Yes(true) {
            Self::take_off(calls, place)?;
            return Ok(Vec::new());
        }
        let (turn, standing) = Self::waiter(calls, place.0)?;
        let theirs = match standing {
            Standing::Offered(theirs) if turn == place.1 && self.has(Rule::OnlyStrays) => theirs,
            _ => Vec::new(),
        };
        Ok(claims.into_iter().filter(|claim| !theirs.contains(claim)).collect())
    }

    fn serve(&self, calls: &mut C<'_>) -> Result<(), Pause> {
        for place in Self::line(calls)? {
            let (own, wanted) = (key(place.0, place.1), self.waiters[usize::from(place.0)]);
            let lanes = self.look(calls)?;
            let has = lanes.iter().any(|lane| lane.entries.contains_key(&own));
            let reach: i8 = lanes.iter().map(|lane| lane.available).sum();
            if (!has && reach < i8::try_from(wanted).unwrap()) || !self.waits_on(calls, place)? {
                continue;
            }
            match self.hold(calls, own, wanted)? {
                Some(Ok(claims)) => {
                    let strays = self.offer(calls, place, claims)?;
                    self.give_back(calls, own, &strays)?;
                }
                Some(Err(())) => {}
                None => self.lose_turn(calls, place)?,
            }
        }
        self.settle(calls)
    }

    /// `hold` for somebody whose turn it is: claims, too little, or (`None`) their hold has ended.
    fn hold(&self, calls: &mut C<'_>, own: Holder, wanted: u8) -> Result<Option<Result<Claims, ()>>, Pause> {
        let fate = |world: &mut World| Answer::Fate(world.fates.get(&own).copied());
        if calls.call(fate)? != Answer::Fate(None) {
            return Ok(None);
        }
        for _ in 0..3 {
            let lanes = self.look(calls)?;
            let mut have: Claims = (0..self.count())
                .filter_map(|lane| Some((lane, *lanes[usize::from(lane)].entries.get(&own)?)))
                .collect();
            // Two tries may have taken in different lanes: what is exactly enough is the answer, the rest is a stray.
            let mut enough = Claims::new();
            for (lane, quantity) in &have {
                if enough.iter().map(|(_, quantity)| quantity).sum::<u8>() + quantity <= wanted {
                    enough.push((*lane, *quantity));
                }
            }
            let taken: u8 = enough.iter().map(|(_, quantity)| quantity).sum();
            if taken == wanted {
                return Ok(Some(Ok(enough)));
            }
            let mut missing = wanted - taken;
            let free = |lane: u8| {
                let lane = &lanes[usize::from(lane)];
                if lane.entries.contains_key(&own) { 0 } else { u8::try_from(lane.available.max(0)).unwrap() }
            };
            let whole = (0..self.count()).find(|lane| free(*lane) >= missing);
            let mut parts = Claims::new();
            for lane in whole.into_iter().chain(0..self.count()) {
                let quantity = free(lane).min(missing);
                if quantity > 0 && !parts.iter().any(|(known, _)| *known == lane) {
                    parts.push((lane, quantity));
                    missing -= quantity;
                }
            }
            if missing > 0 {
                if have.is_empty() {
                    return Ok(Some(Err(())));
                }
                if Self::end(calls, own)? == Fate::Ended {
                    self.give_back(calls, own, &have)?;
                }
                return Ok(Some(Err(())));
            }
            let all = have.len() + parts.len();
            for (lane, quantity) in parts {
                let take = |world: &mut World| {
                    let item = &mut world.lanes[usize::from(lane)];
                    let fits =
                        item.available >= i8::try_from(quantity).unwrap() && !item.entries.contains_key(&own);
                    if fits {
                        item.available -= i8::try_from(quantity).unwrap();
                        item.entries.insert(own, quantity);
                    }
                    Answer::Yes(fits)
                };
                if calls.call(take)? == Answer::Yes(false) {
                    break;
                }
                have.push((lane, quantity));
            }
            if have.len() == all {
                return Ok(Some(Ok(have)));
            }
        }
        Ok(Some(Err(())))
    }

    fn lose_turn(&self, calls: &mut C<'_>, place: (u8, u8)) -> Result<(), Pause> {
        Self::end(calls, key(place.0, place.1))?;
        calls.call(|world| {
            let (turn, standing) = &mut world.waiters[usize::from(place.0)];
            if *standing == Standing::Waiting && *turn == place.1 && *turn < 3 {
                *turn += 1;
                // The message of it is delivered: they are in line again.
                world.line.insert((place.0, *turn));
            }
            Answer::Nothing
        })?;
        Self::take_off(calls, place)
    }

    fn noted(calls: &mut C<'_>) -> Result<i8, Pause> {
        let Answer::Noted(noted) = calls.call(|world| Answer::Noted(world.noted))? else { unreachable!() };
        Ok(noted)
    }

    fn turn(calls: &mut C<'_>, was: i8, is: i8) -> Result<bool, Pause> {
        let turned = calls.call(|world| {
            let same = world.noted == was;
            if same {
                world.noted = is;
            }
            Answer::Yes(same)
        })?;
        Ok(turned == Answer::Yes(true))
    }

    /// `tessera::pool::store::keep`.
    fn keep(&self, calls: &mut C<'_>) -> Result<(), Pause> {
        for _ in 0..4 {
            let noted = Self::noted(calls)?;
            let times = if noted > 0 {
                noted
            } else if Self::turn(calls, noted, 1 - noted)? {
                1 - noted
            } else {
                continue;
            };
            let times = u8::try_from(times).unwrap();
            for lane in 0..self.lanes.len() {
                calls.call(|world| {
                    let item = &mut world.lanes[lane];
                    item.waited = item.waited.max(times);
                    Answer::Nothing
                })?;
            }
            return Ok(());
        }
        Ok(())
    }

    fn settle(&self, calls: &mut C<'_>) -> Result<(), Pause> {
        let noted = Self::noted(calls)?;
        if noted <= 0 || !Self::line(calls)?.is_empty() || !Self::turn(calls, noted, -noted)? {
            return Ok(());
        }
        self.leave_to_all(calls, noted)
    }

    /// Whoever came into the line before the note was changed found the pool kept, and must find it so.
    fn leave_to_all(&self, calls: &mut C<'_>, noted: i8) -> Result<(), Pause> {
        if self.has(Rule::LookAgain) && !Self::line(calls)?.is_empty() {
            return self.keep(calls);
        }
        self.unflag(calls, noted)
    }

    /// The part of the tidy that looks after the line.
    fn tidy(&self, calls: &mut C<'_>) -> Result<(), Pause> {
        let noted = Self::noted(calls)?;
        if noted <= 0 {
            let flagged = self.look(calls)?.iter().any(|lane| lane.waited > 0);
            if flagged && self.has(Rule::FinishClearing) {
                self.leave_to_all(calls, -noted)?;
            }
        } else {
            self.keep(calls)?;
        }
        self.serve(calls)
    }

    fn unflag(&self, calls: &mut C<'_>, noted: i8) -> Result<(), Pause> {
        let times = u8::try_from(noted).unwrap();
        let lanes = self.look(calls)?;
        for (number, lane) in
            lanes.iter().enumerate().filter(|(_, lane)| lane.waited > 0 && lane.waited <= times)
        {
            calls.call(|world| {
                let item = &mut world.lanes[number];
                if item.waited == lane.waited || !self.has(Rule::NewerLine) {
                    item.waited = 0;
                }
                Answer::Nothing
            })?;
        }
        Ok(())
    }

    fn join(&self, calls: &mut C<'_>, waiter: u8) -> Result<(), Pause> {
        calls.call(|world| {
            let (_, standing) = &mut world.waiters[usize::from(waiter)];
            if *standing == Standing::Away {
                *standing = Standing::Waiting;
            }
            Answer::Nothing
        })?;
        let (turn, standing) = Self::waiter(calls, waiter)?;
        if standing != Standing::Waiting {
            return Ok(());
        }
        calls.call(|world| {
            world.line.insert((waiter, turn));
            Answer::Nothing
        })?;
        self.keep(calls)?;
        calls.call(|world| {
            // Nothing is stored: from here on nobody may slip in.
            world.kept.insert(waiter);
            Answer::Nothing
        })?;
        self.serve(calls)
    }

    fn leave(&self, calls: &mut C<'_>, waiter: u8) -> Result<(), Pause> {
        let (turn, standing) = Self::waiter(calls, waiter)?;
        if let Standing::Offered(_) = standing
            && Self::end(calls, key(waiter, turn))? == Fate::Booked
        {
            return Ok(());
        }
        let left = |world: &mut World| {
            let (turn, standing) = &mut world.waiters[usize::from(waiter)];
            let was = (*turn, standing.clone());
            *standing = match &was.1 {
                Standing::Waiting => Standing::Left,
                Standing::Offered(_) => Standing::Declined,
                other => other.clone(),
            };
            Answer::Waiter(was.0, was.1)
        };
        let Answer::Waiter(turn, was) = calls.call(left)? else { unreachable!() };
        Self::take_off(calls, (waiter, turn))?;
        if let Standing::Offered(claims) = was
            && Self::end(calls, key(waiter, turn))? == Fate::Ended
        {
            self.give_back(calls, key(waiter, turn), &claims)?;
        }
        self.settle(calls)
    }

    fn walk_in(&self, calls: &mut C<'_>, task: u8, wanted: u8) -> Result<(), Pause> {
        let own = WALKERS + task;
        let take = |world: &mut World, lane: u8, past: bool| {
            let fits_line = world.kept_for_somebody(self);
            let excused = world.walking.entry(own).or_insert(!fits_line);
            *excused |= !fits_line;
            let excused = *excused;
            let item = &mut world.lanes[usize::from(lane)];
            let may = past || item.waited == 0 || !self.has(Rule::TakeUnlessWaited);
            let fits = may && item.available >= i8::try_from(wanted).unwrap();
            if fits && !item.entries.contains_key(&own) {
                item.available -= i8::try_from(wanted).unwrap();
                item.entries.insert(own, wanted);
                world.slipped_in |= !excused;
            }
            Answer::Yes(fits)
        };
        if calls.call(|world| take(world, task % self.count(), false))? == Answer::Yes(true) {
            return Ok(());
        }
        let lanes = self.look(calls)?;
        if lanes.iter().any(|lane| lane.entries.contains_key(&own)) {
            return Ok(());
        }
        let fits = |lane: &Lane| lane.available >= i8::try_from(wanted).unwrap();
        let open = (0..self.count()).find(|lane| {
            let lane = &lanes[usize::from(*lane)];
            lane.waited == 0 && fits(lane)
        });
        if let Some(lane) = open {
            calls.call(|world| take(world, lane, false))?;
            return Ok(());
        }
        let reach: i8 = lanes.iter().map(|lane| lane.available).sum();
        let Some(kept) = (0..self.count()).find(|lane| fits(&lanes[usize::from(*lane)])) else {
            return Ok(());
        };
        let somebody = Self::line(calls)?
            .iter()
            .any(|place| i8::try_from(self.waiters[usize::from(place.0)]).unwrap() <= reach);
        if !somebody {
            calls.call(|world| take(world, kept, true))?;
        }
        Ok(())
    }
}

impl World {
    /// Whether somebody is in line whom what is left would fit, and the pool is kept for them.
    fn kept_for_somebody(&self, scenario: &Scenario) -> bool {
        let reach: i8 = self.lanes.iter().map(|lane| lane.available).sum();
        self.line.iter().filter(|(waiter, _)| self.kept.contains(waiter)).any(|(waiter, turn)| {
            self.waiters[usize::from(*waiter)] == (*turn, Standing::Waiting)
                && i8::try_from(scenario.waiters[usize::from(*waiter)]).unwrap() <= reach
        })
    }
}

impl Scenario {
    fn waits_in_vain(&self, world: &World) -> bool {
        let reach: i8 = world.lanes.iter().map(|lane| lane.available).sum();
        world.waiters.iter().zip(self.waiters).any(|((_, standing), wanted)| {
            *standing == Standing::Waiting && i8::try_from(*wanted).unwrap() <= reach
        })
    }
}

impl Flow for Scenario {
    type World = World;
    type Answer = Answer;
    type Task = Task;
    type Rule = Rule;
    const RULES: &'static [Rule] = Rule::ALL;
    const WORLDS: &'static [Self] = &[
        Scenario {
            plot: plot(
                "two let go, one waits, a walk-in tries",
                &[Task::Back(0), Task::Back(1), Task::WalkIn(1)],
                1,
            ),
            lanes: &[(0, &[(0, 1), (1, 1)])],
            waiters: &[1],
            waiting: 1,
        },
        Scenario {
            plot: plot(
                "one joins for a place that is free, a walk-in tries",
                &[Task::Join(0), Task::WalkIn(1)],
                1,
            ),
            lanes: &[(1, &[])],
            waiters: &[1],
            waiting: 0,
        },
        Scenario {
            plot: plot("one lets go, one waits, nobody dies", &[Task::Back(0)], 0),
            lanes: &[(0, &[(0, 1)])],
            waiters: &[1],
            waiting: 1,
        },
        Scenario {
            plot: plot("two serve a pair that has one of its places", &[Task::Tidy, Task::Back(0)], 0),
            lanes: &[(0, &[(KEYS, 1)]), (0, &[(0, 1)]), (1, &[])],
            waiters: &[2],
            waiting: 1,
        },
        Scenario {
            plot: plot(
                "two let go in two lanes, one waits and leaves",
                &[Task::Back(0), Task::Back(1), Task::Leave(0)],
                0,
            ),
            lanes: &[(0, &[(0, 1)]), (0, &[(1, 1)])],
            waiters: &[1],
            waiting: 1,
        },
        Scenario {
            plot: plot(
                "one accepts while declining, another waits",
                &[Task::Back(0), Task::Accept(0), Task::Leave(0)],
                0,
            ),
            lanes: &[(0, &[(0, 1)])],
            waiters: &[1, 1],
            waiting: 2,
        },
        Scenario {
            plot: plot(
                "the last leaves while another joins, a walk-in tries",
                &[Task::Leave(0), Task::Join(1), Task::WalkIn(1)],
                1,
            ),
            lanes: &[(1, &[])],
            waiters: &[2, 1],
            waiting: 1,
        },
        Scenario {
            plot: plot("one lets go while another joins behind somebody", &[Task::Back(0), Task::Join(1)], 1),
            lanes: &[(0, &[(0, 1)])],
            waiters: &[1, 1],
            waiting: 1,
        },
    ];
    const NEEDED: &'static [(Rule, usize)] = &[
        (Rule::TakeUnlessWaited, 1),
        (Rule::BackUnlessWaited, 2),
        (Rule::OnlyStrays, 3),
        (Rule::NewerLine, 6),
        (Rule::LookAgain, 6),
        (Rule::FinishClearing, 0),
    ];

    fn plot(&self) -> &Plot<Rule, Task> {
        &self.plot
    }

    fn plot_mut(&mut self) -> &mut Plot<Rule, Task> {
        &mut self.plot
    }

    fn world(&self) -> World {
        let waited = u8::from(self.waiting > 0);
        let lane = |(available, held): &(i8, &[(Holder, u8)])| Lane {
            available: *available,
            entries: held.iter().copied().collect(),
            waited,
        };
        let waiter = |(number, _): (u8, &u8)| {
            (0, if number < self.waiting { Standing::Waiting } else { Standing::Away })
        };
        World {
            lanes: self.lanes.iter().map(lane).collect(),
            noted: i8::from(self.waiting > 0),
            line: (0..self.waiting).map(|waiter| (waiter, 0)).collect(),
            waiters: (0..).zip(self.waiters).map(waiter).collect(),
            fates: BTreeMap::new(),
            walking: BTreeMap::new(),
            slipped_in: false,
            kept: (0..self.waiting).collect(),
        }
    }

    fn run(&self, number: usize, task: Task, calls: &mut C<'_>) -> Result<(), Pause> {
        match task {
            Task::Back(holder) => {
                let has = self.lanes.iter().enumerate().flat_map(|(lane, (_, held))| {
                    let own = held.iter().filter(move |(known, _)| *known == holder);
                    own.map(move |(_, quantity)| (u8::try_from(lane).unwrap(), *quantity))
                });
                self.give_back(calls, holder, &has.collect())
            }
            Task::WalkIn(wanted) => self.walk_in(calls, u8::try_from(number).unwrap(), wanted),
            Task::Join(waiter) => self.join(calls, waiter),
            Task::Leave(waiter) => self.leave(calls, waiter),
            Task::Accept(waiter) => {
                let (turn, standing) = Self::waiter(calls, waiter)?;
                if let Standing::Offered(_) = standing {
                    calls.call(|world| {
                        Answer::Fate(Some(*world.fates.entry(key(waiter, turn)).or_insert(Fate::Booked)))
                    })?;
                }
                Ok(())
            }
            Task::Tidy => self.tidy(calls),
        }
    }

    fn watch(&self, world: &mut World) {
        if !world.kept_for_somebody(self) {
            world.walking.values_mut().for_each(|excused| *excused = true);
        }
    }

    fn broken(&self, world: &World) -> Option<&'static str> {
        let began = |(available, held): &(i8, &[(Holder, u8)])| {
            *available + held.iter().map(|(_, quantity)| i8::try_from(*quantity).unwrap()).sum::<i8>()
        };
        let now = |lane: &Lane| {
            lane.available
                + lane.entries.values().map(|quantity| i8::try_from(*quantity).unwrap()).sum::<i8>()
        };
        if world
            .lanes
            .iter()
            .zip(self.lanes)
            .any(|(lane, first)| lane.available < 0 || now(lane) != began(first))
        {
            return Some("places left and places taken add up in every lane");
        }
        for (waiter, (turn, standing)) in (0u8..).zip(&world.waiters) {
            let Standing::Offered(claims) = standing else { continue };
            let own = key(waiter, *turn);
            if world.fates.get(&own) == Some(&Fate::Ended) {
                continue;
            }
            if claims
                .iter()
                .any(|(lane, quantity)| world.lanes[usize::from(*lane)].entries.get(&own) != Some(quantity))
            {
                return Some("what is offered or booked is in the lanes it names");
            }
        }
        world.slipped_in.then_some("a walk-in took what was kept for somebody whom it fitted")
    }

    fn broken_at_rest(&self, world: &World) -> Option<&'static str> {
        if self.plot.crashes == 0 && self.waits_in_vain(world) {
            return Some("unless somebody dies, nobody waits for places that are free");
        }
        let mut world = world.clone();
        replay::finish(&mut world, |calls| self.tidy(calls));
        if let Some(promise) = self.broken(&world) {
            return Some(promise);
        }
        if self.waits_in_vain(&world) {
            return Some("in the end nobody waits for places that are free");
        }
        let standing = (0u8..).zip(&world.waiters);
        let mut waiting = standing.filter(|(_, (_, standing))| *standing == Standing::Waiting);
        if waiting.any(|(waiter, (turn, _))| !world.line.contains(&(waiter, *turn))) {
            return Some("in the end whoever waits is in line");
        }
        let kept = world.lanes.iter().all(|lane| lane.waited > 0);
        let waits = world.waiters.iter().any(|(_, standing)| *standing == Standing::Waiting);
        if waits && !kept {
            return Some("in the end the pool is kept while somebody waits");
        }
        (!waits && world.lanes.iter().any(|lane| lane.waited > 0))
            .then_some("in the end the pool is everybody's when nobody waits")
    }
}

#[cfg(test)]
mod tests {
    use super::Scenario;
    use crate::replay::{assert_needed, assert_whole};

    #[test]
    fn no_interleaving_loses_a_place_or_a_turn() {
        assert_whole::<Scenario>();
    }

    #[test]
    fn every_rule_is_needed() {
        assert_needed::<Scenario>();
    }
}
