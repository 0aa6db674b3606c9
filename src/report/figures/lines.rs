//! Series over steps or layers.

use super::axis::{Axis, Ruler, Tick};
use super::canvas::{Anchor, Canvas, Dot, Drawn, Ink, Pen, Point, fitted, svg, title_lines, width};
use super::{FigureError, LINE, MARGIN, WIDTH, at_most};

/// Height of the part with the data.
const PLOT: f64 = 300.0;
/// Length of a sample of a line in the legend.
const SAMPLE: f64 = 30.0;
/// More series than this are not drawn.
const MOST_SERIES: usize = 2_000;
/// Nor more points in all of them.
const MOST_POINTS: usize = 10_000_000;

/// Series over x.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineChart {
    /// Drawn above; empty: none.
    pub title: String,
    /// As steps or layers.
    pub x: Axis,
    /// What was measured.
    pub y: Axis,
    /// In the order of the legend.
    pub series: Vec<Series>,
}

/// A line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What the legend says; empty: it is not in the legend.
    pub name: String,
    /// Number of its colour and marker; 0 to 6 are different.
    pub color: usize,
    /// x and y, in order of x. What the axes cannot show (NaN, infinite, or not positive
    /// on a logarithmic axis) leaves a gap.
    pub points: Vec<(f64, f64)>,
    /// x, low and high of a band around the line, as of a confidence interval; may be empty.
    pub band: Vec<(f64, f64, f64)>,
    /// Dashed, as for predictions.
    pub dashed: bool,
    /// With a marker at each point.
    pub markers: bool,
    /// Thin and light, for one of many lines, as for each seed.
    pub thin: bool,
}

impl Series {
    /// A plain line.
    #[must_use]
    pub fn new(name: &str, color: usize, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            color,
            points,
            ..Self::default()
        }
    }

    fn pen(&self) -> Pen {
        let (width, opacity) = if self.thin { (0.8, 0.5) } else { (2.2, 1.0) };
        Pen {
            ink: Ink::Series(self.color),
            width,
            opacity,
            dashed: self.dashed,
        }
    }
}

/// Draws series over x, with the legend below.
///
/// # Errors
/// If there are more than 2,000 series, or 10 million points in all.
pub fn lines(chart: &LineChart) -> Result<String, FigureError> {
    at_most("series", chart.series.len(), MOST_SERIES)?;
    let points = chart.series.iter().map(|s| s.points.len() + s.band.len());
    let points = points.fold(0, usize::saturating_add);
    at_most("points", points, MOST_POINTS)?;

    let room = WIDTH - 2.0 * MARGIN;
    let title = title_lines(&chart.title);
    let (x, y) = rulers(chart);
    let labels = |ticks: &[Tick]| ticks.iter().map(|t| width(&t.1)).fold(0.0, f64::max);
    let top = MARGIN + LINE * title.len() as f64 + LINE * 1.2;
    let bottom = top + PLOT;
    let y = y.laid(bottom, top);
    let y_ticks = y.ticks(6);
    let left = MARGIN + labels(&y_ticks) + 8.0;
    let right = WIDTH - 2.0 * MARGIN;
    let x = x.laid(left, right);
    let x_ticks = x.ticks_in_a_row(7);
    let legend = legend(&chart.series, room);
    let rows = legend.last().map_or(0.0, |entry| entry.row as f64 + 1.0);
    let below = bottom + 22.0 + LINE * 1.15;
    let height = below + 8.0 + rows * 24.0 + MARGIN;

    svg(WIDTH, height, |canvas| {
        for (i, line) in title.iter().enumerate() {
            let at = (MARGIN, MARGIN + LINE * (i as f64 + 0.5));
            canvas.bold(line, at, Anchor::Start)?;
        }
        let at = (MARGIN, top - LINE * 0.8);
        let y_title = fitted(&chart.y.title, room);
        canvas.text(&y_title, at, Anchor::Start, Ink::Muted)?;
        for (y, label) in &y_ticks {
            canvas.line(&[(left, *y), (right, *y)], Pen::new(Ink::Grid, 1.0))?;
            canvas.text(label, (left - 8.0, *y), Anchor::End, Ink::Muted)?;
        }
        draw_x_axis(canvas, (left, right), bottom, &x_ticks, &chart.x.title)?;
        for series in &chart.series {
            draw_band(canvas, series, x, y)?;
        }
        for thin in [true, false] {
            for series in chart.series.iter().filter(|s| s.thin == thin) {
                draw_series(canvas, series, x, y)?;
            }
        }
        for entry in &legend {
            draw_entry(canvas, entry, below + 20.0 + entry.row as f64 * 24.0)?;
        }
        Ok(())
    })
}

/// A line below the data, with ticks, labels and the title below them.
pub(super) fn draw_x_axis(
    canvas: &mut Canvas<'_>,
    (left, right): (f64, f64),
    bottom: f64,
    ticks: &[Tick],
    title: &str,
) -> Drawn {
    let pen = Pen::new(Ink::Muted, 1.2);
    canvas.line(&[(left, bottom), (right, bottom)], pen)?;
    for (x, label) in ticks {
        canvas.line(&[(*x, bottom), (*x, bottom + 5.0)], pen)?;
        // Labels at the ends stay on the sheet.
        let half = width(label) / 2.0;
        let middle = x.max(half + 2.0).min(WIDTH - 2.0 - half);
        let at = (middle, bottom + 17.0);
        canvas.text(label, at, Anchor::Middle, Ink::Muted)?;
    }
    let title = fitted(title, WIDTH - 2.0 * MARGIN);
    // In the middle of the axis, unless it is too long for that.
    let half = width(&title) / 2.0 + MARGIN;
    let middle = ((left + right) / 2.0).min(WIDTH - half).max(half);
    let at = (middle, bottom + 22.0 + LINE * 0.85);
    canvas.text(&title, at, Anchor::Middle, Ink::Muted)
}

