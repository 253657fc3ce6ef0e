//! Keys that nobody knows: a follower asks the leader, which has its key
//! lists read (`http-api.md`, "Authentication").

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Member;
use super::trouble::Part;
use crate::source::redis::bus::Word;
use crate::source::redis::own_source::Policy;
use crate::store::Store;
use crate::store::keys::KeyCertainty;
use crate::store::redis_state::RedisRole;

/// An SDK waits no longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who waits asks again as soon as a reading has ended: one that could not
/// be begun lasts so long.
const PAUSE: Duration = Duration::from_secs(1);

/// Questions that are looked up at once; one reading answers all that came
/// before it.
const MOST: usize = 64;

/// What this relay asked.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// The number of the reading that waits for the answer, and until when.
    open: HashMap<String, (u64, Instant)>,
    count: u64,
}

impl Questions {
    pub fn answered(&mut self, id: &str, complete: bool, certainty: &KeyCertainty) {
        if let Some((number, _)) = self.open.remove(id) {
            certainty.end_reading(number, complete);
        }
    }

    pub fn expire(&mut self, certainty: &KeyCertainty, now: Instant) {
        self.open.retain(|_, (number, until)| {
            let waits = now < *until;
            if !waits {
                certainty.end_reading(*number, false);
            }
            waits
        });
    }
}

/// What this relay was asked while it leads.
#[derive(Debug)]
pub(super) struct Answers {
    found: mpsc::Receiver<(String, bool)>,
    finds: mpsc::Sender<(String, bool)>,
    tasks: JoinSet<()>,
}

impl Default for Answers {
    fn default() -> Self {
        let (finds, found) = mpsc::channel(MOST);
        Answers { found, finds, tasks: JoinSet::new() }
    }
}

impl Answers {
    /// Has the key lists read for a question.
    pub fn look_up(&mut self, id: String, store: &Store) {
        while self.tasks.try_join_next().is_some() {}
        if self.tasks.len() >= MOST {
            return;
        }
        let (store, finds) = (store.clone(), self.finds.clone());
        self.tasks.spawn(async move {
            let complete = tokio::time::timeout(PATIENCE, is_certain(&store)).await.is_ok();
            // The receiver lives as long as this task.
            let _ = finds.send((id, complete)).await;
        });
    }

    pub async fn next(&mut self) -> (String, bool) {
        match self.found.recv().await {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }
}

/// Ends when what is unknown is known not to exist.
async fn is_certain(store: &Store) {
    let certainty = store.certainty();
    let (arrival, mut seen) = (certainty.arrival(), certainty.mark());
    let _waits = certainty.wait();
    while !store.is_certain(arrival) {
        certainty.ask(arrival);
        seen.changed().await;
    }
}

impl Member {
    /// A key is unknown here.
    pub(super) async fn ask(&mut self) {
        let certainty = self.parts.store.certainty();
        let number = certainty.begin_reading();
        self.questions.count += 1;
        let id = format!("{}:{}", self.parts.lease.id, self.questions.count);
        if self.follows_go() {
            if self.look_for_go_keys().await {
                self.parts.store.certainty().end_reading(number, true);
            } else {
                self.questions.open.insert(id, (number, Instant::now() + PAUSE));
            }
            return;
        }
        match self.tell(&Word::Question { id: id.clone() }).await {
            Ok(_) => drop(self.questions.open.insert(id, (number, Instant::now() + PATIENCE))),
            Err(failure) => {
                self.questions.open.insert(id, (number, Instant::now() + PAUSE));
                self.fails(Part::Writing, &failure);
            }
        }
    }

    /// A question is looked up: what changed goes first.
    pub(super) async fn answer(&mut self, (id, complete): (String, bool)) {
        self.put_changes().await;
        if let Err(failure) = self.tell(&Word::Answer { id, complete }).await {
            self.fails(Part::Writing, &failure);
        }
    }

    /// While it follows: as sure as the leader is. Else it is the own
    /// source's to say.
    pub(super) fn settle_certainty(&self) {
        if self.follows_go() {
            // Its keys are what is in Redis, and can be looked at any time.
            let certainty = self.parts.store.certainty();
            certainty.set_asks(true);
            return certainty.set(self.compared && self.known.borrow().error.is_none());
        }
        if !self.follows() {
            return;
        }
        let known = self.known.borrow();
        let says = known.holder.as_ref().filter(|_| known.error.is_none()).map(|holder| &holder.says);
        let certainty = self.parts.store.certainty();
        let asks = says.is_some_and(|says| says.asks);
        if certainty.can_be_asked() != asks {
            certainty.set_asks(asks);
        }
        // A key that an operator gave this relay may be newer than the leader's.
        let own = match &self.parts.policy {
            Policy::Primary(source) => source.knows_its_keys(&self.parts.store.index()),
            Policy::Replica | Policy::Directory => true,
        };
        let fresh = self.reads && self.compared && self.role != RedisRole::Undecided && self.has_all() && own;
        certainty.set(fresh && says.is_some_and(|says| says.certain));
    }
}
