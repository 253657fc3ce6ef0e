//! What all streams share: limits, counts, pace, memory, and their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rand::Rng as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::answers::Answering;
use super::cursor::EventRepeat;
use super::feed::heartbeat;
use super::memory::StreamMemory;
use super::pace::Pace;
use super::target::StreamTargets;
use crate::snapshot::log::Message;
use crate::store::environment::{Environment, OpenStream};

/// Replayed events of all streams together.
const REPLAYS_PER_SECOND: u32 = 2_000;

/// Refusals that wait before they are sent.
const MAX_REFUSALS_HELD: usize = 1_000;

/// Rules of streams.
#[derive(Clone, Debug)]
pub struct StreamSettings {
    pub max_streams: usize,
    pub max_streams_per_environment: usize,
    pub max_stream_age: Option<Duration>,
    pub event_repeat: Option<EventRepeat>,
    /// A stream is cut when it takes no byte for this long.
    pub write_timeout: Duration,
}

/// One for the process.
#[derive(Debug)]
pub struct StreamRegistry {
    pub settings: StreamSettings,
    pub memory: StreamMemory,
    pub pace: Arc<Pace>,
    pub targets: Arc<StreamTargets>,
    pub answering: Answering,
    pub(super) heartbeat: Message,
    refusals: Semaphore,
    open: Arc<AtomicUsize>,
    opened_total: AtomicU64,
    events_total: AtomicU64,
    drain: CancellationToken,
    /// Plus one, so that 0 is "not draining".
    drain_spread_ms: AtomicU64,
}

impl StreamRegistry {
    #[must_use]
    pub fn new(settings: StreamSettings) -> Arc<Self> {
        Arc::new(StreamRegistry {
            settings,
            memory: StreamMemory::default(),
            pace: Arc::new(Pace::new(REPLAYS_PER_SECOND)),
            targets: Arc::default(),
            answering: Answering::default(),
            heartbeat: heartbeat(),
            refusals: Semaphore::new(MAX_REFUSALS_HELD),
            open: Arc::default(),
            opened_total: AtomicU64::new(0),
            events_total: AtomicU64::new(0),
            drain: CancellationToken::new(),
            drain_spread_ms: AtomicU64::new(0),
        })
    }

    /// A place for one more stream; `None` at a limit or while draining.
    #[must_use]
    pub fn open(&self, environment: &Arc<Environment>) -> Option<OpenPlace> {
        if self.drain.is_cancelled() {
            return None;
        }
        let limit = self.settings.max_streams;
        let admit = |n: usize| (n < limit).then_some(n + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit).ok()?;
        let count = Count(Arc::clone(&self.open));
        let stream = environment.open_stream(self.settings.max_streams_per_environment)?;
        self.opened_total.fetch_add(1, Ordering::Relaxed);
        Some(OpenPlace { _count: count, _stream: stream })
    }

    /// Lets a refusal wait: Go retries without any delay after 15 minutes of
    /// failures. Beyond the limit, or while draining, it goes at once.
    pub async fn delay_refusal(&self) {
        let Ok(_place) = self.refusals.try_acquire() else {
            return;
        };
        let delay = Duration::from_millis(rand::rng().random_range(5_000..10_000));
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.drain.cancelled() => {}
        }
    }

    /// Ends every stream, spread over this time. Streams look when they are
    /// woken: wake those of every environment then.
    pub fn drain(&self, spread: Duration) {
        let spread_ms = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX - 1);
        self.drain_spread_ms.store(spread_ms + 1, Ordering::Release);
        self.drain.cancel();
    }

    /// Over how long streams are ended, once they are.
    pub(super) fn draining(&self) -> Option<Duration> {
        let spread_ms = self.drain_spread_ms.load(Ordering::Acquire);
        spread_ms.checked_sub(1).map(Duration::from_millis)
    }

    pub(super) fn count_event(&self) {
        self.events_total.fetch_add(1, Ordering::Relaxed);
    }

    /// Streams that are open now.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Streams that were ever opened.
    #[must_use]
    pub fn opened_total(&self) -> u64 {
        self.opened_total.load(Ordering::Relaxed)
    }

    /// Events that were written to streams, heartbeats left out.
    #[must_use]
    pub fn events_total(&self) -> u64 {
        self.events_total.load(Ordering::Relaxed)
    }
}

/// One stream in all counts.
#[derive(Debug)]
pub struct OpenPlace {
    _count: Count,
    _stream: OpenStream,
}

#[derive(Debug)]
struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
