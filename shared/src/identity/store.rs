//! How accounts, sessions and organisations are kept.
//!
//! | item | pk | sk | g1 |
//! |---|---|---|---|
//! | address: which account has it | `mail#` SHA-256 of the address | `-` | |
//! | account | account id | `-` | `erased` by time, until it was gone through once more |
//! | profile | account id | `profile` | |
//! | archive that was asked for | export id | `-` | account, by asking |
//! | who somebody is to Google or Apple | `idp#` SHA-256 of provider and `sub` | `-` | account, by provider |
//! | nonce that was used, until it would be over | `spent#` SHA-256 of the nonce | `-` | |
//! | session | session id | `-` | account, by sign-in |
//! | guesses at a password, for a day | `try#` and a keyed hash of the address, or whose they are | `-` | |
//! | organisation | organisation id | `-` | |
//! | member | organisation id | account id | account |
//! | team | organisation id | team id | |
//! | invitation | organisation id | invitation id | `mail#` SHA-256 of the address, by time |
//! | API key | key id, from the credential's name | `-` | organisation, by time |
//! | device | device id, from the credential's name | `-` | organisation, by time |
//! | entry of an audit log | `log#` account or organisation | message id | the same `log#`, by number |
//! | the last entry of an audit log | `log#` account or organisation | `head` | |
//! | pairing code: for which device | `pair#` keyed hash of the code | `-` | |
//!
//! An address is claimed before its account is stored. Should the function die between the two, the claim names the
//! account that the next try stores.
//!
//! An address belongs to the account that its claim names if that account says so itself ([`account_of`]). So an account
//! moves in three writes, and may stop after each: it claims the new address, takes it, lets go of the old one. A claim
//! that its account does not confirm is anybody's ([`claim`]). Nobody takes it from under an account that is just about
//! to confirm it: whoever claims again writes the claim anew, and whoever takes it over first makes that account forget
//! where it wanted to move, so that one of the two loses its conditional write.

use super::audit::{Entry, Head, Log, Note};
use super::export::Export;
use super::profile::Kept;
use super::provider::{Link, Spent};
use super::thing::Kind;
use super::{
    Account, Action, ApiKey, Credential, Device, Invitation, Member, Organisation, Resource, Session, Team,
    Thing, Tries,
};
use crate::app::App;
use crate::auth::{self, Agent};
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Listing, Put, Query, Replace, Stored, Table};
use crate::error::{Code, Result};
use crate::id::{
    AccountId, DeviceId, ExportId, InvitationId, KeyId, MessageId, OrganisationId, SessionId, TeamId,
};
use crate::text::{Email, sha256};
use futures_util::future::try_join;
use jiff::{SignedDuration, Timestamp};
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
    sha256(email.normal())
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
    fn first(&self) -> Option<(String, String)> {
        Some((ERASED.to_owned(), format!("{}#{}", sortable(self.unswept()?), self.id)))
    }
}

/// The listing of accounts that were erased a moment ago.
const ERASED: &str = "erased";

impl Item for Kept {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(self.account, "profile")
    }
}

impl Item for Export {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn first(&self) -> Option<(String, String)> {
        Some((self.account.to_string(), format!("exp#{}", sortable(self.asked))))
    }
    fn forget(&self) -> Option<Timestamp> {
        Some(self.ends())
    }
}

impl Item for Link {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(format!("idp#{}", self.subject), "-")
    }
    fn first(&self) -> Option<(String, String)> {
        Some((self.account.to_string(), format!("idp#{}", self.provider.word())))
    }
}

impl Item for Spent {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(format!("spent#{}", self.hash), "-")
    }
    fn forget(&self) -> Option<Timestamp> {
        Some(self.until)
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

impl Item for Tries {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(format!("try#{}", self.at), "-")
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

impl Item for Team {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(self.organisation, self.id)
    }
}

impl Item for Invitation {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(self.organisation, self.id)
    }
    fn first(&self) -> Option<(String, String)> {
        Some((format!("mail#{}", hash(&self.email)), format!("ivt#{}#{}", sortable(self.created), self.id)))
    }
    fn forget(&self) -> Option<Timestamp> {
        Some(self.ends() + SignedDuration::from_hours(24 * 90))
    }
}

