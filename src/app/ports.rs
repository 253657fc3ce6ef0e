//! The ports of the SDK API and of Prometheus.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::config::{Config, HttpConfig};
use crate::http::connection::Timeouts;
use crate::http::listener::{Listener, bind};
use crate::http::stream::cursor::EventRepeat;
use crate::http::stream::registry::StreamSettings;
use crate::lifecycle::supervisor::Supervisor;
use crate::tls::Certificate;

/// How SDK streams are served.
pub fn stream_settings(http: &HttpConfig) -> StreamSettings {
    StreamSettings {
        max_streams: http.max_streams.unwrap_or(usize::MAX),
        max_streams_per_environment: http.max_streams_per_environment.unwrap_or(usize::MAX),
        max_stream_age: http.max_stream_age,
        event_repeat: match http.event_repeat {
            Some(after) => Some(EventRepeat { after, always: true }),
            None => http.event_repeat_with_followers.map(|after| EventRepeat { after, always: false }),
        },
        write_timeout: http.write_timeout,
    }
}

fn timeouts(http: &HttpConfig) -> Timeouts {
    Timeouts { headers: http.header_timeout, idle: http.idle_timeout, write: http.write_timeout }
}

/// The SDK port and its address.
///
/// # Errors
/// The port is taken, or a TLS file cannot be used.
pub fn sdk_listener(
    config: &Config,
    max_connections: usize,
    background: &mut Supervisor,
    stop: &CancellationToken,
) -> Result<(Listener, SocketAddr), StartError> {
    let tcp = bind_port(config.http.listen_address, config.http.port)?;
    let address = local(&tcp, config.http.port)?;
    let tls = match &config.http.tls {
        None => None,
        Some(files) => {
            let certificate = Certificate::load(files)?;
            let acceptor = certificate.acceptor(&[b"h2", b"http/1.1"])?;
            background.own("TLS certificate watch", certificate.watch(stop.clone()));
            Some(acceptor)
        }
    };
    Ok((Listener { tcp, tls, timeouts: timeouts(&config.http), max_connections }, address))
}

/// The metrics port and its address, if it has one of its own.
///
/// # Errors
/// The port is taken.
pub fn metrics_listener(http: &HttpConfig) -> Result<Option<(Listener, SocketAddr)>, StartError> {
    let Some(port) = http.prometheus_port else {
        return Ok(None);
    };
    let tcp = bind_port(http.listen_address, port)?;
    let address = local(&tcp, port)?;
    Ok(Some((Listener { tcp, tls: None, timeouts: timeouts(http), max_connections: 256 }, address)))
}

fn bind_port(address: Option<IpAddr>, port: u16) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Listen { port, source };
    match address {
        Some(address) => bind(SocketAddr::new(address, port)).map_err(failed),
        // Machines without IPv6 have only the other one.
        None => bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))
            .or_else(|_| bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)))
            .map_err(failed),
    }
}

/// The address that the system gave.
///
/// # Errors
/// The system does not say.
pub fn local(tcp: &TcpListener, port: u16) -> Result<SocketAddr, StartError> {
    tcp.local_addr().map_err(|source| StartError::Listen { port, source })
}
