//! How far a sweep is, from its folder alone.

mod pace;

pub use pace::Rate;

use super::spec::{Field, StopRule, still_pruned};
use super::store::{FAILED, Index, Line, PRUNED, Store, StoreError};
use super::time::unix_seconds;
use super::{Manifest, NUMERICS_VERSION, Outcome, Plan, Value};
use pace::Pace;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The most failed runs that are told one by one.
const SHOWN: usize = 5;

/// How far a sweep is. Counts are of runs; where a folder has no [`Manifest`] that can be
/// read, they are of all runs in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepStatus {
    /// What the sweep is called.
    pub name: Option<String>,
    /// Why it is not known what is planned, where there is a manifest.
    pub manifest_error: Option<String>,
    /// Runs of the spec.
    pub planned: Option<u64>,
    /// Those that have a result: neither failed nor [unpruned](Self::unpruned).
    pub done: u64,
    /// Those that have none.
    pub missing: Option<u64>,
    /// How the runs of the spec ended, [unpruned](Self::unpruned) ones left out.
    pub by_status: BTreeMap<String, u64>,
    /// Runs that were pruned by a rule that does not end them any more: missing.
    pub unpruned: u64,
    /// Runs that are here but not in the spec.
    pub others: u64,
    /// Records that are not of training runs: left out everywhere else.
    pub unreadable: u64,
    /// How fast it goes, if there are records of the last minutes.
    pub rate: Option<Rate>,
    /// Seconds until nothing is missing, at this rate.
    pub eta_seconds: Option<f64>,
    /// Seconds since the last record.
    pub last_seconds_ago: Option<u64>,
    /// The run of the spec with the best final accuracy.
    pub best: Option<Best>,
    /// By name.
    pub hosts: Vec<Host>,
    /// The first few failed runs.
    pub failed: Vec<Failed>,
    /// Damaged lines: runs in them are missing.
    pub damage: Vec<String>,
    /// Runs with different results.
    pub conflicts: Vec<String>,
    /// Segments with a torn tail, also those that are being written.
    pub torn: u64,
}

/// A run, by its configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Best {
    /// Its id.
    pub run: String,
    /// Its last test accuracy, 0 to 1.
    pub final_accuracy: f64,
    /// All keys of specs that say something of it.
    pub config: BTreeMap<&'static str, Value>,
    /// Those of them that vary in the sweep, in the order of its spec; some that matter
    /// where that is not known.
    pub keys: Vec<&'static str>,
}

/// A computer that has made records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Runs that it made.
    pub runs: u64,
    /// Seconds since its last record.
    pub last_seconds_ago: Option<u64>,
}

/// A run that could not be run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failed {
    /// Its id.
    pub run: String,
    /// Why.
    pub error: String,
}

/// What is needed of every record.
#[derive(Deserialize)]
struct Brief<'a> {
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default)]
    final_accuracy: Option<f64>,
    #[serde(default)]
    seconds: Option<Total>,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Total {
    total: f64,
}

/// What is planned.
struct Planned {
    plan: Plan,
    rules: Vec<StopRule>,
    /// Those that have a record, by id: their costs.
    known: HashMap<u128, f64>,
    /// Cost of those that have none.
    missing_cost: f64,
}

impl SweepStatus {
    /// That of the sweep in a folder. Needs no lock and disturbs nobody who writes.
    ///
    /// # Errors
    /// As [`Store::open`] and [`Store::index`]. Whatever is wrong with the manifest or with
    /// single records is no error.
    pub fn of(folder: &Path, now: SystemTime) -> Result<Self, StoreError> {
        let store = Store::open(folder)?;
        // The manifest first: it is there before the first record.
        let manifest = Manifest::read(folder);
        let index = store.index()?;
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut reader = Reader {
            status: Self::empty(&index),
            planned: None,
            now,
            best: None,
            hosts: BTreeMap::new(),
            pace: Pace::default(),
        };
        match manifest {
            Ok(Some(manifest)) => {
                reader.status.name = Some(manifest.name.clone());
                match Planned::new(&manifest, &index)? {
                    Ok(planned) => reader.planned = Some(planned),
                    Err(error) => reader.status.manifest_error = Some(error),
                }
            }
            Ok(None) => {}
            Err(error) => reader.status.manifest_error = Some(error.to_string()),
        }
        index.visit(|line| {
            reader.add(&line);
            ControlFlow::Continue(())
        })?;
        Ok(reader.finish())
    }

    fn empty(index: &Index) -> Self {
        let texts = |all: &mut dyn Iterator<Item = String>| all.collect();
        Self {
            name: None,
            manifest_error: None,
            planned: None,
            done: 0,
            missing: None,
            by_status: BTreeMap::new(),
            unpruned: 0,
            others: 0,
            unreadable: 0,
            rate: None,
            eta_seconds: None,
            last_seconds_ago: None,
            best: None,
            hosts: Vec::new(),
            failed: Vec::new(),
            damage: texts(&mut index.damage().iter().map(ToString::to_string)),
            conflicts: texts(&mut index.conflicts().iter().map(ToString::to_string)),
            torn: index.torn().len() as u64,
        }
    }
}

