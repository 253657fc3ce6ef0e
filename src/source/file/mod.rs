//! The offline source: a directory or an archive, read at start and, on
//! request, watched (`offline-config.md`).

pub mod load;
pub mod scan;
pub mod task;
pub mod watch;
pub mod write;

use std::path::{Path, PathBuf};

use crate::snapshot::archive::Compression;

/// Where offline configuration lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    pub path: PathBuf,
    /// `None` for a directory.
    pub archive: Option<Compression>,
}

impl Location {
    /// An archive by its name, else a directory.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let archive = if path.is_dir() { None } else { Compression::of(path) };
        Location { path: path.to_owned(), archive }
    }

    /// The path as messages call it.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }
}
