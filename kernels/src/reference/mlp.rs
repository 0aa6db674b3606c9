//! A multi-layer perceptron with and without batch normalization, and its gradients.

use super::{activate, derivative, loss_and_gradient};
use crate::{Activation, Loss};

/// A dense layer: y = f(x·W + b), with batch normalization where there is a `norm`.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The weights, `[inputs, outputs]`.
    pub w: Vec<f64>,
    /// The biases, `[outputs]`.
    pub b: Vec<f64>,
    /// Width of x.
    pub inputs: usize,
    /// Width of y.
    pub outputs: usize,
    /// f
    pub activation: Activation,
    /// What is normalized, if anything.
    pub norm: Option<Norm>,
}

/// Batch normalization with the statistics of the batch at hand:
/// BN(x) = γ·(x − mean)/√(variance + ε) + β, the variance being the biased one.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Where it stands.
    pub placement: Placement,
    /// γ: `[outputs]` for pre-activations, `[inputs]` for inputs.
    pub gamma: Vec<f64>,
    /// β, as long as γ.
    pub beta: Vec<f64>,
    /// ε
    pub epsilon: f64,
}

/// Where batch normalization stands in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// y = f(BN(x·W + b)).
    PreActivation,
    /// y = f(BN(x)·W + b).
    Input,
}

/// A multi-layer perceptron and its loss.
#[derive(Clone, Debug)]
pub struct Mlp {
    /// From the input to the output.
    pub layers: Vec<Layer>,
    /// The loss; its mean over a batch is what [`Mlp::gradients`] differentiates.
    pub loss: Loss,
}

/// The gradients of the mean loss with respect to the parameters of a layer.
#[derive(Clone, Debug)]
pub struct LayerGradient {
    /// dW, `[inputs, outputs]`.
    pub w: Vec<f64>,
    /// db, `[outputs]`.
    pub b: Vec<f64>,
    /// dγ; empty without batch normalization.
    pub gamma: Vec<f64>,
    /// dβ; empty without batch normalization.
    pub beta: Vec<f64>,
}

/// What became of a batch on its way through a [`Norm`].
struct Normalized {
    /// x̂ = (x − mean)/√(variance + ε)
    x_hat: Vec<f64>,
    /// √(variance + ε) of each column.
    deviation: Vec<f64>,
    /// BN(x)
    u: Vec<f64>,
}

impl Norm {
    fn forward(&self, x: &[f64], batch: usize) -> Normalized {
        let (width, n) = (self.gamma.len(), batch as f64);
        assert_eq!(self.beta.len(), width);
        assert_eq!(x.len(), batch * width);
        let mut out = Normalized {
            x_hat: x.to_vec(),
            deviation: Vec::new(),
            u: x.to_vec(),
        };
        for c in 0..width {
            let column = || x.iter().skip(c).step_by(width);
            let mean = column().sum::<f64>() / n;
            let variance = column().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
            let deviation = (variance + self.epsilon).sqrt();
            out.deviation.push(deviation);
            for i in (c..x.len()).step_by(width) {
                out.x_hat[i] = (x[i] - mean) / deviation;
                out.u[i] = self.gamma[c] * out.x_hat[i] + self.beta[c];
            }
        }
        out
    }

    /// From `delta` = dL/du to dL/dx in place; dγ and dβ.
    ///
    /// The chain rule through x̂, variance and mean, as in section 3 of Ioffe and Szegedy,
    /// "Batch Normalization", 2015; not the closed form of it that the kernels have.
    fn backward(&self, seen: &Normalized, delta: &mut [f64], batch: usize) -> (Vec<f64>, Vec<f64>) {
        let (width, n) = (self.gamma.len(), batch as f64);
        let (mut dgamma, mut dbeta) = (vec![0.0; width], vec![0.0; width]);
        for c in 0..width {
            let column = || (c..delta.len()).step_by(width);
            let deviation = seen.deviation[c];
            let centred = |i: usize| seen.x_hat[i] * deviation;
            let dx_hat: Vec<f64> = column().map(|i| delta[i] * self.gamma[c]).collect();
            let dvariance: f64 = column()
                .zip(&dx_hat)
                .map(|(i, d)| d * centred(i) * -0.5 / deviation.powi(3))
                .sum();
            // Σ (x − mean) = 0, so the variance does not depend on the mean.
            let dmean = -dx_hat.iter().sum::<f64>() / deviation;
            for i in column() {
                dgamma[c] += delta[i] * seen.x_hat[i];
                dbeta[c] += delta[i];
            }
            for (i, d) in (c..delta.len()).step_by(width).zip(&dx_hat) {
                delta[i] = d / deviation + dvariance * 2.0 * centred(i) / n + dmean / n;
            }
        }
        (dgamma, dbeta)
    }
}

