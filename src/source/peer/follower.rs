//! Follows one of several leaders, in their order, for as long as the
//! process lives.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures_util::FutureExt as _;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::channel::{Link, LinkError, cause};
use super::known::Known;
use super::session::{Ended, Session, WORDS};
use super::standing::Standing;
use crate::proto::inspect::v1::inspect_service_client::InspectServiceClient;
use crate::proto::inspect::v1::{GetServerInfoRequest, ListEnvironmentsRequest, SyncState};
use crate::proto::snapshot::v1 as proto;
use crate::proto::snapshot::v1::snapshot_service_client::SnapshotServiceClient;
use crate::proto::snapshot::v1::sync_snapshots_request::Message;
use crate::snapshot::content::EnvironmentId;
use crate::source::harness::backoff::Backoff;
use crate::source::intake_queue::IntakeQueue;
use crate::store::peers::{KnownPeer, PeerFacts, PeerRole};
use crate::telemetry::clock::unix_now_ms;
use crate::telemetry::logging::millis;
use crate::transfer::sealing::Counter;

/// Waits between rounds over all leaders.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// While a later leader is followed, those before it are tried this often.
const LOOK_BACK: Duration = Duration::from_secs(30);

/// A leader that does not answer a look within this time is no better one.
const LOOK_WITHIN: Duration = Duration::from_secs(3);

/// While the leader has lost its source, others are looked at this often.
const LOOK_ASIDE: Duration = Duration::from_secs(10);

/// A leader that was behind, or refused to be followed, is left alone for so
/// long while there are others.
const AVOID: Duration = Duration::from_secs(60);

/// A message of a leader: a chunk and its envelope, or the list of all
/// environments.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Environments that an operator wants anew.
#[derive(Debug, Default)]
pub struct Resync {
    wanted: Mutex<BTreeSet<EnvironmentId>>,
    wake: Notify,
}

impl Resync {
    /// Asks for everything of an environment.
    pub fn ask(&self, id: &EnvironmentId) {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        self.wake.notify_one();
    }

    pub(super) async fn asked(&self) {
        self.wake.notified().await;
    }

