//! The tables of the report.

use crate::article::claims::{self, Judged, accuracy, median_steps, values};
use crate::article::{Figure, Outcome, Part, Plan, Results};
use crate::report::{Cell, Column, Table};
use crate::stats::Summary;

/// Every claim with its verdict.
pub(super) fn summary(claims: &[Judged]) -> Table {
    let row = |judged: &Judged| {
        let claim = &judged.claim;
        vec![
            Cell::text(&claim.text),
            Cell::Verdict(claim.verdict),
            Cell::text(&claim.measured),
            Cell::text(&claim.published),
        ]
    };
    Table {
        name: "claims".into(),
        caption: "The claims, ours beside the published".into(),
        columns: vec![
            Column::text("Claim"),
            Column::text("Verdict"),
            Column::text("Measured"),
            Column::text("Published"),
        ],
        rows: claims.iter().map(row).collect(),
    }
}

impl Results {
    /// The studies of a part, with statistics over their seeds.
    pub(super) fn runs_table(&self, part: Part, name: &str, caption: &str) -> Table {
        let published = part == Part::Table;
        let mut columns = vec![Column::text("")];
        if published {
            columns.push(Column::numbers("80 % at", "published"));
            columns.push(Column::numbers("final", "published"));
        }
        columns.extend([
            Column::numbers("80 % at", "median step"),
            Column::numbers("reached", "seeds"),
            Column::numbers("final", "mean"),
            Column::numbers("sd", "points"),
            Column::numbers("95 % interval", "of the mean"),
            Column::numbers("least", ""),
            Column::numbers("greatest", ""),
        ]);
        let studies = self.plan.studies.iter().filter(|s| s.part == part);
        let rows = studies.filter_map(|study| {
            let runs: Vec<&Outcome> = self.of(study.id).collect();
            let s = Summary::of(&values(&runs, accuracy));
            if runs.is_empty() {
                return None;
            }
            let mut row = vec![Cell::text(labelled(study.label, &runs))];
            if let (true, Some(p)) = (published, study.published) {
                row.push(steps(p.steps_to_80.map(|s| s as f64)));
                row.push(Cell::percent(p.accuracy, 0));
            }
            let reached = runs.iter().filter(|o| o.run.steps_to_80().is_some());
            row.extend([
                steps(median_steps(&runs)),
                Cell::text(format!("{} of {}", reached.count(), runs.len())),
                Cell::percent(s.map(|s| s.mean), 2),
                Cell::number(s.and_then(|s| s.sd).map(|sd| 100.0 * sd), 2),
                interval(s.and_then(|s| s.ci95)),
                Cell::percent(s.map(|s| s.min), 2),
                Cell::percent(s.map(|s| s.max), 2),
            ]);
            Some(row)
        });
        Table {
            name: name.into(),
            caption: caption.into(),
            rows: rows.collect(),
            columns,
        }
    }

    /// The article's table, short.
    pub(super) fn beside_the_published(&self) -> Table {
        let table = self.plan.studies.iter().filter(|s| s.part == Part::Table);
        let rows = table.filter_map(|study| {
            let runs: Vec<&Outcome> = self.of(study.id).collect();
            let published = study.published?;
            let summary = Summary::of(&values(&runs, accuracy))?;
            Some(vec![
                Cell::text(study.label),
                steps(published.steps_to_80.map(|s| s as f64)),
                steps(median_steps(&runs)),
                Cell::percent(published.accuracy, 0),
                Cell::percent(summary.mean, 1),
                Cell::text(format!(
                    "{:.1}–{:.1} %",
                    100.0 * summary.min,
                    100.0 * summary.max
                )),
            ])
        });
        Table {
            name: "short".into(),
            caption: format!(
                "The article's table, ours over {} seeds beside the published",
                self.plan.seeds
            ),
            rows: rows.collect(),
            columns: vec![
                Column::text(""),
                Column::numbers("80 % at step", "published"),
                Column::numbers("80 % at step", "ours, median"),
                Column::numbers("final", "published"),
                Column::numbers("final", "ours, mean"),
                Column::numbers("final", "ours, range"),
            ],
        }
    }

