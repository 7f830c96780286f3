//! Messages: what capabilities tell each other, through SQS, at least once and in any order.
//!
//! A variant's name carries its version. A new optional field keeps the version; anything else is a new variant, and
//! the fixture of every version ever published must still parse (`tests/fixtures/messages.json`). A message whose type
//! is unknown fails, is retried, and ends in the dead letters: it is never dropped.

use crate::id::{
    AccountId, ApplicationId, BookingId, EventId, ExportId, HoldId, InvitationId, InvoiceId, MailId,
    MessageId, MovementId, OrderId, PaymentId, PictureId, PoolId, ProductId, RefundId, StoreId, TicketId,
    WaiterId,
};
use crate::identity::audit::Note;
use crate::identity::provider::IdentityProvider;
use crate::money::Money;
use crate::payment::refund::Why;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The queues, one per consuming capability.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Queue {
    /// Opens pools, decides holds, frees places.
    Booking,
    /// Moves orders.
    Order,
    /// Captures, voids, refunds.
    Payment,
    /// Issues and voids tickets.
    Entry,
    /// Tells people.
    Notification,
    /// Keeps the audit logs.
    Identity,
    /// Looks at pictures, and forgets them.
    Media,
}

impl Queue {
    /// Every queue.
    pub const ALL: &'static [Self] = &[
        Self::Booking,
        Self::Order,
        Self::Payment,
        Self::Entry,
        Self::Notification,
        Self::Identity,
        Self::Media,
    ];

    /// The one word that names the capability, its folder, its queue.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Booking => "booking",
            Self::Order => "order",
            Self::Payment => "payment",
            Self::Entry => "entry",
            Self::Notification => "notification",
            Self::Identity => "identity",
            Self::Media => "media",
        }
    }
}

/// Why a code was mailed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodePurpose {
    /// To prove the address when signing up.
    Verify,
    /// Somebody signs up with an address that has an account already: no code, a hint.
    AlreadyRegistered,
    /// To set a new password.
    Reset,
    /// To prove the address that an account moves to.
    Move,
    /// Somebody wants to move an account to an address that has one already: no code, a hint.
    AddressTaken,
}

impl CodePurpose {
    /// Its word: a code of one purpose is of no use for another.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::AlreadyRegistered => "already_registered",
            Self::Reset => "reset",
            Self::Move => "move",
            Self::AddressTaken => "address_taken",
        }
    }
}

/// What was changed about how somebody signs in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountChange {
    /// A new password was set by a mailed code.
    PasswordReset,
    /// The password was changed by somebody who was signed in.
    PasswordChanged,
    /// Another address is wanted, and has a code.
    AddressMoving,
    /// The address is another one now: this goes to the old one.
    AddressMoved,
    /// A second factor is asked for from now on.
    SecondFactorOn,
    /// No second factor is asked for any more.
    SecondFactorOff,
    /// An archive of all that is known of them was made.
    DataExported,
    /// Google or Apple may be used to sign in.
    ProviderLinked {
        /// Which.
        provider: IdentityProvider,
    },
    /// It may not any more.
    ProviderUnlinked {
        /// Which.
        provider: IdentityProvider,
    },
    /// A recovery code was used.
    RecoveryCodeUsed {
        /// How many are left.
        left: u8,
    },
}

/// Who had an account, for the last mail about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Farewell {
    /// Where to.
    pub email: String,
    /// The name to greet.
    pub name: String,
}

