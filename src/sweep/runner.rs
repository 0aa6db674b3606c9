//! Runs what is missing, a run on each core.

mod execute;
#[cfg(test)]
mod tests;
mod todo;

pub use todo::Todo;

use super::store::{FAILED, PRUNED, Record, StoreError, Writer};
use super::{Plan, PlannedRun, StopRule};
use crate::data::Dataset;
use crate::pool::{self, Monitor};
use crate::train::{ConfigReport, RunReport, Setting};
use crate::{Error, InputPath, Isa, Samples, peak};
use execute::{Attempt, Executor};
use serde_json::{Map, Value, json};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The samples that all runs of a sweep share.
#[derive(Debug)]
pub struct SweepData {
    name: String,
    hold_out: usize,
    train: Samples,
    test: Samples,
}

impl SweepData {
    /// Those of `dataset`, which was asked for as `name`, without the first `hold_out`
    /// training samples.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn new(dataset: &Dataset, name: &str, hold_out: usize) -> Result<Self, Error> {
        let (train, test) = Samples::from_dataset(dataset, hold_out, InputPath::Auto)?;
        Ok(Self {
            name: name.to_owned(),
            hold_out,
            train,
            test,
        })
    }

    /// Training samples.
    pub fn train(&self) -> &Samples {
        &self.train
    }

    /// Test samples.
    pub fn test(&self) -> &Samples {
        &self.test
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The run.
    pub run: &'a PlannedRun,
    /// `ok`, `diverged`, `pruned` or `failed`.
    pub status: &'a str,
    /// The last test accuracy, 0 to 1.
    pub final_accuracy: Option<f64>,
    /// Why it `failed`.
    pub error: Option<&'a str>,
}

/// Is told how a sweep goes on, from several threads. The work is that of [`Todo::work`].
pub trait SweepMonitor: Monitor {
    /// A run has ended, and its record is on its way to the disk.
    fn finished(&self, ended: Ended<'_>);
}

/// What a sweep is run with.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Runs at a time, at least 1.
    pub threads: usize,
    /// Instruction set.
    pub isa: Isa,
    /// Rules that end runs.
    pub rules: &'a [StopRule],
}

/// What was run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Finished {
    /// Runs that ended, and have a record.
    pub runs: usize,
    /// Those of them that diverged.
    pub diverged: usize,
    /// Those that a rule ended.
    pub pruned: usize,
    /// Those that could not be run; they will be tried again.
    pub failed: usize,
    /// Time of their steps and evaluations, on all cores together.
    pub training: Duration,
    /// Whether the monitor stopped it before all was done.
    pub stopped: bool,
}

impl Todo {
    /// Runs it, the runs that cost most first. A run that panics or cannot be started is
    /// recorded as [`FAILED`], and the others go on. A run that is broken off because the
    /// monitor says so leaves no record.
    ///
    /// # Errors
    /// [`Error::Store`] if records cannot be kept: what was synced before is safe.
    pub fn run(
        &self,
        plan: &Plan,
        data: &SweepData,
        options: Options<'_>,
        writer: &Writer,
        monitor: &dyn SweepMonitor,
    ) -> Result<Finished, Error> {
        let watched = Watched { monitor, writer };
        let executor = Executor {
            data,
            isa: options.isa,
            rules: options.rules,
            monitor: &watched,
        };
        let peak = peak::fma_peak(options.isa);
        let sweep = Sweep {
            data,
            peak,
            writer,
            monitor,
        };
        let execute = |run: &PlannedRun, work| executor.run(run, work);
        self.run_with(plan, options.threads, &sweep, &execute)
    }

