//! What SDKs report, and what Harness counts of it.

use serde_json::{Value, json};

use crate::fake_harness::FakeHarness;
use crate::setup::Sdk;
use crate::support::client::post;
use crate::support::configuration::ENVIRONMENT;
use crate::support::wait_for;

pub const SOON: &str = "--metric-post-duration=100ms";

pub fn row(flag: &str, target: &str, count: i64) -> Value {
    let pair = |key: &str, value: &str| json!({"key": key, "value": value});
    json!({
        "timestamp": 1_700_000_000_000_i64, "count": count, "metricsType": "FFMETRICS",
        "attributes": [
            pair("featureIdentifier", flag), pair("featureName", flag), pair("variationIdentifier", "true"),
            pair("target", target), pair("SDK_TYPE", "server"), pair("SDK_LANGUAGE", "test"), pair("SDK_VERSION", "1.2.3"),
        ],
    })
}

impl Sdk {
    pub fn report(&self, rows: &[Value]) {
        let targets = json!([{"identifier": "pat", "name": "Pat", "attributes": []}]);
        let body = json!({"metricsData": rows, "targetData": targets}).to_string();
        let path = format!("/metrics/{}", self.environment);
        let reply = post(self.relay, &path, &[("Authorization", &self.authorization)], &body);
        assert_eq!((reply.status, reply.text().trim()), (200, "null"));
    }

    pub fn used(&self, flag: &str, count: i64) {
        self.report(&[row(flag, "pat", count)]);
    }
}

pub fn arrives(fake: &FakeHarness, flag: &str, count: i64) {
    wait_for(&format!("{count} evaluations of {flag}"), || (fake.counted(ENVIRONMENT, flag) >= count).then_some(()));
    assert_eq!(fake.counted(ENVIRONMENT, flag), count);
}
