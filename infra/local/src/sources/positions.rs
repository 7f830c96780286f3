//! How far each stream has been read. What was read after the last word of it is read again.

use crate::HomeError;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) struct Positions(Mutex<Connection>);

impl Positions {
    pub(crate) fn open(path: &Path) -> Result<Self, HomeError> {
        let open = || {
            let connection = Connection::open(path)?;
            connection.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
                 CREATE TABLE IF NOT EXISTS positions (source TEXT PRIMARY KEY, sequence INTEGER NOT NULL)",
            )?;
            Ok::<_, rusqlite::Error>(connection)
        };
        open()
            .map(|connection| Self(Mutex::new(connection)))
            .map_err(HomeError::store(path.display().to_string()))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, source: &str) -> Result<Option<i64>, HomeError> {
        let query = "SELECT sequence FROM positions WHERE source = ?1";
        let found = self.connection().query_row(query, params![source], |row| row.get(0)).optional();
        found.map_err(HomeError::store("reading a stream's position"))
    }

    pub(crate) fn put(&self, source: &str, sequence: i64) -> Result<(), HomeError> {
        let query = "INSERT INTO positions VALUES (?1, ?2) ON CONFLICT (source) DO UPDATE SET sequence = ?2";
        let stored = self.connection().execute(query, params![source, sequence]);
        stored.map(|_| ()).map_err(HomeError::store("storing a stream's position"))
    }
}
