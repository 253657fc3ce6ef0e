//! Harness goes away and comes back with something changed. The SDKs must not notice more than the change: they keep the stream
//! they have, and an application that starts meanwhile is served like any other. What they counted reaches Harness in full.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::fake_harness::FakeHarness;
use crate::online_sample::OnlineSample;
use crate::sample_answers::{PRODUCTION, targets};
use crate::sdk_counts::{COUNTED, counted_in_full};
use crate::sdk_outcomes::Report;
use crate::sdk_process::{Sdk, SdkProcess};
use crate::sdk_watch::{
    Watch, answers_as_the_sample_says, eventually, exclude, has_not_polled, one_stream_is_open, start_sdk,
};

/// Longer than Node and Go wait for a sign of life (30 s), which therefore must come from the relay itself.
const OUTAGE: Duration = Duration::from_secs(33);
/// When another application starts: late, so that its metrics have not been tried long when Harness is back.
const ANOTHER_STARTS_AFTER: Duration = Duration::from_secs(24);
/// The relay's poll interval and what a busy machine adds.
const CHANGED_WITHIN: Duration = Duration::from_secs(20);

pub fn run(sdk: Sdk) -> Report {
    let sample = OnlineSample::start();
    let proxy = sample.proxy();
    let mut ada = Watch { process: start_sdk(sdk, &proxy, &targets()[0]), report: Report::new() };
    knows_the_sample(sdk, &mut ada.process);
    assert_eq!(proxy.made("GET /stream"), 1, "{} opens one stream", sdk.name());
    let before = proxy.requests().len();

    sample.fake.stop();
    let stopped = Instant::now();
    sample.relay_says("DISCONNECTED");
    change_silently(&sample.fake);
    eventually(OUTAGE, "time passes", || stopped.elapsed() > ANOTHER_STARTS_AFTER);
    let another = another_application(sdk, &sample, &mut ada.report);
    eventually(OUTAGE, "time passes", || stopped.elapsed() > OUTAGE);
    knows_the_sample(sdk, &mut ada.process);
    ada.report.push(format!("Harness was away for {:.1?}", stopped.elapsed()));

    sample.fake.restart();
    ada.sees("a flag changed meanwhile", CHANGED_WITHIN, "number", COUNTED, &json!(0));
    ada.sees("a group changed meanwhile", CHANGED_WITHIN, "number", "free-shipping-threshold", &json!(50));
    one_stream_is_open(&proxy);
    assert_eq!(proxy.made("GET /stream"), 1, "{} has opened its stream anew", sdk.name());
    has_not_polled(sdk, &proxy.requests().split_off(before));

    let asked = ada.process.asked(COUNTED) + another;
    ada.process.close();
    if sdk.sends_metrics_when_closed() {
        ada.report.push(counted_in_full(sdk, &sample.fake, asked));
    }
    ada.report
}

/// Starts, is served, and ends without Harness. Says how often it asked for the flag that is counted.
fn another_application(sdk: Sdk, sample: &OnlineSample, report: &mut Report) -> i64 {
    let since = Instant::now();
    let proxy = sample.proxy();
    let mut process = start_sdk(sdk, &proxy, &targets()[0]);
    report.push(format!("another application: ready after {:.1?}", since.elapsed()));
    knows_the_sample(sdk, &mut process);
    let asked = process.asked(COUNTED);
    process.close();
    asked
}

/// A browser has the flags of one target; to become another it would open a new stream.
fn knows_the_sample(sdk: Sdk, process: &mut SdkProcess) {
    answers_as_the_sample_says(sdk, process, if sdk.is_client_side() { 1 } else { targets().len() });
}

fn change_silently(fake: &FakeHarness) {
    fake.silently(|| {
        fake.patch_flag(PRODUCTION, COUNTED, |flag| flag["defaultServe"]["variation"] = json!("none"));
        fake.patch_segment(PRODUCTION, "premium-customers", |segment| exclude(segment, "ada"));
    });
}
