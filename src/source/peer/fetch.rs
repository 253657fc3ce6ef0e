//! Everything that a relay serves, once: what `generate-offline-config`
//! writes when the source is another relay.

use std::io::{BufReader, Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tonic::Streaming;

use super::channel::Link;
use crate::proto::snapshot::v1::export_snapshot_response::Frame;
use crate::proto::snapshot::v1::snapshot_service_client::SnapshotServiceClient;
use crate::proto::snapshot::v1::{ExportSnapshotRequest, ExportSnapshotResponse};
use crate::snapshot::archive::{self, Compression, Limits, Tree};

/// A relay that makes a large archive says nothing for a while.
const SILENCE: Duration = Duration::from_secs(120);

/// Fetches from the first relay that gives it; `environments` is empty for
/// all.
///
/// # Errors
/// Why none of them did.
pub async fn fetch(links: &[Link], environments: &[String]) -> Result<Tree, String> {
    let mut failures = Vec::new();
    for link in links {
        match fetch_from(link, environments).await {
            Ok(tree) => return Ok(tree),
            Err(reason) => failures.push(format!("{}: {reason}", link.address)),
        }
    }
    Err(failures.join("; "))
}

async fn fetch_from(link: &Link, environments: &[String]) -> Result<Tree, String> {
    let channel = link.connect().await.map_err(|error| error.to_string())?;
    let request = ExportSnapshotRequest { environment_ids: environments.to_vec(), ..Default::default() };
    let request = link.request(request).map_err(|error| error.to_string())?;
    let mut client = SnapshotServiceClient::new(channel);
    let answered = tokio::time::timeout(SILENCE, client.export_snapshot(request)).await;
    let frames = answered.map_err(|_| "it does not answer")?.map_err(|status| status.message().to_owned())?;
    let (file, size) = receive(frames.into_inner()).await?;
    let read = tokio::task::spawn_blocking(move || {
        let raw = archive::read("archive", size, BufReader::new(file), Compression::Gzip, &Limits::default())?;
        raw.parse("archive")
    });
    read.await.map_err(|_| "the archive cannot be read")?.map_err(|problems| problems.to_string())
}

async fn receive(mut frames: Streaming<ExportSnapshotResponse>) -> Result<(std::fs::File, u64), String> {
    let mut file = tempfile::tempfile().map_err(|error| format!("there is no room for the archive: {error}"))?;
    let (mut size, mut hash) = (0, Sha256::new());
    loop {
        let next = tokio::time::timeout(SILENCE, frames.message()).await.map_err(|_| "it fell silent")?;
        let Some(message) = next.map_err(|status| status.message().to_owned())? else {
            return Err("the transfer ended before its trailer came".to_owned());
        };
        match message.frame {
            Some(Frame::Chunk(chunk)) if chunk.offset == size => {
                file.write_all(&chunk.data).map_err(|error| format!("there is no room for the archive: {error}"))?;
                hash.update(&chunk.data);
                size += chunk.data.len() as u64;
            }
            Some(Frame::Chunk(_)) => return Err("a chunk came out of its order".to_owned()),
            Some(Frame::Trailer(trailer)) => {
                if trailer.total_size != size || trailer.sha256 != hash.finalize().as_slice() {
                    return Err("the archive is not the one that was sent".to_owned());
                }
                file.seek(SeekFrom::Start(0)).map_err(|error| error.to_string())?;
                return Ok((file, size));
            }
            Some(Frame::Header(_)) | None => {}
        }
    }
}
