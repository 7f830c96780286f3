//! A new password for whoever forgot theirs: by a code that is mailed. It works while sign-in is slowed down, and every
//! answer is the same whether the address has an account or not.

use crate::account::{CHECK_MAIL, CheckMail, ForAddress};
use crate::password::Password;
use crate::{guess, mailed};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tessera::app::App;
use tessera::error::{Code, Result};
use tessera::http::Input;
use tessera::identity::store;
use tessera::limit::Class;
use tessera::message::{AccountChange, CodePurpose};
use tessera::text::Email;

/// Ask for a code with which to set a new password.
#[utoipa::path(post, path = "/v1/accounts/reset", tag = "identity", extensions(("x-limit" = json!(Class::Mail))), request_body = ForAddress,
    responses((status = 202, description = "If the address has an account, a mail is on its way", body = CheckMail)))]
pub async fn ask(State(app): State<App>, input: Input<ForAddress>) -> Result<(StatusCode, Json<CheckMail>)> {
    let now = app.clock.now();
    let (code, email) = (mailed::fresh(now)?, &input.value.email);
    let account = store::account_of(&app.db, email).await?.filter(|account| account.value.is_active());
    let Some(account) = account else {
        guess::nobody(&app, email, now).await?;
        return Ok(CHECK_MAIL);
    };
    let change = app.db.change(account, now, |account| {
        let Some(next) = account.forgot(code.clone(), now) else { return Ok(None) };
        let code = next.reset.as_ref().ok_or(Code::Internal)?;
        let mail = mailed::code(&next, &next.email, CodePurpose::Reset, code);
        Ok(Some((next, vec![mail])))
    });
    change.await?;
    Ok(CHECK_MAIL)
}

/// The code that came by mail, and the new password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    email: Email,
    /// Two groups of four; small letters and no dash will do.
    #[schema(example = "7Q2K-94MX", max_length = 40)]
    code: String,
    password: Password,
}

/// Set a new password with the mailed code. Every session ends; a second factor is asked for as before.
#[utoipa::path(post, path = "/v1/accounts/reset/confirm", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), request_body = NewPassword,
    responses((status = 204, description = "Set: sign in")))]
pub async fn confirm(State(app): State<App>, input: Input<NewPassword>) -> Result<StatusCode> {
    let (NewPassword { email, code, password }, now) = (input.value, app.clock.now());
    password.check(&email, "")?;
    let hash = password.clone().hash(&app).await?;
    let account = store::account_of(&app.db, &email).await?.ok_or(Code::CodeWrong)?;
    let typed = mailed::typed(&app, account.value.id, CodePurpose::Reset, &code);
    if account.value.try_reset(typed, &hash, now)?.proven {
        // Only whoever has the code learns what the name is.
        password.check(&email, account.value.name.as_str())?;
        // Before the code is used up: should the function die in between, the same code does it all once more.
        guess::forgive(&app, &email, now).await?;
    }
    let mut proven = false;
    let change = app.db.change(account, now, |account| {
        let tried = account.try_reset(typed, &hash, now)?;
        proven = tried.proven;
        let told = proven.then(|| mailed::changed(account, AccountChange::PasswordReset));
        Ok(Some((tried.account, told.into_iter().collect())))
    });
    change.await?;
    if proven { Ok(StatusCode::NO_CONTENT) } else { Code::CodeWrong.refuse() }
}
