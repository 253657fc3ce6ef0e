//! The stream's contract: bytes, limits, who gets which events.

use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::client::{Connection, bearer, get};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER_KEY, boolean, golden};
use crate::support::events::Events;
use crate::support::relay::TestRelay;
use crate::support::wait_for;

const RELOAD: [&str; 2] = ["--config-reload=true", "--config-reload-interval=100ms"];

fn reloading(configuration: &Configuration) -> TestRelay {
    TestRelay::offline(configuration.path(), &RELOAD)
}

fn target_header(identifier: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(json!({"identifier": identifier}).to_string())
}

#[test]
fn the_first_bytes_come_at_once_and_heartbeats_follow() {
    let relay = TestRelay::offline(&golden(), &[]);
    let authorization = bearer(relay.sdk, KEY);
    let mut stream = Events::open(relay.sdk, KEY, &authorization, &[("Accept-Encoding", "gzip")]);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
        ("transfer-encoding", "chunked"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(stream.reply.header(name), Some(value), "{name}");
    }
    assert_eq!(stream.reply.header("content-encoding"), None);
    let opened = Instant::now();
    for _ in 0..2 {
        assert_eq!(stream.connection.chunk().as_deref(), Some(&b":\n\n"[..]));
    }
    assert!(opened.elapsed() < Duration::from_secs(30));
}

#[test]
fn http_1_0_gets_the_same_without_chunks() {
    use std::io::Read as _;
    let configuration = Configuration::golden();
    let relay = reloading(&configuration);
    let authorization = bearer(relay.sdk, KEY);
    let mut connection = Connection::open(relay.sdk);
    connection
        .raw(format!("GET /stream HTTP/1.0\r\nAPI-Key: {KEY}\r\nAuthorization: {authorization}\r\n\r\n").as_bytes());
    assert_eq!(connection.head().header("transfer-encoding"), None);
    configuration.edit_flag("text", |flag| flag["version"] = json!(2));
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"}\n\n") {
        let mut byte = [0];
        connection.stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with(":\n\n") && text.contains("event: *\ndata: {\"event\":\"patch\""), "{text}");
}

#[test]
fn the_key_must_belong_to_the_token() {
    let relay = TestRelay::offline(&golden(), &[]);
    let authorization = bearer(relay.sdk, KEY);
    // Refusals wait, so they wait together.
    let ask = |key: &'static str, authorization: String| {
        let sdk = relay.sdk;
        std::thread::spawn(move || Events::ask(sdk, key, &authorization, &[]).reply.status)
    };
    let refused = [
        ask(OTHER_KEY, authorization.clone()),
        ask(KEY, "Bearer nonsense".into()),
        ask(KEY, bearer(relay.sdk, OTHER_KEY)),
    ];
    for refusal in refused {
        assert_eq!(refusal.join().unwrap(), 401);
    }
    // Another key of the same environment is good.
    assert_eq!(Events::ask(relay.sdk, "golden-client-key", &authorization, &[]).reply.status, 200);
}

#[test]
fn client_side_streams_hear_of_dependent_flags_too() {
    let configuration = Configuration::golden();
    let relay = reloading(&configuration);
    let authorization = bearer(relay.sdk, KEY);
    let mut server = Events::open(relay.sdk, KEY, &authorization, &[]);
    let mut by_target = Events::open(relay.sdk, KEY, &authorization, &[("Harness-Target", &target_header("alice"))]);
    let mut by_name = Events::open(relay.sdk, KEY, &authorization, &[("Harness-SDK-Info", "iOS 1.0 Client")]);
    configuration.edit_flag("bool-targeted", |flag| flag["version"] = json!(8));
    assert_eq!(server.next_short(), "patch flag bool-targeted");
    for client in [&mut by_target, &mut by_name] {
        assert_eq!(client.take_sorted(2), ["patch flag bool-prereq", "patch flag bool-targeted"]);
    }
    configuration.edit_segment("gold", |segment| segment["version"] = json!(6));
    assert_eq!(server.next_short(), "patch target-segment gold");
    let told = by_target.take_sorted(2);
    assert_eq!(told, ["patch flag bool-group-rule", "patch target-segment gold"]);
    // An event says the served version of the dependent flag, unchanged.
    server.assert_quiet(Duration::from_millis(500));
}

