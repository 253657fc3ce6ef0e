//! What a follower has of its leader: per environment the state and the
//! content that the next difference applies to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::proto::snapshot::v1 as proto;
use crate::snapshot::Revision;
use crate::snapshot::content::{Content, EnvironmentId};
use crate::snapshot::follow::LeaderState;
use crate::source::intake::{Delivery, Durable, Intake};
use crate::store::durable::DurableError;
use crate::store::source_status::SourceKind;
use crate::store::writer::{Offered, PrepareError};
use crate::transfer::write_revision;

/// By environment.
#[derive(Clone, Debug, Default)]
pub struct Known {
    states: BTreeMap<EnvironmentId, (Revision, Content)>,
}

impl Known {
    /// The state of an environment.
    #[must_use]
    pub fn state(&self, id: &EnvironmentId) -> Option<(&Revision, &Content)> {
        self.states.get(id).map(|(revision, content)| (revision, content))
    }

    /// Notes a state.
    pub fn set(&mut self, id: EnvironmentId, revision: Revision, content: Content) {
        self.states.insert(id, (revision, content));
    }

    /// Forgets an environment: its next update is everything.
    pub fn forget(&mut self, id: &EnvironmentId) {
        self.states.remove(id);
    }

    #[must_use]
    pub fn environments(&self) -> BTreeSet<EnvironmentId> {
        self.states.keys().cloned().collect()
    }

    /// What a subscription says of it.
    #[must_use]
    pub fn message(&self) -> Vec<proto::EnvironmentRevision> {
        let row = |(id, (revision, _)): (&EnvironmentId, &(Revision, Content))| proto::EnvironmentRevision {
            environment_id: id.to_string(),
            revision: Some(write_revision(revision)),
        };
        self.states.iter().map(row).collect()
    }
}

/// Why what is stored cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Durable(#[from] DurableError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
}

/// Serves what an earlier life had of others under a credential: a leader,
/// or Redis. `wanted` is empty for all; of `elsewhere` something is stored
/// under another credential, too, and the one that was served last counts.
///
/// # Errors
/// The data directory cannot be read.
pub fn restore(
    intake: &mut Intake,
    durable: Option<&Durable>,
    (credential, kind): (&str, SourceKind),
    (wanted, elsewhere): (&[String], &BTreeSet<EnvironmentId>),
    now_unix_s: i64,
) -> Result<Known, RestoreError> {
    let mut known = Known::default();
    let Some(durable) = durable else { return Ok(known) };
    let (stored, damaged) = durable.directory.read_snapshots(&BTreeSet::from([Arc::from(credential)]))?;
    for error in damaged {
        tracing::error!(%error, "a stored snapshot is damaged and is not served; it is fetched again");
    }
    let mut offered = BTreeMap::new();
    for it in stored {
        if !wanted.is_empty() && !wanted.iter().any(|id| *id == it.environment.as_str()) {
            continue;
        }
        let past = durable.directory.read_past(&it.environment).unwrap_or_else(|error| {
            tracing::error!(environment = %it.environment, %error, "the ledger of served versions is lost");
            None
        });
        let digest = it.content.digest();
        if elsewhere.contains(&it.environment) && past.as_ref().and_then(|stored| stored.digest) != Some(digest) {
            continue;
        }
        // What this relay itself wrote is no state of a leader.
        let leader = past.filter(|stored| stored.past.followed).map(|stored| {
            let whole = stored.digest == Some(digest);
            // Of a content that is older than its ledger nobody knows the sequence.
            let sequence = if whole { stored.past.sequence } else { 0 };
            LeaderState {
                revision: Revision { epoch: stored.past.epoch, sequence, digest },
                floor: stored.past.ledger.floor,
                rows: if whole { stored.past.ledger.rows_since(None) } else { BTreeMap::new() },
                complete: false,
            }
        });
        if let Some(leader) = &leader {
            known.set(it.environment.clone(), leader.revision, it.content.clone());
        }
        let offer = Offered { content: it.content, leader, credential: it.credential, served: None };
        offered.insert(it.environment, offer);
    }
    if !offered.is_empty() {
        tracing::info!(environments = offered.len(), "serving what data-dir holds until its source answers");
        intake.swap_in(Delivery::of(kind, offered), now_unix_s)?;
    }
    Ok(known)
}
