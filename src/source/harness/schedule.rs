//! What one environment needs to have fetched next. Pure: time and dice are
//! passed in; one fetch at a time, whatever happens meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::assembly::SECOND_LOOK;
use super::backoff::Backoff;
use super::calm::Calm;
use crate::snapshot::item::{Digest, Item, ItemKey};

/// More wanted items than this are fetched as lists.
const MAX_SINGLE: usize = 4;

/// Waits before an item is fetched again that upstream did not have yet; then
/// everything is fetched.
const AGAIN_AFTER_MS: [u64; 6] = [200, 500, 1_000, 2_000, 5_000, 10_000];

/// Messages during one fetch that make a burst.
const BURST: u32 = 8;

/// Waits between fetches while a burst goes on.
const BURST_WAITS_MS: [u64; 5] = [0, 100, 250, 500, 1_000];

/// Waits after failures grow up to the polling interval, and never above
/// this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// After the stream was lost, a look is taken this soon.
const LOOK_AFTER_LOSS: Duration = Duration::from_secs(1);

/// When to fetch without being told.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    /// Everything, while the stream is up; `None` where somebody else does.
    pub resync: Option<Duration>,
    /// Everything, while the stream is down; `None` where somebody else does.
    pub poll: Option<Duration>,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing before this time, if any.
    Wait(Option<Instant>),
    /// Fetch one item.
    Item(ItemKey),
    /// Fetch all flags and all segments.
    Lists,
}

/// An item that has to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// What the message said.
    pub version: Option<i64>,
    /// For an item that was created: what was held then. The same again, with
    /// a version above the message's, is the answer of a cache that has not
    /// heard of a deletion.
    pub stale: Option<Digest>,
    tries: usize,
    due: Instant,
    /// Counts messages about the item, so that one that came during a fetch
    /// is not taken for answered by it.
    messages: u64,
}

impl Want {
    /// True if this is what the message spoke of, or newer.
    #[must_use]
    pub fn is_met_by(&self, item: &Item) -> bool {
        let version = item.version.unwrap_or(0);
        let new_enough = self.version.is_none_or(|wanted| version >= wanted);
        let old_one = self.stale == Some(item.digest) && self.version.is_some_and(|wanted| wanted < version);
        new_enough && !old_one
    }
}

/// The needs of one environment.
#[derive(Debug)]
pub struct Schedule {
    intervals: Intervals,
    wanted: BTreeMap<ItemKey, Want>,
    /// Everything has to be fetched, from this time on.
    lists_due: Option<Instant>,
    /// Nothing is fetched before this time.
    not_before: Option<Instant>,
    /// What upstream asked for: nothing is fetched before this time, even if
    /// the stream comes back.
    asked_until: Option<Instant>,
    /// The lists are not fetched before this time.
    lists_not_before: Option<Instant>,
    backoff: Backoff,
    calm: Calm,
    stream_up: bool,
    messages: u64,
    /// Messages since the last fetch began.
    burst: u32,
    burst_level: usize,
    last_lists: Option<Instant>,
}

impl Schedule {
    /// A schedule that fetches nothing until it is told to, or an interval is
    /// over.
    #[must_use]
    pub fn new(intervals: Intervals) -> Self {
        let cap = intervals.poll.unwrap_or(LONGEST_WAIT).clamp(Duration::from_secs(1), LONGEST_WAIT);
        Schedule {
            intervals,
            wanted: BTreeMap::new(),
            lists_due: None,
            not_before: None,
            asked_until: None,
            lists_not_before: None,
            backoff: Backoff::new(Duration::from_secs(1), cap),
            calm: Calm::default(),
            stream_up: false,
            messages: 0,
            burst: 0,
            burst_level: 0,
            last_lists: None,
        }
    }

    /// What to do now.
    #[must_use]
    pub fn next(&self, now: Instant) -> Step {
        if let Some(time) = self.not_before.max(self.asked_until).filter(|time| *time > now) {
            return Step::Wait(Some(time));
        }
        let lists_due = self.lists_at();
        if lists_due.is_some_and(|due| due <= now) {
            return Step::Lists;
        }
        let mut due: Vec<(&ItemKey, &Want)> = self.wanted.iter().filter(|(_, want)| want.due <= now).collect();
        // Who has waited longest goes first, so that no item starves another.
        due.sort_by_key(|(_, want)| want.due);
        match due.as_slice() {
            [] => Step::Wait(self.wanted.values().map(|want| want.due).chain(lists_due).min()),
            [(first, _), ..] if due.len() <= MAX_SINGLE => Step::Item((*first).clone()),
            _ => match self.lists_not_before.filter(|time| *time > now) {
                Some(time) => Step::Wait(Some(time)),
                None => Step::Lists,
            },
        }
    }

    fn lists_at(&self) -> Option<Instant> {
        let interval = if self.stream_up { self.intervals.resync } else { self.intervals.poll };
        let periodic = self.last_lists.zip(interval).map(|(last, interval)| last + interval);
        let due = self.lists_due.into_iter().chain(periodic).min();
        due.map(|due| self.lists_not_before.map_or(due, |time| due.max(time)))
    }

    /// A message spoke of an item.
    pub fn changed(&mut self, key: ItemKey, version: Option<i64>, stale: Option<Digest>, now: Instant) {
        self.messages += 1;
        self.burst = self.burst.saturating_add(1);
        let messages = self.messages;
        self.wanted.insert(key, Want { version, stale, tries: 0, due: now, messages });
    }

