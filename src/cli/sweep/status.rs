//! `fanin sweep status`.

use crate::Error;
use crate::cli::Failure;
use crate::report::grouped;
use crate::sweep::status::{Rate, SweepStatus};
use clap::Args;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

const EXAMPLES: &str = "\
Examples:
  fanin sweep status depths
  fanin sweep status depths --json
  watch -n 10 fanin sweep status depths     from another terminal, while it runs

Reads the folder alone: the data need not be there, and a sweep that is running is not
disturbed.";

/// Show how far a sweep is, also while it runs
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = EXAMPLES)]
pub(in crate::cli) struct StatusArgs {
    /// Folder of a sweep
    dir: PathBuf,

    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &StatusArgs) -> Result<(), Failure> {
    let status = SweepStatus::of(&args.dir, SystemTime::now()).map_err(Error::from)?;
    let text = match args.json {
        // Numbers and strings only: there is nothing that serializing could refuse.
        true => serde_json::to_string_pretty(&status).unwrap_or_default() + "\n",
        false => text(&status, &args.dir.display().to_string()),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Lines of a terminal, characters.
const WIDTH: usize = 80;
/// Where what is said begins.
const INDENT: usize = 11;
/// The most lines that are shown of what is wrong.
const SHOWN: usize = 3;

/// Lines with a word at the left, wrapped.
struct Page(String);

impl Page {
    fn line(&mut self, name: &str, text: &str) {
        let mut width = 0;
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if width == 0 {
                let _ = write!(self.0, "{name:<INDENT$}");
                width = INDENT;
            } else if width + 1 + length > WIDTH {
                let _ = write!(self.0, "\n{:<INDENT$}", "");
                width = INDENT;
            } else {
                self.0.push(' ');
                width += 1;
            }
            self.0.push_str(word);
            width += length;
        }
        self.0.push('\n');
    }

    /// The first few, the name only once.
    fn lines(&mut self, name: &str, all: &[String]) {
        for (i, text) in all.iter().take(SHOWN).enumerate() {
            self.line(if i == 0 { name } else { "" }, text);
        }
        if let Some(more @ 1..) = all.len().checked_sub(SHOWN) {
            self.line("", &format!("and {} more", count(more as u64)));
        }
    }
}

fn text(status: &SweepStatus, folder: &str) -> String {
    let mut page = Page(String::new());
    page.line("sweep", status.name.as_deref().unwrap_or(folder));
    page.line("done", &done(status));
    let ended = status.by_status.iter();
    let ended: Vec<String> = ended
        .map(|(name, n)| format!("{} {name}", count(*n)))
        .collect();
    if !ended.is_empty() {
        page.line("", &ended.join(", "));
    }
    if let Some(error) = &status.manifest_error {
        page.line("planned", &format!("not known: {error}"));
    } else if status.planned.is_none() {
        page.line("planned", "not known: the folder has no sweep.json");
    }
    let runs = |n: u64| {
        if n == 1 {
            "1 run".into()
        } else {
            format!("{} runs", count(n))
        }
    };
    if status.unpruned > 0 {
        let text = format!(
            "{} ended by a rule that does not end them any more: to be run again",
            runs(status.unpruned)
        );
        page.line("pruned", &text);
    }
    if status.others > 0 {
        let text = format!(
            "{} that the spec does not have, left out here",
            runs(status.others)
        );
        page.line("others", &text);
    }
    if status.unreadable > 0 {
        let n = count(status.unreadable);
        page.line(
            "unreadable",
            &format!("{n} records that are not of training runs"),
        );
    }
    // Once all is done the pace is that of waiting.
    if let Some(last) = status
        .last_seconds_ago
        .filter(|_| status.missing != Some(0))
    {
        page.line("rate", &pace(status, last));
    }
    if let Some(best) = &status.best {
        let config = best.keys.iter().filter_map(|key| {
            let value = best.config.get(key)?;
            Some(format!("{key}={value}"))
        });
        let config: Vec<String> = config.collect();
        let percent = 100.0 * best.final_accuracy;
        page.line("best", &format!("{percent:.2} % {}", config.join(" ")));
    }
    let hosts = status.hosts.iter().map(|host| {
        let last = host.last_seconds_ago.map(|s| format!(", last {}", ago(s)));
        format!(
            "{}: {}{}",
            host.name,
            runs(host.runs),
            last.unwrap_or_default()
        )
    });
    page.lines("hosts", &hosts.collect::<Vec<_>>());
    failures(&mut page, status);
    page.0
}

fn done(status: &SweepStatus) -> String {
    match (status.planned, status.missing) {
        (Some(planned), Some(missing)) => {
            // Rounded down: 100 % is all of it.
            let percent = 100 * status.done / planned.max(1);
            let missing = match missing {
                0 => String::new(),
                missing => format!(", {} missing", count(missing)),
            };
            let (done, planned) = (count(status.done), count(planned));
            format!("{done} of {planned} runs ({percent} %){missing}")
        }
        _ => format!("{} runs", count(status.done)),
    }
}

fn pace(status: &SweepStatus, last: u64) -> String {
    let Some(Rate {
        runs_per_minute,
        over_seconds,
        ..
    }) = status.rate
    else {
        return format!("not known: the last record was made {}", ago(last));
    };
    let places = if runs_per_minute < 100.0 { 1 } else { 0 };
    let rate = grouped(&format!("{runs_per_minute:.places$}"));
    let over = span(over_seconds);
    let left = status
        .eta_seconds
        .map(|left| format!(", {} left", span(left.ceil() as u64)));
    let left = left.unwrap_or_default();
    format!("{rate} runs a minute over the last {over}{left}")
}

/// What is wrong.
fn failures(page: &mut Page, status: &SweepStatus) {
    let failed = status.failed.iter().map(|failed| {
        let id: String = failed.run.chars().take(12).collect();
        let error: String = failed.error.chars().take(300).collect();
        format!("{id}… {error}")
    });
    let failed: Vec<String> = failed.collect();
    page.lines("failed", &failed);
    let damage = status.damage.len();
    page.lines("damage", &status.damage);
    if damage > 0 {
        page.line("", "(runs that were in these lines will be run again)");
    }
    page.lines("conflicts", &status.conflicts);
}

fn count(n: u64) -> String {
    grouped(&n.to_string())
}

fn ago(seconds: u64) -> String {
    match seconds {
        0 => "just now".into(),
        seconds => format!("{} ago", span(seconds)),
    }
}

/// The two largest units.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, 1..10) => format!("{minutes} min {} s", seconds % 60),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", grouped(&days.to_string()), hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min 0 s"),
            (601, "10 min"),
            (3_599, "59 min"),
            (3_600, "1 h 0 min"),
            (90_000, "1 d 1 h"),
            (u64::MAX, "213,503,982,334,601 d 7 h"),
        ] {
            assert_eq!(span(seconds), expected);
        }
    }

    #[test]
    fn lines_are_wrapped() {
        let mut page = Page(String::new());
        page.line("failed", &"word ".repeat(40));
        page.line("", &"x".repeat(100));
        let lines: Vec<&str> = page.0.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[..3].iter().all(|line| line.len() <= WIDTH));
        assert!(lines[1].starts_with("           word"));
    }
}
