//! What operators may have changed through the admin API, and by whom it is
//! done: the seam between the API and the side that writes.

use std::fmt;
use std::fs::File;

use futures_util::future::BoxFuture;

use crate::snapshot::Revision;
use crate::snapshot::archive::Compression;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::{Digest, ItemKey};
use crate::snapshot::ledger::{ChangeKind, ServedVersions};

/// What becomes of environments that an archive does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImportMode {
    /// They stay.
    #[default]
    ReplaceEnvironments,
    /// They go.
    ReplaceAll,
}

/// How an archive is imported.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    pub validate_only: bool,
    pub mode: ImportMode,
    /// Only if [`Index::content_digest`](super::Index::content_digest) is
    /// this.
    pub expected_digest: Option<Digest>,
    /// Names the import; the same again changes nothing.
    pub request_id: String,
    /// Also where another source gives the configuration.
    pub override_upstream: bool,
}

/// An archive that was received whole and whose checksum is right.
#[derive(Debug)]
pub struct ReceivedArchive {
    /// Read from its beginning.
    pub file: File,
    pub size: u64,
    pub sha256: Digest,
    pub compression: Compression,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default)]
pub struct ImportReport {
    pub request_id: String,
    pub sha256: Digest,
    pub validated_only: bool,
    pub repeated: bool,
    pub environments: Vec<EnvironmentReport>,
    pub warnings: Vec<String>,
}

/// What an import did to one environment.
#[derive(Clone, Debug)]
pub struct EnvironmentReport {
    pub id: EnvironmentId,
    pub outcome: EnvironmentOutcome,
    pub before: Option<Revision>,
    pub after: Option<Revision>,
    /// Flags, segments and configured targets.
    pub items: Vec<(ItemKey, ChangeKind)>,
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
    pub key_hashes_added: usize,
    pub key_hashes_removed: usize,
    pub source_paused: bool,
}

/// What happened to an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvironmentOutcome {
    Unchanged,
    Added,
    Changed,
    Removed,
}

/// Why nothing was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportFault {
    /// Cut short, or not what was sent.
    Corrupt,
    /// Of a later format.
    Unsupported,
    /// Content that cannot be served.
    Invalid,
    /// Above a limit.
    TooLarge,
    /// What is served is not what was expected.
    DigestMismatch,
    /// Another source gives the configuration.
    Owned,
    /// It could not be kept.
    Persist,
    /// The request contradicts itself.
    Request,
    /// The process ends.
    Ending,
}

/// Why something that an operator wanted was not done.
#[derive(Clone, Debug)]
pub struct AdministrationError {
    pub fault: ImportFault,
    pub message: String,
}

impl fmt::Display for AdministrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Does what operators want changed.
pub trait Administrator: fmt::Debug + Send + Sync + 'static {
    /// Imports an archive, or says what that would do. Nothing is changed
    /// when it fails.
    fn import(
        &self,
        archive: ReceivedArchive,
        options: ImportOptions,
    ) -> BoxFuture<'_, Result<ImportReport, AdministrationError>>;

    /// Takes into account what another relay gave out above this one: where
    /// the content is this relay's own, versions go on above it.
    fn learn_served(&self, environment: &EnvironmentId, served: ServedVersions) -> BoxFuture<'_, ()>;

    /// Gives an environment back to its own source, or has the source asked
    /// for everything anew. Says whether it had been paused.
    fn resync(&self, environment: &EnvironmentId) -> BoxFuture<'_, Result<bool, AdministrationError>>;
}
