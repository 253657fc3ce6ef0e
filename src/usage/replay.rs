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
    seen: Vec<(BatchId, i64)>,
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
                self.seen.extend(rows.reports.into_iter().map(|id| (id, at)));
                let state = self.environments.entry(environment).or_default();
                state.active_ms = state.active_ms.max(at);
                for (key, tally) in rows.rows {
                    state.rows.entry(key).or_default().add(tally);
                }
                state.targets.extend(rows.targets);
            }
            Entry::Seen(seen) => self.seen.extend(seen),
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

    /// What there was at the end, environments with nothing left out; and
    /// the batches of other relays that were taken.
    #[must_use]
    pub fn finish(self) -> (BTreeMap<String, Restored>, Vec<(BatchId, i64)>) {
        let restored = self.environments.into_iter().map(|(environment, state)| {
            let (rows, targets) = (state.rows.into_iter().collect(), state.targets.into_iter().collect());
            let rows = Rows { rows, targets, reports: Vec::new() };
            (environment, Restored { rows, batches: state.batches, active_ms: state.active_ms })
        });
        let some = restored.filter(|(_, restored)| !restored.rows.is_empty() || !restored.batches.is_empty());
        (some.collect(), self.seen)
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
            let Ok(row) = serde_json::from_str::<MetricsRow<'_>>(text) else { continue };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::aggregate::Rooms;
    use crate::usage::entry;
    use crate::usage::room::Room;

    fn rows(counts: &[(&str, u64)], targets: &[(&str, &str)]) -> Rows {
        let row = |(flag, count): &(&str, u64)| {
            let identity = Arc::from(format!("[\"{flag}\",null,null,null,null,null]"));
            (RowKey { identity, target: Some(Arc::from("t")) }, Tally { count: *count, timestamp: 1 })
        };
        let target = |(id, name): &(&str, &str)| {
            (Arc::from(*id), Arc::from(format!("{{\"identifier\":\"{id}\",\"name\":\"{name}\"}}")))
        };
        Rows {
            rows: counts.iter().map(row).collect(),
            targets: targets.iter().map(target).collect(),
            reports: Vec::new(),
        }
    }

    fn batch(id: u128, counts: &[(&str, u64)], targets: &[(&str, &str)]) -> Batch {
        let rooms = Rooms { rows: Room::new(0, 0), targets: Room::new(0, 0) };
        let mut rows = rows(counts, targets);
        rows.rows.iter().for_each(|(key, _)| rooms.rows.take_in_any_case(key.bytes()));
        rows.targets
            .iter()
            .for_each(|(id, json)| rooms.targets.take_in_any_case(super::super::key::target_bytes(id, json)));
        Batch::freeze(&mut rows, BatchId(id), &rooms).unwrap()
    }

    /// Evaluations in sums, targets in sums, batches with whether they may
    /// have been sent.
    type Shown = (String, u64, u64, Vec<(u128, bool)>);

    fn replayed(lines: &[String]) -> Vec<Shown> {
        let mut replay = Replay::default();
        lines.iter().for_each(|line| replay.apply(Entry::parse(line).unwrap()));
        let shown = replay.finish().0.into_iter().map(|(environment, restored)| {
            let sum = restored.rows.sum();
            let batches = restored.batches.iter().map(|(batch, sent)| (batch.id.0, *sent)).collect();
            (environment, sum.evaluations, sum.targets, batches)
        });
        shown.collect()
    }

    #[test]
    fn lines_come_to_a_state() {
        let all = rows(&[("a", 5), ("b", 3)], &[("x", "1"), ("y", "1")]);
        let added = || entry::added("e", 7, &all);
        let newer = rows(&[("a", 2)], &[("x", "2")]);
        let frozen = batch(1, &[("a", 5)], &[("x", "1")]);
        let halves = [batch(2, &[("a", 5)], &[]), batch(3, &[], &[("x", "1")])];
        let e = |evaluations, targets, batches: &[(u128, bool)]| {
            vec![("e".to_owned(), evaluations, targets, batches.to_vec())]
        };
        let mut lines = Vec::new();
        for (line, state) in [
            (added(), e(8, 2, &[])),
            (entry::added("e", 8, &newer), e(10, 2, &[])),
            // The newer row of the target x stays.
            (entry::frozen("e", &frozen), e(5, 2, &[(1, false)])),
            (entry::sending(BatchId(1)), e(5, 2, &[(1, true)])),
            (entry::refused(BatchId(1)), e(5, 2, &[(1, false)])),
            (entry::waiting("e", &batch(9, &[("z", 1)], &[]), true), e(5, 2, &[(1, false), (9, true)])),
            (entry::halved(BatchId(1), &halves), e(5, 2, &[(2, false), (3, false), (9, true)])),
            (entry::sending(BatchId(3)), e(5, 2, &[(2, false), (3, true), (9, true)])),
            (entry::done(BatchId(2)), e(5, 2, &[(3, true), (9, true)])),
            // What is not there any more changes nothing.
            (entry::done(BatchId(2)), e(5, 2, &[(3, true), (9, true)])),
            (entry::sending(BatchId(77)), e(5, 2, &[(3, true), (9, true)])),
            (entry::gone("e"), vec![]),
        ] {
            lines.push(line);
            assert_eq!(replayed(&lines), state, "{}", lines.last().unwrap());
        }
    }
}
