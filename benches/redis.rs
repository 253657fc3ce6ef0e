//! Measures relays that share a Redis on this machine: the way of a change to
//! a replica's SDKs, a leader's crash, a replica's start with a thousand
//! environments, and whether SDKs notice that there is a Redis. Prints
//! figures; asserts nothing of them.
//!
//! `cargo bench --bench redis` (it builds and starts the release binary, and
//! `redis-server`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

#[path = "../tests/support/fake_harness/mod.rs"]
mod fake_harness;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../tests/support/redis_server.rs"]
mod redis_server;
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use fake_harness::FakeHarness;
use redis_server::RedisServer;
use serde_json::json;
use support::{Events, Relay, flag, print_times};

const CHANGES: usize = 500;
const ENVIRONMENTS: usize = 1_000;
const FLAGS: usize = 30;

fn with_redis(mut options: Vec<String>, redis: &RedisServer) -> Vec<String> {
    options.push(format!("--redis-address={}", redis.address()));
    options
}

fn replica(redis: &RedisServer) -> Relay {
    Relay::start(&with_redis(vec!["--read-replica".to_owned()], redis))
}

fn small_fake() -> FakeHarness {
    let fake = FakeHarness::start();
    fake.add_environment("bench", "bench-key");
    (0..100).for_each(|i| fake.create_flag("bench", flag(&format!("flag_{i}"), 1)));
    fake
}

fn leads(relay: &Relay) {
    relay.since_start(|relay| {
        relay.ask("GET /health HTTP/1.0\r\n\r\n").is_some_and(|answer| answer.contains("\"role\":\"LEADS\""))
    });
}

fn propagation() {
    let (fake, redis) = (small_fake(), RedisServer::start(&[]));
    let first = Relay::start(&with_redis(fake.api_key_options(&["bench-key"]), &redis));
    first.becomes_ready();
    leads(&first);
    fake.wait_for_streams(1);
    let second = replica(&redis);
    second.becomes_ready();
    let (mut at_first, mut at_second) = (Events::open(&first, "bench-key"), Events::open(&second, "bench-key"));
    // What the fetch after the upstream's connection brought is over.
    std::thread::sleep(Duration::from_millis(1500));
    let (mut of_first, mut of_second) = (Vec::with_capacity(CHANGES), Vec::with_capacity(CHANGES));
    for change in 0..CHANGES {
        let name = format!("flag_{}", change % 100);
        let began = Instant::now();
        let version = fake.patch_flag("bench", &name, |flag| {
            flag["state"] = json!(if change % 200 < 100 { "off" } else { "on" });
        });
        at_second.wait_for(&name, version);
        of_second.push(began.elapsed());
        at_first.wait_for(&name, version);
        of_first.push(began.elapsed());
    }
    print_times("Harness to SDK stream of a replica", &mut of_second);
    print_times("Harness to SDK streams of both", &mut of_first);
}

fn crash() {
    for lease in ["10s", "2s"] {
        let (fake, redis) = (small_fake(), RedisServer::start(&[]));
        let mut options = with_redis(fake.api_key_options(&["bench-key"]), &redis);
        options.push(format!("--redis-lease={lease}"));
        let first = Relay::start(&options);
        leads(&first);
        let second = Relay::start(&options);
        second.becomes_ready();
        let third = replica(&redis);
        third.becomes_ready();
        let mut events = Events::open(&third, "bench-key");
        std::thread::sleep(Duration::from_secs(2));
        let began = Instant::now();
        // Dropping it kills it.
        drop(first);
        let version = fake.patch_flag("bench", "flag_7", |flag| flag["state"] = json!("off"));
        events.wait_for("flag_7", version);
        println!(
            "a leader's crash, redis-lease {lease}: its change reaches a replica's SDK after {:.2?}",
            began.elapsed()
        );
        drop(second);
    }
}

fn commands(redis: &RedisServer) -> u64 {
    let info: String = redis.cli(&["INFO", "stats"]);
    let line = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:")).unwrap();
    line.trim().parse().unwrap()
}

