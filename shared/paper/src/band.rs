//! Bands stacked down the pages: what lies side by side at one height, kept whole from page to page.
//!
//! A document that grows (an invoice) is a list of bands. [`Stack`] places them: a band that does not fit goes to the
//! next page, the head of a table is repeated there, bands that belong together stay together, and only a band taller
//! than a page is divided, between two lines.

use std::num::NonZeroU32;

use crate::PaperError;
use crate::canvas::{Align, Canvas, Colour, Frame, Role};
use crate::wrap::Block;

/// Rounding slack when heights are compared, in points.
const SLACK: f32 = 0.2;

/// A block of text within a cell.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// Below the top of the cell, in points.
    pub(crate) offset: f32,
    pub(crate) block: Block,
    pub(crate) colour: Colour,
    pub(crate) role: Role,
}

impl Piece {
    pub(crate) fn bottom(&self) -> f32 {
        self.offset + self.block.height()
    }
}

/// What a cell is in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// No part of a table.
    None,
    ColumnHead,
    RowHead,
    Value,
}

/// Texts one below the other.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) x: f32,
    pub(crate) width: f32,
    pub(crate) align: Align,
    pub(crate) meaning: Meaning,
    /// How many columns of the table it takes.
    pub(crate) columns: NonZeroU32,
    pub(crate) pieces: Vec<Piece>,
}

impl Cell {
    pub(crate) fn new((x, width): (f32, f32), align: Align, meaning: Meaning) -> Cell {
        Cell { x, width, align, meaning, columns: NonZeroU32::MIN, pieces: Vec::new() }
    }

    /// Adds a text below the others, or beside nothing at the top.
    pub(crate) fn with(mut self, gap: f32, block: Block, colour: Colour, role: Role) -> Cell {
        let offset = if self.pieces.is_empty() { 0.0 } else { self.height() + gap };
        self.pieces.push(Piece { offset, block, colour, role });
        self
    }

    /// Adds a text at a given height.
    pub(crate) fn at(mut self, offset: f32, block: Block, colour: Colour, role: Role) -> Cell {
        self.pieces.push(Piece { offset, block, colour, role });
        self
    }

    pub(crate) fn height(&self) -> f32 {
        self.pieces.iter().map(Piece::bottom).fold(0.0, f32::max)
    }

    fn frame(&self) -> Option<Frame> {
        match self.meaning {
            Meaning::None => None,
            Meaning::ColumnHead => Some(Frame::ColumnHead),
            Meaning::RowHead => Some(Frame::RowHead(self.columns)),
            Meaning::Value => Some(Frame::Value(self.columns)),
        }
    }
}

/// Which table a band is a row of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Lines,
    Totals,
}

/// A rule along an edge of a band: how thick, and its colour.
type Rule = Option<(f32, Colour)>;

/// Cells side by side.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    pub(crate) table: Option<Table>,
    pub(crate) cells: Vec<Cell>,
    /// From where to where its tint and rules reach.
    pub(crate) x: f32,
    pub(crate) width: f32,
    /// Space above, which is dropped at the top of a page.
    pub(crate) above: f32,
    /// Space within, above and below the cells.
    pub(crate) padding: f32,
    pub(crate) tint: Option<Colour>,
    pub(crate) rule_above: Rule,
    pub(crate) rule_below: Rule,
    /// Shown before, on an earlier page: not read out again.
    pub(crate) repeated: bool,
}

impl Band {
    /// Without its space above.
    pub(crate) fn height(&self) -> f32 {
        self.cells.iter().map(Cell::height).fold(0.0, f32::max) + 2.0 * self.padding
    }

    fn is_head(&self) -> bool {
        self.cells.iter().any(|cell| cell.meaning == Meaning::ColumnHead)
    }

