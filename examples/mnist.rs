//! Trains the article's network on MNIST: `cargo run --release --example mnist`.

use fanin::data::Dataset;
use fanin::{Error, InputPath, Samples, TrainConfig, Trainer};

fn main() -> Result<(), Error> {
    let mnist = Dataset::open("mnist")?;
    let (train, test) = Samples::from_dataset(&mnist, 5_000, InputPath::Auto)?;
    let mut trainer = Trainer::new(TrainConfig::default(), &train, &test)?;
    let run = trainer.run(&mut ());
    for e in &run.evals {
        println!("step {}: {:.2} %", e.step, 100.0 * e.accuracy());
    }
    Ok(())
}
