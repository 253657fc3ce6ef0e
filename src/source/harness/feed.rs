//! One environment as its source sees it: what was put together so far, what
//! has to be fetched, and how it is doing. Shared by the tasks that feed it;
//! each lock is held for a few instructions and never across an await.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::assembly::{Assembly, Began, ListOutcome};
use super::call_error::CallError;
use super::message::Message;
use super::progress::Progress;
use super::schedule::{Intervals, Schedule, Step, Want};
use super::token::Scope;
use crate::snapshot::Names;
use crate::snapshot::content::{Content, EnvironmentId, KeyHash};
use crate::snapshot::item::{Item, ItemKey, ItemKind};
use crate::store::environment::Environment;

/// One fetch that is about to happen.
#[derive(Debug)]
pub struct Task {
    pub step: Step,
    pub want: Option<Want>,
    /// [`Schedule::mark`] of its beginning.
    pub mark: u64,
}

/// What came of lists.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub changed: bool,
    /// False if something in them needs a second look.
    pub believed: bool,
}

#[derive(Debug)]
struct State {
    assembly: Assembly,
    schedule: Schedule,
    progress: Progress,
    scope: Scope,
}

/// The environment's feed.
#[derive(Debug)]
pub struct Feed {
    pub id: EnvironmentId,
    /// Under what its content is stored.
    pub credential: Arc<str>,
    state: Mutex<State>,
    wake: Notify,
    /// Waits to be swapped in.
    queued: AtomicBool,
    withdrawn: AtomicBool,
    /// Deletions so far: what was deleted alone is in the lists of no
    /// validator.
    deletions: AtomicU64,
    cell: Arc<Environment>,
}

