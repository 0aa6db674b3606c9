//! One run.

use super::SweepData;
use crate::pool::{Monitor, Watch};
use crate::sweep::{PlannedRun, StopRule};
use crate::train::{Evaluation, Observer, PretrainProgress, Run, Status};
use crate::{Isa, Trainer};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What became of a run.
pub(super) enum Attempt {
    /// It came to its end, or to that which a rule set.
    Ended {
        run: Run,
        /// With the making of the network.
        total: Duration,
        pruned_by: Option<StopRule>,
    },
    /// It could not be run.
    Failed(String),
    /// It was broken off, to be run another time.
    Stopped,
}

/// What all runs have in common.
pub(super) struct Executor<'a> {
    pub data: &'a SweepData,
    pub isa: Isa,
    pub rules: &'a [StopRule],
    pub monitor: &'a dyn Monitor,
}

impl Executor<'_> {
    /// Runs `run`, which is told to the monitor as `work`.
    pub fn run(&self, run: &PlannedRun, work: u64) -> Attempt {
        let started = Instant::now();
        let unit = work / run.config.steps.max(1);
        let mut judge = Judge {
            watch: Watch::new(self.monitor, unit, work),
            rules: self.rules,
            evals: Vec::new(),
            pruned_by: None,
        };
        let (train, test) = (&self.data.train, &self.data.test);
        let config = run.config.clone();
        let mut trainer = match Trainer::observed(config, train, test, self.isa, &mut judge) {
            Ok(trainer) => trainer,
            Err(error) => return Attempt::Failed(error.to_string()),
        };
        // Whatever pre-training left when it was broken off is no start.
        if self.monitor.stopped() {
            return Attempt::Stopped;
        }
        let done = trainer.run(&mut judge);
        if done.status == Status::Interrupted && judge.pruned_by.is_none() {
            return Attempt::Stopped;
        }
        judge.watch.finish();
        Attempt::Ended {
            total: started.elapsed(),
            // A rule says nothing of a run that is at its end.
            pruned_by: judge
                .pruned_by
                .filter(|_| done.status == Status::Interrupted),
            run: done,
        }
    }
}

/// Applies the rules, and watches.
struct Judge<'a> {
    watch: Watch<'a>,
    rules: &'a [StopRule],
    evals: Vec<Evaluation>,
    pruned_by: Option<StopRule>,
}

impl Observer for Judge<'_> {
    fn evaluated(&mut self, evaluation: Evaluation) -> ControlFlow<()> {
        if !self.rules.is_empty() {
            self.evals.push(evaluation);
            let mut rules = self.rules.iter();
            self.pruned_by = rules.find(|rule| rule.stops(&self.evals)).copied();
            if self.pruned_by.is_some() {
                return ControlFlow::Break(());
            }
        }
        self.watch.evaluated(evaluation)
    }

    fn stepped(&mut self, step: u64, loss: f32) -> ControlFlow<()> {
        self.watch.stepped(step, loss)
    }

    fn pretrained(&mut self, progress: PretrainProgress) -> ControlFlow<()> {
        self.watch.pretrained(progress)
    }
}
