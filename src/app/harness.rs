//! Harness as the source at start: the client, the keys, what an earlier life
//! left of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::StartError;
use super::origin::{HarnessOrigin, Origin};
use crate::config::{ApiKeys, Config, Secret};
use crate::source::harness::calls::{AdminAccess, Calls};
use crate::source::harness::engine::{Engine, SyncSettings};
use crate::source::harness::recipe::{Keys, Recipe};
use crate::source::intake::{Delivery, Durable, Intake};
use crate::source::intake_queue::IntakeQueue;
use crate::source::peer::known;
use crate::source::redis;
use crate::store::Store;
use crate::store::durable::environment::StoredContent;
use crate::store::source_status::{SourceKind, SourceStatus};
use crate::store::writer::Offered;
use crate::telemetry::clock::unix_now_ms;
use crate::telemetry::upstream::UpstreamCounts;

/// The source with these keys.
///
/// # Errors
/// The options make no client, or what is stored cannot be served.
pub(super) fn load_harness(
    config: &Config,
    keys: Keys,
    credentials: BTreeSet<Arc<str>>,
    (intake, queue): (&mut Intake, &IntakeQueue),
    durable: Option<&Durable>,
    status: &SourceStatus,
    counts: &Arc<UpstreamCounts>,
) -> Result<Origin, StartError> {
    let mut restored = restored(durable, credentials)?;
    let engine = engine(config, intake.store(), queue, counts)?;
    let recipe = Recipe { engine, status: status.clone(), keys };
    status.begin(&recipe.name(), unix_now_ms());
    if config.redis.is_some() {
        restore_shared(intake, durable, &restored)?;
        restored.retain(|it| intake.store().index().environment(it.environment.as_str()).is_some());
    }
    Ok(Origin::Harness(Box::new(HarnessOrigin { recipe, restored })))
}

/// Serves what an earlier life had, from Redis or of its own keys: of each
/// environment what it served last.
///
/// # Errors
/// What is stored cannot be read or served.
pub(super) fn restore_shared(
    intake: &mut Intake,
    durable: Option<&Durable>,
    own: &[StoredContent],
) -> Result<(), StartError> {
    let ids = own.iter().map(|it| it.environment.clone()).collect();
    let now_unix_s = unix_now_ms() / 1000;
    known::restore(intake, durable, (redis::CREDENTIAL, SourceKind::Redis), (&[], &ids), now_unix_s)?;
    let index = intake.store().index().clone();
    let missing = own.iter().filter(|it| index.environment(it.environment.as_str()).is_none());
    let offered = missing.map(|it| {
        let (content, credential) = (it.content.clone(), Arc::clone(&it.credential));
        (it.environment.clone(), Offered { content, credential, ..Offered::default() })
    });
    let delivery = Delivery::of(SourceKind::Upstream, offered.collect());
    intake.swap_in(delivery, now_unix_s).map_err(|error| StartError::Restore(error.into()))
}

/// The parts that every way to Harness shares.
///
/// # Errors
/// The options make no HTTP client.
pub fn engine(
    config: &Config,
    store: &Store,
    intake: &IntakeQueue,
    counts: &Arc<UpstreamCounts>,
) -> Result<Arc<Engine>, StartError> {
    let calls = Arc::new(Calls::new(&config.upstream, Arc::clone(counts))?);
    Ok(Arc::new(Engine::new(calls, SyncSettings::of(&config.upstream), store.clone(), intake.clone())))
}

/// Who asks the admin service; `None` without a token for it.
#[must_use]
pub fn admin(mode: &ApiKeys) -> Option<AdminAccess> {
    let token: Secret = mode.admin_service_token.clone()?;
    Some(AdminAccess {
        token,
        account: mode.account_identifier.clone().unwrap_or_default(),
        organization: mode.org_identifier.clone().unwrap_or_default(),
    })
}

/// What an earlier life stored of these credentials.
fn restored(durable: Option<&Durable>, credentials: BTreeSet<Arc<str>>) -> Result<Vec<StoredContent>, StartError> {
    let Some(durable) = durable else { return Ok(Vec::new()) };
    let (stored, damaged) = durable.directory.read_snapshots(&credentials)?;
    for error in damaged {
        tracing::error!(%error, "a stored snapshot is damaged and is not served; it is fetched anew");
    }
    if !stored.is_empty() {
        tracing::info!(environments = stored.len(), "serving what data-dir holds until upstream answers");
    }
    Ok(stored)
}
