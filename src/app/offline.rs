//! The offline source at start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::StartError;
use crate::config::{Config, Offline};
use crate::snapshot::archive::Compression;
use crate::snapshot::report::Problem;
use crate::source::file::Location;
use crate::source::file::load::{CREDENTIAL, Loaded, apply, read_once};
use crate::source::intake::{Delivery, Durable, Intake};
use crate::store::source_status::SourceKind;
use crate::store::writer::Offered;
use crate::telemetry::clock::unix_now_s;

/// Loads what the relay starts with.
///
/// # Errors
/// The directory or archive cannot be served.
pub fn load(
    config: &Config,
    offline: &Offline,
    intake: &mut Intake,
    durable: Option<&Durable>,
) -> Result<(Location, Loaded), StartError> {
    let location = location(offline)?;
    if let Some(durable) = durable.filter(|_| !offline.path_given && holds_nothing(&offline.path)) {
        restore(intake, durable)?;
        return Ok((location, Loaded::default()));
    }
    let loaded = read_once(&location)?;
    let keys: usize = loaded.environments.values().map(|content| content.key_hashes.len()).sum();
    if keys == 0 && !config.http.bypass_auth {
        let advice = "write the SHA-256 of an SDK key into an auth_config.json, or set bypass-auth";
        return Err(
            Problem::new(&location.name(), "it holds no key hash, so no SDK could authenticate", advice).into_start()
        );
    }
    apply(intake, &location, &loaded, BTreeSet::new(), unix_now_s())?;
    Ok((location, loaded))
}

fn location(offline: &Offline) -> Result<Location, StartError> {
    let location = Location::of(&offline.path);
    if offline.must_be_archive && location.archive.is_none() {
        let advice = "name a file that ends in .tar.gz or .tar.zst";
        return Err(Problem::new(&location.name(), "file-data-source is no archive", advice).into_start());
    }
    Ok(location)
}

/// A directory that is missing or has no environment in it.
fn holds_nothing(path: &Path) -> bool {
    if Compression::of(path).is_some() && path.is_file() {
        return false;
    }
    match std::fs::read_dir(path) {
        Ok(mut children) => !children.any(|child| {
            child
                .is_ok_and(|child| child.file_name().to_str().and_then(crate::snapshot::tree::environment_of).is_some())
        }),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// What was imported in an earlier life.
fn restore(intake: &mut Intake, durable: &Durable) -> Result<(), StartError> {
    let (snapshots, damaged) = durable.directory.read_snapshots(&BTreeSet::from([Arc::from(CREDENTIAL)]))?;
    for error in damaged {
        tracing::error!(%error, "a stored snapshot is damaged and is not served");
    }
    let offered: BTreeMap<_, _> = snapshots
        .into_iter()
        .map(|it| (it.environment, Offered { content: it.content, credential: it.credential, ..Offered::default() }))
        .collect();
    tracing::info!(environments = offered.len(), "no configuration directory; serving what is stored in data-dir");
    let swapped = intake.swap_in(Delivery::of(SourceKind::Import, offered), unix_now_s());
    swapped.map_err(|error| {
        Problem::new(
            &durable.directory.path().display().to_string(),
            error.to_string(),
            "remove that environment there",
        )
        .into_start()
    })
}

impl Problem {
    fn into_start(self) -> StartError {
        StartError::Configuration(self.into())
    }
}
