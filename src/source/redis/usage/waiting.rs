//! Batches that wait in Redis, and what became of them.

use std::sync::LazyLock;

use redis::Cmd;

use crate::snapshot::content::EnvironmentId;
use crate::source::redis::keys::own;
use crate::source::redis::link::{Failure, Link, Script};
use crate::usage::batch::BatchId;

/// A batch is remembered for a day, in seconds.
const REMEMBERED_S: &str = "86400";

/// The group of those that lead, one after another.
pub(super) const GROUP: &str = "primaries";
/// Its one consumer: what one leader left another finds.
pub(super) const CONSUMER: &str = "primary";

// XADD needs memory and comes first. What is asked for again is remembered
// for another day.
const PUT: &str = r"
local state = redis.call('GET', KEYS[2])
if state == 'waits' then redis.call('EXPIRE', KEYS[2], ARGV[5]) end
if state then return state end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 'full' end
redis.call('XADD', KEYS[1], '*', 'e', ARGV[2], 'i', ARGV[3], 'b', ARGV[4])
redis.call('SET', KEYS[2], 'waits', 'EX', ARGV[5])
return 'waits'
";

// What needs no memory comes first: a full Redis hinders nobody from ending.
const DONE: &str = r"
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], 'done', 'EX', ARGV[3])
return 1
";

static PUT_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(PUT));
static DONE_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(DONE));

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Waits,
    Done,
    /// As many wait as may.
    Full,
    /// Redis does not know it.
    Unknown,
}

impl State {
    fn read(text: Option<&str>) -> Self {
        match text {
            Some("waits") => State::Waits,
            Some("done") => State::Done,
            Some("full") => State::Full,
            _ => State::Unknown,
        }
    }
}

/// Puts a batch in, unless it is there; at most `most` wait.
///
/// # Errors
/// Redis does not take it, or nobody knows whether it did.
pub async fn put(
    link: &Link,
    environment: &EnvironmentId,
    id: BatchId,
    body: &[u8],
    most: usize,
) -> Result<State, Failure> {
    let key = own::batch(id);
    let arguments = [
        most.to_string().into_bytes(),
        environment.as_str().as_bytes().to_vec(),
        id.to_string().into_bytes(),
        body.to_vec(),
        REMEMBERED_S.as_bytes().to_vec(),
    ];
    let state: String = link.script(&PUT_SCRIPT, &[own::USAGE, &key], &arguments).await?;
    Ok(State::read(Some(&state)))
}

/// What became of a batch that was put in.
///
/// # Errors
/// Redis does not say.
pub async fn state(link: &Link, id: BatchId) -> Result<State, Failure> {
    let mut command = Cmd::new();
    command.arg("GET").arg(own::batch(id));
    let state: Option<String> = link.call(&command).await?;
    Ok(State::read(state.as_deref()))
}

/// Upstream has it, or refused it for good.
///
/// # Errors
/// Redis does not take it.
pub async fn done(link: &Link, entry: &str, id: BatchId) -> Result<(), Failure> {
    let key = own::batch(id);
    let arguments = [GROUP, entry, REMEMBERED_S].map(|text| text.as_bytes().to_vec());
    let _: i64 = link.script(&DONE_SCRIPT, &[own::USAGE, &key], &arguments).await?;
    Ok(())
}
