//! Measures configuration on its way between relays on this machine: export
//! and import of a thousand environments, a follower that catches up, and how
//! long a change takes to SDKs of a follower. Prints figures; asserts nothing
//! of them.
//!
//! `cargo bench --bench transfer` (it builds and starts the release binary).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

#[path = "../tests/support/fake_harness/mod.rs"]
mod fake_harness;
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fake_harness::FakeHarness;
use serde_json::json;
use support::{Events, Relay, flag, free_address, print_times};

const CHANGES: usize = 500;
const ENVIRONMENTS: usize = 1_000;
const FLAGS: usize = 30;

const ADMIN: &str = "--grpc-admin-tokens=bench-token";

fn data_dir(path: &Path) -> String {
    format!("--data-dir={}", path.display())
}

fn leader(fake_options: Vec<String>, grpc: SocketAddr) -> Relay {
    let mut options = fake_options;
    options.extend([format!("--grpc-address={grpc}"), ADMIN.to_owned()]);
    Relay::start(&options)
}

fn follower(leader: SocketAddr, data: &Path) -> Relay {
    Relay::start(&[format!("--peer-address={leader}"), "--peer-token=bench-token".to_owned(), data_dir(data)])
}

/// Runs `ff-relay` in a directory that has a file `token`.
fn command(place: &Path, grpc: SocketAddr, words: &[&str]) -> Duration {
    let began = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ff-relay"));
    command.current_dir(place).env("FF_RELAY_ADDRESS", grpc.to_string()).env("FF_RELAY_TOKEN_FILE", "token");
    let output = command.args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    began.elapsed()
}

fn many_environments() {
    let fake = FakeHarness::start();
    let id = |environment: usize| format!("bench-{environment:04}");
    for environment in 0..ENVIRONMENTS {
        fake.add_environment(&id(environment), &format!("bench-key-{environment}"));
        (0..FLAGS).for_each(|i| fake.create_flag(&id(environment), flag(&format!("flag_{i}"), 1)));
    }
    fake.set_proxy_key("bench-proxy-key");
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("token"), "bench-token").unwrap();
    let (first, second) = (free_address(), free_address());
    let head = leader(fake.proxy_key_options("bench-proxy-key"), first);
    head.becomes_ready();
    fake.wait_for_streams(1);
    println!("{ENVIRONMENTS} environments of {FLAGS} flags");

    let resident = head.resident_mib();
    head.forget_peak();
    for archive in ["flags.tar.gz", "flags.tar.zst"] {
        let took = command(place.path(), first, &["export", archive]);
        let size = std::fs::metadata(place.path().join(archive)).unwrap().len() / 1024;
        let peak = head.memory_mib("VmHWM");
        println!("export of {archive}: {took:.2?}, {size} KiB; the relay: {resident} MiB before, {peak} MiB at most");
    }

    let data = tempfile::tempdir().unwrap();
    let importing = Relay::start(&[
        "--offline".to_owned(),
        format!("--grpc-address={second}"),
        ADMIN.to_owned(),
        data_dir(data.path()),
    ]);
    importing.since_start(|relay| relay.ask("GET /livez HTTP/1.0\r\n\r\n").is_some());
    for what in ["import into nothing", "import of the same once more"] {
        let took = command(place.path(), second, &["import", "flags.tar.gz"]);
        let (resident, peak) = (importing.resident_mib(), importing.memory_mib("VmHWM"));
        println!("{what}: {took:.2?}; the relay: {peak} MiB at most, {resident} MiB after it");
    }
    drop(importing);

    let data = tempfile::tempdir().unwrap();
    let tail = follower(first, data.path());
    let took = tail.becomes_ready();
    println!("a follower from nothing: ready after {took:.2?}, {} MiB resident", tail.resident_mib());
    let mut events = Events::open(&tail, "bench-key-7");
    let began = Instant::now();
    let version = fake.patch_flag(&id(7), "flag_7", |flag| flag["state"] = json!("off"));
    events.wait_for("flag_7", version);
    println!("a follower, one change: {:.2?} from Harness to its SDK", began.elapsed());
    tail.stop();
    let version = fake.patch_flag(&id(7), "flag_7", |flag| flag["state"] = json!("on"));
    let tail = follower(first, data.path());
    let ready = tail.becomes_ready();
    let authorization = tail.bearer("bench-key-7").unwrap();
    let request =
        format!("GET /client/env/{}/feature-configs/flag_7 HTTP/1.0\r\nAuthorization: {authorization}\r\n\r\n", id(7));
    let wanted = format!("\"version\":{version}");
    let level = tail.since_start(|relay| relay.ask(&request).is_some_and(|answer| answer.contains(&wanted)));
    println!(
        "a follower that missed one change: serves what it had after {ready:.2?}, has the change after {level:.2?}"
    );
}

fn propagation() {
    let fake = FakeHarness::start();
    fake.add_environment("bench", "bench-key");
    (0..100).for_each(|i| fake.create_flag("bench", flag(&format!("flag_{i}"), 1)));
    let grpc = free_address();
    let head = leader(fake.api_key_options(&["bench-key"]), grpc);
    head.becomes_ready();
    fake.wait_for_streams(1);
    let data = tempfile::tempdir().unwrap();
    let tail = follower(grpc, data.path());
    tail.becomes_ready();
    let (mut at_head, mut at_tail) = (Events::open(&head, "bench-key"), Events::open(&tail, "bench-key"));
    // What the fetch after the upstream's connection brought is over.
    std::thread::sleep(Duration::from_millis(500));
    let (mut of_head, mut of_tail) = (Vec::with_capacity(CHANGES), Vec::with_capacity(CHANGES));
    for change in 0..CHANGES {
        let name = format!("flag_{}", change % 100);
        let began = Instant::now();
        let version = fake.patch_flag("bench", &name, |flag| {
            flag["state"] = json!(if change % 200 < 100 { "off" } else { "on" });
        });
        // The leader tells its own SDKs once its followers know.
        at_tail.wait_for(&name, version);
        of_tail.push(began.elapsed());
        at_head.wait_for(&name, version);
        of_head.push(began.elapsed());
    }
    print_times("Harness to SDK stream of the follower", &mut of_tail);
    print_times("Harness to SDK streams of both", &mut of_head);
}

fn main() {
    propagation();
    many_environments();
}
