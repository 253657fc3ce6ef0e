//! The change log that SDK streams walk: the newest change of each item, in
//! the order it happened, with its message ready to be written.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::content::EnvironmentId;
use super::item::{ItemKey, ItemKind};
use super::ledger::ChangeKind;
use crate::evaluate::CompiledEnvironment;
use crate::model::json::write_string;

/// [`Snapshot::place`](super::Snapshot::place) of an environment's first
/// snapshot: its log holds what was there at the start.
pub const FIRST_PLACE: u64 = 1;

/// A place in a log: everything up to and with it was taken. It means
/// something in this process only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// [`Snapshot::place`](super::Snapshot::place) of the change.
    pub place: u64,
    pub ordinal: u32,
}

/// The newest change of one item.
#[derive(Debug)]
pub struct LogEntry {
    pub position: LogPosition,
    pub key: ItemKey,
    pub kind: ChangeKind,
    /// The sequence of the change, in the snapshot's epoch.
    pub sequence: u64,
    /// Unix seconds of the change.
    pub changed_at: i64,
    /// When this process made the entry.
    pub made_at: Instant,
    environment: EnvironmentId,
    version: i64,
    /// Made by whoever writes it first: most of what was there at a start is
    /// never told.
    message: OnceLock<Message>,
    affected: OnceLock<Box<[Arc<str>]>>,
}

impl LogEntry {
    /// The event, ready to be written.
    #[must_use]
    pub fn message(&self) -> &Message {
        self.message.get_or_init(|| Message::change(&self.environment, &self.key, self.kind, self.version))
    }

    /// The flags whose answers the change can alter, sorted; found out by
    /// whoever asks first. What depends on the item only since a later change
    /// has an entry of its own.
    pub fn affected_flags(&self, compiled: &CompiledEnvironment) -> &[Arc<str>] {
        self.affected.get_or_init(|| {
            let identifier = &[&*self.key.identifier];
            let affected = match self.key.kind {
                ItemKind::Flag => compiled.affected_flags(identifier, &[]),
                ItemKind::Segment => compiled.affected_flags(&[], identifier),
                ItemKind::Target => Vec::new(),
            };
            affected.into_boxed_slice()
        })
    }
}

/// One change as a row of a log.
#[derive(Clone, Debug)]
pub struct LogRow {
    pub key: ItemKey,
    pub kind: ChangeKind,
    /// The version that SDKs are told.
    pub version: i64,
    pub sequence: u64,
    /// Unix seconds.
    pub changed_at: i64,
}

impl LogRow {
    /// The row in its place.
    #[must_use]
    pub fn entry(self, environment: &EnvironmentId, position: LogPosition) -> Arc<LogEntry> {
        let LogRow { key, kind, version, sequence, changed_at } = self;
        let (made_at, environment) = (Instant::now(), environment.clone());
        let (message, affected) = (OnceLock::new(), OnceLock::new());
        Arc::new(LogEntry {
            position,
            key,
            kind,
            sequence,
            changed_at,
            made_at,
            environment,
            version,
            message,
            affected,
        })
    }
}

/// One server-sent event, shared by all streams that get it.
#[derive(Clone, Debug)]
pub struct Message {
    chunk: Bytes,
    start: usize,
    end: usize,
}

impl Message {
    /// The text of a change: exactly the fields that SDKs know, one line.
    #[must_use]
    pub fn change(environment: &EnvironmentId, key: &ItemKey, kind: ChangeKind, version: i64) -> Self {
        let mut text = String::with_capacity(192);
        text.push_str("event: *\ndata: {\"event\":\"");
        text.push_str(kind.event());
        text.push_str("\",\"domain\":\"");
        text.push_str(key.kind.domain());
        text.push_str("\",\"identifier\":");
        write_string(&key.identifier, &mut text);
        text.push_str(",\"version\":");
        text.push_str(&version.to_string());
        text.push_str(",\"environment\":");
        write_string(environment.as_str(), &mut text);
        text.push_str("}\n\n");
        Message::from_text(&text)
    }

    /// Frames a text as one HTTP/1.1 chunk.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let size = format!("{:x}\r\n", text.len());
        let mut chunk = BytesMut::with_capacity(size.len() + text.len() + 2);
        chunk.put_slice(size.as_bytes());
        chunk.put_slice(text.as_bytes());
        chunk.put_slice(b"\r\n");
        Message { chunk: chunk.freeze(), start: size.len(), end: size.len() + text.len() }
    }

    /// With HTTP/1.1 chunk framing.
    #[must_use]
    pub fn chunk(&self) -> &Bytes {
        &self.chunk
    }

    /// The bare event, for HTTP/2.
    #[must_use]
    pub fn event(&self) -> Bytes {
        self.chunk.slice(self.start..self.end)
    }
}

/// Sorted by position; every item at most once.
#[derive(Clone, Debug, Default)]
pub struct ChangeLog {
    entries: Vec<Arc<LogEntry>>,
}

impl ChangeLog {
    /// A log of entries that are put in order here.
    #[must_use]
    pub fn new(mut entries: Vec<Arc<LogEntry>>) -> Self {
        entries.sort_unstable_by_key(|entry| entry.position);
        ChangeLog { entries }
    }

