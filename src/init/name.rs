//! The names of the initializers: reading and writing them.

use super::{Connections, Fan, Initializer, Pretraining, Shape};
use std::fmt;
use std::str::FromStr;

/// Why a text names no initializer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitializerError {
    /// No initializer has this name.
    #[error(
        "unknown initializer '{0}': expected zeros, constant:V, normal[:STD], uniform[:A], \
         truncated_normal[:STD], lecun_*|glorot_*|xavier_*|he_*|kaiming_* with * = \
         normal|uniform|truncated_normal and [:GAIN], orthogonal[:GAIN], identity[:GAIN], \
         sparse:K[:STD], sparse_out:K[:STD], lsuv[:TOLERANCE[:ITERATIONS]], \
         pretrained[:KEY=VALUE,…]"
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

pub(super) const LSUV_TOLERANCE: f32 = 0.1;
pub(super) const LSUV_ITERATIONS: u32 = 10;

/// What `lsuv` expects.
pub(super) const LSUV: &str =
    "TOLERANCE must be a finite number > 0, ITERATIONS a whole number ≥ 1, as in lsuv:0.1:10";

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
        let gain = |default| scale(default, "the gain must be a finite number ≥ 0");
        let sparse = |connections| {
            let (count, std) = sparse_arguments(argument).ok_or(bad(
                "expected :K or :K:STD, K a whole number ≥ 1 and STD a finite number ≥ 0, \
                 as in sparse:15",
            ))?;
            Ok(Self::Sparse {
                connections,
                count,
                std,
            })
        };
        if let Some((fan, shape)) = scaled(name) {
            let gain = gain(fan.default_gain())?;
            return Ok(Self::Scaled { fan, shape, gain });
        }
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
            "orthogonal" => Ok(Self::Orthogonal { gain: gain(1.0)? }),
            "identity" => Ok(Self::Identity { gain: gain(1.0)? }),
            "sparse" => sparse(Connections::Incoming),
            "sparse_out" => sparse(Connections::Outgoing),
            "lsuv" => lsuv(argument).ok_or(bad(LSUV)),
            "pretrained" => argument
                .map_or(Ok(Pretraining::DEFAULT), str::parse)
                .map(Self::Pretrained)
                .map_err(bad),
            _ => Err(InitializerError::Unknown(text.into())),
        }
    }
}

/// `FAN_SHAPE`, as in `he_uniform`.
fn scaled(name: &str) -> Option<(Fan, Shape)> {
    let (fan, shape) = name.split_once('_')?;
    let fan = match fan {
        "lecun" => Fan::Lecun,
        "glorot" | "xavier" => Fan::Glorot,
        "he" | "kaiming" => Fan::He,
        _ => return None,
    };
    let shape = match shape {
        "normal" => Shape::Normal,
        "uniform" => Shape::Uniform,
        "truncated_normal" => Shape::TruncatedNormal,
        _ => return None,
    };
    Some((fan, shape))
}

/// `K` or `K:STD`.
fn sparse_arguments(argument: Option<&str>) -> Option<(u32, f32)> {
    let (count, std) = match argument?.split_once(':') {
        Some((count, std)) => (count, std.parse().ok()?),
        None => (argument?, 1f32),
    };
    let count = count.parse().ok()?;
    (count >= 1 && std.is_finite() && std >= 0.0).then_some((count, std))
}

/// Nothing, `TOLERANCE`, or `TOLERANCE:ITERATIONS`.
fn lsuv(argument: Option<&str>) -> Option<Initializer> {
    let Some(argument) = argument else {
        return Some(Initializer::LSUV);
    };
    let (tolerance, iterations) = match argument.split_once(':') {
        Some((tolerance, iterations)) => (tolerance, iterations.parse().ok()?),
        None => (argument, LSUV_ITERATIONS),
    };
    let found = Initializer::Lsuv {
        tolerance: tolerance.parse().ok()?,
        iterations,
    };
    found.check_settings().ok().map(|()| found)
}

impl fmt::Display for Initializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let optional = |f: &mut fmt::Formatter<'_>, argument: f32, default: f32| {
            if argument == default {
                Ok(())
            } else {
                write!(f, ":{argument}")
            }
        };
        match *self {
            Self::Zeros => f.write_str("zeros"),
            Self::Constant(value) => write!(f, "constant:{value}"),
            Self::Normal(std) => write!(f, "normal:{std}"),
            Self::Uniform(bound) => write!(f, "uniform:{bound}"),
            Self::TruncatedNormal(std) => write!(f, "truncated_normal:{std}"),
            Self::Scaled { fan, shape, gain } => {
                let fan_name = match fan {
                    Fan::Lecun => "lecun",
                    Fan::Glorot => "glorot",
                    Fan::He => "he",
                };
                let shape = match shape {
                    Shape::Normal => "normal",
                    Shape::Uniform => "uniform",
                    Shape::TruncatedNormal => "truncated_normal",
                };
                write!(f, "{fan_name}_{shape}")?;
                optional(f, gain, fan.default_gain())
            }
            Self::Orthogonal { gain } => {
                f.write_str("orthogonal")?;
                optional(f, gain, 1.0)
            }
            Self::Identity { gain } => {
                f.write_str("identity")?;
                optional(f, gain, 1.0)
            }
            Self::Sparse {
                connections,
                count,
                std,
            } => {
                let name = match connections {
                    Connections::Incoming => "sparse",
                    Connections::Outgoing => "sparse_out",
                };
                write!(f, "{name}:{count}")?;
                optional(f, std, 1.0)
            }
            Self::Lsuv {
                tolerance,
                iterations,
            } => {
                f.write_str("lsuv")?;
                if iterations == LSUV_ITERATIONS {
                    optional(f, tolerance, LSUV_TOLERANCE)
                } else {
                    write!(f, ":{tolerance}:{iterations}")
                }
            }
            Self::Pretrained(settings) => {
                let colon = if settings == Pretraining::DEFAULT {
                    ""
                } else {
                    ":"
                };
                write!(f, "pretrained{colon}{settings}")
            }
        }
    }
}
