//! The state that the lines of a journal come to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::aggregate::Rows;
use super::batch::{Batch, BatchId};
use super::entry::Entry;
use super::key::{Attributes, RowKey, Tally};
use super::parse::MetricsRow;

/// What an environment had.
#[derive(Debug, Default)]
pub struct Restored {
    pub rows: Rows,
    /// With whether each may have been sent; in their order.
    pub batches: Vec<(Batch, bool)>,
    pub active_ms: i64,
}

/// Reads lines.
#[derive(Debug, Default)]
pub struct Replay {
    environments: BTreeMap<String, State>,
    /// Where each batch is.
    places: HashMap<BatchId, String>,
}

#[derive(Debug, Default)]
struct State {
    rows: HashMap<RowKey, Tally>,
    targets: HashMap<Arc<str>, Arc<str>>,
    batches: Vec<(Batch, bool)>,
    active_ms: i64,
}

impl Replay {
    /// Takes the next line.
    pub fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Added { environment, at, rows } => {
                let state = self.environments.entry(environment).or_default();
                state.active_ms = state.active_ms.max(at);
                for (key, tally) in rows.rows {
                    state.rows.entry(key).or_default().add(tally);
                }
                state.targets.extend(rows.targets);
            }
            Entry::Frozen { environment, batch } => {
                self.environments.entry(environment.clone()).or_default().subtract(&batch);
                self.put(environment, batch, false);
            }
            Entry::Waiting { environment, batch, sent } => self.put(environment, batch, sent),
            Entry::Sending(id) => self.mark(id, true),
            Entry::Refused(id) => self.mark(id, false),
            Entry::Halved { id, into } => {
                if let Some(environment) = self.places.remove(&id)
                    && let Some(state) = self.environments.get_mut(&environment)
                    && let Some(place) = state.batches.iter().position(|(batch, _)| batch.id == id)
                {
                    into.iter().for_each(|half| drop(self.places.insert(half.id, environment.clone())));
                    state.batches.splice(place..=place, into.map(|half| (half, false)));
                }
            }
            Entry::Done(id) => {
                if let Some(state) = self.places.remove(&id).and_then(|place| self.environments.get_mut(&place)) {
                    state.batches.retain(|(batch, _)| batch.id != id);
                }
            }
            Entry::Gone(environment) => {
                if let Some(state) = self.environments.remove(&environment) {
                    state.batches.iter().for_each(|(batch, _)| drop(self.places.remove(&batch.id)));
                }
            }
        }
    }

    /// What there was at the end, environments with nothing left out.
    #[must_use]
    pub fn finish(self) -> BTreeMap<String, Restored> {
        let restored = self.environments.into_iter().map(|(environment, state)| {
            let rows = Rows { rows: state.rows.into_iter().collect(), targets: state.targets.into_iter().collect() };
            (environment, Restored { rows, batches: state.batches, active_ms: state.active_ms })
        });
        restored.filter(|(_, restored)| !restored.rows.is_empty() || !restored.batches.is_empty()).collect()
    }

    fn put(&mut self, environment: String, batch: Batch, sent: bool) {
        self.places.insert(batch.id, environment.clone());
        self.environments.entry(environment).or_default().batches.push((batch, sent));
    }

    fn mark(&mut self, id: BatchId, sent: bool) {
        let state = self.places.get(&id).and_then(|place| self.environments.get_mut(place));
        let batch = state.and_then(|state| state.batches.iter_mut().find(|(batch, _)| batch.id == id));
        if let Some((_, was_sent)) = batch {
            *was_sent = sent;
        }
    }
}

impl State {
    /// Takes a batch's rows out of the sums.
    fn subtract(&mut self, batch: &Batch) {
        let (metrics, targets) = batch.row_texts();
        for text in metrics {
            let Ok(row) = serde_json::from_str::<MetricsRow>(text) else { continue };
            let key = RowKey::new(&Attributes::of(&row));
            if let Some(tally) = self.rows.get_mut(&key) {
                tally.count = tally.count.saturating_sub(u64::try_from(row.count).unwrap_or_default());
                if tally.count == 0 {
                    self.rows.remove(&key);
                }
            }
        }
        // A newer row of the same target stays.
        for text in targets {
            let identifier = serde_json::from_str::<Identified>(text).map(|row| row.identifier).unwrap_or_default();
            if self.targets.get(identifier.as_str()).is_some_and(|json| &**json == text) {
                self.targets.remove(identifier.as_str());
            }
        }
    }
}

#[derive(serde::Deserialize)]
struct Identified {
    identifier: String,
}
