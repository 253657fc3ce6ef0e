//! `ffrelay.usage.v1.UsageService`: what SDKs of followers report.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};

use super::status::{About, status};
use crate::fault::Fault;
use crate::model::Target;
use crate::proto::usage::v1 as proto;
use crate::proto::usage::v1::usage_service_server::UsageService;
use crate::store::Store;
use crate::store::environment::Environment;
use crate::store::targets::StoredTarget;
use crate::usage::Usage;
use crate::usage::batch::BatchId;
use crate::usage::parse::read;

/// What is taken is on disk within this time, or something is wrong.
const KEPT_WITHIN: Duration = Duration::from_secs(10);

/// A target's JSON.
const MAX_TARGET_BYTES: usize = 256 * 1024;

/// What the service hands usage to.
#[derive(Debug)]
pub struct FollowersUsage {
    pub store: Store,
    pub usage: Arc<Usage>,
}

#[tonic::async_trait]
impl UsageService for FollowersUsage {
    async fn report_usage(
        &self,
        request: Request<proto::ReportUsageRequest>,
    ) -> Result<Response<proto::ReportUsageResponse>, Status> {
        let proto::ReportUsageRequest { batches, targets, follower_id } = request.into_inner();
        // All of it is looked at before any of it is taken.
        let mut checked = Vec::new();
        for batch in &batches {
            let environment = self.environment(&batch.environment_id)?;
            let id: [u8; 16] = batch.id.as_slice().try_into().map_err(|_| {
                let message = format!("a batch's id has 16 bytes, and this one has {}", batch.id.len());
                status(Fault::InvalidField, &message, About::Field("batches.id"))
            })?;
            let mut tally = self.usage.body();
            read(batch.body.as_slice(), &mut tally).map_err(|error| {
                let message = format!("a batch cannot be read: {error}");
                status(Fault::InvalidField, &message, About::Field("batches.body"))
            })?;
            checked.push((environment, BatchId(u128::from_be_bytes(id)), tally));
        }
        let targets = targets.iter().map(|it| Ok((self.environment(&it.environment_id)?, target(&it.json)?)));
        let targets: Vec<(Arc<Environment>, StoredTarget)> = targets.collect::<Result<_, Status>>()?;
        let mut outcomes = Vec::new();
        for (environment, id, tally) in checked {
            let taken = self.usage.take_once(&environment.id, id, tally);
            let outcome = if taken { proto::BatchOutcome::Taken } else { proto::BatchOutcome::Repeated };
            outcomes.push(outcome.into());
        }
        for (environment, stored) in targets {
            self.usage.register_target(&environment.id, None, &stored.json);
            self.store.learn(&environment, stored, &follower_id);
        }
        if !outcomes.is_empty() && tokio::time::timeout(KEPT_WITHIN, self.usage.kept()).await.is_err() {
            let message = "the batches were taken, and are not kept yet; send them again under the same ids";
            return Err(status(Fault::PersistFailed, message, About::Nothing));
        }
        Ok(Response::new(proto::ReportUsageResponse { outcomes }))
    }
}

impl FollowersUsage {
    fn environment(&self, id: &str) -> Result<Arc<Environment>, Status> {
        let index = self.store.index();
        index.environment(id).cloned().ok_or_else(|| {
            let message = format!("environment '{id}' is not served here");
            status(Fault::EnvironmentNotFound, &message, About::Resource { kind: "environment", name: id })
        })
    }
}

fn target(json: &[u8]) -> Result<StoredTarget, Status> {
    let bad = |what: &str| {
        let message = format!("a target cannot be read: {what}");
        status(Fault::InvalidField, &message, About::Field("targets.json"))
    };
    if json.len() > MAX_TARGET_BYTES {
        return Err(bad("it has more than 256 KiB"));
    }
    let text = std::str::from_utf8(json).map_err(|_| bad("it is not UTF-8"))?;
    let target: Target = serde_json::from_str(text).map_err(|error| bad(&error.to_string()))?;
    if target.identifier.is_empty() {
        return Err(bad("it has no identifier"));
    }
    Ok(StoredTarget { target, json: Box::from(text) })
}
