//! The seam to Harness: what usage asks of whoever holds the connection and
//! the tokens.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::batch::BatchId;
use crate::config::Secret;
use crate::snapshot::content::EnvironmentId;

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// 2xx.
    Taken,
    /// Certainly not counted: connection refused, TLS failure, no token, any
    /// 4xx but 408. `status` is `None` where there was no answer.
    Refused { status: Option<u16>, reason: String, retry_after: Option<Duration> },
    /// Nobody knows: timeout or reset after bytes went out, 408, 5xx.
    Uncertain { reason: String, retry_after: Option<Duration> },
}

/// Carries usage upstream. Futures may be dropped at any point; what was
/// under way then counts as uncertain. `reason` is logged, so it holds no key
/// and no token.
pub trait Carrier: Send + Sync + 'static {
    /// `POST {metrics}/metrics/{environment}` with this body, byte for byte.
    /// A receiver that knows ids counts the batch once.
    fn send_metrics(&self, environment: &EnvironmentId, id: BatchId, body: Bytes) -> BoxFuture<'_, Delivery>;

    /// `POST {client}/client/auth` with `{"apiKey","target"}`; the key is
    /// the SDK's own, `None` where the SDK spoke to another relay; the target
    /// is its JSON object.
    fn register_target(
        &self,
        environment: &EnvironmentId,
        api_key: Option<&Secret>,
        target_json: &str,
    ) -> BoxFuture<'_, Delivery>;
}
