//! One record, and the line it is written as.

use super::error::StoreError;
use super::time;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::time::SystemTime;

/// Longest line, in bytes, its newline included.
pub const MAX_LINE: usize = 16 << 20;

/// Longest id of a run, in hexadecimal digits.
const MAX_RUN: usize = 128;

/// Status of a run that could not be run: no result, so that any other record of the same
/// run takes its place.
pub const FAILED: &str = "failed";

/// Status of a run that a [rule](crate::sweep::StopRule) ended: the beginning of a result.
/// Of the same run a record with more `steps` takes its place, and any that is neither
/// [`FAILED`] nor this.
pub const PRUNED: &str = "pruned";

/// How much a record says of its run: of two, the one that says more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Failed,
    /// After so many steps.
    Pruned(u64),
    Whole,
}

impl Rank {
    pub fn of(status: &str, steps: u64) -> Self {
        match status {
            FAILED => Self::Failed,
            PRUNED => Self::Pruned(steps),
            _ => Self::Whole,
        }
    }
}

/// Members of [`Record::body`] that may differ between two records of one run: how fast and
/// on what it was run. (So may `host`, `version` and `time`.) `config` is here because the
/// id stands for it, but for the number of threads, the input path and where the data are;
/// `pruned_by` because several rules may end a run at the same step.
pub const NOT_RESULTS: [&str; 7] = [
    "config",
    "isa",
    "threads",
    "seconds",
    "us_per_step",
    "dense_limit",
    "pruned_by",
];

/// Members that a body cannot have.
const RESERVED: [&str; 6] = ["run", "status", "host", "version", "time", "crc32"];

/// What is kept of a run: one JSON object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// The id of the run: 1 to 128 lower-case hexadecimal digits.
    pub run: String,
    /// How it ended: `ok`, `diverged`, [`FAILED`], …
    pub status: String,
    /// The host it was run on.
    pub host: String,
    /// The version of fanin.
    pub version: String,
    /// When the record was made, in RFC 3339, UTC.
    pub time: String,
    /// The other members of the object. It cannot have `crc32` or one of those above; `steps`,
    /// if it is there, is a whole number, 0 to 2⁶⁴ − 1.
    #[serde(flatten)]
    pub body: Map<String, Value>,
}

/// What the index needs of a record, and what else must be there.
#[derive(Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow)]
    pub run: Cow<'a, str>,
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    #[serde(default)]
    pub steps: u64,
    #[serde(borrow, rename = "host")]
    _host: Cow<'a, str>,
    #[serde(borrow, rename = "version")]
    _version: Cow<'a, str>,
    #[serde(borrow, rename = "time")]
    _time: Cow<'a, str>,
    /// Refused if it is there twice.
    #[serde(rename = "crc32")]
    _crc32: IgnoredAny,
}

