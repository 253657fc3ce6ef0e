//! SDK tokens: JWT, HS256, made and checked here.
//!
//! Claims are those that SDKs read (`http-api.md`, "Authentication"): Go,
//! Python, .NET and Erlang need `clusterIdentifier`, PHP `accountID` too.
//! No `exp` (no SDK ever refreshes) and no `nbf` (clocks differ).

use std::borrow::Cow;
use std::fmt::Write as _;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::Secret;
use crate::model::json::write_string;
use crate::snapshot::content::KeyHash;
use crate::snapshot::item::Digest;
use crate::snapshot::{Epoch, Names, Revision, Snapshot};

/// A target travels in its token up to this size.
pub const MAX_TOKEN_TARGET_BYTES: usize = 2 * 1024;

/// Tokens longer than this are not looked at.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// {"alg":"HS256","typ":"JWT"}
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// The keys that sign and verify.
#[derive(Debug)]
pub struct TokenKeys {
    signing: hmac::Key,
    verifying: Vec<hmac::Key>,
    legacy_tokens: bool,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub environment: String,
    /// `None`: made by the Go proxy v1.
    pub key_hash: Option<KeyHash>,
    /// Names the token in the memory of streams.
    pub jti: Option<String>,
    /// Unix seconds.
    pub issued_at: Option<i64>,
    pub expires_at: Option<i64>,
    pub revision: Option<TokenRevision>,
    /// The target's JSON.
    pub target: Option<String>,
}

/// The claim `rev`: the environment's state when the token was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRevision {
    pub epoch: Epoch,
    pub sequence: u64,
    /// The first 12 hexadecimal digits of the content digest.
    pub digest: String,
}

impl TokenRevision {
    #[must_use]
    pub fn of(revision: &Revision) -> Self {
        let digest = short_digest(&revision.digest);
        TokenRevision { epoch: revision.epoch, sequence: revision.sequence, digest }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (epoch, sequence, digest) = (parts.next()?, parts.next()?, parts.next()?);
        Some(TokenRevision { epoch: Epoch::parse(epoch)?, sequence: sequence.parse().ok()?, digest: digest.to_owned() })
    }
}

/// The first 12 hexadecimal digits.
#[must_use]
pub fn short_digest(digest: &Digest) -> String {
    digest.to_string().get(..12).unwrap_or_default().to_owned()
}

/// Why a token is refused. The text is told to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token is not signed with HS256")]
    Algorithm,
    #[error("the token's signature is not valid here")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token names no API key, and such tokens are not accepted here")]
    Legacy,
}

impl TokenKeys {
    /// `signing` signs; it and `also_verifying` verify.
    #[must_use]
    pub fn new(signing: &Secret, also_verifying: &[Secret], legacy_tokens: bool) -> Self {
        let key = |secret: &Secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let verifying = std::iter::once(signing).chain(also_verifying).map(key).collect();
        TokenKeys { signing: key(signing), verifying, legacy_tokens }
    }

    /// A token for an SDK that authenticated with this key now. `names` come
    /// from the source; what they do not say the flags may.
    #[must_use]
    pub fn issue(
        &self,
        snapshot: &Snapshot,
        names: Option<&Names>,
        key_hash: &KeyHash,
        target: Option<&str>,
        now_unix_s: i64,
    ) -> String {
        let uuid = snapshot.environment.as_str();
        let names = names.map_or_else(|| Cow::Borrowed(&snapshot.names), |names| Cow::Owned(names.or(&snapshot.names)));
        let name = Some(names.environment.as_str()).filter(|name| !name.is_empty()).unwrap_or(uuid);
        let project = names.project.as_str();
        let revision = TokenRevision::of(&snapshot.revision);
        let mut payload = String::with_capacity(768 + target.map_or(0, str::len).min(MAX_TOKEN_TARGET_BYTES));
        payload.push('{');
        for (claim, value) in [
            ("environment", uuid),
            ("environmentIdentifier", name),
            ("project", project),
            ("projectIdentifier", project),
            ("accountID", names.account.as_str()),
        ] {
            payload.push('"');
            payload.push_str(claim);
            payload.push_str("\":");
            write_string(value, &mut payload);
            payload.push(',');
        }
        let TokenRevision { epoch, sequence, digest } = revision;
        // Writing to a String cannot fail.
        let _ = write!(
            payload,
            "\"clusterIdentifier\":\"1\",\"apiKey\":\"auth-key-{key_hash}\",\"jti\":\"{:032x}\",\
             \"rev\":\"{epoch}:{sequence}:{digest}\",\"iat\":{now_unix_s}",
            rand::random::<u128>(),
        );
        if let Some(target) = target.filter(|target| target.len() <= MAX_TOKEN_TARGET_BYTES) {
            let _ = write!(payload, ",\"target\":{target}");
        }
        payload.push('}');
        self.sign(&plain_ascii(&payload))
    }

