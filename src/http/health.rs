//! `GET /health`: the fields of the Go proxies, v1 (seconds) and v2
//! (milliseconds), with ours beside them. Probes ask often, so it is written
//! straight from memory.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::answer::{self, Answer, Refusal};
use super::api::Api;
use super::redis_health;
use crate::fault::Fault;
use crate::snapshot::item::Digest;
use crate::store::Index;
use crate::store::durable::persister::Pending;
use crate::store::environment::Environment;
use crate::store::source_status::{SourceKind, SourceState};
use crate::store::sync_state::{Phase, StreamState};
use crate::telemetry::clock::unix_now_ms;

/// Probes that ask within this time of each other get the same answer, so
/// that a flood of them costs no more than one by one.
const SHARED_FOR: Duration = Duration::from_millis(2);

/// An answer that was made a moment ago.
#[derive(Debug)]
pub struct RecentHealth {
    at: Instant,
    body: Bytes,
}

/// What one environment takes.
const TYPICAL_ENVIRONMENT_BYTES: usize = 400;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health<'a> {
    environments: Vec<EnvironmentHealth<'a>>,
    cache_status: &'static str,
    config_status: Status<&'static str>,
    stream_status: Status<&'static str>,
    version: &'static str,
    mode: &'static str,
    paused_sources: usize,
    source: &'a str,
    error: Option<&'a str>,
    redis: Option<Value>,
    metrics: &'static str,
}

#[derive(Serialize)]
struct Status<T: Display> {
    #[serde(serialize_with = "shown")]
    state: T,
    since: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EnvironmentHealth<'a> {
    id: &'a str,
    stream_status: Status<StreamState>,
    #[serde(serialize_with = "shown")]
    source: SourceKind,
    paused: Option<Paused>,
    #[serde(serialize_with = "shown_if_any")]
    phase: Option<Phase>,
    stale: bool,
    stale_since: Option<i64>,
    last_loaded_age_seconds: Option<i64>,
    error: Option<String>,
    sequence: Option<u64>,
    #[serde(serialize_with = "shown_if_any")]
    digest: Option<Digest>,
    streams: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Paused {
    since: i64,
    request_id: String,
}

fn shown<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[expect(clippy::ref_option, reason = "serde's form")]
fn shown_if_any<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

impl Api {
    /// `GET /health`
    #[must_use]
    pub fn health(&self) -> Answer {
        let recent = self.health.load();
        if let Some(recent) = recent.as_ref().filter(|recent| recent.at.elapsed() < SHARED_FOR) {
            return answer::json(StatusCode::OK, recent.body.clone());
        }
        match self.render_health() {
            Ok(body) => {
                let body = Bytes::from(body);
                self.health.store(Some(Arc::new(RecentHealth { at: Instant::now(), body: body.clone() })));
                answer::json(StatusCode::OK, body)
            }
            Err(error) => {
                Refusal::new(Fault::Internal, format!("the relay's health cannot be shown: {error}")).answer()
            }
        }
    }

    fn render_health(&self) -> serde_json::Result<Vec<u8>> {
        let now_ms = unix_now_ms();
        let source = self.source.state();
        let index = self.store.index();
        let synced = self.readiness.reasons().is_empty();
        let environments: Vec<_> =
            index.sorted().into_iter().map(|environment| EnvironmentHealth::of(environment, &source, now_ms)).collect();
        let stale = source.error.is_some() || environments.iter().any(|environment| environment.stale);
        let (stream, stream_since) = stream_of_all(&index, synced);
        let redis = self.store.redis();
        let shared = redis.as_ref().is_none_or(|redis| redis.error.is_none());
        let persisted = self.pending.as_deref().is_none_or(Pending::is_healthy) && self.usage.is_healthy();
        let since = source.since_unix_ms;
        let mut body = Vec::with_capacity(512 + environments.len() * TYPICAL_ENVIRONMENT_BYTES);
        let health = Health {
            environments,
            cache_status: if persisted && shared { "healthy" } else { "unhealthy" },
            config_status: Status {
                state: match (stale, synced) {
                    (_, false) => "INITIALIZING",
                    (true, true) => "STALE",
                    (false, true) => "SYNCED",
                },
                since,
            },
            stream_status: Status { state: stream, since: if stream_since > 0 { stream_since } else { since } },
            version: env!("CARGO_PKG_VERSION"),
            mode: self.settings.mode,
            paused_sources: self.store.paused().len(),
            source: &source.name,
            error: source.error.as_deref(),
            redis: redis.as_deref().map(redis_health::health),
            metrics: if self.settings.mode == "offline" { "accepted and dropped" } else { "forwarded" },
        };
        serde_json::to_writer(&mut body, &health)?;
        body.push(b'\n');
        Ok(body)
    }
}

impl<'a> EnvironmentHealth<'a> {
    /// Its own source's state, or that of the one source.
    fn of(environment: &'a Environment, source: &SourceState, now_ms: i64) -> Self {
        let snapshot = environment.snapshot();
        let sync = environment.sync.load();
        let (state, since_ms, stale, stale_since, synced_at, error) = match sync.as_ref() {
            Some(sync) => {
                let since = if sync.stream_since_ms > 0 { sync.stream_since_ms } else { sync.phase_since_ms };
                let stale = sync.is_stale();
                (sync.stream, since, stale, sync.phase_since_ms, sync.synced_at_ms, sync.error.clone())
            }
            None => {
                let state = if snapshot.is_some() { StreamState::Connected } else { StreamState::Initializing };
                let since = source.since_unix_ms;
                (state, since, source.error.is_some(), since, source.loaded_at_unix_ms.or(Some(since)), None)
            }
        };
        // While its stream is up it is as fresh as can be.
        let fresh = sync.as_ref().is_some_and(|sync| sync.phase == Phase::Streaming);
        let age_ms = if fresh { Some(0) } else { synced_at.map(|at| now_ms - at) };
        let paused = environment.paused.load();
        EnvironmentHealth {
            id: environment.id.as_str(),
            stream_status: Status { state, since: since_ms / 1000 },
            source: **environment.source.load(),
            paused: paused.as_ref().map(|it| Paused { since: it.since_ms, request_id: it.request_id.clone() }),
            phase: sync.as_ref().map(|sync| sync.phase),
            stale,
            stale_since: stale.then_some(stale_since),
            last_loaded_age_seconds: age_ms.map(|age| age / 1000),
            error,
            sequence: snapshot.as_ref().map(|snapshot| snapshot.revision.sequence),
            digest: snapshot.as_ref().map(|snapshot| snapshot.revision.digest),
            streams: environment.stream_count(),
        }
    }
}

/// The state of all upstream streams together, and since when: the worst one
/// counts.
fn stream_of_all(index: &Index, synced: bool) -> (&'static str, i64) {
    let syncs: Vec<_> = index.environments.values().filter_map(|environment| environment.sync.load_full()).collect();
    if syncs.is_empty() {
        return (if synced { "CONNECTED" } else { "INITIALIZING" }, 0);
    }
    let down = syncs.iter().filter(|sync| sync.stream != StreamState::Connected);
    match down.max_by_key(|sync| sync.stream_since_ms) {
        Some(sync) if sync.stream == StreamState::Disconnected => ("DISCONNECTED", sync.stream_since_ms),
        Some(sync) => ("INITIALIZING", sync.stream_since_ms),
        None => ("CONNECTED", syncs.iter().map(|sync| sync.stream_since_ms).max().unwrap_or(0)),
    }
}
