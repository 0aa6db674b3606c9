//! Learns a function of your own by regression: `cargo run --release --example own_data`.

use fanin::{Activation, Error, Initializer, Samples, TrainConfig, Trainer};

fn main() -> Result<(), Error> {
    // x in [−2, 2), t = x² sin(3x): 4,000 samples of one input and one target.
    let x: Vec<f32> = (0..4_000u16)
        .map(|i| f32::from(i) / 1_000.0 - 2.0)
        .collect();
    let t: Vec<f32> = x.iter().map(|x| x * x * (3.0 * x).sin()).collect();
    let samples = Samples::regression(x, 1, t, 1)?;
    let config = TrainConfig {
        layers: vec![1, 64, 64, 1],
        init: Initializer::HE_NORMAL,
        activation: Activation::Tanh,
        output_activation: Activation::Identity,
        lr: 0.02,
        momentum: 0.9,
        batch: 32,
        ..TrainConfig::default()
    };
    let mut trainer = Trainer::new(config, &samples, &samples)?;
    for step in 0..=20_000 {
        let loss = trainer.step();
        if step % 4_000 == 0 {
            println!("step {step}: loss {loss:.6}");
        }
    }
    Ok(())
}
