//! What is claimed, and whether it holds: decided by rules that were settled first.

use super::{Figure, Outcome, Part, Published, Results, Study};
use crate::probe::LayerProbe;
use crate::report::{Claim, Verdict};
use crate::stats::median;
use crate::train::Status;

/// A claim with its verdict, and where it belongs.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The study or figure it is about.
    pub about: &'static str,
    /// The claim.
    pub claim: Claim,
}

impl Results {
    /// All claims about what was run, in the order of the report. Those about training
    /// are not judged where the runs are shortened.
    pub fn claims(&self) -> Vec<Judged> {
        let mut all = Vec::new();
        if !self.plan.shortened {
            all.extend(self.table_claims());
        }
        all.extend(self.figures.iter().filter_map(figure_claim));
        if !self.plan.shortened {
            all.extend(self.settings_claims());
            all.extend(self.named_claims());
            all.extend(self.transfer_claims());
        }
        all.extend(self.derivation_claims());
        all
    }

    fn derivation_claims(&self) -> Vec<Judged> {
        type Of<T> = fn(&LayerProbe) -> T;
        let kinds: [(_, _, _, Of<f64>, Of<Option<f64>>); 2] = [
            (
                "forward",
                "Forward: the spread of the outputs is as derived.",
                0.1,
                |l| l.outputs.standard_deviation,
                |l| Some(l.predicted?.outputs),
            ),
            (
                "backward",
                "Backward: the spread of the gradients is as derived.",
                0.2,
                |l| l.gradients.standard_deviation,
                |l| Some(l.predicted?.gradients),
            ),
        ];
        let shown: Vec<&Figure> = self.figures.iter().filter(|f| f.predicted()).collect();
        let claim = |(about, text, limit, measured, predicted): (_, &str, f64, _, _)| {
            let errors = shown.iter().map(|f| f.error_of(measured, predicted));
            let largest = errors.fold(0.0, f64::max);
            Judged {
                about,
                claim: Claim {
                    text: text.into(),
                    published: "—".into(),
                    measured: format!(
                        "standard deviations within {:.1} % of the predicted ones, at all layers \
                         of {} initializations",
                        100.0 * largest,
                        shown.len()
                    ),
                    rule: format!(
                        "the standard deviation, the mean over the seeds, is within {:.0} % of what \
                         mean-field theory predicts, at every layer",
                        100.0 * limit
                    ),
                    verdict: match largest <= limit {
                        true => Verdict::Holds,
                        false => Verdict::DoesNotHold,
                    },
                },
            }
        };
        match shown.is_empty() {
            true => Vec::new(),
            false => kinds.into_iter().map(claim).collect(),
        }
    }

    fn table_claims(&self) -> Vec<Judged> {
        let table = self.plan.studies.iter().filter(|s| s.part == Part::Table);
        let published = table.filter_map(|s| Some((s, s.published?)));
        let claims = published.flat_map(|(study, published)| {
            let runs: Vec<&Outcome> = self.of(study.id).collect();
            [
                steps_claim(study, published, &runs),
                final_claim(study, published, &runs),
            ]
        });
        claims.flatten().collect()
    }

