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
use tessera::db::{Change, Put};
use tessera::error::{Code, Result};
use tessera::http::Input;
use tessera::id::AccountId;
use tessera::identity::audit::{Act, Note};
use tessera::identity::{Account, store};
use tessera::limit::Class;
use tessera::message::CodePurpose;
use tessera::text::{Email, Text};

/// What a new account is made of.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignUp {
    email: Email,
    /// Looked at, so that one that will be refused is known now. The one that counts comes with the code.
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
    let id = store::claim(&app.db, &email, AccountId::new(now), false, now).await?;
    let mailed = mailed::fresh(now)?;
    let new = Account::new(id, email, name, now).awaiting(mailed.clone(), now);
    let (new, hello) = proof_asked(new)?;
    if let Put::Existed(known) = app.db.put_new(new.clone(), hello, now).await? {
        let again = app.db.change(known, now, |known| {
            // A proven account only sees its mail cause another mail; nothing else of it changes.
            Ok(Some(match known.sign_up_again(new.name.clone(), mailed.clone(), now) {
                Some(next) => proof_asked(next)?,
                None => (known.clone(), vec![mailed::hint(known, CodePurpose::AlreadyRegistered)]),
            }))
        });
        again.await?;
    }
    Ok(CHECK_MAIL)
}

/// Its code is mailed.
fn proof_asked(account: Account) -> Result<Change<Account>> {
    let code = account.code.as_ref().ok_or(Code::Internal)?;
    let mail = mailed::code(&account, &account.email, CodePurpose::Verify, code);
    Ok((account, vec![mail]))
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
        proof_asked(account.clone().awaiting(mailed.clone(), now)).map(Some)
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
    /// Two groups of four; small letters and no dash will do.
    #[schema(example = "7Q2K-94MX", max_length = 40)]
    code: String,
    /// The password of the account from now on: what was said when signing up is not enough, because anybody may sign up
    /// with any address.
    password: Password,
}

/// Prove the address with the mailed code, and say the password.
#[utoipa::path(post, path = "/v1/accounts/verify", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), request_body = Proof,
    responses((status = 204, description = "Proven: sign in")))]
pub async fn verify(State(app): State<App>, input: Input<Proof>) -> Result<StatusCode> {
    let (Proof { email, code, password }, now) = (input.value, app.clock.now());
    password.check(&email, "")?;
    let hash = password.clone().hash(&app).await?;
    let account = store::account_of(&app.db, &email).await?.ok_or(Code::CodeWrong)?;
    let typed = mailed::typed(&app, account.value.id, CodePurpose::Verify, &code);
    if account.value.try_code(typed, &hash, now)?.proven {
        // Only whoever has the code learns what the name is.
        password.check(&email, account.value.name.as_str())?;
    }
    let mut proven = false;
    let change = app.db.change(account, now, |account| {
        let tried = account.try_code(typed, &hash, now)?;
        proven = tried.proven;
        let note = proven.then(|| Note::own(account.id, Act::AddressProven, account.id).into());
        Ok(Some((tried.account, note.into_iter().collect())))
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
