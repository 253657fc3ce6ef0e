//! `SyncSnapshots`: a relay follows this one.

mod followed;
mod hearing;
mod outgoing;
mod progress;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::snapshot::Frames;
use super::status::{About, status};
use crate::fault::Fault;
use crate::lifecycle::readiness::Readiness;
use crate::proto::snapshot::v1 as proto;
use crate::proto::snapshot::v1::sync_snapshots_request::Message;
use crate::store::Store;
use crate::store::administration::Administrator;
use crate::transfer::sealing::{Counter, SealError};
use session::Session;

/// Relays that follow at once.
const MAX_FOLLOWERS: usize = 256;

/// Time for the first message.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(10);

/// What following needs.
#[derive(Clone, Debug)]
pub struct Following {
    pub store: Store,
    pub readiness: Arc<Readiness>,
    pub administrator: Arc<dyn Administrator>,
    /// Ends every stream.
    pub stop: CancellationToken,
    admitted: Arc<AtomicUsize>,
}

impl Following {
    #[must_use]
    pub fn new(
        store: Store,
        readiness: Arc<Readiness>,
        administrator: Arc<dyn Administrator>,
        stop: CancellationToken,
    ) -> Self {
        Following { store, readiness, administrator, stop, admitted: Arc::default() }
    }

    /// Begins a follower's stream.
    ///
    /// # Errors
    /// There are too many, or it does not begin with a subscription.
    pub async fn begin(
        &self,
        mut incoming: Streaming<proto::SyncSnapshotsRequest>,
        address: String,
    ) -> Result<Frames<proto::SyncSnapshotsResponse>, Status> {
        let Some(place) = self.admit() else {
            let message = format!("{MAX_FOLLOWERS} relays follow this one already; follow one of its followers");
            return Err(status(Fault::TooManyStreams, &message, About::Nothing));
        };
        let first = tokio::time::timeout(SUBSCRIBE_WITHIN, incoming.message()).await;
        let late = || status(Fault::ChunkTimeout, "no subscription came within 10 s", About::Nothing);
        let mut first = first.map_err(|_| late())??;
        let mut heard = Counter::default();
        first.as_mut().map_or(Ok(()), |first| heard.open(first)).map_err(damaged)?;
        let Some(Message::Subscribe(subscribe)) = first.and_then(|first| first.message) else {
            let message = "the first message must be a subscription";
            return Err(status(Fault::InvalidField, message, About::Field("subscribe")));
        };
        let session = Session::new(self, (subscribe, heard), &address)?;
        let state = Some((session, incoming, place));
        Ok(stream::unfold(state, |state| async {
            let (mut session, mut incoming, place) = state?;
            match session.next(&mut incoming).await {
                Ok(Some(frame)) => Some((Ok(frame), Some((session, incoming, place)))),
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        })
        .boxed())
    }

    fn admit(&self) -> Option<Place> {
        let admit = |n: usize| (n < MAX_FOLLOWERS).then_some(n + 1);
        self.admitted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit).ok()?;
        Some(Place(Arc::clone(&self.admitted)))
    }
}

/// The link is bad; a stream that is begun again costs little.
fn damaged(error: SealError) -> Status {
    let message = format!("what the follower says cannot be trusted: {error}; subscribe again");
    status(Fault::SnapshotCorrupt, &message, About::Nothing)
}

/// One follower in the count.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
