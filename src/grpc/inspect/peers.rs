//! The other relays.

use std::sync::Arc;

use super::environments::revision;
use super::{small, timestamp_of_ms};
use crate::grpc::page::Page;
use crate::proto::inspect::v1 as proto;
use crate::store::peers::{Peer, PeerFacts, PeerRole, Peers};

pub(super) fn list(peers: &Peers, page: &Page) -> proto::ListPeersResponse {
    let named: Vec<(String, Arc<Peer>)> = peers.all().into_iter().map(|peer| (place(&peer), peer)).collect();
    let (peers, next_page_token) = page.fill(&named, |(place, _)| place, |(_, peer)| describe(peer));
    proto::ListPeersResponse { peers, next_page_token }
}

/// Sorts leaders first, then by the order they came.
fn place(peer: &Peer) -> String {
    format!("{}{:020}", role(peer.role) as i32, peer.id)
}

fn role(role: PeerRole) -> proto::PeerRole {
    match role {
        PeerRole::Leader => proto::PeerRole::Leader,
        PeerRole::Follower => proto::PeerRole::Follower,
    }
}

fn describe(peer: &Peer) -> proto::Peer {
    let PeerFacts {
        version,
        connected_at_ms,
        last_heard_at_ms,
        environments,
        environments_behind,
        behind_since_ms,
        last_update,
        acks,
        nacks,
        last_nack_reason,
        payload_bytes,
        error,
    } = peer.facts();
    proto::Peer {
        id: peer.id.to_string(),
        role: role(peer.role).into(),
        name: peer.name.clone(),
        address: peer.address.clone(),
        version,
        connected_at: connected_at_ms.map(timestamp_of_ms),
        last_heard_at: last_heard_at_ms.map(timestamp_of_ms),
        environment_count: small(environments),
        environments_behind: small(environments_behind),
        behind_since: behind_since_ms.map(timestamp_of_ms),
        last_update: last_update.map(|update| proto::PeerUpdate {
            environment_id: update.environment.to_string(),
            revision: Some(revision(&update.revision)),
            at: Some(timestamp_of_ms(update.at_ms)),
        }),
        acks,
        nacks,
        last_nack_reason,
        payload_bytes,
        error,
    }
}
