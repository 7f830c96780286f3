//! Lines that fit a box: line breaks, shrinking within bounds, and an ellipsis as the last resort.

use std::ops::Range;

use unicode_linebreak::linebreaks;

use crate::figures::figures;
use crate::shape::{Line, Paragraph, Shaper, Style, single_line};

/// Rounding slack when a width is compared with its box, in em.
const SLACK: f32 = 0.001;

/// How far the baseline lies below the middle of a line, in em: ascent and descent of Noto Sans, centred.
pub(crate) const BASELINE: f32 = 0.36;

/// How much smaller letters may get to save a line.
const WORTH_A_LINE: f32 = 0.85;

/// The longest text that is shaped for a field, in characters: far more than any box holds.
const LONGEST: usize = 600;

/// The box a text has to fit, in points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fit {
    pub(crate) width: f32,
    /// The size it should have.
    pub(crate) largest: f32,
    /// The size below which it would not be read.
    pub(crate) smallest: f32,
    pub(crate) max_lines: usize,
    /// Distance of two baselines, in multiples of the size.
    pub(crate) leading: f32,
    /// Lines of about equal length, for headings: no last line of one short word.
    pub(crate) balanced: bool,
}

impl Fit {
    /// One size, as many lines as it takes.
    pub(crate) const fn flowing(width: f32, size: f32, leading: f32) -> Fit {
        Fit { width, largest: size, smallest: size, max_lines: usize::MAX, leading, balanced: false }
    }
}

/// Lines of one size.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) lines: Vec<Line>,
    /// In points.
    pub(crate) size: f32,
    /// Distance of two baselines, in points.
    pub(crate) leading: f32,
    /// Whether the text reads from right to left.
    pub(crate) right_to_left: bool,
}

impl Block {
    /// In points.
    pub(crate) fn height(&self) -> f32 {
        self.lines.len() as f32 * self.leading
    }

    /// How far the baseline of the first line lies below the top, in points.
    pub(crate) fn baseline(&self) -> f32 {
        self.leading / 2.0 + BASELINE * self.size
    }
}

/// How wide `text` is on one line, in em.
pub(crate) fn natural(shaper: &Shaper, text: &str, style: Style) -> f32 {
    let text = single_line(text);
    Paragraph::new(shaper, &text, style, None).line(0..text.len()).width
}

/// Sets `text` on one line, made smaller down to `smallest` where that saves it from being broken, and on as many
/// lines as it takes where it does not: figures and names that must neither be cut nor run over.
pub(crate) fn snug(
    shaper: &Shaper,
    text: &str,
    style: Style,
    width: f32,
    (size, smallest): (f32, f32),
    leading: f32,
) -> Block {
    let needed = natural(shaper, text, style);
    let size = if needed * size > width { (width / needed).clamp(smallest, size) } else { size };
    fit(shaper, text, style, Fit::flowing(width, size, leading))
}

/// Sets `text` on as many lines as it takes, made smaller down to `smallest` where that saves a word from being broken.
pub(crate) fn whole_words(
    shaper: &Shaper,
    text: &str,
    style: Style,
    width: f32,
    (size, smallest): (f32, f32),
    leading: f32,
) -> Block {
    let longest = text.split_whitespace().map(|word| natural(shaper, word, style)).fold(0.0, f32::max);
    let size = if longest * size > width { (width / longest).clamp(smallest, size) } else { size };
    fit(shaper, text, style, Fit::flowing(width, size, leading))
}

/// Sets `text` into the box: at the largest size at which whole words fit; at the smallest, words are broken and
/// what is left over ends in an ellipsis. No line is ever wider than the box.
pub(crate) fn fit(shaper: &Shaper, text: &str, style: Style, fit: Fit) -> Block {
    let text = single_line(text);
    let text = match text.char_indices().nth(LONGEST) {
        Some((end, _)) if fit.max_lines != usize::MAX => &text[..end],
        _ => &text,
    };
    let paragraph = Paragraph::new(shaper, text, style, None);
    let measure = Measure::of(&paragraph);

    let (size, mut broken) = measure.sized(fit);
    let limit = fit.width / size;
    if fit.balanced && !broken.forced && broken.lines.len() <= fit.max_lines {
        broken = measure.balanced(limit, broken);
    }

    let cut = broken.lines.len() > fit.max_lines;
    let mut lines = Vec::new();
    let mut queue = broken.lines;
    queue.truncate(fit.max_lines);
    for (index, range) in queue.iter().enumerate() {
        let line = if cut && index + 1 == queue.len() {
            ellipsis(&paragraph, &measure, range.start, limit)
        } else {
            paragraph.line(range.clone())
        };
        lines.push(line);
    }
    // A line shaped by itself may come out a hair wider than measured within the paragraph (kerning, joining):
    // the size gives way, not the box.
    let widest = lines.iter().map(|line| line.width).fold(0.0, f32::max);
    let size = if widest > limit { size * limit / widest } else { size };
    Block { lines, size, leading: size * fit.leading, right_to_left: paragraph.base().is_rtl() }
}

