//! `fanin train`.

use super::norm::NormArgs;
use super::output::{evaluation_line, json, say, summary};
use super::signals::Signals;
use super::{FAILED, Failure, USAGE};
use crate::config::{LayerRange, TrainConfig};
use crate::data::Folder;
use crate::train::{Evaluation, Observer, PretrainProgress, Setting, Status, Trainer};
use crate::{Activation, Error, Initializer, InputPath, Isa, Loss, Samples, checkpoint, peak};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  fanin train --seed 7 --threads 2
  fanin train --init he_normal --bias-init zeros --activation relu \\
              --output-activation identity --loss cross_entropy --lr 0.1
  fanin train --layers 784,90,10 --steps 5000 --save net.safetensors --json
  fanin train --layers 784,90,10 --load net.safetensors --data fashion-mnist
  fanin train --load net.safetensors --load-layers 1..3 --freeze 1..2
  fanin train --init normal:0.01 --batch-norm pre_activation --bn-eval batch

Ends with 0 also where the run diverges (that is a result), with 130 or 143 after
SIGINT or SIGTERM, with what is done so far.";

/// Every default is the article's.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = EXAMPLES)]
pub(super) struct TrainArgs {
    /// Units of the input, of each hidden layer, and of the output
    #[arg(
        long,
        value_name = "N,N,…",
        value_delimiter = ',',
        default_value = "784,390,156,62,25,10"
    )]
    layers: Vec<usize>,

    /// Initial weights: zeros, constant:V, normal[:STD], uniform[:A],
    /// truncated_normal[:STD], {lecun,glorot,he}_{normal,uniform,truncated_normal}[:GAIN],
    /// orthogonal[:GAIN], identity[:GAIN], sparse:K[:STD], sparse_out:K[:STD],
    /// lsuv[:TOLERANCE[:ITERATIONS]], and autoencoders that are trained layer by layer:
    /// pretrained[:untied,noise=SHARE,steps=N/N/…,lr=X/X/…,std=STD]
    #[arg(long, value_name = "NAME[:ARG]", default_value = "lecun_normal")]
    init: Initializer,

    /// Initial biases, by the same names
    #[arg(long, value_name = "NAME[:ARG]", default_value = "normal:1")]
    bias_init: Initializer,

    /// Activation of the hidden layers: identity, sigmoid, tanh, relu, leaky_relu[:SLOPE],
    /// elu[:ALPHA], selu, gelu, softplus, swish
    #[arg(long, value_name = "NAME[:ARG]", default_value = "sigmoid")]
    activation: Activation,

    /// Activation of the output layer [default: that of the hidden layers]
    #[arg(long, value_name = "NAME[:ARG]")]
    output_activation: Option<Activation>,

    #[command(flatten)]
    norm: NormArgs,

    /// Keep W, b, gamma and beta of layers FIRST to LAST as they start (counted from 1,
    /// both included; running statistics move on)
    #[arg(long, value_name = "FIRST..LAST")]
    freeze: Option<LayerRange>,

    /// Loss: mse (½‖y−t‖²) or cross_entropy (of the softmax), mean over the batch
    #[arg(long, value_name = "NAME", default_value = "mse")]
    loss: Loss,

    /// Learning rate
    #[arg(
        long,
        value_name = "X",
        default_value_t = 3.0,
        allow_negative_numbers = true
    )]
    lr: f32,

    /// Momentum, from 0 (plain SGD) to below 1
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    momentum: f32,

    /// Samples in a step
    #[arg(long, value_name = "N", default_value_t = 10)]
    batch: usize,

    /// Steps to train
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    steps: u64,

    /// Steps between evaluations on the test set (0: only before and after)
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    eval_every: u64,

    /// Decides the initial parameters and the order of the samples
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Threads that share each step; the result does not depend on it
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,

    /// mnist, fashion-mnist, or a folder with four MNIST-shaped IDX files
    #[arg(long, value_name = "NAME|DIR", default_value = "mnist")]
    data: String,

    /// Leave out the first N training images, as the article's loader did
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    hold_out: usize,

    /// How the first layer reads images: auto, sparse or dense; the result does not
    /// depend on it
    #[arg(long, value_name = "PATH", default_value = "auto")]
    input: InputPath,

    /// Write the trained network to a safetensors file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Start from the network in a safetensors file
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,

    /// Take only layers FIRST to LAST from the file (counted from 1, both included), and
    /// start the others as --init says: transfer
    #[arg(long, value_name = "FIRST..LAST", requires = "load")]
    load_layers: Option<LayerRange>,

    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl TrainArgs {
    fn config(&self) -> TrainConfig {
        TrainConfig {
            layers: self.layers.clone(),
            init: self.init,
            bias_init: self.bias_init,
            activation: self.activation,
            output_activation: self.output_activation.unwrap_or(self.activation),
            batch_norm: self.norm.batch_norm(),
            frozen: self.freeze,
            loss: self.loss,
            lr: self.lr,
            momentum: self.momentum,
            batch: self.batch,
            steps: self.steps,
            eval_every: self.eval_every,
            seed: self.seed,
            threads: self.threads,
            input_path: self.input,
        }
    }
}

