//! Reads streams as they grow, on a connection of its own, and hands on what
//! comes in order.

use std::time::Duration;

use redis::Cmd;
use redis::streams::StreamReadReply;
use tokio::sync::mpsc;

use super::link::{Blocking, Failure, Link};

/// Redis waits so long for something new.
const BLOCK: Duration = Duration::from_secs(1);
/// And has answered within this time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(4);
/// Entries of a stream in one answer.
const COUNT: usize = 500;
/// Between attempts to get a connection.
const RETRY: Duration = Duration::from_millis(500);

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As Redis made it: `milliseconds-number`.
    pub id: String,
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Entry {
    /// A field of the entry.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_slice())
    }
}

/// What a reader hands on.
#[derive(Debug)]
pub enum Heard {
    /// It reads, from now on without a gap.
    Connected,
    Entries {
        stream: &'static str,
        entries: Vec<Entry>,
    },
    /// It does not, and goes on trying.
    Lost(String),
}

/// Where reading of a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// With the oldest entry that is there.
    Oldest,
    /// With what comes next.
    Now,
}

/// One reader. All its streams lie in one slot.
pub struct Reader {
    pub link: Link,
    pub streams: Vec<(&'static str, From)>,
    pub heard: mpsc::Sender<Heard>,
}

struct Position {
    stream: &'static str,
    from: From,
    /// Of the last entry that was handed on; `None` before the first look.
    id: Option<String>,
}

impl Reader {
    /// Until the other end is dropped.
    pub async fn run(self) {
        let Reader { link, streams, heard } = self;
        let mut positions: Vec<Position> =
            streams.into_iter().map(|(stream, from)| Position { stream, from, id: None }).collect();
        let mut lost = false;
        loop {
            let Err(failure) = read(&link, &mut positions, &heard, &mut lost).await else { return };
            if !std::mem::replace(&mut lost, true) && heard.send(Heard::Lost(failure.to_string())).await.is_err() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Reads until something fails; `Ok`: nobody hears any more.
async fn read(
    link: &Link,
    positions: &mut [Position],
    heard: &mpsc::Sender<Heard>,
    lost: &mut bool,
) -> Result<(), Failure> {
    let mut connection = link.blocking().await?;
    for position in positions.iter_mut() {
        begin(&mut connection, position).await?;
    }
    *lost = false;
    if heard.send(Heard::Connected).await.is_err() {
        return Ok(());
    }
    loop {
        let mut command = Cmd::new();
        command.arg("XREAD").arg("COUNT").arg(COUNT).arg("BLOCK").arg(BLOCK.as_millis().to_string()).arg("STREAMS");
        command.arg(positions.iter().map(|position| position.stream).collect::<Vec<_>>());
        command.arg(positions.iter().map(|position| position.id.as_deref().unwrap_or("0-0")).collect::<Vec<_>>());
        let reply: Option<StreamReadReply> = connection.call(&command, ANSWERS_WITHIN).await?;
        for stream in reply.into_iter().flat_map(|reply| reply.keys) {
            let Some(position) = positions.iter_mut().find(|position| position.stream == stream.key) else { continue };
            let entries: Vec<Entry> = stream.ids.into_iter().map(entry).collect();
            if let Some(last) = entries.last() {
                position.id = Some(last.id.clone());
            }
            if heard.send(Heard::Entries { stream: position.stream, entries }).await.is_err() {
                return Ok(());
            }
        }
    }
}

fn entry(it: redis::streams::StreamId) -> Entry {
    let fields = it.map.into_iter().filter_map(|(name, value)| Some((name, redis::from_redis_value(value).ok()?)));
    Entry { id: it.id, fields: fields.collect() }
}

/// Finds out where to go on. Of a stream whose end Redis lost what is new is
/// read, or all of it.
async fn begin(connection: &mut Blocking, position: &mut Position) -> Result<(), Failure> {
    let newest = newest(connection, position.stream).await?;
    let behind = position.id.as_ref().is_some_and(|id| order(id) > newest.as_deref().map_or((0, 0), order));
    position.id = match (&position.id, position.from) {
        (Some(id), _) if !behind => Some(id.clone()),
        // What was lost nobody can read; what is left is old.
        (_, From::Now) => newest,
        (_, From::Oldest) => None,
    };
    Ok(())
}

async fn newest(connection: &mut Blocking, stream: &str) -> Result<Option<String>, Failure> {
    let mut command = Cmd::new();
    command.arg("XREVRANGE").arg(stream).arg("+").arg("-").arg("COUNT").arg(1);
    let reply: redis::streams::StreamRangeReply = connection.call(&command, ANSWERS_WITHIN).await?;
    Ok(reply.ids.into_iter().next().map(|it| it.id))
}

/// The order of entries.
#[must_use]
pub fn order(id: &str) -> (u64, u64) {
    let (time, number) = id.split_once('-').unwrap_or((id, "0"));
    (time.parse().unwrap_or(0), number.parse().unwrap_or(0))
}
