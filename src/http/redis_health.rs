//! Redis in `/health` and `/metrics`.

use serde_json::{Value, json};

use crate::store::redis_state::{LeaseHolder, RedisRole, RedisState};
use crate::telemetry::exposition::Exposition;

pub(super) fn health(redis: &RedisState) -> Value {
    let holder = |holder: &LeaseHolder| json!({"name": holder.name, "token": holder.token, "sinceMs": holder.since_ms});
    json!({
        "name": redis.name,
        "role": redis.role.to_string(),
        "error": redis.error,
        "sinceMs": redis.since_ms,
        "holder": redis.holder.as_ref().map(holder),
        "comparedAtMs": redis.compared_at_ms,
        "lagMs": redis.lag_ms,
        "behind": redis.behind,
        "relays": redis.relays,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts for a dashboard")]
pub(super) fn expose(out: &mut Exposition, redis: &RedisState) {
    let flag = |is: bool| f64::from(u8::from(is));
    let leads = flag(redis.role == RedisRole::Leads);
    for (name, help, value) in [
        ("ff_relay_redis_up", "1 while Redis can be used", flag(redis.error.is_none())),
        ("ff_relay_redis_leads", "1 while this relay has the lease and writes", leads),
        ("ff_relay_redis_environments_behind", "Environments that differ from Redis", redis.behind as f64),
        ("ff_relay_redis_relays", "Other relays heard of lately", redis.relays.len() as f64),
    ] {
        out.gauge(name, help, &[], value);
    }
    if let Some(lag_ms) = redis.lag_ms {
        let help = "Time between writing and serving of the last change that came, in seconds";
        out.gauge("ff_relay_redis_lag_seconds", help, &[], lag_ms as f64 / 1000.0);
    }
}
