//! Looks once, at the start, whether the server can do what is needed, so
//! that a deployment that cannot work says so at once.

use redis::Cmd;

use super::keys::own;
use super::link::{Failure, Link};

/// Where the probe writes; it goes by itself.
const KEY: &str = "ffrelay:{probe}";
const LASTS_MS: &str = "60000";

/// Tries what the relay needs. `Ok(false)`: the server is away, or cannot
/// now; that may change.
///
/// # Errors
/// What cannot work, and what to do.
pub async fn probe(link: &Link) -> Result<bool, String> {
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
    for (what, command) in [("SET", set), ("XADD", add), ("PEXPIRE", expire), ("HGETALL", read), ("EVAL", script)] {
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

/// Why this will not change by itself; `None` if it may.
fn unfit(failure: &Failure) -> Option<String> {
    let text = failure.to_string();
    let has = |word: &str| text.contains(word);
    if has("MOVED") || has("CROSSSLOT") {
        return Some(
            "the server is a node of a Redis Cluster: name at least two of its nodes in redis-address".to_owned(),
        );
    }
    if has("unknown command") {
        return Some(format!(
            "{text}; Redis 5.0 or later is needed, and sentinels are named together with redis-sentinel-master"
        ));
    }
    let lasting = ["NOAUTH", "WRONGPASS", "NOPERM", "invalid password", "without any password", "DB index", "cluster support disabled"];
    lasting.iter().any(|word| has(word)).then_some(text)
}
