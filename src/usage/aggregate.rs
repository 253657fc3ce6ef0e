//! The running sums of one environment since they were last closed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::batch::BatchId;
use super::body::Lost;
use super::key::{GLOBAL_TARGET, RowKey, Tally, target_bytes};
use super::room::Room;

/// Targets told apart between two closings; evaluations of further ones
/// count for [`GLOBAL_TARGET`].
pub const MAX_TARGETS_TOLD_APART: usize = 1000;

/// Bounds of rows and of rows of `targetData`, over all environments.
#[derive(Debug)]
pub struct Rooms {
    pub rows: Room,
    pub targets: Room,
}

/// Sums by key, targets by identifier, and which of them are news to the
/// journal.
#[derive(Debug, Default)]
pub struct Aggregate {
    rows: HashMap<RowKey, Cell>,
    targets: HashMap<Arc<str>, Known>,
    told_apart: HashSet<Arc<str>>,
    news: News,
    /// When something was last added, Unix milliseconds.
    pub active_ms: i64,
}

#[derive(Debug, Default)]
struct Cell {
    tally: Tally,
    unwritten: u64,
}

#[derive(Debug)]
struct Known {
    json: Arc<str>,
    unwritten: bool,
}

#[derive(Debug, Default)]
struct News {
    rows: Vec<RowKey>,
    targets: Vec<Arc<str>>,
    reports: Vec<BatchId>,
}

/// Rows on their way: to the journal, or into batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub rows: Vec<(RowKey, Tally)>,
    /// Identifier and row of `targetData`.
    pub targets: Vec<(Arc<str>, Arc<str>)>,
    /// Batches of other relays whose rows are among them: told to the
    /// journal together with these, in one line, or not at all.
    pub reports: Vec<BatchId>,
}

impl Rows {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.reports.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() + self.targets.len()
    }

    /// Evaluations and targets in it.
    #[must_use]
    pub fn sum(&self) -> Lost {
        let evaluations = self.rows.iter().fold(0_u64, |sum, (_, tally)| sum.saturating_add(tally.count));
        Lost { evaluations, targets: self.targets.len() as u64 }
    }

    /// Gives back the room of everything in it.
    pub fn give_room_back(&self, rooms: &Rooms) {
        self.rows.iter().for_each(|(key, _)| rooms.rows.give(key.bytes()));
        self.targets.iter().for_each(|(identifier, json)| rooms.targets.give(target_bytes(identifier, json)));
    }
}

