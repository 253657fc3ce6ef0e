//! The task that writes what must outlive the process, behind the SDK path.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{DataDir, DurableError};
use crate::snapshot::content::EnvironmentId;
use crate::store::Store;

/// Changes of this long are written together.
const GATHER: Duration = Duration::from_millis(200);
/// Targets are written this often.
const TARGETS_EVERY: Duration = Duration::from_secs(1);
/// After a failure.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What is waiting to be written, and whether writing works.
#[derive(Debug, Default)]
pub struct Pending {
    /// With the credential under which one that is gone was stored.
    environments: Mutex<BTreeMap<EnvironmentId, Arc<str>>>,
    wake: Notify,
    failing: AtomicBool,
}

impl Pending {
    /// Notes that an environment's snapshot changed, or that it is gone.
    pub fn note(&self, environment: &EnvironmentId, credential: &Arc<str>) {
        let mut waiting = self.environments.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(environment.clone(), Arc::clone(credential));
        drop(waiting);
        self.wake.notify_one();
    }

    /// False while the last attempt to write failed.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.failing.load(Ordering::Relaxed)
    }

    fn take(&self) -> BTreeMap<EnvironmentId, Arc<str>> {
        std::mem::take(&mut *self.environments.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes until told to stop, then once more.
pub async fn run(directory: Arc<DataDir>, store: Store, pending: Arc<Pending>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = pending.wake.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(TARGETS_EVERY) => {}
            () = stop.cancelled() => break,
        }
        if !write_all(&directory, &store, &pending).await {
            tokio::select! {
                () = tokio::time::sleep(RETRY_AFTER) => {}
                () = stop.cancelled() => break,
            }
        }
    }
    if write_all(&directory, &store, &pending).await
        && let Err(error) = directory.end_in_order()
    {
        tracing::error!(%error, "the data directory could not be closed in order");
    }
}

/// One round; false if something could not be written and waits again.
async fn write_all(directory: &Arc<DataDir>, store: &Store, pending: &Arc<Pending>) -> bool {
    let (directory, store, waiting) = (Arc::clone(directory), store.clone(), Arc::clone(pending));
    let written = tokio::task::spawn_blocking(move || write_round(&directory, &store, &waiting)).await;
    let result = match written {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "writing the data directory failed");
            return false;
        }
    };
    let was_failing = pending.failing.swap(result.is_err(), Ordering::Relaxed);
    match &result {
        Err(error) if !was_failing => {
            tracing::error!(%error, "the data directory cannot be written; serving goes on, a restart would lose changes");
        }
        Ok(()) if was_failing => tracing::info!("the data directory can be written again"),
        _ => {}
    }
    result.is_ok()
}

fn write_round(directory: &DataDir, store: &Store, pending: &Pending) -> Result<(), DurableError> {
    {
        let _alone = directory.alone();
        // What an import committed and could not put in place comes first.
        directory.finish_staged()?;
    }
    let mut first_error = None;
    for (id, credential) in pending.take() {
        let _alone = directory.alone();
        let index = store.index().clone();
        let snapshot = index.environment(id.as_str()).and_then(|environment| environment.snapshot().clone());
        let written = match &snapshot {
            Some(snapshot) => directory.write_ledger(snapshot).and_then(|()| directory.write_snapshot(snapshot)),
            // What was withdrawn must not be served by the next start.
            None => directory.remove_snapshot(&id, &credential),
        };
        if let Err(error) = written {
            pending.environments.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_insert(credential);
            first_error.get_or_insert(error);
        }
    }
    for environment in store.index().clone().environments.values() {
        let news = environment.targets.take_unwritten();
        if !news.is_empty()
            && let Err(error) = directory.append_targets(environment, &news)
        {
            environment.targets.put_back(news);
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or(Ok(()), Err)
}
