//! What is told by mail: codes, hints, and that something was changed.

use tessera::app::App;
use tessera::error::Result;
use tessera::id::AccountId;
use tessera::identity::{Account, Guess, MailedCode, code};
use tessera::message::{AccountChange, CodePurpose, Message};
use tessera::sign::random;
use tessera::text::Email;

/// A code that begins now.
///
/// # Errors
/// `internal` when there is no randomness.
pub fn fresh(now: jiff::Timestamp) -> Result<MailedCode> {
    Ok(MailedCode::new(random()?, now))
}

/// A code goes to `to`.
#[must_use]
pub fn code(account: &Account, to: &Email, purpose: CodePurpose, code: &MailedCode) -> Message {
    told(account, to, purpose, Some(code.salt.clone()))
}

/// A hint goes to the account's own address: somebody wanted it for another account.
#[must_use]
pub fn hint(account: &Account, purpose: CodePurpose) -> Message {
    told(account, &account.email, purpose, None)
}

fn told(account: &Account, to: &Email, purpose: CodePurpose, salt: Option<String>) -> Message {
    let (email, name) = (to.as_str().to_owned(), account.name.to_string());
    Message::AccountCodeRequested { account: account.id, email, name, code: String::new(), purpose, salt }
}

/// Something was changed about how its owner signs in: they hear of it at the address that the account has here.
#[must_use]
pub fn changed(account: &Account, change: AccountChange) -> Message {
    let (email, name) = (account.email.as_str().to_owned(), account.name.to_string());
    Message::AccountChanged { account: account.id, email, name, change }
}

/// What a typed code is, for the salt of the one that was mailed.
pub fn typed<'a>(
    app: &'a App,
    account: AccountId,
    purpose: CodePurpose,
    typed: &'a str,
) -> impl Fn(&str) -> Guess + Copy + Send + 'a {
    move |salt| code::guess(&app.sealer, account, purpose, salt, typed)
}
