//! The object store's edge: documents in and out of one bucket.

use crate::app::{Aws, client};
use crate::config::Config;
use crate::error::{Code, Result};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What somebody is going to store, by themselves.
pub struct Announced<'a> {
    /// Its media type.
    pub content_type: &'a str,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of it, in base64.
    pub sha256: &'a str,
}

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

    /// An address by which anybody who has it may store a document under this key within that time, and the headers it needs
    /// (besides the length, which every client sends). The store refuses anything but what was announced, and a second document
    /// while there is one: size, type, digest and `If-None-Match: *` are signed.
    ///
    /// # Errors
    /// `internal` if it cannot be made.
    pub async fn admit(
        &self,
        key: &str,
        announced: &Announced<'_>,
        lasts: Duration,
    ) -> Result<(String, BTreeMap<String, String>)> {
        let bytes = i64::try_from(announced.bytes).map_err(|error| Code::Internal.caused_by(error))?;
        let put = self.client.put_object().bucket(&*self.bucket).key(key).if_none_match("*");
        let put = put.content_type(announced.content_type).content_length(bytes);
        let put = put.checksum_sha256(announced.sha256).presigned(signed(lasts)?).await.map_err(failed)?;
        let headers = put.headers().filter(|(name, _)| !matches!(*name, "host" | "content-length"));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok((put.uri().to_owned(), headers))
    }

    /// Whether there is a document.
    ///
    /// # Errors
    /// `unavailable` when the store does not answer.
    pub async fn has(&self, key: &str) -> Result<bool> {
        match self.client.head_object().bucket(&*self.bucket).key(key).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Forgets a document; one that is not there is forgotten already.
    ///
    /// # Errors
    /// `unavailable` when the store does not answer.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.client.delete_object().bucket(&*self.bucket).key(key).send().await.map_err(failed)?;
        Ok(())
    }

    /// A link by which anybody who has it may fetch a document under this name, for so many seconds.
    ///
    /// # Errors
    /// `internal` if it cannot be made.
    pub async fn link(&self, key: &str, name: &str, seconds: u64) -> Result<String> {
        let get = self.client.get_object().bucket(&*self.bucket).key(key);
        let get = get.response_content_disposition(format!("attachment; filename=\"{name}\""));
        Ok(get.presigned(signed(Duration::from_secs(seconds))?).await.map_err(failed)?.uri().to_owned())
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

fn signed(lasts: Duration) -> Result<PresigningConfig> {
    PresigningConfig::expires_in(lasts).map_err(|error| Code::Internal.caused_by(error))
}

fn failed<E>(error: aws_sdk_s3::error::SdkError<E>) -> crate::error::Refusal
where
    E: std::error::Error + Send + Sync + aws_sdk_s3::error::ProvideErrorMetadata + 'static,
{
    Code::Unavailable.caused_by(DisplayErrorContext(error).to_string())
}
