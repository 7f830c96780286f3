//! The audit log: who did what that matters, of an account or of an organisation, in an order that cannot be changed
//! without showing.
//!
//! Each log is a chain: an entry carries its number, the hash of the entry before it, and a hash over all of that and
//! itself. Whoever changes an entry, takes one out or puts one in breaks the chain at that place; whoever cuts off its
//! end contradicts the head, which knows the last number and hash. Whoever can rewrite the whole chain *and* its head
//! can still deceive those who never wrote a hash down: that is what the last hash is shown for.
//!
//! The scheme is that of Haber and Stornetta's linked timestamps ("How to Time-Stamp a Digital Document", 1991), as Git
//! and Certificate Transparency use it: `hash = SHA-256(JSON [previous, number, id, at, of, by, act, what, detail])`.

use crate::auth::{Actor, written_as_ids};
use crate::id::{AccountId, MessageId, OrganisationId};
use crate::message::{AccountChange, Message};
use crate::text::sha256;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whose log it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Log {
    /// A person's own.
    Account(AccountId),
    /// An organisation's.
    Organisation(OrganisationId),
}

written_as_ids! {
    Log: Account Organisation;
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// The organisation was founded.
    Founded,
    /// A member was added, or what they may do was changed.
    MemberSet,
    /// A member was removed.
    MemberRemoved,
    /// A team was made or changed.
    TeamSet,
    /// A team was removed.
    TeamRemoved,
    /// Somebody was invited.
    Invited,
    /// An invitation was taken back or declined.
    InvitationClosed,
    /// An invitation was accepted.
    InvitationAccepted,
    /// An API key was made.
    KeyMade,
    /// An API key was revoked.
    KeyRevoked,
    /// A pairing code was given out for a device.
    DeviceCodeMade,
    /// A device was paired.
    DevicePaired,
    /// A device was removed.
    DeviceRemoved,
    /// An event was called off.
    EventCancelled,
    /// Prices' rules were written: taxes and fees.
    PricingWritten,
    /// It was written how invoices look, and from whom.
    InvoicingWritten,
    /// It was written where transfers and cash are paid.
    MeansWritten,
    /// Money is given back.
    RefundMade,
    /// Money was said to have come, or to have been paid back.
    ReceiptTold,
    /// A gift card was made.
    GiftCardMade,
    /// A gift card was changed or stopped.
    GiftCardChanged,
    /// The address was proven, and the password said.
    AddressProven,
    /// A session began; how is the detail.
    SignedIn,
    /// A session was ended by its owner.
    SignedOut,
    /// Every session but one was ended by their owner.
    SignedOutElsewhere,
    /// A session ended because a refresh token that had been replaced was used: it may have been stolen.
    TokenReused,
    /// A new password was set by a mailed code.
    PasswordReset,
    /// The password was changed by somebody who was signed in.
    PasswordChanged,
    /// Another address was wanted, and a code sent there.
    AddressMoving,
    /// The address became another one.
    AddressMoved,
    /// A second factor is asked for from then on.
    SecondFactorOn,
    /// No second factor is asked for any more.
    SecondFactorOff,
    /// An archive of all that is known of them was made.
    DataExported,
    /// Google or Apple was linked; which is the detail.
    ProviderLinked,
    /// Google or Apple was unlinked; which is the detail.
    ProviderUnlinked,
    /// A recovery code was used; how many are left is the detail.
    RecoveryCodeUsed,
}

/// An entry of a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The message that told of it: however often it comes, it is written once.
    pub id: MessageId,
    /// Whose log.
    pub of: Log,
    /// Which entry of the log; the first is 1.
    pub number: u64,
    /// When it was done.
    pub at: Timestamp,
    /// Who did it; nobody who signed in, if it is absent.
    pub by: Option<Actor>,
    /// What.
    pub act: Act,
    /// With what: an id.
    pub what: String,
    /// What else matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The hash of the entry before; empty for the first.
    pub previous: String,
    /// SHA-256 over all of this, hexadecimal.
    pub hash: String,
}

