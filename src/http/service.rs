//! From a request to its answer: route, headers that every answer has,
//! counting.

use std::sync::Arc;
use std::time::Instant;

use http::header::{ALLOW, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use hyper::body::{Body as _, Incoming};

use super::answer::{self, Answer, Refusal};
use super::api::Api;
use super::configuration;
use super::connection::ConnectionContext;
use super::cors::origin;
use super::route::{Parsed, Route, asks_for_rules_v2, parse};
use crate::fault::Fault;
use crate::store::environment::Environment;
use crate::telemetry::requests::RouteLabel;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request id that comes along is given back up to this length.
const MAX_REQUEST_ID_BYTES: usize = 256;

/// Answers one request, whatever it is.
pub async fn answer(context: &ConnectionContext, request: Request<Incoming>) -> Answer {
    let started = Instant::now();
    let api = &context.api;
    let id = request_id(request.headers());
    let origin = origin(request.headers());
    let body_bytes = request.body().size_hint().lower();
    let (label, environment, mut answer) = if request.method() == Method::OPTIONS {
        (RouteLabel::Unknown, None, answer::bare(StatusCode::NO_CONTENT))
    } else {
        route(context, request).await
    };
    let headers = answer.headers_mut();
    api.cors.apply(origin.as_ref(), headers);
    headers.insert(REQUEST_ID, id);
    api.count(label, environment.as_deref(), &answer, started, body_bytes);
    answer
}

type Routed = (RouteLabel, Option<Arc<Environment>>, Answer);

async fn route(context: &ConnectionContext, request: Request<Incoming>) -> Routed {
    let (parts, mut body) = request.into_parts();
    let (path, query, headers) = (parts.uri.path(), parts.uri.query(), &parts.headers);
    let api = &context.api;
    let route = match parse(&parts.method, path) {
        Parsed::Route(route) if context.operations_only && route.label() != RouteLabel::Operations => {
            return (RouteLabel::Unknown, None, unknown(path));
        }
        Parsed::Route(route) => route,
        Parsed::WrongMethod(allowed) => return (RouteLabel::Unknown, None, wrong_method(&parts.method, path, allowed)),
        Parsed::Unknown => return (RouteLabel::Unknown, None, unknown(path)),
    };
    let label = route.label();
    let memo = &context.memo;
    let data = |environment| api.access(headers, memo, environment);
    let answered: Result<(Option<Arc<Environment>>, Answer), Refusal> = match &route {
        // Boxed where a future is large, so that those of most requests are small.
        Route::Authenticate => {
            Box::pin(api.authenticate(headers, &mut body)).await.map(|(env, answer)| (Some(env), answer))
        }
        Route::Flags { environment } => {
            data(environment).await.map(|a| (configuration::flags(&a.snapshot, headers), a)).map(with_environment)
        }
        Route::Flag { environment, identifier } => data(environment)
            .await
            .and_then(|a| Ok((configuration::flag(&a.snapshot, identifier)?, a)))
            .map(with_environment),
        Route::Segments { environment } => data(environment)
            .await
            .map(|a| (configuration::segments(&a.snapshot, asks_for_rules_v2(query), headers), a))
            .map(with_environment),
        Route::Segment { environment, identifier } => data(environment)
            .await
            .and_then(|a| Ok((configuration::segment(&a.snapshot, identifier, asks_for_rules_v2(query))?, a)))
            .map(with_environment),
        Route::Evaluations { environment, target } => {
            data(environment).await.and_then(|a| Ok((api.evaluations(&a, headers, target)?, a))).map(with_environment)
        }
        Route::Evaluation { environment, target, flag } => data(environment)
            .await
            .and_then(|a| Ok((api.evaluation(&a, headers, target, flag)?, a)))
            .map(with_environment),
        Route::Stream => Ok(Box::pin(api.stream((&parts.method, parts.version), headers, context)).await),
        Route::PostMetrics { environment } => match data(environment).await {
            Ok(access) => {
                let answer = Box::pin(api.take_metrics(&access.environment.id, headers, body)).await;
                answer.map(|answer| (Some(access.environment), answer))
            }
            Err(refusal) => Err(refusal),
        },
        Route::Prometheus => Ok((None, api.prometheus())),
        Route::Health => Ok((None, api.health())),
        Route::Ready => Ok((None, api.ready())),
        Route::Live => Ok((None, super::operations::live())),
    };
    match answered {
        Ok((environment, answer)) => (label, environment, answer),
        Err(refusal) => (label, None, refusal.answer()),
    }
}

fn with_environment((answer, access): (Answer, super::authorize::Access)) -> (Option<Arc<Environment>>, Answer) {
    (Some(access.environment), answer)
}

fn wrong_method(method: &Method, path: &str, allowed: &'static str) -> Answer {
    let refusal = Refusal::new(Fault::MethodNotAllowed, format!("{path} cannot be asked with {method}; use {allowed}"));
    let mut answer = refusal.answer();
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn unknown(path: &str) -> Answer {
    let shown: String = path.chars().take(200).collect();
    Refusal::new(Fault::RouteNotFound, format!("there is no route {shown}; point SDKs at the relay's root")).answer()
}

/// The client's own id, or a new one in the form of a UUID.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sent = headers.get(REQUEST_ID).filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES);
    if let Some(id) = sent {
        return id.clone();
    }
    let id = (rand::random::<u128>() & 0xffff_ffff_ffff_0fff_3fff_ffff_ffff_ffff) | 0x4000_8000_0000_0000_0000;
    let mut text = [b'-'; 36];
    let digits = text.iter_mut().enumerate().filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23)).map(|(_, digit)| digit);
    for (digit, at) in digits.zip(0..) {
        let value = u8::try_from((id >> (124 - 4 * at)) & 0xf).unwrap_or_default();
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0"))
}

impl Api {
    fn count(
        &self,
        label: RouteLabel,
        environment: Option<&Environment>,
        answer: &Answer,
        started: Instant,
        body: u64,
    ) {
        let status = answer.status().as_u16();
        environment.map_or(&self.counts.requests, |environment| &environment.requests).add(label, status);
        if let Some(durations) = self.counts.durations.get(label as usize) {
            durations.observe(started.elapsed().as_secs_f64());
        }
        #[expect(clippy::cast_precision_loss, reason = "a size for a dashboard")]
        self.counts.body_bytes.observe(body as f64);
    }
}
