//! `generate-offline-config`: everything is fetched, written whole, or nothing is touched.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::fake_harness::world::key_hash;
use crate::fake_harness::{FakeHarness, Fault, Route};
use crate::setup::{PROXY_KEY, Sdk, proxied, two_environments};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY};
use crate::support::relay::TestRelay;

fn generate(options: &[String], path: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ff-relay"));
    command.args(options).arg("--generate-offline-config").arg(format!("--config-dir={}", path.display()));
    command.args(["--request-timeout=1s", "--listen-address=127.0.0.1", "--grpc-address=off", "--port=0"]);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn good(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

/// Every file below a directory with its content, by path.
fn tree(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut left = vec![path.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path)
            } else {
                all.push((path.display().to_string(), std::fs::read(&path).unwrap()))
            }
        }
    }
    all.sort();
    all
}

fn read(path: &Path, environment: &str, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path.join(format!("env-{environment}/{file}"))).unwrap()).unwrap()
}

fn modes() -> [(&'static str, FakeHarness, Vec<String>); 2] {
    let (keyed, proxied) = (two_environments(), proxied());
    let (key_options, proxy_options) = (keyed.api_key_options(&[KEY, OTHER_KEY]), proxied.proxy_key_options(PROXY_KEY));
    [("api keys", keyed, key_options), ("proxy key", proxied, proxy_options)]
}

#[test]
fn writes_what_a_relay_then_serves_offline() {
    for (mode, fake, options) in modes() {
        fake.set_page_limit(1);
        fake.add_key(ENVIRONMENT, "client", "Client");
        fake.set_targets(ENVIRONMENT, vec![json!({"identifier": "pat"}), json!({"identifier": "kim"})]);
        let place = tempfile::tempdir().unwrap();
        good(&generate(&options, place.path()));
        assert_eq!(
            read(place.path(), ENVIRONMENT, "auth_config.json"),
            json!([key_hash(KEY), key_hash("client")]),
            "{mode}"
        );
        let targets = read(place.path(), ENVIRONMENT, "targets.json");
        let expected = if mode == "api keys" { 2 } else { 0 };
        assert_eq!(targets.as_array().unwrap().len(), expected, "{mode}");
        for (file, content) in tree(place.path()) {
            let text = String::from_utf8_lossy(&content);
            for secret in [KEY, OTHER_KEY, PROXY_KEY] {
                assert!(!text.contains(secret), "{mode}: {file} holds a key");
            }
        }
        drop(fake);
        let relay = TestRelay::offline(place.path(), &[]);
        assert_eq!(Sdk::connect(relay.sdk, "client", ENVIRONMENT).version("a"), 1);
        let other = Sdk::connect(relay.sdk, OTHER_KEY, OTHER);
        assert_eq!((other.version("b"), other.segments().len()), (1, 0));
    }
}

#[test]
fn removes_what_upstream_no_longer_has_and_leaves_the_rest() {
    for (mode, fake, options) in modes() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(place.path().join("env-33333333-3333-4333-8333-333333333333")).unwrap();
        std::fs::write(place.path().join("notes.txt"), "mine").unwrap();
        good(&generate(&options, place.path()));
        fake.patch_flag(ENVIRONMENT, "a", |_| ());
        good(&generate(&options, place.path()));
        assert_eq!(read(place.path(), ENVIRONMENT, "feature_config.json")[0]["version"], 2, "{mode}");
        let mut names: Vec<String> = std::fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        assert_eq!(names, [format!("env-{ENVIRONMENT}"), format!("env-{OTHER}"), "notes.txt".to_owned()], "{mode}");
    }
}

#[test]
fn archives_are_written_by_the_same_command() {
    for (mode, _fake, options) in modes() {
        for name in ["flags.tar.gz", "flags.tar.zst"] {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join(name);
            good(&generate(&options, &path));
            let first = std::fs::read(&path).unwrap();
            good(&generate(&options, &path));
            assert!(first == std::fs::read(&path).unwrap(), "{mode}: the same content is the same {name}");
            let relay = TestRelay::offline(&path, &[]);
            assert_eq!(Sdk::connect(relay.sdk, KEY, ENVIRONMENT).version("a"), 1);
        }
    }
}

/// One environment fails: named, and the good directory stays as it was, to the byte.
fn fails_without_touching(route: Route, fault: Fault) {
    let fake = two_environments();
    let options = fake.api_key_options(&[KEY, OTHER_KEY]);
    let place = tempfile::tempdir().unwrap();
    good(&generate(&options, place.path()));
    let before = tree(place.path());
    fake.patch_flag(ENVIRONMENT, "a", |_| ());
    fake.fail(route).within(OTHER).with(fault);
    let output = generate(&options, place.path());
    let said = said(&output);
    assert!(!output.status.success(), "{route:?}: {said}");
    if route != Route::Auth {
        assert!(said.contains(OTHER), "{route:?}: the environment is named: {said}");
    }
    assert!(!said.contains(OTHER_KEY), "{route:?}: {said}");
    assert!(before == tree(place.path()), "{route:?}: the directory was touched");
    fake.clear_faults();
}

pub fn a_refused_key_fails() {
    fails_without_touching(Route::Auth, Fault::status(401));
}

pub fn a_failing_flag_list_fails() {
    fails_without_touching(Route::Flags, Fault::status(500));
}

pub fn a_hanging_segment_list_fails() {
    fails_without_touching(Route::Segments, Fault::Hang);
}

pub fn an_unreadable_key_list_fails() {
    fails_without_touching(Route::ApiKeys, Fault::html());
}

pub fn unreadable_targets_fail() {
    fails_without_touching(Route::Targets, Fault::status(403));
}

pub fn a_failing_proxy_configuration_fails() {
    let fake = proxied();
    let options = fake.proxy_key_options(PROXY_KEY);
    let place = tempfile::tempdir().unwrap();
    good(&generate(&options, place.path()));
    let before = tree(place.path());
    fake.patch_flag(ENVIRONMENT, "a", |_| ());
    fake.fail(Route::ProxyConfig).with(Fault::Truncated);
    let output = generate(&options, place.path());
    assert!(!output.status.success());
    assert!(!said(&output).contains(PROXY_KEY), "{}", said(&output));
    assert!(before == tree(place.path()));
}

pub fn upstream_away_fails() {
    let fake = two_environments();
    fake.stop();
    let place = tempfile::tempdir().unwrap();
    let output = generate(&fake.api_key_options(&[KEY]), place.path());
    assert!(!output.status.success());
    assert!(tree(place.path()).is_empty(), "nothing is written");
}
