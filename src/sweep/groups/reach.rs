//! The accuracy that runs are to reach.

use crate::sweep::Outcome;
use crate::train::Evaluation;
use std::fmt;
use std::str::FromStr;

/// Decimals of a percentage that can be told apart: more than test sets of 100 million samples
/// have.
const DECIMALS: usize = 6;
/// 1 %, in units of the last of them.
const ONE: u32 = 10_u32.pow(DECIMALS as u32);

/// A test accuracy, in percent: above 0, at most 100, with up to six decimals. 80 by default.
///
/// It is kept as the decimal number that was written, and [`reached`](Self::reached) compares
/// integers: 97.1 % are reached with 971 of 1,000, whatever 97.1 is in binary.
///
/// ```
/// use fanin::sweep::Reach;
///
/// let reach: Reach = "97.50".parse()?;
/// assert_eq!((reach.to_string().as_str(), reach.percent()), ("97.5", 97.5));
/// assert!("0".parse::<Reach>().is_err() && "100.1".parse::<Reach>().is_err());
/// # Ok::<(), fanin::sweep::ReachError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reach {
    /// In millionths of a percent: 1 to 100,000,000.
    millionths: u32,
}

/// A text that is no [`Reach`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a percentage above 0, at most 100, with up to 6 decimals, as 15 or 97.5")]
pub struct ReachError;

impl Reach {
    /// What the records of runs have.
    const RECORDED: Self = Self {
        millionths: 80 * ONE,
    };

    /// In percent, the nearest `f64`.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.millionths) / f64::from(ONE)
    }

    /// Whether an evaluation has at least this accuracy: `100·correct ≥ percent·total`,
    /// without rounding. One without samples, or with more correct ones than samples, has
    /// none.
    #[must_use]
    pub fn reached(self, evaluation: &Evaluation) -> bool {
        let (correct, total) = (evaluation.correct as u128, evaluation.total as u128);
        // Of 64 and 27 bits each: no overflow.
        let enough = 100 * u128::from(ONE) * correct >= u128::from(self.millionths) * total;
        enough && (1..=total).contains(&correct)
    }

    /// The first evaluated step, 0 among them, that has [reached](Self::reached) it; for 80
    /// what the record says.
    pub(super) fn steps(self, outcome: &Outcome<'_>) -> Option<u64> {
        if self == Self::RECORDED {
            return outcome.steps_to_80;
        }
        let reached = outcome.evals.iter().filter(|e| self.reached(e));
        reached.map(|e| e.step).min()
    }

    /// As a part of a name that may have no point: `97_5`.
    pub(in crate::sweep) fn name(self) -> String {
        self.to_string().replace('.', "_")
    }
}

impl Default for Reach {
    fn default() -> Self {
        Self::RECORDED
    }
}

/// In percent, without the sign: `15`, `97.5`.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.millionths / ONE, self.millionths % ONE);
        let decimals = format!("{rest:0DECIMALS$}");
        match decimals.trim_end_matches('0') {
            "" => f.pad(&whole.to_string()),
            decimals => f.pad(&format!("{whole}.{decimals}")),
        }
    }
}

/// Digits with or without a point; no sign, no exponent.
impl FromStr for Reach {
    type Err = ReachError;

    fn from_str(text: &str) -> Result<Self, ReachError> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let decimals = decimals.trim_end_matches('0');
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > DECIMALS {
            return Err(ReachError);
        }
        let decimals: u32 = format!("{decimals:0<DECIMALS$}")
            .parse()
            .map_err(|_| ReachError)?;
        // `.5` is a number too, and what has no digits at all is 0.
        let whole = format!("0{whole}").parse::<u32>().ok();
        let whole = whole.filter(|&whole| whole <= 100);
        match whole.ok_or(ReachError)? * ONE + decimals {
            millionths if (1..=100 * ONE).contains(&millionths) => Ok(Self { millionths }),
            _ => Err(ReachError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use crate::train::{Run, Status};
    use std::time::Duration;

    fn reach(text: &str) -> Reach {
        text.parse().unwrap()
    }

    fn evaluation(correct: usize, total: usize) -> Evaluation {
        Evaluation {
            step: 0,
            correct,
            total,
        }
    }

    #[test]
    fn percentages() {
        for (text, shown, percent) in [
            ("15", "15", 15.0),
            ("100", "100", 100.0),
            ("100.000000000", "100", 100.0),
            ("097.50", "97.5", 97.5),
            ("7.", "7", 7.0),
            (".5", "0.5", 0.5),
            ("0.000001", "0.000001", 1e-6),
            ("33.333333", "33.333333", 33.333333),
            ("80.05", "80.05", 80.05),
        ] {
            assert_eq!(reach(text).to_string(), shown);
            assert_eq!(reach(text).percent(), percent);
            assert_eq!(reach(shown), reach(text));
        }
        assert_eq!(reach("80.0"), Reach::default());
        assert_eq!(reach("97.5").name(), "97_5");
        for text in [
            "",
            ".",
            "0",
            "0.0",
            "0.0000001",
            "100.000001",
            "101",
            "99999999999999999999",
            "-5",
            "+5",
            " 5",
            "5 %",
            "5%",
            "1e1",
            "1.2.3",
            "0,8",
            "NaN",
            "inf",
            "٣",
        ] {
            assert_eq!(text.parse::<Reach>(), Err(ReachError), "{text}");
        }
    }

    /// Every percentage with one decimal, at its exact share of 1,000 and one below: where
    /// `correct as f64 / total as f64 >= percent / 100.0` is wrong for some.
    #[test]
    fn shares_are_compared_exactly() {
        for tenths in 1..=1_000 {
            let reach = reach(&format!("{}.{}", tenths / 10, tenths % 10));
            for scale in [1, 7, 10, 60] {
                assert!(reach.reached(&evaluation(scale * tenths, scale * 1_000)));
                assert!(!reach.reached(&evaluation(scale * tenths - 1, scale * 1_000)));
            }
        }
        assert!(reach("33.333333").reached(&evaluation(1, 3)));
        assert!(!reach("33.333334").reached(&evaluation(1, 3)));
        assert!(reach("100").reached(&evaluation(usize::MAX, usize::MAX)));
        assert!(!reach("100").reached(&evaluation(usize::MAX - 1, usize::MAX)));
        for (correct, total) in [(0, 0), (1, 0), (0, 10), (11, 10), (usize::MAX, 1)] {
            assert!(!reach("0.000001").reached(&evaluation(correct, total)));
        }
    }

    /// The same rule as that of the records.
    #[test]
    fn eighty_is_what_runs_say() {
        for (correct, total) in [(8, 10), (7, 10), (7_999, 10_000), (8_000, 10_000), (0, 0)] {
            let run = Run {
                status: Status::Ok,
                isa: Isa::best(),
                steps: 0,
                evals: vec![evaluation(correct, total)],
                training_loss: None,
                train_time: Duration::ZERO,
                eval_time: Duration::ZERO,
                weights_sha256: String::new(),
            };
            let reached = Reach::default().reached(&run.evals[0]);
            assert_eq!(reached, run.steps_to_80().is_some(), "{correct} of {total}");
        }
    }
}
