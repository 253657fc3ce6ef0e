//! Mutated input of every kind: no panic, no hang, no 5xx.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::client::{Connection, bearer, get, post};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, golden};
use crate::support::relay::TestRelay;

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// Bytes of a file with some of them changed, cut or doubled.
fn mutate(bytes: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for &(at, what) in changes {
        if bytes.is_empty() {
            return bytes;
        }
        let at = at % bytes.len();
        match what % 5 {
            0 => bytes.truncate(at),
            1 => bytes[at] = what,
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, b"{}[]\",:0\\"[usize::from(what) % 9]),
            _ => {
                let part = bytes[at..(at + 20).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

#[test]
fn mutated_directories_start_or_are_refused_with_a_place() {
    let files = ["auth_config.json", "feature_config.json", "segments.json", "targets.json"];
    let strategy = (0..4_usize, proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6));
    runner(150)
        .run(&strategy, |(file, changes)| {
            let configuration = Configuration::golden();
            let path = configuration.file(ENVIRONMENT, files[file]);
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, mutate(&bytes, &changes)).unwrap();
            let location = ff_relay::source::file::Location::of(configuration.path());
            let report = ff_relay::cli::verify::report(&location).unwrap();
            for error in &report.errors {
                prop_assert!(error.contains(files[file]) || error.contains("key hash"), "{}", error);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn mutated_archives_never_panic() {
    let place = tempfile::tempdir().unwrap();
    let archive = place.path().join("a.tar.gz");
    let mut pack = std::process::Command::new(env!("CARGO_BIN_EXE_ff-relay"));
    assert!(pack.arg("pack").arg(golden()).arg(&archive).output().unwrap().status.success());
    let bytes = std::fs::read(&archive).unwrap();
    let strategy = proptest::collection::vec((any::<usize>(), any::<u8>()), 1..5);
    runner(400)
        .run(&strategy, |changes| {
            use ff_relay::snapshot::archive::{Compression, Limits, read};
            let bytes = mutate(&bytes, &changes);
            for compression in [Compression::Gzip, Compression::Zstd] {
                let _ = read("a", bytes.len() as u64, bytes.as_slice(), compression, &Limits::default());
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn odd_requests_get_a_4xx_and_the_relay_lives() {
    let relay = TestRelay::offline(&golden(), &[]);
    let authorization = bearer(relay.sdk, KEY);
    let strategy = (
        "(/|client|env|auth|feature-configs|target|evaluations|stream|metrics|%[0-9a-f]{2}|[a-z.;?&=~]){1,12}",
        proptest::option::of("[ -~]{0,200}"),
        proptest::option::of("[ -~]{0,60}"),
        prop_oneof!["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "[A-Z]{1,10}"],
        proptest::collection::vec(any::<u8>(), 0..200),
    );
    runner(600)
        .run(&strategy, |(path, target, token, method, body)| {
            // Refused streams wait before they are refused.
            prop_assume!(!path.contains("stream"));
            let mut headers = vec![("Authorization", token.as_deref().map_or(authorization.as_str(), str::trim))];
            if let Some(target) = &target {
                headers.push(("Harness-Target", target));
            }
            let mut connection = Connection::open(relay.sdk);
            connection.send(&method, &format!("/{path}"), &headers, &body);
            let status = connection.head().status;
            prop_assert!(status < 500, "{} /{} gave {}", method, path, status);
            Ok(())
        })
        .unwrap();
    assert_eq!(get(relay.sdk, "/readyz", &[]).status, 200);
}

#[test]
fn mutated_bodies_and_rubbish_on_the_wire() {
    let relay = TestRelay::offline(&golden(), &[]);
    let authorization = bearer(relay.sdk, KEY);
    let good = format!(
        r#"{{"apiKey":"{KEY}","target":{{"identifier":"a","name":"A","anonymous":true,"attributes":{{"x":[1,null]}}}}}}"#
    );
    let strategy = (
        proptest::collection::vec((any::<usize>(), any::<u8>()), 0..5),
        proptest::collection::vec(any::<u8>(), 0..100),
    );
    runner(300)
        .run(&strategy, |(changes, rubbish)| {
            let body = mutate(good.as_bytes(), &changes);
            let reply = crate::support::client::request(relay.sdk, "POST", "/client/auth", &[], &body);
            prop_assert!(matches!(reply.status, 200 | 400 | 401), "{}", reply.status);
            let path = format!("/metrics/{ENVIRONMENT}");
            let headers = [("Authorization", authorization.as_str())];
            let reply = crate::support::client::request(relay.sdk, "POST", &path, &headers, &body);
            prop_assert!(matches!(reply.status, 200 | 400), "{}", reply.status);
            Connection::open(relay.sdk).raw(&rubbish);
            Ok(())
        })
        .unwrap();
    post(relay.sdk, "/client/auth", &[], &good).ok();
}
