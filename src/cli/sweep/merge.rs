//! `fanin sweep merge`.

use crate::Error;
use crate::cli::Failure;
use crate::cli::output::say;
use crate::report::grouped;
use crate::sweep::Manifest;
use crate::sweep::store::{Store, StoreError, merge};
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  fanin sweep merge shard-1 shard-2 shard-3 --out all

Records are copied as they are. Doing it again changes nothing; where it was interrupted,
doing it again does the rest. Ends with 1, with nothing written, if a run has different
results in two places.";

/// Join the folders of shards
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = EXAMPLES)]
pub(in crate::cli) struct MergeArgs {
    /// Folders with records
    #[arg(required = true, value_name = "FROM")]
    from: Vec<PathBuf>,

    /// The folder that the runs it does not have yet are copied into
    #[arg(long, value_name = "INTO")]
    out: PathBuf,
}

/// From so many bytes on it may take seconds.
const LARGE: u64 = 256 << 20;

pub(super) fn run(args: &MergeArgs) -> Result<(), Failure> {
    let bytes = size(&args.from).map_err(Error::from)?;
    if bytes >= LARGE {
        say(format_args!(
            "reading {} MiB",
            grouped(&(bytes >> 20).to_string())
        ));
    }
    let merged = merge(&args.from, &args.out).map_err(Error::from)?;
    for damage in &merged.damage {
        say(format_args!("left out: {damage}"));
    }
    for torn in &merged.torn {
        say(format_args!("left out: {torn}"));
    }
    manifest(args)?;
    let count = |n: usize| grouped(&n.to_string());
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{}: {} runs added, {} were there; {} duplicates left out",
        args.out.display(),
        count(merged.added),
        count(merged.runs - merged.added),
        count(merged.duplicates)
    )?;
    Ok(out.flush()?)
}

/// Bytes of all segments. Folders without any are told.
fn size(folders: &[PathBuf]) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for folder in folders {
        let segments = Store::open(folder)?.segments()?;
        if segments.is_empty() {
            say(format_args!("note: {} has no records", folder.display()));
        }
        let lengths = segments.iter().map(std::fs::metadata);
        bytes += lengths.flatten().map(|found| found.len()).sum::<u64>();
    }
    Ok(bytes)
}

/// Copies the first manifest there is, if there is none yet, and tells which are others.
fn manifest(args: &MergeArgs) -> Result<(), Failure> {
    let read = |folder: &Path| match Manifest::read(folder) {
        Ok(found) => found,
        Err(error) => {
            say(error);
            None
        }
    };
    let mut kept: Option<(Manifest, &Path)> = read(&args.out).map(|found| (found, &*args.out));
    for folder in &args.from {
        let Some(found) = read(folder) else {
            continue;
        };
        let Some((first, place)) = &kept else {
            // One that is there but cannot be read is not replaced.
            if !args.out.join(Manifest::FILE).exists() {
                found.write(&args.out).map_err(Error::from)?;
            }
            kept = Some((found, folder));
            continue;
        };
        let what = match () {
            () if first.spec != found.spec => "spec",
            () if first.facts.identity != found.facts.identity => "data",
            () if first.numerics != found.numerics => "version of the numerics",
            () => continue,
        };
        say(format_args!(
            "{}: the {what} is not that of {}, whose {} is kept",
            folder.display(),
            place.display(),
            Manifest::FILE
        ));
    }
    Ok(())
}