    fn settings_claims(&self) -> Vec<Judged> {
        let mut claims = Vec::new();
        let runs: Vec<&Outcome> = self.of("small_bn_input").collect();
        let best = |o: &Outcome| {
            let accuracies = o.run.evals.iter().map(|e| e.accuracy());
            Some(accuracies.fold(0.0, f64::max))
        };
        claims.extend(judge(
            "small_bn_input",
            &runs,
            |o| o.run.steps_to_80().is_some_and(|step| step <= 1_000),
            |verdict| Claim {
                text: "Batch norm before the product: small random weights learn at once.".into(),
                published: "— (a run in JAX: 84–86 % at step 1,000)".into(),
                measured: measured_steps(&runs),
                rule: "80 % at the first evaluation, step 1,000".into(),
                verdict,
            },
        ));
        claims.extend(judge(
            "small_bn_input",
            &runs,
            |o| accuracy(o).zip(best(o)).is_some_and(|(a, b)| a <= b - 0.2),
            |verdict| Claim {
                text: "Batch norm before the product: then training collapses.".into(),
                published: "— (a run in JAX: 91–92 % around step 6,000, 35 % at 20,000)".into(),
                measured: format!(
                    "best {}, final {}",
                    percents(&values(&runs, best)),
                    percents(&values(&runs, accuracy))
                ),
                rule: "the final accuracy is 20 points or more below the best".into(),
                verdict,
            },
        ));
        for id in ["relu_xavier", "relu_he", "relu_slower", "relu_zero_bias"] {
            let Some(study) = self.study(id) else {
                continue;
            };
            let runs: Vec<&Outcome> = self.of(id).collect();
            let ended: Vec<&Outcome> = runs.iter().copied().filter(|o| !diverged(o)).collect();
            let dead = |when: usize| {
                let counts = values(&ended, |o| Some(o.dead_outputs?[when] as f64));
                range(&counts, |v| format!("{v:.0}"))
            };
            let mut measured = Vec::new();
            if ended.len() < runs.len() {
                measured.push(format!("{} diverge", runs.len() - ended.len()));
            }
            if !ended.is_empty() {
                measured.push(format!(
                    "{} of 10 dead, {} before training; {}",
                    dead(1),
                    dead(0),
                    measured_accuracy(&ended)
                ));
            }
            claims.extend(judge(
                id,
                &runs,
                |o| o.dead_outputs.is_some_and(|[_, dead]| dead > 0) || diverged(o),
                |verdict| Claim {
                    text: format!("{}: it diverges, or output units are dead.", study.label),
                    published: match id {
                        "relu_xavier" | "relu_he" => "— (a run in JAX: 10–69 %)",
                        _ => "—",
                    }
                    .into(),
                    measured: measured.join("; "),
                    rule: "the loss becomes infinite, or an output unit is 0 for all test images \
                           at the end"
                        .into(),
                    verdict,
                },
            ));
        }
        claims
    }

    fn named_claims(&self) -> Vec<Judged> {
        let mut claims = Vec::new();
        let runs: Vec<&Outcome> = self.of("sparse").collect();
        claims.extend(judge(
            "sparse",
            &runs,
            |o| o.run.steps_to_80().is_some(),
            |verdict| Claim {
                text: "Sparse initialization trains.".into(),
                published: "—".into(),
                measured: format!("{}, {}", measured_steps(&runs), measured_accuracy(&runs)),
                rule: "80 % is reached".into(),
                verdict,
            },
        ));
        let alone: Vec<&Outcome> = self.of("small").collect();
        let runs = with_partners(self.of("pretrained"), &alone);
        let stuck = |seed: u64| {
            let same = alone.iter().find(|o| o.seed == seed);
            same.is_some_and(|o| o.run.steps_to_80().is_none())
        };
        claims.extend(judge(
            "pretrained",
            &runs,
            |o| o.run.steps_to_80().is_some() && stuck(o.seed),
            |verdict| Claim {
                text: "Pre-training makes a depth trainable that small random weights are not."
                    .into(),
                published: "—".into(),
                measured: format!("{}, {}", measured_steps(&runs), measured_accuracy(&runs)),
                rule: "80 % is reached, and not from the same seed's small random weights".into(),
                verdict,
            },
        ));
        let runs: Vec<&Outcome> = self.of("zero_zero_bias").collect();
        claims.extend(judge(
            "zero_zero_bias",
            &runs,
            |o| accuracy(o).is_some_and(|a| a <= 0.12),
            |verdict| Claim {
                text: "All-zero weights and biases: the units stay equal, nothing is learned."
                    .into(),
                published: "—".into(),
                measured: measured_accuracy(&runs),
                rule: "final accuracy at most 12 %".into(),
                verdict,
            },
        ));
        claims
    }

