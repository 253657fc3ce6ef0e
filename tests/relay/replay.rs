//! A new stream is told what it may have missed.

use std::time::Duration;

use serde_json::json;

use crate::support::client::{bearer, post};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, boolean};
use crate::support::events::Events;
use crate::support::relay::TestRelay;

const QUIET: Duration = Duration::from_millis(2500);

struct Scene {
    configuration: Configuration,
    data: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Scene { configuration: Configuration::golden(), data: tempfile::tempdir().unwrap() }
    }

    fn relay(&self, durable: bool) -> TestRelay {
        let data = format!("--data-dir={}", self.data.path().display());
        let mut options = vec!["--config-reload=true", "--config-reload-interval=100ms", "--auth-secret=same"];
        if durable {
            options.push(&data);
        }
        TestRelay::offline(self.configuration.path(), &options)
    }

    /// Changes a flag and waits until a stream has heard of it.
    fn change(&self, relay: &TestRelay, flag: &str, version: i64) {
        let mut stream = Events::open(relay.sdk, KEY, &bearer(relay.sdk, KEY), &[]);
        self.configuration.edit_flag(flag, |flag| flag["version"] = json!(version));
        assert_eq!(stream.next_short(), format!("patch flag {flag}"));
    }
}

#[test]
fn a_change_in_the_gap_is_told_to_the_token_that_missed_it() {
    let scene = Scene::new();
    let relay = scene.relay(false);
    let before = bearer(relay.sdk, KEY);
    Events::open(relay.sdk, KEY, &before, &[]).assert_quiet(QUIET);
    scene.change(&relay, "text", 2);
    assert_eq!(Events::open(relay.sdk, KEY, &before, &[]).next_short(), "patch flag text");
    let after = bearer(relay.sdk, KEY);
    Events::open(relay.sdk, KEY, &after, &[]).assert_quiet(QUIET);
}

#[test]
fn deletions_are_replayed_and_only_the_newest_state() {
    let scene = Scene::new();
    let relay = scene.relay(false);
    let before = bearer(relay.sdk, KEY);
    scene.change(&relay, "text", 2);
    scene.change(&relay, "text", 3);
    let mut watch = Events::open(relay.sdk, KEY, &bearer(relay.sdk, KEY), &[]);
    let mut flags = scene.configuration.read(ENVIRONMENT, "feature_config.json");
    flags.as_array_mut().unwrap().retain(|flag| flag["feature"] != "number");
    scene.configuration.write(ENVIRONMENT, "feature_config.json", &flags);
    assert_eq!(watch.next_short(), "delete flag number");
    let mut stream = Events::open(relay.sdk, KEY, &before, &[]);
    let first = stream.next().unwrap();
    assert_eq!((first["identifier"].as_str(), first["version"].as_i64()), (Some("text"), Some(3)));
    assert_eq!(stream.next_short(), "delete flag number");
    stream.assert_quiet(QUIET);
}

#[test]
fn client_side_streams_are_told_to_load_everything_once() {
    let scene = Scene::new();
    let relay = scene.relay(false);
    let before = bearer(relay.sdk, KEY);
    let client = [("Harness-SDK-Info", "Javascript 1.0 Client")];
    scene.change(&relay, "text", 2);
    let mut stream = Events::open(relay.sdk, KEY, &before, &client);
    assert_eq!(stream.next_short(), "patch flag text", "one flag that nothing depends on");
    stream.assert_quiet(QUIET);
    scene.change(&relay, "bool-on", 4);
    let mut stream = Events::open(relay.sdk, KEY, &before, &client);
    let event = stream.next().unwrap();
    assert_eq!((&event["event"], &event["domain"]), (&json!("patch"), &json!("target-segment")));
    assert!(event["version"].is_i64());
    stream.assert_quiet(QUIET);
}

#[test]
fn a_change_over_a_restart_is_told_with_the_state_of_before() {
    let scene = Scene::new();
    let relay = scene.relay(true);
    let before = bearer(relay.sdk, KEY);
    drop(relay);
    scene.configuration.edit_flag("text", |flag| flag["version"] = json!(2));
    let relay = scene.relay(true);
    let mut stream = Events::open(relay.sdk, KEY, &before, &[]);
    assert_eq!(stream.next_short(), "patch flag text");
    stream.assert_quiet(QUIET);
}

#[test]
fn without_state_the_digest_tells_whether_anything_changed() {
    let scene = Scene::new();
    let relay = scene.relay(false);
    let before = bearer(relay.sdk, KEY);
    drop(relay);
    let relay = scene.relay(false);
    Events::open(relay.sdk, KEY, &before, &[]).assert_quiet(QUIET);
    scene.change(&relay, "text", 2);
    let mut stream = Events::open(relay.sdk, KEY, &before, &[]);
    assert_eq!(stream.next_short(), "patch flag text", "a digest never hides what the ledger knows");
    stream.assert_quiet(QUIET);
    drop(stream);
    drop(relay);
    let relay = scene.relay(false);
    let mut stream = Events::open(relay.sdk, KEY, &before, &[]);
    let told = stream.take_sorted(14);
    assert_eq!(told.iter().filter(|event| event.contains(" flag ")).count(), 11, "{told:?}");
}

#[test]
fn a_replay_is_paced_and_a_live_change_does_not_wait_for_it() {
    let flags = |version: i64| (0..400).map(|i| boolean(&format!("f{i:03}"), true, version)).collect::<Vec<_>>();
    let scene = Scene { configuration: Configuration::with_flags(&flags(1)), data: tempfile::tempdir().unwrap() };
    let relay = scene.relay(false);
    let before = bearer(relay.sdk, KEY);
    let mut watch = Events::open(relay.sdk, KEY, &bearer(relay.sdk, KEY), &[]);
    scene.configuration.write(ENVIRONMENT, "feature_config.json", &json!(flags(2)));
    watch.take_sorted(400);
    let started = std::time::Instant::now();
    let mut stream = Events::open(relay.sdk, KEY, &before, &[]);
    let mut all = flags(2);
    all[399]["version"] = json!(3);
    scene.configuration.write(ENVIRONMENT, "feature_config.json", &json!(all));
    let mut before_live = 0;
    while stream.next().unwrap()["version"] != 3 {
        before_live += 1;
    }
    assert!(before_live < 300, "{before_live}");
    assert!(f64::from(before_live) <= 20.0 * started.elapsed().as_secs_f64() + 2.0, "at most 20 a second");
}

#[test]
fn a_token_without_revision_goes_by_its_time() {
    let scene = Scene::new();
    let relay = scene.relay(false);
    let claims = format!(
        r#"{{"environment":"{ENVIRONMENT}","iat":{},"apiKey":"auth-key-{}"}}"#,
        4_000_000_000_u64,
        crate::support::configuration::key_hash(KEY)
    );
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let future = format!("Bearer {}", crate::authentication::sign("same", header, &claims));
    Events::open(relay.sdk, KEY, &future, &[]).assert_quiet(QUIET);
    let old = claims.replace("4000000000", "1000000000");
    let old = format!("Bearer {}", crate::authentication::sign("same", header, &old));
    let told = Events::open(relay.sdk, KEY, &old, &[]).take_sorted(14);
    assert_eq!(told.len(), 14, "a ledger that was lost at start counts everything as changed then");
    post(relay.sdk, "/client/auth", &[], &json!({"apiKey": KEY}).to_string()).ok();
}
