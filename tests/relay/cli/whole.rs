//! The commands against a whole relay, as an operator would use them.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Ran, Shell, TOKENS};
use crate::support::client::post;
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER, golden};
use crate::support::relay::TestRelay;
use crate::support::wait_for;

const ADMIN: [&str; 2] = ["--token-file", "admin-token"];

fn admin(shell: &Shell, words: &[&str]) -> Ran {
    shell.run(&[words, &ADMIN[..]].concat())
}

#[test]
fn what_is_served_is_shown_and_explained() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let shell = Shell::of(&relay);
    let target = json!({"apiKey": KEY, "target": {"identifier": "zoe", "attributes": {"email": "zoe@example.com"}}});
    post(relay.sdk, "/client/auth", &[], &target.to_string()).ok();
    let of = ["--environment", ENVIRONMENT];
    let run = |words: &[&str]| shell.run(&[words, &of[..]].concat());
    assert_eq!(run(&["inspect", "flags"]).good().lines().count(), 12);
    assert_eq!(run(&["inspect", "flags", "--limit", "5", "--output", "json"]).json().as_array().unwrap().len(), 5);
    let flag = run(&["inspect", "flag", "bool-rule", "--output", "json"]).json();
    assert_eq!((&flag["json"]["feature"], &flag["servedVersion"]), (&json!("bool-rule"), &json!(5)));
    let missing = run(&["inspect", "flag", "nothing"]);
    assert!(missing.code == 1 && missing.err.contains("(FLAG_NOT_FOUND)"), "{missing:?}");
    assert!(run(&["inspect", "segments"]).good().contains("\nbeta "));
    assert_eq!(run(&["inspect", "segment", "beta", "--output", "json"]).json()["included"], 1);
    assert!(run(&["inspect", "targets"]).good().contains("\nzoe     learnt "));
    assert_eq!(run(&["inspect", "streams"]).good(), "no streams\n");
    let expected = r#"flag     bool-rule (boolean, on, served version 5)
target   {"identifier":"zoe","name":"zoe","attributes":{"email":"zoe@example.com"}} (brought by an SDK)
serves   true (value "true")
because  rule r1 holds

rules
  ✓ r1 (priority 1): holds
      ✓ email ends_with "@example.com": it is "zoe@example.com"
"#;
    assert_eq!(run(&["explain", "--flag", "bool-rule", "--target", "zoe"]).good(), expected);
    let given = r#"{"identifier":"x","attributes":{"email":"x@y"}}"#;
    let value = run(&["explain", "--flag", "bool-rule", "--target-json", given, "--output", "json"]).json();
    assert_eq!((&value["variation"], &value["reason"]), (&json!("false"), &json!("DEFAULT_VARIATION")));
}

#[test]
fn an_import_is_compared_tried_done_watched_and_ended() {
    let (configuration, changed) = (Configuration::golden(), Configuration::golden());
    changed.edit_flag("text", |flag| flag["state"] = json!("off"));
    let changed = changed.path().to_str().unwrap();
    let reload = ["--config-reload=true", "--config-reload-interval=100ms"];
    let relay = TestRelay::offline(configuration.path(), &[&TOKENS[..], &reload].concat());
    let shell = Shell::of(&relay);
    let mut watching = shell.command(env!("CARGO_BIN_EXE_ff-relay"));
    let mut watching =
        watching.args(["watch", "--output", "json", "--limit", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut event = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!((event()["event"].clone(), event()["event"].clone()), (json!("state"), json!("state")));

    assert!(shell.run(&["diff", &shell.address, changed]).out.contains("~ flag text\n      turned off\n"));
    let refused = admin(&shell, &["import", changed]);
    assert!(refused.code == 1 && refused.err.contains("(UPSTREAM_OWNS_STATE)"), "{refused:?}");
    assert_eq!(shell.run(&["import", changed]).code, 3);
    let digest = shell.run(&["status", "--output", "json"]).json()["contentDigest"].as_str().unwrap().to_owned();
    let tried = admin(&shell, &["import", changed, "--dry-run", "--override-upstream"]);
    assert!(tried.good().contains(&format!("env-{ENVIRONMENT}: changed: 0 added, 1 changed, 0 removed")), "{tried:?}");
    let words = ["import", changed, "--override-upstream", "--request-id", "mine", "--expected-digest"];
    let stale = admin(&shell, &[&words[..], &["ab".repeat(32).as_str()]].concat());
    assert!(stale.code == 1 && stale.err.contains("(DIGEST_MISMATCH)"), "{stale:?}");
    let done = admin(&shell, &[&words[..], &[digest.as_str()]].concat());
    assert!(done.good().contains("  ~ flag text\n") && done.out.contains("imported (request mine, "), "{done:?}");
    let again = admin(&shell, &[&words[..], &[digest.as_str(), "--output", "json"]].concat());
    assert_eq!(again.json()["repeated"], true);

    let seen = event();
    assert_eq!((&seen["event"], &seen["identifier"]), (&json!("patch"), &json!("text")));
    assert_eq!(seen["changes"][0]["text"], "turned off");
    assert!(watching.wait().unwrap().success());
    assert_eq!(shell.run(&["diff", &shell.address, changed]).good(), "no difference\n");
    assert!(shell.run(&["status"]).good().contains("source paused by an import: 2 environments"));
    for environment in [ENVIRONMENT, OTHER] {
        assert!(admin(&shell, &["resync", environment]).good().contains("its own source feeds it again"));
    }
    let configured = configuration.path().to_str().unwrap();
    wait_for("the directory's content", || (shell.run(&["diff", &shell.address, configured]).code == 0).then_some(()));
    assert_eq!(admin(&shell, &["set-log-level", "warn"]).code, 0);
    assert!(admin(&shell, &["drain"]).good().ends_with(" is ending\n"));
    wait_for("the end", || (shell.run(&["status"]).code == 2).then_some(()));
}
