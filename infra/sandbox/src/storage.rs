//! How a sandbox opens its SQLite database.

use std::time::Duration;

use rusqlite::Connection;

use crate::Storage;

/// How long to wait for a process that is just ending to let go of the file.
const PREDECESSOR: Duration = Duration::from_millis(500);

/// Opens or makes a database with this schema, locked for this process. Writing to the log before the answer is
/// enough against the death of the process; `synchronous = NORMAL` leaves out the wait for the disk.
pub(crate) fn open(storage: &Storage, schema: &str) -> rusqlite::Result<Connection> {
    let connection = match storage {
        Storage::Memory => Connection::open_in_memory()?,
        Storage::File(path) => Connection::open(path)?,
    };
    connection.busy_timeout(PREDECESSOR)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
    )?;
    connection.execute_batch(schema)?;
    Ok(connection)
}
