//! Everything that Harness gives, fetched once: for writing an offline
//! configuration.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::backoff::Backoff;
use super::call_error::CallError;
use super::calls::{AdminAccess, Calls, Fetched};
use super::key_lists::pages_of_keys;
use super::session::{KeyKind, Session};
use super::targets::pages_of_targets;
use super::token::{Claims, Scope};
use crate::config::Secret;
use crate::snapshot::content::{Content, EnvironmentId};
use crate::snapshot::item::{Digest, Item, ItemKind};

/// Attempts of each call.
const TRIES: u32 = 4;

/// Keys that are fetched at the same time.
const AT_ONCE: usize = 8;

/// One environment that could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {error}")]
pub struct Failure {
    /// The environment's id where it is known, else which key it is.
    pub what: String,
    pub error: String,
}

/// What was fetched.
#[derive(Debug, Default)]
pub struct Fetch {
    pub environments: BTreeMap<EnvironmentId, Content>,
    pub failures: Vec<Failure>,
}

/// Fetches every environment of API keys; `progress` is told how many of them
/// are done.
pub async fn by_api_keys(
    calls: Arc<Calls>,
    keys: &[Secret],
    admin: Option<&AdminAccess>,
    progress: impl Fn(usize),
) -> Fetch {
    let fetches = keys.iter().enumerate().map(|(index, key)| {
        let calls = Arc::clone(&calls);
        async move { (index, one_key(calls, key, admin).await) }
    });
    let mut results = futures_util::stream::iter(fetches).buffer_unordered(AT_ONCE);
    let mut fetch = Fetch::default();
    let mut done = 0;
    while let Some((index, result)) = results.next().await {
        done += 1;
        progress(done);
        match result {
            Ok((id, content)) => merge(&mut fetch.environments, id, content),
            Err((known, error)) => {
                let what = known.map_or_else(
                    || format!("API key {} of {}", index + 1, keys.len()),
                    |id| format!("environment {id}"),
                );
                fetch.failures.push(Failure { what, error: error.to_string() });
            }
        }
    }
    fetch
}

/// Two keys may lead to one environment: both are good for it.
fn merge(environments: &mut BTreeMap<EnvironmentId, Content>, id: EnvironmentId, content: Content) {
    match environments.get_mut(&id) {
        Some(known) => {
            known.key_hashes.extend(content.key_hashes);
            known.key_hashes.sort_unstable();
            known.key_hashes.dedup();
        }
        None => drop(environments.insert(id, content)),
    }
}

type KeyFailure = (Option<EnvironmentId>, CallError);

async fn one_key(
    calls: Arc<Calls>,
    key: &Secret,
    admin: Option<&AdminAccess>,
) -> Result<(EnvironmentId, Content), KeyFailure> {
    let session = Session::new(Arc::clone(&calls), key.clone(), KeyKind::Sdk);
    let token = tried(|| session.authenticate()).await.map_err(|error| (None, error))?;
    let Claims::Environment(claims) = &token.claims else {
        return Err((None, CallError::Unusable("the token is of another kind".to_owned())));
    };
    let scope = Scope::of_claims(claims);
    let failed = |error| (Some(scope.environment.clone()), error);
    let list = |kind| {
        let (calls, scope, token) = (&calls, &scope, &token);
        async move {
            match tried(|| calls.list(kind, scope, token, None)).await? {
                Fetched::List { items, .. } => Ok(items),
                Fetched::Unchanged => Err(CallError::Unusable("nothing was sent".to_owned())),
            }
        }
    };
    let mut items: Vec<Arc<Item>> = list(ItemKind::Flag).await.map_err(failed)?;
    items.extend(list(ItemKind::Segment).await.map_err(failed)?);
    let mut hashes = vec![Digest::of(key.expose().as_bytes())];
    if let Some(admin) = admin {
        hashes.extend(tried(|| pages_of_keys(&calls, admin, &scope)).await.map_err(failed)?);
        items.extend(tried(|| pages_of_targets(&calls, admin, &scope)).await.map_err(failed)?);
    }
    let content = Content::new(items, hashes).map_err(|error| failed(CallError::Unusable(error.to_string())))?;
    Ok((scope.environment, content))
}

/// Fetches every environment of a proxy key; it has no route for targets.
pub async fn by_proxy_key(calls: Arc<Calls>, key: &Secret, progress: impl Fn(usize)) -> Fetch {
    let mut fetch = Fetch::default();
    if let Err(error) = proxy_pages(calls, key, &mut fetch.environments, progress).await {
        fetch.failures.push(Failure { what: "proxy key".to_owned(), error: error.to_string() });
    }
    fetch
}

async fn proxy_pages(
    calls: Arc<Calls>,
    key: &Secret,
    environments: &mut BTreeMap<EnvironmentId, Content>,
    progress: impl Fn(usize),
) -> Result<(), CallError> {
    let session = Session::new(Arc::clone(&calls), key.clone(), KeyKind::Proxy);
    let token = tried(|| session.authenticate()).await?;
    for page in 0.. {
        let read = tried(|| calls.config_page(key, &token, page, None)).await?;
        let last = read.environments.is_empty() || read.page_count.is_some_and(|count| page + 1 >= count);
        for (_, environment) in read.environments {
            let environment = environment?;
            let items = environment.flags.into_iter().chain(environment.segments).collect();
            let content = Content::new(items, environment.hashes);
            environments.insert(environment.id, content.map_err(|error| CallError::Unusable(error.to_string()))?);
        }
        progress(environments.len());
        if last {
            break;
        }
    }
    Ok(())
}

/// A few attempts; a key that is wrong will not get better.
async fn tried<T, F>(call: impl Fn() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    let mut tries = 1;
    loop {
        match call().await {
            Err(error) if tries < TRIES && !error.is_refusal() => {
                tries += 1;
                tokio::time::sleep(backoff.failed(rand::random(), error.retry_after())).await;
            }
            other => return other,
        }
    }
}
