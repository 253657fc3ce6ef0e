//! What the listener answers to plain HTTP, for programs such as curl.

use http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use tonic::body::Body;

use super::status::Refused;
use crate::fault::Fault;

/// Paths below this are plain HTTP: no gRPC method is called so.
const ROOT: &str = "/relay/";

/// True for what is asked in plain HTTP.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    path.starts_with(ROOT)
}

/// True for a request of neither kind: a browser, a probe, a wrong port.
#[must_use]
pub fn is_foreign(request: &Request<Body>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    !is_plain(request.uri().path()) && !kind.starts_with(b"application/grpc")
}

/// What such a request is told.
#[must_use]
pub fn foreign() -> Refused {
    let message = "this port speaks gRPC; SDKs have another port, and plain HTTP is answered below /relay/ only";
    Refused::new(Fault::RouteNotFound, message)
}

/// A refusal as the SDK port says it.
#[must_use]
pub fn refusal(refused: &Refused) -> Response<Body> {
    let status = refused.fault.row().status;
    let body = http_body_util::Full::new(bytes::Bytes::from(refused.fault.json(&refused.message)));
    let mut answer = Response::new(Body::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}
