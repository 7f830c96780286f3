//! Pages of a list: an opaque signed cursor, a limit, and whether there is more.

use crate::app::App;
use crate::clock::{NOT_NEAR, is_near};
use crate::db::{Item, Position, Query};
use crate::error::{Refusal, Result};
use crate::sign::{Purpose, Sealer};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Where and how much, from the query string.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// At most so many items, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A page.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether another page follows.
    pub has_more: bool,
    /// Send it as `cursor` to read on; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same page of something made from its items.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        let Self { items, has_more, next_cursor } = self;
        Page { items: items.into_iter().map(make).collect(), has_more, next_cursor }
    }
}

impl Paging {
    /// The limit within its bounds.
    ///
    /// # Errors
    /// `invalid_input` naming `limit`.
    fn limit(&self) -> Result<u16> {
        match self.limit.unwrap_or(20) {
            limit @ 1..=100 => Ok(limit),
            _ => Err(Refusal::invalid("limit", "must be between 1 and 100")),
        }
    }

    /// Where the page before ended. A cursor is bound to its list: one list's cursor does not open another's.
    ///
    /// # Errors
    /// `invalid_input` naming `cursor`.
    fn after(&self, sealer: &Sealer, list: &str) -> Result<Option<Position>> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        match sealer.open::<(String, Position)>(Purpose::Cursor, cursor) {
            Some((from, position)) if from == list => Ok(Some(position)),
            _ => Err(Refusal::invalid("cursor", "is not a cursor of this list")),
        }
    }
}

/// Which time, and how much of it, from the query string.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// From this instant.
    #[param(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Until before this instant; a year later at most.
    #[param(value_type = String, format = DateTime)]
    until: Timestamp,
    /// At most so many items, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl Period {
    /// From when, until when, and which page of that.
    ///
    /// # Errors
    /// As [`within`].
    pub fn checked(self) -> Result<(Timestamp, Timestamp, Paging)> {
        let Self { from, until, limit, cursor } = self;
        within(from, until, YEAR)?;
        Ok((from, until, Paging { limit, cursor }))
    }
}

/// Days of a year, at most.
pub const YEAR: i64 = 366;

/// Whether a period is one, and not longer than so many days.
///
/// # Errors
/// `invalid_input` naming what is wrong.
pub fn within(from: Timestamp, until: Timestamp, days: i64) -> Result<()> {
    if let Some((name, _)) = [("from", from), ("until", until)].iter().find(|(_, at)| !is_near(*at)) {
        return Err(Refusal::invalid(*name, NOT_NEAR));
    }
    match until > from && until <= from + SignedDuration::from_hours(24 * days) {
        true => Ok(()),
        false => Err(Refusal::invalid("until", format!("must be after from, by {days} days at most"))),
    }
}

impl App {
    /// One page of a listing, each item shown by `view` (what it does not show is left out). `list` names the list: its
    /// cursors open no other.
    ///
    /// # Errors
    /// `invalid_input` naming `limit` or `cursor`; what `view` refuses; the store's own.
    pub async fn page<T: Item, V>(
        &self,
        list: &str,
        query: Query,
        paging: &Paging,
        view: impl Fn(&T) -> Result<Option<V>>,
    ) -> Result<Page<V>> {
        let query = query.limit(paging.limit()?);
        let (items, next) = self.db.list::<T>(&query, paging.after(&self.sealer, list)?).await?;
        let views = items.iter().filter_map(|item| view(&item.value).transpose()).collect::<Result<_>>()?;
        Page::new(views, next.as_ref(), &self.sealer, list)
    }
}

impl<T> Page<T> {
    /// A page of `items` that ended at `next`.
    ///
    /// # Errors
    /// `internal` if the cursor cannot be written.
    fn new(items: Vec<T>, next: Option<&Position>, sealer: &Sealer, list: &str) -> Result<Self> {
        let next_cursor = next
            .map(|position| sealer.seal(Purpose::Cursor, &(list, position)))
            .transpose()
            .map_err(|error| crate::error::Code::Internal.caused_by(error))?;
        Ok(Self { items, has_more: next_cursor.is_some(), next_cursor })
    }
}
