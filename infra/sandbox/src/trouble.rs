//! What fails on a sandbox's own side.

/// A sandbox that cannot go on: its store, the system's randomness, or what it needs to start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("payment store: {0}")]
    Store(#[from] rusqlite::Error),
    #[error("payment store: {0}")]
    Content(#[from] serde_json::Error),
    #[error("randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    #[error("{0}")]
    Runtime(#[from] tokio::runtime::TryCurrentError),
    #[error("{0}")]
    Client(#[from] reqwest::Error),
}

/// The result of what sandboxes share.
pub(crate) type Result<T> = std::result::Result<T, Trouble>;
