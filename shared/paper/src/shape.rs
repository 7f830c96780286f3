//! From characters to positioned glyphs: bidirectional order, one run per script and font, OpenType shaping.
//!
//! Lengths are in em (multiples of the font size), so one shaping serves every size that layout tries.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

use krilla::text::{GlyphId, KrillaGlyph};
use rustybuzz::ttf_parser::Tag;
use rustybuzz::{Direction, ShapePlan, UnicodeBuffer};
use unicode_bidi::{BidiInfo, Level};
use unicode_script::{Script, UnicodeScript};

use crate::fonts::{Family, Library, Weight};

/// How the letters of a paragraph look, besides their size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Style {
    pub(crate) weight: Weight,
    /// Extra space after each letter, in em. Scripts whose letters touch ignore it.
    pub(crate) tracking: f32,
}

impl Style {
    pub(crate) const REGULAR: Style = Style { weight: Weight::Regular, tracking: 0.0 };
    pub(crate) const BOLD: Style = Style { weight: Weight::Bold, tracking: 0.0 };

    pub(crate) const fn tracked(self, tracking: f32) -> Style {
        Style { tracking, ..self }
    }
}

/// Shapes text of one document in its language.
pub(crate) struct Shaper {
    library: &'static Library,
    language: Option<rustybuzz::Language>,
    right_to_left: bool,
    /// Plans are dear to make and alike for every run of the same kind.
    plans: RefCell<Vec<(Kind, ShapePlan)>>,
}

/// What a shape plan depends on.
#[derive(Clone, Copy, PartialEq)]
struct Kind {
    family: Family,
    weight: Weight,
    script: Option<rustybuzz::Script>,
    direction: Direction,
}

impl Shaper {
    /// `language` is a BCP 47 tag: it picks local letter forms and the direction of text that has none.
    pub(crate) fn new(library: &'static Library, language: &str) -> Shaper {
        Shaper {
            library,
            // A tag that cannot be read only means that no local forms are picked.
            language: language.parse().ok(),
            right_to_left: is_right_to_left(language),
            plans: RefCell::default(),
        }
    }

    pub(crate) fn library(&self) -> &'static Library {
        self.library
    }

    pub(crate) fn right_to_left(&self) -> bool {
        self.right_to_left
    }

    fn shape(&self, kind: Kind, buffer: UnicodeBuffer) -> rustybuzz::GlyphBuffer {
        let face = &self.library.face(kind.family, kind.weight).shaping;
        let mut plans = self.plans.borrow_mut();
        let known = plans.iter().position(|(known, _)| *known == kind);
        let index = known.unwrap_or_else(|| {
            let plan = ShapePlan::new(face, kind.direction, kind.script, self.language.as_ref(), &[]);
            plans.push((kind, plan));
            plans.len() - 1
        });
        rustybuzz::shape_with_plan(face, &plans[index].1, buffer)
    }
}

/// Whether a language is written from right to left, by the primary subtag of its BCP 47 tag.
pub(crate) fn is_right_to_left(language: &str) -> bool {
    let primary = language.split(['-', '_']).next().unwrap_or_default();
    ["ar", "he", "fa", "ur", "ps", "sd", "ug", "yi", "ckb", "dv"]
        .iter()
        .any(|code| code.eq_ignore_ascii_case(primary))
}

/// One line's worth of characters: line ends, tabs and other control characters become spaces, outer space goes.
pub(crate) fn single_line(text: &str) -> Cow<'_, str> {
    let control = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let text = text.trim();
    if text.contains(control) { text.replace(control, " ").into() } else { text.into() }
}

/// Glyphs of one font and direction, in visual order.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) family: Family,
    pub(crate) weight: Weight,
    /// Where the characters stand in the paragraph, in bytes.
    pub(crate) start: usize,
    /// The characters, in reading order; the glyphs' ranges point into it.
    pub(crate) text: String,
    pub(crate) glyphs: Vec<KrillaGlyph>,
    /// In em.
    pub(crate) width: f32,
}

/// One line, its runs from left to right.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) runs: Vec<Run>,
    /// In em.
    pub(crate) width: f32,
}

/// Characters that share font and script, in reading order.
#[derive(Debug)]
struct Segment {
    range: Range<usize>,
    family: Family,
    script: Script,
}

/// A paragraph, ready to give any stretch of itself as a line.
pub(crate) struct Paragraph<'a> {
    shaper: &'a Shaper,
    text: &'a str,
    style: Style,
    bidi: BidiInfo<'a>,
    segments: Vec<Segment>,
}

impl<'a> Paragraph<'a> {
    /// `text` holds no line ends: see [`single_line`]. Its first letter gives its direction, unless `base` does.
    pub(crate) fn new(shaper: &'a Shaper, text: &'a str, style: Style, base: Option<Level>) -> Paragraph<'a> {
        let base = base.or_else(|| {
            let undecided = unicode_bidi::get_base_direction(text) == unicode_bidi::Direction::Mixed;
            (undecided && shaper.right_to_left).then(Level::rtl)
        });
        let bidi = BidiInfo::new(text, base);
        let segments = segments(shaper.library, text, style.weight);
        Paragraph { shaper, text, style, bidi, segments }
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn shaper(&self) -> &'a Shaper {
        self.shaper
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// The direction of the paragraph as a whole.
    pub(crate) fn base(&self) -> Level {
        self.bidi.paragraphs.first().map_or(Level::ltr(), |paragraph| paragraph.level)
    }

