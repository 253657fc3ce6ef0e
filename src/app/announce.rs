//! What the relay says of itself when it starts.

use std::net::SocketAddr;

use crate::config::Config;
use crate::store::Store;

/// Where the relay listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub sdk: SocketAddr,
    pub prometheus: Option<SocketAddr>,
    pub grpc: Option<SocketAddr>,
}

/// Says what is served, from where, on which ports.
pub fn announce(config: &Config, store: &Store, source: &str, addresses: &Addresses, max_connections: usize) {
    let index = store.index();
    const LISTED: usize = 20;
    for environment in index.sorted().into_iter().take(LISTED) {
        if let Some(snapshot) = environment.snapshot().as_ref() {
            tracing::info!(
                environment = %environment.id,
                name = snapshot.names.environment,
                flags = snapshot.flags.len(),
                segments = snapshot.segments.len(),
                targets = snapshot.targets.len(),
                keys = snapshot.content.key_hashes.len(),
                "environment"
            );
        }
    }
    if index.environments.len() > LISTED {
        tracing::info!(more = index.environments.len() - LISTED, "further environments");
    }
    let shown = |address: Option<SocketAddr>| address.map_or_else(|| "off".to_owned(), |address| address.to_string());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        mode = config.mode.name(),
        source,
        environments = index.environments.len(),
        sdk = %addresses.sdk,
        tls = config.http.tls.is_some(),
        prometheus = %addresses.prometheus.unwrap_or(addresses.sdk),
        grpc = shown(addresses.grpc),
        max_connections,
        max_streams = config.http.max_streams.unwrap_or(max_connections).min(max_connections),
        data_dir = config.data_dir.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string()),
        "serving"
    );
}
