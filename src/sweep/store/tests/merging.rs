//! `merge`.

use super::*;
use std::path::Path;

fn folders(stores: &[&Store]) -> Vec<PathBuf> {
    stores
        .iter()
        .map(|store| store.folder().to_owned())
        .collect()
}

/// The names and bytes of all files.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .map(|p| (p.clone(), std::fs::read(p).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn three_overlapping_stores_become_one() {
    let mut elsewhere = record(2);
    elsewhere.host = "another".into();
    let (_a, a) = filled(&[&[record(1), record(2)], &[record(3)]]);
    let (_b, b) = filled(&[&[elsewhere, record(4), with_status(5, FAILED)]]);
    let (_c, c) = filled(&[&[record(5), record(6), record(6), record(1)]]);
    let from = folders(&[&a, &b, &c]);
    let before: Vec<_> = from.iter().map(|folder| contents(folder)).collect();
    let target = TempDir::new().unwrap();
    let into = target.path().join("all");
    let merged = merge(&from, &into).unwrap();
    assert_eq!((merged.added, merged.runs, merged.duplicates), (6, 6, 4));
    let store = Store::open(&into).unwrap();
    assert_eq!(sound(&store), (1..=6).map(record).collect::<Vec<_>>());
    assert_eq!(store.segments().unwrap(), [merged.segment.unwrap()]);
    assert!(
        before
            .into_iter()
            .eq(from.iter().map(|folder| contents(folder)))
    );

    // Again, and with itself: nothing changes.
    let files = contents(&into);
    for from in [from, vec![into.clone(), into.join("..").join("all")]] {
        let merged = merge(&from, &into).unwrap();
        assert_eq!((merged.added, merged.runs, merged.segment), (0, 6, None));
        assert_eq!(contents(&into), files);
    }
}

#[test]
fn what_is_there_stays_and_what_is_missing_comes() {
    let (_into, into) = filled(&[&[record(1), with_status(2, FAILED), with_status(3, FAILED)]]);
    let (_from, from) = filled(&[&[record(1), record(2), with_status(3, FAILED), record(4)]]);
    let segment = into.segments().unwrap()[0].clone();
    let bytes = std::fs::read(&segment).unwrap();
    let merged = merge(&folders(&[&from]), into.folder()).unwrap();
    assert_eq!((merged.added, merged.runs, merged.duplicates), (2, 4, 3));
    assert_eq!(std::fs::read(&segment).unwrap(), bytes);
    let expected = [record(1), record(2), with_status(3, FAILED), record(4)];
    assert_eq!(sound(&into), expected);
    let again = merge(&folders(&[&from]), into.folder()).unwrap();
    assert_eq!(again.added, 0);
}

#[test]
fn conflicts_are_refused_before_anything_is_written() {
    let (_a, a) = filled(&[&[record(1), record(2)]]);
    let (_b, b) = filled(&[&[record(3), differing(2), record(4)]]);
    let target = TempDir::new().unwrap();
    let missing = target.path().join("all");
    let error = merge(&folders(&[&a, &b]), &missing).unwrap_err();
    assert!(matches!(&error, StoreError::Conflicts(all) if all.len() == 1));
    let message = error.to_string();
    for store in [&a, &b] {
        let path = &store.segments().unwrap()[0];
        assert!(message.contains(path.to_str().unwrap()), "{message}");
    }
    assert!(!missing.exists());
    let files = contents(a.folder());
    merge(&folders(&[&b]), a.folder()).unwrap_err();
    assert_eq!(contents(a.folder()), files);
}

/// Ended by a rule after the first of `evals`, (step, correct), or whole.
fn evaluated(status: &str, evals: &[(u64, u64)]) -> Record {
    let mut record = with_status(1, status);
    let evals = evals.iter();
    let evals = evals.map(|(step, correct)| json!({"step": step, "correct": correct}));
    let evals: Vec<_> = evals.collect();
    record
        .body
        .insert("steps".into(), json!(10 * (evals.len() - 1)));
    record.body.insert("evals".into(), evals.into());
    record
}

/// What is pruned is the beginning of what is whole, or one of them is wrong.
#[test]
fn a_beginning_that_differs_is_a_conflict() {
    let whole = evaluated("ok", &[(0, 1), (10, 2), (20, 3)]);
    let cut = evaluated(PRUNED, &[(0, 1), (10, 2)]);
    let start = evaluated(PRUNED, &[(0, 1)]);
    let wrong = evaluated(PRUNED, &[(0, 1), (10, 4)]);
    let false_start = evaluated(PRUNED, &[(0, 7)]);
    let diverged = evaluated("diverged", &[(0, 1)]);
    for (records, conflicts) in [
        (vec![&whole, &cut, &start], 0),
        (vec![&start, &whole, &cut], 0),
        (vec![&cut, &wrong], 1),
        (vec![&whole, &wrong], 1),
        (vec![&wrong, &whole], 1),
        (vec![&cut, &false_start], 1),
        (vec![&false_start, &cut], 1),
        (vec![&whole, &wrong, &false_start], 2),
        // It cannot have gone on.
        (vec![&diverged, &cut], 1),
        (vec![&diverged, &start], 0),
    ] {
        let stores: Vec<_> = records.iter().map(|r| filled(&[&[(*r).clone()]])).collect();
        let of: Vec<&Store> = stores.iter().map(|(_, store)| store).collect();
        let index = Index::of(&of).unwrap();
        assert_eq!(index.conflicts().len(), conflicts, "{records:?}");
        if let Some(conflict) = index.conflicts().first() {
            // The one that is taken, where one is whole.
            if let Some(whole) = records.iter().position(|r| r.status != PRUNED) {
                assert!(conflict.first.path.starts_with(of[whole].folder()));
            }
            let into = TempDir::new().unwrap();
            let error = merge(&folders(&of), &into.path().join("all")).unwrap_err();
            assert!(matches!(error, StoreError::Conflicts(_)), "{error}");
        }
    }
}

#[test]
fn what_is_not_sound_is_left_out_and_told() {
    let mut bytes = segment(&[record(1), record(2), record(3)]);
    let second = segment(&[record(1)]).len();
    bytes[second + 5] ^= 1;
    bytes.pop();
    let (_from, from) = store();
    put(&from, 0, &bytes);
    let (_into, into) = store();
    let merged = merge(&folders(&[&from]), into.folder()).unwrap();
    assert_eq!((merged.added, merged.runs), (1, 1));
    assert_eq!((merged.damage.len(), merged.torn.len()), (1, 1));
    assert_eq!(sound(&into), [record(1)]);
}

#[test]
fn a_missing_store_is_an_error() {
    let (_from, from) = filled(&[&[record(1)]]);
    let missing = from.folder().join("missing");
    let into = from.folder().join("into");
    let error = merge(&[from.folder().to_owned(), missing.clone()], &into).unwrap_err();
    assert!(error.to_string().contains(missing.to_str().unwrap()));
    assert!(!into.exists());
}
