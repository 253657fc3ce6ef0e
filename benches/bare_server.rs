//! The yardstick: hyper with nothing around it, which answers every request
//! with the bytes that a relay gave once.
//!
//! `bare_server PORT RELAY_HOST:PORT PATH AUTHORIZATION [gzip]`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

use std::convert::Infallible;
use std::io::{Read as _, Write as _};

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [port, relay, path, authorization, rest @ ..] = arguments.as_slice() else {
        println!("bare_server PORT RELAY PATH AUTHORIZATION [gzip]: see benches/load");
        return;
    };
    let accept = if rest.is_empty() { "" } else { "Accept-Encoding: gzip\r\n" };
    let mut stream = std::net::TcpStream::connect(relay).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{accept}Authorization: {authorization}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let body = Bytes::from(answer[end + 4..].to_vec());
    let headers: Vec<(String, String)> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| !matches!(*name, "connection" | "date" | "content-length"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let (body, headers) = (body.clone(), headers.clone());
            tokio::spawn(async move {
                let service = service_fn(move |_| {
                    let mut answer = http::Response::builder();
                    for (name, value) in &headers {
                        answer = answer.header(name, value);
                    }
                    let answer = answer.body(Full::new(body.clone())).unwrap();
                    async move { Ok::<_, Infallible>(answer) }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(tcp), service).await;
            });
        }
    });
}
