//! What operators have changed through the admin API: imports and resyncs,
//! done through the intake like everything that writes.

mod answers;
mod import;
mod report;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::intake_queue::IntakeQueue;
use super::pause::ResumeError;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::Digest;
use crate::snapshot::ledger::ServedVersions;
use crate::store::Store;
use crate::store::administration::{
    AdministrationError, Administrator, ImportFault, ImportOptions, ImportReport, ReceivedArchive,
};
use crate::store::durable::DataDir;
use crate::store::redis_state::RedisRole;
use crate::telemetry::clock::unix_now_ms;
use answers::Answers;

/// Asks a source for everything of an environment.
pub type AskAnew = Arc<dyn Fn(&EnvironmentId) + Send + Sync>;

/// See [`Administrator`].
pub struct Administration {
    queue: IntakeQueue,
    /// The source that gives the configuration, as operators call it; `None`
    /// where only imports do.
    owner: Option<String>,
    ask_anew: AskAnew,
    answers: Arc<Mutex<Answers>>,
    store: Store,
}

impl fmt::Debug for Administration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Administration").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Administration {
    /// Remembers what was answered before, if there is a data directory.
    #[must_use]
    pub fn new(
        queue: IntakeQueue,
        store: Store,
        owner: Option<String>,
        ask_anew: AskAnew,
        directory: Option<&DataDir>,
    ) -> Self {
        let answers = directory.map(Answers::read).unwrap_or_default();
        Administration { queue, owner, ask_anew, answers: Arc::new(Mutex::new(answers)), store }
    }

    /// Where relays share a Redis, only what the leader serves reaches them
    /// all.
    fn must_lead(&self) -> Result<(), AdministrationError> {
        let Some(redis) = self.store.redis() else { return Ok(()) };
        if matches!(redis.role, RedisRole::Leads | RedisRole::Alone) {
            return Ok(());
        }
        let leader = redis.holder.as_ref().map_or_else(|| "none does now".to_owned(), |holder| holder.name.clone());
        let message = format!(
            "this relay takes its configuration from Redis; do it at the relay that leads ({leader}), and every relay has it"
        );
        Err(error(ImportFault::Owned, message))
    }
}

impl Administrator for Administration {
    fn import(
        &self,
        archive: ReceivedArchive,
        mut options: ImportOptions,
    ) -> BoxFuture<'_, Result<ImportReport, AdministrationError>> {
        async move {
            if options.request_id.is_empty() {
                options.request_id = format!("{:032x}", rand::random::<u128>());
            }
            if let Some(answer) = known(&self.answers, &options.request_id, archive.sha256, unix_now_ms())? {
                return Ok(answer);
            }
            if !options.validate_only {
                self.must_lead()?;
            }
            if let Some(owner) = self.owner.as_ref().filter(|_| !options.override_upstream && !options.validate_only) {
                let message = format!(
                    "this relay gets its configuration from {owner}; import into one that does not, or set \
                     override_upstream, which pauses that source for the environments of the archive"
                );
                return Err(error(ImportFault::Owned, message));
            }
            let (owned, answers) = (self.owner.is_some(), Arc::clone(&self.answers));
            let read = tokio::task::spawn_blocking(move || import::read(archive)).await;
            let archive = read.map_err(|_| error(ImportFault::Invalid, "the archive cannot be read"))??;
            let done = self.queue.run(move |intake| import::import(intake, archive, &options, owned, &answers)).await;
            done.ok_or_else(|| error(ImportFault::Ending, "the relay is shutting down"))?
        }
        .boxed()
    }

    fn learn_served(&self, environment: &EnvironmentId, served: ServedVersions) -> BoxFuture<'_, ()> {
        let id = environment.clone();
        async move { self.queue.send(move |intake| intake.learn_served(&id, served)).await }.boxed()
    }

    fn resync(&self, environment: &EnvironmentId) -> BoxFuture<'_, Result<bool, AdministrationError>> {
        let id = environment.clone();
        async move {
            self.must_lead()?;
            let job_id = id.clone();
            let resumed = self.queue.run(move |intake| intake.resume(&job_id, unix_now_ms() / 1000)).await;
            let resumed = resumed.ok_or_else(|| error(ImportFault::Ending, "the relay is shutting down"))?;
            let was_paused = resumed.map_err(|failed| {
                let fault = match failed {
                    ResumeError::Durable(_) => ImportFault::Persist,
                    ResumeError::Prepare(_) => ImportFault::Invalid,
                };
                error(fault, format!("environment {id} cannot be given back to its source: {failed}"))
            })?;
            (self.ask_anew)(&id);
            Ok(was_paused)
        }
        .boxed()
    }
}

/// The answer of an earlier import with this id.
///
/// # Errors
/// It was of another archive.
fn known(
    answers: &Mutex<Answers>,
    request_id: &str,
    sha256: Digest,
    now_ms: i64,
) -> Result<Option<ImportReport>, AdministrationError> {
    match lock(answers).find(request_id, now_ms) {
        Some(known) if known.sha256 == sha256 => Ok(Some(ImportReport { repeated: true, ..known })),
        Some(_) => {
            let message = format!("request_id '{request_id}' named the import of another archive");
            Err(error(ImportFault::Request, message))
        }
        None => Ok(None),
    }
}

fn error(fault: ImportFault, message: impl Into<String>) -> AdministrationError {
    AdministrationError { fault, message: message.into() }
}

fn lock(answers: &Mutex<Answers>) -> std::sync::MutexGuard<'_, Answers> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}
