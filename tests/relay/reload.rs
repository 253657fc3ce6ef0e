//! Hot reload: good versions are taken, bad ones never go live, streams get
//! exactly what changed.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{bearer, get};
use crate::support::configuration::{
    Configuration, ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean, copy, golden, key_hash,
};
use crate::support::events::Events;
use crate::support::relay::TestRelay;
use crate::support::wait_for;

const RELOAD: [&str; 2] = ["--config-reload=true", "--config-reload-interval=100ms"];

struct Watched {
    relay: TestRelay,
    stream: Events,
    authorization: String,
}

impl Watched {
    fn of(path: &Path) -> Self {
        let relay = TestRelay::offline(path, &RELOAD);
        let authorization = bearer(relay.sdk, KEY);
        let stream = Events::open(relay.sdk, KEY, &authorization, &[]);
        Watched { relay, stream, authorization }
    }

    fn flag(&self, name: &str) -> Value {
        let path = format!("/client/env/{ENVIRONMENT}/feature-configs/{name}");
        get(self.relay.sdk, &path, &[("Authorization", &self.authorization)]).json()
    }

    fn error(&self) -> Option<String> {
        get(self.relay.sdk, "/health", &[]).ok()["error"].as_str().map(str::to_owned)
    }

    fn wait_for_error(&self, containing: &str) -> String {
        wait_for(containing, || self.error().filter(|error| error.contains(containing)))
    }
}

#[test]
fn every_kind_of_change_gives_its_event_and_nothing_else_does() {
    let configuration = Configuration::golden();
    let mut watched = Watched::of(configuration.path());
    let mut flags = configuration.read(ENVIRONMENT, "feature_config.json");
    let all = flags.as_array_mut().unwrap();
    all.retain(|flag| flag["feature"] != "number");
    all.push(boolean("fresh", true, 1));
    all.iter_mut().find(|flag| flag["feature"] == "text").unwrap()["version"] = json!(9);
    // Reordering says nothing.
    all.reverse();
    configuration.write(ENVIRONMENT, "feature_config.json", &flags);
    let expected = ["create flag fresh", "delete flag number", "patch flag text"];
    assert_eq!(watched.stream.take_sorted(3), expected);
    assert_eq!(watched.flag("fresh")["version"], 1);
    assert_eq!(watched.flag("number")["code"], "404");
    // Segments may come in the same reload or the next.
    configuration.edit_segment("empty", |segment| segment["version"] = json!(2));
    let event = watched.stream.next().unwrap();
    assert_eq!(
        event,
        json!({"event": "patch", "domain": "target-segment", "identifier": "empty", "version": 2, "environment": ENVIRONMENT})
    );
    // Blanks and member order are no change.
    let text = std::fs::read_to_string(configuration.file(ENVIRONMENT, "segments.json")).unwrap();
    configuration.write_text(ENVIRONMENT, "segments.json", &format!("\n\n{text}\n"));
    watched.stream.assert_quiet(Duration::from_secs(3));
}

#[test]
fn edit_in_place_and_rename_over_are_both_seen() {
    let configuration = Configuration::golden();
    let mut watched = Watched::of(configuration.path());
    let path = configuration.file(ENVIRONMENT, "feature_config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"version\": 3", "\"version\": 4")).unwrap();
    assert_eq!(watched.stream.next_short(), "patch flag bool-on");
    configuration.edit_flag("bool-on", |flag| flag["version"] = json!(5));
    assert_eq!(watched.stream.next().unwrap()["version"], 5);
}

#[test]
fn symlink_swaps_as_kubernetes_makes_them() {
    let place = tempfile::tempdir().unwrap();
    let mount = place.path().join("mount");
    let environment = mount.join(format!("env-{ENVIRONMENT}"));
    std::fs::create_dir_all(&environment).unwrap();
    let version = |name: &str, number: i64| {
        let directory = environment.join(name);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("feature_config.json"), json!([boolean("k", true, number)]).to_string()).unwrap();
        std::fs::write(directory.join("auth_config.json"), json!([key_hash(KEY)]).to_string()).unwrap();
    };
    version("..2026_1", 1);
    version("..2026_2", 2);
    std::os::unix::fs::symlink("..2026_1", environment.join("..data")).unwrap();
    for file in ["feature_config.json", "auth_config.json"] {
        std::os::unix::fs::symlink(format!("..data/{file}"), environment.join(file)).unwrap();
    }
    let mut watched = Watched::of(&mount);
    std::os::unix::fs::symlink("..2026_2", environment.join("..data_tmp")).unwrap();
    std::fs::rename(environment.join("..data_tmp"), environment.join("..data")).unwrap();
    std::fs::remove_dir_all(environment.join("..2026_1")).unwrap();
    assert_eq!(watched.stream.next().unwrap()["version"], 2);
}

