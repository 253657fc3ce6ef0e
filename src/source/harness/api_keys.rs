//! Mode 1: one SDK key per environment. Each key is driven on its own, so
//! that a bad or slow one is nobody else's trouble.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::assembly::{Assembly, SECOND_LOOK};
use super::backoff::Backoff;
use super::calls::{AdminAccess, StreamBase};
use super::credential::sdk_credential;
use super::engine::{Engine, Route, spread};
use super::feed::Feed;
use super::roster::{KeyState, Roster};
use super::session::{KeyKind, Session, Standing};
use super::stream::{self, OwnStream};
use super::token::{Claims, Scope};
use super::{key_lists, targets, worker};
use crate::config::Secret;
use crate::snapshot::content::Content;
use crate::snapshot::item::Digest;
use crate::store::durable::environment::StoredContent;
use crate::store::source_status::SourceStatus;
use crate::telemetry::clock::unix_now_ms;

/// The start is summed up when every key was tried, or after this time.
const SUMMARY_AFTER: Duration = Duration::from_secs(10);

/// What the source is made of.
#[derive(Debug)]
pub struct ApiKeysSource {
    pub engine: Arc<Engine>,
    pub keys: Vec<Secret>,
    /// `None`: key lists and targets cannot be read.
    pub admin: Option<AdminAccess>,
    pub roster: Arc<Roster>,
    pub status: SourceStatus,
    /// What `data-dir` held of these keys.
    pub restored: Vec<StoredContent>,
}

/// One key with what belongs to it.
struct Driver {
    engine: Arc<Engine>,
    roster: Arc<Roster>,
    status: SourceStatus,
    admin: Option<AdminAccess>,
    session: Arc<Session>,
    index: usize,
    /// Known once upstream said which environment it is, or from earlier.
    feed: OnceLock<Arc<Feed>>,
}

impl ApiKeysSource {
    /// Feeds the store until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        self.roster.begin();
        let certainty = self.engine.store.certainty();
        certainty.set_asks(self.admin.is_some());
        let mut stored: HashMap<Arc<str>, StoredContent> =
            self.restored.into_iter().map(|stored| (Arc::clone(&stored.credential), stored)).collect();
        let mut tasks = JoinSet::new();
        for (index, key) in self.keys.into_iter().enumerate() {
            let restored = stored.remove(&sdk_credential(&key));
            let driver = Driver {
                engine: Arc::clone(&self.engine),
                roster: Arc::clone(&self.roster),
                status: self.status.clone(),
                admin: self.admin.clone(),
                session: Arc::new(Session::new(Arc::clone(&self.engine.calls), key, KeyKind::Sdk)),
                index,
                feed: OnceLock::new(),
            };
            if let Some(restored) = restored {
                driver.restore(restored).await;
            }
            tasks.spawn(driver.run());
        }
        if let Some(admin) = self.admin {
            tasks.spawn(key_lists::run(Arc::clone(&self.engine), admin, Arc::clone(&self.roster)));
        }
        let summary = sum_up(&self.roster);
        tokio::select! {
            () = stop.cancelled() => {}
            // None of them ends by itself: one has panicked. The supervisor
            // ends the process.
            ended = tasks.join_next() => tracing::error!(?ended, "a part of the synchronisation ended"),
            () = async { summary.await; std::future::pending::<()>().await } => {}
        }
    }
}

async fn sum_up(roster: &Roster) {
    let deadline = Instant::now() + SUMMARY_AFTER;
    while !roster.all_decided() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (accepted, refused, undecided) = roster.counts();
    tracing::info!(keys = roster.len(), accepted, refused, undecided, "API keys tried");
}

impl Driver {
    fn label(&self) -> String {
        let hash = Digest::of(self.session.key.expose().as_bytes()).to_string();
        format!(
            "{} of {} (its SHA-256 begins with {})",
            self.index + 1,
            self.roster.len(),
            hash.get(..6).unwrap_or_default()
        )
    }

    async fn restore(&self, stored: StoredContent) {
        if let Some(feed) = self.make_feed(&stored.environment, Some(&stored.content)).await {
            self.roster.set(self.index, KeyState::Restored);
            if self.engine.register(&self.session, &feed) {
                self.engine.apply(&feed).await;
                let _ = self.feed.set(feed);
            }
        }
    }

    async fn make_feed(
        &self,
        id: &crate::snapshot::content::EnvironmentId,
        content: Option<&Content>,
    ) -> Option<Arc<Feed>> {
        // Always good for its environment, whatever the lists say.
        let configured = vec![Digest::of(self.session.key.expose().as_bytes())];
        let assembly = match content {
            Some(content) => Assembly::restored(configured, content),
            None => Assembly::new(configured),
        };
        let cell = self.engine.open(id).await?;
        let credential = sdk_credential(&self.session.key);
        Some(Arc::new(Feed::new(cell, credential, assembly, self.engine.settings.intervals())))
    }

    async fn run(self) {
        tokio::join!(self.watch_standing(), self.work());
    }

