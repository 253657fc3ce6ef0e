//! What benchmarks share: a relay as a process, an SDK's stream, figures.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub fn flag(name: &str, version: i64) -> Value {
    json!({
        "feature": name, "kind": "boolean", "project": "p", "environment": "e", "state": "on", "version": version,
        "offVariation": "false", "defaultServe": {"variation": "true"}, "prerequisites": [], "rules": [],
        "variationToTargetMap": [],
        "variations": [{"identifier": "true", "value": "true"}, {"identifier": "false", "value": "false"}],
    })
}

pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The release binary; killed when dropped.
pub struct Relay {
    child: Child,
    pub address: SocketAddr,
    started: Instant,
}

impl Relay {
    /// Without `--grpc-address` among the options the gRPC port is off.
    pub fn start(options: &[String]) -> Self {
        let address = free_address();
        let started = Instant::now();
        let grpc = options.iter().any(|option| option.starts_with("--grpc-address"));
        let child = Command::new(env!("CARGO_BIN_EXE_ff-relay"))
            .args(options)
            .args((!grpc).then_some("--grpc-address=off"))
            .args([format!("--port={}", address.port()), "--log-level=ERROR".to_owned()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Relay { child, address, started }
    }

    pub fn ask(&self, request: &str) -> Option<String> {
        let mut connection = TcpStream::connect(self.address).ok()?;
        connection.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Time from the start until this is so.
    pub fn since_start(&self, mut is_so: impl FnMut(&Relay) -> bool) -> Duration {
        while !is_so(self) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.started.elapsed()
    }

    pub fn becomes_ready(&self) -> Duration {
        self.since_start(|relay| {
            relay.ask("GET /readyz HTTP/1.0\r\n\r\n").is_some_and(|answer| answer.contains(" 200 "))
        })
    }

    /// A line of the process's status in MiB, such as `VmRSS` or `VmHWM`.
    pub fn memory_mib(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|it| it.starts_with(line)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    pub fn resident_mib(&self) -> u64 {
        self.memory_mib("VmRSS")
    }

    /// Lets the peak (`VmHWM`) begin anew.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// The value of `Authorization` for an SDK key; `None` while there is none.
    pub fn bearer(&self, key: &str) -> Option<String> {
        let body = format!("{{\"apiKey\":\"{key}\"}}");
        let request = format!("POST /client/auth HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answer = self.ask(&request)?;
        let token: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1)?).ok()?;
        Some(format!("Bearer {}", token["authToken"].as_str()?))
    }

    /// Ends it in order.
    pub fn stop(mut self) {
        let asked = Command::new("sh").args(["-c", &format!("kill {}", self.child.id())]).status().unwrap();
        assert!(asked.success());
        self.child.wait().unwrap();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An SDK's stream.
pub struct Events {
    connection: BufReader<TcpStream>,
}

impl Events {
    /// Returns once it has said something.
    pub fn open(relay: &Relay, key: &str) -> Self {
        let authorization = relay.bearer(key).unwrap();
        let mut connection = TcpStream::connect(relay.address).unwrap();
        let request =
            format!("GET /stream HTTP/1.1\r\nHost: x\r\nAPI-Key: {key}\r\nAuthorization: {authorization}\r\n\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        let mut events = Events { connection: BufReader::new(connection) };
        events.wait_for_text(":");
        events
    }

    /// Waits for the event of a flag's version.
    pub fn wait_for(&mut self, flag: &str, version: i64) {
        self.wait_for_text(&format!("\"identifier\":\"{flag}\",\"version\":{version}"));
    }

    fn wait_for_text(&mut self, wanted: &str) {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.connection.read_line(&mut line).unwrap() > 0, "the stream has ended");
            if line.contains(wanted) {
                return;
            }
        }
    }
}

/// Median, 99th percentile and the slowest.
pub fn print_times(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!("{} changes, {what}: median {:.2?}, p99 {:.2?}, slowest {:.2?}", times.len(), at(50), at(99), at(100));
}
