//! `ffrelay.admin.v1.AdminService`

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::status::{About, status};
use crate::config::LogLevel;
use crate::fault::Fault;
use crate::proto::admin::v1 as proto;
use crate::proto::admin::v1::admin_service_server::AdminService;
use crate::store::Store;
use crate::telemetry::log_level::LogControl;

/// A level for a while is set for no longer.
const MAX_WHILE: Duration = Duration::from_secs(366 * 24 * 3600);

/// What the service changes.
#[derive(Debug)]
pub struct Admin {
    pub store: Store,
    pub log: Arc<LogControl>,
    /// Cancelled to end the process in order.
    pub drain: CancellationToken,
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
        request: Request<proto::SetLogLevelRequest>,
    ) -> Result<Response<proto::SetLogLevelResponse>, Status> {
        let request = request.into_inner();
        let Some(level) = level(request.level()) else {
            let message = "level must be DEBUG, INFO, WARN or ERROR";
            return Err(status(Fault::InvalidField, message, About::Field("level")));
        };
        let duration = match request.duration.map(Duration::try_from) {
            None => None,
            Some(Ok(duration)) if !duration.is_zero() && duration <= MAX_WHILE => Some(duration),
            Some(_) => {
                let message = "duration must be above 0 and at most a year; without it the level stays";
                return Err(status(Fault::InvalidField, message, About::Field("duration")));
            }
        };
        let previous = level_name(self.log.set(level, duration)).into();
        Ok(Response::new(proto::SetLogLevelResponse { previous }))
    }

    async fn drain(&self, _request: Request<proto::DrainRequest>) -> Result<Response<proto::DrainResponse>, Status> {
        // Calls under way, this one too, are still answered.
        self.drain.cancel();
        Ok(Response::new(proto::DrainResponse {}))
    }
}

fn level(level: proto::LogLevel) -> Option<LogLevel> {
    match level {
        proto::LogLevel::Unspecified => None,
        proto::LogLevel::Debug => Some(LogLevel::Debug),
        proto::LogLevel::Info => Some(LogLevel::Info),
        proto::LogLevel::Warn => Some(LogLevel::Warn),
        proto::LogLevel::Error => Some(LogLevel::Error),
    }
}

fn level_name(level: LogLevel) -> proto::LogLevel {
    match level {
        LogLevel::Debug => proto::LogLevel::Debug,
        LogLevel::Info => proto::LogLevel::Info,
        LogLevel::Warn => proto::LogLevel::Warn,
        LogLevel::Error => proto::LogLevel::Error,
    }
}