impl Item for ApiKey {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn first(&self) -> Option<(String, String)> {
        Some((self.organisation.to_string(), format!("key#{}", sortable(self.created))))
    }
}

impl Item for Device {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn first(&self) -> Option<(String, String)> {
        Some((self.organisation.to_string(), format!("dev#{}", sortable(self.created))))
    }
}

fn log(of: Log) -> String {
    format!("log#{of}")
}

impl Item for Entry {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(log(self.of), self.id)
    }
    fn first(&self) -> Option<(String, String)> {
        Some((log(self.of), format!("{:012}", self.number)))
    }
}

impl Item for Head {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(log(self.last.of), "head")
    }
}

/// Which device a pairing code is for. The device itself says whether the code is still good.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pairing {
    /// Keyed hash of the code, hexadecimal.
    pub code: String,
    /// The device.
    pub device: DeviceId,
    /// Until when.
    pub until: Timestamp,
}

impl Item for Pairing {
    const TABLE: Table = Table::Identity;
    fn key(&self) -> Key {
        Key::new(format!("pair#{}", self.code), "-")
    }
    fn forget(&self) -> Option<Timestamp> {
        Some(self.until)
    }
}

/// The account that has this address. It takes two reads whether there is one or not: how long it takes says nothing.
///
/// # Errors
/// As [`Db::get`].
pub async fn account_of(db: &Db, email: &Email) -> Result<Option<Stored<Account>>> {
    let hash = hash(email);
    let address = db.get::<Address>(&Key::new(format!("mail#{hash}"), "-")).await?;
    let id = address.map_or_else(|| AccountId::derive(&["nobody", &hash]), |address| address.value.account);
    Ok(db.get::<Account>(&Key::new(id, "-")).await?.filter(|account| account.value.has(email)))
}

/// Claims an address for an account, and says whose it is then. One that was `proven` by a mailed code is also taken from
/// an account that never proved it.
///
/// # Errors
/// `busy` when others claim it at the same time; as [`Db::get`].
pub async fn claim(
    db: &Db,
    email: &Email,
    account: AccountId,
    proven: bool,
    now: Timestamp,
) -> Result<AccountId> {
    let wanted = Address::new(email, account);
    let mut known = match db.put_new(wanted.clone(), Vec::new(), now).await? {
        Put::Done(_) => return Ok(account),
        Put::Existed(known) => known,
    };
    for _ in 0..4 {
        match db.get::<Account>(&Key::new(known.value.account, "-")).await? {
            // Its own: written anew, so that nobody who read it before takes it over.
            Some(own) if own.value.id == account => {}
            // Somebody began to sign up: the next try stores the account that the claim names.
            None if !proven => return Ok(known.value.account),
            None => {}
            Some(other) if other.value.has(email) => {
                if other.value.is_active() || !proven {
                    return Ok(other.value.id);
                }
                db.delete(&other).await?;
            }
            Some(other)
                if other.value.moving.as_ref().is_some_and(|to| to.email.normal() == email.normal()) =>
            {
                let stays = |other: &Account| {
                    let about_to =
                        other.moving.as_ref().is_some_and(|to| to.email.normal() == email.normal());
                    Ok(about_to.then(|| Account { moving: None, ..other.clone() }))
                };
                if db.amend(other, now, stays).await?.value.has(email) {
                    continue;
                }
            }
            // It has moved away, or never came.
            Some(_) => {}
        }
        known = match db.replace(&known, wanted.clone(), Vec::new(), now).await? {
            Replace::Done(_) => return Ok(account),
            Replace::Changed(Some(current)) => current,
            Replace::Changed(None) => match db.put_new(wanted.clone(), Vec::new(), now).await? {
                Put::Done(_) => return Ok(account),
                Put::Existed(current) => current,
            },
        };
    }
    Code::Busy.refuse()
}

