//! What differs between two sorted lists of shared items, seen by pointer:
//! who is the same allocation is not looked at.

use std::cmp::Ordering;
use std::sync::Arc;

use super::item::Item;

/// An identifier at which two lists differ: an item in each, or in one.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub before: Option<&'a Arc<Item>>,
    pub now: Option<&'a Arc<Item>>,
    /// Where they stand in their lists, or would stand.
    pub places: (usize, usize),
}

impl<'a> Row<'a> {
    /// The items of the row.
    pub fn items(self) -> impl Iterator<Item = &'a Arc<Item>> {
        self.before.into_iter().chain(self.now)
    }
}

/// The difference of two lists, in the order of identifiers.
pub fn difference<'a>(before: &'a [Arc<Item>], now: &'a [Arc<Item>]) -> impl Iterator<Item = Row<'a>> {
    let mut places = (0, 0);
    std::iter::from_fn(move || {
        loop {
            let (old, new) = (before.get(places.0), now.get(places.1));
            let order = match (old, new) {
                (None, None) => return None,
                (Some(old), Some(new)) if Arc::ptr_eq(old, new) => {
                    places = (places.0 + 1, places.1 + 1);
                    continue;
                }
                (Some(old), Some(new)) => old.identifier().cmp(new.identifier()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
            };
            let row = Row { before: old.filter(|_| order.is_le()), now: new.filter(|_| order.is_ge()), places };
            places = (places.0 + usize::from(order.is_le()), places.1 + usize::from(order.is_ge()));
            return Some(row);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::json::Json;
    use crate::snapshot::item::ItemKind;

    fn item(name: &str) -> Arc<Item> {
        let text = format!("{{\"feature\":\"{name}\"}}");
        Arc::new(Item::from_json(ItemKind::Flag, &Json::parse(&text).unwrap()).unwrap())
    }

    #[test]
    fn it_has_what_came_changed_and_went() {
        let before = ["a", "b", "c", "e"].map(item);
        let now = [Arc::clone(&before[0]), item("aa"), item("b"), Arc::clone(&before[3]), item("f")];
        let rows: Vec<_> = difference(&before, &now)
            .map(|row| {
                let name = |item: &Arc<Item>| item.identifier().to_owned();
                (row.before.map(name), row.now.map(name), row.places)
            })
            .collect();
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(
            rows,
            [
                (None, name("aa"), (1, 1)),
                (name("b"), name("b"), (1, 2)),
                (name("c"), None, (2, 3)),
                (None, name("f"), (4, 4)),
            ]
        );
    }
}
