//! The task that watches the configuration and takes what is good.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use super::Location;
use super::load::{Loaded, apply, load};
use super::scan::scan;
use super::watch::{Step, Watcher};
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::report::Problems;
use crate::source::intake::Intake;
use crate::store::source_status::SourceStatus;
use crate::telemetry::logging::millis;

/// Everything one look needs; it travels to a blocking thread and back.
struct Watch {
    location: Location,
    watcher: Watcher,
    intake: Intake,
    loaded: Loaded,
    status: SourceStatus,
}

/// Looks every `interval` until told to stop.
pub async fn run(
    location: Location,
    intake: Intake,
    loaded: Loaded,
    interval: Duration,
    status: SourceStatus,
    stop: CancellationToken,
) {
    let watcher = Watcher::new(location.name(), loaded.scan.clone());
    let mut watch = Watch { location, watcher, intake, loaded, status };
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.cancelled() => return,
        }
        let looked = tokio::task::spawn_blocking(move || {
            watch.look();
            watch
        });
        match looked.await {
            Ok(back) => watch = back,
            // The supervisor ends the process: better than watching no more.
            Err(error) => {
                tracing::error!(%error, "watching the configuration failed");
                return;
            }
        }
    }
}

impl Watch {
    fn look(&mut self) {
        let scan = match scan(&self.location) {
            Ok(scan) => scan,
            Err(problem) => return self.refuse(&problem.into()),
        };
        if self.watcher.is_new_archive(&scan)
            && let Ok(loaded) = load(&self.location, scan.clone(), None)
            && loaded.vouched
            && self.take(loaded, BTreeSet::new()).is_ok()
        {
            return;
        }
        match self.watcher.step(&scan, Instant::now()) {
            Step::Wait if scan == *self.watcher.loaded() => {
                self.status.good(&self.location.name(), false, now_unix_ms());
                self.intake.writer().set_certain(!self.loaded.environments.is_empty());
            }
            Step::Wait => {}
            Step::Refuse(problem) => self.refuse(&problem.into()),
            Step::Load { removed } => {
                let loaded = load(&self.location, scan.clone(), Some(&self.loaded));
                if super::scan::scan(&self.location).ok().as_ref() != Some(&scan) {
                    // It changed while it was read: the next looks decide.
                    return;
                }
                let result = loaded.and_then(|loaded| self.take(loaded, removed.clone()));
                if let Err(problems) = result {
                    self.watcher.refused(scan, removed, Instant::now());
                    self.refuse(&problems);
                }
            }
        }
    }

    fn take(&mut self, loaded: Loaded, mut removed: BTreeSet<EnvironmentId>) -> Result<(), Problems> {
        if loaded.scan.archive.is_some() {
            removed = self.loaded.environments.keys().cloned().collect();
        }
        removed.retain(|id| !loaded.environments.contains_key(id));
        let started = Instant::now();
        apply(&mut self.intake, &self.location, &loaded, removed.clone(), now_unix_ms() / 1000)?;
        tracing::info!(
            environments = loaded.environments.len(),
            duration_ms = millis(started.elapsed()),
            path = %self.location.name(),
            "configuration reloaded"
        );
        self.watcher.accepted(loaded.scan.clone(), &removed);
        self.loaded = loaded;
        self.intake.writer().set_certain(true);
        self.status.good(&self.location.name(), true, now_unix_ms());
        Ok(())
    }

    fn refuse(&mut self, problems: &Problems) {
        // A key that is only in what cannot be read is not known not to exist.
        self.intake.writer().set_certain(false);
        if self.status.bad(&problems.to_string(), now_unix_ms()) {
            tracing::error!(error = %problems, "the new configuration is not usable; the one before is served");
        }
    }
}

fn now_unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
