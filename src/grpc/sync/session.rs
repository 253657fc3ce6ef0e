//! One follower's stream: what it has, what it gets next, and what it says.
//! It is driven by the stream that carries it, so a follower that reads
//! slowly holds one update and nothing more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use rand::Rng as _;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::followed::{Due, Followed};
use super::hearing::Question;
use super::outgoing::Outgoing;
use super::progress::progress;
use super::{Following, damaged};
use crate::fault::Fault;
use crate::grpc::status::{About, status};
use crate::lifecycle::readiness::Readiness;
use crate::proto::snapshot::v1 as proto;
use crate::proto::snapshot::v1::sync_snapshots_response::Message;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::{Names, Revision, Snapshot};
use crate::store::administration::Administrator;
use crate::store::keys::Seen;
use crate::store::peers::{KnownPeer, PeerFacts, PeerRole};
use crate::store::{Learnt, Store};
use crate::telemetry::clock::unix_now_ms;
use crate::transfer::sealing::Counter;
use crate::transfer::update_for;

/// Updates on their way at once, of different environments.
const WINDOW: usize = 32;

/// A sign of life is due this often, ± 20 %.
const PROGRESS_EVERY: Duration = Duration::from_secs(15);

/// A stream ends at this age, ± 10 %; subscribing again costs nothing.
const AGE: Duration = Duration::from_secs(30 * 60);

/// A follower that does not answer an update for so long is gone.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(90);

/// Characters of what followers say of themselves, and of why they refuse.
const MAX_TEXT: usize = 200;

/// One follower.
#[derive(Debug)]
pub struct Session {
    pub(super) store: Store,
    pub(super) readiness: Arc<Readiness>,
    pub(super) administrator: Arc<dyn Administrator>,
    pub(super) stop: CancellationToken,
    pub(super) peer: KnownPeer,
    /// `None`: all.
    pub(super) wanted: Option<BTreeSet<EnvironmentId>>,
    /// What it said it has, until the environment is first looked at.
    pub(super) known: BTreeMap<EnvironmentId, Revision>,
    pub(super) followed: BTreeMap<EnvironmentId, Followed>,
    pub(super) due: BTreeSet<EnvironmentId>,
    pub(super) in_flight: usize,
    pub(super) updates: u64,
    pub(super) told: Option<(Vec<String>, bool)>,
    pub(super) progress: Option<proto::Progress>,
    pub(super) outgoing: Outgoing,
    /// What was heard, the subscription with it.
    pub(super) heard: Counter,
    pub(super) follower_id: String,
    pub(super) learnt: broadcast::Receiver<Learnt>,
    pub(super) origin_heard: watch::Receiver<Option<i64>>,
    pub(super) question: Option<Question>,
    pub(super) changes: watch::Receiver<u64>,
    pub(super) certainty: Seen,
    pub(super) progress_at: Instant,
    pub(super) look_at: Option<Instant>,
    pub(super) answer_by: Option<Instant>,
    pub(super) ends_at: Instant,
}

impl Session {
    /// Begins with what the follower said.
    ///
    /// # Errors
    /// What of it cannot be understood.
    pub fn new(
        following: &Following,
        (subscribe, heard): (proto::Subscribe, Counter),
        address: &str,
    ) -> Result<Self, Status> {
        let mut known = BTreeMap::new();
        for row in subscribe.known {
            let bad = |what: String| {
                status(Fault::InvalidField, &format!("known revisions: {what}"), About::Field("subscribe.known"))
            };
            let revision = crate::transfer::revision_of(row.revision).map_err(bad)?;
            known.insert(EnvironmentId::new(&row.environment_id), revision);
        }
        let wanted: BTreeSet<_> = subscribe.environment_ids.iter().map(|id| EnvironmentId::new(id)).collect();
        let store = following.store.clone();
        let now = Instant::now();
        let facts = PeerFacts {
            version: shortened(&subscribe.version),
            connected_at_ms: Some(unix_now_ms()),
            last_heard_at_ms: Some(unix_now_ms()),
            ..PeerFacts::default()
        };
        let peer = store.peers().enter(PeerRole::Follower, &shortened(&subscribe.follower_name), address, facts);
        tracing::info!(peer = peer.name, address, id = peer.id, "a relay follows this one");
        let mut changes = store.changes();
        changes.mark_changed();
        Ok(Session {
            certainty: store.certainty().mark(),
            readiness: Arc::clone(&following.readiness),
            administrator: Arc::clone(&following.administrator),
            stop: following.stop.clone(),
            wanted: (!wanted.is_empty()).then_some(wanted),
            known,
            followed: BTreeMap::new(),
            due: BTreeSet::new(),
            in_flight: 0,
            updates: 0,
            told: None,
            progress: None,
            outgoing: Outgoing::default(),
            heard,
            follower_id: subscribe.follower_id,
            learnt: store.learnt(),
            origin_heard: store.origin_heard(),
            question: None,
            changes,
            progress_at: now,
            look_at: None,
            answer_by: None,
            ends_at: now + AGE.mul_f64(rand::rng().random_range(0.9..1.1)),
            store,
            peer,
        })
    }

