//! Connections: one thread each, requests one after the other, faults in between.

use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::fault::{self, Fault};
use super::request::{Request, Route};
use super::wire::{self, Answer};
use super::{Shared, lock, rest};

/// One life of the listener.
pub struct Server {
    pub address: SocketAddr,
    life: Arc<Life>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Life {
    ended: AtomicBool,
    connections: Mutex<HashMap<u64, Weak<TcpStream>>>,
}

impl Server {
    pub fn start(shared: Arc<Shared>, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let address = listener.local_addr().unwrap();
        let life = Arc::new(Life::default());
        let accepting = {
            let life = Arc::clone(&life);
            thread::spawn(move || accept(&listener, &life, &shared))
        };
        Server { address, life, accepting: Some(accepting) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.life.ended.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then sees that it has ended.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let open: Vec<_> = lock(&self.life.connections).values().filter_map(Weak::upgrade).collect();
            if open.is_empty() || Instant::now() > deadline {
                return;
            }
            open.iter().for_each(|stream| wire::reset(stream));
            drop(open);
            thread::park_timeout(Duration::from_millis(2));
        }
    }
}

fn accept(listener: &TcpListener, life: &Arc<Life>, shared: &Arc<Shared>) {
    for (number, stream) in (0_u64..).zip(listener.incoming()) {
        if life.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream.map(Arc::new) else { continue };
        let _ = stream.set_nodelay(true);
        lock(&life.connections).insert(number, Arc::downgrade(&stream));
        let (life, shared) = (Arc::clone(life), Arc::clone(shared));
        thread::spawn(move || {
            serve(&stream, number, &shared);
            drop(stream);
            lock(&life.connections).remove(&number);
        });
    }
}

fn serve(stream: &TcpStream, connection: u64, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    while let Some(incoming) = wire::read_request(&mut reader) {
        let request = rest::place(shared, Request::new(incoming, connection));
        let index = {
            let mut requests = lock(&shared.requests);
            requests.push(request.clone());
            requests.len() - 1
        };
        let note = |status: u16| {
            // The list may have been cleared since.
            let mut requests = lock(&shared.requests);
            if let Some(noted) = requests.get_mut(index).filter(|noted| noted.at == request.at) {
                noted.status = Some(status);
            }
        };
        let fault = fault::meet(shared, &request);
        if request.route == Route::Stream && fault.is_none() {
            match shared.streams.open(shared, &request) {
                Ok(queue) => {
                    note(200);
                    super::streams::run(stream, &queue, shared);
                    return;
                }
                Err(answer) => {
                    note(answer.status);
                    if send(stream, &answer, None).is_none() {
                        return;
                    }
                    continue;
                }
            }
        }
        let answer = match &fault {
            Some(Fault::Answer(status, headers, body)) => {
                Answer { status: *status, headers: headers.clone(), body: body.clone() }
            }
            Some(Fault::Hang) => return hang(stream),
            Some(Fault::Reset(0)) => return wire::reset(stream),
            _ => rest::answer(shared, &request),
        };
        if !matches!(fault, Some(Fault::Lost)) {
            note(answer.status);
        }
        if send(stream, &answer, fault.as_ref()).is_none() {
            return;
        }
    }
}

/// `None` when the connection is of no further use.
fn send(mut stream: &TcpStream, answer: &Answer, fault: Option<&Fault>) -> Option<()> {
    let bytes = answer.bytes(answer.body.len());
    match fault {
        Some(Fault::Truncated) => {
            let head = answer.bytes(answer.body.len() + 1);
            let _ = stream.write_all(&head);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            None
        }
        Some(Fault::Reset(after)) => {
            let _ = stream.write_all(bytes.get(..*after).unwrap_or(&bytes));
            wire::reset(stream);
            None
        }
        Some(Fault::Stall(after)) => {
            let _ = stream.write_all(bytes.get(..*after).unwrap_or(&bytes));
            hang(stream);
            None
        }
        Some(Fault::Lost) => {
            wire::reset(stream);
            None
        }
        Some(Fault::CloseAfter) => {
            let _ = stream.write_all(&bytes);
            None
        }
        _ => stream.write_all(&bytes).ok(),
    }
}

/// Says nothing until the other side has had enough.
fn hang(stream: &TcpStream) {
    while !wire::is_gone(stream) {
        thread::park_timeout(Duration::from_millis(20));
    }
}