/// Something that is to be in a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Note {
    /// Whose log.
    pub of: Log,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// What.
    pub act: Act,
    /// With what: an id.
    pub what: String,
    /// What else matters: never a secret, never a person's name or address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Note {
    /// Somebody did something with a thing of an organisation.
    #[must_use]
    pub fn new(of: OrganisationId, by: Actor, act: Act, what: impl ToString) -> Self {
        Self { of: Log::Organisation(of), by: Some(by), act, what: what.to_string(), detail: None }
    }

    /// Somebody did something with their own account.
    #[must_use]
    pub fn own(account: AccountId, act: Act, what: impl ToString) -> Self {
        let by = Some(Actor::Account(account));
        Self { of: Log::Account(account), by, act, what: what.to_string(), detail: None }
    }

    /// How somebody signs in was changed.
    #[must_use]
    pub fn changed(account: AccountId, change: AccountChange) -> Self {
        let note = |act| Self::own(account, act, account);
        match change {
            // Whoever has the code: nobody was signed in.
            AccountChange::PasswordReset => Self { by: None, ..note(Act::PasswordReset) },
            AccountChange::PasswordChanged => note(Act::PasswordChanged),
            AccountChange::AddressMoving => note(Act::AddressMoving),
            AccountChange::AddressMoved => note(Act::AddressMoved),
            AccountChange::SecondFactorOn => note(Act::SecondFactorOn),
            AccountChange::SecondFactorOff => note(Act::SecondFactorOff),
            AccountChange::DataExported => note(Act::DataExported),
            AccountChange::ProviderLinked { provider } => note(Act::ProviderLinked).with(provider.word()),
            AccountChange::ProviderUnlinked { provider } => note(Act::ProviderUnlinked).with(provider.word()),
            AccountChange::RecoveryCodeUsed { left } => note(Act::RecoveryCodeUsed).with(left),
        }
    }

    /// What a rule leads to, with this told as well; nothing, if it leads to nothing.
    #[must_use]
    pub fn on<T>(&self, change: Option<(T, Vec<Message>)>) -> Option<(T, Vec<Message>)> {
        change.map(|(next, mut told)| {
            told.push(self.clone().into());
            (next, told)
        })
    }

    /// With what else matters.
    #[must_use]
    pub fn with(self, detail: impl ToString) -> Self {
        Self { detail: Some(detail.to_string()), ..self }
    }
}

impl From<Note> for Message {
    fn from(note: Note) -> Self {
        Self::AuditNoted(note)
    }
}

impl Entry {
    /// What follows the last entry of a log.
    #[must_use]
    pub fn after(last: Option<&Self>, id: MessageId, at: Timestamp, note: &Note) -> Self {
        let Note { of, by, act, what, detail } = note.clone();
        let number = last.map_or(1, |last| last.number + 1);
        let previous = last.map(|last| last.hash.clone()).unwrap_or_default();
        let mut entry = Self { id, of, number, at, by, act, what, detail, previous, hash: String::new() };
        entry.hash = entry.computed();
        entry
    }

    fn computed(&self) -> String {
        let Self { id, of, number, at, by, act, what, detail, previous, .. } = self;
        let all = serde_json::json!([previous, number, id, at, of, by, act, what, detail]);
        sha256(all.to_string())
    }

    /// Whether it says what it said when it was written, after this one (or none, if it is the first that is looked at).
    #[must_use]
    pub fn follows(&self, before: Option<&Self>) -> bool {
        let linked = match before {
            Some(before) => self.number == before.number + 1 && self.previous == before.hash,
            None => self.number > 1 || self.previous.is_empty(),
        };
        linked && self.hash == self.computed()
    }
}

/// The last entry of a log, by which the next one is linked to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The last entry.
    pub last: Entry,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn chain(length: u64) -> Vec<Entry> {
        let by = Actor::Account(AccountId::derive(&["ada"]));
        let mut entries: Vec<Entry> = Vec::new();
        for number in 0..length {
            let what = format!("key {number}");
            let note = Note::new(OrganisationId::derive(&["o"]), by, Act::KeyMade, what).with("gate");
            let id = MessageId::derive(&[&number.to_string()]);
            entries.push(Entry::after(entries.last(), id, at(number as i64), &note));
        }
        entries
    }

    fn intact(entries: &[Entry]) -> bool {
        let before = std::iter::once(None).chain(entries.iter().map(Some));
        entries.iter().zip(before).all(|(entry, before)| entry.follows(before))
    }

    #[test]
    fn a_chain_shows_every_change_of_it() {
        let whole = chain(5);
        assert!(intact(&whole) && whole[0].number == 1 && whole[0].previous.is_empty());
        assert!(intact(&whole[2..]), "any stretch can be checked by itself");
        type Change = fn(&mut Entry);
        let changes: [Change; 9] = [
            |entry| entry.id = MessageId::derive(&["other"]),
            |entry| entry.of = Log::Account(AccountId::derive(&["eve"])),
            |entry| entry.number += 1,
            |entry| entry.at = at(99),
            |entry| entry.by = None,
            |entry| entry.act = Act::KeyRevoked,
            |entry| entry.what.push('x'),
            |entry| entry.detail = None,
            |entry| entry.previous.clear(),
        ];
        for change in changes {
            let mut changed = whole.clone();
            change(&mut changed[2]);
            assert!(!intact(&changed));
            // Even with a hash that fits: the next one names the old one.
            changed[2].hash = changed[2].computed();
            assert!(!intact(&changed));
        }
        let mut without = whole.clone();
        without.remove(2);
        assert!(!intact(&without));
        let mut swapped = whole.clone();
        swapped.swap(1, 2);
        assert!(!intact(&swapped));
        assert_ne!(whole[2].hash, whole[4].hash, "one that was cut short has another head");
    }

    #[test]
    fn what_is_written_is_read_and_still_fits() {
        for entry in chain(2) {
            let text = serde_json::to_string(&entry).unwrap();
            let read: Entry = serde_json::from_str(&text).unwrap();
            assert_eq!(read, entry);
            assert_eq!(read.hash, read.computed());
        }
    }
}
