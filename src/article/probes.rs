//! The article's figures: a batch goes through ten untrained layers.

use crate::batch_norm::BatchNorm;
use crate::probe::{BINS, LayerProbe, Probe, ProbeConfig, ProbeData};
use crate::stats::Summary;
use crate::{Activation, Error, Initializer};

/// One of the article's figures, with what was measured.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it is about.
    pub(super) spec: &'static Spec,
    /// Seeds and what they gave, by seed.
    pub probes: Vec<(u64, Probe)>,
}

/// What a figure shows, and what the article reads from it.
#[derive(Debug)]
pub(super) struct Spec {
    pub id: &'static str,
    pub title: &'static str,
    init: Initializer,
    activation: Activation,
    batch_norm: bool,
    /// What the article says.
    pub claim: &'static str,
    /// When that counts as holding for a seed.
    pub rule: &'static str,
    pub holds: fn(&[LayerProbe]) -> bool,
    /// Whether the second moments tell more than the standard deviations.
    pub second_moments: bool,
}

const HE: Initializer = Initializer::HE_NORMAL;
const XAVIER: Initializer = Initializer::LECUN_NORMAL;

static FIGURES: [Spec; 7] = [
    Spec {
        id: "layers_tanh_zero",
        title: "tanh, all-zero weights",
        init: Initializer::Zeros,
        activation: Activation::Tanh,
        batch_norm: false,
        claim: "Every output of every layer is 0.",
        rule: "standard deviation and mean exactly 0 at every layer",
        holds: |layers| layers.iter().all(|l| l.outputs.second_moment == 0.0),
        second_moments: false,
    },
    Spec {
        id: "layers_tanh_random",
        title: "tanh, random N(0, 1)",
        init: Initializer::Normal(1.0),
        activation: Activation::Tanh,
        batch_norm: false,
        claim: "The outputs of all layers saturate at −1 and 1.",
        rule: "at every layer at least 80 % of the outputs are in the two outermost of 30 bins",
        holds: |layers| layers.iter().all(|l| outermost(l) >= 0.8),
        second_moments: false,
    },
    Spec {
        id: "layers_tanh_small",
        title: "tanh, small random N(0, 0.01²)",
        init: Initializer::Normal(0.01),
        activation: Activation::Tanh,
        batch_norm: false,
        claim: "The outputs shrink layer by layer until they vanish.",
        rule: "the standard deviation falls at every layer and ends below 10⁻⁴",
        holds: |layers| falls(&deviations(layers)) && deviations(layers)[layers.len() - 1] < 1e-4,
        second_moments: false,
    },
    Spec {
        id: "layers_tanh_xavier",
        title: "tanh, Xavier N(0, 1/fan_in)",
        init: XAVIER,
        activation: Activation::Tanh,
        batch_norm: false,
        claim: "The outputs stay spread through all layers.",
        rule: "at every layer the standard deviation is at least 0.2 and at most 10 % of the \
               outputs are in the two outermost bins",
        holds: |layers| {
            let spread = |l: &LayerProbe| l.outputs.standard_deviation >= 0.2;
            layers.iter().all(|l| spread(l) && outermost(l) <= 0.1)
        },
        second_moments: false,
    },
    Spec {
        id: "layers_relu_xavier",
        title: "relu, Xavier N(0, 1/fan_in)",
        init: XAVIER,
        activation: Activation::Relu,
        batch_norm: false,
        claim: "With relu the second moment halves at each layer.",
        rule: "the ratio of each layer's second moment to the one before is 0.4 to 0.6",
        holds: |layers| ratios(layers).all(|r| (0.4..=0.6).contains(&r)),
        second_moments: true,
    },
    Spec {
        id: "layers_relu_he",
        title: "relu, He N(0, 2/fan_in)",
        init: HE,
        activation: Activation::Relu,
        batch_norm: false,
        claim: "With relu and He initialization the second moment is kept.",
        rule: "the last layer's second moment is half to twice that of the inputs, which is 1",
        holds: |layers| {
            let last = layers.last().map_or(0.0, |l| l.outputs.second_moment);
            (0.5..=2.0).contains(&last)
        },
        second_moments: true,
    },
    Spec {
        id: "layers_tanh_random_bn",
        title: "tanh, random N(0, 1), batch normalization",
        init: Initializer::Normal(1.0),
        activation: Activation::Tanh,
        batch_norm: true,
        claim: "Batch normalization keeps the outputs spread whatever the weights.",
        rule: "the standard deviation is 0.6 to 0.66 at every layer",
        holds: |layers| deviations(layers).iter().all(|d| (0.6..=0.66).contains(d)),
        second_moments: false,
    },
];

