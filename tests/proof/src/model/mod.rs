//! The design, checked in every interleaving of small worlds.
//!
//! A [`Scenario`] is a handful of lanes, holds and tasks (requests of buyers, deliveries of messages, the sweep). Every
//! task runs the real flow, store call by store call ([`flow`]); anybody may act between two calls, the clock may strike,
//! and a task may die and be begun again. The rules that are pure are asked, not written again: `plan`, `Mark`, and the
//! transitions of `Register`. What a store call does to a lane or a register is in [`world`].
//!
//! [`Rule`] lists every condition that the engine relies on, and every repair that this model showed to be needed. Each
//! can be switched off, and a test asserts that the checker then finds a [`Counterexample`]; with all of them on, it
//! finds none.

pub mod flow;
mod scenarios;
pub mod world;

use crate::Size;
use flow::{Flow, Run};
pub use scenarios::{Hold, Scenario, Task};
use stateright::{Checker, HasDiscoveries, Model, Path, Property};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};
pub use world::Broken;
use world::{Fate, LaneNow, World, places, same};

/// What the engine relies on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rule {
    /// A lane's write: `a >= :n`.
    Count,
    /// A lane's write: `attribute_not_exists` of the entry it makes.
    NewEntry,
    /// A lane's write: an entry that is reclaimed is the one that was judged.
    ReclaimSame,
    /// A lane's write: an entry that is settled is the one that was judged.
    SettleSame,
    /// Giving back: the entry is there.
    ReleaseSame,
    /// The register's write: `attribute_not_exists`.
    FirstDecision,
    /// Judging: a booking's entry is sold only in a lane that the booking names.
    NamedLane,
    /// Giving back half a basket: only if the register says that the hold has ended. (Another try of the same request
    /// may have been confirmed meanwhile.)
    FenceBelieved,
    /// Late money: an order is told that it lost only once its second hold is ended, too. (Another delivery of the same
    /// message may be taking it.)
    AgainDecided,
    /// Giving up an order: its second hold is ended, too.
    GiveUpAgain,
    /// "Sold out" from several lanes: only if nothing came back between two looks.
    SecondLook,
    /// "Sold out": by the time after the look, not by the time at which the request began.
    FreshClock,
    /// "Sold out": a lane in which the hold has an entry already counts, too, though it takes no second one.
    OwnLane,
    /// Two tries of one request that took in different lanes: any of it that is exactly what was wished for is an answer.
    OwnSurplus,
}

impl Rule {
    /// The conditions of the design.
    pub const CONDITIONS: [Self; 7] = [
        Self::Count,
        Self::NewEntry,
        Self::ReclaimSame,
        Self::SettleSame,
        Self::ReleaseSame,
        Self::FirstDecision,
        Self::NamedLane,
    ];
    /// What this model found missing.
    pub const REPAIRS: [Self; 7] = [
        Self::FenceBelieved,
        Self::AgainDecided,
        Self::GiveUpAgain,
        Self::SecondLook,
        Self::FreshClock,
        Self::OwnLane,
        Self::OwnSurplus,
    ];
}

/// The engine with some of its rules switched off.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    off: BTreeSet<Rule>,
}

impl Engine {
    /// Everything on but these.
    #[must_use]
    pub fn without(rules: &[Rule]) -> Self {
        Self { off: rules.iter().copied().collect() }
    }

    pub(crate) fn has(&self, rule: Rule) -> bool {
        !self.off.contains(&rule)
    }
}

/// A scenario under an engine: what the checker visits.
#[derive(Clone, Debug)]
pub struct Sale {
    engine: Engine,
    scenario: &'static Scenario,
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The clock strikes.
    Tick,
    /// A task does its next store call, in one of the ways that are open to it.
    Act(usize, usize),
    /// A task does its next store call and dies before it can use the answer; its request or message comes again.
    Die(usize, usize),
}

