//! Identifiers: newtypes over 128 bits, written `prefix_` plus 26 characters of Crockford base 32.
//!
//! Two ways to make one. [`Id::new`](EventId::new) is a UUIDv7 (RFC 9562 §5.7): sortable by time. `derive` is a UUIDv8
//! (RFC 9562 §5.8) hashed from the caller and the Idempotency-Key, so that a repeated request arrives at the same id
//! and its conditional write finds what the first one stored; such ids carry no time, and lists sort by a stored instant.

use jiff::Timestamp;
use std::fmt;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The text was not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id that starts with {0}_")]
pub struct NotAnId(pub &'static str);

fn encode(value: u128) -> String {
    (0..26).rev().map(|place| char::from(ALPHABET[(value >> (place * 5)) as usize & 31])).collect()
}

fn decode(text: &str) -> Option<u128> {
    // 26 × 5 = 130 bits: the first character may only carry three.
    if text.len() != 26 || text.as_bytes()[0] > b'7' {
        return None;
    }
    text.bytes().try_fold(0u128, |value, byte| {
        let digit = ALPHABET.iter().position(|letter| *letter == byte)?;
        Some(value << 5 | digit as u128)
    })
}

/// 128 bits from a hash of the parts, stamped as a UUIDv8. The parts are length-prefixed: no two lists collide by joining.
pub(crate) fn hashed(parts: &[&[u8]]) -> uuid::Uuid {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&context.finish().as_ref()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn time_sorted(now: Timestamp) -> uuid::Uuid {
    let mut random = [0; 10];
    // The operating system's generator fails only before the system has booted; an all-zero tail would then
    // still be caught by the "must not exist" condition of every first write.
    if getrandom::fill(&mut random).is_err() {
        tracing::error!("no randomness from the operating system");
    }
    uuid::Builder::from_unix_timestamp_millis(now.as_millisecond().max(0) as u64, &random).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub struct $name(uuid::Uuid);

            impl $name {
                /// What every id of this kind starts with, before the underscore.
                pub const PREFIX: &'static str = $prefix;

                /// A fresh id, sortable by `now` (milliseconds).
                #[must_use]
                pub fn new(now: Timestamp) -> Self {
                    Self(time_sorted(now))
                }

                /// The id that these parts always lead to.
                #[must_use]
                pub fn derive(parts: &[&str]) -> Self {
                    let parts: Vec<&[u8]> = std::iter::once($prefix).chain(parts.iter().copied()).map(str::as_bytes).collect();
                    Self(hashed(&parts))
                }

                /// The same 128 bits under another kind's name: an order and the hold it came from share them.
                #[must_use]
                pub const fn from_uuid(uuid: uuid::Uuid) -> Self {
                    Self(uuid)
                }

                /// The bare 128 bits.
                #[must_use]
                pub const fn uuid(self) -> uuid::Uuid {
                    self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, "{}_{}", $prefix, encode(self.0.as_u128()))
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Display::fmt(self, f)
                }
            }

            impl std::str::FromStr for $name {
                type Err = NotAnId;
                fn from_str(text: &str) -> Result<Self, NotAnId> {
                    text.strip_prefix(concat!($prefix, "_"))
                        .and_then(decode)
                        .map(|bits| Self(uuid::Uuid::from_u128(bits)))
                        .ok_or(NotAnId($prefix))
                }
            }

            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                }
            }

            impl utoipa::PartialSchema for $name {
                fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                    utoipa::openapi::ObjectBuilder::new()
                        .schema_type(utoipa::openapi::schema::Type::String)
                        .pattern(Some(concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$")))
                        .examples([serde_json::json!(concat!($prefix, "_06f5k2v8s1xg4w7m3q9c0hrtbn"))])
                        .into()
                }
            }
            impl utoipa::ToSchema for $name {}
        )*

        /// Every prefix and the type it belongs to: the registry that the documents and a test read.
        pub const REGISTRY: &[(&str, &str)] = &[$(($prefix, stringify!($name))),*];
    };
}

ids! {
    /// A picture of an organisation.
    PictureId "pic";
    /// A person with an e-mail address and a password.
    AccountId "acc";
    /// A buyer without an account, known by the credential of their first hold.
    GuestId "gst";
    /// A sign-in on one device.
    SessionId "ses";
    /// A team that publishes and sells.
    OrganisationId "org";
    /// A group of members.
    TeamId "tem";
    /// An offer of a place in an organisation.
    InvitationId "ivt";
    /// An archive of all that is known of somebody.
    ExportId "exp";
    /// What a server calls with, for an organisation.
    KeyId "key";
    /// A scanner or a till of an organisation.
    DeviceId "dev";
    /// Something people attend.
    EventId "evt";
    /// What a vendor does for people, at times of their own.
    ServiceId "svc";
    /// One way to buy a service.
    PackageId "pkg";
    /// A place that sells products from stock.
    StoreId "sto";
    /// Something that is sold from stock.
    ProductId "prd";
    /// Units that came into a store's stock, or left it.
    MovementId "mov";
    /// A ticket type with a price and a sale window.
    OfferId "ofr";
    /// What takes something off a price, under a code.
    CouponId "cpn";
    /// Capacity that offers draw from.
    PoolId "pol";
    /// Somebody who asks to be let in.
    ApplicationId "apl";
    /// Somebody who waits for places of a sold-out event.
    WaiterId "wai";
    /// A place with sections of seats.
    VenueId "ven";
    /// A basket of places kept for a while.
    HoldId "hld";
    /// Places that are sold.
    BookingId "bkg";
    /// What a buyer asked to buy.
    OrderId "ord";
    /// An invoice or a credit note.
    InvoiceId "inv";
    /// Money that a seller owes to whoever has a code.
    GiftCardId "gft";
    /// One order's payment with one provider.
    PaymentId "pay";
    /// What goes back of a payment.
    RefundId "rfd";
    /// One entry in the books.
    EntryId "led";
    /// Admission for one person.
    TicketId "tkt";
    /// One attempt at a gate.
    ScanId "scn";
    /// One e-mail to one recipient.
    MailId "mai";
    /// One message between capabilities.
    MessageId "msg";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text_and_sorts_by_time() {
        let early = EventId::new(Timestamp::from_millisecond(1_000).unwrap());
        let late = EventId::new(Timestamp::from_millisecond(2_000).unwrap());
        assert_eq!(early.to_string().parse(), Ok(early));
        assert!(early.to_string() < late.to_string());
    }

    #[test]
    fn an_id_of_another_kind_or_with_a_stray_letter_is_refused() {
        let order = OrderId::derive(&["x"]).to_string();
        assert_eq!(order.parse::<EventId>(), Err(NotAnId("evt")));
        assert!(order.replacen("ord_", "ord_u", 1).parse::<OrderId>().is_err());
        assert!("ord_zzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<OrderId>().is_err(), "130 bits do not fit");
    }

    #[test]
    fn derived_ids_depend_on_every_part_and_on_where_the_parts_end() {
        assert_eq!(HoldId::derive(&["a", "b"]), HoldId::derive(&["a", "b"]));
        assert_ne!(HoldId::derive(&["ab", ""]), HoldId::derive(&["a", "b"]));
        assert_ne!(HoldId::derive(&["a"]).uuid(), OrderId::derive(&["a"]).uuid());
    }

    #[test]
    fn no_two_kinds_share_a_prefix() {
        let mut prefixes: Vec<_> = REGISTRY.iter().map(|(prefix, _)| prefix).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        assert_eq!(prefixes.len(), REGISTRY.len());
    }
}
