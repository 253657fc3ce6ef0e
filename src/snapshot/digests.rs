//! The digest of an environment, and the parts it is made of: a change costs
//! the buckets that it touches (`offline-config.md`, "digest").

use std::sync::{Arc, LazyLock};

use sha2::{Digest as _, Sha256};

use super::content::Content;
use super::difference::{Row, difference};
use super::item::{Digest, Item};

const BUCKETS: usize = 256;

/// Below so many items the parts take more memory than they save time.
const WORTH_KEEPING: usize = 512;

/// The digest of one content.
#[derive(Clone, Debug)]
pub struct Digests {
    pub whole: Digest,
    /// Kept where there are many items.
    parts: Option<Arc<Parts>>,
}

#[derive(Debug)]
struct Parts {
    buckets: Vec<Digest>,
    targets: Digest,
}

impl Digests {
    #[must_use]
    pub fn of(content: &Content) -> Self {
        let parts = Parts { buckets: buckets(content, |_| true), targets: targets(&content.targets) };
        Self::from_parts(content, parts)
    }

    /// The digest of content that differs little from what these are of.
    #[must_use]
    pub fn after(&self, before: &Content, content: &Content) -> Self {
        if content.is(before) {
            return self.clone();
        }
        let Some(parts) = &self.parts else {
            return Self::of(content);
        };
        let mut touched = [false; BUCKETS];
        let rows = difference(&before.flags, &content.flags).chain(difference(&before.segments, &content.segments));
        for item in rows.flat_map(Row::items) {
            if let Some(touched) = touched.get_mut(usize::from(item.bucket)) {
                *touched = true;
            }
        }
        let is_touched = |bucket: u8| touched.get(usize::from(bucket)) == Some(&true);
        let mut kept = parts.buckets.clone();
        if touched.contains(&true) {
            for ((kept, fresh), touched) in kept.iter_mut().zip(buckets(content, is_touched)).zip(touched) {
                if touched {
                    *kept = fresh;
                }
            }
        }
        let same_targets = difference(&before.targets, &content.targets).next().is_none();
        let targets = if same_targets { parts.targets } else { targets(&content.targets) };
        Self::from_parts(content, Parts { buckets: kept, targets })
    }

    fn from_parts(content: &Content, parts: Parts) -> Self {
        let mut whole = Sha256::new();
        for bucket in &parts.buckets {
            whole.update(bucket.0);
        }
        let mut keys = Sha256::new();
        for hash in &content.key_hashes {
            keys.update(hash.0);
        }
        whole.update(keys.finalize());
        whole.update(parts.targets.0);
        let items = content.flags.len() + content.segments.len() + content.targets.len();
        Digests { whole: Digest(whole.finalize().into()), parts: (items >= WORTH_KEEPING).then(|| Arc::new(parts)) }
    }
}

/// The digests of the wanted buckets; of others that of an empty one.
fn buckets(content: &Content, wanted: impl Fn(u8) -> bool) -> Vec<Digest> {
    static EMPTY: LazyLock<Digest> = LazyLock::new(|| Digest::of(b""));
    let mut hashes: Vec<Option<Sha256>> = vec![None; BUCKETS];
    for item in content.items().filter(|item| wanted(item.bucket)) {
        if let Some(slot) = hashes.get_mut(usize::from(item.bucket)) {
            let hash = slot.get_or_insert_with(Sha256::new);
            hash.update(item.key.kind.domain());
            hash.update([0]);
            add(hash, item);
        }
    }
    hashes.into_iter().map(|hash| hash.map_or(*EMPTY, |hash| Digest(hash.finalize().into()))).collect()
}

fn targets(items: &[Arc<Item>]) -> Digest {
    let mut hash = Sha256::new();
    items.iter().for_each(|item| add(&mut hash, item));
    Digest(hash.finalize().into())
}

fn add(hash: &mut Sha256, item: &Item) {
    hash.update(item.identifier());
    hash.update([0]);
    hash.update(item.digest.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::json::Json;
    use crate::snapshot::item::ItemKind;

    fn item(kind: ItemKind, name: usize, value: usize) -> Arc<Item> {
        let text = format!("{{\"{}\":\"i{name:04}\",\"x\":{value}}}", kind.identifier_field());
        Arc::new(Item::from_json(kind, &Json::parse(&text).unwrap()).unwrap())
    }

    #[test]
    fn what_is_taken_over_gives_the_digest_that_all_of_it_gives() {
        let items = |kind| (0..700).map(|name| item(kind, name, 0)).collect::<Vec<_>>();
        let mut content = Content {
            flags: items(ItemKind::Flag),
            segments: items(ItemKind::Segment),
            targets: items(ItemKind::Target),
            key_hashes: vec![Digest::of(b"k")],
        };
        let mut digests = Digests::of(&content);
        let steps: [fn(&mut Content); 6] = [
            |content| content.flags[7] = item(ItemKind::Flag, 7, 1),
            |content| drop(content.segments.remove(9)),
            |content| content.flags.push(item(ItemKind::Flag, 701, 1)),
            |content| content.targets[3] = item(ItemKind::Target, 3, 1),
            |content| content.key_hashes.clear(),
            |content| content.flags.truncate(1),
        ];
        for step in steps {
            let before = content.clone();
            step(&mut content);
            let after = digests.after(&before, &content);
            assert_eq!(after.whole, Digests::of(&content).whole);
            assert_ne!(after.whole, digests.whole);
            digests = after;
        }
    }
}
