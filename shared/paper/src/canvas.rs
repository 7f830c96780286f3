//! One page to draw on, and the document around it.
//!
//! Points (1/72 inch) from the top left. In a document that reads from right to left the page is mirrored here, so
//! layouts are written once. Every block of text is tagged for screen readers, everything else is marked as
//! decoration.

use std::num::{NonZeroU16, NonZeroU32};

use krilla::color::rgb;
use krilla::geom::{Path, PathBuilder, Point, Rect, Transform};
use krilla::metadata::{Metadata, TextDirection};
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule, Stroke, StrokeDash};
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Node, TableHeaderScope, Tag, TagGroup, TagKind, TagTree,
};
use krilla::{Document, SerializeSettings};

use crate::PaperError;
use crate::fonts::Library;
use crate::qr::Symbol;
use crate::shape::Shaper;
use crate::wrap::{BASELINE, Block};

/// A4, in points.
pub(crate) const PAGE: (f32, f32) = (595.28, 841.89);

/// A colour of the design.
pub(crate) type Colour = (u8, u8, u8);

/// Where a line stands in its box, in reading terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Left in a left-to-right document.
    Start,
    /// Right in a left-to-right document.
    End,
    Centre,
    /// Where the text itself begins: Arabic notes in an English document start at the right.
    Natural,
}

/// What a block of text is, for a screen reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Heading(NonZeroU16),
    Text,
    /// A stretch of what is [open](Canvas::open), without a name of its own.
    Part,
    /// Repeated matter that is not read out.
    Furniture,
}

impl Role {
    /// The title of the document.
    pub(crate) const TITLE: Role = Role::Heading(NonZeroU16::MIN);
    /// A section of the document.
    pub(crate) const SECTION: Role = Role::Heading(NonZeroU16::MIN.saturating_add(1));
}

/// A part of a table, for a screen reader: it names the column with each figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Table,
    Row,
    /// The head of a column.
    ColumnHead,
    /// The head of a row, which may take several columns.
    RowHead(NonZeroU32),
    /// A value, which may take several columns.
    Value(NonZeroU32),
}

impl Frame {
    fn tag(self) -> TagKind {
        let several = |columns: NonZeroU32| Some(columns).filter(|columns| columns.get() > 1);
        match self {
            Frame::Table => Tag::Table.into(),
            Frame::Row => Tag::TR.into(),
            Frame::ColumnHead => Tag::TH(TableHeaderScope::Column).into(),
            Frame::RowHead(columns) => Tag::TH(TableHeaderScope::Row).with_col_span(several(columns)).into(),
            Frame::Value(columns) => Tag::TD.with_col_span(several(columns)).into(),
        }
    }
}

/// The tags of a document while it is drawn. What is open stays open from page to page: a table goes on.
#[derive(Default)]
struct Tags {
    finished: Vec<Node>,
    open: Vec<TagGroup>,
}

impl Tags {
    fn push(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(group) => group.push(node),
            None => self.finished.push(node),
        }
    }

    fn close(&mut self) {
        if let Some(group) = self.open.pop() {
            self.push(group.into());
        }
    }

    fn finish(mut self) -> Vec<Node> {
        while !self.open.is_empty() {
            self.close();
        }
        self.finished
    }
}

/// What the file says about itself.
pub(crate) struct About<'a> {
    pub(crate) title: String,
    pub(crate) author: &'a str,
    /// BCP 47.
    pub(crate) language: &'a str,
}

/// A PDF being written, page by page.
pub(crate) struct Paper {
    document: Document,
    tags: Tags,
}

impl Paper {
    pub(crate) fn new() -> Paper {
        // XMP repeats what the information dictionary says, in a kilobyte that cannot be compressed.
        let settings = SerializeSettings { xmp_metadata: false, ..SerializeSettings::default() };
        Paper { document: Document::new_with(settings), tags: Tags::default() }
    }

    /// Adds a page and hands it to `draw`.
    pub(crate) fn page(
        &mut self,
        shaper: &Shaper,
        draw: impl FnOnce(&mut Canvas<'_, '_>) -> Result<(), PaperError>,
    ) -> Result<(), PaperError> {
        let settings = PageSettings::from_wh(PAGE.0, PAGE.1).ok_or(PaperError::Geometry("page"))?;
        let mut page = self.document.start_page_with(settings);
        let mut surface = page.surface();
        let mut canvas = Canvas {
            surface: &mut surface,
            library: shaper.library(),
            mirrored: shaper.right_to_left(),
            tags: &mut self.tags,
        };
        let drawn = draw(&mut canvas);
        surface.finish();
        page.finish();
        drawn
    }

