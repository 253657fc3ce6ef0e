//! An unmodified Harness SDK in its own process: a small driver program (tests/sdk) in the SDK's language takes commands as JSON
//! lines and answers with JSON lines. `tests/run` prepares what the drivers need.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const CLOSED_WITHIN: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sdk {
    Node,
    Python,
    Go,
    Java,
    Browser,
}

/// What an SDK asks a flag with.
pub struct Question<'a> {
    pub flag: &'a str,
    /// `boolean`, `string`, `number` or `json`.
    pub kind: &'a str,
    pub target: &'a Value,
    pub default: Value,
}

impl Sdk {
    pub const ALL: [Self; 5] = [Self::Node, Self::Python, Self::Go, Self::Java, Self::Browser];

    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Python => "python",
            Self::Go => "go",
            Self::Java => "java",
            Self::Browser => "browser",
        }
    }

    /// Evaluates in the relay, for one target at a time, and holds results instead of rules.
    pub fn is_client_side(self) -> bool {
        self == Self::Browser
    }

    /// Go and Java only send by a timer; a browser page just ends.
    pub fn sends_metrics_when_closed(self) -> bool {
        matches!(self, Self::Node | Self::Python)
    }

    /// The driver, or what is missing for it.
    fn driver(self) -> Result<Command, String> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(self.name());
        let prepared = prepared_drivers().join(self.name());
        match self {
            Self::Node | Self::Browser => {
                let modules = existing(prepared.join("node_modules"))?;
                let mut node = Command::new(program("node")?);
                node.arg(sources.join("driver.js")).env("NODE_PATH", modules);
                if self == Self::Browser {
                    node.env("CHROMIUM", chromium()?);
                }
                Ok(node)
            }
            Self::Python => {
                let mut python = Command::new(existing(prepared.join("bin/python"))?);
                python.arg(sources.join("driver.py"));
                Ok(python)
            }
            Self::Go => Ok(Command::new(existing(prepared.join("driver"))?)),
            Self::Java => {
                let (classes, libraries) = (existing(prepared.join("classes"))?, existing(prepared.join("lib"))?);
                let mut java = Command::new(program("java")?);
                let class_path = format!("{}:{}/*", classes.display(), libraries.display());
                // Several JVMs beside everything else on a small machine: a quick start matters, speed does not.
                java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &class_path, "Driver"]);
                Ok(java)
            }
        }
    }

    /// What this machine lacks for the SDK, if anything.
    pub fn missing(self) -> Option<String> {
        self.driver().err()
    }
}

fn prepared_drivers() -> PathBuf {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sdk-tests");
    env::var_os("SDK_TESTS_DIR").map_or_else(usual, PathBuf::from)
}

fn existing(path: PathBuf) -> Result<PathBuf, String> {
    if path.exists() { Ok(path) } else { Err(format!("{} is missing, tests/run prepares it", path.display())) }
}

fn program(name: &str) -> Result<PathBuf, String> {
    let directories = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&directories).map(|directory| directory.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("{name} is not installed"))
}

fn chromium() -> Result<PathBuf, String> {
    match env::var_os("CHROMIUM") {
        Some(path) if !path.is_empty() => existing(path.into()),
        _ => program("chromium"),
    }
}

pub struct SdkProcess {
    sdk: Sdk,
    child: Child,
    commands: Option<ChildStdin>,
    answers: Receiver<Value>,
    asked: HashMap<String, i64>,
    log: NamedTempFile,
}

impl SdkProcess {
    /// `ready_within` is how long the driver waits for its SDK before it says `failed`.
    pub fn start(sdk: Sdk, relay_url: &str, key: &str, target: &Value, ready_within: Duration) -> Self {
        let log = NamedTempFile::new().unwrap();
        let mut child = sdk
            .driver()
            .unwrap()
            .env("RELAY_URL", relay_url)
            .env("SDK_KEY", key)
            .env("TARGET", target.to_string())
            .env("INIT_TIMEOUT_SECONDS", ready_within.as_secs().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let (send, answers) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let answer = serde_json::from_str(&line).unwrap_or_else(|_| json!({"event": "noise", "line": line}));
                if send.send(answer).is_err() {
                    return;
                }
            }
        });
        Self { sdk, commands: child.stdin.take(), child, answers, asked: HashMap::new(), log }
    }

    /// `ready`, or `failed` with the SDK's reason.
    pub fn first_event(&self, within: Duration) -> Value {
        self.answer(within)
    }

    pub fn variation(&mut self, question: &Question) -> Value {
        let Question { flag, kind, target, default } = question;
        self.command(
            &json!({"command": "variation", "flag": flag, "kind": kind, "target": target, "default": default}),
        );
        *self.asked.entry((*flag).to_owned()).or_default() += 1;
        let answer = self.answer(ANSWER_WITHIN);
        assert_eq!(answer["event"], "value", "{} to {flag}: {answer}", self.sdk.name());
        match &answer["value"] {
            // The browser SDK hands out a JSON flag as text: Harness encodes it once more, and the SDK decodes once.
            Value::String(text) if *kind == "json" => serde_json::from_str(text).unwrap(),
            value => value.clone(),
        }
    }

    /// How often the SDK was asked for this flag.
    pub fn asked(&self, flag: &str) -> i64 {
        self.asked.get(flag).copied().unwrap_or_default()
    }

    /// Starts the browser's SDK anew for another target.
    pub fn become_target(&mut self, target: &Value, within: Duration) {
        self.command(&json!({"command": "target", "target": target}));
        let answer = self.answer(within);
        assert_eq!(answer["event"], "ready", "{} as {target}: {answer}", self.sdk.name());
    }

    /// Closes the SDK, which may send its last metrics, and waits until the driver has ended.
    pub fn close(mut self) {
        self.command(&json!({"command": "close"}));
        assert!(
            self.ends_within(CLOSED_WITHIN),
            "{} has not ended {CLOSED_WITHIN:?} after it was closed",
            self.sdk.name()
        );
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the {} driver ended with {status}", self.sdk.name());
    }

    fn command(&mut self, command: &Value) {
        let commands = self.commands.as_mut().unwrap();
        let sent = writeln!(commands, "{command}").and_then(|()| commands.flush());
        sent.unwrap_or_else(|error| panic!("the {} driver takes no commands: {error}", self.sdk.name()));
    }

    fn answer(&self, within: Duration) -> Value {
        let answer = self.answers.recv_timeout(within);
        answer.unwrap_or_else(|error| panic!("no answer from the {} driver in {within:?}: {error}", self.sdk.name()))
    }

    fn ends_within(&mut self, limit: Duration) -> bool {
        let since = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if since.elapsed() > limit {
                return false;
            }
            thread::sleep(Duration::from_millis(50));
        }
        true
    }
}

impl Drop for SdkProcess {
    fn drop(&mut self) {
        // A driver whose commands end closes itself, and the browser that it started; it is killed only if it does not.
        self.commands = None;
        if !self.ends_within(Duration::from_secs(5)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            let log = fs::read_to_string(self.log.path()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(150)..];
            eprintln!("--- last lines of the {} SDK\n{}", self.sdk.name(), last.join("\n"));
        }
    }
}
