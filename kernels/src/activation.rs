//! Activation functions and their derivatives.
//!
//! | name | y = f(z) | f′, as computed |
//! |---|---|---|
//! | `identity` | z | 1 |
//! | `sigmoid` | 1 / (1 + e⁻ᶻ) | y(1 − y) |
//! | `tanh` | tanh z | 1 − y² |
//! | `relu` | max(z, 0) | 1 if y > 0, else 0 |
//! | `leaky_relu` | z if z > 0, else slope·z | 1 if y > 0, else slope |
//! | `elu` | z if z > 0, else α(eᶻ − 1) | 1 if y > 0, else y + α |
//! | `selu` | λz if z > 0, else λα(eᶻ − 1) | λ if y > 0, else y + λα |
//! | `gelu` | zΦ(z) | Φ(z) + zφ(z) |
//! | `softplus` | ln(1 + eᶻ) | 1 − e⁻ʸ |
//! | `swish` | z / (1 + e⁻ᶻ) = zσ | σ(1 + z(1 − σ)) |
//!
//! Φ and φ are distribution and density of the standard normal; at 0 the derivative
//! is that of the left side. NaN gives NaN in the forward direction.
//!
//! Sources: leaky ReLU: Maas et al. 2013; ELU: Clevert et al. 2015; SELU: Klambauer
//! et al. 2017 (α and λ solve the fixed-point equation for mean 0, variance 1); GELU:
//! Hendrycks and Gimpel 2016, in its exact form with erf; softplus: Dugas et al. 2001;
//! swish: Ramachandran et al. 2017, the SiLU of Elfwing et al. 2017.

pub(crate) mod lines;
#[cfg(test)]
mod tests;

pub(crate) use lines::apply_lines;

use crate::simd::{Kernel, Simd};
use crate::{Isa, MatMut, MatRef};
use lines::{Apply, Backprop};
use std::fmt;
use std::str::FromStr;

/// An activation function. The [module](self) has the formulas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// z
    Identity,
    /// The logistic function.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// The rectifier.
    Relu,
    /// The rectifier with a slope below 0.
    LeakyRelu {
        /// At least 0: the sign of z must be that of y.
        slope: f32,
    },
    /// The exponential linear unit.
    Elu {
        /// −α is the limit on the left. At least 0.
        alpha: f32,
    },
    /// The scaled exponential linear unit.
    Selu,
    /// The Gaussian error linear unit, exact.
    Gelu,
    /// The smooth rectifier.
    Softplus,
    /// z·sigmoid(z), also called SiLU.
    Swish,
}

/// Every name that [`Activation::from_str`] knows.
pub const ACTIVATION_NAMES: &str = "identity (linear), sigmoid, tanh, relu, leaky_relu[:SLOPE], \
     elu[:ALPHA], selu, gelu, softplus, swish (silu)";

/// Why a text names no activation function.
#[derive(Clone, Debug, PartialEq)]
pub enum ActivationError {
    /// No function has this name.
    Unknown {
        /// What was found.
        name: String,
    },
    /// The function takes no argument.
    UnexpectedArgument {
        /// Its name.
        name: &'static str,
        /// What was found.
        argument: String,
    },
    /// The argument is not a finite number ≥ 0.
    InvalidArgument {
        /// The function's name.
        name: &'static str,
        /// What was found.
        argument: String,
    },
}

impl fmt::Display for ActivationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => write!(
                f,
                "unknown activation '{name}': expected one of {ACTIVATION_NAMES}"
            ),
            Self::UnexpectedArgument { name, argument } => {
                write!(f, "activation {name} takes no argument, found '{argument}'")
            }
            Self::InvalidArgument { name, argument } => write!(
                f,
                "argument '{argument}' of activation {name}: expected a finite number ≥ 0"
            ),
        }
    }
}

impl std::error::Error for ActivationError {}

impl Activation {
    /// All of them, parameters at their defaults.
    pub const ALL: [Activation; 10] = [
        Self::Identity,
        Self::Sigmoid,
        Self::Tanh,
        Self::Relu,
        Self::LeakyRelu { slope: 0.01 },
        Self::Elu { alpha: 1.0 },
        Self::Selu,
        Self::Gelu,
        Self::Softplus,
        Self::Swish,
    ];

    /// The name, without the argument.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Relu => "relu",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Elu { .. } => "elu",
            Self::Selu => "selu",
            Self::Gelu => "gelu",
            Self::Softplus => "softplus",
            Self::Swish => "swish",
        }
    }

    /// Whether the derivative is computed from z. The others need only y, so z may be
    /// overwritten by y.
    #[inline]
    pub fn needs_pre_activation(self) -> bool {
        matches!(self, Self::Gelu | Self::Swish)
    }

    /// Itself, if the parameter is finite and ≥ 0. Parsed values always are.
    ///
    /// # Errors
    /// [`ActivationError::InvalidArgument`] otherwise.
    pub fn validated(self) -> Result<Self, ActivationError> {
        match self {
            Self::LeakyRelu { slope: v } | Self::Elu { alpha: v } if !is_parameter(v) => {
                Err(ActivationError::InvalidArgument {
                    name: self.name(),
                    argument: v.to_string(),
                })
            }
            _ => Ok(self),
        }
    }
}

