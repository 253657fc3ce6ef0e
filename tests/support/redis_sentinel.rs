//! A master, a replica and three sentinels who watch them.

use std::collections::HashMap;
use std::time::Duration;

use crate::redis_server::{Kind, RedisServer, TestCertificate, eventually};

const READY_WITHIN: Duration = Duration::from_secs(30);

/// The master's name.
pub const MASTER: &str = "ours";

pub struct RedisSentinels {
    pub master: RedisServer,
    pub replica: RedisServer,
    pub sentinels: Vec<RedisServer>,
}

impl RedisSentinels {
    /// Returns once all sentinels know the replica and one another. With a password both servers have it, and the sentinels
    /// themselves only where `guarded`.
    pub fn start(password: Option<&str>, guarded: bool) -> Self {
        let server_lines: Vec<String> = password
            .map(|password| vec![format!("requirepass {password}"), format!("masterauth {password}")])
            .unwrap_or_default();
        let server_lines: Vec<&str> = server_lines.iter().map(String::as_str).collect();
        let master = RedisServer::start(&server_lines);
        let replica = RedisServer::replica_of(&master, &server_lines);
        let mut lines = watching(&master);
        if let Some(password) = password {
            lines.push(format!("sentinel auth-pass {MASTER} {password}"));
            if guarded {
                lines.push(format!("requirepass {password}"));
                lines.push(format!("sentinel sentinel-pass {password}"));
            }
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let sentinels = (0..3).map(|_| RedisServer::start_as(Kind::Sentinel, &lines)).collect();
        RedisSentinels { master, replica, sentinels }.agreed()
    }

    /// Everybody reaches everybody by TLS.
    pub fn start_with_tls(certificate: &TestCertificate) -> Self {
        let start = |kind, lines: &[&str]| RedisServer::start_with_tls(kind, certificate, lines);
        let master = start(Kind::Server, &["tls-replication yes"]);
        let of = format!("replicaof 127.0.0.1 {}", master.tls_port());
        let replica = start(Kind::Server, &["tls-replication yes", "repl-diskless-sync-delay 0", &of]);
        replica.wait_for_copy();
        let lines = watching(&master);
        let lines: Vec<&str> = lines.iter().map(String::as_str).chain(["tls-replication yes"]).collect();
        let sentinels = (0..3).map(|_| start(Kind::Sentinel, &lines)).collect();
        RedisSentinels { master, replica, sentinels }.agreed()
    }

    fn agreed(self) -> Self {
        eventually("the sentinels agree", READY_WITHIN, || self.sentinels.iter().all(sees_everybody));
        self
    }

    /// Where the master is now, as a sentinel says.
    pub fn current(&self) -> u16 {
        let (_, port): (String, u16) = self.sentinels[0].cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
        port
    }

    /// All sentinels, as `redis-address` wants them.
    pub fn addresses(&self) -> String {
        let addresses: Vec<String> = self.sentinels.iter().map(|each| each.address().to_string()).collect();
        addresses.join(",")
    }
}

fn watching(master: &RedisServer) -> Vec<String> {
    vec![
        format!("sentinel monitor {MASTER} 127.0.0.1 {} 2", master.known_port()),
        format!("sentinel down-after-milliseconds {MASTER} 1000"),
        format!("sentinel failover-timeout {MASTER} 3000"),
    ]
}

fn sees_everybody(sentinel: &RedisServer) -> bool {
    let Ok(facts) = sentinel.ask::<HashMap<String, String>>(&["SENTINEL", "MASTER", MASTER]) else { return false };
    let is = |name: &str, value: &str| facts.get(name).is_some_and(|fact| fact == value);
    is("num-slaves", "1") && is("num-other-sentinels", "2") && is("flags", "master")
}
