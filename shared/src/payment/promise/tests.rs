use super::*;
use crate::payment::ledger::{Account, Entry};
use crate::payment::refund::{New, Wanted, Why};
use crate::payment::store::ByHand;
use crate::payment::tests::{at, euros, payment};
use crate::payment::{Act, Fact, Fate, Status};
use proptest::prelude::*;

fn account() -> BankAccount {
    let holder = Text::parse("Kulturhaus GmbH").unwrap();
    BankAccount { holder, iban: "DE89370400440532013000".parse().unwrap(), bic: None }
}

fn terms() -> PromiseTerms {
    PromiseTerms { within: 168, before: 48, grace: 24, remind: Some(24) }
}

fn hours(hours: i64) -> Timestamp {
    at(hours * 3600)
}

fn by() -> Actor {
    Actor::Account(crate::id::AccountId::derive(&["cashier"]))
}

/// 25 euros, promised at 0, due after a week, waited for a day longer.
fn promised() -> Payment {
    let promise = terms().promise(PayTo::Account(account()), None, at(0)).unwrap();
    let open = Payment { provider: Provider::Transfer, ..payment(State::Open) };
    open.promised(promise, at(0)).unwrap().0
}

fn told(way: Way, id: &str, amount: i64) -> Receipt {
    Receipt { id: id.into(), way, amount: euros(amount), booked: None, note: None, by: by(), at: at(1) }
}

fn receive(payment: &Payment, id: &str, amount: i64) -> (Payment, Vec<Message>) {
    payment.receive(told(Way::In, id, amount), at(1)).unwrap().unwrap()
}

#[test]
fn it_is_due_in_time_for_what_it_pays_and_whoever_is_too_late_hears_so() {
    let pay = || PayTo::Account(account());
    let week = terms().promise(pay(), None, at(0)).unwrap();
    assert_eq!((week.due, week.until, week.remind), (hours(168), hours(192), Some(hours(144))));
    assert_eq!(week.wakes(), hours(144));
    let soon = terms().promise(pay(), Some(hours(60)), at(0)).unwrap();
    assert_eq!((soon.due, soon.until, soon.remind), (hours(12), hours(36), None), "no time to remind of it");
    assert_eq!(soon.wakes(), hours(36));
    assert!(terms().promise(pay(), Some(hours(49)), at(0)).is_ok());
    assert_eq!(terms().promise(pay(), Some(hours(48)), at(0)).unwrap_err(), Code::WrongState);
}

#[test]
fn means_have_bounds_and_are_offered_when_they_are_said() {
    let transfer = Some(TransferMeans { account: account(), terms: terms() });
    let bad = PromiseTerms { within: 0, before: 2161, grace: 721, remind: Some(0) };
    let cash = Some(CashMeans { place: Text::parse("At the door").unwrap(), terms: bad });
    let means = PaymentMeans { transfer, cash: cash.clone() };
    let faults = means.check().unwrap_err().faults;
    assert_eq!(faults.len(), 4);
    assert_eq!(faults[0].pointer, "/cash/terms/within");
    assert_eq!(means.offered().collect::<Vec<_>>(), [Provider::Transfer, Provider::Cash]);
    let only = PaymentMeans { transfer: None, cash };
    assert_eq!(only.promise(Provider::Transfer, None, at(0)).unwrap(), None);
    for provider in [Provider::Stripe, Provider::Razorpay] {
        assert_eq!(means.promise(provider, None, at(0)).unwrap(), None);
    }
    assert!(PaymentMeans::default().check().is_ok());
}

#[test]
fn a_promise_reserves_and_is_made_once() {
    let promise = promised().promise.unwrap();
    for state in [State::Authorized { at: at(0) }, State::Captured { at: at(0) }, State::Voided { at: at(0) }]
    {
        assert_eq!(payment(state).promised(promise.clone(), at(1)), None);
    }
    let (next, messages) = payment(State::Open).promised(promise.clone(), at(0)).unwrap();
    assert_eq!((next.status(), next.outstanding()), (Status::Promised, euros(2500)));
    assert!(matches!(messages[..], [Message::PaymentPromised { until, .. }] if until == promise.until));
}

/// Nobody can take it; and what has not come is not waited for once its places are gone.
#[test]
fn what_follows_of_its_bookings_fate() {
    assert_eq!(promised().follow(Fate::Confirmed), None);
    for back in [None, Some(euros(1000)), Some(euros(0))] {
        assert_eq!(promised().follow(Fate::Gone { back }), Some(Act::Void));
    }
    let paid = receive(&promised(), "all", 2500).0;
    assert_eq!(paid.follow(Fate::Gone { back: Some(euros(1000)) }), Some(Act::Owe(euros(1000))));
}

