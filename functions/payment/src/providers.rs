//! The providers of this deployment: one way to ask any of them.

use crate::razorpay::{self, Razorpay};
use crate::reports::{Taken, from_razorpay, from_stripe};
use crate::stripe::{self, Stripe};
use jiff::Timestamp;
use serde::Serialize;
use tessera::app::App;
use tessera::config::ConfigError;
use tessera::error::{Code, Refusal, Result};
use tessera::payment::circuit::Circuit;
use tessera::payment::refund::Refund;
use tessera::payment::{Fact, Intent, Payment, Provider};

/// Those that this deployment has an account with.
pub struct Providers {
    stripe: Option<Stripe>,
    razorpay: Option<Razorpay>,
}

/// What one of them reports.
pub enum Report {
    /// Stripe does.
    Stripe(stripe::Report),
    /// Razorpay does.
    Razorpay(razorpay::Report),
}

impl Report {
    /// What happened.
    #[must_use]
    pub const fn fact(&self) -> &Fact {
        match self {
            Self::Stripe(report) => &report.fact,
            Self::Razorpay(report) => &report.fact,
        }
    }

    /// Takes it in.
    ///
    /// # Errors
    /// As [`from_stripe`].
    pub async fn take_in(self, app: &App, providers: &Providers) -> Result<Option<Taken>> {
        match self {
            Self::Stripe(report) => from_stripe(app, providers.stripe()?, report).await,
            Self::Razorpay(report) => from_razorpay(app, report).await,
        }
    }
}

/// What a client needs for a payment that is open.
#[derive(Default, Serialize, utoipa::ToSchema)]
pub struct HowToPay {
    /// Stripe: with it Stripe's own form takes the payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    /// Razorpay: the order that its checkout is opened for.
    #[serde(skip_serializing_if = "Option::is_none")]
    razorpay_order_id: Option<String>,
    /// Razorpay: the key with which its checkout is opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    razorpay_key_id: Option<String>,
    /// The page on which to pay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pay_url: Option<String>,
}

impl Providers {
    /// Reads the settings of each: see [`Stripe::new`] and [`Razorpay::new`].
    ///
    /// # Errors
    /// Names the setting that is missing or malformed.
    pub fn new(app: &App) -> Result<Self, ConfigError> {
        Ok(Self { stripe: Stripe::new(app)?, razorpay: Razorpay::new(app)? })
    }

    /// Stripe.
    ///
    /// # Errors
    /// `not_found` if this deployment has no account there.
    pub fn stripe(&self) -> Result<&Stripe> {
        self.stripe.as_ref().ok_or_else(|| Code::NotFound.into())
    }

    /// Razorpay.
    ///
    /// # Errors
    /// `not_found` if this deployment has no account there.
    pub fn razorpay(&self) -> Result<&Razorpay> {
        self.razorpay.as_ref().ok_or_else(|| Code::NotFound.into())
    }

    /// Those with which a payment can be opened, of any seller.
    pub fn offered(&self) -> impl Iterator<Item = Provider> {
        Provider::ALL.iter().copied().filter(|provider| match provider {
            Provider::Stripe => self.stripe.is_some(),
            Provider::Razorpay => self.razorpay.is_some(),
            Provider::Transfer | Provider::Cash | Provider::Gift => false,
        })
    }

    /// A provider's circuit, at most a few seconds old.
    ///
    /// # Errors
    /// `not_found` if this deployment has no account there; the store's own.
    pub async fn circuit(&self, provider: Provider) -> Result<Circuit> {
        match provider {
            Provider::Stripe => self.stripe()?.breaker().circuit().await,
            Provider::Razorpay => self.razorpay()?.breaker().circuit().await,
            // Nobody is asked.
            Provider::Transfer | Provider::Cash | Provider::Gift => Ok(Circuit::new(provider)),
        }
    }

    /// Opens a payment at its provider, or finds what was opened there before.
    ///
    /// # Errors
    /// `invalid_input` for a provider that is not offered here; `provider_unavailable`; `payment_refused`.
    pub async fn open(&self, payment: &Payment) -> Result<Intent> {
        let absent = |_| Refusal::invalid("/provider", "is not offered here");
        match payment.provider {
            Provider::Stripe => self.stripe().map_err(absent)?.open(payment).await,
            Provider::Razorpay => self.razorpay().map_err(absent)?.open(payment).await,
            Provider::Transfer | Provider::Cash | Provider::Gift => {
                Err(Refusal::invalid("/provider", "is promised, not opened"))
            }
        }
    }

