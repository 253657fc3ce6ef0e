//! Mode 2: one proxy key, one stream, many environments. The main task owns
//! the set of environments; a worker each fetches what messages speak of.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::assembly::{Assembly, Began};
use super::backoff::Backoff;
use super::calls::StreamBase;
use super::calm::Calm;
use super::credential::proxy_credential;
use super::engine::Engine;
use super::feed::Feed;
use super::key_lists::least_interval;
use super::message::Message;
use super::proxy_config::{Heard, fetch_added, fetch_all};
use super::session::{KeyKind, Session, Standing};
use super::stream::{self, StreamSink};
use crate::config::Secret;
use crate::snapshot::content::EnvironmentId;
use crate::store::durable::environment::StoredContent;
use crate::store::source_status::SourceStatus;
use crate::telemetry::clock::unix_now_ms;

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

/// One environment that is fed.
pub(super) struct Fed {
    pub(super) feed: Arc<Feed>,
    pub(super) worker: AbortHandle,
    /// Older answers do not know of it.
    pub(super) born: Began,
}

/// The main task's state.
pub(super) struct Main {
    pub(super) engine: Arc<Engine>,
    pub(super) session: Arc<Session>,
    pub(super) status: SourceStatus,
    pub(super) credential: Arc<str>,
    pub(super) fed: BTreeMap<EnvironmentId, Fed>,
    pub(super) tasks: JoinSet<()>,
    pub(super) heard: mpsc::Sender<Heard>,
    /// Withdrawn by a message: answers that are behind do not bring them back.
    pub(super) removed: HashMap<EnvironmentId, (Began, Instant)>,
    /// Missing from a complete configuration, and since when.
    pub(super) absent: HashMap<EnvironmentId, Instant>,
    pub(super) stream_up: bool,
    /// Everything is being fetched: the number of the reading.
    pub(super) fetching: Option<u64>,
    /// Something happened meanwhile that asks for one more, at this time.
    pub(super) fetch_again: Option<Instant>,
    pub(super) next_fetch: Instant,
    pub(super) last_fetch: Option<Instant>,
    pub(super) up_since: Option<Began>,
    pub(super) backoff: Backoff,
    pub(super) calm: Calm,
    pub(super) keys: KeysKnown,
    /// The key was deleted: what upstream still gives for it is not taken.
    pub(super) deleted: Option<Deletion>,
}

/// How sure it is that a key was deleted. One that upstream refused after it
/// said so, and then accepts, is good again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    Told,
    Confirmed,
}

/// What decides whether an unknown key is known not to exist.
#[derive(Debug, Default)]
pub(super) struct KeysKnown {
    /// The whole configuration was read, and upstream not lost since.
    pub(super) whole: bool,
    /// Environments that were added and not fetched yet.
    pub(super) adding: HashSet<EnvironmentId>,
    /// A message that was not understood came then.
    pub(super) doubt: Option<Began>,
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
            keys: KeysKnown::default(),
            deleted: None,
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
            let idle = self.fetching.is_none() && self.deleted.is_none();
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

    pub(super) fn fetch_soon(&mut self, at: Instant) {
        self.next_fetch = self.next_fetch.min(at);
        if self.fetching.is_some() {
            self.fetch_again = Some(self.fetch_again.map_or(at, |planned| planned.min(at)));
        }
    }

    fn stand(&mut self, standing: &Standing) {
        match (&mut self.deleted, standing) {
            (None, _) => {}
            (Some(deletion), Standing::Refused { .. }) => {
                *deletion = Deletion::Confirmed;
                return;
            }
            (Some(Deletion::Confirmed), Standing::Accepted(_)) => {
                tracing::info!("upstream accepts the proxy key again; everything is fetched");
                self.deleted = None;
            }
            (Some(_), _) => return,
        }
        match standing {
            Standing::Refused { reason } => {
                if self.status.bad(&format!("upstream refuses the proxy key: {reason}"), unix_now_ms()) {
                    tracing::error!(
                        reason,
                        "upstream refuses the proxy key; what is known is served, it is tried again from time to time"
                    );
                }
                self.fed.values().for_each(|fed| fed.feed.credential(Some(reason), unix_now_ms()));
                self.keys.whole = false;
            }
            Standing::Failed { reason } => {
                if self.status.bad(reason, unix_now_ms()) {
                    tracing::warn!(reason, "upstream cannot be asked about the proxy key; trying on");
                }
                self.fed.values().for_each(|fed| fed.feed.unreachable(reason, unix_now_ms()));
                self.keys.whole = false;
            }
            Standing::Accepted(_) => {
                self.fed.values().for_each(|fed| fed.feed.credential(None, unix_now_ms()));
                if self.status.state().error.is_some() {
                    self.fetch_soon(Instant::now());
                }
            }
            Standing::Untried => {}
        }
        self.settle_certainty();
    }

    async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::StreamUp => {
                self.stream_up = true;
                self.up_since = Some(self.engine.begin());
                self.backoff.succeeded();
                self.fed.values().for_each(|fed| fed.feed.stream(true, None, Instant::now(), unix_now_ms()));
                self.fetch_soon(Instant::now());
            }
            Heard::StreamDown(reason) => self.stream_down(&reason),
            Heard::Message(message) => self.message(message).await,
            Heard::Page(began, environments) if self.deleted.is_none() => {
                for (id, environment) in environments {
                    self.take(began, id, environment).await;
                }
            }
            Heard::Page(..) => {}
            Heard::All(began, result) => self.all(began, result).await,
            Heard::Added(id, fetched) => self.added(&id, fetched).await,
        }
    }

    fn stream_down(&mut self, reason: &str) {
        if std::mem::replace(&mut self.stream_up, false) {
            tracing::warn!(reason, "the upstream stream is lost; polling until it is back");
            // A key that is added now is not heard of: unknown ones wait.
            self.engine.store.certainty().set_asks(true);
            self.fetch_soon(Instant::now() + LOOK_AFTER);
        }
        self.up_since = None;
        self.fed.values().for_each(|fed| fed.feed.stream(false, Some(reason), Instant::now(), unix_now_ms()));
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
                // Their keys are not known yet.
                self.keys.adding.extend(ids.iter().cloned());
                self.settle_certainty();
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
                self.status.bad("the proxy key is deleted; give another and restart", unix_now_ms());
                self.deleted = Some(Deletion::Told);
                self.session.forget();
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
        // It may have been about a key.
        self.keys.doubt = Some(self.engine.begin());
        self.settle_certainty();
        if let Some(at) = self.calm.plan(Instant::now()) {
            self.fetch_soon(at);
        }
    }
}