/// Lets go of an address that an account has left. If somebody else has claimed it since, it stays theirs.
///
/// # Errors
/// As [`Db::get`].
pub async fn let_go(db: &Db, email: &Email, account: AccountId) -> Result<()> {
    let claim = db.get::<Address>(&Key::new(format!("mail#{}", hash(email)), "-")).await?;
    match claim.filter(|claim| claim.value.account == account) {
        Some(claim) => db.delete(&claim).await,
        None => Ok(()),
    }
}

/// The guesses at something.
///
/// # Errors
/// As [`Db::get`].
pub async fn tries(db: &Db, at: &str) -> Result<Option<Stored<Tries>>> {
    db.get(&Key::new(format!("try#{at}"), "-")).await
}

/// An account.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn account(db: &Db, id: AccountId) -> Result<Stored<Account>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}

/// Accounts that were erased and wait to be gone through once more, the oldest first, at most a hundred.
///
/// # Errors
/// As [`Db::list`].
pub async fn unswept(db: &Db) -> Result<Vec<Stored<Account>>> {
    Ok(db.list(&Query::of(Listing::First, ERASED), None).await?.0)
}

/// A profile, if one was written.
///
/// # Errors
/// As [`Db::get`].
pub async fn profile(db: &Db, account: AccountId) -> Result<Option<Stored<Kept>>> {
    db.get(&Key::new(account, "profile")).await
}

/// Which account somebody of a provider has, by the hash of their name there.
///
/// # Errors
/// As [`Db::get`].
pub async fn link(db: &Db, subject: &str) -> Result<Option<Stored<Link>>> {
    db.get(&Key::new(format!("idp#{subject}"), "-")).await
}

/// The providers that an account is linked to.
///
/// # Errors
/// As [`Db::list`].
pub async fn links(db: &Db, account: AccountId) -> Result<Vec<Stored<Link>>> {
    db.list_all(&Query::of(Listing::First, account).starting("idp#")).await
}

/// An archive that was asked for.
///
/// # Errors
/// As [`Db::get`].
pub async fn export(db: &Db, id: ExportId) -> Result<Option<Stored<Export>>> {
    db.get(&Key::new(id, "-")).await
}

/// The archives that an account asked for.
///
/// # Errors
/// As [`Db::list`].
pub async fn exports(db: &Db, account: AccountId) -> Result<Vec<Stored<Export>>> {
    db.list_all(&Query::of(Listing::First, account).starting("exp#")).await
}

/// Where an archive is stored.
#[must_use]
pub fn archive(export: ExportId) -> String {
    format!("exports/{export}.zip")
}

/// A session.
///
/// # Errors
/// As [`Db::get`].
pub async fn session(db: &Db, id: SessionId) -> Result<Option<Stored<Session>>> {
    db.get(&Key::new(id, "-")).await
}

/// Who calls, if the session of their access token still lasts: an account ends its sessions at once, tokens end by
/// themselves. One call of the store.
///
/// # Errors
/// `session_ended`; as [`Db::get_many`].
pub async fn live_session(
    db: &Db,
    caller: auth::Account,
    now: Timestamp,
) -> Result<(Stored<Account>, Stored<Session>)> {
    let keys = (Key::new(caller.id, "-"), Key::new(caller.session, "-"));
    match db.get_both::<Account, Session>(&keys.0, &keys.1).await? {
        (Some(account), Some(session)) if session.value.is_live(&account.value, now) => {
            Ok((account, session))
        }
        _ => Code::SessionEnded.refuse(),
    }
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

/// A team.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn team(db: &Db, organisation: OrganisationId, id: TeamId) -> Result<Stored<Team>> {
    let team = db.get(&Key::new(organisation, id)).await?;
    team.filter(|team: &Stored<Team>| !team.value.is_gone()).ok_or_else(|| Code::NotFound.into())
}

/// An organisation's teams.
///
/// # Errors
/// As [`Db::list`].
pub async fn teams(db: &Db, id: OrganisationId) -> Result<Vec<Stored<Team>>> {
    let mut teams = db.list_all(&Query::of(Listing::Primary, id).starting("tem_")).await?;
    teams.retain(|team: &Stored<Team>| !team.value.is_gone());
    Ok(teams)
}

