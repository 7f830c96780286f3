//! An account is erased: at once here, and by everybody else who knows something of its owner, as they hear of it.
//!
//! | who | forgets | keeps |
//! |---|---|---|
//! | identity | name, address, password, second factor, links to Google and Apple, profile, sessions, memberships, archives, the account's own log | the id, in which nobody is to be recognised |
//! | order | name, address, whom to bill | what was sold, for how much, when |
//! | entry | the name on tickets, on their documents too | the ticket: it admits as before |
//! | booking | names and letters of waitlists and applications, whose places go back | the booking |
//! | notification | nothing: it keeps no addresses | |
//! | payment | nothing: it knows buyers by their ids | the books |
//!
//! Invoices that were issued stay as they are: the law that demands them is stronger than the wish (GDPR, Article 17(3)(b)).
//! Audit logs of organisations keep the id. The payment providers keep what they were told; whoever deploys this asks them.
//!
//! Each does it by the account's id, as often as they are told, and finds nothing to do the second time. They are told twice: at
//! once, and when no access token is good any longer with which more may have been written meanwhile.

use crate::owner::Owner;
use crate::password::Password;
use crate::{address, export, guess, provider};
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::future::try_join_all;
use serde::Deserialize;
use tessera::app::App;
use tessera::auth::Actor;
use tessera::error::{Code, Result};
use tessera::http::Input;
use tessera::id::AccountId;
use tessera::identity::audit::{Act, Log, Note};
use tessera::identity::rights::Part;
use tessera::identity::{Account, Action, store};
use tessera::limit::Class;

/// What erases an account.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    /// The present one.
    password: Password,
}

/// Erase my account, and with it what is known of me. It cannot be undone. What I have booked stays booked, and nothing is mailed
/// about it any more; what the law has kept, invoices above all, is kept. Owners of an organisation are removed from it by another
/// owner first.
#[utoipa::path(post, path = "/v1/me/erasure", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), security(("bearer" = [])), request_body = Erase,
    responses((status = 204, description = "Erased")))]
pub async fn erase(State(app): State<App>, owner: Owner, input: Input<Erase>) -> Result<StatusCode> {
    let now = app.clock.now();
    owner.confirm(&app, input.value.password, now).await?;
    let memberships = store::memberships(&app.db, owner.id).await?;
    if memberships.iter().any(|member| member.value.rights.allow(Action::ManageMembers, &Part::Whole)) {
        return Err(
            Code::WrongState.because("you own an organisation: another owner removes you from it first")
        );
    }
    let email = owner.account.value.email.clone();
    app.db
        .change(owner.account.clone(), now, |known: &Account| {
            owner.still(known, now)?;
            Ok(known.erase(now))
        })
        .await?;
    address::leave(&app, &email, owner.id).await;
    guess::forgive(&app, &email, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets what this capability keeps of an erased account beside the account itself.
///
/// # Errors
/// The store's own.
pub async fn forget(app: &App, account: AccountId) -> Result<()> {
    let now = app.clock.now();
    let sessions = store::sessions(&app.db, account).await?;
    try_join_all(sessions.iter().map(|session| app.db.delete(session))).await?;
    for member in store::memberships(&app.db, account).await? {
        let by = Actor::Account(account);
        let note = Note::new(member.value.organisation, by, Act::MemberRemoved, account);
        app.db.amend_noted(member, now, &note, |member| Ok(member.remove())).await?;
    }
    export::forget(app, account).await?;
    provider::forget(app, account).await?;
    if let Some(profile) = store::profile(&app.db, account).await? {
        app.db.delete(&profile).await?;
    }
    store::forget_log(&app.db, Log::Account(account)).await
}

/// Has those that were erased a while ago gone through once more.
///
/// # Errors
/// The store's own.
pub async fn sweep(app: &App) -> Result<()> {
    let now = app.clock.now();
    for account in store::unswept(&app.db).await? {
        app.db.change(account, now, |account| Ok(account.sweep(now))).await?;
    }
    Ok(())
}
