//! The task that holds the lease, or waits for it. It does nothing else, so
//! that no load on the relay lets the lease run out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::lease::{Holder, Lease, Says};
use super::link::Failure;
use crate::telemetry::clock::unix_now_ms;

/// Who waits for the lease asks this often at most.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// A changed word about itself waits so long for the next.
const SAY_AFTER: Duration = Duration::from_millis(100);

/// How this relay stands to the lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tenure {
    /// Nothing was heard yet.
    #[default]
    Unknown,
    Held {
        token: u64,
    },
    /// Another relay has it, or nobody, and this one never takes it.
    Other,
    /// Redis does not say, for as long as a lease lasts.
    Away {
        reason: String,
    },
}

/// What the keeper knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub tenure: Tenure,
    pub holder: Option<Holder>,
    /// Why the last call failed; `None` if it did not.
    pub error: Option<String>,
}

/// The near end: what others tell the keeper.
#[derive(Clone, Debug, Default)]
pub struct Nudge {
    wake: Arc<Notify>,
    /// The highest token that was seen anywhere.
    seen: Arc<AtomicU64>,
}

impl Nudge {
    /// The lease may be free.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// A token was seen: a lease that is taken now has a higher one.
    pub fn saw(&self, token: u64) {
        self.seen.fetch_max(token, Ordering::Relaxed);
    }
}

/// Keeps the lease.
pub struct Keeper {
    pub lease: Lease,
    /// False for a replica: it only looks.
    pub takes: bool,
    pub says: watch::Receiver<Says>,
    pub nudge: Nudge,
    pub known: watch::Sender<Known>,
}

impl Keeper {
    /// Until dropped. The lease is not given back: see [`Lease::give_back`].
    pub async fn run(mut self) {
        // Until then the lease is held for certain, whatever Redis says.
        let mut held_until: Option<Instant> = None;
        let mut heard_at: Option<Instant> = None;
        loop {
            let asked_at = Instant::now();
            let answer = self.ask().await;
            let known = match answer {
                Ok((Some(token), holder)) => {
                    self.nudge.saw(token);
                    held_until = Some(asked_at + self.lease.lasts.mul_f64(0.9));
                    Known { tenure: Tenure::Held { token }, holder, error: None }
                }
                Ok((None, holder)) => {
                    held_until = None;
                    Known { tenure: Tenure::Other, holder, error: None }
                }
                Err(failure) => self.failed(failure, held_until, heard_at),
            };
            if known.error.is_none() {
                heard_at = Some(asked_at);
            }
            let held = matches!(known.tenure, Tenure::Held { .. });
            self.known.send_if_modified(|before| {
                let news = *before != known;
                *before = known;
                news
            });
            self.wait(held).await;
        }
    }

    async fn ask(&self) -> Result<(Option<u64>, Option<Holder>), Failure> {
        let seen = self.nudge.seen.load(Ordering::Relaxed);
        let says = self.says.borrow().clone();
        let token = if self.takes { self.lease.take(seen, &says, unix_now_ms()).await? } else { None };
        let holder = match token {
            Some(token) => Some(Holder { id: self.lease.id.clone(), token, since_ms: self.since(token), says }),
            None => self.lease.holder().await?,
        };
        if let Some(holder) = &holder {
            self.nudge.saw(holder.token);
        }
        Ok((token, holder))
    }

    /// Since when this relay has had this lease.
    fn since(&self, token: u64) -> i64 {
        let known = self.known.borrow();
        let same = known.holder.as_ref().filter(|holder| holder.token == token && holder.id == self.lease.id);
        same.map_or_else(unix_now_ms, |holder| holder.since_ms)
    }

    fn failed(&self, failure: Failure, held_until: Option<Instant>, heard_at: Option<Instant>) -> Known {
        let before = self.known.borrow().clone();
        let reason = failure.to_string();
        let now = Instant::now();
        let tenure = match before.tenure {
            Tenure::Held { token } if held_until.is_some_and(|until| now < until) => Tenure::Held { token },
            // Another relay may well go on: one lease is waited for.
            Tenure::Other if heard_at.is_some_and(|at| now < at + self.lease.lasts) => Tenure::Other,
            _ => Tenure::Away { reason: reason.clone() },
        };
        Known { tenure, holder: before.holder, error: Some(reason) }
    }

    async fn wait(&mut self, held: bool) {
        let lasts = self.lease.lasts;
        let interval = if held { lasts / 3 } else { (lasts / 5).min(ASK_EVERY) };
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = self.nudge.wake.notified() => {}
            changed = self.says.changed(), if held => match changed {
                Ok(()) => tokio::time::sleep(SAY_AFTER).await,
                // The member ends, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}
