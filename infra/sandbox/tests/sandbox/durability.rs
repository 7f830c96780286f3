//! What a process that is killed leaves behind.

use std::path::Path;

use reqwest::Method;
use tessera_sandbox::Storage;
use tessera_sandbox::mail::Mail;

use crate::world::{World, text};

/// The files of a store as they are now: what `kill -9` leaves, for nothing is closed first.
pub(crate) fn as_killed(folder: &Path, name: &str) -> Storage {
    let copy = folder.join(format!("after-{name}"));
    std::fs::copy(folder.join(name), &copy).unwrap();
    std::fs::copy(folder.join(format!("{name}-wal")), folder.join(format!("after-{name}-wal"))).unwrap();
    Storage::File(copy)
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let before = World::with(&Storage::File(folder.path().join("stripe.db")), |options| {
        options.webhook_url = None;
    })
    .await;
    let key = [("idempotency-key", "one")];
    let form = [("amount", "700"), ("currency", "eur"), ("payment_method_types[]", "card")];
    let made = before.call(Method::POST, "payment_intents", &key, &form).await;
    let id = before.paid().await;
    let refund = before.post("refunds", &[("payment_intent", &id), ("amount", "50")]).await.ok();

    let mut after = World::with(&as_killed(folder.path(), "stripe.db"), |_| {}).await;
    let again = after.call(Method::POST, "payment_intents", &key, &form).await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), (Some("true"), &made.body));
    assert_eq!(after.stripe.payment(&id).unwrap(), before.stripe.payment(&id).unwrap());
    let found = after.get(&format!("refunds/{}", text(&refund["id"])), &[]).await.ok();
    assert_eq!(found, refund);

    // And the events that nobody had taken are delivered.
    let mut undelivered: Vec<_> =
        before.stripe.events(None, 0, 100).unwrap().into_iter().map(|event| event.id).collect();
    let arrived = after.hook.next_many(undelivered.len()).await;
    let mut arrived: Vec<_> = arrived.iter().map(|one| one.id()).collect();
    undelivered.sort();
    arrived.sort();
    assert_eq!(arrived, undelivered);
}

#[tokio::test]
async fn a_store_is_free_again_once_its_sandbox_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::File(folder.path().join("stripe.db"));
    let clock: tessera_sandbox::Clock = std::sync::Arc::new(|| 0);
    let options = tessera_sandbox::stripe::StripeOptions::new("sk", "whsec", "http://localhost", clock);
    let first = tessera_sandbox::stripe::Stripe::open(&storage, options.clone()).unwrap();
    assert_eq!(tessera_sandbox::stripe::Stripe::open(&storage, options.clone()).err().unwrap().status, 500);
    drop(first);
    tessera_sandbox::stripe::Stripe::open(&storage, options).unwrap();
}

#[tokio::test]
async fn mail_that_was_taken_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::File(folder.path().join("mail.db"));
    let clock: tessera_sandbox::Clock = std::sync::Arc::new(|| 0);
    let mail = Mail::open(&storage, clock.clone()).unwrap();
    let url = crate::world::serve(tessera_sandbox::mail::router(mail.clone())).await;
    let id = crate::mail::send_simple(&url, "ada@example.com", "Hello").await;
    let after = Mail::open(&as_killed(folder.path(), "mail.db"), clock).unwrap();
    assert_eq!(after.get(&id).unwrap(), mail.get(&id).unwrap());
    assert_eq!(after.count(Some("ada@example.com")).unwrap(), 1);
}
