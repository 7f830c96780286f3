//! Rate limits: how often one caller may ask, counted in the store, so that it holds however many instances answer.
//!
//! | file | what |
//! |---|---|
//! | this one | the classes of requests, who is counted, and how much they may ask for |
//! | [`bucket`] | one caller's bucket of one class: when there is room, and when there will be |
//! | [`seen`] | what one instance remembers: which requests it lets pass, and refuses, without asking the store |
//! | [`routes`] | which route is of which class, read from the description of the API |
//! | [`notice`] | the headers that tell callers where they stand |
//! | [`store`] | the writes |
//!
//! A **bucket** belongs to one caller and one [`Class`]. Callers are accounts, guests, devices and servers with a key, and the network
//! address where there is none of them: an IPv4 address, or the first 64 bits of an IPv6 address, which is what one household has. What the store sees
//! of a caller is a keyed hash.
//!
//! # What it costs, and how exact it is
//!
//! *Strict* classes ([`Class::is_strict`]: what guesses a secret, or costs mail or much work) are charged before the work, each
//! time: one write unit, by address, and a second one by account where somebody has signed in. A guest's credential is free, so
//! guests are counted by their address alone. Without the store they are refused: `unavailable`.
//!
//! *Fair use* (all other writes, and reads with a credential) must not cost a hold its second write. So an instance lets a caller's
//! first request in each [`seen::WINDOW_SECONDS`] pass without asking anybody, and charges it together with the second. What is never charged
//! is therefore at most one request per caller, instance and window: with 100 instances that answer the same caller, 10 a second;
//! and only of callers whom the instance does not know to be over their limit. (A quota so large that a thousandth of it is more than one
//! has that thousandth free.) Somebody who asks each instance once costs nothing more; each request after the first
//! in a window is one write unit. Without the store they pass, and the log says so: a sale does not stop because nobody counts.
//!
//! *Open* reads are answered from caches and are not counted here; the gateway's own throttle is above all of them.
//!
//! A refusal is one write unit at most: the failed condition says how full the bucket is, and until there is room again that
//! instance refuses without asking, because a bucket that is full now cannot have room earlier than that.
//!
//! A guest's bucket is begun by a first hold, which is counted by address: as many guests as an address's `write` allows. What one person
//! can do with many of them is bounded by that, not by their own buckets.
//!
//! # Where the address comes from
//!
//! From the gateway's own account of the connection (`requestContext.http.sourceIp`), never from a header, which clients can
//! write. **Behind a proxy of one's own, or CloudFront, that is the proxy's address**, and all its visitors would share one bucket. Such a
//! deployment must (1) see to it that nobody reaches the API past the proxy (`DisableExecuteApiEndpoint`, and a secret header that the
//! proxy adds and an authorizer demands), (2) raise the limits whose names end in `_address` to what everybody together may ask, and (3) count by
//! address where addresses are known: a rate-based rule of AWS WAF on the distribution, for `/v1/sessions`, `/v1/accounts*` and
//! `/v1/gift-cards/balance` above all. Limits by account and guest hold as they are.

pub mod bucket;
pub mod notice;
pub mod routes;
pub mod seen;
pub mod store;

use crate::auth::{Account, Actor, Caller};
use crate::config::{Config, ConfigError};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// By whom a bucket is filled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum By {
    /// A person, or a device, who can be told from the others.
    Caller,
    /// A server with a key, which asks for many people.
    Server,
    /// Everybody at one network address: an office, a school, a mobile network.
    Address,
}

impl By {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Caller, Self::Server, Self::Address];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Caller => "",
            Self::Server => "_server",
            Self::Address => "_address",
        }
    }
}

macro_rules! classes {
    ($($name:ident $word:literal $strict:literal [$caller:expr, $server:expr, $address:expr] $what:literal;)*) => {
        /// What a request is counted as. Limits of one class do not eat another's.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Class {
            $(#[doc = $what] $name),*
        }

        impl Class {
            /// Every class.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name, as in the setting `LIMITS` and the headers.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }

            /// Charged in the store before the work, always; refused when the store does not answer.
            #[must_use]
            pub const fn is_strict(self) -> bool {
                match self { $(Self::$name => $strict),* }
            }

            /// What is counted under it.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => $what),* }
            }

            /// What a deployment allows that says nothing else.
            const fn usual(self, by: By) -> Option<Quota> {
                match (self, by) {
                    $((Self::$name, By::Caller) => $caller,
                    (Self::$name, By::Server) => $server,
                    (Self::$name, By::Address) => $address),*
                }
            }
        }
    };
}

