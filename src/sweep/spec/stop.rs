//! Rules that end hopeless runs early.

use crate::train::Evaluation;
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Ends a run whose test accuracy at some step is too low (or too high).
///
/// Written `accuracy OP SHARE at step N` with OP one of `<`, `<=`, `>`, `>=` and SHARE from
/// 0 to 1, as in `accuracy < 0.12 at step 5000`. It is judged once, at the first evaluation
/// at or after step N; a run without such an evaluation is never stopped.
///
/// A rule is no part of a run's [identity](crate::sweep::run_id): what it has cut short is
/// `pruned`, not done, for whoever has no such rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StopRule {
    comparison: Comparison,
    threshold: f64,
    step: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn name(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// A text that is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no rule: expected 'accuracy < SHARE at step N' (or <=, >, >=), SHARE from 0 to 1"
)]
pub struct StopRuleError(String);

impl StopRule {
    /// Whether a run ends after the last of its evaluations so far.
    pub fn stops(&self, evaluations: &[Evaluation]) -> bool {
        let Some((last, before)) = evaluations.split_last() else {
            return false;
        };
        let judged_before = before.last().is_some_and(|e| e.step >= self.step);
        if last.step < self.step || judged_before {
            return false;
        }
        let accuracy = last.accuracy();
        match self.comparison {
            Comparison::Less => accuracy < self.threshold,
            Comparison::LessOrEqual => accuracy <= self.threshold,
            Comparison::Greater => accuracy > self.threshold,
            Comparison::GreaterOrEqual => accuracy >= self.threshold,
        }
    }

    /// N: steps after which it is judged.
    pub fn step(&self) -> u64 {
        self.step
    }
}

/// Whether one of `rules` would have ended the run with these evaluations, at any of them.
/// A record that is `pruned` stands for its run only where this holds: otherwise the rule
/// that ended it is gone, and the rest of the run is missing.
pub(crate) fn still_pruned(rules: &[StopRule], evals: &[Evaluation]) -> bool {
    let mut ends = 1..=evals.len();
    ends.any(|end| rules.iter().any(|rule| rule.stops(&evals[..end])))
}

impl FromStr for StopRule {
    type Err = StopRuleError;

    fn from_str(text: &str) -> Result<Self, StopRuleError> {
        parse(text).ok_or_else(|| StopRuleError(text.chars().take(100).collect()))
    }
}

fn parse(text: &str) -> Option<StopRule> {
    let rest = text.trim().strip_prefix("accuracy")?.trim_start();
    let comparisons = [
        // The longer ones first.
        Comparison::LessOrEqual,
        Comparison::GreaterOrEqual,
        Comparison::Less,
        Comparison::Greater,
    ];
    let (comparison, rest) = comparisons
        .into_iter()
        .find_map(|c| Some((c, rest.strip_prefix(c.name())?)))?;
    let mut words = rest.split_whitespace();
    let threshold = words.next()?.parse::<f64>().ok()?;
    let at_step = words.next()? == "at" && words.next()? == "step";
    let step = words.next()?.parse().ok()?;
    let whole = at_step && words.next().is_none() && (0.0..=1.0).contains(&threshold);
    whole.then_some(StopRule {
        comparison,
        threshold,
        step,
    })
}

impl fmt::Display for StopRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (comparison, threshold) = (self.comparison.name(), self.threshold);
        write!(f, "accuracy {comparison} {threshold} at step {}", self.step)
    }
}

impl Serialize for StopRule {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluations(correct: &[(u64, usize)]) -> Vec<Evaluation> {
        let evaluation = |&(step, correct)| Evaluation {
            step,
            correct,
            total: 100,
        };
        correct.iter().map(evaluation).collect()
    }

    #[test]
    fn judged_once_at_the_first_evaluation_that_is_late_enough() {
        let rule: StopRule = "accuracy < 0.12 at step 5000".parse().unwrap();
        let low = [(0, 9), (3000, 9), (6000, 9), (9000, 9)];
        let stops = |n: usize| rule.stops(&evaluations(&low[..n]));
        assert_eq!(
            [0, 1, 2, 3, 4].map(stops),
            [false, false, false, true, false]
        );
        assert!(!rule.stops(&evaluations(&[(0, 9), (5000, 12)])));
        let at = |text: &str, correct| {
            let rule: StopRule = text.parse().unwrap();
            rule.stops(&evaluations(&[(10, correct)]))
        };
        assert!(at("accuracy <= 0.5 at step 10", 50) && !at("accuracy <= 0.5 at step 10", 51));
        assert!(at("accuracy>=0.5 at step 10", 50) && !at("accuracy>=0.5 at step 10", 49));
        assert!(at("accuracy > 0.5 at step 0", 51) && !at("accuracy > 0.5 at step 0", 50));
    }

    #[test]
    fn pruned_runs_stay_so_while_a_rule_ends_them() {
        let rules = |texts: &[&str]| -> Vec<StopRule> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let evals = evaluations(&[(0, 9), (3000, 15), (6000, 11)]);
        let pruned = |texts: &[&str]| still_pruned(&rules(texts), &evals);
        assert!(pruned(&["accuracy < 0.12 at step 5000"]));
        // An earlier evaluation would have ended it too.
        assert!(pruned(&["accuracy < 0.2 at step 1000"]));
        assert!(pruned(&[
            "accuracy < 0.1 at step 6000",
            "accuracy < 0.1 at step 0"
        ]));
        assert!(!pruned(&["accuracy < 0.12 at step 1000"]));
        assert!(!pruned(&["accuracy < 0.10 at step 5000"]));
        assert!(!pruned(&["accuracy < 0.12 at step 7000"]));
        assert!(!pruned(&[]));
        assert!(!still_pruned(&rules(&["accuracy < 1 at step 0"]), &[]));
    }

    #[test]
    fn rules_as_written() {
        let rule: StopRule = " accuracy   <  0.12 at  step 5000 ".parse().unwrap();
        assert_eq!(rule.to_string(), "accuracy < 0.12 at step 5000");
        for text in [
            "",
            "accuracy",
            "accuracy < at step 5",
            "accuracy < 12 at step 5000",
            "accuracy < nan at step 5000",
            "accuracy < 0.12",
            "accuracy < 0.12 at step",
            "accuracy < 0.12 at step -1",
            "accuracy < 0.12 at step 5000 please",
            "accuracy = 0.12 at step 5000",
            "loss < 0.12 at step 5000",
        ] {
            assert!(text.parse::<StopRule>().is_err(), "{text}");
        }
    }
}
