//! Options of Redis, and links made with them.

use std::path::Path;
use std::time::Duration;

use ff_relay::config::{RedisAddress, RedisConfig, RedisTopology, Secret};
use ff_relay::source::redis::link::{Failure, Link};

use crate::redis_sentinel::MASTER;

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What `redis-address` says, with nothing else given; several addresses are a cluster.
pub fn options(addresses: &str) -> RedisConfig {
    let addresses: Vec<_> = addresses.split(',').map(|address| RedisAddress::parse(address).unwrap()).collect();
    RedisConfig {
        topology: if addresses.len() > 1 { RedisTopology::Cluster } else { RedisTopology::Single },
        username: None,
        password: None,
        database: 0,
        pool_size: None,
        lease: Duration::from_secs(5),
        metrics_stream_max_len: 1000,
        metrics_stream_read_concurrency: 10,
        addresses,
    }
}

/// The addresses are sentinels.
pub fn sentinel_options(addresses: &str) -> RedisConfig {
    RedisConfig { topology: RedisTopology::Sentinel { master: MASTER.to_owned() }, ..options(addresses) }
}

pub fn with_password(mut options: RedisConfig, password: &str) -> RedisConfig {
    options.password = Some(Secret::new(password));
    options
}

pub fn link(options: &RedisConfig) -> Link {
    link_trusting(options, None)
}

pub fn link_trusting(options: &RedisConfig, ca: Option<&Path>) -> Link {
    Link::new(options, ca, CONNECT_TIMEOUT).unwrap()
}

pub async fn set(link: &Link, key: &str, value: &str) -> Result<(), Failure> {
    link.call(redis::cmd("SET").arg(key).arg(value)).await
}

pub async fn get(link: &Link, key: &str) -> Result<Option<String>, Failure> {
    link.call(redis::cmd("GET").arg(key)).await
}

/// Tries again until it succeeds; every single try must end soon.
pub async fn set_in_time(link: &Link, key: &str, value: &str, within: Duration) {
    let since = std::time::Instant::now();
    loop {
        let begun = std::time::Instant::now();
        let result = set(link, key, value).await;
        assert!(begun.elapsed() < Duration::from_secs(3), "one call took {:?}: {result:?}", begun.elapsed());
        let Err(failure) = result else { return };
        assert!(matches!(failure, Failure::Away { .. }), "{failure}");
        assert!(since.elapsed() < within, "not within {within:?}: {failure}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
