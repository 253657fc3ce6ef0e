//! What operators ask: readiness, Prometheus. Memory only: probes
//! never wait for anything.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;

use super::answer::{self, Answer, AnswerBody};
use super::api::Api;
use super::redis_health;
use crate::store::Index;
use crate::store::peers::{PeerRole, Peers};
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

#[expect(clippy::cast_precision_loss, reason = "counts for a dashboard")]
fn add_requests(out: &mut Exposition, environment: &str, counts: &RequestCounts) {
    for (route, code, count) in counts.rows() {
        let code = if code == 0 { "other".to_owned() } else { code.to_string() };
        let labels = [("url", route.template()), ("envID", environment), ("method", route.method()), ("code", &code)];
        out.counter("ff_proxy_http_requests_total", "Requests by route, environment and status", &labels, count as f64);
    }
}