    /// The next frame; `None` when the follower has ended the stream.
    ///
    /// # Errors
    /// Why the stream ends on this side.
    pub async fn next(
        &mut self,
        incoming: &mut Streaming<proto::SyncSnapshotsRequest>,
    ) -> Result<Option<proto::SyncSnapshotsResponse>, Status> {
        loop {
            if let Some(frame) = self.outgoing.next() {
                return Ok(Some(frame));
            }
            let now = Instant::now();
            if self.changes.has_changed().unwrap_or(true) || self.look_at.is_some_and(|time| time <= now) {
                self.look(now);
                continue;
            }
            if self.progress_at <= now {
                self.say_progress(now, true);
                continue;
            }
            if self.in_flight < WINDOW
                && let Some(id) = self.due.pop_first()
            {
                self.send(&id, now).await?;
                continue;
            }
            if let Some(answer) = self.question_answered(now) {
                self.outgoing.push(Message::KeysRead(answer));
                continue;
            }
            let until = [self.look_at, self.answer_by, self.question.as_ref().map(|it| it.until)].into_iter().flatten();
            let until = until.fold(self.progress_at.min(self.ends_at), Instant::min);
            tokio::select! {
                said = incoming.message() => match said? {
                    Some(mut said) => {
                        self.heard.open(&mut said).map_err(damaged)?;
                        self.hear(said).await?;
                    }
                    None => return Ok(None),
                },
                // Looked at above.
                _ = self.changes.changed() => self.changes.mark_changed(),
                learnt = self.learnt.recv() => if let Ok(learnt) = learnt { self.pass_on(&learnt) },
                // What is heard of the head of the chain goes on at once.
                _ = self.origin_heard.changed() => self.say_progress(Instant::now(), true),
                () = self.certainty.changed() => self.look_at = Some(now),
                () = tokio::time::sleep_until(until.into()) => self.check_times(Instant::now())?,
                () = self.stop.cancelled() => {
                    return Err(status(Fault::Draining, "this relay is shutting down; follow another", About::Nothing));
                }
            }
        }
    }

    fn check_times(&self, now: Instant) -> Result<(), Status> {
        if self.answer_by.is_some_and(|time| time <= now) {
            let message = "an update was neither acknowledged nor refused within 90 s";
            return Err(status(Fault::ChunkTimeout, message, About::Nothing));
        }
        if self.ends_at <= now {
            let message = "this stream has grown old; subscribe again, which costs what changed since";
            return Err(status(Fault::Draining, message, About::Nothing));
        }
        Ok(())
    }

