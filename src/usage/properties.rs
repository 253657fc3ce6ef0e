//! Whatever the order of adding, closing, freezing, sending, halving and
//! crashing: every count is in exactly one place, or was told to be lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;

use super::backoff::Waits;
use super::batch::{Batch, BatchId};
use super::body::Sums;
use super::carrier::Delivery;
use super::entry::{self, Entry};
use super::intake::Intake;
use super::key::{Attributes, RowKey, Tally, target_bytes};
use super::lane::{Chance, Lane, Settled};
use super::parse::MetricsRow;
use super::replay::Replay;
use crate::snapshot::content::EnvironmentId;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Add {
        flag: u8,
        target: u8,
        count: u8,
    },
    Tell,
    Close,
    Freeze,
    /// An attempt, and whether upstream really counted it where nobody knows.
    Send {
        answer: Answer,
        counted: bool,
    },
    /// The process dies and starts again from the journal.
    Crash,
    /// As `Crash`, while an attempt is under way.
    CrashWhileSending {
        counted: bool,
    },
    /// The journal is written anew.
    Rewrite,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Taken,
    RefusedWhole,
    RefusedContent,
    Uncertain,
}

fn step() -> impl Strategy<Value = Step> {
    let answer = prop_oneof![
        3 => Just(Answer::Taken),
        2 => Just(Answer::RefusedWhole),
        2 => Just(Answer::RefusedContent),
        1 => Just(Answer::Uncertain),
    ];
    prop_oneof![
        8 => (0..6_u8, 0..4_u8, 1..100_u8).prop_map(|(flag, target, count)| Step::Add { flag, target, count }),
        2 => Just(Step::Tell),
        2 => Just(Step::Close),
        3 => Just(Step::Freeze),
        5 => (answer, any::<bool>()).prop_map(|(answer, counted)| Step::Send { answer, counted }),
        1 => Just(Step::Crash),
        1 => any::<bool>().prop_map(|counted| Step::CrashWhileSending { counted }),
        1 => Just(Step::Rewrite),
    ]
}