    /// The bytes of the file: the same for the same pages, as nothing in it tells the time.
    pub(crate) fn finish(mut self, shaper: &Shaper, about: About<'_>) -> Result<Vec<u8>, PaperError> {
        let direction =
            if shaper.right_to_left() { TextDirection::RightToLeft } else { TextDirection::LeftToRight };
        let metadata = Metadata::new()
            .title(about.title)
            .authors(vec![about.author.into()])
            .creator("Tessera".into())
            .text_direction(direction);
        let mut tree = TagTree::from(self.tags.finish());
        // An empty language is worse than none: a reader would take it as a language of that name.
        if about.language.is_empty() {
            self.document.set_metadata(metadata);
        } else {
            self.document.set_metadata(metadata.language(about.language.into()));
            tree = tree.with_lang(Some(about.language.into()));
        }
        self.document.set_tag_tree(tree);
        self.document.finish().map_err(|error| PaperError::Pdf(Box::new(error)))
    }
}

/// The page being drawn.
pub(crate) struct Canvas<'s, 'd> {
    surface: &'s mut Surface<'d>,
    library: &'static Library,
    mirrored: bool,
    tags: &'s mut Tags,
}

impl Canvas<'_, '_> {
    /// The left edge on paper of a box that starts at `x` in reading terms.
    fn left(&self, x: f32, width: f32) -> f32 {
        if self.mirrored { PAGE.0 - x - width } else { x }
    }

    /// Draws a block into a box of `width` whose top is `y`, and returns the bottom of the block.
    pub(crate) fn text(
        &mut self,
        block: &Block,
        (x, y, width): (f32, f32, f32),
        align: Align,
        colour: Colour,
        role: Role,
    ) -> f32 {
        if block.lines.is_empty() {
            return y;
        }
        self.surface.set_fill(Some(fill(colour)));
        self.surface.set_stroke(None);
        let tag = match role {
            Role::Furniture => ContentTag::Artifact(Artifact::with_kind(ArtifactType::Footer)),
            Role::Heading(_) | Role::Text | Role::Part => ContentTag::Other,
        };
        let identifier = self.surface.start_tagged(tag);
        let left = self.left(x, width);
        for (index, line) in block.lines.iter().enumerate() {
            let spare = width - line.width * block.size;
            let at_left = match align {
                Align::Centre => None,
                Align::Start => Some(!self.mirrored),
                Align::End => Some(self.mirrored),
                Align::Natural => Some(!block.right_to_left),
            };
            let mut pen = left + at_left.map_or(spare / 2.0, |at_left| if at_left { 0.0 } else { spare });
            let baseline = y + index as f32 * block.leading + block.leading / 2.0 + BASELINE * block.size;
            for run in &line.runs {
                let font = self.library.face(run.family, run.weight).embedding.clone();
                self.surface.draw_glyphs(
                    Point::from_xy(pen, baseline),
                    &run.glyphs,
                    font,
                    &run.text,
                    block.size,
                    false,
                );
                pen += run.width * block.size;
            }
        }
        self.surface.end_tagged();
        let leaf = vec![identifier.into()];
        match role {
            Role::Heading(level) => {
                self.tags.push(TagGroup::with_children(Tag::Hn(level, None), leaf).into());
            }
            Role::Text => self.tags.push(TagGroup::with_children(Tag::P, leaf).into()),
            Role::Part => self.tags.push(identifier.into()),
            Role::Furniture => {}
        }
        y + block.height()
    }

    /// Begins a part of a table: what is drawn from here on belongs to it, also on the next page, until it is closed.
    pub(crate) fn open(&mut self, frame: Frame) {
        self.tags.open.push(TagGroup::new(frame.tag()));
    }

    /// Ends the part that was opened last.
    pub(crate) fn close(&mut self) {
        self.tags.close();
    }

    /// A tinted box.
    pub(crate) fn tint(
        &mut self,
        (x, y, width, height): (f32, f32, f32, f32),
        colour: Colour,
    ) -> Result<(), PaperError> {
        let rect =
            Rect::from_xywh(self.left(x, width), y, width, height).ok_or(PaperError::Geometry("tint"))?;
        let mut path = PathBuilder::new();
        path.push_rect(rect);
        self.path(path, Some(fill(colour)), None)
    }

    /// Draws the symbol, its outer modules on the edges of the square; the quiet zone is the caller's.
    pub(crate) fn qr(
        &mut self,
        symbol: &Symbol,
        (x, y, side): (f32, f32, f32),
        alt: String,
    ) -> Result<(), PaperError> {
        let mut path = PathBuilder::new();
        for contour in symbol.contours() {
            for (index, (column, row)) in contour.into_iter().enumerate() {
                let (column, row) = (column as f32, row as f32);
                if index == 0 { path.move_to(column, row) } else { path.line_to(column, row) }
            }
            path.close();
        }
        let path = path.finish().ok_or(PaperError::Geometry("QR code"))?;
        let scale = side / symbol.modules as f32;
        let left = self.left(x, side);
        let identifier = self.surface.start_tagged(ContentTag::Other);
        self.surface.push_transform(&Transform::from_row(scale, 0.0, 0.0, scale, left, y));
        self.surface.set_fill(Some(Fill { rule: FillRule::EvenOdd, ..fill((0, 0, 0)) }));
        self.surface.set_stroke(None);
        self.surface.draw_path(&path);
        self.surface.pop();
        self.surface.end_tagged();
        self.tags.push(TagGroup::with_children(Tag::Figure(Some(alt)), vec![identifier.into()]).into());
        Ok(())
    }

