//! What is missing.

use crate::Error;
use crate::sweep::spec::still_pruned;
use crate::sweep::store::{FAILED, Index, PRUNED};
use crate::sweep::{Outcome, Plan, Shard, StopRule};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// A run to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    /// Its number in the plan.
    pub index: u32,
    /// Its share of [`Todo::work`].
    pub work: u64,
}

/// The runs of a shard that a store has no result of.
#[derive(Clone, Debug)]
pub struct Todo {
    jobs: Vec<Job>,
    done: usize,
    again: usize,
}

impl Todo {
    /// What is missing in a store with this `index`. Runs that [`FAILED`] are missing, and so
    /// are [`PRUNED`] ones that none of the `rules` would have ended where they ended.
    ///
    /// # Errors
    /// [`Error::Store`] if records differ that should not, or if a pruned one cannot be read;
    /// [`Error::Memory`].
    pub fn new(
        plan: &Plan,
        shard: Shard,
        index: &Index,
        rules: &[StopRule],
    ) -> Result<Self, Error> {
        index.check()?;
        let pruned = rightly_pruned(index, rules)?;
        let numbers = plan.shard(shard)?;
        let (mut jobs, mut done, mut again) = (Vec::new(), 0, 0);
        // So that the sum of all, and of any part, is a u64.
        let most = u64::MAX / (numbers.len() as u64).max(1);
        for number in numbers {
            // Numbers of a shard are of the plan.
            let Some(run) = plan.get(number) else {
                continue;
            };
            let status = index.status(&run.id);
            match status {
                Some(FAILED) => again += 1,
                Some(PRUNED) if !pruned.contains(&run.id) => again += 1,
                Some(_) => {
                    done += 1;
                    continue;
                }
                None => {}
            }
            // The conversion saturates.
            let work = ((plan.cost(&run) / 1e3).ceil() as u64).min(most);
            jobs.try_reserve(1)?;
            jobs.push(Job {
                index: number,
                work,
            });
        }
        Ok(Self { jobs, done, again })
    }

    /// How many runs are missing.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// How many runs of the shard have a result.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Those of the missing runs that have a record: they failed, or were pruned by a rule
    /// that the sweep does not have any more.
    pub fn again(&self) -> usize {
        self.again
    }

    /// The numbers of the missing runs in the plan, those that cost most first.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.jobs.iter().map(|job| job.index)
    }

    /// All the work, in thousands of floating-point operations: [`Plan::cost`], as far as a
    /// `u64` can count it.
    pub fn work(&self) -> u64 {
        self.jobs.iter().map(|job| job.work).sum()
    }

    pub(super) fn runs(&self) -> &[Job] {
        &self.jobs
    }
}

/// The ids of pruned runs that some rule would still end.
fn rightly_pruned(index: &Index, rules: &[StopRule]) -> Result<HashSet<String>, Error> {
    let mut found = HashSet::new();
    if rules.is_empty() || !index.runs().any(|(_, status)| status == PRUNED) {
        return Ok(found);
    }
    index.visit(|line| {
        if line.status() == PRUNED
            && let Ok(outcome) = Outcome::of(&line)
            && still_pruned(rules, &outcome.evals)
        {
            found.insert(line.run().to_owned());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