    pub(super) fn take(&self) -> BTreeSet<EnvironmentId> {
        std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The leader that is followed now, for usage; `None` while there is none.
pub type Line = Arc<ArcSwapOption<(Channel, Link)>>;

/// The task that follows.
pub struct Follower {
    /// Random, the same for all its streams.
    pub id: Arc<str>,
    pub links: Vec<Link>,
    /// Ids of environments; none means all.
    pub wanted: Vec<String>,
    pub queue: IntakeQueue,
    pub standing: Standing,
    pub known: Known,
    pub resync: Arc<Resync>,
    pub line: Line,
    pub request_timeout: Duration,
    pub stop: CancellationToken,
}

impl Follower {
    /// True if there is another leader to turn to.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.links.len() > 1
    }

    /// Follows until told to stop.
    pub async fn run(mut self) {
        let peers = self.standing.store.peers();
        let enter =
            |link: &Link| Arc::new(peers.enter(PeerRole::Leader, &link.address, &link.address, PeerFacts::default()));
        let entries: Vec<Arc<KnownPeer>> = self.links.iter().map(enter).collect();
        let mut avoid: Vec<Option<Instant>> = vec![None; self.links.len()];
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let (mut reason, mut reached) = (String::new(), false);
            for index in self.order().await {
                let (Some(peer), Some(link)) = (entries.get(index).cloned(), self.links.get(index).cloned()) else {
                    break;
                };
                let now = Instant::now();
                if avoid.get(index).copied().flatten().is_some_and(|until| until > now) && self.has_others() {
                    continue;
                }
                let following = AssertUnwindSafe(self.follow(index, &link, &peer, &avoid)).catch_unwind().await;
                // tonic panics at a status whose details are no base64, which a bad link makes of a good one.
                let ended = following.unwrap_or_else(|_| Err(FollowError::passing("what it sends cannot be read")));
                peer.note(|facts| facts.connected_at_ms = None);
                self.line.store(None);
                self.standing.store.certainty().set(false);
                let leave = |reason: &str| {
                    peer.note(|facts| facts.error = Some(reason.to_owned()));
                };
                match ended {
                    Ok(Ended::Stopped) => return,
                    Ok(Ended::Again | Ended::Preferred) => {
                        reached = true;
                        break;
                    }
                    Ok(Ended::Behind) => {
                        leave("it is behind what is served here");
                        reason = format!("{} is behind what is served here", link.address);
                        tracing::warn!(
                            leader = link.address,
                            "the leader is behind, and another one may not be; the next one is tried"
                        );
                        avoid.get_mut(index).into_iter().for_each(|it| *it = Some(Instant::now() + AVOID));
                    }
                    Ok(Ended::Lost { reason: why, heard }) => {
                        leave(&why);
                        tracing::warn!(leader = link.address, reason = why, "the leader is lost");
                        self.standing.lost(&why, false, unix_now_ms());
                        reason = format!("{}: {why}", link.address);
                        if heard {
                            reached = true;
                            break;
                        }
                    }
                    Err(FollowError { reason: why, refused }) => {
                        leave(&why);
                        reason = format!("{}: {why}", link.address);
                        if refused {
                            tracing::error!(leader = link.address, reason = why, "the leader refuses to be followed");
                            avoid.get_mut(index).into_iter().for_each(|it| *it = Some(Instant::now() + AVOID));
                        }
                    }
                }
            }
            if reached {
                backoff.succeeded();
            } else {
                self.standing.lost(&reason, true, unix_now_ms());
            }
            let wait = backoff.failed(rand::random(), None);
            tracing::debug!(wait_ms = millis(wait), "leaders are tried again");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// The leaders in the order in which they are tried: those that have not
    /// lost their source first.
    async fn order(&self) -> Vec<usize> {
        let mut fresh = vec![false; self.links.len()];
        if self.has_others() {
            for (link, is) in self.links.iter().zip(&mut fresh) {
                // The first that is fresh is the one.
                *is = is_fresh(link).await;
                if *is {
                    break;
                }
            }
        }
        let mut order: Vec<usize> = (0..self.links.len()).collect();
        order.sort_by_key(|index| !fresh.get(*index).copied().unwrap_or(false));
        order
    }

    async fn follow(
        &mut self,
        index: usize,
        link: &Link,
        peer: &Arc<KnownPeer>,
        avoid: &[Option<Instant>],
    ) -> Result<Ended, FollowError> {
        let stop = self.stop.clone();
        let began = async {
            let channel = link.connect().await?;
            let (words, spoken) = mpsc::channel(WORDS);
            let subscribe = proto::Subscribe {
                follower_id: self.id.to_string(),
                follower_name: host_name(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                environment_ids: self.wanted.clone(),
                known: self.known.message(),
            };
            let message = Some(Message::Subscribe(subscribe));
            let mut said = Counter::default();
            let first = said.seal(proto::SyncSnapshotsRequest { message, ..Default::default() });
            // There is room: nothing else was put in.
            let _ = words.try_send(first);
            let mut client = SnapshotServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
            let request = link.request(ReceiverStream::new(spoken))?;
            let answer = tokio::time::timeout(self.request_timeout, client.sync_snapshots(request)).await;
            let incoming = answer.map_err(|_| FollowError::passing("it does not answer in time"))??.into_inner();
            Ok::<_, FollowError>((channel, (words, said), incoming))
        };
        let (channel, words, incoming) = tokio::select! {
            began = began => began?,
            () = stop.cancelled() => return Ok(Ended::Stopped),
        };
        tracing::info!(leader = link.address, "following");
        self.line.store(Some(Arc::new((channel, link.clone()))));
        peer.note(|facts| (facts.connected_at_ms, facts.error) = (Some(unix_now_ms()), None));
        let before: Vec<Link> = self
            .links
            .iter()
            .zip(avoid)
            .take(index)
            .filter(|(_, avoid)| avoid.is_none_or(|until| until <= Instant::now()))
            .map(|(link, _)| link.clone())
            .collect();
        let others: Vec<Link> =
            self.links.iter().enumerate().filter(|(at, _)| *at != index).map(|it| it.1.clone()).collect();
        let stale = Arc::new(AtomicBool::new(false));
        let fresher = one_is_fresher(others, Arc::clone(&stale));
        let ended =
            Session::new(self, Arc::clone(peer), words, incoming, stale).run(one_is_back(before), fresher).await;
        Ok(ended)
    }
}

/// Ends when one of these is ready to be followed.
async fn one_is_back(links: Vec<Link>) {
    if links.is_empty() {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(LOOK_BACK.mul_f64(0.8 + rand::random::<f64>() * 0.4)).await;
        for link in &links {
            if is_fresh(link).await {
                tracing::info!(leader = link.address, "a leader that is preferred is back");
                return;
            }
        }
    }
}

/// Ends when the leader that is followed has lost its source, and one of
/// these has not.
async fn one_is_fresher(links: Vec<Link>, stale: Arc<AtomicBool>) {
    if links.is_empty() {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(LOOK_ASIDE.mul_f64(0.8 + rand::random::<f64>() * 0.4)).await;
        for link in links.iter().filter(|_| stale.load(Ordering::Relaxed)) {
            if is_fresh(link).await {
                tracing::info!(leader = link.address, "another leader has its source");
                return;
            }
        }
    }
}

/// True if a relay is ready and has not lost its source, and says so soon.
async fn is_fresh(link: &Link) -> bool {
    tokio::time::timeout(LOOK_WITHIN, says_fresh(link)).await.unwrap_or(false)
}

async fn says_fresh(link: &Link) -> bool {
    let Ok(channel) = link.connect().await else { return false };
    let (Ok(info), Ok(list)) = (
        link.request(GetServerInfoRequest {}),
        link.request(ListEnvironmentsRequest { page_size: 1000, page_token: String::new() }),
    ) else {
        return false;
    };
    let mut client = InspectServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let ready = client.get_server_info(info).await.map(tonic::Response::into_inner);
    if !ready.is_ok_and(|info| info.ready && info.source_error.is_none()) {
        return false;
    }
    let listed = client.list_environments(list).await.map(tonic::Response::into_inner);
    listed.is_ok_and(|list| list.environments.iter().all(|it| it.sync_state() != SyncState::Stale))
}

/// Why a leader could not be followed.
struct FollowError {
    reason: String,
    /// It is there and says no.
    refused: bool,
}

impl FollowError {
    fn passing(reason: &str) -> Self {
        FollowError { reason: reason.to_owned(), refused: false }
    }
}

impl From<LinkError> for FollowError {
    fn from(error: LinkError) -> Self {
        FollowError { refused: !matches!(error, LinkError::Unreachable(_)), reason: error.to_string() }
    }
}

impl From<tonic::Status> for FollowError {
    fn from(status: tonic::Status) -> Self {
        use tonic::Code;
        let refused = matches!(
            status.code(),
            Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented | Code::InvalidArgument
        );
        let reason = if status.message().is_empty() { cause(&status) } else { status.message().to_owned() };
        FollowError { reason, refused }
    }
}

/// What operators call this machine.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "ff-relay".to_owned() } else { name.to_owned() }
}
