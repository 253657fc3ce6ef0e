//! Sources that an import has paused stay paused whoever leads.

use std::sync::Arc;

use redis::Cmd;
use serde::{Deserialize, Serialize};

use super::Member;
use crate::snapshot::content::EnvironmentId;
use crate::source::redis::go_cache;
use crate::source::redis::keys::own;
use crate::source::redis::link::Failure;
use crate::store::durable::paused::Paused;
use crate::store::redis_state::RedisRole;
use crate::store::source_status::PausedSource;
use crate::telemetry::clock::unix_now_ms;

/// What is in Redis.
#[derive(Serialize, Deserialize)]
struct Wire {
    /// Unix milliseconds of the operator's last word.
    at_ms: i64,
    /// One line of JSON each.
    rows: Vec<String>,
}

/// The list as it was read.
#[derive(Clone, Debug)]
pub(super) struct PauseList {
    at_ms: i64,
    rows: Vec<(EnvironmentId, Paused)>,
}

/// What this relay knows of it.
#[derive(Debug, Default)]
pub(super) struct SharedPauses {
    /// As last read.
    known: Option<PauseList>,
    /// When an operator last changed it here, or whoever wrote what was
    /// adopted.
    at_ms: i64,
    /// This relay's own, as last looked at.
    seen: Option<Arc<std::collections::BTreeMap<EnvironmentId, PausedSource>>>,
    /// Redis has what is here.
    shared: bool,
    /// Before the own source may run, what the leader before had paused has
    /// to be known.
    pub due: bool,
}

fn read(text: &[u8]) -> serde_json::Result<PauseList> {
    let wire: Wire = serde_json::from_slice(text)?;
    let rows = wire.rows.iter().map(|line| Paused::of_line(line)).collect::<serde_json::Result<_>>()?;
    Ok(PauseList { at_ms: wire.at_ms, rows })
}

impl Member {
    /// Reads the list; `None`: nobody has written one.
    pub(super) async fn read_pauses(&mut self) -> Result<Option<PauseList>, Failure> {
        self.notice_own_pauses();
        let Some(text) = go_cache::get(&self.parts.link, own::PAUSED.to_owned()).await? else {
            // Redis may have lost it.
            self.pauses.shared = false;
            return Ok(None);
        };
        match read(&text) {
            Ok(list) => {
                self.pauses.known = Some(list.clone());
                Ok(Some(list))
            }
            Err(error) => {
                tracing::error!(%error, "the list of paused sources in Redis cannot be read; this relay's own goes on");
                self.pauses.shared = false;
                Ok(None)
            }
        }
    }

    /// True if the list says that an import stands in for the environment's
    /// source, and this relay has not taken that over yet.
    pub(super) fn adopts(&self, id: &EnvironmentId, list: Option<&PauseList>) -> bool {
        self.pauses.due
            && list.is_some_and(|list| {
                list.at_ms > self.pauses.at_ms && list.rows.iter().any(|(paused, row)| paused == id && !row.removed)
            })
    }

    /// Before the own source runs under a new lease.
    pub(super) async fn take_over_pauses(&mut self, list: Option<PauseList>) {
        if self.pauses.due && self.role == RedisRole::Leads {
            self.pauses.due = false;
            self.adopt(list).await;
        }
    }

    /// Before the own source runs without Redis: what was read last.
    pub(super) async fn take_over_known_pauses(&mut self) {
        let known = self.pauses.known.clone();
        self.adopt(known).await;
    }

    async fn adopt(&mut self, list: Option<PauseList>) {
        self.notice_own_pauses();
        // What an operator said here since is newer.
        let Some(list) = list.filter(|list| list.at_ms > self.pauses.at_ms) else { return };
        let rows = list.rows;
        let _ = self.parts.queue.run(move |intake| intake.adopt_pauses(rows)).await;
        self.pauses.at_ms = list.at_ms;
        self.pauses.seen = Some(self.parts.store.paused());
        self.pauses.shared = true;
    }

    /// Has an operator changed something here?
    fn notice_own_pauses(&mut self) {
        let now = self.parts.store.paused();
        match &self.pauses.seen {
            Some(seen) if **seen == *now => {}
            Some(_) => (self.pauses.at_ms, self.pauses.shared) = (unix_now_ms(), false),
            None => {}
        }
        self.pauses.seen = Some(now);
    }

    /// While it leads: tells the others what is paused.
    pub(super) async fn share_pauses(&mut self) -> Result<(), Failure> {
        self.notice_own_pauses();
        if self.role != RedisRole::Leads || self.pauses.due || self.pauses.shared {
            return Ok(());
        }
        let pauses = self.parts.queue.run(|intake| intake.pauses()).await.unwrap_or_default();
        let rows = pauses.iter().filter_map(|(id, paused)| paused.line(id).ok()).collect();
        let wire = Wire { at_ms: self.pauses.at_ms, rows };
        let mut command = Cmd::new();
        command.arg("SET").arg(own::PAUSED).arg(serde_json::to_vec(&wire).unwrap_or_default());
        let _: String = self.parts.link.call(&command).await?;
        self.pauses.shared = true;
        Ok(())
    }
}