#[test]
fn enough_in_parts_takes_it_and_the_rest_is_over() {
    let (some, told) = receive(&promised(), "one", 1000);
    assert!(matches!(told[..], [Message::ReceiptNoted { .. }]));
    assert_eq!(
        (some.status(), some.outstanding(), some.surplus()),
        (Status::Promised, euros(1500), euros(0))
    );
    assert_eq!(some.receive(self::told(Way::In, "one", 1000), at(2)).unwrap(), None, "told again");
    assert_eq!(some.receive(self::told(Way::In, "one", 999), at(2)).unwrap_err(), Code::KeyReused);
    assert_eq!(some.receive(self::told(Way::Out, "back", 1), at(2)).unwrap_err(), Code::RefundTooLarge);
    let (all, told) = receive(&some, "two", 1700);
    assert!(matches!(
        told[..],
        [Message::ReceiptNoted { .. }, Message::PaymentReceived { .. }, Message::PaymentCaptured { .. }]
    ));
    assert_eq!(
        (all.status(), all.surplus(), all.by_hand()),
        (Status::Captured, euros(200), Some(ByHand::Owed))
    );
    let (back, _) = all.receive(self::told(Way::Out, "back", 200), at(3)).unwrap().unwrap();
    assert_eq!((back.surplus(), back.by_hand()), (euros(0), None));
    let (more, told) = receive(&back, "three", 1);
    assert_eq!((more.status(), more.surplus(), told.len()), (Status::Captured, euros(1), 1), "captured once");
}

#[test]
fn what_is_wrong_is_refused() {
    let yen = Receipt { amount: Money::new(1, "JPY".parse().unwrap()), ..told(Way::In, "x", 1) };
    assert_eq!(promised().receive(yen, at(1)).unwrap_err(), Code::InvalidInput);
    assert_eq!(promised().receive(told(Way::In, "x", 0), at(1)).unwrap_err(), Code::InvalidInput);
    let card = payment(State::Captured { at: at(0) });
    assert_eq!(card.receive(told(Way::In, "x", 1), at(1)).unwrap_err(), Code::WrongState);
    let many = (0..MAX_RECEIPTS).fold(promised(), |known, nth| receive(&known, &nth.to_string(), 1).0);
    assert_eq!(many.receive(told(Way::In, "x", 1), at(1)).unwrap_err(), Code::WrongState);
}

#[test]
fn its_buyer_is_reminded_once_and_then_it_is_let_go() {
    let known = promised();
    assert_eq!(known.wake(hours(143)).unwrap(), None);
    let (reminded, told) = known.wake(hours(144)).unwrap().unwrap();
    assert!(matches!(told[..], [Message::PaymentReminderDue { .. }]));
    assert_eq!(reminded.wake(hours(191)).unwrap(), None, "once");
    for broken in [&known, &reminded] {
        let (gone, told) = broken.wake(hours(192)).unwrap().unwrap();
        assert_eq!(gone.status(), Status::Voided);
        assert!(matches!(told[..], [Message::PaymentVoided { .. }]));
        assert_eq!(gone.wake(hours(500)).unwrap(), None);
    }
    assert_eq!(receive(&known, "all", 2500).0.wake(hours(192)).unwrap(), None);
}

/// Never a place again: what comes too late goes back, all of it as a refund, a part of it as what is over.
#[test]
fn money_that_comes_after_that_goes_back() {
    let gone = promised().wake(hours(192)).unwrap().unwrap().0;
    let (part, told) = receive(&gone, "part", 1000);
    assert_eq!((part.status(), part.surplus(), told.len()), (Status::Voided, euros(1000), 1));
    assert_eq!(part.by_hand(), Some(ByHand::Owed));
    let (all, told) = receive(&part, "rest", 1500);
    assert!(matches!(told[..], [Message::ReceiptNoted { .. }, Message::PaymentCaptured { .. }]));
    assert_eq!((all.status(), all.surplus()), (Status::Captured, euros(0)));
    assert_eq!(all.follow(Fate::Gone { back: None }), Some(Act::Owe(euros(2500))));
}

#[test]
fn a_refund_is_made_by_hand_and_said_once() {
    let paid = receive(&promised(), "all", 2500).0;
    let id = RefundId::derive(&["r"]);
    let new =
        New { id, wanted: Wanted::Amount(euros(500)), why: Why::Seller, reason: None, by: None, print: None };
    let owed = paid.owe(new, at(2)).unwrap().unwrap().0;
    assert_eq!(owed.by_hand(), Some(ByHand::Owed));
    let (made, told) = owed.refund_made(id, "line 7", at(3)).unwrap().unwrap();
    assert!(matches!(told[..], [Message::RefundDone { .. }]));
    assert_eq!((made.status(), made.by_hand()), (Status::PartlyRefunded, None));
    assert_eq!(made.refund_made(id, "line 8", at(4)).unwrap(), None);
    assert_eq!(owed.refund_made(RefundId::derive(&["other"]), "x", at(3)).unwrap_err(), Code::NotFound);
    let card = Payment { promise: None, ..owed };
    assert_eq!(card.refund_made(id, "x", at(3)).unwrap_err(), Code::WrongState);
}