    /// Compares what is served with what the follower has.
    fn look(&mut self, now: Instant) {
        self.changes.mark_unchanged();
        self.look_at = None;
        let index = self.store.index().clone();
        let wants = |id: &EnvironmentId| self.wanted.as_ref().is_none_or(|wanted| wanted.contains(id));
        let gone = |followed: &Followed| {
            index.environments.get(&followed.cell.id).is_none_or(|cell| !Arc::ptr_eq(cell, &followed.cell))
        };
        self.followed.retain(|id, followed| {
            let gone = gone(followed);
            if gone {
                self.due.remove(id);
                self.in_flight -= usize::from(followed.is_in_flight());
            }
            !gone
        });
        if self.in_flight == 0 {
            self.answer_by = None;
        }
        let mut ids = Vec::new();
        for cell in index.sorted().into_iter().filter(|cell| wants(&cell.id) && cell.snapshot().is_some()) {
            ids.push(cell.id.to_string());
            if !self.followed.contains_key(&cell.id) {
                let known = self.known.remove(&cell.id);
                self.followed.insert(cell.id.clone(), Followed::new(Arc::clone(cell), self.peer.id, known));
            }
        }
        let complete = self.readiness.reasons().is_empty();
        let set = (ids, complete);
        if self.told.as_ref() != Some(&set) {
            let (environment_ids, complete) = set.clone();
            self.outgoing.push(Message::Environments(proto::EnvironmentSet { environment_ids, complete }));
            self.told = Some(set);
        }
        let ids: Vec<EnvironmentId> = self.followed.keys().cloned().collect();
        ids.iter().for_each(|id| self.look_at_one(id, now));
        self.say_progress(now, false);
        self.note_behind();
    }

    pub(super) fn look_at_one(&mut self, id: &EnvironmentId, now: Instant) {
        match self.followed.get(id).map(|followed| followed.due(now)) {
            Some(Due::Now) => drop(self.due.insert(id.clone())),
            Some(Due::At(time)) => self.look_at = Some(self.look_at.map_or(time, |other| other.min(time))),
            Some(Due::No | Due::Behind) | None => {}
        }
    }

    async fn send(&mut self, id: &EnvironmentId, now: Instant) -> Result<(), Status> {
        let Some(followed) = self.followed.get_mut(id).filter(|followed| followed.due(now) == Due::Now) else {
            return Ok(());
        };
        let Some(snapshot) = followed.cell.snapshot().clone() else { return Ok(()) };
        let names = followed.cell.names.load().as_ref().map(|names| names.or(&snapshot.names));
        let names = names.unwrap_or_else(|| snapshot.names.clone());
        self.updates += 1;
        followed.sent(self.updates, &snapshot);
        self.in_flight += 1;
        self.answer_by = Some(now + ANSWER_WITHIN);
        let payload = payload(snapshot, names, followed.base().copied()).await;
        let payload = payload.ok_or_else(|| status(Fault::Internal, "an update could not be made", About::Nothing))?;
        let bytes = payload.len() as u64;
        self.outgoing.update(id.to_string(), self.updates, payload);
        self.peer.carried(bytes);
        Ok(())
    }

    /// `due`: in any case; else if it is news.
    fn say_progress(&mut self, now: Instant, due: bool) {
        let progress = progress(&self.store, &self.followed, now);
        // Age alone is no news.
        let told = proto::Progress { origin_age_ms: 0, ..progress.clone() };
        if !due && self.progress.as_ref() == Some(&told) {
            return;
        }
        self.progress_at = now + PROGRESS_EVERY.mul_f64(rand::rng().random_range(0.8..1.2));
        self.progress = Some(told);
        self.outgoing.push(Message::Progress(progress));
    }

    pub(super) fn note_behind(&self) {
        let (environments, behind) = (self.followed.len(), self.in_flight + self.due.len());
        self.peer.note(|facts| {
            facts.environments = environments;
            facts.environments_behind = behind;
            facts.behind_since_ms = (behind > 0).then(|| facts.behind_since_ms.unwrap_or_else(unix_now_ms));
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let facts = self.peer.facts();
        tracing::info!(
            peer = self.peer.name,
            id = self.peer.id,
            acks = facts.acks,
            nacks = facts.nacks,
            payload_bytes = facts.payload_bytes,
            "a relay no longer follows this one"
        );
    }
}

/// Large states take CPU.
async fn payload(snapshot: Arc<Snapshot>, names: Names, base: Option<Revision>) -> Option<Bytes> {
    let make = move || Bytes::from(update_for(&snapshot, &names, base.as_ref()).encode_to_vec());
    tokio::task::spawn_blocking(make).await.ok()
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}
