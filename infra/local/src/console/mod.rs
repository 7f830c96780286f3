//! The operator's console: plain pages that show what the home does, and let its owner push it about.
//!
//! | module | holds |
//! |---|---|
//! | this one | [`router`], the frame around every page, and who may change something |
//! | `overview` | what is wrong, the clock, counts, schedules |
//! | `mail` | the mailbox |
//! | `queues` | messages, dead letters and their return |
//! | `tables` | items |
//! | `requests` | the last requests |
//! | `payments` | the payment provider's payments and events |
//! | `faults` | the switches of the sandboxes and the stores' faults |
//! | `figures` | the meter |
//! | `mask` | what nobody reads over an operator's shoulder |
//! | `show` | times, amounts and numbers as people write them |
//!
//! Pages carry no scripts and load nothing from elsewhere. What a page shows is escaped by its template; HTML of mails
//! is shown in a sandboxed frame. Every change is a POST followed by a redirect, and is refused when a browser says
//! that another site sent it.

mod faults;
mod figures;
mod mail;
mod mask;
mod overview;
mod payments;
mod queues;
mod requests;
mod show;
mod tables;

use crate::{Home, HomeError, Inner};
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use std::convert::Infallible;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use tessera_sandbox::mail::Mail;
use tessera_sandbox::stripe::Stripe;

/// The largest form, bytes: switches and addresses are short.
const MAX_FORM: usize = 64 * 1024;
/// The longest flash message that is shown, characters: it comes from the address and could be anybody's.
const MAX_FLASH: usize = 300;

/// The pages by name. The word before the first `_` or `.` is the section that the menu marks.
const TEMPLATES: [(&str, &str); 17] = [
    ("frame.html", include_str!("frame.html")),
    ("parts.html", include_str!("parts.html")),
    ("style.css", include_str!("style.css")),
    ("error.html", include_str!("error.html")),
    ("confirm.html", include_str!("confirm.html")),
    ("overview.html", include_str!("overview.html")),
    ("mail.html", include_str!("mail.html")),
    ("mail_one.html", include_str!("mail_one.html")),
    ("queues.html", include_str!("queues.html")),
    ("queues_one.html", include_str!("queues_one.html")),
    ("tables.html", include_str!("tables.html")),
    ("tables_one.html", include_str!("tables_one.html")),
    ("requests.html", include_str!("requests.html")),
    ("payments.html", include_str!("payments.html")),
    ("payments_one.html", include_str!("payments_one.html")),
    ("faults.html", include_str!("faults.html")),
    ("figures.html", include_str!("figures.html")),
];

/// No scripts, nothing from elsewhere, in nobody's frame; forms go back here alone.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the console shows.
pub(crate) struct Console {
    /// Held weakly: the home owns the door that this console hangs in.
    home: Weak<Inner>,
    stripe: Arc<Stripe>,
    mail: Arc<Mail>,
    data: Option<PathBuf>,
    templates: Environment<'static>,
}

type Shared = State<Arc<Console>>;

/// What a page or an action answers.
type Answer = Result<Response, Failure>;

/// The console of a home and its sandboxes, to be plugged in as `/console`. `data` is the folder that keeps
/// everything, if there is one.
///
/// # Errors
/// If a page's template is malformed.
pub fn router(
    home: &Home,
    stripe: Arc<Stripe>,
    mail: Arc<Mail>,
    data: Option<PathBuf>,
) -> Result<Router, HomeError> {
    let mut templates = Environment::new();
    for (name, text) in TEMPLATES {
        templates.add_template(name, text).map_err(HomeError::store(format!("the console's page {name}")))?;
    }
    show::add_filters(&mut templates);
    let console = Arc::new(Console { home: Arc::downgrade(&home.inner), stripe, mail, data, templates });
    Ok(Router::new()
        .route("/", get(overview::show))
        .route("/clock", post(overview::advance))
        .route("/schedules/run", post(overview::run))
        .route("/mail", get(mail::list))
        .route("/mail/{id}", get(mail::one))
        .route("/mail/{id}/html", get(mail::html))
        .route("/mail/{id}/raw", get(mail::raw))
        .route("/mail/{id}/attachments/{number}", get(mail::attachment))
        .route("/queues", get(queues::list))
        .route("/queues/{name}", get(queues::one))
        .route("/queues/{name}/replay", post(queues::replay))
        .route("/queues/{name}/purge", get(queues::confirm_purge).post(queues::purge))
        .route("/tables", get(tables::list))
        .route("/tables/{name}", get(tables::one))
        .route("/requests", get(requests::list))
        .route("/payments", get(payments::list))
        .route("/payments/{id}", get(payments::one))
        .route("/payments/{id}/redeliver", post(payments::redeliver))
        .route("/faults", get(faults::show))
        .route("/faults/stores", post(faults::add))
        .route("/faults/stores/clear", post(faults::clear))
        .route("/faults/payments", post(faults::switch_payments))
        .route("/faults/mail", post(faults::switch_mail))
        .route("/figures", get(figures::show))
        .fallback(missing)
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(middleware::from_fn_with_state(console.clone(), guard))
        .with_state(console))
}

async fn missing() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "There is no such page.")
}

async fn not_so() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "This page is not asked like that.")
}

