//! How stores, products and shelves are kept.
//!
//! | item | table | pk | sk | g1 | g2 |
//! |---|---|---|---|---|---|
//! | store | catalogue | store id | `-` | `stores#` city, by name, while open | `stores#` organisation, by creation |
//! | product | catalogue | product id | `-` | `products#` organisation, by creation | |
//! | shelf | catalogue | store id | product id | product id, by store | |
//! | lane of stock | pool | `stock:` pool id `#` partition | lane number | | |
//! | delivery window | pool | store id `@` beginning `#` partition | lane number | | |

use super::{Product, Shelf, Store};
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Stored, Table};
use crate::error::{Code, Result};
use crate::id::{ProductId, StoreId};
use futures_util::future::try_join;
use std::collections::{BTreeSet, HashMap};

impl Item for Store {
    const TABLE: Table = Table::Catalogue;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn first(&self) -> Option<(String, String)> {
        let name = self.details.name.as_str().to_lowercase();
        self.open.then(|| (city(self.details.city.as_str()), format!("{name}#{}", self.id)))
    }
    fn second(&self) -> Option<(String, String)> {
        Some((format!("stores#{}", self.organisation), format!("{}#{}", sortable(self.created), self.id)))
    }
}

impl Item for Product {
    const TABLE: Table = Table::Catalogue;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn first(&self) -> Option<(String, String)> {
        Some((format!("products#{}", self.organisation), format!("{}#{}", sortable(self.created), self.id)))
    }
}

impl Item for Shelf {
    const TABLE: Table = Table::Catalogue;
    fn key(&self) -> Key {
        Key::new(self.store, self.product)
    }
    fn first(&self) -> Option<(String, String)> {
        Some((self.product.to_string(), self.store.to_string()))
    }
}

/// The partition that lists a city's stores.
#[must_use]
pub fn city(name: &str) -> String {
    format!("stores#{}", name.trim().to_lowercase())
}

/// A store.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn store(db: &Db, id: StoreId) -> Result<Stored<Store>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}

/// A product.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn product(db: &Db, id: ProductId) -> Result<Stored<Product>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}

/// A shelf, if the store has ever had one for the product.
///
/// # Errors
/// As [`Db::get`].
pub async fn shelf(db: &Db, store: StoreId, product: ProductId) -> Result<Option<Stored<Shelf>>> {
    db.get(&Key::new(store, product)).await
}

/// Those of these products that there are, strongly consistent.
///
/// # Errors
/// As [`Db::get_many`].
pub async fn products(db: &Db, ids: &BTreeSet<ProductId>) -> Result<HashMap<ProductId, Product>> {
    let keys: Vec<Key> = ids.iter().map(|product| Key::new(product, "-")).collect();
    let found = db.get_many::<Product>(&keys).await?;
    Ok(found.into_iter().map(|product| (product.value.id, product.value)).collect())
}

/// These products, with the store's shelves for them; those that it has no shelf for are left out. Two reads at once,
/// strongly consistent.
///
/// # Errors
/// As [`Db::get_many`].
pub async fn goods(
    db: &Db,
    store: StoreId,
    ids: &BTreeSet<ProductId>,
) -> Result<HashMap<ProductId, (Product, Shelf)>> {
    let keys: Vec<Key> = ids.iter().map(|product| Key::new(store, product)).collect();
    let (shelves, mut products) = try_join(db.get_many::<Shelf>(&keys), products(db, ids)).await?;
    let good = |shelf: Stored<Shelf>| {
        let product = products.remove(&shelf.value.product)?;
        Some((product.id, (product, shelf.value)))
    };
    Ok(shelves.into_iter().filter_map(good).collect())
}
