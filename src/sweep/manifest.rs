//! What a sweep is, beside its results: `sweep.json` in the folder of the store.

use super::{DataFacts, NUMERICS_VERSION, Plan, Spec, SpecError};
use crate::files;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The plan of a sweep, for whoever has its folder but not its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What the sweep is called.
    pub name: String,
    /// The text of its spec.
    pub spec: String,
    /// The data set, as it was asked for.
    pub data: String,
    /// What the plan must know of it.
    pub facts: DataFacts,
    /// The version of fanin that wrote this.
    pub version: String,
    /// Its [`NUMERICS_VERSION`]: runs of another version have other ids.
    pub numerics: u32,
}

/// Why there is no manifest to be had.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file cannot be read or written.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Io {
        /// "read" or "write".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: Arc<io::Error>,
    },
    /// It is no file, or longer than any manifest.
    #[error("{path} is no description of a sweep: {reason}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The spec in it is not one of this version.
    #[error(
        "the spec in {path}, written by fanin {version}, cannot be read: {source}",
        path = path.display()
    )]
    Spec {
        /// The file.
        path: PathBuf,
        /// Who wrote it.
        version: String,
        /// What is wrong with the spec.
        source: SpecError,
    },
}

impl Manifest {
    /// The name of the file.
    pub const FILE: &str = "sweep.json";

    /// The longest file, in bytes.
    const MAX_BYTES: u64 = 16 << 20;

    /// That of a sweep by this version of fanin: `spec` is the text of the spec.
    ///
    /// # Errors
    /// As [`Spec::parse`].
    pub fn new(spec: &str, facts: DataFacts) -> Result<Self, SpecError> {
        let parsed = Spec::parse(spec)?;
        Ok(Self {
            name: parsed.name().to_owned(),
            spec: spec.to_owned(),
            data: parsed.data().to_owned(),
            facts,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            numerics: NUMERICS_VERSION,
        })
    }

    /// Writes it into a folder, whole or not at all, in place of any that is there. One that
    /// is the same is left alone. Several processes may do so at the same time.
    ///
    /// # Errors
    /// [`ManifestError::Io`].
    pub fn write(&self, folder: &Path) -> Result<(), ManifestError> {
        // One that cannot be read gives way.
        if matches!(Self::read(folder), Ok(Some(known)) if known == *self) {
            return Ok(());
        }
        let path = folder.join(Self::FILE);
        let write = || {
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            files::write_whole_among_others(&path, &text)
        };
        write().map_err(|source| ManifestError::Io {
            doing: "write",
            path: path.clone(),
            source: Arc::new(source),
        })
    }

    /// The manifest in a folder; `None` if it has none.
    ///
    /// # Errors
    /// If there is one that cannot be read, is no manifest, or has a spec that this version
    /// of fanin does not take.
    pub fn read(folder: &Path) -> Result<Option<Self>, ManifestError> {
        let path = folder.join(Self::FILE);
        let content = |reason: &str| ManifestError::Content {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        let read = || -> io::Result<Option<Vec<u8>>> {
            // Reading a pipe would hang.
            if !std::fs::metadata(&path)?.is_file() {
                return Ok(None);
            }
            let mut text = Vec::new();
            // One more than is allowed, so that a longer file is seen to be too long.
            let mut file = File::open(&path)?.take(Self::MAX_BYTES + 1);
            file.read_to_end(&mut text)?;
            Ok(Some(text))
        };
        let text = match read() {
            Ok(Some(text)) => text,
            Ok(None) => return Err(content("it is not a file")),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(ManifestError::Io {
                    doing: "read",
                    path,
                    source: Arc::new(source),
                });
            }
        };
        if text.len() as u64 > Self::MAX_BYTES {
            return Err(content("it is longer than 16 MiB"));
        }
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|error| content(&error.to_string()))?;
        match manifest.spec() {
            Ok(_) => Ok(Some(manifest)),
            Err(source) => Err(ManifestError::Spec {
                path,
                version: manifest.version,
                source,
            }),
        }
    }

    /// The spec.
    ///
    /// # Errors
    /// As [`Spec::parse`].
    pub fn spec(&self) -> Result<Spec, SpecError> {
        Spec::parse(&self.spec)
    }

    /// The runs, with the ids that this version of fanin gives them.
    ///
    /// # Errors
    /// As [`Spec::parse`] and [`Plan::new`].
    pub fn plan(&self) -> Result<Plan, SpecError> {
        Plan::new(&self.spec()?, &self.facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::tempdir;

    const SPEC: &str = "name = \"a \\\"name\\\"\"\n# ü\n[grid]\nseed = \"1..=5\"\n";

    fn manifest() -> Manifest {
        let identity = "0123".into();
        let facts = DataFacts {
            identity,
            ..DataFacts::MNIST
        };
        Manifest::new(SPEC, facts).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempdir().unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), None);
        let manifest = manifest();
        manifest.write(folder.path()).unwrap();
        let found = Manifest::read(folder.path()).unwrap().unwrap();
        assert_eq!(found, manifest);
        assert_eq!((&*found.name, &*found.data), ("a \"name\"", "mnist"));
        let plan = found.plan().unwrap();
        assert_eq!(plan.runs(), 5);
        // The ids are those of the data.
        let other = Plan::new(&manifest.spec().unwrap(), &DataFacts::MNIST).unwrap();
        assert_ne!(plan.get(0).unwrap().id, other.get(0).unwrap().id);
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn only_another_one_is_written() {
        let folder = tempdir().unwrap();
        let path = folder.path().join(Manifest::FILE);
        let manifest = manifest();
        manifest.write(folder.path()).unwrap();
        let with_space = [fs::read(&path).unwrap(), b" ".to_vec()].concat();
        fs::write(&path, &with_space).unwrap();
        manifest.write(folder.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), with_space);
        let other = Manifest {
            version: "0.0.1".into(),
            ..manifest
        };
        other.write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), Some(other.clone()));
        fs::write(&path, "{").unwrap();
        other.write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), Some(other));
    }

    #[test]
    fn what_is_no_manifest_is_told() {
        let folder = tempdir().unwrap();
        let path = folder.path().join(Manifest::FILE);
        let error = |text: &str| {
            fs::write(&path, text).unwrap();
            let error = Manifest::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains("sweep.json"), "{error}");
            error
        };
        assert!(error("{\"name\": ").contains("line 1"));
        assert!(error("{}").contains("missing field"));
        assert!(error(&" ".repeat((16 << 20) + 1)).contains("longer than 16 MiB"));
        let future = Manifest {
            spec: "name = \"x\"\n[grid]\nmagic = [1]\n".into(),
            version: "9.0.0".into(),
            ..manifest()
        };
        let text = serde_json::to_string(&future).unwrap();
        let found = error(&text);
        assert!(
            found.contains("9.0.0") && found.contains("'magic'"),
            "{found}"
        );
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = Manifest::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains("not a file"), "{error}");
    }
}
