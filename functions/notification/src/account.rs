//! Mails about an account itself: codes, hints, and that something was changed about how its owner signs in.

use crate::mail::{Letter, Post};
use minijinja::context;
use tessera::app::App;
use tessera::error::Result;
use tessera::id::{AccountId, MailId};
use tessera::identity::provider::IdentityProvider;
use tessera::identity::second_factor::FEW_CODES;
use tessera::identity::{CODE_MINUTES, code};
use tessera::message::{AccountChange, CodePurpose};
use tessera::notification::Kind;

/// Who is told.
pub struct Recipient<'a> {
    /// The account.
    pub account: AccountId,
    /// At which address.
    pub email: &'a str,
    /// The name to greet.
    pub name: &'a str,
}

/// What a code is made of: the one that was told, or the salt from which it follows.
pub struct Told<'a> {
    /// As older messages tell it.
    pub code: &'a str,
    /// As it is told since.
    pub salt: Option<&'a str>,
}

/// A code, or a hint where there is none.
///
/// # Errors
/// As [`Post::send`].
pub async fn code_requested(
    app: &App,
    post: &Post,
    id: MailId,
    to: Recipient<'_>,
    purpose: CodePurpose,
    told: Told<'_>,
) -> Result<()> {
    let kind = match purpose {
        CodePurpose::Verify => Kind::Verify,
        CodePurpose::AlreadyRegistered => Kind::AlreadyRegistered,
        CodePurpose::Reset => Kind::Reset,
        CodePurpose::Move => Kind::MoveAddress,
        CodePurpose::AddressTaken => Kind::AddressTaken,
    };
    let follows = told.salt.map(|salt| code::text(&app.sealer, to.account, purpose, salt));
    let code = follows.unwrap_or_else(|| told.code.to_owned());
    let values = context! { name => to.name, code, minutes => CODE_MINUTES };
    post.send(app, Letter { id, kind, to: to.email, name: to.name, values, attachments: Vec::new() }).await
}

/// Something was changed.
///
/// # Errors
/// As [`Post::send`].
pub async fn changed(
    app: &App,
    post: &Post,
    id: MailId,
    to: Recipient<'_>,
    change: AccountChange,
) -> Result<()> {
    say(app, post, id, to, words(change)).await
}

/// The account was erased: the last mail about it.
///
/// # Errors
/// As [`Post::send`].
pub async fn erased(app: &App, post: &Post, id: MailId, to: Recipient<'_>) -> Result<()> {
    let what = "your account was erased, and with it what we knew of you. What you have booked stays booked: keep the mails with your tickets. Invoices are kept as long as the law demands.";
    say(app, post, id, to, ("Your account was erased", what.into(), GONE)).await
}

/// The subject, what was done, and what to do if it was somebody else.
type Words = (&'static str, String, &'static str);

/// What to do where nothing can be done here any more.
const GONE: &str = "answer this mail to whoever sells here, and change the password of your mailbox.";

async fn say(
    app: &App,
    post: &Post,
    id: MailId,
    to: Recipient<'_>,
    (title, what, otherwise): Words,
) -> Result<()> {
    let values = context! { name => to.name, title, what, otherwise };
    let kind = Kind::AccountChanged;
    post.send(app, Letter { id, kind, to: to.email, name: to.name, values, attachments: Vec::new() }).await
}

const fn called(provider: IdentityProvider) -> &'static str {
    match provider {
        IdentityProvider::Google => "Google",
        IdentityProvider::Apple => "Apple",
    }
}

fn words(change: AccountChange) -> Words {
    const RESET: &str =
        "have a new password set by mail now (“forgot password”). That ends every session, also theirs.";
    const MAILBOX: &str = "somebody reads your mail. Change the password of your mailbox first, then have a new one set here by mail.";
    match change {
        AccountChange::PasswordReset => (
            "Your password was set anew",
            "a new password was set for your account with a code that we had mailed to you. Every device was signed out.".into(),
            MAILBOX,
        ),
        AccountChange::PasswordChanged => (
            "Your password was changed",
            "the password of your account was changed. Every other device was signed out.".into(),
            RESET,
        ),
        AccountChange::AddressMoving => (
            "Another address for your account",
            "somebody who is signed in to your account, and knows its password, wants another address for it. We have mailed a code to that one. Until it comes back nothing is changed.".into(),
            RESET,
        ),
        AccountChange::AddressMoved => (
            "Your account has another address",
            "your account has another address now. This one is no longer of use for signing in.".into(),
            GONE,
        ),
        AccountChange::SecondFactorOn => (
            "A second factor is on",
            "from now on a code is asked for besides your password. Keep the recovery codes in a safe place. Every other device was signed out.".into(),
            RESET,
        ),
        AccountChange::SecondFactorOff => (
            "The second factor is off",
            "no code is asked for besides your password any more. Every other device was signed out.".into(),
            RESET,
        ),
        AccountChange::DataExported => (
            "Your data are ready",
            "the archive of all that we know of you is ready, and is kept for seven days. Fetch it where you asked for it.".into(),
            RESET,
        ),
        AccountChange::ProviderLinked { provider } => {
            let name = called(provider);
            let what = format!("from now on you may sign in with {name}, too.");
            ("A sign-in was linked to your account", what, RESET)
        }
        AccountChange::ProviderUnlinked { provider } => {
            let name = called(provider);
            let what = format!("nobody signs in to your account with {name} any more. Every other device was signed out.");
            ("A sign-in was unlinked from your account", what, RESET)
        }
        AccountChange::RecoveryCodeUsed { left } => {
            let more = if usize::from(left) <= FEW_CODES { " Get new ones soon: switch the second factor off and on again." } else { "" };
            let what = format!("one of your recovery codes was used instead of a code of your app. You have {left} left.{more}");
            ("A recovery code was used", what, RESET)
        }
    }
}