    /// The others that answer, as far as is known.
    pub async fn in_service(&self, except: Provider) -> Vec<Provider> {
        let mut found = Vec::new();
        for provider in self.offered().filter(|provider| *provider != except) {
            match self.circuit(provider).await {
                Ok(circuit) if circuit.is_closed() => found.push(provider),
                Ok(_) => {}
                Err(refusal) => tracing::warn!(%refusal, "it is not known whether a provider is in service"),
            }
        }
        found
    }

    /// Takes the money, and answers with what is true at the provider afterwards.
    ///
    /// # Errors
    /// `provider_unavailable`; `internal` when the provider refuses for good.
    pub async fn capture(&self, payment: &Payment, intent: &Intent) -> Result<Option<Fact>> {
        match payment.provider {
            Provider::Stripe => self.stripe()?.capture(payment, &intent.id).await,
            Provider::Razorpay => self.razorpay()?.capture(payment).await,
            // It comes by itself.
            Provider::Transfer | Provider::Cash => Ok(None),
            Provider::Gift => Ok(Some(Fact::Captured { charge: None })),
        }
    }

    /// Lets the money go, as [`Self::capture`] takes it.
    ///
    /// # Errors
    /// As [`Self::capture`].
    pub async fn void(&self, payment: &Payment, intent: &Intent) -> Result<Option<Fact>> {
        match payment.provider {
            Provider::Stripe => self.stripe()?.void(payment, &intent.id).await,
            Provider::Razorpay => self.razorpay()?.let_go(payment).await,
            Provider::Transfer | Provider::Cash | Provider::Gift => Ok(Some(Fact::Cancelled)),
        }
    }

    /// Asks for a refund. That the provider refuses it is an answer, too: it failed.
    ///
    /// # Errors
    /// `provider_unavailable`; `internal` for an answer that cannot be understood.
    pub async fn refund(&self, payment: &Payment, intent: &Intent, refund: &Refund) -> Result<Option<Fact>> {
        match payment.provider {
            Provider::Stripe => self.stripe()?.refund(payment, &intent.id, refund).await,
            Provider::Razorpay => self.razorpay()?.refund(payment, refund).await,
            // People pay it back, and say so; what a card has paid went back to it before.
            Provider::Transfer | Provider::Cash | Provider::Gift => Ok(None),
        }
    }

    /// What a provider says happened from an instant to before another.
    ///
    /// # Errors
    /// `provider_unavailable`; `busy` for too much at once.
    pub async fn reports(
        &self,
        provider: Provider,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Report>> {
        Ok(match provider {
            Provider::Stripe => {
                self.stripe()?.reports(from, until).await?.into_iter().map(Report::Stripe).collect()
            }
            Provider::Razorpay => {
                self.razorpay()?.reports(from, until).await?.into_iter().map(Report::Razorpay).collect()
            }
            Provider::Transfer | Provider::Cash | Provider::Gift => Vec::new(),
        })
    }

    /// What is true of a payment at its provider now.
    ///
    /// # Errors
    /// `provider_unavailable`; `internal` when the provider refuses the call.
    pub async fn look(&self, payment: &Payment) -> Result<Option<Fact>> {
        match (payment.provider, &payment.intent, &payment.charge) {
            (Provider::Stripe, Some(intent), _) => self.stripe()?.look(&intent.id).await,
            (Provider::Razorpay, _, Some(charge)) => self.razorpay()?.look(charge).await,
            (
                Provider::Stripe | Provider::Razorpay | Provider::Transfer | Provider::Cash | Provider::Gift,
                _,
                _,
            ) => Ok(None),
        }
    }

    /// What is true of a refund at its payment's provider now, by the provider's name for it.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn look_at_refund(&self, payment: &Payment, name: &str) -> Result<Option<Fact>> {
        match payment.provider {
            Provider::Stripe => self.stripe()?.look_at_refund(name).await,
            Provider::Razorpay => self.razorpay()?.look_at_refund(name).await,
            Provider::Transfer | Provider::Cash | Provider::Gift => Ok(None),
        }
    }

    /// What a client needs to pay.
    #[must_use]
    pub fn how_to_pay(&self, payment: &Payment, intent: &Intent, return_url: Option<&str>) -> HowToPay {
        match payment.provider {
            Provider::Stripe => HowToPay {
                client_secret: intent.client_secret.clone(),
                pay_url: self.stripe.as_ref().and_then(|stripe| stripe.pay_url(intent, return_url)),
                ..HowToPay::default()
            },
            Provider::Razorpay => HowToPay {
                razorpay_order_id: Some(intent.id.clone()),
                razorpay_key_id: self.razorpay.as_ref().map(|razorpay| razorpay.key_id().to_owned()),
                pay_url: self.razorpay.as_ref().and_then(|razorpay| razorpay.pay_url(intent, return_url)),
                ..HowToPay::default()
            },
            Provider::Transfer | Provider::Cash | Provider::Gift => HowToPay::default(),
        }
    }
}
