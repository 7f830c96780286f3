//! Moving a booking to another time, in small worlds: it is at one time in the end, and its money is never for nothing.
//!
//! As `tessera::booking::store::{reschedule, finish_move}` do it, call by call; cancelling and expiry race with it.

use crate::replay::{Calls, Flow, Pause, Plot, plot};

/// What the flow relies on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// The old register: it moves to one place at a time.
    OneMove,
    /// The old register: a move is ended by who knows where it went.
    SameMove,
    /// Cancelling: not while it moves.
    NotWhileMoving,
    /// Cancelling, and moving elsewhere: a move that was begun is finished first.
    FinishFirst,
    /// The new register: `attribute_not_exists`.
    FirstDecision,
    /// The old register is written before the new one.
    OldFirst,
}

impl Rule {
    const ALL: &'static [Self] = &[
        Self::OneMove,
        Self::SameMove,
        Self::NotWhileMoving,
        Self::FinishFirst,
        Self::FirstDecision,
        Self::OldFirst,
    ];
}

/// The booking that moves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Old {
    /// It is there, and perhaps moves to a hold.
    Confirmed(Option<usize>),
    /// It went to a hold.
    Moved(usize),
    /// It was cancelled, and its money goes back.
    Cancelled,
}

/// What became of a hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum New {
    /// Nobody has decided.
    Open,
    /// It ended.
    Ended,
    /// It is the booking now.
    Confirmed,
}

/// What everybody shares.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    old: Old,
    new: Vec<New>,
    /// Whether the old time, and each new one, is still taken for this buyer.
    old_entry: bool,
    entries: Vec<bool>,
}

/// What a store call answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    Nothing,
    Yes(bool),
    Old(Old),
    New(New),
}

/// A request or a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// Move to this hold.
    Move(usize),
    /// Cancel the booking.
    Cancel,
    /// Somebody needs the time of a hold that is over.
    Expire(usize),
}

/// A small world.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is told with.
    pub plot: Plot<Rule, Task>,
    /// How many holds there are to move to.
    pub holds: usize,
}

type C<'a> = Calls<'a, World, Answer>;

impl Scenario {
    fn old(calls: &mut C<'_>) -> Result<Old, Pause> {
        match calls.call(|world| Answer::Old(world.old))? {
            Answer::Old(old) => Ok(old),
            Answer::Nothing | Answer::Yes(_) | Answer::New(_) => Err(Pause),
        }
    }

    /// The register of a hold is written if it is open; what it is then.
    fn decide(&self, calls: &mut C<'_>, to: usize, fate: New) -> Result<New, Pause> {
        let decided = |world: &mut World| {
            if world.new[to] == New::Open || !self.has(Rule::FirstDecision) {
                world.new[to] = fate;
            }
            Answer::New(world.new[to])
        };
        match calls.call(decided)? {
            Answer::New(new) => Ok(new),
            Answer::Nothing | Answer::Yes(_) | Answer::Old(_) => Err(Pause),
        }
    }

    /// `finish_move`, of what was read as `old`.
    fn finish(&self, calls: &mut C<'_>, old: Old) -> Result<(), Pause> {
        let to = match old {
            Old::Confirmed(Some(to)) | Old::Moved(to) => to,
            Old::Confirmed(None) | Old::Cancelled => return Ok(()),
        };
        let done = self.decide(calls, to, New::Ended)? == New::Confirmed;
        calls.call(|world| {
            if let Old::Confirmed(Some(known)) = world.old
                && (known == to || !self.has(Rule::SameMove))
            {
                world.old = if done { Old::Moved(to) } else { Old::Confirmed(None) };
            }
            Answer::Nothing
        })?;
        if done {
            calls.call(|world| {
                world.old_entry = false;
                Answer::Nothing
            })?;
        }
        Ok(())
    }

    fn move_to(&self, calls: &mut C<'_>, to: usize) -> Result<(), Pause> {
        if calls.call(|world| Answer::New(world.new[to]))? == Answer::New(New::Ended) {
            return Ok(());
        }
        let seen = Self::old(calls)?;
        if let Old::Confirmed(Some(other)) = seen
            && other != to
            && self.has(Rule::FinishFirst)
        {
            self.finish(calls, seen)?;
        }
        if !self.has(Rule::OldFirst) {
            self.decide(calls, to, New::Confirmed)?;
        }
        let begun = |world: &mut World| match world.old {
            Old::Confirmed(Some(known)) | Old::Moved(known) if known == to => Answer::Yes(true),
            Old::Confirmed(moving) if moving.is_none() || !self.has(Rule::OneMove) => {
                world.old = Old::Confirmed(Some(to));
                Answer::Yes(true)
            }
            Old::Confirmed(_) | Old::Moved(_) | Old::Cancelled => Answer::Yes(false),
        };
        if calls.call(begun)? == Answer::Yes(false) {
            return Ok(());
        }
        self.decide(calls, to, New::Confirmed)?;
        self.finish(calls, Old::Confirmed(Some(to)))
    }

