//! `import`: what is sent, and what is told of the answer.

use ff_relay::proto::admin::v1 as proto;
use ff_relay::proto::snapshot::v1 as snapshot;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Shell;
use super::fake::{Fake, Script};
use crate::support::configuration::{Configuration, golden, key_hash};

fn answer() -> proto::ImportSnapshotResponse {
    let item = |identifier: &str, outcome: proto::ItemOutcome| proto::ItemChange {
        key: Some(snapshot::ItemKey { kind: snapshot::ItemKind::Flag.into(), identifier: identifier.into() }),
        outcome: outcome.into(),
    };
    let changed = proto::EnvironmentChange {
        environment_id: "e-1".into(),
        outcome: proto::EnvironmentOutcome::Changed.into(),
        items: vec![
            item("new", proto::ItemOutcome::Added),
            item("old", proto::ItemOutcome::Removed),
            item("text", proto::ItemOutcome::Changed),
        ],
        added: 1,
        changed: 2,
        removed: 1,
        key_hashes_added: 1,
        source_paused: true,
        ..Default::default()
    };
    let outcome = proto::EnvironmentOutcome::Unchanged.into();
    let same = proto::EnvironmentChange { environment_id: "e-2".into(), outcome, ..Default::default() };
    proto::ImportSnapshotResponse {
        request_id: "mine".into(),
        sha256: vec![0xcd; 32],
        environments: vec![changed, same],
        warnings: vec!["flag 'x': weights".into()],
        warning_count: 3,
        ..Default::default()
    }
}

#[test]
fn an_archive_is_sent_as_it_is_and_the_answer_told() {
    let fake = Fake::start(Script { import: Some(answer()), ..Script::default() });
    let shell = Shell::at(fake.address, "t");
    let large = Configuration::large();
    shell.run(&["pack", large.path().to_str().unwrap(), "a.tar.zst"]).good();
    let digest = key_hash("x");
    let words = ["--dry-run", "--replace-all", "--override-upstream", "--request-id", "mine"];
    let said = shell.run(&[&["import", "a.tar.zst", "--expected-digest", &digest], &words[..]].concat());
    let expected = format!(
        "\
env-e-1: changed: 1 added, 2 changed, 1 removed; keys: 1 added, 0 removed; its own source is paused
  + flag new
  - flag old
  ~ flag text
  and 1 more
env-e-2: unchanged: 0 added, 0 changed, 0 removed
warning: flag 'x': weights
and 2 more warnings
imported (request mine, SHA-256 {})
",
        "cd".repeat(32)
    );
    assert_eq!(said.good(), expected);
    let asked = fake.asked.lock().unwrap();
    let bytes = std::fs::read(shell.path("a.tar.zst")).unwrap();
    assert!(asked.imported == bytes && bytes.len() > 300_000);
    let header = asked.import.clone().unwrap();
    let (options, sent) = (header.options.unwrap(), header.snapshot.unwrap());
    assert!(options.validate_only && options.override_upstream);
    assert_eq!((options.mode(), options.request_id.as_str()), (proto::ImportMode::ReplaceAll, "mine"));
    assert_eq!(options.expected_digest.unwrap(), Sha256::digest("x").to_vec());
    assert_eq!((sent.total_size, sent.compression()), (bytes.len() as u64, snapshot::Compression::Zstd));
}

#[test]
fn a_directory_is_packed_first() {
    let fake = Fake::start(Script { import: Some(answer()), ..Script::default() });
    let shell = Shell::at(fake.address, "t");
    let value = shell.run(&["import", golden().to_str().unwrap(), "--output", "json"]).json();
    assert_eq!(value["environments"][0]["items"][0], json!({"kind": "FLAG", "identifier": "new", "outcome": "ADDED"}));
    assert_eq!((&value["environments"][0]["keyHashesAdded"], &value["warningCount"]), (&json!(1), &json!(3)));
    shell.run(&["pack", golden().to_str().unwrap(), "a.tar.gz"]).good();
    let asked = fake.asked.lock().unwrap();
    assert!(asked.imported == std::fs::read(shell.path("a.tar.gz")).unwrap());
    let options = asked.import.clone().unwrap().options.unwrap();
    assert_eq!(options.mode(), proto::ImportMode::ReplaceEnvironments);
    assert!(options.request_id.starts_with("cli-") && !options.validate_only);
}

#[test]
fn what_cannot_be_sent_is_said_before() {
    let fake = Fake::start(Script::default());
    let shell = Shell::at(fake.address, "t");
    std::fs::create_dir(shell.path("empty")).unwrap();
    let empty = shell.run(&["import", "empty"]);
    assert!(empty.code == 1 && empty.err.contains("holds no environment"), "{empty:?}");
    assert_eq!(shell.run(&["import", "nowhere.tar.gz"]).code, 1);
    assert_eq!(shell.run(&["import", "x.tar.gz", "--expected-digest", "beef"]).code, 64);
    assert!(fake.asked.lock().unwrap().import.is_none());
}
