//! Evaluations for client-side SDKs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
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
use crate::store::targets::MAX_TARGET_BYTES;

/// What one evaluation takes, so that a list rarely has to be moved.
const TYPICAL_EVALUATION_BYTES: usize = 112;

/// The header in which client-side SDKs send their target.
pub const TARGET_HEADER: &str = "harness-target";

impl Api {
    /// `GET …/target/{target}/evaluations`: every flag that can be
    /// evaluated, sorted by flag.
    ///
    /// # Errors
    /// A target above its size.
    pub fn evaluations(&self, access: &Access, headers: &HeaderMap, target: &str) -> Result<Answer, Refusal> {
        let target = target_of(access, headers, target)?;
        let mut body = BytesMut::with_capacity(access.snapshot.compiled.flag_count() * TYPICAL_EVALUATION_BYTES + 2);
        body.put_u8(b'[');
        let mut unevaluable = 0;
        access.snapshot.compiled.evaluator(&target).all(|answer| match answer.variation {
            Some(variation) => {
                if body.len() > 1 {
                    body.put_u8(b',');
                }
                body.extend_from_slice(variation.evaluation_json.as_bytes());
            }
            None => unevaluable += 1,
        });
        body.put_u8(b']');
        if unevaluable > 0 {
            self.counts.unevaluable_flags.fetch_add(unevaluable, Ordering::Relaxed);
        }
        Ok(answer::json(StatusCode::OK, body.freeze()))
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
fn target_of(access: &Access, headers: &HeaderMap, identifier: &str) -> Result<Arc<Target>, Refusal> {
    if let Some(target) = from_header(headers, identifier)? {
        return Ok(Arc::new(target));
    }
    Ok(known_target(&access.environment, &access.snapshot, access.claims.as_deref(), identifier))
}

/// A target by its identifier, without a header.
#[must_use]
pub fn known_target(
    environment: &Environment,
    snapshot: &Snapshot,
    claims: Option<&Claims>,
    identifier: &str,
) -> Arc<Target> {
    if let Some(stored) = environment.targets.get(identifier) {
        return Arc::new(stored.target.clone());
    }
    // As good as stored: eviction, a restart or another replica lose nothing.
    let own = claims.and_then(|claims| serde_json::from_str::<Target>(claims.target.as_deref()?).ok());
    if let Some(target) = own.filter(|target| target.identifier == identifier) {
        return Arc::new(target);
    }
    if let Some(configured) = snapshot.targets.get(identifier) {
        return Arc::clone(configured);
    }
    Arc::new(Target { identifier: identifier.to_owned(), ..Target::default() })
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

fn decode(encoded: &[u8]) -> Option<Target> {
    let bytes = STANDARD.decode(encoded).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    // Through our own parser: lone surrogates and duplicates as Go has them.
    let json = Json::parse(&text).ok()?;
    matches!(json, Json::Object(_)).then(|| serde_json::from_str(&json.compact()).ok()).flatten()
}
