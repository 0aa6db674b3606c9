//! Weight initializers, by the names the field gives them.
//!
//! An initializer fills the weights of a fully connected layer with `fan_in` inputs and
//! `fan_out` outputs, or its biases (with the fans of the same layer). [`gain()`] is the
//! gain that goes with an activation.
//!
//! # The same in other libraries
//!
//! With n = fan_in, m = fan_out; U(a) uniform on (−a, a); T(σ) the normal law N(0, σ²) cut
//! at ±2σ, which has the standard deviation 0.8796·σ. G is 1, but √2 for `he_*`, unless given;
//! a name elsewhere that takes no G means this. `VS` is `VarianceScaling` of Keras and
//! `variance_scaling` of JAX.
//!
//! | fanin | draws | PyTorch, `torch.nn.init` | Keras | JAX |
//! |---|---|---|---|---|
//! | `normal:S` | N(0, S²) | `normal_(w, std=S)` | `RandomNormal(stddev=S)` | `normal(S)` |
//! | `uniform:A` | U(A) | `uniform_(w, -A, A)` | `RandomUniform(-A, A)` | – |
//! | `truncated_normal:S` | T(S) | `trunc_normal_(w, std=S, a=-2*S, b=2*S)` | `TruncatedNormal(stddev=S)` | `truncated_normal(S)` |
//! | `lecun_normal:G` | N(0, G²/n) | `kaiming_normal_(w, nonlinearity="linear")` | `VS(G², "fan_in", "untruncated_normal")` | `VS(G², "fan_in", "normal")` |
//! | `lecun_uniform:G` | U(G·√(3/n)) | `kaiming_uniform_(w, nonlinearity="linear")` | `LecunUniform` | `lecun_uniform` |
//! | `lecun_truncated_normal:G` | T(G·√(1/n)/0.8796) | – | **`LecunNormal`** | **`lecun_normal`** |
//! | `glorot_normal:G` | N(0, 2G²/(n + m)) | `xavier_normal_(w, gain=G)` | `VS(G², "fan_avg", "untruncated_normal")` | `VS(G², "fan_avg", "normal")` |
//! | `glorot_uniform:G` | U(G·√(6/(n + m))) | `xavier_uniform_(w, gain=G)` | `GlorotUniform` | `glorot_uniform` |
//! | `glorot_truncated_normal:G` | T(G·√(2/(n + m))/0.8796) | – | **`GlorotNormal`** | **`glorot_normal`** |
//! | `he_normal:G` | N(0, G²/n) | `kaiming_normal_(w)` | `VS(G², "fan_in", "untruncated_normal")` | `VS(G², "fan_in", "normal")` |
//! | `he_uniform:G` | U(G·√(3/n)) | `kaiming_uniform_(w)` | `HeUniform` | `he_uniform` |
//! | `he_truncated_normal:G` | T(G·√(1/n)/0.8796) | – | **`HeNormal`** | **`he_normal`** |
//! | `orthogonal:G` | G·Q, Q of Haar measure | `orthogonal_(w, gain=G)` | `Orthogonal(gain=G)` | `orthogonal(G)` |
//! | `identity:G` | G·I | `eye_(w)` | `Identity(gain=G)` | – |
//! | `sparse:K:S` | K of n into each output | `sparse_(w.T, f, std=S)`, K = n − ⌈f·n⌉ | – | – |
//! | `sparse_out:K:S` | K of m out of each input | `sparse_(w, f, std=S)`, K = m − ⌈f·m⌉ | – | – |
//!
//! Where the same name is not the same:
//!
//! - `lecun_normal`, `glorot_normal` and `he_normal` of Keras and of JAX (there also
//!   `xavier_normal`, `kaiming_normal`) are cut at 2σ. The papers, PyTorch and fanin do not
//!   cut; what is cut is `*_truncated_normal` here.
//! - `trunc_normal_` of PyTorch cuts at `a` and `b`, which are ±2 and not ±2·std unless given.
//! - `uniform(A)` of JAX is uniform on \[0, A).
//! - `w` of PyTorch is \[fan_out, fan_in\], the others' and fanin's \[fan_in, fan_out\]. The
//!   fans are the same; but `sparse_` counts in the columns of `w`, which belong to inputs.
//! - Without an argument STD and A are 1 here and in PyTorch (but 0.01 in `sparse_`, and
//!   `uniform_` is on \[0, 1)), 0.05 in Keras, 0.01 in JAX.
//! - What PyTorch gives a new `nn.Linear`, `kaiming_uniform_(w, a=√5)` and biases alike, is
//!   U(1/√n): `lecun_uniform:0.57735027` for both. A `Dense` of Keras starts with
//!   `glorot_uniform`, one of Flax with `lecun_truncated_normal`, biases `zeros`.
//! - `mode="fan_out"` of PyTorch, Keras and JAX and `"fan_geo_avg"` of JAX have no name here.
//!
//! `tests/initializers.rs` checks the table against these libraries.

