//! Flows as they are written, run one store call at a time.
//!
//! A task is a plain function. What its store calls have answered so far is its only memory: to take the next step it is
//! run again from the beginning, is given the known answers, does one more call on the shared world, and stops before the
//! call after that. Whoever dies has forgotten its answers, and begins again.

use crate::Size;
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::fmt::Debug;
use std::hash::Hash;

/// A task stops here until its next step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pause;

/// What a task gets from its surroundings.
pub struct Calls<'a, W, A> {
    /// The shared world.
    world: &'a mut W,
    known: &'a mut Vec<A>,
    next: usize,
    called: bool,
}

impl<W, A: Clone> Calls<'_, W, A> {
    /// One store call: nobody else acts during it, anybody may act before and after.
    ///
    /// # Errors
    /// [`Pause`] when this step has done its call.
    pub fn call(&mut self, act: impl FnOnce(&mut W) -> A) -> Result<A, Pause> {
        if let Some(answer) = self.known.get(self.next) {
            self.next += 1;
            return Ok(answer.clone());
        }
        if self.called {
            return Err(Pause);
        }
        self.called = true;
        let answer = act(self.world);
        self.known.push(answer.clone());
        self.next += 1;
        Ok(answer)
    }
}

/// Runs a task to its end with nobody else about.
pub fn finish<W, A: Clone>(world: &mut W, run: impl Fn(&mut Calls<'_, W, A>) -> Result<(), Pause>) {
    let mut known = Vec::new();
    while run(&mut Calls { world, known: &mut known, next: 0, called: false }).is_err() {}
}

/// How far a task has come.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Run<A> {
    /// It knows these answers.
    Going(Vec<A>),
    /// It is done.
    Over,
}

/// What every world of a flow is told with.
#[derive(Clone, Copy, Debug)]
pub struct Plot<R, T: 'static> {
    /// What it is about.
    pub name: &'static str,
    /// What is going to happen.
    pub tasks: &'static [T],
    /// How often somebody may die half-way.
    pub crashes: u8,
    /// A rule that is switched off.
    pub off: Option<R>,
}

/// A plot with all its rules.
#[must_use]
pub const fn plot<R: Copy, T>(name: &'static str, tasks: &'static [T], crashes: u8) -> Plot<R, T> {
    Plot { name, tasks, crashes, off: None }
}

/// A flow: what its store calls do in a small world, the worlds it is checked in, and what it relies on.
pub trait Flow: Clone + Debug + Send + Sync + 'static {
    /// What the tasks share.
    type World: Clone + Debug + PartialEq + Eq + Hash + Send + Sync;
    /// What a store call answers.
    type Answer: Clone + Debug + PartialEq + Eq + Hash + Send + Sync;
    /// A request, a message, or the clock.
    type Task: Copy + Debug + 'static;
    /// What it relies on.
    type Rule: Copy + Ord + Debug + 'static;
    /// All of it.
    const RULES: &'static [Self::Rule];
    /// The worlds that are visited whole.
    const WORLDS: &'static [Self];
    /// For each rule a world, by its place, in which something breaks without it.
    const NEEDED: &'static [(Self::Rule, usize)];

    /// What this world is told with.
    fn plot(&self) -> &Plot<Self::Rule, Self::Task>;
    /// The same, to change it.
    fn plot_mut(&mut self) -> &mut Plot<Self::Rule, Self::Task>;
    /// How it begins.
    fn world(&self) -> Self::World;
    /// Runs a task as far as its next store call. `number` is its place in the plot.
    ///
    /// # Errors
    /// [`Pause`].
    fn run(
        &self,
        number: usize,
        task: Self::Task,
        calls: &mut Calls<'_, Self::World, Self::Answer>,
    ) -> Result<(), Pause>;
    /// Called when a task dies, for what the world knows of the living.
    fn died(&self, _number: usize, _: &mut Self::World) {}
    /// Called after every step, to note what only a bystander can see.
    fn watch(&self, _: &mut Self::World) {}
    /// What is promised at every instant: the first that does not hold.
    fn broken(&self, world: &Self::World) -> Option<&'static str>;
    /// What is promised once nothing is under way.
    fn broken_at_rest(&self, world: &Self::World) -> Option<&'static str>;

    /// Whether a rule is kept.
    fn has(&self, rule: Self::Rule) -> bool {
        self.plot().off != Some(rule)
    }
    /// The same world without this rule.
    #[must_use]
    fn without(&self, rule: Self::Rule) -> Self {
        let mut world = self.clone();
        world.plot_mut().off = Some(rule);
        world
    }
    /// The same world in which so many more die.
    #[must_use]
    fn deadlier(&self, more: u8) -> Self {
        let mut world = self.clone();
        world.plot_mut().crashes += more;
        world
    }
}

