//! Connections that serve one request each, with TLS and without, beside
//! the limit server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::limit::Work;
use super::options::Options;
use super::report::Report;
use super::routes::{ready, start_limit};
use super::scenario::Wish;
use super::site::Site;
use crate::workload::figures::median;
use crate::workload::process::Pinned;
use crate::workload::requests::{Captured, ask};
use crate::workload::tls;

/// Connections that are open at the same time.
const TOGETHER: usize = 32;

pub fn run(options: &Options, report: &mut Report) {
    // Both relays sign with the same secret, so one token serves.
    let plain = Site::start(1, 1000, &[]);
    let files = tempfile::tempdir().unwrap();
    let certificate = tls::certificate(files.path());
    let secure: Vec<&str> = certificate.iter().map(String::as_str).collect();
    let secure = Pinned::offline(plain.directory(), &secure);
    let path = "feature-configs/flag_00007";
    let request = plain.data(path, "Connection: close\r\n");
    let wish = Wish { request: request.clone(), work: Work::Verify, weight: 1, varies: false };
    let answer = ask(plain.relay.address, &plain.data(path, ""));
    for (name, relay, with_tls) in [("churn plain", &plain.relay, false), ("churn TLS", &secure, true)] {
        let prepared = vec![ready(&wish, &answer, &files.path().join("body"))];
        let tls_files = with_tls.then_some(files.path());
        let limit = start_limit(prepared, files.path(), tls_files, options.limit_on_current_thread);
        compare(name, (relay, &limit), with_tls, (&request, &answer), options, report);
    }
}

fn compare(
    name: &str,
    (relay, limit): (&Pinned, &Pinned),
    with_tls: bool,
    (request, answer): (&[u8], &Captured),
    options: &Options,
    report: &mut Report,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let round = |server: &Pinned| {
        let before = server.cpu();
        let answered = runtime.block_on(churn(server.address, with_tls, request, answer, options.each));
        #[expect(clippy::cast_precision_loss, reason = "a figure")]
        let answered = answered as f64;
        (answered / options.each.as_secs_f64(), server.cpu_since(before).as_secs_f64() * 1e6 / answered)
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        ours.push(round(relay));
        theirs.push(round(limit));
    }
    let of = |side: &[(f64, f64)]| (median(side.iter().map(|it| it.0)), median(side.iter().map(|it| it.1)));
    let ((rate, cpu), (limit_rate, limit_cpu)) = (of(&ours), of(&theirs));
    let text = format!(
        "{rate:.0} connections/s beside {limit_rate:.0}: {:.2}; {cpu:.0} µs CPU each beside {limit_cpu:.0}: {:.2}",
        rate / limit_rate,
        limit_cpu / cpu
    );
    let figures = json!({"rate": rate, "limit_rate": limit_rate, "cpu_us": cpu, "limit_cpu_us": limit_cpu});
    report.note(name, &text, figures);
}

async fn churn(server: SocketAddr, with_tls: bool, request: &[u8], answer: &Captured, time: Duration) -> u64 {
    let connector = with_tls.then(|| TlsConnector::from(tls::client()));
    let end = Instant::now() + time;
    let request: Arc<[u8]> = request.into();
    let body: Arc<[u8]> = answer.body.as_slice().into();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TOGETHER {
        let (connector, request, body) = (connector.clone(), Arc::clone(&request), Arc::clone(&body));
        tasks.spawn(async move {
            let mut answered = 0;
            while Instant::now() < end {
                let tcp = TcpStream::connect(server).await.unwrap();
                let got = match &connector {
                    None => exchange(tcp, &request).await,
                    Some(connector) => {
                        let name = ServerName::try_from("localhost").unwrap();
                        exchange(connector.connect(name, tcp).await.unwrap(), &request).await
                    }
                };
                assert!(got.starts_with(b"HTTP/1.1 200") && got.ends_with(&body), "{}", String::from_utf8_lossy(&got));
                answered += 1;
            }
            answered
        });
    }
    tasks.join_all().await.into_iter().sum()
}

async fn exchange(mut socket: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> Vec<u8> {
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::with_capacity(4096);
    // Kept even if the connection then ends without a TLS farewell.
    let _ = socket.read_to_end(&mut answer).await;
    answer
}
