//! What imports were answered, so that one that is sent again changes
//! nothing.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::Digest;
use crate::snapshot::{Epoch, Revision};
use crate::store::administration::{EnvironmentOutcome, EnvironmentReport, ImportReport};
use crate::store::durable::record::RecordFile;
use crate::store::durable::{DataDir, DurableError};

/// An answer is remembered for a day.
const REMEMBERED_MS: i64 = 24 * 3600 * 1000;
/// Of more than these the oldest is forgotten.
const MAX_REMEMBERED: usize = 100;

/// Answers, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    all: VecDeque<(i64, ImportReport)>,
}

impl Answers {
    /// The file's name.
    pub const NAME: &str = "imports";

    /// Reads what an earlier life answered. What cannot be read is forgotten.
    #[must_use]
    pub fn read(directory: &DataDir) -> Self {
        let lines = directory.read(Self::NAME).unwrap_or_else(|error| {
            tracing::warn!(%error, "which imports were made before is not known");
            None
        });
        let rows = lines.unwrap_or_default();
        Answers { all: rows.iter().filter_map(|line| serde_json::from_str::<Row>(line).ok()?.read()).collect() }
    }

    /// The answer of an import.
    #[must_use]
    pub fn find(&self, request_id: &str, now_ms: i64) -> Option<ImportReport> {
        let known = self.all.iter().rev().find(|(_, report)| report.request_id == request_id);
        known.filter(|(time_ms, _)| now_ms - time_ms <= REMEMBERED_MS).map(|(_, report)| report.clone())
    }

    /// These and one more.
    #[must_use]
    pub fn with(&self, report: &ImportReport, now_ms: i64) -> Self {
        let mut all = self.all.clone();
        all.retain(|(time_ms, known)| now_ms - time_ms <= REMEMBERED_MS && known.request_id != report.request_id);
        while all.len() >= MAX_REMEMBERED {
            all.pop_front();
        }
        all.push_back((now_ms, report.clone()));
        Answers { all }
    }

    /// The file of these.
    ///
    /// # Errors
    /// Never in practice: the types always serialise.
    pub fn file(&self) -> Result<RecordFile, DurableError> {
        let mut file = RecordFile::new(Self::NAME);
        for (time_ms, report) in &self.all {
            let line = serde_json::to_string(&Row::of(*time_ms, report))
                .map_err(|error| DurableError::Corrupt { path: Self::NAME.to_owned(), what: error.to_string() })?;
            file.push(&line);
        }
        Ok(file)
    }
}

/// One answer on disk: without the names of items, which may be many.
#[derive(Serialize, Deserialize)]
struct Row {
    time_ms: i64,
    request_id: String,
    sha256: String,
    warnings: Vec<String>,
    environments: Vec<EnvironmentRow>,
}

#[derive(Serialize, Deserialize)]
struct EnvironmentRow {
    id: String,
    outcome: u8,
    before: Option<(u64, u64, String)>,
    counts: [usize; 5],
    paused: bool,
}

const OUTCOMES: [EnvironmentOutcome; 4] = [
    EnvironmentOutcome::Unchanged,
    EnvironmentOutcome::Added,
    EnvironmentOutcome::Changed,
    EnvironmentOutcome::Removed,
];

impl Row {
    fn of(time_ms: i64, report: &ImportReport) -> Self {
        let environment = |it: &EnvironmentReport| EnvironmentRow {
            id: it.id.to_string(),
            outcome: (0..).zip(OUTCOMES).find(|(_, outcome)| *outcome == it.outcome).map_or(0, |(index, _)| index),
            before: it.before.map(|before| (before.epoch.0, before.sequence, before.digest.to_string())),
            counts: [it.added, it.changed, it.removed, it.key_hashes_added, it.key_hashes_removed],
            paused: it.source_paused,
        };
        Row {
            time_ms,
            request_id: report.request_id.clone(),
            sha256: report.sha256.to_string(),
            warnings: report.warnings.iter().take(100).cloned().collect(),
            environments: report.environments.iter().map(environment).collect(),
        }
    }

    fn read(self) -> Option<(i64, ImportReport)> {
        let environment = |it: EnvironmentRow| {
            let [added, changed, removed, key_hashes_added, key_hashes_removed] = it.counts;
            let before = it.before.and_then(|(epoch, sequence, digest)| {
                Some(Revision { epoch: Epoch(epoch), sequence, digest: Digest::from_hex(&digest)? })
            });
            Some(EnvironmentReport {
                id: EnvironmentId::new(&it.id),
                outcome: *OUTCOMES.get(usize::from(it.outcome))?,
                before,
                after: None,
                added,
                changed,
                removed,
                items: Vec::new(),
                key_hashes_added,
                key_hashes_removed,
                source_paused: it.paused,
            })
        };
        let report = ImportReport {
            request_id: self.request_id,
            sha256: Digest::from_hex(&self.sha256)?,
            validated_only: false,
            repeated: false,
            environments: self.environments.into_iter().map(environment).collect::<Option<_>>()?,
            warnings: self.warnings,
        };
        Some((self.time_ms, report))
    }
}
