//! From characters to positioned glyphs: bidirectional order, one run per script and font, OpenType shaping.
//!
//! Lengths are in em (multiples of the font size), so one shaping serves every size that layout tries.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

use krilla::text::{GlyphId, KrillaGlyph};
use rustybuzz::ttf_parser::Tag;
use rustybuzz::{BufferClusterLevel, Direction, ShapePlan, UnicodeBuffer};
use unicode_bidi::{BidiInfo, Level};
use unicode_script::{Script, UnicodeScript};

use crate::figures::figures;
use crate::fonts::{Face, Family, Library, Weight};

/// How the letters of a paragraph look, besides their size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Style {
    pub(crate) weight: Weight,
    /// Extra space after each letter, in em. Scripts whose letters touch ignore it.
    pub(crate) tracking: f32,
    /// Whether a number keeps its sign, its groups and its percent sign in place between letters that read from the
    /// right, and on one line. By the rules of Unicode alone "-45.00" ends in its sign there, and "19 %" begins with it.
    pub(crate) figures: bool,
}

impl Style {
    pub(crate) const REGULAR: Style = Style { weight: Weight::Regular, tracking: 0.0, figures: false };
    pub(crate) const BOLD: Style = Style { weight: Weight::Bold, tracking: 0.0, figures: false };

    pub(crate) const fn tracked(self, tracking: f32) -> Style {
        Style { tracking, ..self }
    }

    pub(crate) const fn figures(self) -> Style {
        Style { figures: true, ..self }
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
            (undecided && shaper.right_to_left && !style.figures).then(Level::rtl)
        });
        let mut bidi = BidiInfo::new(text, base);
        if style.figures {
            figures(text).into_iter().for_each(|figure| keep_in_order(&mut bidi.levels[figure]));
        }
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
        buffer.push_str(&drawn(text));
        // What stands around decides how the outer letters join, also where a line or font ends inside a word.
        buffer.set_pre_context(&self.text[..range.start]);
        buffer.set_post_context(&self.text[range.end..]);
        buffer.set_direction(kind.direction);
        // Harakat keep their own place in the text, as letters do (see `one_glyph_per_letter`). Hebrew points are
        // copied in better order together with their letter, and Hebrew has no ligatures.
        let by_letter = kind.family == Family::Arabic && right_to_left;
        if by_letter {
            buffer.set_cluster_level(BufferClusterLevel::MonotoneCharacters);
        }
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
        if by_letter {
            glyphs = one_glyph_per_letter(self.shaper.library.face(kind.family, kind.weight), text, glyphs);
        }
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

/// What is drawn for a text: none of the fonts has the minus sign, and the dash that stands for it looks the same.
/// It is as many bytes long, so glyphs still point at what was written, and that is what is copied.
fn drawn(text: &str) -> Cow<'_, str> {
    const MINUS: char = '\u{2212}';
    if text.contains(MINUS) { text.replace(MINUS, "\u{2013}").into() } else { text.into() }
}

/// Gives a stretch one level, that of left to right.
fn keep_in_order(levels: &mut [Level]) {
    let deepest = levels.iter().copied().max().unwrap_or(Level::ltr());
    let level = if deepest.is_rtl() { Level::new(deepest.number() + 1).unwrap_or(deepest) } else { deepest };
    levels.fill(level);
}

