//! What really happened, judged: the engine runs on a local home, four clients at once, and each recorded history must be
//! one that a single ticket counter could have given.
//!
//! Every operation has hints of its own, as a function that has just started has none; the remembered "sold out" of one
//! second is stale by design and looked at apart. A `busy` answer is no operation, if it took nothing: the count at the
//! end of each history tells.
//!
//! A party that has to be split over lanes is not one step: two such parties can each take half and both be refused.
//! Those histories are counted, not judged.

use crate::Size;
use jiff::{SignedDuration, Timestamp};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tessera::app::{App, Process};
use tessera::booking::Subject;
use tessera::booking::store::{Wish, clear, hold, let_go};
use tessera::booking::want::Want;
use tessera::config::Config;
use tessera::error::Code;
use tessera::id::{EventId, PoolId, StoreId};
use tessera::pool::store::{Hints, LaneWrite, Outcome, bring, open, open_stock, read, write};
use tessera::pool::{HoldKey, LANE_CAPACITY, Mark, Pool, Quota, Turn};
use tessera_local::whole::{Whole, WholeOptions};

const CLIENTS: usize = 4;
const OPERATIONS: usize = 5;

/// What a sale of tickets looks like when one person at one counter does it all.
#[derive(Clone, Debug)]
pub struct Counter {
    /// Places left.
    pub left: u32,
}

/// Something asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Hold(u32),
    Release(u32),
}

/// What it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Held,
    SoldOut,
    Released,
}

impl SequentialSpec for Counter {
    type Op = Operation;
    type Ret = Answer;

    fn invoke(&mut self, operation: &Operation) -> Answer {
        match *operation {
            Operation::Hold(quantity) => match self.left.checked_sub(quantity) {
                Some(left) => {
                    self.left = left;
                    Answer::Held
                }
                None => Answer::SoldOut,
            },
            Operation::Release(quantity) => {
                self.left += quantity;
                Answer::Released
            }
        }
    }
}

/// One end of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Asked(Operation),
    Answered(Answer),
    /// It was as if it had not been asked.
    Busy,
}

/// Whether one counter with so many places could have given this history: who, and what, in the order of the clock.
#[must_use]
pub fn is_linearizable(places: u32, history: &[(usize, Moment)]) -> bool {
    let mut tester = LinearizabilityTester::new(Counter { left: places });
    for (at, (client, moment)) in history.iter().enumerate() {
        let ok = match moment {
            Moment::Asked(operation) => {
                let answer = history[at + 1..].iter().find(|(other, _)| other == client);
                if matches!(answer, Some((_, Moment::Busy))) {
                    continue;
                }
                tester.on_invoke(*client, *operation).is_ok()
            }
            Moment::Answered(answer) => tester.on_return(*client, *answer).is_ok(),
            Moment::Busy => true,
        };
        assert!(ok, "a client does one thing after another");
    }
    tester.is_consistent()
}

/// A kind of pool.
#[derive(Debug)]
pub struct Kind {
    name: &'static str,
    lanes: u32,
    /// Lanes with places to be had, and how many; all others are full.
    free: &'static [(u32, u32)],
    /// The places to be had are in holds that are over but not decided.
    over: bool,
    /// The largest party.
    party: u32,
    /// Whether parties may have to be split: counted, not judged.
    split: bool,
    /// What it is a pool of.
    of: Of,
}

/// What a pool is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// Places, opened with its lanes.
    Places,
    /// Units that came in; what is sold leaves.
    Stock,
    /// Uses of something that nobody opens.
    Quota,
}

static KINDS: [Kind; 8] = [
    Kind {
        name: "one lane, 2 places",
        lanes: 1,
        free: &[(0, 2)],
        over: false,
        party: 1,
        split: false,
        of: Of::Places,
    },
    Kind {
        name: "one lane, 4 places, parties",
        lanes: 1,
        free: &[(0, 4)],
        over: false,
        party: 3,
        split: false,
        of: Of::Places,
    },
    Kind {
        name: "two lanes, 2 places in holds that are over",
        lanes: 2,
        free: &[(0, 1), (1, 1)],
        over: true,
        party: 1,
        split: false,
        of: Of::Places,
    },
    Kind {
        name: "three lanes, 3 places",
        lanes: 3,
        free: &[(0, 1), (1, 1), (2, 1)],
        over: false,
        party: 1,
        split: false,
        of: Of::Places,
    },
    Kind {
        name: "25 lanes in two partitions, 2 places",
        lanes: 25,
        free: &[(0, 1), (24, 1)],
        over: false,
        party: 1,
        split: false,
        of: Of::Places,
    },
    Kind {
        name: "three lanes, 3 places, split parties",
        lanes: 3,
        free: &[(0, 1), (1, 1), (2, 1)],
        over: false,
        party: 2,
        split: true,
        of: Of::Places,
    },
    Kind {
        name: "stock of 3 units on two lanes",
        lanes: 2,
        free: &[(0, 1), (1, 2)],
        over: false,
        party: 1,
        split: false,
        of: Of::Stock,
    },
    Kind {
        name: "a delivery window for 2",
        lanes: 1,
        free: &[(0, 2)],
        over: false,
        party: 1,
        split: false,
        of: Of::Quota,
    },
];

