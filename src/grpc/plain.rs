//! What the listener answers to plain HTTP, for programs such as curl.

use http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use tonic::body::Body;

use super::status::Refused;

/// Paths below this are plain HTTP: no gRPC method is called so.
const ROOT: &str = "/relay/";

/// True for what is asked in plain HTTP.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    path.starts_with(ROOT)
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
