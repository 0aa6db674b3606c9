//! From TOML values to settings.

use super::error::{Lines, Position, SpecError};
use super::setting::{Field, Kind, Setting};
use crate::TrainConfig;
use crate::batch_norm::BatchNorm;
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

/// A value with its place in the text.
pub(super) type Item<'i> = Spanned<DeValue<'i>>;

/// Reads values, and knows where they are.
pub(super) struct Reader<'a> {
    pub lines: Lines<'a>,
}

/// The most hidden layers, so that no number in a spec can ask for more memory than there is.
const MAX_HIDDEN: usize = 1_000;
/// The most units of a layer, for the same reason.
const MAX_UNITS: usize = 1 << 24;

impl Reader<'_> {
    pub fn at<T>(&self, item: &Spanned<T>) -> Position {
        self.lines.position(item.span())
    }

    /// `key: expected …, found a string`
    pub fn wrong_kind(&self, key: &str, item: &Item<'_>, expected: &str) -> SpecError {
        let found = match item.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("{key}: expected {expected}, found {found}");
        SpecError::new(self.at(item), message)
    }

    pub fn text<'i>(&self, key: &str, item: &'i Item<'_>) -> Result<&'i str, SpecError> {
        item.get_ref()
            .as_str()
            .ok_or_else(|| self.wrong_kind(key, item, "a string"))
    }

    pub fn integer(&self, key: &str, item: &Item<'_>) -> Result<u64, SpecError> {
        let DeValue::Integer(integer) = item.get_ref() else {
            return Err(self.wrong_kind(key, item, "a whole number"));
        };
        parse_integer(integer).ok_or_else(|| {
            let message = format!("{key}: expected a whole number from 0 to 2^64 - 1");
            SpecError::new(self.at(item), message)
        })
    }

    pub fn size(&self, key: &str, item: &Item<'_>) -> Result<usize, SpecError> {
        let value = self.integer(key, item)?;
        usize::try_from(value).map_err(|_| {
            let message = format!("{key}: {value} is more than this machine can count");
            SpecError::new(self.at(item), message)
        })
    }

    /// A number as `T` reads it from decimal digits: rounded once.
    pub fn number<T: FromStr>(&self, key: &str, item: &Item<'_>) -> Result<T, SpecError> {
        let parsed = match item.get_ref() {
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
            _ => None,
        };
        parsed.ok_or_else(|| self.wrong_kind(key, item, "a number"))
    }

    /// One value of `field`, which a run can have as far as it alone can tell.
    pub fn setting(&self, field: Field, item: &Item<'_>) -> Result<Setting, SpecError> {
        let key = field.name();
        let setting = match field.kind() {
            Kind::Integer => {
                let value = self.integer(key, item)?;
                integer_setting(field, value)
            }
            Kind::Number => {
                // −0 is 0: it may not be another run.
                let value = self.number::<f32>(key, item)? + 0.0;
                number_setting(field, value)
            }
            Kind::Text => text_setting(field, self.text(key, item)?),
            Kind::Sizes => {
                let expected = "a list of layer sizes such as [784, 90, 10]";
                let Some(sizes) = item.get_ref().as_array() else {
                    return Err(self.wrong_kind(key, item, expected));
                };
                let sizes: Result<Vec<usize>, _> =
                    sizes.iter().map(|size| self.size(key, size)).collect();
                Ok(Setting::Layers(sizes?.into()))
            }
        };
        setting
            .and_then(|setting| check(&setting).map(|()| setting))
            .map_err(|message| SpecError::new(self.at(item), format!("{key}: {message}")))
    }
}

/// One value of `field`, written as in a table of runs: layer sizes as `784-90-10`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_value(field: Field, text: &str) -> Result<Setting, String> {
    let setting = match field.kind() {
        Kind::Integer => {
            let value = text.parse().map_err(|_| {
                format!("'{text}' is no whole number from 0 to 2^64 - 1, nor a range as 1..=8")
            })?;
            integer_setting(field, value)
        }
        Kind::Number => {
            let value: f32 = text.parse().map_err(|_| format!("'{text}' is no number"))?;
            number_setting(field, value + 0.0)
        }
        Kind::Text => text_setting(field, text),
        Kind::Sizes => {
            let sizes: Result<Vec<usize>, _> = text.split('-').map(str::parse).collect();
            let sizes = sizes.map_err(|_| format!("'{text}': expected sizes as 784-90-10"))?;
            Ok(Setting::Layers(sizes.into()))
        }
    }?;
    check(&setting).map(|()| setting)
}

