//! The stream of batches as the leader reads it: a consumer group with one
//! consumer, so that what one leader left another finds.

use std::time::Duration;

use bytes::Bytes;
use redis::Cmd;
use redis::streams::{StreamId, StreamRangeReply, StreamReadReply};

use super::waiting::{CONSUMER, GROUP};
use crate::snapshot::content::EnvironmentId;
use crate::source::redis::keys::own;
use crate::source::redis::link::{Blocking, Failure};
use crate::usage::batch::BatchId;

/// Redis waits so long for something new.
pub(super) const BLOCK: Duration = Duration::from_millis(250);
/// And has answered within this time.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(4);

/// A batch that waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub id: String,
    pub batch: BatchId,
    pub environment: EnvironmentId,
    pub body: Bytes,
}

impl Entry {
    fn read(it: &StreamId) -> Option<Self> {
        let text = |name| String::from_utf8(it.get::<Vec<u8>>(name)?).ok();
        let (environment, batch) = (EnvironmentId::new(&text("e")?), BatchId::parse(&text("i")?)?);
        let body = Bytes::from(it.get::<Vec<u8>>("b")?);
        Some(Entry { id: it.id.clone(), batch, environment, body })
    }
}

/// What one look brought.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Of the last entry, readable or not.
    pub last: Option<String>,
    pub entries: Vec<Entry>,
}

/// Makes the group, if there is none.
pub(super) async fn make(connection: &mut Blocking) -> Result<(), Failure> {
    let mut command = Cmd::new();
    command.arg("XGROUP").arg("CREATE").arg(own::USAGE).arg(GROUP).arg("0").arg("MKSTREAM");
    match connection.call::<String>(&command, ANSWERS_WITHIN).await {
        Err(failure) if !failure.to_string().contains("BUSYGROUP") => Err(failure),
        _ => Ok(()),
    }
}

/// Entries that nobody read yet.
pub(super) async fn read_new(connection: &mut Blocking, count: usize, block: Duration) -> Result<Look, Failure> {
    read(connection, ">", count, Some(block)).await
}

/// Entries that were read and are not done, after this one.
pub(super) async fn read_again(connection: &mut Blocking, after: &str, count: usize) -> Result<Look, Failure> {
    read(connection, after, count, None).await
}

async fn read(connection: &mut Blocking, from: &str, count: usize, block: Option<Duration>) -> Result<Look, Failure> {
    let mut command = Cmd::new();
    command.arg("XREADGROUP").arg("GROUP").arg(GROUP).arg(CONSUMER).arg("COUNT").arg(count.max(1));
    if let Some(block) = block {
        command.arg("BLOCK").arg(block.as_millis().to_string());
    }
    command.arg("STREAMS").arg(own::USAGE).arg(from);
    let reply: Option<StreamReadReply> = connection.call(&command, ANSWERS_WITHIN).await?;
    let mut look = Look::default();
    for it in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
        match Entry::read(&it) {
            Some(entry) => look.entries.push(entry),
            None => drop_unreadable(connection, &it.id).await?,
        }
        look.last = Some(it.id);
    }
    Ok(look)
}

/// One entry; `None` if it is not there any more.
pub(super) async fn find(connection: &mut Blocking, id: &str) -> Result<Option<Entry>, Failure> {
    let mut command = Cmd::new();
    command.arg("XRANGE").arg(own::USAGE).arg(id).arg(id);
    let reply: StreamRangeReply = connection.call(&command, ANSWERS_WITHIN).await?;
    Ok(reply.ids.first().and_then(Entry::read))
}

/// What nobody can read would take up room for ever.
async fn drop_unreadable(connection: &mut Blocking, id: &str) -> Result<(), Failure> {
    tracing::warn!(entry = id, "an entry among SDK metrics in Redis cannot be read and is dropped");
    for command in [["XACK", own::USAGE, GROUP, id].as_slice(), &["XDEL", own::USAGE, id]] {
        let mut call = Cmd::new();
        command.iter().for_each(|part| {
            call.arg(*part);
        });
        let _: i64 = connection.call(&call, ANSWERS_WITHIN).await?;
    }
    Ok(())
}
