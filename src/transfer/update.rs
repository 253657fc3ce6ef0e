//! An update as a follower sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prost::Message as _;

use super::reading::{FromMessage, leader_state, revision_of};
use crate::proto::snapshot::v1 as proto;
use crate::snapshot::content::{Content, KeyHash};
use crate::snapshot::follow::LeaderState;
use crate::snapshot::item::{Item, ItemKey, ItemKind};
use crate::snapshot::{Names, Revision};

/// What happened to an environment.
#[derive(Debug)]
pub struct Update {
    pub leader: LeaderState,
    pub names: Names,
    change: Change,
}

#[derive(Debug)]
enum Change {
    Unchanged,
    Delta {
        from: Revision,
        upserts: Vec<Arc<Item>>,
        removals: BTreeSet<ItemKey>,
        key_hashes: Option<Vec<KeyHash>>,
        all_targets: bool,
    },
    Full {
        items: Vec<Arc<Item>>,
        key_hashes: Vec<KeyHash>,
    },
}

/// The content that an update leads to.
#[derive(Debug)]
pub struct Assembled {
    pub content: Content,
    pub leader: LeaderState,
    pub names: Names,
}

impl Update {
    /// Reads a payload.
    ///
    /// # Errors
    /// What of it does not fit.
    pub fn read(payload: &[u8]) -> Result<Self, String> {
        use proto::environment_update::Change as Wire;
        let message = proto::EnvironmentUpdate::decode(payload).map_err(|error| error.to_string())?;
        match message.change.ok_or("the update says nothing")? {
            Wire::Unchanged(it) => Ok(Update {
                leader: leader_state(revision_of(it.revision)?, it.ledger)?,
                names: Names::from_message(it.names)?,
                change: Change::Unchanged,
            }),
            Wire::Delta(it) => Ok(Update {
                leader: leader_state(revision_of(it.to)?, it.ledger)?,
                names: Names::from_message(it.names)?,
                change: Change::Delta {
                    from: revision_of(it.from)?,
                    upserts: it.upserts.into_iter().map(<Arc<Item>>::from_message).collect::<Result<_, _>>()?,
                    removals: it.removals.into_iter().map(ItemKey::from_message).collect::<Result<_, _>>()?,
                    key_hashes: it.key_hashes.map(<Vec<KeyHash>>::from_message).transpose()?,
                    all_targets: it.all_targets,
                },
            }),
            Wire::FullState(it) => Ok(Update {
                leader: leader_state(revision_of(it.revision)?, it.ledger)?,
                names: Names::from_message(it.names)?,
                change: Change::Full {
                    items: it.items.into_iter().map(<Arc<Item>>::from_message).collect::<Result<_, _>>()?,
                    key_hashes: <Vec<KeyHash>>::from_message(it.key_hashes.unwrap_or_default())?,
                },
            }),
        }
    }

    /// Puts the new content together. `base` is what the follower has.
    ///
    /// # Errors
    /// The update begins at another state.
    pub fn assemble(self, base: Option<(&Revision, &Content)>) -> Result<Assembled, String> {
        let Update { leader, names, change } = self;
        let needed = || base.ok_or("it begins at a state that is not here");
        let content = match change {
            Change::Unchanged => needed()?.1.clone(),
            Change::Full { items, key_hashes } => {
                Content::new(items, key_hashes).map_err(|duplicate| duplicate.to_string())?
            }
            Change::Delta { from, upserts, removals, key_hashes, all_targets } => {
                let (known, base) = needed()?;
                if *known != from {
                    return Err(format!(
                        "it begins at {}:{} and not at {}:{}, which is here",
                        from.epoch, from.sequence, known.epoch, known.sequence
                    ));
                }
                let all = base.items().chain(base.targets.iter().filter(|_| !all_targets));
                let mut items: BTreeMap<&ItemKey, &Arc<Item>> = all.map(|item| (&item.key, item)).collect();
                items.retain(|key, _| !removals.contains(key));
                items.extend(upserts.iter().map(|item| (&item.key, item)));
                sorted(items.into_values().cloned(), key_hashes.unwrap_or_else(|| base.key_hashes.clone()))
            }
        };
        Ok(Assembled { content, leader, names })
    }
}

/// Items come sorted by kind and identifier, each once.
fn sorted(items: impl Iterator<Item = Arc<Item>>, mut key_hashes: Vec<KeyHash>) -> Content {
    key_hashes.sort_unstable();
    key_hashes.dedup();
    let mut content = Content { key_hashes, ..Content::default() };
    for item in items {
        match item.key.kind {
            ItemKind::Flag => content.flags.push(item),
            ItemKind::Segment => content.segments.push(item),
            ItemKind::Target => content.targets.push(item),
        }
    }
    content
}
