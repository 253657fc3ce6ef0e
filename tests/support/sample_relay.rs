//! A relay with a copy of `examples/offline` that can be changed, behind a proxy that can be cut.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chaos_proxy::ChaosProxy;
use crate::config_copy::ConfigCopy;
use crate::relay_process::{self, RelayProcess};
use crate::sample_answers::{PRODUCTION, SERVER_KEY};

pub struct SampleRelay {
    pub config: ConfigCopy,
    data: TempDir,
    pub relay: RelayProcess,
    pub proxy: ChaosProxy,
}

impl SampleRelay {
    pub fn start() -> Self {
        let config = ConfigCopy::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/offline"));
        let data = TempDir::new().unwrap();
        let relay = start_relay(&config, &data);
        let proxy = ChaosProxy::to(relay.address());
        Self { config, data, relay, proxy }
    }

    /// Stops the relay, and starts it again with the same state once the configuration was changed.
    pub fn restart_after(self, change: impl FnOnce(&ConfigCopy)) -> Self {
        let Self { config, data, relay, proxy } = self;
        let status = relay.stop();
        assert!(status.success(), "the relay ended with {status}");
        change(&config);
        let relay = start_relay(&config, &data);
        proxy.point_at(relay.address());
        Self { config, data, relay, proxy }
    }

    /// The version that the relay itself serves now.
    pub fn served_version(&self, flag: &str) -> u64 {
        let credentials = json!({"apiKey": SERVER_KEY}).to_string();
        let headers = [("Content-Type", "application/json")];
        let token: Value =
            serde_json::from_str(&self.relay.request("POST", "/client/auth", &headers, &credentials).unwrap().body)
                .unwrap();
        let bearer = format!("Bearer {}", token["authToken"].as_str().unwrap());
        let path = format!("/client/env/{PRODUCTION}/feature-configs/{flag}");
        let answer = self.relay.request("GET", &path, &[("Authorization", &bearer)], "").unwrap();
        serde_json::from_str::<Value>(&answer.body).unwrap()["version"].as_u64().unwrap()
    }
}

fn start_relay(config: &ConfigCopy, data: &TempDir) -> RelayProcess {
    let option = |name: &str, path: &Path| {
        let mut option = OsString::from(name);
        option.push(path);
        option
    };
    RelayProcess::start(
        &relay_process::binary(),
        &[
            "--offline".into(),
            option("--config-dir=", config.path()),
            option("--data-dir=", data.path()),
            "--config-reload=true".into(),
            "--grpc-address=off".into(),
            "--shutdown-grace=2s".into(),
        ],
    )
}
