//! Changes from a stand-in for Harness: what SDKs' requests notice of many,
//! and how long one takes in a large environment.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::Client;
use super::limit::Work;
use super::options::Options;
use super::report::Report;
use super::routes::{filled, traffic};
use super::scenario::{TARGETS, Wish};
use super::traffic::NUMBER;
use crate::workload::data;
use crate::workload::figures::{Spread, median, millis};
use crate::workload::online::Online;
use crate::workload::requests::{ask, bearer, get};

const A_SECOND: u32 = 100;
const LARGE: usize = 5000;

pub fn run(options: &Options, report: &mut Report) {
    under_changes(options, report);
    one_of_many(options, report);
}

/// Requests at half of the highest rate, without changes and with.
fn under_changes(options: &Options, report: &mut Report) {
    let online = Online::start(1000, &[]);
    let bearer = bearer(online.relay.address, &data::sdk_key(0), None);
    let path = |rest: &str| format!("/client/env/{}/{rest}", data::environment(0));
    let wish = |rest: &str, headers: &str, weight: u32| Wish {
        request: get(&bearer, &path(rest), headers),
        work: Work::Verify,
        weight,
        varies: true,
    };
    let wishes = [
        wish("feature-configs", super::scenario::GZIP, 1),
        wish("feature-configs/flag_00007", "", 4),
        wish(&format!("target/user_{NUMBER}/evaluations/flag_00007"), "", 5),
    ];
    let captured: Vec<_> = wishes.iter().map(|it| ask(online.relay.address, &filled(&it.request))).collect();
    let mut traffic = traffic(&wishes, &captured, TARGETS);
    let mut client = Client::connect(online.relay.address, 32);
    let rate = client.closed(&mut traffic, options.each).rate() / 2.0;
    let (mut quiet, mut changing): (Vec<Spread>, Vec<Spread>) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        quiet.push(client.paced(&mut traffic, options.each, rate).spread());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| keep_changing(&online, &stop));
            changing.push(client.paced(&mut traffic, options.each, rate).spread());
            stop.store(true, Ordering::Relaxed);
        });
    }
    let of = |spreads: &[Spread], get: fn(&Spread) -> f64| median(spreads.iter().map(get));
    let (before, after) = (of(&quiet, |it| it.p99), of(&changing, |it| it.p99));
    let text = format!(
        "at {rate:.0} requests/s p99 {before:.3} ms, with {A_SECOND} changes a second {after:.3} ms: {:.1} times \
         (p50 {:.3} and {:.3} ms)",
        after / before,
        of(&quiet, |it| it.p50),
        of(&changing, |it| it.p50)
    );
    report.note("changes", &text, json!({"rate": rate, "quiet_p99_ms": before, "changing_p99_ms": after}));
}

fn keep_changing(online: &Online, stop: &AtomicBool) {
    let start = Instant::now();
    for change in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // Not the flags that are asked for.
        online.turn(100 + change as usize % 800);
        std::thread::sleep((Duration::from_secs(1) / A_SECOND * (change + 1)).saturating_sub(start.elapsed()));
    }
}

/// One flag of many changes at Harness; an SDK's stream says so.
fn one_of_many(options: &Options, report: &mut Report) {
    let online = Online::start(LARGE, &[]);
    let bearer = bearer(online.relay.address, &data::sdk_key(0), None);
    let mut stream = TcpStream::connect(online.relay.address).unwrap();
    let request = get(&bearer, "/stream", &format!("API-Key: {}\r\n", data::sdk_key(0)));
    stream.write_all(&request).unwrap();
    let mut stream = BufReader::new(stream);
    let mut wait_for = |wanted: &str| {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert!(stream.read_line(&mut line).unwrap() > 0, "the stream has ended");
        }
    };
    wait_for(":");
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    for change in 0..options.rounds * 20 {
        let before = online.relay.cpu();
        let changed = Instant::now();
        let (name, version) = online.turn(change % LARGE);
        wait_for(&format!("\"identifier\":\"{name}\",\"version\":{version}"));
        times.push(changed.elapsed());
        cpu.push(millis(online.relay.cpu_since(before)));
    }
    let spread = Spread::of(times);
    let cpu = median(cpu);
    let text = format!(
        "one flag of {LARGE} at Harness: at an SDK's stream after {:.2} ms, p99 {:.2} ms; {cpu:.2} ms CPU of the relay",
        spread.p50, spread.p99
    );
    report.note("change", &text, json!({"flags": LARGE, "p50_ms": spread.p50, "p99_ms": spread.p99, "cpu_ms": cpu}));
}
