//! `ff-relay healthcheck`: asks `/readyz` of the relay that the same options
//! run, for containers without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::print::say;
use crate::config::{self, EXIT_USAGE, HttpConfig, Request};

const LIMIT: Duration = Duration::from_secs(5);

/// 0 if ready, 1 if not or not there, 64 if the options are wrong.
#[must_use]
pub fn run(arguments: &[String]) -> ExitCode {
    let config = match config::from_process(arguments) {
        Ok(Request::Run(config) | Request::Check(config)) => config,
        Ok(_) => {
            say!("usage: ff-relay healthcheck [the options of the relay]");
            return ExitCode::SUCCESS;
        }
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = runtime.context("the runtime cannot be started").and_then(|runtime| {
        runtime
            .block_on(async { tokio::time::timeout(LIMIT, ask(&config.http)).await.context("no answer within 5 s")? })
    });
    match asked {
        Ok(()) => {
            say!("ready");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("not ready: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn ask(http: &HttpConfig) -> anyhow::Result<()> {
    let address = match http.listen_address {
        Some(IpAddr::V6(ip)) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        Some(ip) if !ip.is_unspecified() => ip,
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let address = SocketAddr::new(address, http.port);
    let tcp = TcpStream::connect(address).await.with_context(|| format!("{address}"))?;
    let answer = if http.tls.is_some() {
        let name = ServerName::IpAddress(address.ip().into());
        exchange(TlsConnector::from(Arc::new(client_config()?)).connect(name, tcp).await?).await?
    } else {
        exchange(tcp).await?
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 200") {
        return Ok(());
    }
    bail!("{}: {}", head.lines().next().unwrap_or("no answer"), body.trim());
}

async fn exchange(mut io: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<String> {
    io.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    io.flush().await?;
    let mut answer = Vec::new();
    let mut limited = io.take(64 * 1024);
    // A TLS end without its last word is good enough here.
    if let Err(error) = limited.read_to_end(&mut answer).await
        && answer.is_empty()
    {
        return Err(error.into());
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn client_config() -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let verifier = Arc::new(Loopback(provider));
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// The relay's certificate is for its public name, and nothing secret is
/// sent, so whoever answers on this machine is asked.
#[derive(Debug)]
struct Loopback(Arc<CryptoProvider>);

impl ServerCertVerifier for Loopback {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
