//! Opens many SDK streams at once, measures what each costs the relay, then
//! changes one flag and measures when the last stream has heard of it.
//!
//! `streams RELAY_HOST:PORT RELAY_PID KEY COUNT FLAG_FILE [tls]`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn resident_kib(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn connect(relay: &str, tls: Option<&tokio_rustls::TlsConnector>) -> Box<dyn Socket> {
    let tcp = TcpStream::connect(relay).await.unwrap();
    match tls {
        None => Box::new(tcp),
        Some(tls) => Box::new(tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap()),
    }
}

async fn token(relay: &str, key: &str, tls: Option<&tokio_rustls::TlsConnector>) -> String {
    let mut socket = connect(relay, tls).await;
    let body = format!("{{\"apiKey\":\"{key}\"}}");
    let request = format!(
        "POST /client/auth HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    // Kept even if the connection then ends without a TLS farewell.
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).split("\"authToken\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

fn change(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let version = json[0]["version"].as_i64().unwrap_or(1);
    json[0]["version"] = (version + 1).into();
    let new = file.with_extension("tmp");
    std::fs::write(&new, json.to_string()).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [relay, pid, key, count, file, rest @ ..] = arguments.as_slice() else {
        println!("streams RELAY PID KEY COUNT FLAG_FILE [tls]: see benches/load");
        return;
    };
    let count: usize = count.parse().unwrap();
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let tls = (!rest.is_empty()).then(|| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth();
        tokio_rustls::TlsConnector::from(Arc::new(config))
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let token = token(relay, key, tls.as_ref()).await;
        let request: Arc<str> =
            format!("GET /stream HTTP/1.1\r\nHost: x\r\nAPI-Key: {key}\r\nAuthorization: Bearer {token}\r\n\r\n")
                .into();
        let before = resident_kib(pid);
        let (opened, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let started = Instant::now();
        for _ in 0..count {
            let (request, opened, told) = (Arc::clone(&request), Arc::clone(&opened), Arc::clone(&told));
            let (relay, tls) = (relay.clone(), tls.clone());
            tokio::spawn(async move {
                let mut socket = connect(&relay, tls.as_ref()).await;
                socket.write_all(request.as_bytes()).await.unwrap();
                let mut buffer = [0; 2048];
                let mut head = Vec::new();
                while !head.ends_with(b":\n\n\r\n") {
                    let read = socket.read(&mut buffer).await.unwrap();
                    assert!(read > 0, "the relay closed a stream: {}", String::from_utf8_lossy(&head));
                    head.extend_from_slice(&buffer[..read]);
                }
                drop(head);
                opened.fetch_add(1, Ordering::Relaxed);
                loop {
                    let read = socket.read(&mut buffer).await.unwrap();
                    assert!(read > 0, "the relay closed a stream");
                    if buffer[..read].windows(6).any(|window| window == b"event:") {
                        told.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        wait(&opened, count).await;
        println!("{count} streams open after {:.2} s", started.elapsed().as_secs_f64());
        tokio::time::sleep(Duration::from_secs(3)).await;
        let after = resident_kib(pid);
        #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
        let each = after.saturating_sub(before) as f64 / count as f64;
        println!("memory: {before} KiB before, {after} KiB with them, {each:.2} KiB a stream");
        for _ in 0..3 {
            told.store(0, Ordering::Relaxed);
            change(Path::new(file));
            let changed = Instant::now();
            wait(&told, 1).await;
            let first = changed.elapsed();
            wait(&told, count).await;
            let last = changed.elapsed();
            let spread = last.checked_sub(first).unwrap_or_default();
            println!(
                "file changed: first stream told after {:.3} s, last after {:.3} s ({:.0} ms from first to last)",
                first.as_secs_f64(),
                last.as_secs_f64(),
                spread.as_secs_f64() * 1e3
            );
        }
    });
    runtime.shutdown_background();
}

async fn wait(counter: &AtomicUsize, count: usize) {
    while counter.load(Ordering::Relaxed) < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
