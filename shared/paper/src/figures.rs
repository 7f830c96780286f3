//! Numbers within a text, with the signs that belong to them: what must not be turned round among letters that read
//! from the right.

use std::ops::Range;

/// The numbers of a text with what belongs to them: a sign before, separators and groups within, a percent sign after.
pub(crate) fn figures(text: &str) -> Vec<Range<usize>> {
    let characters: Vec<(usize, char)> = text.char_indices().collect();
    let at = |index: usize| characters.get(index).map(|(_, character)| *character);
    let digit = |index: usize| at(index).is_some_and(char::is_numeric);
    let offset = |index: usize| characters.get(index).map_or(text.len(), |(offset, _)| *offset);
    let mut figures = Vec::new();
    let mut index = 0;
    while index < characters.len() {
        if !digit(index) {
            index += 1;
            continue;
        }
        let sign = index.checked_sub(1).filter(|before| at(*before).is_some_and(is_sign));
        // A sign between two words is a dash, and one after a letter is a hyphen.
        let sign = sign.filter(|sign| sign.checked_sub(1).and_then(at).is_none_or(|c| !c.is_alphanumeric()));
        let phone = sign.and_then(at) == Some('+');
        let start = sign.unwrap_or(index);
        loop {
            while digit(index) {
                index += 1;
            }
            let group = (index + 1..).take_while(|next| digit(*next)).take(4).count();
            let joins = match at(index) {
                Some(' ') => phone || group == 3,
                Some(separator) => is_separator(separator),
                None => false,
            };
            if !joins || group == 0 {
                break;
            }
            index += 1;
        }
        let spaced = usize::from(at(index).is_some_and(char::is_whitespace));
        if at(index + spaced).is_some_and(|c| matches!(c, '%' | '‰' | '٪')) {
            index += spaced + 1;
        }
        figures.push(offset(start)..offset(index));
    }
    figures
}

fn is_sign(character: char) -> bool {
    matches!(character, '-' | '+' | '\u{2212}' | '±')
}

/// What stands between the digits of one number, date or reference.
fn is_separator(character: char) -> bool {
    matches!(
        character,
        '.' | ',' | '\'' | '’' | '/' | ':' | '-' | '٫' | '٬' | '\u{A0}' | '\u{2009}' | '\u{202F}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        figures(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn a_number_has_its_sign_its_groups_and_its_percent_sign() {
        assert_eq!(found("−1,250.00 SEK, 12.5 % of 1 000 000,00"), ["−1,250.00", "12.5 %", "1 000 000,00"]);
        assert_eq!(found("1\u{202F}234,5\u{A0}% ١٬٢٣٤٫٥٪"), ["1\u{202F}234,5\u{A0}%", "١٬٢٣٤٫٥٪"]);
        assert_eq!(found("+966 11 234 5678"), ["+966 11 234 5678"]);
        assert_eq!(found("2026-000123 14/03/2026 20:00"), ["2026-000123", "14/03/2026", "20:00"]);
    }

    #[test]
    fn what_only_stands_beside_a_number_is_no_part_of_it() {
        assert_eq!(found("12 11564"), ["12", "11564"]);
        assert_eq!(found("T-5, row 4."), ["5", "4"]);
        assert_eq!(found("3 - 5"), ["3", "5"]);
        assert_eq!(found("5 2026"), ["5", "2026"]);
        assert!(found("- % + no").is_empty());
    }
}