impl Figure {
    /// Whether the theory predicts something for it, and not just 0.
    pub(super) fn predicted(&self) -> bool {
        let first = self
            .probes
            .first()
            .and_then(|(_, probe)| probe.layers.first());
        first
            .and_then(|layer| layer.predicted)
            .is_some_and(|p| p.outputs > 0.0)
    }

    /// The greatest relative error of a prediction, over the layers: of the mean over the
    /// seeds of what is `measured`; 0 where nothing is predicted.
    pub(super) fn error_of(
        &self,
        measured: fn(&LayerProbe) -> f64,
        predicted: fn(&LayerProbe) -> Option<f64>,
    ) -> f64 {
        let layers = self
            .probes
            .first()
            .map_or(0, |(_, probe)| probe.layers.len());
        let errors = (0..layers).filter_map(|l| {
            let of: Vec<&LayerProbe> = self.probes.iter().map(|(_, p)| &p.layers[l]).collect();
            let mean = |values: Vec<f64>| Summary::of(&values).map(|s| s.mean);
            let found = mean(of.iter().map(|layer| measured(layer)).collect())?;
            let expected = mean(of.iter().filter_map(|layer| predicted(layer)).collect())?;
            let error = (found / expected - 1.0).abs();
            Some(if error.is_nan() { f64::INFINITY } else { error })
        });
        errors.fold(0.0, f64::max)
    }
}

/// How many figures there are.
pub(super) fn count() -> usize {
    FIGURES.len()
}

/// The probe of a figure with a seed.
pub(super) fn probe(figure: usize, seed: u64, samples: usize) -> Result<Probe, Error> {
    let spec = &FIGURES[figure];
    let config = ProbeConfig {
        init: spec.init,
        activation: spec.activation,
        batch_norm: spec.batch_norm.then_some(BatchNorm::ARTICLE),
        seed,
        samples,
        ..ProbeConfig::default()
    };
    crate::probe::probe(&config, ProbeData::Gaussian)
}

/// The figures from their probes, in any order.
pub(super) fn figures(mut probes: Vec<(usize, u64, Probe)>) -> Vec<Figure> {
    probes.sort_by_key(|(figure, seed, _)| (*figure, *seed));
    let of = |number: usize| {
        let probes = probes.iter().filter(move |(figure, ..)| *figure == number);
        probes
            .map(|(_, seed, probe)| (*seed, probe.clone()))
            .collect()
    };
    let all = FIGURES.iter().enumerate();
    all.map(|(number, spec)| Figure {
        spec,
        probes: of(number),
    })
    .collect()
}

/// The share of outputs beyond ±14/15, 0 to 1.
fn outermost(layer: &LayerProbe) -> f64 {
    let h = &layer.histogram;
    let count = h.bins[0] + h.bins[BINS - 1] + h.below + h.above;
    count as f64 / (h.total() as f64).max(1.0)
}

fn deviations(layers: &[LayerProbe]) -> Vec<f64> {
    layers
        .iter()
        .map(|l| l.outputs.standard_deviation)
        .collect()
}

fn falls(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[1] < pair[0])
}

/// Each layer's second moment by that of the layer before; by 1, the inputs', for the first.
fn ratios(layers: &[LayerProbe]) -> impl Iterator<Item = f64> {
    let moments = layers.iter().map(|l| l.outputs.second_moment);
    let before = std::iter::once(1.0).chain(moments.clone());
    moments.zip(before).map(|(now, before)| now / before)
}
