//! The gain that goes with an activation function.

use fanin_kernels::Activation;

/// The recommended gain g of a layer followed by `activation`, for the initializers
/// that take one: it keeps the variance of the signal from layer to layer.
///
/// | activation | gain |
/// |---|---|
/// | `identity`, `sigmoid` | 1 |
/// | `tanh` | 5/3 |
/// | `relu` | √2 |
/// | `leaky_relu:a` | √(2/(1 + a²)) |
/// | `selu` | 3/4 |
/// | `elu`, `gelu`, `softplus`, `swish` | 1: no value is customary |
///
/// The values of `torch.nn.init.calculate_gain`, which knows all but the last row. For
/// the rectifiers they are derived in He, Zhang, Ren, Sun, "Delving Deep into
/// Rectifiers", 2015; the others are customary rather than exact (SELU keeps mean and
/// variance with a gain of 1, as `lecun_normal`; 3/4 trades that for stable gradients).
pub fn gain(activation: Activation) -> f32 {
    match activation {
        Activation::Tanh => 5.0 / 3.0,
        Activation::Relu => std::f32::consts::SQRT_2,
        Activation::LeakyRelu { slope } => {
            let a = f64::from(slope);
            (2.0 / (1.0 + a * a)).sqrt() as f32
        }
        Activation::Selu => 0.75,
        _ => 1.0,
    }
}
