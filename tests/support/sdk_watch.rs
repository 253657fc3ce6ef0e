//! Starting an SDK against a relay with the sample's flags, and looking at what it sees.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::chaos_proxy::ChaosProxy;
use crate::sample_answers::{CLIENT_KEY, SERVER_KEY, flags, same, targets};
use crate::sdk_outcomes::Report;
use crate::sdk_process::{Question, Sdk, SdkProcess};

/// Generous, because many runtimes start at the same time on what may be two busy cores.
pub const READY_WITHIN: Duration = Duration::from_mins(2);
/// Back-off included: the browser waits up to 30 s before it connects again, Node 5 to 10 s more at every attempt.
pub const RECONNECTED_WITHIN: Duration = Duration::from_secs(100);

/// Returns once the SDK is ready and its stream is open.
pub fn start_sdk(sdk: Sdk, proxy: &ChaosProxy, target: &Value) -> SdkProcess {
    let key = if sdk.is_client_side() { CLIENT_KEY } else { SERVER_KEY };
    let process = SdkProcess::start(sdk, &proxy.url(), key, target, READY_WITHIN);
    let first = process.first_event(READY_WITHIN + Duration::from_secs(10));
    assert_eq!(first["event"], "ready", "{}: {first}", sdk.name());
    one_stream_is_open(proxy);
    process
}

pub fn one_stream_is_open(proxy: &ChaosProxy) {
    eventually(RECONNECTED_WITHIN, "one stream is open", || proxy.open("GET /stream") == 1);
}

/// Every flag of the sample for the first of its targets, which a browser becomes one after the other.
pub fn answers_as_the_sample_says(sdk: Sdk, process: &mut SdkProcess, for_targets: usize) {
    for (index, target) in targets().iter().enumerate().take(for_targets) {
        if sdk.is_client_side() && index > 0 {
            process.become_target(target, READY_WITHIN);
        }
        for sample in flags() {
            let question = Question { flag: sample.flag, kind: sample.kind, target, default: sample.default(index) };
            let value = process.variation(&question);
            // This SDK does not ask for `rules=v2`, so a group that needs an "and" has nobody in it.
            let expected =
                if sdk == Sdk::Java && sample.flag == "partner-portal" { &json!(false) } else { &sample.values[index] };
            assert!(
                same(&value, expected),
                "{}: {} for {} is {value}, not {expected}",
                sdk.name(),
                sample.flag,
                target["identifier"]
            );
        }
    }
}

/// What the SDK of the target `ada` sees.
pub struct Watch {
    pub process: SdkProcess,
    pub report: Report,
}

impl Watch {
    pub fn sees(&mut self, what: &str, within: Duration, kind: &str, flag: &str, expected: &Value) {
        let target = &targets()[0];
        let default = match kind {
            "boolean" => json!(*expected != true),
            "number" => json!(-1.0),
            _ => json!("the default"),
        };
        let since = Instant::now();
        eventually(within, what, || {
            let question = Question { flag, kind, target, default: default.clone() };
            same(&self.process.variation(&question), expected)
        });
        self.report.push(format!("{what}: seen after {:.1?}", since.elapsed()));
    }
}

/// Takes an identifier out of a group whatever its rules say.
pub fn exclude(segment: &mut Value, identifier: &str) {
    let target = json!({"identifier": identifier, "name": identifier, "account": "", "org": "", "project": "", "environment": ""});
    segment["excluded"] = json!([target]);
}

/// That an SDK was told about a change, and has not found it by asking for all flags as it does once an hour. (A browser's
/// request for all results may also be its answer to a changed group, and does not count.)
pub fn has_not_polled(sdk: Sdk, requests: &[String]) {
    let is_poll = |line: &&String| line.contains("/feature-configs?") || line.contains("/feature-configs ");
    let polls: Vec<&String> = requests.iter().filter(is_poll).collect();
    assert!(polls.is_empty(), "{} polled instead of being told: {polls:?}", sdk.name());
    // The events brought what it needs.
    let evaluations: Vec<&String> = requests.iter().filter(|line| line.contains("/evaluations")).collect();
    assert!(evaluations.is_empty(), "{} asked though it was told: {evaluations:?}", sdk.name());
}

pub fn eventually(within: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < within, "not within {within:?}: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}
