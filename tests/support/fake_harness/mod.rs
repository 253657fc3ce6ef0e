//! A stand-in for Harness: both modes, REST and SSE, with a model that tests change, every request noted, and faults on demand.
//! It speaks HTTP/1.1 by itself, over plain sockets, because most faults are ones that no HTTP library lets a server commit.
//!
//! `FakeHarness::start()`, then `add_environment`, `create_flag` and so on; `options()` points a relay at it.

#![allow(dead_code, unused_imports, reason = "each test crate uses a part of it")]

pub mod admin;
pub mod changes;
pub mod environments;
pub mod fault;
pub mod metrics;
pub mod proxy;
pub mod request;
pub mod rest;
pub mod server;
pub mod streams;
pub mod switches;
pub mod token;
pub mod wire;
pub mod world;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use fault::Fault;
pub use request::{Request, Route};

use fault::Rule;
use metrics::Received;
use server::Server;
use streams::Streams;
use switches::Switches;
use world::World;

/// What every environment of the fake belongs to.
pub const ACCOUNT: &str = "a";
pub const ORGANIZATION: &str = "o";
pub const PROJECT: &str = "p";
pub const ADMIN_TOKEN: &str = "admin-service-token-of-the-fake";

/// A running (or stopped) fake; dropping it ends it.
pub struct FakeHarness {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: Mutex<Option<Server>>,
}

/// What the threads of the connections share with the test. Locks are taken in the order of the fields.
pub struct Shared {
    world: Mutex<World>,
    streams: Streams,
    faults: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<Request>>,
    metrics: Mutex<Vec<Received>>,
    switches: Switches,
}

impl FakeHarness {
    /// Listens on a free port; has no environment yet.
    pub fn start() -> Self {
        let shared = Arc::new(Shared {
            world: Mutex::new(World::default()),
            streams: Streams::default(),
            faults: Mutex::default(),
            requests: Mutex::default(),
            metrics: Mutex::default(),
            switches: Switches::default(),
        });
        let server = Server::start(Arc::clone(&shared), SocketAddr::from(([127, 0, 0, 1], 0)));
        FakeHarness { shared, address: server.address, server: Mutex::new(Some(server)) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Goes away: connections are reset, new ones refused once this returns. What was known stays known.
    pub fn stop(&self) {
        drop(lock(&self.server).take());
    }

    /// Comes back on the same port.
    pub fn restart(&self) {
        let mut server = lock(&self.server);
        drop(server.take());
        *server = Some(Server::start(Arc::clone(&self.shared), self.address));
    }

    /// The base URLs as a relay takes them, each with a path of its own, as the real ones have.
    pub fn base_options(&self) -> Vec<String> {
        let url = self.url();
        vec![
            format!("--client-service={url}/api/1.0"),
            format!("--sdk-base-url={url}/sdk/api/1.0"),
            format!("--admin-service={url}/gateway/cf"),
            format!("--metric-service={url}/events/api/1.0"),
        ]
    }

    /// What a relay needs to serve these server keys.
    pub fn api_key_options(&self, keys: &[&str]) -> Vec<String> {
        let mut options = self.base_options();
        options.extend([
            format!("--api-keys={}", keys.join(",")),
            format!("--admin-service-token={ADMIN_TOKEN}"),
            format!("--account-identifier={ACCOUNT}"),
            format!("--org-identifier={ORGANIZATION}"),
        ]);
        options
    }

    /// What a relay needs to serve what a proxy key covers.
    pub fn proxy_key_options(&self, key: &str) -> Vec<String> {
        let mut options = self.base_options();
        options.push(format!("--proxy-key={key}"));
        options
    }
}

/// A thread that failed holding a lock has said so already.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
