//! The two ways a stream leaves: out of hyper after its first bytes
//! (HTTP/1), or as a body inside an HTTP/2 connection.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;

use super::feed::Feed;
use crate::snapshot::log::Message;

/// The first bytes of every stream, and its heartbeat. Exactly this: the Go
/// SDK ignores comments with text and bare newlines.
pub const HEARTBEAT: &str = ":\n\n";

/// Where a stream waits until its connection takes it out of hyper.
#[derive(Debug, Default)]
pub struct DetachSlot(Mutex<Option<Box<Detached>>>);

/// A stream that has left hyper.
#[derive(Debug)]
pub struct Detached {
    pub feed: Feed,
    /// HTTP/1.1 chunks; HTTP/1.0 has none.
    pub chunked: bool,
}

impl Detached {
    /// What hyper's last write ends with.
    #[must_use]
    pub fn first_bytes(&self) -> &'static [u8] {
        if self.chunked { b":\n\n\r\n" } else { b":\n\n" }
    }
}

impl DetachSlot {
    fn put(&self, detached: Box<Detached>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(detached);
    }

    /// Takes the stream if it waits and `ready` says so.
    pub fn take_if(&self, ready: impl FnOnce(&Detached) -> bool) -> Option<Box<Detached>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.as_deref().is_some_and(ready) { waiting.take() } else { None }
    }
}

/// A body that yields the first bytes, then hands its stream over and waits
/// to be dropped.
#[derive(Debug)]
pub struct DetachingBody {
    slot: Arc<DetachSlot>,
    detached: Option<Box<Detached>>,
    begun: bool,
}

impl DetachingBody {
    #[must_use]
    pub fn new(slot: Arc<DetachSlot>, detached: Detached) -> Self {
        DetachingBody { slot, detached: Some(Box::new(detached)), begun: false }
    }

    /// The first bytes, then nothing ever. The connection looks at the slot
    /// after each poll, so nobody needs to be woken.
    pub fn poll_first(&mut self) -> Poll<Option<Bytes>> {
        if !self.begun {
            self.begun = true;
            return Poll::Ready(Some(Bytes::from_static(HEARTBEAT.as_bytes())));
        }
        if let Some(detached) = self.detached.take() {
            self.slot.put(detached);
        }
        Poll::Pending
    }
}

type NextEvent = Pin<Box<dyn Future<Output = (Feed, Option<Bytes>)> + Send>>;

/// A body that yields events for as long as the stream lives.
pub struct EventBody {
    next: Option<NextEvent>,
    begun: bool,
}

impl fmt::Debug for EventBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBody").finish_non_exhaustive()
    }
}

impl EventBody {
    #[must_use]
    pub fn new(feed: Feed) -> Self {
        EventBody { next: Some(next_event(feed)), begun: false }
    }

    /// The next event, heartbeats included; `None` when the stream ends.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.begun {
            self.begun = true;
            return Poll::Ready(Some(Bytes::from_static(HEARTBEAT.as_bytes())));
        }
        let Some(next) = &mut self.next else {
            return Poll::Ready(None);
        };
        match next.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready((feed, Some(bytes))) => {
                self.next = Some(next_event(feed));
                Poll::Ready(Some(bytes))
            }
            Poll::Ready((_, None)) => {
                self.next = None;
                Poll::Ready(None)
            }
        }
    }
}

fn next_event(mut feed: Feed) -> NextEvent {
    Box::pin(async move {
        let message = feed.next().await;
        let bytes = message.as_ref().map(Message::event);
        if bytes.is_none() {
            feed.ended_well();
        }
        (feed, bytes)
    })
}
