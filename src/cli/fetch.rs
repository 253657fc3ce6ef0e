//! Fetches an archive from a relay into a file. What came is kept beside its
//! place until it is whole, and the next attempt goes on from there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::connect::{Relay, Session};
use super::failure::Failure;
use super::progress::Progress;
use crate::proto::snapshot::v1::export_snapshot_response::Frame;
use crate::proto::snapshot::v1::{ExportSnapshotRequest, SnapshotHeader};
use crate::snapshot::item::Digest;

/// Attempts that bring nothing before it is given up.
const ATTEMPTS: u32 = 5;

/// A relay that is making an archive says nothing for a while.
const SILENCE: Duration = Duration::from_secs(300);

/// What was fetched.
#[derive(Debug)]
pub struct Fetched {
    pub header: SnapshotHeader,
    /// How many bytes were there from an earlier attempt.
    pub resumed_from: u64,
}

/// The beginning of an archive beside the place it is for.
struct Partial {
    path: PathBuf,
    /// Holds the SHA-256 of the archive that this is the beginning of.
    digest_path: PathBuf,
    /// For the owner only.
    private: bool,
}

/// Fetches what `request` chooses to `place`.
///
/// # Errors
/// What the relay says, or the disk; what came is kept then.
pub async fn fetch(
    relay: &Relay,
    mut session: Session,
    request: &ExportSnapshotRequest,
    place: &Path,
    private: bool,
) -> anyhow::Result<Fetched> {
    let partial = Partial::beside(place, private);
    let mut progress = Progress::new("exporting");
    let mut resumed_from = None;
    let mut attempt = 0;
    loop {
        let before = partial.length();
        let resumed = *resumed_from.get_or_insert(if partial.digest().is_some() { before } else { 0 });
        let failure = match transfer(&session, request.clone(), &partial, &mut progress).await {
            Ok(header) => {
                partial.finish(place)?;
                return Ok(Fetched { header, resumed_from: resumed });
            }
            Err(error) => error.downcast::<Failure>()?,
        };
        if failure.has_reason("DIGEST_GONE") || (before > 0 && failure.has_reason("INVALID_FIELD")) {
            // The relay has other content now, so the beginning is worthless.
            partial.discard()?;
            resumed_from = Some(0);
        } else if !may_pass(&failure) {
            return Err(failure.into());
        }
        attempt = if partial.length() > before { 1 } else { attempt + 1 };
        if attempt >= ATTEMPTS {
            return Err(failure.into());
        }
        tokio::time::sleep(Duration::from_millis(200 * u64::from(attempt) * u64::from(attempt))).await;
        if let Ok(again) = relay.connect().await {
            session = again;
        }
    }
}

/// Whether the same request may be answered in a moment.
fn may_pass(failure: &Failure) -> bool {
    matches!(failure, Failure::Unreachable(_))
        || ["DRAINING", "TOO_MANY_STREAMS", "CHUNK_TIMEOUT"].iter().any(|reason| failure.has_reason(reason))
}

async fn transfer(
    session: &Session,
    mut request: ExportSnapshotRequest,
    partial: &Partial,
    progress: &mut Progress,
) -> anyhow::Result<SnapshotHeader> {
    let digest = partial.digest();
    let mut file = partial.open(digest.is_none())?;
    let mut hash = Sha256::new();
    let mut offset = match digest {
        Some(_) => partial.hash_into(&mut hash)?,
        None => 0,
    };
    request.if_archive = digest.map(|digest| digest.0.to_vec());
    request.offset = offset;
    let failed = |status: &tonic::Status| Failure::of(status, &session.address);
    let broken = |what: &str| Failure::failed(format!("{what}; export again"));
    let mut snapshots = session.snapshots();
    let opening = snapshots.export_snapshot(session.request(request));
    let opened = tokio::time::timeout(SILENCE, opening).await.map_err(|_| silent(session))?;
    let mut frames = opened.map_err(|status| failed(&status))?.into_inner();
    let mut header: Option<SnapshotHeader> = None;
    loop {
        let next = tokio::time::timeout(SILENCE, frames.message()).await.map_err(|_| silent(session))?;
        let frame = next.map_err(|status| failed(&status))?.and_then(|response| response.frame);
        match (frame, &header) {
            (Some(Frame::Header(first)), None) => {
                let sent = first.sha256.as_slice().try_into().map(Digest);
                partial.note(sent.map_err(|_| broken("the relay names no digest of its archive"))?)?;
                progress.at(offset, first.total_size);
                header = Some(first);
            }
            (Some(Frame::Chunk(chunk)), Some(header)) if chunk.offset == offset => {
                file.write_all(&chunk.data)?;
                hash.update(&chunk.data);
                offset += chunk.data.len() as u64;
                progress.at(offset, header.total_size);
            }
            (Some(Frame::Trailer(trailer)), Some(header)) => {
                let found = hash.finalize();
                if offset != header.total_size || found.as_slice() != header.sha256 || trailer.sha256 != header.sha256 {
                    partial.discard()?;
                    return Err(broken("what came is not the archive that was announced").into());
                }
                file.sync_all()?;
                return Ok(header.clone());
            }
            (None, _) => return Err(Failure::unreachable(&session.address, "the transfer ended before its end").into()),
            _ => return Err(broken("the relay's frames are out of order").into()),
        }
    }
}

fn silent(session: &Session) -> Failure {
    Failure::unreachable(&session.address, "it has fallen silent")
}

impl Partial {
    fn beside(place: &Path, private: bool) -> Self {
        let with = |suffix: &str| {
            let mut name = place.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        Partial { path: with(".partial"), digest_path: with(".partial.sha256"), private }
    }

    /// Of which archive it is the beginning, if that is known.
    fn digest(&self) -> Option<Digest> {
        let text = fs::read_to_string(&self.digest_path).ok()?;
        Digest::from_hex(text.trim()).filter(|_| self.path.is_file())
    }

    fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    fn hash_into(&self, hash: &mut Sha256) -> io::Result<u64> {
        let mut file = File::open(&self.path)?;
        let (mut buffer, mut length) = (vec![0; 64 * 1024], 0);
        loop {
            let count = file.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(length) };
            hash.update(bytes);
            length += count as u64;
        }
    }

    /// Opens it for this process alone.
    fn open(&self, anew: bool) -> anyhow::Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(if self.private { 0o600 } else { 0o644 });
        let file = options.open(&self.path).map_err(|error| failed(&self.path, &error))?;
        if file.try_lock().is_err() {
            let what = format!("{} is being written by another export; wait for its end", self.path.display());
            return Err(Failure::failed(what).into());
        }
        if anew {
            file.set_len(0)?;
        }
        Ok(file)
    }

    fn note(&self, digest: Digest) -> anyhow::Result<()> {
        Ok(fs::write(&self.digest_path, format!("{digest}\n")).map_err(|error| failed(&self.digest_path, &error))?)
    }

    fn discard(&self) -> io::Result<()> {
        for path in [&self.digest_path, &self.path] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(&self, place: &Path) -> anyhow::Result<()> {
        fs::rename(&self.path, place).map_err(|error| failed(place, &error))?;
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
        Ok(fs::remove_file(&self.digest_path)?)
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
