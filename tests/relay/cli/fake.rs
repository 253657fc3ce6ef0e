//! A relay that answers what a test says, and remembers what it was asked.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use ff_relay::proto::admin::v1 as admin;
use ff_relay::proto::admin::v1::admin_service_server::{AdminService, AdminServiceServer};
use ff_relay::proto::inspect::v1 as inspect;
use ff_relay::proto::inspect::v1::inspect_service_server::{InspectService, InspectServiceServer};
use ff_relay::proto::snapshot::v1 as snapshot;
use ff_relay::proto::snapshot::v1::snapshot_service_server::{SnapshotService, SnapshotServiceServer};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

pub const ENVIRONMENT: &str = "e-1";

type Frames<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What is answered; everything else is empty.
#[derive(Debug, Default)]
pub struct Script {
    pub flags: Vec<inspect::Flag>,
    pub targets: Vec<inspect::Target>,
    pub peers: Vec<inspect::Peer>,
    pub explanation: inspect::ExplainEvaluationResponse,
    /// An archive, and after how many bytes each transfer is cut.
    pub archive: Vec<u8>,
    pub cut_after: usize,
    pub import: Option<admin::ImportSnapshotResponse>,
    /// What a follower hears.
    pub updates: Vec<snapshot::SyncSnapshotsResponse>,
}

/// What was asked.
#[derive(Debug, Default)]
pub struct Asked {
    pub exports: Vec<snapshot::ExportSnapshotRequest>,
    pub import: Option<admin::ImportHeader>,
    pub imported: Vec<u8>,
    pub subscribed: Option<snapshot::Subscribe>,
    pub acks: Vec<u64>,
    pub nacks: Vec<String>,
    pub explain: Option<inspect::ExplainEvaluationRequest>,
    pub level: Option<admin::SetLogLevelRequest>,
    pub drained: bool,
    pub authorizations: Vec<String>,
}

#[derive(Clone)]
pub struct Fake {
    script: Arc<Script>,
    pub asked: Arc<Mutex<Asked>>,
    pub address: SocketAddr,
}

impl Fake {
    pub fn start(script: Script) -> Fake {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        let fake = Fake { script: Arc::new(script), asked: Arc::default(), address: tcp.local_addr().unwrap() };
        let serving = fake.clone();
        // Ends with the test process.
        std::thread::spawn(move || {
            crate::support::grpc::wait(async move {
                let incoming =
                    tokio_stream::wrappers::TcpListenerStream::new(tokio::net::TcpListener::from_std(tcp).unwrap());
                let server = tonic::transport::Server::builder()
                    .add_service(InspectServiceServer::new(serving.clone()))
                    .add_service(SnapshotServiceServer::new(serving.clone()))
                    .add_service(AdminServiceServer::new(serving));
                server.serve_with_incoming(incoming).await.unwrap();
            });
        });
        fake
    }

    fn ask<T>(&self, request: &Request<T>, note: impl FnOnce(&mut Asked)) {
        let mut asked = self.asked.lock().unwrap();
        let sent = request.metadata().get("authorization").map(|it| it.to_str().unwrap().to_owned());
        asked.authorizations.extend(sent);
        note(&mut asked);
    }
}

/// A page of two, so that pages have to be followed.
fn page<T: Clone>(all: &[T], token: &str) -> (Vec<T>, String) {
    let from: usize = token.parse().unwrap_or(0);
    let next = if from + 2 < all.len() { (from + 2).to_string() } else { String::new() };
    (all.iter().skip(from).take(2).cloned().collect(), next)
}

fn unscripted<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not in the script"))
}

#[tonic::async_trait]
impl InspectService for Fake {
    async fn get_server_info(
        &self,
        request: Request<inspect::GetServerInfoRequest>,
    ) -> Result<Response<inspect::GetServerInfoResponse>, Status> {
        self.ask(&request, |_| {});
        let answer = inspect::GetServerInfoResponse {
            version: "9.9.9".into(),
            mode: "offline".into(),
            not_ready_reasons: vec!["no environment is known yet".into()],
            source_name: "/config".into(),
            source_error: Some("bad\u{1b}[2J".into()),
            content_digest: vec![7; 32],
            paused_environment_count: 1,
            ..Default::default()
        };
        Ok(Response::new(answer))
    }

