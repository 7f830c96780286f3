//! Stock in small worlds: what is sold leaves the lane's ledger, what comes back comes back once, and so does what moves.
//!
//! As `tessera::pool::store` (`write`, `take_back`, `bring`) and `tessera::booking` (`judge`, `give_back_booked`, movements) do it, call by
//! call, on one lane. A sold entry is not kept: the tidy takes it out with its unit. So an absent entry says nothing any more,
//! and whoever brings something back leaves a mark of it in the lane, under a key of its own, which goes only when that key's register says that it is done and
//! nobody can be about who had looked before that.

use crate::replay::{Calls, Flow, Pause, Plot, plot};
use std::collections::{BTreeMap, BTreeSet};

/// What the flow relies on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// Whoever gives back or brings: no mark of it is there.
    OnceOnly,
    /// Giving back what is still in the ledger leaves a mark, too.
    MarkAlways,
    /// The tidy: what a cancelled booking has in the lane is left to whoever gives it back.
    LeaveCancelled,
    /// The tidy: a mark goes only when a register says that it is done.
    NotedFirst,
    /// The tidy: a mark goes only when nobody is about who looked before that was noted.
    NobodyAbout,
    /// The tidy: entries are as they were when their fate was looked up.
    AsJudged,
    /// The tidy: an entry that a booking does not name is not sold, but a stray.
    OnlyNamed,
    /// The register: `attribute_not_exists`.
    FirstDecision,
    /// Writing off less than there is leaves a mark of that, too.
    MarkRefusals,
}

impl Rule {
    const ALL: &'static [Self] = &[
        Self::OnceOnly,
        Self::MarkAlways,
        Self::LeaveCancelled,
        Self::NotedFirst,
        Self::NobodyAbout,
        Self::AsJudged,
        Self::OnlyNamed,
        Self::FirstDecision,
        Self::MarkRefusals,
    ];
}

type Who = u8;

/// What a lane has under a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Entry {
    /// A unit, taken for the how-many-th time under this key.
    Held(u8),
    /// A mark: something was brought, or was not to be had.
    Mark(bool),
}

/// What a register says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fate {
    /// Nothing.
    Open,
    /// The hold ended, or the movement is done.
    Ended,
    /// It is a booking, of this entry.
    Booked(u8),
    /// The booking of this entry was cancelled.
    Cancelled(u8),
}

/// The key under which the return of what was booked is marked and noted.
const fn back(who: Who) -> Who {
    who + 100
}

/// What everybody shares.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    on_hand: i8,
    available: i8,
    entries: BTreeMap<Who, Entry>,
    fates: BTreeMap<Who, Fate>,
    /// How often each key took.
    takes: BTreeMap<Who, u8>,
    /// Who has looked at a register and not finished.
    about: BTreeSet<usize>,
    /// Movements that happened in the world, whatever the books say.
    happened: BTreeMap<Who, i8>,
    /// What movements are noted to have done.
    noted: BTreeMap<Who, bool>,
}

impl World {
    fn fate(&self, who: Who) -> Fate {
        self.fates.get(&who).copied().unwrap_or(Fate::Open)
    }
}

/// What a store call answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    Nothing,
    Yes(bool),
    Entry(Option<Entry>),
    Fate(Fate),
    Entries(Vec<(Who, Entry)>),
}

/// A request, a message, or the clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// Take a unit and pay.
    Buy(Who),
    /// Take a unit under a key that may have been used before, and go away.
    Hold(Who),
    /// Cancel a booking, and give its unit back.
    Cancel(Who),
    /// The shelf gets a unit more, or loses one.
    Move(Who, i8),
    /// Somebody is short of units, or the sweep comes by.
    Tidy,
}

/// A small world.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is told with.
    pub plot: Plot<Rule, Task>,
    /// Units at the beginning.
    pub units: i8,
}

type C<'a> = Calls<'a, World, Answer>;

impl Scenario {
    /// The entry that this key has now.
    fn take(calls: &mut C<'_>, who: Who) -> Result<Option<Entry>, Pause> {
        let taken = |world: &mut World| {
            if world.available > 0 && !world.entries.contains_key(&who) {
                let times = world.takes.entry(who).or_default();
                *times += 1;
                world.entries.insert(who, Entry::Held(*times));
                world.available -= 1;
            }
            Answer::Entry(world.entries.get(&who).copied())
        };
        match calls.call(taken)? {
            Answer::Entry(entry) => Ok(entry),
            Answer::Nothing | Answer::Yes(_) | Answer::Fate(_) | Answer::Entries(_) => Err(Pause),
        }
    }

    /// The register is written if it is open; what it is then.
    fn decide(&self, calls: &mut C<'_>, who: Who, fate: Fate) -> Result<Fate, Pause> {
        let decided = |world: &mut World| {
            if world.fate(who) == Fate::Open || !self.has(Rule::FirstDecision) {
                world.fates.insert(who, fate);
            }
            Answer::Fate(world.fate(who))
        };
        Self::fate(calls.call(decided)?)
    }

