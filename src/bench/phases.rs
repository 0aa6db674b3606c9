//! The phases of a training step, each beside what arithmetic and memory allow: a roofline.

use super::Monitor;
use super::memory::Pass;
use super::timing::{Spread, rounds};
use super::yardstick::Yardstick;
use crate::samples::{Inputs, Samples};
use crate::step::{Clock, Phase, normalizes_inputs};
use crate::{Error, Isa, TrainConfig, Trainer};
use fanin_kernels::AlignedBuffer;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Samples of a round of steps, at least.
const ROUND_SAMPLES: usize = 1_000;

/// How long to measure a bandwidth.
const BANDWIDTH_TIME: Duration = Duration::from_millis(50);

/// Batches from which it is counted how much a sparse first layer has to do.
const COUNTED: usize = 200;

/// A line of the table: a phase of a step, on one thread.
///
/// The limits count what the phase cannot do without: the multiply-adds of inputs that are
/// not zero, and each row of W that it needs, read once (and written once where it is
/// updated). What activations, their derivatives and small buffers take is beside them.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseLine {
    /// `gather`, `forward`, `loss` or `backward` (which includes the update).
    pub phase: &'static str,
    /// The layer, from 1; `None` of those of no layer.
    pub layer: Option<usize>,
    /// Of one step.
    pub seconds: Spread,
    /// Multiply-adds × 2.
    pub flops: f64,
    /// Of W, read and written.
    pub bytes: f64,
    /// `flops` at the FMA peak of the core.
    pub arithmetic_seconds: f64,
    /// `bytes` at the bandwidth of one core for a buffer as large as the parameters.
    pub memory_seconds: f64,
    /// What the limit is: `arithmetic` or `memory`; `None` where neither counts.
    pub limit: Option<&'static str>,
    /// The limit over the fastest time, 0 to 1.
    pub of_limit: Option<f64>,
}

/// Adds up the times of the phases.
struct Stopwatch {
    last: Instant,
    layers: usize,
    sums: Vec<f64>,
}

impl Stopwatch {
    fn new(layers: usize) -> Self {
        Self {
            last: Instant::now(),
            layers,
            sums: vec![0.0; phases(layers).count()],
        }
    }
}

impl Clock for Stopwatch {
    fn ended(&mut self, phase: Phase) {
        let now = Instant::now();
        let place = match phase {
            Phase::Gather => 0,
            Phase::Forward(l) => 1 + l,
            Phase::Loss => 1 + self.layers,
            Phase::Backward(l) => 1 + 2 * self.layers - l,
        };
        self.sums[place] += (now - self.last).as_secs_f64();
        self.last = now;
    }
}

/// In the order of a step.
fn phases(layers: usize) -> impl Iterator<Item = Phase> {
    let forward = (0..layers).map(Phase::Forward);
    let backward = (0..layers).rev().map(Phase::Backward);
    let first = std::iter::once(Phase::Gather).chain(forward);
    first.chain(std::iter::once(Phase::Loss)).chain(backward)
}

/// Lines that [`measure`] gives for a network of so many layers.
pub(super) fn lines(config: &TrainConfig) -> usize {
    phases(config.layers.len().saturating_sub(1)).count()
}

pub(super) fn measure(
    isa: Isa,
    config: &TrainConfig,
    [train, test]: [&Samples; 2],
    time: Duration,
    monitor: &dyn Monitor,
) -> Result<Vec<PhaseLine>, Error> {
    let config = TrainConfig {
        threads: 1,
        ..config.clone()
    };
    let mut trainer = Trainer::with_isa(config.clone(), train, test, isa)?;
    let layers = trainer.network().layers().len();
    let work = Work::count(&trainer, train);
    let parameters = trainer.network().parameter_count();
    // Whoever reads and writes W reads something else beside it, as axpy does.
    let mut buffer = AlignedBuffer::zeroed(2 * parameters.div_ceil(2))?;
    let bandwidth = [Pass::Read, Pass::Axpy].map(|pass| {
        let rate = pass.rate(isa, &mut buffer, BANDWIDTH_TIME, monitor);
        rate.map_or(f64::INFINITY, |rate| 1e9 * rate.best)
    });
    let steps = ROUND_SAMPLES.div_ceil(config.batch.max(1));
    let mut yardstick = Yardstick::new(Isa::best());
    let mut times = vec![Vec::new(); phases(layers).count()];
    rounds(time, monitor, || {
        yardstick.measure();
        let mut watch = Stopwatch::new(layers);
        for _ in 0..steps {
            watch.last = Instant::now();
            if !trainer.step_with(&mut watch).is_finite() {
                return None;
            }
        }
        for (times, sum) in times.iter_mut().zip(&watch.sums) {
            times.push(sum / steps as f64);
        }
        Some(watch.sums.iter().sum())
    });
    let mut lines = Vec::new();
    for (phase, times) in phases(layers).zip(&times) {
        let Some(seconds) = Spread::of(times) else {
            break;
        };
        let (phase, layer, flops, [read, updated]) = work.of(phase);
        let arithmetic_seconds = flops / yardstick.best();
        let memory_seconds = read / bandwidth[0] + updated / bandwidth[1];
        let limit = arithmetic_seconds.max(memory_seconds);
        lines.push(PhaseLine {
            phase,
            layer,
            seconds,
            flops,
            bytes: read + updated,
            arithmetic_seconds,
            memory_seconds,
            limit: (limit > 0.0).then_some(match arithmetic_seconds >= memory_seconds {
                true => "arithmetic",
                false => "memory",
            }),
            of_limit: (limit > 0.0).then_some(limit / seconds.min),
        });
        monitor.line();
    }
    Ok(lines)
}

