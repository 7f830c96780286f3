//! Products from a store's stock, perhaps delivered in a window: held like anything else.

use crate::basket::Ask;
use crate::deal::Sale;
use crate::hold::{Held, Who, promised};
use futures_util::future::try_join;
use jiff::Timestamp;
use std::collections::BTreeMap;
use tessera::app::App;
use tessera::booking::store::hold;
use tessera::booking::want::Want;
use tessera::booking::{Item, Line, Slot, Subject};
use tessera::error::{Code, Refusal, Result};
use tessera::id::{ProductId, StoreId};
use tessera::pool::{Pool, first_end};
use tessera::price::Charge;
use tessera::price::coupon::CouponCode;
use tessera::retail::store::{goods, store};
use tessera::retail::{ProductTerms, Store};

/// Products that are wanted of one store.
pub struct Wanted {
    store: StoreId,
    /// The beginning of the window in which they are to come; without one they are fetched.
    delivery: Option<Timestamp>,
    /// Each product once, with its first line.
    products: BTreeMap<ProductId, (usize, u32)>,
}

/// The products that a basket is of, if it is of products. Lines of one product add up.
///
/// # Errors
/// `invalid_input` for a basket of products and other things, or of no store.
pub fn wanted(lines: &[Ask], store: Option<StoreId>, delivery: Option<Timestamp>) -> Result<Option<Wanted>> {
    if lines.iter().all(|line| line.product.is_none()) && store.is_none() && delivery.is_none() {
        return Ok(None);
    }
    let store =
        store.ok_or_else(|| Refusal::invalid("/store", "must say which store the products are of"))?;
    let mut products: BTreeMap<ProductId, (usize, u32)> = BTreeMap::new();
    for (place, line) in lines.iter().enumerate() {
        let fault = |detail: &str| Refusal::invalid(format!("/lines/{place}"), detail);
        let (product, quantity) =
            line.product().ok_or_else(|| fault("must say product and quantity, and nothing else"))?;
        if !(1..=40).contains(&quantity) {
            return Err(fault("must be of 1 to 40 units"));
        }
        products.entry(product).or_insert((place, 0)).1 += quantity;
    }
    Ok(Some(Wanted { store, delivery, products }))
}

/// Holds these products, and room in the window.
///
/// # Errors
/// `not_found` if the store is closed; `invalid_input` for what it does not sell, or windows it does not have;
/// `limit_reached`; `sold_out`; `slot_taken` if the window is full; the store's own.
pub async fn take(app: &App, who: &Who<'_>, wanted: &Wanted, coupons: &[CouponCode]) -> Result<Held> {
    let now = app.clock.now();
    let Wanted { store: id, delivery, products } = wanted;
    let ids = products.keys().copied().collect();
    let (store, mut known) = try_join(store(&app.db, *id), goods(&app.db, *id, &ids)).await?;
    let store = store.value;
    if !store.open {
        return Code::NotFound.refuse();
    }
    let window = delivery.map(|starts| store.details.window(*id, starts, now).map(|window| (starts, window)));
    let window = window.transpose()?;
    let slot = window.map(|(starts, (_, ends))| Slot { starts, ends });
    // Limits refuse more cheaply than units are given back: the window comes first.
    let mut wants: Vec<(Pool, Want)> =
        window.into_iter().map(|(_, (pool, _))| (pool, Want::Places(1))).collect();
    let mut lines: Vec<(usize, Charge)> = Vec::new();
    for (product, (place, quantity)) in products {
        let absent = || Refusal::invalid(format!("/lines/{place}/product"), "is not sold in this store");
        let (product, shelf) = known.remove(product).ok_or_else(absent)?;
        match shelf.may_sell(&product.terms, *quantity) {
            Err(refusal) if refusal.code == Code::NotFound => return Err(absent()),
            sold => sold?,
        }
        let unit = shelf.price(&product.terms);
        wants.push((shelf.pool(), Want::Places(*quantity)));
        let plain = Line::new(Item::Product(product.id), product.terms.name.to_string(), *quantity, unit)?;
        let ProductTerms { tax_code, refund, .. } = product.terms;
        lines.push((*place, Charge { line: Line { slot, refund, ..plain }, tax_code }));
    }
    lines.sort_by_key(|(place, _)| *place);
    let charges = lines.into_iter().map(|(_, charge)| charge).collect();
    let Store { organisation, details, .. } = store;
    let sale = Sale { organisation, subject: Subject::Store(*id), place: details.tax_place };
    let deal = sale.price(app, who, charges, coupons, now).await?;
    let held = hold(app, &who.wish(&wants), now).await;
    let claims = deal.and(app, who, held, now).await?;
    let expires = first_end(&claims, who.until);
    promised(app, who.buyer, who.holder, &sale, deal, claims, expires)
}
