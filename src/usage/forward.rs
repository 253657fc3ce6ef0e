//! The task that sends: closes sums every interval, freezes batches, keeps
//! the journal, and repeats what failed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::backoff::Waits;
use super::batch::{Batch, BatchId};
use super::body::Lost;
use super::carrier::{Carrier, Delivery};
use super::counters::{Counters, DropReason};
use super::entry;
use super::intake::Intake;
use super::journal::{Journal, Past};
use super::lane::{Chance, Lane, Settled};
use crate::snapshot::content::EnvironmentId;
use crate::telemetry::clock::unix_now_ms;
use crate::telemetry::logging::millis;

/// Attempts under way at once, of different environments.
const MAX_UNDER_WAY: usize = 16;
/// Bodies of all frozen batches. Beyond it nothing is frozen, and sums go on
/// growing in their own room.
pub const MAX_FROZEN_BYTES: usize = 64 * 1024 * 1024;
/// Sums are told to the journal this often.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// An attempt that takes longer is given up, whatever the carrier's own
/// limits are.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(120);
/// Failures after which a flush gives an environment up.
const FLUSH_FAILURES: u32 = 3;

/// Asks the task to send everything now.
#[derive(Debug)]
pub struct Flush {
    pub until: Instant,
    pub done: oneshot::Sender<Flushed>,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Not sent; on disk if there is a `data-dir`.
    pub left: Lost,
}

/// What is sent, and how.
pub struct Forwarder {
    pub(super) intake: Arc<Intake>,
    pub(super) counters: Arc<Counters>,
    interval: Duration,
    waits: Waits,
    flushes: mpsc::Receiver<Flush>,
    pub(super) journal: Journal,
    pub(super) lanes: BTreeMap<EnvironmentId, Lane>,
    under_way: JoinSet<Delivery>,
    attempts: HashMap<Id, EnvironmentId>,
    /// A flush is going on.
    flushing: bool,
    /// Environments whose refused rows were logged.
    said: HashSet<EnvironmentId>,
}

impl Forwarder {
    /// Takes over what an earlier process left.
    #[must_use]
    pub fn new(
        intake: Arc<Intake>,
        counters: Arc<Counters>,
        (interval, waits): (Duration, Waits),
        flushes: mpsc::Receiver<Flush>,
        (journal, past): (Journal, Past),
    ) -> Self {
        let now = Instant::now();
        let mut lanes = BTreeMap::new();
        intake.restore_seen(past.seen);
        for (environment, restored) in past.environments {
            let mut lane = Lane::new(now, restored.active_ms);
            restored.batches.into_iter().for_each(|(batch, sent)| lane.restore(batch, sent));
            restored.rows.rows.iter().for_each(|(key, _)| intake.rooms.rows.take_in_any_case(key.bytes()));
            for (identifier, json) in &restored.rows.targets {
                intake.rooms.targets.take_in_any_case(super::key::target_bytes(identifier, json));
            }
            lane.closed = restored.rows;
            let Lost { evaluations, targets } = lane.sum();
            tracing::info!(%environment, evaluations, targets, "SDK metrics of the process before are sent");
            lanes.insert(environment, lane);
        }
        Forwarder {
            intake,
            counters,
            interval,
            waits,
            flushes,
            journal,
            lanes,
            under_way: JoinSet::new(),
            attempts: HashMap::new(),
            flushing: false,
            said: HashSet::new(),
        }
    }

