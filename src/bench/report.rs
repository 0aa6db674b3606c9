//! What was measured, as one object.

use super::{Bandwidth, FmaPeak, GemmLine, Machine, PhaseLine, StepLine, SweepLine};
use serde::Serialize;

/// What was measured: what `fanin bench --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// False if it was ended before all was done.
    pub complete: bool,
    /// Peaks of arithmetic and memory.
    pub peak: Option<Peak>,
    /// Matrix products.
    pub gemm: Option<Vec<GemmLine>>,
    /// Training steps and evaluations.
    pub step: Option<Vec<StepLine>>,
    /// The phases of a step.
    pub phases: Option<Vec<PhaseLine>>,
    /// Sweeps of short runs.
    pub sweep: Option<Vec<SweepLine>>,
}

/// Peaks of arithmetic and memory.
#[derive(Clone, Debug, Serialize)]
pub struct Peak {
    /// Multiply-adds and nothing else.
    pub fma: Vec<FmaPeak>,
    /// Of one core.
    pub memory: Vec<Bandwidth>,
}

impl Report {
    /// Nothing yet.
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            machine,
            complete: false,
            peak: None,
            gemm: None,
            step: None,
            phases: None,
            sweep: None,
        }
    }
}
