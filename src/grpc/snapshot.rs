//! `ffrelay.snapshot.v1.SnapshotService`

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::access::Caller;
use super::archives::Archives;
use super::export::export;
use super::status::{About, status};
use crate::fault::Fault;
use crate::proto::snapshot::v1 as proto;
use crate::proto::snapshot::v1::snapshot_service_server::SnapshotService;
use crate::store::Store;

/// What the service reads.
#[derive(Debug)]
pub struct Snapshots {
    pub store: Store,
    pub archives: Arc<Archives>,
}

type Frames<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

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
        _request: Request<Streaming<proto::SyncSnapshotsRequest>>,
    ) -> Result<Response<Self::SyncSnapshotsStream>, Status> {
        Err(status(Fault::MethodNotAllowed, "not built yet", About::Nothing))
    }
}
