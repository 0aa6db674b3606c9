//! Trains small multi-layer perceptrons on the CPU: faster than dense arithmetic would
//! allow where inputs are sparse, and with the same bits on every machine.
//!
//! # Six lines
//!
//! ```no_run
//! use fanin::{InputPath, Samples, TrainConfig, Trainer};
//!
//! # fn main() -> Result<(), fanin::Error> {
//! let (train, test) = Samples::open("mnist", 5_000, InputPath::Auto)?;
//! let config = TrainConfig { seed: 7, ..TrainConfig::default() };
//! let mut trainer = Trainer::new(config, &train, &test)?;
//! let run = trainer.run(&mut ());
//! println!("{:?} {}", run.final_accuracy(), run.weights_sha256);
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! - [`TrainConfig`]: everything a run is made of; its default is the network of the
//!   article on initialization that fanin reproduces (784-390-156-62-25-10, sigmoid).
//! - [`Samples`] holds what the engine reads, from MNIST-shaped files or from your own
//!   bytes or `f32` vectors; [`data::Dataset`] has the images themselves.
//! - [`Trainer`] trains: [`Trainer::run`] with an [`Observer`] that is told of every
//!   step and evaluation, or [`Trainer::step`] one at a time.
//! - [`Network`] is the result: views of the parameters, and their SHA-256.
//!   [`checkpoint`] keeps it in a safetensors file.
//! - [`init`] has the initializers by their names in the field; [`random`] the streams
//!   of random numbers below them.
//!
//! # The numerics contract
//!
//! The same [`TrainConfig`] (but for `threads` and `input_path`) on the same samples
//! gives the same parameters to the last bit: on AVX-512, AVX2, NEON and portable code,
//! with any number of threads, on the sparse and the dense path.
//! [`Network::weights_sha256`] is how to see it. A run that diverges does so at the same
//! step everywhere.
//!
//! # Errors
//!
//! Nothing a file, a flag or a configuration can contain panics: what can be wrong is an
//! [`Error`]. Indices out of range panic where the documentation says so.
#![forbid(unsafe_code)]
// They panic where nobody reads; the command line writes through cli::output.
#![cfg_attr(not(test), deny(clippy::print_stderr, clippy::print_stdout))]

pub mod article;
pub mod batch_norm;
pub mod bench;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod data;
mod data_init;
mod error;
mod evaluate;
mod files;
pub mod init;
pub mod network;
pub mod peak;
mod pool;
pub mod probe;
pub mod random;
pub mod report;
pub mod samples;
pub mod stats;
mod step;
pub mod sweep;
pub mod train;

pub use batch_norm::BatchNorm;
pub use config::TrainConfig;
pub use error::Error;
pub use fanin_kernels::{Activation, Isa, Loss};
pub use init::Initializer;
pub use network::Network;
pub use samples::{InputPath, Samples};
pub use step::{Clock, Phase};
pub use train::{Evaluation, Observer, Run, Status, Trainer};