/// What became of a batch on its way through a [`Layer`].
struct Pass {
    /// What W is multiplied with: x or BN(x).
    inputs: Vec<f64>,
    /// What f is applied to: x·W + b or BN of it.
    z: Vec<f64>,
    /// f(z)
    y: Vec<f64>,
    normalized: Option<Normalized>,
}

impl Layer {
    fn norm_at(&self, placement: Placement) -> Option<&Norm> {
        self.norm
            .as_ref()
            .filter(|norm| norm.placement == placement)
    }

    /// `batch` samples on their way through the layer.
    fn forward(&self, x: &[f64], batch: usize) -> Pass {
        assert_eq!(x.len(), batch * self.inputs);
        let mut normalized = None;
        let mut inputs = x.to_vec();
        if let Some(norm) = self.norm_at(Placement::Input) {
            inputs = normalized.insert(norm.forward(&inputs, batch)).u.clone();
        }
        let mut z = self.affine(&inputs, batch);
        if let Some(norm) = self.norm_at(Placement::PreActivation) {
            z = normalized.insert(norm.forward(&z, batch)).u.clone();
        }
        Pass {
            y: z.iter().map(|&z| activate(self.activation, z)).collect(),
            inputs,
            z,
            normalized,
        }
    }

    /// x·W + b of `batch` samples.
    fn affine(&self, x: &[f64], batch: usize) -> Vec<f64> {
        assert_eq!(x.len(), batch * self.inputs);
        assert_eq!(self.w.len(), self.inputs * self.outputs);
        assert_eq!(self.b.len(), self.outputs);
        let mut z = Vec::with_capacity(batch * self.outputs);
        for s in 0..batch {
            for j in 0..self.outputs {
                let mut sum = self.b[j];
                for i in 0..self.inputs {
                    sum += x[s * self.inputs + i] * self.w[i * self.outputs + j];
                }
                z.push(sum);
            }
        }
        z
    }

    /// From `delta` = dL/dy to the gradients of the parameters and dL/dx.
    fn backward(
        &self,
        pass: &Pass,
        mut delta: Vec<f64>,
        batch: usize,
    ) -> (LayerGradient, Vec<f64>) {
        for (d, &z) in delta.iter_mut().zip(&pass.z) {
            *d *= derivative(self.activation, z);
        }
        let (mut gamma, mut beta) = (Vec::new(), Vec::new());
        if let (Some(norm), Some(seen)) = (self.norm_at(Placement::PreActivation), &pass.normalized)
        {
            (gamma, beta) = norm.backward(seen, &mut delta, batch);
        }
        let (n_in, n_out) = (self.inputs, self.outputs);
        let mut w = vec![0.0; n_in * n_out];
        let mut b = vec![0.0; n_out];
        let mut dx = vec![0.0; batch * n_in];
        for s in 0..batch {
            for j in 0..n_out {
                let d = delta[s * n_out + j];
                b[j] += d;
                for i in 0..n_in {
                    w[i * n_out + j] += pass.inputs[s * n_in + i] * d;
                    dx[s * n_in + i] += self.w[i * n_out + j] * d;
                }
            }
        }
        if let (Some(norm), Some(seen)) = (self.norm_at(Placement::Input), &pass.normalized) {
            (gamma, beta) = norm.backward(seen, &mut dx, batch);
        }
        (LayerGradient { w, b, gamma, beta }, dx)
    }
}

impl Mlp {
    /// The outputs of `batch` samples, `[batch, outputs]`; `x` is `[batch, inputs]`.
    ///
    /// # Panics
    /// If a length does not match.
    pub fn forward(&self, x: &[f64], batch: usize) -> Vec<f64> {
        self.layers
            .iter()
            .fold(x.to_vec(), |x, layer| layer.forward(&x, batch).y)
    }

    /// The mean loss of `batch` samples with targets `t`, `[batch, outputs]`.
    ///
    /// # Panics
    /// If a length does not match.
    pub fn loss(&self, x: &[f64], t: &[f64], batch: usize) -> f64 {
        let y = self.forward(x, batch);
        self.output_gradient(&y, t, batch).0
    }

    /// The gradients of the mean loss, for each layer.
    ///
    /// # Panics
    /// If a length does not match.
    pub fn gradients(&self, x: &[f64], t: &[f64], batch: usize) -> Vec<LayerGradient> {
        let passes = self.passes(x, batch);
        let y = passes.last().map_or(x, |p| &p.y);
        let (_, mut delta) = self.output_gradient(y, t, batch);
        let mut gradients = Vec::new();
        for (layer, pass) in self.layers.iter().zip(&passes).rev() {
            let (gradient, dx) = layer.backward(pass, delta, batch);
            gradients.push(gradient);
            delta = dx;
        }
        gradients.reverse();
        gradients
    }

    fn passes(&self, x: &[f64], batch: usize) -> Vec<Pass> {
        let mut passes: Vec<Pass> = Vec::new();
        for layer in &self.layers {
            let pass = layer.forward(passes.last().map_or(x, |p| &p.y), batch);
            passes.push(pass);
        }
        passes
    }

