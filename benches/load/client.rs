//! A client that costs little: one thread, connections that stay open,
//! requests that are ready but for a number in them.
//!
//! Closed: each connection asks again once it has its answer, which gives
//! the highest rate. Paced: requests have their times, whatever the answers
//! do, and how long one takes counts from its time on.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::answer::Incoming;
use super::traffic::Traffic;
use crate::workload::figures::Spread;

/// What a drive came to.
#[derive(Debug)]
pub struct Outcome {
    pub answered: u64,
    pub elapsed: Duration,
    pub times: Vec<Duration>,
}

impl Outcome {
    pub fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a figure")]
        let answered = self.answered as f64;
        answered / self.elapsed.as_secs_f64()
    }

    pub fn spread(&self) -> Spread {
        Spread::of(self.times.iter().copied())
    }
}

pub struct Client {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    free: VecDeque<usize>,
    buffer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    written: usize,
    incoming: Incoming,
    kind: usize,
    since: Instant,
}

#[derive(Clone, Copy)]
enum Pace {
    Closed,
    Every(Duration),
}

impl Client {
    pub fn connect(address: SocketAddr, connections: usize) -> Self {
        let poll = Poll::new().unwrap();
        let connect = |number| {
            let stream = std::net::TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_nonblocking(true).unwrap();
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE).unwrap();
            let (request, incoming) = (Vec::with_capacity(2048), Incoming::default());
            Connection { stream, request, written: 0, incoming, kind: 0, since: Instant::now() }
        };
        let connections: Vec<_> = (0..connections).map(connect).collect();
        let free = (0..connections.len()).collect();
        Client { poll, events: Events::with_capacity(256), connections, free, buffer: vec![0; 256 * 1024] }
    }

    /// As fast as the answers come.
    pub fn closed(&mut self, traffic: &mut Traffic, time: Duration) -> Outcome {
        self.drive(traffic, time, Pace::Closed)
    }

    /// So many requests a second.
    pub fn paced(&mut self, traffic: &mut Traffic, time: Duration, rate: f64) -> Outcome {
        self.drive(traffic, time, Pace::Every(Duration::from_secs_f64(1.0 / rate)))
    }

    fn drive(&mut self, traffic: &mut Traffic, time: Duration, pace: Pace) -> Outcome {
        let start = Instant::now();
        let end = start + time;
        let mut times = Vec::with_capacity(1 << 18);
        let mut due = start;
        loop {
            let now = Instant::now();
            if now >= end {
                break;
            }
            match pace {
                Pace::Closed => {
                    while let Some(at) = self.free.pop_front() {
                        self.connections[at].ask(traffic, now);
                    }
                }
                Pace::Every(interval) => {
                    while due <= now
                        && let Some(at) = self.free.pop_front()
                    {
                        self.connections[at].ask(traffic, due);
                        due += interval;
                    }
                }
            }
            self.take_answers(traffic, pace, &mut times);
        }
        let (answered, elapsed) = (times.len() as u64, start.elapsed());
        self.settle(traffic, pace);
        Outcome { answered, elapsed, times }
    }

    /// Waits for what is still out, and counts none of it.
    fn settle(&mut self, traffic: &Traffic, pace: Pace) {
        let since = Instant::now();
        while self.free.len() < self.connections.len() {
            assert!(since.elapsed() < Duration::from_secs(20), "answers are missing");
            self.take_answers(traffic, pace, &mut Vec::new());
        }
    }

    fn take_answers(&mut self, traffic: &Traffic, pace: Pace, times: &mut Vec<Duration>) {
        let timeout = match pace {
            Pace::Closed => Duration::from_millis(10),
            // The kernel's timeouts are too coarse to keep the pace.
            Pace::Every(_) => Duration::ZERO,
        };
        self.poll.poll(&mut self.events, Some(timeout)).unwrap();
        if self.events.is_empty() {
            std::thread::yield_now();
        }
        for event in &self.events {
            let at = event.token().0;
            let connection = &mut self.connections[at];
            if event.is_writable() {
                connection.write();
            }
            if event.is_readable() && connection.read(&mut self.buffer, traffic) {
                times.push(connection.since.elapsed());
                self.free.push_back(at);
            }
        }
    }
}

impl Connection {
    fn ask(&mut self, traffic: &mut Traffic, since: Instant) {
        self.kind = traffic.next(&mut self.request);
        (self.written, self.since) = (0, since);
        self.write();
    }

    fn write(&mut self) {
        while self.written < self.request.len() {
            match self.stream.write(&self.request[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("a request could not be sent: {error}"),
            }
        }
    }

    /// True once the answer is whole.
    fn read(&mut self, buffer: &mut [u8], traffic: &Traffic) -> bool {
        let expected = traffic.expected(self.kind);
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => panic!("the server closed a connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("an answer could not be read: {error}"),
            };
            match self.incoming.take(&buffer[..read], expected) {
                Some(true) => return true,
                Some(false) => panic!(
                    "not the answer that was expected to {}\n{}",
                    String::from_utf8_lossy(&self.request),
                    String::from_utf8_lossy(&buffer[..read.min(1000)])
                ),
                // All that there was has been read.
                None if read < buffer.len() => return false,
                None => {}
            }
        }
    }
}
