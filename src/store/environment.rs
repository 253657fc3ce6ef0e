//! One environment as the store holds it: its current snapshot and what
//! hangs on it for as long as the environment exists.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use super::gate::{Gate, GateTimes};
use super::source_status::{PausedSource, SourceKind};
use super::sync_state::SyncState;
use super::targets::StoredTargets;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::{Names, Snapshot};
use crate::telemetry::requests::RequestCounts;

/// What streams wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// So many changes were published.
    Published(u64),
    /// The environment is no longer there.
    Removed,
}

/// A cell that outlives its snapshots.
#[derive(Debug)]
pub struct Environment {
    pub id: EnvironmentId,
    snapshot: ArcSwapOption<Snapshot>,
    signal: watch::Sender<Signal>,
    /// What streams may be told of.
    pub gate: Gate,
    pub targets: StoredTargets,
    pub requests: RequestCounts,
    /// How its own source is doing; `None` where one source gives all
    /// environments at once, as a directory does.
    pub sync: ArcSwapOption<SyncState>,
    /// What kind of source its snapshot came from.
    pub source: ArcSwap<SourceKind>,
    /// Set while its own source is paused by an import.
    pub paused: ArcSwapOption<PausedSource>,
    /// What its source calls it, where it does.
    pub names: ArcSwapOption<Names>,
    streams: AtomicUsize,
}

impl Environment {
    #[must_use]
    pub fn new(id: EnvironmentId, max_targets: usize) -> Self {
        Environment {
            id,
            snapshot: ArcSwapOption::empty(),
            signal: watch::Sender::new(Signal::Published(0)),
            gate: Gate::default(),
            targets: StoredTargets::new(max_targets),
            requests: RequestCounts::default(),
            sync: ArcSwapOption::empty(),
            source: ArcSwap::from_pointee(SourceKind::File),
            paused: ArcSwapOption::empty(),
            names: ArcSwapOption::empty(),
            streams: AtomicUsize::new(0),
        }
    }

    /// Changes how its source is doing. Whoever gives its content tells it.
    pub fn note_sync(&self, now_ms: i64, change: impl FnOnce(&mut SyncState)) {
        let before = self.sync.load_full().map(|sync| (*sync).clone()).unwrap_or_default();
        let mut after = before.clone();
        change(&mut after);
        if after.phase != before.phase || before.phase_since_ms == 0 {
            after.phase_since_ms = now_ms;
        }
        if after.stream != before.stream || before.stream_since_ms == 0 {
            after.stream_since_ms = now_ms;
        }
        if after != before {
            self.sync.store(Some(Arc::new(after)));
        }
    }

    /// The current snapshot; `None` while the environment was never synced.
    #[must_use]
    pub fn snapshot(&self) -> arc_swap::Guard<Option<Arc<Snapshot>>> {
        self.snapshot.load()
    }

    /// True while upstream refuses its key.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.sync.load().as_ref().is_some_and(|sync| sync.phase == super::sync_state::Phase::Refused)
    }

    /// Swaps the snapshot, then wakes the streams: who is told of a change
    /// and asks finds it. Where other relays follow, streams are woken when
    /// they have it, too.
    pub(super) fn publish(self: &Arc<Self>, snapshot: Arc<Snapshot>, times: &GateTimes) {
        let place = snapshot.place;
        self.snapshot.store(Some(snapshot));
        if self.gate.published(place) {
            self.wake_streams();
        } else {
            times.wait_for(self);
        }
    }

    /// Lets every stream look again at what it has to do.
    pub fn wake_streams(&self) {
        self.signal.send_if_modified(|signal| match signal {
            Signal::Published(count) => {
                *count += 1;
                true
            }
            Signal::Removed => false,
        });
    }

    /// A follower has everything up to this place of the change log.
    pub fn acknowledged(&self, follower: u64, place: u64) {
        if self.gate.acknowledged(follower, place) {
            self.wake_streams();
        }
    }

    /// A follower went.
    pub fn left(&self, follower: u64) {
        if self.gate.left(follower) {
            self.wake_streams();
        }
    }

    pub(super) fn time_is_over(&self) {
        if self.gate.time_is_over() {
            self.wake_streams();
        }
    }

    /// Tells the streams that the environment is gone.
    pub fn close(&self) {
        self.signal.send_replace(Signal::Removed);
    }

    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Signal> {
        self.signal.subscribe()
    }

    /// Counts a stream for as long as the guard lives; `None` at the limit.
    #[must_use]
    pub fn open_stream(self: &Arc<Self>, limit: usize) -> Option<OpenStream> {
        let admitted =
            self.streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < limit).then_some(n + 1));
        admitted.ok().map(|_| OpenStream { environment: Arc::clone(self) })
    }

    /// Open SDK streams.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }
}

/// One open stream in the count of its environment.
#[derive(Debug)]
pub struct OpenStream {
    environment: Arc<Environment>,
}

impl OpenStream {
    #[must_use]
    pub fn environment(&self) -> &Arc<Environment> {
        &self.environment
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.environment.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
