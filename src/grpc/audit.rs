//! The audit log: who changed the relay, took its configuration away, or was
//! refused. Its lines come whatever the log level is.

use std::net::SocketAddr;
use std::time::Instant;

use http::Request;
use tonic::Code;
use tonic::body::Body;

use super::access::Caller;
use super::peer::Peer;
use super::plain;
use crate::proto::admin::v1::admin_service_server::SERVICE_NAME as ADMIN;
use crate::telemetry::logging::millis;

const EXPORT: &str = "/ffrelay.snapshot.v1.SnapshotService/ExportSnapshot";

/// One call that is logged when it ends, however it ends.
#[derive(Debug)]
pub struct Audit {
    caller: String,
    peer: Option<SocketAddr>,
    method: String,
    began: Instant,
    outcome: Option<String>,
}

impl Audit {
    /// `None` for calls that only look.
    #[must_use]
    pub fn of(request: &Request<Body>) -> Option<Self> {
        let path = request.uri().path();
        let service = path.trim_start_matches('/').split('/').next();
        if service != Some(ADMIN) && path != EXPORT && !plain::is_plain(path) {
            return None;
        }
        let extensions = request.extensions();
        Some(Audit {
            caller: extensions.get::<Caller>().map_or_else(|| "unknown".to_owned(), |caller| caller.name.clone()),
            peer: extensions.get::<Peer>().map(|peer| peer.address),
            method: path.chars().take(200).collect(),
            began: Instant::now(),
            outcome: None,
        })
    }

    pub fn ended(&mut self, code: Code) {
        self.outcome = Some(format!("{code:?}"));
    }

    pub fn answered(&mut self, status: http::StatusCode) {
        self.outcome = Some(status.as_str().to_owned());
    }
}

/// Logs a call that was not let through.
pub fn refused(request: &Request<Body>, caller: Option<&Caller>, reason: &str) {
    let caller = caller.map_or("unknown", |caller| caller.name.as_str());
    let peer = request.extensions().get::<Peer>().map(|peer| peer.address.to_string());
    // What strangers send is cut short.
    let method: String = request.uri().path().chars().take(200).collect();
    tracing::warn!(caller, peer, method, reason, "gRPC call refused");
}

impl Drop for Audit {
    fn drop(&mut self) {
        tracing::info!(
            caller = self.caller,
            peer = self.peer.map(|peer| peer.to_string()),
            method = self.method,
            outcome = self.outcome.as_deref().unwrap_or("cut off"),
            duration_ms = millis(self.began.elapsed()),
            "gRPC call"
        );
    }
}
