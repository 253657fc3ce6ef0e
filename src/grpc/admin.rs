//! `ffrelay.admin.v1.AdminService`

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::import::Imports;
use super::import_report;
use super::status::{About, status};
use crate::config::LogLevel;
use crate::fault::Fault;
use crate::proto::admin::v1 as proto;
use crate::proto::admin::v1::admin_service_server::AdminService;
use crate::snapshot::content::EnvironmentId;
use crate::store::Store;
use crate::telemetry::log_level::LogControl;

/// A level for a while is set for no longer.
const MAX_WHILE: Duration = Duration::from_secs(366 * 24 * 3600);

/// What the service changes.
#[derive(Debug)]
pub struct Admin {
    pub store: Store,
    pub imports: Imports,
    pub log: Arc<LogControl>,
    /// Cancelled to end the process in order.
    pub drain: CancellationToken,
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn import_snapshot(
        &self,
        request: Request<Streaming<proto::ImportSnapshotRequest>>,
    ) -> Result<Response<proto::ImportSnapshotResponse>, Status> {
        let report = self.imports.import(request.into_inner()).await?;
        tracing::info!(
            request_id = report.request_id,
            sha256 = %report.sha256,
            environments = report.environments.len(),
            warnings = report.warnings.len(),
            validated_only = report.validated_only,
            repeated = report.repeated,
            "archive imported"
        );
        Ok(Response::new(import_report::answer(report)))
    }

    async fn resync_environment(
        &self,
        request: Request<proto::ResyncEnvironmentRequest>,
    ) -> Result<Response<proto::ResyncEnvironmentResponse>, Status> {
        let name = request.into_inner().environment_id;
        let id = EnvironmentId::new(&name);
        if self.store.index().environment(&name).is_none() && !self.store.paused().contains_key(&id) {
            let message = format!("environment '{name}' is not served here; ListEnvironments gives the ids");
            let about = About::Resource { kind: "environment", name: &name };
            return Err(status(Fault::EnvironmentNotFound, &message, about));
        }
        let resynced = self.imports.administrator.resync(&id).await;
        let was_paused = resynced.map_err(|error| error.status())?;
        Ok(Response::new(proto::ResyncEnvironmentResponse { was_paused }))
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
