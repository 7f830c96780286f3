//! How services and packages are kept, and which of a service's times are free.
//!
//! | item | table | pk | sk | g1 | g2 |
//! |---|---|---|---|---|---|
//! | service | catalogue | service id | `-` | `services#` city, by name, while open | `services#` organisation, by creation |
//! | package | catalogue | service id | package id | package id | |
//! | half a day of a unit | pool | service id `/` unit `#` twelve days | lane number | | |

use super::{Package, Service, lanes_between};
use crate::app::App;
use crate::clock::sortable;
use crate::db::{Db, Item, Key, Listing, Query, Stored, Table};
use crate::error::{Code, Result};
use crate::id::{PackageId, ServiceId};
use crate::pool::store::read_between;
use crate::pool::{Cells, HoldKey, Lane, Pool};
use futures_util::future::{try_join, try_join_all};
use jiff::{SignedDuration, Timestamp};

impl Item for Service {
    const TABLE: Table = Table::Catalogue;
    fn key(&self) -> Key {
        Key::new(self.id, "-")
    }
    fn first(&self) -> Option<(String, String)> {
        let name = self.details.name.as_str().to_lowercase();
        self.open.then(|| (city(self.details.city.as_str()), format!("{name}#{}", self.id)))
    }
    fn second(&self) -> Option<(String, String)> {
        Some((format!("services#{}", self.organisation), format!("{}#{}", sortable(self.created), self.id)))
    }
}

impl Item for Package {
    const TABLE: Table = Table::Catalogue;
    fn key(&self) -> Key {
        Key::new(self.service, self.id)
    }
    fn first(&self) -> Option<(String, String)> {
        Some((self.id.to_string(), self.service.to_string()))
    }
}

/// The partition that lists a city's services.
#[must_use]
pub fn city(name: &str) -> String {
    format!("services#{}", name.trim().to_lowercase())
}

/// A service.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn service(db: &Db, id: ServiceId) -> Result<Stored<Service>> {
    db.get(&Key::new(id, "-")).await?.ok_or_else(|| Code::NotFound.into())
}

/// A service's packages, in the order they were made.
///
/// # Errors
/// As [`Db::list`].
pub async fn packages(db: &Db, service: ServiceId) -> Result<Vec<Stored<Package>>> {
    let mut found: Vec<Stored<Package>> =
        db.list_all(&Query::of(Listing::Primary, service).starting("pkg_")).await?;
    found.sort_by_key(|package| (package.value.created, package.value.id));
    Ok(found)
}

/// A package of a service.
///
/// # Errors
/// `not_found`; as [`Db::get`].
pub async fn package(db: &Db, service: ServiceId, id: PackageId) -> Result<Stored<Package>> {
    db.get(&Key::new(service, id)).await?.ok_or_else(|| Code::NotFound.into())
}

/// A package by its id alone, with its service.
///
/// # Errors
/// `not_found`; as [`Db::list`].
pub async fn package_of(db: &Db, id: PackageId) -> Result<(Service, Package)> {
    let (found, _) = db.list::<Package>(&Query::of(Listing::First, id).limit(1), None).await?;
    let found = found.into_iter().next().ok_or(Code::NotFound)?.value;
    // The index says where it is; what it says now is in the table.
    let (service, package) = try_join(service(db, found.service), package(db, found.service, id)).await?;
    Ok((service.value, package.value))
}

/// What is taken of each of a service's units between two instants: what would have to be free is compared with it.
#[derive(Clone, Debug, Default)]
pub struct Calendar(Vec<Vec<Lane>>);

impl Calendar {
    /// Reads it, strongly consistent.
    ///
    /// # Errors
    /// The store's own.
    pub async fn read(app: &App, service: &Service, from: Timestamp, until: Timestamp) -> Result<Self> {
        // What begins in the stretch reaches beyond it, with its buffers.
        let (from, until) = (from - SignedDuration::from_hours(4), until + SignedDuration::from_hours(28));
        let lanes = lanes_between(from, until);
        let units = (0..service.details.units).map(|unit| {
            let pool = Pool::Hours { service: service.id, unit };
            let lanes = lanes.clone();
            async move { read_between(&app.db, &pool, lanes).await }
        });
        Ok(Self(try_join_all(units).await?))
    }

    /// The units in which these cells are free.
    pub fn free<'a>(&'a self, cells: &'a [(u32, Cells)], now: Timestamp) -> impl Iterator<Item = u8> + 'a {
        let free = move |lanes: &Vec<Lane>| {
            cells.iter().all(|(number, cells)| {
                let lane = lanes.iter().find(|lane| lane.number == *number);
                lane.is_none_or(|lane| !lane.gone(&[], now).meets(*cells))
            })
        };
        (0u8..).zip(&self.0).filter(move |(_, lanes)| free(lanes)).map(|(unit, _)| unit)
    }

    /// The unit in which this hold has an entry.
    #[must_use]
    pub fn unit_of(&self, holder: HoldKey) -> Option<u8> {
        let has = |lanes: &Vec<Lane>| lanes.iter().any(|lane| lane.entries.contains_key(&holder));
        (0u8..).zip(&self.0).find(|(_, lanes)| has(lanes)).map(|(unit, _)| unit)
    }
}