    /// Divides the band: lines that end within `room` stay.
    fn split(mut self, room: f32) -> (Band, Band) {
        let room = room - 2.0 * self.padding;
        let mut rest = Band { above: 0.0, cells: Vec::new(), ..self.clone() };
        for cell in &mut self.cells {
            let mut over = Cell { pieces: Vec::new(), ..cell.clone() };
            for piece in &mut cell.pieces {
                let lines = ((room - piece.offset) / piece.block.leading + 0.01).floor().max(0.0) as usize;
                let fitting = lines.min(piece.block.lines.len());
                let offset = piece.offset + fitting as f32 * piece.block.leading;
                let lines = piece.block.lines.split_off(fitting);
                if !lines.is_empty() {
                    let block = Block { lines, ..piece.block.clone() };
                    over.pieces.push(Piece { offset, block, ..piece.clone() });
                }
            }
            cell.pieces.retain(|piece| !piece.block.lines.is_empty());
            rest.cells.push(over);
        }
        let pieces = || rest.cells.iter().flat_map(|cell| &cell.pieces);
        let top = pieces().map(|piece| piece.offset).fold(f32::MAX, f32::min);
        for piece in rest.cells.iter_mut().flat_map(|cell| &mut cell.pieces) {
            piece.offset -= top;
        }
        (self, rest)
    }

    fn draw(&self, canvas: &mut Canvas<'_, '_>, y: f32) -> Result<(), PaperError> {
        let bottom = y + self.height();
        if let Some(colour) = self.tint {
            canvas.tint((self.x, y, self.width, self.height()), colour)?;
        }
        for (rule, at) in [(self.rule_above, y), (self.rule_below, bottom)] {
            if let Some((width, colour)) = rule {
                canvas.line(((self.x, at), (self.x + self.width, at)), width, &[], colour)?;
            }
        }
        for cell in &self.cells {
            let frame = cell.frame().filter(|_| !self.repeated);
            frame.into_iter().for_each(|frame| canvas.open(frame));
            for piece in &cell.pieces {
                let role = if self.repeated { Role::Furniture } else { piece.role };
                let place = (cell.x, y + self.padding + piece.offset, cell.width);
                canvas.text(&piece.block, place, cell.align, piece.colour, role);
            }
            frame.into_iter().for_each(|_| canvas.close());
        }
        Ok(())
    }
}

/// One page: its bands and where their tops are.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) bands: Vec<(f32, Band)>,
}

impl Sheet {
    /// Draws the page. `open` is the table that the page before ended in, and then the one that this page ends in.
    pub(crate) fn draw(
        &self,
        canvas: &mut Canvas<'_, '_>,
        open: &mut Option<Table>,
    ) -> Result<(), PaperError> {
        for (y, band) in &self.bands {
            if *open != band.table {
                open.iter().for_each(|_| canvas.close());
                band.table.iter().for_each(|_| canvas.open(Frame::Table));
                *open = band.table;
            }
            let row = band.table.is_some() && !band.repeated;
            if row {
                canvas.open(Frame::Row);
            }
            band.draw(canvas, *y)?;
            if row {
                canvas.close();
            }
        }
        Ok(())
    }
}

/// What bands take one below the other, in points.
pub(crate) fn height(bands: &[Band]) -> f32 {
    bands.iter().map(|band| band.above + band.height()).sum()
}

/// Pages being filled from top to bottom.
pub(crate) struct Stack {
    sheets: Vec<Sheet>,
    /// Repeated at the top of each page.
    head: Option<Band>,
    top: f32,
    bottom: f32,
    /// Where the next band goes.
    y: f32,
    /// Whether nothing but the head is on the page.
    fresh: bool,
}

impl Stack {
    pub(crate) fn new(top: f32, bottom: f32) -> Stack {
        Stack { sheets: vec![Sheet::default()], head: None, top, bottom, y: top, fresh: true }
    }

