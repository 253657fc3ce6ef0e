//! Tokens that look like Harness's. Nobody but Harness can verify those, so the signature says nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

pub fn encode(claims: &Value) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let header = part(br#"{"alg":"HS256","typ":"JWT"}"#);
    format!("{header}.{}.{}", part(claims.to_string().as_bytes()), part(b"a signature"))
}
