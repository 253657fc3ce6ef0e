//! The Go proxies' layout beside the truth.

use super::Member;
use crate::snapshot::Snapshot;
use crate::source::redis::link::Failure;
use crate::source::redis::mirror::Plan;

impl Member {
    pub(super) fn plan_mirror(&self, _before: Option<&Snapshot>, _after: &Snapshot) -> Option<Plan> {
        None
    }

    pub(super) fn plan_removal(&self, _before: &Snapshot) -> Option<Plan> {
        None
    }

    pub(super) async fn write_mirror(&self, _plan: &Plan) -> Result<(), Failure> {
        Ok(())
    }
}
