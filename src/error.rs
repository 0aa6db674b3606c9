//! Everything that can go wrong, in one type.

use fanin_kernels::IsaError;

/// Why fanin could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value that a run cannot have.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// A network that cannot be built.
    #[error(transparent)]
    Network(#[from] crate::network::NetworkError),
    /// Samples that cannot be made.
    #[error(transparent)]
    Samples(#[from] crate::samples::SamplesError),
    /// A data set that cannot be read.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// A network file that cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
    /// A figure that cannot be written.
    #[error("{path}: {reason}")]
    Figure {
        /// The file.
        path: std::path::PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// A figure that cannot be drawn.
    #[error(transparent)]
    Drawing(#[from] crate::report::FigureError),
    /// A report that cannot be written.
    #[error(transparent)]
    Report(#[from] crate::report::ReportError),
    /// A sweep that asks for what is impossible.
    #[error(transparent)]
    Spec(#[from] crate::sweep::SpecError),
    /// Results that cannot be kept or read.
    #[error(transparent)]
    Store(#[from] crate::sweep::store::StoreError),
    /// A table of runs that cannot be written.
    #[error(transparent)]
    Export(#[from] crate::sweep::export::ExportError),
    /// A description of a sweep that cannot be read or written.
    #[error(transparent)]
    Manifest(#[from] crate::sweep::ManifestError),
    /// A selection of runs that says nothing.
    #[error(transparent)]
    Selection(#[from] crate::sweep::SelectionError),
    /// An instruction set that cannot be had.
    #[error(transparent)]
    Isa(#[from] IsaError),
    /// The memory for a run cannot be had.
    #[error("not enough memory: {0}")]
    Memory(#[from] std::collections::TryReserveError),
    /// The threads for a run cannot be had.
    #[error("cannot start the threads: {0}")]
    Threads(std::io::Error),
}
