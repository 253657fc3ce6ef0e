//! Leaders that are stale, gone or another one, and imports over them: what
//! is served, and what SDKs that saw both are told.

use std::time::{Duration, Instant};

use ff_relay::proto::admin::v1::ImportOptions;
use ff_relay::proto::inspect::v1::SyncState;
use ff_relay::proto::snapshot::v1::ExportSnapshotRequest;
use serde_json::json;

use crate::archives::packed;
use crate::following::{at, data_dir, follower, is_ready, leader, wait_until_equal};
use crate::sending::{ADMIN, environments, export, import, resync};
use crate::support::client::{bearer, get, post, request};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean};
use crate::support::events::Events;
use crate::support::relay::TestRelay;
use crate::support::wait_for;

fn served(relay: &TestRelay, flag: &str, token: &str) -> serde_json::Value {
    let path = format!("/client/env/{ENVIRONMENT}/feature-configs/{flag}");
    get(relay.sdk, &path, &[("Authorization", token)]).ok()
}

/// A leader that came back with what `data-dir` holds, and has no source,
/// has never heard of a newer environment: that is no reason to withdraw it.
#[test]
fn a_leader_that_has_lost_its_own_source_takes_no_environment_away() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let configuration = Configuration::golden();
    let (there, parked) = (configuration.path().join(format!("env-{OTHER}")), configuration.path().join("not-yet"));
    std::fs::rename(&there, &parked).unwrap();
    let head = leader(&configuration, &[]);
    let middle = follower(&[at(&head)], &[&data_dir(theirs.path())]);
    wait_until_equal(&head, &middle);
    let nobody = at(&head);
    middle.stop();
    std::fs::rename(&parked, &there).unwrap();
    wait_for("the new environment", || (environments(&head).len() == 2).then_some(()));
    let tail = follower(&[at(&head)], &[&data_dir(ours.path())]);
    wait_until_equal(&head, &tail);
    tail.stop();
    head.stop();
    let middle = follower(&[nobody], &[&data_dir(theirs.path())]);
    assert!(is_ready(&middle) && environments(&middle).len() == 1);
    let tail = follower(&[at(&middle)], &[&data_dir(ours.path())]);
    let auth = || post(tail.sdk, "/client/auth", &[], &format!("{{\"apiKey\":\"{OTHER_KEY}\"}}")).status;
    assert_eq!(auth(), 200);
    let until = Instant::now() + Duration::from_secs(15);
    while Instant::now() < until {
        assert_eq!(auth(), 200, "a good key, refused for good");
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

/// What an SDK was told while another leader was followed is news again when
/// the preferred one is back, although its sequences are old ones.
#[test]
fn an_sdk_that_was_told_by_a_second_leader_is_told_by_the_first_again() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = Configuration::with_flags(&[boolean("a", true, 1), boolean("b", true, 1)]);
    let two = Configuration::with_flags(&[boolean("a", false, 1), boolean("b", true, 1)]);
    let preferred = leader(&one, &[&data_dir(first.path())]);
    let another = leader(&two, &[&data_dir(second.path())]);
    let address = at(&preferred);
    let tail = follower(&[address.clone(), at(&another)], &[]);
    wait_until_equal(&preferred, &tail);
    let token = bearer(tail.sdk, KEY);
    let mut events = Events::open(tail.sdk, KEY, &token, &[]);
    preferred.stop();
    assert_eq!(events.next_short(), "patch flag a");
    let held = served(&tail, "a", &token);
    assert_eq!(held["defaultServe"]["variation"], json!("false"));
    drop(events);
    let port = format!("--grpc-address={address}");
    let preferred = leader(&one, &[&data_dir(first.path()), &port]);
    wait_until_equal(&preferred, &tail);
    let now = served(&tail, "a", &token);
    assert_eq!(now["defaultServe"]["variation"], json!("true"));
    assert!(now["version"].as_i64() > held["version"].as_i64());
    let mut events = Events::open(tail.sdk, KEY, &token, &[]);
    let (told, at_last) = std::sync::mpsc::channel();
    // What did not change may be told, too.
    std::thread::spawn(move || told.send(events.take_sorted(2)));
    let told = at_last.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(told.contains(&"patch flag a".to_owned()), "{told:?}");
}

