//! What no run can have because of several keys together.

use super::{MAX_AXES, Plan, evaluations};
use crate::TrainConfig;
use crate::batch_norm::NormEval;
use crate::config::ConfigError;
use crate::network::{MAX_PARAMETERS, count_parameters};
use crate::report::grouped;
use crate::sweep::spec::{Column, Field, Position, Setting, Spec, SpecError, Values};
use crate::sweep::store::MAX_LINE;
use fanin_kernels::norm::MAX_SAMPLES;

/// Something that a configuration cannot have.
struct Rule {
    /// The keys that decide it. An error stands at the first of them that varies, else at the
    /// first that is given.
    fields: &'static [Field],
    /// What is wrong.
    wrong: fn(&Plan, &TrainConfig) -> Option<String>,
}

const RULES: [Rule; 3] = [
    Rule {
        fields: &[Field::Batch, Field::BatchNorm, Field::BnEval],
        wrong: normalization,
    },
    Rule {
        fields: &[Field::Layers, Field::Width, Field::Depth, Field::BatchNorm],
        wrong: parameters,
    },
    Rule {
        fields: &[Field::EvalEvery, Field::Steps],
        wrong: too_many_evaluations,
    },
];

fn normalization(plan: &Plan, config: &TrainConfig) -> Option<String> {
    let norm = config.batch_norm?;
    if config.batch == 1 {
        return Some(ConfigError::NormOne.to_string());
    }
    let whole = match norm.eval {
        NormEval::Batch => plan.data.test,
        NormEval::Running => 0,
    };
    let most = config.batch.max(whole);
    (most >= MAX_SAMPLES).then(|| ConfigError::NormSamples(most).to_string())
}

fn parameters(_plan: &Plan, config: &TrainConfig) -> Option<String> {
    let found = count_parameters(&config.layers, config.batch_norm.is_some());
    (found > u128::from(MAX_PARAMETERS)).then(|| {
        format!(
            "a network of {} parameters: expected at most {}",
            grouped(&found.to_string()),
            grouped(&MAX_PARAMETERS.to_string())
        )
    })
}

fn too_many_evaluations(plan: &Plan, config: &TrainConfig) -> Option<String> {
    let found = evaluations(config);
    let most = most_evaluations(plan.data.test, config.steps);
    (found > most as f64).then(|| {
        format!(
            "{} evaluations in a run: its record has room for {}",
            grouped(&format!("{found:.0}")),
            grouped(&most.to_string())
        )
    })
}

/// Bytes of a record besides its evaluations: its configuration, of up to a thousand layers,
/// and where the data are.
const REST: usize = 256 << 10;

/// So many evaluations of `test` samples, at steps up to `steps`, fit into a record whatever
/// comes out.
pub(in crate::sweep) fn most_evaluations(test: usize, steps: u64) -> usize {
    // A share has 17 significant digits at most, a point, and an exponent of two digits.
    let (keys, share) = (r#"{"accuracy":,"correct":,"step":,"total":},"#.len(), 24);
    let digits = |n: u64| n.checked_ilog10().unwrap_or(0) as usize + 1;
    let each = keys + share + digits(steps) + 2 * digits(test as u64);
    (MAX_LINE - REST) / each
}

/// The order of values that are ever more likely to be too much.
fn burden(setting: &Setting) -> u64 {
    match setting {
        Setting::Depth(n) | Setting::Width(n) => *n as u64,
        Setting::Steps(n) => *n,
        // Never is the least, every step the most.
        Setting::EvalEvery(0) => 0,
        Setting::EvalEvery(every) => u64::MAX - every,
        Setting::BatchNorm(placement) => u64::from(placement.is_some()),
        _ => 0,
    }
}

impl Plan {
    /// # Errors
    /// The first combination that no run can have, unless an `[[exclude]]` leaves it out.
    pub(super) fn check_together(&self, spec: &Spec) -> Result<(), SpecError> {
        RULES
            .iter()
            .try_for_each(|rule| self.check_rule(rule, spec))
    }

    fn check_rule(&self, rule: &Rule, spec: &Spec) -> Result<(), SpecError> {
        let columns = || {
            let columns = self.numbered_columns();
            columns.filter(|(_, column)| rule.fields.contains(&column.field))
        };
        // Long ranges: what is most is fine, then all is.
        let most = columns().map(|(_, column)| heaviest(column));
        if let Some(most) = most.collect::<Option<Vec<Setting>>>() {
            let mut draft = self.base.clone();
            most.iter().for_each(|setting| draft.apply(setting));
            let config = draft.finish(self.data.inputs, self.data.classes);
            if (rule.wrong)(self, &config).is_none() {
                return Ok(());
            }
        }
        let mut axes: Vec<usize> = columns().map(|(axis, _)| axis).collect();
        axes.dedup();
        let mut digits = [0; MAX_AXES];
        loop {
            let wrong = (rule.wrong)(self, &self.config(&digits));
            if let Some(message) = wrong
                && !self.filter.excludes_all_with(&digits, &axes)
            {
                let varies = rule.fields.iter().find_map(|field| {
                    let (axis, column) = columns().find(|(_, c)| c.field == *field)?;
                    Some((column.position(digits[axis]), *field))
                });
                let given = || {
                    let train = || spec.train.iter().map(|(at, s)| (*at, s.field()));
                    let mut fields = rule.fields.iter();
                    fields.find_map(|field| train().find(|(_, given)| given == field))
                };
                let place = varies.or_else(given);
                let (at, field) = place.unwrap_or((Position::START, rule.fields[0]));
                return Err(SpecError::new(at, format!("{}: {message}", field.name())));
            }
            let advanced = axes.iter().rev().any(|axis| {
                digits[*axis] = (digits[*axis] + 1) % self.axes[*axis].len();
                digits[*axis] > 0
            });
            if !advanced {
                return Ok(());
            }
        }
    }
}

/// The value of a column with the greatest [`burden`]; `None` if they have no such order.
fn heaviest(column: &Column) -> Option<Setting> {
    let (Field::Depth | Field::Width | Field::Steps | Field::EvalEvery | Field::BatchNorm) =
        column.field
    else {
        return None;
    };
    match &column.values {
        Values::List(list) => {
            let settings = list.iter().map(|(_, setting)| setting);
            settings.max_by_key(|setting| burden(setting)).cloned()
        }
        // 0, as the first, may say never.
        Values::Range { len, .. } => {
            let ends = [0, 1, *len - 1].into_iter();
            let settings = ends.filter_map(|i| column.get(i));
            settings.max_by_key(burden)
        }
    }
}
