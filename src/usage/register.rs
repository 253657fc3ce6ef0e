//! The task that registers targets: slowly, few at once, and with few
//! attempts, so that it is never a burden on Harness.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::backoff::{Backoff, Waits};
use super::carrier::{Carrier, Delivery};
use super::registrar::{Registration, Registrations, Shared};

/// Attempts are at least so far apart: 20 a second.
const STEP: Duration = Duration::from_millis(50);
const MAX_UNDER_WAY: usize = 4;
/// Over up to 15 s: a connection that was cut is there again by then.
const ATTEMPTS: u32 = 5;
const ATTEMPT_LIMIT: Duration = Duration::from_secs(60);

/// Registers until told to stop. What waits then is left out: SDKs bring
/// their targets again.
pub async fn run(mut queue: Registrations, carrier: Arc<dyn Carrier>, waits: Waits, stop: CancellationToken) {
    let clerk = Arc::new(Clerk {
        shared: Arc::clone(&queue.shared),
        carrier,
        waits,
        next_turn: Mutex::new(Instant::now()),
        failing: AtomicBool::new(false),
    });
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(ended) = under_way.join_next(), if !under_way.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "registering a target broke off");
                }
            }
            next = queue.next(), if under_way.len() < MAX_UNDER_WAY => match next {
                Some(registration) => {
                    let clerk = Arc::clone(&clerk);
                    under_way.spawn(async move { clerk.register(&registration).await });
                }
                None => return stop.cancelled().await,
            },
        }
    }
}

struct Clerk {
    shared: Arc<Shared>,
    carrier: Arc<dyn Carrier>,
    waits: Waits,
    next_turn: Mutex<Instant>,
    failing: AtomicBool,
}

impl Clerk {
    async fn register(&self, registration: &Registration) {
        let Registration { environment, api_key, target_json, .. } = registration;
        let counts = &self.shared.counts;
        let mut backoff = Backoff::default();
        loop {
            tokio::time::sleep_until(self.turn().into()).await;
            let attempt = self.carrier.register_target(environment, api_key.as_ref(), target_json);
            let late = || Delivery::Uncertain { reason: "no answer in time".to_owned(), retry_after: None };
            let (reason, retry_after) =
                match tokio::time::timeout(ATTEMPT_LIMIT, attempt).await.unwrap_or_else(|_| late()) {
                    Delivery::Taken => {
                        counts.registered.fetch_add(1, Ordering::Relaxed);
                        if self.failing.swap(false, Ordering::Relaxed) {
                            tracing::info!("targets are registered upstream again");
                        }
                        return;
                    }
                    // It stays remembered: the same target would be refused again.
                    Delivery::Refused { status: Some(status @ (400..=428 | 430..=499)), reason, .. } => {
                        counts.refused.fetch_add(1, Ordering::Relaxed);
                        tracing::debug!(%environment, status, reason, "a target was refused upstream");
                        return;
                    }
                    Delivery::Refused { reason, retry_after, .. } | Delivery::Uncertain { reason, retry_after } => {
                        (reason, retry_after)
                    }
                };
            if !self.failing.swap(true, Ordering::Relaxed) {
                tracing::warn!(%environment, reason, "targets cannot be registered upstream; SDKs are served all the same");
            }
            let wait = backoff.failed(self.waits, rand::random(), retry_after);
            if backoff.failures() >= ATTEMPTS {
                counts.unreachable.fetch_add(1, Ordering::Relaxed);
                self.shared.forget_registration(registration);
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// The time of the caller's turn.
    fn turn(&self) -> Instant {
        let mut next = self.next_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(Instant::now());
        *next = turn + STEP;
        turn
    }
}
