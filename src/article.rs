//! The article on weight initialization that fanin reproduces, end to end: its table, its
//! figures, the other networks and settings of its code, and what it names but does not
//! run; each over several seeds, beside what was published.
//!
//! A [`Plan`] says what to run, [`Plan::run`] runs it, and [`Results::document`] is the
//! report.

mod claims;
mod document;
mod probes;
mod runner;
mod study;
mod text;

pub use crate::pool::Monitor;
pub use claims::Judged;
pub use probes::Figure;
pub use runner::{Outcome, Results};
pub use study::{Part, Published, Study, Task};

/// Most seeds of an article.
pub const MAX_SEEDS: u32 = 100_000;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The runs, of each study once for every seed.
    pub studies: Vec<Study>,
    /// Seeds of the studies of the table, from 1.
    pub seeds: u32,
    /// Whether runs are shorter than the article's: then nothing is judged.
    pub shortened: bool,
    /// Samples that go through the networks of the figures; the article's 2,000.
    pub samples: usize,
}

impl Plan {
    /// The whole article: `seeds` (at least 1) seeds for its table, pre-training and
    /// transfer, a third of them (but 3, or all if there are fewer) for the rest.
    pub fn new(seeds: u32) -> Self {
        Self {
            studies: study::all(),
            seeds: seeds.clamp(1, MAX_SEEDS),
            shortened: false,
            samples: 2_000,
        }
    }

    /// The same with runs of at most `steps` steps, to try things out.
    #[must_use]
    pub fn with_steps(mut self, steps: u64) -> Self {
        for study in &mut self.studies {
            self.shortened |= study.config.steps > steps;
            study.config.steps = study.config.steps.min(steps);
        }
        self
    }

    /// Seeds of a study that is not run with all.
    pub fn fewer_seeds(&self) -> u32 {
        (self.seeds / 3).max(3).min(self.seeds.max(1))
    }

    /// Seeds of `study`.
    pub fn seeds_of(&self, study: &Study) -> u32 {
        match study.every_seed {
            true => self.seeds,
            false => self.fewer_seeds(),
        }
    }
}
