//! HTTPS, HTTP/2 by ALPN, and certificates that change.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, golden};
use crate::support::relay::TestRelay;
use crate::support::wait_for;

fn certificate(place: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (file, text) in [("cert.pem", cert.pem()), ("key.pem", signing_key.serialize_pem())] {
        let new = place.join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, place.join(file)).unwrap();
    }
    cert.der().clone()
}

fn relay(place: &Path, configuration: &Path, more: &[&str]) -> TestRelay {
    let cert = format!("--tls-cert={}", place.join("cert.pem").display());
    let key = format!("--tls-key={}", place.join("key.pem").display());
    let mut options = vec!["--tls-enabled", &cert, &key];
    options.extend(more);
    TestRelay::offline(configuration, &options)
}

fn connect(
    relay: &TestRelay,
    root: &CertificateDer<'static>,
    alpn: &[&[u8]],
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let tcp = TcpStream::connect(relay.sdk)?;
    tcp.set_read_timeout(Some(std::time::Duration::from_secs(30)))?;
    let mut stream = StreamOwned::new(connection, tcp);
    stream.flush()?;
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(stream)
}

#[test]
fn http_1_over_tls_streams_too_and_a_new_certificate_is_shown() {
    let place = tempfile::tempdir().unwrap();
    let configuration = Configuration::golden();
    let first = certificate(place.path());
    let relay = relay(
        place.path(),
        configuration.path(),
        &["--bypass-auth", "--config-reload=true", "--config-reload-interval=100ms"],
    );
    let mut stream = connect(&relay, &first, &[b"http/1.1"]).unwrap();
    write!(stream, "GET /stream HTTP/1.1\r\nHost: localhost\r\nAPI-Key: {KEY}\r\n\r\n").unwrap();
    let mut seen = String::new();
    let mut read_until = |mark: &str| {
        let mut bytes = [0; 1024];
        while !seen.contains(mark) {
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "ended: {seen}");
            seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    };
    read_until("3\r\n:\n\n\r\n");
    configuration.edit_flag("text", |flag| flag["version"] = json!(2));
    read_until("\"identifier\":\"text\"");
    let second = certificate(place.path());
    wait_for("the new certificate", || connect(&relay, &second, &[b"http/1.1"]).ok().map(drop));
    std::fs::write(place.path().join("cert.pem"), "rubbish").unwrap();
    connect(&relay, &second, &[b"http/1.1"]).unwrap();
}

#[test]
fn http_2_is_chosen_by_alpn_and_carries_streams() {
    let place = tempfile::tempdir().unwrap();
    let configuration = Configuration::golden();
    let root = certificate(place.path());
    let options = ["--bypass-auth", "--config-reload=true", "--config-reload-interval=100ms"];
    let relay = relay(place.path(), configuration.path(), &options);
    assert_eq!(connect(&relay, &root, &[b"h2", b"http/1.1"]).unwrap().conn.alpn_protocol(), Some(&b"h2"[..]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use http_body_util::{BodyExt as _, Empty};
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = tokio::net::TcpStream::connect(relay.sdk).await.unwrap();
        let tls = tokio_rustls::TlsConnector::from(Arc::new(config));
        let io = tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(io);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.unwrap();
        let driving = tokio::spawn(connection);
        let request = |path: String| {
            http::Request::get(format!("https://localhost{path}"))
                .header("API-Key", KEY)
                .body(Empty::<bytes::Bytes>::new())
                .unwrap()
        };
        let flag =
            sender.send_request(request(format!("/client/env/{ENVIRONMENT}/feature-configs/text"))).await.unwrap();
        assert_eq!(flag.status(), 200);
        let mut stream = sender.send_request(request("/stream".into())).await.unwrap();
        let first = stream.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, ":\n\n");
        configuration.edit_flag("text", |flag| flag["version"] = json!(2));
        let event = loop {
            let data = stream.frame().await.unwrap().unwrap().into_data().unwrap();
            if data != ":\n\n" {
                break data;
            }
        };
        assert!(event.starts_with(b"event: *\ndata: {") && event.ends_with(b"}\n\n"));
        driving.abort();
    });
}

#[test]
fn healthcheck_asks_over_tls_and_plain() {
    let place = tempfile::tempdir().unwrap();
    certificate(place.path());
    let secure = relay(place.path(), &golden(), &[]);
    let check = |arguments: &[String]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_ff-relay"))
            .arg("healthcheck")
            .args(arguments)
            .status()
            .unwrap()
            .code()
    };
    let options =
        |port: u16| vec!["--offline".to_owned(), format!("--port={port}"), "--listen-address=127.0.0.1".to_owned()];
    let mut tls = options(secure.sdk.port());
    tls.extend([
        "--tls-enabled".to_owned(),
        format!("--tls-cert={}", place.path().join("cert.pem").display()),
        format!("--tls-key={}", place.path().join("key.pem").display()),
    ]);
    assert_eq!(check(&tls), Some(0));
    let plain = TestRelay::offline(&golden(), &[]);
    assert_eq!(check(&options(plain.sdk.port())), Some(0));
    let port = plain.sdk.port();
    drop(plain);
    assert_eq!(check(&options(port)), Some(1));
}
