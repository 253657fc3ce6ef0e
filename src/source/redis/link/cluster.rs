//! A cluster: the library's connection for commands, and one to a single
//! server for commands that wait.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::{ConnectionInfo, RedisConnectionInfo, RedisError};
use tokio::time::timeout;

use super::failure::{Failure, judge};
use super::server::{Entry, Server, tcp_settings};
use super::turn::Turn;
use super::{COMMAND_TIMEOUT, LinkError};

/// How often the library sends a command again: redirections, and servers
/// that are about to come back. More would outlive the caller.
const RETRIES: u32 = 4;

/// Seeds, and how to connect to all servers.
pub(super) struct Cluster {
    pub seeds: Vec<Server>,
    /// Who of them is tried first.
    first: Turn,
    client: ClusterClient,
}

impl Cluster {
    pub fn new(seeds: Vec<Server>, entry: &Entry) -> Result<Self, LinkError> {
        let failed = |error: RedisError| LinkError::Address { reason: error.to_string() };
        let mut settings = RedisConnectionInfo::default();
        // The library's way to say "only a password" is no user name.
        if entry.login().is_some() {
            settings = settings.set_password(entry.password.as_deref().unwrap_or_default());
        }
        if let Some(username) = &entry.username {
            settings = settings.set_username(username);
        }
        let infos: Result<Vec<ConnectionInfo>, _> =
            seeds.iter().map(|seed| entry.info(seed, settings.clone())).collect();
        let mut builder = ClusterClientBuilder::new(infos.map_err(failed)?)
            .connection_timeout(entry.connect_timeout)
            // Longer than any caller waits: one that gave up must not have
            // its command sent again by the library.
            .response_timeout(COMMAND_TIMEOUT + Duration::from_secs(1))
            .overall_response_timeout(None)
            .retries(RETRIES)
            .min_retry_wait(50)
            .max_retry_wait(400)
            .tcp_settings(tcp_settings());
        if let Some(certificates) = &entry.certificates {
            builder = builder.certs(certificates.clone());
        }
        Ok(Cluster { seeds, first: Turn::default(), client: builder.build().map_err(failed)? })
    }

    /// Connections to all servers of the cluster, as one.
    pub async fn connect(&self, entry: &Entry) -> Result<ClusterConnection, Failure> {
        let connecting = self.client.get_async_connection();
        let failure = match timeout(entry.connect_timeout + COMMAND_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => match judge(&error, &entry.secrets).failure {
                Failure::Away { reason, .. } => Failure::away(reason),
                failure => failure,
            },
            Err(_) => Failure::silent(false),
        };
        // The library does not say what the servers answered.
        match self.connect_to_one(entry).await {
            Ok(_) => Err(failure),
            Err(reason) => Err(reason),
        }
    }

    /// A seed that lets us in; whether it has the key is asked later.
    pub async fn connect_to_one(&self, entry: &Entry) -> Result<(Server, MultiplexedConnection), Failure> {
        let mut last = Failure::away("the cluster has no servers");
        for seed in self.first.round(&self.seeds) {
            match entry.connect(seed).await {
                Ok(connection) => {
                    self.first.stay(&self.seeds, seed);
                    return Ok((seed.clone(), connection));
                }
                Err(failure @ Failure::Refused(_)) => return Err(failure),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }
}

/// Where a server sends us with `MOVED` or `ASK`; a missing host means its own.
pub(super) fn redirected(error: &RedisError, from: &Server) -> Option<Server> {
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let host = if host.is_empty() || host == "?" { &from.host } else { host };
    Some(Server { host: host.trim_matches(['[', ']']).to_owned(), port: port.parse().ok()? })
}
