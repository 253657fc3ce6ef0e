//! The small task that writes a stream which has left hyper.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};

use super::body::Detached;
use crate::http::io::ClientIo;

/// Writes until the stream ends on either side. `permit` counts the
/// connection and is dropped with it.
pub async fn write<P>(mut io: ClientIo, mut detached: Box<Detached>, write_timeout: Duration, permit: P) {
    forget_old_wakers(&mut io).await;
    let well = write_all(&mut io, &mut detached, write_timeout).await;
    if well.is_ok() {
        detached.feed.ended_well();
    }
    drop(permit);
}

async fn write_all(io: &mut ClientIo, detached: &mut Detached, write_timeout: Duration) -> io::Result<()> {
    loop {
        let mut rest = [0; 64];
        let message = tokio::select! {
            biased;
            message = detached.feed.next() => message,
            read = io.read(&mut rest) => {
                match read? {
                    // The client has closed its side.
                    0 => return Ok(()),
                    // It has nothing to say: what it says is thrown away.
                    _ => continue,
                }
            }
        };
        let Some(message) = message else {
            return Ok(());
        };
        if detached.chunked {
            write_within(io, message.chunk(), write_timeout).await?;
        } else {
            write_within(io, &message.event(), write_timeout).await?;
        }
    }
}

/// Writes everything, as long as the client takes a byte now and then.
async fn write_within(io: &mut ClientIo, mut bytes: &[u8], limit: Duration) -> io::Result<()> {
    let all = std::future::poll_fn(|cx| Poll::Ready(write_now(io, cx, &mut bytes))).await?;
    if all {
        return Ok(());
    }
    // On the heap, because nearly no stream ever waits here.
    Box::pin(write_slowly(io, bytes, limit)).await
}

/// Writes what the client takes at once; true if that was all.
fn write_now(io: &mut ClientIo, cx: &mut Context<'_>, bytes: &mut &[u8]) -> io::Result<bool> {
    while !bytes.is_empty() {
        match Pin::new(&mut *io).poll_write(cx, bytes) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(count)) => *bytes = bytes.get(count..).unwrap_or_default(),
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => return Ok(false),
        }
    }
    match Pin::new(io).poll_flush(cx) {
        Poll::Ready(flushed) => flushed.map(|()| true),
        Poll::Pending => Ok(false),
    }
}

async fn write_slowly(io: &mut ClientIo, mut bytes: &[u8], limit: Duration) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = tokio::time::timeout(limit, io.write(bytes)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(count..).unwrap_or_default();
    }
    tokio::time::timeout(limit, io.flush()).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// The socket keeps the wakers of the task that had it before, and with them
/// that task's memory, until it is polled for reading and writing again.
async fn forget_old_wakers(io: &mut ClientIo) {
    std::future::poll_fn(|cx: &mut Context<'_>| {
        let _ = io.tcp().poll_read_ready(cx);
        let _ = io.tcp().poll_write_ready(cx);
        let _ = Pin::new(&mut *io).poll_flush(cx);
        Poll::Ready(())
    })
    .await;
}
