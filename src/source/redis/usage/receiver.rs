//! The leader's side: batches of the other relays, each carried upstream as
//! it is and acknowledged after that. Those of Go replicas are summed with
//! this relay's own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::Cmd;
use redis::streams::{StreamId, StreamReadReply};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::go;
use super::waiting::{CONSUMER, GROUP, done};
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::Digest;
use crate::source::redis::keys::{go as go_keys, own};
use crate::source::redis::link::{Blocking, Failure, Link};
use crate::usage::backoff::{Backoff, Waits};
use crate::usage::batch::{Batch, BatchId};
use crate::usage::parse::read;
use crate::usage::{Carrier, Delivery, Usage};

/// Redis waits so long for something new.
const BLOCK: Duration = Duration::from_secs(1);
const ANSWERS_WITHIN: Duration = Duration::from_secs(4);
/// After a failure of Redis.
const RETRY: Duration = Duration::from_millis(500);
/// What is under way when this relay stops leading gets so much time.
const LAST: Duration = Duration::from_secs(5);
/// Entries of Go replicas in one answer.
const GO_COUNT: usize = 100;

/// What it is made of.
#[derive(Clone)]
pub struct Receiver {
    pub link: Link,
    pub usage: Arc<Usage>,
    pub upstream: Arc<dyn Carrier>,
    /// Batches under way at once.
    pub at_once: usize,
}

/// A batch that was tried before.
#[derive(Debug)]
struct Tried {
    backoff: Backoff,
    not_before: Instant,
    /// Nobody knows what became of the last attempt.
    uncertain: bool,
}

#[derive(Debug)]
struct Entry {
    id: String,
    batch: BatchId,
    environment: EnvironmentId,
    body: Bytes,
}

type Sent = (Entry, Delivery);

/// What the receiver has in its hands.
#[derive(Default)]
struct Desk {
    under_way: JoinSet<Sent>,
    /// Entries that are under way.
    busy: HashSet<String>,
    tried: HashMap<String, Tried>,
    /// What an earlier leader left was looked through.
    looked: bool,
    /// Redis cannot be read.
    failing: bool,
}

