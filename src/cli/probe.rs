//! `fanin probe`.

use super::Failure;
use super::norm::BatchNormArgs;
use crate::batch_norm::NormLayers;
use crate::data::Dataset;
use crate::probe::{DepthScales, Histogram, Probe, ProbeConfig, ProbeData, probe};
use crate::report::{self, number};
use crate::{Activation, Error, Initializer};
use clap::Args;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  fanin probe --init normal:0.01
  fanin probe --activation relu --init he_normal --out figure.svg
  fanin probe --init normal:1 --batch-norm pre_activation
  fanin probe --layers 784,390,156,62,25,10 --data mnist --activation sigmoid \\
              --bias-init normal:1

Batch normalization takes the statistics of the batch itself. Predictions are
for networks without it, and left out then.";

/// Every default is that of the article's figures: tanh, 2,000 samples, no biases.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = EXAMPLES)]
pub(super) struct ProbeArgs {
    /// Units of the input, of each hidden layer, and of the output
    #[arg(
        long,
        value_name = "N,N,…",
        value_delimiter = ',',
        default_value = "800,750,700,650,600,550,500,450,400,350"
    )]
    layers: Vec<usize>,

    /// Initial weights, by the names of `fanin train --init`
    #[arg(long, value_name = "NAME[:ARG]", default_value = "lecun_normal")]
    init: Initializer,

    /// Initial biases, by the same names
    #[arg(long, value_name = "NAME[:ARG]", default_value = "zeros")]
    bias_init: Initializer,

    /// Activation of every layer, by the names of `fanin train --activation`
    #[arg(long, value_name = "NAME[:ARG]", default_value = "tanh")]
    activation: Activation,

    #[command(flatten)]
    norm: BatchNormArgs,

    /// Inputs: gaussian (N(0, 1)), mnist, fashion-mnist, or a folder with IDX files
    #[arg(long, value_name = "NAME|DIR", default_value = "gaussian")]
    data: String,

    /// Samples in the batch
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    samples: usize,

    /// Decides the parameters, the Gaussian inputs and the gradient at the output
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Draw the histograms into an SVG file as well
    #[arg(long, value_name = "FILE.svg")]
    out: Option<PathBuf>,

    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    layers: &'a [usize],
    init: String,
    bias_init: String,
    activation: String,
    batch_norm: String,
    bn_layers: Option<NormLayers>,
    bn_epsilon: Option<f32>,
    data: &'a str,
    samples: usize,
    seed: u64,
    probe: &'a Probe,
}

pub(super) fn run(args: &ProbeArgs) -> Result<(), Failure> {
    let config = ProbeConfig {
        layers: args.layers.clone(),
        init: args.init,
        bias_init: args.bias_init,
        activation: args.activation,
        batch_norm: args.norm.batch_norm(),
        samples: args.samples,
        seed: args.seed,
    };
    let found = match args.data.as_str() {
        "gaussian" => probe(&config, ProbeData::Gaussian)?,
        data => {
            let dataset = Dataset::open(data).map_err(Error::from)?;
            probe(&config, ProbeData::Images(&dataset.train))?
        }
    };
    if let Some(file) = &args.out {
        let title = title(&config, &args.data);
        let norm = config.batch_norm.map(|norm| format!(", {norm}"));
        report::histograms(file, &(title + &norm.unwrap_or_default()), &found)?;
    }
    let text = match args.json {
        false => table(&config, &args.data, &found),
        true => {
            let report = Report {
                layers: &config.layers,
                init: config.init.to_string(),
                bias_init: config.bias_init.to_string(),
                activation: config.activation.to_string(),
                batch_norm: config
                    .batch_norm
                    .map_or("off".into(), |norm| norm.placement.to_string()),
                bn_layers: config.batch_norm.map(|norm| norm.layers),
                bn_epsilon: config.batch_norm.map(|norm| norm.epsilon),
                data: &args.data,
                samples: config.samples,
                seed: config.seed,
                probe: &found,
            };
            // Numbers and strings only: there is nothing that serializing could refuse.
            serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
        }
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// What was probed, in a line.
fn title(config: &ProbeConfig, data: &str) -> String {
    format!(
        "{}, weights {}, biases {}, {} samples of {data} inputs",
        config.activation, config.init, config.bias_init, config.samples
    )
}

/// A line for each layer, in 80 columns.
fn table(config: &ProbeConfig, data: &str, probe: &Probe) -> String {
    let mut text = String::new();
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = text.write_fmt(arguments);
    };
    line(format_args!("{}\n", title(config, data)));
    if let Some(norm) = config.batch_norm {
        line(format_args!("{norm}, epsilon {}\n", norm.epsilon));
    }
    // Without predictions, without their column.
    let predicted = |text: &str| match probe.depth {
        Some(_) => format!(" {text:>9}"),
        None => String::new(),
    };
    line(format_args!(
        "\nlayer width        sd{}   outputs from -1 to 1             gradient sd\n",
        predicted("predicted")
    ));
    for (l, layer) in probe.layers.iter().enumerate() {
        let prediction = layer.predicted.map(|p| number(p.outputs));
        line(format_args!(
            "{:>5} {:>5} {:>9}{}  {} {:>10}\n",
            l + 1,
            layer.width,
            number(layer.outputs.standard_deviation),
            predicted(&prediction.unwrap_or_default()),
            bars(&layer.histogram),
            number(layer.gradients.standard_deviation)
        ));
    }
    let v = probe.variances;
    line(format_args!(
        "\nfan_in·Var(w) = {}, Var(b) = {}",
        number(v.weights),
        number(v.biases)
    ));
    match &probe.depth {
        Some(depth) => line(format_args!(", {}", of_depth(depth))),
        None => line(format_args!(
            "\nno predictions: these are for networks without batch normalization\n"
        )),
    }
    text
}

/// What mean-field theory says of more layers.
fn of_depth(depth: &DepthScales) -> String {
    let gradients = match depth.chi_1 {
        ..0.99 => "gradients vanish with depth",
        ..=1.01 => "gradients are kept",
        _ => "gradients explode with depth",
    };
    let layers = |scale: Option<f64>| match scale {
        Some(layers) => format!("{layers:.1} layers"),
        None => "unlimited".into(),
    };
    let scales = match depth.q {
        Some(_) => format!(
            "depth scales: ξ_q {}, ξ_c {}",
            layers(depth.xi_q),
            layers(depth.xi_c)
        ),
        None => format!(
            "the variance changes by a factor {} a layer",
            number(depth.growth)
        ),
    };
    format!("χ₁ = {}: {gradients}\n{scales}\n", number(depth.chi_1))
}

/// A character for each bin, as high as its share of the fullest; `<` and `>` where more
/// than 1 % of the values lie outside.
fn bars(histogram: &Histogram) -> String {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let fullest = histogram.bins.iter().copied().max().unwrap_or(0).max(1);
    let outside = |count: u64, mark| match count.saturating_mul(100) > histogram.total() {
        true => mark,
        false => ' ',
    };
    let mut text = String::from(outside(histogram.below, '<'));
    for &count in &histogram.bins {
        let height = (count as f64 / fullest as f64 * 8.0).ceil();
        text.push(HEIGHTS[(height as usize).min(8)]);
    }
    text.push(outside(histogram.above, '>'));
    text
}
