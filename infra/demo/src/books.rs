//! The books of the sale: what every side says, and whether it agrees. Pure: `ledger` fetches them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Where an order stands in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Sold: confirmed, paid, tickets issued.
    Confirmed,
    /// Its places were gone when the money came; the money was let go or went back.
    Released,
    /// Never paid, and its time is over.
    Expired,
    /// None of these, though it was waited for.
    Stuck,
}

/// An order, as the organiser reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Where it stands.
    pub fate: Fate,
    /// Places.
    pub places: u32,
    /// What it costs, minor units.
    pub total: i64,
    /// Where its mail goes, in small letters.
    pub email: String,
}

/// A payment, as the provider has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The provider's name for it.
    pub id: String,
    /// Which order it pays.
    pub order: String,
    /// What was taken, minor units.
    pub captured: i64,
    /// Authorised, and neither taken nor let go.
    pub kept_ready: bool,
}

/// Everything that every side says in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Places there were.
    pub capacity: u32,
    /// Places left, as the public page says.
    pub left: u32,
    /// By id: all orders of the event.
    pub orders: BTreeMap<String, Order>,
    /// Orders that buyers know of.
    pub known: BTreeSet<String>,
    /// Confirmed bookings: the order and its places.
    pub bookings: Vec<(String, u32)>,
    /// The provider's payments for these orders.
    pub intents: Vec<Intent>,
    /// Tickets of each order, by id.
    pub tickets: BTreeMap<String, Vec<String>>,
    /// Addresses that got a confirmation, in small letters.
    pub confirmed_by_mail: BTreeSet<String>,
    /// Tickets that the entry log admits, once for each time it does.
    pub admitted: Vec<String>,
    /// Scans that the entry log refuses as used.
    pub refused_as_used: u64,
    /// First scans that were not admitted, second scans that were not refused, and other surprises, in words.
    pub surprises: Vec<String>,
}

/// A book that does not balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// More places sold than there were.
    Oversold {
        /// By how many.
        by: u32,
    },
    /// Sold and left are not all there were.
    Places {
        /// Sold.
        sold: u32,
        /// Left.
        left: u32,
        /// Capacity.
        capacity: u32,
    },
    /// An order that reached no end.
    Stuck(String),
    /// An order that a buyer knows and the organiser does not.
    Forgotten(String),
    /// An order that is confirmed and has no booking of its places, or a booking without such an order.
    Booking(String),
    /// Money was taken for an order that was not confirmed.
    PaidForNothing(String),
    /// A confirmed order whose money was not taken, or not in the right amount.
    NotPaid(String),
    /// Money was taken more than once for one order.
    PaidTwice(String),
    /// Money is kept ready for an order that is over.
    KeptReady(String),
    /// A confirmed order that has fewer or more tickets than places, or another one that has some.
    Tickets(String),
    /// A confirmed order whose buyer got no confirmation.
    NoMail(String),
    /// The entry log does not have every ticket exactly once.
    Entries(String),
    /// Something that should not have happened.
    Surprise(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oversold { by } => write!(f, "oversold by {by} places"),
            Self::Places { sold, left, capacity } => {
                write!(f, "{sold} sold + {left} left is not the capacity of {capacity}")
            }
            Self::Stuck(order) => write!(f, "{order} is stuck"),
            Self::Forgotten(order) => write!(f, "{order} is known to its buyer alone"),
            Self::Booking(order) => write!(f, "{order} and its booking do not agree"),
            Self::PaidForNothing(order) => write!(f, "{order} was paid and not confirmed"),
            Self::NotPaid(order) => write!(f, "{order} is confirmed and not paid in full"),
            Self::PaidTwice(order) => write!(f, "{order} was paid more than once"),
            Self::KeptReady(order) => write!(f, "{order} is over and its money still kept ready"),
            Self::Tickets(order) => write!(f, "{order} has not a ticket for each place sold"),
            Self::NoMail(order) => write!(f, "{order} is confirmed and its buyer was not told"),
            Self::Entries(what) => write!(f, "the entry log: {what}"),
            Self::Surprise(what) => f.write_str(what),
        }
    }
}

impl Books {
    /// Places in confirmed bookings.
    #[must_use]
    pub fn sold(&self) -> u32 {
        self.bookings.iter().map(|(_, places)| places).sum()
    }

    /// Places sold beyond the capacity.
    #[must_use]
    pub fn oversold(&self) -> u32 {
        self.sold().saturating_sub(self.capacity)
    }

    /// How many tickets there are.
    #[must_use]
    pub fn issued(&self) -> usize {
        self.tickets.values().map(Vec::len).sum()
    }

    /// Orders for which money was taken more than once.
    #[must_use]
    pub fn paid_twice(&self) -> Vec<&str> {
        let taken_twice = |(order, intents): &(&str, Vec<&Intent>)| {
            let total = self.orders.get(*order).map_or(0, |order| order.total);
            total > 0 && intents.iter().map(|intent| intent.captured).sum::<i64>() > total
        };
        self.by_order().into_iter().filter(taken_twice).map(|(order, _)| order).collect()
    }

