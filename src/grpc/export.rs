//! `ExportSnapshot`: a header, the archive's chunks, a trailer.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryFutureExt as _, stream};
use tokio_stream::Stream;
use tonic::Status;

use super::archives::{Archive, Archives, PRODUCER, Refused, Selection, Slot};
use super::sending::{Chunk, chunks};
use crate::fault::Fault;
use crate::proto::inspect::v1::Revision;
use crate::proto::snapshot::v1 as proto;
use crate::proto::snapshot::v1::export_snapshot_response::Frame;
use crate::snapshot::archive::{Compression, FORMAT_VERSION};
use crate::snapshot::item::Digest;
use crate::snapshot::tree::Part;

/// An archive that takes longer to make is awaited inside the stream, which
/// has no time limit as calls have.
const PATIENCE: Duration = Duration::from_secs(20);

type Frames = Pin<Box<dyn Stream<Item = Result<proto::ExportSnapshotResponse, Status>> + Send>>;

/// Answers one export.
///
/// # Errors
/// See the error table.
pub async fn export(
    archives: &Arc<Archives>,
    request: proto::ExportSnapshotRequest,
    caller: &str,
) -> Result<Frames, Status> {
    let selection = selection(&request)?;
    let slot = archives.slot()?;
    let caller = caller.to_owned();
    let sending = Arc::clone(archives);
    let begin = move |made: Result<Arc<Archive>, Refused>| {
        let archive = made?;
        let offset = start(&archive, &request)?;
        tracing::info!(
            caller,
            environments = archive.environments.len(),
            size = archive.spool.size,
            offset,
            learnt_targets = archive.selection.learnt,
            "export"
        );
        Ok::<_, Status>(frames(&sending, archive, offset, slot))
    };
    let mut making = Box::pin(Arc::clone(archives).archive(selection));
    match tokio::time::timeout(PATIENCE, &mut making).await {
        Ok(made) => Ok(Box::pin(begin(made)?)),
        Err(_) => Ok(Box::pin(async move { begin(making.await) }.try_flatten_stream())),
    }
}

fn frames(
    archives: &Archives,
    archive: Arc<Archive>,
    offset: u64,
    slot: Slot,
) -> impl Stream<Item = Result<proto::ExportSnapshotResponse, Status>> + Send + use<> {
    let (size, sha256) = (archive.spool.size, archive.spool.sha256.0.to_vec());
    let trailer = Frame::Trailer(proto::SnapshotTrailer { total_size: size, sha256 });
    let first = stream::iter([Ok(Frame::Header(header(&archive)))]);
    let chunk = |(offset, data): Chunk| Frame::Chunk(proto::SnapshotChunk { offset, data: data.into() });
    let middle = chunks(archives, archive, offset..size, slot).map(move |read| read.map(chunk).map_err(Status::from));
    // A stream of tonic's ends with its first error, so that the trailer is
    // only seen behind every chunk.
    let all = first.chain(middle).chain(stream::iter([Ok(trailer)]));
    all.map(|frame| frame.map(|frame| proto::ExportSnapshotResponse { frame: Some(frame) }))
}

fn header(archive: &Archive) -> proto::SnapshotHeader {
    let revision = |(id, revision): &(crate::snapshot::content::EnvironmentId, crate::snapshot::Revision)| {
        let revision = Revision {
            epoch: revision.epoch.to_string(),
            sequence: revision.sequence,
            digest: revision.digest.0.to_vec(),
        };
        proto::EnvironmentRevision { environment_id: id.to_string(), revision: Some(revision) }
    };
    let parts = archive.selection.parts.iter().map(|part| {
        i32::from(match part {
            Part::Flags => proto::Part::Flags,
            Part::Segments => proto::Part::Segments,
            Part::KeyHashes => proto::Part::KeyHashes,
            Part::Targets => proto::Part::ConfiguredTargets,
        })
    });
    let learnt = archive.selection.learnt.then_some(proto::Part::LearntTargets.into());
    let compression = match archive.selection.compression {
        Compression::Gzip => proto::Compression::Gzip,
        Compression::Zstd => proto::Compression::Zstd,
    };
    proto::SnapshotHeader {
        format_version: FORMAT_VERSION,
        producer: PRODUCER.to_owned(),
        created_at: Some(archive.created_at.into()),
        total_size: archive.spool.size,
        environments: archive.environments.iter().map(revision).collect(),
        sha256: archive.spool.sha256.0.to_vec(),
        parts: parts.chain(learnt).collect(),
        compression: compression.into(),
    }
}

fn selection(request: &proto::ExportSnapshotRequest) -> Result<Selection, Refused> {
    let compression = match proto::Compression::try_from(request.compression) {
        Ok(proto::Compression::Unspecified | proto::Compression::Gzip) => Compression::Gzip,
        Ok(proto::Compression::Zstd) => Compression::Zstd,
        Err(_) => return Err(Refused::field("compression", "compression is not one that this relay knows")),
    };
    let (mut parts, mut learnt) = (BTreeSet::new(), false);
    for part in &request.parts {
        match proto::Part::try_from(*part) {
            Ok(proto::Part::Flags) => drop(parts.insert(Part::Flags)),
            Ok(proto::Part::Segments) => drop(parts.insert(Part::Segments)),
            Ok(proto::Part::KeyHashes) => drop(parts.insert(Part::KeyHashes)),
            Ok(proto::Part::ConfiguredTargets) => drop(parts.insert(Part::Targets)),
            Ok(proto::Part::LearntTargets) => learnt = true,
            Ok(proto::Part::Unspecified) | Err(_) => {
                return Err(Refused::field("parts", "parts holds one that this relay does not know"));
            }
        }
    }
    if request.parts.is_empty() {
        parts = Part::ALL.into();
    }
    if request.if_archive.as_ref().is_some_and(|sha256| sha256.len() != size_of::<Digest>()) {
        return Err(Refused::field("if_archive", "if_archive is a SHA-256: 32 bytes"));
    }
    if request.offset > 0 && request.if_archive.is_none() {
        return Err(Refused::field(
            "offset",
            "offset needs if_archive, which says of which archive the beginning is there",
        ));
    }
    Ok(Selection { environments: request.environment_ids.iter().cloned().collect(), parts, learnt, compression })
}

/// Where to begin.
fn start(archive: &Archive, request: &proto::ExportSnapshotRequest) -> Result<u64, Refused> {
    let Some(begun) = &request.if_archive else { return Ok(0) };
    if begun.as_slice() != archive.spool.sha256.0 {
        let message = "the archive is another one now, because something changed; begin anew with offset 0";
        return Err(Refused::new(Fault::DigestGone, message));
    }
    if request.offset > archive.spool.size {
        let message =
            format!("offset {} is behind the end of the archive, {} bytes", request.offset, archive.spool.size);
        return Err(Refused::field("offset", message));
    }
    Ok(request.offset)
}