/// The relay without tasks and disks, and the upstream that it talks to.
struct World {
    environment: EnvironmentId,
    intake: Intake,
    lane: Lane,
    journal: Vec<String>,
    next_id: u128,
    accepted: BTreeMap<RowKey, u64>,
    counted: BTreeMap<RowKey, u64>,
    dropped: u64,
    /// Evaluations that were sent again in the dark.
    uncertain: u64,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        World {
            environment: EnvironmentId::new("e"),
            intake: Intake::new(1000),
            lane: Lane::new(now, 0),
            journal: Vec::new(),
            next_id: 0,
            accepted: BTreeMap::new(),
            counted: BTreeMap::new(),
            dropped: 0,
            uncertain: 0,
            now,
        }
    }

    fn id(&mut self) -> BatchId {
        self.next_id += 1;
        BatchId(self.next_id)
    }

    fn add(&mut self, flag: u8, target: u8, count: u8) {
        let (flag, target) = (format!("f{flag}"), format!("t{target}"));
        let attributes = Attributes { flag: Some(&flag), target: Some(&target), ..Attributes::default() };
        let key = RowKey::new(&attributes);
        *self.accepted.entry(key.clone()).or_default() += u64::from(count);
        let rows = vec![(key, Tally { count: count.into(), timestamp: 1 })];
        let json = Arc::from(format!("{{\"identifier\":\"{target}\"}}"));
        let targets = vec![(Arc::from(target), json)];
        let lost = self.intake.add(&self.environment, Sums { rows, targets, ..Sums::default() }, 1);
        assert_eq!(lost, super::body::Lost::default());
    }

    fn tell(&mut self) {
        loop {
            let rows = self.intake.take_unwritten(&self.environment);
            if rows.is_empty() {
                return;
            }
            self.journal.push(entry::added("e", 1, &rows));
        }
    }

    fn close(&mut self) {
        self.tell();
        if self.lane.closed.is_empty()
            && let Some((untold, rows)) = self.intake.close(&self.environment)
        {
            assert!(untold.is_empty());
            self.lane.closed = rows;
        }
    }

    fn freeze(&mut self) {
        let id = self.id();
        if let Some(batch) = self.lane.freeze(id, &self.intake.rooms) {
            self.journal.push(entry::frozen("e", batch));
        }
    }

    fn begin(&mut self) -> Option<Batch> {
        let start = self.lane.start()?;
        if start.again {
            self.uncertain += start.batch.sum.evaluations;
        }
        self.journal.push(entry::sending(start.batch.id));
        Some(start.batch)
    }

    fn send(&mut self, answer: Answer, counted: bool) {
        let Some(batch) = self.begin() else { return };
        let refused = |status| Delivery::Refused { status, reason: String::new(), retry_after: None };
        let (delivery, counts) = match answer {
            Answer::Taken => (Delivery::Taken, true),
            Answer::RefusedWhole => (refused(None), false),
            Answer::RefusedContent => (refused(Some(400)), false),
            Answer::Uncertain => (Delivery::Uncertain { reason: String::new(), retry_after: None }, counted),
        };
        if counts {
            self.count(&batch);
        }
        let chance = Chance { random: 0.0, ids: [self.id(), self.id()] };
        match self.lane.settle(&delivery, self.now, Waits::default(), chance).unwrap() {
            Settled::Taken { id, .. } => self.journal.push(entry::done(id)),
            Settled::Halved { id, into, .. } => self.journal.push(entry::halved(id, &into)),
            Settled::Dropped { id, lost, .. } => {
                self.dropped += lost.evaluations;
                self.journal.push(entry::done(id));
            }
            Settled::Waits { id, certain: true, .. } => self.journal.push(entry::refused(id)),
            Settled::Waits { .. } => {}
        }
    }

    fn count(&mut self, batch: &Batch) {
        for text in batch.row_texts().0 {
            let row: MetricsRow<'_> = serde_json::from_str(text).unwrap();
            *self.counted.entry(RowKey::new(&Attributes::of(&row))).or_default() += row.count.unsigned_abs();
        }
    }

    /// Starts again; what the journal was not told is lost.
    fn crash(&mut self) {
        let mut replay = Replay::default();
        self.journal.iter().for_each(|line| replay.apply(Entry::parse(line).unwrap()));
        self.lane = Lane::new(self.now, 0);
        if let Some((untold, _)) = self.intake.close(&self.environment) {
            for (key, tally) in untold.rows {
                *self.accepted.get_mut(&key).unwrap() -= tally.count;
            }
        }
        self.intake = Intake::new(1000);
        for restored in replay.finish().0.into_values() {
            restored.batches.into_iter().for_each(|(batch, sent)| self.lane.restore(batch, sent));
            let rooms = &self.intake.rooms;
            restored.rows.rows.iter().for_each(|(key, _)| rooms.rows.take_in_any_case(key.bytes()));
            let targets = restored.rows.targets.iter();
            targets.for_each(|(id, json)| rooms.targets.take_in_any_case(target_bytes(id, json)));
            self.lane.closed = restored.rows;
        }
    }

    fn rewrite(&mut self) {
        let mut lines = Vec::new();
        lines.extend(self.lane.batches().map(|(batch, sent)| entry::waiting("e", batch, sent)));
        for rows in [self.lane.closed.clone(), self.intake.written(&self.environment)] {
            lines.extend(entry::added_lines("e", 1, &rows));
        }
        self.journal = lines;
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Add { flag, target, count } => self.add(flag, target, count),
            Step::Tell => self.tell(),
            Step::Close => self.close(),
            Step::Freeze => self.freeze(),
            Step::Send { answer, counted } => self.send(answer, counted),
            Step::Crash => self.crash(),
            Step::CrashWhileSending { counted } => {
                if let Some(batch) = self.begin()
                    && counted
                {
                    self.count(&batch);
                }
                self.crash();
            }
            Step::Rewrite => self.rewrite(),
        }
    }

    /// Sends all there is.
    fn drain(&mut self) {
        loop {
            self.close();
            self.freeze();
            if self.lane.is_empty() {
                return;
            }
            self.send(Answer::Taken, true);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_count_arrives_once_or_is_told(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.step(step));
        world.drain();
        let sum = |counts: &BTreeMap<RowKey, u64>| counts.values().sum::<u64>();
        let (accepted, counted) = (sum(&world.accepted), sum(&world.counted));
        prop_assert!(counted + world.dropped >= accepted, "lost");
        prop_assert!(counted + world.dropped <= accepted + world.uncertain, "doubled and not told");
        if world.uncertain == 0 && world.dropped == 0 {
            world.accepted.retain(|_, count| *count > 0);
            prop_assert_eq!(&world.counted, &world.accepted);
        }
        let rooms = &world.intake.rooms;
        prop_assert_eq!((rooms.rows.keys(), rooms.rows.bytes()), (0, 0));
        prop_assert_eq!((rooms.targets.keys(), rooms.targets.bytes()), (0, 0));
    }
}
