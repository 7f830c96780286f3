//! How accounts, sessions and organisations are kept.
//!
//! | item | pk | sk | g1 |
//! |---|---|---|---|
//! | address: which account has it | `mail#` SHA-256 of the address | `-` | |
//! | account | account id | `-` | |
//! | session | session id | `-` | account, by sign-in |
//! | organisation | organisation id | `-` | |
//! | member | organisation id | account id | account |
//!
//! An address is claimed before its account is stored. Should the function die between the two, the claim names the
//! account that the next try stores.

use super::{Account, Action, Member, Organisation, Role, Session};
use crate::app::App;
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Listing, Query, Stored, Table};
use crate::error::{Code, Result};
use crate::id::{AccountId, OrganisationId, SessionId};
use crate::text::Email;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which account has an address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Address {
    /// SHA-256 of the normal form, hexadecimal: addresses are personal data, and keys end up in logs.
    pub hash: String,
    /// The account.
    pub account: AccountId,
}

impl Address {
    /// The claim of an address for an account.
    #[must_use]
    pub fn new(email: &Email, account: AccountId) -> Self {
        Self { hash: hash(email), account }
    }
}

fn hash(email: &Email) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, email.normal().as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Item for Address {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(format!("mail#{}", self.hash), "-")
    }
}

impl Item for Account {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
}

impl Item for Session {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn first(&self) -> Option<(String, String)> {
        Some((self.account.to_string(), format!("ses#{}", sortable(self.created))))
    }
    fn forget(&self) -> Option<Timestamp> {
        Some(self.ends())
    }
}

impl Item for Organisation {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
}

impl Item for Member {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(self.organisation, self.account)
    }
    fn first(&self) -> Option<(String, String)> {
        Some((self.account.to_string(), format!("org#{}", self.organisation)))
    }
}

/// The account that has this address.
///
/// # Errors
/// As [`Db::get`].
pub async fn account_of(db: &Db, email: &Email) -> Result<Option<Stored<Account>>> {
    let Some(address) = db.get::<Address>(&Key::new(format!("mail#{}", hash(email)), "-")).await? else {
        return Ok(None);
    };
    db.get(&Key::new(address.value.account, "-")).await
}

/// An account.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn account(db: &Db, id: AccountId) -> Result<Stored<Account>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}

/// A session.
///
/// # Errors
/// As [`Db::get`].
pub async fn session(db: &Db, id: SessionId) -> Result<Option<Stored<Session>>> {
    db.get(&Key::new(id, "-")).await
}

/// An account's sessions, the newest last.
///
/// # Errors
/// As [`Db::list`].
pub async fn sessions(db: &Db, account: AccountId) -> Result<Vec<Stored<Session>>> {
    db.list_all(&Query::of(Listing::First, account).starting("ses#")).await
}

/// An organisation.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn organisation(db: &Db, id: OrganisationId) -> Result<Stored<Organisation>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}

/// An organisation's members.
///
/// # Errors
/// As [`Db::list`].
pub async fn members(db: &Db, id: OrganisationId) -> Result<Vec<Stored<Member>>> {
    db.list_all(&Query::of(Listing::Primary, id).starting("acc_")).await
}

/// An account's memberships.
///
/// # Errors
/// As [`Db::list`].
pub async fn memberships(db: &Db, account: AccountId) -> Result<Vec<Stored<Member>>> {
    db.list_all(&Query::of(Listing::First, account).starting("org#")).await
}

/// An account's membership in an organisation.
///
/// # Errors
/// As [`Db::get`].
pub async fn member(
    db: &Db,
    organisation: OrganisationId,
    account: AccountId,
) -> Result<Option<Stored<Member>>> {
    db.get(&Key::new(organisation, account)).await
}

impl App {
    /// Whether `account` may do `action` in `organisation`, read anew for each request: a demotion applies at once.
    ///
    /// # Errors
    /// `not_found` for strangers, who learn nothing of the organisation; `forbidden` for members without the right.
    pub async fn authorize(
        &self,
        account: AccountId,
        action: Action,
        organisation: OrganisationId,
    ) -> Result<Role> {
        let member = member(&self.db, organisation, account).await?.ok_or(Code::NotFound)?;
        if member.value.role.allows(action) { Ok(member.value.role) } else { Code::Forbidden.refuse() }
    }
}