/// The line from `start` as far as it fits with an ellipsis behind it.
fn ellipsis(paragraph: &Paragraph<'_>, measure: &Measure<'_>, start: usize, limit: f32) -> Line {
    let text = paragraph.text();
    let fitting = measure
        .clusters
        .partition_point(|(offset, _)| *offset <= start || measure.width(start, *offset) <= limit);
    let ends = measure.clusters[..fitting].iter().rev().map(|(offset, _)| *offset);
    for end in ends.take_while(|end| *end > start) {
        let shortened = format!("{}…", text[..end].trim_end());
        if shortened.len() <= start {
            break;
        }
        let candidate =
            Paragraph::new(paragraph.shaper(), &shortened, paragraph.style(), Some(paragraph.base()));
        let line = candidate.line(start..shortened.len());
        if line.width <= limit + SLACK {
            return line;
        }
    }
    Paragraph::new(paragraph.shaper(), "…", paragraph.style(), Some(paragraph.base())).line(0.."…".len())
}

/// Where lines end.
struct Breaks {
    lines: Vec<Range<usize>>,
    /// Whether a word had to be broken.
    forced: bool,
}

/// Widths within a paragraph, in reading order.
struct Measure<'a> {
    text: &'a str,
    /// Where each cluster of glyphs starts (bytes) and how much stands before it (em); one more for the end.
    clusters: Vec<(usize, f32)>,
    /// Where a line may end (bytes).
    opportunities: Vec<usize>,
}