#[test]
fn limits_answer_503_without_a_body() {
    let relay = TestRelay::offline(&golden(), &["--max-streams=3", "--max-streams-per-environment=2"]);
    let authorization = bearer(relay.sdk, KEY);
    let other = bearer(relay.sdk, OTHER_KEY);
    let open = |key: &str, authorization: &str| Events::ask(relay.sdk, key, authorization, &[]);
    let mut streams = vec![open(KEY, &authorization), open(KEY, &authorization)];
    let over = open(KEY, &authorization);
    assert_eq!((over.reply.status, over.reply.header("content-length")), (503, Some("0")));
    assert!(over.reply.header("retry-after").is_some());
    streams.push(open(OTHER_KEY, &other));
    assert_eq!(open(OTHER_KEY, &other).reply.status, 503);
    streams.truncate(1);
    wait_for("a place", || (open(KEY, &authorization).reply.status == 200).then_some(()));
}

#[test]
fn a_bulk_change_reaches_a_slow_reader_once_per_item() {
    let flags = |version: i64| (0..2000).map(|i| boolean(&format!("f{i:04}"), true, version)).collect::<Vec<Value>>();
    let configuration = Configuration::with_flags(&flags(1));
    let relay = reloading(&configuration);
    let authorization = bearer(relay.sdk, KEY);
    let mut slow = Events::open(relay.sdk, KEY, &authorization, &[]);
    let mut quick = Events::open(relay.sdk, KEY, &authorization, &[]);
    for version in 2..4 {
        configuration.write(ENVIRONMENT, "feature_config.json", &json!(flags(version)));
        for i in 0..2000 {
            let event = quick.next().unwrap();
            assert_eq!(
                (event["identifier"].as_str(), event["version"].as_i64()),
                (Some(&*format!("f{i:04}")), Some(version))
            );
        }
    }
    let mut last = std::collections::BTreeMap::new();
    while last.len() < 2000 || last.values().any(|version| *version != 3) {
        let event = slow.next().unwrap();
        let name = event["identifier"].as_str().unwrap().to_owned();
        let version = event["version"].as_i64().unwrap();
        assert!(last.insert(name, version).is_none_or(|before| before < version), "newest state only");
    }
}

#[test]
fn a_reader_that_takes_nothing_is_cut_and_slows_nobody() {
    let flags = |version: i64| {
        (0..3000).map(|i| boolean(&format!("flag-{i}-{}", "x".repeat(200)), true, version)).collect::<Vec<_>>()
    };
    let configuration = Configuration::with_flags(&flags(1));
    let mut options = RELOAD.to_vec();
    options.push("--write-timeout=2s");
    let relay = TestRelay::offline(configuration.path(), &options);
    let authorization = bearer(relay.sdk, KEY);
    let stuck = Events::open(relay.sdk, KEY, &authorization, &[]);
    let mut quick = Events::open(relay.sdk, KEY, &authorization, &[]);
    let mut version = 2;
    wait_for("the stuck stream to be cut", || {
        configuration.write(ENVIRONMENT, "feature_config.json", &json!(flags(version)));
        for _ in 0..3000 {
            assert_eq!(quick.next().unwrap()["version"], version);
        }
        version += 1;
        let metrics = get(relay.sdk, "/metrics", &[]).text();
        metrics.contains("ff_relay_streams_open 1").then_some(())
    });
    drop(stuck);
}

#[test]
fn streams_end_at_their_age() {
    let relay = TestRelay::offline(&golden(), &["--max-stream-age=1s"]);
    let mut stream = Events::open(relay.sdk, KEY, &bearer(relay.sdk, KEY), &[]);
    assert_eq!(stream.next(), None);
}

#[test]
fn events_are_said_again_when_asked_to() {
    let configuration = Configuration::golden();
    let mut options = RELOAD.to_vec();
    options.push("--event-repeat=1s");
    let relay = TestRelay::offline(configuration.path(), &options);
    let mut stream = Events::open(relay.sdk, KEY, &bearer(relay.sdk, KEY), &[]);
    configuration.edit_flag("text", |flag| flag["version"] = json!(2));
    assert_eq!(stream.next_short(), "patch flag text");
    assert_eq!(stream.next_short(), "patch flag text");
    stream.assert_quiet(Duration::from_secs(2));
}

#[test]
fn a_client_that_leaves_is_noticed() {
    let relay = TestRelay::offline(&golden(), &[]);
    let authorization = bearer(relay.sdk, KEY);
    let open = |count: &str| {
        let metrics = get(relay.sdk, "/metrics", &[]).text();
        metrics.contains(&format!("ff_relay_streams_open {count}\n")).then_some(())
    };
    let streams: Vec<Events> = (0..10).map(|_| Events::open(relay.sdk, KEY, &authorization, &[])).collect();
    wait_for("ten", || open("10"));
    drop(streams);
    wait_for("none", || open("0"));
}
