//! What operators ask: health, readiness, Prometheus. Memory only: probes
//! never wait for anything.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::answer::{self, Answer, AnswerBody};
use super::api::{Api, unix_now_ms};
use crate::store::durable::persister::Pending;
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
        let loaded_ms = source.loaded_at_unix_ms.unwrap_or(since_ms);
        let index = self.store.index();
        let environments: Vec<Value> = index
            .sorted()
            .into_iter()
            .map(|environment| {
                let snapshot = environment.snapshot();
                let state = if snapshot.is_some() { "CONNECTED" } else { "INITIALIZING" };
                json!({
                    "id": environment.id.as_str(),
                    "streamStatus": {"state": state, "since": since_ms / 1000},
                    "stale": source.error.is_some(),
                    "staleSince": source.error.is_some().then_some(since_ms),
                    "lastLoadedAgeSeconds": (now_ms - loaded_ms) / 1000,
                    "sequence": snapshot.as_ref().map(|s| s.revision.sequence),
                    "digest": snapshot.as_ref().map(|s| s.revision.digest.to_string()),
                    "streams": environment.stream_count(),
                })
            })
            .collect();
        let synced = self.readiness.reasons().is_empty();
        let state = if synced { "CONNECTED" } else { "INITIALIZING" };
        let config = match (&source.error, synced) {
            (Some(_), _) => "STALE",
            (None, true) => "SYNCED",
            (None, false) => "INITIALIZING",
        };
        let persisted = self.pending.as_deref().is_none_or(Pending::is_healthy);
        let body = json!({
            "environments": environments,
            "cacheStatus": if persisted { "healthy" } else { "unhealthy" },
            "configStatus": {"state": config, "since": since_ms},
            "streamStatus": {"state": state, "since": since_ms},
            "version": env!("CARGO_PKG_VERSION"),
            "mode": self.settings.mode,
            "source": source.name,
            "error": source.error,
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
        let load = |count: &std::sync::atomic::AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed) as f64;
        let source_good = self.source.state().error.is_none();
        for (name, help, value) in [
            ("ff_relay_streams_open", "SDK streams that are open", self.streams.open_count() as f64),
            ("ff_relay_connections_open", "Connections on the SDK port", load(&self.counts.connections)),
            ("ff_relay_environments", "Environments that are served", index.environments.len() as f64),
            ("ff_relay_source_good", "1 while the newest configuration is served", f64::from(u8::from(source_good))),
            ("ff_proxy_stream_health", "1 while configuration comes in", f64::from(u8::from(source_good))),
        ] {
            out.gauge(name, help, &[], value);
        }
        for (name, help, value) in [
            ("ff_relay_streams_opened_total", "SDK streams that were ever opened", self.streams.opened_total() as f64),
            ("ff_proxy_sse_publish", "Events written to SDK streams", self.streams.events_total() as f64),
            ("ff_relay_flags_not_evaluable_total", "Flags left out of answers", load(&self.counts.unevaluable_flags)),
        ] {
            out.counter(name, help, &[], value);
        }
        self.usage.expose(&mut out);
        out
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
