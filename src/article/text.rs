//! The results as text for a terminal of 80 columns.

use super::claims::{accuracy, median_steps, values};
use super::{Outcome, Part, Results};
use crate::report::Verdict;
use crate::stats::Summary;
use std::fmt::Write;

/// Width of a terminal.
const WIDTH: usize = 80;

impl Results {
    /// The tables and the claims.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (part, title) in [
            (Part::Table, "The table"),
            (Part::Settings, "Other networks and settings"),
            (Part::Named, "Named and not run"),
            (Part::Transfer, "Transfer"),
        ] {
            self.table(&mut out, part, title);
        }
        self.verdicts(&mut out);
        out
    }

    fn table(&self, out: &mut String, part: Part, title: &str) {
        let in_part = |o: &Outcome| self.plan.studies[o.study].part == part;
        if !self.outcomes.iter().any(in_part) {
            return;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{title:<40}{:>9}{:>8}  {:>7}{:>14}",
            "80 % at", "reached", "final", "95 % interval"
        );
        for study in self.plan.studies.iter().filter(|s| s.part == part) {
            let runs: Vec<&Outcome> = self.of(study.id).collect();
            if runs.is_empty() {
                continue;
            }
            let s = Summary::of(&values(&runs, accuracy));
            let steps = median_steps(&runs).map_or("never".into(), |s| format!("{s:.0}"));
            let reached = runs.iter().filter(|o| o.run.steps_to_80().is_some());
            let seeds = format!("{}/{}", reached.count(), runs.len());
            let interval = s.and_then(|s| s.ci95).map_or(String::new(), |(low, high)| {
                format!("{:.1}–{:.1}", 100.0 * low.max(0.0), 100.0 * high.min(1.0))
            });
            let mean = s.map_or("diverged".into(), |s| format!("{:.2} %", 100.0 * s.mean));
            let line = format!(
                "  {:<38}{steps:>9}{seeds:>8}{mean:>9}{interval:>14}",
                shortened(study.label, 37),
            );
            let _ = writeln!(out, "{}", line.trim_end());
            if let Some(p) = study.published {
                let steps = p.steps_to_80.map_or("never".into(), |s| s.to_string());
                let _ = writeln!(
                    out,
                    "    {:<36}{steps:>9}{:>15.0} %",
                    "published",
                    100.0 * p.accuracy
                );
            }
        }
        out.push('\n');
    }

    fn verdicts(&self, out: &mut String) {
        let claims = self.claims();
        if claims.is_empty() {
            return;
        }
        let holds = claims.iter().filter(|c| c.claim.verdict == Verdict::Holds);
        let _ = writeln!(
            out,
            "{} of {} claims hold for every seed",
            holds.count(),
            claims.len()
        );
        for judged in claims {
            let claim = judged.claim;
            let mark = claim.verdict.mark();
            for (i, line) in wrapped(&claim.text, WIDTH - 4).into_iter().enumerate() {
                let mark = if i == 0 { mark } else { ' ' };
                let _ = writeln!(out, "{mark} {line}");
            }
            let found = match claim.verdict {
                Verdict::Holds => claim.measured,
                verdict => format!("{verdict}: {}", claim.measured),
            };
            for line in wrapped(&found, WIDTH - 6) {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
}

/// At most `width` characters.
fn shortened(text: &str, width: usize) -> String {
    match text.chars().count() <= width {
        true => text.into(),
        false => text.chars().take(width - 1).chain(['…']).collect(),
    }
}

/// Lines of at most `width` characters, cut between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        match line.chars().count() + 1 + word.chars().count() {
            _ if line.is_empty() => line.push_str(word),
            n if n <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_between_words() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("ä–é bb cccccc d", 6), ["ä–é bb", "cccccc", "d"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(shortened("äöüß", 4), "äöüß");
        assert_eq!(shortened("äöüßx", 4), "äöü…");
    }
}
