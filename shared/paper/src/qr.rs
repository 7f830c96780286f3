//! The QR code as one outline.
//!
//! Squares drawn side by side show hairlines between them in many viewers; an outline around the dark areas has no
//! inner edges, and is smaller.

use fast_qr::{ECL, Mode, QRBuilder};

use crate::PaperError;

/// The longest payload, in bytes: at level M the symbol then has 77 modules a side, which at the printed size of a
/// ticket are 0.58 mm each. Finer modules do not survive a cheap printer or a scratched screen.
pub const LONGEST_PAYLOAD: usize = 412;

/// A closed line through module corners, in modules from the top left.
pub(crate) type Contour = Vec<(usize, usize)>;

/// A QR code: which modules are dark.
pub(crate) struct Symbol {
    /// Modules per side, without the quiet zone.
    pub(crate) modules: usize,
    dark: Vec<bool>,
}

impl Symbol {
    /// Encodes `payload` with error correction M (15 % may be lost), in byte mode.
    ///
    /// # Errors
    /// [`PaperError::Payload`] when it is empty or longer than [`LONGEST_PAYLOAD`].
    pub(crate) fn encode(payload: &str) -> Result<Symbol, PaperError> {
        let refused = PaperError::Payload { bytes: payload.len() };
        if payload.is_empty() || payload.len() > LONGEST_PAYLOAD {
            return Err(refused);
        }
        // A byte mode of its own choosing would still be right, but the length limit would differ with the content.
        let code = QRBuilder::new(payload).ecl(ECL::M).mode(Mode::Byte).build().map_err(|_| refused)?;
        let dark = (0..code.size).flat_map(|row| code[row].iter().map(|module| module.value())).collect();
        Ok(Symbol { modules: code.size, dark })
    }

    fn is_dark(&self, column: isize, row: isize) -> bool {
        let side = self.modules as isize;
        (0..side).contains(&column)
            && (0..side).contains(&row)
            && self.dark[row as usize * self.modules + column as usize]
    }

    /// The borders of the dark areas, dark to the right of the way: fill them non-zero or even-odd.
    pub(crate) fn contours(&self) -> Vec<Contour> {
        /// Right, down, left, up: one more is a turn to the right.
        const STEPS: [(isize, isize); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];
        let corners = self.modules + 1;
        // For each corner, which of the four ways out of it are borders still to walk.
        let mut ways = vec![[false; 4]; corners * corners];
        for row in 0..corners {
            for column in 0..corners {
                let (x, y) = (column as isize, row as isize);
                // The cells at the right and at the left hand of each way.
                let cells = [
                    ((x, y), (x, y - 1)),
                    ((x - 1, y), (x, y)),
                    ((x - 1, y - 1), (x - 1, y)),
                    ((x, y - 1), (x - 1, y - 1)),
                ];
                ways[row * corners + column] = cells
                    .map(|(right, left)| self.is_dark(right.0, right.1) && !self.is_dark(left.0, left.1));
            }
        }
        let mut contours = Vec::new();
        for start in 0..ways.len() {
            while let Some(first) = ways[start].iter().position(|open| *open) {
                let mut contour = Vec::new();
                let (mut corner, mut way) = (start, first);
                loop {
                    contour.push((corner % corners, corner / corners));
                    // Straight on to where the border turns.
                    loop {
                        ways[corner][way] = false;
                        let (dx, dy) = STEPS[way];
                        corner = (corner as isize + dx + dy * corners as isize) as usize;
                        let right = (way + 1) % 4;
                        if ways[corner][right] || !ways[corner][way] {
                            break;
                        }
                    }
                    // Where two dark cells touch at a corner, the right turn stays with the one walked around.
                    let turns = [(way + 1) % 4, (way + 3) % 4];
                    match turns.into_iter().find(|turn| ways[corner][*turn]) {
                        Some(turn) => way = turn,
                        None => break,
                    }
                }
                contours.push(contour);
            }
        }
        contours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a scanner sees: the contours filled even-odd, with the quiet zone around.
    fn scanned(symbol: &Symbol) -> String {
        const PIXELS: usize = 4;
        const QUIET: usize = 4;
        let contours = symbol.contours();
        let side = (symbol.modules + 2 * QUIET) * PIXELS;
        // For each row of modules, where the upright borders cross it.
        let mut crossings = vec![Vec::new(); symbol.modules];
        for contour in &contours {
            for (index, (ax, ay)) in contour.iter().enumerate() {
                let (bx, by) = contour[(index + 1) % contour.len()];
                if *ax == bx {
                    (by.min(*ay)..by.max(*ay)).for_each(|row| crossings[row].push(bx as f32));
                }
            }
        }
        let inside = |x: f32, y: f32| {
            let row = crossings.get(y.floor() as usize).filter(|_| y > 0.0);
            row.is_some_and(|row| row.iter().filter(|border| **border < x).count() % 2 == 1)
        };
        let module = |pixel: usize| (pixel as f32 + 0.5) / PIXELS as f32 - QUIET as f32;
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| {
            if inside(module(x), module(y)) { 0 } else { 255 }
        });
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1, "one symbol is found");
        let (meta, content) = grids[0].decode().expect("it decodes");
        // Level M has the format bits 00.
        assert_eq!(meta.ecc_level, 0, "error correction M");
        content
    }

    #[test]
    fn a_scanner_reads_the_payload_back_from_the_outline() {
        let token = "eyJhbGciOiJFZERTQSJ9.".repeat(7);
        for payload in
            ["T", "https://tickets.example/7Q2K-94MX", &token, "Größe ليلى", &"x".repeat(LONGEST_PAYLOAD)]
        {
            let symbol = Symbol::encode(payload).expect("encodes");
            assert_eq!(scanned(&symbol), payload);
        }
    }

    #[test]
    fn the_longest_payload_has_modules_of_half_a_millimetre() {
        let symbol = Symbol::encode(&"x".repeat(LONGEST_PAYLOAD)).expect("encodes");
        assert_eq!(symbol.modules, 77);
    }

    #[test]
    fn a_payload_that_would_not_scan_is_refused() {
        for payload in [String::new(), "x".repeat(LONGEST_PAYLOAD + 1)] {
            let refused = Symbol::encode(&payload).err();
            assert!(matches!(refused, Some(PaperError::Payload { bytes }) if bytes == payload.len()));
        }
    }
}
