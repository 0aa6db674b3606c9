use super::*;
use crate::network::{LayerMut, Network};
use fanin_kernels::reference::activate;
use fanin_kernels::sparse::SparseBytes;

const BATCH: usize = 5;
const SIZES: [usize; 3] = [19, 21, 4];

/// Parameters of an autoencoder in f64: W \[in, out\], b, W′ \[out, in\], c.
#[derive(Clone)]
struct Reference {
    w: Vec<f64>,
    b: Vec<f64>,
    decoder: Option<Vec<f64>>,
    c: Vec<f64>,
}

impl Reference {
    /// The mean of ½‖x̂ − x‖², by the formulas.
    fn loss(&self, f: Activation, g: Activation, noisy: &[f64], x: &[f64]) -> f64 {
        let (n_in, n_out) = (self.c.len(), self.b.len());
        let mut loss = 0.0;
        for (noisy, x) in noisy.chunks(n_in).zip(x.chunks(n_in)) {
            let h: Vec<f64> = (0..n_out)
                .map(|j| {
                    let z = (0..n_in).map(|i| noisy[i] * self.w[i * n_out + j]);
                    activate(f, self.b[j] + z.sum::<f64>())
                })
                .collect();
            for i in 0..n_in {
                let weight = |j: usize| match &self.decoder {
                    Some(decoder) => decoder[j * n_in + i],
                    None => self.w[i * n_out + j],
                };
                let z = self.c[i] + (0..n_out).map(|j| h[j] * weight(j)).sum::<f64>();
                loss += 0.5 * (activate(g, z) - x[i]).powi(2);
            }
        }
        loss / (x.len() / n_in) as f64
    }

