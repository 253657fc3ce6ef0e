//! The accept loop of the gRPC port: bounded in connections, in the time of
//! handshakes, in the age of connections, and in the time it takes to end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rand::Rng as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::{Service, ServiceExt as _};

use super::call::Ending;
use super::peer::{Peer, names_of};

/// Operators, tools and up to 256 followers.
const MAX_CONNECTIONS: usize = 1024;

/// Time for a TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Time until a connection has made a call that was let through. Whoever is
/// refused, or says nothing, makes room for others.
const FIRST_CALL_LIMIT: Duration = Duration::from_secs(30);

/// Connections end at this age ± 10 %, so that clients spread over relays.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);

/// What an old connection still does before its calls are ended.
const AGE_GRACE: Duration = Duration::from_secs(60);

/// Time for everything to end once the relay shuts down.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

/// What all connections of the port share.
struct Port<S> {
    tls: Option<TlsAcceptor>,
    service: S,
    stop: CancellationToken,
    /// Calls have to end.
    ending: CancellationToken,
}

/// Accepts until told to stop; then `last_words` are said, calls are ended,
/// and what is left after a moment is cut.
pub async fn run<S>(
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    service: S,
    stop: CancellationToken,
    last_words: impl Future<Output = ()>,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let port = Arc::new(Port { tls, service, stop: stop.clone(), ending: CancellationToken::new() });
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut failing = false;
    loop {
        // At the limit, clients wait in the system's queue.
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(std::io::Error::other)?;
            tcp.accept().await.map(|(stream, address)| (stream, address, place))
        };
        let accepted = tokio::select! {
            accepted = accept => accepted,
            Some(ended) = connections.join_next() => {
                note(ended);
                continue;
            }
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, address, place)) => {
                failing = false;
                let port = Arc::clone(&port);
                connections.spawn(async move {
                    port.connection(stream, address).await;
                    drop(place);
                });
            }
            Err(error) => {
                if !failing {
                    tracing::error!(%error, "gRPC connections cannot be accepted; raise the open-file limit if it says so");
                }
                failing = true;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(tcp);
    last_words.await;
    port.ending.cancel();
    let ended = async {
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
    };
    if tokio::time::timeout(SHUTDOWN_LIMIT, ended).await.is_err() {
        tracing::info!(connections = connections.len(), "gRPC connections are cut");
        connections.shutdown().await;
    }
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a gRPC connection failed inside the relay");
    }
}

impl<S> Port<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    async fn connection(self: Arc<Self>, tcp: TcpStream, address: SocketAddr) {
        // A client that fails here has gone already.
        let _ = tcp.set_nodelay(true);
        let (io, names) = match &self.tls {
            None => (Either::Left(tcp), Vec::new()),
            Some(tls) => {
                let shaken = tokio::select! {
                    shaken = tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(tcp)) => shaken,
                    () = self.stop.cancelled() => return,
                };
                let stream = match shaken {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => {
                        tracing::debug!(peer = %address, %error, "a TLS handshake failed");
                        return;
                    }
                    Err(_) => return,
                };
                let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let names = leaf.map(|leaf| names_of(leaf)).unwrap_or_default();
                (Either::Right(stream), names)
            }
        };
        let peer = Peer { address: canonical(address), names: names.into() };
        let ending = self.ending.child_token();
        let called = Arc::new(AtomicBool::new(false));
        let (calls, told, ends) = (self.service.clone(), Arc::clone(&called), ending.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = calls.clone().oneshot(noted(request, &peer, &ends));
            let called = Arc::clone(&told);
            async move {
                let answer = answer.await?;
                if !is_refusal(&answer) {
                    called.store(true, Ordering::Relaxed);
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let builder = builder();
        let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
        let age = MAX_AGE.mul_f64(rand::rng().random_range(0.9..1.1));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = self.time_is_up(&called, age) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection.as_mut() => return,
            () = tokio::time::sleep(AGE_GRACE) => ending.cancel(),
            () = self.stop.cancelled() => {}
        }
        // Its calls end now; what does not is cut.
        let _ = tokio::time::timeout(AGE_GRACE, connection).await;
    }

    /// Ends when a connection has to be closed.
    async fn time_is_up(&self, called: &AtomicBool, age: Duration) {
        let idle = async {
            tokio::time::sleep(FIRST_CALL_LIMIT).await;
            if called.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = idle => {}
            () = tokio::time::sleep(age) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// IPv4 in IPv6 is IPv4, to people and to the loopback rule.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A request with what is known of its connection.
fn noted(request: Request<Incoming>, peer: &Peer, ending: &CancellationToken) -> Request<Body> {
    let mut request = request.map(Body::new);
    let extensions = request.extensions_mut();
    extensions.insert(TcpConnectInfo { local_addr: None, remote_addr: Some(peer.address) });
    extensions.insert(peer.clone());
    extensions.insert(Ending(ending.clone()));
    request
}

fn is_refusal(answer: &Response<Body>) -> bool {
    answer.status().is_client_error() || answer.headers().get("grpc-status").is_some_and(|code| code == "16")
}

/// HTTP/2, and HTTP/1 for plain downloads.
fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10)).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_header_list_size(64 * 1024)
        .max_concurrent_streams(100);
    builder
}