/// The same without a second leader: an import over the leader, and back.
#[test]
fn an_sdk_that_was_told_of_an_import_is_told_when_the_leader_is_followed_again() {
    let configuration = Configuration::with_flags(&[boolean("a", true, 1), boolean("b", true, 1)]);
    let imported = Configuration::with_flags(&[boolean("a", false, 1), boolean("b", true, 1), boolean("c", true, 1)]);
    let head = leader(&configuration, &[]);
    let tail = follower(&[at(&head)], &[]);
    wait_until_equal(&head, &tail);
    let token = bearer(tail.sdk, KEY);
    let mut events = Events::open(tail.sdk, KEY, &token, &[]);
    let over = ImportOptions { override_upstream: true, ..Default::default() };
    import(&tail, over, &packed(imported.path())).unwrap();
    assert_eq!(events.take_sorted(2), ["create flag c", "patch flag a"]);
    let held = served(&tail, "a", &token);
    assert_eq!(held["defaultServe"]["variation"], json!("false"));
    drop(events);
    assert!(resync(&tail, ENVIRONMENT).unwrap());
    wait_until_equal(&head, &tail);
    assert_eq!(served(&tail, "a", &token)["defaultServe"]["variation"], json!("true"));
    let mut events = Events::open(tail.sdk, KEY, &token, &[]);
    let (told, at_last) = std::sync::mpsc::channel();
    std::thread::spawn(move || told.send(events.take_sorted(3)));
    let told = at_last.recv_timeout(Duration::from_secs(10)).unwrap();
    for news in ["delete flag c", "patch flag a"] {
        assert!(told.contains(&news.to_owned()), "{told:?}");
    }
}

/// What a follower gave out above its leader's version, SDKs bring along
/// when they move to the leader: it must go on above that.
#[test]
fn a_leader_learns_of_higher_versions_that_its_followers_gave_out() {
    let configuration = Configuration::with_flags(&[boolean("a", true, 1)]);
    let imported = Configuration::with_flags(&[boolean("a", false, 1)]);
    let head = leader(&configuration, &["--auth-secret=shared-by-all"]);
    let tail = follower(&[at(&head)], &[]);
    wait_until_equal(&head, &tail);
    let token = bearer(tail.sdk, KEY);
    let over = ImportOptions { override_upstream: true, ..Default::default() };
    import(&tail, over, &packed(imported.path())).unwrap();
    resync(&tail, ENVIRONMENT).unwrap();
    wait_until_equal(&head, &tail);
    let held = served(&tail, "a", &token)["version"].as_i64().unwrap();
    configuration.edit_flag("a", |flag| {
        flag["version"] = json!(2);
        flag["defaultServe"]["variation"] = json!("false");
    });
    wait_for("the edit", || (served(&head, "a", &token)["defaultServe"]["variation"] == "false").then_some(()));
    let now = served(&head, "a", &token)["version"].as_i64().unwrap();
    assert!(now > held, "an SDK that holds version {held} drops version {now}");
}

