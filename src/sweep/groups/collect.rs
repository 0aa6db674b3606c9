//! What is kept of each run while a store is read.

use super::curve::Curve;
use super::{Best, Counts, Failure, Key, Reach};
use crate::sweep::{Outcome, Value};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, TryReserveError};

/// The number of the value of each key among the values of that key; 0 for the seed, unless
/// it is asked for.
pub(super) type Codes = [u32; Key::COUNT];

/// Points of curves that are kept at most: up to 80 bytes each with the trees that they are
/// in, so 320 MB.
const MAX_POINTS: usize = 4_000_000;
/// Seeds that are told apart.
const MAX_SEEDS: usize = 100_000;
/// The best runs that are kept, and the failed ones.
const BEST: usize = 10;
const FAILURES: usize = 20;
/// Hosts and versions that are kept.
const MAX_NAMES: usize = 1_000;
/// Longest text of an error that is kept, in characters.
const MAX_ERROR: usize = 300;

/// Runs that differ in nothing but the seed.
#[derive(Debug, Default)]
pub(super) struct Cell {
    pub counts: Counts,
    /// Final accuracies.
    pub accuracies: Vec<f64>,
    /// Steps to the accuracy, of those that reach it.
    pub reached: Vec<f64>,
    /// Times from start to end.
    pub seconds: Vec<f64>,
    pub curve: Curve,
    /// The least and the greatest seed.
    pub seeds: Option<(u64, u64)>,
}

impl Cell {
    pub fn has_several_seeds(&self) -> bool {
        self.seeds.is_some_and(|(least, greatest)| least < greatest)
    }

    fn note_seeds(&mut self, (least, greatest): (u64, u64)) {
        let known = self.seeds.get_or_insert((least, greatest));
        *known = (known.0.min(least), known.1.max(greatest));
    }

    /// Takes the runs of another.
    pub fn append(&mut self, mut other: Self) -> Result<(), TryReserveError> {
        self.counts.add(other.counts);
        if let Some(seeds) = other.seeds {
            self.note_seeds(seeds);
        }
        for (into, from) in [
            (&mut self.accuracies, &mut other.accuracies),
            (&mut self.reached, &mut other.reached),
            (&mut self.seconds, &mut other.seconds),
        ] {
            match into.is_empty() {
                true => *into = std::mem::take(from),
                false => {
                    into.try_reserve(from.len())?;
                    into.append(from);
                }
            }
        }
        self.curve.append(other.curve);
        Ok(())
    }
}

/// The values of a key, numbered as they are met.
#[derive(Debug, Default)]
pub(super) struct Column {
    pub values: Vec<Option<Value>>,
    codes: HashMap<Bits, u32>,
    last: u32,
}

/// A value that can be looked up.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Bits {
    None,
    Integer(u64),
    Number(u32),
    Text(String),
}

impl Column {
    fn code(&mut self, value: Option<Value>) -> Result<u32, TryReserveError> {
        // Most keys have the same value in run after run.
        if self.values.get(self.last as usize) == Some(&value) {
            return Ok(self.last);
        }
        let bits = match value.clone() {
            None => Bits::None,
            Some(Value::Integer(n)) => Bits::Integer(n),
            // The two zeros are one value.
            Some(Value::Number(x)) => Bits::Number((x + 0.0).to_bits()),
            Some(Value::Text(text)) => Bits::Text(text),
        };
        self.codes.try_reserve(1)?;
        self.values.try_reserve(1)?;
        // At most as many as there are runs, and those are counted in 32 bits.
        let next = self.values.len() as u32;
        let code = *self.codes.entry(bits).or_insert(next);
        if code == next {
            self.values.push(value);
        }
        self.last = code;
        Ok(code)
    }
}

/// What has been read.
#[derive(Debug)]
pub(super) struct Collected {
    /// For each key; that of the seed is empty unless it is asked for.
    pub columns: [Column; Key::COUNT],
    pub cells: HashMap<Box<Codes>, Cell>,
    by_seed: bool,
    reach: Reach,
    pub counts: Counts,
    /// Of all curves; `None`: there were too many, and none are kept.
    points: Option<usize>,
    most_points: usize,
    pub seeds: HashSet<u64>,
    pub seed_range: Option<(u64, u64)>,
    /// Best first.
    pub best: Vec<(Codes, Best)>,
    /// By id.
    pub failures: BTreeMap<String, (Codes, Failure)>,
    pub hosts: BTreeMap<String, usize>,
    pub versions: BTreeMap<String, usize>,
    /// When the first and the last record were made.
    pub times: Option<(String, String)>,
    pub seconds: f64,
}