    /// Why some of the settings fail: what became of the units.
    pub(super) fn diagnostics(&self) -> Table {
        let settings = self
            .plan
            .studies
            .iter()
            .filter(|s| s.part == Part::Settings);
        let rows = settings.filter_map(|study| {
            let runs: Vec<&Outcome> = self.of(study.id).collect();
            let diverged = runs.iter().filter(|o| claims::diverged(o)).count();
            let ended = || runs.iter().filter(|o| !claims::diverged(o));
            let dead = ended().any(|o| o.dead_outputs.is_some_and(|[_, dead]| dead > 0));
            let norm = study.config.batch_norm.is_some();
            if runs.is_empty() || !(dead || norm || diverged > 0) {
                return None;
            }
            let counts = |when: usize| {
                let counts = ended().filter_map(|o| Some(o.dead_outputs?[when].to_string()));
                match counts.collect::<Vec<_>>() {
                    counts if counts.is_empty() => Cell::Missing,
                    counts => Cell::text(counts.join(", ")),
                }
            };
            Some(vec![
                Cell::text(study.label),
                Cell::text(format!("{diverged} of {}", runs.len())),
                counts(0),
                counts(1),
                mean_percent(&runs, |o| o.saturated),
                match norm {
                    true => mean_percent(&runs, accuracy),
                    false => Cell::Missing,
                },
                mean_percent(&runs, |o| o.running_accuracy),
            ])
        });
        Table {
            name: "diagnostics".into(),
            caption: "What became of the units: outputs that are 0 for every test image; outputs \
                      of the first layer below 0.01 or above 0.99; and the accuracy with the \
                      statistics of the test set and with those of training"
                .into(),
            rows: rows.collect(),
            columns: vec![
                Column::text(""),
                Column::numbers("diverged", "seeds"),
                Column::numbers("dead outputs", "of 10, before"),
                Column::numbers("dead outputs", "of 10, after"),
                Column::numbers("saturated", "first layer"),
                Column::numbers("final", "test statistics"),
                Column::numbers("final", "running statistics"),
            ],
        }
    }
}

/// The label, and how many of the runs have no accuracy to be counted.
fn labelled(label: &str, runs: &[&Outcome]) -> String {
    match runs.iter().filter(|o| claims::diverged(o)).count() {
        0 => label.into(),
        n => format!("{label} ({n} of {} diverged)", runs.len()),
    }
}

fn mean_percent(runs: &[&Outcome], of: impl Fn(&Outcome) -> Option<f64>) -> Cell {
    Cell::percent(Summary::of(&values(runs, of)).map(|s| s.mean), 2)
}

fn steps(steps: Option<f64>) -> Cell {
    match steps {
        Some(steps) => Cell::number(steps, 0),
        None => Cell::text("never"),
    }
}

fn interval(ci95: Option<(f64, f64)>) -> Cell {
    match ci95 {
        Some((low, high)) => {
            let (low, high) = (100.0 * low.max(0.0), 100.0 * high.min(1.0));
            Cell::text(format!("{low:.2}–{high:.2} %"))
        }
        None => Cell::Missing,
    }
}

/// Mean over the seeds of what a figure's layers show, layer by layer.
pub(super) fn deviations(figures: &[Figure]) -> Table {
    let layers = figures
        .iter()
        .filter_map(|f| Some(f.probes.first()?.1.layers.len()));
    let layers = layers.max().unwrap_or(0);
    let mut columns = vec![Column::text("Figure"), Column::text("of the outputs")];
    columns.extend((1..=layers).map(|l| Column::numbers(&format!("layer {l}"), "")));
    let row = |figure: &Figure| {
        let name = match figure.spec.second_moments {
            true => "second moment",
            false => "standard deviation",
        };
        let mut row = vec![Cell::text(figure.spec.title), Cell::text(name)];
        row.extend((0..layers).map(|l| {
            let of = figure.probes.iter().filter_map(|(_, p)| p.layers.get(l));
            let value = of.map(|layer| match figure.spec.second_moments {
                true => layer.outputs.second_moment,
                false => layer.outputs.standard_deviation,
            });
            significant(Summary::of(&value.collect::<Vec<_>>()).map(|s| s.mean))
        }));
        row
    };
    Table {
        name: "layers".into(),
        caption: "Layer by layer, the mean over the seeds".into(),
        rows: figures.iter().map(row).collect(),
        columns,
    }
}

/// A number of any size.
fn significant(value: Option<f64>) -> Cell {
    match value {
        Some(value) if value != 0.0 && value.abs() < 1e-3 => {
            Cell::text(crate::report::number(value))
        }
        Some(value) if value.abs() >= 1e3 => Cell::number(value, 0),
        value => Cell::number(value, 3),
    }
}

