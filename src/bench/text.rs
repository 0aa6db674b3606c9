//! The report as Markdown whose tables are aligned, for terminals and bug reports alike.

use super::machine::size;
use super::timing::Rate;
use super::{GemmLine, Machine, Peak, PhaseLine, Report, StepLine, SweepLine, Timed};
use crate::report::grouped;
use std::fmt::Write;

impl Report {
    /// As Markdown, with tables that are aligned.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.machine.text();
        let mut section = |title: &str, table: Table| {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n**{title}**\n\n{}", table.text());
        };
        if let Some(peak) = &self.peak {
            section("FMA peak", fma(peak));
            section("Bandwidth of one core", memory(peak));
        }
        if let Some(lines) = &self.gemm {
            section("Matrix products", gemm(lines));
        }
        if let Some(lines) = &self.step {
            section("Training steps and evaluations", step(lines));
        }
        if let Some(lines) = self.phases.as_ref().filter(|lines| !lines.is_empty()) {
            section("Phases of a step", phases(lines));
        }
        if let Some(lines) = &self.sweep {
            section("Sweeps of short runs", sweep(lines));
        }
        if !self.complete {
            text.push_str("\nEnded before all was measured.\n");
        }
        text
    }
}

impl Machine {
    /// As a list.
    fn text(&self) -> String {
        let caches: Vec<String> = self.caches.iter().map(ToString::to_string).collect();
        let caches = match caches.is_empty() {
            true => "of unknown size".into(),
            false => caches.join(", "),
        };
        let (blocks, sets) = (self.gemm_blocks, self.instruction_sets.join(", "));
        format!(
            "- fanin {}, {} (of {sets})\n- {}, {} core{} ({} {})\n- caches: {caches}\n\
             - blocks of matrix products: mc {}, kc {}, nc {}\n",
            self.fanin,
            self.isa,
            escaped(&self.cpu),
            self.cores,
            if self.cores == 1 { "" } else { "s" },
            self.arch,
            self.os,
            blocks.mc,
            blocks.kc,
            blocks.nc
        )
    }
}

/// Rows of cells below headings; the columns from `numbers` on stand to the right.
struct Table {
    headings: Vec<&'static str>,
    numbers: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn text(&self) -> String {
        let mut widths: Vec<usize> = self
            .headings
            .iter()
            .map(|h| h.chars().count().max(3))
            .collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = String>| {
            for (c, (cell, &width)) in cells.zip(&widths).enumerate() {
                let _ = match c < self.numbers {
                    true => write!(text, "| {cell:<width$} "),
                    false => write!(text, "| {cell:>width$} "),
                };
            }
            text.push_str("|\n");
        };
        line(&mut self.headings.iter().map(ToString::to_string));
        let rule = |(c, &width): (usize, &usize)| match c < self.numbers {
            true => format!(":{}", "-".repeat(width - 1)),
            false => format!("{}:", "-".repeat(width - 1)),
        };
        line(&mut widths.iter().enumerate().map(rule));
        for row in &self.rows {
            line(&mut row.iter().map(|cell| escaped(cell)));
        }
        text
    }
}