    /// Sends until told to stop. What is left then is on disk, or lost.
    pub async fn run(mut self, carrier: Arc<dyn Carrier>, stop: CancellationToken) {
        let now = Instant::now();
        // Relays that start together do not all send at the same moment.
        let mut next_close = now + self.interval.mul_f64(rand::random::<f64>());
        let mut next_tell = now + TELL_EVERY;
        self.rewrite_if_due(now).await;
        loop {
            self.begin_attempts(&carrier).await;
            let wake = self.next_attempt().into_iter().fold(next_close.min(next_tell), Instant::min);
            tokio::select! {
                Some(ended) = self.under_way.join_next_with_id(), if !self.under_way.is_empty() => {
                    self.settle_all(ended).await;
                }
                () = tokio::time::sleep_until(wake.into()) => {}
                Some(flush) = self.flushes.recv() => self.flush(&carrier, flush).await,
                () = stop.cancelled() => break,
            }
            let now = Instant::now();
            if next_close <= now {
                next_close = now + self.interval;
                self.close(false);
                self.drop_gone();
            }
            if next_tell <= now {
                next_tell = now + TELL_EVERY;
                let telling = self.intake.begin_telling();
                self.tell();
                self.journal.flush().await;
                self.rewrite_if_due(now).await;
                self.end_telling(telling);
            }
        }
        self.end().await;
    }

