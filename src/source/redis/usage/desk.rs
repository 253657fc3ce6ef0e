//! What the leader has in its hands of the other relays' batches, and which
//! goes out next. No network of its own.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::group::Entry;
use crate::snapshot::content::EnvironmentId;
use crate::usage::Delivery;
use crate::usage::backoff::{Backoff, Waits};
use crate::usage::batch::BatchId;

/// A batch that is under way under another entry is looked at again then.
const SOON: Duration = Duration::from_millis(500);

/// An entry, and what became of the attempt to send it.
pub(super) type Sent = (Entry, Delivery);

/// An entry that is not under way and not done.
#[derive(Debug)]
struct Waiting {
    environment: EnvironmentId,
    backoff: Backoff,
    not_before: Instant,
    /// It may have been counted before.
    uncertain: bool,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Desk {
    pub under_way: JoinSet<Sent>,
    /// By entry.
    busy: HashMap<String, (EnvironmentId, BatchId)>,
    waiting: HashMap<String, Waiting>,
    /// Attempts at once: in all, and of one environment, so that one which
    /// is not answered for leaves room for others.
    at_once: usize,
    share: usize,
}

impl Desk {
    pub fn new(at_once: usize) -> Self {
        let share = at_once.div_ceil(2);
        Desk { under_way: JoinSet::new(), busy: HashMap::new(), waiting: HashMap::new(), at_once, share }
    }

    /// Attempts that may begin.
    pub fn room(&self) -> usize {
        self.at_once.saturating_sub(self.busy.len())
    }

    pub fn is_idle(&self) -> bool {
        self.busy.is_empty() && self.waiting.is_empty()
    }

    pub fn has(&self, entry: &str) -> bool {
        self.busy.contains_key(entry) || self.waiting.contains_key(entry)
    }

    /// Begins an attempt, if there is room; else the entry waits. `Some`: it
    /// is to be sent now, and `true`: it may have been counted before.
    pub fn begin(&mut self, entry: Entry, again: bool) -> Option<(Entry, bool)> {
        let again = again | self.waiting.get(&entry.id).is_some_and(|waiting| waiting.uncertain);
        // Put in twice: Redis forgot the first.
        let twice = self.busy.values().any(|(_, batch)| *batch == entry.batch);
        if twice || self.is_full_for(&entry.environment) {
            let wait = if twice { SOON } else { Duration::ZERO };
            let waiting = self.waits(entry.id, entry.environment);
            (waiting.not_before, waiting.uncertain) = (Instant::now() + wait, again);
            return None;
        }
        // Whatever becomes of it is in doubt once.
        if let Some(waiting) = self.waiting.get_mut(&entry.id) {
            waiting.uncertain = false;
        }
        self.busy.insert(entry.id.clone(), (entry.environment.clone(), entry.batch));
        Some((entry, again))
    }

    /// The attempt has ended.
    pub fn ended(&mut self, entry: &str) {
        self.busy.remove(entry);
    }

    /// It goes out once more, later.
    pub fn failed(&mut self, entry: Entry, uncertain: bool, retry_after: Option<Duration>) {
        let waiting = self.waits(entry.id, entry.environment);
        let wait = waiting.backoff.failed(Waits::default(), rand::random(), retry_after);
        (waiting.not_before, waiting.uncertain) = (Instant::now() + wait, uncertain);
    }

    /// Nothing has to be done about it any more.
    pub fn forget(&mut self, entry: &str) {
        self.waiting.remove(entry);
    }

    /// Entries that have waited long enough, the longest waiting first.
    pub fn due(&self, now: Instant) -> Vec<String> {
        let is_due = |(id, it): &(&String, &Waiting)| {
            it.not_before <= now && !self.busy.contains_key(*id) && !self.is_full_for(&it.environment)
        };
        let mut due: Vec<_> = self.waiting.iter().filter(is_due).map(|(id, it)| (it.not_before, id)).collect();
        due.sort_unstable();
        due.into_iter().take(self.room()).map(|(_, id)| id.clone()).collect()
    }

    fn is_full_for(&self, environment: &EnvironmentId) -> bool {
        let of_it = self.busy.values().filter(|(busy, _)| busy == environment).count();
        self.room() == 0 || of_it >= self.share
    }

    fn waits(&mut self, entry: String, environment: EnvironmentId) -> &mut Waiting {
        let (backoff, not_before) = (Backoff::default(), Instant::now());
        self.waiting.entry(entry).or_insert(Waiting { environment, backoff, not_before, uncertain: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, batch: u128, environment: &str) -> Entry {
        let environment = EnvironmentId::new(environment);
        Entry { id: id.to_owned(), batch: BatchId(batch), environment, body: bytes::Bytes::new() }
    }

    #[test]
    fn one_environment_leaves_room_for_others() {
        let mut desk = Desk::new(3);
        assert!(desk.begin(entry("1", 1, "a"), false).is_some());
        assert!(desk.begin(entry("2", 2, "a"), false).is_some());
        assert!(desk.begin(entry("3", 3, "a"), true).is_none());
        assert!(desk.begin(entry("4", 4, "b"), false).is_some());
        assert!(desk.begin(entry("5", 5, "b"), false).is_none(), "three in all");
        assert!(desk.due(Instant::now()).is_empty());
        desk.ended("1");
        desk.forget("1");
        assert!(desk.due(Instant::now()).contains(&"3".to_owned()));
        assert!(matches!(desk.begin(entry("3", 3, "a"), false), Some((_, true))), "it is as doubtful as it was");
        assert!(desk.has("3") && desk.has("5") && !desk.has("1"));
    }

    #[test]
    fn a_batch_is_under_way_once() {
        let mut desk = Desk::new(10);
        assert!(desk.begin(entry("1", 7, "a"), false).is_some());
        assert!(desk.begin(entry("2", 7, "a"), false).is_none());
        assert!(desk.due(Instant::now()).is_empty());
        desk.ended("1");
        assert_eq!(desk.due(Instant::now() + SOON), ["2"]);
    }

    #[test]
    fn doubt_is_counted_once() {
        let mut desk = Desk::new(1);
        for uncertain in [false, true, false] {
            let (sent, _) = desk.begin(entry("1", 1, "a"), false).unwrap();
            desk.ended("1");
            desk.failed(sent, uncertain, None);
            let again = desk.begin(entry("1", 1, "a"), false).unwrap().1;
            assert_eq!(again, uncertain);
            desk.ended("1");
        }
    }
}
