//! Sweeps of short runs: what the runner, the store and the sharing of the machine cost.

use super::Monitor;
use super::timing::{Spread, rounds, seconds};
use super::yardstick::cores;
use crate::data::Dataset;
use crate::sweep::store::Store;
use crate::sweep::{
    DataFacts, Ended, Finished, Options, Plan, Shard, Spec, SweepData, SweepMonitor, Todo,
};
use crate::{Error, Isa, TrainConfig, pool};
use serde::Serialize;
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A sweep to time: runs that differ in their seeds, with an evaluation before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepCase {
    /// Units of the input, of each hidden layer, and of the output.
    pub layers: Vec<usize>,
    /// Steps of a run; all else is the article's.
    pub steps: u32,
    /// Runs for each of the `threads`.
    pub runs: usize,
    /// Runs at a time.
    pub threads: usize,
}

impl SweepCase {
    /// Runs of the article's network, then tiny ones of 784-10, each on one core and on all.
    pub fn all() -> Vec<Self> {
        let all = cores();
        let threads = if all > 1 { vec![1, all] } else { vec![1] };
        let article = (TrainConfig::default().layers, 500, 4);
        let tiny = (vec![784, 10], 100, 32);
        let mut cases = Vec::new();
        for (layers, steps, runs) in [article, tiny] {
            cases.extend(threads.iter().map(|&threads| Self {
                layers: layers.clone(),
                steps,
                runs,
                threads,
            }));
        }
        cases
    }

    fn spec(&self, data: &str) -> String {
        format!(
            "name = 'bench'\ndata = {data:?}\n[train]\nlayers = {:?}\nsteps = {}\n\
             eval_every = 0\n[grid]\nseed = '1..={}'\n",
            self.layers,
            self.steps,
            self.runs * self.threads
        )
    }
}

/// A line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct SweepLine {
    /// Units of the input, of each hidden layer, and of the output.
    pub layers: Vec<usize>,
    /// Steps of a run.
    pub steps: u32,
    /// Runs of a sweep.
    pub runs: usize,
    /// Runs at a time.
    pub threads: usize,
    /// Of a whole sweep into a new folder, its records on the disk.
    pub seconds: Spread,
    /// In the fastest sweep.
    pub runs_per_second: f64,
    /// Seconds of a core for the steps and evaluations of a run, in the fastest sweep.
    pub training_seconds: f64,
    /// Seconds of a core for all else, for each run: building networks, hashes, records,
    /// the start of the sweep, waiting for the last run of another core.
    pub overhead_seconds: f64,
    /// Runs a second over `threads` times those with one thread; `None` with one.
    pub share_of_ideal: Option<f64>,
}

pub(super) fn measure(
    isa: Isa,
    cases: &[SweepCase],
    data: &str,
    time: Duration,
    monitor: &dyn Monitor,
) -> Result<Vec<SweepLine>, Error> {
    let dataset = Dataset::open(data)?;
    let facts = DataFacts::of(&dataset);
    let samples = SweepData::new(&dataset, data, 0)?;
    drop(dataset);
    let mut lines: Vec<SweepLine> = Vec::new();
    for case in cases {
        if monitor.stopped() {
            break;
        }
        let sweep = Sweep::new(case, data, &facts)?;
        let failure = RefCell::new(None);
        // The training time of each sweep, beside its own.
        let mut training = Vec::new();
        sweep.run(isa, &samples)?;
        let times = rounds(time, monitor, || {
            let mut finished = None;
            let taken = seconds(|| finished = Some(sweep.run(isa, &samples)));
            match finished? {
                Ok(finished) => {
                    training.push((taken, finished.training.as_secs_f64()));
                    Some(taken)
                }
                Err(error) => {
                    failure.replace(Some(error));
                    None
                }
            }
        });
        if let Some(error) = failure.into_inner() {
            return Err(error);
        }
        let fastest = training.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        if let (Some(seconds), Some((taken, training))) = (Spread::of(&times), fastest) {
            let runs = sweep.todo.len();
            let runs_per_second = runs as f64 / taken;
            let alone = lines
                .iter()
                .find(|line| line.layers == case.layers && line.threads == 1);
            lines.push(SweepLine {
                layers: case.layers.clone(),
                steps: case.steps,
                runs,
                threads: case.threads,
                seconds,
                runs_per_second,
                training_seconds: training / runs as f64,
                overhead_seconds: (taken * case.threads as f64 - training) / runs as f64,
                share_of_ideal: alone
                    .filter(|_| case.threads > 1)
                    .map(|one| runs_per_second / (case.threads as f64 * one.runs_per_second)),
            });
            monitor.line();
        }
    }
    Ok(lines)
}

/// What is run again and again, each time into a new folder.
struct Sweep {
    plan: Plan,
    todo: Todo,
    threads: usize,
}

impl Sweep {
    fn new(case: &SweepCase, data: &str, facts: &DataFacts) -> Result<Self, Error> {
        let spec = Spec::parse(&case.spec(data))?;
        let plan = Plan::new(&spec, facts)?;
        let todo = Todo::new(&plan, Shard::WHOLE, &Default::default(), &[])?;
        Ok(Self {
            plan,
            todo,
            threads: case.threads,
        })
    }

    fn run(&self, isa: Isa, data: &SweepData) -> Result<Finished, Error> {
        let folder = Folder::new();
        let writer = Store::create(&folder.0)?.writer()?;
        let options = Options {
            threads: self.threads,
            isa,
            rules: &[],
        };
        let finished = self
            .todo
            .run(&self.plan, data, options, &writer, &Unwatched)?;
        writer.close()?;
        Ok(finished)
    }
}

/// A folder for a sweep; gone with everything in it when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fanin-bench-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is in the folder for what may be deleted.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A sweep takes less than a second: signals are looked at between sweeps.
struct Unwatched;

impl pool::Monitor for Unwatched {
    fn advance(&self, _: u64) {}

    fn stopped(&self) -> bool {
        false
    }
}

impl SweepMonitor for Unwatched {
    fn finished(&self, _: Ended<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_add_up() {
        let case = |threads| SweepCase {
            layers: vec![784, 10],
            steps: 2,
            runs: 2,
            threads,
        };
        let cases = [case(1), case(2)];
        let lines = measure(Isa::best(), &cases, "mnist", Duration::ZERO, &()).unwrap();
        assert_eq!((lines[0].runs, lines[1].runs), (2, 4));
        for line in &lines {
            assert!(line.seconds.rounds >= 3);
            let threads = line.threads as f64;
            let of_run = line.training_seconds + line.overhead_seconds;
            let expected = line.seconds.min * threads / line.runs as f64;
            assert!((of_run / expected - 1.0).abs() < 1e-9);
            assert!(line.training_seconds > 0.0);
            assert!((line.runs_per_second * of_run / threads - 1.0).abs() < 1e-9);
        }
        assert_eq!(lines[0].share_of_ideal, None);
        let share = lines[1].runs_per_second / lines[0].runs_per_second / 2.0;
        assert!((lines[1].share_of_ideal.unwrap() / share - 1.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_left_behind() {
        let folder = Folder::new();
        let path = folder.0.clone();
        Store::create(&path).unwrap().writer().unwrap();
        assert!(path.exists());
        drop(folder);
        assert!(!path.exists());
    }
}
