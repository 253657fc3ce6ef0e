//! A value that was read.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::areas::{LogFormat, LogLevel, Role};
use super::redis_address::RedisAddress;
use super::secret::Secret;

/// A value of one of the [`Kind`](super::Kind)s; times and numbers are `None` where the
/// option was switched off.
#[derive(Debug, Clone)]
pub enum Value {
    /// Booleans and switches.
    Bool(bool),
    /// Texts and URLs.
    Text(String),
    /// Files and directories.
    Path(PathBuf),
    /// Times.
    Duration(Option<Duration>),
    /// Ports, counts and limits.
    Number(Option<u64>),
    /// An address to listen on.
    Ip(IpAddr),
    /// An address and port to listen on; `None` is off.
    Listen(Option<SocketAddr>),
    /// Lists of texts and endpoints.
    List(Vec<String>),
    /// Redis addresses.
    Redis(Vec<RedisAddress>),
    /// A log level.
    Level(LogLevel),
    /// A log format.
    Format(LogFormat),
    /// Certificate names and their roles.
    Roles(Vec<(String, Role)>),
    /// One secret or several.
    Secrets(Vec<Secret>),
}
