//! A sale at 20,000 requests a second, simulated event by event: what it costs and what its buyers are told.
//!
//! The lane-choosing code is the real one: [`Hints`], [`plan`], [`Pool`], [`HoldKey`], [`Mark`]. The store is lanes in
//! memory under the same conditions, with a few milliseconds each way; every function instance has hints of its own.
//! Time is simulated, chance comes from a seed: the same run gives the same figures on every machine.
//!
//! Units are DynamoDB's: a lane write or a register write is one write unit, whether it is refused or not; a strongly
//! consistent read is one unit per 4 KB. Listings of bookings (two indexes) are left out: they cost the same in every
//! design. [`Way`] names what is different from the engine as it was when this was written.

use crate::Size;
use crate::histories::Dice;
use jiff::{SignedDuration, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use tessera::id::PoolId;
use tessera::pool::store::Hints;
use tessera::pool::{HoldKey, Lane, Mark, Pool, even, lanes_for, plan};

/// Requests a second.
const RATE: u64 = 20_000;
const INSTANCES: usize = 500;
const SECOND: u64 = 1_000_000;
const ROUNDS: u32 = 8;
/// The print of a hold that a hint led to, to tell its writes from those that a look led to.
const GUESSED: u16 = 1;

/// A way to look for places.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way {
    pub name: &'static str,
    /// Lanes that share a partition key.
    pub group: usize,
    /// What was written is known: no look at all lanes only to find it again.
    pub trusts: bool,
    /// The look begins with the holder's own partition and goes on only while nothing was found.
    pub steps: bool,
    /// A lost race leads to the next lane of the same look, with what the refused write showed; a new look only comes
    /// when that has nothing more.
    pub replans: bool,
    /// "Sold out" is noted in one item that every instance reads before it looks. Of those who read it in its last four
    /// tenths of a second one in 32 looks anew, so that it hardly ever runs out for all at once.
    pub shares: bool,
    /// "Sold out" needs two looks between which nothing came back.
    pub twice: bool,
    /// A confirmation notes its entry as sold in the lane at once: nobody will have to judge it.
    pub settles: bool,
    /// Who lets go says what was taken.
    pub claims: bool,
    /// A lane's write asks for no room: there to show that the books notice.
    pub overdraws: bool,
}

/// The engine as it was when this was first run, what has changed since, one change after the other, and what was tried
/// and left.
pub const WAYS: [Way; 9] = [
    AS_IT_WAS,
    Way { name: "+ trusts its write", ..TRUSTING },
    Way { name: "+ looks by partition", ..STEPPING },
    Way { name: "+ shares sold out", ..SHARING },
    Way { name: "+ lets go by claims", claims: true, ..SHARING },
    Way { name: "+ looks twice: the engine now", claims: true, twice: true, ..SHARING },
    Way { name: "+ four lanes a partition", group: 4, claims: true, twice: true, ..SHARING },
    Way { name: "tried: trusts, goes on in the same look", replans: true, ..TRUSTING },
    Way { name: "tried: settles when confirmed", settles: true, ..AS_IT_WAS },
];

const AS_IT_WAS: Way = Way {
    name: "as it was",
    group: 24,
    trusts: false,
    replans: false,
    steps: false,
    shares: false,
    twice: false,
    settles: false,
    claims: false,
    overdraws: false,
};
const TRUSTING: Way = Way { trusts: true, ..AS_IT_WAS };
const STEPPING: Way = Way { steps: true, ..TRUSTING };
const SHARING: Way = Way { shares: true, ..STEPPING };

/// A sale.
#[derive(Clone, Copy, Debug)]
pub struct Sale {
    pub places: u32,
    /// How long requests come, seconds.
    pub lasts: u64,
    /// How long a hold lasts, seconds.
    pub holds: u64,
    /// How often the sweep comes, seconds.
    pub sweeps: u64,
    pub seed: u64,
}

/// Units by what they were spent on.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub requests: u64,
    pub held: u64,
    pub paid: u64,
    pub lost: u64,
    pub let_go: u64,
    pub sold_out: u64,
    pub remembered: u64,
    pub busy: u64,
    /// "Sold out" though at no instant of the call too little was to be had.
    pub untrue: u64,
    /// A remembered "sold out" that had not been true for more than two seconds.
    pub stale: u64,
    /// Most that was sold and held at once, beyond the capacity: must stay 0.
    pub oversold: u32,
    pub refused_writes: u64,
    pub looks: u64,
    pub writes: BTreeMap<&'static str, u64>,
    pub reads: BTreeMap<&'static str, u64>,
    pub hottest_writes: u64,
    pub hottest_reads: u64,
    /// Round trips of requests that were held, by number.
    pub trips: BTreeMap<u32, u64>,
    /// Places that nobody had when the last request came.
    pub idle: i64,
    /// Places not sold at the end: held, when the last request came, by somebody who did not pay.
    pub unsold: u32,
}