/// Everything that is told, past tense.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum Message {
    /// Somebody signed up; a code must reach the address.
    #[serde(rename = "account.code_requested.v1")]
    AccountCodeRequested {
        /// The account.
        account: AccountId,
        /// Where the code goes.
        email: String,
        /// The name to greet.
        name: String,
        /// The code as it was told before it followed from `salt`; else empty.
        code: String,
        /// Why.
        purpose: CodePurpose,
        /// What the code follows from, together with the deployment's secret: no code is stored or queued.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        salt: Option<String>,
    },
    /// How somebody signs in was changed: they are told, whoever did it.
    #[serde(rename = "account.changed.v1")]
    AccountChanged {
        /// The account.
        account: AccountId,
        /// Where they are told.
        email: String,
        /// The name to greet.
        name: String,
        /// What.
        change: AccountChange,
    },
    /// Somebody had their account erased, and with it what others know of them.
    #[serde(rename = "account.erased.v1")]
    AccountErased {
        /// The account.
        account: AccountId,
        /// Where they are told that it is done; absent when it is gone through once more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        farewell: Option<Farewell>,
    },
    /// Somebody wants all that is known of them.
    #[serde(rename = "export.asked.v1")]
    ExportAsked {
        /// The archive to make.
        export: ExportId,
    },
    /// An order has lost the person who bought.
    #[serde(rename = "order.erased.v1")]
    OrderErased {
        /// The order.
        order: OrderId,
    },
    /// Somebody is offered a place in an organisation.
    #[serde(rename = "invitation.made.v1")]
    InvitationMade {
        /// The invitation.
        invitation: InvitationId,
        /// To whom.
        email: String,
        /// Into which organisation, by name.
        organisation: String,
        /// Who invites, by name.
        by: String,
    },
    /// Something was done that belongs into an audit log.
    #[serde(rename = "audit.noted.v1")]
    AuditNoted(Note),
    /// An event went on sale: its pools must exist.
    #[serde(rename = "event.published.v1")]
    EventPublished {
        /// The event.
        event: EventId,
    },
    /// Something attendees must know was changed.
    #[serde(rename = "event.changed.v1")]
    EventChanged {
        /// The event.
        event: EventId,
        /// What changed, in words for the mail: "time", "place", "name".
        changes: Vec<String>,
    },
    /// The event will not take place: every booking of it is cancelled.
    #[serde(rename = "event.cancelled.v1")]
    EventCancelled {
        /// The event.
        event: EventId,
    },
    /// A store begins to sell a product, or in more baskets at once: its stock must exist.
    #[serde(rename = "product.shelved.v1")]
    ProductShelved {
        /// Which store.
        store: StoreId,
        /// Which product.
        product: ProductId,
    },
    /// Units are to come into a store's stock, or to leave it.
    #[serde(rename = "stock.moved.v1")]
    StockMoved {
        /// Whose stock.
        pool: PoolId,
        /// How many, and why.
        movement: MovementId,
    },
    /// An order that costs nothing was placed: book it.
    #[serde(rename = "order.free_placed.v1")]
    OrderFreePlaced {
        /// The order.
        order: OrderId,
    },
    /// A buyer gave up an unpaid order.
    #[serde(rename = "order.cancelled.v1")]
    OrderCancelled {
        /// The order.
        order: OrderId,
    },
    /// An order was sold and paid, or money of it went back: its invoice, or a credit note, is to be issued.
    #[serde(rename = "order.invoice_due.v1")]
    InvoiceDue {
        /// The order.
        order: OrderId,
        /// The refund, if it is for one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refund: Option<RefundId>,
    },
    /// An invoice or a credit note has its number, and its PDF is stored.
    #[serde(rename = "order.invoice_issued.v1")]
    InvoiceIssued {
        /// Which.
        invoice: InvoiceId,
    },
    /// The provider keeps the money ready for this order.
    #[serde(rename = "payment.authorized.v1")]
    PaymentAuthorized {
        /// The payment.
        payment: PaymentId,
        /// Its order.
        order: OrderId,
    },
    /// A buyer promised to transfer the money, or to bring it: the places are to be reserved.
    #[serde(rename = "payment.promised.v1")]
    PaymentPromised {
        /// The payment.
        payment: PaymentId,
        /// Its order.
        order: OrderId,
        /// Until when it is waited for.
        until: Timestamp,
    },
    /// A gift card is to follow its payment: to pay its part, or to have it back.
    #[serde(rename = "payment.gift_credit_due.v1")]
    GiftCreditDue {
        /// The payment.
        payment: PaymentId,
    },
    /// What was promised is here, in time.
    #[serde(rename = "payment.received.v1")]
    PaymentReceived {
        /// The payment.
        payment: PaymentId,
        /// Its order.
        order: OrderId,
    },
    /// Money of a promised payment was seen to come or to go.
    #[serde(rename = "payment.receipt_noted.v1")]
    ReceiptNoted {
        /// The payment.
        payment: PaymentId,
        /// The receipt's id.
        receipt: String,
    },
    /// What was promised is due soon.
    #[serde(rename = "payment.reminder_due.v1")]
    PaymentReminderDue {
        /// The payment.
        payment: PaymentId,
        /// Its order.
        order: OrderId,
    },
    /// The money is ours.
    #[serde(rename = "payment.captured.v1")]
    PaymentCaptured {
        /// The payment.
        payment: PaymentId,
        /// Its order.
        order: OrderId,
    },
    /// The authorisation was let go; nothing was taken.
    #[serde(rename = "payment.voided.v1")]
    PaymentVoided {
        /// The payment.
        payment: PaymentId,
        /// Its order.
        order: OrderId,
    },
    /// What waited for the provider is to be tried again.
    #[serde(rename = "payment.resumed.v1")]
    PaymentResumed {
        /// The payment.
        payment: PaymentId,
        /// Its order.
        order: OrderId,
        /// Since when it has waited.
        since: Timestamp,
    },
    /// A refund is owed: the provider is to be asked for it.
    #[serde(rename = "payment.refund_due.v1")]
    RefundDue {
        /// Of which payment.
        payment: PaymentId,
        /// Which refund.
        refund: RefundId,
        /// For the how-many-th time.
        attempt: u32,
    },
    /// Money went back: some of it or all.
    #[serde(rename = "payment.refund_done.v1")]
    RefundDone {
        /// Of which payment.
        payment: PaymentId,
        /// Its order.
        order: OrderId,
        /// Which refund.
        refund: RefundId,
        /// Asked for the how-many-th time.
        attempt: u32,
        /// How much.
        amount: Money,
        /// Why.
        why: Why,
        /// What the seller said about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A refund could not be done, or came back.
    #[serde(rename = "payment.refund_failed.v1")]
    RefundFailed {
        /// Of which payment.
        payment: PaymentId,
        /// Its order.
        order: OrderId,
        /// Which refund.
        refund: RefundId,
        /// Asked for the how-many-th time.
        attempt: u32,
        /// Whether it had been told that it was done.
        was_done: bool,
        /// How much.
        amount: Money,
    },
    /// All of the money went back.
    #[serde(rename = "payment.refunded.v1")]
    PaymentRefunded {
        /// The payment.
        payment: PaymentId,
        /// Its order.
        order: OrderId,
    },
    /// Somebody joined the waitlist of an event.
    #[serde(rename = "waitlist.joined.v1")]
    WaitlistJoined {
        /// Who.
        waiter: WaiterId,
    },
    /// Places are kept for somebody who waited.
    #[serde(rename = "waitlist.offered.v1")]
    WaitlistOffered {
        /// Who.
        waiter: WaiterId,
        /// Which time they joined.
        turn: u32,
    },
    /// Somebody left the waitlist, or did not want what they were offered.
    #[serde(rename = "waitlist.left.v1")]
    WaitlistLeft {
        /// Who.
        waiter: WaiterId,
        /// Which time they had joined.
        turn: u32,
    },
    /// An organiser decided about an application.
    #[serde(rename = "application.decided.v1")]
    ApplicationDecided {
        /// Which.
        application: ApplicationId,
        /// Which time they asked.
        turn: u32,
    },
    /// A booking took another one's place.
    #[serde(rename = "booking.moved.v1")]
    BookingMoved {
        /// The one that ended.
        from: BookingId,
        /// The one that took its place.
        to: BookingId,
        /// Their order.
        order: OrderId,
    },
    /// The places are sold.
    #[serde(rename = "booking.confirmed.v1")]
    BookingConfirmed {
        /// The booking.
        booking: BookingId,
        /// Its order.
        order: OrderId,
    },
    /// The places are kept for money that was promised: sold, but without tickets until it is here.
    #[serde(rename = "booking.reserved.v1")]
    BookingReserved {
        /// The booking.
        booking: BookingId,
        /// Its order.
        order: OrderId,
        /// Until when it is waited for.
        until: Timestamp,
    },
    /// The places were gone when the money came: the order must end and the money go back.
    #[serde(rename = "booking.lost.v1")]
    BookingLost {
        /// The hold that had ended.
        hold: HoldId,
        /// The order that lost.
        order: OrderId,
    },
    /// A booking was given up; its places are to be freed.
    #[serde(rename = "booking.cancelled.v1")]
    BookingCancelled {
        /// The booking.
        booking: BookingId,
        /// Its order.
        order: OrderId,
    },
    /// Cancelling every booking of an event goes on where the last page ended.
    #[serde(rename = "booking.event_cancelling.v1")]
    BookingEventCancelling {
        /// The event.
        event: EventId,
        /// Pages done.
        page: u32,
    },
    /// Tickets exist, with their documents stored.
    #[serde(rename = "entry.issued.v1")]
    EntryIssued {
        /// The order.
        order: OrderId,
        /// The tickets, in order.
        tickets: Vec<TicketId>,
    },
    /// Telling everybody who attends goes on where the last page ended.
    #[serde(rename = "notification.mailing_continued.v1")]
    MailingContinued {
        /// The first mail's id names the mailing.
        mailing: MailId,
        /// Pages done.
        page: u32,
    },
    /// A picture was uploaded, and wants looking at.
    #[serde(rename = "media.picture_sent.v1")]
    PictureSent {
        /// The picture.
        picture: PictureId,
    },
    /// A picture is shown no more: its files can go.
    #[serde(rename = "media.picture_removed.v1")]
    PictureRemoved {
        /// The picture.
        picture: PictureId,
    },
}

