//! `GET /relay/latest-all`: the archive of everything, by plain HTTP on the
//! admin port, for `curl` and for mirrors. Access was decided before.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::Either;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE, RETRY_AFTER,
};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use prost_types::Timestamp;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::access::Caller;
use super::archives::{Archive, Archives, PRODUCER, Refused, Selection};
use super::byte_range::{Asked, asked};
use super::sending::chunks;
use super::{plain, status};
use crate::fault::Fault;

/// Everything under it is answered here.
pub const PREFIX: &str = "/relay/";

/// The archive of everything.
pub const LATEST: &str = "/relay/latest-all";

/// Calls are cut after 30 s. An archive that takes longer goes on being made,
/// and the next who asks finds it.
const PATIENCE: Duration = Duration::from_secs(20);

const CREATED_AT: HeaderName = HeaderName::from_static("x-ff-relay-created-at");
const MADE_BY: HeaderName = HeaderName::from_static("x-ff-relay-producer");

/// Answers what is under [`PREFIX`] and hands on the rest.
#[derive(Clone, Debug)]
pub struct DownloadLayer {
    pub archives: Arc<Archives>,
}

impl<S> Layer<S> for DownloadLayer {
    type Service = DownloadService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DownloadService { inner, archives: Arc::clone(&self.archives) }
    }
}

/// See [`DownloadLayer`].
#[derive(Clone, Debug)]
pub struct DownloadService<S> {
    inner: S,
    archives: Arc<Archives>,
}

impl<S> Service<Request<Body>> for DownloadService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !request.uri().path().starts_with(PREFIX) {
            return Either::Left(self.inner.call(request));
        }
        let archives = Arc::clone(&self.archives);
        Either::Right(Box::pin(async move { Ok(answer(&archives, request).await) }))
    }
}

/// Answers a request whose path begins with [`PREFIX`].
async fn answer(archives: &Arc<Archives>, request: Request<Body>) -> Response<Body> {
    if request.uri().path() != LATEST {
        return failed(&Refused::new(Fault::RouteNotFound, format!("there is no such path; {LATEST} is one")));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut answer = failed(&Refused::new(Fault::MethodNotAllowed, "only GET and HEAD are answered here"));
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let (parts, _) = request.into_parts();
    let caller = Caller::name_of(&parts.extensions);
    let sent = send(archives, &parts.method, &parts.headers, caller).await;
    sent.unwrap_or_else(|refused| failed(&refused))
}

async fn send(
    archives: &Arc<Archives>,
    method: &Method,
    headers: &HeaderMap,
    caller: &str,
) -> Result<Response<Body>, Refused> {
    let slot = archives.slot()?;
    let making = Arc::clone(archives).archive(Selection::everything());
    let archive = tokio::time::timeout(PATIENCE, making).await.unwrap_or_else(|_| {
        Err(Refused::new(Fault::TooManyStreams, "the archive is still being made; ask again in a few seconds"))
    })?;
    let etag = format!("\"{}\"", archive.spool.sha256);
    if headers.get_all(IF_NONE_MATCH).iter().any(|sent| names(sent, &etag)) {
        let mut answer = described(&archive, &etag);
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(answer);
    }
    let size = archive.spool.size;
    // A range of another archive than the one that is here now is worthless.
    let same = headers.get(IF_RANGE).is_none_or(|sent| sent.as_bytes() == etag.as_bytes());
    let asked = headers.get(RANGE).filter(|_| same && method == Method::GET).map_or(Asked::All, |it| asked(it, size));
    let mut answer = described(&archive, &etag);
    let range: Range<u64> = match asked {
        Asked::All => 0..size,
        Asked::Part(range) => {
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            let last = range.end.saturating_sub(1);
            insert(&mut answer, CONTENT_RANGE, &format!("bytes {}-{last}/{size}", range.start));
            range
        }
        Asked::Nothing => {
            let mut answer = failed(&Refused::new(
                Fault::DigestGone,
                format!("the range begins behind the end of the archive, {size} bytes"),
            ));
            insert(&mut answer, CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok(answer);
        }
    };
    insert(&mut answer, CONTENT_LENGTH, &(range.end - range.start).to_string());
    if method == Method::HEAD {
        return Ok(answer);
    }
    tracing::info!(caller, environments = archive.environments.len(), size, offset = range.start, "download");
    let chunks = chunks(archives, archive, range, slot);
    let frames = chunks.map(|chunk| chunk.map(|(_, bytes)| Frame::data(bytes)).map_err(Status::from));
    *answer.body_mut() = Body::new(StreamBody::new(frames));
    Ok(answer)
}

/// An answer without a body yet.
fn described(archive: &Archive, etag: &str) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    for (name, value) in [
        (CONTENT_TYPE, "application/gzip"),
        (CONTENT_DISPOSITION, "attachment; filename=\"flags.tar.gz\""),
        (ACCEPT_RANGES, "bytes"),
        (CACHE_CONTROL, "private, no-cache"),
        (MADE_BY, PRODUCER),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    insert(&mut answer, ETAG, etag);
    insert(&mut answer, CREATED_AT, &Timestamp::from(archive.created_at).to_string());
    answer
}

fn insert(answer: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// Whether `If-None-Match` names this archive.
fn names(sent: &HeaderValue, etag: &str) -> bool {
    let sent = sent.to_str().unwrap_or_default();
    sent.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == etag)
}

/// An error as the one table has it.
fn failed(refused: &Refused) -> Response<Body> {
    let mut answer = plain::refusal(&status::Refused::new(refused.fault, refused.message.clone()));
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    answer
}