#[test]
fn bad_versions_never_go_live_and_the_next_good_one_is_taken() {
    let configuration = Configuration::golden();
    let mut watched = Watched::of(configuration.path());
    let good = std::fs::read_to_string(configuration.file(ENVIRONMENT, "feature_config.json")).unwrap();
    for (bad, says) in [
        (good[..good.len() / 2].to_owned(), "line "),
        (String::new(), "empty"),
        ("{}".to_owned(), "list"),
        (good.replace("\"rules\": []", "\"rules\": \"x\""), "wrong shape"),
        (good.replace("bool-off", "bool-on"), "stands twice"),
    ] {
        configuration.write_text(ENVIRONMENT, "feature_config.json", &bad);
        let error = watched.wait_for_error(says);
        assert!(error.contains("feature_config.json"), "{error}");
        assert_eq!(watched.flag("bool-off")["version"], 1, "{says}");
        assert_eq!(get(watched.relay.sdk, "/readyz", &[]).status, 200);
    }
    configuration.write_text(ENVIRONMENT, "feature_config.json", &good.replace("\"version\": 7", "\"version\": 8"));
    assert_eq!(watched.stream.next_short(), "patch flag bool-targeted");
    wait_for("no error", || watched.error().is_none().then_some(()));
}

#[test]
fn what_is_missing_is_not_deleted_in_haste() {
    let configuration = Configuration::golden();
    let watched = Watched::of(configuration.path());
    let other = bearer(watched.relay.sdk, OTHER_KEY);
    let path = configuration.file(ENVIRONMENT, "segments.json");
    let segments = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    watched.wait_for_error("segments.json: the file was there and is gone");
    configuration.write_text(ENVIRONMENT, "segments.json", &segments);
    wait_for("no error", || watched.error().is_none().then_some(()));
    // An environment goes after ten seconds, and its streams with it.
    let mut stream = Events::open(watched.relay.sdk, OTHER_KEY, &other, &[]);
    std::fs::remove_dir_all(configuration.path().join(format!("env-{OTHER}"))).unwrap();
    let vanished = std::time::Instant::now();
    assert_eq!(stream.next(), None);
    assert!(vanished.elapsed() >= Duration::from_secs(9), "{:?}", vanished.elapsed());
    let ask = || get(watched.relay.sdk, &format!("/client/env/{OTHER}/feature-configs"), &[("Authorization", &other)]);
    assert_eq!(ask().status, 401);
    // None left at all is an error.
    std::fs::remove_dir_all(configuration.path().join(format!("env-{ENVIRONMENT}"))).unwrap();
    watched.wait_for_error("no environment");
    assert_eq!(watched.flag("bool-on")["version"], 3);
}

#[test]
fn archives_are_swapped_by_one_move() {
    let place = tempfile::tempdir().unwrap();
    let (archive, next) = (place.path().join("flags.tar.gz"), place.path().join("next.tar.gz"));
    let pack = |configuration: &Path, archive: &Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ff-relay"));
        assert!(command.arg("pack").arg(configuration).arg(archive).output().unwrap().status.success());
    };
    pack(&golden(), &archive);
    let option = format!("--file-data-source={}", archive.display());
    let relay = TestRelay::start(&[&option, "--file-data-source-monitoring-interval=100ms"]).unwrap();
    let authorization = bearer(relay.sdk, KEY);
    let other = bearer(relay.sdk, OTHER_KEY);
    let mut stream = Events::open(relay.sdk, KEY, &authorization, &[]);
    let mut other_stream = Events::open(relay.sdk, OTHER_KEY, &other, &[]);
    let configuration = Configuration::golden();
    configuration.edit_flag("doc", |flag| flag["version"] = json!(7));
    std::fs::remove_dir_all(configuration.path().join(format!("env-{OTHER}"))).unwrap();
    pack(configuration.path(), &next);
    // Half a copy first, then the whole of it.
    let bytes = std::fs::read(&next).unwrap();
    std::fs::write(&archive, &bytes[..bytes.len() / 2]).unwrap();
    wait_for("an error", || get(relay.sdk, "/health", &[]).ok()["error"].as_str().map(str::to_owned));
    std::fs::rename(&next, &archive).unwrap();
    assert_eq!(stream.next_short(), "patch flag doc");
    assert_eq!(other_stream.next(), None, "a complete archive without it removes it at once");
    std::fs::remove_file(&archive).unwrap();
    let gone = || {
        get(relay.sdk, "/health", &[]).ok()["error"].as_str().filter(|e| e.contains("no archive")).map(str::to_owned)
    };
    wait_for("an error", gone);
    bearer(relay.sdk, KEY);
}

#[test]
fn without_reload_nothing_is_taken() {
    let configuration = Configuration::golden();
    let relay = TestRelay::offline(configuration.path(), &[]);
    let authorization = bearer(relay.sdk, KEY);
    let mut stream = Events::open(relay.sdk, KEY, &authorization, &[]);
    configuration.edit_flag("doc", |flag| flag["version"] = json!(7));
    stream.assert_quiet(Duration::from_secs(3));
    let again = Configuration::empty();
    copy(configuration.path(), again.path());
}
