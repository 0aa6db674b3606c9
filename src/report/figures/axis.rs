//! From values to places on the sheet, and where the ticks are.

use super::canvas::width;
use crate::report::text::{decimal, superscript};

/// An axis of a chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// What it shows, with the unit.
    pub title: String,
    /// How values are spread along it.
    pub scale: Scale,
    /// Values that are on the axis even if no data is there, as 0 and 1 for shares.
    pub include: Option<(f64, f64)>,
}

impl Axis {
    /// A linear axis.
    #[must_use]
    pub fn linear(title: &str) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// A logarithmic axis.
    #[must_use]
    pub fn log10(title: &str) -> Self {
        Self {
            title: title.into(),
            scale: Scale::Log10,
            include: None,
        }
    }

    /// The same axis with `low` and `high` on it.
    #[must_use]
    pub fn including(self, low: f64, high: f64) -> Self {
        Self {
            include: Some((low, high)),
            ..self
        }
    }
}

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Evenly. Values beyond ±10¹⁵⁰ are not drawn.
    #[default]
    Linear,
    /// Factors evenly. Zeros and negative values are not drawn.
    Log10,
}

impl Scale {
    /// Where a value is before it is stretched; `None` where it cannot be.
    pub(super) fn of(self, value: f64) -> Option<f64> {
        match self {
            Self::Linear => (value.abs() <= 1e150).then_some(value),
            Self::Log10 => (value > 0.0 && value < f64::INFINITY).then(|| value.log10()),
        }
    }
}

/// An axis on the sheet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ruler {
    scale: Scale,
    /// In the scale.
    low: f64,
    high: f64,
    /// On the sheet: where `low` and `high` are.
    from: f64,
    to: f64,
}

/// A tick: where it is on the sheet, and what it says.
pub(super) type Tick = (f64, String);

