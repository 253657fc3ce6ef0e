//! Sends an archive at the pace of its receiver, and gives up on one that
//! does not receive.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::archives::{Archive, Archives, Refused, Slot};
use crate::fault::Fault;
use crate::transfer::CHUNK_BYTES;

/// A receiver that takes nothing for so long is given up.
const STALL: Duration = Duration::from_secs(60);

/// A chunk and where it belongs.
pub type Chunk = (u64, Bytes);

enum Piece {
    Chunk(Chunk),
    Failed(Refused),
    End,
}

/// The chunks of a range. The task that reads ahead by one chunk holds the
/// slot; it ends with the last chunk, the receiver, or the relay.
pub fn chunks(
    archives: &Archives,
    archive: Arc<Archive>,
    range: Range<u64>,
    slot: Slot,
) -> impl Stream<Item = Result<Chunk, Refused>> + Send + use<> {
    let (sender, receiver) = mpsc::channel(1);
    let stop = archives.stop.clone();
    let stopped = stop.clone();
    archives.transfers.spawn(async move {
        tokio::select! {
            () = pump(&archive, range, &sender, STALL) => {}
            () = stopped.cancelled() => {}
        }
        drop(slot);
    });
    receive(receiver, stop)
}

fn receive(
    receiver: mpsc::Receiver<Piece>,
    stop: CancellationToken,
) -> impl Stream<Item = Result<Chunk, Refused>> + Send {
    unfold(Some((receiver, stop)), |state| async {
        let (mut receiver, stop) = state?;
        let piece = tokio::select! {
            biased;
            () = stop.cancelled() => return Some((Err(draining()), None)),
            piece = receiver.recv() => piece,
        };
        match piece {
            Some(Piece::Chunk(chunk)) => Some((Ok(chunk), Some((receiver, stop)))),
            Some(Piece::Failed(refused)) => Some((Err(refused), None)),
            Some(Piece::End) => None,
            None if stop.is_cancelled() => Some((Err(draining()), None)),
            None => {
                let message =
                    format!("nothing was received for {} s; resume with if_archive and offset", STALL.as_secs());
                Some((Err(Refused::new(Fault::ChunkTimeout, message)), None))
            }
        }
    })
}

fn draining() -> Refused {
    Refused::new(Fault::Draining, "the relay is shutting down; resume at another one, or later")
}

async fn pump(archive: &Arc<Archive>, range: Range<u64>, sender: &mpsc::Sender<Piece>, stall: Duration) {
    let mut offset = range.start;
    loop {
        let length = usize::try_from(range.end.saturating_sub(offset)).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let piece = if length == 0 { Piece::End } else { read(archive, offset, length).await };
        let ends = !matches!(piece, Piece::Chunk(_));
        match tokio::time::timeout(stall, sender.send(piece)).await {
            Ok(Ok(())) if !ends => offset += length as u64,
            Ok(_) => return,
            Err(_) => {
                tracing::warn!(
                    offset,
                    size = archive.spool.size,
                    "a receiver of an archive is given up: it takes nothing"
                );
                return;
            }
        }
    }
}

async fn read(archive: &Arc<Archive>, offset: u64, length: usize) -> Piece {
    let read = if archive.spool.is_in_memory() {
        archive.spool.read(offset, length)
    } else {
        let archive = Arc::clone(archive);
        let reading = tokio::task::spawn_blocking(move || archive.spool.read(offset, length));
        reading.await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    };
    match read {
        Ok(bytes) => Piece::Chunk((offset, bytes)),
        Err(error) => {
            tracing::error!(%error, offset, "a spooled archive cannot be read");
            Piece::Failed(Refused::new(Fault::Internal, "the archive cannot be read any more; ask for it anew"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::archives::Selection;
    use crate::grpc::spool::Spooling;
    use futures_util::StreamExt as _;
    use std::io::Write as _;
    use std::time::SystemTime;

    fn archive(size: usize) -> Arc<Archive> {
        let mut spooling = Spooling::new(std::path::Path::new("/"));
        spooling.write_all(&vec![7; size]).unwrap();
        let (spool, selection) = (spooling.finish(), Selection::everything());
        Arc::new(Archive { spool, created_at: SystemTime::UNIX_EPOCH, environments: Vec::new(), selection })
    }

    #[tokio::test]
    async fn a_receiver_that_takes_nothing_is_given_up_and_told_so() {
        let (sender, receiver) = mpsc::channel(1);
        let archive = archive(3 * CHUNK_BYTES);
        pump(&archive, 0..archive.spool.size, &sender, Duration::from_millis(20)).await;
        drop(sender);
        let all: Vec<_> = receive(receiver, CancellationToken::new()).collect().await;
        assert_eq!(all.len(), 2);
        assert_eq!(all.last().unwrap().as_ref().unwrap_err().fault, Fault::ChunkTimeout);
    }

    #[tokio::test]
    async fn ranges_come_in_chunks_and_stopping_ends_them() {
        let (sender, receiver) = mpsc::channel(10);
        let archive = archive(2 * CHUNK_BYTES + 5);
        pump(&archive, 3..archive.spool.size, &sender, STALL).await;
        let stop = CancellationToken::new();
        let all: Vec<_> = receive(receiver, stop.clone()).map(|chunk| chunk.unwrap().1.len()).collect().await;
        assert_eq!(all, [CHUNK_BYTES, CHUNK_BYTES, 2]);
        let (_open, receiver) = mpsc::channel(1);
        stop.cancel();
        let all: Vec<_> = receive(receiver, stop).collect().await;
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].as_ref().unwrap_err().fault, Fault::Draining);
    }
}
