//! Trains the article's network on MNIST: `cargo run --release --example mnist`.

use fanin::{Error, InputPath, Samples, TrainConfig, Trainer};

fn main() -> Result<(), Error> {
    let (train, test) = Samples::open("mnist", 5_000, InputPath::Auto)?;
    let mut trainer = Trainer::new(TrainConfig::default(), &train, &test)?;
    let run = trainer.run(&mut ());
    for e in &run.evals {
        println!("step {}: {:.2} %", e.step, 100.0 * e.accuracy());
    }
    Ok(())
}
