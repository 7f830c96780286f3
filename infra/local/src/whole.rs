//! The home with the outside world around it: the payment provider and the mail service as sandboxes.
//!
//! This is what `tessera` starts and what tests use: nothing is different between the two but where data is kept, how long
//! failed work waits, and how often callers may ask.

use crate::error::HomeError;
use crate::{Home, Listen, Options, Unsettled, console, functions};
use jiff::SignedDuration;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tessera::clock::Clock;
use tessera_sandbox::Storage;
use tessera_sandbox::issuer::{self, Issuer};
use tessera_sandbox::mail::{self, Mail};
use tessera_sandbox::razorpay::{self, Razorpay, RazorpayOptions};
use tessera_sandbox::stripe::{self, Stripe, StripeOptions};

/// How to start it.
#[derive(Debug)]
pub struct WholeOptions {
    /// Where it answers; any free port if nothing is said.
    pub listen: Option<Listen>,
    /// Where everything is kept; `None` is a folder that is gone with it.
    pub data: Option<PathBuf>,
    /// Another template than the one built in.
    pub template: Option<PathBuf>,
    /// Values for the template's parameters.
    pub parameters: Vec<(String, String)>,
    /// How often callers may ask, as the template's `Limits` says it; `None` is as the template has it.
    pub limits: Option<String>,
    /// After which time failed work is tried again.
    pub retry_delay: Duration,
}

/// Limits for whoever plays a whole crowd from one address: tests, measurements, the demo.
pub const GENEROUS: &str = "read=10000000/60,read_server=10000000/60,read_address=10000000/60,\
    write=10000000/60,write_server=10000000/60,write_address=10000000/60,\
    sign_in=10000000/60,sign_in_server=10000000/60,sign_in_address=10000000/60,\
    mail=10000000/60,mail_server=10000000/60,mail_address=10000000/60,\
    gift_card=10000000/60,gift_card_server=10000000/60,gift_card_address=10000000/60,\
    link=10000000/60,link_server=10000000/60,link_address=10000000/60,\
    upload=10000000/60,upload_server=10000000/60,upload_address=10000000/60";

impl Default for WholeOptions {
    fn default() -> Self {
        Self {
            listen: None,
            data: None,
            template: None,
            parameters: Vec::new(),
            limits: Some(GENEROUS.to_owned()),
            retry_delay: Duration::ZERO,
        }
    }
}

/// The home, its sandboxes, and handles on all of them.
#[derive(Clone)]
pub struct Whole {
    home: Home,
    stripe: Arc<Stripe>,
    razorpay: Arc<Razorpay>,
    mail: Arc<Mail>,
    issuer: Arc<Issuer>,
    webhook_secret: String,
}

/// The secret with which sandbox webhooks used to be signed: there to be rotated away from.
const PREVIOUS_WEBHOOK_SECRET: &str = "whsec_previous_secret_of_the_sandbox";

impl Whole {
    /// Starts everything.
    ///
    /// # Errors
    /// The first thing that does not work.
    pub async fn start(options: WholeOptions) -> Result<Self, HomeError> {
        let listen = options.listen.map_or_else(Listen::anywhere, Ok)?;
        let url = listen.url();
        let clock = Clock::default();
        let now = clock.clone();
        let now: tessera_sandbox::Clock = Arc::new(move || now.now().as_millisecond());
        let storage = |name: &str| match &options.data {
            Some(data) => Storage::File(data.join(name)),
            None => Storage::Memory,
        };
        if let Some(data) = &options.data {
            std::fs::create_dir_all(data)
                .map_err(HomeError::io(format!("the data folder {}", data.display())))?;
        }
        let issuer = Issuer::new(now.clone());
        let mail = Mail::open(&storage("mail.db"), now.clone()).map_err(HomeError::store("the mailbox"))?;
        let secrets = crate::secrets::of(options.data.as_deref())?;
        let secret = |key: &str| secrets.get(key).cloned().unwrap_or_default();
        let first = |key: &str| secret(key).split(',').next().unwrap_or_default().to_owned();
        let webhook_secret = first("stripe_webhook_secrets");
        let mut provider = StripeOptions::new(
            secret("stripe_secret_key"),
            &webhook_secret,
            format!("{url}/_stripe"),
            now.clone(),
        );
        provider.previous_webhook_secret = Some(PREVIOUS_WEBHOOK_SECRET.to_owned());
        provider.webhook_url = Some(format!("{url}/v1/webhooks/stripe"));
        let stripe =
            Stripe::open(&storage("stripe.db"), provider).map_err(HomeError::store("the Stripe sandbox"))?;
        let (razorpay_secret, at) = (first("razorpay_webhook_secrets"), format!("{url}/_razorpay"));
        let (key_id, key_secret) = (secret("razorpay_key_id"), secret("razorpay_key_secret"));
        let mut provider = RazorpayOptions::new(key_id, key_secret, &razorpay_secret, at, now);
        provider.previous_webhook_secret = Some(PREVIOUS_WEBHOOK_SECRET.to_owned());
        provider.webhook_url = Some(format!("{url}/v1/webhooks/razorpay"));
        let razorpay = Razorpay::open(&storage("razorpay.db"), provider)
            .map_err(HomeError::store("the Razorpay sandbox"))?;

        let mut home = Options::new(listen);
        home.data = options.data.clone();
        home.template = options.template;
        home.clock = clock;
        home.retry_delay = Some(options.retry_delay);
        home.secrets = secrets;
        for (name, secret) in
            [("stripe_webhook_secrets", &webhook_secret), ("razorpay_webhook_secrets", &razorpay_secret)]
        {
            home.secrets.insert(name.to_owned(), format!("{secret},{PREVIOUS_WEBHOOK_SECRET}"));
        }
        let given = [
            ("Stage", "local".to_owned()),
            ("PublicUrl", url.clone()),
            ("StripeBaseUrl", format!("{url}/_stripe")),
            ("StripePayPage", format!("{url}/_stripe/pay/{{intent}}?client_secret={{client_secret}}")),
            ("RazorpayBaseUrl", format!("{url}/_razorpay")),
            ("RazorpayPayPage", format!("{url}/_razorpay/pay/{{order}}")),
            ("GoogleClientIds", "local".to_owned()),
            ("GoogleKeysUrl", format!("{url}/_issuer/google/keys")),
            ("AppleClientIds", "local".to_owned()),
            ("AppleKeysUrl", format!("{url}/_issuer/apple/keys")),
            ("MailFrom", "tickets@tessera.example".to_owned()),
        ];
        let limits = options.limits.map(|limits| ("Limits", limits));
        home.offered =
            given.into_iter().chain(limits).map(|(name, value)| (name.to_owned(), value)).collect();
        home.parameters.extend(options.parameters);
        home.extra = vec![
            ("/_stripe".to_owned(), stripe::router(stripe.clone())),
            ("/_razorpay".to_owned(), razorpay::router(razorpay.clone())),
            ("/_ses".to_owned(), mail::router(mail.clone())),
            ("/_issuer".to_owned(), issuer::router(issuer.clone())),
        ];
        let home = Home::start(home, Arc::new(functions::build)).await?;
        home.plug("/console", console::router(&home, stripe.clone(), mail.clone(), options.data)?);
        Ok(Self { home, stripe, razorpay, mail, issuer, webhook_secret })
    }

