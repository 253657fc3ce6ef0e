use super::*;

#[test]
fn lists_are_read_whole_or_not_at_all() {
    let flag = r#"{"feature":"f","version":2,"kind":"boolean","state":"on","offVariation":"a","defaultServe":{},"variations":[]}"#;
    assert_eq!(items(ItemKind::Flag, format!("[{flag}]").as_bytes()).unwrap().len(), 1);
    for none in ["null", "[]", " [ ] "] {
        assert!(items(ItemKind::Flag, none.as_bytes()).unwrap().is_empty(), "{none}");
    }
    let cut = format!("[{flag}");
    let no_identifier = flag.replace("feature", "other");
    let wrong = flag.replace("[]", "{}");
    for bad in ["", "{}", "<html></html>", "\"x\"", "[1]", &cut, &format!("[{no_identifier}]"), &format!("[{wrong}]")] {
        assert!(matches!(items(ItemKind::Flag, bad.as_bytes()), Err(CallError::Unusable(_))), "{bad}");
    }
}

#[test]
fn a_single_item_must_be_the_one_asked_for() {
    let key = ItemKey { kind: ItemKind::Segment, identifier: "s".into() };
    assert!(item(&key, br#"{"identifier":"s","version":1}"#).is_ok());
    assert!(item(&key, br#"{"identifier":"t"}"#).is_err());
    assert!(item(&key, b"null").is_err());
}

#[test]
fn pages_say_how_many_there_are() {
    let hash = "0f".repeat(32);
    let body = format!(r#"{{"apiKeys":[{{"key":"{hash}","name":"n"}},{{"name":"no hash"}}],"pageCount":3}}"#);
    let page = key_page(body.as_bytes()).unwrap();
    assert_eq!((page.hashes.len(), page.rows, page.page_count), (1, 2, Some(3)));
    assert!(key_page(b"[]").is_err() && key_page(b"<html>").is_err());
    let page = target_page(br#"{"targets":[{"identifier":"t"},{"identifier":""}],"pageCount":1}"#).unwrap();
    assert_eq!((page.targets.len(), page.rows), (1, 2));
    let body = format!(
        r#"{{"environments":[{{"id":"e","apiKeys":["{hash}"],"featureConfigs":null,"segments":[{{"identifier":"s"}}]}}],"pageCount":1}}"#
    );
    let page = config_page(body.as_bytes()).unwrap();
    let good = page.environments[0].1.as_ref().unwrap();
    assert_eq!((good.segments.len(), good.hashes.len()), (1, 1));
    for bad in ["{}", "[]", r#"{"environments":[{}]}"#] {
        assert!(config_page(bad.as_bytes()).is_err(), "{bad}");
    }
    // One that cannot be used does not spoil the others.
    let page = config_page(br#"{"environments":[{"id":"e","apiKeys":["x"]},{"id":"f"}]}"#).unwrap();
    let usable: Vec<bool> = page.environments.iter().map(|(_, environment)| environment.is_ok()).collect();
    assert_eq!(usable, [false, true]);
}

#[test]
fn no_error_repeats_a_token() {
    assert_eq!(token(br#"{"authToken":"abc"}"#).unwrap(), "abc");
    let error = token(br#"{"token":"sesame"}"#).unwrap_err();
    assert!(!error.to_string().contains("sesame"));
}
