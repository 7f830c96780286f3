//! Scenario tests over HTTP against the local home: see `it/`.
