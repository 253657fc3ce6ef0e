//! Where the last stream of each token stood when it ended, so that the next
//! one is told what it may have missed and nothing more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;

use crate::snapshot::Epoch;
use crate::telemetry::clock::unix_now_s;

/// Bytes written are not bytes received: a stream vouches only for what it
/// was sent this long before its end.
pub const SETTLE: Duration = Duration::from_secs(120);

/// Ended streams remembered, and for how long.
const MAX_REMEMBERED: u64 = 200_000;
const REMEMBER: Duration = Duration::from_secs(24 * 3600);

/// Up to where an SDK has certainly got everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub epoch: Epoch,
    pub sequence: u64,
}

/// Where a token's last stream stood when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub standing: Standing,
    pub at_unix_s: i64,
}

/// Ended streams by the `jti` of their token.
#[derive(Debug)]
pub struct StreamMemory {
    ended: Cache<Box<str>, Ended>,
    /// Open streams per token; bounded by the number of streams.
    open: Mutex<HashMap<Box<str>, Open>>,
}

#[derive(Debug, Default)]
struct Open {
    streams: u32,
    /// Two at once: nobody knows which of them the SDK reads.
    several: bool,
}

impl Default for StreamMemory {
    fn default() -> Self {
        StreamMemory {
            ended: Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(REMEMBER).build(),
            open: Mutex::default(),
        }
    }
}

impl StreamMemory {
    /// Notes a stream's start; gives where the token's last one stood.
    pub fn begin(&self, jti: &str) -> Option<Ended> {
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.entry(jti.into()).or_default();
        open.streams += 1;
        open.several |= open.streams > 1;
        if open.several { None } else { self.ended.get(jti) }
    }

    /// Notes a stream's end. `standing` is `None` if it ended by an error or
    /// is not known to have got everything.
    pub fn end(&self, jti: &str, standing: Option<Standing>) {
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = all.get_mut(jti) else { return };
        open.streams = open.streams.saturating_sub(1);
        match standing.filter(|_| !open.several) {
            Some(standing) => self.ended.insert(jti.into(), Ended { standing, at_unix_s: unix_now_s() }),
            None => self.ended.invalidate(jti),
        }
        if open.streams == 0 {
            all.remove(jti);
        }
    }
}

/// What one stream was sent in full, seen from [`SETTLE`] later, in constant
/// memory: a settled sequence and a younger one that waits to settle.
#[derive(Debug)]
pub struct Settled {
    settled: Option<u64>,
    waiting: Option<(u64, Instant)>,
}

impl Settled {
    /// `known` is what the SDK certainly had before this stream.
    #[must_use]
    pub fn new(known: Option<u64>) -> Self {
        Settled { settled: known, waiting: None }
    }

    /// Notes that the stream has been sent everything up to `sequence`.
    pub fn note(&mut self, sequence: Option<u64>, now: Instant) {
        match self.waiting {
            Some((older, since)) if now.duration_since(since) >= SETTLE => {
                self.settled = Some(older);
                self.waiting = sequence.map(|sequence| (sequence, now));
            }
            Some(_) => {}
            None => self.waiting = sequence.map(|sequence| (sequence, now)),
        }
    }

    /// What has settled by now.
    #[must_use]
    pub fn sequence(&mut self, now: Instant) -> Option<u64> {
        self.note(None, now);
        self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_old_enough_is_vouched_for() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut settled = Settled::new(None);
        settled.note(Some(5), at(0));
        settled.note(Some(6), at(60));
        assert_eq!(settled.sequence(at(119)), None);
        settled.note(Some(7), at(130));
        assert_eq!(settled.sequence(at(131)), Some(5));
        assert_eq!(settled.sequence(at(251)), Some(7));
        assert_eq!(Settled::new(Some(3)).sequence(at(0)), Some(3));
    }

    #[test]
    fn two_streams_of_one_token_or_an_error_are_forgotten() {
        let memory = StreamMemory::default();
        let standing = Standing { epoch: Epoch(1), sequence: 9 };
        assert_eq!(memory.begin("a"), None);
        memory.end("a", Some(standing));
        assert_eq!(memory.begin("a").map(|ended| ended.standing), Some(standing));
        assert_eq!(memory.begin("a"), None);
        memory.end("a", Some(standing));
        memory.end("a", Some(standing));
        assert_eq!(memory.begin("a"), None);
        memory.end("a", Some(standing));
        memory.begin("a");
        memory.end("a", None);
        assert_eq!(memory.begin("a"), None);
    }
}