mod distributions;
mod gain;
#[cfg(test)]
mod matrix_tests;
mod name;
mod orthogonal;
mod pretraining;
mod sparse;
#[cfg(test)]
mod tests;

pub use gain::gain;
pub use name::InitializerError;
pub use pretraining::{MAX_VALUES, PerLayer, Pretraining};

use crate::random::Stream;
use fanin_kernels::MatMut;
use std::collections::TryReserveError;

/// How the parameters of a layer start.
///
/// Written `NAME[:ARG]`, as in `normal:0.01` or `he_uniform`; [`FromStr`](std::str::FromStr)
/// reads it and [`Display`](std::fmt::Display) writes it. `xavier_*` and `kaiming_*` are
/// aliases of `glorot_*` and `he_*`.
///
/// `orthogonal`, `identity` and `sparse*` are made for matrices: they take the biases of
/// a layer as a matrix of one row. `lsuv` and `pretrained` look at the training samples
/// ([`Initializer::needs_data`]); they are for weights only.
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
    /// Variance scaling: variance gain²/fan, from the distribution `shape`.
    Scaled {
        /// What the variance is divided by.
        fan: Fan,
        /// The shape of the distribution.
        shape: Shape,
        /// The gain g, ≥ 0. Defaults: `lecun_*` 1, `glorot_*` 1, `he_*` √2.
        gain: f32,
    },
    /// `orthogonal[:GAIN]`: W = g·Q, Q from the QR decomposition of a standard normal
    /// matrix with the diagonal of R positive, which makes every Q equally likely.
    /// The columns are orthonormal (WᵀW = g²·I) if fan_in ≥ fan_out, else the rows
    /// (WWᵀ = g²·I). Biases: a vector of norm g.
    ///
    /// Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning
    /// in deep linear neural networks", 2014; `orthogonal_` of PyTorch, `Orthogonal` of
    /// Keras.
    Orthogonal {
        /// The gain g, ≥ 0. Default 1.
        gain: f32,
    },
    /// `identity[:GAIN]`: g on the diagonal of W, 0 elsewhere (`eye_` of PyTorch,
    /// `Identity` of Keras). Biases: the first is g.
    Identity {
        /// The gain g, ≥ 0. Default 1.
        gain: f32,
    },
    /// `sparse:K[:STD]`, `sparse_out:K[:STD]`: each unit has exactly K connections (or
    /// all, if it has fewer), chosen at random without replacement, with weights
    /// N(0, STD²); the other weights are 0.
    ///
    /// Martens, "Deep learning via Hessian-free optimization", 2010, where K is 15
    /// incoming connections and STD is 1. (`sparse_` of PyTorch is told what fraction of
    /// each column is 0, instead of how many are not; a column of its weights \[fan_out,
    /// fan_in\] has the outgoing connections of an input.) Biases, a matrix of one row:
    /// all are N(0, STD²) for `sparse`, K of them for `sparse_out`.
    Sparse {
        /// The connections that are counted.
        connections: Connections,
        /// K, ≥ 1.
        count: u32,
        /// STD, ≥ 0. Default 1.
        std: f32,
    },
    /// `lsuv[:TOLERANCE[:ITERATIONS]]`, layer-sequential unit variance: from `orthogonal`,
    /// layer by layer, W is divided by the standard deviation of x·W over a batch of
    /// training samples (the first 256 of the training order, or all) and all units, until
    /// |Var − 1| < TOLERANCE or ITERATIONS are done.
    ///
    /// Mishkin and Matas, "All you need is a good init", 2016.
    Lsuv {
        /// TOLERANCE, finite and > 0. Default 0.1.
        tolerance: f32,
        /// ITERATIONS, ≥ 1. Default 10.
        iterations: u32,
    },
    /// `pretrained[:KEY=VALUE,…]`: greedy layer-wise pre-training with autoencoders.
    Pretrained(Pretraining),
}

