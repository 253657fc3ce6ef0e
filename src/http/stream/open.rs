//! `GET /stream`: who may have one, and how it begins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode, Version};
use rand::Rng as _;

use super::answers;
use super::body::{DetachSlot, Detached, DetachingBody, EventBody};
use super::cursor::{Cursor, EventRepeat, Start};
use super::feed::Feed;
use super::registry::OpenPlace;
use super::replay::{Point, Replay, point};
use crate::http::answer::{Answer, AnswerBody, bare};
use crate::http::api::Api;
use crate::http::authorize::{TokenMemo, look};
use crate::http::connection::ConnectionContext;
use crate::http::evaluations::TARGET_HEADER;
use crate::http::hold::Look;
use crate::http::token::Claims;
use crate::snapshot::Snapshot;
use crate::snapshot::content::KeyHash;
use crate::snapshot::item::Digest;
use crate::store::Index;
use crate::store::environment::Environment;
use crate::store::keys::Arrival;
use crate::store::source_status::SourceKind;
use crate::store::streams::Opening;
use crate::telemetry::clock::{unix_now_ms, unix_now_s};

/// Replays begin this late at most, so that many SDKs that come back at once
/// do not ask at once.
const REPLAY_JITTER_MS: u64 = 1_000;

/// How a stream's connection carries it.
#[derive(Clone, Debug)]
pub enum Carrier {
    /// HTTP/1: the stream leaves hyper.
    Detach(Arc<DetachSlot>),
    /// HTTP/2: the stream is a body.
    Body,
}

/// Who asks for a stream, once admitted.
struct Admitted {
    environment: Arc<Environment>,
    snapshot: Arc<Snapshot>,
    claims: Option<Arc<Claims>>,
    keys: Box<[KeyHash]>,
}

/// Why there is no stream. Answers have no body: the browser SDK takes any
/// byte as life and stops polling.
enum NoStream {
    NoKey,
    Refused,
    Later,
}

impl Api {
    /// Opens a stream, or says in a status why not.
    pub async fn stream(
        &self,
        request: (&Method, Version),
        headers: &HeaderMap,
        context: &ConnectionContext,
    ) -> (Option<Arc<Environment>>, Answer) {
        let arrival = self.store.certainty().arrival();
        let memo = &context.memo;
        let mut admission = self.admit(headers, memo, arrival);
        if matches!(admission, Err(NoStream::Later)) && self.store.certainty().can_be_asked() {
            self.wait_for_key(headers).await;
            admission = self.admit(headers, memo, arrival);
        }
        let admitted = match admission {
            Ok(admitted) => admitted,
            Err(NoStream::NoKey) => return (None, bare(StatusCode::BAD_REQUEST)),
            Err(NoStream::Later) => return (None, later()),
            Err(NoStream::Refused) => {
                self.streams.delay_refusal().await;
                return (None, bare(StatusCode::UNAUTHORIZED));
            }
        };
        let environment = Arc::clone(&admitted.environment);
        let Some(place) = self.streams.open(&environment) else {
            return (Some(environment), later());
        };
        let (method, version) = request;
        if method == Method::HEAD {
            return (Some(environment), accepted(AnswerBody::empty()));
        }
        let feed = self.feed(admitted, headers, context.address, place);
        let body = match &context.carrier {
            Carrier::Body => AnswerBody::events(EventBody::new(feed)),
            Carrier::Detach(slot) => {
                let chunked = version != Version::HTTP_10;
                AnswerBody::detaching(DetachingBody::new(Arc::clone(slot), Detached { feed, chunked }))
            }
        };
        (Some(environment), accepted(body))
    }

    /// Waits until the source was asked about a key that is not known here.
    async fn wait_for_key(&self, headers: &HeaderMap) {
        let Some(key) = key_of(headers) else { return };
        let look = |index: &Index, certain: bool| match index.environment_of_key(&key) {
            Some(_) => Look::Found(()),
            None if certain => Look::Absent,
            None => Look::Unknown,
        };
        // What it says is looked at again by who asked.
        let _ = self.hold.until(&self.store, Some(&key), look).await;
    }

