//! A stand-in for Harness with the sample's flags and groups, and a relay that has nothing but what it learns there.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::chaos_proxy::ChaosProxy;
use crate::fake_harness::FakeHarness;
use crate::relay_process::{self, RelayProcess};
use crate::sample_answers::{CLIENT_KEY, PRODUCTION, SERVER_KEY};
use crate::sdk_watch::eventually;

const NOTICED_WITHIN: Duration = Duration::from_secs(20);

pub struct OnlineSample {
    // Ended in this order, so that the relay does not miss the fake.
    pub relay: RelayProcess,
    pub fake: FakeHarness,
}

impl OnlineSample {
    /// Returns once the relay follows the fake's stream.
    pub fn start() -> Self {
        let fake = harness();
        let relay = relay(fake.api_key_options(&[SERVER_KEY]));
        let sample = Self { relay, fake };
        sample.relay_says("CONNECTED");
        sample
    }

    /// A way to the relay of its own for one SDK, so that its requests can be told from others.
    pub fn proxy(&self) -> ChaosProxy {
        ChaosProxy::to(self.relay.address())
    }

    /// Waits until the relay reports its stream from Harness so.
    pub fn relay_says(&self, state: &str) {
        eventually(NOTICED_WITHIN, &format!("the relay's /health says {state}"), || {
            let answer = self.relay.get("/health").map(|answer| answer.body).unwrap_or_default();
            let health: Value = serde_json::from_str(&answer).unwrap_or_default();
            health["environments"][0]["streamStatus"]["state"] == state
        });
    }
}

/// The sample's environment, with a key of either kind.
pub fn harness() -> FakeHarness {
    let fake = FakeHarness::start();
    fake.add_environment(PRODUCTION, SERVER_KEY);
    fake.add_key(PRODUCTION, CLIENT_KEY, "Client");
    sample("feature_config.json").into_iter().for_each(|flag| fake.create_flag(PRODUCTION, flag));
    sample("segments.json").into_iter().for_each(|segment| fake.create_segment(PRODUCTION, segment));
    fake
}

fn sample(file: &str) -> Vec<Value> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/offline");
    let path = examples.join(format!("env-{PRODUCTION}")).join(file);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A relay as a process. Short intervals bound the waits after an outage, which are random up to a minute otherwise.
pub fn relay(options: Vec<String>) -> RelayProcess {
    let more = ["--flag-poll-interval=5s", "--metric-post-duration=1s", "--grpc-address=off", "--shutdown-grace=2s"];
    let options = options.into_iter().chain(more.map(str::to_owned)).map(OsString::from);
    RelayProcess::start(&relay_process::binary(), &options.collect::<Vec<_>>())
}