    /// The glyphs of `range` (bytes, on character boundaries), as they stand on one line.
    pub(crate) fn line(&self, range: Range<usize>) -> Line {
        let mut runs = Vec::new();
        if let Some(paragraph) = self.bidi.paragraphs.first()
            && !range.is_empty()
        {
            let (levels, stretches) = self.bidi.visual_runs(paragraph, range);
            for stretch in stretches {
                let right_to_left = levels[stretch.start].is_rtl();
                let pieces = self.segments.iter().filter_map(|segment| {
                    let start = segment.range.start.max(stretch.start);
                    let end = segment.range.end.min(stretch.end);
                    (start < end).then(|| self.run(start..end, segment, right_to_left))
                });
                let from = runs.len();
                runs.extend(pieces);
                if right_to_left {
                    runs[from..].reverse();
                }
            }
        }
        // Space between letters, not after the last one: a centred line would sit off centre.
        let width: f32 = runs.iter().map(|run| run.width).sum();
        let last = runs.last().map_or(0.0, |run| tracking(self.style, run.family));
        Line { runs, width: width - last }
    }

    fn run(&self, range: Range<usize>, segment: &Segment, right_to_left: bool) -> Run {
        let text = &self.text[range.clone()];
        let kind = Kind {
            family: segment.family,
            weight: self.style.weight,
            script: rustybuzz_script(segment.script),
            direction: if right_to_left { Direction::RightToLeft } else { Direction::LeftToRight },
        };
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(text);
        // What stands around decides how the outer letters join, also where a line or font ends inside a word.
        buffer.set_pre_context(&self.text[..range.start]);
        buffer.set_post_context(&self.text[range.end..]);
        buffer.set_direction(kind.direction);
        if let Some(script) = kind.script {
            buffer.set_script(script);
        }
        if let Some(language) = &self.shaper.language {
            buffer.set_language(language.clone());
        }
        let shaped = self.shaper.shape(kind, buffer);

        let em = self.shaper.library.face(kind.family, kind.weight).embedding.units_per_em();
        let mut starts: Vec<usize> = shaped.glyph_infos().iter().map(|info| info.cluster as usize).collect();
        starts.sort_unstable();
        starts.dedup();
        let mut glyphs: Vec<KrillaGlyph> = shaped
            .glyph_infos()
            .iter()
            .zip(shaped.glyph_positions())
            .map(|(info, position)| {
                let start = info.cluster as usize;
                let next = starts.partition_point(|other| *other <= start);
                let end = starts.get(next).copied().unwrap_or(text.len());
                KrillaGlyph::new(
                    GlyphId::new(info.glyph_id),
                    position.x_advance as f32 / em,
                    position.x_offset as f32 / em,
                    position.y_offset as f32 / em,
                    position.y_advance as f32 / em,
                    start..end,
                    None,
                )
            })
            .collect();
        let tracking = tracking(self.style, kind.family);
        if tracking != 0.0 {
            for index in 0..glyphs.len() {
                let ends =
                    glyphs.get(index + 1).is_none_or(|next| next.text_range != glyphs[index].text_range);
                if ends {
                    glyphs[index].x_advance += tracking;
                }
            }
        }
        let width = glyphs.iter().map(|glyph| glyph.x_advance).sum();
        Run { family: kind.family, weight: kind.weight, start: range.start, text: text.into(), glyphs, width }
    }
}

/// Letters that join must not be pulled apart.
fn tracking(style: Style, family: Family) -> f32 {
    if family == Family::Sans { style.tracking } else { 0.0 }
}

fn rustybuzz_script(script: Script) -> Option<rustybuzz::Script> {
    let name: [u8; 4] = script.short_name().as_bytes().try_into().ok()?;
    rustybuzz::Script::from_iso15924_tag(Tag::from_bytes(&name))
}

/// Splits a text where its script or its font changes. Spaces, digits and signs belong to no script: they stay
/// with the letters before them (or, at the start, after them) as long as that font has them.
fn segments(library: &Library, text: &str, weight: Weight) -> Vec<Segment> {
    let own = |c: char| Some(c.script()).filter(|s| !matches!(s, Script::Common | Script::Inherited));
    let mut script = text.chars().find_map(own).unwrap_or(Script::Latin);
    let mut segments: Vec<Segment> = Vec::new();
    for (start, character) in text.char_indices() {
        let end = start + character.len_utf8();
        script = own(character).unwrap_or(script);
        let last = segments.last_mut();
        let attaches = character.script() == Script::Inherited || is_invisible(character);
        if let Some(last) = last {
            // A mark or a joiner drawn from another font than its letter could neither sit on it nor join it.
            let same = attaches
                && (is_invisible(character) || {
                    library.family_with(character, last.family, weight) == last.family
                });
            if same {
                last.range.end = end;
                continue;
            }
        }
        let preferred = Family::for_script(script);
        let family = library.family_with(character, preferred, weight);
        // A sign borrowed from the Latin font is shaped as Latin: the rules of the other script are not in that file.
        let borrowed = family == Family::Sans && preferred != Family::Sans;
        let script = if borrowed { Script::Latin } else { script };
        match segments.last_mut() {
            Some(last) if last.family == family && last.script == script => last.range.end = end,
            _ => segments.push(Segment { range: start..end, family, script }),
        }
    }
    segments
}

/// Joiners, direction marks and variation selectors: characters that steer and are not seen.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FE00}'..='\u{FE0F}')
}
