//! Which runs there are.

use super::Store;
use super::error::{Conflict, StoreError};
use super::record::{self, Rank};
use super::scan::{self, Damage, Line, Place, Places, Torn};
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

#[derive(Debug)]
struct Entry {
    status: Box<str>,
    rank: Rank,
    place: Place,
}

/// The runs of a store and what is wrong with it, as it was when it was read.
///
/// Of several records of one run the first is taken that is neither [`FAILED`](super::FAILED)
/// nor [`PRUNED`](super::PRUNED), by the order of the stores, of the names of the segments,
/// and of the lines; else of the pruned ones the first with the most steps.
#[derive(Debug, Default)]
pub struct Index {
    segments: Vec<PathBuf>,
    /// For each store, the number of the first segment after its own.
    ends: Vec<u32>,
    runs: HashMap<Box<str>, Entry>,
    torn: Vec<Torn>,
    damage: Vec<Damage>,
    conflicts: Vec<Conflict>,
    duplicates: usize,
}

impl Index {
    /// Reads several stores as if they were one.
    ///
    /// # Errors
    /// As [`Store::index`].
    pub fn of(stores: &[&Store]) -> Result<Self, StoreError> {
        let mut index = Self::default();
        for store in stores {
            for path in store.segments()? {
                index.add(&path)?;
            }
            index.ends.push(index.segments.len() as u32);
        }
        Ok(index)
    }

    fn add(&mut self, path: &Path) -> Result<(), StoreError> {
        let segment = self.segments.len() as u32;
        self.segments.push(path.to_owned());
        // Pairs of records of one run, the one that is taken first: read and compared once the
        // segment has been gone through.
        let mut again = Vec::new();
        let unsound = scan::scan_file(path, &mut |line| {
            let place = Place {
                segment,
                line: line.line,
                offset: line.offset,
                length: line.text.len() as u32 + 1,
            };
            let rank = line.rank;
            let entry = || Entry {
                status: line.status.into(),
                rank,
                place,
            };
            match self.runs.get_mut(line.run) {
                None => {
                    self.runs.try_reserve(1)?;
                    self.runs.insert(line.run.into(), entry());
                }
                Some(known) => {
                    self.duplicates += 1;
                    let mut other = place;
                    let compared = known.rank.min(rank) != Rank::Failed;
                    if known.rank < rank {
                        other = known.place;
                        *known = entry();
                    }
                    if compared {
                        again.push((line.run.to_owned(), known.place, other));
                    }
                }
            }
            Ok(())
        })?;
        self.torn.extend(unsound.torn);
        self.damage.extend(unsound.damage);
        self.compare(&again)
    }

    /// Looks for conflicts among pairs of records of one run.
    fn compare(&mut self, pairs: &[(String, Place, Place)]) -> Result<(), StoreError> {
        let mut files: HashMap<u32, Places<'_>> = HashMap::new();
        let segments = &self.segments;
        for (run, first, second) in pairs {
            let mut read = |place: &Place| {
                let file = scattered(&mut files, segments, place.segment)?;
                file.read(*place, run, ("", Rank::Failed), |line| {
                    (line.location(), line.json().to_owned())
                })
            };
            let (first, a) = read(first)?;
            let (second, b) = read(second)?;
            // Copies are found without parsing. What cannot be parsed counts as different.
            let same = a == b
                || matches!(
                    (record::whole(&a), record::whole(&b)),
                    (Ok(a), Ok(b)) if a.agrees(&b)
                );
            if !same {
                let run = run.clone();
                self.conflicts.push(Conflict { run, first, second });
            }
        }
        Ok(())
    }

    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether there is a record of the run with this id.
    pub fn contains(&self, run: &str) -> bool {
        self.runs.contains_key(run)
    }

    /// How the run with this id ended.
    pub fn status(&self, run: &str) -> Option<&str> {
        self.runs.get(run).map(|entry| &*entry.status)
    }

    /// The ids and statuses of all runs, in no order.
    pub fn runs(&self) -> impl Iterator<Item = (&str, &str)> {
        let runs = self.runs.iter();
        runs.map(|(run, entry)| (&**run, &*entry.status))
    }

    /// Segments read.
    pub fn segments(&self) -> &[PathBuf] {
        &self.segments
    }

    /// Torn tails, also of segments that are being written now.
    pub fn torn(&self) -> &[Torn] {
        &self.torn
    }

    /// Lines that are no records.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Runs with different results.
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// Records of runs that have another record too, those of conflicts included.
    pub fn duplicates(&self) -> usize {
        self.duplicates
    }

    /// Refuses conflicts.
    ///
    /// # Errors
    /// [`StoreError::Conflicts`] with all there are.
    pub fn check(&self) -> Result<(), StoreError> {
        match self.conflicts.is_empty() {
            true => Ok(()),
            false => Err(StoreError::Conflicts(self.conflicts.clone())),
        }
    }

    /// Reads the record of every run, each once, and calls `visit` with it, until that
    /// breaks. They come by segment and line. Memory for one at a time.
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::Changed`] if what was read is not there any more.
    pub fn visit(
        &self,
        mut visit: impl FnMut(Line<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.visit_from(0, &mut visit)
    }

    /// [`Self::visit`] in the order of the ids, which is the same for the same runs, whatever
    /// segments they are in; slower, as it reads here and there.
    ///
    /// # Errors
    /// As [`Self::visit`]; [`StoreError::Memory`].
    pub fn visit_by_id(
        &self,
        mut visit: impl FnMut(Line<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut runs = Vec::new();
        runs.try_reserve_exact(self.runs.len())?;
        runs.extend(&self.runs);
        runs.sort_unstable_by_key(|(run, _)| *run);
        let mut files: HashMap<u32, Places<'_>> = HashMap::new();
        for (run, entry) in runs {
            let file = scattered(&mut files, &self.segments, entry.place.segment)?;
            let status = (&*entry.status, entry.rank);
            if file.read(entry.place, run, status, &mut visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// [`Self::visit`] of the runs whose records are not in the first `skipped` stores.
    pub(super) fn visit_from(
        &self,
        skipped: usize,
        visit: &mut dyn FnMut(Line<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let first = match skipped {
            0 => 0,
            _ => self.ends[skipped - 1],
        };
        let runs = self.runs.iter();
        let mut runs: Vec<_> = runs.filter(|(_, e)| e.place.segment >= first).collect();
        runs.sort_unstable_by_key(|(_, entry)| entry.place);
        for runs in runs.chunk_by(|(_, a), (_, b)| a.place.segment == b.place.segment) {
            let path = &self.segments[runs[0].1.place.segment as usize];
            let mut file = Places::open(path)?;
            for (run, entry) in runs {
                let flow = file.read(entry.place, run, (&entry.status, entry.rank), &mut *visit)?;
                if flow.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The segment with a number, opened or as it is open already.
fn scattered<'f, 's>(
    files: &'f mut HashMap<u32, Places<'s>>,
    segments: &'s [PathBuf],
    number: u32,
) -> Result<&'f mut Places<'s>, StoreError> {
    // A merge may have thousands, more than a process may have open.
    if files.len() > 64 && !files.contains_key(&number) {
        files.clear();
    }
    match files.entry(number) {
        Slot::Occupied(slot) => Ok(slot.into_mut()),
        Slot::Vacant(slot) => Ok(slot.insert(Places::scattered(&segments[number as usize])?)),
    }
}