/// A file that an archive without a manifest does not hold is a part that it
/// does not hold.
#[test]
fn an_import_of_flags_alone_leaves_the_keys_as_they_are() {
    let place = tempfile::tempdir().unwrap();
    let configuration = Configuration::with_flags(&[boolean("a", true, 1)]);
    let relay = TestRelay::start(&["--offline", ADMIN, &data_dir(place.path())]).unwrap();
    import(&relay, ImportOptions::default(), &packed(configuration.path())).unwrap();
    let token = bearer(relay.sdk, KEY);
    configuration.edit_flag("a", |flag| flag["version"] = json!(2));
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let path = format!("env-{ENVIRONMENT}/feature_config.json");
    tar.append_path_with_name(configuration.path().join(&path), &path).unwrap();
    let archive = tar.into_inner().unwrap().finish().unwrap();
    import(&relay, ImportOptions::default(), &archive).unwrap();
    let path = format!("/client/env/{ENVIRONMENT}/feature-configs/a");
    let answer = get(relay.sdk, &path, &[("Authorization", &token)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["version"], 2);
}

/// A page of another origin, by a name that its owner points at this machine
/// (DNS rebinding), is no operator.
#[test]
fn loopback_does_not_speak_to_web_pages() {
    let configuration = Configuration::golden();
    let relay = TestRelay::offline(configuration.path(), &["--grpc-address=127.0.0.1:0"]);
    let headers = [("Origin", "http://evil.example:7001"), ("Content-Type", "application/grpc")];
    let path = "/ffrelay.inspect.v1.InspectService/ListEnvironments";
    let answer = request(relay.grpc.unwrap(), "POST", path, &headers, &[0, 0, 0, 0, 0]);
    assert!(!answer.text().contains(ENVIRONMENT), "{} {}", answer.status, answer.text());
}

/// Two followers of one leader that fall back on each other must not vouch
/// for each other once it is gone.
#[test]
fn two_followers_that_fall_back_on_each_other_know_that_they_are_stale() {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (one, two) = (free(), free());
    let configuration = Configuration::golden();
    let head = leader(&configuration, &[]);
    let a = follower(&[at(&head), two.clone()], &[&format!("--grpc-address={one}")]);
    let b = follower(&[at(&head), one], &[&format!("--grpc-address={two}")]);
    wait_until_equal(&head, &a);
    wait_until_equal(&head, &b);
    head.stop();
    let is_stale = |relay: &TestRelay| environments(relay).iter().all(|it| it.sync_state() == SyncState::Stale);
    wait_for("both to know", || (is_stale(&a) && is_stale(&b)).then_some(()));
    let unknown = [&a, &b].map(|relay| post(relay.sdk, "/client/auth", &[], "{\"apiKey\":\"maybe new\"}").status);
    assert_eq!(unknown, [500, 500], "nobody can know");
}

/// A preferred leader that came back with an old state and has no source
/// is not followed while another one is fresh.
#[test]
fn a_fresh_leader_is_not_left_for_a_stale_one() {
    let stored = tempfile::tempdir().unwrap();
    let old = Configuration::with_flags(&[boolean("a", true, 1)]);
    let new = Configuration::with_flags(&[boolean("a", false, 2)]);
    let first = leader(&old, &[]);
    let preferred = follower(&[at(&first)], &[&data_dir(stored.path())]);
    wait_until_equal(&first, &preferred);
    let (nobody, address) = (at(&first), at(&preferred));
    preferred.stop();
    first.stop();
    let fresh = leader(&new, &[]);
    let tail = follower(&[address.clone(), at(&fresh)], &[]);
    wait_until_equal(&fresh, &tail);
    let token = bearer(tail.sdk, KEY);
    let preferred = follower(&[nobody], &[&data_dir(stored.path()), &format!("--grpc-address={address}")]);
    wait_for("the preferred one to know", || {
        (environments(&preferred)[0].sync_state() == SyncState::Stale).then_some(())
    });
    let until = Instant::now() + Duration::from_secs(40);
    while Instant::now() < until {
        assert_eq!(served(&tail, "a", &token)["defaultServe"]["variation"], "false", "an old value is back");
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

/// What an import brought that the source never had goes when the source is
/// given back, over a restart too.
#[test]
fn an_environment_that_only_an_import_had_goes_with_it_over_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let configuration = Configuration::with_flags(&[boolean("a", true, 1)]);
    let options = [ADMIN, &data_dir(place.path())];
    let relay = TestRelay::offline(configuration.path(), &options);
    let over = ImportOptions { override_upstream: true, ..Default::default() };
    import(&relay, over, &packed(Configuration::golden().path())).unwrap();
    assert_eq!(environments(&relay).len(), 2);
    relay.stop();
    let relay = TestRelay::offline(configuration.path(), &options);
    assert_eq!(environments(&relay).len(), 2);
    assert!(resync(&relay, OTHER).unwrap());
    let ids: Vec<String> = environments(&relay).into_iter().map(|it| it.id).collect();
    assert_eq!(ids, [ENVIRONMENT], "its source never had the other one");
}

/// The same revision with other served versions is another archive.
#[test]
fn an_archive_has_the_versions_that_are_served_now() {
    let configuration = Configuration::with_flags(&[boolean("a", true, 1)]);
    let imported = Configuration::with_flags(&[boolean("a", false, 1)]);
    let head = leader(&configuration, &[]);
    let tail = follower(&[at(&head)], &[]);
    wait_until_equal(&head, &tail);
    let before = export(&tail, ExportSnapshotRequest::default()).unwrap();
    let over = ImportOptions { override_upstream: true, ..Default::default() };
    import(&tail, over, &packed(imported.path())).unwrap();
    resync(&tail, ENVIRONMENT).unwrap();
    wait_until_equal(&head, &tail);
    let token = bearer(tail.sdk, KEY);
    assert!(served(&tail, "a", &token)["version"].as_i64().unwrap() > 1);
    let after = export(&tail, ExportSnapshotRequest::default()).unwrap();
    assert!(before != after, "its ledger does not know the version that is served");
}
