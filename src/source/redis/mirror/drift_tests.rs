use super::*;

fn key(name: &str) -> ItemKey {
    ItemKey { kind: ItemKind::Flag, identifier: Arc::from(name) }
}

/// A flag's JSON from `name version state`.
fn json(words: &str) -> String {
    match *words.split(' ').collect::<Vec<_>>() {
        [name, version, state] => format!("{{\"feature\":\"{name}\",\"version\":{version},\"state\":\"{state}\"}}"),
        _ => words.to_owned(),
    }
}

fn found(list: Option<&[&str]>, singles: &[(&str, &str)]) -> FoundKind {
    let list =
        list.map(|list| format!("[{}]", list.iter().map(|w| json(w)).collect::<Vec<_>>().join(",")).into_bytes());
    let singles = singles.iter().map(|(name, words)| ((*name).to_owned(), json(words).into_bytes())).collect();
    FoundKind { list, latest: None, singles }
}

fn told(layout: Layout, named: &[&str], found: &FoundKind) -> Result<(String, Vec<String>), String> {
    let named = named.iter().map(|name| key(name)).collect();
    let mut problems = Vec::new();
    let items = reconcile(&Rules { kind: ItemKind::Flag, layout, named: &named }, found, &mut problems)?;
    let one = |item: &Arc<Item>| {
        let state = if item.text.contains("\"on\"") { "on" } else { "off" };
        format!("{} {} {state}", item.identifier(), version(item))
    };
    Ok((items.iter().map(one).collect::<Vec<_>>().join(", "), problems))
}

fn both(found: &FoundKind) -> [String; 2] {
    [Layout::V1, Layout::V2].map(|layout| told(layout, &[], found).unwrap().0)
}

#[test]
fn the_higher_version_counts_and_of_equal_ones_the_single() {
    let found = found(Some(&["a 3 on", "b 2 on", "c 5 on"]), &[("a", "a 2 off"), ("b", "b 3 off"), ("c", "c 5 off")]);
    assert_eq!(both(&found), ["a 3 on, b 3 off, c 5 off"; 2].map(str::to_owned));
}

#[test]
fn what_one_side_lacks_is_deleted_but_for_news_of_v1() {
    let found =
        found(Some(&["a 3 on", "listed 9 on"]), &[("a", "a 3 on"), ("left", "left 9 on"), ("new", "new 10 on")]);
    assert_eq!(both(&found), ["a 3 on, new 10 on", "a 3 on"].map(str::to_owned));
    assert_eq!(told(Layout::V1, &["left", "listed"], &found).unwrap().0, "a 3 on, left 9 on, new 10 on");
    let (items, problems) = told(Layout::V2, &["left", "new"], &found).unwrap();
    assert_eq!(items, "a 3 on");
    assert!(problems.len() == 1 && problems[0].starts_with("3 flags"), "{problems:?}");
}

#[test]
fn a_side_that_is_missing_whole_deletes_nothing() {
    let singles = found(None, &[("a", "a 3 on")]);
    assert_eq!(both(&singles), ["a 3 on"; 2].map(str::to_owned));
    let list = found(Some(&["a 3 on", "b 1 on"]), &[]);
    assert_eq!(both(&list), ["a 3 on, b 1 on"; 2].map(str::to_owned));
    // An event says that it is really gone.
    assert_eq!(told(Layout::V1, &["a"], &list).unwrap().0, "b 1 on");
    assert_eq!(both(&found(Some(&[]), &[])), ["", ""]);
    assert_eq!(both(&FoundKind { list: Some(b"null".to_vec()), ..FoundKind::default() }), ["", ""]);
    // An empty list is an answer to v2; to v1 the single key is newer.
    assert_eq!(both(&found(Some(&[]), &[("a", "a 1 on")])), ["a 1 on", ""]);
}

#[test]
fn a_damaged_copy_gives_way_to_the_other() {
    for (found, expected) in [
        (found(Some(&["a 3 on"]), &[("a", "{\"feature\":")]), "a 3 on"),
        (found(Some(&["a 3 on"]), &[("a", "b 9 off")]), "a 3 on"),
        (found(Some(&["a x on"]), &[("a", "a 2 off")]), ""),
        (found(Some(&["a \"x\" on", "b 1 on"]), &[("a", "a 2 off"), ("b", "b 1 on")]), "a 2 off, b 1 on"),
        (found(Some(&["{}", "b 1 on"]), &[("a", "a 2 off"), ("b", "b 1 on")]), "a 2 off, b 1 on"),
        (FoundKind { list: Some(b"[{".to_vec()), ..found(None, &[("a", "a 2 off")]) }, "a 2 off"),
        (FoundKind { list: Some(b"\xff".to_vec()), ..found(None, &[("a", "a 2 off")]) }, "a 2 off"),
    ] {
        let expected = if expected.is_empty() { "a 2 off" } else { expected };
        for layout in [Layout::V1, Layout::V2] {
            let (items, problems) = told(layout, &[], &found).unwrap();
            assert_eq!(items, expected);
            assert_eq!(problems.len(), 1, "{problems:?}");
        }
    }
}

#[test]
fn without_a_readable_copy_the_whole_read_fails() {
    let mut damaged = found(Some(&["a 1 on"]), &[("a", "a 1 on")]);
    damaged.list = Some(b"[{\"feature\":\"a\",\"version\":\"1\"}]".to_vec());
    damaged.singles.insert("a".into(), b"{".to_vec());
    let both_damaged = damaged.clone();
    damaged.singles.clear();
    for (layout, found) in [
        (Layout::V2, both_damaged),
        (Layout::V2, damaged),
        (Layout::V2, FoundKind { list: Some(b"".to_vec()), ..FoundKind::default() }),
        (Layout::V2, found(None, &[("a", "{")])),
        (Layout::V2, found(Some(&["null"]), &[])),
        (Layout::V2, found(Some(&["null", "a 1 on"]), &[("a", "a 1 on")])),
        (Layout::V1, found(Some(&["a 1 on"]), &[("a", "a 1 on"), ("b", "{")])),
    ] {
        assert!(told(layout, &[], &found).is_err(), "{found:?}");
    }
    // v2's list says that it is gone.
    let left = found(Some(&["a 1 on"]), &[("a", "a 1 on"), ("b", "{")]);
    assert_eq!(told(Layout::V2, &[], &left).unwrap().0, "a 1 on");
}