    fn cancel(&self, calls: &mut C<'_>) -> Result<(), Pause> {
        for _ in 0..8 {
            let seen = Self::old(calls)?;
            if self.has(Rule::FinishFirst) {
                self.finish(calls, seen)?;
            }
            let cancelled = |world: &mut World| match world.old {
                Old::Confirmed(None) => {
                    world.old = Old::Cancelled;
                    Answer::Yes(true)
                }
                Old::Confirmed(Some(_)) if !self.has(Rule::NotWhileMoving) => {
                    world.old = Old::Cancelled;
                    Answer::Yes(true)
                }
                // "It is being moved: repeat the request."
                Old::Confirmed(Some(_)) => Answer::Yes(false),
                Old::Moved(_) | Old::Cancelled => Answer::Yes(true),
            };
            if calls.call(cancelled)? == Answer::Yes(true) {
                break;
            }
        }
        calls.call(|world| {
            if world.old == Old::Cancelled {
                world.old_entry = false;
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
                "moved twice at once to one time, and cancelled",
                &[Task::Move(0), Task::Move(0), Task::Cancel],
                2,
            ),
            holds: 1,
        },
        Scenario { plot: plot("moved to two times at once", &[Task::Move(0), Task::Move(1)], 2), holds: 2 },
        Scenario {
            plot: plot(
                "moved to two times, cancelled, and a hold runs out",
                &[Task::Move(0), Task::Move(1), Task::Cancel, Task::Expire(0)],
                1,
            ),
            holds: 2,
        },
    ];
    const NEEDED: &'static [(Rule, usize)] = &[
        (Rule::OneMove, 1),
        (Rule::SameMove, 1),
        (Rule::NotWhileMoving, 0),
        (Rule::FinishFirst, 2),
        (Rule::FirstDecision, 0),
        (Rule::OldFirst, 1),
    ];

    fn plot(&self) -> &Plot<Rule, Task> {
        &self.plot
    }

    fn plot_mut(&mut self) -> &mut Plot<Rule, Task> {
        &mut self.plot
    }

    fn world(&self) -> World {
        World {
            old: Old::Confirmed(None),
            new: vec![New::Open; self.holds],
            old_entry: true,
            entries: vec![true; self.holds],
        }
    }

    fn run(&self, _: usize, task: Task, calls: &mut C<'_>) -> Result<(), Pause> {
        match task {
            Task::Move(to) => self.move_to(calls, to),
            Task::Cancel => self.cancel(calls),
            Task::Expire(hold) => {
                if self.decide(calls, hold, New::Ended)? == New::Ended {
                    calls.call(|world| {
                        world.entries[hold] = false;
                        Answer::Nothing
                    })?;
                }
                Ok(())
            }
        }
    }

    fn broken(&self, world: &World) -> Option<&'static str> {
        let confirmed = world.new.iter().filter(|new| **new == New::Confirmed).count();
        if confirmed > 1 {
            return Some("it is moved to one time");
        }
        if confirmed == 1 && world.old == Old::Cancelled {
            return Some("what is paid back is not kept");
        }
        let there = match world.old {
            Old::Confirmed(_) => world.old_entry || confirmed == 1,
            Old::Moved(to) => world.new[to] == New::Confirmed && world.entries[to],
            Old::Cancelled => true,
        };
        (!there).then_some("there is a time for it at every instant")
    }

    fn broken_at_rest(&self, world: &World) -> Option<&'static str> {
        let confirmed = world.new.iter().filter(|new| **new == New::Confirmed).count();
        match world.old {
            Old::Confirmed(_) if self.plot.tasks.contains(&Task::Cancel) => {
                Some("in the end what was cancelled is, or has moved")
            }
            Old::Confirmed(_) if confirmed > 0 => Some("in the end it is at one time"),
            Old::Moved(_) if confirmed != 1 => Some("in the end it is at the time it went to"),
            Old::Moved(_) if world.old_entry => Some("in the end the old time is free"),
            Old::Cancelled if world.old_entry => Some("in the end a cancelled time is free"),
            Old::Confirmed(_) | Old::Moved(_) | Old::Cancelled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scenario;
    use crate::replay::{assert_needed, assert_whole};

    #[test]
    fn a_booking_is_at_one_time_in_every_interleaving() {
        assert_whole::<Scenario>();
    }

    #[test]
    fn every_rule_is_needed() {
        assert_needed::<Scenario>();
    }
}
