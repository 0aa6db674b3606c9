//! Folders: which files are taken, whether they fit together, and the report on them.

use std::fs;
use std::path::Path;

use fanin::data::idx::IdxError;
use fanin::data::{DataError, DataFile, Dataset, Split, check};
use tempfile::TempDir;

use super::{gzip, images, labels, largest_allocation};

/// A good data set: 12 train and 11 test images of 2×3 pixels, under the standard names.
fn good() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, bytes) in DataFile::ALL.into_iter().zip(good_files()) {
        write(&dir, file.name(), &bytes);
    }
    dir
}

fn good_files() -> [Vec<u8>; 4] {
    [images(12, 2, 3), labels(12), images(11, 2, 3), labels(11)]
}

fn write(dir: &TempDir, name: &str, bytes: &[u8]) {
    fs::write(dir.path().join(name), bytes).unwrap();
}

/// The error on loading, which the report must have too.
fn error(dir: &Path) -> DataError {
    let (result, largest) = largest_allocation(|| Dataset::from_dir(dir));
    assert!(largest <= 256 << 10, "allocated {largest}");
    let error = result.unwrap_err();
    let report = check(dir);
    assert!(!report.is_ok());
    let shown = report.to_string();
    let part = match &error {
        // The report has one line for each missing file.
        DataError::Missing { missing, .. } => missing[0].to_owned(),
        other => other.to_string(),
    };
    assert!(
        shown.contains(&part) && shown.ends_with("not a usable data set"),
        "{shown}"
    );
    error
}

#[test]
fn loads_and_describes() {
    let dir = good();
    let data = Dataset::from_dir(dir.path()).unwrap();
    assert_eq!(
        Some(data.name.as_str()),
        dir.path().file_name().unwrap().to_str()
    );
    assert_eq!(data.source, dir.path());
    assert_eq!((data.train.len(), data.test.len()), (12, 11));
    assert_eq!(
        (data.train.rows(), data.train.cols(), data.train.pixels()),
        (2, 3, 6)
    );
    assert_eq!(data.train.images().len(), 72);
    assert_eq!(data.train.image(11), [66, 67, 68, 69, 70, 71]);
    assert_eq!(data.test.labels(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]);
    assert!(!data.train.is_empty());

    let again = Dataset::from_splits("mine", data.train.clone(), data.test.clone()).unwrap();
    assert_eq!(again.sha256, data.sha256, "the same data, the same digests");
    assert_eq!(
        (again.name.as_str(), again.source.as_path()),
        ("mine", Path::new(""))
    );

    let report = check(dir.path());
    assert!(report.is_ok());
    assert_eq!(report.dataset, None);
    let facts: Vec<_> = report
        .files
        .iter()
        .map(|file| file.result.as_ref().unwrap())
        .collect();
    assert!(
        facts
            .iter()
            .zip(&data.sha256)
            .all(|(facts, sha256)| facts.sha256 == *sha256)
    );
    assert!(
        facts
            .iter()
            .all(|facts| !facts.gzipped && facts.known.is_none())
    );
    assert_eq!(facts[0].disk_bytes, 88);
    assert!(
        report
            .to_string()
            .contains("train-images-idx3-ubyte: 12×2×3 images")
    );
}

#[test]
fn every_name_and_form() {
    let plain = Dataset::from_dir(good().path()).unwrap();
    for suffix in ["", ".gz"] {
        for dotted in [false, true] {
            for zipped in [false, true] {
                let dir = tempfile::tempdir().unwrap();
                for (file, bytes) in DataFile::ALL.into_iter().zip(good_files()) {
                    let name = if dotted {
                        file.name().replace("-idx", ".idx")
                    } else {
                        file.name().into()
                    };
                    // The content decides, not the name.
                    let bytes = if zipped { gzip(&bytes) } else { bytes };
                    write(&dir, &format!("{name}{suffix}"), &bytes);
                }
                let data = Dataset::from_dir(dir.path()).unwrap();
                assert_eq!((&data.train, &data.test), (&plain.train, &plain.test));
                assert_eq!(data.sha256, plain.sha256);
                let report = check(dir.path());
                assert!(
                    report
                        .files
                        .iter()
                        .all(|file| file.result.as_ref().unwrap().gzipped == zipped)
                );
            }
        }
    }
}

