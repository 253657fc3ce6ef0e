//! One stream from open to end: its cursor, its heartbeat, its age, and what
//! is remembered of it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::time::{Instant, Sleep};

use super::body::HEARTBEAT;
use super::cursor::{Cursor, Next};
use super::memory::{Settled, Standing};
use super::registry::{OpenPlace, StreamRegistry};
use super::target::StreamTarget;
use crate::snapshot::Epoch;
use crate::snapshot::log::{LogEntry, Message};
use crate::store::streams::ListedStream;
use crate::telemetry::clock::unix_now_ms;

/// A little less than the 15 s that SDKs expect at most.
const HEARTBEAT_EVERY: Duration = Duration::from_millis(14_000);

/// Streams beat at common moments: waking for each alone costs more than its
/// heartbeat does.
const HEARTBEAT_GRID_MS: u64 = 200;

/// Yields what a stream has to write, when it has to be written.
#[derive(Debug)]
pub struct Feed {
    cursor: Cursor,
    heartbeat_at: Instant,
    ends_at: Option<Instant>,
    draining: bool,
    /// Kept from one wait to the next: a change moves no timer.
    sleep: Pin<Box<Sleep>>,
    identity: Option<Identity>,
    registry: Arc<StreamRegistry>,
    heartbeat: Message,
    /// The stream as operators see it.
    listed: ListedStream,
    /// Whose answers its events carry.
    target: Option<Arc<StreamTarget>>,
    /// A change whose event waits for its answers.
    unanswered: Option<Arc<LogEntry>>,
    /// Counts this stream for as long as it lives.
    _place: OpenPlace,
}

/// What a stream does next.
enum Step {
    Write(Message),
    /// Its event waits for the answers.
    Answer,
    Wait,
    End,
}

/// By what the stream is remembered.
#[derive(Debug)]
struct Identity {
    jti: Box<str>,
    epoch: Epoch,
    settled: Settled,
    ended_well: bool,
}

impl Feed {
    /// `jti` names the token; `known` is what its SDK had before; `target` is
    /// whose answers its events carry.
    #[must_use]
    pub fn new(
        cursor: Cursor,
        (place, listed): (OpenPlace, ListedStream),
        registry: Arc<StreamRegistry>,
        jti: Option<(Box<str>, Epoch)>,
        known: Option<u64>,
        target: Option<Arc<StreamTarget>>,
    ) -> Self {
        let now = Instant::now();
        let mut rng = rand::rng();
        let age = registry.settings.max_stream_age.map(|age| age.mul_f64(rng.random_range(0.9..1.1)));
        let identity = jti.map(|(jti, epoch)| Identity { jti, epoch, settled: Settled::new(known), ended_well: false });
        listed.begin_at(cursor.position());
        Feed {
            cursor,
            // So that the streams of one moment do not beat together.
            heartbeat_at: registry
                .pace
                .on_grid(now + HEARTBEAT_EVERY.mul_f64(rng.random_range(0.5..1.0)), HEARTBEAT_GRID_MS),
            ends_at: age.map(|age| now + age),
            draining: false,
            sleep: Box::pin(tokio::time::sleep_until(now)),
            identity,
            heartbeat: registry.heartbeat.clone(),
            registry,
            listed,
            target,
            unanswered: None,
            _place: place,
        }
    }

    /// The next message to write; `None` when the stream ends on our side.
    /// May be dropped before it is ready without losing anything.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            match self.step() {
                Step::Write(message) => return Some(message),
                Step::End => return None,
                Step::Answer => {
                    if let (Some(entry), Some(target)) = (&self.unanswered, &self.target) {
                        // On the heap, and only for as long as it takes.
                        let event = Box::pin(self.registry.answering.event(self.cursor.environment(), target, entry));
                        let message = event.await;
                        self.unanswered = None;
                        return Some(message);
                    }
                }
                Step::Wait => tokio::select! {
                    () = self.cursor.changed() => {}
                    () = self.sleep.as_mut() => {}
                },
            }
        }
    }

    /// What there is to do now.
    fn step(&mut self) -> Step {
        if self.unanswered.is_some() && self.target.is_some() {
            return Step::Answer;
        }
        let now = Instant::now();
        self.note_draining(now);
        if now >= self.heartbeat_at {
            self.heartbeat_at = self.registry.pace.on_grid(now + HEARTBEAT_EVERY, HEARTBEAT_GRID_MS);
            self.note_standing(now);
            if let Some(target) = &self.target {
                target.forget_old();
            }
            return Step::Write(self.heartbeat.clone());
        }
        if self.ends_at.is_some_and(|end| now >= end) {
            return Step::End;
        }
        let wait = match self.cursor.next(now) {
            Next::Tell(entry) => {
                self.note_event(entry.message());
                if self.target.is_none() {
                    return Step::Write(entry.message().clone());
                }
                self.unanswered = Some(entry);
                return Step::Answer;
            }
            Next::Reload(message) => {
                self.note_event(&message);
                return Step::Write(message);
            }
            Next::Closed(reason) => {
                tracing::debug!(reason, "an SDK stream is closed");
                return Step::End;
            }
            Next::WaitUntil(time) => time,
        };
        let until = [wait, self.ends_at].into_iter().flatten().fold(self.heartbeat_at, Instant::min);
        if self.sleep.deadline() != until {
            self.sleep.as_mut().reset(until);
        }
        Step::Wait
    }

    /// Notes that the stream did not end by an error or a timeout.
    pub fn ended_well(&mut self) {
        if let Some(identity) = &mut self.identity {
            identity.ended_well = true;
        }
    }

    /// From then on the stream ends when its turn comes.
    fn note_draining(&mut self, now: Instant) {
        if !self.draining
            && let Some(spread) = self.registry.draining()
        {
            self.draining = true;
            let turn = now + spread.mul_f64(rand::rng().random_range(0.0..=1.0));
            self.ends_at = Some(self.ends_at.map_or(turn, |end| end.min(turn)));
        }
    }

    fn note_event(&self, message: &Message) {
        self.registry.count_event();
        self.listed.note(message, self.cursor.position(), unix_now_ms());
    }

    fn note_standing(&mut self, now: Instant) {
        if let Some(identity) = &mut self.identity {
            let sent = self.cursor.sent_in_full();
            if let Some(sent) = sent.filter(|sent| sent.epoch != identity.epoch) {
                // What was sent before counts in another way.
                (identity.epoch, identity.settled) = (sent.epoch, Settled::new(None));
            }
            identity.settled.note(sent.map(|sent| sent.sequence), now.into_std());
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(identity) = &mut self.identity {
            let sequence = identity.settled.sequence(std::time::Instant::now());
            let standing = sequence.filter(|_| identity.ended_well);
            let standing = standing.map(|sequence| Standing { epoch: identity.epoch, sequence });
            self.registry.memory.end(&identity.jti, standing);
        }
    }
}

/// The heartbeat as a message.
#[must_use]
pub fn heartbeat() -> Message {
    Message::from_text(HEARTBEAT)
}
