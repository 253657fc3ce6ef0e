//! A relay that follows another: the same answers, at once, through every
//! break.

use std::path::Path;
use std::time::{Duration, Instant};

use ff_relay::proto::inspect::v1::inspect_service_client::InspectServiceClient;
use ff_relay::proto::inspect::v1::{ListPeersRequest, Peer, PeerRole, Source, SyncState};
use serde_json::json;

use crate::sending::{ADMIN, environments, server_info};
use crate::support::client::{bearer, get, post};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean, key_hash};
use crate::support::events::Events;
use crate::support::grpc::{channel, wait, with_token};
use crate::support::relay::TestRelay;
use crate::support::wait_for;

/// Serves a directory, watches it closely, and may be followed.
pub fn leader(configuration: &Configuration, options: &[&str]) -> TestRelay {
    let mut all = vec![ADMIN, "--config-reload=true", "--config-reload-interval=100ms"];
    all.extend(options);
    TestRelay::offline(configuration.path(), &all)
}

/// Follows these addresses, the preferred one first.
pub fn follower(leaders: &[String], options: &[&str]) -> TestRelay {
    let address = format!("--peer-address={}", leaders.join(","));
    let mut all = vec![ADMIN, "--peer-token=admin-token", &address, "--auth-secret=shared-by-all"];
    all.extend(options);
    TestRelay::start(&all).unwrap()
}

pub fn at(relay: &TestRelay) -> String {
    relay.grpc.unwrap().to_string()
}

pub fn data_dir(path: &Path) -> String {
    format!("--data-dir={}", path.display())
}

pub fn is_ready(relay: &TestRelay) -> bool {
    get(relay.sdk, "/readyz", &[]).status == 200
}

/// Epoch, sequence and digest of every environment.
pub fn revisions(relay: &TestRelay) -> Vec<(String, String, u64, Vec<u8>)> {
    let all = environments(relay).into_iter().filter_map(|it| Some((it.id, it.revision?)));
    all.map(|(id, revision)| (id, revision.epoch, revision.sequence, revision.digest)).collect()
}

/// Waits until these serve the same revisions.
pub fn wait_until_equal(leader: &TestRelay, follower: &TestRelay) {
    wait_for("the follower to have what the leader has", || (revisions(leader) == revisions(follower)).then_some(()));
}

pub fn peers(relay: &TestRelay) -> Vec<Peer> {
    wait(async {
        let mut client = InspectServiceClient::new(channel(relay).await);
        let request = with_token(ListPeersRequest::default(), "admin-token");
        client.list_peers(request).await.unwrap().into_inner().peers
    })
}

fn value(relay: &TestRelay, flag: &str) -> serde_json::Value {
    let token = bearer(relay.sdk, KEY);
    let path = format!("/client/env/{ENVIRONMENT}/feature-configs/{flag}");
    get(relay.sdk, &path, &[("Authorization", &token)]).ok()["defaultServe"]["variation"].clone()
}

#[test]
fn a_chain_serves_what_its_head_serves_and_is_told_of_every_change() {
    let configuration = Configuration::golden();
    let first = leader(&configuration, &["--auth-secret=shared-by-all"]);
    let second = follower(&[at(&first)], &[]);
    let third = follower(&[at(&second)], &[]);
    wait_for("readiness", || (is_ready(&second) && is_ready(&third)).then_some(()));
    wait_until_equal(&first, &third);
    assert!(environments(&third).iter().all(|it| it.source() == Source::Peer && it.sync_state() == SyncState::Synced));
    let token = bearer(third.sdk, KEY);
    let mut events = Events::open(third.sdk, KEY, &token, &[]);
    configuration.edit_flag("bool-on", |flag| {
        flag["version"] = json!(90);
        flag["state"] = json!("off");
    });
    assert_eq!(events.next_short(), "patch flag bool-on");
    let path = format!("/client/env/{ENVIRONMENT}/feature-configs/bool-on");
    // A token of one relay is good at all of them.
    for relay in [&first, &second, &third] {
        assert_eq!(get(relay.sdk, &path, &[("Authorization", &token)]).ok()["version"], 90);
    }
    let mut keys = configuration.read(ENVIRONMENT, "auth_config.json");
    keys.as_array_mut().unwrap().push(json!(key_hash("a new key")));
    let count = environments(&first)[0].counts.unwrap().key_hashes;
    configuration.write(ENVIRONMENT, "auth_config.json", &keys);
    wait_for("the new key", || (environments(&third)[0].counts.unwrap().key_hashes > count).then_some(()));
    assert_eq!(post(third.sdk, "/client/auth", &[], "{\"apiKey\":\"a new key\"}").status, 200);
    assert_eq!(post(third.sdk, "/client/auth", &[], "{\"apiKey\":\"no key\"}").status, 401);
    // Who an SDK is, is known everywhere.
    let auth =
        json!({"apiKey": "a new key", "target": {"identifier": "ann", "attributes": {"plan": "x".repeat(5_000)}}});
    for (name, told, asked) in [("ann", &first, &third), ("bob", &third, &first)] {
        let body = auth.to_string().replace("ann", name);
        let before = environments(asked)[0].counts.unwrap().stored_targets;
        post(told.sdk, "/client/auth", &[], &body).ok();
        wait_for("the target", || (environments(asked)[0].counts.unwrap().stored_targets > before).then_some(()));
    }
    assert_eq!((server_info(&first).follower_count, server_info(&second).follower_count), (1, 1));
    let seen = peers(&second);
    assert_eq!(seen.iter().map(Peer::role).collect::<Vec<_>>(), [PeerRole::Leader, PeerRole::Follower]);
    assert!(seen.iter().all(|it| it.acks >= 4 && it.nacks == 0 && it.connected_at.is_some()), "{seen:?}");
    assert_eq!(seen[1].environments_behind, 0);
}