    fn by_order(&self) -> BTreeMap<&str, Vec<&Intent>> {
        let mut of: BTreeMap<&str, Vec<&Intent>> = BTreeMap::new();
        for intent in &self.intents {
            of.entry(&intent.order).or_default().push(intent);
        }
        of
    }

    /// Every way in which the sides disagree; empty when the books balance.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self.surprises.iter().cloned().map(Fault::Surprise).collect();
        let (sold, left, capacity) = (self.sold(), self.left, self.capacity);
        if sold > capacity {
            faults.push(Fault::Oversold { by: sold - capacity });
        }
        if u64::from(sold) + u64::from(left) != u64::from(capacity) {
            faults.push(Fault::Places { sold, left, capacity });
        }
        let forgotten = self.known.iter().filter(|order| !self.orders.contains_key(*order));
        faults.extend(forgotten.cloned().map(Fault::Forgotten));
        self.check_bookings(&mut faults);
        let intents = self.by_order();
        for (id, order) in &self.orders {
            self.check_order(id, order, intents.get(id.as_str()).map_or(&[], Vec::as_slice), &mut faults);
        }
        let homeless = intents.into_iter().filter(|(order, _)| !self.orders.contains_key(*order));
        let paid = homeless.filter(|(_, intents)| intents.iter().any(|intent| intent.captured > 0));
        faults.extend(paid.map(|(order, _)| Fault::PaidForNothing(order.to_owned())));
        self.check_entries(&mut faults);
        faults
    }

    fn check_bookings(&self, faults: &mut Vec<Fault>) {
        let mut booked: BTreeMap<&str, u32> = BTreeMap::new();
        for (order, places) in &self.bookings {
            *booked.entry(order).or_default() += places;
        }
        for (id, order) in &self.orders {
            let places = if order.fate == Fate::Confirmed { Some(order.places) } else { None };
            if booked.remove(id.as_str()) != places {
                faults.push(Fault::Booking(id.clone()));
            }
        }
        faults.extend(booked.into_keys().map(|order| Fault::Booking(order.to_owned())));
    }

    fn check_order(&self, id: &str, order: &Order, intents: &[&Intent], faults: &mut Vec<Fault>) {
        let taken: i64 = intents.iter().map(|intent| intent.captured).sum();
        let tickets = self.tickets.get(id).map_or(0, Vec::len);
        let id = id.to_owned();
        if order.fate == Fate::Confirmed {
            if taken > order.total {
                faults.push(Fault::PaidTwice(id.clone()));
            }
            if taken < order.total {
                faults.push(Fault::NotPaid(id.clone()));
            }
            if !self.confirmed_by_mail.contains(&order.email) {
                faults.push(Fault::NoMail(id.clone()));
            }
            if usize::try_from(order.places) != Ok(tickets) {
                faults.push(Fault::Tickets(id));
            }
            return;
        }
        if order.fate == Fate::Stuck {
            faults.push(Fault::Stuck(id.clone()));
        }
        if taken > 0 {
            faults.push(Fault::PaidForNothing(id.clone()));
        }
        if intents.iter().any(|intent| intent.kept_ready) {
            faults.push(Fault::KeptReady(id.clone()));
        }
        if tickets > 0 {
            faults.push(Fault::Tickets(id));
        }
    }

    fn check_entries(&self, faults: &mut Vec<Fault>) {
        let mut admitted: BTreeMap<&str, u32> = BTreeMap::new();
        for ticket in &self.admitted {
            *admitted.entry(ticket).or_default() += 1;
        }
        for ticket in self.tickets.values().flatten() {
            match admitted.remove(ticket.as_str()) {
                Some(1) => {}
                Some(times) => faults.push(Fault::Entries(format!("{ticket} was admitted {times} times"))),
                None => faults.push(Fault::Entries(format!("{ticket} was never admitted"))),
            }
        }
        let strangers = admitted.into_keys();
        faults.extend(strangers.map(|ticket| Fault::Entries(format!("{ticket} was admitted and not sold"))));
        // A second ticket of the same number would show above; each real one was shown twice.
        if u64::try_from(self.issued()) != Ok(self.refused_as_used) {
            let (refused, issued) = (self.refused_as_used, self.issued());
            faults.push(Fault::Entries(format!("{refused} second scans refused, {issued} tickets")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(fate: Fate, places: u32, email: &str) -> Order {
        Order { fate, places, total: i64::from(places) * 3_500, email: email.to_owned() }
    }

    fn intent(order: &str, captured: i64) -> Intent {
        Intent { id: format!("pi_{order}"), order: order.to_owned(), captured, kept_ready: false }
    }

    /// Five places: an order of two and one of three, both sold; one came too late, one never paid.
    fn good() -> Books {
        let orders = [
            ("ord_a", order(Fate::Confirmed, 2, "a@x.org")),
            ("ord_b", order(Fate::Confirmed, 3, "b@x.org")),
            ("ord_c", order(Fate::Released, 1, "c@x.org")),
            ("ord_d", order(Fate::Expired, 1, "d@x.org")),
        ];
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Books {
            capacity: 5,
            left: 0,
            known: orders.iter().map(|(id, _)| (*id).to_owned()).collect(),
            orders: orders.into_iter().map(|(id, order)| (id.to_owned(), order)).collect(),
            bookings: vec![("ord_a".to_owned(), 2), ("ord_b".to_owned(), 3)],
            intents: vec![intent("ord_a", 7_000), intent("ord_b", 10_500), intent("ord_c", 0)],
            tickets: [
                ("ord_a".to_owned(), own(&["t1", "t2"])),
                ("ord_b".to_owned(), own(&["t3", "t4", "t5"])),
            ]
            .into(),
            confirmed_by_mail: own(&["a@x.org", "b@x.org"]).into_iter().collect(),
            admitted: own(&["t1", "t2", "t3", "t4", "t5"]),
            refused_as_used: 5,
            surprises: Vec::new(),
        }
    }

    fn faults(change: impl FnOnce(&mut Books)) -> Vec<Fault> {
        let mut books = good();
        change(&mut books);
        books.faults()
    }

    #[test]
    fn good_books_balance() {
        assert_eq!(good().faults(), []);
        assert_eq!((good().sold(), good().oversold(), good().issued()), (5, 0, 5));
        assert!(good().paid_twice().is_empty());
    }

    #[test]
    fn an_oversell_is_found() {
        let found = faults(|books| books.capacity = 4);
        assert!(found.contains(&Fault::Oversold { by: 1 }), "{found:?}");
        assert!(found.contains(&Fault::Places { sold: 5, left: 0, capacity: 4 }), "{found:?}");
    }

    #[test]
    fn a_place_that_vanished_and_one_that_is_shown_twice_are_found() {
        assert_eq!(faults(|books| books.capacity = 6), [Fault::Places { sold: 5, left: 0, capacity: 6 }]);
        assert_eq!(faults(|books| books.left = 1), [Fault::Places { sold: 5, left: 1, capacity: 5 }]);
    }

    #[test]
    fn money_without_places_and_places_without_money_are_found() {
        let id = || "ord_c".to_owned();
        assert_eq!(faults(|books| books.intents[2].captured = 3_500), [Fault::PaidForNothing(id())]);
        assert_eq!(faults(|books| books.intents[2].kept_ready = true), [Fault::KeptReady(id())]);
        assert_eq!(
            faults(|books| books.intents.truncate(1)),
            [Fault::NotPaid("ord_b".to_owned())],
            "nothing was taken for a confirmed order"
        );
        let unknown = intent("ord_z", 3_500);
        assert_eq!(faults(|books| books.intents.push(unknown)), [Fault::PaidForNothing("ord_z".to_owned())]);
    }

    #[test]
    fn a_double_payment_is_found_on_one_intent_and_on_two() {
        let twice = [Fault::PaidTwice("ord_a".to_owned())];
        assert_eq!(faults(|books| books.intents[0].captured = 14_000), twice);
        assert_eq!(faults(|books| books.intents.push(intent("ord_a", 7_000))), twice);
        let mut books = good();
        books.intents.push(intent("ord_a", 7_000));
        assert_eq!(books.paid_twice(), ["ord_a"]);
    }

    #[test]
    fn missing_tickets_mails_bookings_and_orders_are_found() {
        let id = || "ord_a".to_owned();
        assert_eq!(
            faults(|books| books.confirmed_by_mail.retain(|to| to != "a@x.org")),
            [Fault::NoMail(id())]
        );
        let found = faults(|books| drop(books.tickets.remove("ord_a")));
        assert!(found.contains(&Fault::Tickets(id())), "{found:?}");
        let found = faults(|books| drop(books.bookings.remove(0)));
        assert!(found.contains(&Fault::Booking(id())), "{found:?}");
        let found = faults(|books| books.known.extend(["ord_z".to_owned()]));
        assert_eq!(found, [Fault::Forgotten("ord_z".to_owned())]);
        let found = faults(|books| drop(books.orders.insert("ord_e".into(), order(Fate::Stuck, 1, "e"))));
        assert_eq!(found, [Fault::Stuck("ord_e".to_owned())]);
    }

    #[test]
    fn a_ticket_that_admits_twice_never_or_from_nowhere_is_found() {
        assert_eq!(faults(|books| books.admitted.push("t1".into())).len(), 1);
        assert_eq!(faults(|books| books.admitted.truncate(4)).len(), 1);
        assert_eq!(faults(|books| books.admitted.push("t9".into())).len(), 1);
        assert_eq!(faults(|books| books.refused_as_used = 4).len(), 1);
        assert_eq!(faults(|books| books.surprises.push("odd".into())), [Fault::Surprise("odd".into())]);
    }
}
