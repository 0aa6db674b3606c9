//! Sweeps: a spec of many runs, the runs it stands for, and which of them are the same.
//!
//! # The spec
//!
//! TOML. `examples/depths.toml` is one with comments, [`SCHEMA`] is its JSON schema.
//!
//! ```
//! use fanin::sweep::{DataFacts, Plan, Spec};
//!
//! let spec = Spec::parse(r#"
//!     name = "learning rates"
//!     data = "mnist"              # what `fanin train --data` takes; the default
//!     hold_out = 5000             # the default
//!     stop_when = "accuracy < 0.12 at step 5000"   # or a list of such
//!
//!     [train]                     # for all runs; what is left out is as in `fanin train`
//!     steps = 10000
//!     momentum = 0.9
//!
//!     [grid]                      # every combination
//!     hidden = { depth = [1, 2, 4], width = [64, 128] }
//!     lr = { log = [0.01, 1], n = 3 }
//!     seed = "1..=8"
//!
//!     [[zip]]                     # keys that vary together: one axis
//!     activation = ["sigmoid", "relu"]
//!     init = ["lecun_normal", "he_normal"]
//!
//!     [[exclude]]                 # runs that match all of it are left out
//!     activation = "relu"
//!     lr = [1]
//! "#)?;
//! let plan = Plan::new(&spec, &DataFacts::MNIST)?;
//! assert_eq!(plan.combinations(), 3 * 2 * 3 * 8 * 2);
//! assert_eq!(plan.runs(), 3 * 2 * 8 * (3 * 2 - 1));
//! # Ok::<(), fanin::sweep::SpecError>(())
//! ```
//!
//! The keys of `[train]`, `[grid]`, `[[zip]]` and `[[exclude]]` are the flags of `fanin
//! train` with `_` for `-`: `layers`, `init`, `bias_init`, `activation`,
//! `output_activation` (else that of the hidden layers), `batch_norm` (`"off"`), `bn_layers`,
//! `bn_epsilon`, `bn_momentum`, `bn_eval`, `freeze` (`"none"`), `loss`, `lr`, `momentum`,
//! `batch`, `steps`, `eval_every`, `seed`; and `depth` and `width` in the place of `layers`:
//! so many hidden layers, each of so many units, between the inputs and the classes of the
//! data. `hidden = { depth = …, width = … }` in `[train]` and `[grid]` is both.
//!
//! An axis is a list; for integers also a range, `"1..=8"` or `"1..9"`; for numbers and
//! integers also `{ log = [LO, HI], n = K }`, K values from LO to HI each the same multiple
//! of the one before, or `{ linear = [LO, HI], n = K }`. Integers among these are rounded to
//! the nearest. A key of `[exclude]` may have one value, or whatever an axis may. It is held
//! against the run as it is resolved: `bn_*` match no run without batch normalization,
//! `depth` and `width` match `layers` too, if all hidden layers have the same width.
//!
//! # Runs
//!
//! [`Plan`] numbers all combinations without writing them out, the axes in the order of the
//! text, the last one fastest; the number of a combination changes with the spec. Its [`run_id`]
//! does not: it depends on the resolved configuration, the data and the version of the
//! numerics. Combinations that resolve to the same configuration are one run, which is
//! counted where it is met first.
//!
//! # Statistics
//!
//! [`Groups`] reads a [`store`] once and has, for each group of runs that differ in nothing but
//! the seed (or as one asks for), statistics of the final accuracy, how many reach 80 %
//! (or another accuracy: [`Reach`]) and when, and the mean accuracy over steps. [`Report`] shows them and writes them as files.

mod estimate;
pub mod export;
mod groups;
pub mod identity;
mod manifest;
mod outcome;
mod plan;
mod report;
mod runner;
mod selection;
mod spec;
pub mod status;
pub mod store;
mod time;

pub use crate::pool::Monitor;
pub use estimate::{Estimate, Estimating, FailedTrial, estimate};
pub use groups::{
    Axis, Best, Counts, CurvePoint, Failure, Follows, Group, GroupOptions, Groups, Key, KeyError,
    Origin, Reach, ReachError,
};
pub use identity::{NUMERICS_VERSION, data_identity, run_id};
pub use manifest::{Manifest, ManifestError};
pub use outcome::{Config, Outcome, Seconds};
pub use plan::{AxisSummary, DataFacts, Plan, PlannedRun, Runs, Shard, cost};
pub use report::{Report, Sort};
pub use runner::{Ended, Finished, Options, SweepData, SweepMonitor, Todo};
pub use selection::{Selection, SelectionError};
pub use spec::{Position, SCHEMA, Spec, SpecError, SpecFileError, StopRule, StopRuleError, Value};

/// The most combinations of a sweep.
pub const MAX_RUNS: u64 = 10_000_000;
