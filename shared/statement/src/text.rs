//! Bytes to characters: UTF-8, UTF-16, Windows-1252.

use std::borrow::Cow;

/// The characters of the bytes 0x80 to 0x9F in Windows-1252, which beyond them is ISO-8859-1: <https://encoding.spec.whatwg.org/index-windows-1252.txt>.
/// The five that the code page leaves open stay control characters, as there.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The characters of a file: by its byte order mark, else as UTF-8, and as Windows-1252 if it is not that.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => narrow(rest),
        _ => narrow(bytes),
    }
}

fn narrow(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|byte| windows(*byte)).collect::<String>().into(),
    }
}

fn windows(byte: u8) -> char {
    let control = byte.checked_sub(0x80).and_then(|index| WINDOWS.get(usize::from(index)));
    control.copied().unwrap_or(char::from(byte))
}

fn wide(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Cow<'static, str> {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect::<String>()
        .into()
}

/// What people upload by mistake, by how it begins.
pub(crate) fn other_format(bytes: &[u8]) -> Option<&'static str> {
    let start = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
    let kinds: [(&[u8], _); 8] = [
        (b"%PDF", "a PDF"),
        (b"PK\x03\x04", "a spreadsheet or a ZIP archive"),
        (b"\xD0\xCF\x11\xE0", "a spreadsheet"),
        (b"\x1F\x8B", "a compressed archive"),
        (b":20:", "an MT940 file"),
        (b"{1:", "an MT940 file"),
        (b"OFXHEADER", "an OFX file"),
        (b"!Type:", "a QIF file"),
    ];
    kinds.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, kind)| kind)
}

/// The same words with single spaces between them.
pub(crate) fn tidy(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Counts lines on the way through a text.
pub(crate) struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    pub(crate) const fn of(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0, line: 1 }
    }

    /// The line of a place that is not before the last one asked for.
    pub(crate) fn line_of(&mut self, place: usize) -> usize {
        let end = place.clamp(self.at, self.bytes.len());
        for index in self.at..end {
            let next = self.bytes.get(index + 1);
            let ends = match self.bytes[index] {
                b'\n' => true,
                b'\r' => next != Some(&b'\n'),
                _ => false,
            };
            self.line += usize::from(ends);
        }
        self.at = end;
        self.line
    }

    /// The line of the first character at or after a place that ends no line.
    pub(crate) fn line_of_text(&mut self, place: usize) -> usize {
        let rest = self.bytes.get(place..).unwrap_or_default();
        let breaks = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        self.line_of(place + breaks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encodings_of_the_banks_are_told_apart() {
        assert_eq!(decode("Zürich €".as_bytes()), "Zürich €");
        assert_eq!(decode("\u{feff}Zürich".as_bytes()), "Zürich");
        assert_eq!(decode(b"Z\xFCrich \x80 \x96 \x81"), "Zürich € – \u{81}");
        let wide: Vec<u8> = "\u{feff}Zürich €".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(&wide), "Zürich €");
        let wide: Vec<u8> = "\u{feff}Zürich".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode(&wide), "Zürich");
    }

    #[test]
    fn lines_are_counted_whatever_ends_them() {
        let text = "a\nb\r\nc\rd\n\n\ne";
        let mut lines = Lines::of(text);
        let counted: Vec<usize> = "abcd".chars().map(|c| lines.line_of(text.find(c).unwrap())).collect();
        assert_eq!(counted, [1, 2, 3, 4]);
        assert_eq!(lines.line_of_text(text.find("d\n").unwrap() + 1), 7, "blank lines are passed over");
    }

    #[test]
    fn what_is_no_statement_is_called_by_its_name() {
        for (start, kind) in [("%PDF-1.7", "a PDF"), ("\n:20:START", "an MT940 file")] {
            assert_eq!(other_format(start.as_bytes()), Some(kind));
        }
        assert_eq!(other_format(b"Date;Amount"), None);
    }
}
