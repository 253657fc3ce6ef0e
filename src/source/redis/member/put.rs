//! What the leader writes: only what differs from what it wrote before.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::compare::{There, is_in_sync};
use super::trouble::Part;
use super::{Member, Served};
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::{Names, Revision};
use crate::source::redis::bus::{Changed, FIELD, Word};
use crate::source::redis::keys::own;
use crate::source::redis::link::Failure;
use crate::source::redis::truth::plan::{TruthPlan, Written};
use crate::source::redis::truth::read;
use crate::source::redis::truth::script::{self, EnvironmentWrite, Outcome};
use crate::store::environment::Environment;
use crate::store::redis_state::RedisRole;

impl Member {
    /// Writes every environment that was swapped since.
    pub(super) async fn put_changes(&mut self) {
        let index = self.parts.store.index().clone();
        let (mut failed, before) = (None, self.puts);
        for environment in index.sorted() {
            let Some(snapshot) = environment.snapshot().clone() else { continue };
            // What nobody compared yet may be older than what is there.
            let Some(known) = self.written.get(&environment.id) else { continue };
            if known.snapshot.revision == snapshot.revision && is_named(environment, &snapshot, &known.names) {
                continue;
            }
            let (known, names) = (known.clone(), names_of(environment, &snapshot));
            match self.put(environment, &snapshot, names, Some(known)).await {
                Ok(()) => {}
                // One that cannot be written is no reason to leave the others.
                Err(failure @ Failure::Wrong(_)) => failed = Some(failure),
                Err(failure) => {
                    failed = Some(failure);
                    break;
                }
            }
        }
        let fresh: Vec<_> =
            index.sorted().into_iter().filter(|it| self.is_new_here(it)).map(|it| it.id.clone()).collect();
        if failed.is_none() && !fresh.is_empty() {
            failed = self.look_at_new(fresh).await.err();
        }
        if failed.is_none() {
            failed = self.put_removals(&index.environments.keys().cloned().collect()).await.err();
        }
        if failed.is_none() {
            failed = self.share_pauses().await.err();
        }
        if failed.is_some() {
            // SDKs are told all the same.
            self.gates.leave(&self.parts.store);
        }
        match failed {
            Some(failure) => self.fails(Part::Writing, &failure),
            None if self.puts > before => self.works(Part::Writing),
            None => {}
        }
    }

    fn is_new_here(&self, environment: &Environment) -> bool {
        !self.written.contains_key(&environment.id) && environment.snapshot().is_some()
    }

    /// Environments that this relay has not dealt with since it leads.
    async fn look_at_new(&mut self, ids: Vec<EnvironmentId>) -> Result<(), Failure> {
        use crate::source::redis::decide::{Ours, Step, decide};
        let mut puts = Vec::new();
        for id in ids {
            let (theirs, _) = read::head(&self.parts.link, &id).await?;
            let Some(environment) = self.parts.store.index().environment(id.as_str()).cloned() else { continue };
            let ours = environment.snapshot().as_deref().map(Ours::of);
            match decide(self.stance(Some(&environment)), ours, theirs.as_ref()) {
                Step::Put if self.waits_for_source(&id, Some(&environment)) => {}
                // The next comparison looks at it.
                Step::Put if self.gone.contains(&id) && !is_in_sync(&environment) => {}
                // Taken by the next comparison.
                Step::Take if self.parts.policy.follows() => {}
                Step::Put | Step::Take => puts.push((id, theirs)),
                Step::Nothing => self.note_written(&environment),
            }
        }
        self.put_back(puts).await
    }

    /// Writes environments whose state in Redis is another one, or missing.
    pub(super) async fn put_back(&mut self, puts: Vec<(EnvironmentId, Option<Revision>)>) -> Result<(), Failure> {
        let mut wrong = None;
        for (id, theirs) in puts {
            let own = self.written.get(&id).map(|known| known.snapshot.revision);
            if theirs.is_some() && own != theirs {
                self.learn_served(&id).await?;
            }
            let Some(environment) = self.parts.store.index().environment(id.as_str()).cloned() else { continue };
            let Some(snapshot) = environment.snapshot().clone() else { continue };
            let names = names_of(&environment, &snapshot);
            let known = self.written.get(&id).filter(|known| Some(known.snapshot.revision) == theirs).cloned();
            match self.put(&environment, &snapshot, names, known).await {
                Err(failure @ Failure::Wrong(_)) => wrong = Some(failure),
                other => other?,
            }
        }
        wrong.map_or(Ok(()), Err)
    }

