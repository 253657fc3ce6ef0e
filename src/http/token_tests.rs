use super::*;

fn keys(legacy_tokens: bool) -> TokenKeys {
    TokenKeys::new(&Secret::new("new"), &[Secret::new("old")], legacy_tokens)
}

fn signed_by(secret: &str, payload: &str) -> String {
    TokenKeys::new(&Secret::new(secret), &[], true).sign(payload)
}

#[test]
fn both_secrets_verify_and_no_other() {
    let payload = r#"{"environment":"e","iat":5}"#;
    for (secret, good) in [("new", true), ("old", true), ("other", false)] {
        assert_eq!(keys(true).verify(&signed_by(secret, payload), 10).is_ok(), good, "{secret}");
    }
    assert_eq!(keys(false).verify(&signed_by("new", payload), 10), Err(TokenError::Legacy));
}

#[test]
fn other_algorithms_and_rubbish_are_refused() {
    let body = URL_SAFE_NO_PAD.encode(r#"{"environment":"e"}"#);
    let token = |header: &str| format!("{}.{body}.", URL_SAFE_NO_PAD.encode(header));
    assert_eq!(keys(true).verify(&token(r#"{"alg":"none"}"#), 0), Err(TokenError::Algorithm));
    assert_eq!(keys(true).verify(&token(r#"{"alg":"HS512"}"#), 0), Err(TokenError::Algorithm));
    assert_eq!(keys(true).verify(&token(r#"{"alg":"HS256"}"#), 0), Err(TokenError::Signature));
    for rubbish in ["", "a", "a.b", "a.b.c", "...", &"x".repeat(100_000)] {
        assert!(keys(true).verify(rubbish, 0).is_err());
    }
    for payload in ["[]", "{}", r#"{"environment":5}"#, r#"{"environment":"e","apiKey":"x"}"#, "nonsense"] {
        assert_eq!(keys(true).verify(&signed_by("new", payload), 0), Err(TokenError::Malformed), "{payload}");
    }
}

#[test]
fn expiry_counts_and_nbf_does_not() {
    let token = signed_by("new", r#"{"environment":"e","exp":100,"nbf":9999999999}"#);
    assert!(keys(true).verify(&token, 99).is_ok());
    assert_eq!(keys(true).verify(&token, 100), Err(TokenError::Expired));
}

#[test]
fn the_payload_decodes_as_plain_base64_too() {
    let text = plain_ascii(r#"{"name":"a>b?c~d é 😀"}"#);
    assert!(!STANDARD_NO_PAD.encode(&*text).contains(['+', '/']));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["name"], "a>b?c~d é 😀");
}
