//! What this machine can do and what fanin makes of it: `fanin bench`.
//!
//! # How it is measured
//!
//! Each line of a table is measured in rounds: equal pieces of work, long enough for the
//! clock and short enough that some of them run undisturbed on a busy machine. The figure
//! of a line is that of its fastest round, since other programs can only make rounds
//! slower; median and spread tell how quiet it was.
//!
//! Where a line is compared with the FMA peak of the core, each of its rounds is preceded
//! by one of nothing but FMAs ([`Yardstick`]), and the fastest rounds of both are
//! compared: clocks and neighbours change within seconds, for both alike.

mod gemm;
mod machine;
mod memory;
mod phases;
mod report;
mod step;
mod sweep;
mod text;
mod timing;
mod yardstick;

pub use gemm::{GemmCase, GemmKind, GemmLine};
pub use machine::{Cache, Machine};
pub use memory::{Bandwidth, Pass};
pub use phases::PhaseLine;
pub use report::{Peak, Report};
pub use step::{StepCase, StepLine, Timed, config};
pub use sweep::{SweepCase, SweepLine};
pub use timing::{Rate, Spread};
pub use yardstick::{FmaPeak, Yardstick};

use crate::{Error, InputPath, Isa, Samples, TrainConfig};
use std::time::Duration;

/// Follows a benchmark, and may end it.
pub trait Monitor {
    /// A line of the tables is done.
    fn line(&self) {}

    /// Whether to end with what is done. Asked after every round.
    fn stopped(&self) -> bool {
        false
    }
}

/// Nobody follows it.
impl Monitor for () {}

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The instruction set that the kernels run on. The FMA peak that they are compared
    /// with is that of the best.
    pub isa: Isa,
    /// Whether to measure FMA peaks and bandwidths.
    pub peak: bool,
    /// Matrix products.
    pub gemm: Vec<GemmCase>,
    /// Training steps and evaluations.
    pub steps: Vec<StepCase>,
    /// The phases of a step of this configuration.
    pub phases: Option<TrainConfig>,
    /// Sweeps of short runs, in folders below [`std::env::temp_dir`] that are deleted.
    pub sweeps: Vec<SweepCase>,
    /// The data set of `steps` and `sweeps`, as for [`Samples::open`].
    pub data: String,
    /// How long to measure each line of a table, in seconds, at least 0; three rounds are
    /// run in any case. `None`: 0.2 for peaks, 0.1 for products, 1 for steps and sweeps, and
    /// 0.3 for steps if there are more than ten of them.
    pub seconds: Option<f64>,
}

impl Plan {
    /// Nothing, on MNIST: fill in what is wanted.
    pub fn new(isa: Isa) -> Self {
        Self {
            isa,
            peak: false,
            gemm: Vec::new(),
            steps: Vec::new(),
            phases: None,
            sweeps: Vec::new(),
            data: "mnist".into(),
            seconds: None,
        }
    }

    /// Lines of its tables: how often [`Monitor::line`] is called if nothing ends it.
    pub fn lines(&self) -> usize {
        let peaks = match self.peak {
            true => yardstick::instruction_sets(self.isa).count() + 1 + memory::LINES,
            false => 0,
        };
        let phases = self.phases.as_ref().map_or(0, phases::lines);
        peaks + self.gemm.len() + self.steps.len() + phases + self.sweeps.len()
    }

    /// Measures.
    ///
    /// # Errors
    /// If the data cannot be read, a configuration is impossible, or memory or threads are
    /// not to be had.
    pub fn run(&self, monitor: &dyn Monitor) -> Result<Report, Error> {
        let machine = Machine::detect(self.isa)?;
        // Before all that takes time.
        let samples = match self.steps.is_empty() && self.phases.is_none() {
            true => None,
            false => Some(self.samples()?),
        };
        let mut report = Report::new(machine);
        if self.peak {
            let time = self.time(0.2);
            report.peak = Some(Peak {
                fma: yardstick::measure(self.isa, time, monitor)?,
                memory: memory::measure(self.isa, &report.machine, time, monitor),
            });
        }
        if !self.gemm.is_empty() {
            report.gemm = Some(gemm::measure(
                self.isa,
                &self.gemm,
                self.time(0.1),
                monitor,
            )?);
        }
        if let Some([train, test]) = &samples {
            let time = self.time(if self.steps.len() > 10 { 0.3 } else { 1.0 });
            let lines = step::measure(self.isa, &self.steps, [train, test], time, monitor)?;
            report.step = Some(lines);
            if let Some(config) = &self.phases {
                let lines = phases::measure(self.isa, config, [train, test], time, monitor)?;
                report.phases = Some(lines);
            }
        }
        if !self.sweeps.is_empty() {
            let time = self.time(1.0);
            let lines = sweep::measure(self.isa, &self.sweeps, &self.data, time, monitor)?;
            report.sweep = Some(lines);
        }
        report.complete = !monitor.stopped();
        Ok(report)
    }

    fn time(&self, default: f64) -> Duration {
        // What is no duration is one that nobody waits for.
        Duration::try_from_secs_f64(self.seconds.unwrap_or(default)).unwrap_or(Duration::MAX)
    }

    /// All training and all test samples.
    fn samples(&self) -> Result<[Samples; 2], Error> {
        Ok(Samples::open(&self.data, 0, InputPath::Auto)?.into())
    }
}