impl Planned {
    /// The inner error is a spec that this version cannot plan.
    fn new(manifest: &Manifest, index: &Index) -> Result<Result<Self, String>, StoreError> {
        let parsed = manifest
            .spec()
            .and_then(|spec| Ok((manifest.plan()?, spec)));
        let (plan, spec) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return Ok(Err(format!("its spec: {error}"))),
        };
        if manifest.numerics != NUMERICS_VERSION {
            let message = format!(
                "it was written by fanin {}, whose numerics have the version {}; those of this \
                 fanin have {NUMERICS_VERSION}: its runs are others",
                manifest.version, manifest.numerics
            );
            return Ok(Err(message));
        }
        let mut planned = Self {
            rules: spec.stop_when().to_vec(),
            known: HashMap::new(),
            missing_cost: 0.0,
            plan,
        };
        let plan = &planned.plan;
        for run in plan {
            let cost = plan.cost(&run);
            match number(&run.id).filter(|_| index.contains(&run.id)) {
                Some(id) => {
                    planned.known.try_reserve(1)?;
                    planned.known.insert(id, cost);
                }
                None => planned.missing_cost += cost,
            }
        }
        Ok(Ok(planned))
    }
}

/// An id as a number; `None` if it is none of this version.
fn number(id: &str) -> Option<u128> {
    let number = || u128::from_str_radix(id, 16).ok();
    (id.len() == 32).then(number)?
}

/// Goes through the records.
struct Reader {
    status: SweepStatus,
    planned: Option<Planned>,
    now: u64,
    /// Accuracy, id, and the record.
    best: Option<(f64, String, String)>,
    /// Runs and time of the last.
    hosts: BTreeMap<String, (u64, Option<u64>)>,
    pace: Pace,
}

impl Reader {
    fn add(&mut self, line: &Line<'_>) {
        let Ok(brief) = line.parse::<Brief<'_>>() else {
            self.status.unreadable += 1;
            return;
        };
        let time = unix_seconds(&brief.time);
        let host = match self.hosts.get_mut(&*brief.host) {
            Some(host) => host,
            None => self.hosts.entry(brief.host.to_string()).or_default(),
        };
        host.0 += 1;
        host.1 = host.1.max(time);
        let cost = match &self.planned {
            None => 0.0,
            Some(planned) => match number(line.run()).and_then(|id| planned.known.get(&id)) {
                Some(cost) => *cost,
                None => {
                    self.status.others += 1;
                    return;
                }
            },
        };
        let result = match line.status() {
            FAILED => {
                if self.status.failed.len() < SHOWN {
                    self.status.failed.push(Failed {
                        run: line.run().to_owned(),
                        error: brief.error.unwrap_or_default().into_owned(),
                    });
                }
                false
            }
            PRUNED => match self.still_pruned(line) {
                Some(true) => true,
                Some(false) => {
                    self.status.unpruned += 1;
                    self.missing(cost);
                    return;
                }
                None => {
                    self.status.unreadable += 1;
                    self.missing(cost);
                    return;
                }
            },
            _ => true,
        };
        *self
            .status
            .by_status
            .entry(line.status().to_owned())
            .or_default() += 1;
        if !result {
            self.missing(cost);
            return;
        }
        self.status.done += 1;
        if let Some(time) = time {
            let seconds = brief.seconds.map_or(0.0, |seconds| seconds.total);
            self.pace.add(time, seconds, cost);
        }
        if let Some(accuracy) = brief.final_accuracy {
            let better = self.best.as_ref().is_none_or(|(best, run, _)| {
                accuracy > *best || accuracy == *best && line.run() < run.as_str()
            });
            if better {
                let (run, json) = (line.run().to_owned(), line.json().to_owned());
                self.best = Some((accuracy, run, json));
            }
        }
    }

    /// `None` if it is not the record of a training run. Without a spec there are no rules
    /// to hold it against.
    fn still_pruned(&self, line: &Line<'_>) -> Option<bool> {
        let Some(planned) = &self.planned else {
            return Some(true);
        };
        let outcome = Outcome::of(line).ok()?;
        Some(still_pruned(&planned.rules, &outcome.evals))
    }

    fn missing(&mut self, cost: f64) {
        if let Some(planned) = &mut self.planned {
            planned.missing_cost += cost;
        }
    }

    fn finish(mut self) -> SweepStatus {
        let ago = |time: Option<u64>| time.map(|time| self.now.saturating_sub(time));
        let mut status = self.status;
        let last = self.hosts.values().filter_map(|(_, last)| *last).max();
        status.last_seconds_ago = ago(last);
        let hosts = std::mem::take(&mut self.hosts).into_iter();
        let host = |(name, (runs, last))| Host {
            name,
            runs,
            last_seconds_ago: ago(last),
        };
        status.hosts = hosts.map(host).collect();
        status.rate = self.pace.rate(self.now);
        if let Some(planned) = &self.planned {
            let runs = u64::from(planned.plan.runs());
            let missing = runs.saturating_sub(status.done);
            status.planned = Some(runs);
            status.missing = Some(missing);
            status.eta_seconds = match (&status.rate, missing) {
                (Some(rate), 1..) if rate.cost_per_second > 0.0 => {
                    Some(planned.missing_cost / rate.cost_per_second)
                }
                _ => None,
            };
        }
        let axes = self.planned.as_ref().map(|planned| planned.plan.axes());
        let keys = match axes {
            Some(axes) => axes.into_iter().flat_map(|axis| axis.names).collect(),
            None => vec![
                "layers",
                "init",
                "activation",
                "batch_norm",
                "loss",
                "lr",
                "seed",
            ],
        };
        status.best = self.best.and_then(|(final_accuracy, run, json)| {
            let outcome: Outcome<'_> = serde_json::from_str(&json).ok()?;
            let value = |name| Some((name, outcome.config.value(Field::from_name(name)?)?));
            Some(Best {
                run,
                final_accuracy,
                config: Field::names().into_iter().filter_map(value).collect(),
                keys,
            })
        });
        status
    }
}
