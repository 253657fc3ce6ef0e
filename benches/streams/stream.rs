//! One SDK's stream, seen from the SDK.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Protocol, Socket, Type};

pub struct Stream {
    pub tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// What of the request has not been sent.
    request: Vec<u8>,
    /// True once the relay has sent the first heartbeat.
    pub open: bool,
}

impl Stream {
    /// Begins to connect.
    pub fn connect(from: IpAddr, to: SocketAddr, request: Vec<u8>, tls: Option<&Arc<ClientConfig>>) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        match socket.connect(&to.into()) {
            Ok(()) => {}
            // EINPROGRESS: it goes on by itself.
            Err(error) => assert_eq!(error.raw_os_error(), Some(115), "a stream could not connect: {error}"),
        }
        let tls = tls.map(|config| {
            let name = ServerName::try_from("localhost").unwrap();
            Box::new(ClientConnection::new(Arc::clone(config), name).unwrap())
        });
        Stream { tcp: TcpStream::from_std(socket.into()), tls, request, open: false }
    }

    /// Sends what can be sent of the request.
    pub fn write(&mut self) {
        while !self.request.is_empty() {
            let written = match &mut self.tls {
                None => self.tcp.write(&self.request),
                Some(tls) => tls.writer().write(&self.request),
            };
            match written {
                Ok(written) => drop(self.request.drain(..written)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return,
                Err(error) => panic!("a request could not be sent: {error}"),
            }
        }
        self.request = Vec::new();
        self.flush_tls();
    }

    fn flush_tls(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        while tls.wants_write() {
            match tls.write_tls(&mut self.tcp) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return,
                Err(error) => panic!("a handshake failed: {error}"),
            }
        }
    }

    /// Reads what has come, until there is no more.
    pub fn read(&mut self, buffer: &mut [u8], mut take: impl FnMut(&mut Stream, &[u8])) {
        loop {
            let Some(read) = self.read_once(buffer) else { return };
            if read == 0 && self.tls.is_some() {
                continue;
            }
            assert!(read > 0, "the relay closed a stream");
            let bytes = &buffer[..read];
            if !self.open {
                let text = String::from_utf8_lossy(bytes);
                assert!(!text.starts_with("HTTP/1.1") || text.contains(" 200 "), "no stream: {text}");
                self.open = contains(bytes, b":\n\n\r\n");
            }
            take(self, bytes);
            if read < buffer.len() && self.tls.is_none() {
                return;
            }
        }
    }

    /// `None` when nothing is there; with TLS zero where only records came
    /// that hold no data.
    fn read_once(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let Some(tls) = &mut self.tls else {
            return match self.tcp.read(buffer) {
                Ok(read) => Some(read),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => None,
                Err(error) => panic!("a stream broke: {error}"),
            };
        };
        match tls.reader().read(buffer) {
            Ok(read) => {
                assert!(read > 0, "the relay closed a stream");
                return Some(read);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        match tls.read_tls(&mut self.tcp) {
            Ok(read) => assert!(read > 0, "the relay closed a stream"),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return None,
            Err(error) => panic!("a stream broke: {error}"),
        }
        tls.process_new_packets().unwrap();
        self.flush_tls();
        Some(0)
    }
}

pub fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

pub fn count(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).filter(|window| *window == wanted).count()
}