impl Ruler {
    /// A ruler for the values; `room` is the share of the data's range that is left free
    /// at each end.
    pub(super) fn new(axis: &Axis, values: impl Iterator<Item = f64>, room: f64) -> Self {
        let scale = axis.scale;
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter_map(|value| scale.of(value)) {
            (low, high) = (low.min(value), high.max(value));
        }
        let (first, last) = axis.include.unwrap_or((f64::NAN, f64::NAN));
        let include = [first, last].into_iter().filter_map(|v| scale.of(v));
        let (data_low, data_high) = (low, high);
        for value in include {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // Equal values are in the middle; closer ones cannot be told apart by labels.
        let least = match scale {
            Scale::Linear => (low.abs().max(high.abs()) * 1e-9).max(1e-300),
            Scale::Log10 => 1e-6,
        };
        if high - low < least {
            let half = match (scale, low.abs()) {
                (Scale::Log10, _) => 0.5,
                (Scale::Linear, ..1e-290) => 1.0,
                (Scale::Linear, size) => 0.1 * size,
            };
            (low, high) = (low - half, high + half);
        } else {
            let room = room * (high - low);
            // What is included on purpose is an end of its own.
            low -= if low < data_low { 0.0 } else { room };
            high += if high > data_high { 0.0 } else { room };
        }
        Self {
            scale,
            low,
            high,
            from: 0.0,
            to: 1.0,
        }
    }

    /// The same ruler laid from one place of the sheet to another.
    pub(super) fn laid(self, from: f64, to: f64) -> Self {
        Self { from, to, ..self }
    }

    /// Where a value is on the sheet.
    pub(super) fn at(self, value: f64) -> Option<f64> {
        let at = self.scale.of(value)?;
        Some(self.place(at))
    }

    fn place(self, at: f64) -> f64 {
        self.from + (at - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// About `count` ticks.
    pub(super) fn ticks(self, count: usize) -> Vec<Tick> {
        match self.scale {
            Scale::Linear => self.linear_ticks(count, self.low, self.high),
            Scale::Log10 => self.log_ticks(count),
        }
    }

    /// As many ticks, at most `count`, as have room for their labels side by side.
    pub(super) fn ticks_in_a_row(self, count: usize) -> Vec<Tick> {
        let mut ticks = self.ticks(2);
        for count in (2..=count).rev() {
            let more = self.ticks(count);
            let apart = |pair: &[Tick]| {
                let labels = (width(&pair[0].1) + width(&pair[1].1)) / 2.0;
                (pair[1].0 - pair[0].0).abs() >= labels + 14.0
            };
            if more.windows(2).all(apart) {
                ticks = more;
                break;
            }
        }
        ticks
    }

    fn linear_ticks(self, count: usize, low: f64, high: f64) -> Vec<Tick> {
        let rough = (high - low) / count.max(1) as f64;
        let exponent = rough.log10().floor();
        let unit = 10f64.powf(exponent);
        let (factor, exponent) = match rough / unit {
            ..1.000_001 => (1.0, exponent),
            ..2.000_001 => (2.0, exponent),
            ..5.000_001 => (5.0, exponent),
            _ => (1.0, exponent + 1.0),
        };
        let step = factor * 10f64.powf(exponent);
        let slack = 1e-6 * step;
        let first = ((low - slack) / step).ceil();
        let values = (0..=2 * count + 2)
            .map(|i| (first + i as f64) * step)
            .take_while(|&value| value <= high + slack);
        let largest = low.abs().max(high.abs());
        values
            .map(|value| {
                let at = match self.scale {
                    Scale::Linear => Some(value),
                    Scale::Log10 => self.scale.of(value),
                };
                (at.map(|at| self.place(at)), label(value, exponent, largest))
            })
            .filter_map(|(at, label)| Some((at?, label)))
            .collect()
    }

    fn log_ticks(self, count: usize) -> Vec<Tick> {
        let (first, last) = (self.low.ceil() as i32, self.high.floor() as i32);
        if first < last {
            let decades = (last - first) as usize + 1;
            let stride = decades.div_ceil(count.max(1));
            let plain = (-4..=5).contains(&first) && (-4..=5).contains(&last);
            let ticks = (first..=last).step_by(stride);
            return ticks
                .map(|e| (self.place(f64::from(e)), power(e, plain)))
                .collect();
        }
        // Less than two decades: 1, 2 and 5 of each, or as on a linear axis.
        let (low, high) = (self.low.floor() as i32, self.high.ceil() as i32);
        let ticks: Vec<Tick> = (low..=high)
            .flat_map(|e| [1.0, 2.0, 5.0].map(|m: f64| (m, e)))
            .map(|(m, e)| (m.log10() + f64::from(e), m, e))
            .filter(|&(at, ..)| (self.low..=self.high).contains(&at))
            .map(|(at, m, e)| {
                let size = 10f64.powi(e);
                (self.place(at), label(m * size, f64::from(e), m * size))
            })
            .collect();
        match ticks.len() {
            2.. => ticks,
            _ => self.linear_ticks(count, 10f64.powf(self.low), 10f64.powf(self.high)),
        }
    }
}

/// 10^e, with all its digits or as a power.
fn power(e: i32, plain: bool) -> String {
    let decimals = u8::try_from(-e).unwrap_or(0);
    match plain {
        true => decimal(10f64.powi(e), decimals),
        false => format!("10{}", superscript(&e.to_string())),
    }
}

/// A value with digits down to 10^`exponent`; very large and very small values, by the
/// largest on the axis, as a product with a power of ten.
fn label(value: f64, exponent: f64, largest: f64) -> String {
    let digits = |exponent: f64| (-exponent).clamp(0.0, 17.0) as u8;
    if (1e-4..1e7).contains(&largest) && exponent >= -15.0 {
        return decimal(value, digits(exponent));
    }
    let shared = largest.log10().floor();
    if value == 0.0 || !shared.is_finite() {
        return "0".into();
    }
    let mantissa = decimal(value / 10f64.powf(shared), digits(exponent - shared));
    format!("{mantissa}·10{}", superscript(&format!("{shared}")))
}