impl Figures {
    fn total(units: &BTreeMap<&'static str, u64>) -> u64 {
        units.values().sum()
    }

    #[allow(clippy::cast_precision_loss)]
    fn per_paid(&self, units: &BTreeMap<&'static str, u64>) -> f64 {
        Self::total(units) as f64 / self.paid.max(1) as f64
    }

    /// Write units of each paid booking, without the listings.
    #[must_use]
    pub fn write_units(&self) -> f64 {
        self.per_paid(&self.writes)
    }

    /// Read units of each paid booking.
    #[must_use]
    pub fn read_units(&self) -> f64 {
        self.per_paid(&self.reads)
    }

    #[allow(clippy::cast_precision_loss)]
    fn mean_trips(&self) -> f64 {
        let sum: u64 = self.trips.iter().map(|(trips, count)| u64::from(*trips) * count).sum();
        sum as f64 / self.held.max(1) as f64
    }

    fn trips_of(&self, percent: u64) -> u32 {
        let mut seen = 0;
        let bound = self.held * percent / 100;
        self.trips
            .iter()
            .find(|(_, count)| {
                seen += **count;
                seen > bound
            })
            .map_or(0, |(trips, _)| *trips)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ask,
    /// A call reaches the store.
    Reach(usize),
    /// One partition of a look is read.
    Read(usize, usize),
    /// An answer reaches the function.
    Answer(usize),
    Pay(usize),
    LetGo(usize),
    Over(usize),
    Sweep,
    SweepLane(usize),
}

/// A request under way.
struct Request {
    holder: HoldKey,
    quantity: u32,
    instance: usize,
    began: u64,
    trips: u32,
    round: u32,
    claims: Vec<(usize, Mark)>,
    stage: Stage,
    /// What is looked at in this look: partitions still to be read, and lanes seen.
    ahead: Vec<usize>,
    waiting: usize,
    seen: Vec<Lane>,
    last: Option<BTreeSet<(u32, HoldKey)>>,
    verdict: bool,
}

enum Stage {
    Guess(usize),
    GuessDone(Result<u32, u32>, usize),
    Register,
    Look,
    Judge(Vec<Part>),
    Ends(Vec<Part>),
    Write(Vec<Part>),
    Written(Vec<Part>, bool),
    Back,
    Done,
}

#[derive(Clone)]
struct Part {
    lane: usize,
    quantity: u32,
    available: u32,
    judge: Vec<(HoldKey, Mark)>,
    dead: Vec<(HoldKey, Mark)>,
    sold: Vec<(HoldKey, Mark)>,
}

impl From<tessera::pool::Part> for Part {
    fn from(part: tessera::pool::Part) -> Self {
        let tessera::pool::Part { lane, quantity, available, judge, .. } = part;
        Self { lane: lane as usize, quantity, available, judge, dead: Vec::new(), sold: Vec::new() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Held,
    Sold,
    Free,
}

struct Hold {
    key: HoldKey,
    claims: Vec<(usize, Mark)>,
    state: State,
}

/// Units of one partition in the current second.
#[derive(Clone, Copy, Default)]
struct Heat {
    second: u64,
    units: u64,
    most: u64,
}

impl Heat {
    fn add(&mut self, now: u64, units: u64) {
        if self.second != now / SECOND {
            (self.second, self.units) = (now / SECOND, 0);
        }
        self.units += units;
        self.most = self.most.max(self.units);
    }
}

struct Run {
    way: Way,
    sale: Sale,
    pool: Pool,
    dice: Dice,
    now: u64,
    next: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    lanes: Vec<Lane>,
    /// The earliest end of a hold in each lane: most lanes need not be searched.
    soonest: Vec<Timestamp>,
    decided: HashMap<HoldKey, bool>,
    hints: Vec<Hints>,
    requests: Vec<Request>,
    spare: Vec<usize>,
    holds: Vec<Hold>,
    /// Places that are neither sold nor held by a hold whose time is not over.
    free: i64,
    /// When so many places were last too many to be had.
    short: [u64; 8],
    /// The shared verdict: since when, and for how many places.
    verdict: Option<(u64, u32)>,
    write_heat: Vec<Heat>,
    read_heat: Vec<Heat>,
    figures: Figures,
}

fn moment(now: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH
        + SignedDuration::from_secs(1_800_000_000)
        + SignedDuration::from_micros(i64::try_from(now).unwrap())
}

/// Runs one sale to its end.
#[must_use]
pub fn run(way: Way, sale: Sale) -> Figures {
    let pool = Pool::Places { id: PoolId::derive(&["simulated"]), lanes: lanes_for(sale.places) };
    let lanes: Vec<Lane> = (0..)
        .zip(even(sale.places, pool.lanes()))
        .map(|(number, places)| Lane { number, capacity: places, available: places, ..Lane::default() })
        .collect();
    let partitions = lanes.len().div_ceil(way.group);
    let mut run = Run {
        way,
        sale,
        pool,
        dice: Dice::new(sale.seed),
        now: 0,
        next: 0,
        events: BinaryHeap::new(),
        soonest: vec![Timestamp::MAX; lanes.len()],
        lanes,
        decided: HashMap::new(),
        hints: (0..INSTANCES).map(|_| Hints::default()).collect(),
        requests: Vec::new(),
        spare: Vec::new(),
        holds: Vec::new(),
        free: sale.places.into(),
        short: [0; 8],
        verdict: None,
        write_heat: vec![Heat::default(); partitions],
        read_heat: vec![Heat::default(); partitions],
        figures: Figures::default(),
    };
    run.at(0, Event::Ask);
    run.at(sale.sweeps * SECOND, Event::Sweep);
    while let Some(Reverse((now, _, event))) = run.events.pop() {
        run.now = now;
        run.happen(event);
    }
    let sold = run.holds.iter().filter(|hold| hold.state == State::Sold);
    let sold: u32 = sold.flat_map(|hold| &hold.claims).map(|(_, mark)| mark.quantity).sum();
    let most = |heat: &[Heat]| heat.iter().map(|heat| heat.most).max().unwrap_or_default();
    Figures {
        unsold: sale.places.saturating_sub(sold),
        oversold: run.figures.oversold.max(sold.saturating_sub(sale.places)),
        hottest_writes: most(&run.write_heat),
        hottest_reads: most(&run.read_heat),
        ..run.figures
    }
}

impl Run {
    fn at(&mut self, after: u64, event: Event) {
        self.next += 1;
        self.events.push(Reverse((self.now + after, self.next, event)));
    }

    /// One way to the store or back: 1.5 ms, and 1 ms more on average with a long tail.
    fn way(&mut self) -> u64 {
        let tail = (self.dice.throw() | 1).leading_zeros();
        1_500 + 1_000 * u64::from(tail) + self.dice.below(400)
    }

    fn change_free(&mut self, by: i64) {
        for quantity in 1..8 {
            if self.free < quantity {
                self.short[usize::try_from(quantity).unwrap()] = self.now;
            }
        }
        self.free += by;
        if self.free < 0 {
            self.figures.oversold = self.figures.oversold.max(u32::try_from(-self.free).unwrap());
        }
    }

    fn last_short(&self, quantity: u32) -> u64 {
        if self.free < i64::from(quantity) { self.now } else { self.short[quantity as usize] }
    }

    fn wrote(&mut self, lane: usize, what: &'static str) {
        *self.figures.writes.entry(what).or_default() += 1;
        self.write_heat[lane / self.way.group].add(self.now, 1);
    }

    fn wrote_elsewhere(&mut self, units: usize, what: &'static str) {
        *self.figures.writes.entry(what).or_default() += units as u64;
    }

    fn read_elsewhere(&mut self, units: usize, what: &'static str) {
        *self.figures.reads.entry(what).or_default() += units as u64;
    }

    fn lanes_of(&self, partition: usize) -> std::ops::Range<usize> {
        partition * self.way.group..((partition + 1) * self.way.group).min(self.lanes.len())
    }

    fn partitions(&self) -> usize {
        self.write_heat.len()
    }

    fn read_partition(&mut self, partition: usize, what: &'static str) {
        let bytes: usize =
            self.lanes[self.lanes_of(partition)].iter().map(|lane| 56 + 20 * lane.entries.len()).sum();
        let units = bytes.div_ceil(4096) as u64;
        *self.figures.reads.entry(what).or_default() += units;
        self.read_heat[partition].add(self.now, units);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask => {
                self.ask();
                self.figures.idle = self.free;
                if self.now < self.sale.lasts * SECOND {
                    let gap = self.dice.below(2 * SECOND / RATE);
                    self.at(gap, Event::Ask);
                }
            }
            Event::Reach(request) => self.reach(request),
            Event::Read(request, partition) => self.read(request, partition),
            Event::Answer(request) => self.answer(request),
            Event::Pay(hold) => self.pay(hold),
            Event::LetGo(hold) => self.let_go(hold),
            Event::Over(hold) => {
                if self.holds[hold].state == State::Held {
                    self.holds[hold].state = State::Free;
                    let back: u32 = self.holds[hold].claims.iter().map(|(_, mark)| mark.quantity).sum();
                    self.change_free(back.into());
                }
            }
            Event::Sweep => {
                for partition in 0..self.partitions() {
                    self.read_partition(partition, "sweep");
                }
                self.at(0, Event::SweepLane(0));
                if self.now < self.sale.lasts * SECOND {
                    self.at(self.sale.sweeps * SECOND, Event::Sweep);
                }
            }
            Event::SweepLane(lane) => self.sweep(lane),
        }
    }

    fn ask(&mut self) {
        self.figures.requests += 1;
        let quantity = match self.dice.below(20) {
            0..10 => 1,
            10..17 => 2,
            17 => 3,
            _ => 4,
        };
        let (mut tag, mut hash) = ([0; 32], [0; 32]);
        tag[..8].copy_from_slice(&self.dice.throw().to_be_bytes());
        hash[..8].copy_from_slice(&self.dice.throw().to_be_bytes());
        let holder = HoldKey::new(&tag, &hash);
        let instance = usize::try_from(self.dice.below(INSTANCES as u64)).unwrap();
        let now = moment(self.now);
        if self.hints[instance].is_sold_out(&self.pool, holder, quantity, now) {
            self.figures.sold_out += 1;
            self.figures.remembered += 1;
            let stale = self.last_short(quantity) + 2 * SECOND < self.now;
            self.figures.stale += u64::from(stale);
            return;
        }
        let stage = match self.hints[instance].choose(&self.pool, holder, quantity) {
            Some(lane) => Stage::Guess(lane as usize),
            None => Stage::Register,
        };
        let request = Request {
            holder,
            quantity,
            instance,
            began: self.now,
            trips: 0,
            round: 0,
            claims: Vec::new(),
            stage,
            ahead: Vec::new(),
            waiting: 0,
            seen: Vec::new(),
            last: None,
            verdict: false,
        };
        let id = self.spare.pop().unwrap_or(self.requests.len());
        if id == self.requests.len() {
            self.requests.push(request);
        } else {
            self.requests[id] = request;
        }
        self.call(id);
    }

    fn call(&mut self, id: usize) {
        self.requests[id].trips += 1;
        let way = self.way();
        self.at(way, Event::Reach(id));
    }

    fn mark(&self, id: usize, quantity: u32) -> Mark {
        let until = self.requests[id].began + self.sale.holds * SECOND;
        Mark::new(quantity, moment(until), 7)
    }

    /// The conditional write of `tessera::pool::store::write`.
    fn write(
        &mut self,
        number: usize,
        take: Option<(HoldKey, Mark)>,
        dead: &[(HoldKey, Mark)],
        sold: &[(HoldKey, Mark)],
    ) -> bool {
        let lane = &mut self.lanes[number];
        let back: u32 = dead.iter().map(|(_, mark)| mark.quantity).sum();
        let taken = take.map_or(0, |(_, mark)| mark.quantity);
        let is = |(holder, mark): &(HoldKey, Mark)| lane.entries.get(holder) == Some(mark);
        let done = (self.way.overdraws || lane.available + back >= taken)
            && take.is_none_or(|(holder, _)| !lane.entries.contains_key(&holder))
            && dead.iter().all(is)
            && sold.iter().all(is);
        if done {
            lane.available = (lane.available + back).saturating_sub(taken);
            for (holder, _) in dead {
                lane.entries.remove(holder);
            }
            for (holder, mark) in sold {
                lane.entries.insert(*holder, mark.sold());
            }
            lane.entries.extend(take);
            self.soonest[number] =
                lane.entries.values().filter_map(|mark| mark.until()).min().unwrap_or(Timestamp::MAX);
            self.change_free(-i64::from(taken));
        } else {
            self.figures.refused_writes += 1;
        }
        let what = match (done, take) {
            (false, Some((_, mark))) if mark.print == GUESSED => "refused guess",
            (false, _) => "refused",
            (true, Some(_)) => "take",
            (true, None) => "put right",
        };
        self.wrote(number, what);
        done
    }

    /// A lane as a look sees it, with only those entries that can matter: those that are over.
    fn seen(&self, number: usize) -> Lane {
        let (lane, now) = (&self.lanes[number], moment(self.now));
        let entries = match self.soonest[number] <= now {
            true => lane
                .entries
                .iter()
                .filter(|(_, mark)| mark.expired(now))
                .map(|(key, mark)| (*key, *mark))
                .collect(),
            false => BTreeMap::new(),
        };
        let Lane { number, capacity, available, .. } = *lane;
        Lane { number, capacity, available, entries, ..Lane::default() }
    }

    /// A call does its work in the store.
    fn reach(&mut self, id: usize) {
        let stage = std::mem::replace(&mut self.requests[id].stage, Stage::Done);
        let (holder, quantity) = (self.requests[id].holder, self.requests[id].quantity);
        let next = match stage {
            Stage::Guess(lane) => {
                let mut mark = self.mark(id, quantity);
                mark.print = GUESSED;
                let done = self.write(lane, Some((holder, mark)), &[], &[]);
                let left = self.lanes[lane].available;
                Stage::GuessDone(if done { Ok(left) } else { Err(left) }, lane)
            }
            Stage::Register => {
                self.read_elsewhere(1, "register");
                if self.way.shares {
                    self.read_elsewhere(1, "verdict");
                    let fresh =
                        self.verdict.filter(|(at, least)| self.now < at + SECOND && quantity >= *least);
                    let early = fresh.is_some_and(|(at, _)| at + SECOND * 6 / 10 < self.now)
                        && self.dice.below(32) == 0;
                    self.requests[id].verdict = fresh.is_some() && !early;
                }
                Stage::Register
            }
            Stage::Judge(parts) => {
                self.read_elsewhere(parts[0].judge.len(), "judge");
                Stage::Judge(parts)
            }
            Stage::Ends(mut parts) => {
                let part = &mut parts[0];
                let mut ended = 0;
                for entry in std::mem::take(&mut part.judge) {
                    let sold = *self.decided.entry(entry.0).or_insert_with(|| {
                        ended += 1;
                        false
                    });
                    if sold { part.sold.push(entry) } else { part.dead.push(entry) }
                }
                self.wrote_elsewhere(ended, "end");
                Stage::Ends(parts)
            }
            Stage::Write(mut parts) => {
                let part = parts.remove(0);
                let back: u32 = part.dead.iter().map(|(_, mark)| mark.quantity).sum();
                let fits = part.available + back >= part.quantity;
                let mark = self.mark(id, part.quantity);
                let done = self.write(part.lane, fits.then_some((holder, mark)), &part.dead, &part.sold);
                if done && fits {
                    self.requests[id].claims.push((part.lane, mark));
                }
                if self.way.replans {
                    let (lane, seen) = (part.lane, self.seen(part.lane));
                    let number = u32::try_from(lane).unwrap();
                    self.requests[id]
                        .seen
                        .iter_mut()
                        .filter(|lane| lane.number == number)
                        .for_each(|lane| *lane = seen.clone());
                }
                Stage::Written(parts, done && fits)
            }
            Stage::Back => {
                self.wrote_elsewhere(1, "end");
                self.decided.insert(holder, false);
                for (lane, mark) in std::mem::take(&mut self.requests[id].claims) {
                    self.release(lane, holder, mark, false);
                }
                Stage::Back
            }
            Stage::GuessDone(..) | Stage::Look | Stage::Written(..) | Stage::Done => Stage::Done,
        };
        self.requests[id].stage = next;
        let way = self.way();
        self.at(way, Event::Answer(id));
    }

    /// Gives back what one claim took, if its entry is still there. `counted`: its places are counted as free already,
    /// because the hold's time is over.
    fn release(&mut self, lane: usize, holder: HoldKey, mark: Mark, counted: bool) {
        self.wrote(lane, "give back");
        if self.lanes[lane].entries.remove(&holder).is_some() {
            self.lanes[lane].available += mark.quantity;
            if !counted {
                self.change_free(mark.quantity.into());
            }
        }
    }

    fn read(&mut self, id: usize, partition: usize) {
        self.read_partition(partition, "look");
        let seen: Vec<Lane> = self.lanes_of(partition).map(|lane| self.seen(lane)).collect();
        let request = &mut self.requests[id];
        request.seen.extend(seen);
        request.waiting -= 1;
        if request.waiting == 0 {
            let way = self.way();
            self.at(way, Event::Answer(id));
        }
    }

    /// A function goes on with an answer.
    fn answer(&mut self, id: usize) {
        match std::mem::replace(&mut self.requests[id].stage, Stage::Done) {
            Stage::GuessDone(outcome, lane) => {
                let (Ok(left) | Err(left)) = outcome;
                self.hints[self.requests[id].instance].saw(&self.pool, u32::try_from(lane).unwrap(), left);
                if outcome.is_ok() {
                    let mut mark = self.mark(id, self.requests[id].quantity);
                    mark.print = GUESSED;
                    self.requests[id].claims.push((lane, mark));
                    self.held(id);
                } else {
                    self.requests[id].stage = Stage::Register;
                    self.call(id);
                }
            }
            Stage::Register if self.requests[id].verdict => {
                self.remember(id);
                self.figures.remembered += 1;
                self.sold_out(id, 2 * SECOND);
            }
            Stage::Register => self.look(id),
            Stage::Look => self.think(id),
            Stage::Judge(mut parts) => {
                // Known ones need no write; the rest are ended in one more call.
                let open = parts[0].judge.iter().any(|(holder, _)| !self.decided.contains_key(holder));
                if open {
                    self.requests[id].stage = Stage::Ends(parts);
                    self.call(id);
                } else {
                    let part = &mut parts[0];
                    let (sold, dead) = part.judge.drain(..).partition(|(holder, _)| self.decided[holder]);
                    (part.sold, part.dead) = (sold, dead);
                    self.requests[id].stage = Stage::Write(parts);
                    self.call(id);
                }
            }
            Stage::Ends(parts) => {
                self.requests[id].stage = Stage::Write(parts);
                self.call(id);
            }
            Stage::Written(rest, done) => {
                let request = &self.requests[id];
                let taken: u32 = request.claims.iter().map(|(_, mark)| mark.quantity).sum();
                if done && !rest.is_empty() {
                    self.part(id, rest);
                } else if self.way.trusts && taken == request.quantity {
                    self.held(id);
                } else if self.way.replans && self.replan(id) {
                } else {
                    self.round(id);
                }
            }
            Stage::Back => self.sold_out(id, 0),
            Stage::Guess(_) | Stage::Write(_) | Stage::Done => {}
        }
    }

    fn round(&mut self, id: usize) {
        self.requests[id].round += 1;
        if self.requests[id].round < ROUNDS {
            self.look(id);
            return;
        }
        self.figures.busy += 1;
        let request = &mut self.requests[id];
        let (holder, claims) = (request.holder, std::mem::take(&mut request.claims));
        // Not given back by the engine; it runs out by itself. Given back here, so that the books stay simple.
        for (lane, mark) in claims {
            self.release(lane, holder, mark, false);
        }
        self.spare.push(id);
    }

    /// Begins a look: everything at once, or the holder's own partition first.
    fn look(&mut self, id: usize) {
        self.figures.looks += 1;
        self.requests[id].seen.clear();
        let all = self.partitions();
        // As good as the holder's own start: a partition that has nothing to do with the others' choice.
        let own = usize::try_from(self.requests[id].began).unwrap() % all;
        self.requests[id].ahead = (0..all).map(|step| (own + step) % all).collect();
        self.look_on(id);
    }

    fn look_on(&mut self, id: usize) {
        let request = &mut self.requests[id];
        let count = match (self.way.steps, request.seen.len() / self.way.group) {
            (true, 0) => 1,
            (true, 1) => 4,
            (_, _) => request.ahead.len(),
        };
        let now: Vec<usize> = request.ahead.drain(..count.min(request.ahead.len())).collect();
        (request.waiting, request.stage) = (now.len(), Stage::Look);
        request.trips += 1;
        for partition in now {
            let way = self.way();
            self.at(way, Event::Read(id, partition));
        }
    }

    fn think(&mut self, id: usize) {
        let request = &mut self.requests[id];
        request.seen.sort_by_key(|lane| lane.number);
        let hints = &self.hints[request.instance];
        for lane in &request.seen {
            hints.saw(&self.pool, lane.number, lane.available);
        }
        let taken: u32 = request.claims.iter().map(|(_, mark)| mark.quantity).sum();
        if taken == request.quantity {
            self.held(id);
            return;
        }
        let own: BTreeSet<u32> =
            request.claims.iter().map(|(lane, _)| u32::try_from(*lane).unwrap()).collect();
        let seen: Vec<Lane> =
            request.seen.iter().filter(|lane| !own.contains(&lane.number)).cloned().collect();
        let parts = plan(&seen, request.holder, request.quantity - taken, &[], moment(self.now));
        let whole = request.ahead.is_empty();
        match parts {
            Some(parts) if whole || parts.len() == 1 => {
                request.last = None;
                self.part(id, parts.into_iter().map(Part::from).collect());
            }
            _ if !whole => self.look_on(id),
            Some(_) | None => self.too_little(id),
        }
    }

    /// Whether the last look has more to try.
    fn replan(&mut self, id: usize) -> bool {
        let request = &self.requests[id];
        let taken: u32 = request.claims.iter().map(|(_, mark)| mark.quantity).sum();
        let own = |lane: &Lane| request.claims.iter().any(|(number, _)| *number == lane.number as usize);
        let seen: Vec<Lane> = request.seen.iter().filter(|lane| !own(lane)).cloned().collect();
        let parts = plan(&seen, request.holder, request.quantity - taken, &[], moment(self.now));
        let Some(parts) = parts else { return false };
        self.part(id, parts.into_iter().map(Part::from).collect());
        true
    }

    fn too_little(&mut self, id: usize) {
        if self.way.twice && self.lanes.len() > 1 {
            // All entries, not only those that are over, as a function would compare them.
            let all = |lanes: &[Lane]| -> BTreeSet<(u32, HoldKey)> {
                lanes.iter().flat_map(|lane| lane.entries.keys().map(|key| (lane.number, *key))).collect()
            };
            let seen = all(&self.requests[id].seen);
            if self.requests[id].last.as_ref().is_none_or(|last| !last.is_subset(&seen)) {
                self.requests[id].last = Some(seen);
                self.round(id);
                return;
            }
        }
        self.remember(id);
        let request = &self.requests[id];
        if self.way.shares
            && self.verdict.is_none_or(|(at, least)| at + SECOND / 2 < self.now || request.quantity < least)
        {
            self.verdict = Some((request.began, request.quantity));
            self.wrote_elsewhere(1, "verdict");
        }
        if self.requests[id].claims.is_empty() {
            self.sold_out(id, 0);
        } else {
            self.requests[id].stage = Stage::Back;
            self.call(id);
        }
    }

    fn part(&mut self, id: usize, parts: Vec<Part>) {
        self.requests[id].stage =
            if parts[0].judge.is_empty() { Stage::Write(parts) } else { Stage::Judge(parts) };
        self.call(id);
    }

    /// The function that answers this request remembers that too little was left.
    fn remember(&self, id: usize) {
        let request = &self.requests[id];
        let (seen, began) = (&request.seen, moment(request.began));
        self.hints[request.instance].sold_out(&self.pool, request.quantity, seen, began);
    }

    fn sold_out(&mut self, id: usize, grace: u64) {
        let (began, quantity) = (self.requests[id].began, self.requests[id].quantity);
        self.figures.sold_out += 1;
        let untrue = self.last_short(quantity) + grace < began;
        if grace == 0 {
            self.figures.untrue += u64::from(untrue);
        } else {
            self.figures.stale += u64::from(untrue);
        }
        self.spare.push(id);
    }

    fn held(&mut self, id: usize) {
        let request = &mut self.requests[id];
        *self.figures.trips.entry(request.trips).or_default() += 1;
        self.figures.held += 1;
        let claims = std::mem::take(&mut request.claims);
        let (key, began) = (request.holder, request.began);
        self.spare.push(id);
        let hold = self.holds.len();
        self.holds.push(Hold { key, claims, state: State::Held });
        // Marks end at whole seconds.
        let until = (began / SECOND + self.sale.holds) * SECOND;
        self.at(until.saturating_sub(self.now), Event::Over(hold));
        let think = SECOND + self.dice.below(self.sale.holds * SECOND * 6 / 10);
        match self.dice.below(100) {
            0..70 => self.at(think, Event::Pay(hold)),
            70..85 => self.at(think, Event::LetGo(hold)),
            _ => {}
        }
    }

    fn pay(&mut self, hold: usize) {
        let Hold { key, claims, state } = &self.holds[hold];
        let (key, claims, state) = (*key, claims.clone(), *state);
        self.wrote_elsewhere(1, "confirm");
        if self.decided.contains_key(&key) || state != State::Held {
            self.figures.lost += 1;
            return;
        }
        self.decided.insert(key, true);
        self.holds[hold].state = State::Sold;
        self.figures.paid += 1;
        if self.way.settles {
            for (lane, mark) in claims {
                self.write(lane, None, &[], &[(key, mark)]);
            }
        }
    }

    fn let_go(&mut self, hold: usize) {
        self.figures.let_go += 1;
        self.wrote_elsewhere(1, "end");
        let key = self.holds[hold].key;
        if self.decided.get(&key) == Some(&true) {
            return;
        }
        self.decided.insert(key, false);
        if !self.way.claims {
            for partition in 0..self.partitions() {
                self.read_partition(partition, "let go");
            }
        }
        let counted = self.holds[hold].state == State::Free;
        self.holds[hold].state = State::Free;
        for (lane, mark) in self.holds[hold].claims.clone() {
            self.release(lane, key, mark, counted);
        }
    }

    fn sweep(&mut self, lane: usize) {
        let Some(next) = (lane..self.lanes.len()).find(|lane| self.soonest[*lane] <= moment(self.now)) else {
            return;
        };
        let over: Vec<(HoldKey, Mark)> = self.seen(next).entries.into_iter().collect();
        self.read_elsewhere(over.len(), "judge");
        let mut ended = 0;
        let (mut dead, mut sold) = (Vec::new(), Vec::new());
        for entry in over {
            let is_sold = *self.decided.entry(entry.0).or_insert_with(|| {
                ended += 1;
                false
            });
            if is_sold { sold.push(entry) } else { dead.push(entry) }
        }
        self.wrote_elsewhere(ended, "end");
        self.write(next, None, &dead, &sold);
        self.at(15_000, Event::SweepLane(next + 1));
    }
}

fn sales(size: Size) -> Vec<Sale> {
    let seed = 1;
    match size {
        Size::Ci => vec![
            Sale { places: 50, lasts: 7, holds: 3, sweeps: 2, seed },
            Sale { places: 5_000, lasts: 7, holds: 3, sweeps: 2, seed },
        ],
        Size::Night => vec![
            // The rush alone: later, when its holds are over, thousands look at once at a thousand lanes of sold entries
            // that nobody has settled, and simulating that takes hours.
            Sale { places: 50_000, lasts: 3, holds: 7, sweeps: 4, seed },
            Sale { places: 5_000, lasts: 20, holds: 7, sweeps: 4, seed },
            Sale { places: 50, lasts: 20, holds: 7, sweeps: 4, seed },
        ],
    }
}

fn print_row(sale: &Sale, way: &Way, figures: &Figures) {
    println!(
        "| {} | {} | {:.2} | {:.1} | {:.2} / {} | {} | {} | {} | {} / {} | {} | {} | {} / {} | {} |",
        sale.places,
        way.name,
        figures.write_units(),
        figures.read_units(),
        figures.mean_trips(),
        figures.trips_of(99),
        figures.hottest_writes,
        figures.hottest_reads,
        figures.looks,
        figures.untrue,
        figures.stale,
        figures.busy,
        figures.refused_writes,
        figures.idle,
        figures.unsold,
        figures.oversold,
    );
}

/// Runs everything and prints a table; `false` if more was sold than there was.
#[must_use]
pub fn print(size: Size) -> bool {
    println!(
        "| places | way | write units per paid | read units per paid | round trips of a hold, mean / p99 | hottest partition, \
         write units/s | read units/s | looks | untrue / stale sold out | busy | refused writes | free at the last request / unsold | oversold |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|"
    );
    let mut right = true;
    for sale in sales(size) {
        for way in &WAYS {
            let figures = run(*way, sale);
            print_row(&sale, way, &figures);
            right &= figures.oversold == 0;
            if size == Size::Night {
                println!(
                    "    writes {:?}, reads {:?}, requests {}, held {}, paid {}, refused {}",
                    figures.writes,
                    figures.reads,
                    figures.requests,
                    figures.held,
                    figures.paid,
                    figures.sold_out
                );
            }
        }
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALE: Sale = Sale { places: 50, lasts: 4, holds: 2, sweeps: 1, seed: 9 };

    #[test]
    fn nothing_is_oversold_and_a_run_can_be_repeated() {
        for way in WAYS {
            let figures = run(way, SALE);
            assert_eq!(figures.oversold, 0, "{}", way.name);
            assert!(figures.paid > 0 && figures.idle < 10, "{}: {figures:?}", way.name);
            assert_eq!(format!("{figures:?}"), format!("{:?}", run(way, SALE)));
        }
    }

    #[test]
    fn who_looks_twice_never_says_sold_out_while_a_place_was_there_all_along() {
        let sale = Sale { places: 500, lasts: 3, ..SALE };
        for way in WAYS.into_iter().filter(|way| way.twice) {
            let figures = run(way, sale);
            assert_eq!((figures.untrue, figures.stale, figures.oversold), (0, 0, 0), "{}", way.name);
            assert!(figures.sold_out > 0);
        }
    }

    #[test]
    fn a_lane_without_its_condition_is_noticed() {
        let way = Way { overdraws: true, ..AS_IT_WAS };
        assert!(run(way, Sale { lasts: 1, ..SALE }).oversold > 0);
    }
}
