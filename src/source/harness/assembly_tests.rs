use super::*;
use crate::model::json::Json;

fn flag(identifier: &str, version: i64, state: &str) -> Arc<Item> {
    let text = format!(r#"{{"feature":"{identifier}","version":{version},"state":"{state}"}}"#);
    Arc::new(Item::from_json(ItemKind::Flag, &Json::parse(&text).unwrap()).unwrap())
}

fn key(identifier: &str) -> ItemKey {
    ItemKey { kind: ItemKind::Flag, identifier: Arc::from(identifier) }
}

struct Table {
    assembly: Assembly,
    start: Instant,
}

impl Table {
    fn new() -> Self {
        let mut table = Table { assembly: Assembly::new(Vec::new()), start: Instant::now() };
        table.assembly.list(ItemKind::Segment, Began(0), Vec::new(), table.start);
        table
    }

    fn list(&mut self, began: u64, seconds: u64, items: &[Arc<Item>]) -> ListOutcome {
        let at = self.start + Duration::from_secs(seconds);
        self.assembly.list(ItemKind::Flag, Began(began), items.to_vec(), at)
    }

    fn versions(&self) -> Vec<(String, i64)> {
        let content = self.assembly.content().unwrap();
        content.flags.iter().map(|item| (item.identifier().to_owned(), item.version.unwrap())).collect()
    }
}

#[test]
fn nothing_is_known_before_both_lists_were_read() {
    let mut assembly = Assembly::new(Vec::new());
    let now = Instant::now();
    assembly.list(ItemKind::Flag, Began(1), Vec::new(), now);
    assert!(assembly.content().is_none());
    assert!(assembly.list(ItemKind::Segment, Began(1), Vec::new(), now).changed);
    assert!(assembly.content().unwrap().flags.is_empty());
}

#[test]
fn the_answer_whose_fetch_began_later_counts() {
    let mut table = Table::new();
    assert!(table.list(1, 0, &[flag("a", 1, "on"), flag("b", 1, "on")]).changed);
    assert!(table.assembly.item(flag("a", 3, "off"), Began(5)));
    let outcome = table.list(4, 1, &[flag("a", 2, "on"), flag("b", 1, "on")]);
    assert!(!outcome.changed && outcome.doubtful.is_empty());
    assert_eq!(table.versions(), [("a".into(), 3), ("b".into(), 1)]);
    assert!(!table.assembly.item(flag("a", 9, "on"), Began(4)));
    assert!(!table.list(3, 2, &[]).look_again, "older than the newest list");
    // Equal content again changes nothing.
    assert!(!table.list(6, 3, &[flag("a", 3, "off"), flag("b", 1, "on")]).changed);
}

#[test]
fn an_empty_list_is_believed_on_a_second_look() {
    let mut table = Table::new();
    table.list(1, 0, &[flag("a", 1, "on")]);
    assert!(table.list(2, 5, &[]).look_again);
    assert!(table.list(3, 14, &[]).look_again, "too early");
    assert_eq!(table.versions().len(), 1);
    assert!(table.list(4, 15, &[]).changed);
    assert!(table.versions().is_empty());
    table.list(5, 16, &[flag("a", 1, "on")]);
    assert!(table.list(6, 17, &[]).look_again);
    table.list(7, 18, &[flag("a", 1, "on")]);
    assert!(table.list(8, 40, &[]).look_again, "a good answer between the two begins anew");
}

#[test]
fn a_lower_version_with_other_content_is_fetched_once_more() {
    let mut table = Table::new();
    table.list(1, 0, &[flag("a", 5, "on")]);
    let outcome = table.list(2, 1, &[flag("a", 4, "off")]);
    assert_eq!(outcome.doubtful, [key("a")]);
    assert_eq!(table.versions(), [("a".into(), 5)]);
    assert!(table.assembly.item(flag("a", 4, "off"), Began(3)));
    assert_eq!(table.versions(), [("a".into(), 4)]);
    // A second list that says the same is believed, too.
    assert_eq!(table.list(4, 2, &[flag("a", 3, "on")]).doubtful, [key("a")]);
    assert_eq!(table.list(5, 3, &[flag("a", 2, "on")]).doubtful, [key("a")], "it says something else");
    assert!(table.list(6, 4, &[flag("a", 2, "on")]).changed);
    assert_eq!(table.versions(), [("a".into(), 2)]);
}

#[test]
fn a_deletion_is_not_undone_by_an_answer_that_is_behind() {
    let mut table = Table::new();
    table.list(1, 0, &[flag("a", 5, "on"), flag("b", 1, "on")]);
    assert!(table.assembly.delete(&key("a"), Began(3), table.start));
    // Its fetch began before the message.
    assert!(table.list(2, 0, &[flag("a", 6, "on"), flag("b", 1, "on")]).look_again);
    // A cache that does not know of it.
    assert!(table.list(4, 1, &[flag("a", 5, "on"), flag("b", 1, "on")]).look_again);
    assert_eq!(table.versions().len(), 1);
    // Created again, at a higher version.
    assert!(table.list(5, 2, &[flag("a", 6, "on"), flag("b", 1, "on")]).changed);
    assert!(table.assembly.delete(&key("a"), Began(6), table.start));
    // Created again at a lower version, fetched alone.
    assert!(table.assembly.item(flag("a", 1, "off"), Began(7)));
    assert_eq!(table.versions(), [("a".into(), 1), ("b".into(), 1)]);
    // Long after, a list is believed.
    assert!(table.assembly.delete(&key("b"), Began(8), table.start));
    assert!(table.list(9, 30, &[flag("a", 1, "off"), flag("b", 1, "on")]).changed);
}
