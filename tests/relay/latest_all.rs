//! `GET /relay/latest-all`, as curl speaks to it.

use serde_json::json;

use crate::support::client::{Connection, Reply, bearer, get, post, request};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER, OTHER_KEY, golden, key_hash};
use crate::support::relay::TestRelay;
use crate::support::wait_for;

const PATH: &str = "/relay/latest-all";
const TOKENS: [&str; 2] = ["--grpc-sync-tokens=sync-token", "--grpc-inspect-tokens=inspect-token"];
const RAW: (&str, &str) = ("Authorization", "sync-token");

fn fetch(relay: &TestRelay, headers: &[(&str, &str)]) -> Reply {
    get(relay.grpc.unwrap(), PATH, &[&[RAW], headers].concat())
}

#[test]
fn the_archive_comes_with_what_is_not_in_it() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let whole = fetch(&relay, &[]);
    assert_eq!(whole.status, 200, "{}", whole.text());
    let place = tempfile::tempdir().unwrap();
    let packed = place.path().join("a.tar.gz");
    crate::support::run(&["pack", golden().to_str().unwrap(), packed.to_str().unwrap()]);
    assert!(whole.body == std::fs::read(&packed).unwrap(), "the bytes of `ff-relay pack`");
    let sha256 = std::str::from_utf8(&whole.body).map_or_else(|_| hex(&whole.body), key_hash);
    assert_eq!(whole.header("etag"), Some(format!("\"{sha256}\"").as_str()));
    assert_eq!(whole.header("content-type"), Some("application/gzip"));
    assert_eq!(whole.header("content-length"), Some(whole.body.len().to_string().as_str()));
    assert!(whole.header("content-disposition").unwrap().contains("filename=\"flags.tar.gz\""));
    assert!(whole.header("x-ff-relay-producer").unwrap().starts_with("ff-relay "));
    let made = whole.header("x-ff-relay-created-at").unwrap();
    assert!(made.starts_with("20") && made.ends_with('Z'), "{made}");
    let head = request(relay.grpc.unwrap(), "HEAD", PATH, &[("Authorization", "Bearer sync-token")], b"");
    let same = ["etag", "content-length", "x-ff-relay-created-at"];
    assert!(head.status == 200 && same.iter().all(|name| head.header(name) == whole.header(name)));
}

fn hex(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn conditions_and_ranges() {
    let configuration = Configuration::large();
    let relay = TestRelay::offline(configuration.path(), &TOKENS);
    let whole = fetch(&relay, &[]);
    let (etag, size) = (whole.header("etag").unwrap(), whole.body.len());
    for sent in [etag, "*", &format!("\"x\", W/{etag}")] {
        let known = fetch(&relay, &[("If-None-Match", sent), ("Range", "bytes=0-1")]);
        assert_eq!((known.status, known.header("etag"), known.body.len()), (304, Some(etag), 0));
    }
    assert_eq!(fetch(&relay, &[("If-None-Match", "\"x\"")]).status, 200);
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=500000-", 500_000, size),
        ("bytes=-7", size - 7, size),
        ("bytes=10-99999999999", 10, size),
    ] {
        let part = fetch(&relay, &[("Range", range), ("If-Range", etag)]);
        let expected = format!("bytes {start}-{}/{size}", end - 1);
        assert_eq!((part.status, part.header("content-range")), (206, Some(expected.as_str())));
        assert!(part.body == whole.body[start..end], "{range}");
    }
    let behind = fetch(&relay, &[("Range", &format!("bytes={size}-"))]);
    assert_eq!((behind.status, behind.header("content-range")), (416, Some(format!("bytes */{size}").as_str())));
    for headers in [
        [("Range", "bytes=1-2"), ("If-Range", "\"other\"")],
        [("Range", "bytes=1-2,4-5"), ("X", "y")],
        [("Range", "lines=1-2"), ("X", "y")],
    ] {
        let all = fetch(&relay, &headers);
        assert!(all.status == 200 && all.body == whole.body, "{headers:?}");
    }
    // One connection serves one after the other.
    let mut connection = Connection::open(relay.grpc.unwrap());
    for _ in 0..3 {
        connection.send("GET", PATH, &[RAW], b"");
        assert!(connection.reply(false).body == whole.body);
    }
}

#[test]
fn other_paths_methods_and_roles_are_refused() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let address = relay.grpc.unwrap();
    let refused = post(address, PATH, &[RAW], "x");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!((refused.status, refused.json()["code"].clone()), (405, json!("405")));
    let missing = get(address, "/relay/else", &[RAW]);
    assert_eq!((missing.status, missing.json()["code"].clone()), (404, json!("404")));
    for headers in [&[][..], &[("Authorization", "wrong")], &[("Authorization", "inspect-token")]] {
        let reply = get(address, PATH, headers);
        assert!(reply.status >= 400 || reply.header("grpc-status").is_some(), "{reply:?}");
        assert!(!reply.body.starts_with(&[0x1f, 0x8b]));
    }
}

#[test]
fn a_fetched_file_moved_into_place_is_served_equally() {
    let configuration = Configuration::golden();
    let reload = ["--config-reload=true", "--config-reload-interval=100ms"];
    let open = TestRelay::offline(configuration.path(), &[&TOKENS[..], &reload].concat());
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("flags.tar.gz");
    let take = || {
        let beside = place.path().join("fetched");
        std::fs::write(&beside, fetch(&open, &[]).body).unwrap();
        std::fs::rename(beside, &source).unwrap();
    };
    take();
    let file = format!("--file-data-source={}", source.display());
    let closed = TestRelay::start(&[&file, reload[0], reload[1]]).unwrap();
    let answers = |relay: &TestRelay| {
        let mut all = Vec::new();
        for (environment, key) in [(ENVIRONMENT, KEY), (OTHER, OTHER_KEY)] {
            let authorization = bearer(relay.sdk, key);
            for list in ["feature-configs", "target-segments?rules=v2", "target/jo/evaluations"] {
                let path = format!("/client/env/{environment}/{list}");
                let reply = get(relay.sdk, &path, &[("Authorization", &authorization)]);
                // The archive's own order of members is another one.
                let value: serde_json::Value = serde_json::from_str(&reply.json().to_string()).unwrap();
                all.push((reply.status, value));
            }
        }
        all
    };
    assert_eq!(answers(&open), answers(&closed));
    configuration.edit_flag("text", |flag| flag["defaultServe"] = flag["offVariation"].clone());
    configuration.edit_flag("text", |flag| {
        flag["defaultServe"] = json!({"variation": flag["offVariation"]});
        flag["version"] = json!(12);
    });
    let before = answers(&closed);
    wait_for("the change", || (answers(&open) != before).then_some(()));
    take();
    wait_for("the reload", || (answers(&closed) == answers(&open)).then_some(()));
}
