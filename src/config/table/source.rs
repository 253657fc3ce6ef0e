//! Options of the offline source, the stored state, and what to do instead of running.

use std::time::Duration;

use super::super::kind::Kind;
use super::super::option_spec::{Fallback, Group, OptionSpec, Status, Variable};

const POLLING: Kind = Kind::Duration { min: Duration::from_millis(100) };
const SELF_PING: Kind = Kind::OptionalDuration { min: Duration::ZERO };

/// The rows.
pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::new(
        Group::Offline,
        "offline",
        Kind::Bool,
        Fallback::Text("false"),
        "Serve the flags of config-dir, without any outbound connection. Keys, tokens, account \
         and URLs given beside it are accepted and left unused.",
    ),
    OptionSpec::new(
        Group::Offline,
        "config-dir",
        Kind::Path,
        Fallback::Text("/config"),
        "The offline directory, or an archive of one (.tar.gz, .tar.zst).",
    ),
    OptionSpec::new(
        Group::Offline,
        "config-reload",
        Kind::Bool,
        Fallback::Text("false"),
        "Watch config-dir and take over changes while running.",
    ),
    OptionSpec::new(
        Group::Offline,
        "config-reload-interval",
        POLLING,
        Fallback::Text("1s"),
        "How often config-dir is looked at, beside notifications or, where there are none, \
         instead of them.",
    ),
    OptionSpec::new(
        Group::Offline,
        "file-data-source",
        Kind::Path,
        Fallback::None,
        "An archive to serve and watch: short for offline, config-dir=<it> and config-reload.",
    ),
    OptionSpec::new(
        Group::Offline,
        "file-data-source-monitoring-interval",
        POLLING,
        Fallback::Text("1s"),
        "How often the archive of file-data-source is looked at.",
    ),
    OptionSpec::new(
        Group::Offline,
        "data-dir",
        Kind::Path,
        Fallback::None,
        "Directory for what must outlive the process: snapshots, epoch, ledger, stored targets, \
         secrets, unsent SDK metrics. One process at a time. The image sets it to /data.",
    ),
    OptionSpec::new(
        Group::Action,
        "generate-offline-config",
        Kind::Bool,
        Fallback::Text("false"),
        "Write config-dir from the configured online source, and exit.",
    ),
    OptionSpec::new(
        Group::Action,
        "check",
        Kind::Bool,
        Fallback::Text("false"),
        "Validate the options and, when offline, the directory, and exit.",
    )
    .variable(Variable::None),
    OptionSpec::new(
        Group::Action,
        "print-config",
        Kind::Bool,
        Fallback::Text("false"),
        "Show the effective configuration and where each value came from, secrets masked, and \
         exit.",
    )
    .variable(Variable::None),
    OptionSpec::new(
        Group::Action,
        "env-file",
        Kind::Path,
        Fallback::None,
        "Read variables from a file as Docker does (NAME=value lines; # and // lines are \
         comments; quotes belong to the value). May be repeated; later files win, the process \
         environment and flags win over all of them.",
    )
    .variable(Variable::None),
    OptionSpec::new(Group::Action, "version", Kind::Bool, Fallback::Text("false"), "Show the version, and exit.")
        .variable(Variable::None),
    OptionSpec::new(Group::Action, "help", Kind::Bool, Fallback::Text("false"), "Show this text, and exit.")
        .variable(Variable::None),
    OptionSpec::new(Group::Ignored, "pprof", Kind::Bool, Fallback::Text("false"), "Go's profiler.")
        .status(Status::NoEffect("this is not a Go program")),
    OptionSpec::new(
        Group::Ignored,
        "gcp-profiler-enabled",
        Kind::Bool,
        Fallback::Text("false"),
        "Google Cloud's profiler for Go.",
    )
    .status(Status::NoEffect("this is not a Go program")),
    OptionSpec::new(
        Group::Ignored,
        "heartbeat-interval",
        SELF_PING,
        Fallback::None,
        "The Go proxy's request to its own health route; ask /health or /readyz instead.",
    )
    .status(Status::NoEffect("the relay does not ping itself")),
];
