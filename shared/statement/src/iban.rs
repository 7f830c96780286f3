//! Account numbers that check.

/// The IBAN in a text, without its spaces: ISO 13616, two letters, two check digits and up to 30 letters and digits, checked by
/// ISO 7064 MOD 97-10 (<https://www.swift.com/standards/data-standards/iban-international-bank-account-number>).
pub(crate) fn iban(text: &str) -> Option<String> {
    if text.len() > 60 {
        return None;
    }
    let iban: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_uppercase();
    let bytes = iban.as_bytes();
    let shaped = (15..=34).contains(&bytes.len())
        && bytes.iter().all(u8::is_ascii_alphanumeric)
        && bytes[..2].iter().all(u8::is_ascii_alphabetic)
        && bytes[2..4].iter().all(u8::is_ascii_digit);
    (shaped && remainder(bytes) == 1).then_some(iban)
}

/// The number that the characters are, letters as 10 to 35 and the first four last, modulo 97.
fn remainder(iban: &[u8]) -> u32 {
    iban.iter().cycle().skip(4).take(iban.len()).fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte.saturating_sub(b'A')) + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_checks_is_an_iban() {
        assert_eq!(iban("DE89 3704 0044 0532 0130 00").as_deref(), Some("DE89370400440532013000"));
        assert_eq!(iban("gb82 west 1234 5698 7654 32").as_deref(), Some("GB82WEST12345698765432"));
        assert_eq!(iban("DE89370400440532013001"), None, "a digit off");
        for text in ["", "DE", "0532013000", "DE89", "ÄÖ89370400440532013000", &"DE".repeat(40)] {
            assert_eq!(iban(text), None, "{text}");
        }
    }
}
