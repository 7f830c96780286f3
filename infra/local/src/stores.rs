//! Where everything is kept: tables, objects and queues, each behind an endpoint that the AWS SDKs talk to.
//!
//! | module | holds |
//! |---|---|
//! | `dynamodb` | the embedded DynamoDB: tables from the template, its endpoint, expiry, reading of streams |
//! | `stream_records` | the one place that knows the embedded DynamoDB's private schema |
//! | `s3` | the embedded S3 and the guard in front of its keys |
//! | `sqs` | the queue server's endpoint and the queues of the template |
//! | [`faults`] | what goes wrong on purpose, in front of all three |
//! | [`tamper`] | a hand on the wire to the tables, for proofs |
//! | `endpoint` | the HTTP/1.1 server all three share |

pub(crate) mod dynamodb;
mod endpoint;
pub mod faults;
pub mod permissions;
pub(crate) mod s3;
pub(crate) mod sqs;
mod stream_records;
pub mod tamper;

pub(crate) use endpoint::serve;
