//! Lines that fit a box: line breaks, shrinking within bounds, and an ellipsis as the last resort.

use std::ops::Range;

use unicode_linebreak::linebreaks;

use crate::shape::{Line, Paragraph, Shaper, Style, single_line};

/// Rounding slack when a width is compared with its box, in em.
const SLACK: f32 = 0.001;

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

    let mut size = fit.largest;
    let mut broken = measure.breaks(fit.width / size);
    while (broken.forced || broken.lines.len() > fit.max_lines) && size > fit.smallest {
        size = (size - 0.5).max(fit.smallest);
        broken = measure.breaks(fit.width / size);
    }
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
            if let Some(advance) = advance {
                clusters.push((offset, before));
                before += advance;
            }
        }
        clusters.push((text.len(), before));
        let opportunities = linebreaks(text).map(|(offset, _)| offset).collect();
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