/// The connections of a unit that [`Initializer::Sparse`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// `sparse`: those into each output, a column of W.
    Incoming,
    /// `sparse_out`: those out of each input, a row of W.
    Outgoing,
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
    /// `*_truncated_normal`: N(0, σ²), values beyond 2σ drawn again, with
    /// σ = g/√fan/0.87962566103423978, so that the variance of what is drawn is g²/fan
    /// (`VarianceScaling` of Keras and `variance_scaling` of JAX, where `lecun_normal`,
    /// `glorot_normal` and `he_normal` mean this).
    TruncatedNormal,
}

/// The standard deviation of N(0, 1) cut at ±2: √(1 − 4φ(2)/(2Φ(2) − 1)).
const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

impl Fan {
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

    /// `lsuv` with its defaults.
    pub const LSUV: Self = Self::Lsuv {
        tolerance: name::LSUV_TOLERANCE,
        iterations: name::LSUV_ITERATIONS,
    };

    /// Whether it goes on, once the parameters are drawn, by looking at the samples.
    pub fn needs_data(self) -> bool {
        matches!(self, Self::Lsuv { .. } | Self::Pretrained(_))
    }

    /// What is wrong with the settings of an initializer that needs data.
    pub(crate) fn check_settings(self) -> Result<(), &'static str> {
        match self {
            Self::Lsuv {
                tolerance,
                iterations,
            } if !(tolerance.is_finite() && tolerance > 0.0 && iterations >= 1) => Err(name::LSUV),
            Self::Pretrained(settings) => settings.check(),
            _ => Ok(()),
        }
    }

    /// Fills `out` (any length), a vector, from `stream`, for a layer with these fans; with
    /// the start of an initializer that needs data.
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
                    Shape::TruncatedNormal => {
                        distributions::truncated_normal(stream, std / TRUNCATED_STD, out);
                    }
                }
            }
            Self::Orthogonal { gain } => orthogonal::vector(stream, f64::from(gain), out),
            Self::Lsuv { .. } => orthogonal::vector(stream, 1.0, out),
            Self::Pretrained(settings) => {
                distributions::normal(stream, f64::from(settings.std), out);
            }
            Self::Identity { gain } => {
                let n = out.len();
                sparse::identity(gain, MatMut::new(out, 1, n));
            }
            Self::Sparse {
                connections,
                count,
                std,
            } => {
                let n = out.len();
                let row = MatMut::new(out, 1, n);
                sparse::matrix(stream, connections, count, f64::from(std), row);
            }
        }
    }

    /// Fills W \[fan_in, fan_out\] from `stream`, with the start of an initializer that
    /// needs data. The columns of a row must be contiguous.
    ///
    /// # Errors
    /// If there is no memory for the decomposition that `orthogonal` and `lsuv` need: W in f64, and
    /// some of its columns (at most all) once more. The others need none.
    pub fn fill_matrix(
        self,
        stream: &mut Stream,
        mut w: MatMut<'_>,
    ) -> Result<(), TryReserveError> {
        match self {
            Self::Orthogonal { gain } => orthogonal::matrix(stream, f64::from(gain), w)?,
            Self::Lsuv { .. } => orthogonal::matrix(stream, 1.0, w)?,
            Self::Identity { gain } => sparse::identity(gain, w),
            Self::Sparse {
                connections,
                count,
                std,
            } => sparse::matrix(stream, connections, count, f64::from(std), w),
            // Every weight by itself.
            Self::Zeros
            | Self::Constant(_)
            | Self::Normal(_)
            | Self::Uniform(_)
            | Self::TruncatedNormal(_)
            | Self::Scaled { .. }
            | Self::Pretrained(_) => {
                let (fan_in, fan_out) = (w.rows(), w.cols());
                for r in 0..fan_in {
                    self.fill(stream, fan_in, fan_out, w.row_mut(r));
                }
            }
        }
        Ok(())
    }
}
