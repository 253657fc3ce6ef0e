//! What operators ask: health, readiness, Prometheus. Memory only: probes
//! never wait for anything.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::answer::{self, Answer, AnswerBody};
use super::api::Api;
use super::redis_health;
use crate::store::Index;
use crate::store::durable::persister::Pending;
use crate::store::environment::Environment;
use crate::store::peers::{PeerRole, Peers};
use crate::store::source_status::SourceState;
use crate::store::sync_state::{Phase, StreamState};
use crate::telemetry::clock::unix_now_ms;
use crate::telemetry::exposition::{CONTENT_TYPE as PROMETHEUS, Exposition};
use crate::telemetry::requests::{RequestCounts, RouteLabel};

/// `GET /livez`: the process is alive.
#[must_use]
pub fn live() -> Answer {
    answer::json(StatusCode::OK, Bytes::from_static(b"{\"status\":\"alive\"}\n"))
}

impl Api {
    /// `GET /readyz`
    #[must_use]
    pub fn ready(&self) -> Answer {
        let reasons = self.readiness.reasons();
        let (status, word) =
            if reasons.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
        let body = json!({"status": word, "reasons": reasons});
        answer::json(status, Bytes::from(format!("{body}\n")))
    }

    /// `GET /health`: the fields of the Go proxies, v1 (seconds) and v2
    /// (milliseconds), with ours beside them.
    #[must_use]
    pub fn health(&self) -> Answer {
        let now_ms = unix_now_ms();
        let source = self.source.state();
        let since_ms = source.since_unix_ms;
        let index = self.store.index();
        let environments: Vec<Value> =
            index.sorted().into_iter().map(|environment| environment_health(environment, &source, now_ms)).collect();
        let synced = self.readiness.reasons().is_empty();
        let stream = stream_of_all(&index, synced);
        let stale = source.error.is_some() || index.environments.values().any(|environment| is_stale(environment));
        let config = match (stale, synced) {
            (_, false) => "INITIALIZING",
            (true, true) => "STALE",
            (false, true) => "SYNCED",
        };
        let (stream, stream_since_ms) = (stream.0, if stream.1 > 0 { stream.1 } else { since_ms });
        let redis = self.store.redis();
        let shared = redis.as_ref().is_none_or(|redis| redis.error.is_none());
        let persisted = self.pending.as_deref().is_none_or(Pending::is_healthy) && self.usage.is_healthy();
        let body = json!({
            "environments": environments,
            "cacheStatus": if persisted && shared { "healthy" } else { "unhealthy" },
            "configStatus": {"state": config, "since": since_ms},
            "streamStatus": {"state": stream, "since": stream_since_ms},
            "version": env!("CARGO_PKG_VERSION"),
            "mode": self.settings.mode,
            "pausedSources": self.store.paused().len(),
            "source": source.name,
            "error": source.error,
            "redis": redis.as_deref().map(redis_health::health),
            "metrics": if self.settings.mode == "offline" { "accepted and dropped" } else { "forwarded" },
        });
        answer::json(StatusCode::OK, Bytes::from(format!("{body}\n")))
    }

