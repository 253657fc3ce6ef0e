//! One stream to one leader: subscribed, applied, acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tonic::Streaming;

use super::apply::{Applied, apply};
use super::follower::Follower;
use super::incoming::{Assembly, FrameError, Payload};
use crate::proto::snapshot::v1 as proto;
use crate::proto::snapshot::v1::sync_snapshots_request::Message as Say;
use crate::proto::snapshot::v1::sync_snapshots_response::Message as Heard;
use crate::snapshot::content::EnvironmentId;
use crate::source::intake::Delivery;
use crate::store::peers::{KnownPeer, PeerUpdate};
use crate::store::source_status::SourceKind;
use crate::store::targets::StoredTarget;
use crate::telemetry::clock::unix_now_ms;
use crate::transfer::sealing::Counter;
use crate::transfer::write_served;

/// Signs of life come every 15 s ± 20 %: three of them were missed.
pub const SILENCE: Duration = Duration::from_secs(54);

/// An environment that the leader does not name any more is believed to be
/// gone after this long.
const REMOVAL: Duration = Duration::from_secs(10);

/// A leader that knows less than this relay for so long is left for another.
const BEHIND: Duration = Duration::from_secs(10);

/// The head of the chain must be heard of within this time: three signs of
/// life of a leader, as everywhere.
const ORIGIN_SILENCE_MS: u64 = 45_000;

/// Why an environment is stale then.
const UNHEARD: &str = "no relay of the chain has heard from its head for a while";

/// A question for keys that is not answered is asked again after this long.
const ASKED_FOR: Duration = Duration::from_secs(10);

/// How often times are looked at.
const TICK: Duration = Duration::from_millis(500);

/// Words to the leader that wait: more than updates can be on their way.
pub const WORDS: usize = 256;

/// How a stream ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The process ends.
    Stopped,
    /// It is begun again at once.
    Again,
    /// It broke; `heard` if the leader said anything.
    Lost { reason: String, heard: bool },
    /// The leader knows less than this relay, and keeps on.
    Behind,
    /// A leader that comes before this one is back.
    Preferred,
}

/// One stream.
pub struct Session<'a> {
    follower: &'a mut Follower,
    peer: Arc<KnownPeer>,
    words: mpsc::Sender<proto::SyncSnapshotsRequest>,
    incoming: Streaming<proto::SyncSnapshotsResponse>,
    /// What was said, the subscription with it, and what was heard.
    said: Counter,
    counter: Counter,
    assembly: Assembly,
    /// Environments that were confirmed or updated in this stream.
    confirmed: BTreeSet<EnvironmentId>,
    set: Option<BTreeSet<EnvironmentId>>,
    keys_certain: bool,
    missing: BTreeMap<EnvironmentId, Instant>,
    /// The question for keys that is under way.
    asking: Option<(u64, Instant)>,
    /// The leader knows no more than it did when it lost its source.
    stale: Arc<AtomicBool>,
    behind_since: Option<Instant>,
    heard: Option<Instant>,
    began: Instant,
}

impl<'a> Session<'a> {
    #[must_use]
    pub fn new(
        follower: &'a mut Follower,
        peer: Arc<KnownPeer>,
        (words, said): (mpsc::Sender<proto::SyncSnapshotsRequest>, Counter),
        incoming: Streaming<proto::SyncSnapshotsResponse>,
        stale: Arc<AtomicBool>,
    ) -> Self {
        Session {
            follower,
            peer,
            words,
            incoming,
            said,
            counter: Counter::default(),
            assembly: Assembly::default(),
            confirmed: BTreeSet::new(),
            set: None,
            keys_certain: false,
            missing: BTreeMap::new(),
            asking: None,
            stale,
            behind_since: None,
            heard: None,
            began: Instant::now(),
        }
    }

    /// Follows until the stream ends.
    pub async fn run(
        &mut self,
        preferred_is_back: impl Future<Output = ()>,
        fresher_is_there: impl Future<Output = ()>,
    ) -> Ended {
        let mut preferred_is_back = std::pin::pin!(preferred_is_back);
        let mut fresher_is_there = std::pin::pin!(fresher_is_there);
        let mut ticks = tokio::time::interval(TICK);
        let (stop, resync) = (self.follower.stop.clone(), Arc::clone(&self.follower.resync));
        let store = self.follower.standing.store.clone();
        loop {
            tokio::select! {
                said = self.incoming.message() => match said {
                    Ok(Some(mut said)) => {
                        if let Err(error) = self.counter.open(&mut said) {
                            return self.lost(error.to_string());
                        }
                        self.heard = Some(Instant::now());
                        self.peer.note(|facts| facts.last_heard_at_ms = Some(unix_now_ms()));
                        if let Err(reason) = self.hear(said.message).await {
                            return self.lost(reason);
                        }
                    }
                    Ok(None) => return self.lost("the leader has ended the stream".to_owned()),
                    Err(status) => return self.lost(status.message().to_owned()),
                },
                _ = ticks.tick() => if let Some(ended) = self.tick().await { return ended },
                () = store.certainty().asked(), if self.asking.is_none() && self.keys_certain => {
                    let question = store.certainty().begin_reading();
                    self.asking = Some((question, Instant::now()));
                    if let Err(reason) = self.say(Say::AskKeys(proto::AskKeys { question })) {
                        return self.lost(reason);
                    }
                }
                () = resync.asked() => {
                    resync.take().iter().for_each(|id| self.follower.known.forget(id));
                    return Ended::Again;
                }
                () = &mut preferred_is_back => return Ended::Preferred,
                () = &mut fresher_is_there => return Ended::Behind,
                () = stop.cancelled() => return Ended::Stopped,
            }
        }
    }

