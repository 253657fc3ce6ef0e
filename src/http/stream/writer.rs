//! The small task that writes a stream which has left hyper.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};

use super::body::Detached;
use crate::http::io::ClientIo;

/// A stream with its connection: all that lives as long as it does, in one
/// place.
pub struct OpenStream<P> {
    io: ClientIo,
    detached: Detached,
    write_timeout: Duration,
    /// Counts the connection, and is dropped with it.
    _permit: P,
}

impl<P> OpenStream<P> {
    #[must_use]
    pub fn new(io: ClientIo, detached: Detached, write_timeout: Duration, permit: P) -> Box<Self> {
        Box::new(OpenStream { io, detached, write_timeout, _permit: permit })
    }
}

/// Writes until the stream ends on either side.
pub async fn write<P>(mut stream: Box<OpenStream<P>>) {
    forget_old_wakers(&mut stream.io);
    loop {
        let mut rest = [0; 16];
        let OpenStream { io, detached, write_timeout, .. } = &mut *stream;
        let message = tokio::select! {
            biased;
            message = detached.feed.next() => message,
            read = io.read(&mut rest) => match read {
                // The client has closed its side.
                Ok(0) => None,
                // It has nothing to say: what it says is thrown away.
                Ok(_) => continue,
                Err(_) => return,
            },
        };
        let Some(message) = message else { break };
        let bytes = if detached.chunked { message.chunk().clone() } else { message.event() };
        if write_within(io, &bytes, *write_timeout).await.is_err() {
            return;
        }
    }
    stream.detached.feed.ended_well();
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
fn forget_old_wakers(io: &mut ClientIo) {
    let mut nobody = Context::from_waker(Waker::noop());
    let _ = io.tcp().poll_read_ready(&mut nobody);
    let _ = io.tcp().poll_write_ready(&mut nobody);
    let _ = Pin::new(io).poll_flush(&mut nobody);
}
