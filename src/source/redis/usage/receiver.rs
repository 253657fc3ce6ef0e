//! The leader's side: batches of the other relays, each carried upstream as
//! it is and acknowledged after that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, Sent};
use super::group::{self, BLOCK, Entry};
use super::waiting::done;
use super::{go, refused};
use crate::source::redis::link::{Blocking, Failure, Link};
use crate::telemetry::clock::unix_now_ms;
use crate::usage::batch::{Batch, BatchId};
use crate::usage::seen::Seen;
use crate::usage::{Carrier, Delivery, Usage};

/// After a failure of Redis.
pub(super) const RETRY: Duration = Duration::from_millis(500);
/// What is under way when this relay stops leading gets so much time.
const LAST: Duration = Duration::from_secs(5);
/// Entries that were read and that nobody has in hand are looked for this
/// often: a relay that led before may have read them late.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where batches go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    Upstream,
    /// A Go primary is at work, and it alone counts.
    GoPrimary,
}

/// What it is made of.
#[derive(Clone)]
pub struct Receiver {
    pub link: Link,
    pub usage: Arc<Usage>,
    pub upstream: Arc<dyn Carrier>,
    /// Batches under way at once.
    pub at_once: usize,
    /// Entries that may wait for a Go primary.
    pub most: usize,
    /// Batches that this relay has sent: Redis may lose the word of it.
    pub taken: Arc<Mutex<Seen>>,
}

impl Receiver {
    /// While this relay leads.
    pub async fn run(self, to: Destination, stop: CancellationToken) {
        let mut desk = Desk::new(self.at_once.max(1));
        let from_go = async {
            match to {
                // Nothing that Redis has given out is lost with it.
                Destination::Upstream => drop(stop.run_until_cancelled(self.receive_go()).await),
                Destination::GoPrimary => {}
            }
            std::future::pending::<()>().await;
        };
        // What Redis gives out now is taken, else the next one to lead would
        // have to take it for sent.
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(BLOCK * 2).await;
        };
        tokio::select! {
            () = stopped => {}
            () = self.receive(&mut desk, to, &stop) => {}
            () = from_go => {}
        }
        let rest = async {
            while let Some(ended) = desk.under_way.join_next().await {
                self.ended(ended, &mut desk).await;
            }
        };
        // What is cut is found again by the next one to lead.
        let _ = tokio::time::timeout(LAST, rest).await;
    }

    /// Until told to stop.
    async fn receive(&self, desk: &mut Desk, to: Destination, stop: &CancellationToken) {
        let mut failing = false;
        // What was read before this relay led may have been sent.
        let mut looked = false;
        while !stop.is_cancelled() {
            let Err(failure) = self.receive_on_one_connection(desk, to, stop, (&mut looked, &mut failing)).await else {
                return;
            };
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!(reason = %failure, "SDK metrics of other relays cannot be read from Redis; trying on");
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn receive_on_one_connection(
        &self,
        desk: &mut Desk,
        to: Destination,
        stop: &CancellationToken,
        (looked, failing): (&mut bool, &mut bool),
    ) -> Result<(), Failure> {
        let mut connection = self.link.blocking().await?;
        group::make(&mut connection).await?;
        // `true`: what is found may have been sent. What only this relay
        // read, on a connection that broke, was not.
        let mut again = !*looked;
        let mut after = Some("0".to_owned());
        let mut next_look = Instant::now() + LOOK_EVERY;
        while !stop.is_cancelled() {
            while let Some(ended) = desk.under_way.try_join_next() {
                self.ended(ended, desk).await;
            }
            self.retry(&mut connection, desk, to).await?;
            if next_look <= Instant::now() && after.is_none() {
                (after, again) = (Some("0".to_owned()), true);
                next_look = Instant::now() + LOOK_EVERY;
            }
            let room = desk.room();
            if room == 0 {
                if let Some(ended) = desk.under_way.join_next().await {
                    self.ended(ended, desk).await;
                }
            } else if let Some(from) = &after {
                let look = group::read_again(&mut connection, from, room).await?;
                after = look.last;
                for entry in look.entries {
                    if !desk.has(&entry.id) {
                        self.take_up(entry, again, desk, to).await;
                    }
                }
                *looked |= after.is_none();
            } else {
                let block = if desk.is_idle() { BLOCK } else { BLOCK / 4 };
                for entry in group::read_new(&mut connection, room, block).await?.entries {
                    self.take_up(entry, false, desk, to).await;
                }
            }
            if std::mem::take(failing) {
                tracing::info!("SDK metrics of other relays can be read from Redis again");
            }
        }
        Ok(())
    }

    /// Sends again what has waited long enough.
    async fn retry(&self, connection: &mut Blocking, desk: &mut Desk, to: Destination) -> Result<(), Failure> {
        for id in desk.due(Instant::now()) {
            match group::find(connection, &id).await? {
                Some(entry) => self.take_up(entry, false, desk, to).await,
                // Redis lost it; its sender puts it in again.
                None => desk.forget(&id),
            }
        }
        Ok(())
    }

    /// Sends it, or notes that it was sent. `again`: an earlier leader may
    /// have sent it.
    async fn take_up(&self, entry: Entry, again: bool, desk: &mut Desk, to: Destination) {
        if self.has_taken(entry.batch) {
            return self.end(entry, desk).await;
        }
        let Some((entry, again)) = desk.begin(entry, again) else { return };
        if again && let Ok(batch) = Batch::restore(entry.batch, entry.body.clone()) {
            self.usage.counters().uncertain(batch.sum.evaluations);
        }
        let attempt = self.clone().attempt(entry, to);
        desk.under_way.spawn(attempt);
    }

    fn attempt(self, entry: Entry, to: Destination) -> BoxFuture<'static, Sent> {
        Box::pin(async move {
            let delivery = match to {
                Destination::GoPrimary => go::send(&self.link, &entry.environment, &entry.body, self.most).await,
                Destination::Upstream => {
                    let (environment, body) = (&entry.environment, entry.body.clone());
                    match self.upstream.send_metrics(environment, entry.batch, body).await {
                        Delivery::Refused { status: Some(400 | 413 | 422), .. } => {
                            refused::take(&self.usage, environment, entry.batch, &entry.body).await
                        }
                        delivery => delivery,
                    }
                }
            };
            if delivery == Delivery::Taken {
                self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.batch, unix_now_ms());
            }
            (entry, delivery)
        })
    }

    fn has_taken(&self, batch: BatchId) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).contains(batch)
    }

    async fn ended(&self, ended: Result<Sent, JoinError>, desk: &mut Desk) {
        let (entry, delivery) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "an attempt to send SDK metrics of another relay failed");
                return;
            }
        };
        desk.ended(&entry.id);
        match delivery {
            Delivery::Taken => self.end(entry, desk).await,
            Delivery::Refused { retry_after, .. } => desk.failed(entry, false, retry_after),
            Delivery::Uncertain { retry_after, .. } => desk.failed(entry, true, retry_after),
        }
    }

    /// Its sender may forget it.
    async fn end(&self, entry: Entry, desk: &mut Desk) {
        match done(&self.link, &entry.id, entry.batch).await {
            Ok(()) => desk.forget(&entry.id),
            // Noted later; it is known to be sent.
            Err(_) => desk.failed(entry, false, None),
        }
    }
}
