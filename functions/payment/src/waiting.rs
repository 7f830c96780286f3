//! What a provider could not be asked for waits, noted with its payment, and is tried again when the provider is asked again: however
//! long that takes, nothing ends among the dead letters for it.

use crate::providers::Providers;
use crate::worker::{ask, credit, settle};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::time::Duration;
use tessera::app::App;
use tessera::error::{Code, Result};
use tessera::id::{OrderId, PaymentId};
use tessera::payment::circuit::Admission;
use tessera::payment::refund::RefundState;
use tessera::payment::{Payment, store};

/// Since when something may wait before somebody must look: by then, Razorpay lets go of what is not captured.
const TOO_LONG: SignedDuration = SignedDuration::from_hours(24);
/// A run has 25 seconds; the next one goes on.
const ENOUGH: Duration = Duration::from_secs(12);

/// Notes that it waits, if what was done about a payment did not get through to its provider.
///
/// # Errors
/// Whatever else went wrong; the store's own.
pub(crate) async fn or_wait(app: &App, payment: PaymentId, since: Timestamp, done: Result<()>) -> Result<()> {
    match done {
        Err(refusal) if refusal.code == Code::ProviderUnavailable => {
            tracing::warn!(%payment, %since, %refusal, "waits for its provider");
            let payment = store::payment(&app.db, payment).await?;
            let rule = |payment: &Payment| Ok(payment.wait(since));
            app.db.change(payment, app.clock.now(), rule).await.map(drop)
        }
        done => done,
    }
}

/// Tries once more what has waited.
///
/// # Errors
/// As [`credit`], [`settle`] and [`ask`].
pub(crate) async fn resumed(
    app: &App,
    providers: &Providers,
    payment: PaymentId,
    order: OrderId,
    since: Timestamp,
) -> Result<()> {
    credit(app, providers, payment, since).await?;
    settle(app, providers, order, since).await?;
    for refund in store::payment(&app.db, payment).await?.value.refunds {
        match refund.state {
            RefundState::Due { attempt } => ask(app, providers, payment, refund.id, attempt, since).await?,
            RefundState::Pending { .. } | RefundState::Done { .. } | RefundState::Failed { .. } => {}
        }
    }
    Ok(())
}

/// Lets what waits be tried again: all of it where the provider is asked; one where it is to be seen whether it answers; nothing where
/// it is not asked. Makes no call itself.
///
/// # Errors
/// The store's own; `internal` for what has waited too long: somebody must look.
pub(crate) async fn resume(app: &App, providers: &Providers) -> Result<()> {
    let (begun, now, mut stuck) = (tokio::time::Instant::now(), app.clock.now(), 0);
    let mut room: HashMap<&str, usize> = HashMap::new();
    for provider in providers.offered() {
        let most = match providers.circuit(provider).await?.admit(now) {
            Admission::Call => usize::MAX,
            Admission::Probe(_) => 1,
            Admission::Wait { .. } => 0,
        };
        room.insert(provider.word(), most);
    }
    for shard in 0..store::SHARDS {
        for listed in app.db.list_all::<Payment>(&store::owing_in(shard)).await? {
            let Payment { id, provider, waits: Some(since), .. } = listed.value else { continue };
            if now.duration_since(since) > TOO_LONG {
                tracing::error!(payment = %id, provider = provider.word(), %since, "has waited too long for its provider");
                stuck += 1;
            }
            let Some(left) = room.get_mut(provider.word()).filter(|left| **left > 0) else { continue };
            if begun.elapsed() < ENOUGH {
                *left -= 1;
                let payment = store::payment(&app.db, id).await?;
                app.db.change(payment, now, |payment| Ok(payment.resume())).await?;
            }
        }
    }
    match stuck {
        0 => Ok(()),
        _ => Err(Code::Internal.caused_by(format!("{stuck} payments have waited too long"))),
    }
}