impl Feed {
    #[must_use]
    pub fn new(cell: Arc<Environment>, credential: Arc<str>, assembly: Assembly, intervals: Intervals) -> Self {
        let id = cell.id.clone();
        let restored = assembly.content().is_some();
        let progress = Progress::new(id.clone(), restored);
        cell.sync.store(Some(Arc::new(progress.state().clone())));
        Feed {
            credential,
            state: Mutex::new(State { assembly, schedule: Schedule::new(intervals), progress, scope: Scope::of(&id) }),
            wake: Notify::new(),
            queued: AtomicBool::new(false),
            withdrawn: AtomicBool::new(false),
            deletions: AtomicU64::new(0),
            cell,
            id,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How upstream's routes name it.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.state().scope.clone()
    }

    /// Takes what a token says of the environment.
    pub fn set_scope(&self, scope: Scope, account: &str) {
        self.cell.names.store(Some(Arc::new(Names {
            environment: scope.environment_identifier.clone(),
            project: scope.project_identifier.clone(),
            account: account.to_owned(),
        })));
        self.state().scope = scope;
    }

    /// The newest content; `None` while it is not known, or after it was
    /// withdrawn.
    #[must_use]
    pub fn content(&self) -> Option<Content> {
        if self.withdrawn.load(Ordering::Acquire) { None } else { self.state().assembly.content() }
    }

    /// True the first time; false while it waits to be swapped in anyway.
    #[must_use]
    pub fn queue(&self) -> bool {
        !self.queued.swap(true, Ordering::AcqRel)
    }

    /// What comes from now on has to be swapped in anew.
    pub fn unqueue(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// How many items were deleted by messages.
    #[must_use]
    pub fn deletions(&self) -> u64 {
        self.deletions.load(Ordering::Relaxed)
    }

    /// From now on nothing of it is served.
    pub fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
    }

    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    /// What to do now; a fetch counts as begun.
    #[must_use]
    pub fn next(&self, now: Instant) -> Task {
        let mut state = self.state();
        let step = state.schedule.next(now);
        let want = state.schedule.begin(&step);
        Task { step, want, mark: state.schedule.mark() }
    }

    /// Ends when [`Self::next`] may say something else.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Takes a message that is about this environment. Returns whether what
    /// is served has to change at once.
    pub fn message(&self, message: &Message, began: Began, now: Instant) -> bool {
        let mut state = self.state();
        let changed = match message {
            Message::Changed { key, version, created, .. } => {
                let stale = state.assembly.held(key).filter(|_| *created).map(|(_, digest)| digest);
                state.schedule.changed(key.clone(), *version, stale, now);
                false
            }
            Message::Deleted { key, .. } => {
                self.deletions.fetch_add(1, Ordering::Relaxed);
                state.schedule.deleted(key);
                state.assembly.delete(key, began, now)
            }
            Message::KeyAdded { hash, .. } => {
                state.assembly.keys.add(*hash, began);
                true
            }
            Message::KeyRemoved { hash, .. } => {
                state.assembly.keys.remove(hash, began, now);
                true
            }
            _ => {
                state.schedule.unclear(now);
                false
            }
        };
        drop(state);
        self.wake.notify_one();
        changed
    }

    /// Takes whole lists that were fetched together.
    pub fn lists(&self, lists: Vec<(ItemKind, Vec<Arc<Item>>)>, began: Began, now: Instant) -> Taken {
        let mut state = self.state();
        let mut taken = Taken { changed: false, believed: true };
        for (kind, items) in lists {
            let ListOutcome { changed: this, doubtful, look_again } = state.assembly.list(kind, began, items, now);
            taken.changed |= this;
            taken.believed &= doubtful.is_empty() && !look_again;
            state.schedule.doubt(doubtful, now);
            if look_again {
                tracing::warn!(
                    environment = %self.id,
                    kind = %kind,
                    "upstream's list is empty, or undoes a deletion; it is looked at again before it is believed"
                );
                state.schedule.look_again(now);
            }
        }
        drop(state);
        self.wake.notify_one();
        taken
    }

    /// Takes one item that was fetched alone; `None`: upstream does not have
    /// it (yet). Returns whether something changed.
    pub fn item(&self, key: &ItemKey, want: &Want, item: Option<Arc<Item>>, began: Began, now: Instant) -> bool {
        let now_ms = crate::telemetry::clock::unix_now_ms();
        let mut state = self.state();
        let met = item.as_ref().is_some_and(|item| want.is_met_by(item));
        state.schedule.item_done(key, want, met, now);
        if met && !state.schedule.wants_items() {
            self.progress(&mut state, |progress| progress.items_fetched(now_ms));
        }
        // What is older than the message is taken only if nothing is held.
        let taken = item.filter(|_| met || state.assembly.held(key).is_none());
        taken.is_some_and(|item| state.assembly.item(item, began))
    }

    /// The fetch of both lists is over, and worked.
    pub fn lists_done(&self, mark: u64, now: Instant, now_ms: i64) {
        let mut state = self.state();
        let State { assembly, schedule, .. } = &mut *state;
        schedule.lists_done(mark, now, |key| assembly.held(key).map(|(version, _)| version));
        self.progress(&mut state, |progress| progress.fetched(now_ms));
    }

    /// Somebody else fetched everything of it.
    pub fn fetched_elsewhere(&self, now: Instant, now_ms: i64) {
        let mut state = self.state();
        state.schedule.fetched_elsewhere(now);
        self.progress(&mut state, |progress| progress.fetched(now_ms));
    }

    /// Fetching the lists failed.
    pub fn lists_failed(&self, error: &CallError, now_ms: i64) {
        let mut state = self.state();
        state.schedule.lists_failed(rand::random(), error.retry_after(), Instant::now());
        self.progress(&mut state, |progress| progress.failed(&error.to_string(), now_ms));
    }

    /// Fetching one item failed.
    pub fn item_failed(&self, key: &ItemKey, want: &Want, error: &CallError, now_ms: i64) {
        let mut state = self.state();
        state.schedule.item_failed(key, want, rand::random(), error.retry_after(), Instant::now());
        self.progress(&mut state, |progress| progress.item_failed(&error.to_string(), now_ms));
    }

    /// A fetch is wanted, at once or later.
    pub fn resync(&self, at: Instant) {
        self.state().schedule.resync(at);
        self.wake.notify_one();
    }

    /// The stream that speaks of it is up or down.
    pub fn stream(&self, up: bool, reason: Option<&str>, now: Instant, now_ms: i64) {
        let mut state = self.state();
        state.schedule.stream(up, now);
        self.progress(&mut state, |progress| progress.stream(up, reason, now_ms));
        drop(state);
        self.wake.notify_one();
    }

    /// What the credential is worth changed, or is being tried.
    pub fn credential(&self, refused: Option<&str>, now_ms: i64) {
        let mut state = self.state();
        self.progress(&mut state, |progress| progress.credential(refused, now_ms));
    }

    /// Upstream cannot be asked about the credential.
    pub fn unreachable(&self, error: &str, now_ms: i64) {
        let mut state = self.state();
        self.progress(&mut state, |progress| progress.unreachable(error, now_ms));
    }

    /// What upstream gave cannot be served, or not all of it was given.
    pub fn trouble(&self, error: &str, now_ms: i64) {
        let mut state = self.state();
        self.progress(&mut state, |progress| progress.failed(error, now_ms));
    }

    /// Makes one more key always good.
    pub fn configure_key(&self, hash: KeyHash) {
        self.state().assembly.keys.configure(hash);
    }

    /// Takes a whole list of key hashes.
    pub fn keys(&self, hashes: &[KeyHash], began: Began, now: Instant) -> Taken {
        let mut state = self.state();
        let before = state.assembly.keys.hashes();
        let look_again = state.assembly.keys.list(hashes, began, now);
        Taken { changed: state.assembly.keys.hashes() != before, believed: !look_again }
    }

    fn progress(&self, state: &mut State, change: impl FnOnce(&mut Progress)) {
        change(&mut state.progress);
        self.cell.sync.store(Some(Arc::new(state.progress.state().clone())));
    }
}
