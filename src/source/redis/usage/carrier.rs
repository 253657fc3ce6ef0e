//! Carries SDK usage of a relay that shares a Redis: by its own source while
//! that runs, else through Redis.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::go;
use super::waiting::{self, State};
use crate::config::Secret;
use crate::snapshot::content::EnvironmentId;
use crate::source::redis::link::{Failure, Link};
use crate::store::redis_state::RedisRole;
use crate::usage::batch::BatchId;
use crate::usage::{Carrier, Delivery};

/// A batch that waits is looked at this often, and less often with time.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// The way of usage.
pub struct FleetCarrier {
    pub link: Link,
    /// Of the own source; `None` for a replica.
    pub upstream: Option<Arc<dyn Carrier>>,
    pub role: watch::Receiver<RedisRole>,
    /// Batches that may wait in Redis.
    pub most: usize,
}

enum Way {
    Upstream(Arc<dyn Carrier>),
    Redis,
    Go,
    Undecided,
}

impl FleetCarrier {
    fn way(&self) -> Way {
        match *self.role.borrow() {
            RedisRole::Leads | RedisRole::Alone => self.upstream.clone().map_or(Way::Undecided, Way::Upstream),
            RedisRole::StandsBy | RedisRole::Replica => Way::Redis,
            RedisRole::FollowsGo => Way::Go,
            RedisRole::Undecided => Way::Undecided,
        }
    }

    /// Ends when the leader says that upstream has the batch.
    async fn through_redis(&self, environment: &EnvironmentId, id: BatchId, body: &[u8]) -> Delivery {
        let uncertain = |reason: String| Delivery::Uncertain { reason, retry_after: None };
        match waiting::put(&self.link, environment, id, body, self.most).await {
            Ok(State::Waits) => {}
            Ok(State::Done) => return Delivery::Taken,
            Ok(State::Full | State::Unknown) => {
                return unsent("as many batches wait in Redis as metrics-stream-max-len allows; no primary takes them");
            }
            Err(Failure::Away { reason, uncertain: true }) => return uncertain(format!("Redis: {reason}")),
            Err(failure) => return unsent(&format!("Redis: {failure}")),
        }
        let mut look = FIRST_LOOK;
        loop {
            tokio::time::sleep(look).await;
            look = (look * 2).min(LONGEST_LOOK);
            match waiting::state(&self.link, id).await {
                Ok(State::Done) => return Delivery::Taken,
                Ok(State::Waits) => {}
                Ok(State::Full | State::Unknown) => {
                    return uncertain("Redis lost a batch of SDK metrics; it is sent again".to_owned());
                }
                // It waits there, or is lost: seen when Redis is back.
                Err(Failure::Away { .. }) if matches!(self.way(), Way::Redis) => {}
                Err(failure) => return uncertain(format!("Redis: {failure}")),
            }
        }
    }
}

fn unsent(reason: &str) -> Delivery {
    Delivery::Refused { status: None, reason: reason.to_owned(), retry_after: None }
}

impl Carrier for FleetCarrier {
    fn send_metrics(&self, environment: &EnvironmentId, id: BatchId, body: Bytes) -> BoxFuture<'_, Delivery> {
        let environment = environment.clone();
        async move {
            match self.way() {
                Way::Upstream(upstream) => upstream.send_metrics(&environment, id, body).await,
                Way::Redis => self.through_redis(&environment, id, &body).await,
                Way::Go => go::send(&self.link, &environment, &body, self.most).await,
                Way::Undecided => unsent("Redis has not answered yet"),
            }
        }
        .boxed()
    }

    fn register_target(
        &self,
        environment: &EnvironmentId,
        api_key: Option<&Secret>,
        target_json: &str,
    ) -> BoxFuture<'_, Delivery> {
        let (environment, key, target) = (environment.clone(), api_key.cloned(), target_json.to_owned());
        async move {
            match self.way() {
                Way::Upstream(upstream) => upstream.register_target(&environment, key.as_ref(), &target).await,
                // The leader hears of it with all other relays.
                Way::Redis => Delivery::Taken,
                Way::Go => {
                    // Go proxies look there for targets of SDKs that move to them.
                    go::store_target(&self.link, &environment, &target).await;
                    go::send(&self.link, &environment, &go::target_body(&target), self.most).await
                }
                Way::Undecided => unsent("Redis has not answered yet"),
            }
        }
        .boxed()
    }
}
