//! What relays say, as words and as JSON: `camelCase` members, enums by their
//! short names, times as RFC 3339, digests as hexadecimal digits.

use prost_types::Timestamp;
use serde_json::{Value, json};

use crate::proto::inspect::v1 as proto;

/// A moment; "" if it never was.
#[must_use]
pub fn time(at: Option<&Timestamp>) -> String {
    at.map(|at| Timestamp { nanos: 0, ..*at }.to_string()).unwrap_or_default()
}

/// A moment, or null.
#[must_use]
pub fn time_json(at: Option<&Timestamp>) -> Value {
    at.map_or(Value::Null, |at| at.to_string().into())
}

#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Enough of a digest to tell two apart.
#[must_use]
pub fn short(bytes: &[u8]) -> String {
    hex(bytes.get(..6).unwrap_or(bytes))
}

/// `SYNC_STATE_NEVER_SYNCED` → `NEVER_SYNCED`; "" for the unspecified one.
#[must_use]
pub fn word(name: &str, prefix: &str) -> String {
    let word = name.strip_prefix(prefix).unwrap_or(name);
    if word == "UNSPECIFIED" { String::new() } else { word.to_owned() }
}

/// The same for people.
#[must_use]
pub fn spoken(name: &str, prefix: &str) -> String {
    word(name, prefix).to_lowercase().replace('_', " ")
}

/// JSON that travelled as bytes.
#[must_use]
pub fn embedded(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

#[must_use]
pub fn revision(revision: Option<&proto::Revision>) -> Value {
    revision.map_or(
        Value::Null,
        |revision| json!({"epoch": revision.epoch, "sequence": revision.sequence, "digest": hex(&revision.digest)}),
    )
}

#[must_use]
pub fn environment(environment: &proto::Environment) -> Value {
    let counts = environment.counts.unwrap_or_default();
    json!({
        "id": environment.id,
        "name": environment.name,
        "revision": revision(environment.revision.as_ref()),
        "counts": {
            "flags": counts.flags,
            "segments": counts.segments,
            "configuredTargets": counts.configured_targets,
            "storedTargets": counts.stored_targets,
            "keyHashes": counts.key_hashes,
            "streams": counts.streams,
        },
        "syncState": word(environment.sync_state().as_str_name(), "SYNC_STATE_"),
        "lastSyncedAt": time_json(environment.last_synced_at.as_ref()),
        "lastChangedAt": time_json(environment.last_changed_at.as_ref()),
        "source": word(environment.source().as_str_name(), "SOURCE_"),
        "pausedSource": environment.paused_source.as_ref().map(|paused| {
            json!({"since": time_json(paused.since.as_ref()), "requestId": paused.request_id})
        }),
        "error": environment.error,
    })
}

#[must_use]
pub fn flag(flag: &proto::Flag) -> Value {
    json!({
        "identifier": flag.identifier,
        "kind": flag.kind,
        "on": flag.on,
        "version": flag.version,
        "servedVersion": flag.served_version,
        "changedAt": time_json(flag.changed_at.as_ref()),
        "changedInSequence": flag.changed_in_sequence,
        "digest": hex(&flag.digest),
    })
}

#[must_use]
pub fn segment(segment: &proto::Segment) -> Value {
    json!({
        "identifier": segment.identifier,
        "name": segment.name,
        "included": segment.included,
        "excluded": segment.excluded,
        "rules": segment.rules,
        "version": segment.version,
        "servedVersion": segment.served_version,
        "changedAt": time_json(segment.changed_at.as_ref()),
        "changedInSequence": segment.changed_in_sequence,
        "digest": hex(&segment.digest),
    })
}

#[must_use]
pub fn target(target: &proto::Target) -> Value {
    json!({
        "identifier": target.identifier,
        "origin": word(target.origin().as_str_name(), "TARGET_ORIGIN_"),
        "json": embedded(&target.json),
    })
}

#[must_use]
pub fn peer(peer: &proto::Peer) -> Value {
    json!({
        "id": peer.id,
        "role": word(peer.role().as_str_name(), "PEER_ROLE_"),
        "name": peer.name,
        "address": peer.address,
        "version": peer.version,
        "connectedAt": time_json(peer.connected_at.as_ref()),
        "lastHeardAt": time_json(peer.last_heard_at.as_ref()),
        "environmentCount": peer.environment_count,
        "environmentsBehind": peer.environments_behind,
        "behindSince": time_json(peer.behind_since.as_ref()),
        "lastUpdate": peer.last_update.as_ref().map(|update| json!({
            "environmentId": update.environment_id,
            "revision": revision(update.revision.as_ref()),
            "at": time_json(update.at.as_ref()),
        })),
        "acks": peer.acks,
        "nacks": peer.nacks,
        "lastNackReason": peer.last_nack_reason,
        "payloadBytes": peer.payload_bytes,
        "error": peer.error,
    })
}

#[must_use]
pub fn stream(stream: &proto::Stream) -> Value {
    json!({
        "id": stream.id,
        "environmentId": stream.environment_id,
        "openedAt": time_json(stream.opened_at.as_ref()),
        "address": stream.address,
        "sdk": stream.sdk,
        "clientSide": stream.client_side,
        "eventsSent": stream.events_sent,
        "lastEvent": stream.last_event.as_ref().map(|event| json!({
            "domain": event.domain,
            "identifier": event.identifier,
            "version": event.version,
            "sentAt": time_json(event.sent_at.as_ref()),
        })),
        "changesBehind": stream.changes_behind,
    })
}
