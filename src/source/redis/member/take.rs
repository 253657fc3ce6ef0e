//! Takes what the leader wrote: whole, or what a word on the bus named.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::trouble::Part;
use super::{Member, Served, side_by_side};
use crate::snapshot::Revision;
use crate::snapshot::content::EnvironmentId;
use crate::source::intake::{Delivery, Intake};
use crate::source::redis::CREDENTIAL;
use crate::source::redis::bus::Changed;
use crate::source::redis::decide::{Ours, Step, decide};
use crate::source::redis::link::{Failure, Link};
use crate::source::redis::truth::{Truth, read};
use crate::store::redis_state::RedisRole;
use crate::store::source_status::SourceKind;
use crate::store::writer::Offered;
use crate::telemetry::clock::unix_now_ms;

/// Environments that are read and handed on together.
const TOGETHER: usize = 64;
/// Of these so many are read at once.
const READS_AT_ONCE: usize = 16;

/// Words that do not fit yet wait so long for the next; then everything of
/// the environment is read.
const PATIENCE: Duration = Duration::from_millis(200);

/// Words of one environment that were not followed yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    from: Option<Revision>,
    to: Revision,
    named: BTreeSet<String>,
    since: Instant,
    /// When it is looked at.
    at: Instant,
    /// The time in the id of the first entry, Unix milliseconds.
    written_ms: u64,
}

impl Member {
    /// An environment has another state.
    pub(super) fn changed(&mut self, word: Changed, written_ms: u64) {
        let now = Instant::now();
        match self.pending.get_mut(&word.environment) {
            Some(pending) if word.from == Some(pending.to) => {
                pending.to = word.to;
                pending.named.extend(word.named);
            }
            Some(pending) => {
                (pending.from, pending.to) = (None, word.to);
            }
            None => {
                let named = word.named.into_iter().collect();
                let pending = Pending { from: word.from, to: word.to, named, since: now, at: now, written_ms };
                self.pending.insert(word.environment, pending);
            }
        }
    }

    /// When the next of them is looked at.
    pub(super) fn pending_at(&self) -> Instant {
        let soonest = self.pending.values().map(|pending| pending.at).min();
        soonest.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    /// Follows the words.
    pub(super) async fn take_pending(&mut self) {
        let now = Instant::now();
        let due = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.at <= now)
            .map(|(id, pending)| (id.clone(), pending.clone()));
        let due: Vec<(EnvironmentId, Pending)> = due.collect();
        let (mut truths, mut whole, mut lag) = (Vec::new(), Vec::new(), None);
        for (id, pending) in due {
            let served = self.snapshot(&id);
            let ours = served.as_deref().map(Ours::of);
            if decide(self.stance(None), ours, Some(&pending.to)) == Step::Nothing {
                self.pending.remove(&id);
                continue;
            }
            let base = served.filter(|snapshot| pending.from == Some(snapshot.revision));
            let Some(base) = base else {
                self.pending.remove(&id);
                whole.push(id);
                continue;
            };
            match read::part(&self.parts.link, &id, &base.content, &pending.named, &pending.to).await {
                Ok(Some(truth)) => {
                    self.pending.remove(&id);
                    lag = Some(pending.written_ms);
                    truths.push((id, truth));
                }
                // A later word is on its way.
                Ok(None) if now.duration_since(pending.since) < PATIENCE => {
                    if let Some(pending) = self.pending.get_mut(&id) {
                        pending.at = now + PATIENCE / 10;
                    }
                }
                Ok(None) | Err(Failure::Wrong(_)) => {
                    self.pending.remove(&id);
                    whole.push(id);
                }
                Err(failure) => {
                    // A comparison follows when Redis is back.
                    self.fails(Part::Reading, &failure);
                    self.pending.clear();
                    self.compared = false;
                    return;
                }
            }
        }
        self.hand_on(truths).await;
        if let Err(failure) = self.take(whole).await {
            self.fails(Part::Reading, &failure);
            self.compared = false;
        }
        if let Some(written_ms) = lag {
            let lag_ms = u64::try_from(unix_now_ms()).unwrap_or(0).saturating_sub(written_ms);
            self.parts.store.note_redis(|state| state.lag_ms = Some(lag_ms));
        }
        self.acknowledge().await;
    }

