//! `status` and `inspect`, against a relay and against a fake one.

use ff_relay::proto::inspect::v1 as proto;
use serde_json::json;

use super::fake::{ENVIRONMENT as FAKE, Fake, Script};
use super::{Shell, TOKENS};
use crate::support::configuration::{ENVIRONMENT, OTHER, golden};
use crate::support::relay::TestRelay;

fn flag(identifier: &str, on: bool, version: Option<i64>) -> proto::Flag {
    proto::Flag {
        identifier: identifier.into(),
        kind: "boolean".into(),
        on,
        version,
        served_version: 12,
        changed_at: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5 }),
        changed_in_sequence: 3,
        digest: vec![0xab; 32],
    }
}

#[test]
fn a_relay_says_how_it_is() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let shell = Shell::of(&relay);
    let status = shell.run(&["status"]);
    let said = status.good();
    assert!(said.starts_with(&format!("http://{}: ready\n", shell.address)), "{said}");
    let rows: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("ENVIRONMENT")).collect();
    let columns = |row: &str| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(columns(rows[1])[..9], [ENVIRONMENT, "golden", "SYNCED", "FILE", "11", "3", "3", "2", "0"]);
    let value = shell.run(&["status", "--output", "json"]).json();
    assert_eq!((value["ready"].clone(), value["environmentCount"].clone()), (json!(true), json!(2)));
    let all = shell.run(&["inspect", "environments", "--output=json"]).json();
    let ids: Vec<&str> = all.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [ENVIRONMENT, OTHER]);
    assert_eq!(all[0]["counts"]["keyHashes"], 2);
    let one = shell.run(&["inspect", "environment", OTHER, "--output", "json"]).json();
    assert_eq!(one["revision"]["sequence"], 1);
    assert_eq!(shell.run(&["inspect", "environments", "--limit", "1"]).good().lines().count(), 2);
    // Two environments, and none is named.
    let which = shell.run(&["inspect", "environment"]);
    assert!(which.code == 64 && which.err.contains("--environment"), "{which:?}");
    let missing = shell.run(&["inspect", "environment", "nowhere"]);
    assert!(missing.code == 1 && missing.err.contains("(ENVIRONMENT_NOT_FOUND); `ff-relay inspect"), "{missing:?}");
}

#[test]
fn exit_codes_tell_who_must_do_something() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let mut shell = Shell::of(&relay);
    let role = shell.run(&["drain"]);
    assert!(role.code == 3 && role.err.contains("(ROLE_FORBIDDEN)"), "{role:?}");
    std::fs::write(shell.path("token"), "wrong-token\n").unwrap();
    let wrong = shell.run(&["status"]);
    assert!(wrong.code == 3 && wrong.err.contains("--token-file"), "{wrong:?}");
    assert!(!format!("{wrong:?}").contains("wrong-token"));
    std::fs::write(shell.path("token"), "\n").unwrap();
    assert_eq!(shell.run(&["status"]).code, 64);
    assert_eq!(shell.run(&["status", "--token-file", "nowhere"]).code, 64);
    assert_eq!(shell.run(&["status", "--token", "x"]).code, 64);
    assert_eq!(shell.run(&["inspect", "sauce"]).code, 64);
    std::fs::write(shell.path("token"), "sync-token\n").unwrap();
    let sdk = shell.run(&["status", "--address", &relay.sdk.to_string()]);
    assert!(sdk.code == 2 && sdk.err.contains("gRPC port"), "{sdk:?}");
    assert_eq!(shell.run(&["status", "--address", "::"]).code, 64);
    assert_eq!(shell.run(&["status", "--address", "http://a", "--tls-ca", "token"]).code, 64);
    shell.address = "127.0.0.1:1".into();
    let nobody = shell.run(&["status"]);
    assert!(nobody.code == 2 && nobody.err.contains("cannot be reached"), "{nobody:?}");
    // Who asks for help needs no relay.
    assert!(shell.run(&["help", "status"]).good().contains("Exit codes: 0 ready; 1 not ready"));
    assert!(shell.run(&["help"]).good().contains("ff-relay import [--dry-run] FILE"));
    assert_eq!(shell.run(&["help", "nothing"]).code, 64);
}

