//! SDK metrics that Go replicas write, summed with this relay's own. Nobody
//! acknowledges there; the position is kept, so that each counts once.

use redis::Cmd;
use redis::streams::{StreamId, StreamRangeReply, StreamReadReply};

use super::go;
use super::group::{ANSWERS_WITHIN, BLOCK};
use super::receiver::{RETRY, Receiver};
use crate::snapshot::item::Digest;
use crate::source::redis::keys::{go as go_keys, own};
use crate::source::redis::link::{Blocking, Failure};
use crate::source::redis::reader::order;
use crate::usage::batch::BatchId;
use crate::usage::parse::read;

/// Entries in one answer.
const COUNT: usize = 100;

/// Before the first entry.
const BEGINNING: &str = "0-0";

impl Receiver {
    /// Until dropped.
    pub(super) async fn receive_go(&self) {
        // Outlives a Redis that forgets it.
        let mut position = None;
        loop {
            // Who speaks of a Redis that is away is the member.
            let _: Result<(), Failure> = self.read_go(&mut position).await;
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn read_go(&self, position: &mut Option<String>) -> Result<(), Failure> {
        let mut connection = self.link.blocking().await?;
        let mut from = self.begin(&mut connection, position.take()).await?;
        loop {
            *position = Some(from.clone());
            let mut command = Cmd::new();
            command.arg("XREAD").arg("COUNT").arg(COUNT).arg("BLOCK").arg(BLOCK.as_millis().to_string());
            command.arg("STREAMS").arg(go_keys::USAGE).arg(&from);
            let reply: Option<StreamReadReply> = connection.call(&command, ANSWERS_WITHIN).await?;
            if self.usage.is_ending() {
                // What is taken now would not be sent any more.
                return std::future::pending().await;
            }
            let entries: Vec<StreamId> =
                reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).collect();
            let Some(last) = entries.last().map(|entry| entry.id.clone()) else { continue };
            entries.iter().for_each(|entry| self.take_go(entry));
            self.usage.kept().await;
            self.keep(&last).await?;
            from = last;
        }
    }

    /// Where reading goes on: where this relay, or one that led before it,
    /// stopped. The first begins with what comes next, as a Go primary does.
    async fn begin(&self, connection: &mut Blocking, ours: Option<String>) -> Result<String, Failure> {
        let mut command = Cmd::new();
        command.arg("GET").arg(own::GO_USAGE_POSITION);
        let stored: Option<String> = self.link.call(&command).await?;
        let newest = newest(connection).await?;
        match stored.into_iter().chain(ours).max_by_key(|id| order(id)) {
            // Redis lost the stream; what is read twice counts once.
            Some(position) if order(&position) > order(&newest) => Ok(BEGINNING.to_owned()),
            Some(position) => Ok(position),
            None => {
                self.keep(&newest).await?;
                Ok(newest)
            }
        }
    }

    fn take_go(&self, entry: &StreamId) {
        let Some(event) = entry.get::<Vec<u8>>(go_keys::FIELD) else { return };
        let mut tally = self.usage.body();
        let environment = go::environment_of(&event).filter(|_| read(event.as_slice(), &mut tally).is_ok());
        match environment {
            Some(environment) => drop(self.usage.take_once(&environment, id_of(&entry.id), tally)),
            None => tracing::warn!(entry = entry.id, "SDK metrics of a Go proxy cannot be read and are dropped"),
        }
    }

    async fn keep(&self, position: &str) -> Result<(), Failure> {
        let mut command = Cmd::new();
        command.arg("SET").arg(own::GO_USAGE_POSITION).arg(position);
        let _: String = self.link.call(&command).await?;
        Ok(())
    }
}

fn id_of(entry: &str) -> BatchId {
    let Digest(bytes) = Digest::of(format!("{} {entry}", go_keys::USAGE).as_bytes());
    let (first, _) = bytes.as_chunks::<16>();
    BatchId(first.first().map_or(0, |bytes| u128::from_be_bytes(*bytes)))
}

async fn newest(connection: &mut Blocking) -> Result<String, Failure> {
    let mut command = Cmd::new();
    command.arg("XREVRANGE").arg(go_keys::USAGE).arg("+").arg("-").arg("COUNT").arg(1);
    let reply: StreamRangeReply = connection.call(&command, ANSWERS_WITHIN).await?;
    Ok(reply.ids.into_iter().next().map_or_else(|| BEGINNING.to_owned(), |it| it.id))
}