    /// SDKs may have been given higher versions by whoever wrote what is
    /// there.
    async fn learn_served(&mut self, id: &EnvironmentId) -> Result<(), Failure> {
        let served = match read::whole(&self.parts.link, id).await {
            Ok(truth) => truth.map(|truth| truth.served()),
            Err(Failure::Wrong(reason)) => {
                tracing::warn!(environment = %id, reason, "what Redis has is damaged and is written anew");
                None
            }
            Err(failure) => return Err(failure),
        };
        if let Some(served) = served {
            let id = id.clone();
            let _ = self.parts.queue.run(move |intake| intake.learn_served(&id, served)).await;
        }
        Ok(())
    }

    /// Writes one environment. `known` is what is there for certain.
    async fn put(
        &mut self,
        environment: &Arc<Environment>,
        snapshot: &Served,
        names: Names,
        known: Option<Written>,
    ) -> Result<(), Failure> {
        let mut base = known;
        // At most twice: a base that moved is not looked for again.
        for _ in 0..2 {
            let truth = match &base {
                Some(known) => TruthPlan::between(known, snapshot, &names),
                None => TruthPlan::whole(snapshot, &names),
            };
            let word = Word::Changed(Changed {
                environment: environment.id.clone(),
                from: base.as_ref().map(|known| known.snapshot.revision).filter(|_| truth.named.is_some()),
                to: snapshot.revision,
                named: truth.named.clone().unwrap_or_default(),
            });
            let mirror = match &base {
                Some(known) => self.plan_mirror(&known.snapshot, snapshot),
                None => self.plan_whole_mirror(snapshot).await?,
            };
            let write = EnvironmentWrite {
                id: &environment.id,
                token: self.token,
                revision: Some(snapshot.revision),
                truth,
                mirror,
                word: Some(word.clone()),
            };
            match script::write(&self.parts.link, &write).await? {
                Outcome::Done { bus } => {
                    let told = if self.parts.link.is_cluster() { self.tell_apart(&write, word).await? } else { bus };
                    self.gates.written(environment, snapshot.place, told);
                    self.written.insert(environment.id.clone(), Written { snapshot: Arc::clone(snapshot), names });
                    self.puts += 1;
                    self.alone_from.remove(&environment.id);
                    self.tokens.insert(environment.id.clone(), self.token);
                    if self.role == RedisRole::Leads {
                        self.is_not_go_served(&environment.id);
                    }
                    return Ok(());
                }
                Outcome::Moved => base = None,
                Outcome::Fenced { token } => return Err(self.fenced(token)),
            }
        }
        Err(Failure::Wrong(format!("environment {} in Redis changes under the leader's hands", environment.id)))
    }

    /// A later holder of the lease has written.
    fn fenced(&mut self, token: u64) -> Failure {
        self.nudge.saw(token);
        self.nudge.wake();
        Failure::Refused("another primary leads; this one's late writes are refused".to_owned())
    }

    /// Withdraws from Redis what is served no more.
    async fn put_removals(&mut self, served: &BTreeSet<EnvironmentId>) -> Result<(), Failure> {
        let gone: Vec<EnvironmentId> = self.written.keys().filter(|id| !served.contains(*id)).cloned().collect();
        for id in gone {
            let Some(written) = self.written.get(&id).cloned() else { continue };
            let write = EnvironmentWrite {
                id: &id,
                token: self.token,
                revision: None,
                truth: TruthPlan::default(),
                mirror: self.plan_removal(&written.snapshot),
                word: Some(Word::Gone(id.clone())),
            };
            match script::write(&self.parts.link, &write).await? {
                Outcome::Done { .. } => {
                    if self.parts.link.is_cluster() {
                        self.tell_apart(&write, Word::Gone(id.clone())).await?;
                    }
                    self.written.remove(&id);
                }
                Outcome::Moved => {}
                Outcome::Fenced { token } => return Err(self.fenced(token)),
            }
        }
        Ok(())
    }

