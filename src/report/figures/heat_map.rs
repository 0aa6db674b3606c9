//! Values over two categories.

use super::axis::{Axis, Ruler};
use super::canvas::{Anchor, Canvas, Drawn, Ink, Pen, fitted, svg, title_lines, width};
use super::color_scale::{color, text_on};
use super::{FigureError, LINE, MARGIN, WIDTH, at_most};
use crate::report::text::decimal;

/// Height of a row of cells.
const ROW: f64 = 34.0;
/// Names of rows are cut at this width.
const WIDEST: f64 = 210.0;
/// No cell is wider, unless the name of its column is.
const WIDEST_CELL: f64 = 110.0;
/// Around the number in a cell.
const PADDING: f64 = 3.0;
/// More rows or columns than this are not drawn.
const MOST: usize = 40;
/// Parts of the bar that shows the colours.
const SHADES: usize = 64;

/// Cells in rows and columns, coloured by their values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeatMap {
    /// Drawn above; empty: none.
    pub title: String,
    /// What the rows are.
    pub rows_title: String,
    /// What the columns are.
    pub columns_title: String,
    /// The rows, top to bottom.
    pub rows: Vec<String>,
    /// The columns, left to right.
    pub columns: Vec<String>,
    /// For each row a value for each column. `None`, NaN and infinite values, and what is not
    /// there, are marked as missing; cells beyond the rows and columns are not drawn.
    pub cells: Vec<Vec<Option<f64>>>,
    /// What the values are, with the unit: the title of the colour bar.
    pub value_title: String,
    /// Values of the first and the last colour. `None`: the least and the greatest.
    pub range: Option<(f64, f64)>,
    /// Digits after the point of the numbers in the cells. Where there is no room, fewer are
    /// written, and where there is none even for whole numbers, none of the numbers are.
    pub decimals: u8,
}

impl HeatMap {
    fn value(&self, row: usize, column: usize) -> Option<f64> {
        let value = *self.cells.get(row)?.get(column)?;
        value.filter(|value| value.is_finite())
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let places =
            (0..self.rows.len()).flat_map(|r| (0..self.columns.len()).map(move |c| (r, c)));
        places.filter_map(|(r, c)| self.value(r, c))
    }

    /// The range, if there is one.
    fn ends(&self) -> Option<(f64, f64)> {
        let given = self
            .range
            .filter(|(a, b)| a.is_finite() && b.is_finite() && a <= b);
        given.or_else(|| {
            let all = self.values().map(|value| (value, value));
            all.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        })
    }

    /// As many decimals as there is room for in cells of this width; `None`: no numbers.
    fn digits(&self, cell: f64) -> Option<u8> {
        let fits = |decimals: &u8| {
            let room = cell - PADDING;
            self.values()
                .all(|value| width(&decimal(value, *decimals)) <= room)
        };
        (0..=self.decimals.min(17)).rev().find(fits)
    }
}

/// Where a value is in the range, 0 to 1; in the middle where that is empty.
fn place(value: f64, (low, high): (f64, f64)) -> f64 {
    // Halved: the difference of two finite numbers may not be finite.
    let (above, all) = (value / 2.0 - low / 2.0, high / 2.0 - low / 2.0);
    match all > 0.0 {
        true => (above / all).clamp(0.0, 1.0),
        false => 0.5,
    }
}

/// Draws cells in rows and columns, the colour bar below.
///
/// Names of columns that are too wide for their cells are replaced by letters, which a list
/// below the cells explains: numbers would look like values.
///
/// # Errors
/// If there are more than 40 rows or 40 columns.
pub fn heat_map(chart: &HeatMap) -> Result<String, FigureError> {
    at_most("rows", chart.rows.len(), MOST)?;
    at_most("columns", chart.columns.len(), MOST)?;

    let room = WIDTH - 2.0 * MARGIN;
    let title = title_lines(&chart.title);
    let names: Vec<String> = chart.rows.iter().map(|name| fitted(name, WIDEST)).collect();
    let rows_title = fitted(&chart.rows_title, WIDEST);
    let widest = names.iter().chain([&rows_title]).map(|name| width(name));
    let left = MARGIN + widest.fold(0.0, f64::max) + 12.0;
    let columns = chart.columns.len().max(1) as f64;
    let names_of_columns = chart.columns.iter().map(|name| width(name) + 5.0);
    let most = names_of_columns.fold(WIDEST_CELL, f64::max);
    let cell = ((WIDTH - MARGIN - left) / columns).min(most);
    let right = left + cell * columns;
    let lettered = chart.columns.iter().any(|name| width(name) > cell - 4.0);
    // Where there is no room even for every letter, every other one or fewer.
    let letters = (0..chart.columns.len()).map(|c| width(&letter(c)));
    let letter_room = letters.fold(0.0, f64::max) + 4.0;
    let stride = if lettered {
        (letter_room / cell).ceil().max(1.0) as usize
    } else {
        1
    };
    let legend = match lettered {
        true => listed(&chart.columns, room),
        false => Vec::new(),
    };
    let (ends, digits) = (chart.ends(), chart.digits(cell));
    let gap = if title.is_empty() { 0.0 } else { 6.0 };
    let top = MARGIN + LINE * (title.len() as f64 + 2.0) + gap;
    let bottom = top + ROW * chart.rows.len().max(1) as f64;
    let bar = bottom + LINE * legend.len() as f64 + 16.0;
    let height = bar + LINE * 2.0 + 18.0 + MARGIN;

    svg(WIDTH, height, |canvas| {
        for (i, line) in title.iter().enumerate() {
            let at = (MARGIN, MARGIN + LINE * (i as f64 + 0.5));
            canvas.bold(line, at, Anchor::Start)?;
        }
        let heading = top - LINE * 1.55;
        let columns_title = fitted(&chart.columns_title, WIDTH - MARGIN - left);
        canvas.text(&columns_title, (left, heading), Anchor::Start, Ink::Muted)?;
        let names_at = top - LINE * 0.55;
        canvas.text(&rows_title, (MARGIN, names_at), Anchor::Start, Ink::Muted)?;
        for (c, name) in chart.columns.iter().enumerate().step_by(stride) {
            let at = (left + cell * (c as f64 + 0.5), names_at);
            let name = if lettered { letter(c) } else { name.clone() };
            canvas.text(&name, at, Anchor::Middle, Ink::Text)?;
        }
        for (r, name) in names.iter().enumerate() {
            let y = top + ROW * r as f64;
            canvas.text(name, (MARGIN, y + ROW / 2.0), Anchor::Start, Ink::Text)?;
            for c in 0..chart.columns.len() {
                let x = left + cell * c as f64;
                let value = chart.value(r, c).zip(ends).map(|(value, ends)| {
                    let text = digits.map(|digits| decimal(value, digits));
                    (place(value, ends), text.unwrap_or_default())
                });
                draw_cell(canvas, value, (x, y), cell)?;
            }
        }
        for (i, line) in legend.iter().enumerate() {
            let at = (MARGIN, bottom + LINE * (i as f64 + 0.6));
            canvas.text(line, at, Anchor::Start, Ink::Muted)?;
        }
        let to = right.max(left + 240.0).min(WIDTH - MARGIN);
        draw_bar(canvas, &chart.value_title, ends, bar, (left, to))
    })
}

