//! The providers of this deployment: one way to ask any of them.

use crate::razorpay::Razorpay;
use crate::stripe::Stripe;
use serde::Serialize;
use tessera::config::{Config, ConfigError};
use tessera::error::{Code, Refusal, Result};
use tessera::payment::refund::Refund;
use tessera::payment::{Fact, Intent, Payment, Provider};

/// Those that this deployment has an account with.
pub struct Providers {
    stripe: Option<Stripe>,
    razorpay: Option<Razorpay>,
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
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self { stripe: Stripe::new(config)?, razorpay: Razorpay::new(config)? })
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

    /// Those with which a payment can be opened.
    pub fn offered(&self) -> impl Iterator<Item = Provider> {
        Provider::ALL.iter().copied().filter(|provider| match provider {
            Provider::Stripe => self.stripe.is_some(),
            Provider::Razorpay => self.razorpay.is_some(),
        })
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
        }
    }

    /// Takes the money, and answers with what is true at the provider afterwards.
    ///
    /// # Errors
    /// `provider_unavailable`; `internal` when the provider refuses for good.
    pub async fn capture(&self, payment: &Payment, intent: &Intent) -> Result<Option<Fact>> {
        match payment.provider {
            Provider::Stripe => self.stripe()?.capture(payment, &intent.id).await,
            Provider::Razorpay => self.razorpay()?.capture(payment).await,
        }
    }

    /// Lets the money go, as [`Self::capture`] takes it.
    ///
    /// # Errors
    /// As [`Self::capture`].
    pub async fn void(&self, payment: &Payment, intent: &Intent) -> Result<Option<Fact>> {
        match payment.provider {
            Provider::Stripe => self.stripe()?.void(payment, &intent.id).await,
            // There is nothing to ask for: what is not captured goes back by itself.
            Provider::Razorpay => Ok(Some(Fact::Cancelled)),
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
        }
    }
}
