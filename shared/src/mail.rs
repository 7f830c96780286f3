//! The mail service's edge: SES v2, raw messages.

use crate::app::{Aws, client};
use crate::config::Config;
use crate::error::{Code, Result};
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::RequestId;
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types::{Destination, EmailContent, RawMessage};

/// Sends mail.
#[derive(Clone)]
pub struct Mailer {
    client: Client,
}

impl Mailer {
    pub(crate) fn new(config: &Config, aws: &Aws) -> Self {
        Self {
            client: Client::from_conf(client!(aws_sdk_sesv2, aws, config, "AWS_ENDPOINT_URL_SESV2").build()),
        }
    }

    /// Hands a finished MIME message to the service and answers with the service's id for it.
    ///
    /// # Errors
    /// `unavailable` whenever the service did not accept it: the message comes again from the queue, and after its
    /// last try from the dead letters.
    pub async fn send(&self, from: &str, to: &str, mime: Vec<u8>) -> Result<String> {
        let raw = RawMessage::builder()
            .data(Blob::new(mime))
            .build()
            .map_err(|error| Code::Internal.caused_by(error))?;
        let send = self
            .client
            .send_email()
            .from_email_address(from)
            .destination(Destination::builder().to_addresses(to).build());
        let sent = send.content(EmailContent::builder().raw(raw).build()).send().await;
        let sent = sent.map_err(|error| Code::Unavailable.caused_by(cause(error)))?;
        Ok(sent.message_id.unwrap_or_default())
    }
}

/// Which error it is, and of which request. The service's own sentence names those to whom it did not send.
fn cause(error: SdkError<SendEmailError>) -> String {
    match error.as_service_error() {
        Some(refused) => {
            let (code, request) = (refused.code().unwrap_or("no code"), error.request_id().unwrap_or("-"));
            format!("the mail service refused: {code}, request {request}")
        }
        None => DisplayErrorContext(error).to_string(),
    }
}
