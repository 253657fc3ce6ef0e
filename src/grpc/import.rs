//! `ImportSnapshot`: receives an archive into a file of its own and hands it
//! over once it is whole.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::status::{About, status};
use crate::fault::Fault;
use crate::proto::admin::v1 as proto;
use crate::proto::admin::v1::import_snapshot_request::Frame;
use crate::proto::snapshot::v1 as snapshot;
use crate::snapshot::archive::{Compression, Limits};
use crate::snapshot::item::Digest;
use crate::store::administration::{Administrator, ImportMode, ImportOptions, ImportReport, ReceivedArchive};

/// Time between two frames.
const FRAME_WITHIN: Duration = Duration::from_secs(30);

/// Characters of a request's id.
const MAX_REQUEST_ID: usize = 128;

/// The magic bytes of the two compressions.
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// One import at a time.
#[derive(Debug)]
pub struct Imports {
    pub administrator: Arc<dyn Administrator>,
    /// Where archives are received.
    pub place: PathBuf,
    /// Ends what is being received.
    pub stop: CancellationToken,
    one: Semaphore,
}

impl Imports {
    #[must_use]
    pub fn new(administrator: Arc<dyn Administrator>, place: PathBuf, stop: CancellationToken) -> Self {
        Imports { administrator, place, stop, one: Semaphore::new(1) }
    }

    /// Receives, checks, imports.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn import(&self, mut frames: Streaming<proto::ImportSnapshotRequest>) -> Result<ImportReport, Status> {
        let Ok(_one) = self.one.try_acquire() else {
            let message = "another import is under way; wait for its end";
            return Err(status(Fault::ImportInProgress, message, About::Nothing));
        };
        let first = self.frame(&mut frames).await?;
        let Some(Frame::Header(header)) = first else {
            return Err(framing("the first frame must be the header"));
        };
        let options = options(header.options.unwrap_or_default())?;
        let claimed = header.snapshot.unwrap_or_default();
        let limit = Limits::default().archive_bytes;
        if claimed.total_size > limit {
            return Err(too_large(claimed.total_size, limit));
        }
        let mut receiving = Receiving::new(&self.place)?;
        let trailer = loop {
            match self.frame(&mut frames).await? {
                Some(Frame::Chunk(chunk)) => receiving.take(&chunk, limit)?,
                Some(Frame::Trailer(trailer)) => break trailer,
                Some(Frame::Header(_)) => return Err(framing("a second header came; one a transfer")),
                None => return Err(corrupt("the transfer ended before its trailer came; send it again")),
            }
        };
        if self.frame(&mut frames).await?.is_some() {
            return Err(framing("a frame came behind the trailer"));
        }
        let archive = receiving.finish(&trailer, &claimed)?;
        self.administrator.import(archive, options).await.map_err(|error| error.status())
    }

    async fn frame(&self, frames: &mut Streaming<proto::ImportSnapshotRequest>) -> Result<Option<Frame>, Status> {
        let next = tokio::time::timeout(FRAME_WITHIN, frames.message());
        let next = tokio::select! {
            next = next => next,
            () = self.stop.cancelled() => {
                return Err(status(Fault::Draining, "the relay is shutting down; nothing was imported", About::Nothing));
            }
        };
        let late = || status(Fault::ChunkTimeout, "no frame came within 30 s; send it again", About::Nothing);
        match next.map_err(|_| late())?? {
            None => Ok(None),
            Some(message) => message.frame.map(Some).ok_or_else(|| framing("a frame is empty, or of a later release")),
        }
    }
}

/// An archive that is coming in.
struct Receiving {
    file: File,
    size: u64,
    hash: Sha256,
    start: Vec<u8>,
}

impl Receiving {
    /// The file has no name, so it is gone with the call, and is readable by
    /// this user alone.
    fn new(place: &std::path::Path) -> Result<Self, Status> {
        let file = tempfile::tempfile_in(place).map_err(|error| unkept(&error))?;
        Ok(Receiving { file, size: 0, hash: Sha256::new(), start: Vec::new() })
    }

