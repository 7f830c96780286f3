//! The circuit of a provider: it is asked while it answers, and after a row of failures it is not, until one caller has found that it
//! answers again.
//!
//! | state | who may call | ends with |
//! |---|---|---|
//! | closed | everybody | a failure |
//! | failing | everybody | a call that works, or the [`LIMIT`]th failure in a row |
//! | open | nobody, until its pause is over | one who writes that they probe |
//! | probing | that one | their answer; or their lease, if they died |
//!
//! All functions of a deployment share it, because each lives shortly and has one call at a time. Only failures that say that the
//! provider is in no state to answer count, wherever they come from: what it answers, be it a refusal, shows that it is there.
//! Whoever is told by a write that somebody was faster believes what is there.

use super::Provider;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// So many failures in a row open it: of two buyers, each of whom has three tries.
pub const LIMIT: u32 = 5;
/// A failure so long after the one before is the first of another row.
const FORGET: SignedDuration = SignedDuration::from_mins(10);
/// It is not asked for so long; each time that it fails again, for twice as long.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(10);
/// But never for longer than this.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
/// Who probes has so long: a call has eight seconds, and a function's life 25.
pub const LEASE: SignedDuration = SignedDuration::from_secs(15);

/// Where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// It answers.
    Closed,
    /// It has failed, but not often enough.
    Failing {
        /// How often in a row.
        failures: u32,
        /// The last time.
        last: Timestamp,
    },
    /// It is not asked.
    Open {
        /// Until then.
        until: Timestamp,
        /// For the how-many-th time in a row.
        pauses: u32,
    },
    /// One caller tries whether it answers.
    Probing {
        /// Until then; whoever comes later takes their place.
        until: Timestamp,
        /// After so many pauses.
        pauses: u32,
    },
}

/// A provider's circuit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Circuit {
    /// Whose.
    pub provider: Provider,
    /// Where it stands.
    pub state: State,
}

/// Whether a caller may call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission {
    /// Like everybody else.
    Call,
    /// As the only one, if they can write this first.
    Probe(Circuit),
    /// Not before then.
    Wait {
        /// When it is worth asking again.
        until: Timestamp,
    },
}

fn pause(pauses: u32) -> SignedDuration {
    let doubled = FIRST_PAUSE.as_secs() << pauses.saturating_sub(1).min(10);
    SignedDuration::from_secs(doubled).min(LONGEST_PAUSE)
}

impl Circuit {
    /// One of a provider that has never failed.
    #[must_use]
    pub const fn new(provider: Provider) -> Self {
        Self { provider, state: State::Closed }
    }

    const fn with(&self, state: State) -> Self {
        Self { provider: self.provider, state }
    }