impl Sale {
    fn flow(&self) -> Flow<'_> {
        Flow { engine: &self.engine, scenario: self.scenario }
    }

    /// Nothing is under way, and nothing is left to begin.
    fn is_quiet(&self, world: &World) -> bool {
        (0..world.runs.len()).all(|task| self.flow().choices(world, task) == 0)
    }

    fn claimed(&self, world: &World, holder: usize) -> Vec<world::Taken> {
        match &world.registers[holder] {
            Some(Fate::Confirmed(claims)) => claims.clone(),
            Some(Fate::Ended | Fate::Lost | Fate::Cancelled(_)) | None => Vec::new(),
        }
    }

    fn adds_up(&self, world: &World) -> bool {
        let capacity = self.scenario.pools.iter().flat_map(|pool| pool.iter());
        world.lanes.iter().zip(capacity).all(|(lane, capacity)| {
            let held: i32 = lane.entries.values().map(places).sum();
            lane.available >= 0 && lane.available + held == i32::try_from(*capacity).unwrap()
        })
    }

    fn sold_fits(&self, world: &World) -> bool {
        (0_u8..).zip(self.scenario.pools).all(|(pool, lanes)| {
            let lanes_of = self.scenario.lanes(pool);
            let sold: u32 = (0..world.registers.len())
                .flat_map(|holder| self.claimed(world, holder))
                .filter(|claim| lanes_of.contains(&claim.lane))
                .map(|claim| claim.mark.quantity)
                .sum();
            sold <= lanes.iter().sum()
        })
    }

    fn booked_is_held(&self, world: &World) -> bool {
        (0_u8..).zip(&world.registers).all(|(holder, _)| {
            self.claimed(world, holder.into()).iter().all(|claim| {
                let entry = world.lanes[usize::from(claim.lane)].entries.get(&holder);
                entry.is_some_and(|entry| same(*entry, claim.mark))
            })
        })
    }

    fn ends_clean(&self, world: &World) -> bool {
        if !self.is_quiet(world) {
            return true;
        }
        let mut swept = world.clone();
        self.flow().sweep(&mut swept);
        let sold = |(lane, item): (u8, &LaneNow)| {
            item.entries.iter().all(|(holder, mark)| {
                let claims = self.claimed(&swept, usize::from(*holder));
                claims.iter().any(|claim| claim.lane == lane && same(*mark, claim.mark))
            })
        };
        self.adds_up(&swept) && self.booked_is_held(&swept) && (0_u8..).zip(&swept.lanes).all(sold)
    }

    fn given_up_is_given_up(&self, world: &World) -> bool {
        !self.is_quiet(world)
            || (0..world.given_up.len()).all(|holder| {
                let again = holder + world.given_up.len();
                !world.given_up[holder]
                    || (self.claimed(world, holder).is_empty() && self.claimed(world, again).is_empty())
            })
    }
}

