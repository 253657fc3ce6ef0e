//! A client's connection as bytes, and what can be seen of it from outside
//! hyper: for timeouts, limits, and the moment a stream may leave hyper.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Request headers of all connections that are not complete yet may take
/// this much memory together.
pub const MAX_HEADERS_IN_FLIGHT_BYTES: u64 = 256 * 1024 * 1024;

static HEADERS_IN_FLIGHT_BYTES: AtomicU64 = AtomicU64::new(0);

/// A plain or TLS connection.
#[derive(Debug)]
pub enum ClientIo {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl ClientIo {
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            ClientIo::Plain(tcp) => tcp,
            ClientIo::Tls(tls) => tls.get_ref().0,
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ClientIo::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            ClientIo::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            ClientIo::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            ClientIo::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            ClientIo::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, parts),
            ClientIo::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ClientIo::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            ClientIo::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ClientIo::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            ClientIo::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// What a connection is doing. Times are milliseconds since it was accepted,
/// plus one, so that 0 is "not".
#[derive(Debug)]
pub struct Activity {
    accepted: Instant,
    in_flight: AtomicUsize,
    idle_since: AtomicU64,
    headers_since: AtomicU64,
    header_bytes: AtomicU64,
    write_blocked_since: AtomicU64,
    /// The last eight bytes that were written.
    tail: AtomicU64,
    flushed: AtomicBool,
    has_served: AtomicBool,
    http2: bool,
}

/// What a connection waits for, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A request is being answered.
    Answering,
    /// The client takes no bytes.
    WriteBlocked(Duration),
    /// The rest of a request's headers.
    Headers(Duration),
    /// Another request.
    Idle(Duration),
}

impl Activity {
    #[must_use]
    pub fn new(http2: bool) -> Arc<Self> {
        Arc::new(Activity {
            accepted: Instant::now(),
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(1),
            headers_since: AtomicU64::new(1),
            header_bytes: AtomicU64::new(0),
            write_blocked_since: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            flushed: AtomicBool::new(false),
            has_served: AtomicBool::new(false),
            http2,
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// When the connection was accepted.
    #[must_use]
    pub fn accepted(&self) -> Instant {
        self.accepted
    }

    /// What it waits for; durations count from [`Self::accepted`].
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let at = |time: u64| Duration::from_millis(time - 1);
        let blocked = self.write_blocked_since.load(Ordering::Relaxed);
        let headers = self.headers_since.load(Ordering::Relaxed);
        if blocked > 0 {
            Waiting::WriteBlocked(at(blocked))
        } else if self.in_flight.load(Ordering::Relaxed) > 0 {
            Waiting::Answering
        } else if headers > 0 {
            Waiting::Headers(at(headers))
        } else {
            Waiting::Idle(at(self.idle_since.load(Ordering::Relaxed).max(1)))
        }
    }

    /// Marks that a request's headers are complete and it is being answered.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.headers_since.store(0, Ordering::Relaxed);
        self.has_served.store(true, Ordering::Relaxed);
        InFlight { activity: Arc::clone(self) }
    }

    /// True once everything written ends with these bytes (at most eight)
    /// and was flushed.
    #[must_use]
    pub fn has_flushed(&self, end: &[u8]) -> bool {
        let tail = self.tail.load(Ordering::Relaxed).to_be_bytes();
        self.flushed.load(Ordering::Relaxed) && tail.ends_with(end)
    }

    fn release_headers(&self) {
        let bytes = self.header_bytes.swap(0, Ordering::Relaxed);
        HEADERS_IN_FLIGHT_BYTES.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn has_read(&self, bytes: u64) -> io::Result<()> {
        if bytes == 0 || self.in_flight.load(Ordering::Relaxed) > 0 {
            return Ok(());
        }
        // HTTP/2 says much beside requests: pings, windows, settings.
        if self.http2 && self.has_served.load(Ordering::Relaxed) {
            return Ok(());
        }
        if self.headers_since.load(Ordering::Relaxed) == 0 {
            self.headers_since.store(self.now(), Ordering::Relaxed);
        }
        self.header_bytes.fetch_add(bytes, Ordering::Relaxed);
        let all = HEADERS_IN_FLIGHT_BYTES.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all > MAX_HEADERS_IN_FLIGHT_BYTES {
            return Err(io::Error::other("too many request headers are in flight"));
        }
        Ok(())
    }

    fn has_written(&self, bytes: &[u8]) {
        let last = bytes.get(bytes.len().saturating_sub(8)..).unwrap_or_default();
        let tail = last.iter().fold(self.tail.load(Ordering::Relaxed), |tail, byte| (tail << 8) | u64::from(*byte));
        self.tail.store(tail, Ordering::Relaxed);
        self.flushed.store(false, Ordering::Relaxed);
        self.write_blocked_since.store(0, Ordering::Relaxed);
    }

    fn is_blocked(&self) {
        if self.write_blocked_since.load(Ordering::Relaxed) == 0 {
            self.write_blocked_since.store(self.now(), Ordering::Relaxed);
        }
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.release_headers();
    }
}

/// A request that is being answered; dropped with the answer's last byte.
#[derive(Debug)]
pub struct InFlight {
    activity: Arc<Activity>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.idle_since.store(self.activity.now(), Ordering::Relaxed);
        // Headers live as long as their request.
        if self.activity.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.activity.release_headers();
        }
    }
}

/// A connection whose reads and writes are noted.
#[derive(Debug)]
pub struct TrackedIo {
    pub io: ClientIo,
    pub activity: Arc<Activity>,
}

impl AsyncRead for TrackedIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        let read = buffer.filled().len().saturating_sub(before);
        Poll::Ready(self.activity.has_read(read as u64))
    }
}

impl AsyncWrite for TrackedIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write(cx, bytes) {
            Poll::Ready(Ok(count)) => {
                self.activity.has_written(bytes.get(..count).unwrap_or_default());
                Poll::Ready(Ok(count))
            }
            Poll::Pending => {
                self.activity.is_blocked();
                Poll::Pending
            }
            error => error,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write_vectored(cx, parts) {
            Poll::Ready(Ok(count)) => {
                let mut left = count;
                for part in parts {
                    let written = part.get(..left.min(part.len())).unwrap_or_default();
                    self.activity.has_written(written);
                    left -= written.len();
                    if left == 0 {
                        break;
                    }
                }
                Poll::Ready(Ok(count))
            }
            Poll::Pending => {
                self.activity.is_blocked();
                Poll::Pending
            }
            error => error,
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        match &flushed {
            Poll::Ready(Ok(())) => {
                self.activity.flushed.store(true, Ordering::Relaxed);
                self.activity.write_blocked_since.store(0, Ordering::Relaxed);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.is_blocked(),
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
