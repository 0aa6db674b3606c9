//! Test accuracies over steps, added up run by run.

use crate::train::Evaluation;
use serde::Serialize;
use std::collections::BTreeMap;

/// Test accuracy at a step: of the runs of a group that were evaluated there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Steps done.
    pub step: u64,
    /// Runs evaluated there; at least 1.
    pub n: u64,
    /// Their mean accuracy, 0 to 1.
    pub mean: f64,
    /// The least of them.
    pub min: f64,
    /// The greatest of them.
    pub max: f64,
}

/// Runs with the same number of test samples: sums of integers, so that nothing depends on
/// the order of the runs.
#[derive(Clone, Copy, Debug)]
struct Counts {
    n: u64,
    correct: u64,
    least: u32,
    greatest: u32,
}

/// The accuracies of some runs, by step and number of test samples.
#[derive(Clone, Debug, Default)]
pub(super) struct Curve {
    points: BTreeMap<(u64, u32), Counts>,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.n += other.n;
        self.correct = self.correct.saturating_add(other.correct);
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
    }
}

impl Curve {
    /// Adds a run. Evaluations without samples, or with more correct ones than samples, are
    /// left out. Returns how many points there are more.
    pub fn add(&mut self, evaluations: &[Evaluation]) -> usize {
        let before = self.points.len();
        let counted = |e: &Evaluation| {
            let (correct, total) = (e.correct.try_into().ok()?, e.total.try_into().ok()?);
            let counts = Counts {
                n: 1,
                correct: u64::from(correct),
                least: correct,
                greatest: correct,
            };
            (total > 0 && correct <= total).then_some(((e.step, total), counts))
        };
        let mut evaluations = evaluations.iter().filter_map(counted).peekable();
        // Most runs of a group are evaluated at the same steps.
        for (key, counts) in &mut self.points {
            match evaluations.next_if(|(next, _)| next == key) {
                Some((_, more)) => counts.add(more),
                None => break,
            }
        }
        for (key, counts) in evaluations {
            self.insert(key, counts);
        }
        self.points.len() - before
    }

    /// Adds all runs of another.
    pub fn append(&mut self, other: Self) {
        if self.points.is_empty() {
            *self = other;
            return;
        }
        for (key, counts) in other.points {
            self.insert(key, counts);
        }
    }

    fn insert(&mut self, key: (u64, u32), counts: Counts) {
        let known = self.points.entry(key);
        known.and_modify(|c| c.add(counts)).or_insert(counts);
    }

    /// By step.
    pub fn points(&self) -> Vec<CurvePoint> {
        let mut points: Vec<CurvePoint> = Vec::with_capacity(self.points.len());
        for (&(step, total), counts) in &self.points {
            let (n, total) = (counts.n, f64::from(total));
            let point = CurvePoint {
                step,
                n,
                mean: counts.correct as f64 / (n as f64 * total),
                min: f64::from(counts.least) / total,
                max: f64::from(counts.greatest) / total,
            };
            match points.last_mut().filter(|last| last.step == step) {
                Some(last) => {
                    let (a, b) = (last.n as f64, n as f64);
                    last.mean = (last.mean * a + point.mean * b) / (a + b);
                    last.min = last.min.min(point.min);
                    last.max = last.max.max(point.max);
                    last.n += n;
                }
                None => points.push(point),
            }
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(step: u64, correct: usize, total: usize) -> Evaluation {
        Evaluation {
            step,
            correct,
            total,
        }
    }

    #[test]
    fn each_step_is_over_the_runs_that_have_it() {
        let runs = [
            vec![
                evaluation(0, 1, 10),
                evaluation(5, 6, 10),
                evaluation(10, 9, 10),
            ],
            vec![evaluation(0, 2, 10), evaluation(10, 8, 10)],
            // Another test set; nothing to count; out of order.
            vec![
                evaluation(10, 2, 4),
                evaluation(7, 0, 0),
                evaluation(8, 3, 2),
                evaluation(0, 4, 4),
            ],
        ];
        let mut points = Vec::new();
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut curve = Curve::default();
            let added: usize = order.iter().map(|&i| curve.add(&runs[i])).sum();
            assert_eq!(added, 5);
            points.push(curve.points());
        }
        assert!(points.windows(2).all(|pair| pair[0] == pair[1]));
        let found: Vec<_> = points[0].iter().map(|p| (p.step, p.n)).collect();
        assert_eq!(found, [(0, 3), (5, 1), (10, 3)]);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} {b}");
        close(points[0][0].mean, (0.1 + 0.2 + 1.0) / 3.0);
        close(points[0][2].mean, (0.9 + 0.8 + 0.5) / 3.0);
        assert_eq!((points[0][0].min, points[0][0].max), (0.1, 1.0));
        assert_eq!((points[0][2].min, points[0][2].max), (0.5, 0.9));
        assert_eq!(points[0][1].mean, 0.6);
    }
}