    fn lost(&self, reason: String) -> Ended {
        Ended::Lost { reason, heard: self.heard.is_some() }
    }

    async fn hear(&mut self, said: Option<Heard>) -> Result<(), String> {
        let framed = match said {
            Some(Heard::Environments(set)) => {
                self.take_set(set);
                Ok(None)
            }
            Some(Heard::Header(header)) => self.assembly.header(header).map(|()| None),
            Some(Heard::Chunk(chunk)) => self.assembly.chunk(&chunk).map(|()| None),
            Some(Heard::Trailer(trailer)) => self.assembly.trailer(&trailer).map(Some),
            Some(Heard::Progress(progress)) => {
                self.take_progress(&progress);
                Ok(None)
            }
            Some(Heard::KeysRead(read)) => {
                self.follower.standing.store.certainty().end_reading(read.question, read.complete);
                self.asking = None;
                Ok(None)
            }
            Some(Heard::LearntTarget(target)) => {
                self.take_target(&target);
                Ok(None)
            }
            // Of a later release.
            None => Ok(None),
        };
        match framed {
            Ok(None) => Ok(()),
            Ok(Some(payload)) => self.take_update(payload).await,
            Err(FrameError::Framing(reason)) => Err(reason),
            Err(FrameError::Corrupt { environment, update, reason }) => self.refuse(&environment, update, reason),
        }
    }

    async fn take_update(&mut self, payload: Payload) -> Result<(), String> {
        let Payload { environment: id, update, bytes } = payload;
        let size = bytes.len() as u64;
        let base = self.follower.known.state(&id).map(|(revision, content)| (*revision, content.clone()));
        let job_id = id.clone();
        let applied = self.follower.queue.run(move |intake| apply(intake, &job_id, &bytes, base)).await;
        let applied = applied.ok_or("the process ends")?;
        self.peer.carried(size);
        let Applied { revision, content, names, raised } = match applied {
            Ok(applied) => applied,
            Err(reason) => return self.refuse(&id, update, reason),
        };
        self.follower.known.set(id.clone(), revision, content);
        let raised = write_served(&raised);
        self.say(Say::Ack(proto::Ack { environment_id: id.to_string(), update, raised }))?;
        self.follower.standing.synced(&id, &names, unix_now_ms());
        self.confirmed.insert(id.clone());
        let environments = self.follower.known.environments().len();
        self.peer.note(|facts| facts.environments = environments);
        self.peer.acknowledged(PeerUpdate { environment: id, revision, at_ms: unix_now_ms() });
        self.look_whether_complete();
        Ok(())
    }

    fn refuse(&mut self, id: &EnvironmentId, update: u64, reason: String) -> Result<(), String> {
        tracing::warn!(
            environment = %id,
            leader = self.peer.name,
            reason,
            "an update of the leader cannot be served; the state before is, and everything is asked for"
        );
        self.peer.refused(&reason);
        self.confirmed.remove(id);
        self.follower.standing.refused(id, &reason, unix_now_ms());
        self.say(Say::Nack(proto::Nack { environment_id: id.to_string(), update, reason }))
    }

    fn say(&mut self, word: Say) -> Result<(), String> {
        let request = proto::SyncSnapshotsRequest { message: Some(word), ..Default::default() };
        self.words.try_send(self.said.seal(request)).map_err(|_| "the leader takes no answers".to_owned())
    }

    fn take_set(&mut self, set: proto::EnvironmentSet) {
        let ids: BTreeSet<EnvironmentId> = set.environment_ids.iter().map(|id| EnvironmentId::new(id)).collect();
        let before = std::mem::replace(&mut self.set, set.complete.then_some(ids)).unwrap_or_default();
        let now = Instant::now();
        let here = self.follower.known.environments();
        self.missing.retain(|id, _| self.set.as_ref().is_some_and(|set| !set.contains(id)));
        if let Some(set) = &self.set {
            for id in here.into_iter().filter(|id| !set.contains(id)) {
                // Taken away before our eyes it is gone; else this leader may only have begun.
                let since = if before.contains(&id) { now.checked_sub(REMOVAL).unwrap_or(now) } else { now };
                self.missing.entry(id).or_insert(since);
            }
        }
        self.look_whether_complete();
    }