    fn transfer_claims(&self) -> Vec<Judged> {
        let fresh: Vec<&Outcome> = self.of("fresh").collect();
        let at = |o: &Outcome| o.run.evals.get(1).map(|e| e.accuracy());
        let mut claims = Vec::new();
        for id in ["transferred", "transferred_frozen"] {
            let Some(study) = self.study(id) else {
                continue;
            };
            let runs = with_partners(self.of(id), &fresh);
            let better = |o: &Outcome| {
                let same = fresh.iter().find(|f| f.seed == o.seed);
                same.is_some_and(|f| at(o) > at(f))
            };
            claims.extend(judge(id, &runs, better, |verdict| Claim {
                text: format!("{}: after 250 steps it is ahead of fresh.", study.label),
                published: "—".into(),
                measured: format!(
                    "{} at step 250, fresh {}",
                    percents(&values(&runs, at)),
                    percents(&values(&fresh, at))
                ),
                rule: "higher accuracy at the first evaluation, step 250, than from scratch with \
                       the same seed"
                    .into(),
                verdict,
            }));
        }
        claims
    }

    /// The study with this `id`.
    pub(super) fn study(&self, id: &str) -> Option<&Study> {
        self.plan.studies.iter().find(|s| s.id == id)
    }
}

/// When 80 % is reached, or that it is not.
fn steps_claim(study: &Study, published: Published, runs: &[&Outcome]) -> Option<Judged> {
    let (label, every) = (study.label, study.config.eval_every);
    let holds = |o: &Outcome| match (published.steps_to_80, o.run.steps_to_80()) {
        (None, reached) => reached.is_none(),
        (Some(at), reached) => reached.is_some_and(|s| s.abs_diff(at) <= every),
    };
    let (text, published, rule) = match published.steps_to_80.map(grouped) {
        None => (
            format!("{label}: 80 % is never reached."),
            "never".into(),
            format!(
                "no evaluation in {} steps has 80 %",
                grouped(study.config.steps)
            ),
        ),
        Some(at) => (
            format!("{label}: 80 % is reached at step {at}."),
            format!("step {at}"),
            format!(
                "the first evaluation with 80 % is at step {at} or one before or after (they are \
                 {} steps apart)",
                grouped(every)
            ),
        ),
    };
    judge(study.id, runs, holds, |verdict| Claim {
        text,
        published,
        measured: measured_steps(runs),
        rule,
        verdict,
    })
}

/// Where it ends.
fn final_claim(study: &Study, published: Published, runs: &[&Outcome]) -> Option<Judged> {
    let (least, greatest, rule) = match published.steps_to_80 {
        None => (
            0.0,
            0.12,
            "final accuracy at most 12 % (the largest class has 11.35 %)",
        ),
        Some(_) => (
            published.accuracy - 0.01,
            1.0,
            "final accuracy no more than one point below the published",
        ),
    };
    let holds = |o: &Outcome| accuracy(o).is_some_and(|a| least <= a && a <= greatest);
    let percent = format!("{:.0} %", 100.0 * published.accuracy);
    judge(study.id, runs, holds, |verdict| Claim {
        text: match published.steps_to_80 {
            None => format!("{}: it stays at chance, {percent}.", study.label),
            Some(_) => format!("{}: it ends at {percent}.", study.label),
        },
        published: percent,
        measured: measured_accuracy(runs),
        rule: rule.into(),
        verdict,
    })
}

