//! Around every call: its time limit, its end when the relay shuts down, and
//! the promise that every error is one of the table's.

use std::any::Any;
use std::collections::HashSet;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{HeaderMap, Request, Response};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use super::audit::Audit;
use super::call_body::CallBody;
use super::mend::mend_headers;
use super::plain;
use super::status::Refused;
use crate::fault::Fault;

/// A call without streams takes no longer.
const UNARY_LIMIT: Duration = Duration::from_secs(30);

/// A call without streams may still be answered this long after its
/// connection was told to end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Cancelled when the calls of a connection have to end; noted in each of
/// its requests.
#[derive(Clone, Debug)]
pub struct Ending(pub CancellationToken);

/// See the first lines of this file.
#[derive(Clone, Debug)]
pub struct CallService<S> {
    inner: S,
    streaming: Arc<HashSet<String>>,
}

impl<S> CallService<S> {
    /// `descriptors` say which methods have streams.
    ///
    /// # Errors
    /// They are no descriptors.
    pub fn new(inner: S, descriptors: &[&[u8]]) -> Result<Self, prost::DecodeError> {
        let mut streaming = HashSet::new();
        for descriptors in descriptors {
            for file in FileDescriptorSet::decode(*descriptors)?.file {
                for service in &file.service {
                    let methods = service.method.iter();
                    let streams = methods.filter(|method| method.client_streaming() || method.server_streaming());
                    streaming.extend(
                        streams.map(|method| format!("/{}.{}/{}", file.package(), service.name(), method.name())),
                    );
                }
            }
        }
        Ok(CallService { inner, streaming: Arc::new(streaming) })
    }
}

impl<S> Service<Request<Body>> for CallService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let plain = plain::is_plain(path);
        let streaming = plain || self.streaming.contains(path);
        let asked = timeout_of(request.headers());
        let limit = if streaming { asked } else { Some(asked.map_or(UNARY_LIMIT, |asked| asked.min(UNARY_LIMIT))) };
        let limits = Limits {
            deadline: limit.map(|limit| Instant::now() + limit),
            ending: request.extensions().get::<Ending>().map(|ending| ending.0.clone()).unwrap_or_default(),
            last_answers: if streaming { Duration::ZERO } else { LAST_ANSWERS },
        };
        let audit = Audit::of(&request);
        let mut inner = self.inner.clone();
        // The clone may not be ready, this one is.
        std::mem::swap(&mut inner, &mut self.inner);
        Box::pin(async move {
            let answering = AssertUnwindSafe(async move { inner.call(request).await }).catch_unwind();
            let answered = tokio::select! {
                biased;
                answered = answering => answered.unwrap_or_else(|panic| Ok(refuse(plain, &panicked(&*panic)))),
                refused = limits.reached() => Ok(refuse(plain, &refused)),
            };
            let mut answer = answered?;
            if plain {
                if answer.headers().contains_key("grpc-status") {
                    // No service has taken it.
                    answer = plain::refusal(&Refused::new(Fault::RouteNotFound, "there is no such path here"));
                }
            } else {
                mend_headers(answer.headers_mut());
            }
            let (parts, body) = answer.into_parts();
            let body = CallBody::new(body, plain, limits, audit, &parts);
            Ok(Response::from_parts(parts, Body::new(body)))
        })
    }
}

fn refuse(plain: bool, refused: &Refused) -> Response<Body> {
    if plain { plain::refusal(refused) } else { refused.status().into_http() }
}

/// What a panic becomes, here and in bodies.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Refused {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("?"), "a gRPC call failed inside the relay");
    Refused::new(Fault::Internal, "the call failed inside the relay; its log says more")
}

/// When a call has to end, whatever it does.
#[derive(Clone, Debug)]
pub struct Limits {
    deadline: Option<Instant>,
    ending: CancellationToken,
    last_answers: Duration,
}

