//! `generate-offline-config`: everything fetched once, checked, written; then
//! the process ends.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::SystemTime;

use super::StartError;
use super::origin::admin;
use crate::config::{Config, Mode};
use crate::evaluate::CompileOptions;
use crate::http::api::unix_now_s;
use crate::snapshot::archive::{Compression, Tree};
use crate::snapshot::content::{Content, EnvironmentId, KeyHash};
use crate::source::file::write::{WriteError, write_archive, write_directory};
use crate::source::harness::calls::Calls;
use crate::source::harness::one_shot::{self, Fetch};
use crate::store::writer::Offered;
use crate::store::{Store, StoreSettings};
use crate::telemetry::upstream::UpstreamCounts;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("nothing was written, because not everything could be fetched: {0}")]
    Fetch(String),
    #[error("nothing was written, because {0}")]
    Content(String),
    #[error("the offline configuration could not be written: {0}")]
    Write(#[from] WriteError),
}

/// Fetches, checks and writes.
///
/// # Errors
/// Anything that could not be fetched, checked or written; a directory or
/// archive of before is then as it was.
pub async fn generate(config: &Config, compile: CompileOptions) -> Result<(), GenerateError> {
    let calls = Calls::new(&config.upstream, Arc::<UpstreamCounts>::default()).map_err(StartError::from)?;
    let fetch = fetch(config, Arc::new(calls)).await?;
    if !fetch.failures.is_empty() {
        for failure in &fetch.failures {
            tracing::error!(what = failure.what, error = failure.error, "not fetched");
        }
        let named: Vec<String> = fetch.failures.iter().map(ToString::to_string).collect();
        return Err(GenerateError::Fetch(named.join("; ")));
    }
    if fetch.environments.is_empty() {
        return Err(GenerateError::Content("upstream gave no environment".to_owned()));
    }
    let environments = each_key_once(fetch.environments);
    check(&environments, compile)?;
    for (id, content) in &environments {
        tracing::info!(
            environment = %id,
            flags = content.flags.len(),
            segments = content.segments.len(),
            targets = content.targets.len(),
            keys = content.key_hashes.len(),
            "fetched"
        );
    }
    let path = &config.config_dir;
    let count = environments.len();
    match Compression::of(path).filter(|_| !path.is_dir()) {
        Some(compression) => write_archive(path, compression, &Tree { environments, served: BTreeMap::new() })?,
        None => {
            let generated = httpdate::fmt_http_date(SystemTime::now());
            for id in write_directory(path, &environments, &generated)? {
                tracing::info!(environment = %id, "removed: upstream does not have it any more");
            }
        }
    }
    tracing::info!(environments = count, path = %path.display(), "offline configuration written");
    Ok(())
}

async fn fetch(config: &Config, calls: Arc<Calls>) -> Result<Fetch, GenerateError> {
    let on_terminal = std::io::stderr().is_terminal();
    let show = |of: Option<usize>| {
        move |done: usize| {
            if on_terminal {
                let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
                eprint!("\rfetched {done}{of} environments ");
            }
        }
    };
    let fetch = match &config.mode {
        Mode::ApiKeys(mode) => {
            let admin = admin(mode);
            if admin.is_none() {
                tracing::warn!("no admin-service-token: only the hashes of the given keys are written, and no targets");
            }
            one_shot::by_api_keys(calls, &mode.keys, admin.as_ref(), show(Some(mode.keys.len()))).await
        }
        Mode::ProxyKey(key) => one_shot::by_proxy_key(calls, key, show(None)).await,
        Mode::Offline(_) | Mode::Peer(_) | Mode::Replica => {
            return Err(StartError::Unavailable(config.mode.name()).into());
        }
    };
    if on_terminal {
        eprintln!();
    }
    Ok(fetch)
}

/// Offline a key belongs to one environment: the first keeps it.
fn each_key_once(mut environments: BTreeMap<EnvironmentId, Content>) -> BTreeMap<EnvironmentId, Content> {
    let mut seen: HashSet<KeyHash> = HashSet::new();
    for (id, content) in &mut environments {
        let before = content.key_hashes.len();
        content.key_hashes.retain(|hash| seen.insert(*hash));
        if content.key_hashes.len() < before {
            tracing::warn!(environment = %id, "some of its SDK keys also belong to another environment, which keeps them");
        }
    }
    environments
}

/// What is written must be servable.
fn check(environments: &BTreeMap<EnvironmentId, Content>, compile: CompileOptions) -> Result<(), GenerateError> {
    let (_, writer) = Store::new(StoreSettings { compile, max_targets: 1 });
    let offered =
        environments.iter().map(|(id, content)| (id.clone(), Offered { content: content.clone(), served: None }));
    let prepared = writer.prepare(offered.collect(), BTreeSet::new(), unix_now_s());
    prepared.map(drop).map_err(|error| GenerateError::Content(error.to_string()))
}