    fn take_progress(&mut self, progress: &proto::Progress) {
        let age_ms = i64::try_from(progress.origin_age_ms).unwrap_or(i64::MAX);
        self.follower.standing.store.note_origin_heard(unix_now_ms().saturating_sub(age_ms));
        let out_of_touch = progress.origin_age_ms >= ORIGIN_SILENCE_MS;
        let unheard: Vec<String> = self.confirmed.iter().filter(|_| out_of_touch).map(ToString::to_string).collect();
        let stale = progress.stale_environment_ids.iter();
        let behind = progress.behind_environment_ids.iter();
        let reasons: Vec<(String, &str)> = stale
            .map(|id| (id.clone(), "the leader has lost its own source"))
            .chain(behind.map(|id| (id.clone(), "the leader is behind what is served here")))
            .chain(unheard.into_iter().map(|id| (id, UNHEARD)))
            .collect();
        self.stale.store(!reasons.is_empty(), Ordering::Relaxed);
        self.follower.standing.progress(&self.confirmed, &reasons, unix_now_ms());
        let is_behind = !progress.behind_environment_ids.is_empty();
        self.behind_since = is_behind.then(|| self.behind_since.unwrap_or_else(Instant::now));
        self.keys_certain = progress.keys_certain && !out_of_touch;
        self.look_whether_complete();
    }

    fn take_target(&self, target: &proto::LearntTarget) {
        let Ok(text) = std::str::from_utf8(&target.json) else { return };
        let Ok(parsed) = serde_json::from_str(text) else { return };
        let store = &self.follower.standing.store;
        if let Some(environment) = store.index().environment(&target.environment_id) {
            store.learn(environment, StoredTarget { target: parsed, json: Box::from(text) }, "");
        }
    }

    /// Everything that the leader has is served, and so every key is known.
    fn look_whether_complete(&self) {
        let complete = self.set.as_ref().is_some_and(|set| set.is_subset(&self.confirmed));
        self.follower.standing.store.certainty().set(complete && self.keys_certain);
        if complete {
            self.follower.standing.complete(unix_now_ms());
        }
    }

    async fn tick(&mut self) -> Option<Ended> {
        let now = Instant::now();
        let last = self.heard.unwrap_or(self.began);
        if now.duration_since(last) >= SILENCE {
            return Some(self.lost("three signs of life were missed".to_owned()));
        }
        let heard = *self.follower.standing.store.origin_heard().borrow();
        let silent_ms = heard.map_or(0, |heard| u64::try_from(unix_now_ms() - heard).unwrap_or(0));
        if self.heard.is_some() && silent_ms >= ORIGIN_SILENCE_MS && !self.stale.swap(true, Ordering::Relaxed) {
            // The leader is there, and knows no more than this relay does.
            let reasons: Vec<_> = self.confirmed.iter().map(|id| (id.to_string(), UNHEARD)).collect();
            self.follower.standing.progress(&self.confirmed, &reasons, unix_now_ms());
            self.keys_certain = false;
            self.look_whether_complete();
        }
        if let Some((question, _)) = self.asking.take_if(|(_, since)| now.duration_since(*since) >= ASKED_FOR) {
            self.follower.standing.store.certainty().end_reading(question, false);
        }
        if self.behind_since.is_some_and(|since| now.duration_since(since) >= BEHIND) && self.follower.has_others() {
            return Some(Ended::Behind);
        }
        if !self.keys_certain {
            // A leader that has lost its own source may know less than there is.
            self.missing
                .values_mut()
                .filter(|since| now.duration_since(**since) < REMOVAL)
                .for_each(|since| *since = now);
        }
        let gone: BTreeSet<EnvironmentId> = self
            .missing
            .iter()
            .filter(|(_, since)| now.duration_since(**since) >= REMOVAL)
            .map(|(id, _)| id.clone())
            .collect();
        if !gone.is_empty() {
            self.missing.retain(|id, _| !gone.contains(id));
            gone.iter().for_each(|id| self.follower.known.forget(id));
            self.confirmed.retain(|id| !gone.contains(id));
            let delivery = Delivery { kind: SourceKind::Peer, offered: BTreeMap::new(), removed: gone };
            self.follower
                .queue
                .send(move |intake| {
                    // Taking away cannot fail: nothing is built.
                    if let Err(error) = intake.swap_in(delivery, unix_now_ms() / 1000) {
                        tracing::error!(%error, "environments could not be withdrawn");
                    }
                })
                .await;
        }
        None
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some((question, _)) = self.asking {
            self.follower.standing.store.certainty().end_reading(question, false);
        }
    }
}
