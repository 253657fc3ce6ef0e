//! The targets of open client-side streams: one copy for all streams of the
//! same target, bounded, so that an event can carry their answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::snapshot::Revision;
use crate::snapshot::item::Digest;
use crate::snapshot::log::{LogPosition, Message};

/// Events of streams with a larger target (bytes of its JSON) carry no answers.
pub const MAX_STREAM_TARGET_BYTES: usize = 32 * 1024;

/// All targets of open streams together (bytes of JSON).
pub const MAX_STREAM_TARGETS_BYTES: usize = 64 * 1024 * 1024;

/// Events that streams of the same target take from each other: so many, and
/// for so long.
const SHARED_EVENTS: usize = 4;
const SHARED_FOR: Duration = Duration::from_secs(5);

/// Every target that a stream is open for.
#[derive(Debug, Default)]
pub struct StreamTargets {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_digest: HashMap<Digest, Weak<StreamTarget>>,
    bytes: usize,
}

/// The target of one stream or several.
#[derive(Debug)]
pub struct StreamTarget {
    digest: Digest,
    /// The target's JSON.
    pub json: Box<str>,
    /// It came with the token, not with this request.
    pub from_token: bool,
    recent: Mutex<Vec<Recent>>,
    all: Arc<StreamTargets>,
}

/// The change, and the place and the revision of the snapshot that answered:
/// places begin anew where an environment comes again.
pub type AnsweredBy = (LogPosition, u64, Revision);

/// An event that was made for this target a moment ago.
#[derive(Debug)]
struct Recent {
    of: AnsweredBy,
    message: Message,
    at: Instant,
}

impl StreamTargets {
    /// The target of a stream in this environment; `None` if there is no
    /// room for it.
    pub fn enter(self: &Arc<Self>, environment: &str, json: &str, from_token: bool) -> Option<Arc<StreamTarget>> {
        if json.len() > MAX_STREAM_TARGET_BYTES {
            return None;
        }
        let digest = Digest::of(format!("{environment}\n{from_token}\n{json}").as_bytes());
        let mut known = self.lock();
        if let Some(target) = known.by_digest.get(&digest).and_then(Weak::upgrade) {
            return Some(target);
        }
        if known.bytes + json.len() > MAX_STREAM_TARGETS_BYTES {
            return None;
        }
        let recent = Mutex::default();
        let target = Arc::new(StreamTarget { digest, json: json.into(), from_token, recent, all: Arc::clone(self) });
        known.bytes += json.len();
        known.by_digest.insert(digest, Arc::downgrade(&target));
        Some(target)
    }

    /// Distinct targets of open streams.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().by_digest.len()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamTarget {
    /// The event of a change as answered by the snapshot at a place: made by
    /// whoever comes first, for streams of this target that come after.
    pub fn shared(self: &Arc<Self>, of: AnsweredBy, make: impl FnOnce() -> Message) -> Message {
        if Arc::strong_count(self) == 1 {
            return make();
        }
        // Held while it is made: who comes meanwhile would make the same.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        recent.retain(|event| now.duration_since(event.at) < SHARED_FOR);
        if let Some(known) = recent.iter().find(|event| event.of == of) {
            return known.message.clone();
        }
        let message = make();
        if recent.len() >= SHARED_EVENTS {
            recent.remove(0);
        }
        recent.push(Recent { of, message: message.clone(), at: now });
        message
    }

    /// Lets go of events that nobody is going to take.
    pub fn forget_old(&self) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|event| event.at.elapsed() < SHARED_FOR);
        if recent.is_empty() {
            *recent = Vec::new();
        }
    }
}

impl Drop for StreamTarget {
    fn drop(&mut self) {
        let mut known = self.all.lock();
        known.bytes = known.bytes.saturating_sub(self.json.len());
        // A stream that has just begun may have put the same target anew.
        if known.by_digest.get(&self.digest).is_some_and(|target| target.strong_count() == 0) {
            known.by_digest.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Epoch;

    #[test]
    fn streams_of_one_target_share_it_and_its_events() {
        let targets = Arc::new(StreamTargets::default());
        let enter = |environment, json| targets.enter(environment, json, false).unwrap();
        let (one, same, other) = (enter("e", "{}"), enter("e", "{}"), enter("f", "{}"));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        assert_eq!(targets.count(), 2);
        let mut made = 0;
        let mut event = |of| {
            one.shared(of, || {
                made += 1;
                Message::from_text("x")
            });
        };
        let revision = |sequence| Revision { epoch: Epoch(1), sequence, digest: Digest::of(b"") };
        let first = (LogPosition { place: 1, ordinal: 0 }, 1, revision(1));
        (0..3).for_each(|_| event(first));
        event((first.0, 2, revision(1)));
        event((first.0, 2, revision(2)));
        assert_eq!(made, 3);
        drop((one, same, other));
        assert_eq!((targets.count(), targets.lock().bytes), (0, 0));
    }

    #[test]
    fn targets_are_bounded() {
        let targets = Arc::new(StreamTargets::default());
        assert!(targets.enter("e", &"x".repeat(MAX_STREAM_TARGET_BYTES + 1), false).is_none());
        let large = |at: usize| targets.enter("e", &format!("{at:0>MAX_STREAM_TARGET_BYTES$}"), true);
        let fit = MAX_STREAM_TARGETS_BYTES / MAX_STREAM_TARGET_BYTES;
        let held: Vec<_> = (0..fit + 10).filter_map(large).collect();
        assert_eq!(held.len(), fit);
        drop(held);
        assert!(large(0).is_some());
    }
}