    /// Whether the provider is in service.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        match self.state {
            State::Closed | State::Failing { .. } => true,
            State::Open { .. } | State::Probing { .. } => false,
        }
    }

    /// Whether a call may be made.
    #[must_use]
    pub fn admit(&self, now: Timestamp) -> Admission {
        match self.state {
            State::Closed | State::Failing { .. } => Admission::Call,
            State::Open { until, .. } | State::Probing { until, .. } if now < until => {
                Admission::Wait { until }
            }
            State::Open { pauses, .. } | State::Probing { pauses, .. } => {
                Admission::Probe(self.with(State::Probing { until: now + LEASE, pauses }))
            }
        }
    }

    /// What a call that failed makes of it. Nothing once it is open: those that were under way then are told nothing new by.
    #[must_use]
    pub fn failed(&self, now: Timestamp) -> Option<Self> {
        let failures = match self.state {
            State::Closed => 1,
            State::Failing { last, .. } if now > last + FORGET => 1,
            State::Failing { failures, .. } => failures + 1,
            State::Open { .. } | State::Probing { .. } => return None,
        };
        Some(self.with(if failures >= LIMIT {
            State::Open { until: now + pause(1), pauses: 1 }
        } else {
            State::Failing { failures, last: now }
        }))
    }

    /// What a call that worked makes of it. Nothing once it is open: one that was under way then may have been lucky.
    #[must_use]
    pub const fn worked(&self) -> Option<Self> {
        match self.state {
            State::Failing { .. } => Some(self.with(State::Closed)),
            State::Closed | State::Open { .. } | State::Probing { .. } => None,
        }
    }

    /// What the answer to a probe makes of it, by who still has the lease.
    #[must_use]
    pub fn probed(&self, worked: bool, now: Timestamp) -> Option<Self> {
        match (self.state, worked) {
            (State::Probing { .. }, true) => Some(self.with(State::Closed)),
            (State::Probing { pauses, .. }, false) => {
                let pauses = pauses.saturating_add(1);
                Some(self.with(State::Open { until: now + pause(pauses), pauses }))
            }
            (State::Closed | State::Failing { .. } | State::Open { .. }, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn of(state: State) -> Circuit {
        Circuit { provider: Provider::Stripe, state }
    }

    /// Every state by every happening, at an instant before and after what it waits for.
    #[test]
    fn the_grid() {
        let failing = |failures, last| State::Failing { failures, last: at(last) };
        let open = |until, pauses| State::Open { until: at(until), pauses };
        let probing = |until, pauses| State::Probing { until: at(until), pauses };
        let next = |circuit: Option<Circuit>| circuit.map(|circuit| circuit.state);
        let (now, same) = (at(100), None);
        // In a state: what a failure, a success, a probe that worked and one that failed make of it.
        let grid = [
            (State::Closed, [Some(failing(1, 100)), same, same, same]),
            (failing(1, 90), [Some(failing(2, 100)), Some(State::Closed), same, same]),
            (failing(4, 90), [Some(open(110, 1)), Some(State::Closed), same, same]),
            (failing(4, -501), [Some(failing(1, 100)), Some(State::Closed), same, same]),
            (open(101, 1), [same; 4]),
            (open(100, 1), [same; 4]),
            (probing(101, 1), [same, same, Some(State::Closed), Some(open(120, 2))]),
            (probing(90, 3), [same, same, Some(State::Closed), Some(open(180, 4))]),
        ];
        for (state, expected) in grid {
            let circuit = of(state);
            let found = [
                circuit.failed(now),
                circuit.worked(),
                circuit.probed(true, now),
                circuit.probed(false, now),
            ];
            assert_eq!(found.map(next), expected, "{state:?}");
        }
        for state in [State::Closed, failing(4, 0)] {
            assert_eq!((of(state).admit(now), of(state).is_closed()), (Admission::Call, true));
        }
        for (state, admission) in [
            (open(101, 2), Admission::Wait { until: at(101) }),
            (probing(101, 2), Admission::Wait { until: at(101) }),
            (open(100, 2), Admission::Probe(of(probing(115, 2)))),
            (probing(100, 2), Admission::Probe(of(probing(115, 2)))),
        ] {
            assert_eq!((of(state).admit(now), of(state).is_closed()), (admission, false), "{state:?}");
        }
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let seconds: Vec<_> = [0, 1, 2, 3, 4, 5, 6, 7, u32::MAX].map(|n| pause(n).as_secs()).to_vec();
        assert_eq!(seconds, [10, 10, 20, 40, 80, 160, 300, 300, 300]);
    }

    /// A caller on the way, and with which version it may report.
    #[derive(Clone, Copy)]
    enum Under {
        Call,
        Probe(u64),
    }

    proptest! {
        /// Callers who begin, answer and die in any order, each write on condition of the version it has seen.
        #[test]
        fn nobody_calls_an_open_one_but_a_single_probe_and_a_provider_that_answers_is_found(
            steps in prop::collection::vec((0u8..6, 0usize..8, 0i64..40), 1..200),
        ) {
            let (mut circuit, mut version, mut now) = (Circuit::new(Provider::Razorpay), 0u64, 0);
            let mut under: Vec<Under> = Vec::new();
            let put = |next: Option<Circuit>, circuit: &mut Circuit, version: &mut u64| {
                if let Some(next) = next {
                    (*circuit, *version) = (next, *version + 1);
                }
            };
            for (what, who, pass) in steps {
                now += pass;
                match what {
                    0 | 1 => match circuit.admit(at(now)) {
                        Admission::Call => {
                            prop_assert!(circuit.is_closed());
                            under.push(Under::Call);
                        }
                        Admission::Probe(next) => {
                            put(Some(next), &mut circuit, &mut version);
                            under.push(Under::Probe(version));
                            // Whoever asks at the same instant waits, and not for longer than the lease.
                            match circuit.admit(at(now)) {
                                Admission::Wait { until } => prop_assert!(until <= at(now) + LEASE),
                                other => prop_assert!(false, "{other:?}"),
                            }
                        }
                        Admission::Wait { until } => {
                            prop_assert!(!circuit.is_closed());
                            prop_assert!(until > at(now) && until <= at(now) + LONGEST_PAUSE);
                        }
                    },
                    // One of those who are on the way dies, is answered, or is not.
                    _ if under.is_empty() => {}
                    2 => drop(under.swap_remove(who % under.len())),
                    _ => match (under.swap_remove(who % under.len()), what == 3) {
                        (Under::Call, true) => put(circuit.worked(), &mut circuit, &mut version),
                        (Under::Call, false) => put(circuit.failed(at(now)), &mut circuit, &mut version),
                        // Only with the version that it wrote.
                        (Under::Probe(held), worked) if held == version => {
                            put(circuit.probed(worked, at(now)), &mut circuit, &mut version);
                            prop_assert_eq!(circuit.is_closed(), worked);
                        }
                        (Under::Probe(_), _) => {}
                    },
                }
                let live = under.iter().filter(|one| matches!(one, Under::Probe(held) if *held == version));
                prop_assert!(live.count() <= 1);
            }
            // Whatever happened: after the longest pause one may try, and if it is answered all may.
            now += LONGEST_PAUSE.as_secs();
            if let Admission::Probe(next) = circuit.admit(at(now)) {
                circuit = next.probed(true, at(now)).unwrap();
            }
            prop_assert_eq!(circuit.admit(at(now)), Admission::Call);
        }
    }
}
