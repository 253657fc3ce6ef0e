//! `ffrelay.inspect.v1.InspectService`

mod environments;
mod explain;
mod flags;
mod peers;
mod redis;
mod segments;
mod streams;
mod targets;

use std::sync::Arc;
use std::time::SystemTime;

use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::page::Page;
use super::status::{About, status};
use crate::fault::Fault;
use crate::lifecycle::readiness::Readiness;
use crate::proto::inspect::v1 as proto;
use crate::proto::inspect::v1::inspect_service_server::InspectService;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::store::environment::Environment;
use crate::store::source_status::SourceStatus;
use crate::store::sync_state::Phase;

/// What the service reads.
#[derive(Debug)]
pub struct Inspect {
    pub store: Store,
    pub readiness: Arc<Readiness>,
    pub source: SourceStatus,
    pub mode: &'static str,
    pub started_at: SystemTime,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl InspectService for Inspect {
    async fn get_server_info(
        &self,
        _request: Request<proto::GetServerInfoRequest>,
    ) -> Answer<proto::GetServerInfoResponse> {
        Ok(Response::new(self.server_info()))
    }

    async fn list_environments(
        &self,
        request: Request<proto::ListEnvironmentsRequest>,
    ) -> Answer<proto::ListEnvironmentsResponse> {
        let request = request.into_inner();
        let page = Page::parse(request.page_size, &request.page_token)?;
        Ok(Response::new(self.environments(&page)))
    }

    async fn get_environment(
        &self,
        request: Request<proto::GetEnvironmentRequest>,
    ) -> Answer<proto::GetEnvironmentResponse> {
        let environment = self.environment(&request.into_inner().environment_id)?;
        let environment = Some(environments::describe(&environment, &self.source.state()));
        Ok(Response::new(proto::GetEnvironmentResponse { environment }))
    }

    async fn list_flags(&self, request: Request<proto::ListFlagsRequest>) -> Answer<proto::ListFlagsResponse> {
        let request = request.into_inner();
        let page = Page::parse(request.page_size, &request.page_token)?;
        let (_, snapshot) = self.snapshot(&request.environment_id)?;
        aside(move || Ok(flags::list(&snapshot, &page))).await
    }

    async fn get_flag(&self, request: Request<proto::GetFlagRequest>) -> Answer<proto::GetFlagResponse> {
        let request = request.into_inner();
        let (_, snapshot) = self.snapshot(&request.environment_id)?;
        flags::get(&snapshot, &request.identifier).map(Response::new)
    }

    async fn list_segments(&self, request: Request<proto::ListSegmentsRequest>) -> Answer<proto::ListSegmentsResponse> {
        let request = request.into_inner();
        let page = Page::parse(request.page_size, &request.page_token)?;
        let (_, snapshot) = self.snapshot(&request.environment_id)?;
        aside(move || Ok(segments::list(&snapshot, &page))).await
    }

    async fn get_segment(&self, request: Request<proto::GetSegmentRequest>) -> Answer<proto::GetSegmentResponse> {
        let request = request.into_inner();
        let (_, snapshot) = self.snapshot(&request.environment_id)?;
        segments::get(&snapshot, &request.identifier).map(Response::new)
    }

    async fn list_targets(&self, request: Request<proto::ListTargetsRequest>) -> Answer<proto::ListTargetsResponse> {
        let request = request.into_inner();
        let page = Page::parse(request.page_size, &request.page_token)?;
        let (environment, snapshot) = self.snapshot(&request.environment_id)?;
        aside(move || Ok(targets::list(&environment, &snapshot, &page))).await
    }

    async fn explain_evaluation(
        &self,
        request: Request<proto::ExplainEvaluationRequest>,
    ) -> Answer<proto::ExplainEvaluationResponse> {
        let request = request.into_inner();
        let (environment, snapshot) = self.snapshot(&request.environment_id)?;
        aside(move || explain::explain(&environment, &snapshot, &request)).await
    }

    async fn list_peers(&self, request: Request<proto::ListPeersRequest>) -> Answer<proto::ListPeersResponse> {
        let request = request.into_inner();
        let page = Page::parse(request.page_size, &request.page_token)?;
        Ok(Response::new(peers::list(self.store.peers(), &page)))
    }

    async fn list_streams(&self, request: Request<proto::ListStreamsRequest>) -> Answer<proto::ListStreamsResponse> {
        let request = request.into_inner();
        let page = Page::parse(request.page_size, &request.page_token)?;
        let only = match request.environment_id.as_str() {
            "" => None,
            id => Some(self.environment(id)?),
        };
        let streams = Arc::clone(self.store.streams());
        aside(move || streams::list(&streams, &page, only.as_deref())).await
    }
}

impl Inspect {
    fn environment(&self, id: &str) -> Result<Arc<Environment>, Status> {
        if id.is_empty() {
            let message = "environment_id is empty; ListEnvironments gives the ids";
            return Err(status(Fault::InvalidField, message, About::Field("environment_id")));
        }
        self.store.index().environment(id).cloned().ok_or_else(|| {
            let message = format!("environment '{}' is not served here; ListEnvironments gives the ids", shown(id));
            status(Fault::EnvironmentNotFound, &message, About::Resource { kind: "environment", name: id })
        })
    }

