//! A client that sends exactly what a test says and reads what comes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        if self.header("content-encoding") == Some("gzip") {
            return serde_json::from_reader(flate2::bufread::GzDecoder::new(self.body.as_slice())).unwrap();
        }
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Asserts the status and gives the JSON.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }
}

/// Sends one request on a connection of its own.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut connection = Connection::open(address);
    connection.send(method, path, headers, body);
    connection.reply(method == "HEAD")
}

pub fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Reply {
    request(address, "GET", path, headers, b"")
}

pub fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    request(address, "POST", path, headers, body.as_bytes())
}

/// A token for an SDK key.
pub fn token(address: SocketAddr, key: &str) -> String {
    let reply = post(address, "/client/auth", &[], &format!("{{\"apiKey\":\"{key}\"}}"));
    reply.ok()["authToken"].as_str().unwrap().to_owned()
}

/// The value of `Authorization` for an SDK key.
pub fn bearer(address: SocketAddr, key: &str) -> String {
    format!("Bearer {}", token(address, key))
}

/// A kept connection.
pub struct Connection {
    pub stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream: BufReader::new(stream) }
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: relay\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        // The relay may refuse before it has read everything.
        let _ = self.stream.get_mut().write_all(&bytes);
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// True if the relay has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok([]))
            || self.stream.fill_buf().is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock)
    }

    pub fn head(&mut self) -> Reply {
        let line = self.line();
        let status =
            line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("no status in {line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Reply { status, headers, body: Vec::new() }
    }

    pub fn reply(&mut self, no_body: bool) -> Reply {
        let mut reply = self.head();
        if no_body || reply.status == 204 || reply.status == 304 {
            return reply;
        }
        if reply.header("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk() {
                reply.body.extend(chunk);
            }
        } else {
            let length = reply.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
            reply.body.resize(length, 0);
            self.stream.read_exact(&mut reply.body).unwrap();
        }
        reply
    }

    /// One chunk; `None` for the last, empty one or the end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.try_line()?;
        let size = usize::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("no chunk size in {line:?}"));
        let mut bytes = vec![0; size + 2];
        self.stream.read_exact(&mut bytes).ok()?;
        bytes.truncate(size);
        (size > 0).then_some(bytes)
    }

    fn line(&mut self) -> String {
        self.try_line().expect("the connection was closed")
    }

    fn try_line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(n) if n > 0 => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }
}
