//! Carries SDK usage to the leader, which counts a batch once however often
//! it comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::follower::Line;
use crate::config::Secret;
use crate::proto::usage::v1 as proto;
use crate::proto::usage::v1::usage_service_client::UsageServiceClient;
use crate::snapshot::content::EnvironmentId;
use crate::usage::batch::BatchId;
use crate::usage::{Carrier, Delivery};

/// For so long a batch that a leader may have counted waits for that leader;
/// then another gets it, and it may be counted twice.
const WAITS_FOR: Duration = Duration::from_secs(10 * 60);

/// Such batches; there is one for each environment.
const MAX_WAITING: usize = 10_000;

/// The way to the leader that is followed.
#[derive(Debug)]
pub struct PeerCarrier {
    pub line: Line,
    /// Batches whose outcome nobody knows, and the leader they went to.
    pub uncertain: Mutex<HashMap<BatchId, (String, Instant)>>,
    /// See [`Follower::id`](super::follower::Follower::id).
    pub follower: Arc<str>,
    pub within: Duration,
}

impl Carrier for PeerCarrier {
    fn send_metrics(&self, environment: &EnvironmentId, id: BatchId, body: Bytes) -> BoxFuture<'_, Delivery> {
        let batch = proto::UsageBatch {
            id: id.0.to_be_bytes().to_vec(),
            environment_id: environment.to_string(),
            body: body.to_vec(),
        };
        async move {
            let report = proto::ReportUsageRequest { batches: vec![batch], ..proto::ReportUsageRequest::default() };
            let leader = self.line.load().as_ref().map(|line| line.1.address.clone()).unwrap_or_default();
            if self.waits_for_another(id, &leader) {
                return unsent("the leader that may have counted it is away".to_owned());
            }
            let delivery = self.report(report).await;
            self.note(id, leader, &delivery);
            delivery
        }
        .boxed()
    }

    fn register_target(
        &self,
        environment: &EnvironmentId,
        _api_key: Option<&Secret>,
        target_json: &str,
    ) -> BoxFuture<'_, Delivery> {
        // The SDK's key stays here.
        let target =
            proto::ReportedTarget { environment_id: environment.to_string(), json: target_json.as_bytes().to_vec() };
        self.report(proto::ReportUsageRequest {
            batches: Vec::new(),
            targets: vec![target],
            follower_id: self.follower.to_string(),
        })
        .boxed()
    }
}

fn unsent(reason: String) -> Delivery {
    Delivery::Refused { status: None, reason, retry_after: None }
}

impl PeerCarrier {
    fn waits_for_another(&self, id: BatchId, leader: &str) -> bool {
        let uncertain = self.uncertain.lock().unwrap_or_else(PoisonError::into_inner);
        uncertain.get(&id).is_some_and(|(went_to, at)| went_to != leader && at.elapsed() < WAITS_FOR)
    }

    fn note(&self, id: BatchId, leader: String, delivery: &Delivery) {
        let mut uncertain = self.uncertain.lock().unwrap_or_else(PoisonError::into_inner);
        match delivery {
            Delivery::Uncertain { .. } => {
                uncertain.retain(|_, (_, at)| at.elapsed() < WAITS_FOR);
                if uncertain.len() < MAX_WAITING {
                    uncertain.entry(id).or_insert((leader, Instant::now()));
                }
            }
            Delivery::Taken => drop(uncertain.remove(&id)),
            Delivery::Refused { .. } => {}
        }
    }

    async fn report(&self, report: proto::ReportUsageRequest) -> Delivery {
        let Some(line) = self.line.load_full() else {
            return unsent("no leader is followed now".to_owned());
        };
        let (channel, link) = &*line;
        let request = match link.request(report) {
            Ok(request) => request,
            Err(error) => return unsent(error.to_string()),
        };
        let mut client = UsageServiceClient::new(channel.clone());
        match tokio::time::timeout(self.within, client.report_usage(request)).await {
            Ok(Ok(_)) => Delivery::Taken,
            Ok(Err(status)) => delivery(&status),
            Err(_) => {
                Delivery::Uncertain { reason: "the leader does not answer in time".to_owned(), retry_after: None }
            }
        }
    }
}

fn delivery(status: &Status) -> Delivery {
    let reason = format!("the leader: {}", status.message());
    let retry_after = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let http = match status.code() {
        Code::InvalidArgument => Some(400),
        Code::Unauthenticated => Some(401),
        Code::PermissionDenied => Some(403),
        Code::NotFound => Some(404),
        Code::OutOfRange => Some(413),
        Code::Unimplemented => Some(501),
        _ => None,
    };
    match http {
        Some(code) => Delivery::Refused { status: Some(code), reason, retry_after },
        None => Delivery::Uncertain { reason, retry_after },
    }
}
