//! `ffrelay.snapshot.v1.SnapshotService`

use std::pin::Pin;

use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::status::{About, status};
use super::sync::Following;
use crate::fault::Fault;
use crate::proto::snapshot::v1 as proto;
use crate::proto::snapshot::v1::snapshot_service_server::SnapshotService;

/// What the service reads.
#[derive(Debug)]
pub struct Snapshots {
    pub following: Following,
}

/// A stream of frames.
pub type Frames<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl SnapshotService for Snapshots {
    type ExportSnapshotStream = Frames<proto::ExportSnapshotResponse>;
    type SyncSnapshotsStream = Frames<proto::SyncSnapshotsResponse>;

    async fn export_snapshot(
        &self,
        _request: Request<proto::ExportSnapshotRequest>,
    ) -> Result<Response<Self::ExportSnapshotStream>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }

    async fn sync_snapshots(
        &self,
        request: Request<Streaming<proto::SyncSnapshotsRequest>>,
    ) -> Result<Response<Self::SyncSnapshotsStream>, Status> {
        let address = request.remote_addr().map(|address| address.to_string()).unwrap_or_default();
        Ok(Response::new(self.following.begin(request.into_inner(), address).await?))
    }
}