impl Limits {
    /// Ends when one of the limits is reached; says which.
    pub async fn reached(&self) -> Refused {
        let deadline = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let ending = async {
            self.ending.cancelled().await;
            tokio::time::sleep(self.last_answers).await;
        };
        tokio::select! {
            () = deadline => Refused::new(Fault::RequestTimeout, "the call took longer than its time limit"),
            () = ending => {
                Refused::new(Fault::Draining, "this relay ends the connection: it shuts down, or the connection is old; call again")
            }
        }
    }
}

/// `grpc-timeout`: up to eight digits and a unit.
fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = Some(digits).filter(|digits| digits.len() <= 8)?.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use std::convert::Infallible;
    use tokio_stream::StreamExt as _;
    use tonic::Status;
    use tonic_types::StatusExt as _;
    use tower::{ServiceExt as _, service_fn};

    const UNARY: &str = "/ffrelay.inspect.v1.InspectService/GetFlag";
    const STREAMING: &str = "/ffrelay.snapshot.v1.SnapshotService/ExportSnapshot";

    type Frame = Result<http_body::Frame<bytes::Bytes>, Status>;

    /// What a caller of `path` is told at last.
    async fn outcome<F>(path: &str, timeout: Option<&str>, ending: Ending, answer: fn() -> F) -> String
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let service = service_fn(move |_: Request<Body>| async move { Ok::<_, Infallible>(answer().await) });
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().unwrap();
        if let Some(timeout) = timeout {
            request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
        }
        request.extensions_mut().insert(ending);
        let calls = CallService::new(service, &[crate::proto::DESCRIPTORS]).unwrap();
        let answer = calls.oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let ended = body.collect().await.map(|all| all.trailers().cloned().unwrap_or_default());
        let headers = if head.headers.contains_key("grpc-status") { Ok(head.headers) } else { ended };
        let status = headers.map(|headers| Status::from_header_map(&headers).unwrap());
        let status = status.unwrap_or_else(|status| status);
        status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
    }

    fn never() -> Ending {
        Ending(CancellationToken::new())
    }

    fn now() -> Ending {
        let token = CancellationToken::new();
        token.cancel();
        Ending(token)
    }

    /// An answer whose body never ends.
    async fn endless() -> Response<Body> {
        let frames = tokio_stream::pending::<Frame>();
        Response::new(Body::new(http_body_util::StreamBody::new(frames)))
    }

    async fn panics() -> Response<Body> {
        panic!("of a test")
    }

    async fn panics_later() -> Response<Body> {
        let frames = tokio_stream::iter([()]).map(|()| -> Frame { panic!("of a test") });
        Response::new(Body::new(http_body_util::StreamBody::new(frames)))
    }

    async fn slow() -> Response<Body> {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Status::unauthenticated("an answer").into_http()
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error() {
        assert_eq!(outcome(UNARY, None, never(), panics).await, "INTERNAL");
        assert_eq!(outcome(STREAMING, None, never(), panics_later).await, "INTERNAL");
    }

    #[tokio::test]
    async fn a_time_limit_ends_calls_and_their_streams() {
        assert_eq!(outcome(UNARY, Some("50m"), never(), std::future::pending).await, "REQUEST_TIMEOUT");
        assert_eq!(outcome(STREAMING, Some("50m"), never(), std::future::pending).await, "REQUEST_TIMEOUT");
        assert_eq!(outcome(STREAMING, Some("50m"), never(), endless).await, "REQUEST_TIMEOUT");
    }

    #[tokio::test]
    async fn the_end_of_a_connection_ends_streams_at_once_and_lets_answers_go() {
        assert_eq!(outcome(UNARY, None, now(), slow).await, "", "it is answered");
        assert_eq!(outcome(UNARY, None, now(), std::future::pending).await, "DRAINING");
        assert_eq!(outcome(STREAMING, None, now(), slow).await, "DRAINING");
        assert_eq!(outcome(STREAMING, None, now(), endless).await, "DRAINING");
    }

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            timeout_of(&headers)
        };
        assert_eq!(read("20S"), Some(Duration::from_secs(20)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!((read("5u"), read("7n")), (Some(Duration::from_micros(5)), Some(Duration::from_nanos(7))));
        for bad in ["", "S", "1", "123456789S", "-1S", "1x", "1.5S"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