/// One line without marks of tables or HTML, which names from the system might have.
fn escaped(text: &str) -> String {
    let safe = |c: char| {
        if c.is_control() || "|<>`*".contains(c) {
            ' '
        } else {
            c
        }
    };
    text.chars().map(safe).collect()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Three cells: best, median, spread.
fn rate(rate: &Rate) -> [String; 3] {
    let number = |x: f64| grouped(&format!("{x:.1}"));
    [number(rate.best), number(rate.median), percent(rate.spread)]
}

/// Microseconds with four digits or three decimals.
fn micros(seconds: f64) -> String {
    let micros = seconds * 1e6;
    let decimals = match micros {
        ..10.0 => 3,
        ..100.0 => 2,
        ..1000.0 => 1,
        _ => 0,
    };
    grouped(&format!("{micros:.decimals$}"))
}

fn fma(peak: &Peak) -> Table {
    let row = |line: &super::FmaPeak| {
        let mut row = vec![line.isa.to_string(), line.threads.to_string()];
        row.extend(rate(&line.gflops));
        row
    };
    Table {
        headings: vec!["instructions", "threads", "GFLOP/s", "median", "spread"],
        numbers: 1,
        rows: peak.fma.iter().map(row).collect(),
    }
}

fn memory(peak: &Peak) -> Table {
    let row = |line: &super::Bandwidth| {
        let mut row = vec![line.level.to_string(), line.pass.name().into()];
        row.push(size(line.bytes));
        row.extend(rate(&line.gb_per_s));
        row
    };
    Table {
        headings: vec!["level", "pass", "buffer", "GB/s", "median", "spread"],
        numbers: 2,
        rows: peak.memory.iter().map(row).collect(),
    }
}

fn gemm(lines: &[GemmLine]) -> Table {
    let row = |line: &GemmLine| {
        let case = line.case;
        vec![
            case.kind.name().into(),
            format!("{} × {} × {}", case.m, case.k, case.n),
            case.threads.to_string(),
            format!("{:.1}", line.gflops),
            percent(line.share_of_peak),
            micros(line.seconds.min),
            micros(line.seconds.median),
            percent(line.seconds.spread),
            line.speedup
                .map_or("—".into(), |times| format!("{times:.2} ×")),
        ]
    };
    Table {
        headings: vec![
            "for",
            "m × k × n",
            "threads",
            "GFLOP/s",
            "of peak",
            "µs",
            "median",
            "spread",
            "speed-up",
        ],
        numbers: 2,
        rows: lines.iter().map(row).collect(),
    }
}

fn step(lines: &[StepLine]) -> Table {
    let row = |line: &StepLine| {
        let kind = match line.timed {
            Timed::Step => "step",
            Timed::Evaluation => "evaluation",
        };
        let mut settings = line.activation.clone();
        if line.batch_norm != "off" {
            let _ = write!(settings, ", batch norm {}", line.batch_norm);
        }
        if line.status != "ok" {
            let _ = write!(settings, ", {}", line.status);
        }
        let number = |x: Option<f64>, digits: usize| {
            x.map_or("—".into(), |x| grouped(&format!("{x:.digits$}")))
        };
        let of = |f: fn(&super::Spread) -> f64| line.seconds.as_ref().map(f);
        vec![
            kind.into(),
            network(&line.layers),
            settings,
            match line.timed {
                Timed::Step => line.batch.to_string(),
                Timed::Evaluation => "—".into(),
            },
            line.threads.to_string(),
            of(|s| s.min).map_or("—".into(), micros),
            of(|s| s.median).map_or("—".into(), micros),
            of(|s| s.spread).map_or("—".into(), percent),
            number(line.dense_gflops, 1),
            number(Some(line.peak_gflops), 1),
            number(line.multiple, 3),
        ]
    };
    Table {
        headings: vec![
            "timed",
            "network",
            "settings",
            "batch",
            "threads",
            "µs",
            "median",
            "spread",
            "dense GFLOP/s",
            "FMA peak",
            "× dense limit",
        ],
        numbers: 3,
        rows: lines.iter().map(row).collect(),
    }
}

fn phases(lines: &[PhaseLine]) -> Table {
    let row = |line: &PhaseLine| {
        let known = |x: f64, text: String| if x > 0.0 { text } else { "—".into() };
        vec![
            line.phase.into(),
            line.layer.map_or("—".into(), |l| l.to_string()),
            line.limit.unwrap_or("—").into(),
            micros(line.seconds.min),
            micros(line.seconds.median),
            percent(line.seconds.spread),
            known(
                line.flops,
                grouped(&format!("{:.1}", line.flops / line.seconds.min / 1e9)),
            ),
            known(line.arithmetic_seconds, micros(line.arithmetic_seconds)),
            known(line.bytes, grouped(&format!("{:.0}", line.bytes / 1e3))),
            known(line.memory_seconds, micros(line.memory_seconds)),
            line.of_limit.map_or("—".into(), percent),
        ]
    };
    Table {
        headings: vec![
            "phase",
            "layer",
            "limit",
            "µs",
            "median",
            "spread",
            "GFLOP/s",
            "µs at peak",
            "kB of W",
            "µs to move",
            "of limit",
        ],
        numbers: 3,
        rows: lines.iter().map(row).collect(),
    }
}

fn sweep(lines: &[SweepLine]) -> Table {
    let row = |line: &SweepLine| {
        let millis = |seconds: f64| format!("{:.2}", 1e3 * seconds);
        vec![
            network(&line.layers),
            line.steps.to_string(),
            line.threads.to_string(),
            line.runs.to_string(),
            format!("{:.1}", line.runs_per_second),
            percent(line.seconds.spread),
            millis(line.training_seconds),
            millis(line.overhead_seconds),
            line.share_of_ideal.map_or("—".into(), percent),
        ]
    };
    Table {
        headings: vec![
            "network",
            "steps",
            "threads",
            "runs",
            "runs/s",
            "spread",
            "ms training",
            "ms beside",
            "of ideal",
        ],
        numbers: 1,
        rows: lines.iter().map(row).collect(),
    }
}

/// `784-390-10`
fn network(layers: &[usize]) -> String {
    let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
    layers.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::timing::Spread;

    #[test]
    fn tables_are_aligned_markdown() {
        let table = Table {
            headings: vec!["what", "µs"],
            numbers: 1,
            rows: vec![
                vec!["a|b".into(), "1,234".into()],
                vec!["long name".into(), "—".into()],
            ],
        };
        let expected = "\
| what      |    µs |
| :-------- | ----: |
| a b       | 1,234 |
| long name |     — |
";
        assert_eq!(table.text(), expected);
    }

    #[test]
    fn times_have_digits_enough() {
        for (seconds, expected) in [
            (1.23456e-7, "0.123"),
            (1.23456e-6, "1.235"),
            (49.8e-6, "49.80"),
            (123.456e-6, "123.5"),
            (0.0123456, "12,346"),
        ] {
            assert_eq!(micros(seconds), expected);
        }
    }

    #[test]
    fn a_line_for_each_sweep() {
        let one = SweepLine {
            layers: vec![784, 10],
            steps: 100,
            runs: 64,
            threads: 1,
            seconds: Spread::of(&[0.5, 0.5, 0.5]).unwrap(),
            runs_per_second: 128.0,
            training_seconds: 0.00675,
            overhead_seconds: 0.001,
            share_of_ideal: None,
        };
        let two = SweepLine {
            threads: 2,
            runs_per_second: 243.24,
            share_of_ideal: Some(0.95),
            ..one.clone()
        };
        let expected = "\
| network | steps | threads | runs | runs/s | spread | ms training | ms beside | of ideal |
| :------ | ----: | ------: | ---: | -----: | -----: | ----------: | --------: | -------: |
| 784-10  |   100 |       1 |   64 |  128.0 |  0.0 % |        6.75 |      1.00 |        — |
| 784-10  |   100 |       2 |   64 |  243.2 |  0.0 % |        6.75 |      1.00 |   95.0 % |
";
        assert_eq!(sweep(&[one, two]).text(), expected);
    }
}
