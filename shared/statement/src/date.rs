//! Dates as people write them.

use crate::fault::{Fault, shown};
use jiff::civil::Date;

/// What comes first in `01/06/2027`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOrder {
    /// 1 June.
    DayFirst,
    /// January 6.
    MonthFirst,
}

/// A date in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// Only one date can be meant.
    Clear(Date),
    /// Day and month, or month and day, with a slash or a dash between.
    Pair { first: i8, second: i8, year: i16 },
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

impl Written {
    /// Reads `2027-06-01`, `20270601`, `01.06.2027`, `01.06.27`, `01/06/2027`, `01-06-2027`, `1 Jun 2027` and `Jun 1, 2027`; a
    /// time may follow. Years are 1970 to 2199, with two digits 2000 to 2099.
    ///
    /// # Errors
    /// [`Fault::Date`] for anything else, and for days that do not exist.
    pub(crate) fn of(text: &str) -> Result<Self, Fault> {
        let written = Self::compact(text.trim()).or_else(|| Self::parts(text.trim()));
        written.filter(Self::exists).ok_or_else(|| Fault::Date(shown(text)))
    }

    fn compact(text: &str) -> Option<Self> {
        let digits = text.get(..8).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        followed_by_time(&text[8..]).then_some(())?;
        date(digits[..4].parse().ok()?, digits[4..6].parse().ok()?, digits[6..].parse().ok()?)
    }

    fn parts(text: &str) -> Option<Self> {
        let (first, rest) = part(text)?;
        let (mark, rest) = mark(rest)?;
        let (second, rest) = part(rest)?;
        let (_, rest) = self::mark(rest)?;
        let (third, rest) = part(rest)?;
        followed_by_time(rest).then_some(())?;
        match (month(first), month(second)) {
            (Some(month), None) => date(year(third)?, month, number(second)?),
            (None, Some(month)) => date(year(third)?, month, number(first)?),
            (Some(_), Some(_)) => None,
            (None, None) if first.len() == 4 => date(first.parse().ok()?, number(second)?, number(third)?),
            (None, None) if mark == '.' => date(year(third)?, number(second)?, number(first)?),
            (None, None) => {
                Some(Self::Pair { first: number(first)?, second: number(second)?, year: year(third)? })
            }
        }
    }

    fn exists(&self) -> bool {
        let known = |date: &Date| (1970..2200).contains(&date.year());
        match self {
            Self::Clear(date) => known(date),
            Self::Pair { .. } => [DateOrder::DayFirst, DateOrder::MonthFirst]
                .into_iter()
                .any(|order| self.date(order).is_some_and(|date| known(&date))),
        }
    }

    /// The order that this date alone proves. None if it may be either, or is the same in both.
    pub(crate) fn shows(self) -> Option<DateOrder> {
        match self {
            Self::Pair { first: 13.., .. } => Some(DateOrder::DayFirst),
            Self::Pair { second: 13.., .. } => Some(DateOrder::MonthFirst),
            Self::Pair { .. } | Self::Clear(_) => None,
        }
    }

    /// Two different days can be meant.
    pub(crate) fn is_ambiguous(self) -> bool {
        self.date(DateOrder::DayFirst) != self.date(DateOrder::MonthFirst) && self.shows().is_none()
    }

    /// The day, in a file with this order. None if there is no such day.
    pub(crate) fn date(self, order: DateOrder) -> Option<Date> {
        match (self, order) {
            (Self::Clear(date), _) => Some(date),
            (Self::Pair { first, second, year }, DateOrder::DayFirst) => Date::new(year, second, first).ok(),
            (Self::Pair { first, second, year }, DateOrder::MonthFirst) => {
                Date::new(year, first, second).ok()
            }
        }
    }
}

/// The day of an ISO 20022 date or date and time; the zone does not move it.
pub(crate) fn plain(text: &str) -> Result<Date, Fault> {
    match Written::of(text) {
        Ok(Written::Clear(date)) if text.as_bytes().get(4) == Some(&b'-') => Ok(date),
        _ => Err(Fault::Date(shown(text))),
    }
}

fn date(year: i16, month: i8, day: i8) -> Option<Written> {
    Date::new(year, month, day).ok().map(Written::Clear)
}