fn many_environments() {
    let (fake, redis) = (FakeHarness::start(), RedisServer::start(&[]));
    let id = |environment: usize| format!("bench-{environment:04}");
    for environment in 0..ENVIRONMENTS {
        fake.add_environment(&id(environment), &format!("bench-key-{environment}"));
        (0..FLAGS).for_each(|i| fake.create_flag(&id(environment), flag(&format!("flag_{i}"), 1)));
    }
    fake.set_proxy_key("bench-proxy-key");
    println!("{ENVIRONMENTS} environments of {FLAGS} flags");
    let began = Instant::now();
    let first = Relay::start(&with_redis(fake.proxy_key_options("bench-proxy-key"), &redis));
    first.becomes_ready();
    let written = || redis.cli::<u64>(&["HLEN", "ffrelay:environments"]);
    while written() < ENVIRONMENTS as u64 {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("a primary: all in an empty Redis after {:.2?}; {} MiB resident", began.elapsed(), first.resident_mib());
    std::thread::sleep(Duration::from_secs(2));
    let idle = {
        let before = commands(&redis);
        std::thread::sleep(Duration::from_secs(10));
        commands(&redis) - before
    };
    let before = commands(&redis);
    let began = Instant::now();
    let second = replica(&redis);
    let took = second.becomes_ready();
    let sent = commands(&redis) - before;
    println!(
        "a replica's start: ready after {took:.2?}, {} MiB resident; {sent} commands in {:.1?}, the primary's {idle} in 10 s among them",
        second.resident_mib(),
        began.elapsed()
    );
    fake.wait_for_streams(1);
    let mut events = Events::open(&second, "bench-key-7");
    let mut times = Vec::new();
    for change in 0..100 {
        let began = Instant::now();
        let version = fake.patch_flag(&id(7), "flag_7", |flag| flag["note"] = json!(change));
        events.wait_for("flag_7", version);
        times.push(began.elapsed());
    }
    print_times("among them, Harness to SDK stream of a replica", &mut times);
}

/// Requests a second over eight connections.
fn throughput(relay: SocketAddr, authorization: &str) -> f64 {
    const CONNECTIONS: usize = 8;
    const TIME: Duration = Duration::from_secs(3);
    let request = format!(
        "GET /client/env/bench/feature-configs/flag_7 HTTP/1.1\r\nHost: r\r\nAuthorization: {authorization}\r\n\r\n"
    );
    let client = move |request: String| {
        let mut connection = BufReader::new(TcpStream::connect(relay).unwrap());
        connection.get_ref().set_nodelay(true).unwrap();
        let (began, mut count) = (Instant::now(), 0_u32);
        let (mut line, mut body) = (String::new(), Vec::new());
        while began.elapsed() < TIME {
            connection.get_mut().write_all(request.as_bytes()).unwrap();
            let mut length = 0;
            loop {
                line.clear();
                connection.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
            }
            body.resize(length, 0);
            connection.read_exact(&mut body).unwrap();
            count += 1;
        }
        f64::from(count) / began.elapsed().as_secs_f64()
    };
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let request = request.clone();
            std::thread::spawn(move || client(request))
        })
        .collect();
    clients.into_iter().map(|client| client.join().unwrap()).sum()
}

fn does_an_sdk_notice() {
    let (fake, redis) = (small_fake(), RedisServer::start(&[]));
    let options = fake.api_key_options(&["bench-key"]);
    let (without, with) = (Relay::start(&options), Relay::start(&with_redis(options.clone(), &redis)));
    without.becomes_ready();
    with.becomes_ready();
    leads(&with);
    let (a, b) = (without.bearer("bench-key").unwrap(), with.bearer("bench-key").unwrap());
    let (mut beside, mut paused) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let alone = throughput(without.address, &a);
        beside.push(throughput(with.address, &b) / alone);
        redis.pause();
        paused.push(throughput(with.address, &b) / alone);
        redis.resume();
    }
    for (what, ratios) in [("with a Redis", &mut beside), ("with a paused Redis", &mut paused)] {
        ratios.sort_by(f64::total_cmp);
        println!("requests a second {what}, to without: median {:.2}, {:.2} to {:.2}", ratios[2], ratios[0], ratios[4]);
    }
}

fn main() {
    propagation();
    crash();
    many_environments();
    does_an_sdk_notice();
}
