//! The relay's own binary as a process: started on a free port, waited for until it is ready, ended with the test. Its log is
//! printed when the test fails.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

const READY_WITHIN: Duration = Duration::from_mins(1);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

pub struct RelayProcess {
    child: Child,
    address: SocketAddr,
    log: NamedTempFile,
}

pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl RelayProcess {
    /// Adds `--port` to the arguments and returns once `/readyz` says 200.
    pub fn start(binary: &OsStr, arguments: &[OsString]) -> Self {
        // Another process may take the free port first; then the relay ends at once, and another port is tried.
        (0..3).find_map(|_| Self::attempt(binary, arguments)).unwrap_or_else(|| {
            panic!("{} {arguments:?} ended before it was ready, see its log above", binary.display())
        })
    }

    fn attempt(binary: &OsStr, arguments: &[OsString]) -> Option<Self> {
        let address = free_address();
        let log = NamedTempFile::new().unwrap();
        // Duplicates of one handle share its offset, so that neither output overwrites the other.
        let output = log.reopen().unwrap();
        let child = Command::new(binary)
            .args(arguments)
            .arg(format!("--port={}", address.port()))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let mut relay = Self { child, address, log };
        relay.becomes_ready().then_some(relay)
    }

    fn becomes_ready(&mut self) -> bool {
        let started = Instant::now();
        loop {
            if self.get("/readyz").is_ok_and(|answer| answer.status == 200) {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                eprintln!("{}", self.log());
                return false;
            }
            assert!(started.elapsed() < READY_WITHIN, "the relay is not ready after {READY_WITHIN:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    pub fn get(&self, path: &str) -> io::Result<Answer> {
        self.request("GET", path, &[], "")
    }

    /// HTTP/1.0, so that the answer is not chunked and ends with the connection.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> io::Result<Answer> {
        let mut connection = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        connection.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut request =
            format!("{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: {}\r\n", self.address, body.len());
        for (name, value) in headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        connection.write_all(format!("{request}\r\n{body}").as_bytes())?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Answer { status: status.ok_or(io::ErrorKind::InvalidData)?, body: body.to_owned() })
    }

    /// The sum of a Prometheus metric's samples that carry all of these labels.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.get("/metrics").map(|answer| answer.body).unwrap_or_default();
        let of_this_name =
            text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        let samples = of_this_name.filter(|line| labels.iter().all(|label| line.contains(label)));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Stops it in its tracks, as a machine that hangs.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(sent.success(), "the relay has ended");
    }

    /// Asks it to end, as an orchestrator does, and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        // The shell's own `kill`: the program is not on every machine.
        let asked = Command::new("sh").args(["-c", &format!("kill {}", self.child.id())]).status().unwrap();
        assert!(asked.success(), "the relay had ended before it was asked to");
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(since.elapsed() < STOPPED_WITHIN, "the relay has not ended {STOPPED_WITHIN:?} after SIGTERM");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of the relay at {}\n{}", self.address, self.log());
        }
    }
}

/// What cargo built for this test, or a release build that the environment names.
pub fn binary() -> OsString {
    env::var_os("FF_RELAY_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_ff-relay").into())
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).unwrap()
}
