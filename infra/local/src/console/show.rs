//! Times, amounts and numbers as people write them, as filters of the pages' templates.

use jiff::Timestamp;
use minijinja::Environment;
use tessera::money::Currency;

/// Adds every filter under the name that templates know it by.
pub(super) fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter("count", count);
    environment.add_filter("time", |ms: i64| time(ms));
    environment.add_filter("clock", |ms: i64| clock(ms));
    environment.add_filter("ago", ago);
    environment.add_filter("bytes", bytes);
    environment.add_filter("per", per);
    environment.add_filter("money", |amount: i64, currency: &str| money(amount, currency));
    environment.add_filter("words", |name: &str| name.replace('_', " "));
}

/// Thin spaces between thousands.
pub(super) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::from(if number < 0 { "\u{2212}" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{2009}');
        }
        grouped.push(digit);
    }
    grouped
}

/// Date and time in UTC, from milliseconds since 1970.
pub(super) fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .map_or_else(|_| String::from("—"), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// The time of day in UTC.
fn clock(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .map_or_else(|_| String::from("—"), |at| at.strftime("%H:%M:%S").to_string())
}

/// How long ago something was, or how far ahead it is, in one unit.
fn ago(ms: i64, now: i64) -> String {
    let seconds = now.saturating_sub(ms) / 1_000;
    let size = seconds.unsigned_abs();
    let words = match size {
        0 => return String::from("now"),
        1..100 => format!("{size} s"),
        100..6_000 => format!("{} min", size / 60),
        6_000..172_800 => format!("{} h", size / 3_600),
        _ => format!("{} days", size / 86_400),
    };
    if seconds > 0 { format!("{words} ago") } else { format!("in {words}") }
}

fn bytes(size: i64) -> String {
    match size {
        ..1_000 => format!("{size} B"),
        1_000..1_000_000 => format!("{}.{} kB", size / 1_000, size % 1_000 / 100),
        _ => format!("{}.{} MB", size / 1_000_000, size % 1_000_000 / 100_000),
    }
}

/// A sum over so many runs, for one of them.
fn per(sum: f64, runs: i64) -> String {
    let Some(runs) = i32::try_from(runs).ok().filter(|runs| *runs > 0) else { return String::from("—") };
    format!("{:.2}", sum / f64::from(runs))
}

/// An amount in minor units, in major ones: 2450 of eur is `24.50 EUR`.
pub(super) fn money(amount: i64, currency: &str) -> String {
    let code = currency.to_ascii_uppercase();
    let Ok(decimals) = code.parse::<Currency>().map(Currency::decimals) else {
        return format!("{} {code} (minor units)", count(amount));
    };
    let unit = 10_i64.pow(decimals);
    match usize::try_from(decimals) {
        Ok(width @ 1..) => {
            let sign = if amount < 0 && amount > -unit { "\u{2212}" } else { "" };
            format!("{sign}{}.{:0width$} {code}", count(amount / unit), (amount % unit).abs())
        }
        _ => format!("{} {code}", count(amount)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        for (amount, currency, expected) in [
            (2450, "eur", "24.50 EUR"),
            (5, "eur", "0.05 EUR"),
            (-5, "eur", "\u{2212}0.05 EUR"),
            (-2450, "eur", "\u{2212}24.50 EUR"),
            (2500, "jpy", "2\u{2009}500 JPY"),
            (1_234_567, "kwd", "1\u{2009}234.567 KWD"),
            (7, "???", "7 ??? (minor units)"),
        ] {
            assert_eq!(money(amount, currency), expected);
        }
    }

    #[test]
    fn ages_are_said_in_one_unit() {
        let cases =
            [(0, "now"), (59, "59 s ago"), (600, "10 min ago"), (7_200, "2 h ago"), (-120, "in 2 min")];
        for (seconds, expected) in cases {
            assert_eq!(ago(0, seconds * 1_000), expected);
        }
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(-1_234_567), "\u{2212}1\u{2009}234\u{2009}567");
    }

    #[test]
    fn nothing_is_divided_by_no_runs() {
        assert_eq!(per(3.0, 0), "—");
        assert_eq!(per(3.0, 2), "1.50");
    }
}
