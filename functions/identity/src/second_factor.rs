//! The second factor: switched on by a first code, asked for after the password, switched off with both.

use crate::owner::Owner;
use crate::password::Password;
use crate::session::begin;
use crate::token::{Issuer, Tokens};
use crate::{guess, mailed};
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use fast_qr::{ECL, QRBuilder};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::sync::Arc;
use tessera::app::App;
use tessera::db::Stored;
use tessera::error::{Code, Refusal, Result};
use tessera::http::Input;
use tessera::id::AccountId;
use tessera::identity::second_factor::{
    FEW_CODES, RECOVERY_CODES, SECRET_BYTES, SecondFactor, base_32, recovery_code, recovery_hash, uri,
};
use tessera::identity::{Account, store};
use tessera::limit::Class;
use tessera::message::{AccountChange, Message};
use tessera::sign::{Purpose, random};

/// How long a right password waits for its second factor, seconds.
pub const CHALLENGE_SECONDS: i64 = 5 * 60;

/// A right password, sealed: of no use after a change of how the account signs in, which begins another era.
#[derive(Serialize, Deserialize)]
pub struct Challenge {
    account: AccountId,
    era: u32,
    device: String,
    exp: i64,
}

impl Challenge {
    /// Tells whoever typed the right password what else is asked for.
    ///
    /// # Errors
    /// Always: `second_factor_needed`, with the challenge.
    pub fn refuse<T>(app: &App, account: &Account, device: String, now: Timestamp) -> Result<T> {
        let exp = now.as_second() + CHALLENGE_SECONDS;
        let challenge = Self { account: account.id, era: account.era, device, exp };
        let sealed = app.sealer.seal(Purpose::Challenge, &challenge);
        let sealed = sealed.map_err(|error| Code::Internal.caused_by(error))?;
        let refusal = Refusal::from(Code::SecondFactorNeeded).with("challenge", sealed);
        Err(refusal.with("expires_in", CHALLENGE_SECONDS))
    }
}

/// A code of the app, or one of those on paper.
enum Proof {
    Code(String),
    Recovery(String),
}

impl Proof {
    fn of(code: Option<String>, recovery_code: Option<String>) -> Result<Self> {
        match (code, recovery_code) {
            (Some(code), None) => Ok(Self::Code(code)),
            (None, Some(code)) => Ok(Self::Recovery(code)),
            (Some(_), Some(_)) | (None, None) => {
                Err(Refusal::invalid("/code", "send either code or recovery_code"))
            }
        }
    }

    /// The account with this proof used up. A secret that was encrypted with an older key of ours is encrypted anew.
    fn take(&self, app: &App, known: &Account, now: Timestamp) -> Result<Account> {
        match self {
            Self::Code(typed) => {
                let (secret, present) = open(app, known)?;
                let renewed = if present { None } else { Some(lock(app, known.id, &secret)?) };
                known.take_code(&secret, typed, renewed, now)
            }
            Self::Recovery(typed) => known.take_recovery(typed),
        }
    }
}

fn lock(app: &App, account: AccountId, secret: &[u8]) -> Result<String> {
    app.sealer.lock(Purpose::SecondFactor, &account.to_string(), secret)
}

fn open(app: &App, account: &Account) -> Result<(Vec<u8>, bool)> {
    let secret = account.second_factor.secret().ok_or(Code::WrongState)?;
    let opened = app.sealer.unlock(Purpose::SecondFactor, &account.id.to_string(), secret);
    // Recovery codes still work then.
    opened.ok_or_else(|| {
        Code::CodeWrong.caused_by("encrypted with a secret that is no longer in TOKEN_SECRETS")
    })
}

