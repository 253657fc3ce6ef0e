//! A Redis Cluster of three masters, each with a replica where wanted.

use std::time::Duration;

use crate::redis_server::{Kind, RedisServer, TestCertificate, eventually};

const READY_WITHIN: Duration = Duration::from_secs(30);

pub struct RedisCluster {
    pub masters: Vec<RedisServer>,
    /// The one at the same place copies the master.
    pub replicas: Vec<RedisServer>,
}

const SLOTS: [(u16, u16); 3] = [(0, 5460), (5461, 10922), (10923, 16383)];

impl RedisCluster {
    /// Returns once every server says that all is well.
    pub fn start(with_replicas: bool, lines: &[&str]) -> Self {
        Self::start_by(with_replicas, lines, |lines| RedisServer::start_as(Kind::ClusterNode, lines))
    }

    /// Three masters that clients and they themselves reach by TLS.
    pub fn start_with_tls(certificate: &TestCertificate) -> Self {
        Self::start_by(false, &["tls-cluster yes", "tls-replication yes"], |lines| {
            RedisServer::start_with_tls(Kind::ClusterNode, certificate, lines)
        })
    }

    fn start_by(with_replicas: bool, lines: &[&str], start_one: impl Fn(&[&str]) -> RedisServer) -> Self {
        let own = ["cluster-node-timeout 1500", "repl-diskless-sync-delay 0", "cluster-replica-validity-factor 0"];
        let lines = [&own, lines].concat();
        let start = || start_one(&lines);
        let masters: Vec<RedisServer> = SLOTS.iter().map(|_| start()).collect();
        let replicas = if with_replicas { SLOTS.iter().map(|_| start()).collect() } else { Vec::new() };
        let cluster = RedisCluster { masters, replicas };
        cluster.meet();
        for (master, (first, last)) in cluster.masters.iter().zip(SLOTS) {
            let (first, last) = (first.to_string(), last.to_string());
            master.cli::<()>(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
        for (replica, master) in cluster.replicas.iter().zip(&cluster.masters) {
            let id: String = master.cli(&["CLUSTER", "MYID"]);
            eventually("the replica knows its master", READY_WITHIN, || {
                replica.ask::<()>(&["CLUSTER", "REPLICATE", &id]).is_ok()
            });
        }
        cluster.wait();
        cluster
    }

    fn meet(&self) {
        let first = &self.masters[0];
        for (number, server) in self.servers().enumerate() {
            server.cli::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            let port = server.known_port().to_string();
            let bus = server.bus_port().to_string();
            if number > 0 {
                first.cli::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
            }
        }
    }

    fn wait(&self) {
        let known = format!("cluster_known_nodes:{}", self.servers().count());
        eventually("all servers see the cluster", READY_WITHIN, || {
            self.servers().all(|server| {
                let info: String = server.ask(&["CLUSTER", "INFO"]).unwrap_or_default();
                info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384") && info.contains(&known)
            })
        });
        eventually("replicas have copied", READY_WITHIN, || {
            self.replicas.iter().all(|replica| {
                let info: String = replica.ask(&["INFO", "replication"]).unwrap_or_default();
                info.contains("role:slave") && info.contains("master_link_status:up")
            })
        });
    }

    fn servers(&self) -> impl Iterator<Item = &RedisServer> {
        self.masters.iter().chain(&self.replicas)
    }

    /// All masters, as `redis-address` wants them.
    pub fn addresses(&self) -> String {
        let addresses: Vec<String> = self.masters.iter().map(|master| master.address().to_string()).collect();
        addresses.join(",")
    }
}
