//! What a function has when it runs: its settings, the clock, and the edges it asked for.

use crate::auth::Keys;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::db::Db;
use crate::sign::Sealer;
use crate::telemetry::Meter;
use aws_credential_types::Credentials;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use std::sync::Arc;

/// The five roots under which AWS's endpoints are certified, as Amazon Trust Services recommends for stores of one's own
/// (<https://www.amazontrust.com/repository/>). Reading the machine's store of some 140 instead would be most of what a
/// function does before its first answer. They are for AWS's services alone: payment providers are met with the
/// machine's own roots.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-trust-services.pem");

/// What every function of one process shares: one HTTP client with its warm connections, one clock, one meter.
#[derive(Clone, Debug)]
pub struct Process {
    /// The time.
    pub clock: Clock,
    /// Counts store calls where somebody looks at the figures.
    pub meter: Option<Arc<Meter>>,
    http: SharedHttpClient,
}

impl Default for Process {
    fn default() -> Self {
        Self::new(Clock::default(), None)
    }
}

impl Process {
    /// One process with this clock and perhaps a meter.
    #[must_use]
    pub fn new(clock: Clock, meter: Option<Arc<Meter>>) -> Self {
        let context = tls::TlsContext::builder().with_trust_store(
            tls::TrustStore::empty().with_native_roots(false).with_pem_certificate(AMAZON_ROOTS),
        );
        // Never fails: no check is made before the first connection, and the roots are tested to be readable.
        let context = context.build().unwrap_or_default();
        let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(tls).tls_context(context).build_https();
        Self { clock, meter, http }
    }
}

/// The AWS edge's settings: region, credentials from the environment that Lambda provides, and an endpoint per service
/// where the local home stands in.
pub(crate) struct Aws {
    pub(crate) region: String,
    pub(crate) credentials: Credentials,
    pub(crate) http: SharedHttpClient,
}

impl Aws {
    fn new(config: &Config, process: &Process) -> Result<Self, ConfigError> {
        Ok(Self {
            region: config.require("AWS_REGION")?.to_owned(),
            credentials: Credentials::new(
                config.require("AWS_ACCESS_KEY_ID")?,
                config.require("AWS_SECRET_ACCESS_KEY")?,
                config.optional("AWS_SESSION_TOKEN").map(str::to_owned),
                None,
                "environment",
            ),
            http: process.http.clone(),
        })
    }
}

/// Builds an SDK client's configuration. A macro because each SDK crate has a builder type of its own.
macro_rules! client {
    ($sdk:ident, $aws:expr, $config:expr, $endpoint:literal) => {{
        let mut builder = $sdk::Config::builder()
            .behavior_version($sdk::config::BehaviorVersion::latest())
            // Two more tries, after up to 50 and up to 100 ms: somebody is waiting, and the default begins with up to a second.
            .retry_config(
                $sdk::config::retry::RetryConfig::standard()
                    .with_initial_backoff(std::time::Duration::from_millis(50)),
            )
            .region($sdk::config::Region::new($aws.region.clone()))
            .credentials_provider($aws.credentials.clone())
            .http_client($aws.http.clone());
        builder.set_endpoint_url($config.optional($endpoint).map(str::to_owned));
        builder
    }};
}
pub(crate) use client;

/// One function's world. Clones are cheap and share everything.
#[derive(Clone)]
pub struct App {
    /// Its settings.
    pub config: Config,
    /// The time.
    pub clock: Clock,
    /// The tables.
    pub db: Db,
    /// Checks access tokens.
    pub keys: Arc<Keys>,
    /// Seals quotes, cursors, guest credentials and links.
    pub sealer: Sealer,
    /// Counts, where switched on.
    pub meter: Option<Arc<Meter>>,
    /// What was last seen of the lanes.
    pub hints: crate::pool::store::Hints,
    /// What was lately read of the catalogue.
    pub recent: crate::catalogue::store::Recent,
    /// How far waiting lines had come a moment ago.
    pub lines: crate::room::store::Lines,
    /// How often callers may ask, and what was lately seen of them.
    pub limits: crate::limit::store::Limiter,
    /// Which uses of keys and devices were lately written down.
    pub uses: crate::used::Uses,
    /// The object store.
    #[cfg(feature = "blobs")]
    pub blobs: crate::blobs::Blobs,
    /// The queues.
    #[cfg(feature = "queues")]
    pub queues: crate::queue::Queues,
    /// The mail service.
    #[cfg(feature = "mail")]
    pub mailer: crate::mail::Mailer,
}

impl App {
    /// Builds every edge this function was compiled with.
    ///
    /// # Errors
    /// The first setting that is missing or malformed, by name.
    pub fn new(config: &Config, process: &Process) -> Result<Self, ConfigError> {
        let aws = Aws::new(config, process)?;
        Ok(Self {
            config: config.clone(),
            clock: process.clock.clone(),
            db: Db::new(config, &aws, process.meter.clone())?,
            keys: Arc::new(Keys::new(config)?),
            sealer: Sealer::new(config)?,
            meter: process.meter.clone(),
            hints: Default::default(),
            recent: Default::default(),
            lines: Default::default(),
            limits: crate::limit::store::Limiter::new(crate::limit::Limits::new(config)?),
            uses: Default::default(),
            #[cfg(feature = "blobs")]
            blobs: crate::blobs::Blobs::new(config, &aws),
            #[cfg(feature = "queues")]
            queues: crate::queue::Queues::new(config, &aws),
            #[cfg(feature = "mail")]
            mailer: crate::mail::Mailer::new(config, &aws),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_are_the_five_that_amazon_names() {
        let pem = std::str::from_utf8(AMAZON_ROOTS).unwrap();
        let mut prints = Vec::new();
        for block in pem.split("-----BEGIN CERTIFICATE-----").skip(1) {
            let text: String = block.split("-----END").next().unwrap().split_whitespace().collect();
            let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap();
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
            prints.push(crate::text::hex(&digest.as_ref()[..4]));
        }
        // The first bytes of the SHA-256 fingerprints: Amazon Root CA 1 to 4, Starfield Services G2.
        assert_eq!(prints, ["8ecde688", "1ba5b2aa", "18ce6cfe", "e35d2841", "568d6905"]);
    }
}
