//! The command line.

use std::path::PathBuf;
use std::time::Duration;

pub const USAGE: &str = "cargo bench --bench streams -- [plain] [tls] [clients] [burst] [http2] [--streams N,N,…] \
                         [--idle SECONDS] [--changes N] [--json FILE]";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Server-side SDKs.
    Plain,
    Tls,
    /// Client-side SDKs, each with a target of its own.
    Clients,
    /// Server-side SDKs that connect all at the same time.
    Burst,
    /// Server-side SDKs that speak HTTP/2 by TLS.
    Http2,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Plain => "plain",
            Kind::Tls => "tls",
            Kind::Clients => "clients",
            Kind::Burst => "burst",
            Kind::Http2 => "http2",
        }
    }
}

pub struct Options {
    pub kinds: Vec<Kind>,
    /// Growing numbers of open streams.
    pub streams: Vec<usize>,
    pub idle: Duration,
    pub changes: usize,
    pub json: Option<PathBuf>,
}

/// `None` without `--bench`: `cargo test` asks whether it starts.
pub fn read(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        kinds: Vec::new(),
        streams: vec![1000, 5000, 15_000],
        idle: Duration::from_secs(30),
        changes: 7,
        json: None,
    };
    let all = [Kind::Plain, Kind::Tls, Kind::Clients, Kind::Burst, Kind::Http2];
    let mut asked = false;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
        match argument.as_str() {
            "--bench" => asked = true,
            "--streams" => options.streams = value().split(',').map(|count| count.parse().unwrap()).collect(),
            "--idle" => options.idle = Duration::from_secs_f64(value().parse().unwrap()),
            "--changes" => options.changes = value().parse().unwrap(),
            "--json" => options.json = Some(value().into()),
            name => options.kinds.push(*all.iter().find(|kind| kind.name() == name).expect(USAGE)),
        }
    }
    if options.kinds.is_empty() {
        options.kinds = all.to_vec();
    }
    asked.then_some(options)
}
