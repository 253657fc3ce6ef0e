//! Usage as the SDK port and the composition root see it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::backoff::Waits;
use super::batch::BatchId;
use super::body::{BodyTally, Lost};
use super::carrier::Carrier;
use super::counters::{Counters, DropReason};
use super::forward::{Flush, Flushed, Forwarder};
use super::intake::Intake;
use super::registrar::{Registrar, Registrations, registrar};
use super::settings::UsageSettings;
use super::{journal, register};
use crate::config::Secret;
use crate::snapshot::content::EnvironmentId;
use crate::store::durable::DataDir;
use crate::telemetry::clock::unix_now_ms;
use crate::telemetry::exposition::Exposition;

/// Takes what SDKs report.
#[derive(Debug)]
pub struct Usage {
    counters: Arc<Counters>,
    /// `None`: metrics are counted as dropped.
    intake: Option<Arc<Intake>>,
    flushes: Option<mpsc::Sender<Flush>>,
    /// Of the journal.
    failing: Arc<AtomicBool>,
    /// The last flush has begun.
    ending: AtomicBool,
    registrar: Option<Registrar>,
}

/// The background half of an active [`Usage`].
pub struct UsageTask {
    forwarder: Option<Forwarder>,
    registrations: Option<Registrations>,
    waits: Waits,
}

impl fmt::Debug for UsageTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (forwards, registers) = (self.forwarder.is_some(), self.registrations.is_some());
        f.debug_struct("UsageTask").field("forwards", &forwards).field("registers", &registers).finish_non_exhaustive()
    }
}

impl Usage {
    /// Accepts and drops: there is nowhere to send to.
    #[must_use]
    pub fn dropped() -> Arc<Usage> {
        Arc::new(Usage {
            counters: Arc::default(),
            intake: None,
            flushes: None,
            failing: Arc::default(),
            ending: AtomicBool::default(),
            registrar: None,
        })
    }

    /// Accepts and sends, once the task runs. Reads what the process before
    /// left in `directory`, so it may take as long as a disk does.
    #[must_use]
    pub fn active(settings: UsageSettings, directory: Option<Arc<DataDir>>) -> (Arc<Usage>, UsageTask) {
        let counters = Arc::<Counters>::default();
        let (near, far) = settings.register_targets.then(registrar).unzip();
        let mut usage = Usage {
            counters: Arc::clone(&counters),
            intake: None,
            flushes: None,
            failing: Arc::default(),
            ending: AtomicBool::default(),
            registrar: near,
        };
        let mut task = UsageTask { forwarder: None, registrations: far, waits: settings.waits };
        if let Some(interval) = settings.interval {
            let intake = Arc::new(Intake::new(settings.max_keys));
            let (flushes, asked) = mpsc::channel(1);
            let journal = journal::open(directory.as_ref());
            usage.failing = journal.0.failing();
            let pace = (interval, settings.waits);
            task.forwarder = Some(Forwarder::new(Arc::clone(&intake), counters, pace, asked, journal));
            (usage.intake, usage.flushes) = (Some(intake), Some(flushes));
        }
        (Arc::new(usage), task)
    }

    /// Where the rows of one request are summed while it is read.
    #[must_use]
    pub fn body(&self) -> BodyTally {
        let now_ms = unix_now_ms();
        match &self.intake {
            Some(intake) => BodyTally::kept(Arc::clone(&intake.bodies), now_ms),
            None => BodyTally::counted(now_ms),
        }
    }

    /// Takes a body that was read whole. When this returns it is kept, save
    /// for what a bound drops, which is counted. Never waits for a disk.
    pub fn take(&self, environment: &EnvironmentId, body: BodyTally) {
        let mut sums = body.into_sums();
        self.counters.used(environment, std::mem::take(&mut sums.sdks));
        let (reason, lost) = match &self.intake {
            Some(intake) => (DropReason::Full, intake.add(environment, sums, unix_now_ms())),
            None => (DropReason::Off, sums.lost),
        };
        if lost != Lost::default() {
            self.counters.dropped(reason, lost);
        }
    }