/// The engine, on a home of its own.
pub struct Engine {
    whole: Whole,
    app: App,
}

impl Engine {
    /// Starts a home and builds what a booking function has.
    pub async fn start() -> Self {
        let whole = Whole::start(WholeOptions::default()).await.expect("the home starts");
        let home = whole.home();
        let mut functions = home.template().functions.iter();
        let booking = functions.find(|function| function.binary == "booking").expect("a booking function");
        let given = [
            ("AWS_REGION", "local".to_owned()),
            ("AWS_ACCESS_KEY_ID", "proof".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "proof".to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", home.endpoints().dynamodb.clone()),
            ("AWS_ENDPOINT_URL_SQS", home.endpoints().sqs.clone()),
            ("AWS_ENDPOINT_URL_S3", home.endpoints().s3.clone()),
        ];
        let given = given.into_iter().map(|(name, value)| (name.to_owned(), value));
        let environment = booking.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
        let config: Config = environment.chain(given).collect();
        let app = App::new(&config, &Process::new(whole.clock().clone(), None)).expect("a booking function");
        Self { whole, app }
    }

    /// As after a fresh start of the function: it knows nothing of the lanes.
    fn fresh(&self) -> App {
        App { hints: Hints::doubting(), ..self.app.clone() }
    }

    /// Stops the home.
    pub async fn stop(self) {
        self.whole.stop(Duration::from_secs(5)).await.expect("the home stops");
    }

    /// A pool of this kind, nearly full.
    async fn pool(&self, kind: &Kind, seed: u64) -> Pool {
        let (db, now) = (&self.app.db, self.app.clock.now());
        let free =
            |lane: u32| kind.free.iter().find(|(number, _)| *number == lane).map_or(0, |(_, free)| *free);
        let (name, all) = (seed.to_string(), kind.free.iter().map(|(_, free)| free).sum());
        match kind.of {
            Of::Places => {}
            Of::Stock => {
                let (id, lanes) = (PoolId::derive(&[kind.name, &name]), kind.lanes);
                let subject = Subject::Store(StoreId::derive(&[kind.name]));
                open_stock(db, id, subject, lanes).await.expect("a stock");
                let pool = Pool::Stock { id, lanes };
                for lane in 0..lanes {
                    let holder = key(&format!("{} came", kind.name), seed, lane);
                    let came = bring(db, &pool, lane, holder, free(lane).into(), later(now)).await;
                    assert!(came.expect("units"));
                }
                return pool;
            }
            Of::Quota => {
                let of = Quota::Window { store: StoreId::derive(&[kind.name, &name]), starts: 0 };
                return Pool::Quota { of, limit: all };
            }
        }
        let (id, capacity) = (PoolId::derive(&[kind.name, &seed.to_string()]), kind.lanes * LANE_CAPACITY);
        open(db, id, Subject::Event(EventId::derive(&[kind.name])), capacity, later(now))
            .await
            .expect("a pool");
        let pool = Pool::Places { id, lanes: kind.lanes };
        for lane in 0..kind.lanes {
            let free = free(lane);
            let full = (
                key(&format!("{} full", kind.name), seed, lane),
                Mark::new(LANE_CAPACITY - free, later(now), 0),
            );
            let over = (0..free).filter(|_| kind.over).map(|place| {
                let hour = SignedDuration::from_hours(1);
                (key(&format!("{} over", kind.name), seed, lane * 100 + place), Mark::new(1, now - hour, 0))
            });
            for take in over.chain([full]) {
                let change = LaneWrite { take: Some(take), ..LaneWrite::default() };
                let done = write(db, &pool, lane, &change).await.expect("a write");
                assert!(matches!(done, Outcome::Done { .. }));
            }
        }
        pool
    }

    /// One history of this kind, and how many places were left at its end.
    async fn history(&self, kind: &'static Kind, seed: u64) -> (Vec<(usize, Moment)>, u32, u32) {
        let pool = self.pool(kind, seed).await;
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let apps: Vec<App> = (0..OPERATIONS).map(|_| self.fresh()).collect();
            let (log, mut dice) = (log.clone(), Dice::new(seed.wrapping_mul(31).wrapping_add(client as u64)));
            clients.push(tokio::spawn(async move {
                let note = |moment| log.lock().unwrap().push((client, moment));
                let mut held: Vec<(HoldKey, u32)> = Vec::new();
                for (number, app) in (0_u32..).zip(&apps) {
                    let now = app.clock.now();
                    if !held.is_empty() && dice.below(2) == 0 {
                        let (holder, quantity) = held.remove(0);
                        note(Moment::Asked(Operation::Release(quantity)));
                        let_go(app, holder, now).await.expect("let go");
                        clear(app, &[pool], holder).await.expect("given back");
                        note(Moment::Answered(Answer::Released));
                        continue;
                    }
                    let quantity = 1 + u32::try_from(dice.below(u64::from(kind.party))).unwrap();
                    let holder = key(&format!("{} {client}", kind.name), seed, number);
                    let wants = [(pool, Want::Places(quantity))];
                    let wish = Wish {
                        holder,
                        wants: &wants,
                        until: later(now),
                        print: 7,
                        replaces: &[],
                        around: &[],
                        turn: Turn::default(),
                    };
                    note(Moment::Asked(Operation::Hold(quantity)));
                    match hold(app, &wish, now).await {
                        Ok(_) => {
                            note(Moment::Answered(Answer::Held));
                            held.push((holder, quantity));
                        }
                        Err(refusal) if [Code::SoldOut, Code::SlotTaken].contains(&refusal.code) => {
                            note(Moment::Answered(Answer::SoldOut));
                        }
                        Err(refusal) if refusal.code == Code::Busy => note(Moment::Busy),
                        Err(refusal) => panic!("{refusal:?}"),
                    }
                }
                held.iter().map(|(_, quantity)| quantity).sum::<u32>()
            }));
        }
        let mut held = 0;
        for client in clients {
            held += client.await.unwrap();
        }
        let now = self.app.clock.now();
        let lanes = read(&self.app.db, &pool).await.expect("the lanes");
        let over = lanes.iter().flat_map(|lane| lane.entries.values()).filter(|mark| mark.expired(now));
        let left = lanes.iter().map(|lane| lane.available).sum::<u32>()
            + over.map(|mark| mark.quantity).sum::<u32>();
        let log = log.lock().unwrap().clone();
        (log, held, left)
    }
}