impl Aggregate {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.targets.is_empty()
    }

    /// Adds evaluations. Where there is no room for a key of their own they
    /// count for [`GLOBAL_TARGET`], if that is there. Returns what is lost.
    pub fn add_row(&mut self, mut key: RowKey, tally: Tally, rooms: &Rooms) -> Lost {
        if self.add_known(&key, tally) {
            return Lost::default();
        }
        let target = key.target.clone().filter(|target| &**target != GLOBAL_TARGET);
        let news = target.filter(|target| !self.told_apart.contains(target));
        if news.is_some() && self.told_apart.len() >= MAX_TARGETS_TOLD_APART {
            key = key.folded();
            if self.add_known(&key, tally) {
                return Lost::default();
            }
        }
        if !rooms.rows.take(key.bytes()) {
            let kept = self.add_known(&key.folded(), tally);
            return if kept { Lost::default() } else { Lost::evaluations(tally.count) };
        }
        self.told_apart.extend(news.filter(|news| key.target.as_ref() == Some(news)));
        self.news.rows.push(key.clone());
        self.rows.insert(key, Cell { tally, unwritten: tally.count });
        Lost::default()
    }

    fn add_known(&mut self, key: &RowKey, tally: Tally) -> bool {
        let Some(cell) = self.rows.get_mut(key) else {
            return false;
        };
        if cell.unwritten == 0 {
            self.news.rows.push(key.clone());
        }
        cell.unwritten = cell.unwritten.saturating_add(tally.count);
        cell.tally.add(tally);
        true
    }

    /// Adds a row of `targetData`; the newest of an identifier counts.
    /// Returns what is lost: that row, an older one stays.
    pub fn add_target(&mut self, identifier: Arc<str>, json: Arc<str>, rooms: &Rooms) -> Lost {
        let bytes = target_bytes(&identifier, &json);
        let before = match self.targets.get(&identifier) {
            Some(known) if known.json == json => return Lost::default(),
            Some(known) => Some((target_bytes(&identifier, &known.json), known.unwritten)),
            None => None,
        };
        if let Some((before, _)) = before {
            rooms.targets.give(before);
        }
        if !rooms.targets.take(bytes) {
            if let Some((before, _)) = before {
                rooms.targets.take_in_any_case(before);
            }
            return Lost { evaluations: 0, targets: 1 };
        }
        if !before.is_some_and(|(_, unwritten)| unwritten) {
            self.news.targets.push(Arc::clone(&identifier));
        }
        self.targets.insert(identifier, Known { json, unwritten: true });
        Lost::default()
    }

    /// Notes that the rows of another relay's batch were added just now.
    pub fn note_report(&mut self, id: BatchId) {
        self.news.reports.push(id);
    }

    /// Batches that the journal has not been told of.
    pub fn unwritten_reports(&self) -> impl Iterator<Item = BatchId> {
        self.news.reports.iter().copied()
    }

    /// Up to `limit` sums that came since the journal was last told: it has
    /// them from now on. All of them, if a batch is among them.
    pub fn take_unwritten(&mut self, limit: usize) -> Rows {
        let mut taken = Rows { reports: std::mem::take(&mut self.news.reports), ..Rows::default() };
        let limit = if taken.reports.is_empty() { limit } else { usize::MAX };
        while taken.len() < limit {
            if let Some(key) = self.news.rows.pop() {
                if let Some(cell) = self.rows.get_mut(&key) {
                    let count = std::mem::take(&mut cell.unwritten);
                    taken.rows.push((key, Tally { count, timestamp: cell.tally.timestamp }));
                }
            } else if let Some(identifier) = self.news.targets.pop() {
                if let Some(known) = self.targets.get_mut(&identifier) {
                    known.unwritten = false;
                    taken.targets.push((identifier, Arc::clone(&known.json)));
                }
            } else {
                break;
            }
        }
        taken
    }

    /// What the journal has of it.
    #[must_use]
    pub fn written(&self) -> Rows {
        let rows = self.rows.iter().filter_map(|(key, cell)| {
            let count = cell.tally.count.saturating_sub(cell.unwritten);
            (count > 0).then(|| (key.clone(), Tally { count, ..cell.tally }))
        });
        let targets = self.targets.iter().filter(|(_, known)| !known.unwritten);
        Rows {
            rows: rows.collect(),
            targets: targets.map(|(identifier, known)| (Arc::clone(identifier), Arc::clone(&known.json))).collect(),
            reports: Vec::new(),
        }
    }

    /// Ends it: everything in it. Room goes on being taken for it.
    #[must_use]
    pub fn close(self) -> Rows {
        Rows {
            rows: self.rows.into_iter().map(|(key, cell)| (key, cell.tally)).collect(),
            targets: self.targets.into_iter().map(|(identifier, known)| (identifier, known.json)).collect(),
            reports: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(keys: usize) -> Rooms {
        Rooms { rows: Room::new(keys, 1 << 30), targets: Room::new(keys, 1 << 30) }
    }

    fn key(flag: &str, target: &str) -> RowKey {
        RowKey {
            identity: Arc::from(format!("[\"{flag}\",null,null,null,null,null]")),
            target: Some(Arc::from(target)),
        }
    }

    fn one(timestamp: i64) -> Tally {
        Tally { count: 1, timestamp }
    }

    #[test]
    fn the_first_thousand_targets_are_told_apart() {
        let (rooms, mut aggregate) = (rooms(10_000), Aggregate::default());
        for round in 0..2 {
            for i in 0..1100 {
                assert_eq!(aggregate.add_row(key("f", &format!("t{i}")), one(round), &rooms), Lost::default());
            }
        }
        // A new flag for a known target is still told apart.
        let _ = aggregate.add_row(key("g", "t5"), one(0), &rooms);
        let _ = aggregate.add_row(key("g", "t1050"), one(0), &rooms);
        let closed = aggregate.close();
        assert_eq!(closed.rows.len(), 1000 + 1 + 2);
        assert_eq!(closed.sum().evaluations, 2202);
        let of = |key: &RowKey| closed.rows.iter().find(|(k, _)| k == key).map(|(_, tally)| *tally);
        assert_eq!(of(&key("f", GLOBAL_TARGET)), Some(Tally { count: 200, timestamp: 1 }));
        assert_eq!(of(&key("g", GLOBAL_TARGET)), Some(one(0)));
        assert_eq!(rooms.rows.keys(), 1003);
        closed.give_room_back(&rooms);
        assert_eq!((rooms.rows.keys(), rooms.rows.bytes()), (0, 0));
    }

    #[test]
    fn without_room_counts_are_folded_or_lost() {
        let (rooms, mut aggregate) = (rooms(2), Aggregate::default());
        let _ = aggregate.add_row(key("f", GLOBAL_TARGET), one(0), &rooms);
        let _ = aggregate.add_row(key("f", "t"), one(0), &rooms);
        assert_eq!(aggregate.add_row(key("f", "u"), one(0), &rooms), Lost::default());
        assert_eq!(aggregate.add_row(key("g", "u"), one(0), &rooms), Lost::evaluations(1));
        assert_eq!(aggregate.close().sum().evaluations, 3);
    }

    #[test]
    fn targets_are_kept_once_and_within_bounds() {
        let (rooms, mut aggregate) = (rooms(2), Aggregate::default());
        let mut add = |id: &str, json: &str| aggregate.add_target(Arc::from(id), Arc::from(json), &rooms).targets;
        assert_eq!([add("a", "1"), add("b", "1"), add("a", "2"), add("c", "1"), add("a", "2")], [0, 0, 0, 1, 0]);
        assert_eq!(aggregate.take_unwritten(10).targets.len(), 2);
        let closed = aggregate.close();
        assert!(closed.targets.contains(&(Arc::from("a"), Arc::from("2"))));
        closed.give_room_back(&rooms);
        assert_eq!((rooms.targets.keys(), rooms.targets.bytes()), (0, 0));
    }

    #[test]
    fn the_journal_is_told_of_each_count_once() {
        let (rooms, mut aggregate) = (rooms(100), Aggregate::default());
        let mut told = 0;
        for round in 0..50_u64 {
            for i in 0..7 {
                let _ = aggregate.add_row(key(&format!("f{}", (round + i) % 10), "t"), one(0), &rooms);
            }
            if round % 3 == 0 {
                told += aggregate.take_unwritten(4).sum().evaluations;
                assert_eq!(aggregate.written().sum().evaluations, told);
            }
        }
        told += aggregate.take_unwritten(1000).sum().evaluations;
        assert!(aggregate.take_unwritten(1000).is_empty());
        assert_eq!(told, 350);
        assert_eq!(aggregate.written().sum(), aggregate.close().sum());
    }
}
