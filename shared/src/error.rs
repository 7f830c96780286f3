//! Refusals: one flat list of everything Tessera can answer instead of what was asked for.
//!
//! The table below is the error catalogue: the documents, the OpenAPI description and the HTTP answers are made from it.
//! A private cause never reaches a caller; it is logged once, where the answer is made (see [`crate::http`]).

use std::fmt;

macro_rules! codes {
    ($($name:ident $status:literal $code:literal $retry:literal $title:literal $advice:literal;)*) => {
        /// The stable codes. A code means one thing and is never given a second meaning.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Code {
            $(#[doc = $title] $name),*
        }

        impl Code {
            /// Every code, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as clients compare it.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),* }
            }

            /// The same request may succeed a little later without any change: the answer carries Retry-After.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$name => $retry),* }
            }

            /// One short sentence for people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }

            /// What a client can do about it.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice),* }
            }
        }
    };
}

codes! {
    InvalidInput 400 "invalid_input" false "The request is not valid" "Correct the fields named in errors[] and send it again.";
    SignatureInvalid 400 "signature_invalid" false "The signature does not match" "Check the signing secret; send the raw body as it was signed.";
    CodeWrong 400 "code_wrong" false "The code is wrong or has expired" "Look for a slip, or ask for a new code.";
    Unauthenticated 401 "unauthenticated" false "A credential is needed" "Send Authorization: Bearer with a valid access token.";
    TokenInvalid 401 "token_invalid" false "The credential is not valid" "Refresh the session or sign in again.";
    SignInFailed 401 "sign_in_failed" false "E-mail, password or id token is wrong, or the address is not verified" "Check them, sign in at the provider again with a new nonce, or verify the address with the mailed code.";
    SecondFactorNeeded 401 "second_factor_needed" false "A code of the second factor is needed" "Send challenge with a code of the app, or a recovery code, to /v1/sessions/second-factor within five minutes.";
    SessionEnded 401 "session_ended" false "The session has ended" "Sign in again.";
    Forbidden 403 "forbidden" false "Your role does not allow this" "Ask an owner of the organisation.";
    AdmissionNeeded 403 "admission_needed" false "This sale has a waiting room" "Join its line, wait for your turn, and send the admission with the hold.";
    PasswordWrong 403 "password_wrong" false "That is not the present password" "Try again, or have a new one set by mail.";
    NotFound 404 "not_found" false "Not found" "Check the id; what belongs to others is not shown.";
    MethodNotAllowed 405 "method_not_allowed" false "This method does not exist here" "See the API description.";
    BelowTaken 409 "below_taken" false "More places are taken than that" "Choose at least the number in taken, or take away at most that in free; or cancel bookings first.";
    SoldOut 409 "sold_out" false "Sold out" "Try fewer places or another offer; places may come back.";
    SeatTaken 409 "seat_taken" false "Somebody else has a seat that was picked" "Pick others than those in seats, or have the best ones picked.";
    SlotTaken 409 "slot_taken" false "That time is taken" "Look for the times, or delivery windows, that are free, and choose another.";
    ApprovalNeeded 409 "approval_needed" false "This offer is sold to approved applicants" "Apply, and accept when you are approved.";
    SaleNotOpen 409 "sale_not_open" false "The sale has not begun" "Try again at sale_opens.";
    SaleClosed 409 "sale_closed" false "The sale has ended" "Nothing can be sold here any more.";
    DoorsClosed 409 "doors_closed" false "The waiting room is not open yet" "Join from the instant in doors.";
    NotAdmitted 409 "not_admitted" false "It is not your turn yet" "Read the waiting room again; ask when its pointer has passed your position.";
    LimitReached 409 "limit_reached" false "More than one buyer may have" "Ask for fewer.";
    TaxUnknown 409 "tax_unknown" false "The seller has not said how this is taxed" "Tell the seller: a rate is missing in the price rules.";
    WrongState 409 "wrong_state" false "Not possible in the present state" "Read the resource again and look at its status.";
    AlreadyExists 409 "already_exists" false "It exists already" "Read the existing one.";
    HoldDecided 409 "hold_decided" false "This hold has become a booking" "Cancel the booking instead.";
    PaymentRefused 409 "payment_refused" false "The payment provider refused" "Use another way to pay.";
    RefundTooLarge 409 "refund_too_large" false "More than was paid and is not refunded yet" "Refund at most what is in remaining, and of a line at most what is left of it.";
    TicketUsed 409 "ticket_used" false "USED: this ticket has been scanned before" "Do not admit; see when and where it was used.";
    TicketInvalid 409 "ticket_invalid" false "INVALID: this is no valid ticket for this gate" "Do not admit.";
    PlaceGone 410 "place_gone" false "The time of this place is over" "Join again, behind the others.";
    HoldGone 410 "hold_gone" false "The hold has ended" "Take a new hold with a new Idempotency-Key.";
    VersionChanged 412 "version_changed" false "It was changed meanwhile" "Read it again and repeat the change with the new ETag.";
    TooLarge 413 "too_large" false "The request body is too large" "Send less than the documented bound.";
    MediaType 415 "media_type" false "Send JSON" "Set Content-Type: application/json.";
    KeyReused 422 "key_reused" false "This Idempotency-Key was used for another request" "Use a new key for each new request.";
    VersionRequired 428 "version_required" false "Say which version you change" "Send If-Match with the ETag you read.";
    TooManyTries 429 "too_many_tries" true "Too many wrong tries" "Try again after Retry-After seconds, or set a new password by mail: that works at once.";
    TooManyRequests 429 "too_many_requests" true "Too many requests" "Repeat the same request after Retry-After seconds; RateLimit says what is left.";
    Internal 500 "internal" false "Something went wrong on our side" "Report the request_id.";
    Opening 503 "opening" true "Sales open in a moment" "Repeat after Retry-After seconds.";
    Busy 503 "busy" true "Too many at once" "Repeat the same request after Retry-After seconds.";
    Unavailable 503 "unavailable" true "A part is not reachable" "Repeat the same request after Retry-After seconds.";
    ProviderUnavailable 503 "provider_unavailable" true "The payment provider does not answer" "Pay with one of those in others, or repeat the same request after Retry-After seconds.";
}

