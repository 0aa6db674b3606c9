//! Histograms of a probe.

use super::axis::{Axis, Ruler};
use super::canvas::{Anchor, Canvas, Drawn, Ink, Pen, Point, fitted, svg, title_lines};
use super::{FigureError, LINE, MARGIN, WIDTH, at_most};
use crate::probe::{BINS, LayerProbe, Probe};
use crate::report::number;

/// Panels in a row.
const COLUMNS: usize = 3;
/// Size of a panel: a layer's histogram.
const PANEL: Point = (WIDTH / COLUMNS as f64, 180.0);
/// More layers than this are not drawn.
const MOST: usize = 60;

/// Draws the histograms of a probe, a panel for each layer.
///
/// Bars are shares of the layer's outputs, to the scale of the fullest bin; each panel
/// says the layer, its width and its outputs' standard deviation.
///
/// # Errors
/// If there are more than 60 layers.
pub fn histograms(title: &str, probe: &Probe) -> Result<String, FigureError> {
    at_most("layers", probe.layers.len(), MOST)?;
    let title = title_lines(title);
    let top = MARGIN + LINE * title.len() as f64;
    let rows = probe.layers.len().div_ceil(COLUMNS) as f64;
    svg(WIDTH, top + rows * PANEL.1 + MARGIN, |canvas| {
        for (i, line) in title.iter().enumerate() {
            let y = MARGIN + LINE * (i as f64 + 0.5);
            canvas.bold(line, (MARGIN, y), Anchor::Start)?;
        }
        for (l, layer) in probe.layers.iter().enumerate() {
            let x = PANEL.0 * (l % COLUMNS) as f64;
            let y = top + PANEL.1 * (l / COLUMNS) as f64;
            draw_panel(canvas, (x, y), l + 1, layer)?;
        }
        Ok(())
    })
}

fn draw_panel(canvas: &mut Canvas<'_>, (x, y): Point, l: usize, layer: &LayerProbe) -> Drawn {
    let (left, right) = (x + 16.0, x + PANEL.0 - 16.0);
    let (top, bottom) = (y + 2.5 * LINE, y + PANEL.1 - 30.0);
    let room = PANEL.0 - 2.0 * MARGIN;
    let middle = (left + right) / 2.0;
    let head = fitted(&format!("layer {l} ({} units)", layer.width), room);
    canvas.text(&head, (middle, y + 0.8 * LINE), Anchor::Middle, Ink::Text)?;
    let spread = format!("sd {}", number(layer.outputs.standard_deviation));
    let at = (middle, y + 1.75 * LINE);
    canvas.text(&fitted(&spread, room), at, Anchor::Middle, Ink::Muted)?;

    let bins = &layer.histogram.bins;
    let fullest = bins.iter().copied().max().unwrap_or(0).max(1) as f64;
    let edge = |bin: usize| left + (right - left) * bin as f64 / BINS as f64;
    for (bin, &count) in bins.iter().enumerate() {
        let height = (bottom - top) * count as f64 / fullest;
        let corner = (edge(bin), bottom - height);
        canvas.rect(corner, (edge(bin + 1), bottom), Ink::Series(0), 1.0)?;
    }
    let pen = Pen::new(Ink::Muted, 1.0);
    canvas.line(&[(left, bottom), (right, bottom)], pen)?;
    let axis = Axis::linear("").including(-1.0, 1.0);
    let ruler = Ruler::new(&axis, std::iter::empty(), 0.0).laid(left, right);
    for (x, label) in ruler.ticks(2) {
        canvas.line(&[(x, bottom), (x, bottom + 4.0)], pen)?;
        canvas.text(&label, (x, bottom + 16.0), Anchor::Middle, Ink::Muted)?;
    }
    Ok(())
}
