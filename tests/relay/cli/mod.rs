//! The command line, as a shell runs it.

mod airgap;
mod completions;
mod control;
mod diff;
mod docs;
mod explain;
mod export;
mod fake;
mod import;
mod inspect;
mod tls;
mod watch;
mod whole;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::relay::TestRelay;

/// A relay's tokens, and a file for each.
const TOKENS: [&str; 3] =
    ["--grpc-sync-tokens=sync-token", "--grpc-inspect-tokens=inspect-token", "--grpc-admin-tokens=admin-token"];

/// What a command did.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts success and gives standard output.
    fn good(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        &self.out
    }
}

/// A shell with a relay's address and a token in its environment.
struct Shell {
    place: tempfile::TempDir,
    address: String,
    variables: Vec<(&'static str, String)>,
}

impl Shell {
    fn at(address: SocketAddr, token: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("token"), format!("{token}\n")).unwrap();
        std::fs::write(place.path().join("admin-token"), "admin-token\n").unwrap();
        Shell { place, address: address.to_string(), variables: Vec::new() }
    }

    fn of(relay: &TestRelay) -> Self {
        Self::at(relay.grpc.unwrap(), "sync-token")
    }

    /// Sets a variable of its environment.
    fn set(&mut self, name: &'static str, value: &str) {
        self.variables.push((name, value.to_owned()));
    }

    /// A file of this shell's own directory, where commands run.
    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.place).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("FF_RELAY_ADDRESS", &self.address).env("FF_RELAY_TOKEN_FILE", "token").stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `ff-relay` with these words.
    fn run(&self, words: &[&str]) -> Ran {
        let output = self.command(env!("CARGO_BIN_EXE_ff-relay")).args(words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}
