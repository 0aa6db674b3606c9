//! How far a sweep is, while it runs.

use super::plan::{duration, named};
use crate::cli::output::say;
use crate::cli::signals::Signals;
use crate::pool::Monitor;
use crate::report::grouped;
use crate::sweep::{Ended, Estimating, SweepMonitor, Todo, store};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failed runs that are told one by one.
const TOLD: usize = 10;

/// A bar on a terminal, a line for every tenth of the work elsewhere.
pub(super) struct Progress<'a> {
    signals: &'a Signals,
    bar: ProgressBar,
    started: Instant,
    runs: usize,
    work: u64,
    done: AtomicU64,
    /// Tenths told, where there is no terminal.
    tenths: Option<AtomicU64>,
    tally: Mutex<Tally>,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    ended: usize,
    failed: usize,
    best: Option<f64>,
}

impl<'a> Progress<'a> {
    pub fn new(todo: &Todo, signals: &'a Signals) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = match terminal {
            true => ProgressDrawTarget::stderr_with_hz(5),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(todo.work()), target);
        // The template is a constant: if it were wrong, the plain bar would do.
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}, {eta} left") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        let progress = Self {
            signals,
            bar,
            started: Instant::now(),
            runs: todo.len(),
            work: todo.work(),
            done: AtomicU64::new(0),
            tenths: (!terminal).then(|| AtomicU64::new(0)),
            tally: Mutex::default(),
        };
        progress.bar.set_message(progress.text());
        progress
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// `123 of 400 runs, 2 failed, 3.4/s, best 97.1 %`
    fn text(&self) -> String {
        let Tally {
            ended,
            failed,
            best,
        } = *self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |n: usize| grouped(&n.to_string());
        let mut text = format!("{} of {} runs", count(ended), count(self.runs));
        if failed > 0 {
            text += &format!(", {} failed", count(failed));
        }
        if ended > 0 {
            let rate = ended as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
            let digits = if rate < 10.0 { 1 } else { 0 };
            text += &format!(", {}/s", grouped(&format!("{rate:.digits$}")));
        }
        if let Some(best) = best {
            text += &format!(", best {:.1} %", 100.0 * best);
        }
        text
    }
}

impl Monitor for Progress<'_> {
    fn advance(&self, work: u64) {
        let done = self.done.fetch_add(work, Ordering::Relaxed) + work;
        self.bar.inc(work);
        if let Some(told) = &self.tenths {
            let tenths = (done as f64 / self.work.max(1) as f64 * 10.0) as u64;
            // The end is told by the summary.
            if tenths < 10 && told.fetch_max(tenths, Ordering::Relaxed) < tenths {
                let seconds = self.started.elapsed().as_secs_f64();
                let left = duration(seconds / done as f64 * self.work.saturating_sub(done) as f64);
                say(format_args!(
                    "{} %: {}, {left} left",
                    10 * tenths,
                    self.text()
                ));
            }
        }
    }

    fn stopped(&self) -> bool {
        self.signals.status().is_some()
    }
}

impl SweepMonitor for Progress<'_> {
    fn finished(&self, ended: Ended<'_>) {
        let failed = {
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.ended += 1;
            tally.failed += usize::from(ended.status == store::FAILED);
            if ended.final_accuracy > tally.best {
                tally.best = ended.final_accuracy;
            }
            tally.failed
        };
        if let Some(error) = ended.error
            && failed <= TOLD
        {
            let line = format!("failed: {}: {error}", named(ended.run));
            self.bar.suspend(|| {
                say(line);
                if failed == TOLD {
                    say("of more runs that fail only the number is told");
                }
            });
        }
        if self.tenths.is_none() {
            self.bar.set_message(self.text());
        }
    }
}

/// From so much time on an estimate shows how far it is.
const SILENCE: Duration = Duration::from_secs(2);

/// How far an estimate is, on a terminal.
pub(super) struct EstimateBar<'a> {
    bar: &'a ProgressBar,
    started: Instant,
    terminal: bool,
    shown: bool,
}

impl<'a> EstimateBar<'a> {
    /// One that is shown as `bar`, which is hidden, as soon as it takes long.
    pub fn new(bar: &'a ProgressBar) -> Self {
        Self {
            bar,
            started: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
            shown: false,
        }
    }

    /// Shows it.
    pub fn show(&mut self, at: Estimating) -> ControlFlow<()> {
        if !self.terminal || self.started.elapsed() < SILENCE {
            return ControlFlow::Continue(());
        }
        let (done, all, what) = match at {
            Estimating::Runs(done, all) => (done, all, "runs looked at"),
            Estimating::Kinds(done, all) => (done, all, "kinds of networks measured"),
        };
        if !self.shown {
            self.shown = true;
            self.bar.reset();
            self.bar
                .set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
            // The template is a constant: if it were wrong, the plain bar would do.
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}") {
                self.bar.set_style(style);
            }
        }
        self.bar.set_length(all as u64);
        self.bar.set_position(done as u64);
        let (done, all) = (grouped(&done.to_string()), grouped(&all.to_string()));
        self.bar.set_message(format!("{done} of {all} {what}"));
        ControlFlow::Continue(())
    }
}
