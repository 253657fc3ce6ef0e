//! Mode 2: one proxy key, one stream, many environments. The main task owns
//! the set of environments; a worker each fetches what messages speak of.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::answers::ConfigEnvironment;
use super::assembly::{Assembly, Began, SECOND_LOOK};
use super::backoff::Backoff;
use super::calls::StreamBase;
use super::calm::Calm;
use super::credential::proxy_credential;
use super::engine::{Engine, now_ms, spread};
use super::feed::Feed;
use super::key_lists::least_interval;
use super::message::Message;
use super::proxy_config::{Heard, fetch_added, fetch_all};
use super::schedule::Intervals;
use super::session::{KeyKind, Session, Standing};
use super::stream::{self, StreamSink};
use super::worker;
use crate::config::Secret;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::ItemKind;
use crate::store::durable::environment::StoredContent;
use crate::store::source_status::SourceStatus;

/// Messages between the stream and the main task.
const AHEAD: usize = 1024;

/// After the stream was lost, or did not come up, everything is looked at
/// this soon.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// What the source is made of.
#[derive(Debug)]
pub struct ProxyKeySource {
    pub engine: Arc<Engine>,
    pub key: Secret,
    pub status: SourceStatus,
    /// What `data-dir` held of this key.
    pub restored: Vec<StoredContent>,
}

struct Fed {
    feed: Arc<Feed>,
    worker: AbortHandle,
    born: Began,
}

struct Main {
    engine: Arc<Engine>,
    session: Arc<Session>,
    status: SourceStatus,
    credential: Arc<str>,
    fed: BTreeMap<EnvironmentId, Fed>,
    tasks: JoinSet<()>,
    heard: mpsc::Sender<Heard>,
    /// Withdrawn by a message: answers that are behind do not bring them back.
    removed: HashMap<EnvironmentId, (Began, Instant)>,
    /// Missing from a complete configuration, and since when.
    absent: HashMap<EnvironmentId, Instant>,
    stream_up: bool,
    /// Everything is being fetched: the number of the reading.
    fetching: Option<u64>,
    /// Something happened meanwhile that asks for one more, at this time.
    fetch_again: Option<Instant>,
    next_fetch: Instant,
    last_fetch: Option<Instant>,
    up_since: Option<Began>,
    backoff: Backoff,
    calm: Calm,
}

struct ToMain(mpsc::Sender<Heard>);

impl StreamSink for ToMain {
    async fn up(&mut self) {
        let _ = self.0.send(Heard::StreamUp).await;
    }

    async fn down(&mut self, reason: &str) {
        let _ = self.0.send(Heard::StreamDown(reason.to_owned())).await;
    }

    async fn message(&mut self, message: Message) {
        let _ = self.0.send(Heard::Message(message)).await;
    }
}

impl ProxyKeySource {
    /// Feeds the store until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let (heard, mut hearing) = mpsc::channel(AHEAD);
        let session = Arc::new(Session::new(Arc::clone(&self.engine.calls), self.key.clone(), KeyKind::Proxy));
        let settings = self.engine.settings;
        let mut main = Main {
            credential: proxy_credential(&self.key),
            session: Arc::clone(&session),
            status: self.status,
            fed: BTreeMap::new(),
            tasks: JoinSet::new(),
            heard: heard.clone(),
            removed: HashMap::new(),
            absent: HashMap::new(),
            stream_up: false,
            fetching: None,
            fetch_again: None,
            next_fetch: Instant::now() + if settings.stream_enabled { LOOK_AFTER } else { Duration::ZERO },
            last_fetch: None,
            up_since: None,
            calm: Calm::default(),
            backoff: Backoff::new(
                Duration::from_secs(1),
                settings.poll_interval.clamp(Duration::from_secs(1), Duration::from_secs(60)),
            ),
            engine: self.engine,
        };
        main.engine.store.certainty().set_asks(true);
        for stored in self.restored {
            let assembly = Assembly::restored(Vec::new(), &stored.content);
            if let Some(feed) = main.feed(&stored.environment, assembly).await {
                main.engine.apply(&feed).await;
            }
        }
        if settings.stream_enabled {
            let engine = Arc::clone(&main.engine);
            let sink = ToMain(heard);
            main.tasks.spawn(async move {
                stream::follow(&engine, &session, StreamBase::Client, None, sink).await;
            });
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = main.run(&mut hearing) => tracing::error!("the synchronisation ended"),
        }
    }
}