    /// Takes a batch (at most 1,000 rows) that another relay reports under an
    /// id, once within 24 h. False if it was taken before: then, too, the
    /// other relay may forget it, after [`kept`](Usage::kept).
    pub fn take_once(&self, environment: &EnvironmentId, id: BatchId, body: BodyTally) -> bool {
        let Some(intake) = &self.intake else {
            self.take(environment, body);
            return true;
        };
        let mut sums = body.into_sums();
        let sdks = std::mem::take(&mut sums.sdks);
        let Some(lost) = intake.add_once(environment, id, sums, unix_now_ms()) else {
            return false;
        };
        self.counters.used(environment, sdks);
        self.counters.dropped(DropReason::Full, lost);
        true
    }

    /// Ends when everything that was taken before this call would outlive a
    /// crash, which takes up to a second; with nowhere to keep it, at the
    /// next telling all the same. Never ends without the task, or while the
    /// disk takes nothing.
    pub async fn kept(&self) {
        if let Some(intake) = &self.intake {
            intake.told().await;
        }
    }

    /// False while what is taken cannot be written to `data-dir`.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.failing.load(Ordering::Relaxed)
    }

    /// True once everything is being sent for the last time.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Whether targets are registered upstream, so that a caller need not
    /// keep what is not wanted.
    #[must_use]
    pub fn registers_targets(&self) -> bool {
        self.registrar.is_some()
    }

    /// Has the target of an SDK registered, in the background; without its
    /// key where it spoke to another relay. The caller leaves out targets without an identifier.
    pub fn register_target(&self, environment: &EnvironmentId, api_key: Option<&Secret>, target_json: &str) {
        if let Some(registrar) = &self.registrar {
            registrar.offer(environment, api_key, target_json);
        }
    }

    /// Sends everything now, within the time, and says what is left. To be
    /// called once SDK requests have ended and before the task is stopped.
    pub async fn flush(&self, within: Duration) -> Flushed {
        self.ending.store(true, Ordering::Relaxed);
        let Some(flushes) = &self.flushes else {
            return Flushed::default();
        };
        let (done, answer) = oneshot::channel();
        let ask = async {
            // The task may have ended already; then there is nothing to say.
            flushes.send(Flush { until: Instant::now() + within, done }).await.ok()?;
            answer.await.ok()
        };
        // The task ends in time by itself; this is for one that hangs.
        let limit = within.saturating_add(Duration::from_secs(1));
        tokio::time::timeout(limit, ask).await.ok().flatten().unwrap_or_default()
    }

    /// Counts since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Adds the families of usage.
    #[expect(clippy::cast_precision_loss, reason = "counts for a dashboard")]
    pub fn expose(&self, out: &mut Exposition) {
        self.counters.expose(out);
        if let Some(intake) = &self.intake {
            let rooms = &intake.rooms;
            let keys = "Distinct keys of SDK metrics that wait to be sent";
            out.gauge("ff_relay_metrics_pending_keys", keys, &[], rooms.rows.keys() as f64);
            let targets = "Rows of targetData that wait to be sent";
            out.gauge("ff_relay_metrics_pending_targets", targets, &[], rooms.targets.keys() as f64);
            let bytes = (rooms.rows.bytes() + rooms.targets.bytes()) as f64;
            out.gauge("ff_relay_metrics_pending_bytes", "Memory of SDK metrics that wait to be sent", &[], bytes);
        }
        if let Some(registrar) = &self.registrar {
            registrar.expose(out);
        }
    }
}

impl UsageTask {
    /// Sends until told to stop, then writes what is left to the data
    /// directory. Never ends before.
    pub async fn run(self, carrier: Arc<dyn Carrier>, stop: CancellationToken) {
        let UsageTask { forwarder, registrations, waits } = self;
        let forwarding = async {
            match forwarder {
                Some(forwarder) => forwarder.run(Arc::clone(&carrier), stop.clone()).await,
                None => stop.cancelled().await,
            }
        };
        let registering = async {
            match registrations {
                Some(queue) => register::run(queue, Arc::clone(&carrier), waits, stop.clone()).await,
                None => stop.cancelled().await,
            }
        };
        tokio::join!(forwarding, registering);
    }
}