fn rulers(chart: &LineChart) -> (Ruler, Ruler) {
    let (sx, sy) = (chart.x.scale, chart.y.scale);
    let both = move |&(x, y): &(f64, f64)| sx.of(x).is_some() && sy.of(y).is_some();
    let points = chart.series.iter().flat_map(move |series| {
        let band = series.band.iter().flat_map(|&(x, l, h)| [(x, l), (x, h)]);
        series.points.iter().copied().chain(band).filter(both)
    });
    let x = Ruler::new(&chart.x, points.clone().map(|p| p.0), 0.0);
    let y = Ruler::new(&chart.y, points.map(|p| p.1), 0.04);
    (x, y)
}

fn draw_band(canvas: &mut Canvas<'_>, series: &Series, x: Ruler, y: Ruler) -> Drawn {
    let place = |&(at, low, high): &(f64, f64, f64)| Some((x.at(at)?, y.at(low)?, y.at(high)?));
    for run in runs(&series.band, place) {
        let low = thinned(run.iter().map(|&(x, low, _)| (x, low)).collect());
        let high = thinned(run.iter().map(|&(x, _, high)| (x, high)).collect());
        let outline: Vec<Point> = low.into_iter().chain(high.into_iter().rev()).collect();
        canvas.area(&outline, Ink::Series(series.color), 0.18)?;
    }
    Ok(())
}

fn draw_series(canvas: &mut Canvas<'_>, series: &Series, x: Ruler, y: Ruler) -> Drawn {
    let pen = series.pen();
    for run in runs(&series.points, |&(a, b)| Some((x.at(a)?, y.at(b)?))) {
        let run = thinned(run);
        if run.len() > 1 {
            canvas.line(&run, pen)?;
        }
        // A point without neighbours would not be seen.
        if series.markers || run.len() == 1 {
            for &at in &run {
                canvas.dot(at, 3.6, Dot::of(series.color), pen.ink, pen.opacity)?;
            }
        }
    }
    Ok(())
}

/// Points on the sheet, cut where one cannot be placed.
fn runs<P, T>(points: &[P], place: impl Fn(&P) -> Option<T>) -> Vec<Vec<T>> {
    let mut runs = vec![Vec::new()];
    for point in points {
        match (place(point), runs.last_mut()) {
            (Some(placed), Some(run)) => run.push(placed),
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// Of more points than the sheet can show, the first, lowest, highest and last of each unit
/// of x: it looks the same.
fn thinned(points: Vec<Point>) -> Vec<Point> {
    if points.len() <= 4 * WIDTH as usize {
        return points;
    }
    let column = |p: &Point| p.0.floor();
    let mut kept = Vec::new();
    for group in points.chunk_by(|a, b| column(a) == column(b)) {
        let order = |a: &usize, b: &usize| group[*a].1.total_cmp(&group[*b].1);
        let lowest = (0..group.len()).min_by(order).unwrap_or(0);
        let highest = (0..group.len()).max_by(order).unwrap_or(0);
        let mut keep = [0, lowest, highest, group.len() - 1];
        keep.sort_unstable();
        let mut last = None;
        for i in keep {
            if last != Some(i) {
                kept.push(group[i]);
            }
            last = Some(i);
        }
    }
    kept
}

/// An entry of the legend.
struct Entry<'a> {
    series: &'a Series,
    name: String,
    x: f64,
    row: usize,
}

/// Entries in rows no wider than `room`.
fn legend(series: &[Series], room: f64) -> Vec<Entry<'_>> {
    let (mut x, mut row) = (0.0, 0);
    let mut entries = Vec::new();
    for series in series.iter().filter(|series| !series.name.is_empty()) {
        let name = fitted(&series.name, room - SAMPLE - 8.0);
        let size = SAMPLE + 8.0 + width(&name);
        if x > 0.0 && x + size > room {
            (x, row) = (0.0, row + 1);
        }
        entries.push(Entry {
            series,
            name,
            x: MARGIN + x,
            row,
        });
        x += size + 22.0;
    }
    entries
}

fn draw_entry(canvas: &mut Canvas<'_>, entry: &Entry<'_>, y: f64) -> Drawn {
    let (series, x) = (entry.series, entry.x);
    // One of many thin lines would hardly be seen alone.
    let pen = match series.thin {
        true => Pen::new(Ink::Series(series.color), 1.2),
        false => series.pen(),
    };
    if !series.band.is_empty() {
        canvas.rect((x, y - 7.0), (x + SAMPLE, y + 7.0), pen.ink, 0.18)?;
    }
    canvas.line(&[(x, y), (x + SAMPLE, y)], pen)?;
    if series.markers {
        let middle = (x + SAMPLE / 2.0, y);
        canvas.dot(middle, 3.6, Dot::of(series.color), pen.ink, pen.opacity)?;
    }
    let at = (x + SAMPLE + 8.0, y);
    canvas.text(&entry.name, at, Anchor::Start, Ink::Text)
}
