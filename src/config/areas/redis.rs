//! Redis.

use std::time::Duration;

use super::super::redis_address::RedisAddress;
use super::super::secret::Secret;
use super::super::settings::Settings;

/// Options of Redis; there are none in [`Config`](super::super::Config) when Redis must not be
/// contacted.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// Servers, cluster seeds or sentinels; at least one.
    pub addresses: Vec<RedisAddress>,
    /// What the addresses are.
    pub topology: RedisTopology,
    /// User name; the option's, else the first in a URL.
    pub username: Option<String>,
    /// Password; the option's, else the first in a URL.
    pub password: Option<Secret>,
    /// Database; the option's, else the first in a URL, else 0.
    pub database: u32,
    /// Connections at once; `None` means 10 per core.
    pub pool_size: Option<usize>,
    /// Lease of the writer.
    pub lease: Duration,
    /// Entries kept in the stream of SDK metrics.
    pub metrics_stream_max_len: usize,
    /// Readers of that stream.
    pub metrics_stream_read_concurrency: usize,
}

/// What the addresses of `redis-address` name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisTopology {
    /// One server.
    Single,
    /// Seeds of a cluster.
    Cluster,
    /// Sentinels that know a master.
    Sentinel {
        /// The master's name.
        master: String,
    },
}

impl RedisConfig {
    /// The options, where there is an address and the mode may contact it: offline only with
    /// `offline-redis`, so that a test with production's variables leaves production alone.
    pub(in super::super) fn from_settings(settings: &Settings) -> Option<Self> {
        let addresses = settings.redis("redis-address");
        if addresses.is_empty() || (settings.flag("offline") && !settings.flag("offline-redis")) {
            return None;
        }
        let username = settings.text("redis-username");
        let password = settings.secret("redis-password");
        Some(Self {
            topology: match settings.text("redis-sentinel-master") {
                Some(master) => RedisTopology::Sentinel { master },
                None if addresses.len() > 1 => RedisTopology::Cluster,
                None => RedisTopology::Single,
            },
            username: username.or_else(|| addresses.iter().find_map(|it| it.username.clone())),
            password: password.or_else(|| addresses.iter().find_map(|it| it.password.clone())),
            database: database(settings, &addresses),
            pool_size: settings.limit("redis-pool-size"),
            lease: settings.duration("redis-lease"),
            metrics_stream_max_len: settings.count("metrics-stream-max-len"),
            metrics_stream_read_concurrency: settings.count("metrics-stream-read-concurrency"),
            addresses,
        })
    }
}

fn database(settings: &Settings, addresses: &[RedisAddress]) -> u32 {
    let option = u32::try_from(settings.count("redis-db")).unwrap_or_default();
    match addresses.iter().find_map(|address| address.database) {
        Some(database) if !settings.is_given("redis-db") => database,
        _ => option,
    }
}
