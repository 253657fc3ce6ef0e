//! One connection: hyper drives it, this watches over it from outside.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::api::Api;
use super::authorize::TokenMemo;
use super::io::{Activity, ClientIo, TrackedIo, Waiting};
use super::stopping::Stopping;
use super::stream::body::{DetachSlot, Detached};
use super::stream::open::Carrier;

/// Browser SDKs send a target of up to 256 KiB in a header.
const MAX_HEADER_BYTES: usize = 512 * 1024;
const MAX_HEADERS: usize = 128;

/// Time limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub headers: Duration,
    pub idle: Duration,
    pub write: Duration,
}

/// What a port answers.
#[derive(Clone, Debug)]
pub struct Site {
    pub api: Arc<Api>,
    /// Only what operators ask: the metrics port.
    pub operations_only: bool,
}

/// What the requests of one connection share.
#[derive(Debug)]
pub struct ConnectionContext {
    pub api: Arc<Api>,
    pub memo: TokenMemo,
    /// Where the client is.
    pub address: Option<SocketAddr>,
    pub activity: Arc<Activity>,
    pub carrier: Carrier,
    /// On the metrics port: SDK routes are not there.
    pub operations_only: bool,
}

/// How a connection ended.
pub enum Ended {
    Closed,
    /// A stream has left hyper with the connection.
    Detached(ClientIo, Box<Detached>),
}

/// Serves HTTP/1 until the connection ends or a stream takes it over.
pub async fn serve_http1(io: ClientIo, site: Site, timeouts: Timeouts, stop: CancellationToken) -> Ended {
    let activity = Activity::new(false);
    let slot = Arc::new(DetachSlot::default());
    let context = context(site, &io, &activity, Carrier::Detach(Arc::clone(&slot)));
    // Boxed, because hyper gives the connection back only where it may move.
    let service = service_fn(move |request| Box::pin(answer(Arc::clone(&context), request)));
    let mut builder = http1::Builder::new();
    // Header, idle and write time are watched from outside.
    builder.timer(TokioTimer::new()).header_read_timeout(None);
    builder.half_close(false).max_buf_size(MAX_HEADER_BYTES).max_headers(MAX_HEADERS);
    let io = TrackedIo { io, activity: Arc::clone(&activity) };
    let mut connection = builder.serve_connection(TokioIo::new(io), service);
    let mut watch = Watch::new(Arc::clone(&activity), timeouts);
    let mut stopping = Stopping::new(stop);
    let detached = std::future::poll_fn(|cx| {
        // Before it is told to end: what the client has sent is a request
        // under way, even if nobody has read it yet.
        let mut ended = connection.poll_without_shutdown(cx).is_ready();
        if !ended && stopping.begins(cx) {
            Pin::new(&mut connection).graceful_shutdown();
            ended = connection.poll_without_shutdown(cx).is_ready();
        }
        if ended {
            return Poll::Ready(None);
        }
        // Only once hyper has written the first bytes: what it still holds
        // would be lost.
        if let Some(detached) = slot.take_if(|detached| activity.has_flushed(detached.first_bytes())) {
            return Poll::Ready(Some(detached));
        }
        watch.poll(cx).map(|()| None)
    })
    .await;
    match detached {
        Some(detached) => Ended::Detached(connection.into_parts().io.into_inner().io, detached),
        None => Ended::Closed,
    }
}

/// Serves HTTP/2 until the connection ends.
pub async fn serve_http2(io: ClientIo, site: Site, timeouts: Timeouts, stop: CancellationToken) {
    let activity = Activity::new(true);
    let context = context(site, &io, &activity, Carrier::Body);
    let service = service_fn(move |request| answer(Arc::clone(&context), request));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(100)
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
        .max_send_buf_size(256 * 1024);
    let io = TrackedIo { io, activity: Arc::clone(&activity) };
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut watch = Watch::new(activity, timeouts);
    let mut stopping = Stopping::new(stop);
    std::future::poll_fn(|cx| {
        let mut ended = connection.as_mut().poll(cx).is_ready();
        if !ended && stopping.begins(cx) {
            connection.as_mut().graceful_shutdown();
            ended = connection.as_mut().poll(cx).is_ready();
        }
        if ended {
            return Poll::Ready(());
        }
        watch.poll(cx)
    })
    .await;
}

fn context(site: Site, io: &ClientIo, activity: &Arc<Activity>, carrier: Carrier) -> Arc<ConnectionContext> {
    let Site { api, operations_only } = site;
    let (address, activity) = (io.tcp().peer_addr().ok(), Arc::clone(activity));
    Arc::new(ConnectionContext { api, memo: TokenMemo::default(), address, activity, carrier, operations_only })
}

async fn answer(context: Arc<ConnectionContext>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let in_flight = context.activity.begin();
    let mut answer = super::service::answer(&context, request).await;
    answer.body_mut().in_flight = Some(in_flight);
    Ok(answer)
}

/// Ends a connection that waits too long for its client.
struct Watch {
    activity: Arc<Activity>,
    timeouts: Timeouts,
    sleep: Pin<Box<Sleep>>,
    /// When `sleep` ends: not after the deadline.
    armed: Option<Instant>,
}

impl Watch {
    fn new(activity: Arc<Activity>, timeouts: Timeouts) -> Self {
        Watch { activity, timeouts, sleep: Box::pin(tokio::time::sleep(Duration::ZERO)), armed: None }
    }

    /// Ready when the time is up. To be polled after the connection was.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let since = |offset: Duration, limit: Duration| Some(self.activity.accepted() + offset + limit);
            let deadline = match self.activity.waiting() {
                Waiting::Answering => None,
                Waiting::WriteBlocked(from) => since(from, self.timeouts.write),
                Waiting::Headers(from) => since(from, self.timeouts.headers),
                Waiting::Idle(from) => since(from, self.timeouts.idle),
            };
            // A request or an answer's end wakes the connection, so nothing
            // has to be watched while one is answered.
            let Some(deadline) = deadline else {
                return Poll::Pending;
            };
            // Deadlines move on with every request; the timer does not: it
            // ends early and is set anew then.
            if self.armed.is_none_or(|armed| deadline < armed) {
                self.armed = Some(deadline);
                self.sleep.as_mut().reset(deadline.into());
            }
            if self.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            self.armed = None;
        }
    }
}