    /// Items have to be looked at once more.
    pub fn doubt(&mut self, keys: Vec<ItemKey>, now: Instant) {
        if keys.len() > MAX_SINGLE {
            return self.resync(now);
        }
        for key in keys {
            self.messages += 1;
            let messages = self.messages;
            let want = Want { version: None, stale: None, tries: 0, due: now, messages };
            self.wanted.entry(key).and_modify(|want| want.messages = messages).or_insert(want);
        }
    }

    /// A message said that an item is gone.
    pub fn deleted(&mut self, key: &ItemKey) {
        self.burst = self.burst.saturating_add(1);
        self.wanted.remove(key);
    }

    /// Everything has to be fetched, at once or later.
    pub fn resync(&mut self, at: Instant) {
        self.lists_due = Some(self.lists_due.map_or(at, |due| due.min(at)));
    }

    /// A message was not understood: everything has to be fetched.
    pub fn unclear(&mut self, now: Instant) {
        if let Some(at) = self.calm.plan(now) {
            self.resync(at);
        }
    }

    /// The stream is up or down.
    pub fn stream(&mut self, up: bool, now: Instant) {
        let was_up = std::mem::replace(&mut self.stream_up, up);
        if up {
            // Something may have been missed, and upstream is there again.
            (self.not_before, self.lists_not_before, self.burst_level) = (None, None, 0);
            self.backoff.succeeded();
            if self.intervals.resync.is_some() {
                self.resync(now);
            }
        } else if was_up && self.intervals.poll.is_some() {
            self.resync(now + LOOK_AFTER_LOSS);
        }
    }

    /// A look is needed again, because not everything was believed.
    pub fn look_again(&mut self, now: Instant) {
        self.resync(now + SECOND_LOOK);
    }

    /// A fetch begins: what the message said of the item, and a mark for its
    /// end.
    pub fn begin(&mut self, step: &Step) -> Option<Want> {
        self.burst = 0;
        match step {
            Step::Lists => {
                self.lists_due = None;
                None
            }
            Step::Item(key) => self.wanted.get(key).cloned(),
            Step::Wait(_) => None,
        }
    }

    /// An item was fetched and is, or is not, what `want` spoke of.
    pub fn item_done(&mut self, key: &ItemKey, want: &Want, met: bool, now: Instant) {
        self.worked(now);
        let Some(current) = self.wanted.get_mut(key) else { return };
        if current.messages != want.messages {
            // Another message came meanwhile.
            return;
        }
        if met {
            self.wanted.remove(key);
            return;
        }
        self.postpone(key, Duration::ZERO, now);
    }

    /// Both lists were fetched. `held` gives the version of an item that is
    /// there now; `mark` is [`Self::mark`] of when the fetch began.
    pub fn lists_done(&mut self, mark: u64, now: Instant, held: impl Fn(&ItemKey) -> Option<i64>) {
        self.worked(now);
        self.lists_not_before = None;
        self.last_lists = Some(now);
        let mut resync = false;
        self.wanted.retain(|key, want| {
            if want.messages > mark {
                return true;
            }
            if held(key).is_some_and(|version| want.version.is_none_or(|wanted| version >= wanted)) {
                return false;
            }
            match AGAIN_AFTER_MS.get(want.tries) {
                Some(wait) => {
                    want.tries += 1;
                    want.due = now + Duration::from_millis(*wait);
                    true
                }
                None => {
                    resync = true;
                    false
                }
            }
        });
        if resync {
            self.look_again(now);
        }
    }

    /// Somebody else fetched everything, beginning at `mark`.
    pub fn fetched_elsewhere(&mut self, now: Instant) {
        self.last_lists = Some(now);
    }

    /// True while items are wanted.
    #[must_use]
    pub fn wants_items(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// The messages so far.
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.messages
    }

    /// Fetching everything failed. Returns how long it waits now; single
    /// items go on.
    pub fn lists_failed(&mut self, unit: f64, asked: Option<Duration>, now: Instant) -> Duration {
        let wait = self.backoff.failed(unit, asked);
        if asked.is_some() {
            self.asked_until = Some(now + wait);
        }
        self.lists_not_before = Some(now + wait);
        self.resync(now + wait);
        wait
    }

    /// Fetching one item failed: it is tried again later, others go on; only
    /// where upstream asks for it everything waits.
    pub fn item_failed(&mut self, key: &ItemKey, want: &Want, unit: f64, asked: Option<Duration>, now: Instant) {
        let wait = self.backoff.failed(unit, asked);
        if asked.is_some() {
            self.asked_until = Some(now + wait);
        }
        let Some(current) = self.wanted.get_mut(key) else { return };
        if current.messages == want.messages {
            self.postpone(key, wait, now);
        } else {
            current.due = now + wait;
        }
    }

    /// The next try of an item, no sooner than `least` from now; after the
    /// last one everything is fetched.
    fn postpone(&mut self, key: &ItemKey, least: Duration, now: Instant) {
        let Some(current) = self.wanted.get_mut(key) else { return };
        match AGAIN_AFTER_MS.get(current.tries) {
            Some(wait) => {
                current.tries += 1;
                current.due = now + Duration::from_millis(*wait).max(least);
            }
            None => {
                self.wanted.remove(key);
                self.resync(now);
            }
        }
    }

    fn worked(&mut self, now: Instant) {
        self.backoff.succeeded();
        self.burst_level = if self.burst >= BURST { (self.burst_level + 1).min(BURST_WAITS_MS.len() - 1) } else { 0 };
        let wait = BURST_WAITS_MS.get(self.burst_level).copied().unwrap_or_default();
        self.not_before = (wait > 0).then(|| now + Duration::from_millis(wait));
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
