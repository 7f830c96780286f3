//! Notification: what people are told by mail, each once for each reason. [`store`] has the kept form.

pub mod store;

use crate::id::{EventId, MailId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a mail is about; also the name of its template.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The code that proves an address.
    Verify,
    /// Somebody tried to sign up with an address that has an account.
    AlreadyRegistered,
    /// A place in an organisation is offered.
    Invitation,
    /// The code for a new password.
    Reset,
    /// The code for another address.
    MoveAddress,
    /// Somebody wanted to move an account to an address that has one.
    AddressTaken,
    /// Something was changed about how somebody signs in.
    AccountChanged,
    /// The tickets.
    Confirmation,
    /// The booking was cancelled.
    Cancellation,
    /// The places were gone when the money came.
    PlacesGone,
    /// Time, place or name of an event changed.
    EventChanged,
    /// Places are kept for somebody who waited.
    WaitlistOffer,
    /// A booking was moved to another time.
    Moved,
    /// An application was approved.
    Approved,
    /// An application was declined.
    Declined,
    /// The seller gave money back.
    Refund,
    /// An invoice or a credit note.
    Invoice,
    /// Places are kept for money that was promised.
    Reserved,
    /// What was promised is due soon.
    PaymentReminder,
}

impl Kind {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::AlreadyRegistered => "already_registered",
            Self::Invitation => "invitation",
            Self::Reset => "reset",
            Self::MoveAddress => "move_address",
            Self::AddressTaken => "address_taken",
            Self::AccountChanged => "account_changed",
            Self::Confirmation => "confirmation",
            Self::Cancellation => "cancellation",
            Self::PlacesGone => "places_gone",
            Self::EventChanged => "event_changed",
            Self::WaitlistOffer => "waitlist_offer",
            Self::Moved => "moved",
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Refund => "refund",
            Self::Invoice => "invoice",
            Self::Reserved => "reserved",
            Self::PaymentReminder => "payment_reminder",
        }
    }
}

/// A mail that the service has accepted. Written after sending: a crash in between sends it once more, never not at all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sent {
    /// From the message that caused it and the recipient: a redelivered message finds it here.
    pub id: MailId,
    /// About what.
    pub kind: Kind,
    /// The service's id for it.
    pub provider_id: String,
    /// When.
    pub at: Timestamp,
}

/// How far telling an event's attendees has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mailing {
    /// From the message that caused it.
    pub id: MailId,
    /// Whose attendees.
    pub event: EventId,
    /// What changed: "time", "place", "name".
    pub changes: Vec<String>,
    /// Pages done.
    pub page: u32,
    /// Where the next one begins; nothing once all are done.
    pub after: Option<crate::db::Position>,
}