/// Uses a proof up and makes of the account what follows, in one write. Codes of the app are counted like passwords;
/// nobody guesses a recovery code.
async fn pass(
    app: &App,
    account: Stored<Account>,
    proof: &Proof,
    now: Timestamp,
    mut follows: impl FnMut(Account) -> Result<(Account, Option<AccountChange>)> + Send,
) -> Result<Account> {
    let counted = match proof {
        Proof::Code(_) => Some(guess::count(app, &guess::second(account.value.id), now).await?),
        Proof::Recovery(_) => None,
    };
    let change = app.db.change(account, now, |known| {
        let taken = proof.take(app, known, now)?;
        let left = taken.second_factor.recovery_left();
        let (next, change) = follows(taken)?;
        let spent = match proof {
            Proof::Code(_) => None,
            Proof::Recovery(_) => {
                Some(AccountChange::RecoveryCodeUsed { left: u8::try_from(left).unwrap_or(u8::MAX) })
            }
        };
        let told: Vec<Message> =
            spent.into_iter().chain(change).map(|change| mailed::changed(known, change)).collect();
        Ok(Some((next, told)))
    });
    let account = change.await?.value;
    if let Some(counted) = counted {
        guess::right(app, counted, now).await?;
    }
    Ok(account)
}

/// The answer to a challenge.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondStep {
    /// As it came with `second_factor_needed`.
    #[schema(max_length = 2000)]
    challenge: String,
    /// The six digits that the app shows.
    #[serde(default)]
    #[schema(example = "042137", max_length = 40)]
    code: Option<String>,
    /// Or one of the recovery codes.
    #[serde(default)]
    #[schema(example = "KQRT-7WZM-2HXA-5JDN-Q3TB-VLE6", max_length = 40)]
    recovery_code: Option<String>,
}

/// Sign in, second step: a code of the app, or a recovery code.
#[utoipa::path(post, path = "/v1/sessions/second-factor", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), request_body = SecondStep,
    responses((status = 201, description = "Signed in", body = Tokens)))]
pub async fn sign_in(
    State(app): State<App>,
    Extension(issuer): Extension<Arc<Issuer>>,
    input: Input<SecondStep>,
) -> Result<(StatusCode, Json<Tokens>)> {
    let (SecondStep { challenge, code, recovery_code }, now) = (input.value, app.clock.now());
    let proof = Proof::of(code, recovery_code)?;
    let challenge = app.sealer.open::<Challenge>(Purpose::Challenge, &challenge);
    let challenge =
        challenge.filter(|challenge| challenge.exp > now.as_second()).ok_or(Code::SignInFailed)?;
    let account = store::account(&app.db, challenge.account).await.map_err(|_| Code::SignInFailed)?;
    let same = |account: &Account| account.era == challenge.era && account.second_factor.is_on();
    if !same(&account.value) {
        return Code::SignInFailed.refuse();
    }
    let follows =
        |account: Account| if same(&account) { Ok((account, None)) } else { Code::SignInFailed.refuse() };
    let account = pass(&app, account, &proof, now, follows).await?;
    let how = match proof {
        Proof::Code(_) => "password, code",
        Proof::Recovery(_) => "password, recovery code",
    };
    begin(&app, &issuer, &account, challenge.device, how, now).await
}

/// What somebody types once more before a second factor is given out.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// The present one.
    password: Password,
}

/// A secret for an authenticator app.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Enrolment {
    /// To be typed into the app: base 32.
    #[schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: String,
    /// To be opened by the app on this device.
    otpauth_uri: String,
    /// To be scanned by the app on another device: the same as a picture.
    #[schema(content_media_type = "image/svg+xml")]
    qr: String,
}

/// Get a secret for an authenticator app. Nothing is asked for before a first code has come back.
#[utoipa::path(post, path = "/v1/me/second-factor", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), security(("bearer" = [])), request_body = Enrol,
    responses((status = 201, description = "A secret, good for 15 minutes", body = Enrolment)))]
pub async fn enrol(
    State(app): State<App>,
    owner: Owner,
    input: Input<Enrol>,
) -> Result<(StatusCode, Json<Enrolment>)> {
    let now = app.clock.now();
    owner.confirm(&app, input.value.password, now).await?;
    let secret = random::<SECRET_BYTES>()?;
    let locked = lock(&app, owner.id, &secret)?;
    let change = app.db.amend(owner.account.clone(), now, |known| {
        owner.still(known, now)?;
        known.enrol(locked.clone(), now).map(Some)
    });
    let uri = uri(change.await?.value.email.as_str(), &secret);
    let (secret, qr) = (base_32(&secret), svg(&uri)?);
    Ok((StatusCode::CREATED, Json(Enrolment { secret, otpauth_uri: uri, qr })))
}

