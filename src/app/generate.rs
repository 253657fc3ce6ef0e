//! `generate-offline-config`: everything fetched once, checked, written; then
//! the process ends.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::StartError;
use super::harness::admin;
use super::origin::links;
use crate::config::{Config, Mode};
use crate::evaluate::CompileOptions;
use crate::snapshot::archive::{Compression, Tree};
use crate::snapshot::content::{Content, EnvironmentId, KeyHash};
use crate::snapshot::ledger::ServedVersions;
use crate::source::file::Location;
use crate::source::file::load::read_once;
use crate::source::file::write::{WriteError, write_archive, write_directory};
use crate::source::harness::calls::Calls;
use crate::source::harness::one_shot::{self, Fetch};
use crate::source::peer::fetch;
use crate::source::redis::link::Link;
use crate::source::redis::truth::read::all;
use crate::store::writer::Offered;
use crate::store::{Store, StoreSettings};
use crate::telemetry::clock::unix_now_s;
use crate::telemetry::upstream::UpstreamCounts;

/// Time between two looks (`upstream.md`, "Behaviour under trouble").
const SECOND_LOOK: Duration = Duration::from_secs(10);

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
    if let Mode::Peer(peer) = &config.mode {
        let tree = fetch::fetch(&links(config, peer)?, &peer.environments).await.map_err(GenerateError::Fetch)?;
        check(&tree.environments, compile)?;
        return Ok(write(&config.config_dir, tree)?);
    }
    if matches!(config.mode, Mode::Replica) {
        let (environments, served) = from_redis(config).await?;
        check(&environments, compile)?;
        return Ok(write(&config.config_dir, Tree::whole(environments, served))?);
    }
    let calls = Calls::new(&config.upstream, Arc::<UpstreamCounts>::default()).map_err(StartError::from)?;
    let calls = Arc::new(calls);
    let mut fetch = fetch_all(config, &calls).await?;
    if fetch.failures.is_empty()
        && let Some(what) = suspicious(&config.config_dir, &fetch.environments)
    {
        tracing::warn!(what, "upstream gave less than was written before; it is looked at again before it is believed");
        tokio::time::sleep(SECOND_LOOK).await;
        fetch = fetch_all(config, &calls).await?;
    }
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
    Ok(write(&config.config_dir, Tree::whole(environments, BTreeMap::new()))?)
}

type WithVersions = (BTreeMap<EnvironmentId, Content>, BTreeMap<EnvironmentId, ServedVersions>);

/// Everything that primaries wrote to Redis.
async fn from_redis(config: &Config) -> Result<WithVersions, GenerateError> {
    let Some(redis) = &config.redis else { return Ok(WithVersions::default()) };
    let link = Link::new(redis, config.upstream.ca_bundle.as_deref(), config.upstream.connect_timeout);
    let link = link.map_err(StartError::from)?;
    let environments = all(&link).await.map_err(|failure| GenerateError::Fetch(failure.to_string()))?;
    if environments.is_empty() {
        return Err(GenerateError::Content("Redis holds no environment".to_owned()));
    }
    let served = environments.iter().map(|(id, truth)| (id.clone(), truth.served_above())).collect();
    Ok((environments.into_iter().map(|(id, truth)| (id, truth.content)).collect(), served))
}

fn write(path: &Path, tree: Tree) -> Result<(), WriteError> {
    let count = tree.environments.len();
    match Compression::of(path).filter(|_| !path.is_dir()) {
        Some(compression) => write_archive(path, compression, &tree)?,
        None => {
            let generated = httpdate::fmt_http_date(SystemTime::now());
            for id in write_directory(path, &tree.environments, &generated)? {
                tracing::info!(environment = %id, "removed: the source does not have it any more");
            }
        }
    }
    tracing::info!(environments = count, path = %path.display(), "offline configuration written");
    Ok(())
}

async fn fetch_all(config: &Config, calls: &Arc<Calls>) -> Result<Fetch, GenerateError> {
    let calls = Arc::clone(calls);
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
        // Those have a way of their own, or nothing to fetch from.
        Mode::Offline(_) | Mode::Peer(_) | Mode::Replica => Fetch::default(),
    };
    if on_terminal {
        eprintln!();
    }
    Ok(fetch)
}

/// What is written there and would be lost by one empty answer.
fn suspicious(path: &Path, environments: &BTreeMap<EnvironmentId, Content>) -> Option<String> {
    let before = read_once(&Location::of(path)).ok()?;
    before.environments.iter().find_map(|(id, old)| {
        let Some(new) = environments.get(id) else { return Some(format!("environment {id} is missing")) };
        let emptied = [(&old.flags, &new.flags, "flags"), (&old.segments, &new.segments, "segments")];
        let emptied = emptied.into_iter().find(|(old, new, _)| !old.is_empty() && new.is_empty());
        let lost_keys = old.key_hashes.iter().any(|hash| !new.key_hashes.contains(hash));
        match emptied {
            Some((_, _, what)) => Some(format!("environment {id} has no {what}")),
            None => lost_keys.then(|| format!("environment {id} lacks an SDK key")),
        }
    })
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
    let offered = environments
        .iter()
        .map(|(id, content)| (id.clone(), Offered { content: content.clone(), ..Offered::default() }));
    let prepared = writer.prepare(offered.collect(), BTreeSet::new(), unix_now_s());
    prepared.map(drop).map_err(|error| GenerateError::Content(error.to_string()))
}