/// So many, and as many again in so many seconds.
const fn each(burst: u32, seconds: u32) -> Option<Quota> {
    Some(Quota { burst, seconds })
}

// By caller, by server, by address. A till scans a ticket a second; an order page asks every second or two; a pupil of thirty at one address signs in while the
// others do; a mobile network puts thousands behind one address.
classes! {
    Open "open" false [None, None, None] "Public reads that caches keep, and providers' signed reports: not counted.";
    Read "read" false [each(300, 60), each(1_200, 60), each(1_200, 60)] "Reads with a credential.";
    Write "write" false [each(120, 60), each(600, 60), each(1_200, 60)] "Everything that changes something, unless it is named below.";
    SignIn "sign_in" true [each(10, 60), each(10, 60), each(60, 300)] "Passwords and codes: what guesses a person's or a device's secret.";
    Mail "mail" true [each(30, 600), each(30, 600), each(60, 600)] "What makes us send mail to an address that somebody names.";
    GiftCard "gift_card" true [each(20, 300), each(60, 300), each(60, 300)] "What guesses a gift card's code.";
    Link "link" true [each(120, 60), each(600, 60), each(600, 60)] "Anything asked with a secret in its address: an order's link, a private event's code.";
    Upload "upload" true [each(20, 600), each(60, 600), each(60, 600)] "What makes us read whole files.";
}

/// A bucket's size and how fast it fills again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// So many at once, 1 to [`MOST`], and at most a million for each second.
    pub burst: u32,
    /// As many again in so many seconds, 1 to 86,400.
    pub seconds: u32,
}

/// The largest quota.
pub const MOST: u32 = 10_000_000;

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.burst, self.seconds)
    }
}

/// The quotas of a deployment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits(BTreeMap<(Class, By), Quota>);

impl Default for Limits {
    fn default() -> Self {
        let each = |class: Class| By::ALL.iter().map(move |by| (class, *by));
        let pairs = Class::ALL.iter().flat_map(|class| each(*class));
        Self(pairs.filter_map(|(class, by)| Some(((class, by), class.usual(by)?))).collect())
    }
}

impl Limits {
    /// Reads `LIMITS`: `sign_in=10/60,write_address=600/60`, each a name, a burst and in how many seconds it fills again.
    /// What is not named is as usual.
    ///
    /// # Errors
    /// Names the setting, and the part of it that is malformed.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let mut limits = Self::default();
        for part in config.optional("LIMITS").into_iter().flat_map(|text| text.split(',')) {
            limits.change(part.trim()).map_err(|why| config.wrong("LIMITS", &format!("`{part}`: {why}")))?;
        }
        Ok(limits)
    }

    fn change(&mut self, part: &str) -> Result<(), &'static str> {
        let (name, quota) = part.split_once('=').ok_or("must be name=burst/seconds")?;
        let (burst, seconds) = quota.split_once('/').ok_or("must be name=burst/seconds")?;
        let mut named = self.0.iter_mut().filter(|((class, by), _)| bucket_name(*class, *by) == name);
        let (_, place) = named.next().ok_or("there is no such limit")?;
        let number = |text: &str, most: u32| text.parse().ok().filter(|number| (1..=most).contains(number));
        let seconds = number(seconds, 86_400).ok_or("seconds are from 1 to 86400")?;
        let burst = number(burst, MOST.min(seconds.saturating_mul(1_000_000)));
        let burst = burst.ok_or("a burst is from 1 to 10000000, and at most 1000000 a second")?;
        *place = Quota { burst, seconds };
        Ok(())
    }

    /// The quota of a class; `None` for what is not counted.
    #[must_use]
    pub fn of(&self, class: Class, by: By) -> Option<Quota> {
        self.0.get(&(class, by)).copied()
    }
}

/// A limit's name: `write`, `write_address`.
#[must_use]
pub fn bucket_name(class: Class, by: By) -> String {
    format!("{}{}", class.word(), by.suffix())
}

/// Whose buckets a request is charged to, in this order. The address is the last, so that who is over their own limit takes
/// nothing from the others there.
#[must_use]
pub fn holders(class: Class, caller: Option<&Caller>, address: Option<IpAddr>) -> Vec<(By, String)> {
    let network = (By::Address, network(address));
    let own = match caller {
        Some(Caller::Account(Account { id, .. })) => (By::Caller, id.to_string()),
        Some(Caller::Guest(guest)) if !class.is_strict() => (By::Caller, guest.to_string()),
        Some(Caller::Thing(thing)) => match thing.actor {
            Actor::Key(id) => (By::Server, id.to_string()),
            Actor::Device(id) => (By::Caller, id.to_string()),
            Actor::Account(id) => (By::Caller, id.to_string()),
        },
        Some(Caller::Guest(_)) | None => return vec![network],
    };
    if class.is_strict() { vec![own, network] } else { vec![own] }
}

