//! Sources that an import has paused: what they bring meanwhile is kept, not
//! served, until an operator resyncs the environment or, for a directory, its
//! content there changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::intake::{Delivery, Intake};
use crate::snapshot::content::{Content, EnvironmentId};
use crate::store::durable::DurableError;
use crate::store::durable::paused::{Paused, paused_file, paused_name};
use crate::store::source_status::SourceKind;
use crate::store::writer::{Offered, PrepareError};

/// What imported content is stored under where a source is paused for it.
pub const IMPORT_CREDENTIAL: &str = "import";

/// One paused source.
#[derive(Debug)]
pub struct Pause {
    pub record: Paused,
    pub withheld: Withheld,
}

/// What a paused source brought last.
#[derive(Clone, Debug, Default)]
pub enum Withheld {
    /// Nothing yet, or it has to be asked again.
    #[default]
    Nothing,
    Content(SourceKind, Box<Offered>),
    /// It no longer has the environment.
    Gone,
}

/// Why an environment could not be given back to its source.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    #[error(transparent)]
    Durable(#[from] DurableError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
}

impl Intake {
    /// Serves what was imported over a source before the process started.
    ///
    /// # Errors
    /// The data directory cannot be read.
    pub fn restore_imports(&mut self, now_unix_s: i64) -> Result<(), ResumeError> {
        let Some(durable) = self.durable.clone() else { return Ok(()) };
        let paused = durable.directory.read_paused()?;
        if paused.is_empty() {
            return Ok(());
        }
        let (stored, damaged) = durable.directory.read_snapshots(&BTreeSet::from([Arc::from(IMPORT_CREDENTIAL)]))?;
        for error in damaged {
            tracing::error!(%error, "an imported snapshot is damaged and is not served; import it again");
        }
        let wanted = |id: &EnvironmentId| paused.iter().any(|(known, record)| known == id && !record.removed);
        let offered = stored.into_iter().filter(|it| wanted(&it.environment)).map(|it| {
            (it.environment, Offered { content: it.content, credential: it.credential, ..Offered::default() })
        });
        let ready = self.prepare(offered.collect(), BTreeSet::new(), now_unix_s)?;
        self.commit(ready, SourceKind::Import, true);
        for (environment, record) in paused {
            tracing::warn!(
                %environment,
                request_id = record.source.request_id,
                "its source is paused by an import; `ff-relay resync` gives it back"
            );
            let withheld = if record.new { Withheld::Gone } else { Withheld::Nothing };
            self.paused.insert(environment, Pause { record, withheld });
        }
        self.show_paused();
        Ok(())
    }

    /// Takes what belongs to paused sources out of a delivery.
    pub(super) fn withhold(&mut self, delivery: &mut Delivery) {
        if self.paused.is_empty() {
            return;
        }
        let mut resumed = Vec::new();
        let kind = delivery.kind;
        for (id, pause) in &mut self.paused {
            let changed = |content: Option<&Content>| {
                kind == SourceKind::File && content.map(Content::digest) != pause.record.directory
            };
            if let Some(offered) = delivery.offered.remove(id) {
                if changed(Some(&offered.content)) {
                    delivery.offered.insert(id.clone(), offered);
                    resumed.push(id.clone());
                    continue;
                }
                // A leader's state has to be asked for anew: what it leads from will be another one.
                pause.withheld = match kind {
                    SourceKind::Peer | SourceKind::Redis => Withheld::Nothing,
                    _ => Withheld::Content(kind, Box::new(offered)),
                };
            } else if delivery.removed.contains(id) {
                if changed(None) {
                    resumed.push(id.clone());
                    continue;
                }
                delivery.removed.remove(id);
                pause.withheld = Withheld::Gone;
            }
        }
        for id in resumed {
            tracing::info!(environment = %id, "the directory has other content than when an import took its place; it is served again");
            self.paused.remove(&id);
            if let Err(error) = self.keep_paused() {
                tracing::error!(%error, "that its source is not paused any more could not be written");
            }
            self.forget_import(&id);
        }
        self.show_paused();
    }

    /// Gives an environment back to its source. False if it was not paused.
    ///
    /// # Errors
    /// It cannot be noted, or what the source brought cannot be served.
    pub fn resume(&mut self, id: &EnvironmentId, now_unix_s: i64) -> Result<bool, ResumeError> {
        let Some(pause) = self.paused.remove(id) else { return Ok(false) };
        if let Err(error) = self.keep_paused() {
            self.paused.insert(id.clone(), pause);
            return Err(error.into());
        }
        self.show_paused();
        let delivery = match pause.withheld {
            Withheld::Nothing => None,
            Withheld::Content(kind, offered) => Some(Delivery::of(kind, BTreeMap::from([(id.clone(), *offered)]))),
            Withheld::Gone => Some(Delivery {
                kind: SourceKind::Import,
                offered: BTreeMap::new(),
                removed: BTreeSet::from([id.clone()]),
            }),
        };
        if let Some(delivery) = delivery {
            self.swap_in(delivery, now_unix_s)?;
        }
        self.forget_import(id);
        tracing::info!(environment = %id, "its source is not paused any more");
        Ok(true)
    }

    /// Every paused source.
    #[must_use]
    pub fn pauses(&self) -> Vec<(EnvironmentId, Paused)> {
        self.paused.iter().map(|(id, pause)| (id.clone(), pause.record.clone())).collect()
    }

    /// Takes over which sources are paused from the relay that fed the
    /// others before: these, and no other.
    pub fn adopt_pauses(&mut self, pauses: Vec<(EnvironmentId, Paused)>) {
        let named: BTreeSet<&EnvironmentId> = pauses.iter().map(|(id, _)| id).collect();
        let over: Vec<EnvironmentId> = self.paused.keys().filter(|id| !named.contains(id)).cloned().collect();
        over.iter().for_each(|id| drop(self.paused.remove(id)));
        for (id, record) in pauses {
            if let Some(environment) = self.store().index().environment(id.as_str()) {
                environment.source.store(Arc::new(SourceKind::Import));
            }
            let withheld = if record.new { Withheld::Gone } else { Withheld::Nothing };
            self.paused.entry(id).or_insert(Pause { record, withheld });
        }
        if let Err(error) = self.keep_paused() {
            tracing::error!(%error, "which sources are paused could not be written");
        }
        self.show_paused();
    }

    /// True while an import stands in for the environment's source.
    #[must_use]
    pub fn is_paused(&self, id: &EnvironmentId) -> bool {
        self.paused.contains_key(id)
    }

    fn keep_paused(&self) -> Result<(), DurableError> {
        let Some(durable) = &self.durable else { return Ok(()) };
        let file = paused_file(self.paused.iter().map(|(id, pause)| (id, &pause.record)))?;
        durable.directory.write(paused_name(), file)
    }

    fn forget_import(&self, id: &EnvironmentId) {
        if let Some(durable) = &self.durable
            && let Err(error) = durable.directory.remove_snapshot(id, IMPORT_CREDENTIAL)
        {
            tracing::warn!(environment = %id, %error, "what was imported could not be removed; it is not served again");
        }
    }

    /// Lets health and operators see it.
    pub(super) fn show_paused(&self) {
        let paused = self.paused.iter().map(|(id, pause)| (id, &pause.record.source));
        self.writer.show_paused(paused);
    }
}
