//! Entry: tickets that a gate can check, and what the gate found.
//!
//! A ticket's QR code is 91 bytes signed with Ed25519 (RFC 8032), written as 122 characters of base64url: anybody with
//! the published key can check it without asking us; whether it was used only the ticket's item can say.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format, 1 |
//! | 2 | key id, the first bytes of the public key's SHA-256 |
//! | 16 | ticket |
//! | 8 | event, the first half of its id's SHA-256 |
//! | 64 | signature over the label `tessera-ticket-1` and everything before it |

pub mod store;

use crate::auth::Actor;
use crate::config::{Config, ConfigError};
use crate::error::{Code, Refusal, Result};
use crate::id::{BookingId, EventId, OfferId, OrderId, OrganisationId, ScanId, TicketId};
use crate::money::Money;
use crate::text::NOBODY;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Where a ticket stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// Admits one person.
    Valid,
    /// Somebody has come in with it.
    Used {
        /// When.
        at: Timestamp,
        /// At which gate.
        gate: String,
        /// By which scan: the same scan repeated is the same answer.
        scan: ScanId,
    },
    /// Admits nobody: its booking was cancelled.
    Void {
        /// Since when.
        at: Timestamp,
    },
}

/// Admission for one person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ticket {
    /// Its id, from the booking and its place in it.
    pub id: TicketId,
    /// For reading aloud, `7Q2K-94MX`.
    pub number: String,
    /// What it admits to.
    pub event: EventId,
    /// Who organises.
    pub organisation: OrganisationId,
    /// Its order.
    pub order: OrderId,
    /// Its booking.
    pub booking: BookingId,
    /// The ticket type.
    pub offer: OfferId,
    /// The ticket type's name.
    pub offer_name: String,
    /// Its seat, with the section, if it has one: `Stalls A-12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<String>,
    /// Its price.
    pub price: Money,
    /// The name on it.
    pub holder: String,
    /// Which of the order's tickets, from 1.
    pub place: u32,
    /// Where it stands.
    pub state: State,
    /// Since when it exists.
    pub issued: Timestamp,
}

/// How long before the start gates admit.
pub const EARLY: SignedDuration = SignedDuration::from_hours(4);

/// When gates admit: from four hours before the start until the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// From.
    pub from: Timestamp,
    /// Until.
    pub until: Timestamp,
}

impl Window {
    /// The window of an event.
    ///
    /// # Errors
    /// As [`crate::catalogue::Event::starts`].
    pub fn of(event: &crate::catalogue::Event) -> Result<Self> {
        Ok(Self { from: event.starts()? - EARLY, until: event.ends()? })
    }
}

/// One look at a ticket at a gate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look<'a> {
    /// Its id, from the caller and the Idempotency-Key.
    pub scan: ScanId,
    /// Which gate.
    pub gate: &'a str,
    /// When gates admit.
    pub window: Window,
    /// Now.
    pub now: Timestamp,
}

impl Ticket {
    /// The number of a ticket: 40 bits of its id in Crockford's alphabet, which has no I, L, O or U.
    #[must_use]
    pub fn number_of(id: TicketId) -> String {
        let text = id.to_string().to_uppercase();
        let tail = &text[text.len() - 8..];
        format!("{}-{}", &tail[..4], &tail[4..])
    }

    /// Without the name on it: `None` if it is so already. It admits as before.
    #[must_use]
    pub fn without_person(&self) -> Option<Self> {
        (self.holder != NOBODY).then(|| Self { holder: NOBODY.to_owned(), ..self.clone() })
    }

    /// Admits, once. The same scan repeated is admitted again: its first answer was lost on the way.
    ///
    /// # Errors
    /// `ticket_used` with when and where; `ticket_invalid` when void or outside the window.
    pub fn admit(&self, look: &Look<'_>) -> Result<Option<Self>> {
        match &self.state {
            State::Void { .. } => Err(invalid("the booking was cancelled")),
            State::Used { scan, .. } if *scan == look.scan => Ok(None),
            State::Used { at, gate, .. } => Err(Refusal::from(Code::TicketUsed)
                .with("result", "USED")
                .with("used_at", at)
                .with("gate", gate)),
            State::Valid if look.now < look.window.from => {
                Err(invalid("gates are not open yet").with("opens", look.window.from))
            }
            State::Valid if look.now > look.window.until => Err(invalid("the event is over")),
            State::Valid => {
                let used = State::Used { at: look.now, gate: look.gate.to_owned(), scan: look.scan };
                Ok(Some(Self { state: used, ..self.clone() }))
            }
        }
    }

