//! Whether memory stays flat: requests whose targets, keys, paths and
//! headers are new each time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::answer::{Body, Expected};
use super::client::Client;
use super::options::Options;
use super::report::{Report, mib};
use super::routes::filled;
use super::scenario::TARGETS;
use super::site::Site;
use super::traffic::{Kind, NUMBER, Traffic};
use crate::workload::data;
use crate::workload::requests::{ask, authentication, get};

/// How often memory is looked at.
const LOOKS: u64 = 20;

pub fn run(options: &Options, report: &mut Report) {
    let site = Site::start(1, 1000, &[]);
    let mut traffic = Traffic::new(kinds(&site), 10 * TARGETS);
    let mut client = Client::connect(site.relay.address, 32);
    let (mut asked, mut looks) = (0, Vec::new());
    while asked < options.requests {
        asked += client.closed(&mut traffic, options.each).answered;
        if asked >= options.requests / LOOKS * looks.len() as u64 {
            looks.push((asked, site.relay.resident_kib()));
        }
    }
    for (asked, resident) in &looks {
        println!("  after {asked:>9} requests: {:.1} MiB", mib(*resident));
    }
    // The first half fills what is bounded: stored targets, unknown keys.
    let (half, last) = (looks[looks.len() / 2], looks[looks.len() - 1]);
    let text = format!("{:.1} MiB after {} requests, {:.1} MiB after {}", mib(half.1), half.0, mib(last.1), last.0);
    report.note("memory", &text, json!({"looks": looks}));
}

fn kinds(site: &Site) -> Vec<Kind> {
    let unknown_key = authentication(&format!("some-key-{NUMBER}"), None);
    let target = json!({"identifier": format!("somebody-{NUMBER}"), "attributes": {"plan": format!("p{NUMBER}")}});
    let mut requests = vec![
        unknown_key,
        authentication(&data::sdk_key(0), Some(&target)),
        site.data(&format!("target/user_{NUMBER}/evaluations"), ""),
        site.data(&format!("target/user_{NUMBER}/evaluations/flag_00007"), ""),
        site.data(&format!("feature-configs/no_flag_{NUMBER}"), ""),
        site.get(&format!("/no/path/{NUMBER}"), &format!("X-Header-{NUMBER}: {NUMBER}\r\n")),
        site.data("feature-configs/flag_00007", &format!("X-Request-ID: r{NUMBER}\r\n")),
        site.get(&format!("/client/env/no-environment-{NUMBER}/feature-configs"), ""),
        get(&format!("Bearer no.token.{NUMBER}"), "/client/env/bench-0000/feature-configs", ""),
    ];
    requests.extend((0..16).map(|number| {
        let target = json!({"identifier": format!("h{number}"), "attributes": {"plan": number}}).to_string();
        let header = format!("Harness-Target: {}\r\n", STANDARD.encode(target));
        site.data(&format!("target/h{NUMBER}/evaluations/flag_00007"), &header)
    }));
    let kind = |request: Vec<u8>| {
        let status = ask(site.relay.address, &filled(&request)).status;
        let body = Body::Shape { begins: Vec::new(), ends: Vec::new(), at_least: 0 };
        Kind { request, expected: Expected { status, body }, weight: 1 }
    };
    requests.into_iter().map(kind).collect()
}
