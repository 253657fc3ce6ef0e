//! SDK events wait, for a moment, until the relays that follow this one have
//! the change: an SDK that is told of it may ask any of them next
//! (`http-api.md`, "More than one relay").

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::environment::Environment;

/// How long an event waits at most.
pub const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// One environment's gate. Places are those of change logs
/// ([`Snapshot::place`](crate::snapshot::Snapshot::place)).
#[derive(Debug, Default)]
pub struct Gate {
    /// Streams may be told of everything up to this place.
    open_to: AtomicU64,
    followers: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    followers: HashMap<u64, Standing>,
    /// The place that is waited for.
    waiting: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    place: u64,
    /// It was waited for in vain: not again before its next word.
    late: bool,
}

impl Gate {
    /// Streams may be told of everything up to this place.
    #[must_use]
    pub fn open_to(&self) -> u64 {
        self.open_to.load(Ordering::Acquire)
    }

    /// True while another relay follows the environment here.
    #[must_use]
    pub fn has_followers(&self) -> bool {
        self.followers.load(Ordering::Relaxed) > 0
    }

    /// A change was published. True if nobody has to be waited for.
    pub(super) fn published(&self, place: u64) -> bool {
        if self.has_followers() {
            let mut state = self.state();
            state.waiting = Some(place);
            return self.look(&mut state);
        }
        self.open_to.store(place, Ordering::Release);
        true
    }

    /// A follower has everything up to this place. True if that opens the
    /// gate.
    pub(super) fn acknowledged(&self, follower: u64, place: u64) -> bool {
        let mut state = self.state();
        state.followers.insert(follower, Standing { place, late: false });
        self.followers.store(state.followers.len(), Ordering::Relaxed);
        self.look(&mut state)
    }

    /// A follower went. True if that opens the gate.
    pub(super) fn left(&self, follower: u64) -> bool {
        let mut state = self.state();
        state.followers.remove(&follower);
        self.followers.store(state.followers.len(), Ordering::Relaxed);
        self.look(&mut state)
    }

    /// The time is over: what is published is told. True if something waited.
    pub(super) fn time_is_over(&self) -> bool {
        let mut state = self.state();
        if let Some(place) = state.waiting {
            state.followers.values_mut().filter(|it| it.place < place).for_each(|it| it.late = true);
        }
        self.look(&mut state)
    }

    fn look(&self, state: &mut State) -> bool {
        let Some(place) = state.waiting else { return false };
        if state.followers.values().any(|it| it.place < place && !it.late) {
            return false;
        }
        state.waiting = None;
        self.open_to.store(place, Ordering::Release);
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gates that wait, by the end of their time. At most one entry for each
/// publication of the last two seconds.
#[derive(Debug, Default)]
pub struct GateTimes {
    ends: Mutex<VecDeque<(Instant, Weak<Environment>)>>,
    wake: Notify,
}

impl GateTimes {
    /// This environment's gate opens in time, whatever its followers say.
    pub(super) fn wait_for(&self, environment: &Arc<Environment>) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.push_back((Instant::now() + LONGEST_WAIT, Arc::downgrade(environment)));
        drop(ends);
        self.wake.notify_one();
    }

    fn front(&self) -> Option<Instant> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).front().map(|(end, _)| *end)
    }

    fn take_due(&self, now: Instant) -> Option<Weak<Environment>> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let due = ends.front().is_some_and(|(end, _)| *end <= now);
        if due { ends.pop_front().map(|(_, environment)| environment) } else { None }
    }

    /// Opens gates when their time is over, until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let until = self.front().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                () = self.wake.notified() => {}
                () = stop.cancelled() => return,
            }
            while let Some(environment) = self.take_due(Instant::now()) {
                if let Some(environment) = environment.upgrade() {
                    environment.time_is_over();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_wait_for_followers_that_answer() {
        let gate = Gate::default();
        assert!(gate.published(1), "nobody follows");
        assert!(!gate.acknowledged(7, 1), "nothing waits");
        assert!(!gate.acknowledged(8, 1));
        assert!(!gate.published(2));
        assert_eq!(gate.open_to(), 1);
        assert!(!gate.acknowledged(7, 2));
        assert!(gate.acknowledged(8, 2));
        assert_eq!(gate.open_to(), 2);
        assert!(!gate.published(3));
        assert!(!gate.acknowledged(7, 3));
        assert!(gate.time_is_over(), "the other one is late");
        assert!(!gate.published(4));
        assert!(gate.acknowledged(7, 4), "and is not waited for again");
        assert!(!gate.acknowledged(8, 4));
        assert!(!gate.published(5));
        assert!(!gate.left(7));
        assert!(gate.left(8));
        assert_eq!((gate.open_to(), gate.has_followers()), (5, false));
    }
}
