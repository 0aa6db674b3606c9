//! Figures.

use crate::Error;
use crate::probe::{BINS, LayerProbe, Probe};
use plotters::prelude::*;
use std::error::Error as StdError;
use std::path::Path;

/// Pixels of a panel: a layer's histogram.
const PANEL: (u32, u32) = (260, 200);
/// Panels in a row, at most.
const COLUMNS: usize = 3;
/// Pixels above the panels, for the title.
const TITLE: u32 = 36;
/// More layers than this are not drawn.
const MOST: usize = 60;

/// Draws the histograms of a probe into an SVG file, a panel for each layer.
///
/// Bars are shares of the layer's outputs, to the scale of the fullest bin; each panel
/// says the layer, its width and its outputs' standard deviation.
///
/// # Errors
/// If the file cannot be written, or there are more than 60 layers.
pub fn histograms(path: &Path, title: &str, probe: &Probe) -> Result<(), Error> {
    let error = |reason: String| Error::Figure {
        path: path.into(),
        reason,
    };
    if probe.layers.len() > MOST {
        let layers = probe.layers.len();
        return Err(error(format!(
            "{layers} layers are more than the {MOST} that can be drawn"
        )));
    }
    let mut svg = String::new();
    draw(&mut svg, title, probe).map_err(|e| error(e.to_string()))?;
    std::fs::write(path, svg).map_err(|e| error(e.to_string()))
}

fn draw(svg: &mut String, title: &str, probe: &Probe) -> Result<(), Box<dyn StdError>> {
    let rows = probe.layers.len().div_ceil(COLUMNS);
    let columns = probe.layers.len().min(COLUMNS);
    let width = PANEL.0 * u32::try_from(columns)?;
    let height = PANEL.1 * u32::try_from(rows)? + TITLE;
    let root = SVGBackend::with_string(svg, (width, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let style = ("sans-serif", 15).into_font().color(&BLACK);
    root.draw(&Text::new(title, (12, 12), style))?;
    let (_, panels) = root.split_vertically(TITLE);
    let panels = panels.split_evenly((rows, columns));
    for (l, (layer, panel)) in probe.layers.iter().zip(&panels).enumerate() {
        draw_panel(panel, l + 1, layer)?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel(
    panel: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    l: usize,
    layer: &LayerProbe,
) -> Result<(), Box<dyn StdError>> {
    let histogram = &layer.histogram;
    let fullest = histogram.bins.iter().copied().max().unwrap_or(0).max(1) as f64;
    let caption = format!(
        "layer {l} ({} units), sd {}",
        layer.width,
        number(layer.outputs.standard_deviation)
    );
    let mut chart = ChartBuilder::on(panel)
        .margin(14)
        .caption(caption, ("sans-serif", 13))
        .x_label_area_size(20)
        .build_cartesian_2d(-1.0..1.0, 0.0..1.05)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .disable_y_axis()
        .x_labels(5)
        .draw()?;
    let edge = |bin: usize| bin as f64 / BINS as f64 * 2.0 - 1.0;
    let bars = histogram.bins.iter().enumerate().map(|(bin, &count)| {
        let corners = [(edge(bin), 0.0), (edge(bin + 1), count as f64 / fullest)];
        Rectangle::new(corners, RGBColor(38, 101, 168).filled())
    });
    chart.draw_series(bars)?;
    Ok(())
}

/// Four significant digits, in at most nine characters.
pub(crate) fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".into(),
        0.001..1000.0 => format!("{x:.4}"),
        _ => format!("{x:.2e}"),
    }
}