    /// Sends everything at once, as far as it goes.
    async fn flush(&mut self, carrier: &Arc<dyn Carrier>, flush: Flush) {
        let begun = Instant::now();
        self.close(true);
        self.lanes.values_mut().for_each(|lane| lane.hurry(begun));
        self.flushing = true;
        while Instant::now() < flush.until {
            self.begin_attempts(carrier).await;
            let next = self.next_attempt();
            if next.is_none() && self.under_way.is_empty() {
                break;
            }
            let wake = next.map_or(flush.until, |next| next.min(flush.until));
            tokio::select! {
                Some(ended) = self.under_way.join_next_with_id(), if !self.under_way.is_empty() => {
                    self.settle_all(ended).await;
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
        self.flushing = false;
        self.journal.flush().await;
        let left = self.left();
        let Lost { evaluations, targets } = left;
        let (duration_ms, on_disk) = (millis(begun.elapsed()), !self.journal.is_mute());
        tracing::info!(
            duration_ms,
            left_evaluations = evaluations,
            left_targets = targets,
            on_disk,
            "SDK metrics flushed"
        );
        // Whoever asked may be gone.
        let _ = flush.done.send(Flushed { left });
    }

    /// Writes what came last.
    async fn end(mut self) {
        let telling = self.intake.begin_telling();
        self.close(true);
        self.journal.flush().await;
        self.rewrite_if_due(Instant::now()).await;
        self.end_telling(telling);
        let left = self.left();
        if left != Lost::default() && self.journal.is_mute() {
            let Lost { evaluations, targets } = left;
            tracing::warn!(
                evaluations,
                targets,
                "SDK metrics that could not be sent are lost; with data-dir they would be kept"
            );
        }
    }

    /// Whoever waits for what it reported to be kept waits on while it is not.
    fn end_telling(&self, telling: u64) {
        if self.journal.is_whole() {
            self.intake.end_telling(telling);
        }
    }

    fn next_attempt(&self) -> Option<Instant> {
        if self.under_way.len() >= MAX_UNDER_WAY {
            return None;
        }
        let room = self.frozen_bytes() < MAX_FROZEN_BYTES;
        self.willing(room).map(|(_, time)| time).min()
    }

    fn willing(&self, room: bool) -> impl Iterator<Item = (&EnvironmentId, Instant)> {
        let most = if self.flushing { FLUSH_FAILURES } else { u32::MAX };
        let able = self.lanes.iter().filter(move |(_, lane)| lane.failures() < most && (room || !lane.wants_batch()));
        able.filter_map(|(environment, lane)| Some((environment, lane.next_attempt()?)))
    }

    /// Begins every attempt that is due, the longest waiting first, within
    /// the bounds. The journal knows of each before it goes out.
    async fn begin_attempts(&mut self, carrier: &Arc<dyn Carrier>) {
        let mut starting: Vec<(EnvironmentId, Batch)> = Vec::new();
        while self.under_way.len() + starting.len() < MAX_UNDER_WAY {
            let room = self.frozen_bytes() < MAX_FROZEN_BYTES;
            let first = self.willing(room).min_by_key(|(_, time)| *time);
            let Some((environment, time)) = first.map(|(environment, time)| (environment.clone(), time)) else {
                break;
            };
            if time > Instant::now() {
                break;
            }
            let Some(lane) = self.lanes.get_mut(&environment) else { break };
            if let Some(batch) = lane.freeze(BatchId(rand::random()), &self.intake.rooms) {
                self.journal.push(&entry::frozen(environment.as_str(), batch));
            }
            let Some(start) = lane.start() else { break };
            if start.again {
                self.counters.uncertain(start.batch.sum.evaluations);
            }
            self.journal.push(&entry::sending(start.batch.id));
            starting.push((environment, start.batch));
        }
        if starting.is_empty() {
            return;
        }
        self.journal.flush().await;
        for (environment, batch) in starting {
            let (carrier, to) = (Arc::clone(carrier), environment.clone());
            let attempt = self.under_way.spawn(async move {
                let sent = tokio::time::timeout(ATTEMPT_LIMIT, carrier.send_metrics(&to, batch.id, batch.body)).await;
                let late = || Delivery::Uncertain { reason: "no answer in time".to_owned(), retry_after: None };
                sent.unwrap_or_else(|_| late())
            });
            self.attempts.insert(attempt.id(), environment);
        }
    }

    /// Settles an attempt and others that have ended meanwhile: the journal
    /// is synced once for all.
    async fn settle_all(&mut self, first: Result<(Id, Delivery), JoinError>) {
        self.settle(first);
        while let Some(ended) = self.under_way.try_join_next_with_id() {
            self.settle(ended);
        }
        self.journal.flush().await;
    }

    fn settle(&mut self, ended: Result<(Id, Delivery), JoinError>) {
        let (id, delivery) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let reason = "the attempt broke off inside the relay".to_owned();
                (error.id(), Delivery::Uncertain { reason, retry_after: None })
            }
        };
        let Some(environment) = self.attempts.remove(&id) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(&environment) else {
            return;
        };
        let chance = Chance { random: rand::random(), ids: [BatchId(rand::random()), BatchId(rand::random())] };
        let Some(settled) = lane.settle(&delivery, Instant::now(), self.waits, chance) else {
            return;
        };
        self.counters.attempted(&environment, matches!(settled, Settled::Taken { .. }));
        match settled {
            Settled::Taken { id, failures } => {
                lane.active_ms = lane.active_ms.max(unix_now_ms());
                self.journal.push(&entry::done(id));
                if failures > 0 {
                    tracing::info!(%environment, failures, "SDK metrics are sent again");
                }
            }
            Settled::Halved { id, into, status } => {
                self.journal.push(&entry::halved(id, &into));
                tracing::debug!(%environment, status, batch = %id, "a batch of SDK metrics was refused; its halves are tried");
            }
            Settled::Dropped { id, lost, status } => {
                self.journal.push(&entry::done(id));
                self.counters.dropped(DropReason::Refused, lost);
                if self.said.insert(environment.clone()) {
                    let Lost { evaluations, targets } = lost;
                    let reason = reason(&delivery);
                    tracing::warn!(%environment, status, reason, evaluations, targets, "a row of SDK metrics is refused upstream and dropped; further ones are only counted");
                }
            }
            Settled::Waits { id, certain, failures, wait } => {
                if certain {
                    self.journal.push(&entry::refused(id));
                }
                if failures == 1 {
                    let (reason, retry_ms) = (reason(&delivery), millis(wait));
                    tracing::warn!(%environment, reason, retry_ms, "SDK metrics cannot be sent; they are kept and tried again");
                }
            }
        }
    }
}

fn reason(delivery: &Delivery) -> &str {
    match delivery {
        Delivery::Taken => "taken",
        Delivery::Refused { reason, .. } | Delivery::Uncertain { reason, .. } => reason,
    }
}
