//! Documents as PDF: tickets with a QR code, invoices and credit notes, names shaped in their own script.
//!
//! [`ticket`] turns a [`Ticket`] into the bytes of a PDF, and [`invoice`] an [`Invoice`]. What they say comes in as
//! finished text: dates, prices, [`Labels`] and [`InvoiceLabels`] are already in the language of the reader.
//!
//! | Module    | Holds |
//! |-----------|-------|
//! | `ticket`  | what a ticket says and how its page is laid out |
//! | `invoice` | what an invoice or a credit note says and how its pages are laid out; its fixed words by language |
//! | `band`    | bands stacked down the pages: kept whole, kept together, heads of tables repeated |
//! | `canvas`  | a page: blocks of text, lines, the card, the QR code; mirrored for languages read from the right |
//! | `wrap`    | lines that fit a box: breaking, shrinking, ellipsis |
//! | `shape`   | characters to glyphs: direction, one run per script and font, OpenType shaping |
//! | `figures` | numbers that keep their signs and order among letters read from the right |
//! | `fonts`   | the embedded Noto Sans files (`fonts/README.md` says how they are made) |
//! | `qr`      | the QR code as one outline |
//!
//! Only `ticket` knows about tickets and only `invoice` about invoices: a further document is one more module beside
//! them.
//!
//! The same input gives the same bytes: nothing here reads a clock, and the PDF carries no date.

mod band;
mod canvas;
mod figures;
mod fonts;
mod invoice;
mod qr;
mod shape;
mod ticket;
mod wrap;

pub use invoice::{
    Amounts, Fact, Invoice, InvoiceKind, InvoiceLabels, InvoiceLine, Party, Tax, Totals, invoice,
};
pub use qr::LONGEST_PAYLOAD;
pub use ticket::{Labels, Ticket, ticket};

/// Why a document could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PaperError {
    /// The QR payload is empty, or longer than [`LONGEST_PAYLOAD`] bytes: it would print too fine to scan.
    #[error("a QR payload of {bytes} bytes cannot be printed (1 to {LONGEST_PAYLOAD} can)")]
    Payload {
        /// Length of the payload.
        bytes: usize,
    },
    /// An embedded font cannot be read: the build is damaged.
    #[error("the embedded font {0} cannot be read")]
    Font(&'static str),
    /// A shape came out without an area or with a coordinate that is no number: a defect of the layout.
    #[error("the {0} cannot be drawn")]
    Geometry(&'static str),
    /// The PDF writer refused the document.
    #[error("the PDF cannot be written")]
    Pdf(#[source] Box<krilla::error::KrillaError>),
}
