//! The second stage of the initializers that look at the training samples.

mod autoencoder;
mod lsuv;
mod pretrain;

pub(crate) use lsuv::{LSUV_SAMPLES, lsuv};
pub use pretrain::PretrainProgress;

use crate::config::TrainConfig;
use crate::init::Initializer;
use crate::network::Network;
use crate::samples::Samples;
use crate::train::{Observer, Order};
use fanin_kernels::team::Team;
use fanin_kernels::{Isa, MatRef, padded};
use std::collections::TryReserveError;

/// Lets the initializer of `config` go on from the parameters that `network` has been
/// drawn with. Nothing happens unless it [needs data](Initializer::needs_data). Batch
/// normalization has no part in it.
///
/// # Errors
/// If memory does not suffice.
pub(crate) fn initialize(
    config: &TrainConfig,
    isa: Isa,
    team: &mut Team,
    network: &mut Network,
    train: &Samples,
    observer: &mut dyn Observer,
) -> Result<(), TryReserveError> {
    match config.init {
        Initializer::Lsuv {
            tolerance,
            iterations,
        } => {
            let mut ids = [0; LSUV_SAMPLES];
            let ids = &mut ids[..LSUV_SAMPLES.min(train.len())];
            let n = u32::try_from(train.len()).unwrap_or(u32::MAX);
            Order::new(config.seed, n).fill(ids);
            let rows = train.dense_rows(ids)?;
            let cols = train.cols();
            let x = MatRef::with_strides(&rows, ids.len(), cols, padded(cols), 1);
            lsuv(isa, network, x, tolerance, iterations)?;
        }
        Initializer::Pretrained(settings) => {
            pretrain::pretrain(config, settings, isa, team, network, train, observer)?;
        }
        _ => {}
    }
    Ok(())
}
