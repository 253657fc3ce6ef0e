//! What can be measured.

use serde_json::{Value, json};

use super::limit::Work;
use super::options::Options;
use super::report::Report;
use super::site::Site;
use super::traffic::NUMBER;
use super::{changes, churn, growth, memory, start};
use crate::workload::data;
use crate::workload::requests::{ask, authentication};

/// Requests of one kind: how much of the answer depends on the request, and
/// what a limit server has to do for it.
pub struct Wish {
    pub request: Vec<u8>,
    pub work: Work,
    pub weight: u32,
    pub varies: bool,
}

/// A route, or a mix of them, beside a limit server.
pub struct Scenario {
    pub name: &'static str,
    pub flags: usize,
    pub connections: usize,
    pub wishes: fn(&Site) -> Vec<Wish>,
}

type Special = fn(&Options, &mut Report);

/// Measured by code of their own.
pub const SPECIAL: &[(&str, Special)] = &[
    ("churn", churn::run),
    ("changes", changes::run),
    ("start", start::run),
    ("reload", start::reload),
    ("growth", growth::run),
    ("memory", memory::run),
];

const fn of(name: &'static str, flags: usize, wishes: fn(&Site) -> Vec<Wish>) -> Scenario {
    Scenario { name, flags, connections: 32, wishes }
}

pub const ROUTES: &[Scenario] = &[
    of("health", 1000, |site| vec![one(Work::None, site.get("/health", "")).varying()]),
    of("auth", 1000, |_| vec![one(Work::Sign, authentication(&data::sdk_key(0), None)).varying()]),
    of("auth-target", 1000, |_| {
        vec![one(Work::Sign, authentication(&data::sdk_key(0), Some(&some_target()))).varying()]
    }),
    of("flags-plain-10", 10, |site| vec![flags(site, "")]),
    of("flags-gzip-10", 10, |site| vec![flags(site, GZIP)]),
    of("flags-304-10", 10, |site| vec![unchanged(site)]),
    of("flags-plain", 1000, |site| vec![flags(site, "")]),
    of("flags-gzip", 1000, |site| vec![flags(site, GZIP)]),
    of("flags-304", 1000, |site| vec![unchanged(site)]),
    of("flag", 1000, |site| vec![one(Work::Verify, site.data("feature-configs/flag_00007", ""))]),
    of("segments", 1000, |site| vec![segments(site)]),
    of("evaluation", 1000, |site| vec![one(Work::Verify, site.data("target/user_4711/evaluations/flag_00007", ""))]),
    of("evaluation-random", 1000, |site| vec![any_evaluation(site)]),
    of("evaluations", 1000, |site| vec![one(Work::Verify, site.data("target/user_4711/evaluations", ""))]),
    of("evaluations-random", 1000, |site| vec![any_evaluations(site)]),
    of("metrics", 1000, |site| vec![metrics(site)]),
    Scenario { name: "mixed", flags: 1000, connections: 1000, wishes: mixed },
];

pub const GZIP: &str = "Accept-Encoding: gzip\r\n";

/// How many targets random ones are drawn of.
pub const TARGETS: u64 = 100_000;

pub fn print_names() {
    let names = ROUTES.iter().map(|it| it.name).chain(SPECIAL.iter().map(|(name, _)| *name));
    println!("scenarios: {}", names.collect::<Vec<_>>().join(" "));
}

fn one(work: Work, request: Vec<u8>) -> Wish {
    Wish { request, work, weight: 1, varies: false }
}

impl Wish {
    fn varying(self) -> Self {
        Wish { varies: true, ..self }
    }

    fn weighing(self, weight: u32) -> Self {
        Wish { weight, ..self }
    }
}

pub fn flags(site: &Site, headers: &str) -> Wish {
    one(Work::Verify, site.data("feature-configs", headers))
}

fn unchanged(site: &Site) -> Wish {
    let answer = ask(site.relay.address, &flags(site, GZIP).request);
    let etag = answer.headers.iter().find(|(name, _)| name == "etag").unwrap().1.clone();
    flags(site, &format!("{GZIP}If-None-Match: {etag}\r\n"))
}

fn segments(site: &Site) -> Wish {
    one(Work::Verify, site.data("target-segments?rules=v2", ""))
}

fn any_evaluation(site: &Site) -> Wish {
    one(Work::Verify, site.data(&format!("target/user_{NUMBER}/evaluations/flag_00007"), "")).varying()
}

pub fn any_evaluations(site: &Site) -> Wish {
    one(Work::Verify, site.data(&format!("target/user_{NUMBER}/evaluations"), "")).varying()
}

fn some_target() -> Value {
    let mut target = data::target();
    target["identifier"] = json!(format!("user_{NUMBER}"));
    target
}

/// What an SDK reports of a minute: ten flags, one target.
pub fn metrics(site: &Site) -> Wish {
    let pair = |key: &str, value: &str| json!({"key": key, "value": value});
    let row = |at: usize| {
        let flag = format!("flag_{at:05}");
        json!({"timestamp": 1_700_000_000_000_u64, "count": 17, "metricsType": "FFMETRICS", "attributes": [
            pair("featureIdentifier", &flag), pair("featureName", &flag), pair("variationIdentifier", "true"),
            pair("featureValue", "true"), pair("target", "__global__cf_target"), pair("SDK_TYPE", "server"),
            pair("SDK_LANGUAGE", "go"), pair("SDK_VERSION", "0.1.25"),
        ]})
    };
    let target = json!({"identifier": "user_4711", "name": "Somebody", "attributes": [pair("plan", "enterprise")]});
    let body = json!({"metricsData": (0..10).map(row).collect::<Vec<_>>(), "targetData": [target]});
    one(Work::Verify, site.post(&format!("/metrics/{}?cluster=1", data::environment(0)), &body))
}

/// A thousand SDKs, of which most poll and report, some start, and some
/// heard of a change.
fn mixed(site: &Site) -> Vec<Wish> {
    vec![
        flags(site, GZIP).weighing(10),
        unchanged(site).weighing(10),
        segments(site).weighing(20),
        metrics(site).weighing(25),
        one(Work::Verify, site.data("feature-configs/flag_00007", "")).weighing(10),
        any_evaluation(site).weighing(15),
        any_evaluations(site).weighing(5),
        one(Work::Sign, authentication(&data::sdk_key(0), Some(&some_target()))).varying().weighing(4),
        one(Work::None, site.get("/health", "")).varying().weighing(1),
    ]
}
