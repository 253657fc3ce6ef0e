//! Sources that an import has paused, over restarts.

use serde::{Deserialize, Serialize};

use super::record::RecordFile;
use super::{DataDir, DurableError};
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::Digest;
use crate::store::source_status::PausedSource;

const FILE: &str = "paused";

/// One paused source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    pub source: PausedSource,
    /// What the directory held then: the pause ends when it holds something
    /// else. `None` where it held nothing, or there is no directory.
    pub directory: Option<Digest>,
    /// True if the import took the environment away.
    pub removed: bool,
    /// True if its source did not have it then.
    pub new: bool,
}

#[derive(Serialize, Deserialize)]
struct Row {
    environment: String,
    since_ms: i64,
    request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    new: bool,
}

/// The name of the file.
#[must_use]
pub fn paused_name() -> &'static str {
    FILE
}

/// The file that holds these.
///
/// # Errors
/// Never in practice: the types always serialise.
pub fn paused_file<'a>(all: impl Iterator<Item = (&'a EnvironmentId, &'a Paused)>) -> Result<RecordFile, DurableError> {
    let mut file = RecordFile::new(FILE);
    for (environment, paused) in all {
        file.push(&paused.line(environment).map_err(corrupt)?);
    }
    Ok(file)
}

fn corrupt(error: serde_json::Error) -> DurableError {
    DurableError::Corrupt { path: FILE.to_owned(), what: error.to_string() }
}

impl Paused {
    /// As one line of JSON.
    ///
    /// # Errors
    /// Never in practice: the types always serialise.
    pub fn line(&self, environment: &EnvironmentId) -> serde_json::Result<String> {
        serde_json::to_string(&Row {
            environment: environment.to_string(),
            since_ms: self.source.since_ms,
            request_id: self.source.request_id.clone(),
            directory: self.directory.map(|digest| digest.to_string()),
            removed: self.removed,
            new: self.new,
        })
    }

    /// Reads what [`Paused::line`] wrote.
    ///
    /// # Errors
    /// It is no such line.
    pub fn of_line(line: &str) -> serde_json::Result<(EnvironmentId, Paused)> {
        let row: Row = serde_json::from_str(line)?;
        let source = PausedSource { since_ms: row.since_ms, request_id: row.request_id };
        let directory = row.directory.as_deref().and_then(Digest::from_hex);
        Ok((EnvironmentId::new(&row.environment), Paused { source, directory, removed: row.removed, new: row.new }))
    }
}

impl DataDir {
    /// The sources that were paused when the process before ended.
    ///
    /// # Errors
    /// See [`DataDir::read`].
    pub fn read_paused(&self) -> Result<Vec<(EnvironmentId, Paused)>, DurableError> {
        let lines = self.read(FILE)?.unwrap_or_default();
        lines.iter().map(|line| Paused::of_line(line).map_err(corrupt)).collect()
    }
}
