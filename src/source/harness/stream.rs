//! Upstream's stream: opened, read, opened anew when it is lost, for as long
//! as it is polled. What it says goes to a sink; it never guesses.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use reqwest::Response;

use super::backoff::Backoff;
use super::call_error::CallError;
use super::calls::StreamBase;
use super::client::STREAM_SILENCE;
use super::engine::Engine;
use super::message::Message;
use super::session::Session;
use super::sse::{Frame, Parser};
use super::token::Scope;

/// Upstream that is back is found within this time.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// A stream that lived this long was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(30);

/// Takes what a stream says. Called by the stream's own task, in order.
pub trait StreamSink: Send {
    /// It is open: from now on nothing is missed.
    fn up(&mut self) -> impl Future<Output = ()> + Send;
    /// It is not open (any more).
    fn down(&mut self, reason: &str) -> impl Future<Output = ()> + Send;
    fn message(&mut self, message: Message) -> impl Future<Output = ()> + Send;
}

/// Follows the stream of a session.
pub async fn follow(
    engine: &Engine,
    session: &Session,
    base: StreamBase,
    scope: Option<Scope>,
    mut sink: impl StreamSink,
) {
    let mut backoff = Backoff::new(Duration::from_secs(1), LONGEST_WAIT);
    loop {
        let scope = scope.as_ref();
        let opened =
            session.call(|token| async move { engine.calls.stream(base, &session.key, scope, &token).await }).await;
        let wait = match opened {
            Ok(response) => {
                sink.up().await;
                let since = Instant::now();
                let reason = read(engine, response, &mut sink).await;
                sink.down(&reason).await;
                if since.elapsed() >= GOOD_AFTER {
                    backoff.succeeded();
                }
                backoff.failed(rand::random(), None)
            }
            Err(error) => {
                sink.down(&error.to_string()).await;
                backoff.failed(rand::random(), error.retry_after())
            }
        };
        engine.calls.counts.reconnects.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(wait).await;
    }
}

/// Reads until the stream is over; says why it is.
async fn read(engine: &Engine, mut response: Response, sink: &mut impl StreamSink) -> String {
    let counts = &engine.calls.counts;
    let mut parser = Parser::default();
    loop {
        let piece = match tokio::time::timeout(STREAM_SILENCE, response.chunk()).await {
            Err(_) => return format!("it was silent for {} s", STREAM_SILENCE.as_secs()),
            Ok(Ok(None)) => return "upstream ended it".to_owned(),
            Ok(Err(error)) => return CallError::of(error).to_string(),
            Ok(Ok(Some(piece))) => piece,
        };
        let frames = match parser.push(&piece) {
            Ok(frames) => frames,
            Err(error) => return error.to_string(),
        };
        for frame in frames {
            let Frame::Event(data) = frame else { continue };
            counts.messages.fetch_add(1, Ordering::Relaxed);
            let message = Message::read(&data);
            if let Message::Unknown { why, .. } = &message {
                counts.messages_unknown.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(why, "a message of the upstream stream is not understood; everything is fetched anew");
            }
            sink.message(message).await;
        }
    }
}

/// The sink of an environment with a stream of its own.
#[derive(Debug)]
pub struct OwnStream {
    pub engine: Arc<Engine>,
    pub feed: Arc<super::feed::Feed>,
}

impl StreamSink for OwnStream {
    async fn up(&mut self) {
        self.feed.stream(true, None, Instant::now(), crate::telemetry::clock::unix_now_ms());
    }

    async fn down(&mut self, reason: &str) {
        self.feed.stream(false, Some(reason), Instant::now(), crate::telemetry::clock::unix_now_ms());
    }

    async fn message(&mut self, message: Message) {
        // One that names another environment is not ours to act on, but
        // something is not as it should be: everything is fetched.
        let message = if message.is_about_only(&self.feed.id) {
            message
        } else {
            Message::Unknown { environment: None, why: "it names another environment".to_owned() }
        };
        if self.feed.message(&message, self.engine.begin(), Instant::now()) {
            self.engine.apply(&self.feed).await;
        }
    }
}
