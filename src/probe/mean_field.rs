//! What the theory of wide random networks predicts for a probe.
//!
//! In a wide layer each pre-activation z is normal with variance q, so
//! `q' = σ_w²·E[φ(√q·x)²] + σ_b²`, x ~ N(0, 1), with σ_w² = fan_in·Var(w) and σ_b² =
//! Var(b): Poole, Lahiri, Raghu, Sohl-Dickstein, Ganguli, "Exponential expressivity in
//! deep neural networks through transient chaos", 2016. Backward,
//! `Var(δ) = Var(δ')·fan_out·Var(w)·E[φ'(√q·x)²]`. The depth scales are those of
//! Schoenholz, Gilmer, Ganguli, Sohl-Dickstein, "Deep information propagation", 2017:
//! signals and gradients pass about as many layers as ξ_c says.
//!
//! Everything is in f64, with expectations as sums over a fine grid.

use fanin_kernels::Activation;
use fanin_kernels::reference::{activate, derivative};
use serde::Serialize;

/// σ_w² = fan_in·Var(w) and σ_b² = Var(b) of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Variances {
    /// fan_in times the variance of a weight.
    pub weights: f64,
    /// The variance of a bias.
    pub biases: f64,
}

/// Where depth takes a network of many layers with these variances.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DepthScales {
    /// q*, the variance of the pre-activations in the limit of depth; `None` if it
    /// vanishes or grows without bound, or takes more than 1,000 layers to settle.
    pub q: Option<f64>,
    /// The factor by which one more layer changes the variance, at q* or as far as it
    /// was followed.
    pub growth: f64,
    /// χ₁ = σ_w²·E[φ'²] there: below 1 gradients vanish with depth (ordered), above 1
    /// they explode (chaotic).
    pub chi_1: f64,
    /// ξ_q: layers over which q comes e times nearer to q*; `None` if it does not.
    pub xi_q: Option<f64>,
    /// ξ_c: layers over which the correlation of two inputs comes e times nearer to its
    /// limit, and about how deep a network can be trained; `None` if unlimited or
    /// without q*.
    pub xi_c: Option<f64>,
}

/// Standard deviations from here on do not matter: 1 − 10⁻¹⁴ of the mass lies within.
const REACH: f64 = 8.0;

/// E[f(x)], x ~ N(0, 1).
fn expect(points: u32, f: impl Fn(f64) -> f64) -> f64 {
    let (mut sum, mut mass) = (0.0, 0.0);
    for i in 0..=points {
        let x = REACH * (2.0 * f64::from(i) / f64::from(points) - 1.0);
        let density = (-0.5 * x * x).exp();
        sum += density * f(x);
        mass += density;
    }
    sum / mass
}

/// Fine enough for a step of width 1/30 at 0. Odd, so that a kink at 0 lies between two
/// points.
const FINE: u32 = 4_001;

/// For double integrals at the variance q: several points to a step of width 1/√q.
fn coarse(q: f64) -> u32 {
    // Between the bounds, so the cast loses nothing but the fraction.
    (64.0 * q.sqrt()).clamp(160.0, 1_600.0) as u32 | 1
}

/// E[φ(√q·x)] and E[φ(√q·x)²]: mean and second moment of a layer's outputs.
pub(super) fn outputs(f: Activation, q: f64) -> (f64, f64) {
    let s = q.sqrt();
    let mean = expect(FINE, |x| activate(f, s * x));
    (mean, expect(FINE, |x| activate(f, s * x).powi(2)))
}

/// E[φ'(√q·x)²].
pub(super) fn slope(f: Activation, q: f64) -> f64 {
    let s = q.sqrt();
    expect(FINE, |x| derivative(f, s * x).powi(2))
}

/// q of the next layer.
fn length_map(f: Activation, v: Variances, q: f64) -> f64 {
    let s = q.sqrt();
    v.weights * expect(FINE, |x| activate(f, s * x).powi(2)) + v.biases
}

/// The correlation in the next layer of two inputs with correlation `c`, both at q*.
fn correlation_map(f: Activation, v: Variances, q: f64, c: f64) -> f64 {
    let (s, rest) = (q.sqrt(), (1.0 - c * c).max(0.0).sqrt());
    let points = coarse(q);
    let product = expect(points, |x| {
        activate(f, s * x) * expect(points, |y| activate(f, s * (c * x + rest * y)))
    });
    ((v.weights * product + v.biases) / q).clamp(-1.0, 1.0)
}

/// χ at correlation `c`: σ_w²·E[φ'(u₁)·φ'(u₂)].
fn chi(f: Activation, v: Variances, q: f64, c: f64) -> f64 {
    let (s, rest) = (q.sqrt(), (1.0 - c * c).max(0.0).sqrt());
    let points = coarse(q);
    v.weights
        * expect(points, |x| {
            derivative(f, s * x) * expect(points, |y| derivative(f, s * (c * x + rest * y)))
        })
}

/// Layers over which a factor `rate` a layer makes 1/e; `None` if it does not shrink.
fn scale(rate: f64) -> Option<f64> {
    (rate < 1.0 - 1e-9).then(|| match rate > 0.0 {
        true => -1.0 / rate.ln(),
        false => 0.0,
    })
}

