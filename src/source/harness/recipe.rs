//! Harness as a source that is started more than once: what it is made of
//! stays, what it begins with is what is served.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::api_keys::ApiKeysSource;
use super::calls::AdminAccess;
use super::engine::Engine;
use super::proxy_key::ProxyKeySource;
use super::roster::Roster;
use super::{proxy_credential, sdk_credential};
use crate::config::Secret;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::Digest;
use crate::store::Index;
use crate::store::durable::environment::StoredContent;
use crate::store::source_status::{SourceKind, SourceStatus};

/// What the source is made of.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub engine: Arc<Engine>,
    pub status: SourceStatus,
    pub keys: Keys,
}

/// By which keys.
#[derive(Clone, Debug)]
pub enum Keys {
    Api { keys: Vec<Secret>, admin: Option<AdminAccess>, roster: Arc<Roster> },
    Proxy(Secret),
}

impl Recipe {
    /// The source as logs and health call it.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.keys {
            Keys::Api { keys, .. } => format!("Harness, by {} API keys", keys.len()),
            Keys::Proxy(_) => "Harness, by a proxy key".to_owned(),
        }
    }

    /// Feeds the store until told to stop. `restored` is what is known from
    /// earlier.
    pub fn run(&self, restored: Vec<StoredContent>, stop: CancellationToken) -> BoxFuture<'static, ()> {
        let (engine, status) = (Arc::clone(&self.engine), self.status.clone());
        match self.keys.clone() {
            Keys::Api { keys, admin, roster } => {
                ApiKeysSource { engine, keys, admin, roster, status, restored }.run(stop).boxed()
            }
            Keys::Proxy(key) => ProxyKeySource { engine, key, status, restored }.run(stop).boxed(),
        }
    }

    /// What is served of its environments, as if an earlier life had stored
    /// it.
    #[must_use]
    pub fn served(&self) -> Vec<StoredContent> {
        let index = self.engine.store.index();
        let stored = |environment: &Arc<crate::store::environment::Environment>, credential: Arc<str>| {
            let content = environment.snapshot().as_ref()?.content.clone();
            Some(StoredContent { environment: environment.id.clone(), content, credential })
        };
        match &self.keys {
            Keys::Api { keys, .. } => keys
                .iter()
                .filter_map(|key| stored(index.environment_of_key(&hash(key))?, sdk_credential(key)))
                .collect(),
            Keys::Proxy(key) => index
                .sorted()
                .into_iter()
                .filter_map(|environment| stored(environment, proxy_credential(key)))
                .collect(),
        }
    }

    /// True if every SDK key leads to an environment that is known.
    #[must_use]
    pub fn knows_its_keys(&self, index: &Index) -> bool {
        match &self.keys {
            Keys::Api { keys, .. } => keys.iter().all(|key| index.environment_of_key(&hash(key)).is_some()),
            Keys::Proxy(_) => true,
        }
    }

    /// Environments that are served and that no key of its own leads to.
    #[must_use]
    pub fn strangers(&self, index: &Index) -> Vec<EnvironmentId> {
        // A proxy key's environments are all seen to by its own task.
        let Keys::Api { keys, roster, .. } = &self.keys else { return Vec::new() };
        if !roster.all_decided() {
            return Vec::new();
        }
        let accepted = roster.accepted();
        let is_own = |id: &EnvironmentId| accepted.contains(id) || self.engine.route(id).is_some();
        let has_key = |environment: &crate::store::environment::Environment| {
            let snapshot = environment.snapshot();
            snapshot.as_ref().is_none_or(|snapshot| keys.iter().any(|key| snapshot.has_key(&hash(key))))
        };
        // What was imported no key leads to either.
        let strangers = index.environments.values().filter(|environment| {
            **environment.source.load() != SourceKind::Import && !is_own(&environment.id) && !has_key(environment)
        });
        strangers.map(|environment| environment.id.clone()).collect()
    }
}

fn hash(key: &Secret) -> Digest {
    Digest::of(key.expose().as_bytes())
}