fn parse_integer(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// # Errors
/// What is wrong with the value.
pub(super) fn integer_setting(field: Field, value: u64) -> Result<Setting, String> {
    let size = || usize::try_from(value).map_err(|_| format!("{value} is too large"));
    Ok(match field {
        Field::Depth => Setting::Depth(size()?),
        Field::Width => Setting::Width(size()?),
        Field::Batch => Setting::Batch(size()?),
        Field::Steps => Setting::Steps(value),
        Field::EvalEvery => Setting::EvalEvery(value),
        Field::Seed => Setting::Seed(value),
        _ => return Err("it is not a whole number".into()),
    })
}

/// # Errors
/// What is wrong with the value.
pub(super) fn number_setting(field: Field, value: f32) -> Result<Setting, String> {
    Ok(match field {
        Field::BnEpsilon => Setting::BnEpsilon(value),
        Field::BnMomentum => Setting::BnMomentum(value),
        Field::Lr => Setting::Lr(value),
        Field::Momentum => Setting::Momentum(value),
        _ => return Err("it is not a number".into()),
    })
}

fn text_setting(field: Field, text: &str) -> Result<Setting, String> {
    fn parse<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
        text.parse().map_err(|e: T::Err| e.to_string())
    }
    Ok(match field {
        Field::Init => Setting::Init(parse(text)?),
        Field::BiasInit => Setting::BiasInit(parse(text)?),
        Field::Activation => Setting::Activation(parse(text)?),
        Field::OutputActivation => Setting::OutputActivation(parse(text)?),
        Field::BatchNorm => Setting::BatchNorm(match text {
            "off" => None,
            _ => Some(parse(text).map_err(|e| format!("{e}, or off"))?),
        }),
        Field::BnLayers => Setting::BnLayers(parse(text)?),
        Field::BnEval => Setting::BnEval(parse(text)?),
        Field::Freeze => Setting::Freeze(match text {
            "none" => None,
            _ => Some(parse(text).map_err(|e| format!("{e}; or none"))?),
        }),
        Field::Loss => Setting::Loss(parse(text)?),
        _ => return Err("it is not a text".into()),
    })
}

/// Whether a run can have it, as far as it alone can tell.
pub(super) fn check(setting: &Setting) -> Result<(), String> {
    let one_to = |found: usize, limit: usize, what: &str| match found {
        found if (1..=limit).contains(&found) => Ok(()),
        _ => Err(format!("{found} {what}: expected 1 to {limit}")),
    };
    let mut config = TrainConfig::default();
    let norm = BatchNorm::default();
    match setting {
        Setting::Layers(sizes) => {
            if !(2..=MAX_HIDDEN + 2).contains(&sizes.len()) {
                let most = MAX_HIDDEN + 2;
                let found = sizes.len();
                return Err(format!(
                    "{found} sizes: expected 2 to {most}, input and output included"
                ));
            }
            return sizes
                .iter()
                .try_for_each(|size| one_to(*size, MAX_UNITS, "units"));
        }
        Setting::Depth(depth) if *depth > MAX_HIDDEN => {
            return Err(format!("{depth} hidden layers: expected 0 to {MAX_HIDDEN}"));
        }
        Setting::Width(width) => return one_to(*width, MAX_UNITS, "units"),
        Setting::Batch(0) => return Err("0 samples: expected 1 or more".into()),
        Setting::Lr(lr) => config.lr = *lr,
        Setting::Momentum(momentum) => config.momentum = *momentum,
        Setting::Init(init) => config.init = *init,
        Setting::BiasInit(init) => config.bias_init = *init,
        Setting::BnEpsilon(epsilon) => {
            let epsilon = *epsilon;
            config.batch_norm = Some(BatchNorm { epsilon, ..norm });
        }
        Setting::BnMomentum(momentum) => {
            let momentum = *momentum;
            config.batch_norm = Some(BatchNorm { momentum, ..norm });
        }
        _ => {}
    }
    config.check().map_err(|e| e.to_string())
}
