//! `watch`: updates of a leader as lines.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use ff_relay::proto::inspect::v1::Revision;
use ff_relay::proto::snapshot::v1 as proto;
use ff_relay::proto::snapshot::v1::environment_update::Change;
use ff_relay::proto::snapshot::v1::sync_snapshots_response::Message;
use prost::Message as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Shell;
use super::fake::{Fake, Script};
use crate::support::configuration::boolean;
use crate::support::wait_for;

fn revision(sequence: u64) -> Revision {
    let digest = vec![u8::try_from(sequence).unwrap(); 32];
    Revision { epoch: "0000000000000001".into(), sequence, digest }
}

fn item(value: &Value) -> proto::Item {
    proto::Item { kind: proto::ItemKind::Flag.into(), json: value.to_string().into_bytes() }
}

fn key(identifier: &str) -> proto::ItemKey {
    proto::ItemKey { kind: proto::ItemKind::Flag.into(), identifier: identifier.into() }
}

/// The frames of one update, in small chunks.
fn update(number: u64, change: Change, damage: bool) -> Vec<proto::SyncSnapshotsResponse> {
    let payload = proto::EnvironmentUpdate { change: Some(change) }.encode_to_vec();
    let environment_id = "e-1".to_owned();
    let header = proto::UpdateHeader { environment_id, update: number, size: payload.len() as u64 };
    let mut messages = vec![Message::Header(header)];
    messages.extend(payload.chunks(50).map(|data| Message::Chunk(proto::UpdateChunk { data: data.to_vec() })));
    let sha256 = if damage { vec![0; 32] } else { Sha256::digest(&payload).to_vec() };
    messages.push(Message::Trailer(proto::UpdateTrailer { sha256 }));
    messages.into_iter().map(wrap).collect()
}

fn wrap(message: Message) -> proto::SyncSnapshotsResponse {
    proto::SyncSnapshotsResponse { message: Some(message), ..Default::default() }
}

fn set(ids: &[&str]) -> proto::SyncSnapshotsResponse {
    let environment_ids = ids.iter().map(ToString::to_string).collect();
    wrap(Message::Environments(proto::EnvironmentSet { environment_ids, complete: true }))
}

fn script() -> Vec<proto::SyncSnapshotsResponse> {
    let hashes = |count: u8| Some(proto::KeyHashes { hashes: (0..count).map(|i| vec![i; 32]).collect() });
    let full = |sequence, flags: &[Value], keys| {
        Change::FullState(proto::FullState {
            revision: Some(revision(sequence)),
            items: flags.iter().map(item).collect(),
            key_hashes: hashes(keys),
            ..Default::default()
        })
    };
    let row = proto::LedgerRow { key: Some(key("b")), served: 77, sequence: 2, deleted: false };
    let delta = Change::Delta(proto::Delta {
        from: Some(revision(1)),
        to: Some(revision(2)),
        upserts: vec![item(&boolean("b", false, 2)), item(&boolean("c", true, 1))],
        removals: vec![key("a")],
        key_hashes: hashes(3),
        ledger: Some(proto::Ledger { rows: vec![row], ..Default::default() }),
        ..Default::default()
    });
    let gap = Change::Delta(proto::Delta { from: Some(revision(9)), to: Some(revision(10)), ..Default::default() });
    let stale = proto::Progress { stale_environment_ids: vec!["e-1".into()], ..Default::default() };
    [
        vec![set(&["e-1"])],
        update(1, full(1, &[boolean("a", true, 1), boolean("b", true, 1)], 1), false),
        update(2, delta, false),
        update(3, gap, false),
        update(4, full(5, &[boolean("b", true, 3)], 3), true),
        update(5, full(5, &[boolean("b", true, 3)], 3), false),
        vec![wrap(Message::Progress(stale)), set(&["e-1", "e-2"]), set(&["e-2"])],
    ]
    .concat()
}

#[test]
fn changes_are_lines_and_updates_are_answered() {
    let fake = Fake::start(Script { updates: script(), ..Script::default() });
    let shell = Shell::at(fake.address, "t");
    let ran = shell.run(&["watch", "--limit", "8", "--environment", "e-1"]);
    let lines: Vec<&str> = ran.good().lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(
        lines,
        [
            "env-e-1 state: 2 flags, 0 segments",
            "env-e-1 delete flag a",
            "env-e-1 patch flag b version 77: default serves true → false; version 1 → 2",
            "env-e-1 create flag c version 1",
            "env-e-1 keys: 2 SDK keys added, 0 removed",
            "env-e-1 delete flag c",
            "env-e-1 patch flag b version 3: default serves false → true; version 2 → 3",
            "env-e-1 stale: its source is lost to the relay",
            "env-e-2 added: environment added",
            "env-e-1 removed: environment removed",
        ]
    );
    let asked = fake.asked.lock().unwrap();
    let subscribed = asked.subscribed.clone().unwrap();
    assert!(subscribed.follower_id.starts_with("watch-") && subscribed.known.is_empty());
    assert_eq!(subscribed.environment_ids, ["e-1"]);
}

#[test]
fn updates_are_acknowledged_and_json_is_one_value_a_line() {
    let fake = Fake::start(Script { updates: script(), ..Script::default() });
    let shell = Shell::at(fake.address, "t");
    let mut command = shell.command(env!("CARGO_BIN_EXE_ff-relay"));
    let mut child = command.args(["watch", "--output", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let events: Vec<Value> = (0..10).map(|_| serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap()).collect();
    let patch = &events[2];
    assert_eq!((&patch["event"], &patch["version"], &patch["sequence"]), (&json!("patch"), &json!(77), &json!(2)));
    assert_eq!(patch["changes"][0]["after"], json!({"variation": "false"}));
    assert!(patch["at"].as_str().unwrap().ends_with('Z'));
    wait_for("the answers", || {
        let asked = fake.asked.lock().unwrap();
        (asked.acks == [1, 2, 5] && asked.nacks.len() == 2).then_some(())
    });
    let nacks = fake.asked.lock().unwrap().nacks.clone();
    assert!(nacks[0].contains("from a state that is not here") && nacks[1].contains("announced"), "{nacks:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}
