//! A fake with something in it, a relay that follows it, and an SDK's view of that relay.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake_harness::FakeHarness;
use crate::support::client::{Reply, get, post};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean};
use crate::support::events::Events;
use crate::support::relay::TestRelay;
use crate::support::wait_for;

pub const PROXY_KEY: &str = "golden-proxy-key";

/// One environment: flag `a`, segment `s`, both with version 1.
pub fn one_environment() -> FakeHarness {
    let fake = FakeHarness::start();
    fake.add_environment(ENVIRONMENT, KEY);
    fake.create_flag(ENVIRONMENT, boolean("a", true, 1));
    fake.create_segment(ENVIRONMENT, segment("s", 1));
    fake
}

/// Another one beside it, with flag `b`.
pub fn two_environments() -> FakeHarness {
    let fake = one_environment();
    fake.add_environment(OTHER, OTHER_KEY);
    fake.create_flag(OTHER, boolean("b", true, 1));
    fake
}

/// The same with a proxy key for both.
pub fn proxied() -> FakeHarness {
    let fake = two_environments();
    fake.set_proxy_key(PROXY_KEY);
    fake
}

pub fn segment(name: &str, version: i64) -> Value {
    json!({
        "identifier": name, "name": name, "environment": "e", "version": version, "included": [], "excluded": [],
        "rules": [], "servingRules": [{"ruleId": "r", "priority": 1,
            "clauses": [{"id": "c", "attribute": "plan", "op": "equal", "values": ["pro"], "negate": false}]}],
    })
}

pub fn turn_off(flag: &mut Value) {
    flag["state"] = json!("off");
}

/// A relay with the key of the first environment.
pub fn relay(fake: &FakeHarness, more: &[&str]) -> TestRelay {
    relay_for(fake, &[KEY], more)
}

pub fn relay_for(fake: &FakeHarness, keys: &[&str], more: &[&str]) -> TestRelay {
    start(&fake.api_key_options(keys), more)
}

/// A relay with the proxy key.
pub fn proxy_relay(fake: &FakeHarness, more: &[&str]) -> TestRelay {
    start(&fake.proxy_key_options(PROXY_KEY), more)
}

pub fn start(options: &[String], more: &[&str]) -> TestRelay {
    let all: Vec<&str> = options.iter().map(String::as_str).chain(more.iter().copied()).collect();
    TestRelay::start(&all).unwrap_or_else(|error| panic!("the relay did not start: {error}"))
}

/// Ready, and following the upstream's stream.
pub fn followed(fake: &FakeHarness, more: &[&str]) -> (TestRelay, Sdk) {
    let relay = relay(fake, more);
    settle(fake, &relay);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    (relay, sdk)
}

/// Waits until the stream is open and what was fetched because of it is in.
pub fn settle(fake: &FakeHarness, relay: &TestRelay) {
    fake.wait_for_streams(1);
    wait_ready(relay.sdk);
    wait_for("CONNECTED", || {
        let health = get(relay.sdk, "/health", &[]).ok();
        let all = health["environments"].as_array()?.iter();
        let connected = all.filter(|each| each["streamStatus"]["state"] == "CONNECTED").count();
        (connected > 0).then_some(())
    });
    // The fetch that follows the connection: nothing new is asked for a while.
    let mut seen = fake.all_requests().len();
    wait_for("a quiet upstream", || {
        thread::park_timeout(Duration::from_millis(150));
        let now = fake.all_requests().len();
        let quiet = now == seen;
        seen = now;
        quiet.then_some(())
    });
}

pub fn wait_ready(relay: SocketAddr) {
    wait_for("a ready relay", || (get(relay, "/readyz", &[]).status == 200).then_some(()));
}

pub fn health(relay: SocketAddr) -> Value {
    get(relay, "/health", &[]).ok()
}

/// What `/health` says about one environment; `null` if nothing.
pub fn health_of(relay: SocketAddr, environment: &str) -> Value {
    let health = health(relay);
    let all = health["environments"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|each| each["id"] == environment).unwrap_or(Value::Null)
}

/// As `wait_for`, where the contract leaves less time.
pub fn wait_within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < limit, "{what} did not come within {limit:?}");
        // The pause only spares the processor; the condition decides.
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// The sum of a Prometheus metric's samples.
pub fn metric(relay: SocketAddr, name: &str) -> f64 {
    let text = get(relay, "/metrics", &[]).text();
    let of_this_name = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|r| r.starts_with(['{', ' '])));
    of_this_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// An SDK that has authenticated.
pub struct Sdk {
    pub relay: SocketAddr,
    pub key: String,
    pub environment: String,
    pub authorization: String,
}

impl Sdk {
    pub fn connect(relay: SocketAddr, key: &str, environment: &str) -> Self {
        let reply = wait_for("a token", || Some(authenticate(relay, key)).filter(|reply| reply.status != 500));
        let authorization = format!("Bearer {}", reply.ok()["authToken"].as_str().unwrap());
        Sdk { relay, key: key.to_owned(), environment: environment.to_owned(), authorization }
    }

    pub fn get(&self, path: &str) -> Reply {
        let path = format!("/client/env/{}/{path}", self.environment);
        get(self.relay, &path, &[("Authorization", &self.authorization)])
    }

    pub fn flag(&self, name: &str) -> Reply {
        self.get(&format!("feature-configs/{name}"))
    }

    /// 0 if the flag is unknown.
    pub fn version(&self, flag: &str) -> i64 {
        let reply = self.flag(flag);
        if reply.status == 404 { 0 } else { reply.ok()["version"].as_i64().unwrap() }
    }

    pub fn flags(&self) -> BTreeMap<String, Value> {
        by_name(&self.get("feature-configs").ok(), "feature")
    }

    pub fn segments(&self) -> BTreeMap<String, Value> {
        by_name(&self.get("target-segments?rules=v2").ok(), "identifier")
    }

    pub fn stream(&self) -> Events {
        Events::open(self.relay, &self.key, &self.authorization, &[])
    }

    pub fn wait_for_version(&self, flag: &str, version: i64) {
        wait_for(&format!("version {version} of {flag}"), || (self.version(flag) == version).then_some(()));
    }
}

fn by_name(list: &Value, field: &str) -> BTreeMap<String, Value> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| (item[field].as_str().unwrap().to_owned(), item.clone())).collect()
}

pub fn authenticate(relay: SocketAddr, key: &str) -> Reply {
    post(relay, "/client/auth", &[], &json!({"apiKey": key}).to_string())
}

/// Runs scenarios that mostly wait at the same time, and names those that fail.
pub fn all_at_once(scenarios: &[(&'static str, fn())]) {
    let start = |(name, run): &(&'static str, fn())| {
        let thread = thread::Builder::new().name((*name).to_owned()).spawn(*run);
        (*name, thread.unwrap())
    };
    let running: Vec<_> = scenarios.iter().map(start).collect();
    let failed: Vec<&str> =
        running.into_iter().filter_map(|(name, thread)| thread.join().is_err().then_some(name)).collect();
    assert!(failed.is_empty(), "failed: {failed:?}");
}