impl DepthScales {
    /// For a network whose layers all have the variances `v`, followed from
    /// pre-activations of variance 1.
    pub fn of(f: Activation, v: Variances) -> Self {
        let (mut q, mut growth, mut settled) = (1.0, 1.0, false);
        for _ in 0..1_000 {
            let next = length_map(f, v, q);
            growth = next / q;
            settled = (growth - 1.0).abs() < 1e-9;
            if settled || !(1e-12..1e12).contains(&next) {
                break;
            }
            q = next;
        }
        let chi_1 = v.weights * slope(f, q);
        let mut scales = Self {
            q: settled.then_some(q),
            growth,
            chi_1,
            xi_q: None,
            xi_c: None,
        };
        if settled {
            let step = 1e-4 * q;
            let change = length_map(f, v, q + step) - length_map(f, v, q - step);
            scales.xi_q = scale((change / (2.0 * step)).abs());
            scales.xi_c = scale(correlation_rate(f, v, q, chi_1));
        }
        scales
    }
}

/// The factor by which a layer brings the correlation of two inputs nearer to its limit:
/// c* = 1 in the ordered phase, some c* < 1 in the chaotic one.
fn correlation_rate(f: Activation, v: Variances, q: f64, chi_1: f64) -> f64 {
    if chi_1 <= 1.0 {
        return chi_1;
    }
    let mut c = 0.5;
    for _ in 0..200 {
        let next = correlation_map(f, v, q, c);
        let change = (next - c).abs();
        c = next;
        if change < 1e-6 {
            break;
        }
    }
    chi(f, v, q, c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64, tolerance: f64) {
        let error = (found - expected).abs();
        assert!(error <= tolerance, "{found}, not {expected}");
    }

    #[test]
    fn expectations_in_closed_form() {
        near(expect(FINE, |x| x * x), 1.0, 1e-12);
        near(expect(161, |x| x.powi(4)), 3.0, 1e-9);
        // relu: E[y] = √(q/2π), E[y²] = q/2, E[y'²] = 1/2.
        let (mean, second) = outputs(Activation::Relu, 4.0);
        near(mean, (4.0 / std::f64::consts::TAU).sqrt(), 1e-5);
        near(second, 2.0, 1e-9);
        near(slope(Activation::Relu, 4.0), 0.5, 1e-9);
        // Correlated normals: E[u₁u₂] = q·c for the identity.
        let v = Variances {
            weights: 1.0,
            biases: 0.0,
        };
        near(
            correlation_map(Activation::Identity, v, 2.0, 0.3),
            0.3,
            1e-9,
        );
        // relu, the arc-cosine kernel: E = q(√(1−c²) + c(π − arccos c))/2π.
        let c: f64 = 0.4;
        let kernel =
            ((1.0 - c * c).sqrt() + c * (std::f64::consts::PI - c.acos())) / std::f64::consts::TAU;
        near(correlation_map(Activation::Relu, v, 2.0, c), kernel, 1e-3);
    }

    #[test]
    fn the_published_critical_point_of_tanh() {
        // σ_w² = 1.76, σ_b² = 0.05 lies on the line χ₁ = 1 (Schoenholz et al. 2017).
        let at = |weights, biases| DepthScales::of(Activation::Tanh, Variances { weights, biases });
        near(at(1.76, 0.05).chi_1, 1.0, 0.01);
        let (ordered, chaotic) = (at(1.2, 0.05), at(3.0, 0.05));
        assert!(ordered.chi_1 < 1.0 && chaotic.chi_1 > 1.0);
        // Both sides are shallow beside the critical line.
        let critical = at(1.76, 0.05).xi_c.unwrap_or(f64::INFINITY);
        assert!(ordered.xi_c.unwrap() < 10.0 && chaotic.xi_c.unwrap() < 10.0);
        assert!(critical > 50.0, "{critical}");
        // Deep in chaos tanh is nearly a sign: c* = 0 and E[φ'] = √(2/π)/√q*.
        let deep = at(600.0, 0.0);
        let rate = 600.0 * std::f64::consts::FRAC_2_PI / deep.q.unwrap();
        near(deep.xi_c.unwrap(), -1.0 / rate.ln(), 0.03);
        // In the ordered phase, close to linear: ξ_c = −1/ln χ₁.
        near(ordered.xi_c.unwrap(), -1.0 / ordered.chi_1.ln(), 1e-9);
    }

    #[test]
    fn lengths_that_go_nowhere_and_lengths_that_stay() {
        let relu = |weights| {
            let v = Variances {
                weights,
                biases: 0.0,
            };
            DepthScales::of(Activation::Relu, v)
        };
        assert_eq!((relu(1.0).q, relu(3.0).q), (None, None));
        near(relu(1.0).growth, 0.5, 1e-9);
        near(relu(3.0).growth, 1.5, 1e-9);
        near(relu(3.0).chi_1, 1.5, 1e-9);
        let he = relu(2.0);
        near(he.q.unwrap(), 1.0, 1e-6);
        near(he.chi_1, 1.0, 1e-9);
        assert!(he.xi_q.is_none_or(|x| x > 1e3), "q stays as it is");
    }
}