    async fn list_environments(
        &self,
        _request: Request<inspect::ListEnvironmentsRequest>,
    ) -> Result<Response<inspect::ListEnvironmentsResponse>, Status> {
        let environment = inspect::Environment { id: ENVIRONMENT.into(), name: "one".into(), ..Default::default() };
        let environments = vec![environment];
        Ok(Response::new(inspect::ListEnvironmentsResponse { environments, next_page_token: String::new() }))
    }

    async fn get_environment(
        &self,
        _request: Request<inspect::GetEnvironmentRequest>,
    ) -> Result<Response<inspect::GetEnvironmentResponse>, Status> {
        unscripted()
    }

    async fn list_flags(
        &self,
        request: Request<inspect::ListFlagsRequest>,
    ) -> Result<Response<inspect::ListFlagsResponse>, Status> {
        let request = request.into_inner();
        assert_eq!(request.environment_id, ENVIRONMENT);
        let (flags, next_page_token) = page(&self.script.flags, &request.page_token);
        Ok(Response::new(inspect::ListFlagsResponse { flags, next_page_token }))
    }

    async fn get_flag(
        &self,
        request: Request<inspect::GetFlagRequest>,
    ) -> Result<Response<inspect::GetFlagResponse>, Status> {
        let identifier = request.into_inner().identifier;
        let json = format!("{{\"feature\":\"{identifier}\",\"rules\":[]}}").into_bytes();
        let flag = self.script.flags.iter().find(|flag| flag.identifier == identifier).cloned();
        Ok(Response::new(inspect::GetFlagResponse { flag, served_json: json.clone(), json }))
    }

    async fn list_segments(
        &self,
        _request: Request<inspect::ListSegmentsRequest>,
    ) -> Result<Response<inspect::ListSegmentsResponse>, Status> {
        Ok(Response::new(inspect::ListSegmentsResponse::default()))
    }

    async fn get_segment(
        &self,
        _request: Request<inspect::GetSegmentRequest>,
    ) -> Result<Response<inspect::GetSegmentResponse>, Status> {
        unscripted()
    }

    async fn list_targets(
        &self,
        request: Request<inspect::ListTargetsRequest>,
    ) -> Result<Response<inspect::ListTargetsResponse>, Status> {
        let (targets, next_page_token) = page(&self.script.targets, &request.into_inner().page_token);
        Ok(Response::new(inspect::ListTargetsResponse { targets, next_page_token }))
    }

    async fn explain_evaluation(
        &self,
        request: Request<inspect::ExplainEvaluationRequest>,
    ) -> Result<Response<inspect::ExplainEvaluationResponse>, Status> {
        let asked = request.get_ref().clone();
        self.ask(&request, |it| it.explain = Some(asked));
        Ok(Response::new(self.script.explanation.clone()))
    }

    async fn list_peers(
        &self,
        request: Request<inspect::ListPeersRequest>,
    ) -> Result<Response<inspect::ListPeersResponse>, Status> {
        let (peers, next_page_token) = page(&self.script.peers, &request.into_inner().page_token);
        Ok(Response::new(inspect::ListPeersResponse { peers, next_page_token }))
    }

    async fn list_streams(
        &self,
        _request: Request<inspect::ListStreamsRequest>,
    ) -> Result<Response<inspect::ListStreamsResponse>, Status> {
        Ok(Response::new(inspect::ListStreamsResponse::default()))
    }
}

#[tonic::async_trait]
impl SnapshotService for Fake {
    type ExportSnapshotStream = Frames<snapshot::ExportSnapshotResponse>;
    type SyncSnapshotsStream = Frames<snapshot::SyncSnapshotsResponse>;

