use super::super::fixture::{Keys, apply, content, environment, find, snapshot};
use super::*;
use crate::snapshot::item::Digest;

#[test]
fn only_what_is_wrong_is_written_and_what_is_spare_goes() {
    let items = [
        (ItemKind::Flag, r#"{"feature":"a","version":1}"#),
        (ItemKind::Flag, r#"{"feature":"b","version":1}"#),
        (ItemKind::Target, r#"{"identifier":"t"}"#),
    ];
    let after = snapshot(None, content(&items, &["k"]));
    let mut right = Keys::new();
    apply(&mut right, &plan(None, &after).writes);
    assert!(repair(&find(&right, &environment()), &after).is_empty());

    let mut keys = right.clone();
    let learnt = ("env-e-1-target-config-learnt".to_owned(), b"{}".to_vec());
    let stale = go::auth_key(&Digest::of(b"old"));
    keys.extend([learnt.clone(), (stale.clone(), b"\"e-1\"".to_vec())]);
    keys.insert("env-e-1-segment-left".into(), b"{}".to_vec());
    keys.insert("env-e-1-feature-config-a".into(), b"{}".to_vec());
    keys.remove("env-e-1-segments-latest");
    let writes = repair(&find(&keys, &environment()), &after);
    let names: Vec<&str> = writes.iter().map(Write::key).collect();
    assert_eq!(names, [&*stale, "env-e-1-segment-left", "env-e-1-feature-config-a", "env-e-1-segments-latest"]);
    apply(&mut keys, &writes);
    right.extend([learnt]);
    assert_eq!(keys, right);
}