    fn admit(&self, headers: &HeaderMap, memo: &TokenMemo, arrival: Arrival) -> Result<Admitted, NoStream> {
        let key = key_of(headers).ok_or(NoStream::NoKey)?;
        let without_token = self.settings.bypass_auth && !headers.contains_key(AUTHORIZATION);
        let claims = if without_token {
            None
        } else {
            match self.claims(headers, memo) {
                Ok(claims) => Some(claims),
                Err(_) if self.settings.bypass_auth => None,
                Err(_) => return Err(NoStream::Refused),
            }
        };
        let certain = self.store.certainty().is_refused(&key) || self.store.is_certain(arrival);
        let index = self.store.index();
        let Some(owner) = index.environment_of_key(&key) else {
            return Err(if certain { NoStream::Refused } else { NoStream::Later });
        };
        let claims = claims.filter(|claims| !self.settings.bypass_auth || claims.environment == owner.id.as_str());
        if claims.as_ref().is_some_and(|claims| claims.environment != owner.id.as_str()) {
            return Err(NoStream::Refused);
        }
        match look(&index, certain, owner.id.as_str(), claims.as_deref()) {
            Look::Found((environment, snapshot)) => {
                let own = claims.as_ref().and_then(|claims| claims.key_hash).filter(|own| *own != key);
                let keys = std::iter::once(key).chain(own).collect();
                Ok(Admitted { environment, snapshot, claims, keys })
            }
            Look::Absent => Err(NoStream::Refused),
            Look::Unknown => Err(NoStream::Later),
        }
    }

    fn feed(&self, admitted: Admitted, headers: &HeaderMap, address: Option<SocketAddr>, place: OpenPlace) -> Feed {
        let Admitted { environment, snapshot, claims, keys } = admitted;
        let jti = claims.as_ref().and_then(|claims| claims.jti.clone()).map(String::into_boxed_str);
        // Where relays share SDKs, this one's memory is not the last word.
        let shared = environment.gate.has_followers() || **environment.source.load() == SourceKind::Peer;
        let last = jti.as_deref().and_then(|jti| self.streams.memory.begin(jti)).filter(|_| !shared);
        let point = point(&snapshot, claims.as_deref(), last, unix_now_s());
        let client_side = is_client_side(headers);
        let listed = self.store.streams().enter(Opening {
            environment: &environment,
            address,
            sdk: sdk_of(headers),
            client_side,
            at_ms: unix_now_ms(),
        });
        let target = answers::target_of(headers, sdk_of(headers), claims.as_deref()).filter(|_| client_side);
        let id = environment.id.clone();
        let mut rng = rand::rng();
        let repeat = self.streams.settings.event_repeat;
        let start = Start {
            environment,
            keys,
            client_side,
            replay: Replay::plan(&snapshot, point, client_side),
            replay_delay: Duration::from_millis(rng.random_range(0..REPLAY_JITTER_MS)),
            pace: Arc::clone(&self.streams.pace),
            repeat: repeat
                .map(|repeat| EventRepeat { after: repeat.after.mul_f64(rng.random_range(0.8..1.2)), ..repeat }),
        };
        let known = match point {
            Point::Sequence { sequence, after_unix_s } if snapshot.ledger.switched_at <= after_unix_s => Some(sequence),
            _ => None,
        };
        let target = target.and_then(|(json, from_token)| self.streams.targets.enter(id.as_str(), &json, from_token));
        let identity = jti.map(|jti| (jti, snapshot.revision.epoch));
        Feed::new(Cursor::new(start, &snapshot), (place, listed), Arc::clone(&self.streams), identity, known, target)
    }
}

fn key_of(headers: &HeaderMap) -> Option<KeyHash> {
    let key = headers.get("api-key").map(HeaderValue::as_bytes).map(<[u8]>::trim_ascii);
    key.filter(|key| !key.is_empty()).map(Digest::of)
}

/// Client-side SDKs hold results, not rules. They say so by their target, or
/// by the end of their name.
fn is_client_side(headers: &HeaderMap) -> bool {
    let has_target = headers.get_all(TARGET_HEADER).iter().any(|value| {
        let value = value.as_bytes().trim_ascii();
        !value.is_empty() && value != b"undefined"
    });
    has_target || sdk_of(headers).trim_end().ends_with("Client")
}

/// What the SDK says of itself.
fn sdk_of(headers: &HeaderMap) -> &str {
    headers.get("harness-sdk-info").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn accepted(body: AnswerBody) -> Answer {
    let mut answer = http::Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    answer
}

fn later() -> Answer {
    let mut answer = bare(StatusCode::SERVICE_UNAVAILABLE);
    let seconds = rand::rng().random_range(5..15_u16);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    answer
}
