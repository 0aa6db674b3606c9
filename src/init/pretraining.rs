//! The settings of `pretrained`, and their text form.

use fanin_kernels::Activation;
use std::fmt;
use std::str::FromStr;

/// A value for each layer: a list whose last value goes on for the layers after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerLayer<T> {
    /// From `len` on all are the last value.
    values: [T; MAX_VALUES],
    len: usize,
}

/// The most values of a [`PerLayer`].
pub const MAX_VALUES: usize = 16;

impl<T: Copy + PartialEq> PerLayer<T> {
    /// The same value for all layers.
    pub const fn all(value: T) -> Self {
        Self {
            values: [value; MAX_VALUES],
            len: 1,
        }
    }

    /// `None` unless there are 1 to [`MAX_VALUES`] values.
    pub fn new(given: &[T]) -> Option<Self> {
        let last = *given.last()?;
        let mut values = [last; MAX_VALUES];
        values.get_mut(..given.len())?.copy_from_slice(given);
        // A last value that is given twice says nothing new.
        let distinct = given.iter().rposition(|v| *v != last).map_or(0, |i| i + 1);
        Some(Self {
            values,
            len: distinct + 1,
        })
    }

    /// The value for layer `l`, from 0.
    pub fn get(&self, l: usize) -> T {
        self.values[l.min(MAX_VALUES - 1)]
    }

    /// The values, without repetitions of the last.
    pub fn values(&self) -> &[T] {
        &self.values[..self.len.min(MAX_VALUES)]
    }
}

/// `V/V/…`
impl<T: fmt::Display + Copy + PartialEq> fmt::Display for PerLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, value) in self.values().iter().enumerate() {
            write!(f, "{}{value}", if i == 0 { "" } else { "/" })?;
        }
        Ok(())
    }
}

/// Greedy layer-wise pre-training with stacked autoencoders.
///
/// Layer by layer from the input, all but the output layer: an autoencoder
/// `h = f(x̃·W + b)`, `x̂ = g(h·W′ + c)` is trained by plain SGD to minimize ½‖x̂ − x‖²
/// (the mean over the batch), x being the outputs of the layers below, which are done.
/// W and b are those of the network, b with the start it was given; W′ and c, which is 0
/// at first, are thrown away. The batch size is that of the training, the samples come in
/// orders of their own.
///
/// g has the range of x where it can: sigmoid for images and on sigmoid, tanh on tanh,
/// softplus on relu and softplus (Glorot, Bordes, Bengio, "Deep sparse rectifier neural
/// networks", 2011: a relu that reconstructs loses its gradient where it gives 0), else
/// the identity.
///
/// A layer whose loss or parameters become infinite or NaN gets its start back.
///
/// Bengio, Lamblin, Popovici, Larochelle, "Greedy layer-wise training of deep networks",
/// 2007; Vincent, Larochelle, Lajoie, Bengio, Manzagol, "Stacked denoising
/// autoencoders", JMLR 2010.
///
/// Written `KEY=VALUE,…` with the keys `steps`, `lr`, `noise`, `std`, and `untied`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pretraining {
    /// Whether W′ = Wᵀ (`untied`: not; W′ then starts like W).
    pub tied: bool,
    /// The share of the inputs that are set to 0 in x̃, 0 ≤ noise < 1: masking noise.
    /// What is reconstructed is x without it.
    pub noise: f32,
    /// Steps, by layer.
    pub steps: PerLayer<u32>,
    /// Learning rates, by layer; finite. `None`: [`Pretraining::default_lr`].
    pub lr: Option<PerLayer<f32>>,
    /// The weights start from N(0, std²), those of the output layer too; finite, ≥ 0.
    pub std: f32,
}

impl Pretraining {
    /// The default, as a constant.
    pub const DEFAULT: Self = Self {
        tied: true,
        noise: 0.0,
        steps: PerLayer::all(500),
        lr: None,
        std: 0.01,
    };

    /// Whether every value is in its range.
    ///
    /// # Errors
    /// What a value should have been.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(0.0..1.0).contains(&self.noise) {
            return Err("noise must be a number from 0 up to, but not including, 1");
        }
        if !(self.std.is_finite() && self.std >= 0.0) {
            return Err("std must be a finite number ≥ 0");
        }
        match self.lr {
            Some(lr) if !lr.values().iter().all(|lr| lr.is_finite()) => Err(LR),
            _ => Ok(()),
        }
    }

    /// The learning rate of a layer where none is given: 0.1 for a layer of sigmoids or
    /// tanhs, 0.01 for the others, whose codes have no bound: with 0.1 they can die or
    /// diverge.
    pub fn default_lr(activation: Activation) -> f32 {
        match activation {
            Activation::Sigmoid | Activation::Tanh => 0.1,
            _ => 0.01,
        }
    }
}

impl Default for Pretraining {
    fn default() -> Self {
        Self::DEFAULT
    }
}

const STEPS: &str = "steps must be 1 to 16 whole numbers joined by /, as in steps=2000/1000";
const LR: &str = "lr must be 1 to 16 finite numbers joined by /, as in lr=0.1/0.5";

fn list<T: FromStr + Copy + PartialEq>(text: &str) -> Option<PerLayer<T>> {
    // One more than fit, so that too many are seen to be.
    let values = text.split('/').take(MAX_VALUES + 1).map(str::parse);
    let values: Vec<T> = values.collect::<Result<_, _>>().ok()?;
    PerLayer::new(&values)
}

impl FromStr for Pretraining {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let mut found = Self::DEFAULT;
        let mut seen = [false; 5];
        for part in text.split(',') {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let number = |error| value.parse::<f32>().map_err(|_| error);
            let place = match key {
                "untied" if part == key => {
                    found.tied = false;
                    0
                }
                "noise" => {
                    found.noise = number("noise must be a number from 0 to below 1")?;
                    1
                }
                "steps" => {
                    found.steps = list(value).ok_or(STEPS)?;
                    2
                }
                "lr" => {
                    found.lr = Some(list(value).ok_or(LR)?);
                    3
                }
                "std" => {
                    found.std = number("std must be a finite number ≥ 0")?;
                    4
                }
                _ => {
                    return Err(
                        "expected untied, noise=SHARE, steps=N[/N…], lr=X[/X…], std=STD, \
                         joined by commas, as in pretrained:untied,noise=0.25",
                    );
                }
            };
            if std::mem::replace(&mut seen[place], true) {
                return Err("a key is given twice");
            }
        }
        found.check()?;
        Ok(found)
    }
}

/// What is not as in the default; nothing for the default.
impl fmt::Display for Pretraining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = Self::DEFAULT;
        let mut separator = "";
        let mut part = |differs: bool, text: fmt::Arguments<'_>| {
            if !differs {
                return Ok(());
            }
            write!(f, "{}{text}", std::mem::replace(&mut separator, ","))
        };
        part(self.tied != default.tied, format_args!("untied"))?;
        part(
            self.noise != default.noise,
            format_args!("noise={}", self.noise),
        )?;
        part(
            self.steps != default.steps,
            format_args!("steps={}", self.steps),
        )?;
        if let Some(lr) = self.lr {
            part(true, format_args!("lr={lr}"))?;
        }
        part(self.std != default.std, format_args!("std={}", self.std))
    }
}
