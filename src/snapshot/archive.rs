//! The archive: the offline tree in one deterministic file, with a manifest
//! that vouches for it (`offline-config.md`, "The archive").

mod manifest;
mod read;
mod write;

pub use manifest::{LEDGER_FILE, MANIFEST_FILE, Manifest, ledger_from_json, ledger_to_json};
pub use read::{Limits, read};
pub use write::write;

use std::collections::BTreeMap;
use std::path::Path;

use super::content::{Content, EnvironmentId};
use super::ledger::ServedVersions;
use super::tree::SourceFiles;

/// How an archive is compressed; its name says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// The compression that a file name stands for; `None` if it is no
    /// archive's name.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
            Some(Compression::Gzip)
        } else if name.ends_with(".tar.zst") || name.ends_with(".tzst") {
            Some(Compression::Zstd)
        } else {
            None
        }
    }
}

/// An offline tree whose files have not been parsed yet.
#[derive(Debug, Default)]
pub struct RawTree {
    pub environments: BTreeMap<EnvironmentId, SourceFiles>,
    pub served: BTreeMap<EnvironmentId, ServedVersions>,
    /// Present if a manifest vouches for the files.
    pub manifest: Option<Manifest>,
}

/// What an archive is made of.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub environments: BTreeMap<EnvironmentId, Content>,
    pub served: BTreeMap<EnvironmentId, ServedVersions>,
}
