//! Amounts as people write them to minor units, exactly: digits, never floats.

use crate::fault::{Fault, shown};
use iso_currency::Currency;

/// What a file puts before the decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decimal {
    /// `1.234,56`
    Comma,
    /// `1,234.56`
    Point,
}

/// The currency of a code or of a sign that means only one.
pub(crate) fn currency(text: &str) -> Option<Currency> {
    let code = match text.trim() {
        "€" => "EUR",
        "£" => "GBP",
        "₹" => "INR",
        code => &code.to_ascii_uppercase(),
    };
    Currency::from_code(code)
}

/// Digits after the decimal point: 0 for JPY, 2 for EUR, 3 for KWD. Currencies without minor units (gold) count as 0.
pub(crate) fn decimals(currency: Currency) -> usize {
    currency.exponent().map_or(0, usize::from)
}

/// The minor units of an XML decimal that is not negative, as ISO 20022 has it: `1234.5`.
pub(crate) fn plain(text: &str, currency: Currency) -> Result<i64, Fault> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    minor(whole, part, currency, text)
}

/// An amount in a cell, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written<'a> {
    /// The text it was.
    text: &'a str,
    /// From the first digit to the last.
    number: &'a str,
    /// A minus, a plus, or the letters for debit and credit, before or after it.
    pub(crate) negative: Option<bool>,
    /// A code or sign before or after it.
    pub(crate) currency: Option<Currency>,
}

impl<'a> Written<'a> {
    /// Takes `1.234,56- EUR` apart.
    ///
    /// # Errors
    /// [`Fault::Amount`] if it has no digits, two signs, or words that are neither sign nor currency.
    pub(crate) fn of(text: &'a str) -> Result<Self, Fault> {
        let refused = || Fault::Amount(shown(text));
        let text = text.trim();
        let first = text.find(|c: char| c.is_ascii_digit()).ok_or_else(refused)?;
        let last = text.rfind(|c: char| c.is_ascii_digit()).ok_or_else(refused)?;
        // `.50`
        let start = if text[..first].ends_with(['.', ',']) { first - 1 } else { first };
        let mut written = Self { text, number: &text[start..=last], negative: None, currency: None };
        match (text[..start].strip_prefix('('), text[last + 1..].strip_suffix(')')) {
            (Some(before), Some(after)) => {
                written.negative = Some(true);
                written.around(before).and_then(|()| written.around(after))
            }
            _ => written.around(&text[..start]).and_then(|()| written.around(&text[last + 1..])),
        }
        .ok_or_else(refused)?;
        Ok(written)
    }

    /// Signs and currency on one side. None if there is anything else, or one of them twice.
    fn around(&mut self, text: &str) -> Option<()> {
        let mut rest = text.trim();
        while let Some(c) = rest.chars().next() {
            let word = match c.is_alphabetic() {
                true => rest.split(|c: char| !c.is_alphabetic()).next().unwrap_or(rest),
                false => &rest[..c.len_utf8()],
            };
            match negative(word) {
                Some(sign) => self.negative.replace(sign).is_none().then_some(())?,
                None => self.currency.replace(currency(word)?).is_none().then_some(())?,
            }
            rest = rest[word.len()..].trim_start();
        }
        Some(())
    }

    /// How decimals are written, if this number shows it: `1.234` alone does not.
    pub(crate) fn shows(&self) -> Option<Decimal> {
        let count = |c| self.number.matches(c).count();
        let (points, commas) = (count('.'), count(','));
        match (points, commas) {
            (0, 0) => None,
            (0, 2..) => Some(Decimal::Point),
            (2.., 0) => Some(Decimal::Comma),
            (1, 0) => self.lone('.', Decimal::Point),
            (0, 1) => self.lone(',', Decimal::Comma),
            _ if self.number.rfind(',') > self.number.rfind('.') => Some(Decimal::Comma),
            _ => Some(Decimal::Point),
        }
    }

    /// A single mark before exactly three digits may stand between thousands, unless there is a zero or nothing before it, or
    /// more than three digits, or thousands are kept apart by something else.
    fn lone(&self, mark: char, shown: Decimal) -> Option<Decimal> {
        let (before, after) = self.number.split_once(mark)?;
        let thousands = after.len() == 3
            && (1..=3).contains(&before.len())
            && !before.starts_with('0')
            && before.bytes().all(|byte| byte.is_ascii_digit());
        (!thousands).then_some(shown)
    }

