//! Child processes on one core, and what the kernel says about them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The core of what is measured.
pub const SERVER_CORE: usize = 0;
/// The core of whoever measures.
pub const CLIENT_CORE: usize = 1;

/// The secret that relays and limit servers sign and verify with.
pub const SECRET: &str = "a-secret-for-benchmarks-only-0123456789";

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Keeps this process off the core of what it measures, where there is
/// another one.
pub fn pin_client() {
    let pid = std::process::id().to_string();
    let _ = Command::new("taskset").args(["-apc", &CLIENT_CORE.to_string(), &pid]).stdout(Stdio::null()).status();
}

/// A process on [`SERVER_CORE`]; killed when dropped.
pub struct Pinned {
    child: Child,
    pub address: SocketAddr,
    pub started: Instant,
}

impl Pinned {
    /// Runs a program that listens on this port of 127.0.0.1.
    pub fn start(program: &Path, arguments: &[String], port: u16) -> Self {
        Self::start_on(&SERVER_CORE.to_string(), program, arguments, port)
    }

    fn start_on(cores: &str, program: &Path, arguments: &[String], port: u16) -> Self {
        let started = Instant::now();
        let child = Command::new("taskset")
            .args(["-c", cores])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Pinned { child, address: SocketAddr::from(([127, 0, 0, 1], port)), started }
    }

    /// A release build of the relay.
    pub fn relay(options: &[String]) -> Self {
        Self::relay_on(&SERVER_CORE.to_string(), options)
    }

    /// The same on these cores, as `taskset` takes them.
    pub fn relay_on(cores: &str, options: &[String]) -> Self {
        let port = free_port();
        let given = |name: &str| options.iter().any(|option| option.starts_with(name));
        let mut arguments = options.to_vec();
        arguments.extend([format!("--port={port}"), format!("--auth-secret={SECRET}")]);
        for (name, value) in [("--grpc-address", "off"), ("--log-level", "ERROR")] {
            if !given(name) {
                arguments.push(format!("{name}={value}"));
            }
        }
        Self::start_on(cores, Path::new(env!("CARGO_BIN_EXE_ff-relay")), &arguments, port)
    }

    /// A relay that serves a configuration directory, once it is ready.
    pub fn offline(directory: &Path, options: &[&str]) -> Self {
        let mut all = vec!["--offline".to_owned(), format!("--config-dir={}", directory.display())];
        all.extend(options.iter().map(ToString::to_string));
        let relay = Self::relay(&all);
        if options.iter().any(|option| option.starts_with("--tls")) {
            relay.accepts();
        } else {
            relay.becomes_ready();
        }
        relay
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Time from the start until connections are accepted.
    pub fn accepts(&self) -> Duration {
        self.after("to listen", || TcpStream::connect(self.address).is_ok())
    }

    /// Time from the start until `/readyz` says 200, without TLS.
    pub fn becomes_ready(&self) -> Duration {
        self.after("to be ready", || ready(self.address).unwrap_or_default())
    }

    fn after(&self, what: &str, is_so: impl Fn() -> bool) -> Duration {
        while !is_so() {
            assert!(self.started.elapsed() < Duration::from_secs(60), "waited too long for it {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.started.elapsed()
    }

    /// Processor time of all its threads.
    pub fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let of = |task: std::io::Result<fs::DirEntry>| {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        };
        Duration::from_nanos(tasks.filter_map(of).sum())
    }

    /// Processor time since [`Pinned::cpu`] said this.
    pub fn cpu_since(&self, before: Duration) -> Duration {
        self.cpu().saturating_sub(before)
    }

    /// A line of the process's status in KiB, such as `VmRSS`.
    pub fn memory_kib(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|it| it.starts_with(line)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS")
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ready(address: SocketAddr) -> std::io::Result<bool> {
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer.contains(" 200 "))
}
