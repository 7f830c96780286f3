//! The embedded DynamoDB's private table of stream records: the index it lacks, and the trimming it does not do.
//!
//! With a stream on, every write asks for the largest sequence number so far by scanning `_stream_records`, which
//! grows forever. An index over the same expression turns the scan into a lookup (6 to 12 times the writes, measured),
//! and rows that every reader has passed are deleted. Both rest on a schema that is nobody's promise: the dependency
//! is pinned to one version, and the test below fails if that version's queries no longer use the index.

use rusqlite::{Connection, params};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const INDEX: &str = "CREATE INDEX IF NOT EXISTS tessera_stream_records \
     ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

/// The newest rows of a table always stay: the next sequence number is one more than the largest.
const TRIM: &str = "DELETE FROM _stream_records WHERE id IN (SELECT id FROM _stream_records \
     WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) < ?2 \
     ORDER BY CAST(sequence_number AS INTEGER) LIMIT ?3)";

/// Rows deleted at once: the store's writes wait meanwhile.
const TRIMMED_AT_ONCE: usize = 500;

/// A second connection to the store's file.
pub(super) struct StreamRecords(Mutex<Connection>);

impl StreamRecords {
    /// Opens a file that the embedded DynamoDB has already made, and makes the index.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch(INDEX)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Deletes a table's records with numbers below `sequence`; how many is the answer.
    pub(super) fn trim(&self, table: &str, sequence: i64) -> rusqlite::Result<usize> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut trimmed = 0;
        loop {
            let some = connection.execute(TRIM, params![table, sequence, TRIMMED_AT_ONCE])?;
            trimmed += some;
            if some < TRIMMED_AT_ONCE {
                return Ok(trimmed);
            }
        }
    }

    /// How many records a table has, and the number of its newest.
    pub(super) fn newest(&self, table: &str) -> rusqlite::Result<i64> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection.query_row(
            "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) FROM _stream_records WHERE table_name = ?1",
            params![table],
            |row| row.get(0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dynoxide::Database;
    use serde_json::json;

    /// As the pinned version has them, in `storage.rs`.
    const NEXT_NUMBER: &str = "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = ?1";
    const READ: &str = "SELECT event_name, keys_json, new_image, old_image, sequence_number, created_at, user_identity, event_id
             FROM _stream_records
             WHERE table_name = ?1 AND shard_id = ?2 AND CAST(sequence_number AS INTEGER) > ?3
             ORDER BY CAST(sequence_number AS INTEGER) ASC
             LIMIT ?4";

    fn table(db: &Database) {
        let request = json!({"TableName": "things", "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"}});
        db.create_table(serde_json::from_value(request).unwrap()).unwrap();
    }

    fn put(db: &Database, key: usize) {
        let request = json!({"TableName": "things", "Item": {"pk": {"S": key.to_string()}}});
        db.put_item(serde_json::from_value(request).unwrap()).unwrap();
    }

    #[test]
    fn the_stores_own_queries_use_the_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dynamodb.db");
        let _db = Database::new(path.to_str().unwrap()).unwrap();
        let records = StreamRecords::open(&path).unwrap();
        let connection = records.0.lock().unwrap();
        for query in [NEXT_NUMBER, READ] {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            let given = vec!["x"; plan.parameter_count()];
            let steps: Vec<String> = plan
                .query_map(rusqlite::params_from_iter(given), |row| row.get("detail"))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            assert!(steps.iter().any(|step| step.contains("tessera_stream_records")), "{query}: {steps:?}");
            assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{query}: {steps:?}");
        }
    }

    #[test]
    fn trimmed_records_are_gone_and_numbers_go_on_growing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dynamodb.db");
        let db = Database::new(path.to_str().unwrap()).unwrap();
        table(&db);
        let records = StreamRecords::open(&path).unwrap();
        (0..1_200).for_each(|key| put(&db, key));
        let newest = records.newest("things").unwrap();
        assert_eq!(records.trim("things", newest).unwrap(), 1_199);
        assert_eq!(records.trim("others", newest).unwrap(), 0);
        put(&db, 1_200);
        assert!(records.newest("things").unwrap() > newest);
    }
}
