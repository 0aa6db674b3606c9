//! The values of every seed, category by category.

use super::axis::{Axis, Ruler};
use super::canvas::{Anchor, Canvas, Dot, Drawn, Ink, Pen, fitted, svg, title_lines, width};
use super::lines::draw_x_axis;
use super::{FigureError, LINE, MARGIN, WIDTH, at_most};
use crate::stats::{Summary, median};

/// Radius of a dot, and of one of many.
const RADII: [f64; 2] = [3.8, 2.6];
/// So many dots in a row are many.
const MANY: usize = 50;
/// Height of a row without its name.
const ROW: f64 = 40.0;
/// Wider names stand above their rows.
const WIDEST: f64 = 200.0;
/// More rows than this are not drawn.
const MOST_ROWS: usize = 200;
/// Nor more dots in all of them.
const MOST_DOTS: usize = 50_000;

/// Dots in rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StripChart {
    /// Drawn above; empty: none.
    pub title: String,
    /// What was measured.
    pub axis: Axis,
    /// Top to bottom.
    pub strips: Vec<Strip>,
    /// What is marked in each row.
    pub mark: Mark,
    /// What a dot is, for the legend; empty: a seed.
    pub dot: String,
    /// What the references are, as "published"; drawn in the legend if a row has one.
    pub reference: String,
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Strip {
    /// Its category.
    pub name: String,
    /// Number of its colour; 0 to 6 are different.
    pub color: usize,
    /// The value of each seed. Those that the axis cannot show are counted at the end of
    /// the row.
    pub values: Vec<f64>,
    /// What they are to be compared with.
    pub reference: Option<f64>,
    /// What is marked, where `values` are only some of all. `None`: what they give, if there
    /// are at least two.
    pub marked: Option<f64>,
}

/// What is marked in each row with two values or more: of all that are numbers, drawn or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// The median.
    #[default]
    Median,
    /// The arithmetic mean.
    Mean,
}

impl Mark {
    fn of(self, values: &[f64]) -> Option<f64> {
        match self {
            Self::Median => median(values),
            Self::Mean => Some(Summary::of(values)?.mean),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::Mean => "mean",
        }
    }
}

impl Strip {
    /// Where the mark is.
    fn mark(&self, mark: Mark) -> Option<f64> {
        // One value is seen without.
        let several = || (self.values.len() > 1).then(|| mark.of(&self.values));
        self.marked.or_else(|| several().flatten())
    }
}

/// Draws a row of dots for each category, one for each seed.
///
/// # Errors
/// If there are more than 200 rows, or 50,000 values in all.
pub fn strips(chart: &StripChart) -> Result<String, FigureError> {
    at_most("rows", chart.strips.len(), MOST_ROWS)?;
    let dots = chart.strips.iter().map(|strip| strip.values.len());
    at_most("dots", dots.fold(0, usize::saturating_add), MOST_DOTS)?;

    let room = WIDTH - 2.0 * MARGIN;
    let title = title_lines(&chart.title);
    let top = MARGIN + LINE * title.len() as f64;
    let names = chart.strips.iter().map(|strip| width(&strip.name));
    let widest = names.fold(0.0, f64::max);
    let above = widest > WIDEST;
    let (row, left) = match above {
        true => (ROW + LINE, 2.0 * MARGIN),
        false => (ROW, MARGIN + widest + 16.0),
    };
    let note = |strip: &Strip| match hidden(chart, strip) {
        0 => String::new(),
        n => format!("+{n} not drawn"),
    };
    let notes = chart.strips.iter().map(|strip| width(&note(strip)));
    let right = WIDTH - 2.0 * MARGIN - notes.fold(0.0, f64::max);
    let bottom = top + row * chart.strips.len() as f64;
    let fullest = chart.strips.iter().map(|strip| strip.values.len()).max();
    let radius = RADII[usize::from(fullest > Some(MANY))];
    let values = chart.strips.iter().flat_map(|strip| {
        let others = [strip.reference, strip.mark(chart.mark)];
        let others = others.into_iter().flatten();
        strip.values.iter().copied().chain(others)
    });
    let ruler = Ruler::new(&chart.axis, values, 0.03).laid(left, right);
    let ticks = ruler.ticks_in_a_row(7);
    let legend = bottom + 22.0 + LINE * 1.15 + 20.0;

    svg(WIDTH, legend + 12.0 + MARGIN, |canvas| {
        for (i, line) in title.iter().enumerate() {
            let at = (MARGIN, MARGIN + LINE * (i as f64 + 0.5));
            canvas.bold(line, at, Anchor::Start)?;
        }
        for &(x, _) in &ticks {
            canvas.line(&[(x, top), (x, bottom)], Pen::new(Ink::Grid, 1.0))?;
        }
        for (i, strip) in chart.strips.iter().enumerate() {
            let from = top + row * i as f64;
            let y = from + row - ROW / 2.0;
            let name = fitted(&strip.name, room);
            let at = (MARGIN, if above { from + LINE * 0.75 } else { y });
            canvas.text(&name, at, Anchor::Start, Ink::Text)?;
            draw_strip(canvas, (chart.mark, radius), strip, ruler, y)?;
            let at = (WIDTH - MARGIN, y);
            canvas.text(&note(strip), at, Anchor::End, Ink::Muted)?;
        }
        draw_x_axis(canvas, (left, right), bottom, &ticks, &chart.axis.title)?;
        draw_legend(canvas, chart, legend)
    })
}

