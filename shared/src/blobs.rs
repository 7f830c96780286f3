//! The object store's edge: documents in and out of one bucket.

use crate::app::{Aws, client};
use crate::config::Config;
use crate::error::{Code, Result};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::primitives::ByteStream;
use std::sync::Arc;

/// One bucket.
#[derive(Clone)]
pub struct Blobs {
    client: Client,
    bucket: Arc<str>,
}

impl Blobs {
    pub(crate) fn new(config: &Config, aws: &Aws) -> Self {
        let local = config.optional("AWS_ENDPOINT_URL_S3").is_some();
        // Virtual-host names (bucket.host) need a resolver that the loopback address does not have.
        let client = Client::from_conf(
            client!(aws_sdk_s3, aws, config, "AWS_ENDPOINT_URL_S3").force_path_style(local).build(),
        );
        Self { client, bucket: config.optional("BUCKET").unwrap_or_default().into() }
    }

    /// Stores a document, replacing one of the same key.
    ///
    /// # Errors
    /// `unavailable` when the store does not accept it.
    pub async fn put(&self, key: &str, content_type: &str, bytes: Vec<u8>) -> Result<()> {
        let put = self.client.put_object().bucket(&*self.bucket).key(key).content_type(content_type);
        put.body(ByteStream::from(bytes)).send().await.map_err(failed)?;
        Ok(())
    }

    /// Reads a document, if it is there.
    ///
    /// # Errors
    /// `unavailable` when the store does not answer.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        match self.client.get_object().bucket(&*self.bucket).key(key).send().await {
            Ok(object) => {
                let bytes =
                    object.body.collect().await.map_err(|error| Code::Unavailable.caused_by(error))?;
                Ok(Some(bytes.to_vec()))
            }
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed<E>(error: aws_sdk_s3::error::SdkError<E>) -> crate::error::Refusal
where
    E: std::error::Error + Send + Sync + aws_sdk_s3::error::ProvideErrorMetadata + 'static,
{
    Code::Unavailable.caused_by(DisplayErrorContext(error).to_string())
}
