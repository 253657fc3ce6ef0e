//! Measures the way from Harness to SDKs on this machine: how long a change
//! takes from a stand-in for Harness to an SDK's stream, and what a start
//! with a thousand environments costs. Prints figures; asserts nothing of
//! them.
//!
//! `cargo bench --bench online` (it builds and starts the release binary).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

#[path = "../tests/support/fake_harness/mod.rs"]
mod fake_harness;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fake_harness::FakeHarness;
use serde_json::{Value, json};

const CHANGES: usize = 1_000;
const ENVIRONMENTS: usize = 1_000;
const FLAGS: usize = 30;

fn flag(name: &str, version: i64) -> Value {
    json!({
        "feature": name, "kind": "boolean", "project": "p", "environment": "e", "state": "on", "version": version,
        "offVariation": "false", "defaultServe": {"variation": "true"}, "prerequisites": [], "rules": [],
        "variationToTargetMap": [],
        "variations": [{"identifier": "true", "value": "true"}, {"identifier": "false", "value": "false"}],
    })
}

struct Relay {
    child: Child,
    address: SocketAddr,
    started: Instant,
}

impl Relay {
    fn start(options: &[String]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let started = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_ff-relay"))
            .args(options)
            .args([
                format!("--port={}", address.port()),
                "--grpc-address=off".to_owned(),
                "--log-level=ERROR".to_owned(),
            ])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Relay { child, address, started }
    }

    fn ask(&self, request: &str) -> Option<String> {
        let mut connection = TcpStream::connect(self.address).ok()?;
        connection.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn becomes_ready(&self) -> Duration {
        while !self.ask("GET /readyz HTTP/1.0\r\n\r\n").is_some_and(|answer| answer.contains(" 200 ")) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.started.elapsed()
    }

    fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    fn stream(&self, key: &str) -> BufReader<TcpStream> {
        let body = format!("{{\"apiKey\":\"{key}\"}}");
        let request = format!("POST /client/auth HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answer = self.ask(&request).unwrap();
        let token: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        let token = token["authToken"].as_str().unwrap().to_owned();
        let mut connection = TcpStream::connect(self.address).unwrap();
        let request =
            format!("GET /stream HTTP/1.1\r\nHost: x\r\nAPI-Key: {key}\r\nAuthorization: Bearer {token}\r\n\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        BufReader::new(connection)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn propagation() {
    let fake = FakeHarness::start();
    fake.add_environment("bench", "bench-key");
    (0..100).for_each(|i| fake.create_flag("bench", flag(&format!("flag_{i}"), 1)));
    let relay = Relay::start(&fake.api_key_options(&["bench-key"]));
    relay.becomes_ready();
    fake.wait_for_streams(1);
    let mut events = relay.stream("bench-key");
    let mut line = String::new();
    let mut next = |wanted: &str| {
        loop {
            line.clear();
            assert!(events.read_line(&mut line).unwrap() > 0, "the stream has ended");
            if line.contains(wanted) {
                return;
            }
        }
    };
    next(":");
    // What the fetch after the upstream's connection brought is over.
    std::thread::sleep(Duration::from_millis(500));
    let mut times = Vec::with_capacity(CHANGES);
    for change in 0..CHANGES {
        let name = format!("flag_{}", change % 100);
        let began = Instant::now();
        let version = fake.patch_flag("bench", &name, |flag| {
            flag["state"] = json!(if change % 200 < 100 { "off" } else { "on" });
        });
        next(&format!("\"identifier\":\"{name}\",\"version\":{version}"));
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let at = |part: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let index = (times.len() as f64 * part) as usize;
        times[index.min(times.len() - 1)]
    };
    println!(
        "{CHANGES} changes, Harness to SDK stream: median {:.2?}, p99 {:.2?}, slowest {:.2?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn many_environments() {
    let fake = FakeHarness::start();
    for environment in 0..ENVIRONMENTS {
        let id = format!("bench-{environment:04}");
        fake.add_environment(&id, &format!("bench-key-{environment}"));
        (0..FLAGS).for_each(|i| fake.create_flag(&id, flag(&format!("flag_{i}"), 1)));
    }
    fake.set_proxy_key("bench-proxy-key");
    let relay = Relay::start(&fake.proxy_key_options("bench-proxy-key"));
    let after = relay.becomes_ready();
    fake.wait_for_streams(1);
    println!(
        "{ENVIRONMENTS} environments of {FLAGS} flags by a proxy key: ready after {after:.2?}, {} MiB resident, {} requests to Harness",
        relay.resident_mib(),
        fake.all_requests().len()
    );
    drop(relay);
    let keys: Vec<String> = (0..ENVIRONMENTS).map(|i| format!("bench-key-{i}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let before = fake.all_requests().len();
    let relay = Relay::start(&fake.api_key_options(&keys));
    let after = relay.becomes_ready();
    println!(
        "{ENVIRONMENTS} environments of {FLAGS} flags by API keys: ready after {after:.2?}, {} MiB resident, {} requests to Harness",
        relay.resident_mib(),
        fake.all_requests().len() - before
    );
}

fn main() {
    propagation();
    many_environments();
}
