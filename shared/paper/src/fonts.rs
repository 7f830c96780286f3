//! The embedded fonts: Noto Sans, one family per script group, in two weights.
//!
//! The files are parsed once per process: a warm function pays nothing for them.

use std::sync::OnceLock;

use rustybuzz::ttf_parser;
use unicode_script::Script;

use crate::PaperError;

/// How heavy the strokes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Running text.
    Regular,
    /// Headings and values.
    Bold,
}

/// Which group of scripts a font file covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Latin, Greek, Cyrillic, punctuation and currency signs; also the box shown for what no file has.
    Sans,
    Arabic,
    Hebrew,
    Devanagari,
}

impl Family {
    const ALL: [Family; 4] = [Family::Sans, Family::Arabic, Family::Hebrew, Family::Devanagari];

    /// The family made for a script; [`Family::Sans`] when none is.
    pub(crate) fn for_script(script: Script) -> Family {
        match script {
            Script::Arabic => Family::Arabic,
            Script::Hebrew => Family::Hebrew,
            Script::Devanagari => Family::Devanagari,
            _ => Family::Sans,
        }
    }

    fn index(self) -> usize {
        match self {
            Family::Sans => 0,
            Family::Arabic => 1,
            Family::Hebrew => 2,
            Family::Devanagari => 3,
        }
    }
}

/// One font file, parsed for shaping and for embedding.
pub(crate) struct Face {
    /// For shaping: character map, substitutions, positions.
    pub(crate) shaping: rustybuzz::Face<'static>,
    /// For embedding: the PDF writer cuts it to the glyphs used.
    pub(crate) embedding: krilla::text::Font,
}

impl Face {
    fn parse(name: &'static str, bytes: &'static [u8]) -> Result<Face, &'static str> {
        let shaping = rustybuzz::Face::from_slice(bytes, 0).ok_or(name)?;
        let embedding = krilla::text::Font::new(bytes.into(), 0).ok_or(name)?;
        Ok(Face { shaping, embedding })
    }

    fn has(&self, character: char) -> bool {
        self.shaping.glyph_index(character).is_some_and(|glyph| glyph != ttf_parser::GlyphId(0))
    }
}

/// Every embedded font.
pub(crate) struct Library {
    regular: [Face; 4],
    bold: [Face; 4],
}

/// The files of one weight, in the order of [`Family::index`].
macro_rules! files {
    ($weight:literal) => {
        [
            Face::parse(
                concat!("NotoSans-", $weight),
                include_bytes!(concat!("../fonts/NotoSans-", $weight, ".ttf")),
            )?,
            Face::parse(
                concat!("NotoSansArabic-", $weight),
                include_bytes!(concat!("../fonts/NotoSansArabic-", $weight, ".ttf")),
            )?,
            Face::parse(
                concat!("NotoSansHebrew-", $weight),
                include_bytes!(concat!("../fonts/NotoSansHebrew-", $weight, ".ttf")),
            )?,
            Face::parse(
                concat!("NotoSansDevanagari-", $weight),
                include_bytes!(concat!("../fonts/NotoSansDevanagari-", $weight, ".ttf")),
            )?,
        ]
    };
}

impl Library {
    /// The fonts compiled into the program.
    ///
    /// # Errors
    /// [`PaperError::Font`] names the file that cannot be read; only a damaged build has one.
    pub(crate) fn embedded() -> Result<&'static Library, PaperError> {
        static LIBRARY: OnceLock<Result<Library, &'static str>> = OnceLock::new();
        match LIBRARY.get_or_init(Library::parse) {
            Ok(library) => Ok(library),
            Err(name) => Err(PaperError::Font(name)),
        }
    }

    fn parse() -> Result<Library, &'static str> {
        Ok(Library { regular: files!("Regular"), bold: files!("Bold") })
    }

    pub(crate) fn face(&self, family: Family, weight: Weight) -> &Face {
        match weight {
            Weight::Regular => &self.regular[family.index()],
            Weight::Bold => &self.bold[family.index()],
        }
    }

    /// The family that shows `character`: the preferred one, else any that has it, else [`Family::Sans`], whose
    /// box says that something stands here.
    pub(crate) fn family_with(&self, character: char, preferred: Family, weight: Weight) -> Family {
        std::iter::once(preferred)
            .chain(Family::ALL)
            .find(|family| self.face(*family, weight).has(character))
            .unwrap_or(Family::Sans)
    }
}
