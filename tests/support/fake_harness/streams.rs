//! SSE connections and what is sent on them.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::request::Request;
use super::rest::{error, scope};
use super::wire::{self, Answer};
use super::{FakeHarness, Shared, lock};

#[derive(Default)]
pub struct Streams {
    open: Mutex<Vec<Stream>>,
}

struct Stream {
    /// `None`: a proxy key's, for every environment.
    environment: Option<String>,
    orders: Sender<Order>,
    alive: Arc<AtomicBool>,
}

enum Order {
    /// One write and one chunk.
    Bytes(Vec<u8>),
    Close,
    Reset,
    Freeze,
}

/// What a connection's thread works from.
pub struct Queue {
    orders: Receiver<Order>,
    alive: Arc<AtomicBool>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::SeqCst);
    }
}

impl Streams {
    pub fn open(&self, shared: &Shared, request: &Request) -> Result<Queue, Answer> {
        let world = lock(&shared.world);
        scope(&world, request)?;
        let key = request.header("api-key");
        if request.environment.is_none() && (key.is_none() || key != world.proxy_key.as_deref()) {
            return Err(error(401, "unknown API-Key"));
        }
        let (orders, queue) = channel();
        let alive = Arc::new(AtomicBool::new(true));
        let mut open = lock(&self.open);
        open.retain(|stream| stream.alive.load(Ordering::SeqCst));
        open.push(Stream { environment: request.environment.clone(), orders, alive: Arc::clone(&alive) });
        Ok(Queue { orders: queue, alive })
    }

    /// Tells a change of one environment to the streams that are about it.
    pub fn tell(&self, environment: &str, message: &Value) {
        let mut with_environment = message.clone();
        with_environment["environment"] = environment.into();
        for stream in lock(&self.open).iter() {
            match &stream.environment {
                None => stream.send(framed(&with_environment.to_string())),
                Some(own) if own == environment => stream.send(framed(&message.to_string())),
                Some(_) => {}
            }
        }
    }

    /// Tells the streams of the proxy key.
    pub fn tell_proxies(&self, message: &Value) {
        let text = message.to_string();
        lock(&self.open).iter().filter(|stream| stream.environment.is_none()).for_each(|s| s.send(framed(&text)));
    }

    fn order(&self, order: impl Fn() -> Order) {
        lock(&self.open).iter().for_each(|stream| drop(stream.orders.send(order())));
    }
}

impl Stream {
    fn send(&self, bytes: Vec<u8>) {
        drop(self.orders.send(Order::Bytes(bytes)));
    }
}

pub fn framed(data: &str) -> Vec<u8> {
    format!("event: *\ndata: {data}\n\n").into_bytes()
}

/// Serves one stream to its end.
pub fn run(mut connection: &TcpStream, queue: &Queue, shared: &Shared) {
    const TICK: Duration = Duration::from_millis(50);
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    if connection.write_all(head).is_err() {
        return;
    }
    let mut last_byte = Instant::now();
    loop {
        let bytes = match queue.orders.recv_timeout(TICK) {
            Ok(Order::Bytes(bytes)) => bytes,
            Ok(Order::Close) => {
                let _ = connection.write_all(b"0\r\n\r\n");
                return;
            }
            Ok(Order::Reset) => return wire::reset(connection),
            Ok(Order::Freeze) => return freeze(connection, queue),
            Err(RecvTimeoutError::Disconnected) => return,
            // Looked at only while nothing is to be sent: the look takes longer than a message.
            Err(RecvTimeoutError::Timeout) if wire::is_gone(connection) => return,
            Err(RecvTimeoutError::Timeout) => {
                let due = last_byte.elapsed() >= shared.switches.heartbeat();
                if !due || shared.switches.silent.load(Ordering::SeqCst) {
                    continue;
                }
                b":\n\n".to_vec()
            }
        };
        last_byte = Instant::now();
        if wire::write_chunk(connection, &bytes).is_err() {
            return;
        }
    }
}

/// Nothing comes any more, and nothing says so. It counts as open no longer.
fn freeze(connection: &TcpStream, queue: &Queue) {
    queue.alive.store(false, Ordering::SeqCst);
    while !wire::is_gone(connection) {
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

impl FakeHarness {
    /// Streams that are open now, frozen ones left out.
    pub fn open_streams(&self) -> usize {
        lock(&self.shared.streams.open).iter().filter(|stream| stream.alive.load(Ordering::SeqCst)).count()
    }

    pub fn wait_for_streams(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.open_streams() != count {
            let open = self.open_streams();
            assert!(Instant::now() < deadline, "waited too long for {count} streams; {open} are open");
            // The pause only spares the processor; the count decides.
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Ends every stream as the real server does after 24 hours.
    pub fn close_streams(&self) {
        self.shared.streams.order(|| Order::Close);
    }

    pub fn reset_streams(&self) {
        self.shared.streams.order(|| Order::Reset);
    }

    /// Half-open from now: the connections stay, and nothing ever comes on them again.
    pub fn freeze_streams(&self) {
        self.shared.streams.order(|| Order::Freeze);
    }

    /// Any bytes, on every stream.
    pub fn send_raw(&self, bytes: &[u8]) {
        self.shared.streams.order(|| Order::Bytes(bytes.to_vec()));
    }

    /// Any bytes, in pieces of this many.
    pub fn send_in_pieces(&self, bytes: &[u8], size: usize) {
        bytes.chunks(size).for_each(|piece| self.send_raw(piece));
    }

    /// A message of the test's making, to the streams about an environment.
    pub fn send_message(&self, environment: &str, message: &Value) {
        self.shared.streams.tell(environment, message);
    }

    /// A message of the test's making, to the streams of the proxy key.
    pub fn send_to_proxies(&self, message: &Value) {
        self.shared.streams.tell_proxies(message);
    }
}