    /// Tells operators what upstream thinks of the key.
    async fn watch_standing(&self) {
        let mut standing = self.session.standing();
        loop {
            let now = standing.borrow_and_update().clone();
            let feed = self.feed.get();
            match now {
                Standing::Refused { reason } => {
                    if self.roster.set(self.index, KeyState::Refused(reason.clone())) {
                        tracing::error!(
                            key = self.label(),
                            reason,
                            "upstream refuses an API key; the others go on, it is tried again from time to time"
                        );
                    }
                    if let Some(feed) = feed {
                        feed.credential(Some(&reason), unix_now_ms());
                    }
                }
                Standing::Failed { reason } => match feed {
                    Some(feed) => feed.unreachable(&reason, unix_now_ms()),
                    None => tracing::warn!(
                        key = self.label(),
                        reason,
                        "upstream cannot be asked about an API key; trying on"
                    ),
                },
                Standing::Accepted(_) => {
                    if let Some(feed) = feed {
                        self.roster.set(self.index, KeyState::Accepted(feed.id.clone()));
                        feed.credential(None, unix_now_ms());
                    }
                }
                Standing::Untried => {}
            }
            self.engine.store.certainty().set(self.roster.is_certain());
            if self.roster.all_decided() {
                self.status.good(&format!("Harness, by {} API keys", self.roster.len()), true, unix_now_ms());
            }
            if standing.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    async fn work(&self) {
        let token = self.session.token().await;
        let Claims::Environment(claims) = &token.claims else { return std::future::pending().await };
        let known = self.feed.get().filter(|feed| feed.id == claims.environment).cloned();
        let feed = match known {
            Some(feed) => feed,
            None => match self.make_feed(&claims.environment, None).await {
                Some(feed) => feed,
                None => return std::future::pending().await,
            },
        };
        if !self.engine.register(&self.session, &feed) {
            // The other key's session feeds it; SDKs may use either.
            tracing::warn!(
                key = self.label(),
                environment = %feed.id,
                "another API key leads to the same environment and is used for it; one key per environment is enough"
            );
            if let Some(route) = self.engine.route(&feed.id) {
                route.feed.configure_key(Digest::of(self.session.key.expose().as_bytes()));
                self.engine.apply(&route.feed).await;
            }
            self.roster.set(self.index, KeyState::Accepted(feed.id.clone()));
            return std::future::pending().await;
        }
        feed.set_scope(Scope::of_claims(claims), &claims.account_id);
        let _ = self.feed.set(Arc::clone(&feed));
        self.roster.set(self.index, KeyState::Accepted(feed.id.clone()));
        feed.credential(None, unix_now_ms());
        // The stream asks for everything when it is up; without it, or if it
        // takes long, this does.
        let patience = if self.engine.settings.stream_enabled { Duration::from_secs(1) } else { Duration::ZERO };
        feed.resync(Instant::now() + patience);
        tokio::join!(
            worker::run(Arc::clone(&self.engine), Arc::clone(&self.session), Arc::clone(&feed)),
            self.follow(&feed),
            self.first_keys(&feed),
            self.poll_targets(&feed)
        );
    }

    async fn follow(&self, feed: &Arc<Feed>) {
        if !self.engine.settings.stream_enabled {
            feed.stream(false, None, Instant::now(), unix_now_ms());
            return;
        }
        let sink = OwnStream { engine: Arc::clone(&self.engine), feed: Arc::clone(feed) };
        stream::follow(&self.engine, &self.session, StreamBase::Sdk, Some(feed.scope()), sink).await;
    }

    /// The first reading of the key list, until it worked.
    async fn first_keys(&self, feed: &Arc<Feed>) {
        let Some(admin) = &self.admin else { return };
        let route = Route { session: Arc::clone(&self.session), feed: Arc::clone(feed) };
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        loop {
            let place = self.engine.place().await;
            let read = key_lists::refresh(&self.engine, admin, &route, &self.roster).await;
            drop(place);
            self.engine.store.certainty().set(self.roster.is_certain());
            let wait = match read {
                Ok(true) => return,
                Ok(false) => SECOND_LOOK,
                Err(error) => backoff.failed(rand::random(), error.retry_after()),
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn poll_targets(&self, feed: &Arc<Feed>) {
        let (Some(admin), Some(interval)) = (&self.admin, self.engine.settings.target_poll) else { return };
        let mut failing = false;
        loop {
            let place = self.engine.place().await;
            let began = self.engine.begin();
            let read = targets::pages_of_targets(&self.engine.calls, admin, &feed.scope()).await;
            drop(place);
            match read {
                Ok(targets) => {
                    failing = false;
                    let list = vec![(crate::snapshot::item::ItemKind::Target, targets)];
                    if feed.lists(list, began, Instant::now()).changed {
                        self.engine.apply(feed).await;
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(environment = %feed.id, %error, "the targets cannot be read; those known are used");
                    }
                }
            }
            tokio::time::sleep(spread(interval)).await;
        }
    }
}
