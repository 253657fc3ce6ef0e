//! The environments of a proxy key: made, fed from whole configurations, and
//! taken away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::answers::ConfigEnvironment;
use super::assembly::{Assembly, Began, SECOND_LOOK};
use super::call_error::CallError;
use super::engine::spread;
use super::feed::Feed;
use super::proxy_key::{Fed, Main};
use super::schedule::Intervals;
use super::token::Scope;
use super::worker;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::ItemKind;
use crate::telemetry::clock::unix_now_ms;

impl Main {
    pub(super) async fn withdraw(&mut self, ids: Vec<EnvironmentId>, began: Began) {
        let now = Instant::now();
        let mut feeds = Vec::new();
        for id in ids {
            self.absent.remove(&id);
            if let Some(fed) = self.fed.remove(&id) {
                fed.worker.abort();
                feeds.push(fed.feed);
            }
            self.removed.insert(id, (began, now));
        }
        if !feeds.is_empty() {
            self.engine.withdraw(feeds).await;
        }
    }

    /// The feed of an environment, made if there is none.
    pub(super) async fn feed(&mut self, id: &EnvironmentId, assembly: Assembly) -> Option<Arc<Feed>> {
        if let Some(fed) = self.fed.get(id) {
            return Some(Arc::clone(&fed.feed));
        }
        let cell = self.engine.open(id).await?;
        // The whole configuration is fetched for all at once.
        let intervals = Intervals { resync: None, poll: None };
        let feed = Arc::new(Feed::new(cell, Arc::clone(&self.credential), assembly, intervals));
        if self.stream_up {
            feed.stream(true, None, Instant::now(), unix_now_ms());
        }
        if let Some(token) = self.session.current() {
            feed.set_scope(Scope::of(id), token.account());
        }
        self.engine.register(&self.session, &feed);
        let (engine, session) = (Arc::clone(&self.engine), Arc::clone(&self.session));
        let worker = self.tasks.spawn(worker::run(engine, session, Arc::clone(&feed)));
        let born = self.engine.begin();
        self.fed.insert(id.clone(), Fed { feed: Arc::clone(&feed), worker, born });
        Some(feed)
    }

    pub(super) async fn take(
        &mut self,
        began: Began,
        id: EnvironmentId,
        environment: Result<ConfigEnvironment, CallError>,
    ) {
        let now = Instant::now();
        if let Some((removal, at)) = self.removed.get(&id) {
            let behind = now.duration_since(*at) < SECOND_LOOK;
            if *removal > began || behind {
                self.fetch_soon(*at + SECOND_LOOK);
                return;
            }
            self.removed.remove(&id);
        }
        self.absent.remove(&id);
        let Some(feed) = self.feed(&id, Assembly::new(Vec::new())).await else { return };
        let environment = match environment {
            Ok(environment) => environment,
            Err(error) => return feed.trouble(&error.to_string(), unix_now_ms()),
        };
        let keys = feed.keys(&environment.hashes, began, now);
        let lists = vec![(ItemKind::Flag, environment.flags), (ItemKind::Segment, environment.segments)];
        let taken = feed.lists(lists, began, now);
        if !keys.believed || !taken.believed {
            self.fetch_soon(now + SECOND_LOOK);
        }
        feed.fetched_elsewhere(now, unix_now_ms());
        if keys.changed || taken.changed {
            self.engine.apply(&feed).await;
        }
    }

    /// An added environment was fetched, or everything is fetched instead.
    pub(super) async fn added(&mut self, id: &EnvironmentId, fetched: bool) {
        self.keys.adding.remove(id);
        if fetched {
            // Who waits must find its keys.
            self.engine.reach().await;
        } else {
            tracing::warn!(environment = %id, "an added environment could not be fetched; everything is fetched instead");
            self.keys.doubt = Some(self.engine.begin());
            self.fetch_soon(Instant::now());
        }
        self.settle_certainty();
    }

    /// An unknown key is certain not to exist only when nothing is open.
    pub(super) fn settle_certainty(&self) {
        let known = self.keys.whole && self.keys.adding.is_empty() && self.keys.doubt.is_none();
        self.engine.store.certainty().set(known);
    }

    pub(super) async fn all(&mut self, began: Began, result: Result<BTreeSet<EnvironmentId>, CallError>) {
        let now = Instant::now();
        let number = self.fetching.take();
        if self.deleted.is_some() {
            self.engine.store.certainty().end_reading(number.unwrap_or_default(), false);
            return;
        }
        let certainty_of = self.engine.store.clone();
        let complete = match result {
            Ok(found) => {
                self.backoff.succeeded();
                let interval = if self.stream_up {
                    spread(self.engine.settings.resync_interval)
                } else {
                    self.engine.settings.poll_interval
                };
                self.next_fetch = now + interval;
                self.judge_absent(&found, began, now).await;
                // Who waits for the reading must find the keys of it.
                self.engine.reach().await;
                self.status.good("Harness, by a proxy key", true, unix_now_ms());
                let since_up = self.up_since.is_some_and(|up| began > up);
                self.keys.whole = true;
                self.keys.doubt = self.keys.doubt.filter(|doubt| *doubt > began);
                self.settle_certainty();
                // While the stream is up it tells of every key.
                certainty_of.certainty().set_asks(!since_up);
                true
            }
            Err(error) => {
                self.next_fetch = now + self.backoff.failed(rand::random(), error.retry_after());
                self.status.bad(&error.to_string(), unix_now_ms());
                self.fed.values().for_each(|fed| fed.feed.trouble(&error.to_string(), unix_now_ms()));
                self.keys.whole = false;
                self.settle_certainty();
                false
            }
        };
        if let Some(number) = number {
            certainty_of.certainty().end_reading(number, complete);
        }
        if let Some(at) = self.fetch_again.take().filter(|_| complete) {
            self.next_fetch = self.next_fetch.min(at);
        }
        let again = self.absent.values().min().map(|since| *since + SECOND_LOOK);
        self.next_fetch = again.map_or(self.next_fetch, |at| at.min(self.next_fetch));
    }

    /// An environment that is missing twice is gone: the message that said so
    /// was missed.
    async fn judge_absent(&mut self, found: &BTreeSet<EnvironmentId>, began: Began, now: Instant) {
        let missing: Vec<EnvironmentId> = self
            .fed
            .iter()
            .filter(|(id, fed)| !found.contains(*id) && (fed.born < began))
            .map(|(id, _)| id.clone())
            .collect();
        self.absent.retain(|id, _| missing.contains(id));
        let mut gone = Vec::new();
        for id in missing {
            let since = *self.absent.entry(id.clone()).or_insert(now);
            if now.duration_since(since) >= SECOND_LOOK {
                gone.push(id);
            } else if since == now {
                tracing::warn!(environment = %id, "upstream does not list an environment any more; it is looked at again before it is believed");
            }
        }
        if !gone.is_empty() {
            self.withdraw(gone, began).await;
        }
    }
}
