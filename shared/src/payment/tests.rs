//! What a payment must come to, whatever is reported in whatever order.

use super::ledger::{Account, Entry, Revenue, RevenueBy, revenue};
use super::refund::{Back, New, Progress, RefundFact, Wanted, Why};
use super::*;
use crate::booking::Item;
use crate::id::{EventId, GuestId, OfferId};
use crate::message::Message;
use proptest::prelude::*;
use std::collections::BTreeMap;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(super) fn euros(amount: i64) -> Money {
    Money::new(amount, "EUR".parse().unwrap())
}

fn part(name: &str, gross: i64, tax: i64) -> Part {
    let item = (name != "fee").then(|| Item::Offer(OfferId::derive(&[name])));
    Part { item, name: name.into(), gross, tax, rate: (tax > 0).then(|| "VAT 19 %".into()) }
}

pub(super) fn payment(state: State) -> Payment {
    let order = OrderId::derive(&["o"]);
    Payment {
        id: Payment::id_of(order, Provider::Stripe),
        order,
        organisation: OrganisationId::derive(&["org"]),
        subject: Subject::Event(EventId::derive(&["e"])),
        buyer: Buyer::Guest(GuestId::derive(&["g"])),
        provider: Provider::Stripe,
        amount: euros(2500),
        credit: None,
        parts: vec![part("a", 1500, 240), part("b", 900, 0), part("fee", 100, 16)],
        borne: Some(euros(30)),
        intent: Some(Intent { id: "pi_1".into(), client_secret: Some("s".into()) }),
        charge: None,
        state,
        declined: None,
        promise: None,
        receipts: Vec::new(),
        refunds: Vec::new(),
        waits: None,
        created: at(0),
    }
}

const fn states() -> [fn() -> State; 4] {
    [
        || State::Open,
        || State::Authorized { at: at(0) },
        || State::Captured { at: at(0) },
        || State::Voided { at: at(0) },
    ]
}

fn captured() -> Payment {
    payment(State::Captured { at: at(0) })
}

fn refund_id(name: &str) -> RefundId {
    RefundId::derive(&[name])
}

fn owe(payment: &Payment, name: &str, wanted: Wanted) -> Result<Payment> {
    let new = New { id: refund_id(name), wanted, why: Why::Seller, reason: None, by: None, print: None };
    Ok(payment.owe(new, at(1))?.map_or_else(|| payment.clone(), |(next, _)| next))
}

fn refunded(name: &str, attempt: u32, amount: i64, progress: Progress) -> Fact {
    let ours = Some((refund_id(name), attempt));
    Fact::Refund(RefundFact { id: format!("re_{name}_{attempt}"), ours, amount: euros(amount), progress })
}

fn failed() -> Progress {
    Progress::Failed { code: "expired_or_canceled_card".into() }
}

fn words(told: &[Message]) -> Vec<String> {
    let word = |told| serde_json::to_value(told).unwrap()["type"].as_str().unwrap().to_owned();
    told.iter().map(word).collect()
}