    /// On a cluster: what one script cannot write with the truth.
    async fn tell_apart(&mut self, write: &EnvironmentWrite<'_>, word: Word) -> Result<Option<String>, Failure> {
        let mut command = redis::Cmd::new();
        command.arg("HSET").arg(own::ENVIRONMENTS).arg(write.id.as_str());
        command.arg(script::registered(write.revision.is_some()));
        let _: i64 = self.parts.link.call(&command).await?;
        if let Some(mirror) = &write.mirror {
            self.write_mirror(mirror).await?;
        }
        self.tell(&word).await.map(Some)
    }

    /// The list of environments may lie on another server than they do, and
    /// be lost alone.
    pub(super) async fn register_again(&self, there: &There) -> Result<(), Failure> {
        let lost: Vec<&EnvironmentId> = self.written.keys().filter(|id| !there.live.contains(*id)).collect();
        if lost.is_empty() {
            return Ok(());
        }
        let mut command = redis::Cmd::new();
        command.arg("HSET").arg(own::ENVIRONMENTS);
        for id in lost {
            command.arg(id.as_str()).arg(script::registered(true));
        }
        let _: i64 = self.parts.link.call(&command).await?;
        Ok(())
    }

    /// Puts a word on the bus; gives its entry's id.
    pub(super) async fn tell(&self, word: &Word) -> Result<String, Failure> {
        let mut command = redis::Cmd::new();
        command.arg("XADD").arg(own::BUS).arg("MAXLEN").arg("~").arg(script::STREAM_ENTRIES).arg("*");
        command.arg(FIELD).arg(word.write());
        self.parts.link.call(&command).await
    }

    /// Remembers what is there already.
    pub(super) fn note_equal(&mut self, there: &There) {
        let index = self.parts.store.index().clone();
        for (id, theirs) in &there.revisions {
            let Some(environment) = index.environment(id.as_str()) else { continue };
            let ours = environment.snapshot().as_ref().map(|snapshot| snapshot.revision);
            if ours.is_some() && ours == *theirs && !self.written.contains_key(id) {
                self.note_written(environment);
            }
        }
    }

    /// Followers that have a later state, which Redis lost, go by this one:
    /// it is what the source has.
    pub(super) async fn confirm(&mut self, there: &There) -> Result<(), Failure> {
        let index = self.parts.store.index().clone();
        for (id, token) in there.tokens.iter().filter(|(_, token)| **token < self.token) {
            let Some(environment) = index.environment(id.as_str()) else { continue };
            let served = environment.snapshot().as_ref().map(|snapshot| snapshot.revision);
            let Some(revision) = served.filter(|served| there.revisions.get(id) == Some(&Some(*served))) else {
                continue;
            };
            if self.role != RedisRole::Leads || !is_in_sync(environment) {
                continue;
            }
            let truth = TruthPlan { base: Some(revision), ..TruthPlan::default() };
            let write =
                EnvironmentWrite { id, token: self.token, revision: Some(revision), truth, mirror: None, word: None };
            if let Outcome::Fenced { token } = script::write(&self.parts.link, &write).await? {
                return Err(self.fenced(token));
            }
            tracing::debug!(environment = %id, before = token, token = self.token, "confirmed");
        }
        Ok(())
    }

    fn note_written(&mut self, environment: &Arc<Environment>) {
        if let Some(snapshot) = environment.snapshot().clone() {
            let names = names_of(environment, &snapshot);
            self.gates.written(environment, snapshot.place, None);
            self.written.insert(environment.id.clone(), Written { snapshot, names });
        }
    }
}

/// True if these are its names, without making them anew.
fn is_named(environment: &Environment, snapshot: &Served, names: &Names) -> bool {
    let told = environment.names.load();
    let fields: [fn(&Names) -> &String; 3] = [|it| &it.environment, |it| &it.project, |it| &it.account];
    fields.into_iter().all(|field| {
        let told = told.as_ref().map(|told| field(told)).filter(|name| !name.is_empty());
        told.unwrap_or_else(|| field(&snapshot.names)) == field(names)
    })
}

fn names_of(environment: &Environment, snapshot: &Served) -> Names {
    let told = environment.names.load_full();
    told.map_or_else(|| snapshot.names.clone(), |names| names.or(&snapshot.names))
}
