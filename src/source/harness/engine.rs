//! What all tasks of the Harness source share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::assembly::Began;
use super::calls::Calls;
use super::feed::Feed;
use super::schedule::Intervals;
use super::session::Session;
use super::swap;
use crate::config::UpstreamConfig;
use crate::snapshot::content::EnvironmentId;
use crate::source::intake_queue::IntakeQueue;
use crate::store::Store;

/// Fetches at the same time: a thousand environments start without a herd,
/// and one that is slow holds one place of many.
const FETCHES_AT_ONCE: usize = 64;

/// The options that the source goes by.
#[derive(Clone, Copy, Debug)]
pub struct SyncSettings {
    pub stream_enabled: bool,
    pub poll_interval: Duration,
    pub resync_interval: Duration,
    pub key_refresh_interval: Duration,
    pub target_poll: Option<Duration>,
}

impl SyncSettings {
    #[must_use]
    pub fn of(config: &UpstreamConfig) -> Self {
        SyncSettings {
            stream_enabled: config.flag_stream_enabled,
            poll_interval: config.flag_poll_interval,
            resync_interval: config.resync_interval,
            key_refresh_interval: config.key_refresh_interval,
            target_poll: config.target_poll_duration,
        }
    }

    /// Of an environment that sees to itself.
    #[must_use]
    pub fn intervals(&self) -> Intervals {
        Intervals { resync: Some(spread(self.resync_interval)), poll: Some(self.poll_interval) }
    }
}

/// Intervals of many environments must not fall together.
#[must_use]
pub fn spread(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + rand::random::<f64>() / 5.0)
}

/// Shared by all tasks of the source.
#[derive(Debug)]
pub struct Engine {
    pub calls: Arc<Calls>,
    pub settings: SyncSettings,
    pub store: Store,
    intake: IntakeQueue,
    places: Semaphore,
    order: AtomicU64,
    routes: Mutex<HashMap<EnvironmentId, Route>>,
}

/// Who can speak to upstream for an environment.
#[derive(Clone, Debug)]
pub struct Route {
    pub session: Arc<Session>,
    pub feed: Arc<Feed>,
}

impl Engine {
    #[must_use]
    pub fn new(calls: Arc<Calls>, settings: SyncSettings, store: Store, intake: IntakeQueue) -> Self {
        Engine {
            calls,
            settings,
            store,
            intake,
            places: Semaphore::new(FETCHES_AT_ONCE),
            order: AtomicU64::new(0),
            routes: Mutex::default(),
        }
    }

    /// The next number in the order of fetches and messages.
    #[must_use]
    pub fn begin(&self) -> Began {
        Began(self.order.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// A place among the fetches under way; given back when dropped.
    pub async fn place(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }

    /// Has an environment's newest content swapped in.
    pub async fn apply(&self, feed: &Arc<Feed>) {
        if feed.queue() {
            let feed = Arc::clone(feed);
            self.intake.send(move |intake| swap::apply(intake, &feed)).await;
        }
    }

    /// Ends when everything that was ordered before is served.
    pub async fn reach(&self) {
        // It fails only when the process ends.
        let _ = self.intake.run(|_| ()).await;
    }

    /// Has environments taken away, their streams too.
    pub async fn withdraw(&self, feeds: Vec<Arc<Feed>>) {
        feeds.iter().for_each(|feed| feed.withdraw());
        self.routes().retain(|id, _| !feeds.iter().any(|feed| feed.id == *id));
        self.intake.send(move |intake| swap::withdraw(intake, &feeds)).await;
    }

    /// Makes an environment known before it has content.
    pub async fn open(&self, id: &EnvironmentId) -> Option<Arc<crate::store::environment::Environment>> {
        let id = id.clone();
        self.intake.run(move |intake| intake.writer().open(&id)).await
    }

    fn routes(&self) -> std::sync::MutexGuard<'_, HashMap<EnvironmentId, Route>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes who speaks to upstream for an environment. False if somebody
    /// else does already.
    pub fn register(&self, session: &Arc<Session>, feed: &Arc<Feed>) -> bool {
        let mut routes = self.routes();
        let known = routes.get(&feed.id).is_some_and(|route| !Arc::ptr_eq(&route.session, session));
        if !known {
            routes.insert(feed.id.clone(), Route { session: Arc::clone(session), feed: Arc::clone(feed) });
        }
        !known
    }

    /// The source was stopped: what its feeds still have on their way is not
    /// served, and another may register.
    pub fn forget(&self) {
        self.routes().drain().for_each(|(_, route)| route.feed.withdraw());
    }

    /// Who speaks to upstream for an environment.
    #[must_use]
    pub fn route(&self, environment: &EnvironmentId) -> Option<Route> {
        self.routes().get(environment).cloned()
    }
}