impl Main {
    async fn run(&mut self, hearing: &mut mpsc::Receiver<Heard>) {
        let mut standing = self.session.standing();
        let store = self.engine.store.clone();
        loop {
            let idle = self.fetching.is_none();
            let next = self.next_fetch;
            let may_ask = !self.stream_up && self.may_fetch_at() <= Instant::now();
            tokio::select! {
                heard = hearing.recv() => match heard {
                    Some(heard) => self.hear(heard).await,
                    None => return,
                },
                () = tokio::time::sleep_until(next.into()), if idle => self.fetch(),
                () = store.certainty().asked(), if may_ask && idle => self.fetch(),
                () = tokio::time::sleep_until(self.may_fetch_at().into()), if !self.stream_up && !may_ask => {}
                _ = standing.changed() => {
                    let now = standing.borrow_and_update().clone();
                    self.stand(&now);
                }
                // Workers never end by themselves: one has panicked, or was
                // told to end.
                Some(Err(error)) = self.tasks.join_next() => if !error.is_cancelled() {
                    tracing::error!(%error, "a part of the synchronisation failed");
                    return;
                },
            }
        }
    }

    /// Readings that SDKs ask for go by the same limit as in API-key mode.
    fn may_fetch_at(&self) -> Instant {
        self.last_fetch.map_or_else(Instant::now, |last| last + least_interval(self.fed.len()))
    }

    fn fetch(&mut self) {
        let number = self.engine.store.certainty().begin_reading();
        self.fetching = Some(number);
        self.last_fetch = Some(Instant::now());
        let (engine, session, heard) = (Arc::clone(&self.engine), Arc::clone(&self.session), self.heard.clone());
        self.tasks.spawn(fetch_all(engine, session, heard));
    }

    fn fetch_soon(&mut self, at: Instant) {
        self.next_fetch = self.next_fetch.min(at);
        if self.fetching.is_some() {
            self.fetch_again = Some(self.fetch_again.map_or(at, |planned| planned.min(at)));
        }
    }

    fn stand(&self, standing: &Standing) {
        match standing {
            Standing::Refused { reason } => {
                if self.status.bad(&format!("upstream refuses the proxy key: {reason}"), now_ms()) {
                    tracing::error!(
                        reason,
                        "upstream refuses the proxy key; what is known is served, it is tried again from time to time"
                    );
                }
                self.fed.values().for_each(|fed| fed.feed.credential(Some(reason), now_ms()));
                self.engine.store.certainty().set(false);
            }
            Standing::Failed { reason } => {
                if self.status.bad(reason, now_ms()) {
                    tracing::warn!(reason, "upstream cannot be asked about the proxy key; trying on");
                }
                self.fed.values().for_each(|fed| fed.feed.unreachable(reason, now_ms()));
                self.engine.store.certainty().set(false);
            }
            Standing::Accepted(_) => self.fed.values().for_each(|fed| fed.feed.credential(None, now_ms())),
            Standing::Untried => {}
        }
    }