    fn run_with(
        &self,
        plan: &Plan,
        threads: usize,
        sweep: &Sweep<'_>,
        execute: &(dyn Fn(&PlannedRun, u64) -> Attempt + Sync),
    ) -> Result<Finished, Error> {
        let finished = Mutex::new(Finished::default());
        let failure = Mutex::new(None);
        // The writer's failures are seen before a record is refused.
        let go_on =
            || !sweep.monitor.stopped() && !sweep.writer.has_failed() && lock(&failure).is_none();
        pool::for_each(threads, self.runs(), go_on, |job| {
            // It is one of the plan's.
            let Some(run) = plan.get(job.index) else {
                return;
            };
            let attempt = catch_unwind(AssertUnwindSafe(|| execute(&run, job.work)));
            let attempt = attempt.unwrap_or_else(|panic| Attempt::Failed(message(&*panic)));
            match sweep.record(&run, attempt) {
                Ok(Some(counted)) => lock(&finished).add(&counted),
                Ok(None) => {}
                Err(error) => {
                    lock(&failure).get_or_insert(error);
                }
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error.into());
        }
        sweep.writer.check()?;
        let mut finished = finished
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        finished.stopped = finished.runs < self.runs().len();
        Ok(finished)
    }
}

impl Finished {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.diverged += other.diverged;
        self.pruned += other.pruned;
        self.failed += other.failed;
        self.training += other.training;
    }
}

/// What makes records of runs.
struct Sweep<'a> {
    data: &'a SweepData,
    peak: f64,
    writer: &'a Writer,
    monitor: &'a dyn SweepMonitor,
}

impl Sweep<'_> {
    /// Keeps what a run came to; `None` if there is nothing to keep.
    fn record(&self, run: &PlannedRun, attempt: Attempt) -> Result<Option<Finished>, StoreError> {
        let mut counted = Finished {
            runs: 1,
            ..Finished::default()
        };
        let mut setting = Setting {
            config: &run.config,
            data: &self.data.name,
            hold_out: self.data.hold_out,
            peak: self.peak,
            total: Duration::ZERO,
        };
        let failed = match attempt {
            Attempt::Stopped => return Ok(None),
            Attempt::Failed(error) => error,
            Attempt::Ended {
                run: ended,
                total,
                pruned_by,
            } => {
                setting.total = total;
                let mut object = object(&RunReport::new(&setting, &ended));
                if let Some(rule) = &pruned_by {
                    object.insert("status".into(), json!(PRUNED));
                    object.insert("pruned_by".into(), json!(rule.to_string()));
                    counted.pruned = 1;
                }
                counted.diverged = usize::from(ended.status == crate::Status::Diverged);
                counted.training = ended.train_time + ended.eval_time;
                let record = Record::new(&run.id, object)?;
                match self.writer.append(&record) {
                    Ok(()) => {
                        self.monitor.finished(Ended {
                            run,
                            status: &record.status,
                            final_accuracy: ended.final_accuracy(),
                            error: None,
                        });
                        return Ok(Some(counted));
                    }
                    // It could not be read back, as with millions of evaluations.
                    Err(StoreError::Record { reason, .. }) => format!("its record: {reason}"),
                    Err(error) => return Err(error),
                }
            }
        };
        let mut object = Map::new();
        object.insert("status".into(), json!(FAILED));
        object.insert("config".into(), json!(ConfigReport::new(&setting)));
        object.insert("error".into(), json!(failed));
        self.writer.append(&Record::new(&run.id, object)?)?;
        self.monitor.finished(Ended {
            run,
            status: FAILED,
            final_accuracy: None,
            error: Some(&failed),
        });
        Ok(Some(Finished {
            runs: 1,
            failed: 1,
            ..Finished::default()
        }))
    }
}

/// The members of a report: numbers and strings only, which always become an object.
fn object(report: &RunReport<'_>) -> Map<String, Value> {
    match serde_json::to_value(report) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// A monitor that also stops when records cannot be written any more.
struct Watched<'a> {
    monitor: &'a dyn SweepMonitor,
    writer: &'a Writer,
}

impl Monitor for Watched<'_> {
    fn advance(&self, work: u64) {
        self.monitor.advance(work);
    }

    fn stopped(&self) -> bool {
        self.monitor.stopped() || self.writer.has_failed()
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