#[test]
fn only_the_environments_asked_for_are_followed() {
    let configuration = Configuration::golden();
    let leader = leader(&configuration, &[]);
    let chosen = format!("--peer-environments={OTHER}");
    let follower = follower(&[at(&leader)], &[&chosen]);
    wait_for("readiness", || is_ready(&follower).then_some(()));
    assert_eq!(environments(&follower).iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), [OTHER]);
    assert_eq!(post(follower.sdk, "/client/auth", &[], &format!("{{\"apiKey\":\"{OTHER_KEY}\"}}")).status, 200);
    assert_eq!(post(follower.sdk, "/client/auth", &[], &format!("{{\"apiKey\":\"{KEY}\"}}")).status, 401);
}

#[test]
fn a_follower_restarts_without_its_leader_and_catches_up_by_a_difference() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let flags: Vec<_> = (0..500).map(|i| boolean(&format!("f{i:03}"), true, 1)).collect();
    let configuration = Configuration::with_flags(&flags);
    let head = leader(&configuration, &[&data_dir(theirs.path())]);
    let address = at(&head);
    let tail = follower(std::slice::from_ref(&address), &[&data_dir(ours.path())]);
    wait_until_equal(&head, &tail);
    let token = bearer(tail.sdk, KEY);
    tail.stop();
    let before = revisions(&head);
    head.stop();
    let tail = follower(std::slice::from_ref(&address), &[&data_dir(ours.path())]);
    assert!(is_ready(&tail), "it serves at once");
    assert_eq!(revisions(&tail), before);
    let path = format!("/client/env/{ENVIRONMENT}/feature-configs/f000");
    assert_eq!(get(tail.sdk, &path, &[("Authorization", &token)]).status, 200);
    assert_eq!(environments(&tail)[0].sync_state(), SyncState::Stale);
    let mut events = Events::open(tail.sdk, KEY, &bearer(tail.sdk, KEY), &[]);
    configuration.edit_flag("f007", |flag| flag["version"] = json!(5));
    let port = format!("--grpc-address={address}");
    let head = leader(&configuration, &[&data_dir(theirs.path()), &port]);
    assert_eq!(events.next_short(), "patch flag f007");
    wait_until_equal(&head, &tail);
    let bytes = peers(&head)[0].payload_bytes;
    assert!(bytes < 3_000, "{bytes} bytes for one flag of 500");
    assert_eq!(environments(&tail)[0].sync_state(), SyncState::Synced);
}

#[test]
fn a_follower_may_be_first() {
    let place = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = place.local_addr().unwrap().to_string();
    drop(place);
    let tail = follower(std::slice::from_ref(&address), &[]);
    assert!(!is_ready(&tail));
    let health = get(tail.sdk, "/health", &[]).ok();
    assert_eq!(health["configStatus"]["state"], "INITIALIZING");
    let body = format!("{{\"apiKey\":\"{KEY}\"}}");
    std::thread::scope(|scope| {
        // It waits, and is answered when the leader has come.
        let asking = scope.spawn(|| post(tail.sdk, "/client/auth", &[], &body).status);
        let configuration = Configuration::golden();
        let port = format!("--grpc-address={address}");
        let head = leader(&configuration, &[&port]);
        assert_eq!(asking.join().unwrap(), 200);
        wait_until_equal(&head, &tail);
        assert!(is_ready(&tail));
    });
}

