//! The real flow, store call by store call: each step here is one call that `tessera::booking::store` makes, with what
//! it computes between that call and the next. Anybody else may act between two steps.

use super::world::{Change, Fate, Holder, LaneNow, Taken, World, at, key, lane, places, same};
use super::{Broken, Engine, Rule, Scenario, Task};
use tessera::pool::{Mark, plan};

/// How far a request or a delivery has come.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Run {
    /// Not begun; or begun, died, and not begun again.
    Idle,
    /// Done.
    Over,
    /// Taking a hold.
    Hold(Box<Holding>),
    /// Deciding an order's hold because its money is there.
    Pay(Pay),
    /// Letting go: the end is written, the lanes are being looked at.
    Clear(Vec<LaneNow>),
    /// Giving up an order: its second hold must be ended, too.
    GiveUpAgain,
    /// Giving back what these claims took.
    Give(Vec<(Holder, Taken)>),
    /// Tidying.
    Tidy(Tidy),
}

/// An answer of [`Holding`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    Held(Vec<Taken>),
    SoldOut,
    Gone,
    Decided,
    Reused,
    Busy,
}

/// `tessera::booking::store::hold`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Holding {
    holder: Holder,
    /// The moment at which the request began: its only idea of the time.
    now: u8,
    until: u8,
    /// Which of the wished-for pools is being taken from.
    wish: u8,
    /// What the pools before it gave.
    claims: Vec<Taken>,
    /// Whether, at some instant since this pool was begun with, fewer places than wished for were to be had.
    short: bool,
    round: u8,
    /// The last look that found too little.
    last: Option<Vec<LaneNow>>,
    at: At,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum At {
    /// The write that a hint leads to.
    Guess,
    /// Whether our own hold has been decided.
    Register,
    /// Lane after lane: a query over several items is no snapshot.
    Look(Vec<LaneNow>),
    /// Finding out the fate of entries whose time is over, then one write.
    Part(Vec<Part>, Judging),
    /// Ending a hold that could not be had whole, then giving back, then this answer.
    Fence(Vec<Taken>, Answer),
    Back(Vec<Taken>, Answer),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Part {
    lane: u8,
    quantity: u32,
    available: u32,
    judge: Vec<(Holder, Mark)>,
}

/// `judge`: one read of all registers, then one write for each that nobody has decided.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Judging {
    read: bool,
    open: Vec<(Holder, Mark)>,
    dead: Vec<(Holder, Mark)>,
    sold: Vec<(Holder, Mark)>,
}

impl Judging {
    /// One step; `true` if one was left to do.
    fn step(&mut self, engine: &Engine, world: &mut World, lane: u8, entries: &[(Holder, Mark)]) -> bool {
        if !self.read && !entries.is_empty() {
            self.read = true;
            for entry in entries {
                match world.registers[usize::from(entry.0)].clone() {
                    Some(fate) => self.sort(engine, lane, *entry, &fate),
                    None => self.open.push(*entry),
                }
            }
            return true;
        }
        let Some(entry) = self.open.pop() else { return false };
        let (fate, _) = world.decide(engine, entry.0, Fate::Ended);
        self.sort(engine, lane, entry, &fate);
        true
    }

    fn sort(&mut self, engine: &Engine, lane: u8, entry: (Holder, Mark), fate: &Fate) {
        let list = if World::is_sold(engine, fate, lane, entry.1) { &mut self.sold } else { &mut self.dead };
        list.push(entry);
        list.sort_by_key(|(holder, _)| *holder);
    }
}

/// `tessera::booking::store::decide`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Pay {
    /// The order has been read: whether it had been given up.
    Decide(bool),
    /// The hold has ended: was there a second try before?
    Before,
    /// One fresh hold.
    Again(Box<Holding>),
    /// It was had: confirm it.
    Confirm(Vec<Taken>),
    /// It was not to be had: nobody else may have it either.
    EndAgain,
    /// Tell the order.
    Lose,
}

/// `tessera::booking::store::tidy`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tidy {
    now: u8,
    looked: Vec<LaneNow>,
    lane: u8,
    judging: Judging,
}

/// What the programs run on.
pub struct Flow<'a> {
    pub engine: &'a Engine,
    pub scenario: &'a Scenario,
}

