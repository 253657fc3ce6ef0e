//! Looks once, at the start, whether the server can do what is needed, so
//! that a deployment that cannot work says so at once.

use redis::Cmd;

use super::keys::{go, own};
use super::link::{Failure, Link};

/// Where the probe writes; it goes by itself.
const KEY: &str = "ffrelay:{probe}";
const LASTS_MS: &str = "60000";

const IN_CLUSTER: &str = "it is a part of a Redis Cluster; list several of its servers in redis-address";

/// Tries what the relay needs. `Ok(false)`: the server is away, or cannot
/// now; that may change.
///
/// # Errors
/// What cannot work, and what to do.
pub async fn probe(link: &Link, leads: bool) -> Result<bool, String> {
    let stream = format!("{KEY}:stream");
    let mut set = Cmd::new();
    set.arg("SET").arg(KEY).arg("1").arg("PX").arg(LASTS_MS);
    let mut add = Cmd::new();
    add.arg("XADD").arg(&stream).arg("MAXLEN").arg("~").arg("1").arg("*").arg("m").arg("1");
    let mut expire = Cmd::new();
    expire.arg("PEXPIRE").arg(&stream).arg(LASTS_MS);
    let mut read = Cmd::new();
    read.arg("HGETALL").arg(own::ENVIRONMENTS);
    let mut script = Cmd::new();
    script.arg("EVAL").arg("return redis.call('GET', KEYS[1])").arg("1").arg(KEY);
    let mut steps = vec![("SET", set), ("XADD", add), ("PEXPIRE", expire), ("HGETALL", read), ("EVAL", script)];
    // Nothing that is there is touched: neither name is anybody's.
    let mut go_proxies = Cmd::new();
    go_proxies.arg(if leads { "DEL" } else { "GET" }).arg("env-ffrelay-feature-configs");
    let mut go_keys = Cmd::new();
    go_keys.arg(if leads { "DEL" } else { "GET" }).arg("auth-key-ffrelay");
    let mut events = Cmd::new();
    events.arg("XREVRANGE").arg(go::EVENTS).arg("+").arg("-").arg("COUNT").arg(1);
    steps.extend([("env-*", go_proxies), ("auth-key-*", go_keys), (go::EVENTS, events)]);
    if !link.is_cluster() {
        // In different slots, which a server that is no cluster does not mind.
        let mut slots = Cmd::new();
        slots.arg("EXISTS").arg("ffrelay:{a}").arg("ffrelay:{b}");
        steps.push(("EXISTS", slots));
    }
    for (what, command) in steps {
        match link.call::<redis::Value>(&command).await {
            Ok(_) => {}
            Err(failure) => {
                return match unfit(&failure) {
                    Some(reason) => Err(format!("Redis at {}: {what}: {reason}", link.name())),
                    None => Ok(false),
                };
            }
        }
    }
    Ok(true)
}

/// Why this will not change by itself; `None` if it may: a disk or memory
/// that is full, too many connections.
fn unfit(failure: &Failure) -> Option<&str> {
    const PASSING: [&str; 3] = ["OOM", "MISCONF", "max number of clients"];
    match failure {
        Failure::Refused(reason) => (!PASSING.iter().any(|word| reason.contains(word))).then_some(reason),
        Failure::Wrong(reason) => reason.contains("CROSSSLOT").then_some(IN_CLUSTER),
        Failure::Away { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_no_reason_not_to_start() {
        let refused = |text: &str| Failure::Refused(text.to_owned());
        assert!(unfit(&refused("the user lacks a permission (NOPERM …)")).is_some());
        assert!(unfit(&refused("its memory is full (OOM …)")).is_none());
        assert!(unfit(&Failure::Away { reason: String::new(), uncertain: false }).is_none());
    }
}
