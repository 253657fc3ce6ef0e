//! The body of an answer: it ends when its call has to, with a status.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http::response::Parts;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use super::audit::Audit;
use super::call::{Limits, panicked};
use super::mend::mend_trailers;
use super::status::Refused;

/// See the first line of this file.
pub struct CallBody {
    inner: Body,
    /// Without trailers: an end too early breaks the connection.
    plain: bool,
    limit: Pin<Box<dyn Future<Output = Refused> + Send>>,
    audit: Option<Audit>,
    ended: bool,
}

impl fmt::Debug for CallBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallBody").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl CallBody {
    #[must_use]
    pub fn new(inner: Body, plain: bool, limits: Limits, mut audit: Option<Audit>, head: &Parts) -> Self {
        if let Some(audit) = &mut audit {
            if let Some(status) = Status::from_header_map(&head.headers) {
                audit.ended(status.code());
            } else if plain && !head.status.is_success() {
                audit.answered(head.status);
            }
        }
        let limit = Box::pin(async move { limits.reached().await });
        CallBody { inner, plain, limit, audit, ended: false }
    }

    fn end_with(&mut self, refused: &Refused) -> Result<Frame<Bytes>, Status> {
        self.ended = true;
        let status = refused.status();
        if let Some(audit) = &mut self.audit {
            audit.ended(status.code());
        }
        let mut trailers = HeaderMap::new();
        if self.plain || status.add_header(&mut trailers).is_err() {
            return Err(status);
        }
        Ok(Frame::trailers(trailers))
    }

    fn note(&mut self, frame: &mut Frame<Bytes>) {
        let Some(trailers) = frame.trailers_mut() else { return };
        self.ended = true;
        mend_trailers(trailers);
        if let (Some(audit), Some(status)) = (&mut self.audit, Status::from_header_map(trailers)) {
            audit.ended(status.code());
        }
    }

    fn ended_well(&mut self) {
        self.ended = true;
        if let Some(audit) = self.audit.as_mut().filter(|_| self.plain) {
            audit.ended(Code::Ok);
        }
    }
}

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        // What is ready goes first: health says its last word.
        match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.inner).poll_frame(cx))) {
            Ok(Poll::Ready(Some(Ok(mut frame)))) => {
                this.note(&mut frame);
                Poll::Ready(Some(Ok(frame)))
            }
            Ok(Poll::Ready(Some(Err(error)))) => {
                this.ended = true;
                Poll::Ready(Some(Err(error)))
            }
            Ok(Poll::Ready(None)) => {
                this.ended_well();
                Poll::Ready(None)
            }
            Ok(Poll::Pending) => match this.limit.as_mut().poll(cx) {
                Poll::Ready(refused) => Poll::Ready(Some(this.end_with(&refused))),
                Poll::Pending => Poll::Pending,
            },
            Err(panic) => {
                let refused = panicked(&*panic);
                Poll::Ready(Some(this.end_with(&refused)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
