//! Targets that SDKs brought, on their way to Harness: each once an hour,
//! never on an SDK's path, nothing promised.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::mpsc;

use crate::config::Secret;
use crate::snapshot::content::EnvironmentId;
use crate::telemetry::exposition::Exposition;

/// Targets that wait.
const MAX_WAITING: usize = 10_000;
/// JSON of the targets that wait.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;
/// Targets remembered as registered, and for how long.
const MAX_REMEMBERED: u64 = 100_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

/// One target to register.
#[derive(Debug)]
pub struct Registration {
    pub environment: EnvironmentId,
    /// `None` where the SDK spoke to another relay.
    pub api_key: Option<Secret>,
    pub target_json: Box<str>,
    hash: u64,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct TargetCounts {
    pub registered: AtomicU64,
    /// There was no room in the queue.
    pub full: AtomicU64,
    /// Harness refused it.
    pub refused: AtomicU64,
    /// Every attempt failed.
    pub unreachable: AtomicU64,
}

/// The near end of the queue.
#[derive(Debug)]
pub struct Registrar {
    queue: mpsc::Sender<Registration>,
    shared: Arc<Shared>,
}

/// The far end of the queue.
#[derive(Debug)]
pub struct Registrations {
    queue: mpsc::Receiver<Registration>,
    pub shared: Arc<Shared>,
}

/// What both ends know.
#[derive(Debug)]
pub struct Shared {
    remembered: Cache<u64, ()>,
    hasher: RandomState,
    waiting_bytes: AtomicUsize,
    pub counts: TargetCounts,
}

/// Makes the queue.
#[must_use]
pub fn registrar() -> (Registrar, Registrations) {
    let (near, far) = mpsc::channel(MAX_WAITING);
    let shared = Arc::new(Shared {
        remembered: Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(REMEMBERED_FOR).build(),
        hasher: RandomState::new(),
        waiting_bytes: AtomicUsize::new(0),
        counts: TargetCounts::default(),
    });
    (Registrar { queue: near, shared: Arc::clone(&shared) }, Registrations { queue: far, shared })
}

impl Registrar {
    /// Has a target registered, unless that was done within the hour or the
    /// queue is full.
    pub fn offer(&self, environment: &EnvironmentId, api_key: Option<&Secret>, target_json: &str) {
        let hash = self.shared.hasher.hash_one((environment.as_str(), target_json));
        if !self.shared.remembered.entry(hash).or_insert(()).is_fresh() {
            return;
        }
        let bytes = target_json.len();
        let add = |waiting: usize| waiting.checked_add(bytes).filter(|sum| *sum <= MAX_WAITING_BYTES);
        let fits = self.shared.waiting_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok();
        let registration = || Registration {
            environment: environment.clone(),
            api_key: api_key.cloned(),
            target_json: Box::from(target_json),
            hash,
        };
        if fits && self.queue.try_send(registration()).is_ok() {
            return;
        }
        if fits {
            self.shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        self.shared.forget(hash);
        self.shared.counts.full.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds the families.
    #[expect(clippy::cast_precision_loss, reason = "counts for a dashboard")]
    pub fn expose(&self, out: &mut Exposition) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        let counts = &self.shared.counts;
        let help = "Targets of SDKs registered upstream";
        out.counter("ff_relay_targets_registered_total", help, &[], load(&counts.registered));
        for (reason, count) in
            [("full", &counts.full), ("refused", &counts.refused), ("unreachable", &counts.unreachable)]
        {
            let help = "Targets of SDKs that were not registered upstream";
            out.counter("ff_relay_targets_dropped_total", help, &[("reason", reason)], load(count));
        }
        let waiting = self.queue.max_capacity() - self.queue.capacity();
        out.gauge("ff_relay_targets_pending", "Targets that wait to be registered", &[], waiting as f64);
    }
}

impl Registrations {
    /// The next one; `None` once the near end is gone.
    pub async fn next(&mut self) -> Option<Registration> {
        let next = self.queue.recv().await?;
        self.shared.waiting_bytes.fetch_sub(next.target_json.len(), Ordering::Relaxed);
        Some(next)
    }
}

impl Shared {
    /// Lets a target be registered when it is seen next.
    pub fn forget_registration(&self, registration: &Registration) {
        self.forget(registration.hash);
    }

    fn forget(&self, hash: u64) {
        self.remembered.invalidate(&hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_target_is_registered_once() {
        let (near, mut far) = registrar();
        let (one, two) = (EnvironmentId::new("1"), EnvironmentId::new("2"));
        let key = Secret::new("k");
        for _ in 0..1000 {
            near.offer(&one, Some(&key), "{\"identifier\":\"a\"}");
        }
        near.offer(&two, Some(&key), "{\"identifier\":\"a\"}");
        near.offer(&one, Some(&key), "{\"identifier\":\"a\",\"name\":\"x\"}");
        for environment in [&one, &two, &one] {
            assert_eq!(&far.next().await.unwrap().environment, environment);
        }
        assert!(far.queue.try_recv().is_err());
        assert_eq!(near.shared.waiting_bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_what_it_refused_may_come_again() {
        let (near, mut far) = registrar();
        let (environment, key) = (EnvironmentId::new("1"), Secret::new("k"));
        let offer = |i: usize| near.offer(&environment, Some(&key), &format!("{{\"identifier\":\"{i}\"}}"));
        (0..MAX_WAITING + 5).for_each(offer);
        assert_eq!(near.shared.counts.full.load(Ordering::Relaxed), 5);
        assert!(far.next().await.is_some());
        offer(MAX_WAITING);
        assert_eq!(near.shared.counts.full.load(Ordering::Relaxed), 5);
        let (near, _far) = registrar();
        let large = "x".repeat(MAX_WAITING_BYTES / 2);
        (0..3).for_each(|i| near.offer(&environment, Some(&key), &format!("{large}{i}")));
        assert_eq!(near.shared.counts.full.load(Ordering::Relaxed), 2);
    }
}
