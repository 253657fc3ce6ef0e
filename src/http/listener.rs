//! The accept loop of the SDK port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::api::Api;
use super::connection::{Ended, Site, Timeouts, serve_http1, serve_http2};
use super::io::ClientIo;
use super::stream::writer::{self, OpenStream};

/// TLS handshakes under way at once. Clients decide how long one takes, so
/// there must be room for many slow ones beside the honest ones.
const MAX_HANDSHAKES: usize = 1024;

/// Time for a handshake once it has its turn.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

const BACKLOG: i32 = 4096;

/// A bound port with its limits.
pub struct Listener {
    pub tcp: TcpListener,
    pub tls: Option<TlsAcceptor>,
    pub timeouts: Timeouts,
    pub max_connections: usize,
}

/// Binds a port with a queue that a connect storm fits into.
///
/// # Errors
/// The port is taken or may not be used.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // Every interface means IPv4 too, as Go's `:port`.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until told to stop; connections go on in `tasks`.
pub async fn run(listener: Listener, site: Site, tasks: TaskTracker, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(listener.max_connections));
    let server = Arc::new(Server {
        tls: listener.tls,
        timeouts: listener.timeouts,
        handshakes: Semaphore::new(MAX_HANDSHAKES),
        site,
        tasks,
        stop: stop.clone(),
    });
    let mut failing = false;
    loop {
        // At the limit, clients wait in the system's queue.
        let accepted = tokio::select! {
            accepted = accept(&listener.tcp, &places) => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((tcp, place)) => {
                failing = false;
                server.tasks.spawn(Arc::clone(&server).handle(tcp, place));
            }
            Err(error) => {
                if !failing {
                    tracing::error!(%error, "connections cannot be accepted; raise the open-file limit if it says so");
                }
                failing = true;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn accept(tcp: &TcpListener, places: &Arc<Semaphore>) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = tcp.accept().await?;
    Ok((stream, place))
}

/// Whether something waits to be read, asked of the system itself.
fn has_spoken(tcp: &TcpStream) -> bool {
    let mut first = [std::mem::MaybeUninit::uninit(); 1];
    socket2::SockRef::from(tcp).peek(&mut first).is_ok_and(|count| count > 0)
}

struct Server {
    tls: Option<TlsAcceptor>,
    timeouts: Timeouts,
    handshakes: Semaphore,
    site: Site,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Counts a connection for as long as it lives, in hyper or out of it.
struct Place {
    _permit: OwnedSemaphorePermit,
    api: Arc<Api>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.api.counts.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    /// A connection costs little until its client speaks: hyper's buffers
    /// are made only then.
    async fn handle(self: Arc<Self>, tcp: TcpStream, permit: OwnedSemaphorePermit) {
        self.site.api.counts.connections.fetch_add(1, Ordering::Relaxed);
        let place = Place { _permit: permit, api: Arc::clone(&self.site.api) };
        // A client that fails here has gone already.
        let _ = tcp.set_nodelay(true);
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(20));
        let _ = socket2::SockRef::from(&tcp).set_tcp_keepalive(&keepalive);
        let spoke = tokio::select! {
            biased;
            ready = tokio::time::timeout(self.timeouts.headers, tcp.readable()) => matches!(ready, Ok(Ok(()))),
            // This task may have come late, not the client.
            () = self.stop.cancelled() => has_spoken(&tcp),
        };
        if spoke {
            // A task of its own, so that this one's memory goes.
            let server = Arc::clone(&self);
            self.tasks.spawn(async move { Box::pin(server.serve(tcp, place)).await });
        }
    }

    async fn serve(self: Arc<Self>, tcp: TcpStream, place: Place) {
        let (io, http2) = match &self.tls {
            None => (ClientIo::Plain(tcp), false),
            Some(tls) => match self.handshake(tls, tcp).await {
                Some(done) => done,
                None => return,
            },
        };
        let (site, timeouts, stop) = (self.site.clone(), self.timeouts, self.stop.clone());
        if http2 {
            serve_http2(io, site, timeouts, stop).await;
        } else if let Ended::Detached(io, detached) = serve_http1(io, site, timeouts, stop).await {
            self.tasks.spawn(writer::write(OpenStream::new(io, *detached, timeouts.write, place)));
        }
    }

    async fn handshake(&self, tls: &TlsAcceptor, tcp: TcpStream) -> Option<(ClientIo, bool)> {
        let _turn = tokio::time::timeout(self.timeouts.headers, self.handshakes.acquire()).await.ok()?.ok()?;
        let stream = tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(tcp)).await.ok()?.ok()?;
        // By what both agreed on, never by looking at the first bytes.
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Some((ClientIo::Tls(Box::new(stream)), http2))
    }
}
