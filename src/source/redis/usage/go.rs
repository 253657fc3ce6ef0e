//! SDK metrics in the Go proxies' way: `stream:sdk_metrics`, trimmed by who
//! writes, nothing acknowledged.

use bytes::Bytes;
use redis::Cmd;

use crate::model::Target;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::{ItemKey, ItemKind};
use crate::source::redis::keys::go;
use crate::source::redis::link::{Failure, Link};
use crate::usage::Delivery;

/// Puts a body `{"metricsData":[…],"targetData":[…]}` in, for a Go primary.
pub async fn send(link: &Link, environment: &EnvironmentId, body: &[u8], most: usize) -> Delivery {
    let event = event(environment, body);
    let mut command = Cmd::new();
    command.arg("XADD").arg(go::USAGE).arg("MAXLEN").arg("~").arg(most).arg("*").arg(go::FIELD).arg(event);
    match link.call::<String>(&command).await {
        Ok(_) => Delivery::Taken,
        Err(Failure::Away { reason, uncertain: true }) => {
            Delivery::Uncertain { reason: format!("Redis: {reason}"), retry_after: None }
        }
        Err(failure) => Delivery::Refused { status: None, reason: format!("Redis: {failure}"), retry_after: None },
    }
}

/// The Go proxies' message: the body with the environment in it.
fn event(environment: &EnvironmentId, body: &[u8]) -> Vec<u8> {
    // A text always is JSON.
    let id = serde_json::to_vec(environment.as_str()).unwrap_or_default();
    let mut event = [b"{\"environment_id\":", id.as_slice()].concat();
    let members = body.strip_prefix(b"{").unwrap_or(body);
    if members != b"}" {
        event.push(b',');
    }
    event.extend_from_slice(members);
    event
}

/// Where Go proxies look for a target's attributes. It is kept for a week, so
/// that targets which nobody knows any more do not fill Redis.
pub async fn store_target(link: &Link, environment: &EnvironmentId, target_json: &str) {
    const KEPT_S: &str = "604800";
    let Ok(target) = serde_json::from_str::<Target>(target_json) else { return };
    let key = ItemKey { kind: ItemKind::Target, identifier: target.identifier.into() };
    let mut command = Cmd::new();
    command.arg("SET").arg(go::item(environment, &key)).arg(target_json).arg("EX").arg(KEPT_S);
    // Without it a Go proxy knows the identifier alone; the SDK brings it again.
    let _: Result<String, Failure> = link.call(&command).await;
}

/// A body that holds one target.
#[must_use]
pub fn target_body(target_json: &str) -> Bytes {
    Bytes::from(format!("{{\"metricsData\":[],\"targetData\":[{target_json}]}}"))
}

/// Which environment a message of a Go replica is about.
#[must_use]
pub fn environment_of(event: &[u8]) -> Option<EnvironmentId> {
    #[derive(serde::Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        environment_id: std::borrow::Cow<'a, str>,
    }
    let message: Message<'_> = serde_json::from_slice(event).ok()?;
    Some(EnvironmentId::new(&message.environment_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_carry_the_environment() {
        let environment = EnvironmentId::new("e\"1");
        for (body, expected) in [
            ("{\"metricsData\":[1]}", "{\"environment_id\":\"e\\\"1\",\"metricsData\":[1]}"),
            ("{}", "{\"environment_id\":\"e\\\"1\"}"),
        ] {
            let event = event(&environment, body.as_bytes());
            assert_eq!(String::from_utf8_lossy(&event), expected);
            assert_eq!(environment_of(&event), Some(environment.clone()));
        }
        assert_eq!(environment_of(b"{}"), None);
    }
}
