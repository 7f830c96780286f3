//! Signing in with Google or Apple, and linking either to an account. The way of it:
//!
//! 1. the app gets a nonce here and gives it to the provider, whose id token carries it back;
//! 2. the token is checked: signature by the provider's published keys, then all that [`tessera::identity::provider`] says;
//! 3. the nonce is used up, in a write that only the first one wins;
//! 4. whoever is linked is signed in. If nobody is, the account of the address is linked, or made, if the provider may speak
//!    for that address; else the person signs up or in as ever, and links it then.
//!
//! A second factor is asked for as after a password. Should the function die between two of the writes, the next sign-in
//! goes on from what is there.

use crate::mailed;
use crate::owner::Owner;
use crate::password::Password;
use crate::second_factor::Challenge;
use crate::session::{begin, device_name};
use crate::token::{Issuer, Tokens};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tessera::app::App;
use tessera::config::{Config, ConfigError};
use tessera::db::{Put, Stored};
use tessera::error::{Code, Result};
use tessera::http::{Input, Path};
use tessera::id::AccountId;
use tessera::identity::provider::{
    Claims, IdentityProvider, Link, NONCE_SECONDS, Nonce, Person, Spent, refused,
};
use tessera::identity::{Account, State as Stands, store};
use tessera::limit::Class;
use tessera::message::AccountChange;
use tessera::sign::{Purpose, random};
use tessera::text::{Text, hex};
use tokio::sync::Mutex;

/// How long a provider's keys are awaited.
const DEADLINE: Duration = Duration::from_secs(5);
/// The largest set of keys, bytes.
const LARGEST: usize = 64 * 1024;
/// Keys are asked for again after this, and after a minute for a token that names one that is not known.
const FRESH: SignedDuration = SignedDuration::from_hours(6);
const UNKNOWN: SignedDuration = SignedDuration::from_mins(1);

/// The keys of a provider, and when they were fetched.
struct Keys {
    keys: HashMap<String, DecodingKey>,
    fetched: Timestamp,
}

/// A provider that this deployment takes the word of.
struct Source {
    clients: Vec<String>,
    url: String,
    known: Mutex<Option<Keys>>,
}

/// The providers that this deployment takes the word of.
pub struct Providers {
    sources: BTreeMap<IdentityProvider, Source>,
    http: reqwest::Client,
}

impl Providers {
    /// Reads `GOOGLE_CLIENT_IDS` and `APPLE_CLIENT_IDS`, comma-separated: without any, nobody signs in that way.
    /// `GOOGLE_KEYS_URL` and `APPLE_KEYS_URL` are where they publish their keys.
    ///
    /// # Errors
    /// If there can be no client.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let none = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().timeout(DEADLINE).redirect(none).build();
        let http = client.map_err(|error| config.wrong("GOOGLE_KEYS_URL", &error.to_string()))?;
        let source = |provider: IdentityProvider| {
            let word = provider.word().to_uppercase();
            let clients = config.optional(&format!("{word}_CLIENT_IDS"))?;
            let clients: Vec<String> =
                clients.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect();
            let url = config.optional(&format!("{word}_KEYS_URL")).unwrap_or(provider.keys_url()).to_owned();
            let source = Source { clients, url, known: Mutex::default() };
            Some((provider, source)).filter(|(_, source)| !source.clients.is_empty())
        };
        Ok(Self { sources: IdentityProvider::ALL.iter().copied().filter_map(source).collect(), http })
    }

    /// Who shows this token.
    async fn person(
        &self,
        provider: IdentityProvider,
        token: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Person> {
        let source = self.sources.get(&provider).ok_or_else(|| {
            Code::WrongState.because(format!("nobody signs in with {} here", provider.word()))
        })?;
        let header = jsonwebtoken::decode_header(token).map_err(|error| refused(&error.to_string()))?;
        if header.alg != Algorithm::RS256 || header.crit.is_some() {
            return Err(refused("not RS256, or with extensions"));
        }
        let kid = header.kid.ok_or_else(|| refused("no kid"))?;
        let key = self.key(source, &kid, now).await?;
        let mut rules = Validation::new(Algorithm::RS256);
        // All of it is checked by our own rules, and by our clock.
        (rules.validate_exp, rules.validate_aud) = (false, false);
        rules.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &rules);
        let claims = claims.map_err(|error| refused(&error.to_string()))?.claims;
        claims.person(provider, &source.clients, nonce, now)
    }

    /// A key of a provider. Tokens that name keys at random do not have it asked more than once a minute.
    async fn key(&self, source: &Source, kid: &str, now: Timestamp) -> Result<DecodingKey> {
        let mut known = source.known.lock().await;
        let age = known.as_ref().map(|known| now.duration_since(known.fetched).abs());
        let has = known.as_ref().is_some_and(|known| known.keys.contains_key(kid));
        if age.is_none_or(|age| age > if has { FRESH } else { UNKNOWN }) {
            match self.fetch(&source.url).await {
                Ok(keys) => *known = Some(Keys { keys, fetched: now }),
                // What was good some hours ago is better than nobody signing in.
                Err(error) if has => tracing::warn!(%error, "a provider's keys could not be fetched anew"),
                Err(error) => return Err(error),
            }
        }
        let key = known.as_ref().and_then(|known| known.keys.get(kid));
        key.cloned().ok_or_else(|| refused("unknown kid"))
    }

    async fn fetch(&self, url: &str) -> Result<HashMap<String, DecodingKey>> {
        let down = |error: String| Code::Unavailable.caused_by(error);
        let answer = self.http.get(url).send().await.and_then(reqwest::Response::error_for_status);
        let mut answer = answer.map_err(|error| down(error.to_string()))?;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| down(error.to_string()))? {
            if bytes.len() + chunk.len() > LARGEST {
                return Err(down("its keys are too many".to_owned()));
            }
            bytes.extend_from_slice(&chunk);
        }
        let set: JwkSet = serde_json::from_slice(&bytes).map_err(|error| down(error.to_string()))?;
        let keys = set.keys.iter();
        Ok(keys
            .filter_map(|jwk| Some((jwk.common.key_id.clone()?, DecodingKey::from_jwk(jwk).ok()?)))
            .collect())
    }
}