impl Flow<'_> {
    /// In how many ways the next step can go: which lane a hint leads to, which promise an order is placed with.
    pub fn choices(&self, world: &World, task: usize) -> usize {
        match (&world.runs[task], self.scenario.tasks[task]) {
            (Run::Over, _) => 0,
            (Run::Idle, Task::Hold(holder)) => self.guesses(holder, 0),
            (Run::Idle, Task::Pay(holder)) => self.ways_to_order(world, holder),
            (Run::Idle, Task::GiveUp(holder)) => self.ways_to_order(world, holder),
            (Run::Idle, Task::LetGo(holder)) => usize::from(!world.quotes[usize::from(holder)].is_empty()),
            (Run::Idle, Task::Cancel(holder)) => usize::from(
                self.registers(holder)
                    .any(|one| matches!(world.registers[usize::from(one)], Some(Fate::Confirmed(_)))),
            ),
            (Run::Idle, Task::Free(holder)) => usize::from(
                self.registers(holder)
                    .any(|one| matches!(world.registers[usize::from(one)], Some(Fate::Cancelled(_)))),
            ),
            (Run::Idle, Task::Tidy) => 1,
            (Run::Hold(holding) | Run::Pay(Pay::Again(holding)), _) if holding.at == At::Guess => {
                self.guesses(holding.holder, holding.wish)
            }
            _ => 1,
        }
    }

    fn first(&self, holder: Holder) -> Holder {
        holder % self.holds()
    }

    fn again(&self, holder: Holder) -> Holder {
        self.first(holder) + self.holds()
    }

    fn holds(&self) -> u8 {
        u8::try_from(self.scenario.holds.len()).unwrap()
    }

    /// The holds that one order may have: the first, and that of late money.
    fn registers(&self, holder: Holder) -> impl Iterator<Item = Holder> {
        [self.first(holder), self.again(holder)].into_iter()
    }

    fn wished(&self, holder: Holder, wish: u8) -> (u8, u32) {
        self.scenario.holds[usize::from(self.first(holder))].places[usize::from(wish)]
    }

    /// Every lane, or none because the hints see no room; and, where it is asked for, a remembered "sold out".
    fn guesses(&self, holder: Holder, wish: u8) -> usize {
        let (pool, _) = self.wished(holder, wish);
        self.scenario.lanes(pool).len() + 1 + usize::from(self.scenario.remembers)
    }

    fn ways_to_order(&self, world: &World, holder: Holder) -> usize {
        let place = usize::from(holder);
        if world.orders[place].is_some() { 1 } else { world.quotes[place].len() }
    }

    /// One step of one task.
    pub fn step(&self, world: &mut World, task: usize, choice: usize) {
        let run = std::mem::replace(&mut world.runs[task], Run::Idle);
        let next = match run {
            Run::Idle => self.begin(world, self.scenario.tasks[task], choice),
            Run::Over => Run::Over,
            Run::Hold(holding) => self.hold(world, holding, choice),
            Run::Pay(pay) => self.pay(world, self.scenario.tasks[task].holder(), pay, choice),
            Run::Clear(mut seen) => {
                seen.push(world.lanes[seen.len()].clone());
                if seen.len() < world.lanes.len() {
                    Run::Clear(seen)
                } else {
                    let holder = self.scenario.tasks[task].holder();
                    give(own(0, &seen, holder).into_iter().map(|claim| (holder, claim)).collect())
                }
            }
            Run::GiveUpAgain => {
                let again = self.again(self.scenario.tasks[task].holder());
                if world.decide(self.engine, again, Fate::Ended).0.is_booking() {
                    world.cancel(again);
                }
                Run::Over
            }
            Run::Give(mut claims) => {
                if let Some((holder, claim)) = claims.pop() {
                    world.release(self.engine, holder, claim);
                }
                give(claims)
            }
            Run::Tidy(tidy) => self.tidy(world, tidy),
        };
        world.runs[task] = next;
        self.notice(world);
    }

    /// Notes for every request under way whether too little is to be had at this instant.
    pub fn notice(&self, world: &mut World) {
        for place in 0..world.runs.len() {
            let (Run::Hold(holding) | Run::Pay(Pay::Again(holding))) = &world.runs[place] else { continue };
            if holding.short {
                continue;
            }
            let (pool, quantity) = self.wished(holding.holder, holding.wish);
            let reach = world.within_reach(self.scenario.lanes(pool), holding.holder);
            let short = reach < i32::try_from(quantity).unwrap();
            if let Run::Hold(holding) | Run::Pay(Pay::Again(holding)) = &mut world.runs[place] {
                holding.short = short;
            }
        }
    }

    fn begin(&self, world: &mut World, task: Task, choice: usize) -> Run {
        match task {
            Task::Hold(holder) => {
                let holding = self.holding(world, holder);
                self.hold(world, Box::new(holding), choice)
            }
            Task::Pay(holder) => {
                self.order(world, holder, choice);
                Run::Pay(Pay::Decide(world.given_up[usize::from(holder)]))
            }
            Task::GiveUp(holder) => {
                self.order(world, holder, choice);
                // The order is given up and the message of it is delivered; between the two nothing depends on it.
                world.given_up[usize::from(holder)] = true;
                let (fate, _) = world.decide(self.engine, holder, Fate::Ended);
                let claims = world.orders[usize::from(holder)].clone().unwrap_or_default();
                match fate {
                    Fate::Confirmed(_) => {
                        world.cancel(holder);
                        Run::Over
                    }
                    Fate::Cancelled(_) => Run::Over,
                    Fate::Ended | Fate::Lost if self.engine.has(Rule::GiveUpAgain) => Run::GiveUpAgain,
                    Fate::Ended | Fate::Lost => {
                        give(claims.into_iter().map(|claim| (holder, claim)).collect())
                    }
                }
            }
            Task::LetGo(holder) => match world.decide(self.engine, holder, Fate::Ended).0 {
                Fate::Confirmed(_) | Fate::Cancelled(_) => Run::Over,
                Fate::Ended | Fate::Lost => Run::Clear(Vec::new()),
            },
            Task::Cancel(holder) => {
                for holder in self.registers(holder) {
                    world.cancel(holder);
                }
                Run::Over
            }
            Task::Free(holder) => {
                let mut claims = Vec::new();
                for holder in self.registers(holder) {
                    if let Some(Fate::Cancelled(taken)) = &world.registers[usize::from(holder)] {
                        claims.extend(taken.iter().map(|claim| (holder, *claim)));
                    }
                }
                give(claims)
            }
            Task::Tidy => {
                let (now, looked) = (world.time, Vec::new());
                self.tidy(world, Tidy { now, looked, lane: 0, judging: Judging::default() })
            }
        }
    }

    fn order(&self, world: &mut World, holder: Holder, choice: usize) {
        let place = usize::from(holder);
        if world.orders[place].is_none() {
            world.orders[place] = Some(world.quotes[place][choice].clone());
        }
    }

    fn holding(&self, world: &World, holder: Holder) -> Holding {
        let lasts = self.scenario.holds[usize::from(self.first(holder))].lasts;
        let mut holding = Holding {
            holder,
            now: world.time,
            until: world.time + lasts,
            wish: 0,
            claims: Vec::new(),
            short: false,
            round: 0,
            last: None,
            at: At::Guess,
        };
        let (pool, quantity) = self.wished(holder, 0);
        let reach = world.within_reach(self.scenario.lanes(pool), holder);
        holding.short = reach < i32::try_from(quantity).unwrap();
        holding
    }

    fn hold(&self, world: &mut World, mut holding: Box<Holding>, choice: usize) -> Run {
        let Some(answer) = self.hold_step(world, &mut holding, choice) else { return Run::Hold(holding) };
        self.answered(world, &holding, &answer);
        if let Answer::Held(claims) = answer {
            let quotes = &mut world.quotes[usize::from(holding.holder)];
            if !quotes.contains(&claims) {
                quotes.push(claims);
                quotes.sort_by_key(|claims| {
                    claims.iter().map(|claim| (claim.lane, claim.mark.number())).collect::<Vec<_>>()
                });
            }
        }
        Run::Over
    }

    fn answered(&self, world: &mut World, holding: &Holding, answer: &Answer) {
        let broken = match answer {
            Answer::SoldOut if !holding.short => Broken::SoldOut,
            Answer::Reused => Broken::Reused,
            _ => return,
        };
        world.broken.get_or_insert(broken);
    }

    fn hold_step(&self, world: &mut World, holding: &mut Holding, choice: usize) -> Option<Answer> {
        let (pool, quantity) = self.wished(holding.holder, holding.wish);
        let lanes = self.scenario.lanes(pool);
        match std::mem::replace(&mut holding.at, At::Guess) {
            At::Guess => {
                let guess = u8::try_from(choice).unwrap();
                if guess > u8::try_from(lanes.len()).unwrap() {
                    // Bounded staleness by design: believed for a second, and never counted as a lie.
                    holding.short = true;
                    return refuse(holding, Answer::SoldOut);
                }
                let number = lanes.start + guess;
                let mark = Mark::new(quantity, at(holding.until), 0);
                let change = Change { take: Some((holding.holder, mark)), ..Change::default() };
                if lanes.contains(&number) && world.write(self.engine, number, &change) {
                    return self.next_pool(world, holding, vec![Taken { lane: number, mark }]);
                }
                holding.at = At::Register;
                if !lanes.contains(&number) {
                    // No hint leads anywhere: no write, straight to the register.
                    return self.hold_step(world, holding, 0);
                }
                None
            }
            At::Register => match &world.registers[usize::from(holding.holder)] {
                Some(Fate::Ended | Fate::Lost) => refuse(holding, Answer::Gone),
                Some(Fate::Confirmed(_) | Fate::Cancelled(_)) => refuse(holding, Answer::Decided),
                None => {
                    holding.at = At::Look(Vec::new());
                    None
                }
            },
            At::Look(mut seen) => {
                seen.push(world.lanes[usize::from(lanes.start) + seen.len()].clone());
                if seen.len() < lanes.len() {
                    holding.at = At::Look(seen);
                    return None;
                }
                self.think(world, holding, seen)
            }
            At::Part(parts, mut judging) => {
                let part = parts[0].clone();
                if judging.step(self.engine, world, part.lane, &part.judge) {
                    holding.at = At::Part(parts, judging);
                    return None;
                }
                let fits = part.available + sum(&judging.dead) >= part.quantity;
                let take = fits.then(|| (holding.holder, Mark::new(part.quantity, at(holding.until), 0)));
                let change = Change { take, reclaim: &judging.dead, settle: &judging.sold };
                let done = world.write(self.engine, part.lane, &change) && fits;
                let rest = parts[1..].to_vec();
                if !done || rest.is_empty() {
                    return self.next_round(holding);
                }
                holding.at = At::Part(rest, Judging::default());
                None
            }
            At::Fence(give, answer) => {
                let (fate, _) = world.decide(self.engine, holding.holder, Fate::Ended);
                if fate.is_booking() && self.engine.has(Rule::FenceBelieved) {
                    return Some(Answer::Decided);
                }
                holding.at = At::Back(give, answer);
                None
            }
            At::Back(mut give, answer) => {
                if let Some(claim) = give.pop() {
                    world.release(self.engine, holding.holder, claim);
                }
                if give.is_empty() {
                    return refuse(holding, answer);
                }
                holding.at = At::Back(give, answer);
                None
            }
        }
    }

    fn next_round(&self, holding: &mut Holding) -> Option<Answer> {
        holding.round += 1;
        if holding.round >= 8 {
            return refuse(holding, Answer::Busy);
        }
        holding.at = At::Look(Vec::new());
        None
    }

    fn next_pool(&self, world: &World, holding: &mut Holding, mut taken: Vec<Taken>) -> Option<Answer> {
        holding.claims.append(&mut taken);
        holding.wish += 1;
        let wishes = &self.scenario.holds[usize::from(self.first(holding.holder))].places;
        if usize::from(holding.wish) == wishes.len() {
            return Some(Answer::Held(holding.claims.clone()));
        }
        let (pool, quantity) = self.wished(holding.holder, holding.wish);
        let reach = world.within_reach(self.scenario.lanes(pool), holding.holder);
        (holding.short, holding.round, holding.last) = (reach < i32::try_from(quantity).unwrap(), 0, None);
        holding.at = At::Guess;
        None
    }

    /// All lanes have been looked at, one after the other.
    fn think(&self, world: &World, holding: &mut Holding, seen: Vec<LaneNow>) -> Option<Answer> {
        let (pool, quantity) = self.wished(holding.holder, holding.wish);
        let first = self.scenario.lanes(pool).start;
        let now = at(if self.engine.has(Rule::FreshClock) { world.time } else { holding.now });
        let mine = own(first, &seen, holding.holder);
        if mine.iter().any(|claim| claim.mark.expired(now)) {
            return refuse(holding, Answer::Gone);
        }
        let taken: u32 = mine.iter().map(|claim| claim.mark.quantity).sum();
        if taken > quantity {
            let enough = self.engine.has(Rule::OwnSurplus).then(|| exactly(&mine, quantity)).flatten();
            return match enough {
                Some(mine) => self.next_pool(world, holding, mine),
                None => refuse(holding, Answer::Reused),
            };
        }
        if taken == quantity {
            return self.next_pool(world, holding, mine);
        }
        let missing = quantity - taken;
        let lanes: Vec<_> = (0_u8..).zip(&seen).map(|(number, now)| lane(number, now)).collect();
        if let Some(parts) = plan(&lanes, key(holding.holder), missing, &[], now) {
            let part = |part: tessera::pool::Part| Part {
                lane: first + u8::try_from(part.lane).unwrap(),
                quantity: part.quantity,
                available: part.available,
                judge: part.judge.iter().map(|(known, mark)| (self.holder(*known), *mark)).collect(),
            };
            holding.last = None;
            holding.at = At::Part(parts.into_iter().map(part).collect(), Judging::default());
            return None;
        }
        // A lane that has an entry of ours takes no second one, but its room is room.
        let reach: i32 = seen
            .iter()
            .map(|item| {
                let over = item.entries.iter().filter(|(_, mark)| mark.expired(now));
                item.available + over.map(|(_, mark)| places(mark)).sum::<i32>()
            })
            .sum();
        let room = self.engine.has(Rule::OwnLane) && reach >= i32::try_from(missing).unwrap();
        let believed = !self.engine.has(Rule::SecondLook)
            || room
            || seen.len() == 1
            || holding.last.as_ref().is_some_and(|last| still_there(last, &seen));
        if !believed {
            holding.last = Some(seen);
            return self.next_round(holding);
        }
        let answer = if room { Answer::Busy } else { Answer::SoldOut };
        if mine.is_empty() {
            return refuse(holding, answer);
        }
        holding.at = At::Fence(mine, answer);
        None
    }

    fn holder(&self, known: tessera::pool::HoldKey) -> Holder {
        (0..2 * self.holds()).find(|holder| key(*holder) == known).unwrap()
    }

    fn pay(&self, world: &mut World, holder: Holder, pay: Pay, choice: usize) -> Run {
        let again = self.again(holder);
        match pay {
            Pay::Decide(off) => {
                let claims = world.orders[usize::from(holder)].clone().unwrap();
                let wanted = if off { Fate::Ended } else { Fate::Confirmed(claims) };
                let (fate, new) = world.decide(self.engine, holder, wanted);
                match fate {
                    Fate::Confirmed(_) => {
                        world.told[usize::from(holder)].0 |= new;
                        Run::Over
                    }
                    Fate::Cancelled(_) | Fate::Lost => Run::Over,
                    Fate::Ended if off && self.engine.has(Rule::AgainDecided) => Run::Pay(Pay::EndAgain),
                    Fate::Ended if off => Run::Pay(Pay::Lose),
                    Fate::Ended => Run::Pay(Pay::Before),
                }
            }
            Pay::Before => match &world.registers[usize::from(again)] {
                Some(fate) if fate.is_booking() => Run::Over,
                Some(_) => Run::Pay(Pay::Lose),
                None => {
                    let holding = self.holding(world, again);
                    Run::Pay(Pay::Again(Box::new(holding)))
                }
            },
            Pay::Again(mut holding) => {
                let answer = self.hold_step(world, &mut holding, choice);
                let Some(answer) = answer else { return Run::Pay(Pay::Again(holding)) };
                self.answered(world, &holding, &answer);
                match answer {
                    Answer::Held(claims) => Run::Pay(Pay::Confirm(claims)),
                    Answer::SoldOut | Answer::Gone if self.engine.has(Rule::AgainDecided) => {
                        Run::Pay(Pay::EndAgain)
                    }
                    Answer::SoldOut | Answer::Gone => Run::Pay(Pay::Lose),
                    // The message comes again.
                    Answer::Decided | Answer::Reused | Answer::Busy => Run::Idle,
                }
            }
            Pay::Confirm(claims) => {
                let (fate, new) = world.decide(self.engine, again, Fate::Confirmed(claims));
                world.told[usize::from(holder)].0 |= new;
                if fate.is_booking() { Run::Over } else { Run::Pay(Pay::Lose) }
            }
            Pay::EndAgain => {
                let (fate, _) = world.decide(self.engine, again, Fate::Ended);
                if fate.is_booking() { Run::Over } else { Run::Pay(Pay::Lose) }
            }
            Pay::Lose => {
                world.lose(holder);
                Run::Over
            }
        }
    }

    fn tidy(&self, world: &mut World, mut tidy: Tidy) -> Run {
        if tidy.looked.len() < world.lanes.len() {
            tidy.looked.push(world.lanes[tidy.looked.len()].clone());
        } else {
            let over = overdue(&tidy.looked[usize::from(tidy.lane)], tidy.now);
            if !tidy.judging.step(self.engine, world, tidy.lane, &over) {
                let Judging { dead, sold, .. } = std::mem::take(&mut tidy.judging);
                world.write(self.engine, tidy.lane, &Change { take: None, reclaim: &dead, settle: &sold });
                tidy.lane += 1;
            }
        }
        if tidy.looked.len() == world.lanes.len() {
            // Lanes in which nothing is over cost no call.
            while usize::from(tidy.lane) < world.lanes.len()
                && overdue(&tidy.looked[usize::from(tidy.lane)], tidy.now).is_empty()
            {
                tidy.lane += 1;
            }
            if usize::from(tidy.lane) == world.lanes.len() {
                return Run::Over;
            }
        }
        Run::Tidy(tidy)
    }

    /// What a sweep makes of the world when nobody else acts any more.
    pub fn sweep(&self, world: &mut World) {
        let mut run =
            self.tidy(world, Tidy { now: u8::MAX, looked: Vec::new(), lane: 0, judging: Judging::default() });
        while let Run::Tidy(tidy) = run {
            run = self.tidy(world, tidy);
        }
    }
}