/// A state that the checker visits.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State<W, A> {
    /// What the tasks share.
    pub world: W,
    runs: Vec<Run<A>>,
    crashes: u8,
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// A task does its next call.
    Act(usize),
    /// A task does its next call and dies; its message or request comes again.
    Die(usize),
}

/// A small world as the checker wants it.
#[derive(Clone, Debug)]
pub struct Checkable<S>(S);

impl<S: Flow> Model for Checkable<S> {
    type State = State<S::World, S::Answer>;
    type Action = Step;

    fn init_states(&self) -> Vec<Self::State> {
        let plot = self.0.plot();
        let runs = vec![Run::Going(Vec::new()); plot.tasks.len()];
        vec![State { world: self.0.world(), runs, crashes: plot.crashes }]
    }

    fn actions(&self, state: &Self::State, steps: &mut Vec<Step>) {
        for (task, run) in state.runs.iter().enumerate() {
            if let Run::Going(_) = run {
                steps.push(Step::Act(task));
                if state.crashes > 0 {
                    steps.push(Step::Die(task));
                }
            }
        }
    }

    fn next_state(&self, state: &Self::State, step: Step) -> Option<Self::State> {
        let mut next = state.clone();
        let (task, dies) = match step {
            Step::Act(task) => (task, false),
            Step::Die(task) => (task, true),
        };
        let Run::Going(known) = &mut next.runs[task] else { return None };
        let mut calls = Calls { world: &mut next.world, known, next: 0, called: false };
        let over = self.0.run(task, self.0.plot().tasks[task], &mut calls).is_ok();
        if dies {
            next.runs[task] = Run::Going(Vec::new());
            next.crashes -= 1;
            self.0.died(task, &mut next.world);
        } else if over {
            next.runs[task] = Run::Over;
        }
        self.0.watch(&mut next.world);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("at every instant", |model: &Self, state: &Self::State| {
                model.0.broken(&state.world).is_none()
            }),
            Property::always("at rest", |model: &Self, state: &Self::State| {
                state.runs.iter().any(|run| *run != Run::Over)
                    || model.0.broken_at_rest(&state.world).is_none()
            }),
        ]
    }
}

/// What came of checking a small world.
#[derive(Debug)]
pub struct Found {
    /// Different states visited.
    pub states: usize,
    /// The first promise that was broken, with the world step by step.
    pub broken: Option<(&'static str, Vec<String>)>,
}

/// Visits every state, or until a promise is broken.
#[must_use]
pub fn check<S: Flow>(small: &S) -> Found {
    let model = Checkable(small.clone());
    let checker = model.checker().threads(1).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let broken = checker.discoveries().into_values().next().map(|path| {
        let path = path.into_vec();
        let last = path.last().map(|(state, _)| &state.world);
        let promise = last.and_then(|world| small.broken(world).or_else(|| small.broken_at_rest(world)));
        let story =
            path.iter().map(|(state, step)| format!("{:?}\n      then {step:?}", state.world)).collect();
        (promise.unwrap_or("a promise"), story)
    });
    Found { states: checker.unique_state_count(), broken }
}

/// Checks a flow and prints a table; `false` if a promise was broken or a rule was not needed.
#[must_use]
pub fn print<F: Flow>(size: Size) -> bool {
    let more = match size {
        Size::Ci => 0,
        Size::Night => 1,
    };
    let mut holds = true;
    println!("\n| flow | world | states | broken promise |\n|---|---|---|---|");
    let line = |flow: &str, world: &F, found: &Found| {
        let promise = found.broken.as_ref().map_or("none", |(promise, _)| promise);
        println!("| {flow} | {} | {} | {promise} |", world.plot().name, found.states);
    };
    for world in F::WORLDS {
        let found = check(&world.deadlier(more));
        line("whole", world, &found);
        if let Some((_, story)) = found.broken {
            holds = false;
            println!("\n{}\n", story.join("\n"));
        }
    }
    for (rule, world) in F::NEEDED {
        let world = &F::WORLDS[*world];
        let found = check(&world.without(*rule));
        holds &= found.broken.is_some();
        line(&format!("without {rule:?}"), world, &found);
    }
    holds
}

/// Fails with the story of the first broken promise.
#[cfg(test)]
pub fn assert_whole<F: Flow>() {
    for world in F::WORLDS {
        if let Some((promise, story)) = check(world).broken {
            panic!("{}: {promise}\n{}", world.plot().name, story.join("\n"));
        }
    }
}

/// Fails if a rule is missed by nobody.
#[cfg(test)]
pub fn assert_needed<F: Flow>() {
    use std::collections::BTreeSet;
    let known: BTreeSet<F::Rule> = F::NEEDED.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(known, F::RULES.iter().copied().collect(), "each rule has a world that shows what it is for");
    for (rule, world) in F::NEEDED {
        let world = &F::WORLDS[*world];
        assert!(
            check(&world.without(*rule)).broken.is_some(),
            "{rule:?} is not needed in {}",
            world.plot().name
        );
    }
}