/// Values that the axis cannot show.
fn hidden(chart: &StripChart, strip: &Strip) -> usize {
    let shown = |&&value: &&f64| chart.axis.scale.of(value).is_some();
    strip.values.len() - strip.values.iter().filter(shown).count()
}

fn draw_strip(
    canvas: &mut Canvas<'_>,
    (mark, radius): (Mark, f64),
    strip: &Strip,
    ruler: Ruler,
    y: f64,
) -> Drawn {
    let mut dots: Vec<f64> = strip.values.iter().filter_map(|&v| ruler.at(v)).collect();
    dots.sort_by(f64::total_cmp);
    let ink = Ink::Series(strip.color);
    for (x, up) in dots.iter().zip(swarm(&dots, radius)) {
        canvas.dot((*x, y + up), radius, Dot::Circle, ink, 0.75)?;
    }
    if let Some(x) = strip.reference.and_then(|value| ruler.at(value)) {
        draw_reference(canvas, x, y)?;
    }
    match strip.mark(mark).and_then(|value| ruler.at(value)) {
        Some(x) => draw_mark(canvas, x, y),
        None => Ok(()),
    }
}

fn draw_mark(canvas: &mut Canvas<'_>, x: f64, y: f64) -> Drawn {
    let ends = [(x, y - 15.0), (x, y + 15.0)];
    canvas.line(&ends, Pen::new(Ink::Paper, 4.4))?;
    canvas.line(&ends, Pen::new(Ink::Text, 2.4))
}

/// A diamond with a hole.
fn draw_reference(canvas: &mut Canvas<'_>, x: f64, y: f64) -> Drawn {
    canvas.dot((x, y), 6.4, Dot::Diamond, Ink::Text, 1.0)?;
    canvas.dot((x, y), 4.0, Dot::Diamond, Ink::Paper, 1.0)
}

/// How far each of the dots, in order, is moved up or down so as not to cover others as
/// long as there is room in the row.
fn swarm(dots: &[f64], radius: f64) -> Vec<f64> {
    let step = 1.9 * radius;
    // 0, 1 up, 1 down, 2 up, … as far as the row goes.
    let rows = ((ROW / 2.0 - radius) / step) as usize;
    let levels: Vec<f64> = std::iter::once(0.0)
        .chain((1..=rows).flat_map(|row| [-(row as f64) * step, row as f64 * step]))
        .collect();
    let mut free = vec![f64::NEG_INFINITY; levels.len()];
    let place = |&x: &f64| {
        let level = free.iter().position(|&from| from <= x);
        // Where all are taken, the one that has been for longest.
        let level = level.unwrap_or_else(|| {
            let order = |a: &usize, b: &usize| free[*a].total_cmp(&free[*b]);
            (0..free.len()).min_by(order).unwrap_or(0)
        });
        free[level] = x + 2.0 * radius;
        levels[level]
    };
    dots.iter().map(place).collect()
}

fn draw_legend(canvas: &mut Canvas<'_>, chart: &StripChart, y: f64) -> Drawn {
    let mut x = MARGIN + 6.0;
    let ink = match chart.strips.first() {
        Some(strip) => Ink::Series(strip.color),
        None => return Ok(()),
    };
    let mut entry = |canvas: &mut Canvas<'_>, name: &str, kind: usize| {
        match kind {
            0 => canvas.dot((x, y), RADII[0], Dot::Circle, ink, 0.75)?,
            1 => canvas.line(&[(x, y - 8.0), (x, y + 8.0)], Pen::new(Ink::Text, 2.4))?,
            _ => draw_reference(canvas, x, y)?,
        }
        let name = fitted(name, WIDTH - x - 12.0 - MARGIN);
        canvas.text(&name, (x + 12.0, y), Anchor::Start, Ink::Text)?;
        x += 12.0 + width(&name) + 28.0;
        Ok(())
    };
    let dot = match chart.dot.is_empty() {
        true => "a seed",
        false => &chart.dot,
    };
    entry(canvas, dot, 0)?;
    if chart.strips.iter().any(|s| s.mark(chart.mark).is_some()) {
        entry(canvas, chart.mark.name(), 1)?;
    }
    let referenced = chart.strips.iter().any(|strip| strip.reference.is_some());
    match referenced && !chart.reference.is_empty() {
        true => entry(canvas, &chart.reference, 2),
        false => Ok(()),
    }
}
