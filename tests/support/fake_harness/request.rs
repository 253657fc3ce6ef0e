//! Every request that came, and how to count them.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::wire::Incoming;
use super::{FakeHarness, lock};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    Auth,
    ApiKeys,
    Targets,
    Flags,
    Flag,
    Segments,
    Segment,
    Stream,
    Metrics,
    ProxyAuth,
    ProxyConfig,
    Unknown,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    pub route: Route,
    /// The environment's id: in the path, or what the key or the query leads to.
    pub environment: Option<String>,
    /// The flag or segment.
    pub item: Option<String>,
    pub method: String,
    /// As it was sent, base path included.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// `None` while there is none, and for good where a fault kept it back.
    pub status: Option<u16>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn new(incoming: Incoming) -> Self {
        let path = incoming.path;
        let bare = BASES.iter().find_map(|base| path.strip_prefix(base)).unwrap_or(&path);
        let parts: Vec<String> = bare.split('/').filter(|p| !p.is_empty()).map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let get = incoming.method == "GET";
        let (route, environment, item) = match (get, parts.as_slice()) {
            (false, ["client", "auth"]) => (Route::Auth, None, None),
            (false, ["proxy", "auth"]) => (Route::ProxyAuth, None, None),
            (false, ["metrics", environment]) => (Route::Metrics, Some(*environment), None),
            (true, ["proxy", "config"]) => (Route::ProxyConfig, None, None),
            (true, ["admin", "apikey"]) => (Route::ApiKeys, None, None),
            (true, ["admin", "targets"]) => (Route::Targets, None, None),
            (true, ["stream"]) => (Route::Stream, None, None),
            (true, ["client", "env", environment, "feature-configs"]) => (Route::Flags, Some(*environment), None),
            (true, ["client", "env", environment, "target-segments"]) => (Route::Segments, Some(*environment), None),
            (true, ["client", "env", environment, "feature-configs", item]) => {
                (Route::Flag, Some(*environment), Some(*item))
            }
            (true, ["client", "env", environment, "target-segments", item]) => {
                (Route::Segment, Some(*environment), Some(*item))
            }
            _ => (Route::Unknown, None, None),
        };
        let (environment, item) = (environment.map(str::to_owned), item.map(str::to_owned));
        Request {
            at: Instant::now(),
            route,
            environment,
            item,
            method: incoming.method,
            path,
            query: incoming.query,
            headers: incoming.headers,
            body: incoming.body,
            status: None,
        }
    }
}

/// Paths of the base URLs, longest first.
const BASES: [&str; 4] = ["/events/api/1.0", "/sdk/api/1.0", "/api/1.0", "/gateway/cf"];

pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|two| str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(value) if *byte == b'%' => {
                out.push(value);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl FakeHarness {
    pub fn all_requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    pub fn requests(&self, route: Route) -> Vec<Request> {
        lock(&self.shared.requests).iter().filter(|request| request.route == route).cloned().collect()
    }

    pub fn count(&self, route: Route) -> usize {
        lock(&self.shared.requests).iter().filter(|request| request.route == route).count()
    }

    pub fn count_in(&self, environment: &str, route: Route) -> usize {
        let wanted = |request: &&Request| request.route == route && request.environment.as_deref() == Some(environment);
        lock(&self.shared.requests).iter().filter(wanted).count()
    }

    /// Counting begins anew.
    pub fn forget_requests(&self) {
        lock(&self.shared.requests).clear();
    }

    /// Waits until so many such requests came since counting began.
    pub fn wait_for_count(&self, route: Route, at_least: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.count(route) < at_least {
            let came = self.count(route);
            assert!(Instant::now() < deadline, "waited too long for {at_least} of {route:?}; {came} came");
            // The pause only spares the processor; the count decides.
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}
