//! Which part of a sweep this process does.

use crate::sweep::Shard;
use std::ffi::OsString;
use std::str::FromStr;

/// `I/N`, I from 1 to N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShardArg(Shard);

impl FromStr for ShardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let parts = parts.and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let shard = parts.and_then(|(i, n): (u32, u32)| Shard::new(i.checked_sub(1)?, n));
        shard.map(Self).ok_or_else(|| {
            format!(
                "expected I/N with I from 1 to N and N at most {}, as in 2/8",
                Shard::MAX_COUNT
            )
        })
    }
}

/// A shard, and what decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub shard: Shard,
    /// The flag or the variable.
    pub source: &'static str,
}

/// The variables of a scheduler that tell which task of an array a process is.
struct Scheduler {
    id: &'static str,
    array: Option<ArrayVariables>,
}

/// Those of the array: its least number, the distance of its numbers, how many there are.
struct ArrayVariables {
    first: &'static str,
    distance: &'static str,
    count: &'static str,
}

/// In the order in which they are asked.
const SCHEDULERS: [Scheduler; 3] = [
    Scheduler {
        id: "SLURM_ARRAY_TASK_ID",
        array: Some(ArrayVariables {
            first: "SLURM_ARRAY_TASK_MIN",
            distance: "SLURM_ARRAY_TASK_STEP",
            count: "SLURM_ARRAY_TASK_COUNT",
        }),
    },
    Scheduler {
        id: "HQ_TASK_ID",
        array: None,
    },
    Scheduler {
        id: "JOB_COMPLETION_INDEX",
        array: None,
    },
];

/// A task of a scheduler.
struct Task {
    variable: &'static str,
    first: u64,
    distance: u64,
    /// How many tasks there are, where that is told.
    count: Option<u64>,
}

/// Chooses by `--shard`, else by the first scheduler's variable there is (`variable` looks
/// them up; one that is empty is as if it were not there), else everything. `shards` is
/// `--shards`: how many there are, where the scheduler does not tell.
///
/// # Errors
/// A text for the user if a variable is there and does not name a shard.
pub(super) fn choose(
    flag: Option<ShardArg>,
    shards: Option<u32>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Chosen, String> {
    if let Some(ShardArg(shard)) = flag {
        let source = "--shard";
        return Ok(Chosen { shard, source });
    }
    let number = |name: &'static str| {
        let Some(value) = variable(name) else {
            return Ok(None);
        };
        match value.to_str().map(str::trim) {
            Some("") => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| {
                let shown: String = text.chars().take(40).collect();
                format!("{name} is '{shown}': expected a whole number")
            }),
            None => Err(format!("{name} is not UTF-8 text: expected a whole number")),
        }
    };
    for Scheduler { id: source, array } in SCHEDULERS {
        // What is left of the others without it means nothing.
        let Some(id) = number(source)? else {
            continue;
        };
        let mut task = Task {
            variable: source,
            first: 0,
            distance: 1,
            count: None,
        };
        if let Some(array) = array {
            task.first = number(array.first)?.unwrap_or(0);
            task.distance = number(array.distance)?.unwrap_or(1).max(1);
            task.count = number(array.count)?;
        }
        let shard = task.shard(id, shards)?;
        return Ok(Chosen { shard, source });
    }
    match shards {
        None | Some(1) => Ok(Chosen {
            shard: Shard::WHOLE,
            source: "",
        }),
        Some(n) => Err(format!(
            "--shards {n} without a scheduler's variable (SLURM_ARRAY_TASK_ID, HQ_TASK_ID or \
             JOB_COMPLETION_INDEX): say which with --shard I/{n}"
        )),
    }
}

