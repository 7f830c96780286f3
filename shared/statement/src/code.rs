//! Payment references: written, checked, found.
//!
//! A reference is `TS-7Q2K-94MX-3`: a prefix, two groups of four characters and a check character. The characters are those of
//! Crockford's Base32 (no I, L, O, U; <https://www.crockford.com/base32.html>). A group is a digit from 2 to 9, two of all the 32
//! characters, and a consonant that looks like no digit: so that words, dates and account numbers are not taken for groups, even
//! when dashes and spaces are lost, and O for 0 or I and L for 1 can be put right. That leaves 17 bits a group.
//!
//! The check character is that of ISO/IEC 7064 MOD 37,36 over prefix and groups. MOD 37,2, which finds a few more transpositions,
//! may come out as `*`, which is not in the character set that European banks pass on (numbers, letters and `/-?:().,'+`:
//! <https://wiki.xmldation.com/Support/DK/Charset>). It is calculated and written as it is read: O as 0, I and L as 1.

/// How many bits a reference carries: the lowest of the number it is made of.
pub const REFERENCE_BITS: u32 = 34;

/// Crockford's: in the order of their values.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Without vowels, and without B, G, S and Z, which people take for 8, 6, 5 and 2.
const CONSONANTS: &[u8; 16] = b"CDFHJKMNPQRTVWXY";
/// Bits of a group: digit, two characters, consonant.
const GROUP_BITS: u32 = 3 + 5 + 5 + 4;
/// Characters after the prefix, dashes apart.
const LENGTH: usize = 9;
/// What a line break with its indentation may have.
const WIDEST_GAP: usize = 8;

/// The reference of a number, of which the lowest [`REFERENCE_BITS`] bits count: two numbers that agree in them have the same
/// reference, so whoever keeps one makes sure that it is new. The prefix is letters and digits, all others are left out.
#[must_use]
pub fn reference(prefix: &str, bits: u64) -> String {
    let mut plain = letters(prefix);
    let written = plain.len();
    plain.extend(group(bits >> GROUP_BITS));
    plain.extend(group(bits));
    plain.push(check(&plain));
    let text = |part: &[u8]| part.iter().copied().map(char::from).collect::<String>();
    let (first, rest) = plain[written..].split_at(4);
    let (second, check) = rest.split_at(4);
    format!("{}-{}-{}-{}", text(&letters(prefix)), text(first), text(second), text(check))
}

/// The number in a text that is one reference and nothing else, however it is written. None if it is not, or does not check.
#[must_use]
pub fn parse(text: &str, prefix: &str) -> Option<u64> {
    number(&squeezed(text), &folded(prefix))
}

/// The references in a remittance text, each once and as [`reference()`] writes it, in spite of what people and banks do to them:
/// small letters, other marks or nothing for the dashes, a space or line break more, O for 0, I and L for 1, words before and
/// after without a space.
///
/// What only by chance looks like a reference is kept out by `is_written_so`: of a million purposes full of dates, amounts, numbers
/// and words that end like the prefix none has one, and six of a million that are full of other people's codes, too.
#[must_use]
pub fn find_codes(text: &str, prefix: &str) -> Vec<String> {
    let (sought, read) = (folded(prefix), squeezed(text));
    let length = sought.len() + LENGTH;
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(window) = read.get(at..at + length) {
        let follows =
            at.checked_sub(1).is_some_and(|before| read[before].letter != OTHER) && !window[0].after_gap;
        let bits = number(window, &sought).filter(|_| is_written_so(window, sought.len(), follows));
        at += if bits.is_some() { length } else { 1 };
        let code = bits.map(|bits| reference(prefix, bits));
        found.extend(code.filter(|code| !found.contains(code)));
    }
    found
}

/// Gaps are where people leave them. Where the dashes belong there may be all, some or none, and one more elsewhere, as of a line
/// break; `2 Stk 4 PAX` has two. If the prefix is the end of a word, a gap after it is one between words, as in `Tickets 4B7K…`,
/// unless there are gaps for the other dashes, too.
fn is_written_so(code: &[Read], prefix: usize, follows: bool) -> bool {
    let dashes = [prefix, prefix + 4, prefix + 8];
    let gap = |at: usize| code.get(at).is_some_and(|read| read.after_gap);
    let others = (1..code.len()).filter(|at| gap(*at) && !dashes.contains(at)).count();
    others <= 1 && !(follows && gap(prefix) && !dashes.into_iter().all(gap))
}

/// Letters and digits of a prefix, as they are written.
fn letters(prefix: &str) -> Vec<u8> {
    prefix.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_uppercase()).collect()
}