impl Model for Sale {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let holds = self.scenario.holds.len();
        let lanes = self.scenario.pools.iter().flat_map(|pool| pool.iter());
        vec![World {
            time: 0,
            crashes: self.scenario.crashes,
            lanes: lanes
                .map(|capacity| LaneNow {
                    available: i32::try_from(*capacity).unwrap(),
                    ..LaneNow::default()
                })
                .collect(),
            registers: vec![None; 2 * holds],
            history: vec![(false, false); 2 * holds],
            quotes: vec![Vec::new(); 2 * holds],
            orders: vec![None; holds],
            given_up: vec![false; holds],
            told: vec![(false, false); holds],
            runs: vec![Run::Idle; self.scenario.tasks.len()],
            broken: None,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for task in 0..world.runs.len() {
            // Two tasks that are alike begin in order: the other order is the same world.
            let twin = task > 0
                && self.scenario.tasks[task] == self.scenario.tasks[task - 1]
                && world.runs[task] == Run::Idle
                && world.runs[task - 1] == Run::Idle;
            if twin {
                continue;
            }
            let choices = self.flow().choices(world, task);
            steps.extend((0..choices).map(|choice| Step::Act(task, choice)));
            if world.crashes > 0 {
                steps.extend((0..choices).map(|choice| Step::Die(task, choice)));
            }
        }
        if world.time < self.scenario.ticks && !steps.is_empty() {
            steps.push(Step::Tick);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        match step {
            Step::Tick => {
                next.time += 1;
                self.flow().notice(&mut next);
            }
            Step::Act(task, choice) => self.flow().step(&mut next, task, choice),
            Step::Die(task, choice) => {
                self.flow().step(&mut next, task, choice);
                next.crashes -= 1;
                next.runs[task] = Run::Idle;
                // What the store has stays; what only the caller would have been told was not said.
                (next.quotes, next.broken) = (world.quotes.clone(), world.broken);
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("places left and places taken add up in every lane", Self::adds_up),
            Property::always("no more is sold than there is", Self::sold_fits),
            Property::always("a booking's places are in the lanes it names", Self::booked_is_held),
            Property::always("a hold is decided once", |_, world: &World| {
                world.history.iter().all(|(ended, confirmed)| !(*ended && *confirmed))
            }),
            Property::always("an order is told one thing", |_, world: &World| {
                world.told.iter().all(|(won, lost)| !(*won && *lost))
            }),
            Property::always("sold out was true at some instant of the call", |_, world: &World| {
                world.broken != Some(Broken::SoldOut)
            }),
            Property::always("a repeated request is known again", |_, world: &World| {
                world.broken != Some(Broken::Reused)
            }),
            Property::always("in the end every place is free or sold", Self::ends_clean),
            Property::always("in the end an order that was given up has nothing", Self::given_up_is_given_up),
        ]
    }
}

/// A broken promise, and the shortest way to it.
#[derive(Debug)]
pub struct Counterexample {
    /// Which.
    pub promise: &'static str,
    /// Step by step, in words.
    pub story: Vec<String>,
}

/// What came of checking one scenario.
#[derive(Debug)]
pub struct Checked {
    /// Different states visited.
    pub states: usize,
    /// The longest way.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// Whether all there is was visited.
    pub whole: bool,
    /// What was found.
    pub found: Vec<Counterexample>,
}

/// Checks one scenario: every state, or until the first broken promise.
#[must_use]
pub fn check(engine: &Engine, scenario: &'static Scenario) -> Checked {
    #[allow(clippy::disallowed_methods)] // How long the checker takes is told, never asserted.
    let begun = Instant::now();
    let sale = Sale { engine: engine.clone(), scenario };
    let checker = sale.clone().checker().threads(1).finish_when(HasDiscoveries::AnyFailures);
    let story = |path: Path<World, Step>| {
        path.into_vec().into_iter().filter_map(|(world, step)| Some(sale.tell(&world, step?))).collect()
    };
    let tell = |discoveries: HashMap<&'static str, Path<World, Step>>| -> Vec<_> {
        let found = discoveries.into_iter();
        found.map(|(promise, path)| Counterexample { promise, story: story(path) }).collect()
    };
    let (states, depth, found, done) = match scenario.large {
        // The shortest story of what broke, but every state that is still to be visited is kept whole.
        false => {
            let checker = checker.spawn_bfs().join();
            let found = tell(checker.discoveries());
            (checker.unique_state_count(), checker.max_depth(), found, checker.is_done())
        }
        // A few bytes a state, and an end.
        true => {
            let checker = checker.target_state_count(MOST_STATES).spawn_dfs().join();
            let found = tell(checker.discoveries());
            let states = checker.unique_state_count();
            (states, checker.max_depth(), found, checker.state_count() < MOST_STATES)
        }
    };
    Checked { states, depth, took: begun.elapsed(), whole: found.is_empty() && done, found }
}

/// As many states of a large world are generated, and no more: it is then checked in part.
const MOST_STATES: usize = 400_000_000;

impl Sale {
    fn tell(&self, world: &World, step: Step) -> String {
        let next = self.next_state(world, step).unwrap();
        let mut changes = Vec::new();
        for (lane, (was, is)) in world.lanes.iter().zip(&next.lanes).enumerate() {
            if was != is {
                let held: Vec<_> = is
                    .entries
                    .iter()
                    .map(|(holder, mark)| {
                        let sold = if mark.is_sold() { " sold" } else { "" };
                        format!("{}:{}{sold}", self.name(*holder), mark.quantity)
                    })
                    .collect();
                changes.push(format!("lane {lane} is {} left [{}]", is.available, held.join(", ")));
            }
        }
        for (holder, (was, is)) in (0_u8..).zip(world.registers.iter().zip(&next.registers)) {
            if was != is {
                let fate = match is {
                    Some(Fate::Ended) => "ended",
                    Some(Fate::Lost) => "lost",
                    Some(Fate::Confirmed(_)) => "confirmed",
                    Some(Fate::Cancelled(_)) => "cancelled",
                    None => "open",
                };
                changes.push(format!("{} is {fate}", self.name(holder)));
            }
        }
        if let (None, Some(broken)) = (world.broken, next.broken) {
            changes.push(format!("BROKEN: {broken:?}"));
        }
        let what = match step {
            Step::Tick => "the clock strikes".to_owned(),
            Step::Die(task, _) => format!("{} does a call and dies", self.scenario.tasks[task].name(task)),
            Step::Act(task, _) => {
                let place = match (&world.runs[task], &next.runs[task]) {
                    (Run::Idle, Run::Over) => "does its only call",
                    (Run::Idle, _) => "begins",
                    (_, Run::Over) => "does its last call",
                    (Run::Hold(holding), _) | (Run::Pay(flow::Pay::Again(holding)), _) => holding.tell(),
                    (Run::Pay(pay), _) => pay.tell(),
                    (Run::Clear(_), _) => "reads a lane",
                    (Run::Give(_), _) => "gives back",
                    (Run::Over | Run::GiveUpAgain | Run::Tidy(_), _) => "goes on",
                };
                format!("{} {place}", self.scenario.tasks[task].name(task))
            }
        };
        if changes.is_empty() { what } else { format!("{what}: {}", changes.join("; ")) }
    }

    fn name(&self, holder: world::Holder) -> String {
        let holds = self.scenario.holds.len();
        let letter = |number: usize| char::from(b'A' + u8::try_from(number).unwrap());
        match usize::from(holder) {
            number if number < holds => letter(number).to_string(),
            number => format!("{} again", letter(number - holds)),
        }
    }
}

/// Runs everything and prints a table; `false` if a promise was broken or a rule was not needed.
#[must_use]
pub fn print(size: Size) -> bool {
    let mut holds = true;
    let line = |engine: &str, scenario: &Scenario, checked: &Checked| {
        let found = checked.found.first().map_or("none", |found| found.promise);
        let part = if checked.whole || !checked.found.is_empty() { "" } else { ", not all of them" };
        println!(
            "| {engine} | {} | {}{part} | {} | {:.1} s | {found} |",
            scenario.name,
            checked.states,
            checked.depth,
            checked.took.as_secs_f64()
        );
    };
    println!("| engine | world | states | depth | time | broken promise |\n|---|---|---|---|---|---|");
    for scenario in scenarios::of(size) {
        let checked = check(&Engine::default(), scenario);
        holds &= checked.found.is_empty() && (checked.whole || scenario.large);
        line("whole", scenario, &checked);
        tell_story(&checked);
    }
    for (rule, scenario) in scenarios::NEEDED {
        let checked = check(&Engine::without(&[*rule]), scenario);
        holds &= !checked.found.is_empty();
        line(&format!("without {rule:?}"), scenario, &checked);
        if Rule::REPAIRS.contains(rule) {
            tell_story(&checked);
        }
    }
    holds
}

fn tell_story(checked: &Checked) {
    for found in &checked.found {
        println!("\n{}:", found.promise);
        for (number, step) in (1..).zip(&found.story) {
            println!("{number:>3}. {step}");
        }
        println!();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_interleaving_breaks_a_promise() {
        for scenario in scenarios::of(Size::Ci) {
            let checked = check(&Engine::default(), scenario);
            assert!(checked.whole, "{}: {:#?}", scenario.name, checked.found);
        }
    }

    #[test]
    fn every_rule_is_needed() {
        let needed: BTreeSet<Rule> = scenarios::NEEDED.iter().map(|(rule, _)| *rule).collect();
        let all: BTreeSet<Rule> = Rule::CONDITIONS.into_iter().chain(Rule::REPAIRS).collect();
        assert_eq!(needed, all, "each rule has a world that shows what it is for");
        for (rule, scenario) in scenarios::NEEDED {
            let checked = check(&Engine::without(&[*rule]), scenario);
            assert!(!checked.found.is_empty(), "{rule:?} is not needed in {}", scenario.name);
        }
    }
}
