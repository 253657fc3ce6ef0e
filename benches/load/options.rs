//! The command line.

use std::path::PathBuf;
use std::time::Duration;

pub const USAGE: &str = "cargo bench --bench load -- [scenario…] [--seconds N] [--rounds N] [--requests N] \
                         [--limit-runtime current] [--json FILE]";

pub enum Run {
    /// Be the limit server of this specification.
    Limit(String),
    Scenarios(Options),
    /// Without `--bench`: `cargo test` asks whether it starts.
    Nothing,
}

pub struct Options {
    names: Vec<String>,
    /// Of one server in one round.
    pub each: Duration,
    pub rounds: usize,
    /// Of the scenario `memory`.
    pub requests: u64,
    /// The limit server on tokio's current-thread runtime, not on the kind
    /// of runtime that the relay has.
    pub limit_on_current_thread: bool,
    pub json: Option<PathBuf>,
}

impl Options {
    /// Whether this scenario was named; without names all are, but `memory`.
    pub fn wants(&self, name: &str) -> bool {
        let named = |given: &String| given == name || given.strip_suffix('*').is_some_and(|it| name.starts_with(it));
        self.names.iter().any(named) || (self.names.is_empty() && name != "memory")
    }
}

pub fn read(arguments: impl Iterator<Item = String>) -> Run {
    let mut options = Options {
        names: Vec::new(),
        each: Duration::from_secs(2),
        rounds: 5,
        requests: 1_000_000,
        limit_on_current_thread: false,
        json: None,
    };
    let (mut arguments, mut asked) = (arguments, false);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
        match argument.as_str() {
            "--bench" => asked = true,
            "limit" => return Run::Limit(value()),
            "list" => return Run::Nothing,
            "--seconds" => options.each = Duration::from_secs_f64(value().parse().unwrap()),
            "--rounds" => options.rounds = value().parse().unwrap(),
            "--requests" => options.requests = value().parse().unwrap(),
            "--limit-runtime" => options.limit_on_current_thread = value() == "current",
            "--json" => options.json = Some(value().into()),
            name => options.names.push(name.to_owned()),
        }
    }
    if asked { Run::Scenarios(options) } else { Run::Nothing }
}