    /// Begins a table: its head stands above `first` and on every further page until [`Stack::end_table`].
    pub(crate) fn table(&mut self, head: Band, first: Option<&Band>) {
        let needed = head.above + head.height() + first.map_or(0.0, Band::height);
        if self.y + needed > self.bottom {
            self.turn();
        }
        self.place(head.clone());
        self.head = Some(Band { above: 0.0, repeated: true, ..head });
    }

    /// Ends a table that a block of `following` points comes after. Where that block needs another page, the last row
    /// goes with it: sums alone on a page look like another document.
    pub(crate) fn end_table(&mut self, following: f32) {
        let last = self.last_row().filter(|(_, row)| row.height() + following <= self.whole());
        if following > self.room()
            && let Some((y, row)) = last
        {
            self.sheets.last_mut().and_then(|sheet| sheet.bands.pop());
            self.y = y;
            self.turn();
            self.place(row);
        }
        self.head = None;
    }

    /// The row that ends the page, unless it is all that stands under the head.
    fn last_row(&self) -> Option<(f32, Band)> {
        let [.., (_, before), last] = self.sheets.last()?.bands.as_slice() else { return None };
        (before.table == last.1.table && !before.is_head()).then(|| last.clone())
    }

    /// Places a band here or at the top of the next page; one taller than a page begins here and runs on.
    pub(crate) fn add(&mut self, mut band: Band) {
        /// Where less is left, a tall band had better begin on the next page.
        const WORTH_BEGINNING: f32 = 80.0;
        while self.space(&band) + band.height() > self.room() + SLACK {
            let room = self.room() - self.space(&band);
            let tall = band.height() > self.whole();
            if self.fresh || (tall && room > WORTH_BEGINNING) {
                let (here, rest) = band.split(room);
                self.place(here);
                band = rest;
            }
            self.turn();
        }
        self.place(band);
    }

    /// Places bands on one page, as long as one page holds them.
    pub(crate) fn together(&mut self, bands: Vec<Band>) {
        let height = height(&bands);
        let dropped = bands.first().map_or(0.0, |band| band.above);
        if height > self.room() && height - dropped <= self.whole() {
            self.turn();
        }
        bands.into_iter().for_each(|band| self.add(band));
    }

    /// What is left of the page.
    fn room(&self) -> f32 {
        self.bottom - self.y
    }

    pub(crate) fn finish(self) -> Vec<Sheet> {
        self.sheets
    }

    /// What a page holds besides the head.
    fn whole(&self) -> f32 {
        self.bottom - self.top - self.head.as_ref().map_or(0.0, Band::height)
    }

    fn space(&self, band: &Band) -> f32 {
        if self.fresh { 0.0 } else { band.above }
    }

    fn place(&mut self, band: Band) {
        let y = self.y + self.space(&band);
        self.y = y + band.height();
        self.fresh = false;
        if let Some(sheet) = self.sheets.last_mut() {
            sheet.bands.push((y, band));
        }
    }