    /// An environment with its content.
    fn snapshot(&self, id: &str) -> Result<(Arc<Environment>, Arc<Snapshot>), Status> {
        let environment = self.environment(id)?;
        let snapshot = environment.snapshot().clone();
        if let Some(snapshot) = snapshot {
            return Ok((environment, snapshot));
        }
        // The first synchronisation may still come, or nobody is about to try.
        let coming = environment.sync.load().as_ref().is_none_or(|sync| sync.phase != Phase::Refused);
        let fault = if coming { Fault::NeverSynced } else { Fault::NothingSynced };
        let message = format!("environment '{}' has not been synced yet; GetEnvironment says why", shown(id));
        Err(status(fault, &message, About::Resource { kind: "environment", name: id }))
    }
}

/// Work that grows with the content, off the threads that serve connections.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Status> + Send + 'static) -> Answer<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map(Response::new),
        Err(error) => {
            tracing::error!(%error, "a request of the inspect service failed");
            Err(status(Fault::Internal, "the request failed inside the relay; its log says more", About::Nothing))
        }
    }
}

/// What somebody sent, short enough for a message.
fn shown(text: &str) -> String {
    text.chars().take(200).collect()
}

fn timestamp_of_ms(ms: i64) -> Timestamp {
    let nanos = i32::try_from(ms.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: ms.div_euclid(1000), nanos }
}

fn timestamp_of_s(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::CompileOptions;
    use crate::snapshot::content::EnvironmentId;
    use crate::store::StoreSettings;
    use crate::store::peers::{PeerFacts, PeerRole};
    use crate::store::source_status::{PausedSource, SourceKind};
    use crate::store::sync_state::SyncState;
    use tonic_types::StatusExt as _;

    fn inspect() -> (Inspect, crate::store::writer::StoreWriter) {
        let compile = CompileOptions {
            and_rules: true,
            regex_bytes_per_expression: 1 << 20,
            regex_bytes_per_environment: 1 << 20,
        };
        let (store, writer) = Store::new(StoreSettings { compile, max_targets: 10 });
        let inspect = Inspect {
            store,
            readiness: Arc::new(Readiness::new(Vec::new())),
            source: SourceStatus::default(),
            mode: "online",
            started_at: SystemTime::now(),
        };
        (inspect, writer)
    }

    #[tokio::test]
    async fn what_was_never_synced_says_whether_it_may_come() {
        let (inspect, writer) = inspect();
        let environment = writer.open(&EnvironmentId::new("e"));
        let ask = async || {
            let request = proto::ListFlagsRequest { environment_id: "e".to_owned(), ..Default::default() };
            let status = inspect.list_flags(Request::new(request)).await.unwrap_err();
            (status.code(), status.get_error_details().error_info().unwrap().reason.clone())
        };
        let reason = "NEVER_SYNCED".to_owned();
        assert_eq!(ask().await, (tonic::Code::Unavailable, reason.clone()));
        let refused = SyncState { phase: Phase::Refused, error: Some("401".to_owned()), ..SyncState::default() };
        environment.sync.store(Some(Arc::new(refused)));
        assert_eq!(ask().await, (tonic::Code::FailedPrecondition, reason));
        let described = environments::describe(&environment, &inspect.source.state());
        assert_eq!(described.sync_state(), proto::SyncState::NeverSynced);
        assert_eq!((described.revision, described.last_synced_at), (None, None));
        assert_eq!(described.error.as_deref(), Some("401"));
    }

    #[tokio::test]
    async fn sources_and_pauses_are_shown() {
        let (inspect, writer) = inspect();
        let environment = writer.open(&EnvironmentId::new("e"));
        environment.source.store(Arc::new(SourceKind::Import));
        let paused = PausedSource { since_ms: 1500, request_id: "r".to_owned() };
        environment.paused.store(Some(Arc::new(paused)));
        let described = environments::describe(&environment, &inspect.source.state());
        assert_eq!(described.source(), proto::Source::Import);
        let paused = described.paused_source.unwrap();
        assert_eq!((paused.request_id.as_str(), paused.since), ("r", Some(timestamp_of_ms(1500))));
        assert_eq!(inspect.server_info().paused_environment_count, 1);
    }

    #[tokio::test]
    async fn peers_come_in_pages_with_leaders_first() {
        let (inspect, _writer) = inspect();
        let peers = inspect.store.peers();
        let enter = |role, name: &str| peers.enter(role, name, "1.2.3.4:5", PeerFacts::default());
        let followers: Vec<_> = (0..12).map(|i| enter(PeerRole::Follower, &format!("f{i}"))).collect();
        let leader = enter(PeerRole::Leader, "l");
        let (mut names, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = proto::ListPeersRequest { page_size: 5, page_token };
            let page = inspect.list_peers(Request::new(request)).await.unwrap().into_inner();
            names.extend(page.peers.into_iter().map(|peer| peer.name));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!((names.len(), names[0].as_str(), names[12].as_str()), (13, "l", "f11"));
        assert_eq!(inspect.server_info().follower_count, 12);
        drop((followers, leader));
    }
}