fn later(now: Timestamp) -> Timestamp {
    now + SignedDuration::from_hours(1)
}

fn key(name: &str, seed: u64, number: u32) -> HoldKey {
    let id = PoolId::derive(&[name, &seed.to_string(), &number.to_string()]);
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(id.uuid().as_bytes());
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&id.uuid().as_bytes()[12..]);
    HoldKey::new(&bytes, &hash)
}

/// Chance that can be repeated: SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The same seed throws the same.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `bound` − 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.throw() % bound
    }
}

/// What came of the histories of one kind.
#[derive(Debug, Default)]
pub struct Judged {
    pub histories: usize,
    pub held: usize,
    pub sold_out: usize,
    pub busy: usize,
    /// Those that no counter could have given.
    pub wrong: Vec<(u64, Vec<(usize, Moment)>)>,
    /// Histories after which held and left did not add up.
    pub lost: usize,
}

async fn judge(engine: &Engine, kind: &'static Kind, histories: u64) -> Judged {
    let mut judged = Judged::default();
    let places: u32 = kind.free.iter().map(|(_, free)| free).sum();
    for seed in 0..histories {
        let (history, held, left) = engine.history(kind, seed).await;
        let count = |what: Moment| history.iter().filter(|(_, moment)| *moment == what).count();
        judged.histories += 1;
        judged.held += count(Moment::Answered(Answer::Held));
        judged.sold_out += count(Moment::Answered(Answer::SoldOut));
        judged.busy += count(Moment::Busy);
        judged.lost += usize::from(held + left != places);
        if !is_linearizable(places, &history) {
            judged.wrong.push((seed, history));
        }
    }
    judged
}

