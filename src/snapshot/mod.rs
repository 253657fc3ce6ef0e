//! One environment, immutable: content, served versions, compiled flags,
//! ready answers and the change log. Whatever did not change is shared with
//! the snapshot before.

pub mod abreast;
pub mod archive;
pub mod body;
pub mod build;
pub mod content;
mod deflate;
pub mod difference;
pub mod digests;
pub mod follow;
pub mod item;
pub mod ledger;
pub mod lists;
pub mod log;
pub mod report;
pub mod reread;
pub mod served;
pub mod target_changes;
pub mod tree;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::evaluate::CompiledEnvironment;
use crate::model::Target;
use body::Body;
use content::{Content, EnvironmentId, KeyHash};
use digests::Digests;
use item::Digest;
use ledger::Ledger;
use log::ChangeLog;
use served::ServedItem;
use target_changes::TargetChanges;

/// The random id of a writer's life. Sequences of different epochs cannot be
/// compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Epoch {
    /// Reads what `Display` wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok().map(Epoch)).flatten()
    }
}

/// Which state of an environment this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    pub epoch: Epoch,
    /// +1 for each applied change.
    pub sequence: u64,
    /// Over source content only: equal digests, equal content.
    pub digest: Digest,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.epoch, self.sequence, self.digest)
    }
}

impl Revision {
    /// Reads what `Display` wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let (epoch, sequence, digest) = (parts.next()?, parts.next()?, parts.next()?);
        let (epoch, sequence) = (Epoch::parse(epoch)?, sequence.parse().ok()?);
        Some(Revision { epoch, sequence, digest: Digest::from_hex(digest)? })
    }
}

/// How the environment is called where its flags say so; "" where not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// `environmentIdentifier` of SDK tokens.
    pub environment: String,
    pub project: String,
    /// `accountID` of SDK tokens; only upstream says it.
    pub account: String,
}

impl Names {
    /// These, and where they are "" the other ones.
    #[must_use]
    pub fn or(&self, other: &Names) -> Names {
        let pick = |one: &String, other: &String| if one.is_empty() { other.clone() } else { one.clone() };
        Names {
            environment: pick(&self.environment, &other.environment),
            project: pick(&self.project, &other.project),
            account: pick(&self.account, &other.account),
        }
    }
}

/// Targets by identifier.
pub type Targets = HashMap<Arc<str>, Arc<Target>>;

/// Everything the relay serves for one environment at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub environment: EnvironmentId,
    pub names: Names,
    pub revision: Revision,
    pub content: Content,
    pub digests: Digests,
    pub ledger: Ledger,
    pub compiled: Arc<CompiledEnvironment>,
    /// Sorted by identifier.
    pub flags: Vec<Arc<ServedItem>>,
    /// Sorted by identifier.
    pub segments: Vec<Arc<ServedItem>>,
    pub flags_body: Body,
    /// The answer to `rules=v2`.
    pub segments_body: Body,
    pub legacy_segments_body: Body,
    /// Configured targets by identifier.
    pub targets: Arc<Targets>,
    /// What server-side SDKs are told.
    pub log: ChangeLog,
    /// What client-side SDKs are told: dependent flags too.
    pub client_log: ChangeLog,
    /// Counts the snapshots of the environment in this process: the place of
    /// its changes in the logs.
    pub place: u64,
    /// True if another relay wrote this state: its epoch and sequence are not
    /// this relay's to go on with.
    pub followed: bool,
    pub target_changes: TargetChanges,
    /// What its content came by; under this name it is stored.
    pub credential: Arc<str>,
    /// Unix seconds of the last change.
    pub changed_at: i64,
}

impl Snapshot {
    #[must_use]
    pub fn flag(&self, identifier: &str) -> Option<&Arc<ServedItem>> {
        find(&self.flags, identifier)
    }

    #[must_use]
    pub fn segment(&self, identifier: &str) -> Option<&Arc<ServedItem>> {
        find(&self.segments, identifier)
    }

    #[must_use]
    pub fn has_key(&self, hash: &KeyHash) -> bool {
        self.content.key_hashes.binary_search(hash).is_ok()
    }
}

fn find<'a>(items: &'a [Arc<ServedItem>], identifier: &str) -> Option<&'a Arc<ServedItem>> {
    items.binary_search_by(|served| served.item.identifier().cmp(identifier)).ok().and_then(|index| items.get(index))
}
