//! How amounts, rates and dates are written in the languages that invoices are in.
//!
//! Where it is usual is taken from the Unicode CLDR (<https://cldr.unicode.org>): separators and groups of digits, names of months,
//! the percent sign. The currency is its ISO code, behind the number: unambiguous, and the same on every line.
//!
//! Arabic has Latin digits, as CLDR has it for the Emirates and the Maghreb: numbers of invoices, orders and taxes are written with
//! them everywhere, and one document should not have two kinds.

use crate::money::{Money, Percent};
use crate::payment::Provider;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A language that invoices are in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
    /// Hindi.
    Hi,
    /// Arabic.
    Ar,
}

const MONTHS: [[&str; 12]; 4] = [
    [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
    ["जनवरी", "फ़रवरी", "मार्च", "अप्रैल", "मई", "जून", "जुलाई", "अगस्त", "सितंबर", "अक्टूबर", "नवंबर", "दिसंबर"],
    [
        "يناير",
        "فبراير",
        "مارس",
        "أبريل",
        "مايو",
        "يونيو",
        "يوليو",
        "أغسطس",
        "سبتمبر",
        "أكتوبر",
        "نوفمبر",
        "ديسمبر",
    ],
];

impl Language {
    /// Every language.
    pub const ALL: &'static [Self] = &[Self::En, Self::De, Self::Hi, Self::Ar];

    /// Its BCP 47 tag.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Hi => "hi",
            Self::Ar => "ar",
        }
    }

    /// What stands between groups of digits, and before the decimals.
    const fn separators(self) -> (char, char) {
        match self {
            Self::En | Self::Hi | Self::Ar => (',', '.'),
            Self::De => ('.', ','),
        }
    }

    /// How many digits the groups before the last three have: 12,34,567 in India.
    const fn group(self) -> usize {
        match self {
            Self::En | Self::De | Self::Ar => 3,
            Self::Hi => 2,
        }
    }

    /// An amount with its currency: `1,234.50 EUR`, `1.234,50 EUR`, `12,34,567.50 INR`.
    #[must_use]
    pub fn amount(self, money: Money) -> String {
        let plain = Money { amount: money.amount.saturating_abs(), ..money }.decimal();
        let (whole, part) =
            plain.split_once('.').map_or((&*plain, None), |(whole, part)| (whole, Some(part)));
        let (between, decimal) = self.separators();
        let mut text = String::new();
        for (place, digit) in whole.chars().enumerate() {
            let behind = whole.len() - place;
            if place > 0 && behind >= 3 && (behind - 3).is_multiple_of(self.group()) {
                text.push(between);
            }
            text.push(digit);
        }
        if let Some(part) = part {
            text.push(decimal);
            text.push_str(part);
        }
        let sign = if money.amount < 0 { "\u{2212}" } else { "" };
        format!("{sign}{text} {}", money.currency.code())
    }

    /// A rate: `8.875%`, `8,875 %`.
    #[must_use]
    pub fn percent(self, percent: Percent) -> String {
        let (_, decimal) = self.separators();
        let number = percent.to_string().replace('.', decimal.encode_utf8(&mut [0; 4]));
        match self {
            Self::En | Self::Hi | Self::Ar => format!("{number}%"),
            Self::De => format!("{number} %"),
        }
    }

    /// How it was paid.
    #[must_use]
    pub const fn paid_with(self, provider: Provider) -> &'static str {
        match (provider, self) {
            (Provider::Stripe, _) => "Stripe",
            (Provider::Razorpay, _) => "Razorpay",
            (Provider::Transfer, Self::En) => "Bank transfer",
            (Provider::Transfer, Self::De) => "Überweisung",
            (Provider::Transfer, Self::Hi) => "बैंक ट्रांसफ़र",
            (Provider::Transfer, Self::Ar) => "تحويل بنكي",
            (Provider::Cash, Self::En) => "Cash",
            (Provider::Cash, Self::De) => "Bar",
            (Provider::Cash, Self::Hi) => "नकद",
            (Provider::Cash, Self::Ar) => "نقدًا",
            (Provider::Gift, Self::En) => "Gift card",
            (Provider::Gift, Self::De) => "Gutschein",
            (Provider::Gift, Self::Hi) => "गिफ़्ट कार्ड",
            (Provider::Gift, Self::Ar) => "بطاقة هدايا",
        }
    }

    /// A date: `14 March 2027`, `14. März 2027`.
    #[must_use]
    pub fn date(self, date: Date) -> String {
        let months = match self {
            Self::En => &MONTHS[0],
            Self::De => &MONTHS[1],
            Self::Hi => &MONTHS[2],
            Self::Ar => &MONTHS[3],
        };
        // Months are 1 to 12.
        let month = usize::try_from(date.month()).ok().and_then(|month| months.get(month - 1)).unwrap_or(&"");
        let point = match self {
            Self::De => ".",
            Self::En | Self::Hi | Self::Ar => "",
        };
        format!("{}{point} {month} {}", date.day(), date.year())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: i64, code: &str) -> Money {
        Money::new(amount, code.parse().unwrap())
    }

    #[test]
    fn amounts_are_written_as_is_usual() {
        let written =
            |amount, code| Language::ALL.iter().map(|l| l.amount(money(amount, code))).collect::<Vec<_>>();
        assert_eq!(written(123_450, "EUR"), ["1,234.50 EUR", "1.234,50 EUR", "1,234.50 EUR", "1,234.50 EUR"]);
        assert_eq!(
            written(1_234_567_890, "INR"),
            ["12,345,678.90 INR", "12.345.678,90 INR", "1,23,45,678.90 INR", "12,345,678.90 INR"]
        );
        assert_eq!(written(-999, "JPY"), ["−999 JPY"; 4]);
        assert_eq!(written(1_000, "JPY"), ["1,000 JPY", "1.000 JPY", "1,000 JPY", "1,000 JPY"]);
        assert_eq!(Language::De.amount(money(-1_234_567, "KWD")), "−1.234,567 KWD");
        assert_eq!(Language::Hi.amount(money(12_345_600, "INR")), "1,23,456.00 INR");
        assert_eq!(Language::Hi.amount(money(5, "EUR")), "0.05 EUR");
        assert!(Language::En.amount(money(i64::MIN, "EUR")).starts_with('−'));
    }

    #[test]
    fn rates_and_dates_too() {
        let rate: Percent = "8.875".parse().unwrap();
        assert_eq!(
            (Language::En.percent(rate), Language::De.percent(rate)),
            ("8.875%".into(), "8,875 %".into())
        );
        let day = jiff::civil::date(2027, 3, 14);
        let written: Vec<_> = Language::ALL.iter().map(|language| language.date(day)).collect();
        assert_eq!(written, ["14 March 2027", "14. März 2027", "14 मार्च 2027", "14 مارس 2027"]);
        assert_eq!(Language::De.date(jiff::civil::date(2027, 12, 1)), "1. Dezember 2027");
        let paid = Language::ALL.iter().map(|language| language.paid_with(Provider::Cash));
        assert_eq!(paid.collect::<Vec<_>>(), ["Cash", "Bar", "नकद", "نقدًا"]);
    }
}