    fn fate(answer: Answer) -> Result<Fate, Pause> {
        match answer {
            Answer::Fate(fate) => Ok(fate),
            Answer::Nothing | Answer::Yes(_) | Answer::Entry(_) | Answer::Entries(_) => Err(Pause),
        }
    }

    fn buy(&self, calls: &mut C<'_>, who: Who) -> Result<(), Pause> {
        if let Some(Entry::Held(mark)) = Self::take(calls, who)? {
            self.decide(calls, who, Fate::Booked(mark))?;
        }
        Ok(())
    }

    fn cancel(&self, calls: &mut C<'_>, task: usize, who: Who) -> Result<(), Pause> {
        let cancelled = |world: &mut World| {
            if let Fate::Booked(mark) = world.fate(who) {
                world.fates.insert(who, Fate::Cancelled(mark));
            }
            Answer::Fate(world.fate(who))
        };
        let Fate::Cancelled(mark) = Self::fate(calls.call(cancelled)?)? else { return Ok(()) };
        // The message comes, and comes again.
        if self.look(calls, task, back(who))? != Fate::Open {
            return Ok(());
        }
        // As if it were still in the ledger, and if it is not, as one that has left: it does not come again under this mark.
        for there in [true, false] {
            let back = |world: &mut World| {
                if world.entries.contains_key(&back(who)) && self.has(Rule::OnceOnly) {
                    return Answer::Yes(true);
                }
                // What is under the booking's key and not what it names is a stray: that goes by itself.
                if there && world.entries.get(&who) != Some(&Entry::Held(mark)) {
                    return Answer::Yes(false);
                }
                world.available += 1;
                if there {
                    world.entries.remove(&who);
                } else {
                    world.on_hand += 1;
                }
                if !there || self.has(Rule::MarkAlways) {
                    world.entries.insert(back(who), Entry::Mark(true));
                }
                Answer::Yes(true)
            };
            if calls.call(back)? == Answer::Yes(true) {
                break;
            }
        }
        self.note(calls, task, back(who))
    }

    /// What the register says; who finds nothing in it is about.
    fn look(&self, calls: &mut C<'_>, task: usize, who: Who) -> Result<Fate, Pause> {
        let look = |world: &mut World| {
            let fate = world.fate(who);
            if fate == Fate::Open {
                world.about.insert(task);
            }
            Answer::Fate(fate)
        };
        Self::fate(calls.call(look)?)
    }

    /// The register says that it is done, and then nobody is about any more.
    fn note(&self, calls: &mut C<'_>, task: usize, who: Who) -> Result<(), Pause> {
        self.decide(calls, who, Fate::Ended)?;
        calls.call(|world| {
            world.about.remove(&task);
            Answer::Nothing
        })?;
        Ok(())
    }

    fn movement(&self, calls: &mut C<'_>, task: usize, who: Who, by: i8) -> Result<(), Pause> {
        if self.look(calls, task, who)? != Fate::Open {
            return Ok(());
        }
        let moved = |world: &mut World| {
            if let (Some(Entry::Mark(done)), true) = (world.entries.get(&who), self.has(Rule::OnceOnly)) {
                return Answer::Yes(*done);
            }
            if world.available + by < 0 {
                if self.has(Rule::MarkRefusals) {
                    world.entries.insert(who, Entry::Mark(false));
                }
                return Answer::Yes(false);
            }
            world.available += by;
            world.on_hand += by;
            world.happened.insert(who, by);
            world.entries.insert(who, Entry::Mark(true));
            Answer::Yes(true)
        };
        let Answer::Yes(done) = calls.call(moved)? else { return Err(Pause) };
        calls.call(|world| {
            world.noted.entry(who).or_insert(done);
            Answer::Nothing
        })?;
        self.note(calls, task, who)
    }