/// The digits or the letters that a text begins with, and the rest.
fn part(text: &str) -> Option<(&str, &str)> {
    let first = text.chars().next().filter(char::is_ascii_alphanumeric)?;
    let same = |c: char| c.is_ascii_alphanumeric() && c.is_ascii_digit() == first.is_ascii_digit();
    text.split_at_checked(text.find(|c| !same(c)).unwrap_or(text.len()))
}

/// What stands between two parts: one of `./-`, a space, or both.
fn mark(text: &str) -> Option<(char, &str)> {
    let rest = text.trim_start_matches(['.', '/', '-', ' ', ',']);
    let gone = &text[..text.len() - rest.len()];
    (1..=2).contains(&gone.len()).then(|| gone.chars().next().map(|mark| (mark, rest))).flatten()
}

fn month(text: &str) -> Option<i8> {
    let name = text.get(..3).filter(|_| text.bytes().all(|byte| byte.is_ascii_alphabetic()))?;
    (1i8..).zip(MONTHS).find(|(_, month)| name.eq_ignore_ascii_case(month)).map(|(number, _)| number)
}

fn number(text: &str) -> Option<i8> {
    text.parse().ok().filter(|_| text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn year(text: &str) -> Option<i16> {
    let year = text.parse::<i16>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    match text.len() {
        2 => Some(2000 + year),
        4 => Some(year),
        _ => None,
    }
}

/// Nothing, or `T10:11:12Z`, ` 10:11`, `, 10:11 PM`.
fn followed_by_time(rest: &str) -> bool {
    let time = rest.strip_prefix('T').unwrap_or(rest).trim_start_matches([' ', ',']);
    rest.is_empty()
        || (time.len() < rest.len()
            && time.starts_with(|c: char| c.is_ascii_digit())
            && time.chars().all(|c| c.is_ascii_digit() || ":.+-Z AMPUTC".contains(c)))
        || rest
            .strip_prefix(['Z', '+', '-'])
            .is_some_and(|zone| zone.chars().all(|c| c.is_ascii_digit() || c == ':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    #[test]
    fn dates_are_read_as_banks_write_them() {
        let first = date(2027, 6, 1);
        for text in [
            "2027-06-01",
            "20270601",
            "2027/06/01",
            "01.06.2027",
            "1.6.2027",
            "01.06.27",
            "2027-06-01 10:11:12",
            "2027-06-01T10:11:12+02:00",
            "2027-06-01T10:11:12.123Z",
            "2027-06-01+02:00",
            "01.06.2027 10:11",
            "01 Jun 2027",
            "1-Jun-27",
            "June 1, 2027",
            " 01.06.2027 ",
        ] {
            assert_eq!(Written::of(text), Ok(Written::Clear(first)), "{text}");
        }
        let pair = Written::Pair { first: 1, second: 6, year: 2027 };
        for text in ["01/06/2027", "1/6/27", "01-06-2027", "01/06/2027 10:11"] {
            assert_eq!(Written::of(text), Ok(pair), "{text}");
        }
        assert_eq!(pair.date(DateOrder::DayFirst), Some(first));
        assert_eq!(pair.date(DateOrder::MonthFirst), Some(date(2027, 1, 6)));
        assert_eq!(plain("2027-06-01Z"), Ok(first));
        assert!(plain("01.06.2027").is_err());
    }

    #[test]
    fn a_date_shows_its_order_if_it_can() {
        let shows = |text| Written::of(text).map(|date| (date.shows(), date.is_ambiguous()));
        assert_eq!(shows("13/06/2027"), Ok((Some(DateOrder::DayFirst), false)));
        assert_eq!(shows("06/13/2027"), Ok((Some(DateOrder::MonthFirst), false)));
        assert_eq!(shows("06/06/2027"), Ok((None, false)));
        assert_eq!(shows("06/07/2027"), Ok((None, true)));
    }

    #[test]
    fn what_is_no_day_is_not_read() {
        for text in [
            "",
            "x",
            "31.06.2027",
            "30.02.27",
            "2027-13-01",
            "13/13/2027",
            "31/02/2027",
            "01.06.",
            "01.06.2027x",
            "1.6.027",
            "0027-06-01",
            "2300-06-01",
            "Jun Jun 2027",
            "2027-06",
            "202706011",
            "offen",
            "1.2.3.4",
            "-1.06.2027",
            "01...06.2027",
            "2027-06-01 x",
        ] {
            assert!(Written::of(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[0-9./ T:-]{0,14}|\\PC{0,14}") {
            drop(Written::of(&text));
        }
    }
}
