//! `ffrelay.inspect.v1.InspectService`

use std::time::SystemTime;

use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::page::Page;
use super::status::{About, status};
use crate::fault::Fault;
use crate::lifecycle::readiness::Readiness;
use crate::proto::inspect::v1 as proto;
use crate::proto::inspect::v1::inspect_service_server::InspectService;
use crate::store::Store;
use crate::store::environment::Environment;
use crate::store::source_status::{SourceState, SourceStatus};

/// What the service reads.
#[derive(Debug)]
pub struct Inspect {
    pub store: Store,
    pub readiness: std::sync::Arc<Readiness>,
    pub source: SourceStatus,
    pub mode: &'static str,
    pub started_at: SystemTime,
}

#[tonic::async_trait]
impl InspectService for Inspect {
    async fn get_server_info(
        &self,
        _request: Request<proto::GetServerInfoRequest>,
    ) -> Result<Response<proto::GetServerInfoResponse>, Status> {
        let index = self.store.index();
        let reasons = self.readiness.reasons();
        let source = self.source.state();
        Ok(Response::new(proto::GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: self.mode.to_owned(),
            started_at: Some(self.started_at.into()),
            environment_count: u32::try_from(index.environments.len()).unwrap_or(u32::MAX),
            stream_count: index.environments.values().map(|environment| environment.stream_count() as u64).sum(),
            ready: reasons.is_empty(),
            not_ready_reasons: reasons,
            source_name: source.name.clone(),
            source_error: source.error.clone(),
            content_digest: Vec::new(),
            follower_count: u32::try_from(self.store.peers().followers()).unwrap_or(u32::MAX),
            paused_environment_count: 0,
        }))
    }

    async fn list_environments(
        &self,
        request: Request<proto::ListEnvironmentsRequest>,
    ) -> Result<Response<proto::ListEnvironmentsResponse>, Status> {
        let request = request.into_inner();
        let page = Page::parse(request.page_size, &request.page_token)?;
        let index = self.store.index();
        let (environments, next_page_token) =
            page.cut(index.sorted().into_iter(), |environment| environment.id.as_str());
        let source = self.source.state();
        let environments = environments.into_iter().map(|environment| describe(environment, &source)).collect();
        Ok(Response::new(proto::ListEnvironmentsResponse { environments, next_page_token }))
    }

    async fn get_environment(
        &self,
        request: Request<proto::GetEnvironmentRequest>,
    ) -> Result<Response<proto::GetEnvironmentResponse>, Status> {
        let id = request.into_inner().environment_id;
        if id.is_empty() {
            let message = "environment_id is empty; ListEnvironments gives the ids";
            return Err(status(Fault::InvalidField, message, About::Field("environment_id")));
        }
        let index = self.store.index();
        let Some(environment) = index.environment(&id) else {
            let message = format!("environment '{id}' is not served here; ListEnvironments gives the ids");
            return Err(status(
                Fault::EnvironmentNotFound,
                &message,
                About::Resource { kind: "environment", name: &id },
            ));
        };
        let environment = Some(describe(environment, &self.source.state()));
        Ok(Response::new(proto::GetEnvironmentResponse { environment }))
    }

    async fn list_flags(
        &self,
        _request: Request<proto::ListFlagsRequest>,
    ) -> Result<Response<proto::ListFlagsResponse>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }

    async fn get_flag(
        &self,
        _request: Request<proto::GetFlagRequest>,
    ) -> Result<Response<proto::GetFlagResponse>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }

    async fn list_segments(
        &self,
        _request: Request<proto::ListSegmentsRequest>,
    ) -> Result<Response<proto::ListSegmentsResponse>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }

    async fn get_segment(
        &self,
        _request: Request<proto::GetSegmentRequest>,
    ) -> Result<Response<proto::GetSegmentResponse>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }

    async fn list_targets(
        &self,
        _request: Request<proto::ListTargetsRequest>,
    ) -> Result<Response<proto::ListTargetsResponse>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }

    async fn explain_evaluation(
        &self,
        _request: Request<proto::ExplainEvaluationRequest>,
    ) -> Result<Response<proto::ExplainEvaluationResponse>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }

    async fn list_peers(
        &self,
        _request: Request<proto::ListPeersRequest>,
    ) -> Result<Response<proto::ListPeersResponse>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }

    async fn list_streams(
        &self,
        _request: Request<proto::ListStreamsRequest>,
    ) -> Result<Response<proto::ListStreamsResponse>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }
}

fn describe(environment: &Environment, source: &SourceState) -> proto::Environment {
    let snapshot = environment.snapshot();
    let counted = snapshot.as_deref();
    let count = |n: Option<usize>| n.unwrap_or(0) as u64;
    let sync = environment.sync.load_full();
    let stale = sync.as_ref().map_or(source.error.is_some(), |sync| sync.is_stale());
    let state = match (counted, stale) {
        (None, _) => proto::SyncState::NeverSynced,
        (Some(_), true) => proto::SyncState::Stale,
        (Some(_), false) => proto::SyncState::Synced,
    };
    let synced_at = sync.as_ref().map_or(source.loaded_at_unix_ms, |sync| sync.synced_at_ms);
    let origin = if sync.is_some() { proto::Source::Upstream } else { proto::Source::File };
    proto::Environment {
        id: environment.id.to_string(),
        revision: counted.map(|snapshot| proto::Revision {
            epoch: snapshot.revision.epoch.to_string(),
            sequence: snapshot.revision.sequence,
            digest: snapshot.revision.digest.0.to_vec(),
        }),
        counts: Some(proto::Counts {
            flags: count(counted.map(|snapshot| snapshot.flags.len())),
            segments: count(counted.map(|snapshot| snapshot.segments.len())),
            configured_targets: count(counted.map(|snapshot| snapshot.targets.len())),
            stored_targets: environment.targets.count(),
            key_hashes: count(counted.map(|snapshot| snapshot.content.key_hashes.len())),
            streams: environment.stream_count() as u64,
        }),
        sync_state: state.into(),
        last_synced_at: synced_at.map(|ms| Timestamp {
            seconds: ms.div_euclid(1000),
            nanos: i32::try_from(ms.rem_euclid(1000) * 1_000_000).unwrap_or(0),
        }),
        last_changed_at: counted.map(|snapshot| Timestamp { seconds: snapshot.changed_at, nanos: 0 }),
        source: origin.into(),
        paused_source: None,
        name: counted.map(|snapshot| snapshot.names.environment.clone()).unwrap_or_default(),
        error: sync.as_ref().and_then(|sync| sync.error.clone()),
    }
}