impl Collected {
    pub fn new(by_seed: bool, reach: Reach) -> Self {
        Self {
            columns: std::array::from_fn(|_| Column::default()),
            cells: HashMap::new(),
            by_seed,
            reach,
            counts: Counts::default(),
            points: Some(0),
            most_points: MAX_POINTS,
            seeds: HashSet::new(),
            seed_range: None,
            best: Vec::new(),
            failures: BTreeMap::new(),
            hosts: BTreeMap::new(),
            versions: BTreeMap::new(),
            times: None,
            seconds: 0.0,
        }
    }

    /// Whether curves are kept.
    pub fn has_curves(&self) -> bool {
        self.points.is_some()
    }

    pub fn add(&mut self, outcome: &Outcome<'_>) -> Result<(), TryReserveError> {
        let seed = match Key::SEED.value(&outcome.config) {
            Some(Value::Integer(seed)) => seed,
            _ => 0,
        };
        let codes = self.codes(outcome)?;
        let counts = Counts::of(&outcome.status);
        self.counts.add(counts);
        self.note_origin(outcome, seed);
        self.cells.try_reserve(1)?;
        let cell = match self.cells.entry(Box::new(codes)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Cell::default()),
        };
        cell.counts.add(counts);
        cell.note_seeds((seed, seed));
        if !outcome.has_result() {
            self.note_failure(codes, outcome, seed);
            return Ok(());
        }
        let accuracy = outcome.final_accuracy.filter(|a| (0.0..=1.0).contains(a));
        let steps_to_reach = self.reach.steps(outcome);
        let reached = steps_to_reach.map(|steps| steps as f64);
        let seconds = outcome.seconds.map(|s| s.total).filter(|s| s.is_finite());
        for (values, value) in [
            (&mut cell.accuracies, accuracy),
            (&mut cell.reached, reached),
            (&mut cell.seconds, seconds),
        ] {
            if let Some(value) = value {
                values.try_reserve(1)?;
                values.push(value);
            }
        }
        self.seconds += seconds.unwrap_or(0.0);
        if let Some(points) = &mut self.points {
            *points += cell.curve.add(&outcome.evals);
            if *points > self.most_points {
                self.points = None;
                for cell in self.cells.values_mut() {
                    cell.curve = Curve::default();
                }
            }
        }
        if let Some(accuracy) = accuracy {
            self.note_best(codes, outcome, seed, accuracy);
        }
        Ok(())
    }

    fn codes(&mut self, outcome: &Outcome<'_>) -> Result<Codes, TryReserveError> {
        let mut codes = [0; Key::COUNT];
        for key in Key::all().filter(|key| *key != Key::SEED || self.by_seed) {
            let column = &mut self.columns[key.index()];
            codes[key.index()] = column.code(key.value(&outcome.config))?;
        }
        Ok(codes)
    }

    fn note_origin(&mut self, outcome: &Outcome<'_>, seed: u64) {
        if self.seeds.len() < MAX_SEEDS {
            self.seeds.insert(seed);
        }
        let (low, high) = self.seed_range.unwrap_or((seed, seed));
        self.seed_range = Some((low.min(seed), high.max(seed)));
        for (names, name) in [
            (&mut self.hosts, &outcome.host),
            (&mut self.versions, &outcome.version),
        ] {
            if let Some(count) = names.get_mut(name.as_ref()) {
                *count += 1;
            } else if names.len() < MAX_NAMES {
                names.insert(name.to_string(), 1);
            }
        }
        let time = &*outcome.time;
        match &mut self.times {
            None => self.times = Some((time.into(), time.into())),
            Some((first, _)) if time < first.as_str() => *first = time.into(),
            Some((_, last)) if time > last.as_str() => *last = time.into(),
            Some(_) => {}
        }
    }

    /// By accuracy, and by id among equals: it does not depend on the order of the records.
    fn note_best(&mut self, codes: Codes, outcome: &Outcome<'_>, seed: u64, accuracy: f64) {
        let run = &*outcome.run;
        let before = |best: &Best| {
            let order = best.accuracy.total_cmp(&accuracy);
            order.is_gt() || order.is_eq() && best.run.as_str() < run
        };
        let place = self.best.partition_point(|(_, best)| before(best));
        if place < BEST {
            self.best.truncate(BEST - 1);
            let best = Best {
                run: run.to_owned(),
                status: outcome.status.to_string(),
                config: Vec::new(),
                seed,
                accuracy,
                steps_to_reach: self.reach.steps(outcome),
            };
            self.best.insert(place, (codes, best));
        }
    }

    fn note_failure(&mut self, codes: Codes, outcome: &Outcome<'_>, seed: u64) {
        let last = self.failures.last_key_value();
        let full = self.failures.len() >= FAILURES;
        if full && last.is_some_and(|(last, _)| *outcome.run >= **last) {
            return;
        }
        if full {
            self.failures.pop_last();
        }
        let error = outcome.error.as_deref().unwrap_or("no reason is given");
        let failure = Failure {
            run: outcome.run.to_string(),
            config: Vec::new(),
            seed,
            error: error.chars().take(MAX_ERROR).collect(),
        };
        self.failures
            .insert(outcome.run.to_string(), (codes, failure));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn add(collected: &mut Collected, run: &str, accuracy: f64, steps: std::ops::Range<u64>) {
        let evaluation = |step| json!({"step": step, "correct": 1, "total": 2});
        let mut config = serde_json::to_value(crate::TrainConfig::default()).unwrap();
        config["data"] = "mnist".into();
        config["hold_out"] = 0.into();
        let record = json!({
            "run": run, "status": "ok", "host": "h", "version": "1", "time": "t",
            "config": config, "final_accuracy": accuracy,
            "evals": steps.map(evaluation).collect::<Vec<_>>(),
        });
        let text = record.to_string();
        collected
            .add(&serde_json::from_str(&text).unwrap())
            .unwrap();
    }

    #[test]
    fn too_many_points_leave_no_curves_rather_than_wrong_ones() {
        let mut collected = Collected::new(false, Reach::default());
        collected.most_points = 10;
        add(&mut collected, "a", 0.5, 0..10);
        add(&mut collected, "b", 0.5, 3..10);
        let points =
            |collected: &Collected| collected.cells.values().next().unwrap().curve.points();
        assert_eq!((points(&collected).len(), points(&collected)[5].n), (10, 2));
        assert!(collected.has_curves());
        for run in ["c", "d"] {
            add(&mut collected, run, 0.5, 0..11);
            assert!(!collected.has_curves() && points(&collected).is_empty());
        }
        assert_eq!(collected.counts.ok, 4);
    }

    #[test]
    fn the_best_are_the_same_in_any_order() {
        let runs: Vec<(String, f64)> = (0..40)
            .map(|i| (format!("{i:02x}"), f64::from(i * 7 % 5) / 10.0))
            .collect();
        let best = |runs: &mut dyn Iterator<Item = &(String, f64)>| {
            let mut collected = Collected::new(false, Reach::default());
            for (run, accuracy) in runs {
                add(&mut collected, run, *accuracy, 0..1);
            }
            let best = collected.best.into_iter();
            best.map(|(_, best)| (best.accuracy, best.run))
                .collect::<Vec<_>>()
        };
        let mut sorted = runs.clone();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let expected: Vec<_> = sorted
            .into_iter()
            .map(|(run, a)| (a, run))
            .take(10)
            .collect();
        assert_eq!(best(&mut runs.iter()), expected);
        assert_eq!(best(&mut runs.iter().rev()), expected);
    }

    #[test]
    fn an_accuracy_that_is_none_is_not_measured() {
        let mut collected = Collected::new(false, Reach::default());
        add(&mut collected, "a", 1.5, 0..1);
        add(&mut collected, "b", 0.25, 0..1);
        let cell = collected.cells.values().next().unwrap();
        assert_eq!((cell.counts.ok, &cell.accuracies[..]), (2, &[0.25][..]));
    }
}
