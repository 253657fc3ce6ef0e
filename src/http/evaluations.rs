//! Evaluations for client-side SDKs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::answer::{self, Answer, Refusal};
use super::api::Api;
use super::authorize::Access;
use super::token::Claims;
use crate::fault::Fault;
use crate::model::Target;
use crate::model::json::Json;
use crate::snapshot::Snapshot;
use crate::store::environment::Environment;
use crate::store::targets::{MAX_TARGET_BYTES, StoredTarget};

/// What one evaluation takes, so that a list rarely has to be moved.
const TYPICAL_EVALUATION_BYTES: usize = 112;

/// The header in which client-side SDKs send their target.
pub const TARGET_HEADER: &str = "harness-target";

impl Api {
    /// `GET …/target/{target}/evaluations`: every flag that can be
    /// evaluated, sorted by flag.
    ///
    /// # Errors
    /// A target above its size; too many answers that nobody reads.
    pub fn evaluations(&self, access: &Access, headers: &HeaderMap, target: &str) -> Result<Answer, Refusal> {
        let target = target_of(access, headers, target)?;
        let expected = access.snapshot.compiled.flag_count() * TYPICAL_EVALUATION_BYTES + 2;
        let too_many =
            || Refusal::new(Fault::Overloaded, "too many answers wait for their clients to read them; try again");
        let room = self.unshared.room(expected).ok_or_else(too_many)?;
        let mut body = Vec::with_capacity(expected);
        body.push(b'[');
        let mut unevaluable = 0;
        access.snapshot.compiled.evaluator(&target).all(|answer| match answer.variation {
            Some(variation) => {
                if body.len() > 1 {
                    body.push(b',');
                }
                body.extend_from_slice(variation.evaluation_json.as_bytes());
            }
            None => unevaluable += 1,
        });
        body.push(b']');
        if unevaluable > 0 {
            self.counts.unevaluable_flags.fetch_add(unevaluable, Ordering::Relaxed);
        }
        let room = room.grown_to(body.capacity()).ok_or_else(too_many)?;
        Ok(answer::json(StatusCode::OK, room.hold(body)))
    }

    /// `GET …/target/{target}/evaluations/{flag}`
    ///
    /// # Errors
    /// A target above its size; an unknown flag, or one without an answer.
    pub fn evaluation(
        &self,
        access: &Access,
        headers: &HeaderMap,
        target: &str,
        flag: &str,
    ) -> Result<Answer, Refusal> {
        let target = target_of(access, headers, target)?;
        let mut evaluator = access.snapshot.compiled.evaluator(&target);
        let Some(answer) = evaluator.flag(flag) else {
            return Err(Refusal::new(Fault::FlagNotFound, format!("flag '{flag}' is not known in this environment")));
        };
        let Some(variation) = answer.variation else {
            self.counts.unevaluable_flags.fetch_add(1, Ordering::Relaxed);
            let message = format!("flag '{flag}' has no variation to serve to this target; look at its variations");
            return Err(Refusal::new(Fault::NotEvaluable, message));
        };
        Ok(answer::json(StatusCode::OK, Bytes::copy_from_slice(variation.evaluation_json.as_bytes())))
    }
}

/// Whom to evaluate for: the header's target, else the stored one, else the
/// token's own, else the configured one, else the bare identifier.
fn target_of(access: &Access, headers: &HeaderMap, identifier: &str) -> Result<KnownTarget, Refusal> {
    if let Some(target) = from_header(headers, identifier)? {
        return Ok(KnownTarget::Own(target));
    }
    Ok(known_target(&access.environment, &access.snapshot, access.claims.as_deref(), identifier))
}

/// Whom a request is evaluated for; nothing is copied that is held elsewhere.
#[derive(Debug)]
pub enum KnownTarget {
    Own(Target),
    Stored(Arc<StoredTarget>),
    Configured(Arc<Target>),
}

impl std::ops::Deref for KnownTarget {
    type Target = Target;

    fn deref(&self) -> &Target {
        match self {
            KnownTarget::Own(target) => target,
            KnownTarget::Stored(stored) => &stored.target,
            KnownTarget::Configured(target) => target,
        }
    }
}

/// A target by its identifier, without a header.
#[must_use]
pub fn known_target(
    environment: &Environment,
    snapshot: &Snapshot,
    claims: Option<&Claims>,
    identifier: &str,
) -> KnownTarget {
    if let Some(stored) = environment.targets.get(identifier) {
        return KnownTarget::Stored(stored);
    }
    // As good as stored: eviction, a restart or another replica lose nothing.
    let own = claims.and_then(|claims| serde_json::from_str::<Target>(claims.target.as_deref()?).ok());
    if let Some(target) = own.filter(|target| target.identifier == identifier) {
        return KnownTarget::Own(target);
    }
    if let Some(configured) = snapshot.targets.get(identifier) {
        return KnownTarget::Configured(Arc::clone(configured));
    }
    KnownTarget::Own(Target { identifier: identifier.to_owned(), ..Target::default() })
}

/// The target of the header: padded standard base64 of its JSON. One that
/// cannot be decoded, as `undefined`, is as good as none.
///
/// # Errors
/// It is too large.
pub fn from_header(headers: &HeaderMap, identifier: &str) -> Result<Option<Target>, Refusal> {
    for value in headers.get_all(TARGET_HEADER) {
        let encoded = value.as_bytes().trim_ascii();
        if encoded.is_empty() {
            continue;
        }
        if encoded.len() / 4 * 3 > MAX_TARGET_BYTES + 3 {
            let message = format!("the Harness-Target header holds more than {MAX_TARGET_BYTES} bytes");
            return Err(Refusal::new(Fault::InvalidField, message));
        }
        match decode(encoded) {
            Some(mut target) => {
                if target.identifier.is_empty() {
                    identifier.clone_into(&mut target.identifier);
                }
                return Ok(Some(target));
            }
            None => tracing::debug!("a Harness-Target header could not be decoded and is ignored"),
        }
    }
    Ok(None)
}

/// The header's target as compact JSON; `None` without one that can be
/// decoded.
#[must_use]
pub fn header_json(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(TARGET_HEADER).iter().map(|value| value.as_bytes().trim_ascii());
    values.filter(|value| !value.is_empty() && value.len() / 4 * 3 <= MAX_TARGET_BYTES + 3).find_map(decode_json)
}

fn decode(encoded: &[u8]) -> Option<Target> {
    serde_json::from_str(&decode_json(encoded)?).ok()
}

fn decode_json(encoded: &[u8]) -> Option<String> {
    let bytes = STANDARD.decode(encoded).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    // Through our own parser: lone surrogates and duplicates as Go has them.
    let json = Json::parse(&text).ok()?;
    matches!(json, Json::Object(_)).then(|| json.compact())
}
