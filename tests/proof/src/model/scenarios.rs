//! The small worlds that are visited whole.

use super::Rule;
use super::world::Holder;
use crate::Size;
use std::ops::Range;

/// A hold that somebody wants.
#[derive(Debug)]
pub struct Hold {
    /// Pools and quantities, in the order in which they are taken.
    pub places: &'static [(u8, u32)],
    /// After how many strikes of the clock it is over.
    pub lasts: u8,
}

/// A request, a delivery of a message, or the sweep. Listed twice it is repeated while the first may still run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// The request for a hold.
    Hold(Holder),
    /// The money of a hold's order is there.
    Pay(Holder),
    /// The buyer lets a hold go.
    LetGo(Holder),
    /// The buyer gives the order up.
    GiveUp(Holder),
    /// The booking is cancelled.
    Cancel(Holder),
    /// The message that it was.
    Free(Holder),
    /// The sweep.
    Tidy,
}

impl Task {
    pub(super) fn holder(self) -> Holder {
        match self {
            Self::Hold(holder)
            | Self::Pay(holder)
            | Self::LetGo(holder)
            | Self::GiveUp(holder)
            | Self::Cancel(holder)
            | Self::Free(holder) => holder,
            Self::Tidy => 0,
        }
    }

    pub(super) fn name(self, number: usize) -> String {
        let letter = char::from(b'A' + self.holder());
        match self {
            Self::Hold(_) => format!("hold {letter} (task {number})"),
            Self::Pay(_) => format!("paid {letter} (task {number})"),
            Self::LetGo(_) => format!("let go {letter} (task {number})"),
            Self::GiveUp(_) => format!("give up {letter} (task {number})"),
            Self::Cancel(_) => format!("cancel {letter} (task {number})"),
            Self::Free(_) => format!("cancelled {letter} (task {number})"),
            Self::Tidy => format!("tidy (task {number})"),
        }
    }
}

/// A small world.
#[derive(Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// Each pool's lanes, each with its places.
    pub pools: &'static [&'static [u32]],
    pub holds: &'static [Hold],
    pub tasks: &'static [Task],
    /// How often the clock may strike.
    pub ticks: u8,
    /// How often somebody may die half-way.
    pub crashes: u8,
    /// Whether a "sold out" of a moment ago may be remembered.
    pub remembers: bool,
    /// Whether it is too large to keep what is still to be visited.
    pub large: bool,
}

impl Scenario {
    /// The lanes of a pool, as numbers in the list of all lanes.
    pub(super) fn lanes(&self, pool: u8) -> Range<u8> {
        let count =
            |pools: &[&[u32]]| pools.iter().map(|lanes| u8::try_from(lanes.len()).unwrap()).sum::<u8>();
        let pool = usize::from(pool);
        count(&self.pools[..pool])..count(&self.pools[..=pool])
    }
}

const fn hold(places: &'static [(u8, u32)]) -> Hold {
    Hold { places, lasts: 1 }
}

const ONE: Hold = hold(&[(0, 1)]);
const TWO: Hold = hold(&[(0, 2)]);

use Task::Hold as Take;
use Task::{Cancel, Free, GiveUp, LetGo, Pay, Tidy};

const PLAIN: Scenario = Scenario {
    name: "",
    pools: &[&[1]],
    holds: &[],
    tasks: &[],
    ticks: 0,
    crashes: 0,
    remembers: false,
    large: false,
};

static LAST_PLACE: Scenario = Scenario {
    name: "three want the last two places",
    pools: &[&[2]],
    holds: &[ONE, ONE, TWO],
    tasks: &[Take(0), Take(1), Take(2), Pay(0), Pay(2)],
    ticks: 1,
    crashes: 1,
    ..PLAIN
};

static SWEPT: Scenario = Scenario {
    name: "money against the sweep",
    holds: &[ONE, ONE],
    tasks: &[Take(0), Take(1), Pay(0), Tidy, Tidy],
    ticks: 1,
    ..PLAIN
};

static RETRIED: Scenario = Scenario {
    name: "one request, tried twice at once, in two lanes",
    pools: &[&[1, 1]],
    holds: &[ONE, ONE],
    tasks: &[Take(0), Take(0), Pay(0), Take(1), Tidy],
    ticks: 1,
    ..PLAIN
};

static THRICE: Scenario = Scenario {
    name: "one request, tried three times at once",
    pools: &[&[1, 1]],
    holds: &[ONE],
    tasks: &[Take(0), Take(0), Take(0), Pay(0)],
    crashes: 1,
    ..PLAIN
};

