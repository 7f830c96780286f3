//! Pictures: asked for, uploaded straight to the object store, looked at, drawn anew, shown to everybody.
//!
//! Nothing that was uploaded is ever shown. It waits in a place of its own (`uploads/`, forgotten after a day), until the
//! worker has read it as a picture and drawn it anew in three sizes (`pictures/`): what hides behind a picture's first bytes, and
//! what a camera wrote beside it (place, time, owner), ends there.
//!
//! ```text
//! waiting ──sent──▶ sent ──looked at──▶ ready
//!    │                │  └─────────────▶ refused
//!    └───── removed, from anywhere ───▶ removed
//! ```

pub mod store;

use crate::error::{Code, Result};
use crate::id::{OrganisationId, PictureId};
use crate::identity::Resource;
use crate::identity::rights::Part;
use crate::message::Message;
use crate::text::Text;
use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

/// The largest file that may be uploaded: 15 MiB.
pub const MAX_BYTES: u64 = 15 << 20;
/// The most pixels it may have: a phone's 50 megapixels. Decoded they are 200 MB, of deep colours 400.
pub const MAX_PIXELS: u64 = 50_000_000;
/// The longest edge it may have, pixels.
pub const MAX_EDGE: u32 = 16_384;
/// How long the longest edge is in each size it is drawn in, pixels. A smaller picture is not enlarged.
pub const SIZES: [u32; 3] = [320, 960, 1920];
/// How long its address for uploading is good, minutes.
pub const UPLOAD_MINUTES: i64 = 15;

/// What a picture's file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = PictureForm)]
pub enum Form {
    /// JPEG.
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// PNG.
    #[serde(rename = "image/png")]
    Png,
    /// WebP.
    #[serde(rename = "image/webp")]
    Webp,
}

impl Form {
    /// What a file is by its first bytes, whatever it is called (<https://mimesniff.spec.whatwg.org/#image-type-pattern-matching-algorithm>).
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..14) == Some(b"WEBPVP") {
            Some(Self::Webp)
        } else {
            None
        }
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }

    /// How its files' names end.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
        }
    }
}

/// Exactly what is going to be uploaded. The address for uploading takes nothing else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PictureFile)]
pub struct File {
    /// What it is.
    pub content_type: Form,
    /// Its size, 1 to 15,728,640 bytes.
    #[schema(minimum = 1, maximum = 15_728_640)]
    pub bytes: u64,
    /// The SHA-256 of it.
    pub sha256: Sha256,
}

/// A SHA-256, in base64 as the object store's header has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(String);

impl Sha256 {
    /// That of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(STANDARD.encode(digest(&SHA256, bytes)))
    }

    /// In base64.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Sha256 {
    type Error = &'static str;
    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        match STANDARD.decode(&text) {
            Ok(bytes) if bytes.len() == SHA256_OUTPUT_LEN => Ok(Self(text)),
            _ => Err("must be a SHA-256 in base64: 44 characters"),
        }
    }
}

impl From<Sha256> for String {
    fn from(it: Sha256) -> Self {
        it.0
    }
}

impl utoipa::PartialSchema for Sha256 {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A SHA-256 in base64"))
            .pattern(Some("^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"))
            .examples([serde_json::json!("n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=")])
            .into()
    }
}
impl utoipa::ToSchema for Sha256 {}

/// Why something that was uploaded is not shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PictureFault)]
pub enum Fault {
    /// Its bytes are not those that were announced, or are gone.
    Altered,
    /// It is not what its content type says.
    OtherType,
    /// It has more pixels than are taken, or a longer edge.
    TooLarge,
    /// It cannot be read as a picture.
    Unreadable,
}

/// A picture as it was drawn, in its largest size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Drawn {
    /// What its files are.
    pub form: Form,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Where a picture stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// Nothing was uploaded as far as we know.
    Waiting,
    /// It was uploaded, and nobody has looked at it.
    Sent {
        /// Since when.
        at: Timestamp,
    },
    /// Everybody can see it.
    Ready {
        /// Since when.
        at: Timestamp,
        /// What they see.
        drawn: Drawn,
    },
    /// It is not shown.
    Refused {
        /// Since when.
        at: Timestamp,
        /// Why.
        fault: Fault,
    },
    /// It is not shown any more.
    Removed {
        /// Since when.
        at: Timestamp,
    },
}

/// A picture of an organisation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Picture {
    /// Its id.
    pub id: PictureId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// What is on it, for those who do not see it.
    pub description: Text<1, 300>,
    /// What is uploaded.
    pub file: File,
    /// Where it stands.
    pub state: State,
    /// When it was asked for.
    pub created: Timestamp,
    /// The print of the request that made it.
    pub print: String,
}

impl From<&Picture> for Resource {
    fn from(it: &Picture) -> Self {
        Self::of(it.organisation, Part::Whole)
    }
}

impl Picture {
    /// Says that it was uploaded. Saying it again changes nothing.
    ///
    /// # Errors
    /// `not_found` once it was removed.
    pub fn send(&self, now: Timestamp) -> Result<Option<(Self, Vec<Message>)>> {
        match self.state {
            State::Waiting => Ok(Some((
                Self { state: State::Sent { at: now }, ..self.clone() },
                vec![Message::PictureSent { picture: self.id }],
            ))),
            State::Sent { .. } | State::Ready { .. } | State::Refused { .. } => Ok(None),
            State::Removed { .. } => Code::NotFound.refuse(),
        }
    }