/// What an account comes to in these entries.
fn balance(entries: &[Entry], account: &Account) -> i64 {
    let postings = entries.iter().flat_map(|entry| &entry.postings);
    postings.filter(|posting| posting.account == *account).map(|posting| posting.amount).sum()
}

/// The entries for what was told, as the worker notes them.
fn noted(payment: &Payment, told: &[Message]) -> Vec<Entry> {
    let entry = |message: &Message| match message {
        Message::ReceiptNoted { receipt, .. } => Some(Entry::receipt(payment, receipt, at(9)).unwrap()),
        Message::PaymentCaptured { .. } => Some(Entry::captured(payment, at(9)).unwrap()),
        Message::RefundDone { refund, attempt, .. } => {
            let refund = payment.refund(*refund).unwrap();
            Some(Entry::refunded(payment, refund, *attempt, false, at(9)).unwrap())
        }
        other => {
            assert!(!matches!(other, Message::RefundFailed { .. }));
            None
        }
    };
    told.iter().filter_map(entry).collect()
}

proptest! {
    /// However money comes and goes and whenever it is let go: the bank has what came and did not go back, deposits are what is for
    /// nothing yet, and when all that is owed is paid back, nothing is left.
    #[test]
    fn the_books_follow_the_bank(
        steps in proptest::collection::vec((0u8..5, 1i64..4000), 1..12),
        policy in 0i64..2500,
    ) {
        let (mut known, mut entries, mut bank) = (promised(), Vec::new(), 0);
        let (bank_account, mut gone) = (Account::Provider(Provider::Transfer), false);
        let take = |known: &mut Payment, next: Option<Change>, entries: &mut Vec<Entry>| {
            if let Some((next, told)) = next {
                *known = next;
                entries.extend(noted(known, &told));
            }
        };
        for (nth, (kind, amount)) in steps.into_iter().enumerate() {
            let id = nth.to_string();
            match kind {
                0 | 1 => {
                    let next = known.receive(told(Way::In, &id, amount), at(2)).unwrap();
                    bank += amount;
                    take(&mut known, next, &mut entries);
                }
                2 => if let Ok(next) = known.receive(told(Way::Out, &id, amount), at(2)) {
                    bank -= amount;
                    take(&mut known, next, &mut entries);
                },
                3 => {
                    let next = known.wake(hours(192)).unwrap();
                    take(&mut known, next, &mut entries);
                }
                _ => gone = true,
            }
            if gone {
                // Whoever hears that the places are gone works out what is left to do.
                while let Some(act) = known.follow(Fate::Gone { back: Some(euros(policy)) }) {
                    let next = match act {
                        Act::Void => known.learn(&Fact::Cancelled, at(2)).unwrap(),
                        Act::Owe(amount) => known.owe_for_booking(amount, at(2)).unwrap(),
                        Act::Capture => unreachable!("nobody can"),
                    };
                    take(&mut known, next, &mut entries);
                }
            }
            prop_assert_eq!(balance(&entries, &bank_account), bank);
            prop_assert!(entries.iter().all(|entry| entry.postings.iter().map(|posting| posting.amount).sum::<i64>() == 0));
            let deposits = -balance(&entries, &Account::Deposits);
            let waiting = if known.awaited().is_some() { known.received() } else { known.surplus() };
            prop_assert_eq!(deposits, waiting.amount);
        }
        // Everything is paid back that is owed.
        for refund in known.refunds.clone() {
            let next = known.refund_made(refund.id, "hand", at(3)).unwrap();
            bank -= next.as_ref().map_or(0, |_| refund.amount.amount);
            take(&mut known, next, &mut entries);
        }
        if known.surplus().amount > 0 {
            let over = known.surplus().amount;
            let next = known.receive(told(Way::Out, "over", over), at(3)).unwrap();
            bank -= over;
            take(&mut known, next, &mut entries);
        }
        prop_assert_eq!(balance(&entries, &bank_account), bank);
        if known.awaited().is_none() {
            prop_assert_eq!(known.by_hand(), None);
            prop_assert_eq!(balance(&entries, &Account::Deposits), 0);
            let kept = match known.state {
                State::Captured { .. } => known.amount.amount - known.refunded().amount,
                State::Open | State::Authorized { .. } | State::Voided { .. } => 0,
            };
            prop_assert_eq!(bank, kept);
        }
    }
}