/// What is predicted of the last layer's outputs and of the first layer's gradients, and
/// what is measured.
pub(super) fn derivations(figures: &[Figure]) -> Table {
    let row = |figure: &Figure| {
        let mean = |of: &dyn Fn(&crate::probe::Probe) -> Option<f64>| {
            let values: Option<Vec<f64>> = figure.probes.iter().map(|(_, p)| of(p)).collect();
            Summary::of(&values?).map(|s| s.mean)
        };
        let outputs = mean(&|p| Some(p.layers.last()?.outputs.standard_deviation));
        let outputs_predicted = mean(&|p| Some(p.layers.last()?.predicted?.outputs));
        let gradients = mean(&|p| Some(p.layers.first()?.gradients.standard_deviation));
        let gradients_predicted = mean(&|p| Some(p.layers.first()?.predicted?.gradients));
        if !figure.predicted() {
            return None;
        }
        Some(vec![
            Cell::text(figure.spec.title),
            significant(outputs),
            significant(outputs_predicted),
            significant(gradients),
            significant(gradients_predicted),
        ])
    };
    Table {
        name: "derivations".into(),
        caption: "Standard deviations, mean over the seeds: of the outputs of the last layer, \
                  and of the gradients dL/dz at the first, for gradients N(0, 1) at the end"
            .into(),
        columns: vec![
            Column::text(""),
            Column::numbers("outputs, last layer", ""),
            Column::numbers("predicted", ""),
            Column::numbers("gradients, first layer", ""),
            Column::numbers("predicted", ""),
        ],
        rows: figures.iter().filter_map(row).collect(),
    }
}

/// The settings of every study.
pub(super) fn studies(plan: &Plan) -> Table {
    let row = |s: &crate::article::Study| {
        let c = &s.config;
        let layers: Vec<String> = c.layers.iter().map(usize::to_string).collect();
        let norm = c.batch_norm.map_or("off".into(), |n| {
            format!("{}, epsilon {}, eval {}", n.placement, n.epsilon, n.eval)
        });
        vec![
            Cell::text(s.id),
            Cell::text(layers.join("-")),
            Cell::text(c.init.to_string()),
            Cell::text(c.bias_init.to_string()),
            Cell::text(c.activation.to_string()),
            Cell::text(c.output_activation.to_string()),
            Cell::text(norm),
            Cell::text(c.frozen.map_or("—".into(), |f| f.to_string())),
            Cell::text(c.lr.to_string()),
            Cell::number(c.steps as f64, 0),
            Cell::number(f64::from(plan.seeds_of(s)), 0),
        ]
    };
    let texts = [
        "study",
        "layers",
        "--init",
        "--bias-init",
        "--activation",
        "--output-activation",
        "--batch-norm",
        "--freeze",
    ];
    let numbers = ["--lr", "--steps", "seeds"];
    let columns = texts.map(Column::text).into_iter();
    Table {
        name: "studies".into(),
        caption: "The settings of every study".into(),
        columns: columns
            .chain(numbers.map(|n| Column::numbers(n, "")))
            .collect(),
        rows: plan.studies.iter().map(row).collect(),
    }
}

/// Every run.
pub(super) fn runs(results: &Results) -> Table {
    let row = |o: &Outcome| {
        vec![
            Cell::text(results.plan.studies[o.study].id),
            Cell::number(o.seed as f64, 0),
            Cell::text(o.run.status.name()),
            Cell::percent(accuracy(o), 2),
            steps(o.run.steps_to_80().map(|s| s as f64)),
            Cell::percent(o.running_accuracy, 2),
            Cell::percent(o.saturated, 2),
            Cell::number(o.dead_outputs.map(|[_, dead]| dead as f64), 0),
            Cell::number(o.run.training_loss, 5),
            Cell::text(&o.run.weights_sha256),
        ]
    };
    Table {
        name: "runs".into(),
        caption: "Every run".into(),
        columns: vec![
            Column::text("study"),
            Column::numbers("seed", ""),
            Column::text("status"),
            Column::numbers("final_accuracy", ""),
            Column::numbers("steps_to_80", ""),
            Column::numbers("running_accuracy", ""),
            Column::numbers("saturated", ""),
            Column::numbers("dead_outputs", ""),
            Column::numbers("training_loss", ""),
            Column::text("weights_sha256"),
        ],
        rows: results.outcomes.iter().map(row).collect(),
    }
}