/// What a slope or an α may be: with a negative one, y would not tell the sign of z.
fn is_parameter(v: f32) -> bool {
    v.is_finite() && v >= 0.0
}

/// The name, and `:` and the argument if there is one: what [`Activation::from_str`] reads.
impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeakyRelu { slope: v } | Self::Elu { alpha: v } => {
                write!(f, "{}:{v}", self.name())
            }
            _ => f.write_str(self.name()),
        }
    }
}

impl FromStr for Activation {
    type Err = ActivationError;

    fn from_str(text: &str) -> Result<Self, ActivationError> {
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let name = match name {
            "linear" => "identity",
            "silu" => "swish",
            name => name,
        };
        let default = Self::ALL
            .into_iter()
            .find(|f| f.name() == name)
            .ok_or_else(|| ActivationError::Unknown { name: name.into() })?;
        let Some(argument) = argument else {
            return Ok(default);
        };
        let value = || match argument.parse() {
            Ok(v) if is_parameter(v) => Ok(v),
            _ => Err(ActivationError::InvalidArgument {
                name: default.name(),
                argument: argument.into(),
            }),
        };
        match default {
            Self::LeakyRelu { .. } => Ok(Self::LeakyRelu { slope: value()? }),
            Self::Elu { .. } => Ok(Self::Elu { alpha: value()? }),
            _ => Err(ActivationError::UnexpectedArgument {
                name: default.name(),
                argument: argument.into(),
            }),
        }
    }
}

/// y ← f(z).
///
/// # Panics
/// If the shapes differ, the columns of a matrix are not contiguous, or the parameter
/// of `f` is not [valid](Activation::validated).
pub fn forward(isa: Isa, f: Activation, z: MatRef, y: MatMut) {
    check(f, [z, y.as_ref()]);
    isa.dispatch(Forward { f, z: Some(z), y });
}

/// y ← f(y).
///
/// # Panics
/// If the columns are not contiguous, or the parameter of `f` is not
/// [valid](Activation::validated).
pub fn forward_in_place(isa: Isa, f: Activation, y: MatMut) {
    check(f, [y.as_ref()]);
    isa.dispatch(Forward { f, z: None, y });
}

/// delta ← delta · f′: from dL/dy to dL/dz.
///
/// Only `z` is read if `f` [needs it](Activation::needs_pre_activation), else only
/// `y`; the other may be any matrix of the same shape.
///
/// # Panics
/// If the shapes differ, the columns of a matrix are not contiguous, or the parameter
/// of `f` is not [valid](Activation::validated).
pub fn backward(isa: Isa, f: Activation, z: MatRef, y: MatRef, delta: MatMut) {
    check(f, [z, y, delta.as_ref()]);
    isa.dispatch(Backward { f, z, y, delta });
}

/// Made only after [`check`]. Without `z` it works in place.
struct Forward<'a> {
    f: Activation,
    z: Option<MatRef<'a>>,
    y: MatMut<'a>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let y = self.y.as_mut_ptr();
        let z = self.z.unwrap_or(self.y.as_ref());
        let apply = Apply {
            f: self.f,
            z: z.as_ptr(),
            z_stride: z.row_stride(),
            y,
            y_stride: self.y.row_stride(),
            rows: z.rows(),
            cols: z.cols(),
        };
        // SAFETY: the views hold every row of these shapes with contiguous columns
        // (checked); `y` is borrowed exclusively, or is `z` itself; its rows do not
        // overlap, as no two elements of a MatMut share an address.
        unsafe { apply.any_cols(s) }
    }
}

/// Made only after [`check`].
struct Backward<'a> {
    f: Activation,
    z: MatRef<'a>,
    y: MatRef<'a>,
    delta: MatMut<'a>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let backprop = Backprop {
            f: self.f,
            z: self.z.as_ptr(),
            z_stride: self.z.row_stride(),
            y: self.y.as_ptr(),
            y_stride: self.y.row_stride(),
            delta: self.delta.as_mut_ptr(),
            d_stride: self.delta.row_stride(),
            rows: self.delta.rows(),
            cols: self.delta.cols(),
        };
        // SAFETY: the views hold every row of these shapes with contiguous columns
        // (checked); `delta` is borrowed exclusively and no two elements of it share an
        // address.
        unsafe { backprop.any_cols(s) }
    }
}

fn check<const N: usize>(f: Activation, matrices: [MatRef; N]) {
    assert!(f.validated().is_ok(), "invalid parameter of {f:?}");
    let shape = (matrices[0].rows(), matrices[0].cols());
    for m in matrices {
        assert!(
            (m.rows(), m.cols()) == shape,
            "activation {f}: shapes differ in {matrices:?}"
        );
        assert!(
            m.col_stride() == 1 || m.cols() <= 1,
            "activation {f}: the columns of {m:?} are not contiguous"
        );
    }
}