/// What a step cannot do without.
struct Work {
    batch: f64,
    /// fan_in, fan_out and padded width of each layer.
    shapes: Vec<(f64, f64, f64)>,
    /// Inputs of a batch that are multiplied in the first layer, and rows of its W that
    /// these need.
    inputs: f64,
    rows: f64,
    /// Whether the first layer normalizes its inputs: then it has a dX as the others.
    normalized: bool,
}

impl Work {
    fn count(trainer: &Trainer<'_>, train: &Samples) -> Self {
        let batch = trainer.config().batch;
        let cols = train.cols() as f64;
        let (mut inputs, mut rows) = (batch as f64 * cols, cols);
        let normalized = normalizes_inputs(trainer.network());
        if let (Inputs::Sparse(all), false) = (&train.inputs, normalized) {
            let ids = trainer.next_samples(COUNTED);
            let (mut stored, mut lit) = (0, 0);
            for batch in ids.chunks_exact(batch.max(1)) {
                let mut pixels = vec![false; train.cols()];
                for &id in batch {
                    for (column, _) in all.row(id as usize) {
                        stored += 1;
                        pixels[column] = true;
                    }
                }
                lit += pixels.iter().filter(|&&lit| lit).count();
            }
            (inputs, rows) = (stored as f64 / COUNTED as f64, lit as f64 / COUNTED as f64);
        }
        let layers = trainer.network().layers().iter();
        Self {
            batch: batch as f64,
            shapes: layers
                .map(|l| (l.fan_in as f64, l.fan_out as f64, l.width as f64))
                .collect(),
            inputs,
            rows,
            normalized,
        }
    }

    /// Name, layer, multiply-adds × 2, bytes of W only read and bytes of W updated (read and
    /// written).
    fn of(&self, phase: Phase) -> (&'static str, Option<usize>, f64, [f64; 2]) {
        // Multiply-adds of a product with W, and bytes of the rows of W that it needs.
        let product = |l: usize| {
            let (fan_in, fan_out, width) = self.shapes[l];
            match l {
                0 => (self.inputs * fan_out, 4.0 * self.rows * width),
                _ => (self.batch * fan_in * fan_out, 4.0 * fan_in * width),
            }
        };
        match phase {
            Phase::Gather => ("gather", None, 0.0, [0.0; 2]),
            Phase::Loss => ("loss", None, 0.0, [0.0; 2]),
            Phase::Forward(l) => {
                let (products, bytes) = product(l);
                ("forward", Some(l + 1), 2.0 * products, [bytes, 0.0])
            }
            // dX and the update; the first layer mostly has no dX.
            Phase::Backward(l) => {
                let (products, bytes) = product(l);
                let flops = if l == 0 && !self.normalized { 2.0 } else { 4.0 } * products;
                ("backward", Some(l + 1), flops, [0.0, 2.0 * bytes])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;

    /// Two batches of two samples of four pixels: six pixels lit, two of the four in each.
    fn samples() -> Samples {
        let bytes = [0, 9, 0, 0, 0, 9, 9, 0, 9, 0, 0, 0, 9, 0, 9, 0];
        Samples::from_bytes(&bytes, 4, &[0, 1, 0, 1], crate::InputPath::Sparse).unwrap()
    }

    #[test]
    fn work_is_what_one_counts_by_hand() {
        let samples = samples();
        let config = super::super::config(vec![4, 3, 2], 4, Activation::Sigmoid, None);
        let trainer = Trainer::with_isa(config, &samples, &samples, Isa::best()).unwrap();
        let work = Work::count(&trainer, &samples);
        assert_eq!((work.inputs, work.rows), (6.0, 3.0));
        let forward = work.of(Phase::Forward(0));
        assert_eq!(
            forward,
            ("forward", Some(1), 2.0 * 6.0 * 3.0, [4.0 * 3.0 * 16.0, 0.0])
        );
        let backward = work.of(Phase::Backward(1));
        let expected = (2.0 * 2.0 * 4.0 * 3.0 * 2.0, [0.0, 2.0 * 4.0 * 3.0 * 16.0]);
        assert_eq!((backward.2, backward.3), expected);
    }

    #[test]
    fn every_phase_is_a_line_in_the_order_of_a_step() {
        let samples = samples();
        let config = super::super::config(vec![4, 3, 2], 2, Activation::Sigmoid, None);
        let both = [&samples, &samples];
        let found = measure(Isa::best(), &config, both, Duration::ZERO, &()).unwrap();
        let names: Vec<_> = found.iter().map(|line| (line.phase, line.layer)).collect();
        let expected = [
            ("gather", None),
            ("forward", Some(1)),
            ("forward", Some(2)),
            ("loss", None),
            ("backward", Some(2)),
            ("backward", Some(1)),
        ];
        assert_eq!(names, expected);
        assert_eq!(lines(&config), found.len());
        for line in &found {
            let limit = line.arithmetic_seconds.max(line.memory_seconds);
            let share = (limit > 0.0).then_some(limit / line.seconds.min);
            assert_eq!(line.of_limit, share);
        }
    }
}
