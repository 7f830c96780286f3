//! One buyer's way through the sale.

use crate::plan::{Buyer, Conduct};
use crate::provider::{BAD_CARD, Checkout, GOOD_CARD, Paid};
use crate::tally::Action;
use crate::wire::{Call, Wire};
use crate::{DemoError, fresh_key};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, Instant};

/// Where and what buyers buy.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) wire: Wire,
    pub(crate) event: String,
    pub(crate) offer: String,
    pub(crate) publishable_key: String,
    /// What makes this run's addresses its own.
    pub(crate) tag: String,
    pub(crate) speed: f64,
}

/// An order and what its buyer needs for it.
#[derive(Debug, Clone)]
pub(crate) struct Purchase {
    pub(crate) order: String,
    pub(crate) places: u32,
    /// The guest's credential.
    pub(crate) token: String,
    pub(crate) checkout: Option<Checkout>,
    pub(crate) conduct: Conduct,
    /// Whether the provider accepted the payment.
    pub(crate) paid: bool,
}

/// How a way through the sale ended, for now.
#[derive(Debug)]
pub(crate) enum Ending {
    /// No places, also the second time.
    Refused,
    /// Held places and left.
    LeftHold,
    /// Ordered; perhaps paid.
    Ordered(Box<Purchase>),
}

#[derive(Deserialize)]
struct Held {
    expires: Timestamp,
    quote: String,
    guest_token: Option<String>,
}

#[derive(Deserialize)]
struct Placed {
    id: String,
}

#[derive(Deserialize)]
struct Opened {
    client_secret: Option<String>,
}

impl Shop {
    /// From looking at the page to having paid, or wherever this buyer stops.
    ///
    /// # Errors
    /// [`DemoError::Unexpected`] for an answer that no buyer should see; as [`Wire::send`].
    pub(crate) async fn visit(&self, buyer: &Buyer, opened: Instant) -> Result<Ending, DemoError> {
        let rush = buyer.wave == 0;
        let page = Call::get(format!("/v1/events/{}", self.event)).timed(Action::Page);
        let page = self.wire.send(&page).await?;
        if !page.is_success() {
            return Err(page.unexpected());
        }
        let mut places = buyer.places;
        let mut held = self.hold(places).await?;
        if held.is_none() {
            // Once more, a second later, for fewer: a place may have come back.
            tokio::time::sleep(Duration::from_secs_f64(1.0 / self.speed)).await;
            places = places.div_ceil(2);
            held = self.hold(places).await?;
        }
        let Some(Held { expires, quote, guest_token }) = held else {
            self.wire.tally.refused.add(1);
            return Ok(Ending::Refused);
        };
        self.wire.tally.held(rush.then(|| opened.elapsed()), places, expires.as_second());
        let token = guest_token.ok_or_else(|| missing("POST /v1/holds", "a guest got no credential"))?;
        tokio::time::sleep(buyer.thinks).await;
        if buyer.conduct == Conduct::LeavesHold {
            self.wire.tally.abandoned.add(places);
            return Ok(Ending::LeftHold);
        }

        let email = format!("buyer.{}.{}.{}@example.org", buyer.wave, buyer.number, self.tag);
        let place = json!({"quote": quote, "contact": {"name": buyer.name, "email": email}});
        let place = Call::post("/v1/orders").bearer(token.as_str()).json(&place).timed(Action::Order);
        let Placed { id: order } = self.wire.send(&place).await?.value()?;
        let mut purchase =
            Purchase { order, places, token, checkout: None, conduct: buyer.conduct, paid: false };
        if buyer.conduct == Conduct::LeavesOrder {
            self.wire.tally.abandoned.add(places);
            return Ok(Ending::Ordered(Box::new(purchase)));
        }

        let open = Call::post(format!("/v1/orders/{}/payments", purchase.order)).bearer(&*purchase.token);
        let open = open.json(&json!({"provider": "stripe"})).timed(Action::Payment);
        let Opened { client_secret } = self.wire.send(&open).await?.value()?;
        purchase.checkout = client_secret.and_then(Checkout::new);
        tokio::time::sleep(buyer.thinks).await;
        if buyer.conduct != Conduct::PaysLate {
            self.pay(&mut purchase, rush.then_some(opened)).await?;
        }
        Ok(Ending::Ordered(Box::new(purchase)))
    }

    /// Places, or `None` if they are sold out. Every try is a guest of its own: a key dies with its hold.
    async fn hold(&self, places: u32) -> Result<Option<Held>, DemoError> {
        let call = Call::post("/v1/holds").key(fresh_key()?).timed(Action::Hold);
        let call = call.json(&json!({"lines": [{"offer": self.offer, "quantity": places}]}));
        let answer = self.wire.send(&call).await?;
        if answer.status == 409 && answer.is("sold_out") {
            self.wire.tally.refusals.add(1);
            return Ok(None);
        }
        answer.value().map(Some)
    }

    /// Pays as this buyer pays. `opened` is when the rush began, if this is part of it.
    ///
    /// # Errors
    /// As [`Checkout::pay`].
    pub(crate) async fn pay(
        &self,
        purchase: &mut Purchase,
        opened: Option<Instant>,
    ) -> Result<(), DemoError> {
        let checkout = purchase.checkout.as_ref();
        let checkout =
            checkout.ok_or_else(|| missing("POST /v1/orders/{id}/payments", "no client_secret"))?;
        let pay = async |card| checkout.pay(&self.wire, &self.publishable_key, card).await;
        let paid = match purchase.conduct {
            Conduct::DeclinedFirst => match pay(BAD_CARD).await? {
                Paid::Declined => {
                    self.wire.tally.declined.add(1);
                    pay(GOOD_CARD).await?
                }
                other => other,
            },
            Conduct::PaysTwice => {
                let (first, second) = tokio::join!(pay(GOOD_CARD), pay(GOOD_CARD));
                match (first?, second?) {
                    (Paid::Accepted, _) | (_, Paid::Accepted) => Paid::Accepted,
                    (first, _) => first,
                }
            }
            Conduct::Pays | Conduct::PaysLate | Conduct::LeavesHold | Conduct::LeavesOrder => {
                pay(GOOD_CARD).await?
            }
        };
        match paid {
            Paid::Accepted => {
                purchase.paid = true;
                self.wire.tally.paid(opened.map(|opened| opened.elapsed()), purchase.places);
                Ok(())
            }
            // A late payer may find the payment let go: nothing is paid, nothing is owed.
            Paid::LetGo if purchase.conduct == Conduct::PaysLate => Ok(()),
            Paid::Declined | Paid::LetGo => {
                Err(missing("POST …/confirm", &format!("{}: a good card was not taken", purchase.order)))
            }
        }
    }
}

fn missing(what: &str, why: &str) -> DemoError {
    DemoError::Unexpected { what: what.to_owned(), status: 200, why: why.to_owned() }
}
