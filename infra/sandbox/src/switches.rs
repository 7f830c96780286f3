//! The ways a payment sandbox can be told to misbehave.

use std::time::Duration;

use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::wire;

/// With which secrets webhooks are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignWith {
    /// The webhook secret.
    #[default]
    Current,
    /// The previous webhook secret alone, as a delivery that was under way when the secret was rolled.
    Previous,
    /// Both, as Stripe signs while a rolled secret has not expired. Razorpay's header has room for one signature, so
    /// there this is the webhook secret alone.
    Both,
    /// A secret nobody knows, as somebody would who forges events.
    Wrong,
}

/// How the sandbox misbehaves; all off at first. Numbers that count are used up. They last as long as the process.
/// As JSON each field has its name here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// So many of the next payments are declined that would not be otherwise.
    pub decline_next: u32,
    /// So many of the next refunds fail right after they were answered as made.
    pub fail_refunds_next: u32,
    /// So many of the next API calls are answered with [`Switches::fail_status`] and do nothing, nor is that answer
    /// kept under an idempotency key.
    pub fail_next: u32,
    /// 400 to 599, 500 unless set.
    pub fail_status: u16,
    /// So many of the next API calls do nothing, and are answered with 504 after [`Switches::hang_ms`].
    pub hang_next: u32,
    /// Up to 600,000; 60,000 unless set.
    pub hang_ms: u64,
    /// So many of the next API calls are carried out, and the connection breaks instead of the answer.
    pub lose_next: u32,
    /// Every API call is carried out, and answered so much later; until then its idempotency key is in use. Up to
    /// 600,000.
    pub api_delay_ms: u64,
    /// What happens from now on is delivered so much later. Up to 600,000.
    pub webhook_delay_ms: u64,
    /// So many of the next things that happen are not delivered before they are asked for one by one, or the process
    /// is started anew.
    pub drop_webhooks_next: u32,
    /// Every delivery is sent so many times more, all at once. Up to 100.
    pub webhook_duplicates: u32,
    /// What happens from now on is delivered with a random delay up to this, hence out of order. Up to 600,000.
    pub webhook_shuffle_ms: u64,
    /// Nothing is delivered but what is asked for one by one; turning it off releases the rest.
    pub hold_webhooks: bool,
    /// The secrets webhooks are signed with.
    pub sign_with: SignWith,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            decline_next: 0,
            fail_refunds_next: 0,
            fail_next: 0,
            fail_status: 500,
            hang_next: 0,
            hang_ms: 60_000,
            lose_next: 0,
            api_delay_ms: 0,
            webhook_delay_ms: 0,
            drop_webhooks_next: 0,
            webhook_duplicates: 0,
            webhook_shuffle_ms: 0,
            hold_webhooks: false,
            sign_with: SignWith::Current,
        }
    }
}

/// The longest delay, in milliseconds.
const LONGEST_MS: u64 = 600_000;

/// What befalls an API call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Fail(u16),
    Hang(u64),
    Lose,
    Delay(u64),
}

impl Switches {
    /// Refuses what is out of bounds, in a sentence.
    pub(crate) fn check(&self) -> Result<(), String> {
        let delays = [self.hang_ms, self.api_delay_ms, self.webhook_delay_ms, self.webhook_shuffle_ms];
        if delays.iter().any(|ms| *ms > LONGEST_MS) {
            return Err(format!("Delays are up to {LONGEST_MS} ms."));
        }
        if !(400..=599).contains(&self.fail_status) {
            return Err("fail_status is from 400 to 599.".into());
        }
        if self.webhook_duplicates > 100 {
            return Err("webhook_duplicates is up to 100.".into());
        }
        Ok(())
    }

    /// What befalls the next API call, used up by asking.
    pub(crate) fn take_fault(&mut self) -> Option<Fault> {
        if use_up(&mut self.fail_next) {
            return Some(Fault::Fail(self.fail_status));
        }
        if use_up(&mut self.hang_next) {
            return Some(Fault::Hang(self.hang_ms));
        }
        if use_up(&mut self.lose_next) {
            return Some(Fault::Lose);
        }
        (self.api_delay_ms > 0).then_some(Fault::Delay(self.api_delay_ms))
    }

    pub(crate) fn take_decline(&mut self) -> bool {
        use_up(&mut self.decline_next)
    }

    pub(crate) fn take_refund_failure(&mut self) -> bool {
        use_up(&mut self.fail_refunds_next)
    }

    pub(crate) fn take_drop(&mut self) -> bool {
        use_up(&mut self.drop_webhooks_next)
    }
}

impl Fault {
    /// The status of a call that is answered without being carried out.
    pub(crate) async fn before(self) -> Option<u16> {
        match self {
            Self::Fail(status) => Some(status),
            Self::Hang(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Some(504)
            }
            Self::Lose | Self::Delay(_) => None,
        }
    }

    /// What becomes of the answer to a call that was carried out.
    pub(crate) async fn after(self, answer: Response) -> Response {
        match self {
            Self::Delay(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Self::Lose => return wire::lost(&answer),
            Self::Fail(_) | Self::Hang(_) => {}
        }
        answer
    }
}

fn use_up(counter: &mut u32) -> bool {
    let left = counter.checked_sub(1);
    *counter = left.unwrap_or(0);
    left.is_some()
}
