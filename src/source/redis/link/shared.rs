//! The connection that everybody shares: opened by the first who needs it,
//! for all who wait, and opened again after it broke.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout_at;
use tokio_util::task::AbortOnDropHandle;

use super::dialler::{Connection, Dialler, Topology};
use super::failure::{Failure, Use};
use super::rest::Rest;

/// A connection younger than this is not replaced by another of its kind.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// Holds it. The lock is only ever held for a look.
pub(super) struct Shared {
    pub dialler: Arc<Dialler>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    attempt: Option<Attempt>,
    rest: Rest,
    /// How many were opened so far.
    opened: u64,
}

/// An open connection; the number tells it from those before.
#[derive(Clone)]
pub(super) struct Open {
    pub number: u64,
    pub connection: Connection,
    since: Instant,
}

type Outcome = Option<Result<Open, Failure>>;

/// A connection on its way. Its task outlives whoever asked for it, so that
/// one that takes longer than a caller waits is of use to the next.
struct Attempt {
    outcome: watch::Receiver<Outcome>,
    task: AbortOnDropHandle<()>,
}

impl Shared {
    pub fn new(dialler: Dialler) -> Arc<Self> {
        Arc::new(Shared { dialler: Arc::new(dialler), state: Mutex::default() })
    }

    /// The connection, opened if there is none.
    pub async fn open(self: &Arc<Self>, until: Instant) -> Result<Open, Failure> {
        let mut outcome = {
            let mut state = self.lock();
            if let Some(open) = &state.open {
                return Ok(open.clone());
            }
            match &state.attempt {
                Some(attempt) => attempt.outcome.clone(),
                None => match state.rest.reason(Instant::now()) {
                    Some(reason) => return Err(reason),
                    None => self.start(&mut state),
                },
            }
        };
        let seen = match timeout_at(until.into(), outcome.wait_for(Option::is_some)).await {
            Ok(Ok(seen)) => seen.clone(),
            Ok(Err(_)) => None,
            Err(_) => return Err(Failure::silent(false)),
        };
        seen.unwrap_or_else(|| {
            // The task ended without a word, as after a panic.
            self.lock().attempt.take_if(|attempt| attempt.outcome.same_channel(&outcome));
            Err(Failure::away("connecting was broken off"))
        })
    }

    /// The number of the connection that is open now.
    pub fn number(&self) -> Option<u64> {
        self.lock().open.as_ref().map(|open| open.number)
    }

    /// This one is of no more use. A cluster's mends itself and serves the
    /// other slots meanwhile, so it stays until there is a better one. What
    /// is stale is left only after a while: the next may be no better.
    pub fn leave(self: &Arc<Self>, number: u64, why: Use) {
        let mut state = self.lock();
        let Some(open) = state.open.as_ref().filter(|open| open.number == number) else { return };
        let is_young = open.since.elapsed() < STALE_AFTER;
        if matches!(self.dialler.topology, Topology::Cluster(_)) {
            if !is_young && state.attempt.is_none() && state.rest.reason(Instant::now()).is_none() {
                self.start(&mut state);
            }
        } else if why == Use::Broken || !is_young {
            state.open = None;
        }
    }

    fn start(self: &Arc<Self>, state: &mut State) -> watch::Receiver<Outcome> {
        let (sender, outcome) = watch::channel(None);
        // Weak, so that the task ends with the last link.
        let (dialler, weak) = (Arc::clone(&self.dialler), Arc::downgrade(self));
        let task = tokio::spawn(async move {
            let result = dialler.shared().await;
            if let Some(shared) = weak.upgrade() {
                sender.send_replace(Some(shared.settle(result)));
            }
        });
        state.attempt = Some(Attempt { outcome: outcome.clone(), task: AbortOnDropHandle::new(task) });
        outcome
    }

    fn settle(&self, result: Result<Connection, Failure>) -> Result<Open, Failure> {
        let mut state = self.lock();
        if let Some(attempt) = state.attempt.take() {
            // It is the task that runs this.
            drop(attempt.task.detach());
        }
        match result {
            Ok(connection) => {
                state.rest.succeeded();
                state.opened += 1;
                let open = Open { number: state.opened, connection, since: Instant::now() };
                state.open = Some(open.clone());
                Ok(open)
            }
            Err(reason) => {
                state.rest.failed(Instant::now(), reason.clone());
                Err(reason)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