    async fn export_snapshot(
        &self,
        request: Request<snapshot::ExportSnapshotRequest>,
    ) -> Result<Response<Self::ExportSnapshotStream>, Status> {
        use sha2::{Digest as _, Sha256};
        use snapshot::export_snapshot_response::Frame;
        let from = usize::try_from(request.get_ref().offset).unwrap();
        let asked = request.get_ref().clone();
        self.ask(&request, |it| it.exports.push(asked));
        let (all, cut) = (self.script.archive.clone(), self.script.cut_after);
        let (total_size, sha256) = (all.len() as u64, Sha256::digest(&all).to_vec());
        let header = snapshot::SnapshotHeader { total_size, sha256: sha256.clone(), ..Default::default() };
        let end = all.len().min(from + cut);
        let mut frames = vec![Ok(Frame::Header(header))];
        let mut offset = from;
        for data in all[from..end].chunks(100) {
            frames.push(Ok(Frame::Chunk(snapshot::SnapshotChunk { offset: offset as u64, data: data.to_vec() })));
            offset += data.len();
        }
        if end < all.len() {
            frames.push(Err(Status::unavailable("cut")));
        } else {
            frames.push(Ok(Frame::Trailer(snapshot::SnapshotTrailer { total_size, sha256 })));
        }
        let wrap =
            |frame: Result<Frame, Status>| frame.map(|frame| snapshot::ExportSnapshotResponse { frame: Some(frame) });
        Ok(Response::new(Box::pin(tokio_stream::iter(frames.into_iter().map(wrap)))))
    }

    async fn sync_snapshots(
        &self,
        request: Request<Streaming<snapshot::SyncSnapshotsRequest>>,
    ) -> Result<Response<Self::SyncSnapshotsStream>, Status> {
        use snapshot::sync_snapshots_request::Message;
        let asked = Arc::clone(&self.asked);
        tokio::spawn(async move {
            let mut said = request.into_inner();
            while let Ok(Some(message)) = said.message().await {
                let mut asked = asked.lock().unwrap();
                match message.message.unwrap() {
                    Message::Subscribe(subscribe) => asked.subscribed = Some(subscribe),
                    Message::Ack(ack) => asked.acks.push(ack.update),
                    Message::Nack(nack) => asked.nacks.push(nack.reason),
                    Message::AskKeys(_) => {}
                }
            }
        });
        let updates = tokio_stream::iter(self.script.updates.clone().into_iter().map(Ok));
        Ok(Response::new(Box::pin(updates.chain(tokio_stream::pending()))))
    }
}

#[tonic::async_trait]
impl AdminService for Fake {
    async fn import_snapshot(
        &self,
        request: Request<Streaming<admin::ImportSnapshotRequest>>,
    ) -> Result<Response<admin::ImportSnapshotResponse>, Status> {
        use admin::import_snapshot_request::Frame;
        self.ask(&request, |_| {});
        let mut frames = request.into_inner();
        while let Some(frame) = frames.message().await? {
            let mut asked = self.asked.lock().unwrap();
            match frame.frame.unwrap() {
                Frame::Header(header) => asked.import = Some(header),
                Frame::Chunk(chunk) => {
                    assert_eq!(chunk.offset, asked.imported.len() as u64);
                    asked.imported.extend(chunk.data);
                }
                Frame::Trailer(trailer) => assert_eq!(trailer.total_size, asked.imported.len() as u64),
            }
        }
        self.script.import.clone().map(Response::new).ok_or_else(|| Status::unimplemented("not in the script"))
    }

    async fn resync_environment(
        &self,
        request: Request<admin::ResyncEnvironmentRequest>,
    ) -> Result<Response<admin::ResyncEnvironmentResponse>, Status> {
        let was_paused = request.into_inner().environment_id == ENVIRONMENT;
        Ok(Response::new(admin::ResyncEnvironmentResponse { was_paused }))
    }

    async fn set_log_level(
        &self,
        request: Request<admin::SetLogLevelRequest>,
    ) -> Result<Response<admin::SetLogLevelResponse>, Status> {
        let asked = *request.get_ref();
        self.ask(&request, |it| it.level = Some(asked));
        Ok(Response::new(admin::SetLogLevelResponse { previous: admin::LogLevel::Info.into() }))
    }

    async fn drain(&self, request: Request<admin::DrainRequest>) -> Result<Response<admin::DrainResponse>, Status> {
        self.ask(&request, |it| it.drained = true);
        Ok(Response::new(admin::DrainResponse {}))
    }
}