fn figure_claim(figure: &Figure) -> Option<Judged> {
    let spec = figure.spec;
    let holds = figure
        .probes
        .iter()
        .filter(|(_, p)| (spec.holds)(&p.layers));
    let verdict = verdict(holds.count(), figure.probes.len())?;
    let layers = &figure.probes.first()?.1.layers;
    let (what, of): (_, fn(&crate::probe::Moments) -> f64) = match spec.second_moments {
        true => ("second moment", |m| m.second_moment),
        false => ("standard deviation", |m| m.standard_deviation),
    };
    let (first, last) = (layers.first()?, layers.last()?);
    Some(Judged {
        about: spec.id,
        claim: Claim {
            text: format!("{}: {}", spec.title, spec.claim),
            published: "as claimed".into(),
            measured: format!(
                "{what} {} at layer 1, {} at layer {} (seed 1)",
                crate::report::number(of(&first.outputs)),
                crate::report::number(of(&last.outputs)),
                layers.len()
            ),
            rule: spec.rule.into(),
            verdict,
        },
    })
}

/// The runs whose seed was run in another study too.
fn with_partners<'a>(
    runs: impl Iterator<Item = &'a Outcome>,
    others: &[&Outcome],
) -> Vec<&'a Outcome> {
    runs.filter(|o| others.iter().any(|other| other.seed == o.seed))
        .collect()
}

/// The claim with its verdict; `None` where nothing was run.
fn judge(
    about: &'static str,
    runs: &[&Outcome],
    holds: impl Fn(&Outcome) -> bool,
    claim: impl FnOnce(Verdict) -> Claim,
) -> Option<Judged> {
    let seeds = runs.iter().filter(|o| holds(o)).count();
    let claim = claim(verdict(seeds, runs.len())?);
    Some(Judged { about, claim })
}

fn verdict(seeds: usize, of: usize) -> Option<Verdict> {
    match seeds {
        _ if of == 0 => None,
        0 => Some(Verdict::DoesNotHold),
        _ if seeds == of => Some(Verdict::Holds),
        _ => Some(Verdict::HoldsFor { seeds, of }),
    }
}

/// The final accuracy; a run that diverged has none.
pub(super) fn accuracy(outcome: &Outcome) -> Option<f64> {
    match diverged(outcome) {
        true => None,
        false => outcome.run.final_accuracy(),
    }
}

pub(super) fn diverged(outcome: &Outcome) -> bool {
    outcome.run.status == Status::Diverged
}

/// The values of the runs that have one.
pub(super) fn values(runs: &[&Outcome], of: impl Fn(&Outcome) -> Option<f64>) -> Vec<f64> {
    runs.iter().filter_map(|o| of(o)).collect()
}

/// The median step to 80 %, a run that never gets there counting as infinite; `None` if
/// that is the median.
pub(super) fn median_steps(runs: &[&Outcome]) -> Option<f64> {
    let steps = |o: &Outcome| Some(o.run.steps_to_80().map_or(f64::INFINITY, |s| s as f64));
    median(&values(runs, steps)).filter(|m| m.is_finite())
}

fn measured_steps(runs: &[&Outcome]) -> String {
    let reached: Vec<f64> = runs
        .iter()
        .filter_map(|o| Some(o.run.steps_to_80()? as f64))
        .collect();
    match reached.len() {
        0 => "never".into(),
        n => format!(
            "{n} of {} seeds, at step {}",
            runs.len(),
            range(&reached, |s| grouped(s as u64))
        ),
    }
}

fn measured_accuracy(runs: &[&Outcome]) -> String {
    percents(&values(runs, accuracy))
}

/// `94.8–96.4 %`
fn percents(values: &[f64]) -> String {
    match values.is_empty() {
        true => "—".into(),
        false => format!("{} %", range(values, |v| format!("{:.1}", 100.0 * v))),
    }
}

/// Least and greatest, or one if they look the same.
fn range(values: &[f64], show: impl Fn(f64) -> String) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match (show(low), show(high)) {
        (low, high) if low == high => low,
        (low, high) => format!("{low}–{high}"),
    }
}

/// `20,000`
pub(super) fn grouped(n: u64) -> String {
    crate::report::grouped(&n.to_string())
}
