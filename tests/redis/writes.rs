//! The script that writes an environment, called as a link that breaks makes it called.

use ff_relay::snapshot::content::EnvironmentId;
use ff_relay::snapshot::item::Digest;
use ff_relay::snapshot::{Epoch, Revision};
use ff_relay::source::redis::truth::plan::TruthPlan;
use ff_relay::source::redis::truth::script::{EnvironmentWrite, Outcome, write};

use crate::options::{link, options};
use crate::redis_cluster::RedisCluster;
use crate::redis_server::RedisServer;

fn revision(sequence: u64) -> Revision {
    Revision { epoch: Epoch(7), sequence, digest: Digest::of(b"x") }
}

fn step(base: Option<u64>, to: u64, token: u64, id: &EnvironmentId) -> EnvironmentWrite<'_> {
    let set = vec![(format!("f:{to}"), b"{}".to_vec())];
    let truth = TruthPlan { base: base.map(revision), set, delete: vec!["f:1".to_owned()], named: None };
    EnvironmentWrite { id, token, revision: Some(revision(to)), truth, mirror: None, word: None }
}

/// In a cluster the library sends again what it got no answer to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_write_again_is_no_conflict() {
    let (server, cluster) = (RedisServer::start(&[]), RedisCluster::start(false, &[]));
    let id = EnvironmentId::new("e");
    for address in [server.address().to_string(), cluster.addresses()] {
        let link = link(&options(&address));
        let outcome = async |base, to, token| write(&link, &step(base, to, token, &id)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(outcome(None, 1, 3).await, Outcome::Done { bus: None });
        }
        for _ in 0..2 {
            assert_eq!(outcome(Some(1), 2, 3).await, Outcome::Done { bus: None });
        }
        assert_eq!(outcome(Some(1), 3, 3).await, Outcome::Moved, "another state is there");
        assert_eq!(outcome(Some(2), 3, 2).await, Outcome::Fenced { token: 3 });
        let fields: Vec<String> = link.call(redis::cmd("HKEYS").arg("ffrelay:{e}:truth")).await.unwrap();
        assert!(fields.contains(&"f:2".to_owned()) && !fields.contains(&"f:3".to_owned()), "{fields:?}");
    }
}