fn folded(prefix: &str) -> Vec<u8> {
    letters(prefix).into_iter().map(fold).collect()
}

/// A character as Crockford reads it.
const fn fold(byte: u8) -> u8 {
    match byte.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    }
}

/// A letter or digit of a text.
#[derive(Clone, Copy)]
struct Read {
    /// As Crockford reads it, or [`OTHER`].
    letter: u8,
    /// A gap is before it.
    after_gap: bool,
}

/// In place of what is neither letter nor digit, nor a gap.
const OTHER: u8 = b'.';

/// Letters and digits as they are read, without the gaps between them.
fn squeezed(text: &str) -> Vec<Read> {
    let mut read = Vec::with_capacity(text.len());
    let mut gap = 0;
    for c in text.chars() {
        if is_gap(c) && gap < WIDEST_GAP {
            gap += 1;
            continue;
        }
        let letter = if c.is_ascii_alphanumeric() { fold(c as u8) } else { OTHER };
        read.push(Read { letter, after_gap: gap > 0 });
        gap = 0;
    }
    read
}

/// What stands between the characters of one reference: spaces, dashes, what people put for dashes, and what banks put for
/// characters that they do not have.
const fn is_gap(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '-' | '\u{2010}'
                ..='\u{2015}' | '\u{2212}' | '\u{ad}' | '\u{200b}' | '_' | '.' | ',' | '/' | '?' | '+'
        )
}

/// The number of a prefix, groups and check character, if that is all and it checks.
fn number(read: &[Read], prefix: &[u8]) -> Option<u64> {
    let begins = read.iter().zip(prefix).all(|(read, letter)| read.letter == *letter);
    let text: Vec<u8> = Some(read).filter(|_| begins)?.iter().map(|read| read.letter).collect();
    let (last, body) = text.split_last()?;
    let (first, second) = body.get(prefix.len()..)?.split_at_checked(4)?;
    let bits = ungroup(first)? << GROUP_BITS | ungroup(second)?;
    (*last == check(body)).then_some(bits)
}

fn group(bits: u64) -> [u8; 4] {
    let part = |shift: u32, bits_of: u32| (bits >> shift) as usize & ((1 << bits_of) - 1);
    [ALPHABET[part(14, 3) + 2], ALPHABET[part(9, 5)], ALPHABET[part(4, 5)], CONSONANTS[part(0, 4)]]
}

fn ungroup(text: &[u8]) -> Option<u64> {
    let place = |alphabet: &[u8], byte: u8| alphabet.iter().position(|letter| *letter == byte);
    let [digit, second, third, consonant] = *text else { return None };
    let digit = place(&ALPHABET[2..10], digit)?;
    let (second, third) = (place(ALPHABET, second)?, place(ALPHABET, third)?);
    Some((digit << 14 | second << 9 | third << 4 | place(CONSONANTS, consonant)?) as u64)
}

/// The check character as it is read.
fn check(text: &[u8]) -> u8 {
    let folded: Vec<u8> = text.iter().copied().map(fold).collect();
    fold(mod_37_36(&folded))
}

