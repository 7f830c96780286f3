//! Ids of booking lines that stay the same from file to file.

use aws_lc_rs::digest::{SHA256, digest};
use jiff::civil::Date;
use std::collections::HashMap;

/// The longest reference of a bank that stands in an id as it is.
const LONGEST: usize = 64;

/// Gives out the ids of one file.
///
/// A reference alone would not do: banks give one to both a payment and its fee, some number the entries of each file from 1, and
/// an end-to-end reference is the payer's, who may use it twice. So an id has day and amount too, and counts what is still the
/// same; files have whole days, so the count is the same in two that overlap.
#[derive(Default)]
pub(crate) struct Ids {
    given: HashMap<String, usize>,
}

impl Ids {
    /// The id of a line, by the reference that the bank gave it or else by all that the line says.
    pub(crate) fn id(&mut self, booked: Date, amount: i64, reference: Option<&str>, line: &[&str]) -> String {
        let name = match reference.filter(|text| text.len() <= LONGEST) {
            Some(reference) => reference.to_owned(),
            None => hash(reference, line),
        };
        let id = format!("{}.{amount}.{name}", booked.strftime("%Y%m%d"));
        let count = self.given.entry(id.clone()).or_default();
        *count += 1;
        match *count {
            1 => id,
            count => format!("{id}.{count}"),
        }
    }
}

/// 128 bits of SHA-256 over the texts and their lengths: two lines by chance alike need 2^64 of them.
fn hash(reference: Option<&str>, line: &[&str]) -> String {
    let mut said = Vec::new();
    for text in reference.iter().chain(line) {
        said.extend_from_slice(&(text.len() as u64).to_be_bytes());
        said.extend_from_slice(text.as_bytes());
    }
    digest(&SHA256, &said).as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A reference that is one: not what banks write where there is none.
pub(crate) fn given(reference: &str) -> Option<&str> {
    let none = ["NONREF", "NOTPROVIDED", "NOT PROVIDED", "NOREF", "NONE", "N/A", "-"];
    let reference = reference.trim();
    (!reference.is_empty() && !none.iter().any(|text| reference.eq_ignore_ascii_case(text)))
        .then_some(reference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_same_line_has_the_same_id_and_its_twin_another() {
        let day = date(2027, 6, 1);
        let ids = |lines: &[&str]| {
            let mut ids = Ids::default();
            lines.iter().map(|line| ids.id(day, 2500, None, &[line, "EUR"])).collect::<Vec<_>>()
        };
        let first = ids(&["Ada", "Bob", "Ada"]);
        assert_eq!(first[2], format!("{}.2", first[0]));
        assert_eq!(ids(&["Bob", "Ada", "Ada"]), [&first[1], &first[0], &first[2]].map(Clone::clone));
        assert_ne!(hash(None, &["ab", "c"]), hash(None, &["a", "bc"]));
    }

    #[test]
    fn a_reference_is_kept_and_a_word_for_none_is_none() {
        let mut ids = Ids::default();
        assert_eq!(ids.id(date(2027, 6, 1), -5, Some("XB1"), &[]), "20270601.-5.XB1");
        assert_eq!(ids.id(date(2027, 6, 1), 5, Some(&"9".repeat(65)), &[]).len(), "20270601.5.".len() + 32);
        assert_eq!((given(" NotProvided "), given(""), given("A1 ")), (None, None, Some("A1")));
    }
}