    /// The home.
    #[must_use]
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// Where the API answers, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        self.home.url()
    }

    /// The first payment provider.
    #[must_use]
    pub const fn stripe(&self) -> &Arc<Stripe> {
        &self.stripe
    }

    /// The other payment provider.
    #[must_use]
    pub const fn razorpay(&self) -> &Arc<Razorpay> {
        &self.razorpay
    }

    /// The mail service.
    #[must_use]
    pub const fn mail(&self) -> &Arc<Mail> {
        &self.mail
    }

    /// The houses with which people sign in.
    #[must_use]
    pub const fn issuer(&self) -> &Arc<Issuer> {
        &self.issuer
    }

    /// The secret with which webhooks are signed.
    #[must_use]
    pub fn stripe_webhook_secret(&self) -> &str {
        &self.webhook_secret
    }

    /// The time that everything here goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.home.clock()
    }

    /// Moves the time forward; an error is logged, and shows in what did not happen.
    pub async fn advance(&self, by: SignedDuration) {
        if let Err(error) = self.home.advance(by.unsigned_abs()).await {
            tracing::error!(%error, "the clock could not be moved");
        }
    }

    /// Runs a function's scheduled job now.
    ///
    /// # Errors
    /// If there is no such schedule, or what the function answers.
    pub async fn run_job(&self, function: &str, job: &str) -> Result<(), String> {
        let mut name = job.to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        self.home.run_schedule(&format!("{function}/{name}")).await.map(drop)
    }

    /// Waits until nothing is left to do anywhere, webhooks included.
    ///
    /// # Errors
    /// What is still going on after `timeout`.
    pub async fn settle(&self, timeout: Duration) -> Result<(), Unsettled> {
        let end = tokio::time::Instant::now() + timeout;
        loop {
            self.home.settle(end.saturating_duration_since(tokio::time::Instant::now())).await?;
            let waiting = self.stripe.undelivered().map_err(|error| Unsettled(error.to_string()))?
                + self.razorpay.undelivered().map_err(|error| Unsettled(error.to_string()))?;
            if waiting == 0 {
                // The last webhook may have begun something.
                return self.home.settle(end.saturating_duration_since(tokio::time::Instant::now())).await;
            }
            if tokio::time::Instant::now() >= end {
                return Err(Unsettled(format!("{waiting} webhooks are not delivered")));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Messages that failed too often, over all queues.
    ///
    /// # Errors
    /// If the queues cannot be read.
    pub fn dead_letters(&self) -> Result<u64, HomeError> {
        let queues = self.home.sqs().queues().map_err(HomeError::store("the queues"))?;
        let dead = queues.iter().filter(|queue| queue.name.ends_with("-dead"));
        Ok(dead
            .map(|queue| u64::try_from(queue.counts.visible + queue.counts.in_flight).unwrap_or_default())
            .sum())
    }

    /// Stops, finishing what is under way until `deadline` is over.
    ///
    /// # Errors
    /// [`Unsettled`] if something did not end in time.
    pub async fn stop(self, deadline: Duration) -> Result<(), Unsettled> {
        self.home.stop(deadline).await
    }
}