/// What is given to the provider.
#[derive(Serialize, utoipa::ToSchema)]
pub struct FreshNonce {
    /// Good once.
    nonce: String,
    /// For so many seconds.
    expires_in: i64,
}

/// Get a nonce for a provider's sign-in.
#[utoipa::path(post, path = "/v1/sessions/nonce", tag = "identity", extensions(("x-limit" = json!(Class::Write))),
    responses((status = 201, description = "A nonce", body = FreshNonce)))]
pub async fn nonce(State(app): State<App>) -> Result<(StatusCode, Json<FreshNonce>)> {
    let exp = app.clock.now().as_second() + NONCE_SECONDS;
    let nonce = Nonce { salt: hex(random::<16>()?), exp };
    let nonce = app.sealer.seal(Purpose::Nonce, &nonce).map_err(|error| Code::Internal.caused_by(error))?;
    Ok((StatusCode::CREATED, Json(FreshNonce { nonce, expires_in: NONCE_SECONDS })))
}

/// What a provider says.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// Whose word.
    provider: IdentityProvider,
    /// Its id token.
    #[schema(max_length = 8000)]
    id_token: String,
    /// The nonce that it was given.
    #[schema(max_length = 300)]
    nonce: String,
    /// What the device calls itself; taken from User-Agent if nothing is said.
    #[serde(default)]
    device: Option<Text<1, 200>>,
    /// What to call somebody who is new here: Apple tells it to the app alone, the first time.
    #[serde(default)]
    name: Option<Text<1, 120>>,
}

/// Sign in with Google or Apple. Whoever is new here has an account from then on, if the provider speaks for their address.
#[utoipa::path(post, path = "/v1/sessions/provider", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), request_body = Word,
    responses((status = 201, description = "Signed in", body = Tokens)))]
pub async fn sign_in(
    State(app): State<App>,
    Extension(issuer): Extension<Arc<Issuer>>,
    Extension(providers): Extension<Arc<Providers>>,
    headers: HeaderMap,
    input: Input<Word>,
) -> Result<(StatusCode, Json<Tokens>)> {
    let (Word { provider, id_token, nonce, device, name }, now) = (input.value, app.clock.now());
    let person = heard(&app, &providers, provider, &id_token, &nonce, now).await?;
    let account = match linked(&app, &person).await? {
        Some(account) => account,
        None => new_here(&app, person, name, now).await?,
    };
    let device = device_name(device, &headers);
    if account.second_factor.is_on() {
        return Challenge::refuse(&app, &account, device, now);
    }
    begin(&app, &issuer, &account, device, provider.word(), now).await
}

/// Checks a token, and uses its nonce up.
async fn heard(
    app: &App,
    providers: &Providers,
    provider: IdentityProvider,
    token: &str,
    nonce: &str,
    now: Timestamp,
) -> Result<Person> {
    let ours = app.sealer.open::<Nonce>(Purpose::Nonce, nonce);
    if ours.is_none_or(|nonce| nonce.exp <= now.as_second()) {
        return Err(refused("no nonce of ours, or an old one"));
    }
    let person = providers.person(provider, token, nonce, now).await?;
    match app.db.put_new(Spent::of(nonce, now), Vec::new(), now).await? {
        Put::Done(_) => Ok(person),
        Put::Existed(_) => Err(refused("the nonce was used before")),
    }
}

/// The account of somebody whom a provider names, if one is linked.
async fn linked(app: &App, person: &Person) -> Result<Option<Account>> {
    let Some(link) = store::link(&app.db, &person.subject).await? else { return Ok(None) };
    let account = store::account(&app.db, link.value.account).await?.value;
    Ok(Some(account).filter(Account::is_active))
}