/// A refusal: what earlier pools gave goes back first.
fn refuse(holding: &mut Holding, answer: Answer) -> Option<Answer> {
    let claims = std::mem::take(&mut holding.claims);
    if claims.is_empty() {
        return Some(answer);
    }
    holding.at = At::Fence(claims, answer);
    None
}

fn give(claims: Vec<(Holder, Taken)>) -> Run {
    if claims.is_empty() { Run::Over } else { Run::Give(claims) }
}

fn own(first: u8, seen: &[LaneNow], holder: Holder) -> Vec<Taken> {
    let claim =
        |(lane, item): (u8, &LaneNow)| item.entries.get(&holder).map(|mark| Taken { lane, mark: *mark });
    (first..).zip(seen).filter_map(claim).collect()
}

fn overdue(item: &LaneNow, now: u8) -> Vec<(Holder, Mark)> {
    let over = item.entries.iter().filter(|(_, mark)| mark.expired(at(now)));
    over.map(|(holder, mark)| (*holder, *mark)).collect()
}

fn sum(marks: &[(Holder, Mark)]) -> u32 {
    marks.iter().map(|(_, mark)| mark.quantity).sum()
}

/// Some of these claims that are together exactly `quantity`, if there are any.
fn exactly(claims: &[Taken], quantity: u32) -> Option<Vec<Taken>> {
    if quantity == 0 {
        return Some(Vec::new());
    }
    let (first, rest) = claims.split_first()?;
    let with = quantity.checked_sub(first.mark.quantity).and_then(|missing| exactly(rest, missing));
    let with = with.map(|mut some| {
        some.insert(0, *first);
        some
    });
    with.or_else(|| exactly(rest, quantity))
}