#[test]
fn missing_files_and_folders() {
    let dir = good();
    fs::remove_file(dir.path().join("train-labels-idx1-ubyte")).unwrap();
    fs::remove_file(dir.path().join("t10k-images-idx3-ubyte")).unwrap();
    let DataError::Missing { missing, .. } = error(dir.path()) else {
        panic!()
    };
    assert_eq!(
        missing,
        ["train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"]
    );
    assert_eq!(
        check(dir.path())
            .files
            .iter()
            .filter(|file| file.result.is_err())
            .count(),
        2
    );

    let nowhere = dir.path().join("nowhere");
    assert!(matches!(error(&nowhere), DataError::NotAFolder { path } if path == nowhere));
    let file = dir.path().join("train-images-idx3-ubyte");
    assert!(matches!(error(&file), DataError::NotAFolder { .. }));
    assert!(matches!(
        Dataset::open(""),
        Err(DataError::NotAFolder { .. })
    ));
}

#[test]
fn errors_name_the_file() {
    for (i, file) in DataFile::ALL.into_iter().enumerate() {
        let dir = good();
        write(&dir, file.name(), &good_files()[i][..17]);
        let error = error(dir.path());
        let path = dir.path().join(file.name());
        assert!(
            matches!(&error, DataError::Idx { path: p, error: IdxError::Truncated { found: 17, .. } } if *p == path),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .starts_with(&format!("{}: byte 17: ", path.display())),
            "{error}"
        );
    }
}

#[test]
fn swapped_files() {
    let dir = good();
    write(&dir, "t10k-images-idx3-ubyte", &labels(11));
    write(&dir, "t10k-labels-idx1-ubyte", &images(11, 2, 3));
    let text = error(dir.path()).to_string();
    assert!(
        text.contains("t10k-images-idx3-ubyte: byte 3: this looks like labels"),
        "{text}"
    );
    let report = check(dir.path()).to_string();
    assert!(
        report.contains("t10k-labels-idx1-ubyte: byte 3: this looks like images"),
        "{report}"
    );
}

#[test]
fn counts_that_differ() {
    for (i, set) in [(1, "train"), (3, "t10k")] {
        for count in [1, 10, 13] {
            let dir = good();
            write(&dir, DataFile::ALL[i].name(), &labels(count));
            let error = error(dir.path());
            let images = if i == 1 { 12 } else { 11 };
            let text = format!(
                "{}: {set}: {images} images and {count} labels, expected as many labels as images",
                dir.path().display()
            );
            assert_eq!(error.to_string(), text);
        }
    }
}

#[test]
fn shapes_that_differ() {
    for (rows, cols) in [(3, 2), (1, 6), (2, 4)] {
        let dir = good();
        write(&dir, "t10k-images-idx3-ubyte", &images(11, rows, cols));
        let error = error(dir.path());
        let test_shape = (rows.into(), cols.into());
        assert!(
            matches!(error, DataError::ShapeMismatch { train: (2, 3), test, .. } if test == test_shape),
            "{error}"
        );
    }
}

#[test]
fn files_that_do_not_fit_are_not_read() {
    // Headers of 1 GB each, counts that differ: the content, cut short, is never looked at.
    let dir = good();
    let huge = [0, 0, 8, 3, 0, 0, 0, 12, 0, 0, 0x20, 0, 0, 0, 0x20, 0];
    write(&dir, "train-images-idx3-ubyte", &huge);
    assert!(matches!(
        Dataset::from_dir(dir.path()),
        Err(DataError::ShapeMismatch { .. })
    ));
}