    /// Reads these whole and serves them.
    pub(super) async fn take(&mut self, ids: Vec<EnvironmentId>) -> Result<(), Failure> {
        let leads = self.role == RedisRole::Leads;
        for some in ids.chunks(TOGETHER) {
            let mut away = None;
            let link = self.parts.link.clone();
            let calls = some.iter().map(|id| read_whole(&link, id.clone()).boxed()).collect();
            let mut truths = Vec::new();
            for (id, answer) in side_by_side(calls, READS_AT_ONCE).await {
                match answer {
                    Ok(Some(truth)) => truths.push((id, truth)),
                    Ok(None) => {}
                    // One that is damaged is no reason to leave the others behind.
                    Err(Failure::Wrong(reason)) => self.refuse(&id, &reason),
                    Err(failure) => away = Some(failure),
                }
            }
            if leads {
                self.overridden.extend(truths.iter().map(|(id, _)| id.clone()));
            }
            self.hand_on(truths).await;
            if let Some(failure) = away {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Serves what was read.
    async fn hand_on(&mut self, truths: Vec<(EnvironmentId, Truth)>) {
        if truths.is_empty() {
            return;
        }
        let names: Vec<_> = truths.iter().map(|(id, truth)| (id.clone(), truth.names.clone(), truth.token)).collect();
        let refused = self.parts.queue.run(move |intake| serve(intake, truths)).await.unwrap_or_default();
        for (id, names, token) in names {
            if let Some((_, reason)) = refused.iter().find(|(refused, _)| *refused == id) {
                self.refuse(&id, reason);
            } else {
                self.is_not_go_served(&id);
                self.tokens.insert(id.clone(), token);
                self.taken(&id, names);
            }
        }
    }

    /// Withdraws environments.
    pub(super) async fn remove(&mut self, removed: BTreeSet<EnvironmentId>) {
        removed.iter().for_each(|id| drop(self.pending.remove(id)));
        let job = move |intake: &mut Intake| {
            let delivery = Delivery { kind: SourceKind::Redis, offered: BTreeMap::new(), removed };
            intake.swap_in(delivery, unix_now_ms() / 1000)
        };
        if let Some(Err(error)) = self.parts.queue.run(job).await {
            tracing::error!(%error, "environments could not be withdrawn");
        }
    }

    pub(super) fn snapshot(&self, id: &EnvironmentId) -> Option<Served> {
        let index = self.parts.store.index();
        index.environment(id.as_str()).and_then(|environment| environment.snapshot().clone())
    }
}

/// Serves these; says which cannot be served, and why.
fn serve(intake: &mut Intake, truths: Vec<(EnvironmentId, Truth)>) -> Vec<(EnvironmentId, String)> {
    let now_unix_s = unix_now_ms() / 1000;
    let offered = |truth: &Truth| Offered {
        content: truth.content.clone(),
        leader: Some(truth.leader()),
        credential: CREDENTIAL.into(),
        served: None,
    };
    let together = truths.iter().map(|(id, truth)| (id.clone(), offered(truth))).collect();
    if intake.swap_in(Delivery::of(SourceKind::Redis, together), now_unix_s).is_ok() {
        return Vec::new();
    }
    // One of them cannot be served: the others can.
    let one = |(id, truth): &(EnvironmentId, Truth)| {
        let delivery = Delivery::of(SourceKind::Redis, BTreeMap::from([(id.clone(), offered(truth))]));
        intake.swap_in(delivery, now_unix_s).err().map(|error| (id.clone(), error.to_string()))
    };
    truths.iter().filter_map(one).collect()
}

async fn read_whole(link: &Link, id: EnvironmentId) -> (EnvironmentId, Result<Option<Truth>, Failure>) {
    let answer = read::whole(link, &id).await;
    (id, answer)
}
