//! How Redis is doing, for health and operators. Written by whoever speaks
//! to it; read without waiting.

use std::fmt;

/// What this relay is among those that share a Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedisRole {
    /// Nothing has been decided yet.
    #[default]
    Undecided,
    /// It has the lease: it asks its own source and writes.
    Leads,
    /// It could lead; another one does.
    StandsBy,
    /// Redis is away: it asks its own source and writes nothing.
    Alone,
    /// It never leads.
    Replica,
    /// A Go proxy writes: what that one writes is served.
    FollowsGo,
}

impl fmt::Display for RedisRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RedisRole::Undecided => "UNDECIDED",
            RedisRole::Leads => "LEADS",
            RedisRole::StandsBy => "STANDS_BY",
            RedisRole::Alone => "ALONE",
            RedisRole::Replica => "REPLICA",
            RedisRole::FollowsGo => "FOLLOWS_GO",
        })
    }
}

/// Who has the lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseHolder {
    /// Random, of its process.
    pub id: String,
    /// Host and SDK port.
    pub name: String,
    pub token: u64,
    /// Unix milliseconds.
    pub since_ms: i64,
}

/// One moment of Redis. Times are Unix milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisState {
    /// Hosts and ports.
    pub name: String,
    /// This process, as other relays know it.
    pub id: String,
    pub role: RedisRole,
    /// Why it cannot be used; `None` while it can.
    pub error: Option<String>,
    /// The last change between good and bad.
    pub since_ms: i64,
    pub holder: Option<LeaseHolder>,
    /// Everything that another relay served is served here: no source of its
    /// own has to be waited for.
    pub restored: bool,
    /// When everything served was last compared with what is there.
    pub compared_at_ms: Option<i64>,
    /// Time between a change being written and being served here, of the
    /// last one that came.
    pub lag_ms: Option<u64>,
    /// Environments of which Redis and this relay have different states.
    pub behind: usize,
    /// Other relays that were heard of lately.
    pub relays: Vec<String>,
}
