//! A configuration wherever it is: a directory, an archive, or served by a
//! relay.

use super::connect::{Relay, is_address, wait};
use super::fetch::fetch;
use crate::config::without_credentials;
use crate::proto::snapshot::v1::ExportSnapshotRequest;
use crate::source::file::Location;

/// Where a configuration lies now.
#[derive(Debug)]
pub struct Place {
    pub location: Location,
    /// As messages call it.
    pub name: String,
    /// Holds what was fetched, for as long as it is read.
    _fetched: Option<tempfile::TempDir>,
}

impl Place {
    /// Finds it; what a relay serves is exported first.
    ///
    /// # Errors
    /// The relay cannot be reached, or refuses.
    pub fn find(text: &str, relay: &Relay) -> anyhow::Result<Self> {
        if !is_address(text) {
            return Ok(Place { location: Location::of(text.as_ref()), name: text.to_owned(), _fetched: None });
        }
        let relay = relay.at(text);
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("export.tar.gz");
        wait(async {
            let session = relay.connect().await?;
            fetch(&relay, session, &ExportSnapshotRequest::default(), &path, true).await
        })?;
        let name = without_credentials(text);
        Ok(Place { location: Location::of(&path), name, _fetched: Some(directory) })
    }
}
