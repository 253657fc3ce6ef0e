//! `ffrelay.admin.v1.AdminService`

use tonic::{Request, Response, Status, Streaming};

use super::status::{About, status};
use crate::fault::Fault;
use crate::proto::admin::v1 as proto;
use crate::proto::admin::v1::admin_service_server::AdminService;
use crate::store::Store;

/// What the service changes.
#[derive(Debug)]
pub struct Admin {
    pub store: Store,
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn import_snapshot(
        &self,
        _request: Request<Streaming<proto::ImportSnapshotRequest>>,
    ) -> Result<Response<proto::ImportSnapshotResponse>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }

    async fn resync_environment(
        &self,
        _request: Request<proto::ResyncEnvironmentRequest>,
    ) -> Result<Response<proto::ResyncEnvironmentResponse>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }

    async fn set_log_level(
        &self,
        _request: Request<proto::SetLogLevelRequest>,
    ) -> Result<Response<proto::SetLogLevelResponse>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }

    async fn drain(&self, _request: Request<proto::DrainRequest>) -> Result<Response<proto::DrainResponse>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }
}
