//! `POST /metrics/{env}`: SDK usage comes in. It is taken whole or, when its
//! body is bad, not at all.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio::sync::mpsc;

use super::answer::{self, Answer, Refusal};
use super::api::Api;
use super::request_body::{Encoding, next_piece};
use crate::fault::Fault;
use crate::snapshot::content::EnvironmentId;
use crate::usage::body::BodyTally;
use crate::usage::parse::{read, read_slice};

/// Counted as sent and as inflated. Larger ones get 400: Node repeats a 413
/// for ever.
pub const MAX_METRICS_BYTES: u64 = 32 * 1024 * 1024;

/// Bodies up to this size are read in place; larger ones on a thread of
/// their own, piece by piece.
const READ_IN_PLACE_BYTES: usize = 64 * 1024;

/// Large bodies that are read at once: each takes a thread for as long as
/// its client takes to send it. Further ones wait.
pub const MAX_READERS: usize = 16;

/// Time for a large body, its wait included.
const LARGE_BODY_LIMIT: Duration = Duration::from_secs(120);

/// Pieces between the network and the reading thread.
const PIECES_AHEAD: usize = 4;

impl Api {
    /// Takes usage; the answer is `null` whatever happens behind it, and
    /// comes once everything is kept.
    ///
    /// # Errors
    /// An empty body, bad JSON, or more than the limit.
    pub async fn take_metrics(
        &self,
        environment: &EnvironmentId,
        headers: &HeaderMap,
        mut body: Incoming,
    ) -> Result<Answer, Refusal> {
        let encoding = Encoding::of(headers)?;
        // Nearly always it comes in one piece.
        let mut start = BytesMut::from(next_piece(&mut body).await?.unwrap_or_default());
        let mut ended = body.is_end_stream();
        while start.len() <= READ_IN_PLACE_BYTES && !ended {
            match next_piece(&mut body).await? {
                Some(piece) => start.extend_from_slice(&piece),
                None => ended = true,
            }
        }
        let start = start.freeze();
        if ended && start.iter().all(u8::is_ascii_whitespace) {
            return Err(bad("the request body is empty; send {\"metricsData\":[…],\"targetData\":[…]}"));
        }
        let small = if ended { small(encoding, &start) } else { None };
        if let Some(text) = small {
            self.usage.take(environment, read_in_place(&text, self.usage.body())?);
        } else {
            let tally = self.read_large(encoding, start, body).await?;
            let (usage, environment) = (Arc::clone(&self.usage), environment.clone());
            let taken = tokio::task::spawn_blocking(move || usage.take(&environment, tally)).await;
            taken.map_err(|_| Refusal::new(Fault::Internal, "the metrics could not be kept; try again"))?;
        }
        Ok(answer::json(StatusCode::OK, Bytes::from_static(b"null\n")))
    }

    async fn read_large(&self, encoding: Encoding, start: Bytes, body: Incoming) -> Result<BodyTally, Refusal> {
        let reading = async {
            let _place = self.metrics_readers.acquire().await;
            read_on_thread(encoding, start, body, self.usage.body()).await
        };
        let late = "the metrics did not come in time; send less at once";
        let limited = tokio::time::timeout(LARGE_BODY_LIMIT, reading).await;
        limited.map_err(|_| Refusal::new(Fault::RequestTimeout, late))?
    }
}

/// The text of a body that is all there, if it can be read in place: few
/// compressed bytes may be very many.
fn small(encoding: Encoding, body: &Bytes) -> Option<Bytes> {
    if encoding == Encoding::Plain {
        return Some(body.clone()).filter(|text| text.len() <= READ_IN_PLACE_BYTES);
    }
    let mut text = Vec::new();
    // What cannot be inflated is told by whoever reads all of it.
    encoding.reader(&**body).take(READ_IN_PLACE_BYTES as u64 + 1).read_to_end(&mut text).ok()?;
    Some(Bytes::from(text)).filter(|text| text.len() <= READ_IN_PLACE_BYTES)
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(Fault::InvalidField, message)
}

fn read_in_place(body: &[u8], mut tally: BodyTally) -> Result<BodyTally, Refusal> {
    read_slice(body, &mut tally).map_err(unreadable)?;
    Ok(tally)
}

fn unreadable(error: serde_json::Error) -> Refusal {
    bad(format!("the metrics cannot be read: {error}"))
}

fn read_all(encoding: Encoding, packed: impl Read + Send, mut tally: BodyTally) -> Result<BodyTally, Refusal> {
    let packed = Limited { inner: packed, left: MAX_METRICS_BYTES };
    let body = Limited { inner: encoding.reader(packed), left: MAX_METRICS_BYTES };
    read(io::BufReader::new(body), &mut tally).map_err(unreadable)?;
    Ok(tally)
}

async fn read_on_thread(
    encoding: Encoding,
    start: Bytes,
    mut body: Incoming,
    tally: BodyTally,
) -> Result<BodyTally, Refusal> {
    let (pieces, ahead) = mpsc::channel::<Bytes>(PIECES_AHEAD);
    let reader = tokio::task::spawn_blocking(move || {
        let rest = Pieces { ahead, current: Bytes::new() };
        read_all(encoding, Read::chain(&*start, rest), tally)
    });
    // A body that breaks off must not look like one that ended: the sender
    // is dropped only after `?` has returned, and the result with it.
    while let Some(piece) = next_piece(&mut body).await? {
        if pieces.send(piece).await.is_err() {
            // The reader has found a fault and says which.
            break;
        }
    }
    drop(pieces);
    reader.await.map_err(|_| Refusal::new(Fault::Internal, "the metrics could not be read; try again"))?
}

/// Fails when more comes than may.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let limit =
            || io::Error::other(format!("the body is larger than {MAX_METRICS_BYTES} bytes; send less at once"));
        self.left = self.left.checked_sub(count as u64).ok_or_else(limit)?;
        Ok(count)
    }
}

/// What comes from the network, as a reader.
struct Pieces {
    ahead: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.ahead.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.split_to(count).copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}