    /// This log with changes of a later place: an item that changed again
    /// moves, and one that is not `remembered` any more goes.
    #[must_use]
    pub fn with(&self, newer: Vec<Arc<LogEntry>>, remembered: impl Fn(&ItemKey) -> bool) -> Self {
        let keys: std::collections::HashSet<&ItemKey> = newer.iter().map(|entry| &entry.key).collect();
        let is_newer = |key: &ItemKey| match newer.as_slice() {
            [] => false,
            [one] => one.key == *key,
            _ => keys.contains(key),
        };
        let stays = |entry: &&Arc<LogEntry>| !is_newer(&entry.key) && remembered(&entry.key);
        let mut entries = Vec::with_capacity(self.entries.len() + newer.len());
        entries.extend(self.entries.iter().filter(stays).cloned());
        drop(keys);
        // Behind all that were there.
        entries.extend(ChangeLog::new(newer).entries);
        ChangeLog { entries }
    }

    /// The first entry behind a place.
    #[must_use]
    pub fn next(&self, after: LogPosition) -> Option<&Arc<LogEntry>> {
        self.entries.get(self.entries.partition_point(|entry| entry.position <= after))
    }

    /// The place before the first entry that was made recently.
    #[must_use]
    pub fn before_recent(&self, is_recent: impl Fn(Instant) -> bool) -> LogPosition {
        let older = self.entries.partition_point(|entry| !is_recent(entry.made_at));
        let last = older.checked_sub(1).and_then(|index| self.entries.get(index));
        last.map_or(LogPosition::default(), |entry| entry.position)
    }

    /// All entries behind a place, oldest first.
    pub fn since(&self, after: LogPosition) -> impl Iterator<Item = &Arc<LogEntry>> {
        let start = self.entries.partition_point(|entry| entry.position <= after);
        self.entries.get(start..).unwrap_or_default().iter()
    }

    /// This log with the sequences of another epoch.
    #[must_use]
    pub fn renumbered(&self, sequence: impl Fn(&ItemKey) -> u64) -> Self {
        let renumbered = |entry: &Arc<LogEntry>| {
            let LogEntry { position, kind, changed_at, made_at, version, .. } = **entry;
            let (key, environment) = (entry.key.clone(), entry.environment.clone());
            let (message, affected) = (entry.message.clone(), entry.affected.clone());
            let sequence = sequence(&key);
            Arc::new(LogEntry {
                position,
                key,
                kind,
                sequence,
                changed_at,
                made_at,
                environment,
                version,
                message,
                affected,
            })
        };
        ChangeLog { entries: self.entries.iter().map(renumbered).collect() }
    }

    /// How many entries are behind a place.
    #[must_use]
    pub fn count_since(&self, after: LogPosition) -> usize {
        self.entries.len() - self.entries.partition_point(|entry| entry.position <= after)
    }

    /// The newest place.
    #[must_use]
    pub fn end(&self) -> LogPosition {
        self.entries.last().map_or(LogPosition::default(), |entry| entry.position)
    }
}

/// Makes the entries of one snapshot, numbered in their order. A row is a
/// change and its sequence.
#[must_use]
pub fn entries(
    environment: &EnvironmentId,
    place: u64,
    changed_at: i64,
    rows: impl IntoIterator<Item = (ItemKey, ChangeKind, i64, u64)>,
) -> Vec<Arc<LogEntry>> {
    let entry = |(ordinal, (key, kind, version, sequence))| {
        LogRow { key, kind, version, sequence, changed_at }.entry(environment, LogPosition { place, ordinal })
    };
    (0..).zip(rows).map(entry).collect()
}

/// The message that makes client-side SDKs load everything once.
#[must_use]
pub fn reload_everything(environment: &EnvironmentId, segment: &str, version: i64) -> Message {
    let key = ItemKey { kind: ItemKind::Segment, identifier: Arc::from(segment) };
    Message::change(environment, &key, ChangeKind::Patch, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ItemKey {
        ItemKey { kind: ItemKind::Flag, identifier: Arc::from(name) }
    }

    #[test]
    fn a_message_is_one_event_in_one_chunk() {
        let message = Message::change(&EnvironmentId::new("e-1"), &key("a\"b\n"), ChangeKind::Patch, 7);
        let event = message.event();
        let text = "event: *\ndata: {\"event\":\"patch\",\"domain\":\"flag\",\"identifier\":\"a\\\"b\\n\",\"version\":7,\"environment\":\"e-1\"}\n\n";
        assert_eq!(event, text.as_bytes());
        assert_eq!(message.chunk(), format!("{:x}\r\n{text}\r\n", text.len()).as_bytes());
    }

    #[test]
    fn an_item_that_changes_again_moves_and_is_seen_once() {
        let environment = EnvironmentId::new("e");
        let row = |name: &str| (key(name), ChangeKind::Patch, 1, 1);
        let log = ChangeLog::new(entries(&environment, 1, 0, [row("a"), row("b"), row("c")]));
        let log = log.with(entries(&environment, 2, 0, [row("b")]), |_| true);
        let names = |after| log.since(after).map(|e| e.key.identifier.to_string()).collect::<Vec<_>>();
        assert_eq!(names(LogPosition::default()), ["a", "c", "b"]);
        assert_eq!(names(LogPosition { place: 1, ordinal: u32::MAX }), ["b"]);
        assert_eq!(log.next(LogPosition { place: 1, ordinal: 0 }).unwrap().key, key("c"));
        assert_eq!(log.end(), LogPosition { place: 2, ordinal: 0 });
        assert!(log.next(log.end()).is_none());
    }
}
