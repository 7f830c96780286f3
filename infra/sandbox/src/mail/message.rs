//! Messages: what is sent made into one raw message, and raw messages taken apart for people.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_builder::MessageBuilder;
use mail_builder::headers::raw::Raw as RawHeader;
use mail_parser::{Address, MessageParser, MimeHeaders as _};
use serde::{Deserialize, Serialize};

use super::{Error, Result};

/// The largest message SES takes, in bytes before base64.
pub(crate) const MAX_MESSAGE_BYTES: usize = 40 * 1024 * 1024;
/// The most recipients of one message.
const MAX_RECIPIENTS: usize = 50;

/// A message that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// What SendEmail answered.
    pub id: String,
    /// When it was sent, in milliseconds since 1970.
    pub received_ms: i64,
    /// The sender's address, in small letters, without a name.
    pub sender: String,
    /// Everyone it went to, copies included, in small letters, without names.
    pub recipients: Vec<String>,
    /// The From header: names and addresses.
    pub from: Vec<String>,
    /// The To header: names and addresses.
    pub to: Vec<String>,
    /// The Cc header: names and addresses.
    pub cc: Vec<String>,
    /// The Reply-To header: names and addresses.
    pub reply_to: Vec<String>,
    /// Empty if there is none.
    pub subject: String,
    /// The Date header, in seconds since 1970.
    pub date: Option<i64>,
    /// The plain text, if there is one.
    pub text: Option<String>,
    /// The HTML, if there is some. It comes from whoever sent the mail: show it in a sandboxed frame.
    pub html: Option<String>,
    /// What is attached, in its order.
    pub attachments: Vec<Attachment>,
    /// The size of the whole, in bytes.
    pub bytes: usize,
}

/// What a message carries beside its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// Its file name, if it has one.
    pub name: Option<String>,
    /// Its media type, such as `application/pdf`.
    pub media_type: String,
    /// Its size, in bytes.
    pub bytes: usize,
    /// Its Content-ID, by which the HTML may refer to it.
    pub content_id: Option<String>,
}

