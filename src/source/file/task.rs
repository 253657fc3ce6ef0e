//! The task that watches the configuration and takes what is good.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Location;
use super::load::{Loaded, apply, load};
use super::scan::scan;
use super::watch::{Step, Watcher};
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::report::Problems;
use crate::source::intake::Intake;
use crate::source::intake_queue::IntakeQueue;
use crate::store::source_status::SourceStatus;
use crate::telemetry::clock::unix_now_ms;
use crate::telemetry::logging::millis;

/// Everything one look needs; it travels to a blocking thread and back.
struct Watch {
    location: Location,
    watcher: Watcher,
    loaded: Loaded,
    status: SourceStatus,
}

/// Looks every `interval` until told to stop.
pub async fn run(
    location: Location,
    intake: IntakeQueue,
    loaded: Loaded,
    interval: Duration,
    status: SourceStatus,
    stop: CancellationToken,
) {
    let watcher = Watcher::new(location.name(), loaded.scan.clone());
    let mut watch = Watch { location, watcher, loaded, status };
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.cancelled() => return,
        }
        let looked = intake.run(move |intake| {
            watch.look(intake);
            watch
        });
        match looked.await {
            Some(back) => watch = back,
            // The process ends.
            None => return,
        }
    }
}

impl Watch {
    fn look(&mut self, intake: &mut Intake) {
        let scan = match scan(&self.location) {
            Ok(scan) => scan,
            Err(problem) => return self.refuse(intake, &problem.into()),
        };
        if self.watcher.is_new_archive(&scan)
            && let Ok(loaded) = load(&self.location, scan.clone(), None)
            && loaded.vouched
            && self.take(intake, loaded, BTreeSet::new()).is_ok()
        {
            return;
        }
        match self.watcher.step(&scan, Instant::now()) {
            Step::Wait if scan == *self.watcher.loaded() => {
                self.status.good(&self.location.name(), false, unix_now_ms());
                intake.writer().set_certain(!self.loaded.environments.is_empty());
            }
            Step::Wait => {}
            Step::Refuse(problem) => self.refuse(intake, &problem.into()),
            Step::Load { removed } => {
                let loaded = load(&self.location, scan.clone(), Some(&self.loaded));
                if super::scan::scan(&self.location).ok().as_ref() != Some(&scan) {
                    // It changed while it was read: the next looks decide.
                    return;
                }
                let result = loaded.and_then(|loaded| self.take(intake, loaded, removed.clone()));
                if let Err(problems) = result {
                    self.watcher.refused(scan, removed, Instant::now());
                    self.refuse(intake, &problems);
                }
            }
        }
    }

    fn take(
        &mut self,
        intake: &mut Intake,
        loaded: Loaded,
        mut removed: BTreeSet<EnvironmentId>,
    ) -> Result<(), Problems> {
        if loaded.scan.archive.is_some() {
            removed = self.loaded.environments.keys().cloned().collect();
        }
        removed.retain(|id| !loaded.environments.contains_key(id));
        let started = Instant::now();
        apply(intake, &self.location, &loaded, removed.clone(), unix_now_ms() / 1000)?;
        tracing::info!(
            environments = loaded.environments.len(),
            duration_ms = millis(started.elapsed()),
            path = %self.location.name(),
            "configuration reloaded"
        );
        self.watcher.accepted(loaded.scan.clone(), &removed);
        self.loaded = loaded;
        intake.writer().set_certain(true);
        self.status.good(&self.location.name(), true, unix_now_ms());
        Ok(())
    }

    fn refuse(&mut self, intake: &mut Intake, problems: &Problems) {
        // A key that is only in what cannot be read is not known not to exist.
        intake.writer().set_certain(false);
        if self.status.bad(&problems.to_string(), unix_now_ms()) {
            tracing::error!(error = %problems, "the new configuration is not usable; the one before is served");
        }
    }
}
