//! `ff-relay inspect …`: what a relay serves.

mod lists;
mod pages;
mod single;

pub use lists::environment_table;
pub use pages::{environments, one_environment};

use clap::{Args, Parser, Subcommand};

use super::Output;
use super::connect::{Relay, Session, wait};

/// Show what a relay serves: environments, flags, segments, targets, peers,
/// SDK streams. Needs the role inspect.
#[derive(Debug, Parser)]
#[command(name = "inspect", disable_version_flag = true, after_help = EXAMPLES, subcommand_required = true)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  ff-relay inspect environments
  ff-relay inspect flags --environment 11111111-1111-4111-8111-111111111111
  ff-relay inspect flags --output json | jq -r '.[] | select(.on) | .identifier'
  ff-relay inspect flag dark-mode --output json | jq .json.rules
  ff-relay inspect streams --limit 20

Where the relay serves only one environment, --environment may be left out.

Exit codes: 0 shown; 1 no such thing, or failed; 2 unreachable; 3 refused; 64 wrong command line.";

#[derive(Debug, Subcommand)]
enum What {
    /// All environments.
    Environments(List),
    /// One environment.
    Environment(One),
    /// The flags of an environment.
    Flags(Of),
    /// One flag, with its JSON.
    Flag(OneOf),
    /// The segments (target groups) of an environment.
    Segments(Of),
    /// One segment, with its JSON.
    Segment(OneOf),
    /// The targets of an environment: configured, and brought by SDKs.
    Targets(Of),
    /// Other relays: leaders and followers.
    Peers(List),
    /// SDK streams that are open; of all environments unless one is named.
    Streams(Of),
}

#[derive(Debug, Args)]
struct How {
    #[command(flatten)]
    relay: Relay,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
struct List {
    /// Show at most so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct One {
    /// The environment's id.
    id: Option<String>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct Of {
    /// The environment's id.
    #[arg(long, value_name = "ID")]
    environment: Option<String>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Args)]
struct OneOf {
    /// Its identifier.
    identifier: String,
    /// The environment's id.
    #[arg(long, value_name = "ID")]
    environment: Option<String>,
    #[command(flatten)]
    how: How,
}

/// # Errors
/// The relay cannot be reached, refuses, or has no such thing.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let how = match &arguments.what {
        What::Environments(list) | What::Peers(list) => &list.how,
        What::Environment(one) => &one.how,
        What::Flags(of) | What::Segments(of) | What::Targets(of) | What::Streams(of) => &of.list.how,
        What::Flag(one) | What::Segment(one) => &one.how,
    };
    wait(async {
        let session = how.relay.connect().await?;
        show(&session, &arguments.what, how.output).await?;
        Ok(true)
    })
}

async fn show(session: &Session, what: &What, output: Output) -> anyhow::Result<()> {
    match what {
        What::Environments(list) => lists::environments(session, list.limit, output).await,
        What::Environment(one) => single::environment(session, one.id.as_deref(), output).await,
        What::Flags(of) => lists::flags(session, of.environment.as_deref(), of.list.limit, output).await,
        What::Flag(one) => single::flag(session, one.environment.as_deref(), &one.identifier, output).await,
        What::Segments(of) => lists::segments(session, of.environment.as_deref(), of.list.limit, output).await,
        What::Segment(one) => single::segment(session, one.environment.as_deref(), &one.identifier, output).await,
        What::Targets(of) => lists::targets(session, of.environment.as_deref(), of.list.limit, output).await,
        What::Peers(list) => lists::peers(session, list.limit, output).await,
        What::Streams(of) => lists::streams(session, of.environment.as_deref(), of.list.limit, output).await,
    }
}