    /// The minor units, without sign.
    ///
    /// # Errors
    /// [`Fault::AmbiguousAmount`] if `decimal` is not known and the number does not show it, [`Fault::Decimals`],
    /// [`Fault::Amount`].
    pub(crate) fn minor(&self, decimal: Option<Decimal>, currency: Currency) -> Result<i64, Fault> {
        let refused = || Fault::Amount(shown(self.text));
        let mark = match decimal.or(self.shows()) {
            Some(Decimal::Comma) => ',',
            Some(Decimal::Point) => '.',
            None if decimals(currency) == 0 || !self.number.contains(['.', ',']) => {
                return minor(&ungrouped(self.number).ok_or_else(refused)?, "", currency, self.text);
            }
            None => return Err(Fault::AmbiguousAmount(shown(self.text))),
        };
        let (whole, part) = self.number.split_once(mark).unwrap_or((self.number, ""));
        minor(&ungrouped(whole).ok_or_else(refused)?, part, currency, self.text)
    }
}

/// The sign that a mark or word stands for: German S(oll) and H(aben), English D(ebit) and C(redit), Dutch af and bij.
pub(crate) fn negative(word: &str) -> Option<bool> {
    const OUT: [&str; 13] =
        ["-", "−", "–", "s", "soll", "d", "dr", "debit", "dbit", "af", "debet", "out", "débit"];
    const IN: [&str; 11] = ["+", "h", "haben", "c", "cr", "k", "credit", "crdt", "bij", "in", "crédit"];
    let word = word.trim().to_lowercase();
    match (OUT.contains(&word.as_str()), IN.contains(&word.as_str())) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// The digits of a whole number, whose thousands may be kept apart: by one kind of mark, in threes, or as in India (`12,34,567`) in twos before the last three.
fn ungrouped(whole: &str) -> Option<String> {
    let Some(mark) = whole.chars().find(|c| !c.is_ascii_digit()) else { return Some(whole.to_owned()) };
    let groups: Vec<&str> = whole.split(mark).collect();
    let (first, rest) = groups.split_first()?;
    let (last, middle) = rest.split_last()?;
    let between = |size| middle.iter().all(|group| group.len() == size);
    let shaped = (1..=3).contains(&first.len()) && last.len() == 3;
    let grouped = shaped && (between(3) || (mark == ',' && first.len() < 3 && between(2)));
    let known = matches!(mark, '.' | ',' | '\'' | '’') || mark.is_whitespace();
    let digits = groups.concat();
    (grouped && known && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// Minor units of digits before and after the mark. Zeros beyond the decimals of the currency say nothing more, as some banks
/// write two decimals for every currency.
fn minor(whole: &str, part: &str, currency: Currency, text: &str) -> Result<i64, Fault> {
    let refused = || Fault::Amount(shown(text));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) {
        return Err(refused());
    }
    let decimals = decimals(currency);
    let part = part.trim_end_matches('0');
    if part.len() > decimals {
        return Err(Fault::Decimals { text: shown(text), currency: currency.code(), decimals });
    }
    format!("{whole}{part:0<decimals$}").parse().or_else(|_| match whole.is_empty() && part.is_empty() {
        true => Ok(0),
        false => Err(refused()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EUR: Currency = Currency::EUR;

    fn read(text: &str, decimal: Option<Decimal>, currency: Currency) -> Result<i64, Fault> {
        let written = Written::of(text)?;
        let amount = written.minor(decimal, currency)?;
        Ok(if written.negative == Some(true) { -amount } else { amount })
    }

    #[test]
    fn amounts_are_read_as_banks_write_them() {
        for (text, amount) in [
            ("1.234,56", 123_456),
            ("1,234.56", 123_456),
            ("1234.56", 123_456),
            ("1234,5", 123_450),
            ("-1.234,56", -123_456),
            ("−1.234,56", -123_456),
            ("1 234,56", 123_456),
            ("1\u{a0}234,56", 123_456),
            ("1\u{202f}234\u{202f}567,89", 123_456_789),
            ("1'234.56", 123_456),
            ("1’234’567.05", 123_456_705),
            ("1.234.567,89", 123_456_789),
            ("12,34,567.80", 123_456_780),
            ("+12,34", 1234),
            ("12,34-", -1234),
            ("12,34+", 1234),
            ("12,34 S", -1234),
            ("12,34 H", 1234),
            ("12.34 CR", 1234),
            ("12.34Dr", -1234),
            ("(12.34)", -1234),
            ("12,34 EUR", 1234),
            ("EUR -12,34", -1234),
            ("-12,34 €", -1234),
            ("€12.34", 1234),
            ("12", 1200),
            ("0", 0),
            ("0,00", 0),
            (".50", 50),
            ("0,500", 50),
            ("007,10", 710),
            ("12.5000", 1250),
        ] {
            assert_eq!(read(text, None, EUR), Ok(amount), "{text}");
        }
    }

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        assert_eq!(read("1.234", Some(Decimal::Comma), EUR), Ok(123_400));
        assert_eq!(read("1,234", None, Currency::JPY), Ok(1234));
        assert_eq!(read("1234.00", None, Currency::JPY), Ok(1234));
        assert_eq!(read("1,234", Some(Decimal::Comma), Currency::KWD), Ok(1234));
        assert_eq!(read("12.3", None, Currency::KWD), Ok(12_300));
        assert_eq!(plain("1234.5", EUR), Ok(123_450));
        assert_eq!(plain("100.00000", EUR), Ok(10_000));
        assert_eq!(plain(".5", EUR), Ok(50));
        let many =
            |text: &str, currency, decimals| Fault::Decimals { text: text.to_owned(), currency, decimals };
        assert_eq!(plain("1.001", EUR), Err(many("1.001", "EUR", 2)));
        assert_eq!(plain("1.5", Currency::JPY), Err(many("1.5", "JPY", 0)));
        assert_eq!(read("1,2345", None, Currency::KWD), Err(many("1,2345", "KWD", 3)));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        for text in ["1.234", "1,234", "12,345", "-999.999"] {
            assert_eq!(read(text, None, EUR), Err(Fault::AmbiguousAmount(text.to_owned())));
        }
        assert_eq!(Written::of("1.234").unwrap().shows(), None);
        assert_eq!(Written::of("0.234").unwrap().shows(), Some(Decimal::Point));
        assert_eq!(Written::of("1 234,567").unwrap().shows(), Some(Decimal::Comma));
    }

    #[test]
    fn what_is_no_amount_is_not_read() {
        for text in [
            "",
            "-",
            "EUR",
            "1.2.3",
            "1,23,4",
            "12 34,56",
            "1.234,56,7",
            "1-2",
            "--1",
            "-1-",
            "1 S H",
            "1 EUR USD",
            "1e5",
            "1 Stück",
            "1.23.456,00",
            "1 234.567,00",
            "٣",
            "99999999999999999999",
            "5 2027",
            "1,,2",
            "1.234.56",
        ] {
            assert!(
                matches!(read(text, None, EUR), Err(Fault::Amount(_))),
                "{text}: {:?}",
                read(text, None, EUR)
            );
        }
        for text in ["", ".", "-1", "+1", "1,5", " 1", "1.5.0", "1e2", "99999999999999999999"] {
            assert!(matches!(plain(text, EUR), Err(Fault::Amount(_))), "{text}");
        }
    }

    /// An amount as a bank with such habits writes it.
    fn written(amount: i64, decimals: usize, mark: char, between: &str, sign: usize) -> String {
        let digits = format!("{:0>width$}", amount.unsigned_abs(), width = decimals + 1);
        let (whole, part) = digits.split_at(digits.len() - decimals);
        let mut text = String::new();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index) % 3 == 0 {
                text += between;
            }
            text.push(digit);
        }
        if decimals > 0 {
            text = format!("{text}{mark}{part}");
        }
        match (amount < 0, sign) {
            (false, _) => text,
            (true, 0) => format!("-{text}"),
            (true, 1) => format!("{text}-"),
            (true, 2) => format!("{text} S"),
            (true, _) => format!("({text})"),
        }
    }

    proptest! {
        #[test]
        fn an_amount_reads_as_it_is_written(
            amount: i64, shift in 0u32..60, habits in 0usize..6, sign in 0usize..4, code in 0usize..3
        ) {
            let amount = amount.checked_abs().map_or(0, |size| (size >> shift) * amount.signum());
            let currency = [Currency::JPY, EUR, Currency::KWD][code];
            let (mark, between) = [(',', "."), ('.', ","), (',', " "), ('.', "'"), ('.', ""), (',', "\u{202f}")][habits];
            let text = written(amount, decimals(currency), mark, between, sign);
            let decimal = if mark == ',' { Decimal::Comma } else { Decimal::Point };
            prop_assert_eq!(read(&text, Some(decimal), currency), Ok(amount), "{}", text);
            if let Ok(read) = read(&text, None, currency) {
                prop_assert_eq!(read, amount, "{} without being told", text);
            }
        }

        #[test]
        fn no_text_is_too_strange(text in "[-+0-9.,' SHEURx()€]{0,16}|\\PC{0,16}") {
            for decimal in [None, Some(Decimal::Comma), Some(Decimal::Point)] {
                if let Ok(written) = Written::of(&text) {
                    drop(written.minor(decimal, EUR));
                }
            }
            drop(plain(&text, EUR));
        }
    }
}
