//! Signing up and proving the address. Every answer is the same whether the address has an account or not.

use crate::guess;
use crate::mailed;
use crate::owner::Owner;
use crate::password::Password;
use crate::second_factor;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::db::Put;
use tessera::error::{Code, Result};
use tessera::http::Input;
use tessera::id::AccountId;
use tessera::identity::{Account, store};
use tessera::limit::Class;
use tessera::message::CodePurpose;
use tessera::text::{Email, Text};

/// What a new account is made of.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignUp {
    email: Email,
    password: Password,
    name: Text<1, 120>,
}

/// What every caller hears.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CheckMail {
    /// Always the same.
    #[schema(example = "check_mail")]
    status: &'static str,
}

/// The answer of whatever goes on by mail.
pub const CHECK_MAIL: (StatusCode, Json<CheckMail>) =
    (StatusCode::ACCEPTED, Json(CheckMail { status: "check_mail" }));

/// Sign up: a code is mailed to the address. An address that has an account gets a hint instead; the answer is the same.
#[utoipa::path(post, path = "/v1/accounts", tag = "identity", extensions(("x-limit" = json!(Class::Mail))), request_body = SignUp,
    responses((status = 202, description = "A mail is on its way", body = CheckMail)))]
pub async fn sign_up(State(app): State<App>, input: Input<SignUp>) -> Result<(StatusCode, Json<CheckMail>)> {
    let (SignUp { email, password, name }, now) = (input.value, app.clock.now());
    password.check(&email, name.as_str())?;
    let password = password.hash(&app).await?;
    let id = store::claim(&app.db, &email, AccountId::new(now), false, now).await?;
    let mailed = mailed::fresh(now)?;
    let new = Account::new(id, email.clone(), name, password, mailed.clone(), now);
    let hello = mailed::code(&new, &email, CodePurpose::Verify, &mailed);
    if let Put::Existed(known) = app.db.put_new(new.clone(), vec![hello], now).await? {
        let again = app.db.change(known, now, |known| {
            let Account { name, password, .. } = new.clone();
            // A proven account only sees its mail cause another mail; nothing else of it changes.
            Ok(Some(match known.sign_up_again(name, password, mailed.clone()) {
                Some(next) => {
                    let mail = mailed::code(&next, &next.email, CodePurpose::Verify, &mailed);
                    (next, vec![mail])
                }
                None => (known.clone(), vec![mailed::hint(known, CodePurpose::AlreadyRegistered)]),
            }))
        });
        again.await?;
    }
    Ok(CHECK_MAIL)
}

/// An address.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForAddress {
    /// Which.
    pub email: Email,
}

/// Ask for a new code.
#[utoipa::path(post, path = "/v1/accounts/code", tag = "identity", extensions(("x-limit" = json!(Class::Mail))), request_body = ForAddress,
    responses((status = 202, description = "If the address waits for proof, a mail is on its way", body = CheckMail)))]
pub async fn new_code(
    State(app): State<App>,
    input: Input<ForAddress>,
) -> Result<(StatusCode, Json<CheckMail>)> {
    let now = app.clock.now();
    let (mailed, email) = (mailed::fresh(now)?, &input.value.email);
    let account = store::account_of(&app.db, email).await?.filter(|account| !account.value.is_active());
    let Some(account) = account else {
        guess::nobody(&app, email, now).await?;
        return Ok(CHECK_MAIL);
    };
    let change = app.db.change(account, now, |account| {
        if account.is_active() {
            return Ok(None);
        }
        let next = Account { code: Some(mailed.clone()), ..account.clone() };
        let mail = mailed::code(&next, &next.email, CodePurpose::Verify, &mailed);
        Ok(Some((next, vec![mail])))
    });
    change.await?;
    Ok(CHECK_MAIL)
}

/// The code that came by mail.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AddressProof)]
pub struct Proof {
    email: Email,
    /// Six digits.
    #[schema(example = "042137", pattern = "^[0-9]{6}$")]
    code: String,
}

/// Prove the address with the mailed code. Five wrong tries use a code up.
#[utoipa::path(post, path = "/v1/accounts/verify", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), request_body = Proof,
    responses((status = 204, description = "Proven: sign in")))]
pub async fn verify(State(app): State<App>, input: Input<Proof>) -> Result<StatusCode> {
    let (Proof { email, code }, now) = (input.value, app.clock.now());
    let account = store::account_of(&app.db, &email).await?.ok_or(Code::CodeWrong)?;
    let mut proven = false;
    let change = app.db.change(account, now, |account| {
        let tried = account.try_code(mailed::typed(&app, account.id, CodePurpose::Verify, &code), now)?;
        proven = tried.proven;
        Ok(Some((tried.account, Vec::new())))
    });
    change.await?;
    if proven { Ok(StatusCode::NO_CONTENT) } else { Code::CodeWrong.refuse() }
}

/// An account, as its owner sees it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Me {
    /// The id: tell it to an owner who wants to add you to an organisation.
    id: AccountId,
    /// The address.
    email: Email,
    /// The name.
    name: Text<1, 120>,
    /// What is asked for besides the password.
    second_factor: second_factor::View,
}

/// Who am I.
#[utoipa::path(get, path = "/v1/me", tag = "identity", security(("bearer" = [])),
    responses((status = 200, description = "The caller's account", body = Me)))]
pub async fn me(owner: Owner) -> Json<Me> {
    let Account { id, email, name, second_factor, .. } = owner.account.value;
    Json(Me { id, email, name, second_factor: (&second_factor).into() })
}
