//! A relay of a chain, which may be stopped and started in the same place; the way to its leader can be cut.

use std::net::{SocketAddr, TcpListener};

use crate::chaos_proxy::ChaosProxy;
use crate::support::relay::TestRelay;

pub struct Place {
    relay: Option<TestRelay>,
    data: tempfile::TempDir,
    pub sdk: SocketAddr,
    pub grpc: SocketAddr,
    /// The way to its leader.
    pub link: Option<ChaosProxy>,
    options: Vec<String>,
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap()
}

impl Place {
    /// The first of a chain: the options say where its configuration comes from.
    pub fn head<T: ToString>(options: &[T]) -> Self {
        Self::new(None, options)
    }

    /// Follows the relay at this gRPC address.
    pub fn behind<T: ToString>(leader: SocketAddr, options: &[T]) -> Self {
        Self::new(Some(leader), options)
    }

    fn new<T: ToString>(leader: Option<SocketAddr>, options: &[T]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let link = leader.map(ChaosProxy::to);
        let options = options.iter().map(ToString::to_string).collect();
        let mut place = Place { relay: None, data, sdk: free(), grpc: free(), link, options };
        place.start();
        place
    }

    fn start(&mut self) {
        let mut all = vec![
            format!("--port={}", self.sdk.port()),
            format!("--grpc-address={}", self.grpc),
            format!("--data-dir={}", self.data.path().display()),
            "--auth-secret=shared-by-all".to_owned(),
            "--grpc-admin-tokens=admin-token".to_owned(),
        ];
        if let Some(link) = &self.link {
            let address = format!("--peer-address={}", link.address());
            all.extend([address, "--peer-token=admin-token".to_owned(), "--connect-timeout=1s".to_owned()]);
        }
        all.extend(self.options.iter().cloned());
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        self.relay = Some(TestRelay::start(&all).unwrap_or_else(|error| panic!("the relay did not start: {error}")));
    }

    pub fn relay(&self) -> &TestRelay {
        self.relay.as_ref().unwrap()
    }

    pub fn restart(&mut self) {
        drop(self.relay.take());
        self.start();
    }
}
