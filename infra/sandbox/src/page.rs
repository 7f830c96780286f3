//! The frame of the pages where buyers pay: plain pages for people, in the place of the providers' own.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use minijinja::{Environment, Error, Value};

/// A pay page within the frame.
pub(crate) struct Page(Environment<'static>);

/// No scripts, nothing from elsewhere, in nobody's frame, and no secret in a referrer.
pub(crate) const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

impl Page {
    pub(crate) fn new(template: &'static str) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.add_template("frame.html", include_str!("frame.html"))?;
        environment.add_template("pay.html", template)?;
        Ok(Self(environment))
    }

    pub(crate) fn html(&self, status: StatusCode, context: &Value) -> Response {
        match self.0.get_template("pay.html").and_then(|template| template.render(context)) {
            Ok(page) => {
                (status, HEADERS, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "the pay page cannot be written");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// Currencies counted in whole units, and in thousandths; all others are counted in hundredths.
const WHOLE: [&str; 15] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];
const THOUSANDTHS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// How many decimal places a currency's smallest unit stands for; `currency` in small letters.
pub(crate) fn decimals(currency: &str) -> u32 {
    if WHOLE.contains(&currency) {
        0
    } else if THOUSANDTHS.contains(&currency) {
        3
    } else {
        2
    }
}

/// An amount in major units, as people write it: 2450 of eur is `24.50`.
pub(crate) fn major(amount: i64, currency: &str) -> String {
    let digits = decimals(currency);
    let unit = 10_i64.pow(digits);
    let mut whole = (amount / unit).to_string();
    // A thin space between thousands.
    for at in (1..whole.len()).rev().filter(|at| (whole.len() - at).is_multiple_of(3)).collect::<Vec<_>>() {
        whole.insert(at, '\u{2009}');
    }
    match usize::try_from(digits) {
        Ok(width @ 1..) => format!("{whole}.{:0width$}", amount % unit),
        _ => whole,
    }
}