/// A QR code as a picture: one path over white, four modules of quiet around it (ISO/IEC 18004 §9.1).
fn svg(text: &str) -> Result<String> {
    let code = QRBuilder::new(text).ecl(ECL::M).build();
    let code = code.map_err(|error| Code::Internal.caused_by(format!("{error:?}")))?;
    let side = code.size + 8;
    let mut path = String::new();
    for row in 0..code.size {
        for (column, _) in code[row].iter().enumerate().filter(|(_, module)| module.value()) {
            write!(path, "M{} {}h1v1h-1z", column + 4, row + 4)
                .map_err(|error| Code::Internal.caused_by(error))?;
        }
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\"{path}\"/></svg>"
    ))
}

/// The first code of the app.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstCode {
    /// The six digits that the app shows.
    #[schema(example = "042137", max_length = 40)]
    code: String,
}

/// What to write down.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RecoveryCodes {
    /// Each is good once, instead of a code of the app. They are not shown again.
    recovery_codes: Vec<String>,
}

/// Switch the second factor on with a first code. Every other session ends.
#[utoipa::path(post, path = "/v1/me/second-factor/confirm", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), security(("bearer" = [])),
    request_body = FirstCode,
    responses((status = 200, description = "On; write the recovery codes down", body = RecoveryCodes)))]
pub async fn confirm(
    State(app): State<App>,
    owner: Owner,
    input: Input<FirstCode>,
) -> Result<Json<RecoveryCodes>> {
    let (code, now) = (input.value.code, app.clock.now());
    let recovery_codes =
        (0..RECOVERY_CODES).map(|_| Ok(recovery_code(random()?))).collect::<Result<Vec<_>>>()?;
    let hashes: Vec<String> = recovery_codes.iter().map(|code| recovery_hash(owner.id, code)).collect();
    let counted = guess::count(&app, &guess::second(owner.id), now).await?;
    let change = app.db.change(owner.account.clone(), now, |known| {
        owner.still(known, now)?;
        let (secret, _) = open(&app, known)?;
        let next = known.switch_on(&secret, &code, hashes.clone(), owner.session.value.id, now)?;
        Ok(Some((next, vec![mailed::changed(known, AccountChange::SecondFactorOn)])))
    });
    change.await?;
    guess::right(&app, counted, now).await?;
    Ok(Json(RecoveryCodes { recovery_codes }))
}

/// What switches the second factor off.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchOff {
    /// The present one.
    password: Password,
    /// The six digits that the app shows.
    #[serde(default)]
    #[schema(example = "042137", max_length = 40)]
    code: Option<String>,
    /// Or one of the recovery codes.
    #[serde(default)]
    #[schema(example = "KQRT-7WZM-2HXA-5JDN", max_length = 40)]
    recovery_code: Option<String>,
}

/// Switch the second factor off, with the password and a code. Every other session ends.
#[utoipa::path(post, path = "/v1/me/second-factor/off", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), security(("bearer" = [])), request_body = SwitchOff,
    responses((status = 204, description = "Off")))]
pub async fn switch_off(State(app): State<App>, owner: Owner, input: Input<SwitchOff>) -> Result<StatusCode> {
    let (SwitchOff { password, code, recovery_code }, now) = (input.value, app.clock.now());
    let proof = Proof::of(code, recovery_code)?;
    if !owner.account.value.second_factor.is_on() {
        return Err(Code::WrongState.because("no second factor is on"));
    }
    owner.confirm(&app, password, now).await?;
    let follows = |known: Account| {
        owner.still(&known, now)?;
        Ok((known.switch_off(owner.session.value.id), Some(AccountChange::SecondFactorOff)))
    };
    pass(&app, owner.account.clone(), &proof, now, follows).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What an owner sees of it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SecondFactor)]
pub struct View {
    /// Whether a code is asked for besides the password.
    on: bool,
    /// How many recovery codes are left.
    recovery_codes_left: usize,
    /// Whether those are so few that it is time for new ones: switch it off and on again.
    few: bool,
}

impl From<&SecondFactor> for View {
    fn from(second: &SecondFactor) -> Self {
        let (on, left) = (second.is_on(), second.recovery_left());
        Self { on, recovery_codes_left: left, few: on && left <= FEW_CODES }
    }
}
