//! What the forwarder holds, apart from sending it: closing sums, telling
//! the journal, letting go of environments that are gone.

use std::collections::HashSet;
use std::time::Instant;

use super::body::Lost;
use super::counters::DropReason;
use super::entry;
use super::forward::Forwarder;
use super::intake::ROWS_A_TURN;
use super::journal::Image;
use super::lane::Lane;
use crate::snapshot::content::EnvironmentId;
use crate::telemetry::clock::unix_now_ms;

impl Forwarder {
    /// Tells the journal every open sum.
    pub(super) fn tell(&mut self) {
        if self.journal.is_mute() {
            return;
        }
        for environment in self.intake.environments() {
            loop {
                let rows = self.intake.take_unwritten(&environment);
                if !rows.is_empty() {
                    let record = entry::added(environment.as_str(), unix_now_ms(), &rows);
                    self.journal.push(&record);
                }
                if rows.len() < ROWS_A_TURN {
                    break;
                }
            }
        }
    }

    /// Closes open sums. Those of an environment that still has closed ones
    /// go on: an outage costs no memory but for new keys. `all`: in any case.
    pub(super) fn close(&mut self, all: bool) {
        self.tell();
        let now = Instant::now();
        for environment in self.intake.environments() {
            let active_ms = self.intake.active_ms(&environment).unwrap_or_default();
            let lane = self.lanes.entry(environment.clone()).or_insert_with(|| Lane::new(now, active_ms));
            lane.active_ms = lane.active_ms.max(active_ms);
            if !all && !lane.closed.is_empty() {
                continue;
            }
            let Some((untold, rows)) = self.intake.close(&environment) else {
                continue;
            };
            if !untold.is_empty() && !self.journal.is_mute() {
                self.journal.push(&entry::added(environment.as_str(), active_ms, &untold));
            }
            if lane.closed.is_empty() {
                lane.closed = rows;
            } else {
                lane.closed.rows.extend(rows.rows);
                lane.closed.targets.extend(rows.targets);
            }
        }
    }

    pub(super) fn drop_gone(&mut self) {
        let (now, now_ms) = (Instant::now(), unix_now_ms());
        let Self { lanes, intake, counters, journal, .. } = self;
        lanes.retain(|environment, lane| {
            if lane.is_empty() || !lane.is_gone(now, now_ms) {
                return !lane.is_empty() || lane.failures() > 0;
            }
            let mut lost = lane.sum();
            lane.closed.give_room_back(&intake.rooms);
            if let Some((_, rows)) = intake.close(environment) {
                rows.give_room_back(&intake.rooms);
                lost.add(rows.sum());
            }
            counters.dropped(DropReason::Gone, lost);
            journal.push(&entry::gone(environment.as_str()));
            let Lost { evaluations, targets } = lost;
            tracing::warn!(%environment, evaluations, targets, "SDK metrics dropped: nothing was heard of their environment for a day");
            false
        });
    }

    pub(super) fn left(&self) -> Lost {
        self.lanes.values().fold(Lost::default(), |mut sum, lane| {
            sum.add(lane.sum());
            sum
        })
    }

    pub(super) fn frozen_bytes(&self) -> usize {
        self.lanes.values().map(Lane::frozen_bytes).sum()
    }

    pub(super) async fn rewrite_if_due(&mut self, now: Instant) {
        let rooms = &self.intake.rooms;
        let live_bytes = rooms.rows.bytes() + rooms.targets.bytes() + self.frozen_bytes();
        if !self.journal.wants_rewrite(live_bytes, now) {
            return;
        }
        let (mut images, seen) = (Vec::new(), self.intake.written_seen());
        let mut open: HashSet<EnvironmentId> = self.intake.environments().into_iter().collect();
        for (environment, lane) in &self.lanes {
            let mut rows = vec![lane.closed.clone()];
            if open.remove(environment) {
                rows.push(self.intake.written(environment));
            }
            let batches = lane.batches().map(|(batch, sent)| (batch.clone(), sent)).collect();
            images.push(Image { environment: environment.clone(), active_ms: lane.active_ms, rows, batches });
        }
        for environment in open {
            let rows = vec![self.intake.written(&environment)];
            let active_ms = self.intake.active_ms(&environment).unwrap_or_default();
            images.push(Image { environment, active_ms, rows, batches: Vec::new() });
        }
        self.journal.rewrite(images, seen).await;
    }
}
