//! What comes over the streams.

use std::time::Instant;

use super::Member;
use crate::source::redis::bus::{FIELD, Word};
use crate::source::redis::keys::own;
use crate::source::redis::reader::{Entry, Heard, order};
use crate::source::redis::{ack, targets};
use crate::store::redis_state::RedisRole;

/// What both streams of targets hold at most.
const EARLY_TARGETS: usize = 10_500;

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
            Heard::Entries { entries, .. } => self.learn(&entries, self.role == RedisRole::Leads),
        }
    }

    /// Takes targets that SDKs brought to other relays. `news`: they came
    /// just now, and this relay is the one to tell upstream.
    fn learn(&self, entries: &[Entry], news: bool) {
        let usage = self.parts.receiver.as_ref().filter(|_| news).map(|receiver| &receiver.usage);
        for entry in entries {
            if let Some(target) = targets::learn(&self.parts.store, entry, &self.parts.lease.id)
                && let Some(usage) = usage
            {
                usage.register_target(&target.environment, None, target.json);
            }
        }
    }

    /// Takes what was heard before the environments were known.
    pub(super) fn learn_early(&mut self) {
        let entries = std::mem::take(&mut self.early_targets);
        self.learn(&entries, false);
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
            self.note(Some(&failure));
        }
    }
}
