//! The archive: the offline tree in one deterministic file, with a manifest
//! that vouches for it (`offline-config.md`, "The archive").

mod manifest;
mod parse;
mod read;
mod unpack;
mod write;

pub use manifest::{FORMAT_VERSION, LEDGER_FILE, MANIFEST_FILE, Manifest, ledger_from_json, ledger_to_json};
pub use read::{Limits, read};
pub use write::{Contents, write};

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::content::{Content, EnvironmentId};
use super::item::Item;
use super::ledger::ServedVersions;
use super::tree::{Part, SourceFile, SourceFiles};

/// How an archive is compressed; its name says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// An archive whose files have not been parsed yet; [`RawTree::parse`] does.
#[derive(Debug, Default)]
pub struct RawTree {
    pub environments: BTreeMap<EnvironmentId, SourceFiles>,
    pub served: BTreeMap<EnvironmentId, ServedVersions>,
    /// What the archive speaks of: a missing file of such a part means none
    /// of its kind, one of another part means that nothing is said of it.
    pub parts: BTreeSet<Part>,
    /// Targets that SDKs brought; `None` if the archive does not speak of
    /// them.
    pub learnt: Option<BTreeMap<EnvironmentId, SourceFile>>,
    /// Present if a manifest vouches for the files.
    pub manifest: Option<Manifest>,
}

/// What an archive holds.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Parts that are not in `parts` are empty here.
    pub environments: BTreeMap<EnvironmentId, Content>,
    pub served: BTreeMap<EnvironmentId, ServedVersions>,
    pub parts: BTreeSet<Part>,
    /// Targets that SDKs brought, each list sorted; `None` if the archive
    /// does not speak of them.
    pub learnt: Option<BTreeMap<EnvironmentId, Vec<Arc<Item>>>>,
}

impl Tree {
    /// A whole configuration, without targets that SDKs brought.
    #[must_use]
    pub fn whole(
        environments: BTreeMap<EnvironmentId, Content>,
        served: BTreeMap<EnvironmentId, ServedVersions>,
    ) -> Self {
        Tree { environments, served, parts: Part::ALL.into(), learnt: None }
    }
}
