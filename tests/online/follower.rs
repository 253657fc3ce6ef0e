//! What an SDK of Go's kind does: it fetches everything once, then follows its stream, and after a cut only its stream. It goes on
//! when the relay is away for a while.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::fake_harness::{FakeHarness, lock};
use crate::setup::Sdk;

pub struct Follower {
    pub sdk: Sdk,
    state: Mutex<State>,
}

type Key = (&'static str, String);

#[derive(Default)]
struct State {
    items: BTreeMap<Key, Value>,
    /// The highest version ever seen of each.
    versions: BTreeMap<Key, i64>,
    stream: Option<TcpStream>,
    ended: bool,
    went_down: Vec<String>,
}

impl Follower {
    pub fn start(sdk: Sdk) -> Arc<Self> {
        let follower = Arc::new(Follower { sdk, state: Mutex::default() });
        for (kind, items) in [("flag", follower.sdk.flags()), ("target-segment", follower.sdk.segments())] {
            items.into_iter().for_each(|(name, item)| follower.take(kind, &name, Some(item)));
        }
        let following = Arc::clone(&follower);
        thread::spawn(move || {
            while !lock(&following.state).ended {
                following.follow();
                thread::park_timeout(Duration::from_millis(50));
            }
        });
        follower
    }

    /// HTTP/1.0, so that nothing is chunked and an answer ends with its connection.
    fn ask(&self, path: &str) -> Option<BufReader<TcpStream>> {
        let mut stream = TcpStream::connect(self.sdk.relay).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(40))).ok()?;
        let (key, authorization) = (&self.sdk.key, &self.sdk.authorization);
        let head =
            format!("GET {path} HTTP/1.0\r\nHost: relay\r\nAPI-Key: {key}\r\nAuthorization: {authorization}\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let mut reader = BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status).ok()?;
        status.contains(" 200 ").then_some(())?;
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 0 && !line.trim().is_empty() {
            line.clear();
        }
        Some(reader)
    }

    fn follow(&self) -> Option<()> {
        let mut stream = self.ask("/stream?cluster=1")?;
        lock(&self.state).stream = stream.get_ref().try_clone().ok();
        let mut line = String::new();
        while stream.read_line(&mut line).ok()? > 0 {
            if let Some(event) = line.strip_prefix("data: ").and_then(|data| serde_json::from_str(data).ok()) {
                self.hear(&event);
            }
            line.clear();
        }
        None
    }

    /// An event whose item cannot be fetched just now is forgotten: what the relay tells after the next reconnect has to do.
    fn hear(&self, event: &Value) -> Option<()> {
        let name = event["identifier"].as_str()?;
        let (kind, route) = match event["domain"].as_str()? {
            "flag" => ("flag", "feature-configs"),
            _ => ("target-segment", "target-segments"),
        };
        if event["event"] == "delete" {
            self.take(kind, name, None);
            return None;
        }
        let known = lock(&self.state).items.get(&(kind, name.to_owned())).map(version_of);
        if known >= event["version"].as_i64() {
            return None;
        }
        let mut body = String::new();
        let path = format!("/client/env/{}/{route}/{name}?rules=v2", self.sdk.environment);
        self.ask(&path)?.read_to_string(&mut body).ok()?;
        self.take(kind, name, Some(serde_json::from_str(&body).ok()?));
        Some(())
    }

    fn take(&self, kind: &'static str, name: &str, item: Option<Value>) {
        let mut state = lock(&self.state);
        let key = (kind, name.to_owned());
        let Some(item) = item else {
            state.items.remove(&key);
            return;
        };
        let (new, old) = (version_of(&item), state.versions.get(&key).copied().unwrap_or(0));
        if new < old {
            state.went_down.push(format!("{kind} {name}: {old}, then {new}"));
        }
        state.versions.insert(key.clone(), new.max(old));
        state.items.insert(key, item);
    }

    /// Cuts its stream; it opens another.
    pub fn cut(&self) {
        if let Some(stream) = &lock(&self.state).stream {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// What differs between what this SDK holds and what is there.
    pub fn difference(&self, fake: &FakeHarness) -> Vec<String> {
        let state = lock(&self.state);
        let of = |kind: &str| {
            let mine = state.items.iter().filter(|((k, _), _)| *k == kind);
            mine.map(|((_, name), item)| (name.clone(), item.clone())).collect()
        };
        let mut all = difference("SDK: flag", &fake.flags(&self.sdk.environment), &of("flag"));
        all.extend(difference("SDK: segment", &fake.segments(&self.sdk.environment), &of("target-segment")));
        all
    }

    /// Stops it; gives the versions that went down.
    pub fn end(&self) -> Vec<String> {
        lock(&self.state).ended = true;
        self.cut();
        lock(&self.state).went_down.clone()
    }
}

pub fn version_of(item: &Value) -> i64 {
    item["version"].as_i64().unwrap()
}

/// Content must be equal; a served version may be above the model's.
pub fn difference(what: &str, model: &BTreeMap<String, Value>, served: &BTreeMap<String, Value>) -> Vec<String> {
    let left = served.keys().filter(|name| !model.contains_key(*name));
    let mut all: Vec<String> = left.map(|name| format!("{what} {name} is not gone")).collect();
    for (name, wanted) in model {
        let Some(item) = served.get(name) else {
            all.push(format!("{what} {name} is missing"));
            continue;
        };
        let same = wanted.as_object().unwrap().iter().all(|(field, value)| field == "version" || item[field] == *value);
        if !same || version_of(item) < version_of(wanted) {
            all.push(format!("{what} {name}: {item} instead of {wanted}"));
        }
    }
    all
}