/// Around everything: refuses changes that another site asks for, turns failures into pages, and adds the headers that
/// keep a page to itself.
async fn guard(State(console): Shared, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if !reads && foreign(request.headers()) {
        let why = "Another site asked for this change. Open the console itself and do it there.";
        Failure::new(StatusCode::FORBIDDEN, why).into_response()
    } else {
        next.run(request).await
    };
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        response = console.failed(&failure);
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: a browser would then hide the origin of our own forms from us.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether a browser says that a page of another origin sends this. What is no browser says nothing.
fn foreign(headers: &HeaderMap) -> bool {
    let elsewhere = headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin");
    let origin = headers.get(header::ORIGIN).is_some_and(|origin| {
        let host = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
        let ours = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        !matches!((host, ours), (Some(host), Some(ours)) if host.eq_ignore_ascii_case(ours))
    });
    elsewhere || origin
}

/// What could not be shown or done, for people.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    fn internal(cause: impl Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, cause.to_string())
    }

    /// As a sandbox or a queue says it.
    fn said(status: u16, message: impl Into<String>) -> Self {
        Self::new(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), message)
    }
}

impl IntoResponse for Failure {
    /// Without a body yet: [`guard`] writes the page, because it has the templates.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        Self::internal(error)
    }
}

impl From<tessera_sqs::Error> for Failure {
    fn from(error: tessera_sqs::Error) -> Self {
        match error.code {
            tessera_sqs::Code::QueueDoesNotExist => {
                Self::new(StatusCode::NOT_FOUND, "There is no such queue.")
            }
            _ => Self::internal(error),
        }
    }
}

impl From<tessera_sandbox::stripe::Error> for Failure {
    fn from(error: tessera_sandbox::stripe::Error) -> Self {
        Self::said(error.status, error.message)
    }
}

impl From<tessera_sandbox::mail::Error> for Failure {
    fn from(error: tessera_sandbox::mail::Error) -> Self {
        Self::said(error.status, error.message)
    }
}

/// The fields of a query or a form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// A field that is there and not empty, without the spaces around it.
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(field, _)| field == name)?;
        Some(found.1.trim()).filter(|value| !value.is_empty())
    }

    /// Which page is asked for, from 1.
    fn page(&self) -> u32 {
        self.get("page").and_then(|page| page.parse().ok()).unwrap_or(1).clamp(1, 1_000_000)
    }
}

impl<S: Sync> FromRequestParts<S> for Fields {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default().as_bytes()))
    }
}

/// An address within the console.
fn link(path: &str, query: &[(&str, &str)]) -> String {
    let mut link = format!("/console{path}");
    if !query.is_empty() {
        link.push('?');
        let start = link.len();
        link = form_urlencoded::Serializer::for_suffix(link, start).extend_pairs(query).finish();
    }
    link
}

/// A name as one segment of a path.
fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// After a change: back to a page, which says how it went.
fn back(path: &str, outcome: Result<String, impl Display>) -> Response {
    let (name, said) = match outcome {
        Ok(done) => ("done", done),
        Err(error) => ("failed", error.to_string()),
    };
    tracing::info!(outcome = name, "console: {said}");
    let said: String = said.chars().take(MAX_FLASH).collect();
    let to = link(path, &[(name, &said)]);
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

/// Runs what reads a store where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(Failure::internal)?
}

impl Console {
    fn home(&self) -> Result<Home, Failure> {
        let inner = self.home.upgrade();
        let inner =
            inner.ok_or_else(|| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "The home is stopping."))?;
        Ok(Home { inner })
    }

    /// Milliseconds since 1970, by the home's clock.
    fn now(&self) -> i64 {
        self.home.upgrade().map(|home| home.clock.now().as_millisecond()).unwrap_or_default()
    }

    /// Writes a page in its frame.
    fn page(&self, template: &str, title: &str, asked: &Fields, context: Value) -> Answer {
        let home = self.home()?;
        let troubles = overview::troubles(self, &home)?;
        let flash = |name: &str| asked.get(name).map(|said| said.chars().take(MAX_FLASH).collect::<String>());
        let frame = context! {
            title,
            section => template.split(['_', '.']).next(),
            now => self.now(),
            wrong => troubles.len(),
            grave => troubles.iter().any(|trouble| trouble.grave),
            troubles => Serde(troubles),
            done => flash("done"),
            failed => flash("failed"),
        };
        let page = self.render(template, &context! { ..context, ..frame }).map_err(Failure::internal)?;
        Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response())
    }

    /// A page for what did not work. It asks nothing of the stores, which may be what did not work.
    fn failed(&self, failure: &Failure) -> Response {
        if failure.status.is_server_error() {
            tracing::error!(error = failure.message, "a page of the console failed");
        }
        let context = context! {
            title => failure.status.canonical_reason().unwrap_or("Not possible"),
            status => failure.status.as_u16(),
            message => failure.message.as_str(),
            now => self.now(),
        };
        match self.render("error.html", &context) {
            Ok(page) => {
                let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
                (failure.status, html, page).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "the console's error page cannot be written");
                (failure.status, failure.message.clone()).into_response()
            }
        }
    }

    fn render(&self, template: &str, context: &Value) -> Result<String, minijinja::Error> {
        self.templates.get_template(template)?.render(context)
    }
}
