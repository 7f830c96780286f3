//! Which passwords are taken: length alone, and none that is guessed first (NIST SP 800-63B-4 §3.1.1.2, OWASP ASVS 5.0 §6.2).
//!
//! Unicode is normalised to NFC before anything else, as that section asks for and RFC 8265 §4.2.2 (OpaqueString) does: the
//! same keys give `ä` as one code point on one device and as two on another. Not NFKC, which earlier editions allowed: it
//! makes `²` a `2`, and so takes away what somebody chose.

use icu_normalizer::ComposingNormalizerBorrowed;
use std::cmp::Ordering;

/// The fewest characters.
pub const SHORTEST: usize = 8;
/// The most characters: long enough for any sentence, short enough that hashing it is no burden.
pub const LONGEST: usize = 128;

/// Common and breached passwords, one a line, in lower case and NFC, sorted by their bytes. Where they are from, and under
/// which licence, is in `common-passwords.LICENSE`.
const COMMON: &str = include_str!("common-passwords.txt");

/// What everybody tries here first.
const OURS: &str = "tessera";

/// The form in which passwords are compared.
#[must_use]
pub fn normal(typed: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(typed).into_owned()
}

/// Whether so many code points are a password's length.
#[must_use]
pub fn fits(normal: &str) -> bool {
    (SHORTEST..=LONGEST).contains(&normal.chars().count())
}

/// Whether a password is on the list of those that are tried first, however its letters are cased.
#[must_use]
pub fn is_common(normal: &str) -> bool {
    let wanted = normal.to_lowercase();
    let mut lines = COMMON;
    while !lines.is_empty() {
        // The line around the middle byte. Line breaks are characters of their own, so that cutting there cuts none.
        let (before, _) = lines.as_bytes().split_at(lines.len() / 2);
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let rest = lines.get(start..).unwrap_or_default();
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        lines = match wanted.as_str().cmp(line) {
            Ordering::Equal => return true,
            Ordering::Less => lines.get(..start).unwrap_or_default(),
            Ordering::Greater => after,
        };
    }
    false
}

/// Whether a password says nothing but what everybody knows of its account: the address, its parts, the name or our own,
/// decorated with a few digits and signs.
#[must_use]
pub fn is_telling(normal: &str, email: &str, name: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let local = email.rsplit_once('@').map_or(email, |(local, _)| local);
    let parts = email.split(['@', '.', '+', '-', '_']).chain(name.split_whitespace());
    let mut words: Vec<String> = [email, local, name, OURS]
        .into_iter()
        .chain(parts)
        .map(plain)
        .filter(|w| w.chars().count() > 2)
        .collect();
    // The longest first: its parts would leave its middle behind.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let all = plain(normal);
    let left = words.iter().fold(all.clone(), |left, word| left.replace(word.as_str(), ""));
    left != all && left.chars().count() < SHORTEST && left.chars().all(char::is_numeric)
}

/// Why a password is not taken, as a sentence for the one who chose it.
#[must_use]
pub fn fault(normal: &str, email: &str, name: &str) -> Option<&'static str> {
    if is_common(normal) {
        Some("is one of the passwords that are guessed first: choose another, a few words for instance")
    } else if is_telling(normal, email, name) {
        Some("is your address or your name with little more: choose something that others do not know")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_is_found_and_nothing_between_them() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() >= 3_000, "OWASP ASVS 5.0 6.2.4: {}", lines.len());
        assert!(lines.is_sorted() && lines.iter().all(|line| fits(line) && normal(line) == *line));
        for line in &lines {
            assert!(is_common(line) && is_common(&line.to_uppercase()), "{line}");
            let (before, last) = line.split_at(line.char_indices().last().unwrap().0);
            for other in [format!("{line}\u{1}"), format!("{before}\u{1}"), before.to_owned()] {
                assert_eq!(is_common(&other), lines.binary_search(&other.as_str()).is_ok(), "{other} {last}");
            }
        }
        for good in ["", "correct horse", "zzzzzzzzzzzzzzzzz", "!", "\u{10ffff}"] {
            assert!(!is_common(good), "{good}");
        }
    }

    #[test]
    fn what_everybody_knows_of_an_account_is_no_password() {
        let fault = |password: &str| fault(&normal(password), "ada.byron@example.org", "Ada Lovelace");
        for bad in [
            "ada.byron@example.org",
            "ADA.BYRON",
            "adabyron1",
            "Lovelace1815",
            "!!ada-lovelace!!",
            "AdaAdaAda",
            "tessera!",
            "Tessera2027",
            "tessera-ada-27",
            "example.org",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
        for good in ["correct horse", "ada likes engines", "lovelace 18151852 bernoulli", "314159265358"] {
            assert_eq!(fault(good), None, "{good}");
        }
        // A name of two letters is in many words.
        assert!(!is_telling("jojojojojo", "x@example.net", "Jo"));
    }

    #[test]
    fn one_password_typed_on_two_devices_is_one_password() {
        assert_eq!(normal("u\u{308}berall"), normal("\u{fc}berall"));
        assert_ne!(normal("x\u{b2}"), normal("x2"), "not NFKC");
        assert!(fits(&normal(&"u\u{308}".repeat(128))) && !fits("\u{1f511}\u{1f511}\u{1f511}"));
    }
}
