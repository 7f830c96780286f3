//! Numbers of invoices in small worlds: none is passed over, none is used twice, whoever dies on the way.
//!
//! As `tessera::order::invoice::store` does it, call by call: the numbering says what its last number is for, and whoever takes the
//! next one sees to it that this one's document is there.

use crate::replay::{Calls, Flow, Pause, Plot, plot};
use std::collections::BTreeMap;

/// What the flow relies on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// The numbering is replaced under the version that was read.
    SameVersion,
    /// The last number's document is written before the next number is taken.
    FinishFirst,
    /// The last number may be for what is asked for: then it is its number.
    OwnLast,
    /// A document is looked for after the numbering was read.
    LookAfter,
    /// A document is written once: `attribute_not_exists`.
    WrittenOnce,
    /// A credit note has its invoice numbered first.
    InvoiceFirst,
}

impl Rule {
    const ALL: &'static [Self] = &[
        Self::SameVersion,
        Self::FinishFirst,
        Self::OwnLast,
        Self::LookAfter,
        Self::WrittenOnce,
        Self::InvoiceFirst,
    ];
}

/// What a document is for. Credit notes are from [`NOTES`] on: of the invoice with so much less.
type Paper = u8;
const NOTES: Paper = 10;

/// A document, as far as it can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Document {
    number: u8,
    /// The number of the invoice that it corrects, if it is a credit note.
    corrects: Option<u8>,
    /// Which settings it was written with.
    settings: u8,
}

/// The last number that was taken, and what for.
type Last = Option<(u8, Paper)>;

/// What everybody shares.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct World {
    last: Last,
    documents: BTreeMap<Paper, Document>,
    settings: u8,
    /// What a bystander has seen of documents; and whether one of them ever changed.
    seen: BTreeMap<Paper, Document>,
    changed: bool,
}

/// What a store call answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    Nothing,
    /// The settings, and the number of the invoice that is corrected.
    Draft(u8, Option<u8>),
    Last(Last),
    /// Whether the document that is asked for is there, and the last number's.
    There(bool, bool),
    /// The numbering was replaced; or this is there instead.
    Taken(Result<(), Last>),
}

/// A message, or a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// Issue this invoice, or this credit note.
    Issue(Paper),
    /// Write other settings.
    Rewrite,
}

/// A small world.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is told with.
    pub plot: Plot<Rule, Task>,
}

type C<'a> = Calls<'a, World, Answer>;

impl Scenario {
    /// Everything that a document is made of.
    fn draft(calls: &mut C<'_>, paper: Paper) -> Result<(u8, Option<u8>), Pause> {
        let read = |world: &mut World| {
            let corrected = paper.checked_sub(NOTES).and_then(|invoice| world.documents.get(&invoice));
            Answer::Draft(world.settings, corrected.map(|invoice| invoice.number))
        };
        match calls.call(read)? {
            Answer::Draft(settings, corrects) => Ok((settings, corrects)),
            Answer::Nothing | Answer::Last(_) | Answer::There(..) | Answer::Taken(_) => Err(Pause),
        }
    }

    fn write(
        &self,
        calls: &mut C<'_>,
        (number, paper): (u8, Paper),
        (settings, corrects): (u8, Option<u8>),
    ) -> Result<(), Pause> {
        let document = Document { number, corrects, settings };
        calls.call(|world| {
            if !world.documents.contains_key(&paper) || !self.has(Rule::WrittenOnce) {
                world.documents.insert(paper, document);
            }
            Answer::Nothing
        })?;
        Ok(())
    }

    fn look(calls: &mut C<'_>, paper: Paper, last: Last) -> Result<(bool, bool), Pause> {
        let there = |world: &mut World| {
            let last = last.is_none_or(|(_, last)| world.documents.contains_key(&last));
            Answer::There(world.documents.contains_key(&paper), last)
        };
        match calls.call(there)? {
            Answer::There(own, last) => Ok((own, last)),
            Answer::Nothing | Answer::Draft(..) | Answer::Last(_) | Answer::Taken(_) => Err(Pause),
        }
    }

