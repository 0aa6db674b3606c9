//! Matrix products, through the general entry of fanin-kernels.

use super::timing::{Spread, repetitions, rounds, seconds};
use super::yardstick::cores;
use super::{Monitor, Yardstick};
use crate::{Error, Isa, TrainConfig};
use fanin_kernels::team::Team;
use fanin_kernels::{AlignedBuffer, MatMut, MatRef, SharedGemm};
use serde::Serialize;
use std::time::Duration;

/// Seconds of a round, at least.
const ROUND: f64 = 0.3e-3;

/// What a product is for, which decides the layouts of its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum GemmKind {
    /// X·W, all row-major: a layer's forward pass, or just a product.
    #[serde(rename = "forward")]
    Forward,
    /// Xᵀ·δ: the gradient of W.
    #[serde(rename = "dW")]
    WeightGradient,
    /// δ·Wᵀ: the gradient of X.
    #[serde(rename = "dX")]
    InputGradient,
}

impl GemmKind {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::WeightGradient => "dW",
            Self::InputGradient => "dX",
        }
    }
}

/// A product C \[m, n\] = A \[m, k\] · B \[k, n\]. C is row-major; A of dW and B of dX are
/// transposed views of row-major matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GemmCase {
    /// What it is for.
    pub kind: GemmKind,
    /// Rows of A and C.
    pub m: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Threads that share it.
    pub threads: usize,
}

impl GemmCase {
    /// Products of the article's network at batches of 10, 32 and 100, of its evaluation
    /// (1,000 samples), squares from 64 to 1,024 (to 2,048 if `long`), and odd sizes, on one
    /// thread; squares from 256 on also on two, if there are two cores.
    pub fn all(long: bool) -> Vec<Self> {
        let layers = TrainConfig::default().layers;
        let mut cases = Vec::new();
        for batch in [10, 32, 100] {
            for (l, pair) in layers.windows(2).enumerate() {
                let (fan_in, fan_out) = (pair[0], pair[1]);
                let mut push = |kind, m, k, n| {
                    cases.push(Self {
                        kind,
                        m,
                        k,
                        n,
                        threads: 1,
                    });
                };
                push(GemmKind::Forward, batch, fan_in, fan_out);
                push(GemmKind::WeightGradient, fan_in, batch, fan_out);
                // Nobody needs the gradient of the network's inputs.
                if l > 0 {
                    push(GemmKind::InputGradient, batch, fan_out, fan_in);
                }
            }
        }
        let plain = |m, k, n| Self {
            kind: GemmKind::Forward,
            m,
            k,
            n,
            threads: 1,
        };
        cases.extend(layers.windows(2).map(|pair| plain(1_000, pair[0], pair[1])));
        let squares = [64, 128, 256, 512, 1_024, 2_048];
        let squares = &squares[..squares.len() - usize::from(!long)];
        cases.extend(squares.iter().map(|&n| plain(n, n, n)));
        cases.push(plain(127, 129, 131));
        if cores() > 1 {
            cases.extend(squares.iter().filter(|&&n| n >= 256).map(|&n| Self {
                threads: 2,
                ..plain(n, n, n)
            }));
        }
        cases
    }

    /// Floating-point operations: two for each multiply-add.
    #[must_use]
    pub fn flops(&self) -> f64 {
        2.0 * self.m as f64 * self.k as f64 * self.n as f64
    }
}

/// A line of the table.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GemmLine {
    /// The product.
    #[serde(flatten)]
    pub case: GemmCase,
    /// Of one product.
    pub seconds: Spread,
    /// In the fastest round.
    pub gflops: f64,
    /// FMA peak of one core in the same seconds, GFLOP/s.
    pub peak_gflops: f64,
    /// `gflops ÷ peak_gflops ÷ threads`.
    pub share_of_peak: f64,
    /// `gflops` over those of the same product on one thread; `None` with one.
    pub speedup: Option<f64>,
}

