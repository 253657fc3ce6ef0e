//! How cost grows: with flags, environments and targets.

use serde_json::json;

use super::client::Client;
use super::limit::Work;
use super::options::Options;
use super::report::{Report, mib};
use super::routes::{filled, traffic};
use super::scenario::{GZIP, Wish, any_evaluations, flags};
use super::site::Site;
use super::traffic::{NUMBER, Traffic};
use crate::workload::data;
use crate::workload::process::Pinned;
use crate::workload::requests::{ask, authentication};

pub fn run(options: &Options, report: &mut Report) {
    for count in [10, 100, 1000, 5000] {
        with_flags(count, options, report);
    }
    for count in [1, 10, 100, 1000] {
        with_environments(count, options, report);
    }
    with_targets(options, report);
}

fn with_flags(count: usize, options: &Options, report: &mut Report) {
    let site = Site::start(1, count, &[]);
    let list = cpu_us(&site, vec![flags(&site, GZIP)], options);
    let one = cpu_us(&site, vec![wish(&site, "feature-configs/flag_00007")], options);
    let evaluations = cpu_us(&site, vec![any_evaluations(&site)], options);
    let resident = site.relay.resident_kib();
    let text = format!(
        "{count} flags: list {list:.1} µs, one flag {one:.1} µs, all evaluations {evaluations:.1} µs, {:.1} MiB",
        mib(resident)
    );
    let figures = json!({
        "by": "flags", "count": count, "list_us": list, "flag_us": one, "evaluations_us": evaluations,
        "resident_kib": resident,
    });
    report.note("growth", &text, figures);
}

fn with_environments(count: usize, options: &Options, report: &mut Report) {
    let directory = tempfile::tempdir().unwrap();
    data::write_directory_of(data::simple_flag, directory.path(), count, super::start::FLAGS_EACH, 1);
    let arguments = ["--offline".to_owned(), format!("--config-dir={}", directory.path().display())];
    let relay = Pinned::relay(&arguments);
    let ready = relay.becomes_ready().as_secs_f64() * 1e3;
    let site = Site::of(relay, directory);
    let one = cpu_us(&site, vec![wish(&site, "feature-configs/flag_00007")], options);
    let resident = site.relay.resident_kib();
    let text =
        format!("{count} environments: ready after {ready:.0} ms, one flag {one:.1} µs, {:.1} MiB", mib(resident));
    let figures =
        json!({"by": "environments", "count": count, "ready_ms": ready, "flag_us": one, "resident_kib": resident});
    report.note("growth", &text, figures);
}

/// Each target authenticates, and is kept from then on.
fn with_targets(options: &Options, report: &mut Report) {
    for count in [1, 1000, 10_000, 100_000] {
        let site = Site::start(1, 100, &[]);
        let target = json!({"identifier": format!("user_{NUMBER}"), "attributes": {"plan": "enterprise", "age": 42}});
        let request = authentication(&data::sdk_key(0), Some(&target));
        let mut learn = drawn(&site, vec![Wish { request, work: Work::Sign, weight: 1, varies: true }], count);
        let mut client = Client::connect(site.relay.address, 32);
        let mut asked = 0;
        // Drawn at random: after three times as many nearly each has come.
        while asked < 3 * count {
            asked += client.closed(&mut learn, options.each / 4).answered;
        }
        let one = format!("target/user_{NUMBER}/evaluations/flag_00007");
        let mut traffic = drawn(&site, vec![Wish { varies: true, ..wish(&site, &one) }], count);
        let cost = drive(&site, &mut traffic, options);
        let resident = site.relay.resident_kib();
        let text = format!("{count} targets: one evaluation {cost:.1} µs, {:.1} MiB", mib(resident));
        let figures = json!({"by": "targets", "count": count, "evaluation_us": cost, "resident_kib": resident});
        report.note("growth", &text, figures);
    }
}

fn wish(site: &Site, path: &str) -> Wish {
    Wish { request: site.data(path, ""), work: Work::Verify, weight: 1, varies: false }
}

fn drawn(site: &Site, wishes: Vec<Wish>, numbers: u64) -> Traffic {
    let captured: Vec<_> = wishes.iter().map(|wish| ask(site.relay.address, &filled(&wish.request))).collect();
    traffic(&wishes, &captured, numbers)
}

/// Processor time of one request.
fn cpu_us(site: &Site, wishes: Vec<Wish>, options: &Options) -> f64 {
    drive(site, &mut drawn(site, wishes, super::scenario::TARGETS), options)
}

fn drive(site: &Site, traffic: &mut Traffic, options: &Options) -> f64 {
    let mut client = Client::connect(site.relay.address, 32);
    client.closed(traffic, options.each / 4);
    let before = site.relay.cpu();
    let answered = client.closed(traffic, options.each).answered;
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    let cost = site.relay.cpu_since(before).as_secs_f64() * 1e6 / answered as f64;
    cost
}
