//! What an import did, and why it did nothing, as the API says it.

use tonic::Status;

use super::status::{About, status};
use crate::fault::Fault;
use crate::proto::admin::v1 as proto;
use crate::snapshot::ledger::ChangeKind;
use crate::store::administration::{
    AdministrationError, EnvironmentOutcome, EnvironmentReport, ImportFault, ImportReport,
};
use crate::transfer::{write_item_key, write_revision};

/// Items that are named for one environment, and for all of them.
const MAX_ITEMS: usize = 1000;
const MAX_ALL_ITEMS: usize = 20_000;

/// Warnings that are told.
const MAX_WARNINGS: usize = 1000;

impl AdministrationError {
    /// As the error table has it.
    #[must_use]
    pub fn status(&self) -> Status {
        let fault = match self.fault {
            ImportFault::Corrupt => Fault::SnapshotCorrupt,
            ImportFault::Unsupported => Fault::SnapshotFormatUnsupported,
            ImportFault::Invalid => Fault::SnapshotInvalid,
            ImportFault::TooLarge => Fault::LimitExceeded,
            ImportFault::DigestMismatch => Fault::DigestMismatch,
            ImportFault::Owned => Fault::UpstreamOwnsState,
            ImportFault::Persist => Fault::PersistFailed,
            ImportFault::Request => Fault::InvalidField,
            ImportFault::Ending => Fault::Draining,
        };
        let about = match self.fault {
            ImportFault::Request => About::Field("header.options.request_id"),
            _ => About::Nothing,
        };
        status(fault, &self.message, about)
    }
}

/// The answer to an import.
#[must_use]
pub fn answer(report: ImportReport) -> proto::ImportSnapshotResponse {
    let mut left = MAX_ALL_ITEMS;
    let environments = report.environments.into_iter().map(|it| environment(it, &mut left)).collect();
    proto::ImportSnapshotResponse {
        request_id: report.request_id,
        sha256: report.sha256.0.to_vec(),
        validated_only: report.validated_only,
        repeated: report.repeated,
        environments,
        warning_count: report.warnings.len() as u64,
        warnings: report.warnings.into_iter().take(MAX_WARNINGS).collect(),
    }
}

fn environment(report: EnvironmentReport, left: &mut usize) -> proto::EnvironmentChange {
    let outcome = match report.outcome {
        EnvironmentOutcome::Unchanged => proto::EnvironmentOutcome::Unchanged,
        EnvironmentOutcome::Added => proto::EnvironmentOutcome::Added,
        EnvironmentOutcome::Changed => proto::EnvironmentOutcome::Changed,
        EnvironmentOutcome::Removed => proto::EnvironmentOutcome::Removed,
    };
    let named = report.items.len().min(MAX_ITEMS).min(*left);
    *left -= named;
    let item = |(key, kind): &(crate::snapshot::item::ItemKey, ChangeKind)| proto::ItemChange {
        key: Some(write_item_key(key)),
        outcome: match kind {
            ChangeKind::Create => proto::ItemOutcome::Added,
            ChangeKind::Patch => proto::ItemOutcome::Changed,
            ChangeKind::Delete => proto::ItemOutcome::Removed,
        }
        .into(),
    };
    proto::EnvironmentChange {
        environment_id: report.id.to_string(),
        outcome: outcome.into(),
        before: report.before.as_ref().map(write_revision),
        after: report.after.as_ref().map(write_revision),
        items: report.items.iter().take(named).map(item).collect(),
        added: report.added as u64,
        changed: report.changed as u64,
        removed: report.removed as u64,
        key_hashes_added: report.key_hashes_added as u64,
        key_hashes_removed: report.key_hashes_removed as u64,
        source_paused: report.source_paused,
    }
}