    /// Every parameter, one vector after another.
    fn flat(&mut self) -> Vec<&mut f64> {
        let decoder = self.decoder.iter_mut().flatten();
        let (w, b, c) = (&mut self.w, &mut self.b, &mut self.c);
        w.iter_mut().chain(b).chain(decoder).chain(c).collect()
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

fn dense(buffer: &[f32], cols: usize) -> Vec<f64> {
    let rows = buffer.chunks(padded(cols));
    rows.flat_map(|row| wide(&row[..cols])).collect()
}

struct Case {
    network: Network,
    autoencoder: Autoencoder,
    noisy: Vec<u8>,
    x: Vec<f32>,
}

impl Case {
    fn new(f: Activation, g: Activation, tied: bool) -> Self {
        let mut network = Network::zeros(&SIZES, f, f).unwrap();
        let init = crate::Initializer::Normal(0.4);
        network.initialize(init, init, 3).unwrap();
        let untied = (!tied).then_some(0.4);
        let layer = network.layers()[0];
        let mut autoencoder = Autoencoder::new(layer, g, BATCH, untied, (3, 0)).unwrap();
        let mut stream = Stream::new(3, Purpose::Inputs, 0);
        let n = BATCH * SIZES[0];
        autoencoder.biases[..SIZES[0]].fill_with(|| stream.normal() as f32 * 0.3);
        Self {
            network,
            autoencoder,
            noisy: (0..n)
                .map(|i| {
                    if i % 3 == 0 {
                        0
                    } else {
                        stream.below(256) as u8
                    }
                })
                .collect(),
            x: (0..n).map(|_| stream.uniform() as f32).collect(),
        }
    }

    fn noisy(&self) -> Vec<f32> {
        self.noisy.iter().map(|&v| f32::from(v) / 255.0).collect()
    }

    fn reference(&self) -> Reference {
        let decoder = self.autoencoder.weights.as_ref();
        Reference {
            w: wide(&self.network.dense_weights(0)),
            b: wide(&self.network.dense_biases(0)),
            decoder: decoder.map(|w| dense(w, SIZES[0])),
            c: wide(&self.autoencoder.biases[..SIZES[0]]),
        }
    }

    fn step(&mut self, isa: Isa, threads: usize, sparse: bool, lr: f32) -> f32 {
        let mut team = Team::new(threads).unwrap();
        let values = crate::samples::byte_values();
        let rows = SparseBytes::from_dense(&self.noisy, SIZES[0]).unwrap();
        let ids: Vec<u32> = (0..).take(BATCH).collect();
        let mut columns = BatchColumns::default();
        columns.gather(isa, &rows, &ids, &values);
        let mut batch = BatchRows::default();
        batch.gather(&rows, &ids);
        let noisy = self.noisy();
        let encoded = match sparse {
            true => Encoded::Sparse {
                rows: &batch,
                values: &values,
                columns: &columns,
            },
            false => Encoded::Dense(MatRef::new(&noisy, BATCH, SIZES[0])),
        };
        let x = MatRef::new(&self.x, BATCH, SIZES[0]);
        let LayerMut { w, b, .. } = self.network.layer_mut(0);
        self.autoencoder
            .step(isa, &mut team, Encoder { w, b }, encoded, x, lr)
    }
}

#[test]
fn a_step_goes_down_the_gradient() {
    for (f, g) in [
        (Activation::Sigmoid, Activation::Sigmoid),
        (Activation::Tanh, Activation::Identity),
        (Activation::Gelu, Activation::Tanh),
        (Activation::Softplus, Activation::Softplus),
    ] {
        for tied in [true, false] {
            let what = format!("{f} {g} tied {tied}");
            let mut case = Case::new(f, g, tied);
            let mut before = case.reference();
            let (noisy, x) = (wide(&case.noisy()), wide(&case.x));
            let loss = case.step(Isa::best(), 1, false, 1.0);
            let expected = before.loss(f, g, &noisy, &x);
            assert!((f64::from(loss) / expected - 1.0).abs() < 1e-5, "{what}");
            let mut after = case.reference();
            for i in 0..before.flat().len() {
                // The learning rate is 1: the step is the gradient.
                let found = *before.flat()[i] - *after.flat()[i];
                let loss_at = |step: f64| {
                    let mut moved = before.clone();
                    *moved.flat()[i] += step;
                    moved.loss(f, g, &noisy, &x)
                };
                let expected = (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5;
                assert!(
                    (found - expected).abs() < 1e-6 * (1.0 + expected.abs()),
                    "{what} {i}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn every_way_gives_the_same_bits_and_zero_padding() {
    for tied in [true, false] {
        let mut expected = None;
        for isa in Isa::available() {
            for (threads, sparse) in [(1, false), (1, true), (2, false), (3, true)] {
                let mut case = Case::new(Activation::Swish, Activation::Sigmoid, tied);
                let bits = (0..4).map(|_| case.step(isa, threads, sparse, 0.5).to_bits());
                let bits: Vec<u32> = bits.collect();
                let decoder = case.autoencoder.weights.as_deref().unwrap_or_default();
                let w = case.network.weights(0);
                let padding = (0..w.rows()).flat_map(|r| &w.row(r)[SIZES[1]..]);
                let padding = padding
                    .chain(&case.network.biases(0)[SIZES[1]..])
                    .chain(decoder.chunks(32).flat_map(|row| &row[SIZES[0]..]))
                    .chain(&case.autoencoder.biases[SIZES[0]..]);
                assert!(padding.clone().count() > 0 && padding.clone().all(|&v| v == 0.0));
                let found = (bits, case.network.weights_sha256());
                let expected = expected.get_or_insert_with(|| found.clone());
                assert_eq!(&found, expected, "{isa:?} {threads} {sparse} tied {tied}");
            }
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_changes_nothing() {
    for tied in [true, false] {
        let mut case = Case::new(Activation::Relu, Activation::Identity, tied);
        case.x[7] = f32::INFINITY;
        let hash = case.network.weights_sha256();
        assert!(!case.step(Isa::best(), 1, true, 0.1).is_finite());
        assert_eq!(case.network.weights_sha256(), hash);
    }
}
