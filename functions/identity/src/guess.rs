//! Guesses are counted before they are looked at, by a conditional write: fifty at once come to five like any others.
//!
//! | counted at | so that |
//! |---|---|
//! | an address, whether it has an account or not | answers are alike, and nobody tries a list of passwords on one |
//! | a device that was signed in before | whoever guesses at an address does not keep its owner out |
//! | an account: its password while signed in, its second factor | a stolen device or password is not the rest, too |
//!
//! Nothing of it stands in the way of sessions that exist, of a new password by mail, or of recovery codes.

use crate::token::Presented;
use jiff::Timestamp;
use tessera::app::App;
use tessera::db::{Put, Stored};
use tessera::error::Result;
use tessera::id::AccountId;
use tessera::identity::{Account, Ending, Tries, store};
use tessera::sign::Purpose;
use tessera::text::{Email, hex};

/// At an address: a keyed hash, since addresses are personal data and keys end up in logs.
#[must_use]
pub fn address(app: &App, email: &Email) -> String {
    let tag = app.sealer.tag(Purpose::Guesses, email.normal().as_bytes());
    hex(&tag[..16])
}

/// At an account's password, by somebody who is signed in.
#[must_use]
pub fn own(account: AccountId) -> String {
    format!("own.{account}")
}

/// At an account's second factor.
#[must_use]
pub fn second(account: AccountId) -> String {
    format!("second.{account}")
}

/// Where a sign-in is counted: at the device if it shows a refresh token, however old, of a session of this account (the
/// device cookie of OWASP), else at the address.
///
/// # Errors
/// The store's own.
pub async fn at_sign_in(
    app: &App,
    email: &Email,
    account: Option<&Account>,
    known_device: Option<&str>,
) -> Result<String> {
    let Some(Ok(shown)) = known_device.map(Presented::parse) else { return Ok(address(app, email)) };
    let session = store::session(&app.db, shown.session).await?.map(|session| session.value);
    let known = session.filter(|session| {
        // One whose tokens were stolen is no device of its owner's.
        let stolen = matches!(session.ended, Some((_, Ending::Reused)));
        account.is_some_and(|account| account.id == session.account)
            && !stolen
            && shown.is_genuine(app, session)
    });
    Ok(known.map_or_else(|| address(app, email), |session| format!("device.{}", session.id)))
}

/// Counts a guess.
///
/// # Errors
/// `too_many_tries`; the store's own.
pub async fn count(app: &App, at: &str, now: Timestamp) -> Result<Stored<Tries>> {
    let known = match store::tries(&app.db, at).await? {
        Some(known) => known,
        None => {
            let first = Tries::none(at.to_owned(), now).one_more(now)?;
            match app.db.put_new(first, Vec::new(), now).await? {
                Put::Done(first) => return Ok(first),
                Put::Existed(known) => known,
            }
        }
    };
    app.db.amend(known, now, |tries| tries.one_more(now).map(Some)).await
}

/// What an address without an account costs where one that has it is written to: a write, too. How long it takes says nothing.
///
/// # Errors
/// The store's own.
pub async fn nobody(app: &App, email: &Email, now: Timestamp) -> Result<()> {
    let decoy = Tries::none(format!("nobody.{}", address(app, email)), now);
    app.db.put_new(decoy, Vec::new(), now).await?;
    Ok(())
}

/// The guess was right.
///
/// # Errors
/// The store's own.
pub async fn right(app: &App, counted: Stored<Tries>, now: Timestamp) -> Result<()> {
    app.db.amend(counted, now, |tries| Ok(tries.any().then(|| tries.right(now)))).await?;
    Ok(())
}

/// Forgets every guess at an address.
///
/// # Errors
/// The store's own.
pub async fn forgive(app: &App, email: &Email, now: Timestamp) -> Result<()> {
    let Some(known) = store::tries(&app.db, &address(app, email)).await? else { return Ok(()) };
    let forgiven = |tries: &Tries| Ok(tries.any().then(|| Tries::none(tries.at.clone(), now)));
    app.db.amend(known, now, forgiven).await?;
    Ok(())
}