/// What of an address stands for one household or office. Those of whom nothing is known share one bucket.
fn network(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AccountId, DeviceId, GuestId, KeyId, OrganisationId, SessionId};
    use crate::identity::{Rights, Role, Thing};
    use jiff::Timestamp;
    use std::sync::Arc;

    fn limits(text: &str) -> Result<Limits, ConfigError> {
        Limits::new(&[("LIMITS".to_owned(), text.to_owned())].into_iter().collect())
    }

    #[test]
    fn a_deployment_changes_what_it_names_and_nothing_else() {
        let changed = limits("sign_in=3/600, write_address=9/1").unwrap();
        let mut expected = Limits::default();
        expected.0.insert((Class::SignIn, By::Caller), Quota { burst: 3, seconds: 600 });
        expected.0.insert((Class::Write, By::Address), Quota { burst: 9, seconds: 1 });
        assert_eq!(changed, expected);
        assert_eq!(limits("").unwrap(), Limits::default());
    }

    #[test]
    fn a_malformed_setting_is_refused_by_its_name_and_part() {
        for text in [
            "write",
            "write=",
            "write=120",
            "write=120/",
            "write=0/60",
            "write=120/0",
            "write=-1/60",
            "write=10000001/60",
            "write=1000001/1",
            "write=120/86401",
            "writes=120/60",
            "open=1/1",
            "write=120/60,,",
            "write=120/60/60",
        ] {
            let error = limits(text).unwrap_err();
            assert_eq!(error.name, "LIMITS", "{text}");
        }
        let error = limits("read=1/1,writes=120/60").unwrap_err().to_string();
        assert_eq!(error, "setting LIMITS: `writes=120/60`: there is no such limit");
    }

    #[test]
    fn only_what_is_open_has_no_quota_and_an_address_has_more_than_a_caller() {
        let limits = Limits::default();
        for class in Class::ALL {
            let (own, address) = (limits.of(*class, By::Caller), limits.of(*class, By::Address));
            assert_eq!(own.is_none() && address.is_none(), *class == Class::Open, "{class:?}");
            if let (Some(own), Some(address)) = (own, address) {
                // A rate is burst / seconds: compared without a fraction.
                let rate = |of: Quota, by: Quota| u64::from(of.burst) * u64::from(by.seconds);
                assert!(own.burst < address.burst && rate(own, address) <= rate(address, own), "{class:?}");
            }
        }
    }

    #[test]
    fn a_household_is_an_address_or_a_64th_of_the_new_ones() {
        let of = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }

    #[test]
    fn fair_use_counts_whoever_can_be_told_apart_and_the_strict_classes_the_address_too() {
        let (now, address) = (Timestamp::UNIX_EPOCH, Some("192.0.2.1".parse().unwrap()));
        let account = Account { id: AccountId::new(now), session: SessionId::new(now) };
        let guest = GuestId::new(now);
        let (key, device, organisation) = (KeyId::new(now), DeviceId::new(now), OrganisationId::new(now));
        let rights = Rights::of(Role::Gate);
        let thing =
            |actor| Some(Caller::Thing(Arc::new(Thing { actor, organisation, rights: rights.clone() })));
        let by_address = (By::Address, "192.0.2.1".to_owned());
        let by_account = (By::Caller, account.id.to_string());
        for (class, caller, expected) in [
            (Class::Write, None, vec![by_address.clone()]),
            (Class::Write, Some(Caller::Guest(guest)), vec![(By::Caller, guest.to_string())]),
            (Class::Read, Some(Caller::Account(account)), vec![by_account.clone()]),
            (Class::SignIn, None, vec![by_address.clone()]),
            (Class::Link, Some(Caller::Guest(guest)), vec![by_address.clone()]),
            (Class::Upload, Some(Caller::Account(account)), vec![by_account, by_address.clone()]),
            (Class::Write, thing(Actor::Key(key)), vec![(By::Server, key.to_string())]),
            (Class::Link, thing(Actor::Key(key)), vec![(By::Server, key.to_string()), by_address]),
            (Class::Write, thing(Actor::Device(device)), vec![(By::Caller, device.to_string())]),
        ] {
            assert_eq!(holders(class, caller.as_ref(), address), expected, "{class:?} {caller:?}");
        }
    }
}