pub(super) fn run(args: &TrainArgs, started: Instant) -> Result<(), Failure> {
    let config = args.config();
    config.check().map_err(Error::from)?;
    if args.load.is_some() && args.init.needs_data() {
        let message = format!(
            "--load cannot be combined with --init {}, which looks at the samples through the \
             layers below: take an initializer that does not",
            args.init
        );
        return Err(Failure::Message(USAGE, message));
    }
    let isa = Isa::from_env().map_err(Error::from)?;
    if let Some(file) = &args.save {
        // Better now than after the training.
        checkpoint::check_writable(file).map_err(Error::from)?;
    }
    let signals = Signals::watch()
        .map_err(|e| Failure::Message(FAILED, format!("cannot watch for signals: {e}")))?;
    let (train, test) = Samples::open(&args.data, args.hold_out, args.input)?;
    if train.is_empty() {
        let folder = Folder::open(&args.data).map_err(Error::from)?;
        let images = folder.training_images();
        let message = format!(
            "--hold-out {} leaves nothing of the {images} training images",
            args.hold_out
        );
        return Err(Failure::Message(USAGE, message));
    }
    let mut progress = Progress::new(config.steps, args.json, &signals);
    let mut trainer = Trainer::observed(config.clone(), &train, &test, isa, &mut progress)?;
    progress.start(config.steps);
    if let Some(file) = &args.load {
        let network = trainer.network_mut();
        let loaded = match args.load_layers {
            Some(range) => checkpoint::load_layers(file, network, range),
            None => checkpoint::load(file, network),
        };
        loaded.map_err(Error::from)?;
    }

    let run = trainer.run(&mut progress);
    progress.finish()?;
    let total = started.elapsed();
    let setting = Setting {
        config: &config,
        data: &args.data,
        hold_out: args.hold_out,
        peak: peak::fma_peak(Isa::best()),
        total,
    };
    let mut out = std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", json(&setting, &run))?,
        false => write!(out, "\n{}", summary(&setting, &run))?,
    }
    out.flush()?;
    if let Some(file) = &args.save {
        checkpoint::save(file, trainer.network(), &config).map_err(Error::from)?;
    }
    match (run.status, signals.status()) {
        (Status::Interrupted, Some(status)) => Err(Failure::Signal(status)),
        _ => Ok(()),
    }
}

/// A bar on a terminal, lines elsewhere.
struct Progress<'a> {
    signals: &'a Signals,
    bar: ProgressBar,
    json: bool,
    error: Option<std::io::Error>,
    /// Of the layer in pre-training.
    first_loss: f32,
}

impl<'a> Progress<'a> {
    fn new(steps: u64, json: bool, signals: &'a Signals) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr_with_hz(10),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(steps), target);
        // The template is a constant: if it were wrong, the plain bar would do.
        let template = "{wide_bar} {pos}/{len} steps, {speed}, {msg}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("speed", speed));
        }
        Self {
            signals,
            bar,
            json,
            error: None,
            first_loss: 0.0,
        }
    }

    /// Sets the bar, that pre-training may have moved, to the start of the training.
    fn start(&self, steps: u64) {
        self.bar.set_length(steps);
        self.bar.set_message("");
        self.bar.reset();
    }

    /// Removes the bar; tells whether all lines could be written.
    fn finish(self) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        self.error.map_or(Ok(()), |e| Err(e.into()))
    }
}

impl Observer for Progress<'_> {
    fn evaluated(&mut self, evaluation: Evaluation) -> ControlFlow<()> {
        let percent = 100.0 * evaluation.accuracy();
        self.bar.set_message(format!("accuracy {percent:.2} %"));
        self.line(&evaluation_line(&evaluation));
        self.go_on()
    }

    fn pretrained(&mut self, progress: PretrainProgress) -> ControlFlow<()> {
        let PretrainProgress {
            layer,
            layers,
            step,
            steps,
            loss,
        } = progress;
        if step == 1 {
            self.bar.set_length(u64::from(steps));
            self.bar
                .set_message(format!("pre-training layer {} of {layers}", layer + 1));
            self.first_loss = loss;
        }
        if step.is_multiple_of(16) {
            self.bar.set_position(u64::from(step));
        }
        if step == steps || !loss.is_finite() {
            let end = match loss.is_finite() {
                true => format!("{} to {loss}", self.first_loss),
                false => "diverged, its start is kept".into(),
            };
            self.line(&format!(
                "layer {} of {layers} pre-trained, {step} steps, loss {end}",
                layer + 1
            ));
        }
        self.go_on()
    }

    fn stepped(&mut self, step: u64, _loss: f32) -> ControlFlow<()> {
        if step.is_multiple_of(16) {
            self.bar.set_position(step);
        }
        self.go_on()
    }
}

impl Progress<'_> {
    /// Writes a line above the bar.
    fn line(&mut self, line: &str) {
        // With --json stdout is for the object alone.
        let json = self.json;
        let written = self.bar.suspend(|| match json {
            true => {
                say(line);
                Ok(())
            }
            false => writeln!(std::io::stdout(), "{line}"),
        });
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }

    fn go_on(&self) -> ControlFlow<()> {
        match self.error.is_some() || self.signals.status().is_some() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Steps a second, without decimals.
fn speed(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    // A bar that cannot be drawn is no reason to stop.
    let _ = write!(out, "{:.0}/s", state.per_sec());
}
