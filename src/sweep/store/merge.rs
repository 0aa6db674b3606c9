//! Joins stores.

use super::error::StoreError;
use super::index::Index;
use super::scan::{Damage, Torn};
use super::writer::Writer;
use super::{Store, segment};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// What [`merge`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Runs that were copied.
    pub added: usize,
    /// Runs that there are now.
    pub runs: usize,
    /// Records left out, as there is another one of the same run.
    pub duplicates: usize,
    /// The segment with the copies; `None` if there was nothing to copy.
    pub segment: Option<PathBuf>,
    /// Lines that are no records, left out.
    pub damage: Vec<Damage>,
    /// Torn tails, left out.
    pub torn: Vec<Torn>,
}

/// Copies the runs that the store `into` does not have from the stores `from`, into one new
/// segment, byte by byte. `into` is created if it is not there. Doing it again changes
/// nothing; where it was interrupted, doing it again does the rest. A run that is
/// [`FAILED`](super::FAILED) in `into` and is not in `from` is copied.
///
/// # Errors
/// [`StoreError::Conflicts`] if a run has different results anywhere: then nothing was
/// written, and `into` not created. As [`Store::open`], [`Store::index`], [`Store::create`]
/// and [`Writer::append`].
pub fn merge(from: &[PathBuf], into: &Path) -> Result<Merged, StoreError> {
    let mut stores = Vec::new();
    let mut seen = Vec::new();
    // The one that is written into comes first, so that its records are the ones taken.
    if into.exists() {
        stores.push(Store::open(into)?);
        seen.push(canonical(into)?);
    }
    let own = stores.len();
    for folder in from {
        let store = Store::open(folder)?;
        let folder = canonical(folder)?;
        if !seen.contains(&folder) {
            seen.push(folder);
            stores.push(store);
        }
    }
    let index = Index::of(&stores.iter().collect::<Vec<_>>())?;
    index.check()?;
    let target = Store::create(into)?;
    let mut writer: Option<Writer> = None;
    let mut added = 0;
    let mut failure = None;
    let mut copy = |line: &str| {
        let writer = match &mut writer {
            Some(writer) => writer,
            None => writer.insert(Writer::start(segment::create(target.folder())?)?),
        };
        added += 1;
        writer.append_line(format!("{line}\n").as_bytes())
    };
    index.visit_from(own, &mut |line| match copy(line.json()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    let segment = writer.as_ref().map(|writer| writer.path().to_owned());
    if let Some(writer) = writer {
        writer.close()?;
    }
    Ok(Merged {
        added,
        runs: index.len(),
        duplicates: index.duplicates(),
        segment,
        damage: index.damage().to_vec(),
        torn: index.torn().to_vec(),
    })
}

fn canonical(folder: &Path) -> Result<PathBuf, StoreError> {
    let path = folder.canonicalize();
    path.map_err(StoreError::io("find", folder))
}
