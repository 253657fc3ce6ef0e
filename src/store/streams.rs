//! The SDK streams that are open, as operators see them.
//!
//! About 300 bytes a stream: the row, its place in the list, and the SDK's
//! name. An event costs its stream a lock that only a listing ever contends
//! for; the list itself is locked when a stream opens or ends.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::environment::Environment;
use crate::snapshot::log::{LogPosition, Message};

/// Characters of an SDK's name that are kept.
const MAX_SDK_CHARS: usize = 100;

/// Rows that are looked at in one go, so that a listing never keeps streams
/// from opening for long.
const ROWS_AT_ONCE: usize = 1000;

/// What a stream is opened with.
#[derive(Debug)]
pub struct Opening<'a> {
    pub environment: &'a Arc<Environment>,
    pub address: Option<SocketAddr>,
    /// What the SDK says of itself.
    pub sdk: &'a str,
    pub client_side: bool,
    /// Unix milliseconds.
    pub at_ms: i64,
}

/// One open stream.
#[derive(Debug)]
pub struct StreamRow {
    /// Higher than that of every stream before.
    pub id: u64,
    pub environment: Arc<Environment>,
    pub address: Option<SocketAddr>,
    /// Printable, and short.
    pub sdk: Box<str>,
    pub client_side: bool,
    /// Unix milliseconds.
    pub opened_at_ms: i64,
    progress: Mutex<StreamProgress>,
}

/// How far a stream has come.
#[derive(Clone, Debug, Default)]
pub struct StreamProgress {
    /// Events it was sent, heartbeats left out.
    pub events: u64,
    /// Its place in the change log of its kind.
    pub position: LogPosition,
    /// The event it was sent last, and when (Unix milliseconds).
    pub last: Option<(Message, i64)>,
}

impl StreamRow {
    #[must_use]
    pub fn progress(&self) -> StreamProgress {
        self.lock().clone()
    }

    /// Notes where the stream begins.
    pub fn begin_at(&self, position: LogPosition) {
        self.lock().position = position;
    }

    /// Notes an event.
    pub fn note(&self, message: &Message, position: LogPosition, now_ms: i64) {
        let mut progress = self.lock();
        progress.events += 1;
        progress.position = position;
        progress.last = Some((message.clone(), now_ms));
    }

    /// Changes of its environment that it was not sent yet.
    #[must_use]
    pub fn changes_behind(&self, position: LogPosition) -> usize {
        let snapshot = self.environment.snapshot();
        let Some(snapshot) = snapshot.as_ref() else {
            return 0;
        };
        let log = if self.client_side { &snapshot.client_log } else { &snapshot.log };
        log.count_since(position)
    }

    fn lock(&self) -> MutexGuard<'_, StreamProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every stream that is open now; bounded by the limits of streams.
#[derive(Debug, Default)]
pub struct OpenStreams {
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    by_id: BTreeMap<u64, Arc<StreamRow>>,
    last_id: u64,
}

impl OpenStreams {
    /// Notes a stream for as long as the guard lives.
    #[must_use]
    pub fn enter(self: &Arc<Self>, opening: Opening<'_>) -> ListedStream {
        let sdk: String = opening.sdk.chars().filter(|c| !c.is_control()).take(MAX_SDK_CHARS).collect();
        let mut rows = self.lock();
        rows.last_id += 1;
        let row = Arc::new(StreamRow {
            id: rows.last_id,
            environment: Arc::clone(opening.environment),
            address: opening.address,
            sdk: sdk.trim().into(),
            client_side: opening.client_side,
            opened_at_ms: opening.at_ms,
            progress: Mutex::default(),
        });
        rows.by_id.insert(row.id, Arc::clone(&row));
        ListedStream { row, streams: Arc::clone(self) }
    }

    /// So many streams behind an id, oldest first, of one environment or of
    /// all.
    #[must_use]
    pub fn after(&self, id: u64, count: usize, environment: Option<&str>) -> Vec<Arc<StreamRow>> {
        let (mut found, mut place) = (Vec::new(), id);
        let wanted = |row: &StreamRow| environment.is_none_or(|id| row.environment.id.as_str() == id);
        while found.len() < count {
            let rows = self.lock();
            let behind = rows.by_id.range((Bound::Excluded(place), Bound::Unbounded)).take(ROWS_AT_ONCE);
            let mut last = None;
            for (id, row) in behind {
                last = Some(*id);
                if wanted(row) {
                    found.push(Arc::clone(row));
                    if found.len() == count {
                        break;
                    }
                }
            }
            let Some(last) = last else { break };
            place = last;
        }
        found
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream in the list.
#[derive(Debug)]
pub struct ListedStream {
    row: Arc<StreamRow>,
    streams: Arc<OpenStreams>,
}

impl std::ops::Deref for ListedStream {
    type Target = StreamRow;

    fn deref(&self) -> &StreamRow {
        &self.row
    }
}

impl Drop for ListedStream {
    fn drop(&mut self) {
        self.streams.lock().by_id.remove(&self.row.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::content::EnvironmentId;

    fn environment(id: &str) -> Arc<Environment> {
        Arc::new(Environment::new(EnvironmentId::new(id), 10))
    }

    #[test]
    fn streams_are_listed_oldest_first_until_they_end() {
        let streams = Arc::new(OpenStreams::default());
        let (one, other) = (environment("one"), environment("other"));
        let open = |environment: &Arc<Environment>, sdk: &str| {
            streams.enter(Opening { environment, address: None, sdk, client_side: false, at_ms: 0 })
        };
        let first = open(&one, " Go\u{7} 1.0 ");
        let others: Vec<_> = (0..2500).map(|_| open(&other, &"x".repeat(300))).collect();
        let last = open(&one, "Node");
        assert_eq!((&*first.sdk, others[0].sdk.len()), ("Go 1.0", 100));
        let ids = |rows: Vec<Arc<StreamRow>>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(streams.after(0, 2, Some("one"))), [first.id, last.id]);
        assert_eq!(ids(streams.after(first.id, 2, None)), [2, 3]);
        assert_eq!(streams.after(0, 9000, None).len(), 2502);
        drop(others);
        assert_eq!(ids(streams.after(0, 9000, None)), [first.id, last.id]);
    }

    /// Streams are many: what a row costs is said in this file's first lines.
    #[test]
    fn a_row_is_small() {
        assert!(size_of::<StreamRow>() <= 200, "{}", size_of::<StreamRow>());
    }
}