#[test]
fn the_next_leader_is_followed_and_the_preferred_one_again_when_it_is_back() {
    let configuration = Configuration::golden();
    let head = leader(&configuration, &[]);
    let middle = follower(&[at(&head)], &[]);
    wait_until_equal(&head, &middle);
    // Nobody listens at the first address yet.
    let place = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let preferred = place.local_addr().unwrap().to_string();
    drop(place);
    let tail = follower(&[preferred.clone(), at(&middle)], &[]);
    wait_until_equal(&head, &tail);
    let connected = |relay: &TestRelay| {
        let leaders = peers(relay).into_iter().filter(|it| it.role() == PeerRole::Leader && it.connected_at.is_some());
        leaders.map(|it| it.address).collect::<Vec<_>>()
    };
    assert_eq!(connected(&tail), [at(&middle)]);
    let port = format!("--grpc-address={preferred}");
    let another = follower(&[at(&head)], &[&port]);
    wait_until_equal(&head, &another);
    wait_for("the preferred leader", || (connected(&tail) == [preferred.clone()]).then_some(()));
    another.stop();
    wait_for("the other leader", || (connected(&tail) == [at(&middle)]).then_some(()));
    configuration.edit_flag("bool-on", |flag| flag["version"] = json!(91));
    wait_until_equal(&head, &middle);
    wait_until_equal(&head, &tail);
}

#[test]
fn an_environment_that_goes_is_withdrawn_and_one_that_comes_is_served() {
    let configuration = Configuration::golden();
    let head = leader(&configuration, &[]);
    let tail = follower(&[at(&head)], &[]);
    wait_until_equal(&head, &tail);
    std::fs::remove_dir_all(configuration.path().join(format!("env-{OTHER}"))).unwrap();
    configuration.write("third", "auth_config.json", &json!([key_hash("third key")]));
    wait_for("one to come and one to go", || {
        let ids: Vec<String> = environments(&tail).into_iter().map(|it| it.id).collect();
        (ids == [ENVIRONMENT.to_owned(), "third".to_owned()]).then_some(())
    });
    assert_eq!(post(tail.sdk, "/client/auth", &[], &format!("{{\"apiKey\":\"{OTHER_KEY}\"}}")).status, 401);
    assert_eq!(post(tail.sdk, "/client/auth", &[], "{\"apiKey\":\"third key\"}").status, 200);
}

#[test]
fn a_leader_that_lost_its_past_is_followed_and_versions_go_on_rising() {
    let configuration = Configuration::with_flags(&[boolean("a", true, 7), boolean("b", true, 3)]);
    let head = leader(&configuration, &[]);
    let address = at(&head);
    let tail = follower(std::slice::from_ref(&address), &[]);
    wait_until_equal(&head, &tail);
    let mut events = Events::open(tail.sdk, KEY, &bearer(tail.sdk, KEY), &[]);
    let before = revisions(&tail);
    head.stop();
    // Edited back to a lower version while nobody looked.
    configuration.edit_flag("a", |flag| {
        flag["version"] = json!(2);
        flag["defaultServe"]["variation"] = json!("false");
    });
    let port = format!("--grpc-address={address}");
    let head = leader(&configuration, &[&port]);
    assert_eq!(events.next_short(), "patch flag a");
    wait_until_equal(&head, &tail);
    assert_ne!(revisions(&tail)[0].1, before[0].1, "another epoch");
    assert_eq!(value(&tail, "a"), "false");
    let token = bearer(tail.sdk, KEY);
    let path = format!("/client/env/{ENVIRONMENT}/feature-configs/a");
    let served = get(tail.sdk, &path, &[("Authorization", &token)]).ok()["version"].as_i64().unwrap();
    assert!(served > 7, "{served}");
    // And on, in the new epoch, to the stream that was open all the time.
    configuration.edit_flag("b", |flag| flag["version"] = json!(4));
    assert_eq!(events.next_short(), "patch flag b");
}

#[test]
fn sdks_of_the_leader_are_told_once_its_followers_know() {
    let configuration = Configuration::with_flags(&[boolean("a", true, 1)]);
    let head = leader(&configuration, &["--auth-secret=shared-by-all"]);
    let tail = follower(&[at(&head)], &[]);
    wait_until_equal(&head, &tail);
    let token = bearer(head.sdk, KEY);
    let mut events = Events::open(head.sdk, KEY, &token, &[]);
    for version in 2..12 {
        configuration.edit_flag("a", |flag| flag["version"] = json!(version));
        assert_eq!(events.next_short(), "patch flag a");
        let path = format!("/client/env/{ENVIRONMENT}/feature-configs/a");
        assert_eq!(get(tail.sdk, &path, &[("Authorization", &token)]).ok()["version"], version);
    }
    // A follower that is gone is not waited for.
    tail.stop();
    let asked = Instant::now();
    configuration.edit_flag("a", |flag| flag["version"] = json!(99));
    assert_eq!(events.next_short(), "patch flag a");
    assert!(asked.elapsed() < Duration::from_secs(20));
}
