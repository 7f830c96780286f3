//! What a basket costs, with the coupons that its buyer named. Their uses are taken before anything else is: a coupon whose uses are
//! gone is left out, and its buyer is told, instead of being refused the whole basket.
//!
//! A use that was taken before it turned out that it is not needed (another limit of the same coupon was reached) stays taken until
//! the hold's time is over: giving it back at once could take it from a second try of the same request.

use crate::hold::Who;
use jiff::Timestamp;
use tessera::app::App;
use tessera::booking::Subject;
use tessera::booking::store::{give_up, take_use};
use tessera::error::{Refusal, Result};
use tessera::id::OrganisationId;
use tessera::pool::{Claim, Pool, Quota};
use tessera::price::coupon::{CouponCode, MAX_NAMED, Named, Verdict, Why, apply};
use tessera::price::{Bill, Charge, Discount, Place, bill, store};

/// Who sells, what it is of, and where it is taxed if not at their home.
pub struct Sale {
    /// Who sells.
    pub organisation: OrganisationId,
    /// What it is of.
    pub subject: Subject,
    /// Where it is taxed.
    pub place: Option<Place>,
}

/// A price, and what was taken for it.
pub struct Deal {
    /// The price.
    pub bill: Bill,
    /// What became of each code.
    pub coupons: Vec<Verdict>,
    /// Uses of coupons.
    pub claims: Vec<Claim>,
    /// What they were taken from.
    pub limits: Vec<Pool>,
}

impl Sale {
    /// The price without coupons.
    ///
    /// # Errors
    /// As [`bill`]; the store's own.
    pub async fn plainly(&self, app: &App, charges: Vec<Charge>) -> Result<Deal> {
        let rules = app.price_rules(self.organisation).await?;
        let bill = bill(charges, Vec::new(), &rules, self.place.as_ref())?;
        Ok(Deal { bill, coupons: Vec::new(), claims: Vec::new(), limits: Vec::new() })
    }

    /// The price for this buyer, who named these codes.
    ///
    /// # Errors
    /// `invalid_input` for too many codes; `hold_gone` for an Idempotency-Key that was used; as [`bill`]; the store's own.
    pub async fn price(
        &self,
        app: &App,
        who: &Who<'_>,
        charges: Vec<Charge>,
        codes: &[CouponCode],
        now: Timestamp,
    ) -> Result<Deal> {
        if codes.is_empty() {
            return self.plainly(app, charges).await;
        }
        if codes.len() > MAX_NAMED {
            return Err(Refusal::invalid("/coupons", "must be at most 5"));
        }
        let coupons = store::coupons(&app.db, self.organisation, codes).await?;
        let (mut spent, mut claims, mut limits) = (Vec::new(), Vec::<Claim>::new(), Vec::<Pool>::new());
        // Without one, another that did not go with it may be of use: at most one round for each, and a last one.
        loop {
            let mut charges = charges.clone();
            let (discounts, verdicts) = self.discounts(&mut charges, who, &coupons, &spent, now);
            let before = spent.len();
            for discount in &discounts {
                for limit in discount.limits(who.tag) {
                    if limits.contains(&limit) {
                        continue;
                    }
                    match take_use(app, &who.wish(&[]), &limit, now).await? {
                        Some(taken) => {
                            claims.extend(taken);
                            limits.push(limit);
                        }
                        None => {
                            spent.push((discount.coupon, used(&limit)));
                            break;
                        }
                    }
                }
            }
            if spent.len() == before {
                let rules = app.price_rules(self.organisation).await?;
                // What was taken for a coupon that is left out now is not part of the promise.
                let needed: Vec<Pool> =
                    discounts.iter().flat_map(|discount| discount.limits(who.tag)).collect();
                claims.retain(|claim| needed.iter().any(|limit| claim.is_of(limit)));
                let bill = bill(charges, discounts, &rules, self.place.as_ref())?;
                return Ok(Deal { bill, coupons: verdicts, claims, limits });
            }
        }
    }

    fn discounts(
        &self,
        charges: &mut [Charge],
        who: &Who<'_>,
        coupons: &[(CouponCode, Option<Named>)],
        spent: &[(tessera::id::CouponId, Why)],
        now: Timestamp,
    ) -> (Vec<Discount>, Vec<Verdict>) {
        apply(charges, self.subject, who.buyer.0, coupons, spent, now)
    }
}

impl Deal {
    /// The uses of coupons and what was held besides; or, if that is not to be had, the refusal, and the uses go back. What may be
    /// repeated finds them still taken.
    ///
    /// # Errors
    /// The refusal; the store's own.
    pub async fn and(
        &self,
        app: &App,
        who: &Who<'_>,
        held: Result<Vec<Claim>>,
        now: Timestamp,
    ) -> Result<Vec<Claim>> {
        match held {
            Ok(claims) => Ok(self.claims.iter().cloned().chain(claims).collect()),
            Err(refusal) => {
                if !self.claims.is_empty() && !refusal.code.retryable() {
                    give_up(app, who.holder, &self.claims, now).await?;
                }
                Err(refusal)
            }
        }
    }
}

/// How it is said that this limit is reached.
const fn used(limit: &Pool) -> Why {
    match limit {
        Pool::Quota { of: Quota::Coupon { buyer: Some(_), .. }, .. } => Why::UsedByYou,
        _ => Why::UsedUp,
    }
}
