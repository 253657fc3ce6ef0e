//! Targets that SDKs brought to one relay are known to all.

use std::time::Duration;

use redis::Cmd;
use tokio::sync::broadcast::error::RecvError;

use super::keys::own;
use super::link::Link;
use super::reader::Entry;
use crate::model::Target;
use crate::snapshot::content::EnvironmentId;
use crate::store::targets::{MAX_TARGET_BYTES, StoredTarget};
use crate::store::{Learnt, Store};

/// Targets up to this size go into the longer stream.
const SMALL: usize = 4 * 1024;

/// Entries kept: what a relay that starts can still learn. Together at most
/// 40 MiB, and 50 MiB of large ones.
const SMALL_ENTRIES: &str = "10000";
const LARGE_ENTRIES: &str = "200";

/// Targets that are on their way at once.
const AT_ONCE: usize = 100;

/// For so long what could not be told is tried again; what comes meanwhile
/// waits, and is dropped beyond a bound: SDKs bring it again.
const ATTEMPTS: usize = 60;

/// After a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Tells the other relays what SDKs of this one bring. `from` names this
/// relay. Until dropped.
pub async fn share(store: Store, link: Link, from: String) {
    let mut learnt = store.learnt();
    loop {
        let mut batch = Vec::new();
        match learnt.recv().await {
            Ok(target) => batch.push(target),
            // SDKs bring them again.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return std::future::pending().await,
        }
        while let (true, Ok(target)) = (batch.len() < AT_ONCE, learnt.try_recv()) {
            batch.push(target);
        }
        // What came from another relay it has told itself.
        batch.retain(|target| !target.from.starts_with(FROM_REDIS));
        for _ in 0..ATTEMPTS {
            let calls = batch.iter().map(|target| send(&link, target, &from));
            let sent = futures_util::future::join_all(calls).await;
            let mut sent = sent.into_iter();
            batch.retain(|_| sent.next() == Some(false));
            if batch.is_empty() {
                break;
            }
            // Redis is away: who speaks of it is the member.
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Where targets that came through Redis come from.
const FROM_REDIS: &str = "redis ";

async fn send(link: &Link, target: &Learnt, from: &str) -> bool {
    let json = &target.target.json;
    let (stream, entries) =
        if json.len() <= SMALL { (own::TARGETS, SMALL_ENTRIES) } else { (own::LARGE_TARGETS, LARGE_ENTRIES) };
    let mut command = Cmd::new();
    command.arg("XADD").arg(stream).arg("MAXLEN").arg("~").arg(entries).arg("*");
    command.arg("e").arg(target.environment.as_str()).arg("j").arg(json.as_bytes()).arg("r").arg(from);
    link.call::<String>(&command).await.is_ok()
}

/// A target that another relay told of.
#[derive(Debug)]
pub struct Told<'a> {
    pub environment: EnvironmentId,
    pub json: &'a str,
}

/// Takes it; `None`: it is this relay's own, or cannot be read. `own` names
/// this relay.
pub fn learn<'a>(store: &Store, entry: &'a Entry, own: &str) -> Option<Told<'a>> {
    let text = |name| std::str::from_utf8(entry.field(name)?).ok();
    let from = text("r").filter(|from| *from != own)?;
    let json = text("j").filter(|json| json.len() <= MAX_TARGET_BYTES)?;
    let target: Target = serde_json::from_str(json).ok()?;
    let environment = store.index().environment(text("e")?).cloned()?;
    if target.identifier.is_empty() {
        return None;
    }
    store.learn(&environment, StoredTarget { target, json: json.into() }, &format!("{FROM_REDIS}{from}"));
    Some(Told { environment: environment.id.clone(), json })
}