impl Task {
    fn shard(&self, id: u64, shards: Option<u32>) -> Result<Shard, String> {
        let name = self.variable;
        let Some(count) = shards.map(u64::from).or(self.count) else {
            return Err(format!(
                "{name} is {id}, of how many? Say so with --shards N (or --shard 1/1 for \
                 everything)"
            ));
        };
        if let Some(tasks) = self.count.filter(|tasks| *tasks != count) {
            // As where one task of eight is submitted again: which one it is cannot be told.
            return Err(format!(
                "--shards {count}, but an array of {tasks}: say which one with --shard I/{count}"
            ));
        }
        let place = id.checked_sub(self.first);
        let place = place.filter(|place| place.is_multiple_of(self.distance));
        let index = place.and_then(|place| u32::try_from(place / self.distance).ok());
        let shard = index.zip(u32::try_from(count).ok());
        shard.and_then(|(i, n)| Shard::new(i, n)).ok_or_else(|| {
            let last = self
                .first
                .saturating_add(count.saturating_sub(1).saturating_mul(self.distance));
            format!(
                "{name} is {id}: expected {} to {last} for {count} shards",
                self.first
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(
        flag: Option<&str>,
        shards: Option<u32>,
        variables: &[(&str, &str)],
    ) -> Result<(u32, u32, &'static str), String> {
        let flag = flag.map(|text| text.parse().unwrap());
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        };
        let chosen = choose(flag, shards, &find)?;
        Ok((chosen.shard.index(), chosen.shard.count(), chosen.source))
    }

    #[test]
    fn flags_come_before_variables() {
        let slurm = [
            ("SLURM_ARRAY_TASK_ID", "1"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
        ];
        assert_eq!(chosen(None, None, &[]), Ok((0, 1, "")));
        assert_eq!(chosen(None, Some(1), &[]), Ok((0, 1, "")));
        assert_eq!(chosen(Some("2/3"), None, &slurm), Ok((1, 3, "--shard")));
        assert_eq!(chosen(Some("3/3"), None, &[]), Ok((2, 3, "--shard")));
        assert!(
            chosen(None, Some(4), &[])
                .unwrap_err()
                .contains("--shard I/4")
        );
        for wrong in [
            "0/3",
            "4/3",
            "1",
            "1/0",
            "a/b",
            "1/99999999",
            "-1/2",
            "1/2/3",
            "",
        ] {
            assert!(wrong.parse::<ShardArg>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn arrays_of_slurm_start_anywhere() {
        let array = |id, first, step, count| {
            let names = ["ID", "MIN", "STEP", "COUNT"].map(|n| format!("SLURM_ARRAY_TASK_{n}"));
            let values = [id, first, step, count];
            let pairs: Vec<_> = names.iter().map(String::as_str).zip(values).collect();
            chosen(None, None, &pairs)
        };
        let slurm = "SLURM_ARRAY_TASK_ID";
        assert_eq!(array("0", "0", "1", "5"), Ok((0, 5, slurm)));
        assert_eq!(array("5", "1", "1", "5"), Ok((4, 5, slurm)));
        assert_eq!(array("17", "3", "7", "3"), Ok((2, 3, slurm)));
        assert!(array("18", "3", "7", "3").unwrap_err().contains("3 to 17"));
        assert!(array("6", "1", "1", "5").is_err());
        assert!(array("0", "1", "1", "5").is_err());
        assert!(array("x", "1", "1", "5").unwrap_err().contains("'x'"));
        let part = [
            ("SLURM_ARRAY_TASK_ID", "3"),
            ("SLURM_ARRAY_TASK_MIN", "3"),
            ("SLURM_ARRAY_TASK_COUNT", "1"),
        ];
        assert!(
            chosen(None, Some(8), &part)
                .unwrap_err()
                .contains("--shard I/8")
        );
        let huge = "18446744073709551615";
        assert!(array(huge, "0", huge, huge).is_err());
    }

    #[test]
    fn other_schedulers_do_not_tell_how_many() {
        for name in ["HQ_TASK_ID", "JOB_COMPLETION_INDEX"] {
            let index = [(name, "3")];
            assert!(chosen(None, None, &index).unwrap_err().contains("--shards"));
            assert!(chosen(None, Some(3), &index).is_err());
            let (i, n, source) = chosen(None, Some(4), &index).unwrap();
            assert_eq!((i, n, source), (3, 4, name));
        }
    }

    #[test]
    fn variables_without_a_value_are_not_there() {
        let rest = [
            ("SLURM_ARRAY_TASK_MIN", "x"),
            ("SLURM_ARRAY_TASK_STEP", "x"),
            ("SLURM_ARRAY_TASK_COUNT", "x"),
        ];
        assert_eq!(chosen(None, None, &rest), Ok((0, 1, "")));
        let empty = [
            ("SLURM_ARRAY_TASK_ID", ""),
            ("SLURM_ARRAY_TASK_COUNT", "x"),
            ("HQ_TASK_ID", " "),
            ("JOB_COMPLETION_INDEX", "2"),
        ];
        let source = "JOB_COMPLETION_INDEX";
        assert_eq!(chosen(None, Some(3), &empty), Ok((2, 3, source)));
        let half = [
            ("SLURM_ARRAY_TASK_ID", "2"),
            ("SLURM_ARRAY_TASK_MIN", ""),
            ("SLURM_ARRAY_TASK_STEP", ""),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
        ];
        assert_eq!(chosen(None, None, &half), Ok((2, 4, "SLURM_ARRAY_TASK_ID")));
        assert!(chosen(None, None, &half[..3]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn variables_that_are_no_text_are_named() {
        use std::os::unix::ffi::OsStringExt;
        let find = |name: &str| (name == "HQ_TASK_ID").then(|| OsString::from_vec(vec![0xff]));
        let error = choose(None, None, &find).unwrap_err();
        assert!(error.contains("HQ_TASK_ID is not UTF-8"), "{error}");
    }
}
