//! Carries SDK usage to Harness with the tokens of the environments.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::call_error::CallError;
use super::engine::Engine;
use crate::config::Secret;
use crate::snapshot::content::EnvironmentId;
use crate::usage::batch::BatchId;
use crate::usage::{Carrier, Delivery};

/// How long a batch waits for a new token before it is tried later.
const TOKEN_WITHIN: Duration = Duration::from_secs(10);

/// The way to Harness.
#[derive(Debug)]
pub struct HarnessCarrier {
    pub engine: Arc<Engine>,
}

impl Carrier for HarnessCarrier {
    fn send_metrics(&self, environment: &EnvironmentId, _id: BatchId, body: Bytes) -> BoxFuture<'_, Delivery> {
        let environment = environment.clone();
        async move { self.send(&environment, body).await }.boxed()
    }

    fn register_target(
        &self,
        environment: &EnvironmentId,
        api_key: Option<&Secret>,
        target_json: &str,
    ) -> BoxFuture<'_, Delivery> {
        // Keys do not travel between relays: this one has its own.
        let own = || self.engine.route(environment)?.session.sdk_key().cloned();
        let (key, target) = (api_key.cloned().or_else(own), target_json.to_owned());
        async move {
            match key {
                Some(key) => delivery(self.engine.calls.register_target(&key, &target).await),
                None => unsent("no SDK key is configured for this environment"),
            }
        }
        .boxed()
    }
}

impl HarnessCarrier {
    async fn send(&self, environment: &EnvironmentId, body: Bytes) -> Delivery {
        let Some(route) = self.engine.route(environment) else {
            return unsent("no key is configured for this environment");
        };
        let scope = route.feed.scope();
        let Some(token) = route.session.current() else {
            return unsent("there is no token for this environment yet");
        };
        let sent = self.engine.calls.metrics(&scope, &token, body.clone()).await;
        if !sent.as_ref().is_err_and(CallError::is_unauthorized) {
            return delivery(sent);
        }
        // The token has expired: a new one, and once more.
        match tokio::time::timeout(TOKEN_WITHIN, route.session.newer_than(token.number)).await {
            Ok(token) => delivery(self.engine.calls.metrics(&scope, &token, body).await),
            Err(_) => delivery(sent),
        }
    }
}

fn unsent(reason: &str) -> Delivery {
    Delivery::Refused { status: None, reason: reason.to_owned(), retry_after: None }
}

/// What an outcome says about whether it was counted (`upstream.md`, "the
/// promise").
fn delivery(result: Result<(), CallError>) -> Delivery {
    let Err(error) = result else { return Delivery::Taken };
    let (reason, retry_after) = (error.to_string(), error.retry_after());
    match error {
        CallError::Status { status, .. } if status == 408 || status >= 500 => {
            Delivery::Uncertain { reason, retry_after }
        }
        CallError::Status { status, .. } => Delivery::Refused { status: Some(status), reason, retry_after },
        CallError::Unreachable(_) => Delivery::Refused { status: None, reason, retry_after },
        CallError::Broken(_) | CallError::Unusable(_) => Delivery::Uncertain { reason, retry_after },
    }
}
