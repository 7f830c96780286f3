//! A hand on the wire to the tables, for proofs.
//!
//! Whoever wants to know what a condition is good for, or what happens when somebody else was faster, looks at each
//! request before it is carried out: holds it back, changes it, or lets requests of a rival go first. Nobody does so
//! outside of tests; there it costs a request one look at a flag that says so.

use serde_json::Value;
use std::sync::Arc;

/// A request as the DynamoDB API has it: the operation (`PutItem`) and its parameters.
#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    /// The operation.
    pub operation: String,
    /// Its parameters.
    pub parameters: Value,
}

/// Somebody with a hand on the wire.
#[async_trait::async_trait]
pub trait Tamper: Send + Sync {
    /// Sees a request before it is carried out and may change it. The answer is carried out first; what comes of that
    /// is told to nobody.
    async fn before(&self, asked: &mut Asked) -> Vec<Asked>;

    /// Sees what was carried out, and the store's answer.
    fn after(&self, asked: &Asked, answered: &Value);
}

/// See [`Tamper`].
pub type Hand = Arc<dyn Tamper>;
