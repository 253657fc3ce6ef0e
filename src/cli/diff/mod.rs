//! `ff-relay diff A B`: what importing B in place of A would change, as a
//! person wants to read it before.

mod compare;
mod flag;
mod members;
mod report;
mod segment;
mod target;
mod wording;

pub use compare::changes;
pub use members::Change;

use std::collections::BTreeMap;

use anyhow::Context as _;
use clap::Parser;

use super::connect::Relay;
use super::place::Place;
use super::{Output, print};
use crate::snapshot::content::{Content, EnvironmentId};
use crate::source::file::load::read_once;

/// Show how B differs from A: which flags turned on or off, what they serve,
/// their variations, rules and target maps; segments, targets, key hashes.
/// A and B are each a directory, an archive, or the address of a relay
/// (which is exported: role sync).
#[derive(Debug, Parser)]
#[command(name = "diff", disable_version_flag = true, after_help = EXAMPLES)]
pub struct Arguments {
    /// What is there: directory, archive, or host:port.
    #[arg(value_name = "A")]
    before: String,
    /// What is compared to it.
    #[arg(value_name = "B")]
    after: String,
    #[command(flatten)]
    relay: Relay,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  ff-relay diff flags-yesterday.tar.gz flags.tar.gz
  ff-relay diff 127.0.0.1:7001 ./config --token-file sync-token
  ff-relay diff relay-1:7001 relay-2:7001 --output json | jq '.environments[].items[].identifier'

The token goes to every relay that is named. --address is not used here.

Exit codes: 0 equal; 1 different, or failed; 2 unreachable; 3 refused; 64 wrong command line.";

/// # Errors
/// A or B cannot be read.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let before = load(&arguments.before, &arguments.relay)?;
    let after = load(&arguments.after, &arguments.relay)?;
    let difference = compare::difference(&before, &after);
    match arguments.output {
        Output::Json => print::json(&difference),
        Output::Text => report::print(&difference),
    }
    Ok(difference.equal)
}

fn load(text: &str, relay: &Relay) -> anyhow::Result<BTreeMap<EnvironmentId, Content>> {
    let place = Place::find(text, relay)?;
    Ok(read_once(&place.location).with_context(|| format!("{} cannot be compared", place.name))?.environments)
}
