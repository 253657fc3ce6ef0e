//! Answers: ready bytes, errors, and the bodies that carry them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::io::InFlight;
use super::stream::body::{DetachingBody, EventBody};
use crate::fault::Fault;
use crate::snapshot::body::Representation;

/// `Content-Type` of every JSON answer.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// More than an answer has.
const HEADERS: usize = 12;

/// An answer on its way out.
pub type Answer = Response<AnswerBody>;

/// The body of an answer, with the mark that its request is under way.
#[derive(Debug)]
pub struct AnswerBody {
    kind: Kind,
    pub in_flight: Option<InFlight>,
}

#[derive(Debug)]
enum Kind {
    Empty,
    Once(Bytes),
    Frames { frames: Arc<[Bytes]>, next: usize, left: u64 },
    Detaching(Box<DetachingBody>),
    Events(Box<EventBody>),
}

impl AnswerBody {
    fn new(kind: Kind) -> Self {
        AnswerBody { kind, in_flight: None }
    }

    #[must_use]
    pub fn empty() -> Self {
        AnswerBody::new(Kind::Empty)
    }

    #[must_use]
    pub fn once(bytes: Bytes) -> Self {
        AnswerBody::new(if bytes.is_empty() { Kind::Empty } else { Kind::Once(bytes) })
    }

    #[must_use]
    pub fn frames(representation: &Representation) -> Self {
        let frames = Arc::clone(&representation.frames);
        AnswerBody::new(Kind::Frames { frames, next: 0, left: representation.length })
    }

    /// A stream that leaves hyper after its first bytes.
    #[must_use]
    pub fn detaching(body: DetachingBody) -> Self {
        AnswerBody::new(Kind::Detaching(Box::new(body)))
    }

    /// A stream inside an HTTP/2 connection.
    #[must_use]
    pub fn events(body: EventBody) -> Self {
        AnswerBody::new(Kind::Events(Box::new(body)))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Once(bytes) => {
                let bytes = std::mem::take(bytes);
                self.kind = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Frames { frames, next, left } => match frames.get(*next) {
                Some(bytes) => {
                    *next += 1;
                    *left = left.saturating_sub(bytes.len() as u64);
                    Poll::Ready(Some(Ok(Frame::data(bytes.clone()))))
                }
                None => Poll::Ready(None),
            },
            Kind::Detaching(body) => body.poll_first().map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Events(body) => body.poll_next(cx).map(|event| event.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Frames { left, .. } => *left == 0,
            _ => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Once(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Frames { left, .. } => SizeHint::with_exact(*left),
            Kind::Detaching(_) | Kind::Events(_) => SizeHint::default(),
        }
    }
}

/// A refusal on its way to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub fault: Fault,
    /// What happened, to what, and what to do.
    pub message: String,
}

impl Refusal {
    #[must_use]
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Refusal { fault, message: message.into() }
    }

    /// The JSON error that SDKs and people read.
    #[must_use]
    pub fn answer(&self) -> Answer {
        json(self.fault.row().status, Bytes::from(self.fault.json(&self.message)))
    }
}

/// A JSON answer.
#[must_use]
pub fn json(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = response(status, AnswerBody::once(body));
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

/// A ready list with its `ETag`.
#[must_use]
pub fn list(representation: &Representation, gzip: bool) -> Answer {
    let mut answer = response(StatusCode::OK, AnswerBody::frames(representation));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(ETAG, representation.etag.clone());
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzip {
        headers.insert(http::header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// "You have it already."
#[must_use]
pub fn not_modified(etag: &HeaderValue) -> Answer {
    let mut answer = response(StatusCode::NOT_MODIFIED, AnswerBody::empty());
    answer.headers_mut().insert(ETAG, etag.clone());
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    answer
}

/// A status without a body.
#[must_use]
pub fn bare(status: StatusCode) -> Answer {
    response(status, AnswerBody::empty())
}

/// With room for all headers, so that adding them moves none.
fn response(status: StatusCode, body: AnswerBody) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = HeaderMap::with_capacity(HEADERS);
    answer
}
