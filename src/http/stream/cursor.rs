//! A stream's place in the change log.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::memory::Standing;
use super::pace::Pace;
use super::replay::{Missed, Replay};
use crate::snapshot::Snapshot;
use crate::snapshot::content::KeyHash;
use crate::snapshot::log::{ChangeLog, FIRST_PLACE, LogEntry, LogPosition, Message};
use crate::store::environment::{Environment, Signal};

/// Replayed events of one stream are at least this far apart.
const REPLAY_STEP: Duration = Duration::from_millis(50);

/// What to do next.
#[derive(Debug)]
pub enum Next {
    /// A change, also one that may have been missed.
    Tell(Arc<LogEntry>),
    /// That more may have been missed than is said.
    Reload(Message),
    /// Nothing before this time, or before the environment changes.
    WaitUntil(Option<Instant>),
    /// The key was revoked, or the environment is gone.
    Closed(&'static str),
}

/// Constant memory, however much changes and however slowly it is read.
#[derive(Debug)]
pub struct Cursor {
    environment: Arc<Environment>,
    signal: watch::Receiver<Signal>,
    /// The stream ends when one of these is revoked.
    keys: Box<[KeyHash]>,
    client_side: bool,
    live: LogPosition,
    replay: Replay,
    /// When the next replayed event may go.
    replay_at: Instant,
    pace: Arc<Pace>,
    repeat: Option<Repeat>,
}

/// Says everything a second time, some while later: another relay that was
/// asked after the first event may have been behind.
#[derive(Debug)]
struct Repeat {
    repeat: EventRepeat,
    at: LogPosition,
}

/// When events are said a second time.
#[derive(Clone, Copy, Debug)]
pub struct EventRepeat {
    pub after: Duration,
    /// False: only while other relays follow.
    pub always: bool,
}

impl EventRepeat {
    /// What is older was repeated to whoever was there; an SDK that was not
    /// may have been told of it by another relay.
    fn begin(self, log: &ChangeLog, now: Instant) -> LogPosition {
        let recent = |made_at: std::time::Instant| Instant::from_std(made_at) + self.after > now;
        // What was there at the start is no change.
        let start = LogPosition { place: FIRST_PLACE, ordinal: u32::MAX };
        log.before_recent(recent).max(start)
    }
}

/// How a cursor begins.
#[derive(Debug)]
pub struct Start {
    pub environment: Arc<Environment>,
    pub keys: Box<[KeyHash]>,
    pub client_side: bool,
    pub replay: Replay,
    pub replay_delay: Duration,
    pub pace: Arc<Pace>,
    pub repeat: Option<EventRepeat>,
}

impl Cursor {
    /// Begins behind everything that `snapshot` holds.
    #[must_use]
    pub fn new(start: Start, snapshot: &Snapshot) -> Self {
        // What followers do not have yet is told when they do.
        let open = LogPosition { place: start.environment.gate.open_to(), ordinal: u32::MAX };
        let log = log_of(snapshot, start.client_side);
        let live = log.end().min(open);
        let now = Instant::now();
        let repeat = start.repeat.map(|repeat| Repeat { at: repeat.begin(log, now), repeat });
        let replay_at = if start.replay.is_done() { now } else { start.pace.turn(now) + start.replay_delay };
        Cursor {
            signal: start.environment.subscribe(),
            environment: start.environment,
            keys: start.keys,
            client_side: start.client_side,
            live,
            replay_at,
            replay: start.replay,
            pace: start.pace,
            repeat,
        }
    }

    /// Looks at the current snapshot. What changed now goes before what may
    /// have been missed.
    pub fn next(&mut self, now: Instant) -> Next {
        if *self.signal.borrow_and_update() == Signal::Removed {
            return Next::Closed("its environment was removed");
        }
        let snapshot = self.environment.snapshot();
        let Some(snapshot) = snapshot.as_ref() else {
            return Next::WaitUntil(None);
        };
        if !self.keys.iter().all(|key| snapshot.has_key(key)) {
            return Next::Closed("its key was revoked");
        }
        let log = log_of(snapshot, self.client_side);
        let open_to = self.environment.gate.open_to();
        if let Some(entry) = log.next(self.live).filter(|entry| entry.position.place <= open_to) {
            self.live = entry.position;
            return Next::Tell(Arc::clone(entry));
        }
        let mut wait = None;
        if !self.replay.is_done() {
            if self.replay_at > now {
                wait = Some(self.replay_at);
            } else if let Some(missed) = self.replay.take(snapshot) {
                self.replay_at = self.pace.turn(now).max(now + REPLAY_STEP);
                return match missed {
                    Missed::Change(entry) => Next::Tell(entry),
                    Missed::Everything(message) => Next::Reload(message),
                };
            }
        }
        if let Some(repeat) = &mut self.repeat
            && let Some(entry) = log.next(repeat.at)
            && (repeat.repeat.always || self.environment.gate.has_followers())
        {
            let due = Instant::from_std(entry.made_at) + repeat.repeat.after;
            if due <= now {
                repeat.at = entry.position;
                return Next::Tell(Arc::clone(entry));
            }
            wait = Some(wait.map_or(due, |wait| wait.min(due)));
        }
        Next::WaitUntil(wait)
    }

    /// Whose changes these are.
    #[must_use]
    pub fn environment(&self) -> &Arc<Environment> {
        &self.environment
    }

    /// Up to where live changes were taken.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.live
    }

    /// The epoch and sequence that the stream was sent in full; `None` while
    /// something is still to be sent.
    #[must_use]
    pub fn sent_in_full(&self) -> Option<Standing> {
        let snapshot = self.environment.snapshot();
        let snapshot = snapshot.as_ref()?;
        let behind = !self.replay.is_done() || log_of(snapshot, self.client_side).next(self.live).is_some();
        (!behind).then_some(Standing { epoch: snapshot.revision.epoch, sequence: snapshot.revision.sequence })
    }

    /// Ends when the environment changed since the last [`Self::next`].
    pub async fn changed(&mut self) {
        // The sender lives in the environment, which this cursor holds.
        let _ = self.signal.changed().await;
    }
}

fn log_of(snapshot: &Snapshot, client_side: bool) -> &ChangeLog {
    if client_side { &snapshot.client_log } else { &snapshot.log }
}
