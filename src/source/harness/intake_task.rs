//! The task through which environments reach the store: one writer, many
//! feeds. Each order takes the newest content of its feed when its turn
//! comes, so that the store never goes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::engine::now_ms;
use super::feed::Feed;
use crate::snapshot::content::EnvironmentId;
use crate::source::intake::Intake;
use crate::store::environment::Environment;
use crate::store::writer::Offered;

/// Orders that wait.
pub const ORDERS: usize = 1024;

/// Orders that are taken together.
const TOGETHER: usize = 64;

/// What a feed wants of the store.
#[derive(Debug)]
pub enum Order {
    /// Serve its newest content.
    Apply(Arc<Feed>),
    /// Serve nothing of these any more.
    Withdraw(Vec<Arc<Feed>>),
    /// Know an environment that has no content yet.
    Open(EnvironmentId, oneshot::Sender<Arc<Environment>>),
    /// Say when everything that was ordered before is done.
    Reach(oneshot::Sender<()>),
}

/// Takes orders until told to stop.
pub async fn run(mut intake: Intake, mut orders: mpsc::Receiver<Order>, stop: CancellationToken) {
    let mut waiting = Vec::with_capacity(TOGETHER);
    loop {
        tokio::select! {
            count = orders.recv_many(&mut waiting, TOGETHER) => if count == 0 { return },
            () = stop.cancelled() => return,
        }
        let batch = std::mem::take(&mut waiting);
        // Building snapshots takes CPU.
        let done = tokio::task::spawn_blocking(move || {
            batch.into_iter().for_each(|order| take(&mut intake, order));
            intake
        });
        match done.await {
            Ok(back) => intake = back,
            // The supervisor ends the process: better than never changing again.
            Err(error) => {
                tracing::error!(%error, "swapping configuration in failed");
                return;
            }
        }
    }
}

fn take(intake: &mut Intake, order: Order) {
    match order {
        Order::Apply(feed) => apply(intake, &feed),
        Order::Withdraw(feeds) => {
            let ids: BTreeSet<EnvironmentId> = feeds.iter().map(|feed| feed.id.clone()).collect();
            let credential = |id: &EnvironmentId| {
                let feed = feeds.iter().find(|feed| feed.id == *id);
                feed.map_or_else(|| Arc::from(""), |feed| Arc::clone(&feed.credential))
            };
            // Taking away cannot fail: nothing is built.
            if let Err(error) = intake.swap_in(BTreeMap::new(), ids, &credential, now_ms() / 1000) {
                tracing::error!(%error, "environments could not be withdrawn");
            }
        }
        Order::Open(id, answer) => {
            // Who asked may have ended.
            let _ = answer.send(intake.writer().open(&id));
        }
        Order::Reach(answer) => {
            let _ = answer.send(());
        }
    }
}

fn apply(intake: &mut Intake, feed: &Arc<Feed>) {
    feed.unqueue();
    let Some(content) = feed.content() else { return };
    let offered = BTreeMap::from([(feed.id.clone(), Offered { content, served: None })]);
    let credential = |_: &EnvironmentId| Arc::clone(&feed.credential);
    if let Err(error) = intake.swap_in(offered, BTreeSet::new(), &credential, now_ms() / 1000) {
        feed.trouble(&format!("upstream's configuration cannot be served: {error}"), now_ms());
    }
}