impl Message {
    /// Who hears it. An arrow in the architecture is an entry here.
    #[must_use]
    pub const fn queues(&self) -> &'static [Queue] {
        match self {
            Self::AuditNoted(_) | Self::ExportAsked { .. } => &[Queue::Identity],
            Self::AccountChanged { .. } => &[Queue::Notification, Queue::Identity],
            Self::AccountErased { .. } => {
                &[Queue::Identity, Queue::Order, Queue::Booking, Queue::Notification]
            }
            Self::OrderErased { .. } => &[Queue::Entry],
            Self::PictureSent { .. } | Self::PictureRemoved { .. } => &[Queue::Media],
            Self::AccountCodeRequested { .. }
            | Self::InvitationMade { .. }
            | Self::EventChanged { .. }
            | Self::WaitlistOffered { .. }
            | Self::ApplicationDecided { .. }
            | Self::InvoiceIssued { .. }
            | Self::PaymentReminderDue { .. }
            | Self::MailingContinued { .. } => &[Queue::Notification],
            Self::EventPublished { .. }
            | Self::ProductShelved { .. }
            | Self::StockMoved { .. }
            | Self::EventCancelled { .. }
            | Self::OrderFreePlaced { .. }
            | Self::OrderCancelled { .. }
            | Self::PaymentReceived { .. }
            | Self::WaitlistJoined { .. }
            | Self::WaitlistLeft { .. }
            | Self::BookingEventCancelling { .. } => &[Queue::Booking],
            Self::PaymentAuthorized { .. } | Self::PaymentPromised { .. } => {
                &[Queue::Booking, Queue::Payment]
            }
            Self::PaymentVoided { .. } => &[Queue::Booking, Queue::Order],
            Self::PaymentRefunded { .. } | Self::InvoiceDue { .. } => &[Queue::Order],
            Self::PaymentCaptured { .. } | Self::RefundFailed { .. } => &[Queue::Order, Queue::Payment],
            Self::PaymentResumed { .. }
            | Self::RefundDue { .. }
            | Self::ReceiptNoted { .. }
            | Self::GiftCreditDue { .. } => &[Queue::Payment],
            Self::RefundDone { .. } => &[Queue::Order, Queue::Payment, Queue::Notification],
            Self::BookingConfirmed { .. } => &[Queue::Order, Queue::Payment, Queue::Entry],
            Self::BookingReserved { .. } | Self::BookingLost { .. } => {
                &[Queue::Order, Queue::Payment, Queue::Notification]
            }
            Self::BookingCancelled { .. } => {
                &[Queue::Booking, Queue::Order, Queue::Payment, Queue::Entry, Queue::Notification]
            }
            Self::BookingMoved { .. } => &[Queue::Booking, Queue::Order, Queue::Notification],
            Self::EntryIssued { .. } => &[Queue::Order, Queue::Notification],
        }
    }
}

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// The same on every delivery.
    pub id: MessageId,
    /// When it was stored.
    pub at: Timestamp,
    /// The request id it began with, through every step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// What is told.
    #[serde(flatten)]
    pub message: Message,
}

impl Envelope {
    /// Wraps a message; the correlation is the running request's.
    #[must_use]
    pub fn new(message: Message, now: Timestamp) -> Self {
        Self { id: MessageId::new(now), at: now, correlation: crate::telemetry::correlation(), message }
    }
}
