//! The connection to Redis, whatever its topology: who uses it sees
//! commands, answers and three kinds of [`Failure`].
//!
//! One multiplexed connection carries every command (in a cluster: one per
//! server), and each [`Blocking`] one has its own. `redis-pool-size` is
//! therefore an upper bound that is not come near to: commands of many
//! tasks travel together without waiting for one another.
//!
//! * A connection that breaks or falls silent is left, and the next call
//!   opens another; one attempt at a time, everybody waits for the same one.
//! * After a failed attempt calls fail at once for 100 ms, 200 ms … 1 s.
//! * With Sentinel every attempt asks for the master again. Where TLS is
//!   used, all servers use it, and sentinels and cluster servers must
//!   announce the names that are in their certificates.
//! * A user needs, beside what the commands need, `SELECT` where a database
//!   is given, and `CLUSTER SLOTS` in a cluster; `PING` and `ROLE` are of use.
//! * In a cluster the library sends a command again when a connection broke
//!   while it was on its way: a write may then be executed twice.

mod blocking;
mod cluster;
mod dialler;
mod failure;
mod rest;
mod roots;
mod scan;
mod script;
mod sentinel;
mod server;
mod shared;
mod turn;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, FromRedisValue, RedisError, Value, from_redis_value};
use tokio::time::timeout_at;

use crate::config::RedisConfig;

use self::dialler::{Dialler, Topology};
use self::failure::{Use, judge};
use self::shared::Shared;

pub use self::blocking::Blocking;
pub use self::failure::Failure;
pub use self::script::Script;

/// A server that does not answer within this time is away.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);

/// Arguments of this many bytes are given another second.
const BYTES_PER_SECOND: usize = 4 << 20;

/// What is wrong with the options, before anything is connected.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("ca-bundle {path}: {reason}")]
    CaBundle { path: String, reason: String },
    #[error("the system's root certificates cannot be used for Redis: {reason}")]
    Roots { reason: String },
    #[error("redis-address cannot be used: {reason}")]
    Address { reason: String },
}

/// The way to Redis; clones share its connections.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    name: Arc<str>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Link {
    /// Checks everything that needs no network; opens nothing.
    ///
    /// # Errors
    /// The roots of TLS or the addresses cannot be used.
    pub fn new(config: &RedisConfig, ca_bundle: Option<&Path>, connect_timeout: Duration) -> Result<Link, LinkError> {
        let dialler = Dialler::new(config, ca_bundle, connect_timeout)?;
        Ok(Link { name: dialler.name().into(), shared: Shared::new(dialler) })
    }

    /// Keys then lie in slots, and a script may only touch those of one.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        matches!(self.shared.dialler.topology, Topology::Cluster(_))
    }

    /// `host:port`, `cluster host:port, host:port` or `sentinel master NAME
    /// at host:port, host:port`; for logs and health.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One command on the shared connection, opened if there is none. Ends
    /// within [`COMMAND_TIMEOUT`], and a second more per 4 MiB of arguments.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.call_within(command, allowance(command)).await
    }

    /// As [`Link::call`], for an answer that may take longer: a large one.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn call_within<T: FromRedisValue>(&self, command: &Cmd, within: Duration) -> Result<T, Failure> {
        if self.is_cluster() && within > COMMAND_TIMEOUT {
            // The library would send again what takes long.
            return self.blocking().await?.call(command, within).await;
        }
        let until = Instant::now() + within;
        let mut open = self.shared.open(until).await?;
        match timeout_at(until.into(), open.connection.run(command)).await {
            Ok(Ok(value)) => read(command, value),
            Ok(Err(error)) => Err(self.failure(&error, open.number)),
            Err(_) => {
                self.shared.leave(open.number, Use::Broken);
                Err(Failure::silent(true))
            }
        }
    }

    /// `EVALSHA`, then `EVAL` where the server does not know the script. In
    /// a cluster the first key decides the slot, and all keys must lie in it.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn script<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[Vec<u8>],
    ) -> Result<T, Failure> {
        match self.call(&script.by_hash(keys, arguments)).await {
            Err(Failure::Wrong(text)) if text.starts_with("NOSCRIPT") => {
                self.call(&script.by_text(keys, arguments)).await
            }
            result => result,
        }
    }

    /// Commands that wait (`XREAD BLOCK`) get a connection of their own.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn blocking(&self) -> Result<Blocking, Failure> {
        Blocking::open(self.clone()).await
    }

    fn failure(&self, error: &RedisError, number: u64) -> Failure {
        let verdict = judge(error, &self.shared.dialler.entry.secrets);
        if !self.is_cluster() {
            if verdict.left != Use::Good {
                self.shared.leave(number, verdict.left);
            }
            return verdict.failure;
        }
        // The library followed until it came to a server that is not there.
        let is_lost = error.redirect_node().is_some();
        if is_lost || verdict.left != Use::Good {
            self.shared.leave(number, Use::Stale);
        }
        match verdict.failure {
            // What is answered last may not be what became of it first.
            Failure::Away { reason, .. } => Failure::Away { reason, uncertain: true },
            _ if is_lost => Failure::Away { reason: "nobody serves this key".to_owned(), uncertain: true },
            failure => failure,
        }
    }
}

fn allowance(command: &Cmd) -> Duration {
    let bytes: usize = command
        .args_iter()
        .map(|argument| match argument {
            redis::Arg::Simple(bytes) => bytes.len(),
            _ => 0,
        })
        .sum();
    let more = u32::try_from(bytes / BYTES_PER_SECOND).unwrap_or(u32::MAX);
    COMMAND_TIMEOUT.saturating_add(Duration::from_secs(1).saturating_mul(more))
}

/// The library's own error would hold the value, which may be a secret.
fn read<T: FromRedisValue>(command: &Cmd, value: Value) -> Result<T, Failure> {
    from_redis_value(value).map_err(|_| {
        let name = match command.args_iter().next() {
            Some(redis::Arg::Simple(name)) => String::from_utf8_lossy(name).into_owned(),
            _ => "a command".to_owned(),
        };
        Failure::Wrong(format!("what {name} brings is of another kind than expected"))
    })
}
