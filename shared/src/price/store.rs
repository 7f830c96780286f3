//! How price rules and coupons are kept.
//!
//! | item | pk | sk |
//! |---|---|---|
//! | price rules | organisation id | `pricing` |
//! | coupon, batch of coupons | `coupons#` organisation | code |

use super::Pricing;
use super::coupon::{Coupon, CouponCode, Named, look_under, named};
use crate::db::{Db, Item, Key, Stored, Table};
use crate::error::{Code, Result};
use crate::id::OrganisationId;
use std::collections::BTreeSet;

impl Item for Pricing {
    const TABLE: Table = Table::Catalogue;
    fn key(&self) -> Key {
        Key::new(self.organisation, "pricing")
    }
}

impl Item for Coupon {
    const TABLE: Table = Table::Catalogue;
    fn key(&self) -> Key {
        coupon_key(self.organisation, &self.code)
    }
}

/// The partition of an organisation's coupons.
#[must_use]
pub fn coupons_of(organisation: OrganisationId) -> String {
    format!("coupons#{organisation}")
}

fn coupon_key(organisation: OrganisationId, code: &CouponCode) -> Key {
    Key::new(coupons_of(organisation), code)
}

/// An organisation's price rules, if it has written any.
///
/// # Errors
/// As [`Db::get`].
pub async fn pricing(db: &Db, organisation: OrganisationId) -> Result<Option<Stored<Pricing>>> {
    db.get(&Key::new(organisation, "pricing")).await
}

/// A coupon, or a batch of them, by its own code.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn coupon(db: &Db, organisation: OrganisationId, code: &CouponCode) -> Result<Stored<Coupon>> {
    db.get(&coupon_key(organisation, code)).await?.ok_or_else(|| Code::NotFound.into())
}

/// What these codes name, in one read.
///
/// # Errors
/// As [`Db::get_many`].
pub async fn coupons(
    db: &Db,
    organisation: OrganisationId,
    codes: &[CouponCode],
) -> Result<Vec<(CouponCode, Option<Named>)>> {
    let under: BTreeSet<CouponCode> = codes.iter().flat_map(look_under).collect();
    let keys: Vec<Key> = under.iter().map(|code| coupon_key(organisation, code)).collect();
    let found = db.get_many::<Coupon>(&keys).await?;
    let found: Vec<Coupon> = found.into_iter().map(|coupon| coupon.value).collect();
    Ok(codes.iter().map(|code| (code.clone(), named(code, &found))).collect())
}
