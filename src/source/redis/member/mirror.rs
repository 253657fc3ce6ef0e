//! The Go proxies' layout beside the truth: written with it, and looked at
//! from time to time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use redis::Cmd;

use super::Member;
use crate::snapshot::Snapshot;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::ItemKind;
use crate::source::redis::go_cache::{self, Seen};
use crate::source::redis::keys::go;
use crate::source::redis::link::Failure;
use crate::source::redis::mirror::{Plan, Write, plan, removal, repair};
use crate::source::redis::truth::plan::TruthPlan;
use crate::source::redis::truth::script::{self, EnvironmentWrite};
use crate::store::redis_state::RedisRole;

/// The mirror of each environment is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Environments whose mirror is looked at between other work.
const SLICE: usize = 50;

impl Member {
    /// `None`: the mirror is a Go primary's to write.
    pub(super) fn plan_mirror(&self, before: &Snapshot, after: &Snapshot) -> Option<Plan> {
        (self.role == RedisRole::Leads).then(|| plan(Some(before), after))
    }

    /// Where nobody knows what is there: what is too much goes, too.
    pub(super) async fn plan_whole_mirror(&self, after: &Snapshot) -> Result<Option<Plan>, Failure> {
        if self.role != RedisRole::Leads {
            return Ok(None);
        }
        let (id, link) = (&after.environment, &self.parts.link);
        let mut whole = plan(None, after);
        if go_cache::get(link, go::list(id, ItemKind::Flag)).await?.is_some() {
            let found = go_cache::find(link, id, self.seen_of_go(), &BTreeSet::new()).await?;
            whole.writes = repair(&found, after);
        }
        Ok(Some(whole))
    }

    pub(super) fn plan_removal(&self, before: &Snapshot) -> Option<Plan> {
        (self.role == RedisRole::Leads).then(|| removal(before))
    }

    /// On a cluster, in the order in which no reader takes a half for the
    /// whole: items, list, hash of the list.
    pub(super) async fn write_mirror(&self, plan: &Plan) -> Result<(), Failure> {
        self.write_steps(&plan.writes).await?;
        for event in &plan.events {
            let mut command = Cmd::new();
            command.arg("XADD").arg(go::EVENTS).arg("MAXLEN").arg("~").arg(script::STREAM_ENTRIES).arg("*");
            command.arg(go::FIELD).arg(event).arg(go::OURS).arg("1");
            let _: String = self.parts.link.call(&command).await?;
        }
        Ok(())
    }

    async fn write_steps(&self, writes: &[Write]) -> Result<(), Failure> {
        for write in writes {
            let mut command = Cmd::new();
            match write {
                Write::Set { key, value } => command.arg("SET").arg(key).arg(value.as_slice()),
                Write::Delete { key } => command.arg("DEL").arg(key),
            };
            let _: redis::Value = self.parts.link.call(&command).await?;
        }
        Ok(())
    }

    /// Compares mirrors with what is served, a few at a time, and mends
    /// them.
    pub(super) async fn mend_mirrors(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        if self.role != RedisRole::Leads || now < self.next_mirrors {
            return Ok(());
        }
        let written: Vec<_> = self.written.iter().map(|(id, it)| (id.clone(), it.snapshot.clone())).collect();
        let from = self.mirrors_from.take();
        let mut rest = written.into_iter().skip_while(|(id, _)| from.as_ref().is_some_and(|from| id < from));
        for (id, snapshot) in rest.by_ref().take(SLICE) {
            // Its keys: those that are served; a key that moved is another's.
            let environments = [(id.clone(), self.own_keys(&snapshot).await?)].into();
            let seen = Seen::of(environments);
            let found = go_cache::find(&self.parts.link, &id, &seen, &BTreeSet::new()).await?;
            let writes = repair(&found, &snapshot);
            if !writes.is_empty() {
                tracing::info!(environment = %id, keys = writes.len(), "the Go proxies' keys in Redis are not what is served; they are written anew");
                self.write_mended(&id, &snapshot, writes).await?;
            }
        }
        self.mirrors_from = rest.next().map(|(id, _)| id);
        if self.mirrors_from.is_none() {
            self.next_mirrors = now + LOOK_EVERY;
        }
        Ok(())
    }

    /// Under the same fence as everything else, where one script can.
    async fn write_mended(&self, id: &EnvironmentId, snapshot: &Snapshot, writes: Vec<Write>) -> Result<(), Failure> {
        if self.parts.link.is_cluster() {
            return self.write_steps(&writes).await;
        }
        let revision = Some(snapshot.revision);
        let write = EnvironmentWrite {
            id,
            token: self.token,
            revision,
            truth: TruthPlan { base: revision, ..TruthPlan::default() },
            mirror: Some(Plan { writes, ..Plan::default() }),
            word: None,
        };
        // Fenced or moved: it is another one's, or the next look's.
        script::write(&self.parts.link, &write).await.map(drop)
    }

    /// Keys of an environment that lead to it in Redis, too.
    async fn own_keys(&self, snapshot: &Snapshot) -> Result<Vec<crate::snapshot::content::KeyHash>, Failure> {
        let mut keys = Vec::new();
        for hash in &snapshot.content.key_hashes {
            let value = go_cache::get(&self.parts.link, go::auth_key(hash)).await?;
            if value.and_then(|value| serde_json::from_slice::<String>(&value).ok()).as_deref()
                == Some(snapshot.environment.as_str())
            {
                keys.push(*hash);
            }
        }
        Ok(keys)
    }
}