impl Receiver {
    /// While this relay leads.
    pub async fn run(self, stop: CancellationToken) {
        let mut desk = Desk::default();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.receive(&mut desk) => {}
            () = self.receive_go() => {}
        }
        let rest = async {
            while let Some(ended) = desk.under_way.join_next().await {
                self.ended(ended, &mut desk).await;
            }
        };
        // What is cut is found again by the next one to lead.
        let _ = tokio::time::timeout(LAST, rest).await;
    }

    async fn receive(&self, desk: &mut Desk) {
        loop {
            let Err(failure) = self.receive_on_one_connection(desk).await else { return };
            if !std::mem::replace(&mut desk.failing, true) {
                tracing::warn!(reason = %failure, "SDK metrics of other relays cannot be read from Redis; trying on");
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn receive_on_one_connection(&self, desk: &mut Desk) -> Result<(), Failure> {
        let mut connection = self.link.blocking().await?;
        make_group(&mut connection).await?;
        let mut inherited = Some("0".to_owned());
        loop {
            while let Some(ended) = desk.under_way.try_join_next() {
                self.ended(ended, desk).await;
            }
            self.retry(&mut connection, desk).await?;
            let room = self.at_once.saturating_sub(desk.under_way.len());
            if room == 0 {
                if let Some(ended) = desk.under_way.join_next().await {
                    self.ended(ended, desk).await;
                }
            } else if let Some(after) = &inherited {
                let entries = read_group(&mut connection, after, room, None).await?;
                inherited = entries.last().map(|entry| entry.id.clone());
                for entry in entries.into_iter().filter_map(entry) {
                    if !desk.busy.contains(&entry.id) && !desk.tried.contains_key(&entry.id) {
                        // An earlier leader may have sent it.
                        self.send(entry, !desk.looked, desk);
                    }
                }
                desk.looked |= inherited.is_none();
                if std::mem::take(&mut desk.failing) {
                    tracing::info!("SDK metrics of other relays can be read from Redis again");
                }
            } else {
                let idle = desk.under_way.is_empty() && desk.tried.is_empty();
                let block = if idle { BLOCK } else { BLOCK / 10 };
                let entries = read_group(&mut connection, ">", room, Some(block)).await?;
                entries.into_iter().filter_map(entry).for_each(|entry| self.send(entry, false, desk));
            }
        }
    }

    /// Sends again what has waited long enough.
    async fn retry(&self, connection: &mut Blocking, desk: &mut Desk) -> Result<(), Failure> {
        let (now, room) = (Instant::now(), self.at_once.saturating_sub(desk.under_way.len()));
        let is_due = |(id, tried): &(&String, &Tried)| tried.not_before <= now && !desk.busy.contains(*id);
        let due: Vec<(String, bool)> =
            desk.tried.iter().filter(is_due).take(room).map(|(id, tried)| (id.clone(), tried.uncertain)).collect();
        for (id, uncertain) in due {
            let mut command = Cmd::new();
            command.arg("XRANGE").arg(own::USAGE).arg(&id).arg(&id);
            let reply: redis::streams::StreamRangeReply = connection.call(&command, ANSWERS_WITHIN).await?;
            match reply.ids.into_iter().next().and_then(entry) {
                Some(entry) => self.send(entry, uncertain, desk),
                // Redis lost it; its sender puts it in again.
                None => drop(desk.tried.remove(&id)),
            }
        }
        Ok(())
    }

    async fn ended(&self, ended: Result<Sent, tokio::task::JoinError>, desk: &mut Desk) {
        match ended {
            Ok((entry, delivery)) => {
                desk.busy.remove(&entry.id);
                self.settle(entry, delivery, &mut desk.tried).await;
            }
            Err(error) => tracing::error!(%error, "an attempt to send SDK metrics of another relay failed"),
        }
    }

    fn send(&self, entry: Entry, again: bool, desk: &mut Desk) {
        desk.busy.insert(entry.id.clone());
        if again && let Ok(batch) = Batch::restore(entry.batch, entry.body.clone()) {
            self.usage.counters().uncertain(batch.sum.evaluations);
        }
        let upstream = Arc::clone(&self.upstream);
        desk.under_way.spawn(async move {
            let delivery = upstream.send_metrics(&entry.environment, entry.batch, entry.body.clone()).await;
            (entry, delivery)
        });
    }

    async fn settle(&self, entry: Entry, delivery: Delivery, tried: &mut HashMap<String, Tried>) {
        let uncertain = matches!(delivery, Delivery::Uncertain { .. });
        let (ends, retry_after) = match delivery {
            Delivery::Taken => (true, None),
            Delivery::Refused { status: Some(400 | 413 | 422), .. } => {
                // Which row it is this relay finds out with its own.
                self.take(&entry.environment, &entry.body);
                (true, None)
            }
            Delivery::Refused { retry_after, .. } | Delivery::Uncertain { retry_after, .. } => (false, retry_after),
        };
        if ends && done(&self.link, &entry.id, entry.batch).await.is_ok() {
            tried.remove(&entry.id);
            return;
        }
        let known = tried.entry(entry.id).or_insert_with(|| Tried {
            backoff: Backoff::default(),
            not_before: Instant::now(),
            uncertain: false,
        });
        // One that was taken and could not be noted comes again.
        known.uncertain = uncertain || ends;
        let wait = known.backoff.failed(Waits::default(), rand::random(), retry_after);
        known.not_before = Instant::now() + wait;
    }

    fn take(&self, environment: &EnvironmentId, body: &[u8]) {
        let mut tally = self.usage.body();
        match read(body, &mut tally) {
            Ok(()) => self.usage.take(environment, tally),
            Err(error) => {
                tracing::warn!(%environment, %error, "SDK metrics of another relay cannot be read and are dropped")
            }
        }
    }

    /// What Go replicas write: read from where the last leader stopped.
    async fn receive_go(&self) {
        loop {
            // Who speaks of a Redis that is away is the member.
            let _: Result<(), Failure> = self.read_go().await;
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn read_go(&self) -> Result<(), Failure> {
        let mut connection = self.link.blocking().await?;
        let mut command = Cmd::new();
        command.arg("GET").arg(own::GO_USAGE_POSITION);
        let position: Option<String> = self.link.call(&command).await?;
        let mut position = match position {
            Some(position) => position,
            None => newest(&mut connection).await?,
        };
        loop {
            let mut command = Cmd::new();
            command.arg("XREAD").arg("COUNT").arg(GO_COUNT).arg("BLOCK").arg(BLOCK.as_millis().to_string());
            command.arg("STREAMS").arg(go_keys::USAGE).arg(&position);
            let reply: Option<StreamReadReply> = connection.call(&command, ANSWERS_WITHIN).await?;
            let entries: Vec<StreamId> =
                reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).collect();
            let Some(last) = entries.last().map(|entry| entry.id.clone()) else { continue };
            for entry in entries {
                let Some(event) = field(&entry, go_keys::FIELD) else { continue };
                let Some(environment) = go::environment_of(&event) else { continue };
                let mut tally = self.usage.body();
                if read(event.as_slice(), &mut tally).is_ok() {
                    // Read again after a crash it counts once.
                    self.usage.take_once(&environment, id_of(&entry.id), tally);
                }
            }
            self.usage.kept().await;
            let mut command = Cmd::new();
            command.arg("SET").arg(own::GO_USAGE_POSITION).arg(&last);
            let _: String = self.link.call(&command).await?;
            position = last;
        }
    }
}

fn id_of(entry: &str) -> BatchId {
    let Digest(bytes) = Digest::of(format!("{} {entry}", go_keys::USAGE).as_bytes());
    let (first, _) = bytes.as_chunks::<16>();
    BatchId(first.first().map_or(0, |bytes| u128::from_be_bytes(*bytes)))
}

fn field(entry: &StreamId, name: &str) -> Option<Vec<u8>> {
    entry.get::<Vec<u8>>(name)
}

fn entry(it: StreamId) -> Option<Entry> {
    let text = |name| String::from_utf8(field(&it, name)?).ok();
    let (environment, batch) = (EnvironmentId::new(&text("e")?), BatchId::parse(&text("i")?)?);
    let body = Bytes::from(field(&it, "b")?);
    Some(Entry { id: it.id, batch, environment, body })
}

async fn make_group(connection: &mut Blocking) -> Result<(), Failure> {
    let mut command = Cmd::new();
    command.arg("XGROUP").arg("CREATE").arg(own::USAGE).arg(GROUP).arg("0").arg("MKSTREAM");
    match connection.call::<String>(&command, ANSWERS_WITHIN).await {
        Err(failure) if !failure.to_string().contains("BUSYGROUP") => Err(failure),
        _ => Ok(()),
    }
}

async fn read_group(
    connection: &mut Blocking,
    from: &str,
    count: usize,
    block: Option<Duration>,
) -> Result<Vec<StreamId>, Failure> {
    let mut command = Cmd::new();
    command.arg("XREADGROUP").arg("GROUP").arg(GROUP).arg(CONSUMER).arg("COUNT").arg(count.max(1));
    if let Some(block) = block {
        command.arg("BLOCK").arg(block.as_millis().to_string());
    }
    command.arg("STREAMS").arg(own::USAGE).arg(from);
    let reply: Option<StreamReadReply> = connection.call(&command, ANSWERS_WITHIN).await?;
    Ok(reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).collect())
}

async fn newest(connection: &mut Blocking) -> Result<String, Failure> {
    let mut command = Cmd::new();
    command.arg("XREVRANGE").arg(go_keys::USAGE).arg("+").arg("-").arg("COUNT").arg(1);
    let reply: redis::streams::StreamRangeReply = connection.call(&command, ANSWERS_WITHIN).await?;
    Ok(reply.ids.into_iter().next().map_or_else(|| "0-0".to_owned(), |it| it.id))
}