/// A cell with its upper left corner at (x, y): where its value is in the range, and its text.
fn draw_cell(
    canvas: &mut Canvas<'_>,
    value: Option<(f64, String)>,
    (x, y): (f64, f64),
    cell: f64,
) -> Drawn {
    let (a, b) = ((x + 1.0, y + 1.0), (x + cell - 1.0, y + ROW - 1.0));
    let middle = ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0);
    let Some((t, text)) = value else {
        let outline = [a, (b.0, a.1), b, (a.0, b.1), a];
        canvas.line(&outline, Pen::new(Ink::Grid, 1.0))?;
        let half = 5f64.min(cell / 4.0);
        let dash = [(middle.0 - half, middle.1), (middle.0 + half, middle.1)];
        return canvas.line(&dash, Pen::new(Ink::Muted, 1.4));
    };
    canvas.rect(a, b, color(t), 1.0)?;
    match text.is_empty() {
        true => Ok(()),
        false => canvas.text(&text, middle, Anchor::Middle, text_on(t)),
    }
}

/// The colours from left to right, with ticks and the title below.
fn draw_bar(
    canvas: &mut Canvas<'_>,
    title: &str,
    ends: Option<(f64, f64)>,
    y: f64,
    (left, right): (f64, f64),
) -> Drawn {
    let below = y + 12.0;
    let title_at = below + LINE * 1.75;
    let Some((low, high)) = ends else {
        let at = ((left + right) / 2.0, title_at);
        return canvas.text("no values", at, Anchor::Middle, Ink::Muted);
    };
    let shade = |i: usize| left + (right - left) * i as f64 / SHADES as f64;
    for i in 0..SHADES {
        let t = (i as f64 + 0.5) / SHADES as f64;
        let t = if low < high { t } else { 0.5 };
        // Each to the end, below the next ones: no seams where they meet.
        canvas.rect((shade(i), y), (right, below), color(t), 1.0)?;
    }
    let axis = Axis::linear("").including(low, high);
    let values = [low, high].into_iter();
    let ruler = Ruler::new(&axis, values, 0.0).laid(left, right);
    let pen = Pen::new(Ink::Muted, 1.0);
    for (x, label) in ruler.ticks_in_a_row(6) {
        canvas.line(&[(x, below), (x, below + 4.0)], pen)?;
        let half = width(&label) / 2.0;
        let middle = x.max(half + 2.0).min(WIDTH - 2.0 - half);
        canvas.text(
            &label,
            (middle, below + LINE * 0.75),
            Anchor::Middle,
            Ink::Muted,
        )?;
    }
    let title = fitted(title, WIDTH - 2.0 * MARGIN);
    let half = width(&title) / 2.0 + MARGIN;
    let middle = ((left + right) / 2.0).min(WIDTH - half).max(half);
    canvas.text(&title, (middle, title_at), Anchor::Middle, Ink::Muted)
}

/// A, B, … Z, AA, AB, …
fn letter(i: usize) -> String {
    let digit = |i: usize| char::from(b'A' + (i % 26) as u8);
    match i / 26 {
        0 => digit(i).into(),
        more => letter(more - 1) + &String::from(digit(i)),
    }
}

/// `A: NAME; B: NAME`, in lines no wider than `room`.
fn listed(names: &[String], room: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let entry = fitted(&format!("{}: {name}", letter(i)), room);
        match lines.last_mut() {
            Some(line) if width(line) + width(";  ") + width(&entry) <= room => {
                *line += &format!("; {entry}");
            }
            _ => lines.push(entry),
        }
    }
    lines
}
