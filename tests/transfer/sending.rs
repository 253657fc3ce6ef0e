//! Sends imports frame by frame, right or wrong, and fetches exports.

use std::net::SocketAddr;

use ff_relay::proto::admin::v1::admin_service_client::AdminServiceClient;
use ff_relay::proto::admin::v1::import_snapshot_request::Frame;
use ff_relay::proto::admin::v1::{
    ImportHeader, ImportOptions, ImportSnapshotRequest, ImportSnapshotResponse, ResyncEnvironmentRequest,
};
use ff_relay::proto::inspect::v1::inspect_service_client::InspectServiceClient;
use ff_relay::proto::inspect::v1::{Environment, GetServerInfoRequest, GetServerInfoResponse, ListEnvironmentsRequest};
use ff_relay::proto::snapshot::v1::export_snapshot_response::Frame as Exported;
use ff_relay::proto::snapshot::v1::snapshot_service_client::SnapshotServiceClient;
use ff_relay::proto::snapshot::v1::{ExportSnapshotRequest, SnapshotChunk, SnapshotTrailer};
use sha2::{Digest as _, Sha256};
use tonic::Status;

use crate::support::grpc::{channel, channel_to, wait, with_token};
use crate::support::relay::TestRelay;

/// The token of every role's highest.
pub const ADMIN: &str = "--grpc-admin-tokens=admin-token";

pub const CHUNK: usize = 256 * 1024;

pub fn header(options: ImportOptions) -> Frame {
    Frame::Header(ImportHeader { options: Some(options), snapshot: None })
}

pub fn chunk(offset: usize, data: &[u8]) -> Frame {
    Frame::Chunk(SnapshotChunk { offset: offset as u64, data: data.to_vec() })
}

pub fn trailer(bytes: &[u8]) -> Frame {
    Frame::Trailer(SnapshotTrailer { total_size: bytes.len() as u64, sha256: Sha256::digest(bytes).to_vec() })
}

/// The frames of an import as they should be.
pub fn frames(options: ImportOptions, bytes: &[u8]) -> Vec<Frame> {
    frames_of(options, bytes, CHUNK)
}

/// The same in chunks of another size.
pub fn frames_of(options: ImportOptions, bytes: &[u8], size: usize) -> Vec<Frame> {
    let chunks = bytes.chunks(size).enumerate().map(|(i, data)| chunk(i * size, data));
    std::iter::once(header(options)).chain(chunks).chain([trailer(bytes)]).collect()
}

pub fn send(relay: &TestRelay, frames: Vec<Frame>) -> Result<ImportSnapshotResponse, Status> {
    send_to(relay.grpc.unwrap(), frames)
}

pub fn send_to(address: SocketAddr, frames: Vec<Frame>) -> Result<ImportSnapshotResponse, Status> {
    wait(async {
        let mut client = AdminServiceClient::new(channel_to(address).await);
        let frames = frames.into_iter().map(|frame| ImportSnapshotRequest { frame: Some(frame) });
        let request = with_token(tokio_stream::iter(frames), "admin-token");
        client.import_snapshot(request).await.map(tonic::Response::into_inner)
    })
}

pub fn import(relay: &TestRelay, options: ImportOptions, bytes: &[u8]) -> Result<ImportSnapshotResponse, Status> {
    send(relay, frames(options, bytes))
}

pub fn resync(relay: &TestRelay, environment: &str) -> Result<bool, Status> {
    wait(async {
        let mut client = AdminServiceClient::new(channel(relay).await);
        let request = ResyncEnvironmentRequest { environment_id: environment.into() };
        client.resync_environment(with_token(request, "admin-token")).await.map(|answer| answer.into_inner().was_paused)
    })
}

/// The archive of everything.
pub fn export(relay: &TestRelay, request: ExportSnapshotRequest) -> Result<Vec<u8>, Status> {
    wait(async {
        let mut client = SnapshotServiceClient::new(channel(relay).await);
        let mut frames = client.export_snapshot(with_token(request, "admin-token")).await?.into_inner();
        let (mut bytes, mut ended) = (Vec::new(), false);
        while let Some(frame) = frames.message().await? {
            match frame.frame.unwrap() {
                Exported::Header(_) => {}
                Exported::Chunk(chunk) => bytes.extend(chunk.data),
                Exported::Trailer(_) => ended = true,
            }
        }
        assert!(ended, "no trailer");
        Ok(bytes)
    })
}

/// Every environment as the relay describes it.
pub fn environments(relay: &TestRelay) -> Vec<Environment> {
    environments_at(relay.grpc.unwrap())
}

pub fn environments_at(address: SocketAddr) -> Vec<Environment> {
    wait(async {
        let mut client = InspectServiceClient::new(channel_to(address).await);
        let request = ListEnvironmentsRequest { page_size: 1000, ..Default::default() };
        client.list_environments(with_token(request, "admin-token")).await.unwrap().into_inner().environments
    })
}

pub fn server_info(relay: &TestRelay) -> GetServerInfoResponse {
    wait(async {
        let mut client = InspectServiceClient::new(channel(relay).await);
        client.get_server_info(with_token(GetServerInfoRequest {}, "admin-token")).await.unwrap().into_inner()
    })
}
