//! Weight initializers, by the names the field gives them.
//!
//! An initializer fills the weights of a fully connected layer with `fan_in` inputs and
//! `fan_out` outputs, or its biases (with the fans of the same layer).

mod distributions;

use crate::random::Stream;
use std::fmt;
use std::str::FromStr;

/// How the parameters of a layer start.
///
/// Written `NAME[:ARG]`, as in `normal:0.01` or `he_uniform`; [`FromStr`] reads it and
/// [`fmt::Display`] writes it. `xavier_*` and `kaiming_*` are aliases of `glorot_*` and
/// `he_*`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initializer {
    /// `zeros`: all 0.
    Zeros,
    /// `constant:V`: all V (finite).
    Constant(f32),
    /// `normal:STD`: N(0, STD²), STD ≥ 0. Default 1.
    Normal(f32),
    /// `uniform:A`: U(−A, A), A ≥ 0. Default 1.
    Uniform(f32),
    /// `truncated_normal:STD`: N(0, STD²), values beyond 2·STD drawn again, so that the
    /// standard deviation of what is drawn is 0.8796·STD (as `TruncatedNormal` of Keras).
    /// Default 1.
    TruncatedNormal(f32),
    /// Variance scaling: variance gain²/fan, from a normal or a uniform distribution.
    Scaled {
        /// What the variance is divided by.
        fan: Fan,
        /// The shape of the distribution.
        shape: Shape,
        /// The gain g, ≥ 0. Defaults: `lecun_*` 1, `glorot_*` 1, `he_*` √2.
        gain: f32,
    },
}

/// What variance scaling divides by, with the names it gave to the initializers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// `lecun_*`: fan_in. LeCun, Bottou, Orr, Müller, "Efficient BackProp", 1998.
    Lecun,
    /// `glorot_*` (`xavier_*`): (fan_in + fan_out)/2. Glorot and Bengio,
    /// "Understanding the difficulty of training deep feedforward neural networks", 2010.
    Glorot,
    /// `he_*` (`kaiming_*`): fan_in, gain √2. He, Zhang, Ren, Sun, "Delving Deep into
    /// Rectifiers", 2015.
    He,
}

/// The distribution of variance scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// N(0, g²/fan).
    Normal,
    /// U(−a, a) with a = g·√(3/fan), which has the same variance.
    Uniform,
}

impl Fan {
    fn name(self) -> &'static str {
        match self {
            Self::Lecun => "lecun",
            Self::Glorot => "glorot",
            Self::He => "he",
        }
    }

    fn default_gain(self) -> f32 {
        match self {
            Self::Lecun | Self::Glorot => 1.0,
            Self::He => std::f32::consts::SQRT_2,
        }
    }

    fn of(self, fan_in: usize, fan_out: usize) -> f64 {
        match self {
            Self::Lecun | Self::He => fan_in as f64,
            Self::Glorot => (fan_in as f64 + fan_out as f64) / 2.0,
        }
    }
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Uniform => "uniform",
        }
    }
}

impl Initializer {
    /// `lecun_normal`: N(0, 1/fan_in), which the article calls Xavier.
    pub const LECUN_NORMAL: Self = Self::Scaled {
        fan: Fan::Lecun,
        shape: Shape::Normal,
        gain: 1.0,
    };

    /// `he_normal`: N(0, 2/fan_in).
    pub const HE_NORMAL: Self = Self::Scaled {
        fan: Fan::He,
        shape: Shape::Normal,
        gain: std::f32::consts::SQRT_2,
    };

    /// Fills `out` (any length) from `stream`, for a layer with these fans.
    pub fn fill(self, stream: &mut Stream, fan_in: usize, fan_out: usize, out: &mut [f32]) {
        match self {
            Self::Zeros => out.fill(0.0),
            Self::Constant(value) => out.fill(value),
            Self::Normal(std) => distributions::normal(stream, f64::from(std), out),
            Self::Uniform(bound) => distributions::uniform(stream, f64::from(bound), out),
            Self::TruncatedNormal(std) => {
                distributions::truncated_normal(stream, f64::from(std), out);
            }
            Self::Scaled { fan, shape, gain } => {
                // A layer without inputs has no weights; its biases get std = gain.
                let fan = fan.of(fan_in, fan_out).max(1.0);
                let std = f64::from(gain) * (1.0 / fan).sqrt();
                match shape {
                    Shape::Normal => distributions::normal(stream, std, out),
                    Shape::Uniform => distributions::uniform(stream, std * 3f64.sqrt(), out),
                }
            }
        }
    }
}