fn run(size: Size) -> Vec<(&'static Kind, Judged)> {
    let histories = match size {
        Size::Ci => 40,
        Size::Night => 2_000,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = Engine::start().await;
        let mut all = Vec::new();
        for kind in &KINDS {
            all.push((kind, judge(&engine, kind, histories).await));
        }
        engine.stop().await;
        all
    })
}

/// Runs everything and prints a table; `false` if a history that is judged was wrong.
#[must_use]
pub fn print(size: Size) -> bool {
    println!(
        "| pool | histories | held | sold out | busy | not linearizable | lost places |\n|---|---|---|---|---|---|---|"
    );
    let mut right = true;
    for (kind, judged) in run(size) {
        let Judged { histories, held, sold_out, busy, wrong, lost } = &judged;
        println!("| {} | {histories} | {held} | {sold_out} | {busy} | {} | {lost} |", kind.name, wrong.len());
        right &= *lost == 0 && (kind.split || wrong.is_empty());
        if let Some((seed, history)) = wrong.first() {
            println!("\nseed {seed}:");
            for (client, moment) in history {
                println!("    client {client} {moment:?}");
            }
            println!();
        }
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;
    use Moment::{Answered, Asked};

    #[test]
    fn what_the_engine_did_one_counter_could_have_done() {
        for (kind, judged) in run(Size::Ci) {
            assert_eq!(judged.lost, 0, "{}", kind.name);
            assert!(kind.split || judged.wrong.is_empty(), "{}: {:#?}", kind.name, judged.wrong);
        }
    }

    #[test]
    fn the_last_place_cannot_be_held_twice() {
        let twice = [
            (0, Asked(Operation::Hold(1))),
            (1, Asked(Operation::Hold(1))),
            (0, Answered(Answer::Held)),
            (1, Answered(Answer::Held)),
        ];
        assert!(!is_linearizable(1, &twice) && is_linearizable(2, &twice));
    }

    #[test]
    fn sold_out_is_wrong_when_a_place_was_there_all_along() {
        let one_place = [
            (0, Asked(Operation::Hold(1))),
            (0, Answered(Answer::Held)),
            (0, Asked(Operation::Release(1))),
            (0, Answered(Answer::Released)),
            (1, Asked(Operation::Hold(1))),
            (1, Answered(Answer::SoldOut)),
        ];
        assert!(!is_linearizable(1, &one_place), "the release was over before the question");
        let mut meanwhile = one_place;
        meanwhile.swap(3, 4);
        assert!(is_linearizable(1, &meanwhile), "the release may have come after the answer");
    }

    #[test]
    fn a_busy_answer_is_none() {
        let busy = [
            (0, Asked(Operation::Hold(1))),
            (0, Moment::Busy),
            (1, Asked(Operation::Hold(1))),
            (1, Answered(Answer::Held)),
        ];
        assert!(is_linearizable(1, &busy));
    }

    #[test]
    fn a_remembered_sold_out_is_believed_for_its_second_and_no_longer() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            static KIND: Kind = Kind {
                name: "one place",
                lanes: 1,
                free: &[(0, 1)],
                over: false,
                party: 1,
                split: false,
                of: Of::Places,
            };
            let engine = Engine::start().await;
            let (pool, app, now) = (engine.pool(&KIND, 0).await, engine.fresh(), engine.app.clock.now());
            let take = |number: u32, after_ms: i64| {
                let (app, now) = (app.clone(), now + SignedDuration::from_millis(after_ms));
                async move {
                    let (holder, wants) = (key("buyer", 0, number), [(pool, Want::Places(1))]);
                    let until = later(now);
                    let wish = Wish {
                        holder,
                        wants: &wants,
                        until,
                        print: 7,
                        replaces: &[],
                        around: &[],
                        turn: Turn::default(),
                    };
                    hold(&app, &wish, now).await.map(drop).map_err(|refusal| refusal.code)
                }
            };
            assert_eq!(take(0, 0).await, Ok(()));
            assert_eq!(take(1, 0).await, Err(Code::SoldOut));
            let_go(&app, key("buyer", 0, 0), now).await.unwrap();
            clear(&app, &[pool], key("buyer", 0, 0)).await.unwrap();
            assert_eq!(take(2, 999).await, Err(Code::SoldOut), "within its second");
            assert_eq!(take(2, 1000).await, Ok(()), "after it");
            engine.stop().await;
        });
    }
}
