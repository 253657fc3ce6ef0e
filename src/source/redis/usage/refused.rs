//! A batch of another relay with something in it that upstream refuses.

use std::time::Duration;

use crate::snapshot::content::EnvironmentId;
use crate::usage::batch::BatchId;
use crate::usage::parse::read;
use crate::usage::{Delivery, Usage};

/// A disk that takes nothing is not waited for longer.
const KEPT_WITHIN: Duration = Duration::from_secs(5);

/// Takes its rows, once: which of them it is this relay finds out with its
/// own. `Taken` when they would outlive a crash as its own do.
pub(super) async fn take(usage: &Usage, environment: &EnvironmentId, batch: BatchId, body: &[u8]) -> Delivery {
    let mut tally = usage.body();
    match read(body, &mut tally) {
        Ok(()) => drop(usage.take_once(environment, batch, tally)),
        Err(error) => {
            tracing::warn!(%environment, %error, "SDK metrics of another relay cannot be read and are dropped");
            return Delivery::Taken;
        }
    }
    match tokio::time::timeout(KEPT_WITHIN, usage.kept()).await {
        Ok(()) => Delivery::Taken,
        Err(_) => Delivery::Refused { status: None, reason: "the disk takes nothing".to_owned(), retry_after: None },
    }
}