/// Why a text names no initializer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitializerError {
    /// No initializer has this name.
    #[error(
        "unknown initializer '{0}': expected zeros, constant:V, normal[:STD], uniform[:A], \
         truncated_normal[:STD], lecun_normal|lecun_uniform, glorot_normal|glorot_uniform \
         (xavier_*), he_normal|he_uniform (kaiming_*), the last six with [:GAIN]"
    )]
    Unknown(String),
    /// The argument is missing, superfluous, or not a number in its range.
    #[error("initializer '{given}': {expected}")]
    Argument {
        /// The whole text.
        given: String,
        /// What the argument should have been.
        expected: &'static str,
    },
}

impl FromStr for Initializer {
    type Err = InitializerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let bad = |expected| InitializerError::Argument {
            given: text.into(),
            expected,
        };
        let number = |expected| {
            argument
                .map(|a| {
                    a.parse::<f32>()
                        .ok()
                        .filter(|v| v.is_finite())
                        .ok_or(bad(expected))
                })
                .transpose()
        };
        let scale = |default: f32, expected| match number(expected)? {
            Some(v) if v < 0.0 => Err(bad(expected)),
            given => Ok(given.unwrap_or(default)),
        };
        let scaled = |fan: Fan, shape| {
            let gain = scale(fan.default_gain(), "the gain must be a finite number ≥ 0")?;
            Ok(Self::Scaled { fan, shape, gain })
        };
        match name {
            "zeros" if argument.is_none() => Ok(Self::Zeros),
            "zeros" => Err(bad("zeros takes no argument")),
            "constant" => {
                let expected = "the value must be a finite number, as in constant:0.5";
                number(expected)?.map(Self::Constant).ok_or(bad(expected))
            }
            "normal" => Ok(Self::Normal(scale(1.0, "STD must be a finite number ≥ 0")?)),
            "uniform" => Ok(Self::Uniform(scale(1.0, "A must be a finite number ≥ 0")?)),
            "truncated_normal" => {
                let std = scale(1.0, "STD must be a finite number ≥ 0")?;
                Ok(Self::TruncatedNormal(std))
            }
            "lecun_normal" => scaled(Fan::Lecun, Shape::Normal),
            "lecun_uniform" => scaled(Fan::Lecun, Shape::Uniform),
            "glorot_normal" | "xavier_normal" => scaled(Fan::Glorot, Shape::Normal),
            "glorot_uniform" | "xavier_uniform" => scaled(Fan::Glorot, Shape::Uniform),
            "he_normal" | "kaiming_normal" => scaled(Fan::He, Shape::Normal),
            "he_uniform" | "kaiming_uniform" => scaled(Fan::He, Shape::Uniform),
            _ => Err(InitializerError::Unknown(text.into())),
        }
    }
}

