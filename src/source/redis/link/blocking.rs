//! A connection for commands that wait on the server.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, RedisError, Value};
use tokio::time::{timeout, timeout_at};

use super::cluster::redirected;
use super::dialler::Topology;
use super::failure::{Failure, Use, judge};
use super::rest::Rest;
use super::server::Server;
use super::{Link, read};

/// Redirections that one command follows.
const HOPS: usize = 5;

/// A connection of one's own, opened again after it broke by the next call.
pub struct Blocking {
    link: Link,
    open: Option<Own>,
    rest: Rest,
}

struct Own {
    connection: MultiplexedConnection,
    /// Which one, in a cluster.
    server: Option<Server>,
    /// The shared connection of that time.
    beside: Option<u64>,
}

impl std::fmt::Debug for Blocking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocking").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Blocking {
    pub(super) async fn open(link: Link) -> Result<Self, Failure> {
        let mut blocking = Blocking { link, open: None, rest: Rest::default() };
        blocking.connect().await?;
        Ok(blocking)
    }

    /// One command. `within` must be longer than the command itself waits
    /// (`BLOCK`), and connecting again, where needed, counts.
    ///
    /// # Errors
    /// See [`Failure`]; after `Away` the next call connects again.
    pub async fn call<T: FromRedisValue>(&mut self, command: &Cmd, within: Duration) -> Result<T, Failure> {
        let until = Instant::now() + within;
        // After a failover the old master may go on waiting with us.
        let now = self.link.shared.number();
        if !self.link.is_cluster() {
            self.open.take_if(|own| now.is_some_and(|now| own.beside != Some(now)));
        }
        for _ in 0..HOPS {
            if self.open.is_none() {
                let connecting = timeout_at(until.into(), self.connect());
                connecting.await.unwrap_or(Err(Failure::silent(false)))?;
            }
            let Some(own) = &mut self.open else { break };
            let answer = command.query_async::<Value>(&mut own.connection);
            let error = match timeout_at(until.into(), answer).await {
                Ok(Ok(value)) => return read(command, value),
                Ok(Err(error)) => error,
                Err(_) => {
                    self.open = None;
                    return Err(Failure::silent(true));
                }
            };
            let Some(server) = self.redirection(&error) else { return Err(self.failed(&error)) };
            let moving = timeout_at(until.into(), self.move_to(server, error.code() == Some("ASK")));
            moving.await.unwrap_or(Err(Failure::silent(false)))?;
        }
        self.open = None;
        Err(Failure::away("the cluster sends us round in circles"))
    }

    fn redirection(&self, error: &RedisError) -> Option<Server> {
        redirected(error, self.open.as_ref()?.server.as_ref()?)
    }

    fn failed(&mut self, error: &RedisError) -> Failure {
        let verdict = judge(error, &self.link.shared.dialler.entry.secrets);
        if verdict.left != Use::Good {
            self.open = None;
        }
        verdict.failure
    }

    async fn move_to(&mut self, server: Server, asking: bool) -> Result<(), Failure> {
        self.open = None;
        let entry = &self.link.shared.dialler.entry;
        let mut connection = entry.connect(&server).await?;
        if asking {
            entry.first(&mut connection, &redis::cmd("ASKING")).await?;
        }
        self.open = Some(Own { connection, server: Some(server), beside: None });
        Ok(())
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        if let Some(reason) = self.rest.reason(Instant::now()) {
            return Err(reason);
        }
        let result = self.own().await;
        match result {
            Ok(own) => {
                self.rest.succeeded();
                self.open = Some(own);
                Ok(())
            }
            Err(failure) => {
                self.rest.failed(Instant::now(), failure.clone());
                Err(failure)
            }
        }
    }

    /// The shared connection is opened first: for a server that is away
    /// there is then one attempt for everybody.
    async fn own(&self) -> Result<Own, Failure> {
        let dialler = &self.link.shared.dialler;
        let limit = dialler.entry.connect_timeout + super::COMMAND_TIMEOUT;
        let beside = Some(self.link.shared.open(Instant::now() + limit).await?.number);
        let (server, connection) = match &dialler.topology {
            Topology::Single(server) => (None, dialler.entry.connect(server).await?),
            Topology::Sentinel(sentinels) => (None, sentinels.connect(&dialler.entry).await?),
            Topology::Cluster(cluster) => {
                let connecting = cluster.connect_to_one(&dialler.entry);
                let (server, connection) = timeout(limit, connecting).await.map_err(|_| Failure::silent(false))??;
                (Some(server), connection)
            }
        };
        Ok(Own { connection, server, beside })
    }
}
