//! Signs of life of relays that follow: up to which entry of the bus they
//! have come. The leader's SDK events wait for them.

use redis::Cmd;

use super::keys::own;
use super::link::{Failure, Link};
use super::reader::Entry;

/// Entries kept; a leader reads them as they come.
const ENTRIES: &str = "1000";

/// One sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The process's random id.
    pub relay: String,
    /// Host and SDK port.
    pub name: String,
    /// Everything up to this entry is served.
    pub position: String,
}

/// Says it.
///
/// # Errors
/// Redis does not take it.
pub async fn write(link: &Link, ack: &Ack) -> Result<(), Failure> {
    let mut command = Cmd::new();
    command.arg("XADD").arg(own::ACKS).arg("MAXLEN").arg("~").arg(ENTRIES).arg("*");
    command.arg("r").arg(&ack.relay).arg("n").arg(&ack.name).arg("p").arg(&ack.position);
    let _: String = link.call(&command).await?;
    Ok(())
}

/// Reads one.
#[must_use]
pub fn read(entry: &Entry) -> Option<Ack> {
    let text = |name| String::from_utf8(entry.field(name)?.to_vec()).ok();
    Some(Ack { relay: text("r")?, name: text("n")?, position: text("p")? })
}
