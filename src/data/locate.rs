//! Where the data sets known by name are looked for.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::{DataError, Looked};
use super::files::missing;
use super::known::{self, Known};

/// The environment variable that names a data folder.
pub const DATA_ENV: &str = "FANIN_DATA";

/// Finds the folder of `mnist` or `fashion-mnist`: the first that has all four files, out of
///
/// 1. `$FANIN_DATA/NAME`, then `$FANIN_DATA` itself,
/// 2. `./data/NAME`,
/// 3. `data/NAME` beside the executable (links resolved),
/// 4. `data/NAME` in the source tree that the executable was built from,
/// 5. for `fashion-mnist`, where Debian's package `dataset-fashion-mnist` puts it.
///
/// Their bytes are not read here, but [`Dataset::open`](super::Dataset::open) demands the known ones,
/// so it does not matter which place is found.
///
/// # Errors
///
/// [`DataError::NotFound`] lists every place and what it lacks; [`DataError::NotAFolder`] if `name`
/// is neither of the two.
pub fn locate(name: &str) -> Result<PathBuf, DataError> {
    let known = known::by_name(name).ok_or_else(|| DataError::NotAFolder { path: name.into() })?;
    locate_known(known)
}

pub(super) fn locate_known(known: &'static Known) -> Result<PathBuf, DataError> {
    first_complete(known, Places::of_this_process().candidates(known))
}

/// What the places to look in depend on, apart from the name.
struct Places {
    data_env: Option<OsString>,
    executable: Option<PathBuf>,
    source_tree: &'static Path,
}

impl Places {
    fn of_this_process() -> Places {
        Places {
            data_env: env::var_os(DATA_ENV).filter(|dir| !dir.is_empty()),
            executable: env::current_exe().and_then(|path| path.canonicalize()).ok(),
            source_tree: Path::new(env!("CARGO_MANIFEST_DIR")),
        }
    }

    fn candidates(&self, known: &Known) -> Vec<PathBuf> {
        let mut dirs = Vec::new();
        if let Some(dir) = self.data_env.as_ref().map(Path::new) {
            dirs.extend([dir.join(known.name), dir.to_owned()]);
        }
        let parents = [
            Some(Path::new(".")),
            self.executable.as_deref().and_then(Path::parent),
            Some(self.source_tree),
        ];
        dirs.extend(
            parents
                .into_iter()
                .flatten()
                .map(|parent| parent.join("data").join(known.name)),
        );
        dirs.extend(known.system_dir.map(PathBuf::from));
        dirs
    }
}

fn first_complete(known: &Known, candidates: Vec<PathBuf>) -> Result<PathBuf, DataError> {
    let mut looked = Vec::new();
    for dir in candidates {
        let why = if !dir.is_dir() {
            "no such folder".to_owned()
        } else {
            match missing(&dir) {
                names if names.is_empty() => return Ok(dir),
                names => format!("no {}", names.join(", no ")),
            }
        };
        looked.push(Looked { dir, why });
    }
    Err(DataError::NotFound {
        name: known.name,
        looked,
        hint: known.hint,
    })
}

#[cfg(test)]
mod tests {
    use super::super::files::DataFile;
    use super::*;
    use std::fs;

    fn fill(dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        for file in DataFile::ALL {
            fs::write(dir.join(file.name()), "").unwrap();
        }
    }

    #[test]
    fn places_in_order() {
        let places = Places {
            data_env: Some("/env".into()),
            executable: Some("/bin/fanin".into()),
            source_tree: Path::new("/src"),
        };
        let mnist = [
            "/env/mnist",
            "/env",
            "./data/mnist",
            "/bin/data/mnist",
            "/src/data/mnist",
        ];
        assert_eq!(
            places.candidates(&known::KNOWN[0]),
            mnist.map(PathBuf::from)
        );
        let fashion = places.candidates(&known::KNOWN[1]);
        assert_eq!(fashion[0], Path::new("/env/fashion-mnist"));
        assert_eq!(fashion[5], Path::new("/usr/share/datasets/fashion-mnist"));

        let bare = Places {
            data_env: None,
            executable: None,
            source_tree: Path::new("/src"),
        };
        assert_eq!(
            bare.candidates(&known::KNOWN[0]),
            ["./data/mnist", "/src/data/mnist"].map(PathBuf::from)
        );
    }

    #[test]
    fn first_complete_folder_wins() {
        let tmp = tempfile::tempdir().unwrap();
        let [partial, first, second] =
            ["partial", "first", "second"].map(|name| tmp.path().join(name));
        for dir in [&partial, &first, &second] {
            fill(dir);
        }
        fs::remove_file(partial.join("t10k-labels-idx1-ubyte")).unwrap();
        let absent = tmp.path().join("absent");
        let found = first_complete(
            &known::KNOWN[0],
            vec![absent, partial, first.clone(), second],
        );
        assert_eq!(found.unwrap(), first);
    }

    #[test]
    fn nothing_found_lists_every_place() {
        let tmp = tempfile::tempdir().unwrap();
        let [partial, absent] = ["partial", "absent"].map(|name| tmp.path().join(name));
        fill(&partial);
        fs::remove_file(partial.join("train-images-idx3-ubyte")).unwrap();
        fs::remove_file(partial.join("t10k-labels-idx1-ubyte")).unwrap();
        let error =
            first_complete(&known::KNOWN[1], vec![absent.clone(), partial.clone()]).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("fashion-mnist: not found\n"), "{text}");
        assert!(
            text.contains(&format!(
                "  looked in {}: no such folder\n",
                absent.display()
            )),
            "{text}"
        );
        let why = "no train-images-idx3-ubyte, no t10k-labels-idx1-ubyte";
        assert!(
            text.contains(&format!("  looked in {}: {why}\n", partial.display())),
            "{text}"
        );
        assert!(
            text.ends_with("./data/fashion-mnist") && text.contains("dataset-fashion-mnist"),
            "{text}"
        );
    }
}