/// ISO/IEC 7064 MOD 37,36: a letter or digit, of letters and digits.
fn mod_37_36(text: &[u8]) -> u8 {
    let value = |byte: u8| match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        _ => u32::from(byte.saturating_sub(b'A')) + 10,
    };
    let rest = text.iter().fold(36, |product, byte| match (product + value(*byte)) % 36 {
        0 => 36 * 2 % 37,
        sum => sum * 2 % 37,
    });
    let letter = (37 - rest) % 36;
    char::from_digit(letter, 36).map_or(b'0', |c| c.to_ascii_uppercase() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Examples of <https://www.lobster-world.com/online/_data/docs/46/en/BasicISO7064Mod3736Checksum.html>; the third is that of
    /// the Global Release Identifier.
    #[test]
    fn the_check_character_is_that_of_the_published_examples() {
        for (text, letter) in [("123AB", b'X'), ("DADPIDA3897722461", b'J'), ("A12425GABC1234002", b'M')] {
            assert_eq!(char::from(mod_37_36(text.as_bytes())), char::from(letter), "{text}");
        }
    }

    #[test]
    fn a_reference_reads_as_it_is_written() {
        assert_eq!(reference("TS", 0), "TS-200C-200C-E");
        assert_eq!(reference("ts-", u64::MAX), reference("TS", (1 << REFERENCE_BITS) - 1));
        let code = reference("TS", 11_973_342_331);
        assert_eq!(parse(&code, "TS"), Some(11_973_342_331), "{code}");
        assert_eq!(parse(&format!("{code}X"), "TS"), None);
        assert_eq!(parse(&code, "TX"), None);
        assert_eq!(parse("", ""), None);
        assert_eq!(find_codes(&reference("", 5), ""), [reference("", 5)]);
    }

    #[test]
    fn references_are_found_in_what_people_write() {
        let [a, b] = [reference("TS", 1), reference("TS", 7_001_002_003)];
        let text = format!("Danke! {a} und {b}, nochmals {}", a.to_lowercase());
        assert_eq!(find_codes(&text, "TS"), [a.as_str(), &b]);
        let glued = format!("SVWZ+Rechnung{}Danke", b.replace('-', ""));
        assert_eq!(find_codes(&glued, "TS"), [b.as_str()]);
        assert_eq!(find_codes(&b.replace('-', "\r\n        "), "TS"), Vec::<String>::new(), "too wide a gap");
        assert_eq!(find_codes(&b.replace('-', ":"), "TS"), Vec::<String>::new());
        let spaced = format!("Tickets{}", b.replace('-', " "));
        assert_eq!(find_codes(&spaced, "TS"), [b.as_str()]);
        let word = spaced.replace("TicketsTS", "TickeTS");
        assert_eq!(find_codes(&word, "TS"), [b.as_str()], "as if a space were lost");
        assert_eq!(find_codes(&word.replacen(' ', "_", 1).replace(' ', ""), "TS"), Vec::<String>::new());
        assert_eq!(find_codes("", "TS"), Vec::<String>::new());
    }

    #[test]
    fn gaps_between_words_are_not_gaps_in_a_reference() {
        let bits = ungroup(b"2STK").unwrap() << GROUP_BITS | ungroup(b"4PAX").unwrap();
        let code = reference("TS", bits);
        let check = &code[code.len() - 1..];
        for (text, is_one) in [
            (format!("TS 2STK 4PAX {check}"), true),
            (format!("TS2S TK4PAX{check}"), true),
            (format!("TS 2 STK 4PAX {check}"), true),
            (format!("TS 2 STK 4 PAX {check}"), false),
            (format!("tickets 2stk4pax{check}"), false),
        ] {
            assert_eq!(find_codes(&text, "TS") == [code.as_str()], is_one, "{text}");
        }
    }

    /// A number that looks random and is the same in every run (splitmix64).
    struct Lot(u64);

    impl Lot {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) % end as u64) as usize
        }

        fn one<'a>(&mut self, texts: &[&'a str]) -> &'a str {
            texts[self.below(texts.len())]
        }
    }

    /// What stands in transfers: words, dates, amounts, numbers, names, with and without spaces, and other people's codes.
    fn purpose(lot: &mut Lot, codes: bool) -> String {
        const WORDS: &[&str] = &[
            "Tickets",
            "Ticket",
            "tickets",
            "TICKETS",
            "Rechnung",
            "RECHNUNGSNR",
            "Invoice",
            "Facture",
            "Factuur",
            "Kundennr",
            "Konzert",
            "Concerts",
            "Gutschrift",
            "Bestellung",
            "Order",
            "Events",
            "Sommerfest",
            "Sitzplatz",
            "2 Stk",
            "3 Pers",
            "x 2",
            "Reihe 4",
            "Sitz 12",
            "für",
            "for",
            "pour",
            "voor",
            "Miete",
            "Juni",
            "June",
            "EUR",
            "CHF",
            "Müller",
            "Anna",
            "Jean-Pierre",
            "O'Brien",
            "Schmidt",
            "Smith",
            "SVWZ+",
            "EREF+",
            "MREF+",
            "NOTPROVIDED",
            "Nr.",
            "No",
            "Ref:",
            "vom",
            "Danke",
            "Merci",
            "2027",
            "A4",
            "B7K",
            "4 PAX",
            "TS",
            "TS2027",
            "GTS",
            "PORTS 7",
            "Verein",
            "e.V.",
            "GmbH",
        ];
        let mut text = String::new();
        for _ in 0..3 + lot.below(8) {
            let part = match lot.below(9) {
                0 => format!("{:02}.{:02}.2027", 1 + lot.below(28), 1 + lot.below(12)),
                1 => format!("{},{:02}", lot.below(400), lot.below(100)),
                2 => (0..4 + lot.below(12)).map(|_| char::from(b'0' + lot.below(10) as u8)).collect(),
                3 if codes => (0..4 + lot.below(8)).map(|_| char::from(ALPHABET[lot.below(32)])).collect(),
                _ => lot.one(WORDS).to_owned(),
            };
            text += &part;
            text += lot.one(&[" ", " ", " ", " ", "-", "/", ", ", "\n", "", ""]);
        }
        text
    }

    fn false_finds(count: usize, codes: bool) -> Vec<String> {
        let mut lot = Lot(37);
        let texts = (0..count).map(|_| purpose(&mut lot, codes));
        texts.filter(|text| !find_codes(text, "TS").is_empty()).collect()
    }

    #[test]
    fn what_people_write_is_not_taken_for_a_reference() {
        assert_eq!(false_finds(20_000, false), Vec::<String>::new());
        let near = "Tickets 24.06.2027 M. Tickets 2 Pax 50 CHF, TS 2027-06-01; IBAN TS12 3456 7890";
        assert_eq!(find_codes(near, "TS"), Vec::<String>::new());
    }

    #[test]
    #[ignore = "a million texts, twice: cargo test --release -- --ignored"]
    fn false_finds_are_rare() {
        let found = [false, true].map(|codes| false_finds(1_000_000, codes));
        println!("{found:#?}");
        assert!(found[0].len() <= 1 && found[1].len() <= 10, "{} and {}", found[0].len(), found[1].len());
    }

    /// Every character put wrong, and every two neighbours exchanged, in a sample: how much of it still checks.
    #[test]
    fn slips_of_the_pen_are_noticed() {
        let (mut wrong, mut missed, mut swapped, mut unnoticed) = (0, 0, 0, 0);
        for bits in (0..200).map(|index| index * 85_899_311) {
            let plain = squeezed(&reference("TS", bits));
            for at in 2..plain.len() {
                for letter in ALPHABET.iter().filter(|letter| **letter != plain[at].letter) {
                    let mut slip = plain.clone();
                    slip[at].letter = *letter;
                    wrong += 1;
                    missed += u32::from(number(&slip, b"TS").is_some());
                }
                let mut slip = plain.clone();
                slip.swap(at - 1, at);
                let differs = slip[at].letter != plain[at].letter;
                swapped += u32::from(differs);
                unnoticed += u32::from(differs && number(&slip, b"TS").is_some());
            }
        }
        println!("{missed} of {wrong} characters, {unnoticed} of {swapped} exchanges");
        assert!(missed * 200 < wrong && unnoticed * 200 < swapped, "1 in 200 at most");
    }

    /// What happens to a reference between the buyer's screen and the statement.
    fn mangled(code: &str, lot: &mut Lot) -> String {
        let mut text =
            lot.one(&["", "Rechnung", "Tickets ", "SVWZ+", "Müller", "24.06.2027 ", "TS", "TS-2"]).to_owned();
        let dash = lot.one(&["-", "", " ", "\n", " - ", "–", ".", "/", "?", "\r\n  "]);
        // Not right after the prefix: with a word before it and without dashes, that would be a gap between words.
        let after_prefix = code.find('-').map_or(0, |dash| dash.saturating_sub(1));
        let breaks = Some(lot.below(20)).filter(|at| *at != after_prefix && *at != after_prefix + 1);
        for (at, c) in code.chars().enumerate() {
            match (c, lot.below(6)) {
                ('-', _) => text += dash,
                ('0', 0) => text.push('O'),
                ('0', 1) => text.push('o'),
                ('1', 0) => text.push('I'),
                ('1', 1) => text.push('l'),
                ('1', 2) => text.push('i'),
                (_, 3) => text.push(c.to_ascii_lowercase()),
                _ => text.push(c),
            }
            if Some(at) == breaks {
                text += lot.one(&[" ", "\n", "\r\n"]);
            }
        }
        text + lot.one(&["", "danke", " 12,50", "2027", "\n", "-TS", "äh"])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_reference_survives_what_people_and_banks_do_to_it(
            bits in 0u64..1 << REFERENCE_BITS, seed: u64, prefix in "[A-Z]{2,4}"
        ) {
            let code = reference(&prefix, bits);
            prop_assert_eq!(parse(&code, &prefix), Some(bits));
            let text = mangled(&code, &mut Lot(seed));
            let found = find_codes(&text, &prefix);
            prop_assert!(found.contains(&code), "{:?} in {:?}: {:?}", code, text, found);
        }

        #[test]
        fn no_text_is_too_strange(text: String, prefix: String) {
            for code in find_codes(&text, &prefix) {
                prop_assert!(parse(&code, &prefix).is_some());
            }
        }
    }
}