    /// Its booking was cancelled. A ticket that was used stays used.
    #[must_use]
    pub fn void(&self, now: Timestamp) -> Option<Self> {
        match self.state {
            State::Valid => Some(Self { state: State::Void { at: now }, ..self.clone() }),
            State::Used { .. } | State::Void { .. } => None,
        }
    }
}

/// INVALID, with the reason for the person at the gate.
#[must_use]
pub fn invalid(why: &str) -> Refusal {
    Code::TicketInvalid.because(why).with("result", "INVALID")
}

/// What a gate saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// Admitted.
    Valid,
    /// Refused: it had been used.
    Used,
    /// Refused: not a valid ticket here and now.
    Invalid,
}

/// One line of the entry log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The scan.
    pub scan: ScanId,
    /// At which event.
    pub event: EventId,
    /// Which ticket, if the code named one.
    pub ticket: Option<TicketId>,
    /// Which gate.
    pub gate: String,
    /// Who scanned.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: Outcome,
    /// Why not.
    pub why: Option<String>,
}

const FORMAT: u8 = 1;
const LABEL: &[u8] = b"tessera-ticket-1";
const SIGNED: usize = 1 + 2 + 16 + 8;
/// Bytes of a ticket's code before base64url.
pub const CODE_BYTES: usize = SIGNED + 64;

fn key_id(public: &[u8]) -> [u8; 2] {
    let digest = digest(&SHA256, public);
    [digest.as_ref()[0], digest.as_ref()[1]]
}

fn event_print(event: EventId) -> [u8; 8] {
    let mut print = [0; 8];
    print.copy_from_slice(&digest(&SHA256, event.uuid().as_bytes()).as_ref()[..8]);
    print
}

fn labelled(body: &[u8]) -> Vec<u8> {
    [LABEL, body].concat()
}

/// Signs ticket codes. Only the function that issues tickets has one.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// Reads `TICKET_PRIVATE_KEY`: base64 of a 32-byte Ed25519 seed.
    ///
    /// # Errors
    /// Names the setting.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let seed = STANDARD.decode(config.require("TICKET_PRIVATE_KEY")?).ok();
        let pair = seed.and_then(|seed| Ed25519KeyPair::from_seed_unchecked(&seed).ok());
        pair.map(Self).ok_or_else(|| config.wrong("TICKET_PRIVATE_KEY", "needs base64 of a 32-byte seed"))
    }

    /// The code of a ticket.
    #[must_use]
    pub fn code(&self, ticket: TicketId, event: EventId) -> String {
        let mut code = Vec::with_capacity(CODE_BYTES);
        code.push(FORMAT);
        code.extend_from_slice(&key_id(self.0.public_key().as_ref()));
        code.extend_from_slice(ticket.uuid().as_bytes());
        code.extend_from_slice(&event_print(event));
        let signature = self.0.sign(&labelled(&code));
        code.extend_from_slice(signature.as_ref());
        URL_SAFE_NO_PAD.encode(code)
    }
}

/// Checks ticket codes, with any of the keys in force.
pub struct Verifier(Vec<Vec<u8>>);

