//! Another address, for somebody who is signed in. A code goes to the new one, a notice to the old one; what is stored, and
//! in which order, is told in [`tessera::identity::store`].

use crate::account::{CHECK_MAIL, CheckMail};
use crate::mailed;
use crate::owner::Owner;
use crate::password::Password;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tessera::app::App;
use tessera::error::{Code, Refusal, Result};
use tessera::http::Input;
use tessera::id::AccountId;
use tessera::identity::store;
use tessera::limit::Class;
use tessera::message::{AccountChange, CodePurpose};
use tessera::text::Email;

/// Another address.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveTo {
    email: Email,
    /// The present one.
    password: Password,
}

/// Ask for another address. The answer is the same whether that one has an account or not; the difference is in the mail.
#[utoipa::path(post, path = "/v1/me/email", tag = "identity", extensions(("x-limit" = json!(Class::Mail))), security(("bearer" = [])), request_body = MoveTo,
    responses((status = 202, description = "A mail is on its way to the new address", body = CheckMail)))]
pub async fn ask(
    State(app): State<App>,
    owner: Owner,
    input: Input<MoveTo>,
) -> Result<(StatusCode, Json<CheckMail>)> {
    let (MoveTo { email, password }, now) = (input.value, app.clock.now());
    if owner.account.value.has(&email) {
        return Err(Refusal::invalid("/email", "is your address already"));
    }
    owner.confirm(&app, password, now).await?;
    // An address that nobody proved is free to whoever does.
    let taken = store::account_of(&app.db, &email).await?.filter(|account| account.value.is_active());
    let code = mailed::fresh(now)?;
    let change = app.db.change(owner.account.clone(), now, |known| {
        owner.still(known, now)?;
        let next = known.move_to(&email, code.clone(), now);
        let moving = next.moving.as_ref().ok_or(Code::Internal)?;
        let mail = match &taken {
            Some(taken) => mailed::hint(&taken.value, CodePurpose::AddressTaken),
            None => mailed::code(known, &email, CodePurpose::Move, &moving.code),
        };
        Ok(Some((next.clone(), vec![mail, mailed::changed(known, AccountChange::AddressMoving)])))
    });
    change.await?;
    Ok(CHECK_MAIL)
}

/// The code that came by mail.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAddressProof)]
pub struct Proof {
    /// Two groups of four; small letters and no dash will do.
    #[schema(example = "7Q2K-94MX", max_length = 40)]
    code: String,
}

/// Prove the new address with the code that went there: from now on it is mine, and the old one is not.
#[utoipa::path(post, path = "/v1/me/email/confirm", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), security(("bearer" = [])), request_body = Proof,
    responses((status = 204, description = "Moved")))]
pub async fn confirm(State(app): State<App>, owner: Owner, input: Input<Proof>) -> Result<StatusCode> {
    let (code, now, known) = (input.value.code, app.clock.now(), &owner.account.value);
    let typed = mailed::typed(&app, owner.id, CodePurpose::Move, &code);
    let to = known.moving.as_ref().ok_or(Code::CodeWrong)?.email.clone();
    if known.try_move(typed, now)?.proven
        && store::claim(&app.db, &to, owner.id, true, now).await? != owner.id
    {
        return Code::AlreadyExists.refuse();
    }
    let mut proven = false;
    let change = app.db.change(owner.account.clone(), now, |known| {
        if known.moving.as_ref().is_none_or(|moving| moving.email != to) {
            return Code::CodeWrong.refuse();
        }
        let tried = known.try_move(typed, now)?;
        proven = tried.proven;
        let told = proven.then(|| mailed::changed(known, AccountChange::AddressMoved));
        Ok(Some((tried.account, told.into_iter().collect())))
    });
    change.await?;
    if !proven {
        return Code::CodeWrong.refuse();
    }
    leave(&app, &known.email, owner.id).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets go of an address. Whoever wants it takes it over if this does not happen.
pub async fn leave(app: &App, email: &Email, account: AccountId) {
    if let Err(error) = store::let_go(&app.db, email, account).await {
        tracing::warn!(%error, %account, "an address was left, and is still claimed");
    }
}