    fn tidy(&self, calls: &mut C<'_>) -> Result<(), Pause> {
        let read = |world: &mut World| Answer::Entries(world.entries.clone().into_iter().collect());
        let Answer::Entries(entries) = calls.call(read)? else { return Err(Pause) };
        // What goes, with the units that come back and those that are gone for good.
        let mut judged: Vec<(Who, Entry, i8, i8)> = Vec::new();
        for (who, entry) in entries {
            let known = Self::fate(calls.call(|world| Answer::Fate(world.fate(who)))?)?;
            match entry {
                Entry::Mark(_) => {
                    let done = known == Fate::Ended;
                    let about = |world: &mut World| Answer::Yes(!world.about.is_empty());
                    let about = self.has(Rule::NobodyAbout) && calls.call(about)? == Answer::Yes(true);
                    if (done || !self.has(Rule::NotedFirst)) && !about {
                        judged.push((who, entry, 0, 0));
                    }
                }
                Entry::Held(mark) => {
                    let fate = match known {
                        Fate::Open => self.decide(calls, who, Fate::Ended)?,
                        Fate::Ended | Fate::Booked(_) | Fate::Cancelled(_) => known,
                    };
                    match fate {
                        Fate::Booked(named) if named == mark || !self.has(Rule::OnlyNamed) => {
                            judged.push((who, entry, 0, 1));
                        }
                        Fate::Cancelled(named) if named == mark && self.has(Rule::LeaveCancelled) => {}
                        Fate::Ended | Fate::Booked(_) | Fate::Cancelled(_) => judged.push((who, entry, 1, 0)),
                        Fate::Open => {}
                    }
                }
            }
        }
        if judged.is_empty() {
            return Ok(());
        }
        calls.call(|world| {
            let same = |(who, entry, ..): &(Who, Entry, i8, i8)| world.entries.get(who) == Some(entry);
            if judged.iter().all(same) || !self.has(Rule::AsJudged) {
                for (who, _, back, gone) in &judged {
                    world.entries.remove(who);
                    world.available += back;
                    world.on_hand -= gone;
                }
            }
            Answer::Nothing
        })?;
        Ok(())
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
                "one unit sold, settled, cancelled twice, sold again",
                &[Task::Buy(0), Task::Cancel(0), Task::Cancel(0), Task::Tidy, Task::Tidy, Task::Buy(1)],
                1,
            ),
            units: 1,
        },
        Scenario {
            plot: plot(
                "a key that is used again after its unit was sold and settled",
                &[Task::Buy(0), Task::Hold(0), Task::Cancel(0), Task::Tidy, Task::Tidy],
                1,
            ),
            units: 2,
        },
        Scenario {
            plot: plot(
                "a delivery told twice, and a buyer",
                &[Task::Move(7, 1), Task::Move(7, 1), Task::Tidy, Task::Tidy, Task::Buy(0)],
                1,
            ),
            units: 0,
        },
        Scenario {
            plot: plot(
                "a loss told twice, and a buyer who cancels",
                &[Task::Move(7, -1), Task::Move(7, -1), Task::Tidy, Task::Buy(0), Task::Cancel(0)],
                1,
            ),
            units: 1,
        },
    ];
    const NEEDED: &'static [(Rule, usize)] = &[
        (Rule::OnceOnly, 2),
        (Rule::MarkAlways, 0),
        (Rule::LeaveCancelled, 0),
        (Rule::NotedFirst, 2),
        (Rule::NobodyAbout, 2),
        (Rule::AsJudged, 0),
        (Rule::OnlyNamed, 1),
        (Rule::FirstDecision, 0),
        (Rule::MarkRefusals, 3),
    ];

    fn plot(&self) -> &Plot<Rule, Task> {
        &self.plot
    }

    fn plot_mut(&mut self) -> &mut Plot<Rule, Task> {
        &mut self.plot
    }

    fn world(&self) -> World {
        World {
            on_hand: self.units,
            available: self.units,
            entries: BTreeMap::new(),
            fates: BTreeMap::new(),
            takes: BTreeMap::new(),
            about: BTreeSet::new(),
            happened: BTreeMap::new(),
            noted: BTreeMap::new(),
        }
    }

    fn run(&self, number: usize, task: Task, calls: &mut C<'_>) -> Result<(), Pause> {
        match task {
            Task::Buy(who) => self.buy(calls, who),
            Task::Hold(who) => Self::take(calls, who).map(drop),
            Task::Cancel(who) => self.cancel(calls, number, who),
            Task::Move(who, by) => self.movement(calls, number, who, by),
            Task::Tidy => self.tidy(calls),
        }
    }

    fn died(&self, number: usize, world: &mut World) {
        world.about.remove(&number);
    }

    fn broken(&self, world: &World) -> Option<&'static str> {
        let held = world.entries.values().filter(|entry| matches!(entry, Entry::Held(_))).count() as i8;
        if world.available + held != world.on_hand || world.available < 0 {
            return Some("what is left and what is taken are what is on hand");
        }
        let sold = world.fates.values().filter(|fate| matches!(fate, Fate::Booked(_))).count() as i8;
        let there = self.units + world.happened.values().sum::<i8>() - sold;
        (world.available > there).then_some("nothing is on offer that is not there")
    }

    fn broken_at_rest(&self, world: &World) -> Option<&'static str> {
        let sold = world.fates.values().filter(|fate| matches!(fate, Fate::Booked(_))).count() as i8;
        let there = self.units + world.happened.values().sum::<i8>() - sold;
        let comes_back = |(who, entry): &(&Who, &Entry)| match entry {
            Entry::Held(mark) => world.fate(**who) != Fate::Booked(*mark),
            Entry::Mark(_) => false,
        };
        if world.available + world.entries.iter().filter(comes_back).count() as i8 != there {
            return Some("in the end nothing is lost");
        }
        let told = |(who, done): (&Who, &bool)| world.happened.contains_key(who) == *done;
        (!world.noted.iter().all(told)).then_some("what is noted of a movement is so")
    }
}

#[cfg(test)]
mod tests {
    use super::Scenario;
    use crate::replay::{assert_needed, assert_whole};

    #[test]
    fn stock_is_neither_lost_nor_made_in_any_interleaving() {
        assert_whole::<Scenario>();
    }

    #[test]
    fn every_rule_is_needed() {
        assert_needed::<Scenario>();
    }
}
