//! `ffrelay.snapshot.v1.SnapshotService`

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::access::Caller;
use super::archives::Archives;
use super::export::export;
use super::peer::Peer;
use super::sync::Following;
use crate::proto::snapshot::v1 as proto;
use crate::proto::snapshot::v1::snapshot_service_server::SnapshotService;

/// What the service reads.
#[derive(Debug)]
pub struct Snapshots {
    pub following: Following,
    pub archives: Arc<Archives>,
}

/// A stream of frames.
pub type Frames<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl SnapshotService for Snapshots {
    type ExportSnapshotStream = Frames<proto::ExportSnapshotResponse>;
    type SyncSnapshotsStream = Frames<proto::SyncSnapshotsResponse>;

    async fn export_snapshot(
        &self,
        request: Request<proto::ExportSnapshotRequest>,
    ) -> Result<Response<Self::ExportSnapshotStream>, Status> {
        let caller = Caller::name_of(request.extensions()).to_owned();
        export(&self.archives, request.into_inner(), &caller).await.map(Response::new)
    }

    async fn sync_snapshots(
        &self,
        request: Request<Streaming<proto::SyncSnapshotsRequest>>,
    ) -> Result<Response<Self::SyncSnapshotsStream>, Status> {
        let address = request.extensions().get::<Peer>().map(|peer| peer.address.to_string()).unwrap_or_default();
        Ok(Response::new(self.following.begin(request.into_inner(), address).await?))
    }
}
