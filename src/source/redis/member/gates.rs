//! The leader's SDK events wait until Redis has the change, and until the
//! relays that follow through Redis have it, as for followers over gRPC.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gate_number;
use crate::source::redis::ack::Ack;
use crate::source::redis::reader::order;
use crate::store::Store;
use crate::store::environment::Environment;

/// The writing itself, as a follower of every environment.
const WRITER: u64 = u64::MAX;

/// A relay that is silent for so long is not waited for.
const SILENT: Duration = Duration::from_secs(5);

/// Writes that somebody may still acknowledge; gates open after 2 s anyway.
const MAX_WRITES: usize = 10_000;

/// Relays that are heard of at once.
const MAX_RELAYS: usize = 1000;

#[derive(Debug)]
struct Relay {
    name: String,
    heard: Instant,
    position: (u64, u64),
    /// It is in the gates.
    entered: bool,
}

#[derive(Debug)]
struct Write {
    position: (u64, u64),
    environment: Arc<Environment>,
    place: u64,
}

/// Who is waited for.
#[derive(Debug, Default)]
pub(super) struct Gates {
    relays: HashMap<String, Relay>,
    writes: VecDeque<Write>,
}

impl Gates {
    /// Redis has an environment's change up to this place. `told`: the entry
    /// of the bus that says so.
    pub fn written(&mut self, environment: &Arc<Environment>, place: u64, told: Option<String>) {
        environment.acknowledged(WRITER, place);
        let Some(told) = told else { return };
        self.writes.push_back(Write { position: order(&told), environment: Arc::clone(environment), place });
        if self.writes.len() > MAX_WRITES {
            self.writes.pop_front();
        }
    }

    /// A relay has come so far. `store`: given while this relay leads.
    pub fn acknowledged(&mut self, ack: Ack, store: Option<&Store>, now: Instant) {
        if self.relays.len() >= MAX_RELAYS && !self.relays.contains_key(&ack.relay) {
            return;
        }
        let position = order(&ack.position);
        let number = gate_number(&ack.relay);
        let relay = self.relays.entry(ack.relay).or_insert_with(|| Relay {
            name: String::new(),
            heard: now,
            position: (0, 0),
            entered: false,
        });
        let before = std::mem::replace(&mut relay.position, position);
        (relay.name, relay.heard) = (ack.name, now);
        let Some(store) = store else {
            relay.entered = false;
            return;
        };
        if !std::mem::replace(&mut relay.entered, true) {
            // From here on it is waited for.
            for environment in store.index().environments.values() {
                environment.acknowledged(number, environment.gate.open_to());
            }
        }
        for write in self.writes.iter().filter(|it| it.position > before && it.position <= position) {
            write.environment.acknowledged(number, write.place);
        }
        let slowest = self.relays.values().filter(|relay| relay.entered).map(|relay| relay.position).min();
        while let (Some(slowest), Some(first)) = (slowest, self.writes.front()) {
            if first.position > slowest {
                break;
            }
            self.writes.pop_front();
        }
    }

    /// Who fell silent is not waited for.
    pub fn expire(&mut self, store: &Store, now: Instant) {
        self.relays.retain(|id, relay| {
            let silent = now.duration_since(relay.heard) > SILENT;
            if silent {
                leave(store, gate_number(id));
            }
            !silent
        });
        if self.relays.is_empty() {
            self.writes.clear();
        }
    }

    /// This relay writes no more, or cannot: nobody is waited for.
    pub fn leave(&mut self, store: &Store) {
        leave(store, WRITER);
        for (id, relay) in &mut self.relays {
            if std::mem::replace(&mut relay.entered, false) {
                leave(store, gate_number(id));
            }
        }
        self.writes.clear();
    }

    /// The relays that were heard of lately.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.relays.values().map(|relay| relay.name.clone()).collect();
        names.sort_unstable();
        names
    }
}

fn leave(store: &Store, number: u64) {
    store.index().environments.values().for_each(|environment| environment.left(number));
}