    /// The mean loss, and its gradient with respect to the outputs.
    fn output_gradient(&self, y: &[f64], t: &[f64], batch: usize) -> (f64, Vec<f64>) {
        assert_eq!(y.len(), t.len());
        let n = y.len() / batch;
        let (mut sum, mut gradient) = (0.0, Vec::new());
        for (y, t) in y.chunks(n).zip(t.chunks(n)) {
            let (l, g) = loss_and_gradient(self.loss, y, t);
            sum += l;
            gradient.extend(g.iter().map(|g| g / batch as f64));
        }
        (sum / batch as f64, gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A linear congruential generator, uniform in (−1, 1): enough for a test.
    fn uniform(state: &mut u64) -> f64 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    const SIZES: [usize; 4] = [5, 7, 4, 3];

    fn network(
        draw: &mut impl FnMut(usize) -> Vec<f64>,
        activation: Activation,
        loss: Loss,
        placement: Option<Placement>,
    ) -> Mlp {
        let layers = SIZES
            .windows(2)
            .map(|n| Layer {
                w: draw(n[0] * n[1]),
                b: draw(n[1]),
                inputs: n[0],
                outputs: n[1],
                activation,
                norm: placement.map(|placement| {
                    let width = match placement {
                        Placement::PreActivation => n[1],
                        Placement::Input => n[0],
                    };
                    Norm {
                        placement,
                        gamma: draw(width),
                        beta: draw(width),
                        epsilon: 0.03,
                    }
                }),
            })
            .collect();
        Mlp { layers, loss }
    }

    /// Parameter `i` of a layer: those of W, then b, γ, β.
    fn parameter(layer: &mut Layer, i: usize) -> &mut f64 {
        let (gamma, beta): (&mut [f64], &mut [f64]) = match &mut layer.norm {
            Some(norm) => (&mut norm.gamma, &mut norm.beta),
            None => (&mut [], &mut []),
        };
        let parameters = layer.w.iter_mut().chain(&mut layer.b);
        let mut parameters = parameters.chain(gamma).chain(beta);
        parameters.nth(i).unwrap()
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let placements = [None, Some(Placement::PreActivation), Some(Placement::Input)];
        for activation in Activation::ALL {
            for (loss, placement) in Loss::ALL
                .into_iter()
                .flat_map(|l| placements.map(|p| (l, p)))
            {
                let batch = if placement.is_none() { 3 } else { 6 };
                let (mut mlp, x, mut t) = (0..1000)
                    .map(|mut state| {
                        let mut draw = |n: usize| -> Vec<f64> {
                            (0..n).map(|_| uniform(&mut state)).collect()
                        };
                        let mlp = network(&mut draw, activation, loss, placement);
                        (mlp, draw(batch * SIZES[0]), draw(batch * SIZES[3]))
                    })
                    .find(|(mlp, x, _)| {
                        // A kink at 0 must not come into the differences.
                        let passes = mlp.passes(x, batch);
                        let mut z = passes.iter().flat_map(|pass| &pass.z);
                        z.all(|z| z.abs() > 0.02)
                    })
                    .unwrap();
                // Positive, each row's sum 1.
                for row in t.chunks_mut(SIZES[3]) {
                    row.iter_mut().for_each(|t| *t = t.exp());
                    let sum: f64 = row.iter().sum();
                    row.iter_mut().for_each(|t| *t /= sum);
                }
                let gradients = mlp.gradients(&x, &t, batch);
                assert_eq!(gradients.len(), 3);
                for (l, g) in gradients.into_iter().enumerate() {
                    let (inputs, outputs) = (SIZES[l], SIZES[l + 1]);
                    let normalized = match placement {
                        None => 0,
                        Some(Placement::PreActivation) => outputs,
                        Some(Placement::Input) => inputs,
                    };
                    let lengths = [g.w.len(), g.b.len(), g.gamma.len(), g.beta.len()];
                    let expected = [inputs * outputs, outputs, normalized, normalized];
                    assert_eq!(lengths, expected);
                    let all = [g.w, g.b, g.gamma, g.beta].concat();
                    for (i, &got) in all.iter().enumerate() {
                        let mut at = |h: f64| {
                            let p = parameter(&mut mlp.layers[l], i);
                            let old = std::mem::replace(p, *p + h);
                            let value = mlp.loss(&x, &t, batch);
                            *parameter(&mut mlp.layers[l], i) = old;
                            value
                        };
                        // Fourth order: (8(f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h.
                        let h = 1e-3;
                        let want =
                            (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
                        assert!(
                            (got - want).abs() <= 1e-6 * want.abs() + 1e-10,
                            "{activation} {loss} {placement:?} layer {l} parameter {i}: {got} against {want}"
                        );
                    }
                }
            }
        }
    }
}
