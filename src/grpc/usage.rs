//! `ffrelay.usage.v1.UsageService`

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::status::{About, status};
use crate::fault::Fault;
use crate::proto::usage::v1 as proto;
use crate::proto::usage::v1::usage_service_server::UsageService;
use crate::store::Store;
use crate::usage::Usage;

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
        _request: Request<proto::ReportUsageRequest>,
    ) -> Result<Response<proto::ReportUsageResponse>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }
}
