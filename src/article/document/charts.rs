//! The charts of the report.

use crate::Error;
use crate::article::claims::{accuracy, values};
use crate::article::{Outcome, Part, Results};
use crate::probe::LayerProbe;
use crate::report::figures::{self, Axis, LineChart, Mark, Series, Strip, StripChart};
use crate::report::{Block, Figure};
use crate::stats::Summary;

/// With more lines, a chart is cut in two.
const LINES: usize = 6;

impl Results {
    /// Accuracy over steps of the studies of a part: the mean over the seeds, with a band
    /// where there are few lines.
    pub(super) fn curves(
        &self,
        part: Part,
        name: &str,
        caption: &str,
    ) -> Result<Vec<Block>, Error> {
        let studies = self.plan.studies.iter().filter(|s| s.part == part);
        let run: Vec<_> = studies
            .filter_map(|s| {
                let runs: Vec<&Outcome> = self.of(s.id).collect();
                (!runs.is_empty()).then_some((s.label, runs))
            })
            .collect();
        let banded = run.len() <= LINES;
        let charts = run.chunks(run.len().div_ceil(run.len().div_ceil(LINES).max(1)).max(1));
        let mut blocks = Vec::new();
        for (i, chart) in charts.enumerate() {
            let series = chart.iter().enumerate().map(|(color, (label, runs))| {
                let curve = curve(runs);
                let mut line =
                    Series::new(label, color, curve.iter().map(|c| (c.0, c.1)).collect());
                if banded {
                    line.band = curve.iter().map(|c| (c.0, c.2, c.3)).collect();
                }
                line
            });
            let svg = figures::lines(&LineChart {
                title: String::new(),
                x: Axis::linear("step"),
                y: Axis::linear("test accuracy, %").including(0.0, 100.0),
                series: series.collect(),
            })?;
            let caption = match banded {
                true => format!("{caption}, and from the least to the greatest as a band."),
                false => format!("{caption}."),
            };
            let name = match i {
                0 => name.to_string(),
                _ => format!("{name}_{}", i + 1),
            };
            blocks.push(Block::Figure(Figure { name, caption, svg }));
        }
        Ok(blocks)
    }

    /// The final accuracy of every seed of the article's table.
    pub(super) fn strip_chart(&self) -> Result<Vec<Block>, Error> {
        let table = self.plan.studies.iter().filter(|s| s.part == Part::Table);
        let strips = table.enumerate().map(|(color, study)| Strip {
            name: study.label.into(),
            color,
            values: self
                .of(study.id)
                .filter_map(accuracy)
                .map(|a| 100.0 * a)
                .collect(),
            reference: study.published.map(|p| 100.0 * p.accuracy),
            marked: None,
        });
        let svg = figures::strips(&StripChart {
            title: String::new(),
            axis: Axis::linear("final test accuracy, %").including(0.0, 100.0),
            strips: strips.collect(),
            mark: Mark::Median,
            dot: String::new(),
            reference: "published".into(),
        })?;
        Ok(vec![Block::Figure(Figure {
            name: "table_seeds".into(),
            caption: "Final test accuracy of every seed.".into(),
            svg,
        })])
    }

    /// Outputs and gradients by layer, measured and predicted.
    pub(super) fn derivation_charts(&self) -> Result<Vec<Block>, Error> {
        let chart = |measured: fn(&LayerProbe) -> f64,
                     predicted: fn(&LayerProbe) -> Option<f64>| {
            let mut series = Vec::new();
            let shown = self.figures.iter().filter(|f| f.predicted());
            for (color, figure) in shown.enumerate() {
                let line = |of: &dyn Fn(&LayerProbe) -> Option<f64>| {
                    let layers = figure.probes.first().map_or(0, |p| p.1.layers.len());
                    let points = (0..layers).filter_map(|l| {
                        let values: Option<Vec<f64>> = figure
                            .probes
                            .iter()
                            .map(|(_, p)| of(p.layers.get(l)?))
                            .collect();
                        Some((l as f64 + 1.0, Summary::of(&values?)?.mean))
                    });
                    points.collect::<Vec<_>>()
                };
                let title = figure.spec.title;
                let mut solid = Series::new(title, color, line(&|l| Some(measured(l))));
                solid.markers = true;
                let mut dashed = Series::new("", color, line(&predicted));
                dashed.dashed = true;
                series.extend([solid, dashed]);
            }
            series
        };
        let forward = figures::lines(&LineChart {
            title: String::new(),
            x: Axis::linear("layer"),
            y: Axis::log10("variance of the outputs"),
            series: chart(
                |l| l.outputs.standard_deviation.powi(2),
                |l| Some(l.predicted?.outputs.powi(2)),
            ),
        })?;
        let backward = figures::lines(&LineChart {
            title: String::new(),
            x: Axis::linear("layer"),
            y: Axis::log10("variance of dL/dz"),
            series: chart(
                |l| l.gradients.standard_deviation.powi(2),
                |l| Some(l.predicted?.gradients.powi(2)),
            ),
        })?;
        let figure = |name: &str, caption: &str, svg| {
            Block::Figure(Figure {
                name: name.into(),
                caption: caption.into(),
                svg,
            })
        };
        Ok(vec![
            figure(
                "forward",
                "Forward: the variance of each layer's outputs, measured (solid) and predicted \
                 (dashed).",
                forward,
            ),
            figure(
                "backward",
                "Backward: the variance of the gradient at each layer, measured (solid) and \
                 predicted (dashed); the gradient comes from the right.",
                backward,
            ),
        ])
    }
}

/// Step; mean, least and greatest accuracy in percent of the runs evaluated there.
fn curve(runs: &[&Outcome]) -> Vec<(f64, f64, f64, f64)> {
    let longest = runs.iter().max_by_key(|o| o.run.evals.len());
    let steps = longest.map_or(&[][..], |o| &o.run.evals);
    let at = steps.iter().enumerate().filter_map(|(i, evaluation)| {
        let runs: Vec<&Outcome> = runs
            .iter()
            .copied()
            .filter(|o| o.run.evals.len() > i)
            .collect();
        let s = Summary::of(&values(&runs, |o| Some(100.0 * o.run.evals[i].accuracy())))?;
        Some((evaluation.step as f64, s.mean, s.min, s.max))
    });
    at.collect()
}
