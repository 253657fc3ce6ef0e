//! What comes over the streams.

use std::collections::VecDeque;
use std::time::Instant;

use super::Member;
use super::trouble::Part;
use crate::snapshot::content::EnvironmentId;
use crate::source::redis::bus::{FIELD, Word};
use crate::source::redis::keys::own;
use crate::source::redis::reader::{Entry, Heard, order};
use crate::source::redis::{ack, targets};
use crate::store::redis_state::RedisRole;
use crate::telemetry::clock::unix_now_ms;

/// What both streams of targets hold at most.
const EARLY_TARGETS: usize = 10_500;

/// A target is news for so long: longer than it takes until another relay
/// leads.
const RECENT_MS: u64 = 120_000;

/// Such targets; small ones, as most are.
const MAX_RECENT: usize = 2_000;
const MAX_RECENT_BYTES: usize = 4 * 1024;

/// Targets that were heard of lately.
#[derive(Debug, Default)]
pub(super) struct RecentTargets(VecDeque<(Instant, EnvironmentId, String)>);

impl RecentTargets {
    fn keep(&mut self, target: targets::Told<'_>) {
        if target.json.len() <= MAX_RECENT_BYTES {
            self.0.push_back((Instant::now(), target.environment, target.json.to_owned()));
        }
        if self.0.len() > MAX_RECENT {
            self.0.pop_front();
        }
    }
}

impl Member {
    pub(super) async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Connected => {
                self.reads = true;
                // What was said meanwhile nobody heard.
                self.compare().await;
            }
            Heard::Lost(_) => {
                (self.reads, self.compared) = (false, false);
                self.settle_certainty();
            }
            Heard::Entries { stream: own::BUS, entries } => self.hear_bus(entries).await,
            Heard::Entries { stream: own::ACKS, entries } => self.hear_acks(&entries),
            Heard::Entries { entries, .. } if !self.compared => {
                // Their environments may not be known yet.
                let room = EARLY_TARGETS.saturating_sub(self.early_targets.len());
                self.early_targets.extend(entries.into_iter().take(room));
            }
            Heard::Entries { entries, .. } => self.learn(&entries),
        }
    }

    /// Takes targets that SDKs brought to other relays. Of those that came
    /// just now the one that leads tells upstream; where none does, the next.
    fn learn(&mut self, entries: &[Entry]) {
        let now_ms = u64::try_from(unix_now_ms()).unwrap_or(0);
        for entry in entries {
            let Some(target) = targets::learn(&self.parts.store, entry, &self.parts.lease.id) else { continue };
            if order(&entry.id).0 + RECENT_MS < now_ms {
                continue;
            }
            let Some(receiver) = &self.parts.receiver else { continue };
            if self.role == RedisRole::Leads {
                receiver.usage.register_target(&target.environment, None, target.json);
            } else {
                self.recent_targets.keep(target);
            }
        }
    }

    /// What came while another relay led, or none: that one may not have told
    /// upstream, and twice does no harm.
    pub(super) fn register_recent_targets(&mut self) {
        let Some(receiver) = &self.parts.receiver else { return };
        for (at, environment, json) in self.recent_targets.0.drain(..) {
            if at.elapsed().as_millis() < u128::from(RECENT_MS) {
                receiver.usage.register_target(&environment, None, &json);
            }
        }
    }

    /// Takes what was heard before the environments were known.
    pub(super) fn learn_early(&mut self) {
        let entries = std::mem::take(&mut self.early_targets);
        self.learn(&entries);
    }

    async fn hear_bus(&mut self, entries: Vec<Entry>) {
        let mut answers = Vec::new();
        for entry in &entries {
            let Some(word) = entry.field(FIELD).and_then(Word::read) else { continue };
            match word {
                Word::Changed(changed) if self.follows() => self.changed(changed, order(&entry.id).0),
                Word::Gone(id) if self.follows() => self.remove([id].into()).await,
                Word::Question { id } if self.role == RedisRole::Leads => {
                    self.answers.look_up(id, &self.parts.store);
                }
                Word::Answer { id, complete } => answers.push((id, complete)),
                Word::Released => self.nudge.wake(),
                Word::Changed(_) | Word::Gone(_) | Word::Question { .. } => {}
            }
        }
        if let Some(last) = entries.last() {
            self.position.clone_from(&last.id);
        }
        if self.follows() {
            // What was told before an answer is served before it counts.
            self.take_pending().await;
        }
        for (id, complete) in answers {
            let complete = complete && self.pending.is_empty() && self.compared;
            self.questions.answered(&id, complete, self.parts.store.certainty());
        }
    }

    fn hear_acks(&mut self, entries: &[Entry]) {
        for ack in entries.iter().filter_map(ack::read) {
            if ack.relay == self.parts.lease.id {
                continue;
            }
            let leads = self.role == RedisRole::Leads;
            self.gates.acknowledged(ack, leads.then_some(&self.parts.store), Instant::now());
        }
    }

    /// Tells how far this relay has come, and that it is there.
    pub(super) async fn acknowledge(&mut self) {
        if !self.follows() || !self.reads || !self.pending.is_empty() {
            return;
        }
        let ack = ack::Ack {
            relay: self.parts.lease.id.clone(),
            name: self.parts.name.clone(),
            position: self.position.clone(),
        };
        if let Err(failure) = ack::write(&self.parts.link, &ack).await {
            self.fails(Part::Writing, &failure);
        }
    }
}
