//! What one SDK is put through. Two relays run beside each other: one is left alone, to see answers, a stable stream and metrics;
//! the other is edited, cut off and restarted, to see that every change arrives.

use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::chaos_proxy::ChaosProxy;
use crate::sample_answers::{PRODUCTION, targets};
use crate::sample_relay::SampleRelay;
use crate::sdk_outcomes::Report;
use crate::sdk_process::{Question, Sdk, SdkProcess};
use crate::sdk_watch::{
    READY_WITHIN, RECONNECTED_WITHIN, Watch, answers_as_the_sample_says, eventually, exclude, has_not_polled,
    one_stream_is_open, start_sdk,
};

/// Longer than any SDK waits for a sign of life: Go and Node 30 s, the browser 30 s (looked at every 30 s), Python and Java 60 s.
const STABLE_FOR: Duration = Duration::from_secs(65);
/// Every SDK sends metrics once a minute at most, Java the first time after half of one.
const METRICS_WITHIN: Duration = Duration::from_secs(75);
/// Far less than the hour between polls that the drivers set, and less than the minute that some SDKs make of it.
const CHANGED_WITHIN: Duration = Duration::from_secs(40);
/// Node asks again for ever with a refused key, so its driver gives up by itself.
const GIVE_UP_AFTER: Duration = Duration::from_secs(15);
/// The start of the runtime included, which takes its time where many start at once.
const REFUSED_WITHIN: Duration = Duration::from_secs(75);

/// Both halves at once; a panic in either is the SDK's failure.
pub fn run(sdk: Sdk) -> Report {
    thread::scope(|scope| {
        let undisturbed = scope.spawn(move || undisturbed(sdk));
        let disturbed = scope.spawn(move || disturbed(sdk));
        let reports = [undisturbed.join(), disturbed.join()];
        reports.map(|report| report.unwrap_or_else(|panic| resume_unwind(panic))).concat()
    })
}

/// Right values, a stream that stays, metrics that are taken, and a wrong key that is refused.
fn undisturbed(sdk: Sdk) -> Report {
    let sample = SampleRelay::start();
    let targets = targets();
    let mut process = start_sdk(sdk, &sample.proxy, &targets[0]);
    answers_as_the_sample_says(sdk, &mut process, targets.len());

    one_stream_is_open(&sample.proxy);
    let streams = sample.proxy.made("GET /stream");
    let stable_since = Instant::now();
    wrong_key_is_refused(sdk, &sample.proxy);
    let refused = sample.proxy.made("GET /stream") - streams;
    assert_eq!(refused, 0, "{} opens a stream with a wrong key", sdk.name());

    eventually(STABLE_FOR + Duration::from_secs(5), "time passes", || {
        assert_eq!(sample.proxy.made("GET /stream"), streams, "{} has opened its stream anew", sdk.name());
        assert_eq!(sample.proxy.open("GET /stream"), 1, "{} has lost its stream", sdk.name());
        stable_since.elapsed() > STABLE_FOR
    });
    let taken = || {
        let labels = ["url=\"/metrics/", "method=\"POST\"", "code=\"200\""];
        sample.relay.metric("ff_proxy_http_requests_total", &labels)
    };
    eventually(METRICS_WITHIN, "the relay takes metrics with 200", || taken() >= 1.0);
    process.close();
    vec![format!("one stream for {:.0?}, {} metrics requests taken", stable_since.elapsed(), taken())]
}

/// The driver says `failed`, or the SDK goes on with defaults; either way it neither crashes nor hangs.
fn wrong_key_is_refused(sdk: Sdk, proxy: &ChaosProxy) {
    let target = &targets()[0];
    let mut process = SdkProcess::start(sdk, &proxy.url(), "a-key-that-nobody-issued", target, GIVE_UP_AFTER);
    let first = process.first_event(REFUSED_WITHIN);
    assert!(first["event"] == "failed" || first["event"] == "ready", "{}: {first}", sdk.name());
    let question = Question { flag: "theme", kind: "string", target, default: json!("the default") };
    assert_eq!(process.variation(&question), "the default", "{} with a wrong key", sdk.name());
    process.close();
}

/// Changes arrive through the stream, after it was cut, and after the relay was restarted.
fn disturbed(sdk: Sdk) -> Report {
    let sample = SampleRelay::start();
    let process = start_sdk(sdk, &sample.proxy, &targets()[0]);
    let mut ada = Watch { process, report: Report::new() };
    ada.sees("the first value", READY_WITHIN, "number", "discount-percent", &json!(2.5));
    changes_arrive_through_the_stream(sdk, &sample, &mut ada);
    change_arrives_after_a_cut(&sample, &mut ada);

    let sample = sample.restart_after(|config| {
        config.change_flag(PRODUCTION, "theme", |flag| flag["rules"] = json!([]));
    });
    ada.sees("a change made during a restart", RECONNECTED_WITHIN, "string", "theme", &json!("maple"));
    one_stream_is_open(&sample.proxy);
    ada.process.close();
    ada.report
}

fn changes_arrive_through_the_stream(sdk: Sdk, sample: &SampleRelay, ada: &mut Watch) {
    let before = sample.proxy.requests().len();
    sample.config.change_flag(PRODUCTION, "discount-percent", |flag| {
        flag["defaultServe"]["variation"] = json!("none");
    });
    ada.sees("a changed flag", CHANGED_WITHIN, "number", "discount-percent", &json!(0));

    sample.config.change_segment(PRODUCTION, "premium-customers", |segment| exclude(segment, "ada"));
    ada.sees("a changed group", CHANGED_WITHIN, "number", "free-shipping-threshold", &json!(50));

    sample.config.add_flag(PRODUCTION, loyalty_program());
    ada.sees("a new flag", CHANGED_WITHIN, "boolean", "loyalty-program", &json!(true));

    has_not_polled(sdk, &sample.proxy.requests().split_off(before));
}

fn change_arrives_after_a_cut(sample: &SampleRelay, ada: &mut Watch) {
    let version = sample.served_version("greeting");
    sample.proxy.cut();
    sample.config.change_flag(PRODUCTION, "greeting", |flag| flag["variationToTargetMap"] = json!([]));
    eventually(CHANGED_WITHIN, "the relay has read the change", || sample.served_version("greeting") > version);
    sample.proxy.restore();
    ada.sees("a change made during a cut", RECONNECTED_WITHIN, "string", "greeting", &json!("Welcome!"));
    one_stream_is_open(&sample.proxy);
}

fn loyalty_program() -> Value {
    json!({
        "feature": "loyalty-program", "kind": "boolean", "project": "storefront", "environment": "production", "state": "on",
        "defaultServe": {"variation": "true"}, "offVariation": "false", "prerequisites": [], "rules": [], "variationToTargetMap": [],
        "variations": [{"identifier": "true", "value": "true"}, {"identifier": "false", "value": "false"}], "version": 1
    })
}
