//! A real `redis-server` on a free port of this machine, with a directory of its own; ended with the test. Its log is printed
//! when the test fails.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use redis::{ConnectionAddr, FromRedisValue, IntoConnectionInfo as _, RedisConnectionInfo, RedisError, RedisResult};

const READY_WITHIN: Duration = Duration::from_secs(20);

pub struct RedisServer {
    kind: Kind,
    port: u16,
    tls_port: Option<u16>,
    lines: Vec<String>,
    login: Option<(Option<String>, String)>,
    place: tempfile::TempDir,
    child: Option<Child>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Server,
    /// With a free port for its bus.
    ClusterNode,
    Sentinel,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Data {
    Kept,
    Dropped,
}

impl RedisServer {
    /// With these lines in its configuration file, too. A `requirepass` among them is used by `cli`.
    pub fn start(lines: &[&str]) -> Self {
        Self::start_as(Kind::Server, lines)
    }

    /// Copies another one.
    pub fn replica_of(master: &RedisServer, lines: &[&str]) -> Self {
        let of = format!("replicaof 127.0.0.1 {}", master.port);
        let replica = Self::start(&[&[of.as_str(), "repl-diskless-sync-delay 0"], lines].concat());
        replica.wait_for_copy();
        replica
    }

    pub fn wait_for_copy(&self) {
        eventually("the replica has copied", READY_WITHIN, || {
            self.ask::<String>(&["INFO", "replication"]).is_ok_and(|info| info.contains("master_link_status:up"))
        });
    }

    /// Beside its plain port there is one with TLS.
    pub fn start_with_tls(kind: Kind, certificate: &TestCertificate, lines: &[&str]) -> Self {
        let mut server = Self::prepared(kind, lines);
        server.tls_port = Some(0);
        let path = |name: &str| certificate.place.path().join(name).display().to_string();
        let tls = [
            format!("tls-cert-file {}", path("cert.pem")),
            format!("tls-key-file {}", path("key.pem")),
            format!("tls-ca-cert-file {}", path("cert.pem")),
            "tls-auth-clients no".to_owned(),
        ];
        server.lines.extend(tls);
        server.begin();
        server
    }

    pub fn start_as(kind: Kind, lines: &[&str]) -> Self {
        let mut server = Self::prepared(kind, lines);
        server.begin();
        server
    }

    fn prepared(kind: Kind, lines: &[&str]) -> Self {
        let password = lines.iter().find_map(|line| line.strip_prefix("requirepass "));
        RedisServer {
            kind,
            port: 0,
            tls_port: None,
            lines: lines.iter().map(ToString::to_string).collect(),
            login: password.map(|password| (None, password.to_owned())),
            place: tempfile::tempdir().unwrap(),
            child: None,
        }
    }

    /// Another process may take the free port first; then the server ends at once, and another port is tried.
    fn begin(&mut self) {
        for _ in 0..3 {
            self.port = free_port();
            if self.tls_port.is_some() {
                self.tls_port = Some(free_port());
            }
            self.configure();
            self.spawn();
            if self.becomes_ready() {
                return;
            }
        }
        panic!("redis-server does not start: {}", self.log());
    }

    fn configure(&self) {
        let mut text = format!("port {}\nbind 127.0.0.1\ndir {}\n", self.port, self.place.path().display());
        match self.kind {
            // Every command is in the file before it is answered, so a killed server has it after a restart.
            Kind::Server => text.push_str("save \"\"\nappendonly yes\n"),
            Kind::ClusterNode => {
                let _ = write!(
                    text,
                    "save \"\"\nappendonly yes\ncluster-enabled yes\ncluster-port {}\n\
                     cluster-require-full-coverage no\n",
                    free_port()
                );
            }
            Kind::Sentinel => {}
        }
        if let Some(port) = self.tls_port {
            let _ = writeln!(text, "tls-port {port}");
        }
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        fs::write(self.file(), text).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.place.path().join("redis.conf")
    }

    fn spawn(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.place.path().join("log")).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(self.file());
        if self.kind == Kind::Sentinel {
            command.arg("--sentinel");
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().expect("redis-server is to be installed"));
    }

    fn becomes_ready(&mut self) -> bool {
        let since = Instant::now();
        loop {
            if self.ask::<String>(&["PING"]).is_ok() {
                return true;
            }
            if self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some()) {
                return false;
            }
            assert!(since.elapsed() < READY_WITHIN, "redis-server does not answer: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn tls_port(&self) -> u16 {
        self.tls_port.expect("started without TLS")
    }

    /// Where other servers look for it.
    pub fn known_port(&self) -> u16 {
        self.tls_port.unwrap_or(self.port)
    }

    pub fn bus_port(&self) -> u16 {
        let text = fs::read_to_string(self.file()).unwrap();
        text.lines().find_map(|line| line.strip_prefix("cluster-port ")?.parse().ok()).expect("no node of a cluster")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    /// At once, as after a crash; data that it has acknowledged is on disk.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// On the same port.
    pub fn restart(&mut self, data: Data) {
        self.kill();
        if data == Data::Dropped {
            let _ = fs::remove_dir_all(self.place.path().join("appendonlydir"));
        }
        self.spawn();
        assert!(self.becomes_ready(), "redis-server does not start again: {}", self.log());
    }

    /// It goes on accepting connections and answers nothing.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// The shell's own `kill`: the program is not on every machine.
    fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("it was killed").id();
        assert!(Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status().unwrap().success());
    }

    /// One command, past the relay; panics where it fails.
    pub fn cli<T: FromRedisValue>(&self, command: &[&str]) -> T {
        self.ask(command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// One command with another password than the one it was started with.
    pub fn cli_as(&self, password: &str, command: &[&str]) {
        let mut connection = self.connect_with(Some(&(None, password.to_owned()))).unwrap();
        let mut request = redis::cmd(command[0]);
        command[1..].iter().for_each(|argument| {
            request.arg(*argument);
        });
        let answer: RedisResult<redis::Value> = request.query(&mut connection);
        answer.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    }

    /// One command, past the relay.
    pub fn ask<T: FromRedisValue>(&self, command: &[&str]) -> RedisResult<T> {
        let mut connection = self.connect_with(self.login.as_ref())?;
        let mut request = redis::cmd(command[0]);
        for argument in &command[1..] {
            request.arg(*argument);
        }
        request.query(&mut connection)
    }

    fn connect_with(&self, login: Option<&(Option<String>, String)>) -> RedisResult<redis::Connection> {
        let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some((username, password)) = login {
            settings = settings.set_password(password);
            if let Some(username) = username {
                settings = settings.set_username(username);
            }
        }
        let address = ConnectionAddr::Tcp("127.0.0.1".to_owned(), self.port).into_connection_info()?;
        let client = redis::Client::open(address.set_redis_settings(settings))?;
        let connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok::<_, RedisError>(connection)
    }
}

/// A certificate that signs itself, for the names `localhost` and 127.0.0.1.
pub struct TestCertificate {
    place: tempfile::TempDir,
}

impl TestCertificate {
    pub fn new() -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("cert.pem"), certified.cert.pem()).unwrap();
        fs::write(place.path().join("key.pem"), certified.signing_key.serialize_pem()).unwrap();
        TestCertificate { place }
    }

    /// What makes it trusted.
    pub fn ca(&self) -> PathBuf {
        self.place.path().join("cert.pem")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- log of Redis at {}\n{}", self.port, self.log());
        }
    }
}

/// Waits until it holds.
#[track_caller]
pub fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < within, "{what}: not within {within:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).unwrap().port()
}
