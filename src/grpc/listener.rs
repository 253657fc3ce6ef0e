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

/// Bounds of the port.
#[derive(Clone, Copy, Debug)]
pub struct PortLimits {
    /// Operators, tools and up to 256 followers.
    pub connections: usize,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Time until a connection has made a call that was let through. Whoever
    /// is refused, or says nothing, makes room for others.
    pub first_call: Duration,
    /// Connections end at this age ± 10 %, so that clients spread over
    /// relays.
    pub age: Duration,
    /// What an old connection still does before its calls are ended.
    pub age_grace: Duration,
    /// Time for everything to end once the relay shuts down.
    pub shutdown: Duration,
}

impl Default for PortLimits {
    fn default() -> Self {
        PortLimits {
            connections: 1024,
            handshake: Duration::from_secs(10),
            first_call: Duration::from_secs(30),
            age: Duration::from_secs(30 * 60),
            age_grace: Duration::from_secs(60),
            shutdown: Duration::from_secs(2),
        }
    }
}

/// What all connections of the port share.
struct Port<S> {
    limits: PortLimits,
    tls: Option<TlsAcceptor>,
    service: S,
    stop: CancellationToken,
    /// Calls have to end.
    ending: CancellationToken,
}

/// Accepts until told to stop; then `last_words` are said, calls are ended,
/// and what is left after a moment is cut.
pub async fn run<S>(
    (tcp, limits): (TcpListener, PortLimits),
    tls: Option<TlsAcceptor>,
    service: S,
    stop: CancellationToken,
    last_words: impl Future<Output = ()>,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let port = Arc::new(Port { limits, tls, service, stop: stop.clone(), ending: CancellationToken::new() });
    let places = Arc::new(Semaphore::new(limits.connections));
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
    if tokio::time::timeout(limits.shutdown, ended).await.is_err() {
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
                    shaken = tokio::time::timeout(self.limits.handshake, tls.accept(tcp)) => shaken,
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
        let age = self.limits.age.mul_f64(rand::rng().random_range(0.9..1.1));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = self.time_is_up(&called, age) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection.as_mut() => return,
            () = tokio::time::sleep(self.limits.age_grace) => ending.cancel(),
            () = self.stop.cancelled() => {}
        }
        // Its calls end now; what does not is cut.
        let _ = tokio::time::timeout(self.limits.age_grace, connection).await;
    }

    /// Ends when a connection has to be closed.
    async fn time_is_up(&self, called: &AtomicBool, age: Duration) {
        let idle = async {
            tokio::time::sleep(self.limits.first_call).await;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::call::CallService;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tonic::service::Routes;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    async fn port(limits: PortLimits) -> (SocketAddr, CancellationToken) {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (_, health) = tonic_health::server::health_reporter();
        let calls = CallService::new(Routes::new(health), &[tonic_health::pb::FILE_DESCRIPTOR_SET]).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(run((tcp, limits), None, calls, stop.clone(), async {}));
        (address, stop)
    }

    #[tokio::test]
    async fn who_says_nothing_or_half_a_thing_makes_room() {
        let limits = PortLimits { connections: 2, first_call: Duration::from_millis(300), ..PortLimits::default() };
        let (address, _stop) = port(limits).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"PRI * HT").await.unwrap();
        let began = Instant::now();
        // Waits for one of the two places.
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut health = HealthClient::new(channel.connect().await.unwrap());
        health.check(HealthCheckRequest::default()).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(10));
        let mut rest = Vec::new();
        let _ = silent.read_to_end(&mut rest).await;
        let _ = half.read_to_end(&mut rest).await;
        // A connection that has called stays.
        tokio::time::sleep(Duration::from_millis(600)).await;
        health.check(HealthCheckRequest::default()).await.unwrap();
    }

    #[tokio::test]
    async fn an_old_connection_ends_and_its_streams_say_why() {
        let (age, age_grace) = (Duration::from_millis(300), Duration::from_millis(300));
        let (address, stop) = port(PortLimits { age, age_grace, ..PortLimits::default() }).await;
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut health = HealthClient::new(channel.connect().await.unwrap());
        let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
        assert!(watch.message().await.unwrap().is_some());
        assert_eq!(watch.message().await.unwrap_err().code(), tonic::Code::Unavailable);
        // The client connects anew by itself.
        health.check(HealthCheckRequest::default()).await.unwrap();
        stop.cancel();
    }
}
