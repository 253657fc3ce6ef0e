//! A TCP proxy that stands between clients and a server on this machine: it can cut every connection, turn new ones away for a
//! while, and be pointed at another server. It notes the HTTP request lines that pass, so that a test can tell a stream from a poll.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

pub struct ChaosProxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    server: Mutex<SocketAddr>,
    refusing: AtomicBool,
    corrupting: AtomicBool,
    /// What is damaged where the server says it next.
    spoiling: Mutex<Option<String>>,
    ended: AtomicBool,
    next_connection: AtomicU64,
    connections: Mutex<Vec<Connection>>,
    requests: Mutex<Vec<String>>,
    /// Everything that went through, either way.
    recorded: Mutex<Option<Vec<u8>>>,
}

struct Connection {
    number: u64,
    client: TcpStream,
    server: TcpStream,
    last_request: String,
}

impl ChaosProxy {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            server: Mutex::new(server),
            refusing: AtomicBool::new(false),
            corrupting: AtomicBool::new(false),
            spoiling: Mutex::new(None),
            ended: AtomicBool::new(false),
            next_connection: AtomicU64::new(0),
            connections: Mutex::new(Vec::new()),
            requests: Mutex::new(Vec::new()),
            recorded: Mutex::new(None),
        });
        let accepting = Arc::clone(&state);
        thread::spawn(move || accepting.accept(&listener));
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// New connections go to this server from now on.
    pub fn point_at(&self, server: SocketAddr) {
        *self.state.server.lock().unwrap() = server;
    }

    /// Ends every connection and turns new ones away until `restore`.
    pub fn cut(&self) {
        self.state.refusing.store(true, Ordering::SeqCst);
        for connection in self.state.connections.lock().unwrap().iter() {
            connection.end();
        }
    }

    /// Flips one bit of what the server sends next.
    pub fn corrupt(&self) {
        self.state.corrupting.store(true, Ordering::SeqCst);
    }

    /// Flips a bit at the end of this text where the server sends it next.
    pub fn spoil(&self, text: &str) {
        *self.state.spoiling.lock().unwrap() = Some(text.to_owned());
    }

    /// Whether it was sent, and damaged, since.
    pub fn has_spoilt(&self) -> bool {
        self.state.spoiling.lock().unwrap().is_none()
    }

    /// Keeps every byte from now on.
    pub fn record(&self) {
        self.state.recorded.lock().unwrap().get_or_insert_default();
    }

    /// Whether these bytes went through in one piece, either way.
    pub fn has_carried(&self, wanted: &str) -> bool {
        let recorded = self.state.recorded.lock().unwrap();
        recorded.as_ref().is_some_and(|bytes| bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes()))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn restore(&self) {
        self.state.refusing.store(false, Ordering::SeqCst);
    }

    /// The request lines seen so far, in order, such as `GET /stream?cluster=1 HTTP/1.1`.
    pub fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    /// How many connections there were so far.
    pub fn connected(&self) -> u64 {
        self.state.next_connection.load(Ordering::Relaxed)
    }

    /// How many connections are open whose last request is for this path (and any query).
    pub fn open(&self, request: &str) -> usize {
        let connections = self.state.connections.lock().unwrap();
        connections.iter().filter(|connection| is_for(&connection.last_request, request)).count()
    }

    /// How many such requests were made since the proxy was started.
    pub fn made(&self, request: &str) -> usize {
        self.state.requests.lock().unwrap().iter().filter(|line| is_for(line, request)).count()
    }
}

/// `GET /stream?cluster=1 HTTP/1.1` is for `GET /stream`.
fn is_for(line: &str, request: &str) -> bool {
    line.strip_prefix(request).is_some_and(|rest| rest.starts_with([' ', '?']))
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the accepting thread, which then sees that it has ended.
        drop(TcpStream::connect(self.address));
    }
}

impl Connection {
    /// Closed already is as good as closed now.
    fn end(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

impl State {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            let server = *self.server.lock().unwrap();
            if self.refusing.load(Ordering::SeqCst) {
                continue;
            }
            // A client that is gone, or a server that is not there: the client sees its connection closed.
            if let (Ok(client), Ok(server)) = (client, TcpStream::connect(server)) {
                self.join(client, server);
            }
        }
    }

    fn join(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let number = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let (from_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let connection = Connection { number, client, server, last_request: String::new() };
        self.connections.lock().unwrap().push(connection);

        let (upward, downward) = (Arc::clone(self), Arc::clone(self));
        thread::spawn(move || {
            carry(from_client, to_server, |bytes| {
                upward.keep(bytes);
                upward.note(number, bytes);
            });
            upward.forget(number);
        });
        thread::spawn(move || {
            carry(from_server, to_client, |bytes| {
                downward.keep(bytes);
                downward.spoil(bytes);
                if bytes.len() > 100 && downward.corrupting.swap(false, Ordering::SeqCst) {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 0x10;
                }
            });
            downward.forget(number);
        });
        // One that was accepted while `cut` ran is not in the list that it went through.
        if self.refusing.load(Ordering::SeqCst) {
            self.forget(number);
        }
    }

    fn keep(&self, bytes: &[u8]) {
        if let Some(recorded) = self.recorded.lock().unwrap().as_mut() {
            recorded.extend_from_slice(bytes);
        }
    }

    fn spoil(&self, bytes: &mut [u8]) {
        let mut spoiling = self.spoiling.lock().unwrap();
        let Some(text) = spoiling.as_ref().map(String::as_bytes) else { return };
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
            bytes[at + text.len() - 1] ^= 0x01;
            *spoiling = None;
        }
    }

    /// Clients do not pipeline, so a request begins where a read does.
    fn note(&self, number: u64, bytes: &mut [u8]) {
        let first = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let Ok(line) = str::from_utf8(first) else {
            return;
        };
        if !line.ends_with(" HTTP/1.1") {
            return;
        }
        self.requests.lock().unwrap().push(line.to_owned());
        for connection in self.connections.lock().unwrap().iter_mut().filter(|each| each.number == number) {
            line.clone_into(&mut connection.last_request);
        }
    }

    /// Whichever side ended first, the other is ended too.
    fn forget(&self, number: u64) {
        self.connections.lock().unwrap().retain(|connection| {
            if connection.number == number {
                connection.end();
            }
            connection.number != number
        });
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&mut [u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        note(&mut buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