    /// `GET /metrics`
    #[must_use]
    pub fn prometheus(&self) -> Answer {
        match self.exposition().text() {
            Ok(text) => {
                let mut answer = Response::new(AnswerBody::once(Bytes::from(text)));
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROMETHEUS));
                answer
            }
            Err(error) => {
                tracing::error!(%error, "metrics cannot be shown");
                answer::bare(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// Offline: the newest files are served; online: every stream is up.
    fn comes_in(&self, index: &Index) -> bool {
        let mut syncs = index.environments.values().filter_map(|environment| environment.sync.load_full()).peekable();
        if syncs.peek().is_none() {
            return self.source.state().error.is_none();
        }
        syncs.all(|sync| sync.stream == StreamState::Connected)
    }

    /// What is asked of Harness, and how fresh each environment is.
    #[expect(clippy::cast_precision_loss, reason = "counts for a dashboard")]
    fn add_upstream(&self, out: &mut Exposition, index: &Index) {
        let now_ms = unix_now_ms();
        for (route, status, count) in self.upstream.rows() {
            let code = if status == 0 { "none".to_owned() } else { status.to_string() };
            out.counter(
                "ff_proxy_to_client_service_requests",
                "Requests to Harness by route and status",
                &[("url", route.template()), ("code", &code)],
                count as f64,
            );
        }
        let durations = self.upstream.durations.read();
        if durations.1 > 0 {
            out.histogram(
                "ff_proxy_to_ff_client_service_requests_duration",
                "Time until Harness answers, in seconds",
                &[],
                durations,
            );
        }
        let mut polling = false;
        for environment in index.sorted() {
            let Some(sync) = environment.sync.load_full() else { continue };
            polling |= sync.phase == Phase::Polling;
            let fresh = sync.phase == Phase::Streaming;
            let age_ms = if fresh { Some(0) } else { sync.synced_at_ms.map(|at| now_ms - at) };
            if let Some(age_ms) = age_ms {
                out.gauge(
                    "ff_relay_seconds_since_last_sync",
                    "Age of what is served, in seconds",
                    &[("envID", environment.id.as_str())],
                    age_ms as f64 / 1000.0,
                );
            }
        }
        if index.environments.values().any(|environment| environment.sync.load().is_some()) {
            let polling = f64::from(u8::from(polling));
            out.gauge("ff_proxy_polling_status", "1 while an environment is polled", &[], polling);
        }
        for (name, help, count) in [
            ("ff_relay_upstream_messages_total", "Messages of upstream streams", &self.upstream.messages),
            ("ff_relay_upstream_messages_unknown_total", "Messages not understood", &self.upstream.messages_unknown),
            ("ff_relay_upstream_reconnects_total", "Upstream streams that ended", &self.upstream.reconnects),
        ] {
            out.counter(name, help, &[], count.load(Ordering::Relaxed) as f64);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts for a dashboard")]
    fn exposition(&self) -> Exposition {
        let mut out = Exposition::default();
        let index = self.store.index();
        add_requests(&mut out, "", &self.counts.requests);
        for environment in index.sorted() {
            add_requests(&mut out, environment.id.as_str(), &environment.requests);
        }
        for (route, histogram) in RouteLabel::ALL.into_iter().zip(&self.counts.durations) {
            let read = histogram.read();
            if read.1 > 0 {
                out.histogram(
                    "ff_proxy_http_requests_duration",
                    "Time until an answer is ready, in seconds",
                    &[("url", route.template())],
                    read,
                );
            }
        }
        out.histogram(
            "ff_http_requests_content_length_histogram",
            "Size of request bodies, in bytes",
            &[],
            self.counts.body_bytes.read(),
        );
        self.add_upstream(&mut out, &index);
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        let source_good = self.source.state().error.is_none();
        for (name, help, value) in [
            ("ff_relay_streams_open", "SDK streams that are open", self.streams.open_count() as f64),
            ("ff_relay_stream_targets", "Distinct targets of streams", self.streams.targets.count() as f64),
            ("ff_relay_connections_open", "Connections on the SDK port", load(&self.counts.connections)),
            ("ff_relay_environments", "Environments that are served", index.environments.len() as f64),
            ("ff_relay_source_good", "1 while the newest configuration is served", f64::from(u8::from(source_good))),
            ("ff_proxy_stream_health", "1 while configuration comes in", f64::from(u8::from(self.comes_in(&index)))),
        ] {
            out.gauge(name, help, &[], value);
        }
        let [evaluated, answered, unanswered] = self.streams.answering.totals();
        for (name, help, value) in [
            (
                "ff_relay_stream_events_evaluated_total",
                "Events for which a stream's target was evaluated; streams of one target share them",
                evaluated as f64,
            ),
            ("ff_relay_stream_events_answered_total", "Events that carried their evaluations", answered as f64),
            (
                "ff_relay_stream_events_unanswered_total",
                "Events without evaluations to SDKs that could have used them; each costs a request",
                unanswered as f64,
            ),
            ("ff_relay_streams_opened_total", "SDK streams that were ever opened", self.streams.opened_total() as f64),
            ("ff_proxy_sse_publish", "Events written to SDK streams", self.streams.events_total() as f64),
            ("ff_relay_flags_not_evaluable_total", "Flags left out of answers", load(&self.counts.unevaluable_flags)),
        ] {
            out.counter(name, help, &[], value);
        }
        add_peers(&mut out, self.store.peers());
        if let Some(redis) = self.store.redis() {
            redis_health::expose(&mut out, &redis);
        }
        self.usage.expose(&mut out);
        out
    }
}

/// Other relays, leaders and followers apart; never one by one.
#[expect(clippy::cast_precision_loss, reason = "counts for a dashboard")]
fn add_peers(out: &mut Exposition, peers: &Peers) {
    let all = peers.all();
    for (role, name) in [(PeerRole::Leader, "leader"), (PeerRole::Follower, "follower")] {
        let connected = all.iter().filter(|peer| peer.role == role && peer.facts().connected_at_ms.is_some()).count();
        let labels = [("role", name)];
        out.gauge(
            "ff_relay_peers_connected",
            "Relays that this one follows, or that follow it",
            &labels,
            connected as f64,
        );
        let totals = peers.totals(role);
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        for (outcome, count) in [("acknowledged", &totals.acks), ("refused", &totals.nacks)] {
            let labels = [("role", name), ("outcome", outcome)];
            out.counter("ff_relay_peer_updates_total", "Updates between relays", &labels, load(count));
        }
        let help = "Payload of updates between relays, in bytes";
        out.counter("ff_relay_peer_payload_bytes_total", help, &labels, load(&totals.payload_bytes));
    }
}

fn is_stale(environment: &Environment) -> bool {
    environment.sync.load().as_ref().is_some_and(|sync| sync.is_stale())
}

/// One environment: its own source's state, or that of the one source.
fn environment_health(environment: &Environment, source: &SourceState, now_ms: i64) -> Value {
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
    json!({
        "id": environment.id.as_str(),
        "streamStatus": {"state": state.to_string(), "since": since_ms / 1000},
        "source": environment.source.load().to_string(),
        "paused": environment.paused.load().as_ref().map(|it| json!({"since": it.since_ms, "requestId": it.request_id})),
        "phase": sync.as_ref().map(|sync| sync.phase.to_string()),
        "stale": stale,
        "staleSince": stale.then_some(stale_since),
        "lastLoadedAgeSeconds": age_ms.map(|age| age / 1000),
        "error": error,
        "sequence": snapshot.as_ref().map(|s| s.revision.sequence),
        "digest": snapshot.as_ref().map(|s| s.revision.digest.to_string()),
        "streams": environment.stream_count(),
    })
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

#[expect(clippy::cast_precision_loss, reason = "counts for a dashboard")]
fn add_requests(out: &mut Exposition, environment: &str, counts: &RequestCounts) {
    for (route, code, count) in counts.rows() {
        let code = if code == 0 { "other".to_owned() } else { code.to_string() };
        let labels = [("url", route.template()), ("envID", environment), ("method", route.method()), ("code", &code)];
        out.counter("ff_proxy_http_requests_total", "Requests by route, environment and status", &labels, count as f64);
    }
}