    /// Begins the next page.
    fn turn(&mut self) {
        self.sheets.push(Sheet::default());
        self.y = self.top;
        self.fresh = true;
        if let Some(head) = self.head.clone() {
            self.place(head);
            self.fresh = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fonts::Library;
    use crate::shape::{Shaper, Style};
    use crate::wrap::{Fit, fit};

    const TOP: f32 = 10.0;
    const BOTTOM: f32 = 110.0;

    /// A row of `lines` lines of ten points.
    fn row(lines: usize) -> Band {
        let shaper = Shaper::new(Library::embedded().expect("fonts"), "en");
        let words = "word ".repeat(lines);
        let block = fit(&shaper, &words, Style::REGULAR, Fit::flowing(30.0, 10.0, 1.0));
        assert_eq!(block.lines.len(), lines);
        let cell = Cell::new((0.0, 30.0), Align::Start, Meaning::Value);
        Band {
            table: Some(Table::Lines),
            cells: vec![cell.with(0.0, block, (0, 0, 0), Role::Part)],
            x: 0.0,
            width: 30.0,
            above: 0.0,
            padding: 0.0,
            tint: None,
            rule_above: None,
            rule_below: None,
            repeated: false,
        }
    }

    fn head() -> Band {
        let mut head = row(1);
        head.cells[0].meaning = Meaning::ColumnHead;
        head
    }

    fn lines(band: &Band) -> usize {
        band.cells.iter().flat_map(|cell| &cell.pieces).map(|piece| piece.block.lines.len()).sum()
    }

    /// The lines of each band, page by page.
    fn shown(stack: Stack) -> Vec<Vec<usize>> {
        let page = |sheet: &Sheet| sheet.bands.iter().map(|(_, band)| lines(band)).collect();
        stack.finish().iter().map(page).collect()
    }

    #[test]
    fn a_band_that_does_not_fit_goes_to_the_next_page_whole() {
        let mut stack = Stack::new(TOP, BOTTOM);
        [4, 5, 3].into_iter().for_each(|lines| stack.add(row(lines)));
        assert_eq!(shown(stack), [vec![4, 5], vec![3]]);
    }

    #[test]
    fn a_band_taller_than_a_page_runs_on_and_loses_no_line() {
        let mut stack = Stack::new(TOP, BOTTOM);
        stack.add(row(1));
        stack.add(row(25));
        assert_eq!(shown(stack), [vec![1, 9], vec![10], vec![6]]);
        let mut stack = Stack::new(TOP, BOTTOM);
        stack.add(row(3));
        stack.add(row(12));
        assert_eq!(shown(stack), [vec![3], vec![10], vec![2]], "too little room to begin");
    }

    #[test]
    fn the_head_of_a_table_stands_on_each_page_of_it() {
        let mut stack = Stack::new(TOP, BOTTOM);
        stack.table(head(), None);
        (0..12).for_each(|_| stack.add(row(1)));
        stack.end_table(0.0);
        (0..9).for_each(|_| stack.add(row(1)));
        let sheets = stack.finish();
        let heads: Vec<Vec<bool>> = sheets
            .iter()
            .map(|sheet| sheet.bands.iter().filter(|(_, b)| b.is_head()).map(|(_, b)| b.repeated).collect())
            .collect();
        assert_eq!(heads, [vec![false], vec![true], vec![]]);
    }

    #[test]
    fn a_table_does_not_begin_where_only_its_head_would_fit() {
        let mut stack = Stack::new(TOP, BOTTOM);
        stack.add(row(8));
        stack.table(head(), Some(&row(2)));
        stack.add(row(2));
        assert_eq!(shown(stack), [vec![8], vec![1, 2]]);
    }

    #[test]
    fn bands_that_belong_together_share_a_page() {
        let mut stack = Stack::new(TOP, BOTTOM);
        stack.add(row(8));
        stack.together(vec![row(1), row(1), row(1)]);
        assert_eq!(shown(stack), [vec![8], vec![1, 1, 1]]);
        let mut stack = Stack::new(TOP, BOTTOM);
        stack.together((0..12).map(|_| row(1)).collect());
        assert_eq!(shown(stack), [vec![1; 10], vec![1; 2]], "no page holds them all");
    }

    #[test]
    fn the_last_row_goes_with_the_sums_to_their_page() {
        let sums = || vec![row(1), row(1), row(1)];
        let filled = |rows: usize| {
            let mut stack = Stack::new(TOP, BOTTOM);
            stack.table(head(), None);
            (0..rows).for_each(|_| stack.add(row(1)));
            stack.end_table(height(&sums()));
            stack.together(sums());
            shown(stack)
        };
        assert_eq!(filled(6), [vec![1; 10]]);
        assert_eq!(filled(7), [vec![1; 7], vec![1; 5]]);
        assert_eq!(filled(9), [vec![1; 9], vec![1; 5]]);
    }
}
