//! The real MNIST in this repository, and finding it.

use std::fs;
use std::path::Path;
use std::process::Command;

use fanin::data::{CLASSES, DATA_ENV, DataError, DataFile, Dataset, Split, check_spec, locate};
use sha2::{Digest, Sha256};

use super::{images, labels};

const SHA256: [&str; 4] = [
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
];

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist"))
}

fn label_counts(split: &Split) -> [usize; CLASSES] {
    let mut counts = [0; CLASSES];
    split
        .labels()
        .iter()
        .for_each(|&label| counts[usize::from(label)] += 1);
    counts
}

/// Pixels that are not zero, and the sum of all.
fn pixel_sums(split: &Split) -> (usize, u64) {
    let lit = split.images().iter().filter(|&&pixel| pixel > 0).count();
    (
        lit,
        split.images().iter().map(|&pixel| u64::from(pixel)).sum(),
    )
}

#[test]
fn is_the_real_one() {
    let data = Dataset::from_dir(folder()).unwrap();
    assert_eq!(
        (data.name.as_str(), data.source.as_path()),
        ("mnist", folder())
    );
    assert_eq!(data.sha256, SHA256);
    let (train, test) = (&data.train, &data.test);
    assert_eq!((train.len(), test.len()), (60_000, 10_000));
    assert_eq!((train.rows(), train.cols()), (28, 28));
    assert_eq!((test.rows(), test.cols(), test.pixels()), (28, 28, 784));
    assert_eq!(train.labels()[..5], [5, 0, 4, 1, 9]);
    assert_eq!(test.labels()[..5], [7, 2, 1, 0, 4]);
    let counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949];
    assert_eq!(label_counts(train), counts);
    assert_eq!(
        label_counts(test),
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    );
    assert_eq!(pixel_sums(train), (8_994_156, 1_567_298_545));
    assert_eq!(pixel_sums(test), (1_511_219, 264_923_200));
}

#[test]
fn report_knows_every_file() {
    let report = check_spec("mnist").unwrap();
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.dataset, Some("mnist"));
    for (file, sha256) in report.files.iter().zip(SHA256) {
        let facts = file.result.as_ref().unwrap();
        assert!(facts.gzipped);
        assert_eq!(facts.sha256, sha256);
        assert_eq!(facts.known, Some(format!("mnist {}", file.file.name())));
    }
    assert!(report.to_string().ends_with("ok: this is mnist"));
}

#[test]
fn readme_has_the_checksums() {
    let readme = fs::read_to_string(folder().with_file_name("README.md")).unwrap();
    for (file, raw) in DataFile::ALL.into_iter().zip(SHA256) {
        let zipped = fs::read(folder().join(format!("{}.gz", file.name()))).unwrap();
        let line = |digest: &str| readme.contains(&format!("{digest}  mnist/{}", file.name()));
        assert!(line(raw), "{} raw", file.name());
        assert!(
            line(&format!("{:x}", Sha256::digest(zipped))),
            "{} gzipped",
            file.name()
        );
    }
}

#[test]
fn other_names_are_folders() {
    assert!(matches!(
        Dataset::open("MNIST"),
        Err(DataError::NotAFolder { .. })
    ));
    assert!(matches!(locate("cifar"), Err(DataError::NotAFolder { .. })));
}

/// Not a test: what [`opens_in_child`] runs, since a process's folder and environment are its own.
#[test]
#[ignore = "run by other tests in a child process"]
fn child() {
    let (opened, report) = (Dataset::open("mnist"), check_spec("mnist").unwrap());
    match opened {
        Ok(data) => {
            assert!(report.is_ok(), "{report}");
            println!("\nfound {}\n", data.source.display());
        }
        Err(error) => {
            assert!(report.to_string().contains(&error.to_string()), "{report}");
            println!("\nerror {error}\n");
        }
    }
}

/// What `Dataset::open("mnist")` says in the folder `cwd`, with `FANIN_DATA` set or not.
fn opens_in_child(cwd: &Path, data_env: Option<&Path>) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "mnist::child", "--ignored", "--nocapture"])
        .current_dir(cwd);
    match data_env {
        Some(dir) => command.env(DATA_ENV, dir),
        None => command.env_remove(DATA_ENV),
    };
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("found ") || line.starts_with("error "));
    line.unwrap_or_else(|| panic!("{text}")).to_owned()
}

/// Files called like MNIST's that are not.
fn impostor(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let files = [images(2, 28, 28), labels(2), images(1, 28, 28), labels(1)];
    for (file, bytes) in DataFile::ALL.into_iter().zip(files) {
        fs::write(dir.join(file.name()), bytes).unwrap();
    }
}

#[test]
fn found_from_anywhere() {
    let tmp = tempfile::tempdir().unwrap();
    let source_tree = format!("found {}", folder().display());
    assert_eq!(opens_in_child(tmp.path(), None), source_tree);
    let nothing_there = opens_in_child(tmp.path(), Some(tmp.path()));
    assert_eq!(nothing_there, source_tree);
    impostor(&tmp.path().join("mnist"));
    let empty = opens_in_child(tmp.path(), Some(Path::new("")));
    assert_eq!(
        empty, source_tree,
        "empty is unset, not the working directory"
    );
    let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(opens_in_child(tree, None), "found ./data/mnist");
    // The folder that has the set's folder, and the set's folder itself.
    for dir in [tree.join("data"), folder().to_owned()] {
        assert_eq!(opens_in_child(tree, Some(&dir)), source_tree);
    }
}

#[test]
fn other_bytes_are_an_error_wherever_they_come_first() {
    let tmp = tempfile::tempdir().unwrap();
    let (here, env) = (tmp.path().join("data/mnist"), tmp.path().join("env"));
    impostor(&here);
    impostor(&env);
    let found = format!("{:x}", Sha256::digest(images(2, 28, 28)));
    for (data_env, dir) in [
        (None, Path::new("./data/mnist")),
        (Some(env.as_path()), env.as_path()),
    ] {
        let path = dir.join("train-images-idx3-ubyte");
        let text = format!(
            "error {}: not mnist's train-images-idx3-ubyte: SHA-256 of the raw bytes is {found}, expected {}",
            path.display(),
            SHA256[0]
        );
        assert_eq!(opens_in_child(tmp.path(), data_env), text);
    }
    // As a plain folder they are welcome.
    assert_eq!(Dataset::from_dir(&here).unwrap().name, "mnist");
}

#[test]
fn known_bytes_in_the_wrong_place_are_named() {
    let tmp = tempfile::tempdir().unwrap();
    for (file, other) in DataFile::ALL.into_iter().zip([2, 3, 2, 3]) {
        let source = folder().join(format!("{}.gz", DataFile::ALL[other].name()));
        fs::copy(source, tmp.path().join(file.name())).unwrap();
    }
    let text = opens_in_child(tmp.path(), Some(tmp.path()));
    assert!(
        text.contains(&format!(
            "is {} (mnist's t10k-images-idx3-ubyte), expected",
            SHA256[2]
        )),
        "{text}"
    );
}