impl<'a> Measure<'a> {
    fn of(paragraph: &Paragraph<'a>) -> Measure<'a> {
        let text = paragraph.text();
        let mut advances = vec![None; text.len()];
        // Runs come in visual order and know only their own text; reading order gives them their place back.
        for run in paragraph.line(0..text.len()).runs {
            for glyph in run.glyphs {
                *advances[run.start + glyph.text_range.start].get_or_insert(0.0) += glyph.x_advance;
            }
        }
        let mut clusters = Vec::new();
        let mut before = 0.0;
        for (offset, advance) in advances.into_iter().enumerate() {
            // What takes no room sits on the letter before it: no line may end between the two.
            if let Some(advance) = advance.filter(|advance| *advance > 0.0 || offset == 0) {
                clusters.push((offset, before));
                before += advance;
            }
        }
        clusters.push((text.len(), before));
        // A number and its percent sign stay on one line, as far as one line holds them.
        let kept = if paragraph.style().figures { figures(text) } else { Vec::new() };
        let within = |offset: usize| kept.iter().any(|figure| figure.start < offset && offset < figure.end);
        let opportunities =
            linebreaks(text).map(|(offset, _)| offset).filter(|offset| !within(*offset)).collect();
        Measure { text, clusters, opportunities }
    }

    /// What stands before a byte offset, in em.
    fn before(&self, offset: usize) -> f32 {
        let index = self.clusters.partition_point(|(start, _)| *start < offset);
        self.clusters.get(index).or(self.clusters.last()).map_or(0.0, |(_, before)| *before)
    }

    fn width(&self, start: usize, end: usize) -> f32 {
        self.before(end) - self.before(start)
    }

    /// The range without the space at its end.
    fn trimmed(&self, start: usize, end: usize) -> Range<usize> {
        start..start + self.text[start..end].trim_end().len()
    }

    fn fits(&self, start: usize, end: usize, limit: f32) -> bool {
        let range = self.trimmed(start, end);
        self.width(range.start, range.end) <= limit + SLACK
    }

    /// The size and the line ends for a box. A line less is worth a little smaller letters: a date with its year
    /// on a line of its own reads worse than one set slightly smaller.
    fn sized(&self, fit: Fit) -> (f32, Breaks) {
        let mut size = fit.largest;
        let mut broken = self.breaks(fit.width / size);
        for lines in 1..=fit.max_lines {
            let last = lines == fit.max_lines || fit.largest <= fit.smallest;
            let floor = if last { fit.smallest } else { fit.smallest.max(fit.largest * WORTH_A_LINE) };
            let allowed = if fit.largest <= fit.smallest { fit.max_lines } else { lines };
            size = fit.largest;
            loop {
                broken = self.breaks(fit.width / size);
                if !broken.forced && broken.lines.len() <= allowed {
                    return (size, broken);
                }
                if size <= floor {
                    break;
                }
                size = (size - 0.5).max(floor);
            }
            if last {
                break;
            }
        }
        (size, broken)
    }

    /// As much as goes on each line, words whole where they can be.
    fn breaks(&self, limit: f32) -> Breaks {
        let mut broken = Breaks { lines: Vec::new(), forced: false };
        let mut start = 0;
        let mut last = 0;
        for &opportunity in &self.opportunities {
            if !self.fits(start, opportunity, limit) && last > start {
                broken.lines.push(self.trimmed(start, last));
                start = last;
            }
            while !self.fits(start, opportunity, limit) {
                let end = self.furthest(start, limit);
                if end >= opportunity {
                    break;
                }
                broken.forced = true;
                broken.lines.push(start..end);
                start = end;
            }
            last = opportunity;
        }
        if start < self.text.len() {
            broken.lines.push(self.trimmed(start, self.text.len()));
        }
        broken
    }

    /// The end of the last cluster that fits; at least one goes on a line, or it would never end.
    fn furthest(&self, start: usize, limit: f32) -> usize {
        let after = self.clusters.partition_point(|(offset, _)| *offset <= start);
        let beyond = self.clusters[after..]
            .iter()
            .position(|(offset, _)| self.width(start, *offset) > limit + SLACK)
            .map_or(self.clusters.len(), |position| after + position);
        let index = if beyond > after { beyond - 1 } else { after };
        self.clusters.get(index).map_or(self.text.len(), |(offset, _)| *offset)
    }

    /// The same number of lines in the narrowest measure that allows it.
    fn balanced(&self, limit: f32, broken: Breaks) -> Breaks {
        let mut best = broken;
        let (mut narrow, mut wide) = (limit / 2.0, limit);
        for _ in 0..6 {
            let middle = (narrow + wide) / 2.0;
            let tried = self.breaks(middle);
            if !tried.forced && tried.lines.len() == best.lines.len() {
                best = tried;
                wide = middle;
            } else {
                narrow = middle;
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fonts::Library;

    const BOX: Fit =
        Fit { width: 120.0, largest: 20.0, smallest: 10.0, max_lines: 2, leading: 1.2, balanced: false };

    fn set(text: &str, wanted: Fit) -> Block {
        let shaper = Shaper::new(Library::embedded().expect("fonts"), "en");
        fit(&shaper, text, Style::BOLD, wanted)
    }

    /// The lines as characters; right for left-to-right text only.
    fn lines(block: &Block) -> Vec<String> {
        block.lines.iter().map(|line| line.runs.iter().map(|run| run.text.as_str()).collect()).collect()
    }

    fn widest(block: &Block) -> f32 {
        block.lines.iter().map(|line| line.width * block.size).fold(0.0, f32::max)
    }

    #[test]
    fn a_short_text_keeps_its_size_and_line() {
        let block = set("Jazz", BOX);
        assert_eq!((lines(&block), block.size), (vec!["Jazz".into()], 20.0));
    }

    #[test]
    fn a_longer_text_wraps_between_words_without_the_space() {
        let block = set("Midwinter Music", BOX);
        assert_eq!((lines(&block), block.size), (vec!["Midwinter".into(), "Music".into()], 20.0));
    }

    #[test]
    fn a_word_too_long_for_the_box_makes_the_text_smaller_before_it_is_broken() {
        let block = set("Philharmonikerin", BOX);
        assert_eq!(lines(&block), ["Philharmonikerin"]);
        assert!(block.size < 20.0 && block.size >= 10.0);
        let broken = set("Donaudampfschifffahrtskapitän", BOX);
        assert_eq!((lines(&broken).len(), broken.size), (2, 10.0));
        assert_eq!(lines(&broken).concat(), "Donaudampfschifffahrtskapitän");
    }

    #[test]
    fn a_little_smaller_is_better_than_one_word_on_a_line_of_its_own() {
        let block = set("Saturday 14th", BOX);
        assert_eq!(lines(&block), ["Saturday 14th"]);
        assert!(block.size >= 20.0 * WORTH_A_LINE);
    }

    #[test]
    fn what_does_not_fit_at_the_smallest_size_ends_in_an_ellipsis() {
        let block = set(&"word ".repeat(40), BOX);
        assert_eq!((block.lines.len(), block.size), (2, 10.0));
        assert!(lines(&block)[1].ends_with('…'));
        assert!(!lines(&block)[0].contains('…'));
    }

    #[test]
    fn an_ellipsis_in_arabic_stands_at_the_left() {
        let block = set(&"مهرجان بيروت ".repeat(20), BOX);
        let last = block.lines.last().expect("lines");
        assert_eq!(last.runs.first().map(|run| run.text.as_str()), Some("…"));
        assert!(block.right_to_left);
    }

    #[test]
    fn balanced_lines_are_about_equally_long() {
        let wanted = Fit { width: 290.0, smallest: 20.0, balanced: true, ..BOX };
        let block = set("Midwinter Chamber Music Festival", wanted);
        assert_eq!(lines(&block), ["Midwinter Chamber", "Music Festival"]);
    }

    #[test]
    fn flowing_text_is_never_cut() {
        let text = "Bags larger than A4 have to be left in the cloakroom. ".repeat(40);
        let block = set(&text, Fit::flowing(120.0, 8.0, 1.4));
        assert_eq!(lines(&block).join(" "), text.trim());
    }

    #[test]
    fn what_must_stay_on_one_line_gets_smaller_and_is_never_cut() {
        let shaper = Shaper::new(Library::embedded().expect("fonts"), "en");
        let set = |text| snug(&shaper, text, Style::REGULAR, 60.0, (9.0, 5.5), 1.4);
        assert_eq!((lines(&set("1,250.00")), set("1,250.00").size), (vec!["1,250.00".into()], 9.0));
        let long = set("99,999,999,999.999");
        assert_eq!(lines(&long), ["99,999,999,999.999"]);
        assert!(long.size < 9.0 && long.size > 5.5, "{}", long.size);
        let longer = set("99,999,999,999,999,999,999,999.999");
        assert_eq!(
            (lines(&longer).concat().as_str(), longer.size),
            ("99,999,999,999,999,999,999,999.999", 5.5)
        );
        assert!(widest(&longer) <= 60.05);
    }

    #[test]
    fn a_number_is_not_parted_from_its_percent_sign() {
        let shaper = Shaper::new(Library::embedded().expect("fonts"), "en");
        let set = |style| fit(&shaper, "exempt 12.5 %", style, Fit::flowing(66.0, 10.0, 1.4));
        assert_eq!(lines(&set(Style::REGULAR)), ["exempt 12.5", "%"], "what the style is for");
        assert_eq!(lines(&set(Style::REGULAR.figures())), ["exempt", "12.5 %"]);
    }

    #[test]
    fn a_long_word_makes_a_name_smaller_and_its_words_still_wrap() {
        let shaper = Shaper::new(Library::embedded().expect("fonts"), "en");
        let block = whole_words(&shaper, "Philharmonikerin Schmidt", Style::BOLD, 80.0, (12.0, 6.0), 1.4);
        assert_eq!(lines(&block), ["Philharmonikerin", "Schmidt"]);
        assert!(block.size < 12.0, "{}", block.size);
    }

    #[test]
    fn nothing_gives_no_lines() {
        assert_eq!(set(" \n ", BOX).lines.len(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

        #[test]
        fn no_text_is_wider_or_higher_than_its_box(
            text in prop_oneof![
                "\\PC{0,120}",
                ".{0,120}",
                "[\\p{Arabic}\\p{Latin} ]{0,120}",
                "[\\p{Devanagari} ]{0,120}",
                "[\\p{Hebrew}(0-9) ]{0,120}",
            ],
            width in 20.0f32..300.0,
            balanced: bool,
        ) {
            let block = set(&text, Fit { width, balanced, ..BOX });
            prop_assert!(widest(&block) <= width + 0.05, "{} in {width}", widest(&block));
            prop_assert!(block.lines.len() <= 2);
            let flowing = set(&text, Fit::flowing(width, 9.0, 1.4));
            prop_assert!(widest(&flowing) <= width + 0.05, "{} in {width}", widest(&flowing));
        }
    }
}
