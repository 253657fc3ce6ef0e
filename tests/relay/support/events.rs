//! An SDK stream, read chunk by chunk.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::client::{Connection, Reply};

/// An open stream.
pub struct Events {
    pub connection: Connection,
    pub reply: Reply,
}

impl Events {
    /// Opens a stream and reads its first heartbeat.
    pub fn open(address: SocketAddr, key: &str, authorization: &str, headers: &[(&str, &str)]) -> Self {
        let mut events = Self::ask(address, key, authorization, headers);
        assert_eq!(events.reply.status, 200);
        assert_eq!(events.connection.chunk().as_deref(), Some(&b":\n\n"[..]), "the first bytes");
        events
    }

    pub fn ask(address: SocketAddr, key: &str, authorization: &str, headers: &[(&str, &str)]) -> Self {
        let mut connection = Connection::open(address);
        let mut all = vec![("API-Key", key), ("Authorization", authorization), ("Accept", "text/event-stream")];
        all.extend(headers);
        connection.send("GET", "/stream?cluster=1", &all, b"");
        let reply = connection.head();
        Events { connection, reply }
    }

    /// The next event, heartbeats passed over; `None` when the stream ends.
    pub fn next(&mut self) -> Option<Value> {
        loop {
            let chunk = self.connection.chunk()?;
            if chunk == b":\n\n" {
                continue;
            }
            let text = String::from_utf8(chunk).unwrap();
            let data = text.strip_prefix("event: *\ndata: ").and_then(|t| t.strip_suffix("\n\n"));
            let data = data.unwrap_or_else(|| panic!("a chunk that is no event: {text:?}"));
            assert!(!data.contains('\n'));
            return Some(serde_json::from_str(data).unwrap());
        }
    }

    /// The next event in short: `patch flag name`.
    pub fn next_short(&mut self) -> String {
        self.next().map_or_else(|| "end".to_owned(), |event| short(&event))
    }

    /// So many events, sorted.
    pub fn take_sorted(&mut self, count: usize) -> Vec<String> {
        let mut all: Vec<String> = (0..count).map(|_| self.next_short()).collect();
        all.sort();
        all
    }

    /// Asserts that no event comes for a while.
    pub fn assert_quiet(&mut self, time: Duration) {
        self.connection.stream.get_ref().set_read_timeout(Some(time)).unwrap();
        let mut line = String::new();
        let read = std::io::BufRead::read_line(&mut self.connection.stream, &mut line);
        assert!(read.is_err() || line.trim() == "3", "unexpected: {line:?}");
        self.connection.stream.get_ref().set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    }
}

pub fn short(event: &Value) -> String {
    let text = |field: &str| event[field].as_str().unwrap_or("?").to_owned();
    format!("{} {} {}", text("event"), text("domain"), text("identifier"))
}
