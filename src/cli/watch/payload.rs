//! An update, put together from its frames.

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::proto::snapshot::v1::environment_update::Change;
use crate::proto::snapshot::v1::{EnvironmentUpdate, UpdateHeader, UpdateTrailer};

/// More than any archive inflates to.
const MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// An update under way.
pub(super) struct Payload {
    pub(super) environment_id: String,
    pub(super) update: u64,
    size: u64,
    bytes: Vec<u8>,
}

impl Payload {
    pub(super) fn new(header: UpdateHeader) -> Self {
        let UpdateHeader { environment_id, update, size } = header;
        Payload { environment_id, update, size, bytes: Vec::new() }
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        // One byte too many says that it is not what was announced.
        let room = self.size.min(MAX_BYTES).saturating_add(1).saturating_sub(self.bytes.len() as u64);
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(data.len());
        self.bytes.extend_from_slice(data.get(..room).unwrap_or_default());
    }

    /// # Errors
    /// Why it cannot be used, for the relay's operators.
    pub(super) fn finish(self, trailer: &UpdateTrailer) -> Result<Change, String> {
        if self.bytes.len() as u64 != self.size || Sha256::digest(&self.bytes).as_slice() != trailer.sha256 {
            return Err("the payload is not the one that was announced".to_owned());
        }
        let update = EnvironmentUpdate::decode(self.bytes.as_slice()).map_err(|error| error.to_string())?;
        update.change.ok_or_else(|| "the update says nothing".to_owned())
    }
}
