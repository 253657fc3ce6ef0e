use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderValue;

use super::*;

fn claims(target: Option<&str>) -> Claims {
    Claims {
        environment: String::new(),
        key_hash: None,
        jti: None,
        issued_at: None,
        expires_at: None,
        revision: None,
        target: target.map(str::to_owned),
    }
}

#[test]
fn only_sdks_that_take_answers_are_evaluated_for() {
    let (alice, bob) = (r#"{"identifier":"alice"}"#, r#"{"identifier":"bob"}"#);
    let encoded = STANDARD.encode(alice);
    for (sdk, header, token, expected) in [
        ("Javascript 1.32.0 Client", Some(&*encoded), Some(bob), Some((alice, false))),
        ("Javascript 1.32.0 Client", None, Some(bob), Some((bob, true))),
        ("Android 2.2.0 Client", Some("undefined"), Some(bob), Some((bob, true))),
        ("iOS 1.3.0 Client", Some(""), Some(bob), Some((bob, true))),
        ("iOS 1.3.0 Client", Some("no base64!"), Some(bob), None),
        ("Javascript 1.32.0 Client", None, Some(r#"{"identifier":""}"#), None),
        ("Javascript 1.32.0 Client", None, None, None),
        ("", Some(&*encoded), Some(bob), Some((alice, false))),
        ("", None, Some(bob), None),
        ("Flutter 2.1.1 Client", Some(&*encoded), Some(bob), None),
        ("Go 0.1.24 Server", None, Some(bob), None),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(TARGET_HEADER, HeaderValue::from_str(header).unwrap());
        }
        let found = target_of(&headers, sdk, Some(&claims(token)));
        assert_eq!(found.as_ref().map(|(json, own)| (json.as_str(), *own)), expected, "{sdk} {header:?}");
    }
}