impl Message {
    /// Takes a raw message apart. Whatever is wrong with it shows as empty fields: it was sent so.
    pub(crate) fn read(
        id: String,
        received_ms: i64,
        sender: String,
        recipients: Vec<String>,
        raw: &[u8],
    ) -> Self {
        let parsed = MessageParser::default().parse(raw);
        let parsed = parsed.as_ref();
        let text = |index: Option<&u32>, html: bool| {
            let part = parsed?.parts.get(usize::try_from(*index?).ok()?)?;
            // A part that is only the other one converted is not there.
            (part.is_text_html() == html).then(|| part.text_contents().map(str::to_owned))?
        };
        let bodies = |list: fn(&mail_parser::Message<'_>) -> Option<u32>| parsed.and_then(list);
        let (plain, html) = (
            bodies(|message| message.text_body.first().copied()),
            bodies(|message| message.html_body.first().copied()),
        );
        Self {
            id,
            received_ms,
            sender,
            recipients,
            from: parsed.map(|message| people(message.from())).unwrap_or_default(),
            to: parsed.map(|message| people(message.to())).unwrap_or_default(),
            cc: parsed.map(|message| people(message.cc())).unwrap_or_default(),
            reply_to: parsed.map(|message| people(message.reply_to())).unwrap_or_default(),
            subject: parsed.and_then(|message| message.subject()).unwrap_or_default().to_owned(),
            date: parsed.and_then(|message| message.date()).map(mail_parser::DateTime::to_timestamp),
            text: text(plain.as_ref(), false),
            html: text(html.as_ref(), true),
            attachments: parsed
                .map(|message| message.attachments().map(describe).collect())
                .unwrap_or_default(),
            bytes: raw.len(),
        }
    }
}

/// One attachment of a raw message with its content.
pub(crate) fn attachment(raw: &[u8], number: usize) -> Option<(Attachment, Vec<u8>)> {
    let parsed = MessageParser::default().parse(raw)?;
    let part = parsed.attachments().nth(number)?;
    Some((describe(part), part.contents().to_vec()))
}

fn describe(part: &mail_parser::MessagePart<'_>) -> Attachment {
    let media_type = part.content_type().map_or_else(
        || String::from("application/octet-stream"),
        |kind| match kind.subtype() {
            Some(subtype) => format!("{}/{subtype}", kind.ctype()),
            None => kind.ctype().to_owned(),
        },
    );
    Attachment {
        name: part.attachment_name().map(str::to_owned),
        media_type: media_type.to_lowercase(),
        bytes: part.contents().len(),
        content_id: part.content_id().map(str::to_owned),
    }
}

fn people(address: Option<&Address<'_>>) -> Vec<String> {
    let people = address.into_iter().flat_map(Address::iter);
    people
        .filter_map(|person| match (person.name(), person.address()) {
            (Some(name), Some(address)) => Some(format!("{name} <{address}>")),
            (None, Some(address)) => Some(address.to_owned()),
            (name, None) => name.map(str::to_owned),
        })
        .collect()
}

/// The body of SendEmail, as far as it means something here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SendEmail {
    from_email_address: Option<String>,
    #[serde(default)]
    destination: Destination,
    #[serde(default)]
    reply_to_addresses: Vec<String>,
    content: Option<Content>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    to_addresses: Vec<String>,
    cc_addresses: Vec<String>,
    bcc_addresses: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    raw: Option<RawContent>,
    simple: Option<Simple>,
    template: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawContent {
    data: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Simple {
    subject: Text,
    body: Body,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    attachments: Vec<File>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Text {
    data: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    text: Option<Text>,
    html: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Header {
    name: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    raw_content: String,
    file_name: String,
    content_type: Option<String>,
}

/// A message on its way: addresses without names, in small letters.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) sender: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) raw: Vec<u8>,
}

impl SendEmail {
    pub(crate) fn parse(body: &[u8]) -> Result<Self> {
        serde_json::from_slice(body)
            .map_err(|cause| Error::new(400, "SerializationException", format!("not a SendEmail: {cause}")))
    }

    /// The raw message and its envelope; `now` is its date, in milliseconds.
    pub(crate) fn outgoing(self, now: i64) -> Result<Outgoing> {
        let content = self.content.ok_or_else(|| {
            Error::bad(
                "1 validation error detected: Value at 'content' failed to satisfy constraint: Member must \
                        not be null",
            )
        })?;
        if content.template.is_some() {
            return Err(Error::bad("Templates are left out of this sandbox."));
        }
        let given =
            [&self.destination.to_addresses, &self.destination.cc_addresses, &self.destination.bcc_addresses];
        let mut recipients =
            given.into_iter().flatten().map(|given| address(given)).collect::<Result<Vec<_>>>()?;
        let (raw, sender) = match (content.raw, content.simple) {
            (Some(raw), None) => {
                let raw = decode(&raw.data)?;
                let parsed = MessageParser::default().parse_headers(&raw);
                let parsed = parsed.ok_or_else(|| rejected("Missing required header 'From'."))?;
                let header = parsed.from().and_then(Address::first).and_then(mail_parser::Addr::address);
                let header = header.ok_or_else(|| rejected("Missing required header 'From'."))?;
                // Without a destination the headers say who receives it.
                if recipients.is_empty() {
                    let headers = [parsed.to(), parsed.cc(), parsed.bcc()].into_iter().flatten();
                    let named = headers.flat_map(Address::iter).filter_map(mail_parser::Addr::address);
                    recipients = named.map(address).collect::<Result<_>>()?;
                }
                let sender = self.from_email_address.as_deref().map_or_else(|| address(header), address)?;
                (raw, sender)
            }
            (None, Some(simple)) => {
                let from = self.from_email_address.as_deref();
                let from = from.ok_or_else(|| Error::bad("FromEmailAddress is required."))?;
                let raw = simple.raw(from, &self.destination, &self.reply_to_addresses, now)?;
                (raw, address(from)?)
            }
            _ => return Err(Error::bad("Exactly one of Raw, Simple and Template is required.")),
        };
        if raw.len() > MAX_MESSAGE_BYTES {
            return Err(rejected("Message length is more than 41943040 bytes long."));
        }
        if recipients.is_empty() {
            return Err(Error::bad("Must have at least one recipient."));
        }
        if recipients.len() > MAX_RECIPIENTS {
            return Err(rejected("Recipient count exceeds 50."));
        }
        Ok(Outgoing { sender, recipients, raw })
    }
}

impl Simple {
    fn raw(self, from: &str, to: &Destination, reply_to: &[String], now: i64) -> Result<Vec<u8>> {
        let (text, html) = (self.body.text, self.body.html);
        if text.is_none() && html.is_none() {
            return Err(Error::bad("Body must have Text or Html."));
        }
        // Addresses are already in the form of a header: names quoted, addresses in angle brackets.
        let list = |addresses: &[String]| RawHeader::new(addresses.join(", "));
        let mut message = MessageBuilder::new()
            .header("From", RawHeader::new(from.to_owned()))
            .date(now.div_euclid(1_000))
            .message_id(format!("{now:x}.{}@email.sandbox", crate::random::id("")?))
            .subject(self.subject.data);
        for (name, addresses) in
            [("To", &to.to_addresses[..]), ("Cc", &to.cc_addresses), ("Reply-To", reply_to)]
        {
            if !addresses.is_empty() {
                message = message.header(name, list(addresses));
            }
        }
        for header in self.headers {
            message = message.header(header.name, RawHeader::new(header.value));
        }
        if let Some(text) = text {
            message = message.text_body(text.data);
        }
        if let Some(html) = html {
            message = message.html_body(html.data);
        }
        for file in self.attachments {
            let kind = file.content_type.unwrap_or_else(|| "application/octet-stream".into());
            message = message.attachment(kind, file.file_name, decode(&file.raw_content)?);
        }
        message.write_to_vec().map_err(Error::internal)
    }
}

fn rejected(message: &str) -> Error {
    Error::new(400, "MessageRejected", message)
}

fn decode(data: &str) -> Result<Vec<u8>> {
    STANDARD
        .decode(data)
        .map_err(|cause| Error::new(400, "SerializationException", format!("Data is not base64: {cause}")))
}

/// The bare address in `name <address>`, in small letters.
fn address(given: &str) -> Result<String> {
    let bare = given.rsplit_once('<').map_or(given, |(_, rest)| rest.trim_end().trim_end_matches('>')).trim();
    let sound = bare.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && !bare.contains(char::is_whitespace)
    });
    if sound { Ok(bare.to_lowercase()) } else { Err(Error::bad(format!("Illegal address: {given}"))) }
}
