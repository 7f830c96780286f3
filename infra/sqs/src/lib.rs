//! A small SQS-compatible queue server on SQLite for the local home