impl Verifier {
    /// Reads `TICKET_PUBLIC_KEYS`: comma-separated base64 of 32-byte Ed25519 public keys.
    ///
    /// # Errors
    /// Names the setting.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let keys = config.require("TICKET_PUBLIC_KEYS")?.split(',');
        let keys = keys
            .map(|key| STANDARD.decode(key.trim()).ok().filter(|key| key.len() == 32))
            .collect::<Option<_>>();
        keys.map(Self).ok_or_else(|| config.wrong("TICKET_PUBLIC_KEYS", "needs base64 of 32 bytes each"))
    }

    /// The ticket that a code names, if we signed it for this event.
    ///
    /// # Errors
    /// `ticket_invalid` with the reason.
    pub fn check(&self, code: &str, event: EventId) -> Result<TicketId> {
        let bytes = URL_SAFE_NO_PAD.decode(code.trim()).map_err(|_| invalid("this is no ticket code"))?;
        if bytes.len() != CODE_BYTES || bytes[0] != FORMAT {
            return Err(invalid("this is no ticket code"));
        }
        let (body, signature) = bytes.split_at(SIGNED);
        let key = self
            .0
            .iter()
            .find(|key| key_id(key) == body[1..3])
            .ok_or_else(|| invalid("signed by an unknown key"))?;
        let public = UnparsedPublicKey::new(&ED25519, key);
        public.verify(&labelled(body), signature).map_err(|_| invalid("the signature is wrong"))?;
        if body[19..27] != event_print(event) {
            return Err(invalid("a ticket for another event"));
        }
        let mut ticket = [0; 16];
        ticket.copy_from_slice(&body[3..19]);
        Ok(TicketId::from_uuid(uuid::Uuid::from_bytes(ticket)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn ticket(state: State) -> Ticket {
        let id = TicketId::derive(&["t"]);
        Ticket {
            id,
            number: Ticket::number_of(id),
            event: EventId::derive(&["e"]),
            organisation: OrganisationId::derive(&["org"]),
            order: OrderId::derive(&["o"]),
            booking: BookingId::derive(&["b"]),
            offer: OfferId::derive(&["f"]),
            offer_name: "Standing".into(),
            seat: None,
            price: Money::new(2500, "EUR".parse().unwrap()),
            holder: "Ada".into(),
            place: 1,
            state,
            issued: at(0),
        }
    }

    fn look(scan: &str, now: i64) -> Look<'static> {
        Look {
            scan: ScanId::derive(&[scan]),
            gate: "north",
            window: Window { from: at(100), until: at(200) },
            now: at(now),
        }
    }

    /// Every state × every transition.
    #[test]
    fn the_grid_of_a_ticket() {
        let valid = ticket(State::Valid);
        let used = valid.admit(&look("first", 150)).unwrap().unwrap();
        let void = valid.void(at(1)).unwrap();
        assert!(matches!(&used.state, State::Used { gate, .. } if gate == "north"));

        assert_eq!(valid.admit(&look("early", 99)).unwrap_err(), Code::TicketInvalid);
        assert!(valid.admit(&look("sharp", 100)).is_ok() && valid.admit(&look("last", 200)).is_ok());
        assert_eq!(valid.admit(&look("late", 201)).unwrap_err(), Code::TicketInvalid);
        assert_eq!(used.admit(&look("first", 150)).unwrap(), None, "the same scan again");
        let refusal = used.admit(&look("second", 151)).unwrap_err();
        assert_eq!((refusal.code, &refusal.extra["gate"]), (Code::TicketUsed, &serde_json::json!("north")));
        assert_eq!(void.admit(&look("any", 150)).unwrap_err(), Code::TicketInvalid);

        assert_eq!(used.void(at(2)), None);
        assert_eq!(void.void(at(2)), None);
    }

    fn pair(seed: u8) -> (Signer, String) {
        let signer = Signer(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap());
        let public = STANDARD.encode(signer.0.public_key().as_ref());
        (signer, public)
    }

    fn verifier(keys: &[&str]) -> Verifier {
        Verifier::new(&[("TICKET_PUBLIC_KEYS".to_owned(), keys.join(","))].into_iter().collect()).unwrap()
    }

    #[test]
    fn a_code_is_good_for_its_event_and_the_key_that_signed_it() {
        let ((signer, public), (_, other)) = (pair(1), pair(2));
        let (ticket, event) = (TicketId::derive(&["t"]), EventId::derive(&["e"]));
        let code = signer.code(ticket, event);
        assert_eq!(code.len(), 122);
        assert_eq!(verifier(&[&other, &public]).check(&code, event).unwrap(), ticket, "any key in force");
        assert_eq!(verifier(&[&other]).check(&code, event).unwrap_err(), Code::TicketInvalid);
        assert_eq!(
            verifier(&[&public]).check(&code, EventId::derive(&["x"])).unwrap_err(),
            Code::TicketInvalid
        );
    }

    #[test]
    fn no_changed_byte_passes() {
        let (signer, public) = pair(1);
        let event = EventId::derive(&["e"]);
        let code = URL_SAFE_NO_PAD.decode(signer.code(TicketId::derive(&["t"]), event)).unwrap();
        for place in 0..code.len() {
            let mut changed = code.clone();
            changed[place] ^= 1;
            assert!(
                verifier(&[&public]).check(&URL_SAFE_NO_PAD.encode(changed), event).is_err(),
                "byte {place}"
            );
        }
    }
}