    fn numbered(&self, calls: &mut C<'_>, paper: Paper) -> Result<(), Pause> {
        let draft = Self::draft(calls, paper)?;
        let before = if self.has(Rule::LookAfter) { None } else { Some(Self::look(calls, paper, None)?.0) };
        let Answer::Last(mut last) = calls.call(|world| Answer::Last(world.last))? else { return Err(Pause) };
        for _ in 0..8 {
            let (own, done) = Self::look(calls, paper, last)?;
            if before.unwrap_or(own) {
                return Ok(());
            }
            if let Some(unfinished) = last.filter(|_| !done && self.has(Rule::FinishFirst)) {
                let draft = Self::draft(calls, unfinished.1)?;
                self.write(calls, unfinished, draft)?;
                if unfinished.1 == paper && self.has(Rule::OwnLast) {
                    return Ok(());
                }
            }
            let next = (last.map_or(1, |(number, _)| number + 1), paper);
            let replaced = |world: &mut World| {
                if world.last != last && self.has(Rule::SameVersion) {
                    return Answer::Taken(Err(world.last));
                }
                world.last = Some(next);
                Answer::Taken(Ok(()))
            };
            match calls.call(replaced)? {
                Answer::Taken(Ok(())) => return self.write(calls, next, draft),
                Answer::Taken(Err(current)) => last = current,
                Answer::Nothing | Answer::Draft(..) | Answer::Last(_) | Answer::There(..) => {
                    return Err(Pause);
                }
            }
        }
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
                "two orders, one of them heard of twice, and new settings",
                &[Task::Issue(0), Task::Issue(0), Task::Issue(1), Task::Rewrite],
                1,
            ),
        },
        Scenario { plot: plot("three orders at once", &[Task::Issue(0), Task::Issue(1), Task::Issue(2)], 2) },
        Scenario {
            plot: plot(
                "an order and its refund, in any order, and another order",
                &[Task::Issue(NOTES), Task::Issue(0), Task::Issue(1)],
                1,
            ),
        },
        Scenario {
            plot: plot(
                "a refund heard of twice before its order",
                &[Task::Issue(NOTES), Task::Issue(NOTES)],
                2,
            ),
        },
    ];
    const NEEDED: &'static [(Rule, usize)] = &[
        (Rule::SameVersion, 1),
        (Rule::FinishFirst, 1),
        (Rule::OwnLast, 0),
        (Rule::LookAfter, 0),
        (Rule::WrittenOnce, 0),
        (Rule::InvoiceFirst, 2),
    ];

    fn plot(&self) -> &Plot<Rule, Task> {
        &self.plot
    }

    fn plot_mut(&mut self) -> &mut Plot<Rule, Task> {
        &mut self.plot
    }

    fn world(&self) -> World {
        World::default()
    }

    fn run(&self, _: usize, task: Task, calls: &mut C<'_>) -> Result<(), Pause> {
        match task {
            Task::Issue(paper) => {
                if let Some(invoice) = paper.checked_sub(NOTES).filter(|_| self.has(Rule::InvoiceFirst))
                    && !Self::look(calls, invoice, None)?.0
                {
                    self.numbered(calls, invoice)?;
                }
                self.numbered(calls, paper)
            }
            Task::Rewrite => calls
                .call(|world| {
                    world.settings += 1;
                    Answer::Nothing
                })
                .map(drop),
        }
    }

    fn watch(&self, world: &mut World) {
        for (paper, document) in &world.documents {
            world.changed |= *world.seen.entry(*paper).or_insert(*document) != *document;
        }
    }

    fn broken(&self, world: &World) -> Option<&'static str> {
        let mut numbers: Vec<u8> = world.documents.values().map(|document| document.number).collect();
        numbers.sort_unstable();
        if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
            return Some("no number is used twice");
        }
        if world.changed {
            return Some("what was issued does not change");
        }
        let taken = world.last.map_or(0, |(number, _)| number);
        // Only the last number may have no document, because somebody died or is about to write it.
        if numbers != (1..=taken).collect::<Vec<_>>() && numbers != (1..taken).collect::<Vec<_>>() {
            return Some("no number is passed over");
        }
        let notes = world.documents.iter().filter(|(paper, _)| **paper >= NOTES);
        let wrong = |(paper, note): (&Paper, &Document)| {
            let invoice = world.documents.get(&(paper - NOTES)).map(|invoice| invoice.number);
            invoice.is_none() || note.corrects != invoice || invoice >= Some(note.number)
        };
        notes.into_iter().any(wrong).then_some("a credit note follows the invoice whose number it says")
    }

    fn broken_at_rest(&self, world: &World) -> Option<&'static str> {
        let asked = self.plot.tasks.iter().filter_map(|task| match task {
            Task::Issue(paper) => Some(paper),
            Task::Rewrite => None,
        });
        if !asked.into_iter().all(|paper| world.documents.contains_key(paper)) {
            return Some("in the end there is whatever was asked for");
        }
        let taken = usize::from(world.last.map_or(0, |(number, _)| number));
        (world.documents.len() != taken).then_some("in the end every number has its document")
    }
}

#[cfg(test)]
mod tests {
    use super::Scenario;
    use crate::replay::{assert_needed, assert_whole};

    #[test]
    fn no_interleaving_leaves_a_gap_or_uses_a_number_twice() {
        assert_whole::<Scenario>();
    }

    #[test]
    fn every_rule_is_needed() {
        assert_needed::<Scenario>();
    }
}
