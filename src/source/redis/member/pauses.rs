//! Sources that an import has paused stay paused whoever leads.

use std::sync::Arc;

use redis::Cmd;

use super::Member;
use crate::source::redis::go_cache;
use crate::source::redis::keys::own;
use crate::source::redis::link::Failure;
use crate::store::durable::paused::Paused;
use crate::store::redis_state::RedisRole;

impl Member {
    /// Before the own source runs: what the leader before had paused.
    pub(super) async fn adopt_pauses(&mut self) -> Result<(), Failure> {
        self.shared_pauses = None;
        // Where nothing is said this relay's own pauses go on.
        let Some(text) = go_cache::get(&self.parts.link, own::PAUSED.to_owned()).await? else { return Ok(()) };
        let lines: Vec<String> = serde_json::from_slice(&text).unwrap_or_default();
        let read = lines.iter().map(|line| Paused::of_line(line)).collect::<Result<Vec<_>, _>>();
        match read {
            Ok(pauses) => {
                let _ = self.parts.queue.run(move |intake| intake.adopt_pauses(pauses)).await;
            }
            Err(error) => tracing::error!(%error, "which sources are paused cannot be read from Redis"),
        }
        Ok(())
    }

    /// While it leads: tells the others what is paused.
    pub(super) async fn share_pauses(&mut self) -> Result<(), Failure> {
        let paused = self.parts.store.paused();
        let same = self.shared_pauses.as_ref().is_some_and(|shared| Arc::ptr_eq(shared, &paused));
        if self.role != RedisRole::Leads || same {
            return Ok(());
        }
        let pauses = self.parts.queue.run(|intake| intake.pauses()).await.unwrap_or_default();
        let lines: Vec<String> = pauses.iter().filter_map(|(id, paused)| paused.line(id).ok()).collect();
        let mut command = Cmd::new();
        command.arg("SET").arg(own::PAUSED).arg(serde_json::to_vec(&lines).unwrap_or_default());
        let _: String = self.parts.link.call(&command).await?;
        self.shared_pauses = Some(paused);
        Ok(())
    }
}
