//! All streams, on one thread.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use rustls::ClientConfig;

use super::stream::{Stream, contains, count};

/// Streams of one source address: there are fewer ports than streams.
const OF_ONE_ADDRESS: usize = 5000;

pub struct Crowd {
    poll: Poll,
    events: Events,
    streams: Vec<Stream>,
    /// So many of the first streams are never read.
    stuck: usize,
    open: usize,
    buffer: Vec<u8>,
    pub seen: Seen,
}

/// What all streams were sent.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen {
    pub events: usize,
    /// Events that carried evaluations.
    pub with_evaluations: usize,
}

impl Crowd {
    pub fn new() -> Self {
        Crowd {
            poll: Poll::new().unwrap(),
            events: Events::with_capacity(1024),
            streams: Vec::new(),
            stuck: 0,
            open: 0,
            buffer: vec![0; 64 * 1024],
            seen: Seen::default(),
        }
    }

    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Opens streams until there are `count`, of which so many connect at
    /// the same time; returns when all are open.
    pub fn grow(
        &mut self,
        count: usize,
        together: usize,
        to: SocketAddr,
        request: &dyn Fn(usize) -> Vec<u8>,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Duration {
        let start = Instant::now();
        while self.open < count {
            while self.streams.len() < count && self.streams.len() - self.open < together {
                let number = self.streams.len();
                let host = u8::try_from(2 + number / OF_ONE_ADDRESS).unwrap();
                let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, host));
                let mut stream = Stream::connect(from, to, request(number), tls);
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut stream.tcp, Token(number), interest).unwrap();
                self.streams.push(stream);
            }
            assert!(start.elapsed() < Duration::from_secs(300), "{} of {count} streams are open", self.open);
            self.pump(Duration::from_millis(100), |_, _| {});
        }
        start.elapsed()
    }

    /// The first `count` streams are read no more.
    pub fn stick(&mut self, count: usize) {
        for stream in &mut self.streams[self.stuck..count] {
            self.poll.registry().deregister(&mut stream.tcp).unwrap();
        }
        self.stuck = count;
    }

    /// How many streams are read.
    pub fn readers(&self) -> usize {
        self.streams.len() - self.stuck
    }

    /// When each of the streams that are read got these bytes, since `from`.
    pub fn hear(&mut self, wanted: &str, from: Instant) -> Vec<Duration> {
        let (mut heard, mut times) = (vec![false; self.streams.len()], Vec::with_capacity(self.streams.len()));
        while times.len() < self.readers() {
            assert!(from.elapsed() < Duration::from_secs(60), "{} streams heard of it", times.len());
            self.pump(Duration::from_millis(100), |number, bytes| {
                if !heard[number] && contains(bytes, wanted.as_bytes()) {
                    heard[number] = true;
                    times.push(from.elapsed());
                }
            });
        }
        times
    }

    /// Reads whatever comes for a while.
    pub fn listen(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.pump(left, |_, _| {});
        }
    }

    fn pump(&mut self, timeout: Duration, mut take: impl FnMut(usize, &[u8])) {
        self.poll.poll(&mut self.events, Some(timeout)).unwrap();
        for event in &self.events {
            let number = event.token().0;
            let stream = &mut self.streams[number];
            let was_open = stream.open;
            if event.is_writable() && !was_open {
                stream.write();
            }
            if event.is_readable() {
                let seen = &mut self.seen;
                stream.read(&mut self.buffer, |_, bytes| {
                    seen.events += count(bytes, b"event:");
                    seen.with_evaluations += count(bytes, b"\"evaluations\":[");
                    take(number, bytes);
                });
            }
            self.open += usize::from(stream.open && !was_open);
        }
    }
}