    /// A straight line, dashed by the lengths given (none: solid).
    pub(crate) fn line(
        &mut self,
        (from, to): ((f32, f32), (f32, f32)),
        width: f32,
        dash: &[f32],
        colour: Colour,
    ) -> Result<(), PaperError> {
        let mut path = PathBuilder::new();
        path.move_to(self.left(from.0, 0.0), from.1);
        path.line_to(self.left(to.0, 0.0), to.1);
        let dash = (!dash.is_empty()).then(|| StrokeDash { array: dash.to_vec(), offset: 0.0 });
        self.path(path, None, Some(stroke(colour, width, dash)))
    }

    /// A card with round corners and a notch above and below `tear`, the line along which the stub comes off. The
    /// part before the tear line is tinted and has a band of the accent colour along its top.
    pub(crate) fn card(
        &mut self,
        (x, y, width, height): (f32, f32, f32, f32),
        tear: f32,
        (tint, accent, edge): (Colour, Colour, Colour),
    ) -> Result<(), PaperError> {
        const CORNER: f32 = 10.0;
        const NOTCH: f32 = 7.0;
        const BAND: f32 = 5.0;
        // Control points of a quarter circle.
        const ROUND: f32 = 0.5523;
        let left = self.left(x, width);
        let tear = self.left(tear, 0.0);
        let (right, bottom) = (left + width, y + height);
        let (c, r) = (CORNER * (1.0 - ROUND), NOTCH * ROUND);
        let outline = || {
            let mut path = PathBuilder::new();
            path.move_to(left + CORNER, y);
            path.line_to(tear - NOTCH, y);
            path.cubic_to(tear - NOTCH, y + r, tear - r, y + NOTCH, tear, y + NOTCH);
            path.cubic_to(tear + r, y + NOTCH, tear + NOTCH, y + r, tear + NOTCH, y);
            path.line_to(right - CORNER, y);
            path.cubic_to(right - c, y, right, y + c, right, y + CORNER);
            path.line_to(right, bottom - CORNER);
            path.cubic_to(right, bottom - c, right - c, bottom, right - CORNER, bottom);
            path.line_to(tear + NOTCH, bottom);
            path.cubic_to(tear + NOTCH, bottom - r, tear + r, bottom - NOTCH, tear, bottom - NOTCH);
            path.cubic_to(tear - r, bottom - NOTCH, tear - NOTCH, bottom - r, tear - NOTCH, bottom);
            path.line_to(left + CORNER, bottom);
            path.cubic_to(left + c, bottom, left, bottom - c, left, bottom - CORNER);
            path.line_to(left, y + CORNER);
            path.cubic_to(left, y + c, left + c, y, left + CORNER, y);
            path.close();
            path
        };
        let clip = outline().finish().ok_or(PaperError::Geometry("card"))?;
        self.surface.push_clip_path(&clip, &FillRule::NonZero);
        let main = if self.mirrored { (tear, right - tear) } else { (left, tear - left) };
        let parts =
            [(y, height, tint), (y, BAND, accent)].into_iter().try_for_each(|(top, height, colour)| {
                let rect =
                    Rect::from_xywh(main.0, top, main.1, height).ok_or(PaperError::Geometry("card"))?;
                let mut path = PathBuilder::new();
                path.push_rect(rect);
                self.path(path, Some(fill(colour)), None)
            });
        self.surface.pop();
        parts?;
        self.path(outline(), None, Some(stroke(edge, 0.75, None)))?;
        let mut perforation = PathBuilder::new();
        perforation.move_to(tear, y + NOTCH + 4.0);
        perforation.line_to(tear, bottom - NOTCH - 4.0);
        let dash = StrokeDash { array: vec![0.01, 4.5], offset: 0.0 };
        let dots = Stroke { line_cap: krilla::paint::LineCap::Round, ..stroke(edge, 1.6, Some(dash)) };
        self.path(perforation, None, Some(dots))
    }

    fn path(
        &mut self,
        path: PathBuilder,
        fill: Option<Fill>,
        stroke: Option<Stroke>,
    ) -> Result<(), PaperError> {
        let path: Path = path.finish().ok_or(PaperError::Geometry("line"))?;
        let layout = ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout));
        // Decoration has no place in the tag tree, so the identifier leads nowhere.
        self.surface.start_tagged(layout);
        self.surface.set_fill(fill);
        self.surface.set_stroke(stroke);
        self.surface.draw_path(&path);
        self.surface.end_tagged();
        Ok(())
    }
}

fn fill((red, green, blue): Colour) -> Fill {
    Fill {
        paint: rgb::Color::new(red, green, blue).into(),
        opacity: NormalizedF32::ONE,
        rule: FillRule::NonZero,
    }
}

fn stroke((red, green, blue): Colour, width: f32, dash: Option<StrokeDash>) -> Stroke {
    Stroke { paint: rgb::Color::new(red, green, blue).into(), width, dash, ..Stroke::default() }
}
