//! From the start to ready, and from a file to its snapshot.

use std::time::{Duration, Instant};

use serde_json::json;

use super::options::Options;
use super::report::{Report, mib};
use super::site::Site;
use crate::workload::data;
use crate::workload::figures::{median, millis};
use crate::workload::process::Pinned;
use crate::workload::requests::ask;

pub const ENVIRONMENTS: usize = 1000;
pub const FLAGS_EACH: usize = 30;
const LARGE: usize = 5000;

type MakeFlag = fn(&str, usize) -> serde_json::Value;

/// Flags as most are, and flags of every kind: regular expressions cost the
/// most to compile.
const FLAGS: [(&str, MakeFlag); 2] = [("simple", data::simple_flag), ("mixed", data::flag)];

pub fn run(options: &Options, report: &mut Report) {
    for (kind, make) in FLAGS {
        let directory = tempfile::tempdir().unwrap();
        data::write_directory_of(make, directory.path(), ENVIRONMENTS, FLAGS_EACH, 1);
        let arguments = ["--offline".to_owned(), format!("--config-dir={}", directory.path().display())];
        for cores in ["0", "0,1"] {
            start(kind, cores, &arguments, options, report);
        }
    }
}

fn start(kind: &str, cores: &str, arguments: &[String], options: &Options, report: &mut Report) {
    let once = |_| {
        let relay = Pinned::relay_on(cores, arguments);
        (millis(relay.becomes_ready()), millis(relay.cpu()), relay.resident_kib())
    };
    let runs: Vec<_> = (0..options.rounds).map(once).collect();
    let ready = median(runs.iter().map(|run| run.0));
    let cpu = median(runs.iter().map(|run| run.1));
    let resident = runs.iter().map(|run| run.2).max().unwrap();
    let text = format!(
        "{ENVIRONMENTS} environments of {FLAGS_EACH} {kind} flags on cores {cores}: ready after {ready:.0} ms \
         ({cpu:.0} ms CPU), {:.1} MiB",
        mib(resident)
    );
    let figures = json!({"kind": kind, "cores": cores, "ready_ms": ready, "cpu_ms": cpu, "resident_kib": resident});
    report.note("start", &text, figures);
}

/// One flag of many changes in a file; two looks of the watch, a second
/// apart, come before the relay reads it.
pub fn reload(options: &Options, report: &mut Report) {
    let site = Site::start(1, LARGE, &["--config-reload=true"]);
    let id = data::environment(0);
    let file = site.directory().join(format!("env-{id}")).join("feature_config.json");
    let mut flags = data::flags(&id, LARGE);
    let once = |round: usize| {
        let version = 100 + round;
        flags[LARGE / 2]["version"] = json!(version);
        let text = serde_json::to_vec(&flags).unwrap();
        // The watch's own looks cost something too.
        let idle = cpu_of_a_second(&site.relay);
        let before = site.relay.cpu();
        std::fs::write(file.with_extension("new"), text).unwrap();
        std::fs::rename(file.with_extension("new"), &file).unwrap();
        let renamed = Instant::now();
        let request = site.data(&format!("feature-configs/flag_{:05}", LARGE / 2), "");
        let wanted = format!("\"version\":{version}");
        while !String::from_utf8_lossy(&ask(site.relay.address, &request).body).contains(&wanted) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let took = renamed.elapsed();
        (millis(took), millis(site.relay.cpu_since(before)) - idle * took.as_secs_f64())
    };
    let runs: Vec<_> = (0..options.rounds).map(once).collect();
    let (live, cpu) = (median(runs.iter().map(|run| run.0)), median(runs.iter().map(|run| run.1)));
    let text =
        format!("one flag of {LARGE} in a file: served after {live:.0} ms, of which {cpu:.1} ms are work on one core");
    report.note("reload", &text, json!({"live_ms": live, "cpu_ms": cpu}));
}

fn cpu_of_a_second(relay: &Pinned) -> f64 {
    let before = relay.cpu();
    std::thread::sleep(Duration::from_secs(1));
    millis(relay.cpu_since(before))
}