/// Puts an empty glyph (what the Arabic files have for U+200C) beside a ligature for each further letter in it.
///
/// Readers turn the glyphs of right-to-left text round one by one; a glyph that stands for two letters comes out
/// with them swapped, and every lam-alef (and the end of Layla) would be copied and found misspelt.
fn one_glyph_per_letter(face: &Face, text: &str, glyphs: Vec<KrillaGlyph>) -> Vec<KrillaGlyph> {
    let Some(empty) = face.shaping.glyph_index('\u{200C}') else { return glyphs };
    let mut separate = Vec::with_capacity(glyphs.len());
    for (index, glyph) in glyphs.iter().enumerate() {
        let range = glyph.text_range.clone();
        let beside = [index.checked_sub(1), Some(index + 1)].into_iter().flatten();
        let alone = beside.filter_map(|other| glyphs.get(other)).all(|other| other.text_range != range);
        let mut letters: Vec<_> = text[range.clone()]
            .char_indices()
            .map(|(at, c)| range.start + at..range.start + at + c.len_utf8())
            .collect();
        if !alone || letters.len() < 2 {
            separate.push(glyph.clone());
            continue;
        }
        let first = letters.remove(0);
        let rest = letters.into_iter().rev();
        separate.extend(rest.map(|text_range| KrillaGlyph {
            glyph_id: GlyphId::new(empty.0.into()),
            text_range,
            x_advance: 0.0,
            x_offset: 0.0,
            ..glyph.clone()
        }));
        separate.push(KrillaGlyph { text_range: first, ..glyph.clone() });
    }
    separate
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
        // A joiner from another font than its letters could not join them.
        if is_invisible(character)
            && let Some(last) = segments.last_mut()
        {
            last.range.end = end;
            continue;
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
    matches!(character, '\u{34F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}')
        || matches!(character, '\u{2060}'..='\u{2069}' | '\u{FE00}'..='\u{FE0F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let shaper = Shaper::new(Library::embedded().expect("fonts"), "en");
        Paragraph::new(&shaper, text, Style::REGULAR, None).line(0..text.len())
    }

    fn texts(line: &Line) -> Vec<&str> {
        line.runs.iter().map(|run| run.text.as_str()).collect()
    }

    fn glyphs(line: &Line) -> Vec<u32> {
        let all = line.runs.iter().flat_map(|run| &run.glyphs);
        all.filter(|glyph| glyph.x_advance > 0.0).map(|glyph| glyph.glyph_id.to_u32()).collect()
    }

    fn glyph_of(family: Family, character: char) -> u32 {
        let face = Library::embedded().expect("fonts").face(family, Weight::Regular);
        face.shaping.glyph_index(character).expect("in the font").0.into()
    }

    #[test]
    fn arabic_letters_take_their_joined_forms_from_right_to_left() {
        let (word, lam, dal) = (glyphs(&line("لبد")), glyphs(&line("ل")), glyphs(&line("د")));
        assert_eq!(word.len(), 3);
        assert_ne!(word[2], lam[0], "the first letter, at the right, is an initial lam");
        assert_ne!(word[0], dal[0], "the last letter, at the left, is a final dal");
    }

    #[test]
    fn lam_and_alef_are_one_glyph_and_still_two_letters_to_copy() {
        let line = line("سلام");
        assert_eq!(glyphs(&line).len(), 3);
        let letters: Vec<&str> = line.runs[0]
            .glyphs
            .iter()
            .rev()
            .map(|glyph| &line.runs[0].text[glyph.text_range.clone()])
            .collect();
        assert_eq!(letters, ["س", "ل", "ا", "م"]);
    }

    #[test]
    fn the_glyph_that_stands_for_the_second_letter_of_a_ligature_is_empty() {
        for weight in [Weight::Regular, Weight::Bold] {
            let face = &Library::embedded().expect("fonts").face(Family::Arabic, weight).shaping;
            let empty = face.glyph_index('\u{200C}').expect("in the font");
            assert_eq!(face.glyph_bounding_box(empty), None);
            assert_eq!(face.glyph_hor_advance(empty), Some(0));
        }
    }

    #[test]
    fn the_short_i_of_devanagari_stands_before_its_consonant() {
        let line = line("कि");
        let drawn = glyphs(&line);
        assert_eq!(drawn.len(), 2);
        assert_eq!(drawn[1], glyph_of(Family::Devanagari, 'क'));
    }

    #[test]
    fn devanagari_consonants_form_conjuncts() {
        assert_eq!(glyphs(&line("क्ष")).len(), 1);
        assert_eq!(glyphs(&line("कष")).len(), 2);
    }

    #[test]
    fn an_accent_sits_on_its_letter_also_when_it_comes_by_itself() {
        assert_eq!(glyphs(&line("e\u{301}")), glyphs(&line("é")));
    }

    #[test]
    fn characters_that_are_not_seen_do_not_part_a_letter_from_its_points() {
        assert_eq!(texts(&line("ש\u{34F}ּא")).len(), 1);
        assert_eq!(texts(&line("می\u{200C}خواهم")).len(), 1);
        assert_eq!(glyphs(&line("ج\u{FE0F}د")).len(), 2);
    }

    #[test]
    fn arabic_within_latin_turns_round_and_the_rest_stays() {
        let line = line("Layla ليلى (VIP)");
        assert_eq!(texts(&line), ["Layla ", "ليلى", " ", "(VIP)"]);
        let arabic = &line.runs[1].glyphs;
        assert!(arabic.windows(2).all(|pair| pair[0].text_range.start > pair[1].text_range.start));
    }

    #[test]
    fn latin_within_arabic_stands_at_the_left_in_mirrored_brackets() {
        let line = line("ليلى (VIP)");
        let order: String = texts(&line).concat();
        assert!(order.starts_with(')') && order.ends_with("ليلى "), "{order}");
        assert!(order.contains("VIP"));
        // The closing bracket is the leftmost, so it has to look like an opening one.
        assert_eq!(glyphs(&line)[0], glyph_of(Family::Sans, '('));
    }

    #[test]
    fn hebrew_reads_from_the_right() {
        let line = line("שלום");
        let expected: Vec<u32> = "םולש".chars().map(|letter| glyph_of(Family::Hebrew, letter)).collect();
        assert_eq!(glyphs(&line), expected);
    }

    #[test]
    fn a_text_without_letters_follows_the_document() {
        let library = Library::embedded().expect("fonts");
        for (language, right_to_left) in [("en", false), ("ar-EG", true), ("HE", true), ("", false)] {
            let shaper = Shaper::new(library, language);
            let paragraph = Paragraph::new(&shaper, "123 – 456", Style::REGULAR, None);
            assert_eq!(paragraph.base().is_rtl(), right_to_left, "{language}");
        }
    }

    #[test]
    fn every_script_of_the_samples_has_its_glyphs_in_both_weights() {
        let shaper = Shaper::new(Library::embedded().expect("fonts"), "en");
        let names = [
            "Åsa Łukasz Çağrı Nguyễn Đặng Þór ẞ ŵ €",
            "Ελευθερία Ωδείο",
            "Ґалаґан Їжак Ђорђе Ёлка ₴",
            "ليلى پژمان چڭ ٤",
            "נֹעַם ג׳אז ₪",
            "श्रीमती लक्ष्मी कृष्णमूर्ति ₹",
        ];
        for (name, style) in names.into_iter().flat_map(|name| [(name, Style::REGULAR), (name, Style::BOLD)])
        {
            let line = Paragraph::new(&shaper, name, style, None).line(0..name.len());
            assert!(!glyphs(&line).contains(&0), "{name}");
        }
    }

    #[test]
    fn an_unknown_script_shows_boxes_and_leaves_the_rest_alone() {
        let line = line("山田 Tarō");
        assert_eq!(glyphs(&line).iter().filter(|glyph| **glyph == 0).count(), 2);
        assert_eq!(glyphs(&line)[3..], glyphs(&self::line("Tarō")));
    }

    #[test]
    fn each_letter_can_be_copied() {
        for text in ["Layla ليلى (VIP)", "श्रीमती कृष्णमूर्ति", "בֶּן־דָּוִד Ψ", "fi ﬁ e\u{301} 🎷\u{200D}x"]
        {
            for run in line(text).runs {
                let mut covered = vec![false; run.text.len()];
                run.glyphs.iter().for_each(|glyph| covered[glyph.text_range.clone()].fill(true));
                assert!(covered.iter().all(|byte| *byte), "{text}: {}", run.text);
            }
        }
    }

    #[test]
    fn letters_that_join_are_never_spaced() {
        let shaper = Shaper::new(Library::embedded().expect("fonts"), "en");
        let width = |text: &str, style| Paragraph::new(&shaper, text, style, None).line(0..text.len()).width;
        let spaced = Style::REGULAR.tracked(0.1);
        assert_eq!(width("ليلى", spaced), width("ليلى", Style::REGULAR));
        let difference = width("abc", spaced) - width("abc", Style::REGULAR);
        assert!((difference - 0.2).abs() < 0.001, "between letters only: {difference}");
    }

    /// The characters as they stand on paper, from left to right.
    fn seen(language: &str, style: Style, text: &str) -> String {
        let shaper = Shaper::new(Library::embedded().expect("fonts"), language);
        let line = Paragraph::new(&shaper, text, style, None).line(0..text.len());
        let glyphs = line.runs.iter().flat_map(|run| run.glyphs.iter().map(move |glyph| (run, glyph)));
        glyphs.map(|(run, glyph)| &run.text[glyph.text_range.clone()]).collect()
    }

    #[test]
    fn numbers_keep_their_sign_groups_and_percent_in_place_among_letters_read_from_the_right() {
        for (text, expected) in [
            ("-45.00", "-45.00"),
            ("−45.00 SAR", "−45.00 SAR"),
            ("15 %", "15 %"),
            ("€ 5.00", "€ 5.00"),
            ("−₪5.00", "−₪5.00"),
            ("+966 11 234 5678", "+966 11 234 5678"),
            ("−40.00 ر.س", "س.ر −40.00"),
            ("خصم 10 %", "10 % مصخ"),
            ("رقم 300 012 345", "300 012 345 مقر"),
            // A house and a postcode are two numbers.
            ("شارع 12 11564", "11564 12 عراش"),
            ("من 3 - 5", "5 - 3 نم"),
        ] {
            assert_eq!(seen("ar", Style::REGULAR.figures(), text), expected);
            assert_eq!(seen("ar", Style::BOLD.figures(), text), expected);
        }
        assert_eq!(seen("ar", Style::REGULAR, "-45.00"), "45.00-", "what the style is for");
    }

    #[test]
    fn numbers_with_a_foreign_currency_keep_their_sign_also_on_an_english_page() {
        assert_eq!(seen("en", Style::REGULAR.figures(), "−40.00 ر.س"), "س.ر −40.00");
        assert_eq!(seen("en", Style::REGULAR.figures(), "a-40 b −5 %"), "a-40 b −5 %");
    }

    #[test]
    fn a_minus_sign_is_drawn_as_a_dash_and_copied_as_a_minus_sign() {
        let line = line("−5");
        assert_eq!(glyphs(&line), glyphs(&self::line("–5")));
        assert_eq!(texts(&line), ["−5"]);
    }

    #[test]
    fn direction_marks_of_other_programs_leave_no_box() {
        for text in ["\u{2066}−5 %\u{2069}", "\u{61C}-5", "\u{200F}-5\u{A0}د.إ.\u{200F}"] {
            assert!(!glyphs(&line(text)).contains(&0), "{text:?}");
        }
    }

    #[test]
    fn line_ends_and_control_characters_become_spaces() {
        assert_eq!(single_line(" a\nb\t\u{2029}c "), "a b  c");
    }
}
