//! Charts as SVG: 640 units wide, to be read at 360 pixels as well.
//!
//! The files have plain colours on white. In HTML the same colours become variables, so
//! that they follow the page: `inlined`.

mod axis;
mod canvas;
mod color_scale;
mod heat_map;
mod histograms;
mod lines;
mod strips;

pub use axis::{Axis, Scale};
pub use heat_map::{HeatMap, heat_map};
pub use histograms::histograms;
pub use lines::{LineChart, Series, lines};
pub use strips::{Mark, Strip, StripChart, strips};

pub(super) use canvas::inlined;

/// Width of every chart.
const WIDTH: f64 = 640.0;
/// Between the edge and anything.
const MARGIN: f64 = 6.0;
/// Size of all text.
const TEXT: f64 = 16.0;
/// From a line of text to the next.
const LINE: f64 = 23.0;

/// Why a figure cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FigureError {
    /// More of something than a figure can show.
    #[error("{found} {what} are more than the {most} that can be drawn")]
    TooMany {
        /// Layers, series, rows, dots or points.
        what: &'static str,
        /// As many as there are.
        found: usize,
        /// As many as there may be.
        most: usize,
    },
    /// The drawing library failed.
    #[error("cannot draw: {0}")]
    Drawing(String),
}

fn at_most(what: &'static str, found: usize, most: usize) -> Result<(), FigureError> {
    match found > most {
        true => Err(FigureError::TooMany { what, found, most }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
