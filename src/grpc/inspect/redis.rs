//! Redis, and the relays that share it.

use std::time::Duration;

use super::{small, timestamp_of_ms};
use crate::proto::inspect::v1 as proto;
use crate::store::redis_state::{RedisRole, RedisState};

pub(super) fn describe(redis: &RedisState) -> proto::Redis {
    proto::Redis {
        name: redis.name.clone(),
        role: role(redis.role).into(),
        error: redis.error.clone(),
        since: Some(timestamp_of_ms(redis.since_ms)),
        lease_holder: redis.holder.as_ref().map(|holder| proto::LeaseHolder {
            relay_id: holder.id.clone(),
            name: holder.name.clone(),
            token: holder.token,
            since: Some(timestamp_of_ms(holder.since_ms)),
        }),
        last_compared_at: redis.compared_at_ms.map(timestamp_of_ms),
        // A lag that no duration can hold is none.
        lag: redis.lag_ms.and_then(|lag_ms| Duration::from_millis(lag_ms).try_into().ok()),
        environments_behind: small(redis.behind),
        relays: redis.relays.clone(),
        relay_id: redis.id.clone(),
    }
}

fn role(role: RedisRole) -> proto::RedisRole {
    match role {
        RedisRole::Undecided => proto::RedisRole::Unspecified,
        RedisRole::Leads => proto::RedisRole::Leads,
        RedisRole::StandsBy => proto::RedisRole::StandsBy,
        RedisRole::Alone => proto::RedisRole::Alone,
        RedisRole::Replica => proto::RedisRole::Replica,
        RedisRole::FollowsGo => proto::RedisRole::FollowsGo,
    }
}