static CHURN: Scenario = Scenario {
    name: "a place comes back in one lane while one goes in another",
    pools: &[&[1, 1]],
    holds: &[ONE, ONE, ONE],
    tasks: &[Take(0), Take(1), Take(2), LetGo(0)],
    ticks: 1,
    ..PLAIN
};

static PARTY: Scenario = Scenario {
    name: "a party over two lanes, tried twice at once",
    pools: &[&[1, 1]],
    holds: &[TWO, ONE],
    tasks: &[Take(0), Take(0), Pay(0), Take(1), LetGo(1)],
    ..PLAIN
};

static PARTY_IN_ITS_LANE: Scenario = Scenario {
    name: "room comes back in a lane that a party has begun with",
    pools: &[&[2, 1]],
    holds: &[TWO, ONE, ONE],
    tasks: &[Take(0), Take(1), Take(2), LetGo(2)],
    ..PLAIN
};

static BASKET: Scenario = Scenario {
    name: "a basket of two pools, tried twice at once",
    pools: &[&[1], &[1]],
    holds: &[hold(&[(0, 1), (1, 1)]), hold(&[(1, 1)])],
    tasks: &[Take(0), Take(0), Pay(0), Take(1), LetGo(1)],
    remembers: true,
    ..PLAIN
};

static LATE: Scenario = Scenario {
    name: "late money, told twice",
    holds: &[ONE, ONE],
    tasks: &[Take(0), Take(1), Pay(0), Pay(0), LetGo(1)],
    ticks: 1,
    ..PLAIN
};

static GIVEN_UP: Scenario = Scenario {
    name: "an order given up while its money arrives",
    holds: &[ONE],
    tasks: &[Take(0), Pay(0), Pay(0), GiveUp(0), Free(0)],
    ticks: 1,
    crashes: 1,
    ..PLAIN
};

static CANCELLED: Scenario = Scenario {
    name: "a booking cancelled, told twice, against the sweep",
    pools: &[&[2]],
    holds: &[TWO, ONE],
    tasks: &[Take(0), Pay(0), Cancel(0), Free(0), Free(0), Tidy, Take(1)],
    ticks: 1,
    ..PLAIN
};

static MANY: Scenario = Scenario {
    name: "four buyers, three lanes",
    pools: &[&[1, 1, 1]],
    holds: &[ONE, TWO, ONE, TWO],
    tasks: &[Take(0), Take(1), Take(2), Take(3), Pay(1), LetGo(0)],
    ticks: 1,
    large: true,
    ..PLAIN
};

static EVERYTHING: Scenario = Scenario {
    name: "everything at once in two lanes",
    pools: &[&[2, 1]],
    holds: &[TWO, ONE],
    tasks: &[Take(0), Take(0), Pay(0), Pay(0), Take(1), GiveUp(0), Free(0), Tidy],
    ticks: 1,
    crashes: 1,
    large: true,
    ..PLAIN
};

/// The worlds of a size.
pub(super) fn of(size: Size) -> Vec<&'static Scenario> {
    let mut all = vec![
        &LAST_PLACE,
        &SWEPT,
        &RETRIED,
        &THRICE,
        &CHURN,
        &PARTY,
        &PARTY_IN_ITS_LANE,
        &BASKET,
        &LATE,
        &GIVEN_UP,
        &CANCELLED,
    ];
    match size {
        Size::Ci => {}
        Size::Night => all.extend([&MANY, &EVERYTHING]),
    }
    all
}

/// What each rule is for: a world in which something breaks without it.
pub(super) static NEEDED: &[(Rule, &Scenario)] = &[
    (Rule::Count, &LAST_PLACE),
    (Rule::NewEntry, &LAST_PLACE),
    (Rule::ReclaimSame, &SWEPT),
    (Rule::SettleSame, &CANCELLED),
    (Rule::ReleaseSame, &CANCELLED),
    (Rule::FirstDecision, &SWEPT),
    (Rule::NamedLane, &RETRIED),
    (Rule::FenceBelieved, &PARTY),
    (Rule::FenceBelieved, &BASKET),
    (Rule::AgainDecided, &LATE),
    (Rule::GiveUpAgain, &GIVEN_UP),
    (Rule::SecondLook, &CHURN),
    (Rule::FreshClock, &CHURN),
    (Rule::OwnLane, &PARTY_IN_ITS_LANE),
    (Rule::OwnSurplus, &THRICE),
];
