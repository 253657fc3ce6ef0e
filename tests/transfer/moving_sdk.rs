//! An SDK that moves between relays with one token: its stream and its
//! requests go to one of them at a time.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::client::bearer;
use crate::support::configuration::{ENVIRONMENT, KEY};

pub struct MovingSdk {
    relays: Vec<SocketAddr>,
    token: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    flags: BTreeMap<String, Value>,
    next: usize,
    stream: Option<TcpStream>,
    ended: bool,
}

impl MovingSdk {
    /// Authenticates at the first relay and fetches everything there.
    pub fn start(relays: Vec<SocketAddr>) -> Arc<Self> {
        let token = bearer(relays[0], KEY);
        let sdk = Arc::new(MovingSdk { relays, token, state: Mutex::default() });
        let mut body = String::new();
        sdk.ask(sdk.relays[0], &format!("/client/env/{ENVIRONMENT}/feature-configs"))
            .unwrap()
            .read_to_string(&mut body)
            .unwrap();
        for flag in serde_json::from_str::<Vec<Value>>(&body).unwrap() {
            sdk.take(flag["feature"].as_str().unwrap(), Some(flag.clone()));
        }
        let following = Arc::clone(&sdk);
        thread::spawn(move || {
            while !following.state.lock().unwrap().ended {
                following.follow();
                thread::park_timeout(Duration::from_millis(50));
            }
        });
        sdk
    }

    fn any(&self) -> SocketAddr {
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        self.relays[state.next % self.relays.len()]
    }

    fn ask(&self, relay: SocketAddr, path: &str) -> Option<BufReader<TcpStream>> {
        let mut stream = TcpStream::connect(relay).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(40))).ok()?;
        let head =
            format!("GET {path} HTTP/1.0\r\nHost: relay\r\nAPI-Key: {KEY}\r\nAuthorization: {}\r\n\r\n", self.token);
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
        let relay = self.any();
        let mut stream = self.ask(relay, "/stream?cluster=1")?;
        self.state.lock().unwrap().stream = stream.get_ref().try_clone().ok();
        let mut line = String::new();
        while stream.read_line(&mut line).ok()? > 0 {
            if let Some(event) = line.strip_prefix("data: ").and_then(|data| serde_json::from_str::<Value>(data).ok())
                && event["domain"] == "flag"
            {
                self.hear(relay, &event);
            }
            line.clear();
        }
        None
    }

    fn hear(&self, relay: SocketAddr, event: &Value) -> Option<()> {
        let name = event["identifier"].as_str()?;
        if event["event"] == "delete" {
            self.take(name, None);
            return None;
        }
        let known = self.state.lock().unwrap().flags.get(name).and_then(|flag| flag["version"].as_i64());
        if known >= event["version"].as_i64() {
            return None;
        }
        let mut body = String::new();
        let path = format!("/client/env/{ENVIRONMENT}/feature-configs/{name}");
        self.ask(relay, &path)?.read_to_string(&mut body).ok()?;
        self.take(name, Some(serde_json::from_str(&body).ok()?));
        Some(())
    }

    fn take(&self, name: &str, flag: Option<Value>) {
        let mut state = self.state.lock().unwrap();
        let Some(flag) = flag else {
            state.flags.remove(name);
            return;
        };
        // As the SDKs do: an older one than is held is not taken.
        let held = state.flags.get(name).and_then(|held| held["version"].as_i64());
        if held < flag["version"].as_i64() {
            state.flags.insert(name.to_owned(), flag);
        }
    }

    /// Goes to another relay.
    pub fn moves(&self) {
        if let Some(stream) = &self.state.lock().unwrap().stream {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// What it holds: the note of each flag.
    pub fn holds(&self) -> BTreeMap<String, Value> {
        let state = self.state.lock().unwrap();
        state.flags.iter().map(|(name, flag)| (name.clone(), flag["note"].clone())).collect()
    }

    pub fn end(&self) {
        self.state.lock().unwrap().ended = true;
        self.moves();
    }
}
