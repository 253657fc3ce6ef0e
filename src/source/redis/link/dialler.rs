//! Opening connections, whatever the topology.

use std::path::Path;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, RedisResult, Value};

use crate::config::{RedisConfig, RedisTopology};

use super::LinkError;
use super::cluster::Cluster;
use super::failure::Failure;
use super::sentinel::Sentinels;
use super::server::{Entry, Server};

/// Whom to connect to, and how.
pub(super) struct Dialler {
    pub entry: Entry,
    pub topology: Topology,
}

pub(super) enum Topology {
    Single(Server),
    Cluster(Box<Cluster>),
    Sentinel(Sentinels),
}

/// A connection that many use at once.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub async fn run(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Connection::Server(connection) => command.query_async(connection).await,
            Connection::Cluster(connection) => command.query_async(connection).await,
        }
    }
}

impl Dialler {
    pub fn new(config: &RedisConfig, ca_bundle: Option<&Path>, connect_timeout: Duration) -> Result<Self, LinkError> {
        let entry = Entry::new(config, ca_bundle, connect_timeout)?;
        let mut servers: Vec<Server> =
            config.addresses.iter().map(|address| Server { host: address.host.clone(), port: address.port }).collect();
        let topology = match &config.topology {
            RedisTopology::Cluster => Topology::Cluster(Box::new(Cluster::new(servers, &entry)?)),
            RedisTopology::Sentinel { master } => Topology::Sentinel(Sentinels::new(servers, master.clone())),
            RedisTopology::Single if servers.is_empty() => {
                return Err(LinkError::Address { reason: "there is none".to_owned() });
            }
            RedisTopology::Single => Topology::Single(servers.swap_remove(0)),
        };
        Ok(Dialler { entry, topology })
    }

    /// The connection that everybody shares.
    pub async fn shared(&self) -> Result<Connection, Failure> {
        match &self.topology {
            Topology::Single(server) => self.entry.connect(server).await.map(Connection::Server),
            Topology::Sentinel(sentinels) => sentinels.connect(&self.entry).await.map(Connection::Server),
            Topology::Cluster(cluster) => cluster.connect(&self.entry).await.map(Connection::Cluster),
        }
    }

    pub fn name(&self) -> String {
        let list = |servers: &[Server]| servers.iter().map(Server::to_string).collect::<Vec<_>>().join(", ");
        match &self.topology {
            Topology::Single(server) => server.to_string(),
            Topology::Cluster(cluster) => format!("cluster {}", list(&cluster.seeds)),
            Topology::Sentinel(sentinels) => {
                format!("sentinel master {} at {}", sentinels.master, list(&sentinels.servers))
            }
        }
    }
}
