//! What a new stream is told of what it may have missed (`http-api.md`,
//! "Replay"): no SDK says where it left off.

use std::sync::Arc;

use super::memory::Ended;
use crate::http::token::{Claims, short_digest};
use crate::snapshot::item::{ItemKey, ItemKind};
use crate::snapshot::log::{LogEntry, LogPosition, Message, reload_everything};
use crate::snapshot::{Epoch, Snapshot};

/// Clocks differ and requests take time: a token's SDK may lack what changed
/// this many seconds before it was made.
const BEFORE_TOKEN_S: i64 = 120;

/// Without a token: what changed within this many seconds.
const WITHOUT_TOKEN_S: i64 = 600;

/// The point where an SDK certainly stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Everything up to a sequence, as far as it tells: what changed since
    /// `after_unix_s` counts, too, if the environment went to another epoch
    /// and back meanwhile.
    Sequence { sequence: u64, after_unix_s: i64 },
    /// Unix seconds. `first_is_known`: the SDK has what the ledger's first
    /// sequence holds, because the token's digest says so.
    Time { after_unix_s: i64, first_is_known: bool },
}

/// Finds the point.
#[must_use]
pub fn point(snapshot: &Snapshot, claims: Option<&Claims>, last: Option<Ended>, now_unix_s: i64) -> Point {
    let epoch = snapshot.revision.epoch;
    let switched_at = snapshot.ledger.switched_at;
    if let Some(last) = last.filter(|last| last.standing.epoch == epoch && last.at_unix_s > switched_at) {
        return Point::Sequence { sequence: last.standing.sequence, after_unix_s: i64::MAX };
    }
    let Some(claims) = claims else {
        return Point::Time { after_unix_s: now_unix_s - WITHOUT_TOKEN_S, first_is_known: false };
    };
    if let Some(revision) = claims.revision.as_ref().filter(|revision| revision.epoch == epoch) {
        let after_unix_s = claims.issued_at.unwrap_or(0).saturating_sub(BEFORE_TOKEN_S);
        return Point::Sequence { sequence: revision.sequence, after_unix_s };
    }
    let first_is_known = match (&claims.revision, snapshot.ledger.origin) {
        (Some(revision), Some(origin)) => revision.digest == short_digest(&origin.digest),
        _ => false,
    };
    // A token of the Go proxy without a time may be of any age.
    let issued_at = claims.issued_at.unwrap_or(0);
    Point::Time { after_unix_s: issued_at.saturating_sub(BEFORE_TOKEN_S), first_is_known }
}

/// Whether an entry of the log may be news to an SDK that stood there.
fn is_news(entry: &LogEntry, point: Point, snapshot: &Snapshot) -> bool {
    match point {
        Point::Sequence { sequence, after_unix_s } => {
            let switched = snapshot.ledger.switched_at > after_unix_s;
            entry.sequence > sequence || (switched && entry.changed_at > after_unix_s)
        }
        Point::Time { after_unix_s, first_is_known } => {
            let first = snapshot.ledger.origin.is_some_and(|origin| entry.sequence <= origin.sequence);
            entry.changed_at > after_unix_s && !(first && first_is_known)
        }
    }
}

/// What is left to be told.
#[derive(Debug)]
pub enum Replay {
    Nothing,
    /// Server-side: entries of the log between two places, oldest first.
    Entries {
        point: Point,
        /// Of the point.
        epoch: Epoch,
        at: LogPosition,
        until: LogPosition,
    },
    /// Client-side: the one flag that it may have missed.
    Flag(Arc<LogEntry>),
    /// Client-side: one message that makes it load everything.
    Everything(Message),
}

/// One thing to be told.
#[derive(Debug)]
pub enum Missed {
    Change(Arc<LogEntry>),
    Everything(Message),
}

impl Replay {
    /// Plans the replay of a stream that begins now.
    #[must_use]
    pub fn plan(snapshot: &Snapshot, point: Point, client_side: bool) -> Self {
        if let Point::Sequence { sequence, after_unix_s } = point
            && sequence >= snapshot.revision.sequence
            && snapshot.ledger.switched_at <= after_unix_s
        {
            return Replay::Nothing;
        }
        let start = LogPosition::default();
        let mut news = snapshot.log.since(start).filter(|entry| is_news(entry, point, snapshot));
        let Some(first) = news.next() else {
            return Replay::Nothing;
        };
        if !client_side {
            let epoch = snapshot.revision.epoch;
            return Replay::Entries { point, epoch, at: start, until: snapshot.log.end() };
        }
        let alone = news.next().is_none() && first.key.kind == ItemKind::Flag && !has_dependents(snapshot, &first.key);
        if alone { Replay::Flag(Arc::clone(first)) } else { Replay::Everything(reload(snapshot, first)) }
    }

    /// True if nothing is left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Replay::Nothing)
    }

    /// Takes what is next.
    pub fn take(&mut self, snapshot: &Snapshot) -> Option<Missed> {
        match self {
            Replay::Nothing => None,
            Replay::Flag(entry) => {
                let missed = Missed::Change(Arc::clone(entry));
                *self = Replay::Nothing;
                Some(missed)
            }
            Replay::Everything(message) => {
                let missed = Missed::Everything(message.clone());
                *self = Replay::Nothing;
                Some(missed)
            }
            Replay::Entries { point, epoch, at, until } => {
                if *epoch != snapshot.revision.epoch {
                    // Sequences of two epochs cannot be compared: everything may be news.
                    *epoch = snapshot.revision.epoch;
                    *point = Point::Time { after_unix_s: i64::MIN, first_is_known: false };
                }
                let (point, until) = (*point, *until);
                let news = |entry: &&Arc<LogEntry>| is_news(entry, point, snapshot);
                let next = snapshot.log.since(*at).take_while(|entry| entry.position <= until).find(news);
                if let Some(entry) = next {
                    *at = entry.position;
                    return Some(Missed::Change(Arc::clone(entry)));
                }
                *self = Replay::Nothing;
                None
            }
        }
    }
}

fn has_dependents(snapshot: &Snapshot, flag: &ItemKey) -> bool {
    snapshot.compiled.affected_flags(&[&flag.identifier], &[]).iter().any(|other| **other != *flag.identifier)
}

/// A `target-segment` patch: JS, Android and iOS then load everything once.
fn reload(snapshot: &Snapshot, first: &LogEntry) -> Message {
    let changed = (first.key.kind == ItemKind::Segment).then(|| snapshot.segment(&first.key.identifier)).flatten();
    match changed.or(snapshot.segments.first()) {
        Some(segment) => reload_everything(&snapshot.environment, segment.item.identifier(), segment.version),
        None => reload_everything(&snapshot.environment, "all", 1),
    }
}