impl Record {
    /// The record of a run that ended now on this host. `object` is that of
    /// `fanin train --json`, or any other with a string `status`.
    ///
    /// # Errors
    /// [`StoreError::Record`] if it has no string `status`. Whether the rest can be stored
    /// is checked by [`Writer::append`](super::Writer::append).
    pub fn new(run: &str, mut object: Map<String, Value>) -> Result<Self, StoreError> {
        let Some(Value::String(status)) = object.remove("status") else {
            return Err(unfit(run, "it has no status"));
        };
        Ok(Self {
            run: run.to_owned(),
            status,
            host: host(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: time::rfc3339(SystemTime::now()),
            body: object,
        })
    }

    /// Whether both have the same status and, but for [`NOT_RESULTS`], the same body.
    pub fn same_results(&self, other: &Self) -> bool {
        fn results(record: &Record) -> impl Iterator<Item = (&String, &Value)> {
            let members = record.body.iter();
            members.filter(|(name, _)| !NOT_RESULTS.contains(&name.as_str()))
        }
        // Maps are sorted by name.
        self.status == other.status && results(self).eq(results(other))
    }

    /// Whether both can be of one run: [the same results](Self::same_results); or, where one
    /// was [`PRUNED`] before the other came to its end, the evaluations of that one (`evals`)
    /// are the first of the other's. A [`FAILED`] one has none.
    pub fn agrees(&self, other: &Self) -> bool {
        let rank = |record: &Self| {
            let steps = record.body.get("steps").and_then(Value::as_u64);
            Rank::of(&record.status, steps.unwrap_or(0))
        };
        let (shorter, longer) = match rank(self).cmp(&rank(other)) {
            Ordering::Less => (self, other),
            Ordering::Equal => return self.same_results(other),
            Ordering::Greater => (other, self),
        };
        fn evals(record: &Record) -> &[Value] {
            match record.body.get("evals") {
                Some(Value::Array(evals)) => evals,
                _ => &[],
            }
        }
        evals(longer).starts_with(evals(shorter))
    }

    /// The line, with its newline.
    ///
    /// # Errors
    /// [`StoreError::Record`] if it could not be read back: the id is not hexadecimal, a
    /// member has a reserved name, the line is too long, or the body is nested too deep.
    pub(in crate::sweep) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let refuse = |reason: &str| unfit(&self.run, reason);
        if let Some(name) = RESERVED.iter().find(|name| self.body.contains_key(**name)) {
            return Err(refuse(&format!("its body has a member {name:?}")));
        }
        let mut line = serde_json::to_vec(self).map_err(|e| refuse(&e.to_string()))?;
        line.pop(); // the closing brace
        let sum = suffix(&line);
        line.extend_from_slice(&sum);
        line.push(b'\n');
        if line.len() > MAX_LINE {
            return Err(refuse(&format!("it takes {} bytes", line.len())));
        }
        let (text, _) = decode(&line[..line.len() - 1]).map_err(refuse)?;
        whole(text).map_err(|e| refuse(&e.to_string()))?;
        Ok(line)
    }
}

fn unfit(run: &str, reason: &str) -> StoreError {
    StoreError::Record {
        run: run.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Length of the end of a line, `,"crc32":"0a1b2c3d"}`.
const SUFFIX: usize = 20;

/// The end of the line that starts with `covered`.
fn suffix(covered: &[u8]) -> [u8; SUFFIX] {
    let mut end = *b",\"crc32\":\"00000000\"}";
    let sum = crc32fast::hash(covered);
    for (i, digit) in end[10..18].iter_mut().enumerate() {
        let nibble = sum >> (28 - 4 * i) & 15;
        *digit = b"0123456789abcdef"[nibble as usize];
    }
    end
}

/// The text of a line (without newline) whose checksum is right; the reason otherwise.
pub(super) fn checked(line: &[u8]) -> Result<&str, &'static str> {
    // Compared as text: a digit whose case is flipped is damage as well.
    match line.split_last_chunk() {
        Some((covered, end)) if *end == suffix(covered) => {}
        _ => return Err("the checksum is wrong"),
    }
    std::str::from_utf8(line).map_err(|_| "it is not UTF-8")
}

/// The text of a line (without newline) and what the index needs of it; the reason if it is
/// no record.
pub(super) fn decode(line: &[u8]) -> Result<(&str, Head<'_>), &'static str> {
    let text = checked(line)?;
    let head: Head<'_> = serde_json::from_str(text).map_err(|_| "it is not a JSON record")?;
    let digits = |run: &str| run.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !(1..=MAX_RUN).contains(&head.run.len()) || !digits(&head.run) {
        return Err("the run is not 1 to 128 lower-case hexadecimal digits");
    }
    Ok((text, head))
}

/// The whole record of a line that [`decode`] has accepted; an error if it has a number that
/// is out of range or is nested deeper than 128 levels, which [`Record::encode`] refuses.
pub(super) fn whole(text: &str) -> Result<Record, serde_json::Error> {
    let mut body: Map<String, Value> = serde_json::from_str(text)?;
    body.remove("crc32");
    let mut take = |name: &'static str| match body.remove(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(serde_json::Error::missing_field(name)),
    };
    Ok(Record {
        run: take("run")?,
        status: take("status")?,
        host: take("host")?,
        version: take("version")?,
        time: take("time")?,
        body,
    })
}

/// The name of this host: letters, digits, `.`, `_` and `-`, 1 to 64 of them.
pub(super) fn host() -> String {
    let name = gethostname::gethostname();
    let plain = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => c,
        _ => '_',
    };
    let name: String = name.to_string_lossy().chars().take(64).map(plain).collect();
    match name.is_empty() {
        true => "unknown".into(),
        false => name,
    }
}
