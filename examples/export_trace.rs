//! Writes where a training run starts, for another framework to repeat its first steps.
//!
//! `tests/golden_trace.rs` compares the engine's gradients and losses with those that
//! PyTorch computes in float64 from the same initial weights and the same batches. This
//! program writes these two; `tests/golden_trace/trace.py` reads them and computes.
//!
//! ```text
//! cargo run --release --example export_trace -- article DIR
//! ```
//!
//! writes to DIR, which is made if need be:
//!
//! - `initial.safetensors`: the network before its first step. Its metadata have the
//!   configuration, so nothing else need be told to the other framework.
//! - `order.txt`: the samples of the first 100 batches, one batch a line. Sample i is
//!   image 5,000 + i of MNIST's training images: the first 5,000 are held out.
//!
//! Instead of `article`, the article's own run, there is `relu` (the same layers as one
//! would train them today, with momentum) and `small` (sizes that fill no register).

use fanin::data::Dataset;
use fanin::{Activation, InputPath, Loss, Samples, TrainConfig, Trainer, checkpoint};
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

/// Batches in `order.txt`.
const STEPS: usize = 100;
/// Training images that are left out.
const HELD_OUT: usize = 5_000;

const USAGE: &str = "usage: export_trace article|relu|small DIR";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, folder] = &arguments[..] else {
        return Err(USAGE.into());
    };
    let config = config(name)?;
    let folder = Path::new(folder);

    let data = Dataset::open("mnist")?;
    let all = HELD_OUT..data.train.len();
    let train = Samples::from_split(&data.train, all, InputPath::Auto)?;
    let test = Samples::from_split(&data.test, 0..data.test.len(), InputPath::Auto)?;
    let trainer = Trainer::new(config, &train, &test)?;

    std::fs::create_dir_all(folder)?;
    let weights = folder.join("initial.safetensors");
    checkpoint::save(&weights, trainer.network(), trainer.config())?;
    let mut order = String::new();
    for batch in trainer.next_samples(STEPS).chunks(trainer.config().batch) {
        let samples: Vec<String> = batch.iter().map(u32::to_string).collect();
        writeln!(order, "{}", samples.join(" "))?;
    }
    std::fs::write(folder.join("order.txt"), order)?;
    Ok(())
}

fn config(name: &str) -> Result<TrainConfig, Box<dyn Error>> {
    match name {
        "article" => Ok(TrainConfig::default()),
        "relu" => Ok(TrainConfig {
            init: "he_normal".parse()?,
            bias_init: "zeros".parse()?,
            activation: Activation::Relu,
            output_activation: Activation::Identity,
            loss: Loss::CrossEntropy,
            lr: 0.1,
            momentum: 0.9,
            ..TrainConfig::default()
        }),
        "small" => Ok(TrainConfig {
            layers: vec![784, 17, 11, 10],
            init: "glorot_uniform".parse()?,
            bias_init: "uniform:0.1".parse()?,
            activation: Activation::Gelu,
            output_activation: Activation::Identity,
            loss: Loss::CrossEntropy,
            lr: 0.1,
            batch: 7,
            seed: 7,
            ..TrainConfig::default()
        }),
        _ => Err(format!("no trace is called '{name}'; {USAGE}").into()),
    }
}