    fn take(&mut self, chunk: &snapshot::SnapshotChunk, limit: u64) -> Result<(), Status> {
        if chunk.offset != self.size {
            let message = format!("a chunk for offset {} came where {} was next", chunk.offset, self.size);
            return Err(framing(&message));
        }
        let size = self.size + chunk.data.len() as u64;
        if size > limit {
            return Err(too_large(size, limit));
        }
        if self.start.len() < ZSTD.len() {
            self.start.extend(chunk.data.iter().take(ZSTD.len() - self.start.len()));
        }
        // A chunk has at most 1 MiB and goes to the page cache.
        self.file.write_all(&chunk.data).map_err(|error| unkept(&error))?;
        self.hash.update(&chunk.data);
        self.size = size;
        Ok(())
    }

    fn finish(
        mut self,
        trailer: &snapshot::SnapshotTrailer,
        claimed: &snapshot::SnapshotHeader,
    ) -> Result<ReceivedArchive, Status> {
        let sha256 = Digest(self.hash.finalize().into());
        if trailer.total_size != self.size || (claimed.total_size != 0 && claimed.total_size != self.size) {
            let said = if trailer.total_size == self.size { claimed.total_size } else { trailer.total_size };
            return Err(corrupt(&format!("{} bytes came of {said}; send it again", self.size)));
        }
        let other = |said: &[u8]| !said.is_empty() && said != sha256.0;
        if trailer.sha256.is_empty() || other(&trailer.sha256) || other(&claimed.sha256) {
            return Err(corrupt("the SHA-256 is not the one that was sent; send it again"));
        }
        let compression = match self.start.as_slice() {
            start if start.starts_with(GZIP) => Compression::Gzip,
            start if start == ZSTD => Compression::Zstd,
            _ => return Err(corrupt("this is neither a .tar.gz nor a .tar.zst")),
        };
        self.file.seek(SeekFrom::Start(0)).map_err(|error| unkept(&error))?;
        Ok(ReceivedArchive { file: self.file, size: self.size, sha256, compression })
    }
}

fn options(options: proto::ImportOptions) -> Result<ImportOptions, Status> {
    let mode = match options.mode() {
        proto::ImportMode::Unspecified | proto::ImportMode::ReplaceEnvironments => ImportMode::ReplaceEnvironments,
        proto::ImportMode::ReplaceAll => ImportMode::ReplaceAll,
    };
    if !matches!(options.mode, 0..=2) {
        return Err(field("header.options.mode", "mode is none that is known here"));
    }
    let id = options.request_id;
    if id.chars().count() > MAX_REQUEST_ID || id.chars().any(char::is_control) {
        let message = "request_id has at most 128 characters, and no control characters";
        return Err(field("header.options.request_id", message));
    }
    let expected_digest =
        match options.expected_digest.as_deref() {
            None => None,
            Some(bytes) => Some(Digest(bytes.try_into().map_err(|_| {
                field("header.options.expected_digest", "expected_digest is a SHA-256 and has 32 bytes")
            })?)),
        };
    Ok(ImportOptions {
        validate_only: options.validate_only,
        mode,
        expected_digest,
        request_id: id,
        override_upstream: options.override_upstream,
    })
}

fn field(name: &str, message: &str) -> Status {
    status(Fault::InvalidField, message, About::Field(name))
}

fn framing(message: &str) -> Status {
    status(Fault::SnapshotFraming, message, About::Nothing)
}

fn corrupt(message: &str) -> Status {
    status(Fault::SnapshotCorrupt, message, About::Nothing)
}

fn too_large(size: u64, limit: u64) -> Status {
    let message = format!("the archive has {size} bytes or more, above the limit of {limit}; split it by environment");
    status(Fault::LimitExceeded, &message, About::Nothing)
}

fn unkept(error: &std::io::Error) -> Status {
    let message = format!("the archive cannot be received: {error}; nothing was imported");
    status(Fault::PersistFailed, &message, About::Nothing)
}
