//! The other relays: leaders that this one follows, and its followers, as
//! operators see them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::snapshot::Revision;
use crate::snapshot::content::EnvironmentId;

/// Which of two relays follows the other. Leaders are listed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerRole {
    /// This relay follows it.
    Leader,
    /// It follows this relay.
    Follower,
}

/// One moment of a peer. Times are Unix milliseconds.
#[derive(Clone, Debug, Default)]
pub struct PeerFacts {
    pub version: String,
    /// `None` while it is not connected.
    pub connected_at_ms: Option<i64>,
    pub last_heard_at_ms: Option<i64>,
    pub environments: usize,
    /// Environments of which a newer state than the last acknowledged one is
    /// known.
    pub environments_behind: usize,
    pub behind_since_ms: Option<i64>,
    pub last_update: Option<PeerUpdate>,
    pub acks: u64,
    pub nacks: u64,
    pub last_nack_reason: Option<String>,
    pub payload_bytes: u64,
    pub error: Option<String>,
}

/// The update that was last acknowledged.
#[derive(Clone, Debug)]
pub struct PeerUpdate {
    pub environment: EnvironmentId,
    pub revision: Revision,
    pub at_ms: i64,
}

/// One other relay.
#[derive(Debug)]
pub struct Peer {
    pub id: u64,
    pub role: PeerRole,
    pub name: String,
    pub address: String,
    facts: Mutex<PeerFacts>,
}

impl Peer {
    #[must_use]
    pub fn facts(&self) -> PeerFacts {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the facts.
    pub fn note(&self, change: impl FnOnce(&mut PeerFacts)) {
        change(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Every other relay that is known now. Bounded by who makes entries: the
/// leaders that are configured, the followers that are admitted.
#[derive(Debug, Default)]
pub struct Peers {
    known: Mutex<BTreeMap<(PeerRole, u64), Arc<Peer>>>,
    next: AtomicU64,
    /// Of leaders, of followers.
    totals: [Totals; 2],
}

/// Counts since the start, of all peers of a role that ever were.
#[derive(Debug, Default)]
pub struct Totals {
    pub acks: AtomicU64,
    pub nacks: AtomicU64,
    pub payload_bytes: AtomicU64,
}

impl Peers {
    /// Notes a peer for as long as the guard lives.
    #[must_use]
    pub fn enter(self: &Arc<Self>, role: PeerRole, name: &str, address: &str, facts: PeerFacts) -> KnownPeer {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let peer =
            Arc::new(Peer { id, role, name: name.to_owned(), address: address.to_owned(), facts: Mutex::new(facts) });
        self.lock().insert((role, id), Arc::clone(&peer));
        KnownPeer { peer, peers: Arc::clone(self) }
    }

    /// Leaders, then followers, each in the order they came.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Peer>> {
        self.lock().values().cloned().collect()
    }

    /// Counts of all peers of a role.
    #[must_use]
    pub fn totals(&self, role: PeerRole) -> &Totals {
        let [leaders, followers] = &self.totals;
        match role {
            PeerRole::Leader => leaders,
            PeerRole::Follower => followers,
        }
    }

    /// How many relays follow this one.
    #[must_use]
    pub fn followers(&self) -> usize {
        self.lock().keys().filter(|(role, _)| *role == PeerRole::Follower).count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(PeerRole, u64), Arc<Peer>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A peer in the list.
#[derive(Debug)]
pub struct KnownPeer {
    peer: Arc<Peer>,
    peers: Arc<Peers>,
}

impl KnownPeer {
    /// An update was acknowledged.
    pub fn acknowledged(&self, update: PeerUpdate) {
        self.peers.totals(self.role).acks.fetch_add(1, Ordering::Relaxed);
        self.note(|facts| {
            facts.acks += 1;
            facts.last_update = Some(update);
        });
    }

    /// An update was refused.
    pub fn refused(&self, reason: &str) {
        self.peers.totals(self.role).nacks.fetch_add(1, Ordering::Relaxed);
        self.note(|facts| {
            facts.nacks += 1;
            facts.last_nack_reason = Some(reason.to_owned());
        });
    }

    /// A payload went between the two.
    pub fn carried(&self, bytes: u64) {
        self.peers.totals(self.role).payload_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.note(|facts| facts.payload_bytes += bytes);
    }
}

impl std::ops::Deref for KnownPeer {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.peer
    }
}

impl Drop for KnownPeer {
    fn drop(&mut self) {
        self.peers.lock().remove(&(self.peer.role, self.peer.id));
    }
}