#[test]
fn label_out_of_range() {
    let dir = good();
    let mut bytes = labels(12);
    bytes[8] = 10;
    write(&dir, "train-labels-idx1-ubyte", &bytes);
    let text = error(dir.path()).to_string();
    assert!(
        text.ends_with("train-labels-idx1-ubyte: byte 8: label 0 is 10, expected 0 to 9"),
        "{text}"
    );
}

#[test]
fn directory_for_a_file() {
    let dir = good();
    let path = dir.path().join("train-images-idx3-ubyte");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let text = error(dir.path()).to_string();
    assert_eq!(
        text,
        format!("{}: a directory, expected a regular file", path.display())
    );
    // One beside the file, as some unpackers leave it, does no harm.
    write(&dir, "train-images.idx3-ubyte", &images(12, 2, 3));
    assert_eq!(Dataset::from_dir(dir.path()).unwrap().train.len(), 12);
}

#[cfg(unix)]
#[test]
fn fifo_does_not_hang() {
    let dir = good();
    let path = dir.path().join("t10k-labels-idx1-ubyte");
    fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    let text = error(dir.path()).to_string();
    assert_eq!(
        text,
        format!("{}: a FIFO, expected a regular file", path.display())
    );
}

#[cfg(unix)]
#[test]
fn links_and_devices() {
    use std::os::unix::fs::symlink;
    let (dir, real) = (good(), good());
    let path = dir.path().join("train-labels-idx1-ubyte");
    let relink = |target: &Path| {
        fs::remove_file(&path).unwrap();
        symlink(target, &path).unwrap();
    };
    relink(&real.path().join("train-labels-idx1-ubyte"));
    assert!(Dataset::from_dir(dir.path()).is_ok());
    relink(&real.path().join("gone"));
    assert!(matches!(error(dir.path()), DataError::Missing { missing, .. } if missing.len() == 1));
    relink(Path::new("/dev/zero"));
    assert!(matches!(
        error(dir.path()),
        DataError::NotAFile {
            found: "a device",
            ..
        }
    ));
    relink(&path);
    assert!(
        matches!(error(dir.path()), DataError::Io { .. }),
        "a link to itself"
    );
}

#[test]
fn splits_are_checked() {
    let new = |rows, cols, pixels: usize, labels: &[u8]| {
        Split::new(rows, cols, vec![0; pixels], labels.to_vec())
    };
    assert_eq!(new(2, 3, 12, &[9, 0]).unwrap().len(), 2);
    for (rows, cols, pixels, count) in [
        (2, 3, 11, 2),
        (2, 3, 13, 2),
        (2, 3, 0, 0),
        (0, 3, 0, 2),
        (2, 0, 0, 2),
        (usize::MAX, 2, 12, 2),
        (usize::MAX, usize::MAX, 2, 2),
    ] {
        let error = new(rows, cols, pixels, &vec![0; count]).unwrap_err();
        assert!(
            matches!(error, DataError::Pixels { found, .. } if found == pixels),
            "{error}"
        );
    }
    let error = new(1, 1, 3, &[0, 9, 10]).unwrap_err();
    assert!(
        matches!(
            error,
            DataError::Label {
                index: 2,
                found: 10
            }
        ),
        "{error}"
    );

    let (train, test) = (new(2, 3, 6, &[0]).unwrap(), new(3, 2, 6, &[0]).unwrap());
    let error = Dataset::from_splits("mine", train, test).unwrap_err();
    assert_eq!(
        error.to_string(),
        "mine: train images are 2×3 but test images 3×2, expected one shape"
    );
}

#[test]
#[should_panic(expected = "image 2 of 2")]
fn image_out_of_range() {
    let split = Split::new(1, 1, vec![1, 2], vec![0, 1]).unwrap();
    split.image(2);
}
