//! The data sets known by name: what their bytes are, and how to get them.

use super::files::DataFile;

/// A data set whose every byte is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub name: &'static str,
    /// SHA-256 of the raw (decompressed) files, in the order of [`DataFile::ALL`].
    pub sha256: [&'static str; 4],
    /// Where the system's package puts it.
    pub system_dir: Option<&'static str>,
    /// How to get it: the last line of the error when it is not found.
    pub hint: &'static str,
}

impl Known {
    /// The digest of one of its files.
    pub fn sha256_of(&self, file: DataFile) -> &'static str {
        let [train_images, train_labels, test_images, test_labels] = self.sha256;
        match file {
            DataFile::TrainImages => train_images,
            DataFile::TrainLabels => train_labels,
            DataFile::TestImages => test_images,
            DataFile::TestLabels => test_labels,
        }
    }
}

pub(super) const KNOWN: [Known; 2] = [
    Known {
        name: "mnist",
        sha256: [
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ],
        system_dir: None,
        hint: "to get it: fanin's source tree has the four files in data/mnist; \
               set FANIN_DATA to that data folder or copy it to ./data",
    },
    Known {
        name: "fashion-mnist",
        sha256: [
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ],
        system_dir: Some("/usr/share/datasets/fashion-mnist"),
        hint: "to get it: install the Debian package dataset-fashion-mnist, or put the four .gz files of \
               github.com/zalandoresearch/fashion-mnist (data/fashion) into ./data/fashion-mnist",
    },
];

/// The data set of that name.
pub(super) fn by_name(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// The data set that has exactly these files.
pub(super) fn by_hashes(sha256: &[String; 4]) -> Option<&'static Known> {
    KNOWN.iter().find(|known| {
        known
            .sha256
            .iter()
            .zip(sha256)
            .all(|(known, found)| known == found)
    })
}

/// The data set and file that have this digest.
pub(super) fn by_hash(sha256: &str) -> Option<(&'static Known, DataFile)> {
    let files = KNOWN
        .iter()
        .flat_map(|known| DataFile::ALL.map(|file| (known, file)));
    files
        .into_iter()
        .find(|(known, file)| known.sha256_of(*file) == sha256)
}