    async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::StreamUp => {
                self.stream_up = true;
                self.up_since = Some(self.engine.begin());
                self.backoff.succeeded();
                self.fed.values().for_each(|fed| fed.feed.stream(true, None, Instant::now(), now_ms()));
                self.fetch_soon(Instant::now());
            }
            Heard::StreamDown(reason) => self.stream_down(&reason),
            Heard::Message(message) => self.message(message).await,
            Heard::Page(began, environments) => {
                for environment in environments {
                    self.take(began, environment).await;
                }
            }
            Heard::All(began, result) => self.all(began, result).await,
            Heard::Added(Ok(())) => {}
            Heard::Added(Err(id)) => {
                tracing::warn!(environment = %id, "an added environment could not be fetched; everything is fetched instead");
                self.fetch_soon(Instant::now());
            }
        }
    }

    fn stream_down(&mut self, reason: &str) {
        if std::mem::replace(&mut self.stream_up, false) {
            tracing::warn!(reason, "the upstream stream is lost; polling until it is back");
            // A key that is added now is not heard of: unknown ones wait.
            self.engine.store.certainty().set_asks(true);
        }
        self.up_since = None;
        self.fed.values().for_each(|fed| fed.feed.stream(false, Some(reason), Instant::now(), now_ms()));
        self.fetch_soon(Instant::now() + LOOK_AFTER);
    }

    async fn message(&mut self, message: Message) {
        let began = self.engine.begin();
        match &message {
            Message::Changed { environment, .. } | Message::Deleted { environment, .. } => {
                self.pass_on(environment.as_slice(), &message, began).await;
            }
            Message::KeyAdded { environments, .. } | Message::KeyRemoved { environments, .. } => {
                self.pass_on(environments, &message, began).await;
            }
            Message::Unknown { environment: Some(id), .. } => {
                self.pass_on(std::slice::from_ref(id), &message, began).await;
            }
            Message::Unknown { environment: None, .. } => self.unclear(),
            Message::EnvironmentsAdded(ids) => {
                tracing::info!(count = ids.len(), "environments were added to the proxy key");
                let known = self.session.current().map_or(0, |token| token.number);
                for id in ids {
                    self.removed.remove(id);
                    let (engine, session, heard) =
                        (Arc::clone(&self.engine), Arc::clone(&self.session), self.heard.clone());
                    self.tasks.spawn(fetch_added(engine, session, id.clone(), known, heard));
                }
                if ids.is_empty() {
                    self.unclear();
                }
            }
            Message::EnvironmentsRemoved(ids) => self.withdraw(ids.clone(), began).await,
            Message::ProxyKeyDeleted => {
                tracing::error!("upstream says that the proxy key is deleted; everything it gave is withdrawn");
                self.status.bad("the proxy key is deleted; give another and restart", now_ms());
                let all = self.fed.keys().cloned().collect();
                self.withdraw(all, began).await;
            }
        }
    }

    async fn pass_on(&mut self, ids: &[EnvironmentId], message: &Message, began: Began) {
        if ids.is_empty() {
            self.unclear();
        }
        for id in ids {
            match self.fed.get(id) {
                Some(fed) if fed.feed.message(message, began, Instant::now()) => self.engine.apply(&fed.feed).await,
                Some(_) => {}
                // One of an environment that was withdrawn is late.
                None if self.removed.contains_key(id) => {}
                None => self.unclear(),
            }
        }
    }

    /// A message was not understood, or is about nothing known.
    fn unclear(&mut self) {
        if let Some(at) = self.calm.plan(Instant::now()) {
            self.fetch_soon(at);
        }
    }

    async fn withdraw(&mut self, ids: Vec<EnvironmentId>, began: Began) {
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
    async fn feed(&mut self, id: &EnvironmentId, assembly: Assembly) -> Option<Arc<Feed>> {
        if let Some(fed) = self.fed.get(id) {
            return Some(Arc::clone(&fed.feed));
        }
        let cell = self.engine.open(id).await?;
        // The whole configuration is fetched for all at once.
        let intervals = Intervals { resync: None, poll: None };
        let feed = Arc::new(Feed::new(cell, Arc::clone(&self.credential), assembly, intervals));
        if self.stream_up {
            feed.stream(true, None, Instant::now(), now_ms());
        }
        self.engine.register(&self.session, &feed);
        let (engine, session) = (Arc::clone(&self.engine), Arc::clone(&self.session));
        let worker = self.tasks.spawn(worker::run(engine, session, Arc::clone(&feed)));
        let born = self.engine.begin();
        self.fed.insert(id.clone(), Fed { feed: Arc::clone(&feed), worker, born });
        Some(feed)
    }

    async fn take(&mut self, began: Began, environment: ConfigEnvironment) {
        let now = Instant::now();
        if let Some((removal, at)) = self.removed.get(&environment.id) {
            let behind = now.duration_since(*at) < SECOND_LOOK;
            if *removal > began || behind {
                self.fetch_soon(*at + SECOND_LOOK);
                return;
            }
            self.removed.remove(&environment.id);
        }
        self.absent.remove(&environment.id);
        let Some(feed) = self.feed(&environment.id, Assembly::new(Vec::new())).await else { return };
        let keys = feed.keys(&environment.hashes, began, now);
        let lists = vec![(ItemKind::Flag, environment.flags), (ItemKind::Segment, environment.segments)];
        let taken = feed.lists(lists, began, now);
        if !keys.believed || !taken.believed {
            self.fetch_soon(now + SECOND_LOOK);
        }
        feed.fetched_elsewhere(now, now_ms());
        if keys.changed || taken.changed {
            self.engine.apply(&feed).await;
        }
    }

    async fn all(&mut self, began: Began, result: Result<BTreeSet<EnvironmentId>, super::call_error::CallError>) {
        let now = Instant::now();
        let number = self.fetching.take();
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
                self.status.good("Harness, by a proxy key", true, now_ms());
                let since_up = self.up_since.is_some_and(|up| began > up);
                certainty_of.certainty().set(true);
                // While the stream is up it tells of every key.
                certainty_of.certainty().set_asks(!since_up);
                true
            }
            Err(error) => {
                self.next_fetch = now + self.backoff.failed(rand::random(), error.retry_after());
                self.status.bad(&error.to_string(), now_ms());
                self.fed.values().for_each(|fed| fed.feed.trouble(&error.to_string(), now_ms()));
                certainty_of.certainty().set(false);
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