/// One fault in the input, at a place.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Fault {
    /// JSON pointer (RFC 6901) into the body, or the name of the header or query parameter.
    #[schema(example = "/lines/0/quantity")]
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A refusal: a stable [`Code`], what may be said about it, and what may not.
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// A sentence about this occurrence, safe to show.
    pub detail: Option<String>,
    /// The faults of an invalid input.
    pub faults: Vec<Fault>,
    /// Further members of the problem document (for instance when a ticket was used).
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// After so many seconds it is worth asking again, if it is not the usual one.
    pub retry_after: Option<u32>,
    /// The private cause: logged, never shown.
    pub cause: Option<Cause>,
}

/// What every use case returns.
pub type Result<T, E = Refusal> = std::result::Result<T, E>;

impl Code {
    /// This refusal with a sentence about the occurrence.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Refusal {
        Refusal { detail: Some(detail.into()), ..self.into() }
    }

    /// This refusal with its private cause.
    #[must_use]
    pub fn caused_by(self, cause: impl Into<Cause>) -> Refusal {
        Refusal { cause: Some(cause.into()), ..self.into() }
    }

    /// This refusal, returned.
    ///
    /// # Errors
    /// Always: it is the error.
    pub fn refuse<T>(self) -> Result<T> {
        Err(self.into())
    }
}

impl Refusal {
    /// Invalid input at one place.
    #[must_use]
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let fault = Fault { pointer: pointer.into(), detail: detail.into() };
        Self { faults: vec![fault], ..Code::InvalidInput.into() }
    }

    /// Adds a member to the problem document.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl serde::Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => drop(self.extra.insert(name.to_owned(), value)),
            Err(error) => {
                tracing::error!(%error, name, "a member of a problem document could not be written")
            }
        }
        self
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self {
            code,
            detail: None,
            faults: Vec::new(),
            extra: serde_json::Map::new(),
            retry_after: None,
            cause: None,
        }
    }
}

impl From<crate::money::BadSum> for Refusal {
    fn from(cause: crate::money::BadSum) -> Self {
        Code::InvalidInput.because(cause.to_string())
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code.code())?;
        for part in self.detail.iter().chain(self.faults.iter().map(|fault| &fault.detail)) {
            write!(f, ": {part}")?;
        }
        self.cause.as_ref().map_or(Ok(()), |cause| write!(f, " (caused by {cause:?})"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Refusal {}

impl PartialEq<Code> for Refusal {
    fn eq(&self, code: &Code) -> bool {
        self.code == *code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_only_retryable_ones_are_429_or_503() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.code()), "{} has two meanings", code.code());
            assert_eq!(code.retryable(), matches!(code.status(), 429 | 503), "{}", code.code());
        }
    }

    #[test]
    fn a_private_cause_is_in_the_log_text_only() {
        let refusal = Code::Internal.caused_by("table gone");
        assert!(format!("{refusal:?}").contains("table gone"));
        assert_eq!(refusal.detail, None);
    }
}