    /// What came of looking at it. Once it is decided, or removed, nothing follows.
    #[must_use]
    pub fn judge(&self, verdict: std::result::Result<Drawn, Fault>, now: Timestamp) -> Option<Self> {
        match self.state {
            State::Sent { .. } => {
                let state = match verdict {
                    Ok(drawn) => State::Ready { at: now, drawn },
                    Err(fault) => State::Refused { at: now, fault },
                };
                Some(Self { state, ..self.clone() })
            }
            State::Waiting | State::Ready { .. } | State::Refused { .. } | State::Removed { .. } => None,
        }
    }

    /// Takes it away. Taking it away again changes nothing.
    #[must_use]
    pub fn remove(&self, now: Timestamp) -> Option<(Self, Vec<Message>)> {
        match self.state {
            State::Waiting | State::Sent { .. } | State::Ready { .. } | State::Refused { .. } => Some((
                Self { state: State::Removed { at: now }, ..self.clone() },
                vec![Message::PictureRemoved { picture: self.id }],
            )),
            State::Removed { .. } => None,
        }
    }

    /// As it was drawn, if everybody can see it.
    #[must_use]
    pub const fn drawn(&self) -> Option<Drawn> {
        match self.state {
            State::Ready { drawn, .. } => Some(drawn),
            State::Waiting | State::Sent { .. } | State::Refused { .. } | State::Removed { .. } => None,
        }
    }

    /// Whether it may still be uploaded: for a day after it was asked for, if nothing was.
    #[must_use]
    pub fn is_awaited(&self, now: Timestamp) -> bool {
        match self.state {
            State::Waiting => now < self.created + SignedDuration::from_hours(24),
            State::Sent { .. } | State::Ready { .. } | State::Refused { .. } | State::Removed { .. } => false,
        }
    }
}

impl Drawn {
    /// Width and height with no edge longer than so many pixels.
    #[must_use]
    pub fn within(self, edge: u32) -> (u32, u32) {
        let longest = self.width.max(self.height);
        if longest <= edge {
            return (self.width, self.height);
        }
        let shorter = |length: u32| {
            let scaled = u64::from(length) * u64::from(edge) / u64::from(longest);
            u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
        };
        (shorter(self.width), shorter(self.height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    const DRAWN: Drawn = Drawn { form: Form::Jpeg, width: 1920, height: 1080 };

    fn picture(state: State) -> Picture {
        let sha256 = Sha256::of(b"");
        Picture {
            id: PictureId::derive(&["p"]),
            organisation: OrganisationId::derive(&["o"]),
            description: Text::parse("The hall").unwrap(),
            file: File { content_type: Form::Png, bytes: 1, sha256 },
            state,
            created: at(0),
            print: String::new(),
        }
    }

    #[test]
    fn every_step_from_every_state_is_decided() {
        let states = [
            State::Waiting,
            State::Sent { at: at(1) },
            State::Ready { at: at(2), drawn: DRAWN },
            State::Refused { at: at(2), fault: Fault::Unreadable },
            State::Removed { at: at(3) },
        ];
        let mut grid = Vec::new();
        for state in states {
            let it = picture(state);
            let word = |next: Option<Picture>| match next.map(|next| next.state) {
                None => "-",
                Some(State::Waiting) => "waiting",
                Some(State::Sent { .. }) => "sent",
                Some(State::Ready { .. }) => "ready",
                Some(State::Refused { .. }) => "refused",
                Some(State::Removed { .. }) => "removed",
            };
            let sent = it.send(at(9)).map_or("no", |next| word(next.map(|(next, _)| next)));
            let judged = (word(it.judge(Ok(DRAWN), at(9))), word(it.judge(Err(Fault::Altered), at(9))));
            let removed = word(it.remove(at(9)).map(|(next, _)| next));
            grid.push((sent, judged, removed, it.drawn().is_some(), it.is_awaited(at(9))));
        }
        assert_eq!(
            grid,
            [
                ("sent", ("-", "-"), "removed", false, true),
                ("-", ("ready", "refused"), "removed", false, false),
                ("-", ("-", "-"), "removed", true, false),
                ("-", ("-", "-"), "removed", false, false),
                ("no", ("-", "-"), "-", false, false),
            ]
        );
    }

    #[test]
    fn a_file_is_what_its_first_bytes_are() {
        for (bytes, form) in [
            (&b"\xff\xd8\xff\xe0"[..], Some(Form::Jpeg)),
            (b"\x89PNG\r\n\x1a\n\0\0", Some(Form::Png)),
            (b"RIFF\x10\0\0\0WEBPVP8L", Some(Form::Webp)),
            (b"RIFF\x10\0\0\0WAVEfmt ", None),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", None),
            (b"%PDF-1.7", None),
            (b"GIF89a", None),
            (b"\xff\xd8", None),
            (b"", None),
        ] {
            assert_eq!(Form::of(bytes), form, "{bytes:?}");
        }
    }

    #[test]
    fn a_size_keeps_its_proportions_and_is_never_larger() {
        assert_eq!(DRAWN.within(960), (960, 540));
        assert_eq!(DRAWN.within(4000), (1920, 1080));
        assert_eq!(Drawn { width: 1080, height: 1920, ..DRAWN }.within(320), (180, 320));
        assert_eq!(Drawn { width: 16_384, height: 1, ..DRAWN }.within(320), (320, 1));
    }

    #[test]
    fn a_digest_is_44_characters_that_mean_32_bytes() {
        let read = |text: &str| serde_json::from_value::<Sha256>(text.into());
        // FIPS 180-2, of no bytes at all.
        let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(read(empty).unwrap(), Sha256::of(b""));
        for bad in [&empty[1..], "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=", "AAAA", ""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