#[test]
fn what_a_relay_says_cannot_command_a_terminal() {
    let fake = Fake::start(Script::default());
    let status = Shell::at(fake.address, "t").run(&["status"]);
    assert_eq!(status.code, 1, "not ready");
    assert!(status.out.contains("not ready\n  no environment is known yet\n"), "{status:?}");
    assert!(status.out.contains("source error: bad\\u{1b}[2J"), "{status:?}");
    assert!(status.out.contains("source paused by an import: 1 environment;"), "{status:?}");
    assert!(!status.out.contains('\u{1b}'), "no colours but on a terminal");
    assert_eq!(fake.asked.lock().unwrap().authorizations, ["Bearer t"]);
}

#[test]
fn pages_are_followed_and_tables_align() {
    let flags = vec![
        flag("a", true, Some(2)),
        flag("dark-mode", false, None),
        flag("x", true, Some(123)),
        flag("y", true, Some(1)),
        flag("z", true, Some(1)),
    ];
    let fake = Fake::start(Script { flags, ..Script::default() });
    let shell = Shell::at(fake.address, "t");
    let said = shell.run(&["inspect", "flags", "--limit", "3"]);
    let expected = "\
FLAG       KIND     STATE  VERSION  SERVED  CHANGED
a          boolean  on           2      12  2023-11-14T22:13:20Z
dark-mode  boolean  off          -      12  2023-11-14T22:13:20Z
x          boolean  on         123      12  2023-11-14T22:13:20Z
";
    assert_eq!(said.good(), expected);
    let all = shell.run(&["inspect", "flags", "--environment", FAKE, "--output", "json"]).json();
    assert_eq!(all.as_array().unwrap().len(), 5);
    assert_eq!(
        all[1],
        json!({"identifier": "dark-mode", "kind": "boolean", "on": false, "version": null, "servedVersion": 12,
            "changedAt": "2023-11-14T22:13:20.000000005Z", "changedInSequence": 3, "digest": "ab".repeat(32)})
    );
    let one = shell.run(&["inspect", "flag", "dark-mode"]);
    assert!(one.good().contains("on                       false\n"), "{one:?}");
    assert!(one.out.ends_with("{\n  \"feature\": \"dark-mode\",\n  \"rules\": []\n}\n"), "{one:?}");
    let one = shell.run(&["inspect", "flag", "dark-mode", "--output", "json"]).json();
    assert_eq!(one["servedJson"]["feature"], "dark-mode");
    assert_eq!(shell.run(&["inspect", "segments"]).good(), "no segments\n");
    assert_eq!(shell.run(&["inspect", "streams", "--output", "json"]).json(), json!([]));
}

#[test]
fn targets_and_peers_are_shown() {
    let target = |identifier: &str, origin: proto::TargetOrigin| proto::Target {
        identifier: identifier.into(),
        origin: origin.into(),
        json: br#"{"identifier":"x","attributes":{"tier":"gold"}}"#.to_vec(),
    };
    let peer = proto::Peer {
        id: "1".into(),
        role: proto::PeerRole::Leader.into(),
        name: "leader:7001".into(),
        nacks: 2,
        last_nack_reason: Some("digest".into()),
        ..Default::default()
    };
    let targets = vec![target("jo", proto::TargetOrigin::Configured), target("zoe", proto::TargetOrigin::Learnt)];
    let fake = Fake::start(Script { targets, peers: vec![peer], ..Script::default() });
    let shell = Shell::at(fake.address, "t");
    let said = shell.run(&["inspect", "targets"]);
    assert!(said.good().ends_with("zoe     learnt      {\"tier\":\"gold\"}\n"), "{said:?}");
    assert_eq!(shell.run(&["inspect", "targets", "--output", "json"]).json()[0]["json"]["attributes"]["tier"], "gold");
    let said = shell.run(&["inspect", "peers"]);
    let row: Vec<&str> = said.good().lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["leader:7001", "leader", "0", "0", "2", "digest"]);
    assert_eq!(shell.run(&["inspect", "peers", "--output", "json"]).json()[0]["role"], "LEADER");
}

#[test]
fn a_reader_that_stops_is_no_error() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let shell = Shell::of(&relay);
    let program = env!("CARGO_BIN_EXE_ff-relay");
    let line = format!("{program} help | head -1; exec 2>&1; {program} inspect environments --output json | head -c 1");
    let output = shell.command("sh").args(["-c", &line]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.stderr.is_empty() && said.ends_with('['), "{output:?}");
    if shell.command("jq").arg("--version").output().is_ok() {
        let line = format!("{program} inspect environments --output json | jq -r '.[].counts.flags'");
        let output = shell.command("sh").args(["-c", &line]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "11\n1\n");
    }
}