/// Every state × every report: the state it leads to and what is told; `None` is "nothing new".
#[test]
fn the_grid_of_reports() {
    let facts = [
        Fact::Authorized { amount: euros(2500), charge: None },
        Fact::Captured { charge: None },
        Fact::Cancelled,
    ];
    let (authorized, captured, voided) =
        ("payment.authorized.v1", "payment.captured.v1", "payment.voided.v1");
    type Next = Option<(Status, Vec<&'static str>)>;
    let expected: [[Next; 3]; 4] = [
        [
            Some((Status::Authorized, vec![authorized])),
            Some((Status::Captured, vec![authorized, captured])),
            Some((Status::Voided, vec![voided])),
        ],
        [None, Some((Status::Captured, vec![captured])), Some((Status::Voided, vec![voided]))],
        [None, None, None],
        [None, Some((Status::Captured, vec![captured])), None],
    ];
    for (state, row) in states().into_iter().zip(expected) {
        for (fact, expected) in facts.iter().zip(row) {
            let next = payment(state()).learn(fact, at(1)).unwrap();
            let expected =
                expected.map(|(status, told)| (status, told.into_iter().map(str::to_owned).collect()));
            assert_eq!(
                next.map(|(next, told)| (next.status(), words(&told))),
                expected,
                "{:?} + {fact:?}",
                state()
            );
        }
    }
}

/// Every state × every fate.
#[test]
fn the_grid_of_fates() {
    let (all, half, nothing) =
        (euros(2500), Fate::Gone { back: Some(euros(1250)) }, Fate::Gone { back: Some(euros(0)) });
    let fates = [Fate::Confirmed, Fate::Gone { back: None }, half, nothing];
    let expected = [
        [None, Some(Act::Void), Some(Act::Void), Some(Act::Void)],
        [Some(Act::Capture), Some(Act::Void), Some(Act::Capture), Some(Act::Capture)],
        [None, Some(Act::Owe(all)), Some(Act::Owe(euros(1250))), None],
        [None, None, None, None],
    ];
    for (state, row) in states().into_iter().zip(expected) {
        for (fate, expected) in fates.into_iter().zip(row) {
            assert_eq!(payment(state()).follow(fate), expected, "{:?} {fate:?}", state());
        }
    }
    // Once owed, it is not owed again; and never more than is left.
    let owed = captured().owe_for_booking(all, at(1)).unwrap().unwrap().0;
    assert_eq!(owed.follow(Fate::Gone { back: None }), None);
    let partly = owe(&captured(), "gift", Wanted::Amount(euros(2000))).unwrap();
    assert_eq!(partly.follow(Fate::Gone { back: None }), Some(Act::Owe(euros(500))));
    let all_given = owe(&captured(), "gift", Wanted::Amount(all)).unwrap();
    assert_eq!(all_given.follow(Fate::Gone { back: None }), None);
}

#[test]
fn a_decline_is_noted_while_open_and_forgotten_once_paid() {
    let declined = Fact::Declined { code: "card_declined".into() };
    let (open, told) = payment(State::Open).learn(&declined, at(1)).unwrap().unwrap();
    assert_eq!((open.state, open.declined.as_deref(), told.len()), (State::Open, Some("card_declined"), 0));
    assert_eq!(open.learn(&declined, at(2)).unwrap(), None);
    assert_eq!(open.learn(&Fact::Captured { charge: None }, at(2)).unwrap().unwrap().0.declined, None);
    assert_eq!(captured().learn(&declined, at(1)).unwrap(), None);
}

#[test]
fn another_amount_than_asked_for_is_an_alarm() {
    let fact = Fact::Authorized { amount: euros(1), charge: None };
    assert_eq!(payment(State::Open).learn(&fact, at(1)).unwrap_err(), Code::Internal);
}

#[test]
fn nothing_is_owed_that_was_not_taken_and_never_more_than_that() {
    for state in [State::Open, State::Authorized { at: at(0) }, State::Voided { at: at(0) }] {
        let refusal = owe(&payment(state), "x", Wanted::Amount(euros(1))).unwrap_err();
        assert_eq!(refusal, Code::WrongState, "{state:?}");
    }
    let some = owe(&captured(), "one", Wanted::Amount(euros(1000))).unwrap();
    assert_eq!(owe(&some, "one", Wanted::Amount(euros(1500))).unwrap(), some, "the same id again");
    let refusal = owe(&some, "two", Wanted::Amount(euros(1501))).unwrap_err();
    assert_eq!((refusal.code, &refusal.extra["remaining"]["amount"]), (Code::RefundTooLarge, &1500.into()));
    let rest = owe(&some, "two", Wanted::Amount(euros(1500))).unwrap();
    assert_eq!((rest.remaining(), rest.rests()), (euros(0), vec![0, 0, 0]));
    assert_eq!(owe(&rest, "three", Wanted::Amount(euros(1))).unwrap_err(), Code::RefundTooLarge);
    let yen = Money::new(1, "JPY".parse().unwrap());
    for bad in
        [Wanted::Amount(yen), Wanted::Amount(euros(0)), Wanted::Parts(vec![]), Wanted::Parts(vec![(3, 1)])]
    {
        assert_eq!(owe(&captured(), "x", bad).unwrap_err(), Code::InvalidInput);
    }
    let indian = Payment { provider: Provider::Razorpay, ..captured() };
    assert_eq!(owe(&indian, "x", Wanted::Amount(euros(99))).unwrap_err(), Code::InvalidInput);
    assert!(owe(&indian, "x", Wanted::Amount(euros(100))).is_ok());
    let line = |amount| Wanted::Parts(vec![(1, amount)]);
    assert_eq!(owe(&captured(), "x", line(901)).unwrap_err(), Code::RefundTooLarge);
    let twice = Wanted::Parts(vec![(0, 700), (1, 1), (0, 50)]);
    let backs = owe(&captured(), "x", twice).unwrap().refunds[0].backs.clone();
    assert_eq!(backs, [Back { part: 0, gross: 750, tax: 120 }, Back { part: 1, gross: 1, tax: 0 }]);
    let mut many = captured();
    for n in 0..refund::MAX_REFUNDS {
        many = owe(&many, &n.to_string(), Wanted::Amount(euros(1))).unwrap();
    }
    assert_eq!(owe(&many, "more", Wanted::Amount(euros(1))).unwrap_err(), Code::WrongState);
}

#[test]
fn a_refund_fails_is_asked_for_again_and_old_news_of_it_says_nothing() {
    let owed = owe(&captured(), "r", Wanted::Amount(euros(2500))).unwrap();
    assert!(owed.owes());
    let (pending, told) = owed.learn(&refunded("r", 1, 2500, Progress::Pending), at(2)).unwrap().unwrap();
    assert!(told.is_empty());
    let (done, told) = pending.learn(&refunded("r", 1, 2500, Progress::Done), at(3)).unwrap().unwrap();
    assert_eq!(words(&told), ["payment.refund_done.v1", "payment.refunded.v1"]);
    assert_eq!(
        (done.status(), done.owes(), done.retry(refund_id("r")).unwrap()),
        (Status::Refunded, false, None)
    );
    assert_eq!(done.learn(&refunded("r", 1, 2500, Progress::Pending), at(4)).unwrap(), None);
    // Days later the bank sends it back.
    let (back, told) = done.learn(&refunded("r", 1, 2500, failed()), at(5)).unwrap().unwrap();
    assert!(matches!(told[..], [Message::RefundFailed { was_done: true, .. }]));
    assert_eq!((back.status(), back.owes()), (Status::Captured, true));
    let (again, told) = back.retry(refund_id("r")).unwrap().unwrap();
    assert!(matches!(told[..], [Message::RefundDue { attempt: 2, .. }]));
    for old in [Progress::Pending, Progress::Done, failed()] {
        assert_eq!(again.learn(&refunded("r", 1, 2500, old), at(6)).unwrap(), None);
    }
    let (done, _) = again.learn(&refunded("r", 2, 2500, Progress::Done), at(7)).unwrap().unwrap();
    assert_eq!(done.status(), Status::Refunded);
    assert_eq!(captured().retry(refund_id("none")).unwrap_err(), Code::NotFound);
}

#[test]
fn what_somebody_refunds_at_the_provider_is_known_once_its_payment_is() {
    let foreign = |amount, progress| {
        Fact::Refund(RefundFact { id: "re_hand".into(), ours: None, amount: euros(amount), progress })
    };
    assert_eq!(
        payment(State::Open).learn(&foreign(100, Progress::Done), at(1)).unwrap_err(),
        Code::Unavailable
    );
    assert_eq!(
        payment(State::Voided { at: at(0) }).learn(&foreign(2500, Progress::Done), at(1)).unwrap(),
        None
    );
    let (known, told) = captured().learn(&foreign(100, Progress::Done), at(1)).unwrap().unwrap();
    assert_eq!(
        (known.refunds[0].why, known.remaining(), words(&told).len()),
        (Why::Provider, euros(2400), 1)
    );
    assert_eq!(known.learn(&foreign(100, Progress::Done), at(2)).unwrap(), None);
    let (back, _) = known.learn(&foreign(100, failed()), at(3)).unwrap().unwrap();
    assert_eq!(back.learn(&foreign(100, failed()), at(4)).unwrap(), None);
    // Ours is owed already: more than that cannot be of anything that is left.
    let owed = owe(&captured(), "r", Wanted::Amount(euros(2500))).unwrap();
    let (both, _) = owed.learn(&foreign(2500, Progress::Done), at(1)).unwrap().unwrap();
    assert_eq!((both.status(), both.owes(), both.refunds[1].backs.len()), (Status::Refunded, false, 0));
    let entry = Entry::refunded(&both, &both.refunds[1], 1, false, at(1)).unwrap();
    assert!(
        entry.postings.iter().any(|posting| posting.account == Account::Suspense && posting.amount == 2500)
    );
}

#[test]
fn our_own_refund_tells_that_the_money_was_taken() {
    let owed = owe(&captured(), "r", Wanted::Amount(euros(2500))).unwrap();
    let forgotten = Payment { state: State::Authorized { at: at(0) }, ..owed };
    let (known, told) = forgotten.learn(&refunded("r", 1, 2500, Progress::Pending), at(1)).unwrap().unwrap();
    assert_eq!((known.status(), words(&told)), (Status::Captured, vec!["payment.captured.v1".to_owned()]));
}

#[test]
fn a_captured_payment_is_for_sales_fees_and_taxes_and_the_report_says_so() {
    let entry = Entry::captured(&captured(), at(0)).unwrap();
    let of = |account: &Account| {
        entry
            .postings
            .iter()
            .filter(|posting| posting.account == *account)
            .map(|posting| posting.amount)
            .sum::<i64>()
    };
    assert_eq!(of(&Account::Provider(Provider::Stripe)), 2500);
    assert_eq!((of(&Account::Sales), of(&Account::Fees)), (-1260 - 900, -84));
    assert_eq!(
        (of(&Account::Tax("VAT 19 %".into())), of(&Account::FeesBorne), of(&Account::FeesOwed)),
        (-256, 30, -30)
    );
    let wrong = Payment { parts: vec![], borne: None, ..captured() };
    let suspense = Entry::captured(&wrong, at(0)).unwrap();
    assert_eq!(suspense.postings[1].account, Account::Suspense);

    let back = owe(&captured(), "r", Wanted::Parts(vec![(1, 900)])).unwrap();
    let gone = Entry::refunded(&back, &back.refunds[0], 1, false, at(90_000)).unwrap();
    let report = |by| {
        let mut sums = BTreeMap::new();
        for entry in [&entry, &gone] {
            revenue(&mut sums, entry, by, &jiff::tz::TimeZone::UTC);
        }
        sums.into_iter().map(|((key, _), sum)| (key, sum)).collect::<Vec<_>>()
    };
    let all = Revenue {
        payments: 1,
        refunds: 1,
        paid: 2500,
        refunded: 900,
        sales: 1260,
        fees: 84,
        taxes: 256,
        borne: 30,
    };
    assert_eq!(report(RevenueBy::Provider), [("stripe".to_owned(), all)]);
    assert_eq!(
        report(RevenueBy::Day).iter().map(|(day, _)| day.as_str()).collect::<Vec<_>>(),
        ["2027-01-15", "2027-01-16"]
    );
    let items = report(RevenueBy::Item);
    assert_eq!(items.iter().map(|(_, sum)| sum.sales).sum::<i64>(), 1260);
    assert!(items.iter().any(|(key, sum)| key == "fees" && sum.fees == 84));
}

/// One thing that happens to a payment.
#[derive(Clone, Debug)]
enum Step {
    Learn(Fact),
    Owe(&'static str, i64),
    Retry(&'static str),
}

fn steps() -> impl Strategy<Value = Step> {
    let names = prop::sample::select(vec!["x", "y", "z"]);
    let progress = prop_oneof![Just(Progress::Pending), Just(Progress::Done), Just(failed())];
    prop_oneof![
        Just(Step::Learn(Fact::Authorized { amount: euros(2500), charge: None })),
        Just(Step::Learn(Fact::Captured { charge: None })),
        Just(Step::Learn(Fact::Cancelled)),
        (names.clone(), 1i64..3000).prop_map(|(name, amount)| Step::Owe(name, amount)),
        names.clone().prop_map(Step::Retry),
        (names, 1u32..3, progress)
            .prop_map(|(name, attempt, progress)| Step::Learn(refunded(name, attempt, 0, progress))),
    ]
}

proptest! {
    /// Whatever happens in whatever order: never is more owed than was taken, the books sum to zero at every step and say what the
    /// provider has, nothing is told twice, and however many refunds it took, at the end exactly the tax that was paid went back.
    #[test]
    fn money_is_always_right(steps in prop::collection::vec(steps(), 0..40)) {
        let mut payment = payment(State::Open);
        let mut told = Vec::new();
        let mut books: BTreeMap<String, i64> = BTreeMap::new();
        for step in steps {
            let next = match step {
                // Nobody asked for it yet.
                Step::Learn(Fact::Refund(RefundFact { ours: Some((id, _)), .. })) if payment.refund(id).is_none() => continue,
                Step::Learn(Fact::Refund(fact)) => {
                    let amount = payment.refund(fact.ours.unwrap().0).unwrap().amount;
                    payment.learn(&Fact::Refund(RefundFact { amount, ..fact }), at(1)).unwrap()
                }
                Step::Learn(fact) => payment.learn(&fact, at(1)).unwrap(),
                Step::Owe(name, amount) => {
                    let wanted = Wanted::Amount(euros(amount));
                    let new = New { id: refund_id(name), wanted, why: Why::Seller, reason: None, by: None, print: None };
                    payment.owe(new, at(1)).unwrap_or(None)
                }
                Step::Retry(name) => payment.retry(refund_id(name)).unwrap_or(None),
            };
            let Some((next, messages)) = next else { continue };
            payment = next;
            for message in messages {
                let refunded = |refund: &RefundId, attempt: &u32, returned| {
                    Entry::refunded(&payment, payment.refund(*refund).unwrap(), *attempt, returned, at(1)).unwrap()
                };
                let entry = if let Message::PaymentCaptured { .. } = &message {
                    Some(Entry::captured(&payment, at(1)).unwrap())
                } else if let Message::RefundDone { refund, attempt, .. } = &message {
                    Some(refunded(refund, attempt, false))
                } else if let Message::RefundFailed { refund, attempt, was_done: true, .. } = &message {
                    Some(refunded(refund, attempt, true))
                } else {
                    None
                };
                for posting in entry.iter().flat_map(|entry| &entry.postings) {
                    *books.entry(format!("{:?}", posting.account)).or_default() += posting.amount;
                }
                let all_went_back = matches!(message, Message::PaymentRefunded { .. });
                prop_assert!(all_went_back || !told.contains(&message), "{message:?} twice");
                told.push(message);
            }
            prop_assert_eq!(books.values().sum::<i64>(), 0);
            prop_assert!(payment.remaining().amount >= 0 && payment.rests().iter().all(|rest| *rest >= 0));
            let at_provider = books.get("Provider(Stripe)").copied().unwrap_or_default();
            let captured = if matches!(payment.state, State::Captured { .. }) { payment.amount.amount } else { 0 };
            prop_assert_eq!(at_provider, captured - payment.refunded().amount);
        }
        if payment.status() == Status::Refunded {
            let tax: i64 = payment.refunds.iter().flat_map(|refund| &refund.backs).map(|back| back.tax).sum();
            prop_assert_eq!(tax, payment.parts.iter().map(|part| part.tax).sum::<i64>());
            let left: Vec<_> = books.iter().filter(|(_, amount)| **amount != 0).collect();
            prop_assert_eq!(left.len(), 2, "what the seller bears is all that stays: {:?}", left);
        }
    }
}