/// An organisation's invitations, answered or not.
///
/// # Errors
/// As [`Db::list`].
pub async fn invitations(db: &Db, id: OrganisationId) -> Result<Vec<Stored<Invitation>>> {
    db.list_all(&Query::of(Listing::Primary, id).starting("ivt_")).await
}

/// The invitations to an address, the oldest first.
///
/// # Errors
/// As [`Db::list`].
pub async fn invitations_to(db: &Db, email: &Email) -> Result<Vec<Stored<Invitation>>> {
    db.list_all(&Query::of(Listing::First, format!("mail#{}", hash(email))).starting("ivt#")).await
}

/// An invitation.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn invitation(
    db: &Db,
    organisation: OrganisationId,
    id: InvitationId,
) -> Result<Stored<Invitation>> {
    db.get(&Key::new(organisation, id)).await?.ok_or_else(|| Code::NotFound.into())
}

/// A key.
///
/// # Errors
/// As [`Db::get`].
pub async fn key(db: &Db, id: KeyId) -> Result<Option<Stored<ApiKey>>> {
    db.get(&Key::new(id, "-")).await
}

/// An organisation's keys, the oldest first.
///
/// # Errors
/// As [`Db::list`].
pub async fn keys(db: &Db, id: OrganisationId) -> Result<Vec<Stored<ApiKey>>> {
    db.list_all(&Query::of(Listing::First, id).starting("key#")).await
}

/// A device.
///
/// # Errors
/// As [`Db::get`].
pub async fn device(db: &Db, id: DeviceId) -> Result<Option<Stored<Device>>> {
    db.get(&Key::new(id, "-")).await
}

/// An organisation's devices, the oldest first.
///
/// # Errors
/// As [`Db::list`].
pub async fn devices(db: &Db, id: OrganisationId) -> Result<Vec<Stored<Device>>> {
    db.list_all(&Query::of(Listing::First, id).starting("dev#")).await
}

/// The device that waits for a pairing code with this keyed hash.
///
/// # Errors
/// `code_wrong`; as [`Db::get`].
pub async fn waiting(db: &Db, code: &str) -> Result<Stored<Device>> {
    let pairing = db.get::<Pairing>(&Key::new(format!("pair#{code}"), "-")).await?.ok_or(Code::CodeWrong)?;
    device(db, pairing.value.device).await?.ok_or_else(|| Code::CodeWrong.into())
}

/// An organisation's members.
///
/// # Errors
/// As [`Db::list`].
pub async fn members(db: &Db, id: OrganisationId) -> Result<Vec<Stored<Member>>> {
    let mut members = db.list_all(&Query::of(Listing::Primary, id).starting("acc_")).await?;
    members.retain(|member: &Stored<Member>| !member.value.is_gone());
    Ok(members)
}

