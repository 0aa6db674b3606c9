//! How long a run takes, by and large.

use crate::TrainConfig;
use crate::init::Initializer;

/// Estimated cost of a run, in floating-point operations as dense arithmetic counts them:
/// training steps, evaluations of `test` samples, and pre-training. An order among runs, not
/// a time: layers of different widths run at different speeds, and zero inputs cost less.
///
/// The same on every machine.
pub fn cost(config: &TrainConfig, test: usize) -> f64 {
    let training = config.dense_flops_per_step() * config.steps as f64;
    let evaluation = config.dense_flops_of_evaluation(test);
    training + evaluations(config) * evaluation + pretraining(config)
}

/// Before the first step, every `eval_every`, after the last.
pub(crate) fn evaluations(config: &TrainConfig) -> f64 {
    let after = match (config.steps, config.eval_every) {
        (0, _) => 0,
        (_, 0) => 1,
        (steps, every) => steps.div_ceil(every),
    };
    1.0 + after as f64
}

/// Autoencoders of all layers but the last: two products forward, three backward.
fn pretraining(config: &TrainConfig) -> f64 {
    let Initializer::Pretrained(settings) = config.init else {
        return 0.0;
    };
    let hidden = config.layers.len().saturating_sub(2);
    let layers = config.layers.windows(2).take(hidden).enumerate();
    let layer = |(l, sizes): (usize, &[usize])| {
        let product = sizes[0] as f64 * sizes[1] as f64;
        10.0 * config.batch as f64 * product * f64::from(settings.steps.get(l))
    };
    layers.map(layer).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_articles_run() {
        let config = TrainConfig::default();
        let expected = 20_000.0 * 16_569_120.0 + 21.0 * 7_561_440_000.0;
        assert_eq!(cost(&config, 10_000), expected);
        let evaluations = |steps, eval_every| {
            let config = TrainConfig::default();
            evaluations(&TrainConfig {
                steps,
                eval_every,
                ..config
            })
        };
        assert_eq!(evaluations(0, 100), 1.0);
        assert_eq!(evaluations(250, 100), 4.0);
        assert_eq!(evaluations(200, 100), 3.0);
        assert_eq!(evaluations(200, 0), 2.0);
        let init: Initializer = "pretrained:steps=2/3".parse().unwrap();
        let layers = vec![784, 20, 30, 10];
        let (init, batch) = (init, 5);
        let config = TrainConfig {
            layers,
            init,
            batch,
            ..config
        };
        let expected = 10.0 * 5.0 * (2.0 * 784.0 * 20.0 + 3.0 * 20.0 * 30.0);
        assert_eq!(pretraining(&config), expected);
    }
}
