//! Requests as SDKs send them, and single exchanges.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustls::pki_types::ServerName;
use serde_json::{Value, json};

use super::tls;

/// An answer, as it came.
#[derive(Debug)]
pub struct Captured {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

pub fn get(bearer: &str, path: &str, headers: &str) -> Vec<u8> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: ff-relay:7000\r\nUser-Agent: Go-http-client/1.1\r\nAuthorization: {bearer}\r\n\
         Harness-SDK-Info: Go 0.1.25 Server\r\nHarness-EnvironmentID: bench\r\n{headers}\r\n"
    );
    request.into_bytes()
}

pub fn post(headers: &str, path: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: ff-relay:7000\r\nUser-Agent: Go-http-client/1.1\r\n{headers}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    request.into_bytes()
}

/// The request that authenticates an SDK.
pub fn authentication(key: &str, target: Option<&Value>) -> Vec<u8> {
    let body = match target {
        None => json!({"apiKey": key}),
        Some(target) => json!({"apiKey": key, "target": target}),
    };
    post("Harness-SDK-Info: Go 0.1.25 Server\r\n", "/client/auth", &body)
}

/// The value of `Authorization` for an SDK that authenticates now.
pub fn bearer(address: SocketAddr, key: &str, target: Option<&Value>) -> String {
    bearer_of(&ask(address, &authentication(key, target)))
}

/// The same over TLS.
pub fn bearer_by_tls(address: SocketAddr, key: &str) -> String {
    let name = ServerName::try_from("localhost").unwrap();
    let connection = rustls::ClientConnection::new(tls::client(), name).unwrap();
    let stream = rustls::StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    bearer_of(&exchange(stream, &authentication(key, None)))
}

fn bearer_of(answer: &Captured) -> String {
    let json: Value = serde_json::from_slice(&answer.body).unwrap();
    format!("Bearer {}", json["authToken"].as_str().unwrap())
}

/// Asks once, on a connection of its own.
pub fn ask(address: SocketAddr, request: &[u8]) -> Captured {
    exchange(TcpStream::connect(address).unwrap(), request)
}

fn exchange(mut connection: impl Read + Write, request: &[u8]) -> Captured {
    let request = String::from_utf8(request.to_vec()).unwrap();
    let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // Kept even if the connection then ends without a TLS farewell.
    let _ = connection.read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let made_by_hyper = |name: &str| matches!(name, "connection" | "date" | "content-length");
    let headers = lines.filter_map(header).filter(|(name, _)| !made_by_hyper(name)).collect();
    Captured { status, headers, body: answer[end + 4..].to_vec() }
}