/// Links the account of the address, or makes one.
async fn new_here(app: &App, person: Person, name: Option<Text<1, 120>>, now: Timestamp) -> Result<Account> {
    let Some(email) = person.email.clone() else {
        let why = "the provider does not speak for this address: sign up or in, and link it then";
        return Err(Code::WrongState.because(why));
    };
    let id = store::claim(&app.db, &email, AccountId::new(now), true, now).await?;
    let name = name.or_else(|| person.name.clone()).unwrap_or_else(|| {
        let local = email.as_str().split('@').next().unwrap_or_default();
        Text::parse(local).unwrap_or_else(|_| Text::nobody())
    });
    let new = Account { state: Stands::Active { at: now }, ..Account::new(id, email, name, now) };
    let account = app.db.put_new(new, Vec::new(), now).await?.stored();
    if !account.value.is_active() {
        // It was signed up for in this very moment, by somebody who has not proven the address.
        return Code::Busy.refuse();
    }
    link(app, &account, person, now).await?;
    Ok(account.value)
}

/// Links a provider's word to an account: its owner is told.
async fn link(app: &App, account: &Stored<Account>, person: Person, now: Timestamp) -> Result<()> {
    let Person { provider, subject, .. } = person;
    let new = Link { provider, subject, account: account.value.id, at: now };
    let change = AccountChange::ProviderLinked { provider };
    let told = vec![mailed::changed(&account.value, change)];
    let Put::Existed(known) = app.db.put_new(new.clone(), told.clone(), now).await? else { return Ok(()) };
    if known.value.account == account.value.id {
        return Ok(());
    }
    // Whose account was erased has let go of it, though it is still written there.
    let holder = store::account(&app.db, known.value.account).await?.value;
    if holder.is_active() {
        return Code::AlreadyExists.refuse();
    }
    app.db.replace(&known, new, told, now).await?.done().map(drop)
}

/// What a provider says, and the password of the account that it is linked to.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkTo {
    /// Whose word.
    provider: IdentityProvider,
    /// Its id token.
    #[schema(max_length = 8000)]
    id_token: String,
    /// The nonce that it was given.
    #[schema(max_length = 300)]
    nonce: String,
    /// The present one.
    password: Password,
}

/// A provider with which I may sign in.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ProviderLink)]
pub struct View {
    /// Which.
    provider: IdentityProvider,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// The providers with which I may sign in.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ProviderLinks {
    items: Vec<View>,
}

/// List the providers with which I may sign in.
#[utoipa::path(get, path = "/v1/me/providers", tag = "identity", security(("bearer" = [])),
    responses((status = 200, description = "Those that are linked", body = ProviderLinks)))]
pub async fn list(State(app): State<App>, owner: Owner) -> Result<Json<ProviderLinks>> {
    let links = store::links(&app.db, owner.id).await?.into_iter().map(|link| link.value);
    let view = |Link { provider, at, .. }: Link| View { provider, at };
    Ok(Json(ProviderLinks { items: links.map(view).collect() }))
}

/// Link Google or Apple to my account, whatever its address there.
#[utoipa::path(post, path = "/v1/me/providers", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), security(("bearer" = [])), request_body = LinkTo,
    responses((status = 204, description = "Linked")))]
pub async fn link_mine(
    State(app): State<App>,
    owner: Owner,
    Extension(providers): Extension<Arc<Providers>>,
    input: Input<LinkTo>,
) -> Result<StatusCode> {
    let (LinkTo { provider, id_token, nonce, password }, now) = (input.value, app.clock.now());
    owner.confirm(&app, password, now).await?;
    let person = heard(&app, &providers, provider, &id_token, &nonce, now).await?;
    link(&app, &owner.account, person, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who asks.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unlink {
    /// The present one: whoever has none yet has one set by mail first, and is not locked out.
    password: Password,
}

/// Unlink a provider. Every other session ends.
#[utoipa::path(post, path = "/v1/me/providers/{provider}/unlink", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), security(("bearer" = [])), request_body = Unlink,
    params(("provider" = IdentityProvider, Path, description = "Which")),
    responses((status = 204, description = "Unlinked")))]
pub async fn unlink(
    State(app): State<App>,
    owner: Owner,
    Path(provider): Path<IdentityProvider>,
    input: Input<Unlink>,
) -> Result<StatusCode> {
    let now = app.clock.now();
    owner.confirm(&app, input.value.password, now).await?;
    let links = store::links(&app.db, owner.id).await?;
    let links: Vec<_> = links.into_iter().filter(|link| link.value.provider == provider).collect();
    if links.is_empty() {
        return Code::NotFound.refuse();
    }
    for link in &links {
        app.db.delete(link).await?;
    }
    let change = AccountChange::ProviderUnlinked { provider };
    let change = app.db.change(owner.account.clone(), now, |known| {
        owner.still(known, now)?;
        let next = known.clone().in_new_era(Some(owner.session.value.id));
        Ok(Some((next, vec![mailed::changed(known, change)])))
    });
    change.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the links of an account.
///
/// # Errors
/// The store's own.
pub async fn forget(app: &App, account: AccountId) -> Result<()> {
    for link in store::links(&app.db, account).await? {
        app.db.delete(&link).await?;
    }
    Ok(())
}
