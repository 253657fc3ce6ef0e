//! What SDKs counted, as Harness has it.

use std::thread;
use std::time::{Duration, Instant};

use crate::fake_harness::FakeHarness;
use crate::sample_answers::PRODUCTION;
use crate::sdk_process::Sdk;

/// A flag without prerequisites: where those are not met, some SDKs do not count the evaluation.
pub const COUNTED: &str = "discount-percent";
/// A relay tries a refused batch again after 1 s, 2 s, 4 s … and sends new ones once a second.
const METRICS_WITHIN: Duration = Duration::from_secs(40);

/// No evaluation is lost, and none is counted twice.
pub fn counted_in_full(sdk: Sdk, fake: &FakeHarness, asked: i64) -> String {
    let since = Instant::now();
    while fake.counted(PRODUCTION, COUNTED) < asked && since.elapsed() < METRICS_WITHIN {
        thread::sleep(Duration::from_millis(100));
    }
    let counted = fake.counted(PRODUCTION, COUNTED);
    assert_eq!(counted, asked, "{}: what Harness counts, {:.1?} after the end", sdk.name(), since.elapsed());
    format!("{asked} evaluations of {COUNTED} counted, the last {:.1?} after the end", since.elapsed())
}