impl fmt::Display for Initializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Zeros => f.write_str("zeros"),
            Self::Constant(value) => write!(f, "constant:{value}"),
            Self::Normal(std) => write!(f, "normal:{std}"),
            Self::Uniform(bound) => write!(f, "uniform:{bound}"),
            Self::TruncatedNormal(std) => write!(f, "truncated_normal:{std}"),
            Self::Scaled { fan, shape, gain } => {
                write!(f, "{}_{}", fan.name(), shape.name())?;
                if gain != fan.default_gain() {
                    write!(f, ":{gain}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn names_round_trip() {
        for text in [
            "zeros",
            "constant:-0.5",
            "normal:0.01",
            "uniform:0.1",
            "truncated_normal:0.02",
            "lecun_normal",
            "lecun_uniform:2",
            "glorot_normal",
            "glorot_uniform:1.5",
            "he_normal",
            "he_uniform:1",
        ] {
            assert_eq!(text.parse::<Initializer>().unwrap().to_string(), text);
        }
        for (alias, name) in [
            ("xavier_normal", "glorot_normal"),
            ("xavier_uniform:2", "glorot_uniform:2"),
            ("kaiming_normal", "he_normal"),
            ("kaiming_uniform", "he_uniform"),
            ("normal", "normal:1"),
        ] {
            assert_eq!(alias.parse::<Initializer>().unwrap().to_string(), name);
        }
        assert_eq!("he_normal".parse(), Ok(Initializer::HE_NORMAL));
    }

    #[test]
    fn nonsense_is_an_error() {
        for text in [
            "",
            ":",
            "he",
            "normal:",
            "normal:x",
            "normal:-1",
            "normal:nan",
            "normal:inf",
            "constant",
            "constant:",
            "constant:NaN",
            "zeros:1",
            "uniform:-0.1",
            "he_normal:-2",
            "normal:1:2",
            "Normal",
        ] {
            assert!(text.parse::<Initializer>().is_err(), "{text:?}");
        }
    }

    /// Mean, variance, excess kurtosis and largest magnitude of 400,000 weights.
    fn moments(text: &str, fan_in: usize, fan_out: usize) -> [f64; 4] {
        let mut out = vec![0.0; 400_000];
        let mut stream = Stream::new(5, Purpose::Weights, 0);
        let init: Initializer = text.parse().unwrap();
        init.fill(&mut stream, fan_in, fan_out, &mut out);
        let n = out.len() as f64;
        let mean = out.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let power = |p| {
            out.iter()
                .map(|&x| (f64::from(x) - mean).powi(p))
                .sum::<f64>()
                / n
        };
        let largest = out.iter().fold(0f32, |m, x| m.max(x.abs()));
        let variance = power(2);
        [
            mean,
            variance,
            power(4) / (variance * variance) - 3.0,
            f64::from(largest),
        ]
    }

    #[test]
    fn every_distribution_has_its_moments() {
        // Formulas from the papers: (text, fans, variance, excess kurtosis, bound).
        let (k_normal, k_uniform) = (0.0, -1.2);
        let k_truncated = -0.634; // of a normal cut at ±2σ
        let cases = [
            ("normal:0.5", 10, 20, 0.25, k_normal, f64::INFINITY),
            ("uniform:0.3", 10, 20, 0.03, k_uniform, 0.3),
            (
                "truncated_normal:0.1",
                10,
                20,
                0.01 * 0.773_741,
                k_truncated,
                0.2,
            ),
            ("lecun_normal", 100, 50, 0.01, k_normal, f64::INFINITY),
            ("lecun_uniform", 100, 50, 0.01, k_uniform, 0.03f64.sqrt()),
            (
                "glorot_normal",
                100,
                50,
                2.0 / 150.0,
                k_normal,
                f64::INFINITY,
            ),
            ("glorot_uniform", 100, 50, 2.0 / 150.0, k_uniform, 0.2),
            ("he_normal", 100, 50, 0.02, k_normal, f64::INFINITY),
            ("he_uniform", 100, 50, 0.02, k_uniform, 0.06f64.sqrt()),
            ("he_normal:1", 100, 50, 0.01, k_normal, f64::INFINITY),
        ];
        for (text, fan_in, fan_out, variance, kurtosis, bound) in cases {
            let [mean, var, kurt, largest] = moments(text, fan_in, fan_out);
            assert!(
                mean.abs() < 5.0 * (variance / 4e5f64).sqrt(),
                "{text}: mean {mean}"
            );
            assert!(
                (var / variance - 1.0).abs() < 0.012,
                "{text}: variance {var}"
            );
            assert!((kurt - kurtosis).abs() < 0.04, "{text}: kurtosis {kurt}");
            assert!(
                largest <= bound * (1.0 + 1e-6),
                "{text}: {largest} > {bound}"
            );
            assert!(
                bound.is_infinite() || largest > bound * 0.999,
                "{text}: {largest}"
            );
        }
    }

    #[test]
    fn constants() {
        let mut out = [1.0; 3];
        let mut stream = Stream::new(5, Purpose::Weights, 0);
        Initializer::Zeros.fill(&mut stream, 1, 1, &mut out);
        assert_eq!(out, [0.0; 3]);
        Initializer::Constant(0.25).fill(&mut stream, 1, 1, &mut out);
        assert_eq!(out, [0.25; 3]);
    }
}