    fn sign(&self, payload: &str) -> String {
        let mut token = String::with_capacity(HEADER.len() + payload.len() * 4 / 3 + 64);
        token.push_str(HEADER);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = hmac::sign(&self.signing, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        token
    }

    /// Checks signature, algorithm and expiry and reads the claims.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(&self, token: &str, now_unix_s: i64) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        if header != HEADER {
            check_algorithm(header)?;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
        if !self.verifying.iter().any(|key| hmac::verify(key, signed.as_bytes(), &signature).is_ok()) {
            return Err(TokenError::Signature);
        }
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Malformed)?;
        let claims = self.read(&payload)?;
        claims.check_time(now_unix_s)?;
        Ok(claims)
    }

    fn read(&self, payload: &[u8]) -> Result<Claims, TokenError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Payload<'a> {
            environment: String,
            api_key: Option<String>,
            jti: Option<String>,
            iat: Option<f64>,
            exp: Option<f64>,
            rev: Option<String>,
            #[serde(borrow)]
            target: Option<&'a RawValue>,
        }
        let payload: Payload<'_> = serde_json::from_slice(payload).map_err(|_| TokenError::Malformed)?;
        let key_hash = match payload.api_key.as_deref() {
            Some(claim) => {
                let hash = claim.strip_prefix("auth-key-").and_then(Digest::from_hex);
                Some(hash.ok_or(TokenError::Malformed)?)
            }
            None if self.legacy_tokens => None,
            None => return Err(TokenError::Legacy),
        };
        #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
        let seconds = |time: Option<f64>| time.map(|time| time as i64);
        Ok(Claims {
            environment: payload.environment,
            key_hash,
            jti: payload.jti.filter(|jti| jti.len() <= 64),
            issued_at: seconds(payload.iat),
            expires_at: seconds(payload.exp),
            revision: payload.rev.as_deref().and_then(TokenRevision::parse),
            target: payload.target.map(|target| target.get().to_owned()).filter(|target| target != "null"),
        })
    }
}

impl Claims {
    /// # Errors
    /// The token has expired. Tokens made here never do.
    pub fn check_time(&self, now_unix_s: i64) -> Result<(), TokenError> {
        match self.expires_at {
            Some(expires_at) if expires_at <= now_unix_s => Err(TokenError::Expired),
            _ => Ok(()),
        }
    }
}

fn check_algorithm(header: &str) -> Result<(), TokenError> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
    }
    let json = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Malformed)?;
    let header: Header = serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)?;
    if header.alg == "HS256" { Ok(()) } else { Err(TokenError::Algorithm) }
}

/// Android and PHP decode the payload as plain base64, so it must not need
/// the two letters in which base64url differs: those come only from bytes
/// above 0x7f and from `>`, `?`, `~` and DEL, which therefore are escaped.
fn plain_ascii(payload: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii() && !matches!(b, b'>' | b'?' | b'~' | 0x7f);
    if payload.bytes().all(plain) {
        return Cow::Borrowed(payload);
    }
    let mut out = String::with_capacity(payload.len());
    for c in payload.chars() {
        if c.is_ascii() && !matches!(c, '>' | '?' | '~' | '\u{7f}') {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    debug_assert!(!STANDARD_NO_PAD.encode(&out).contains(['+', '/']));
    Cow::Owned(out)
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
