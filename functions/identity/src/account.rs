//! Signing up and proving the address. Every answer is the same whether the address has an account or not.

use crate::password::Password;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tessera::app::App;
use tessera::auth;
use tessera::db::Put;
use tessera::error::{Code, Result};
use tessera::http::Input;
use tessera::id::AccountId;
use tessera::identity::store::{self, Address};
use tessera::identity::{Account, CODE_MINUTES, MailedCode, State as AccountState};
use tessera::message::{CodePurpose, Message};
use tessera::sign::{Purpose, random};
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

const CHECK_MAIL: (StatusCode, Json<CheckMail>) =
    (StatusCode::ACCEPTED, Json(CheckMail { status: "check_mail" }));

fn code_hash(app: &App, account: AccountId, code: &str) -> String {
    let tag = app.sealer.tag(Purpose::MailedCode, format!("{account}.{code}").as_bytes());
    tag.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fresh_code(app: &App, account: AccountId, now: Timestamp) -> Result<(String, MailedCode)> {
    // 64 random bits modulo a million: the bias is below one in 10^13.
    let code = format!("{:06}", u64::from_be_bytes(random::<8>()?) % 1_000_000);
    let hash = code_hash(app, account, &code);
    Ok((code, MailedCode { hash, expires: now + SignedDuration::from_mins(CODE_MINUTES), tries: 0 }))
}

fn told(account: &Account, code: String, purpose: CodePurpose) -> Message {
    let (email, name) = (account.email.as_str().to_owned(), account.name.to_string());
    Message::AccountCodeRequested { account: account.id, email, name, code, purpose }
}

/// Sign up: a code is mailed to the address. An address that has an account gets a hint instead; the answer is the same.
#[utoipa::path(post, path = "/v1/accounts", tag = "identity", request_body = SignUp,
    responses((status = 202, description = "A mail is on its way", body = CheckMail)))]
pub async fn sign_up(State(app): State<App>, input: Input<SignUp>) -> Result<(StatusCode, Json<CheckMail>)> {
    let (SignUp { email, password, name }, now) = (input.value, app.clock.now());
    let password = password.hash().await?;
    let claim = app.db.put_new(Address::new(&email, AccountId::new(now)), Vec::new(), now).await?.stored();
    let id = claim.value.account;
    let (code, mailed) = fresh_code(&app, id, now)?;
    let new = Account {
        id,
        email,
        name,
        password,
        state: AccountState::Unverified,
        code: Some(mailed),
        created: now,
    };
    let hello = told(&new, code.clone(), CodePurpose::Verify);
    if let Put::Existed(known) = app.db.put_new(new.clone(), vec![hello], now).await? {
        let again = app.db.change(known, now, |known| {
            let Account { name, password, code: mailed, .. } = new.clone();
            // A proven account only sees its mail cause another mail; nothing else of it changes.
            let mailed = mailed.ok_or(Code::Internal)?;
            Ok(Some(match known.sign_up_again(name, password, mailed) {
                Some(next) => (next.clone(), vec![told(&next, code.clone(), CodePurpose::Verify)]),
                None => (known.clone(), vec![told(known, String::new(), CodePurpose::AlreadyRegistered)]),
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
    email: Email,
}

/// Ask for a new code.
#[utoipa::path(post, path = "/v1/accounts/code", tag = "identity", request_body = ForAddress,
    responses((status = 202, description = "If the address waits for proof, a mail is on its way", body = CheckMail)))]
pub async fn new_code(
    State(app): State<App>,
    input: Input<ForAddress>,
) -> Result<(StatusCode, Json<CheckMail>)> {
    let now = app.clock.now();
    if let Some(account) = store::account_of(&app.db, &input.value.email).await? {
        let (code, mailed) = fresh_code(&app, account.value.id, now)?;
        let change = app.db.change(account, now, |account| {
            if account.is_active() {
                return Ok(None);
            }
            let next = Account { code: Some(mailed.clone()), ..account.clone() };
            Ok(Some((next.clone(), vec![told(&next, code.clone(), CodePurpose::Verify)])))
        });
        change.await?;
    }
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
#[utoipa::path(post, path = "/v1/accounts/verify", tag = "identity", request_body = Proof,
    responses((status = 204, description = "Proven: sign in")))]
pub async fn verify(State(app): State<App>, input: Input<Proof>) -> Result<StatusCode> {
    let (Proof { email, code }, now) = (input.value, app.clock.now());
    let account = store::account_of(&app.db, &email).await?.ok_or(Code::CodeWrong)?;
    let mut proven = false;
    let change = app.db.change(account, now, |account| {
        let tried = account.try_code(|hash| hash == code_hash(&app, account.id, &code), now)?;
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
}

/// Who am I.
#[utoipa::path(get, path = "/v1/me", tag = "identity", security(("bearer" = [])),
    responses((status = 200, description = "The caller's account", body = Me)))]
pub async fn me(State(app): State<App>, caller: auth::Account) -> Result<Json<Me>> {
    let Account { id, email, name, .. } = store::account(&app.db, caller.id).await?.value;
    Ok(Json(Me { id, email, name }))
}