pub(super) fn measure(
    isa: Isa,
    cases: &[GemmCase],
    time: Duration,
    monitor: &dyn Monitor,
) -> Result<Vec<GemmLine>, Error> {
    let mut lines: Vec<GemmLine> = Vec::new();
    for case in cases {
        if monitor.stopped() {
            break;
        }
        let mut product = Product::new(*case, isa)?;
        let mut peak = Yardstick::new(Isa::best());
        let calls = repetitions(ROUND, |n| product.run(n));
        let times = rounds(time, monitor, || {
            peak.measure();
            // Wakes threads that have gone to sleep meanwhile.
            if case.threads > 1 {
                product.run(1);
            }
            Some(seconds(|| product.run(calls)) / calls as f64)
        });
        if let Some(seconds) = Spread::of(&times) {
            let (gflops, peak_gflops) = (case.flops() / seconds.min / 1e9, peak.best() / 1e9);
            let alone = lines.iter().find(|line| {
                let GemmCase { m, k, n, .. } = line.case;
                (line.case.kind, m, k, n) == (case.kind, case.m, case.k, case.n)
            });
            let speedup = alone.map(|alone| gflops / alone.gflops);
            lines.push(GemmLine {
                case: *case,
                seconds,
                gflops,
                peak_gflops,
                share_of_peak: gflops / peak_gflops / case.threads as f64,
                speedup,
            });
            monitor.line();
        }
    }
    Ok(lines)
}

/// A case and its matrices, as they lie in memory.
struct Product {
    case: GemmCase,
    team: Team,
    gemm: SharedGemm,
    a: AlignedBuffer,
    b: AlignedBuffer,
    c: AlignedBuffer,
}

impl Product {
    fn new(case: GemmCase, isa: Isa) -> Result<Self, Error> {
        let matrix = |rows: usize, cols: usize| -> Result<AlignedBuffer, Error> {
            let mut data = AlignedBuffer::zeroed(rows.saturating_mul(cols))?;
            for (i, v) in data.iter_mut().enumerate() {
                *v = (i % 17) as f32 / 16.0 - 0.5;
            }
            Ok(data)
        };
        Ok(Self {
            case,
            team: Team::new(case.threads).map_err(Error::Threads)?,
            gemm: SharedGemm::new(isa, case.threads)?,
            a: matrix(case.m, case.k)?,
            b: matrix(case.k, case.n)?,
            c: matrix(case.m, case.n)?,
        })
    }

    fn run(&mut self, calls: u64) {
        let GemmCase { kind, m, k, n, .. } = self.case;
        let a = match kind {
            GemmKind::WeightGradient => MatRef::new(&self.a, k, m).transposed(),
            _ => MatRef::new(&self.a, m, k),
        };
        let b = match kind {
            GemmKind::InputGradient => MatRef::new(&self.b, n, k).transposed(),
            _ => MatRef::new(&self.b, k, n),
        };
        for _ in 0..calls {
            let c = MatMut::new(&mut self.c, m, n);
            self.gemm.run(&mut self.team, 1.0, a, b, 0.0, c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_the_article_is_among_the_cases() {
        let cases = GemmCase::all(false);
        let config = TrainConfig::default();
        let of_step: f64 = cases[..14].iter().map(GemmCase::flops).sum();
        assert_eq!(of_step, config.dense_flops_per_step());
        let evaluation: f64 = cases[42..47].iter().map(GemmCase::flops).sum();
        assert_eq!(evaluation, config.dense_flops_of_evaluation(1_000));
        let one = |long| {
            GemmCase::all(long)
                .iter()
                .filter(|c| c.threads == 1)
                .count()
        };
        assert_eq!((one(false), one(true)), (53, 54));
        assert_eq!(cases[51].n, 1_024);
    }

    #[test]
    fn layouts_are_those_of_the_kinds() {
        for (kind, a, b) in [
            // The element of A at (i, l) and that of B at (l, j), for 2 × 3 × 5.
            (GemmKind::Forward, [3, 1], [5, 1]),
            (GemmKind::WeightGradient, [1, 2], [5, 1]),
            (GemmKind::InputGradient, [3, 1], [1, 3]),
        ] {
            let [m, k, n] = [2, 3, 5];
            let case = GemmCase {
                kind,
                m,
                k,
                n,
                threads: 1,
            };
            let mut product = Product::new(case, Isa::best()).unwrap();
            product.run(2);
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let terms = (0..k).map(|l| {
                    let a = product.a[i * a[0] + l * a[1]];
                    f64::from(a) * f64::from(product.b[l * b[0] + j * b[1]])
                });
                // Multiples of 1/256 below 4: exact.
                assert_eq!(
                    f64::from(product.c[i * n + j]),
                    terms.sum::<f64>(),
                    "{kind:?}"
                );
            }
        }
    }
}