/// An account's memberships.
///
/// # Errors
/// As [`Db::list`].
pub async fn memberships(db: &Db, account: AccountId) -> Result<Vec<Stored<Member>>> {
    let mut members = db.list_all(&Query::of(Listing::First, account).starting("org#")).await?;
    members.retain(|member: &Stored<Member>| !member.value.is_gone());
    Ok(members)
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

/// Writes what a message told into its log, once, however often it comes and whoever else writes there meanwhile.
///
/// The head carries the last entry whole, so that one write guarded by its version both numbers and links the next; the
/// entry's own item follows. Should the function die between the two, the message comes again, or whoever writes next
/// stores it first. Three reads and two writes, three write units (one of them the index's).
///
/// # Errors
/// `busy` after twelve lost races; as [`Db::get`].
pub async fn note(db: &Db, id: MessageId, at: Timestamp, note: &Note, now: Timestamp) -> Result<()> {
    let key = Key::new(log(note.of), "head");
    for _ in 0..12 {
        let Some(head) = db.get::<Head>(&key).await? else {
            let first = Entry::after(None, id, at, note);
            match db.put_new(Head { last: first }, Vec::new(), now).await? {
                Put::Done(head) => return keep(db, head.value.last, now).await,
                Put::Existed(_) => continue,
            }
        };
        let known = &head.value.last;
        if known.id == id {
            return keep(db, head.value.last, now).await;
        }
        if db.get::<Entry>(&Key::new(log(note.of), id)).await?.is_some() {
            return Ok(());
        }
        keep(db, known.clone(), now).await?;
        let last = Entry::after(Some(known), id, at, note);
        if let Replace::Done(head) = db.replace(&head, Head { last }, Vec::new(), now).await? {
            return keep(db, head.value.last, now).await;
        }
    }
    Code::Busy.refuse()
}

async fn keep(db: &Db, entry: Entry, now: Timestamp) -> Result<()> {
    db.put_new(entry, Vec::new(), now).await.map(drop)
}

/// The last entry of a log.
///
/// # Errors
/// As [`Db::get`].
pub async fn head(db: &Db, of: Log) -> Result<Option<Entry>> {
    Ok(db.get::<Head>(&Key::new(log(of), "head")).await?.map(|head| head.value.last))
}

/// Forgets a log: that of an account that was erased.
///
/// # Errors
/// As [`Db::list`].
pub async fn forget_log(db: &Db, of: Log) -> Result<()> {
    // By the table, not by the index, which lags.
    let entries = Query::of(Listing::Primary, log(of)).starting("msg_");
    for entry in db.list_all::<Entry>(&entries).await? {
        db.delete(&entry).await?;
    }
    match db.get::<Head>(&Key::new(log(of), "head")).await? {
        Some(head) => db.delete(&head).await,
        None => Ok(()),
    }
}

/// The entries of a log, the oldest first.
#[must_use]
pub fn entries(of: Log) -> Query {
    Query::of(Listing::First, log(of))
}

/// What calls with a credential.
///
/// # Errors
/// `token_invalid`; as [`Db::get`].
pub async fn thing(db: &Db, credential: &Credential, now: Timestamp) -> Result<Thing> {
    match credential.kind {
        Kind::Key => {
            let key = key(db, KeyId::derive(&[&credential.name])).await?.ok_or(Code::TokenInvalid)?;
            key.value.call(credential, now)
        }
        Kind::Device => {
            let device =
                device(db, DeviceId::derive(&[&credential.name])).await?.ok_or(Code::TokenInvalid)?;
            device.value.call(credential)
        }
    }
}

impl App {
    /// Whether somebody may do `action` with a resource: the one place where that is decided. Rights and the session are
    /// read anew for each request, so that a demotion, a revoked key or a session that was ended apply at once.
    ///
    /// A person's rights are one item, read beside their session; their teams are read only if their own do not
    /// suffice. A key's or device's came with its credential.
    ///
    /// # Errors
    /// `not_found` for strangers, who learn nothing of the organisation; `forbidden` for members without the right;
    /// `session_ended`.
    pub async fn authorize(
        &self,
        agent: &Agent,
        action: Action,
        resource: impl Into<Resource> + Send,
    ) -> Result<()> {
        let Resource { organisation, part } = resource.into();
        let account = match agent {
            Agent::Thing(thing) if thing.organisation != organisation => return Code::NotFound.refuse(),
            Agent::Thing(thing) if thing.rights.allow(action, &part) => return Ok(()),
            Agent::Thing(_) => return Code::Forbidden.refuse(),
            Agent::Account(account) => account,
        };
        let live = live_session(&self.db, *account, self.clock.now());
        let (_, member) = try_join(live, member(&self.db, organisation, account.id)).await?;
        let member =
            member.map(|member| member.value).filter(|member| !member.is_gone()).ok_or(Code::NotFound)?;
        let own = member.check(&[], action, &part);
        if own.is_ok() || member.teams.is_empty() {
            return own;
        }
        let keys: Vec<_> = member.teams.iter().map(|team| Key::new(organisation, team)).collect();
        let teams: Vec<Team> = self.db.get_many(&keys).await?.into_iter().map(|team| team.value).collect();
        member.check(&teams, action, &part)
    }
}
