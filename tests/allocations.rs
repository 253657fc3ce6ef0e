//! What the steady path of an SDK's request allocates: a small number, and
//! the same one however many flags there are.
//!
//! Counted by the allocator for the whole process, with one connection and
//! a client that allocates nothing; the least of some batches counts, so
//! that what the relay does beside requests does not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../benches/workload/data.rs"]
mod data;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "relay/support/relay.rs"]
mod relay;

use std::alloc::System;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use relay::TestRelay;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BATCHES: usize = 5;
const REQUESTS: usize = 50;

/// Allocations of one request, reallocations included.
const LIST: usize = 10;
const LIST_GZIP: usize = 10;
const LIST_UNCHANGED: usize = 10;
const FLAG: usize = 10;
const EVALUATION: usize = 11;
const EVALUATIONS: usize = 14;

#[test]
fn requests_allocate_a_small_constant() {
    let few = counts(10);
    let many = counts(1000);
    println!("allocations of a request, by 10 flags and by 1,000:");
    for ((name, bound, small), (_, _, large)) in few.iter().zip(&many) {
        println!("  {name:<16} {small:>3} {large:>3}, at most {bound}");
    }
    for ((name, bound, small), (_, _, large)) in few.iter().zip(&many) {
        assert!(small <= bound && large <= bound, "{name}: {small} and {large} allocations, at most {bound}");
        assert!(large <= small, "{name}: {small} allocations with 10 flags, {large} with 1,000");
    }
}

/// What each kind of request allocates, and may.
fn counts(flags: usize) -> Vec<(&'static str, usize, usize)> {
    let directory = tempfile::tempdir().unwrap();
    data::write_directory(directory.path(), 1, flags, data::SEGMENTS);
    let relay = TestRelay::offline(directory.path(), &["--grpc-address=off"]);
    let mut client = Client::connect(relay.sdk);
    let token = client.token();
    let get = |path: &str, headers: &str| {
        let path = format!("/client/env/{}/{path}", data::environment(0));
        format!("GET {path} HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer {token}\r\n{headers}\r\n").into_bytes()
    };
    let gzip = "Accept-Encoding: gzip\r\n";
    let (_, head) = client.exchange(&get("feature-configs", gzip));
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let conditional = format!("{gzip}If-None-Match: {etag}\r\n");
    let requests = [
        ("list", LIST, 200, get("feature-configs", "")),
        ("list, gzip", LIST_GZIP, 200, get("feature-configs", gzip)),
        ("list, unchanged", LIST_UNCHANGED, 304, get("feature-configs", &conditional)),
        ("one flag", FLAG, 200, get("feature-configs/flag_00007", "")),
        ("one evaluation", EVALUATION, 200, get("target/user_4711/evaluations/flag_00007", "")),
        ("all evaluations", EVALUATIONS, 200, get("target/user_4711/evaluations", "")),
    ];
    requests
        .iter()
        .map(|(name, bound, status, request)| (*name, *bound, client.allocations(request, *status)))
        .collect()
}

/// An SDK's connection. Asking allocates nothing.
struct Client {
    connection: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(relay: SocketAddr) -> Self {
        let connection = TcpStream::connect(relay).unwrap();
        connection.set_nodelay(true).unwrap();
        Client { connection, buffer: vec![0; 4 << 20] }
    }

    /// The token of an SDK that authenticates with a target.
    fn token(&mut self) -> String {
        let body = json!({"apiKey": data::sdk_key(0), "target": data::target()}).to_string();
        let head = format!("POST /client/auth HTTP/1.1\r\nHost: relay\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = self.ask(format!("{head}{body}").as_bytes());
        let json: Value = serde_json::from_slice(&self.buffer[answer.head..answer.end]).unwrap();
        json["authToken"].as_str().unwrap().to_owned()
    }

    fn exchange(&mut self, request: &[u8]) -> (u16, String) {
        let answer = self.ask(request);
        (answer.status, String::from_utf8(self.buffer[..answer.head].to_vec()).unwrap())
    }

    /// The rounded mean of the best batch.
    fn allocations(&mut self, request: &[u8], status: u16) -> usize {
        let batch = |_| {
            let region = Region::new(ALLOCATOR);
            for _ in 0..REQUESTS {
                assert_eq!(self.ask(request).status, status);
            }
            let change = region.change();
            (change.allocations + change.reallocations + REQUESTS / 2) / REQUESTS
        };
        // The first batch makes what is made once.
        (0..=BATCHES).map(batch).min().unwrap()
    }

    fn ask(&mut self, request: &[u8]) -> Answer {
        self.connection.write_all(request).unwrap();
        let mut read = 0;
        loop {
            let more = self.connection.read(&mut self.buffer[read..]).unwrap();
            assert!(more > 0, "the relay closed the connection");
            read += more;
            if let Some(answer) = Answer::of(&self.buffer[..read])
                && answer.end <= read
            {
                return answer;
            }
        }
    }
}

/// Where an answer's parts are.
#[derive(Clone, Copy)]
struct Answer {
    status: u16,
    head: usize,
    end: usize,
}

impl Answer {
    /// `None` while its head is not whole.
    fn of(bytes: &[u8]) -> Option<Self> {
        let head = bytes.windows(4).take(4096).position(|window| window == b"\r\n\r\n")? + 4;
        let text = std::str::from_utf8(&bytes[..head]).unwrap();
        let status = text[9..12].parse().unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = if status == 304 { 0 } else { length.unwrap().parse().unwrap() };
        Some(Answer { status, head, end: head + length })
    }
}