/// Whether every entry of an earlier look is in a later one: then no place came back between the two, and what the
/// earlier look found was so at one instant, in all lanes at once.
fn still_there(earlier: &[LaneNow], later: &[LaneNow]) -> bool {
    let kept = |(earlier, later): (&LaneNow, &LaneNow)| {
        let there = |(holder, mark): (&Holder, &Mark)| {
            later.entries.get(holder).is_some_and(|entry| same(*entry, *mark))
        };
        earlier.entries.iter().all(there)
    };
    earlier.iter().zip(later).all(kept)
}

impl Holding {
    pub(super) fn tell(&self) -> &'static str {
        match &self.at {
            At::Guess => "tries a lane",
            At::Register => "reads its register",
            At::Look(_) => "reads a lane",
            At::Part(_, judging) if judging.read && judging.open.is_empty() => "writes a lane",
            At::Part(..) => "judges, then writes a lane",
            At::Fence(..) => "ends its own hold",
            At::Back(..) => "gives back what it had taken",
        }
    }
}

impl Pay {
    pub(super) fn tell(&self) -> &'static str {
        match self {
            Self::Decide(_) => "writes the register",
            Self::Before => "reads the register of its second hold",
            Self::Again(_) => "takes its second hold",
            Self::Confirm(_) => "writes the register of its second hold",
            Self::EndAgain => "ends its second hold",
            Self::Lose => "tells the order that it lost",
        }
    }
}
